"""What an exercise's steps work with: the student's code, threads, sockets, and a journal.

- bench.py            what a step has to work with
- judged_servers.py   right servers and wrong ones, which a student's test is tried on
- deaths.py           what threads die of
- parts.py            a `send` that takes only a part
- pausing.py          a student's server, one thread of which is stopped before a line
- between.py          what happens between two lines of a student's thread
- hurried.py          sockets whose timeouts run out at once
- races.py            a step in which two threads meet
- serving.py          a student's `serve(listener)` at work
- stopping.py         a student's `Server` that a step stops
- student_client.py   a student's client at work: keyboard, screen, server
- values.py           whether what a student's function returned is of the right kind
"""
