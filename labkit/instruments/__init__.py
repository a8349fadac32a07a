"""Instruments to look at a chat with. Import each from its own file.

- boxes.py          how a framing cuts a stream: bytes as boxes, and the lines that fall out
- buffers/          buffers and queues that fill, live and over time
- capture.py        what a link has seen, with times and bytes
- drawing.py        what drawings in HTML share
- drawn.py          a ladder as HTML
- faults.py         what can be wrong with a wire
- kept.py           files that a student's folder keeps, a record a line
- ladder.py         a journal as a sequence diagram
- lanes/            what ran when: who waits in recv, who waits for a lock, who holds it
- link.py           a wire you can tap and break
- load/             a load on a chat server, and what the server makes of it
- markup.py         colours and users' text, for all HTML
- panel/            widgets for a notebook
- pcapng.py         what links have seen as a file for Wireshark
- predictions.py    what a student expected, before it was seen
- redis_server.py   a Redis of your own
- relay.py          the thread of a link, and its connections
- stepper/          two or three threads, one line at a time, in an order that is chosen
- stream.py         one direction of a connection through a link
- topology.py       several servers, their clients, and the Redis that they share, as a drawing
- two_lists.py      two lists that slide out of step
"""
