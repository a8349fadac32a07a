"""What in a student's source may have led to a failure: the line, and what is the matter with it.

A verdict comes of what the code does, never of how it looks. These rules only point at a line, once a step
has failed. Most name what is a bug nearly everywhere; the others speak only of failures of their kind.

- code.py      a student's source, and what the rules ask about it
- errors.py    what an exception says: a name, two kinds of values, arguments
- finding.py   `look_at`: what the rules found
- loading.py   source that cannot be loaded: its syntax, its names
- locks.py     locks: made anew, not released, held for too long
- shape.py     definitions and calls: async, yield, print, shared lists, calls without ()
- stream.py    sockets: bytes, lines, ends, threads
- testing.py   a test of a server that finds nothing wrong
"""
