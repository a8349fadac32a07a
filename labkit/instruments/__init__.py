"""Instruments to look at a chat with. Import each from its own file.

- faults.py         what can be wrong with a wire
- ladder.py         a journal as a sequence diagram
- link.py           a wire you can tap and break
- redis_server.py   a Redis of your own
- relay.py          the thread of a link, and its connections
- stream.py         one direction of a connection through a link
- panel/            widgets for a notebook
- load/             a load on a chat server, and what the server makes of it
- stepper/          two or three threads, one line at a time, in an order that is chosen
"""
