"""Is that server right? Behaviours of a chat server, tried from outside, on any server in any language.

`python -m labkit check server HOST:PORT` is made of these, and so is the exercise `server`. The files, in
the order in which they build on each other:

- missed.py      what a step raises that does not hold
- patience.py    how long is long enough, on a machine that may be busy
- netlink.py     one question to the kernel, about one connection
- kernel.py      whether the server has read what was sent
- peer.py        a client that is nothing but a socket
- probed.py      a server that is being tried, and the people there
- behaviour.py   what a behaviour is
- talking.py, naming.py, staying.py, leaving.py, dying.py   the behaviours
- behaviours.py  all of them, in order
- launch.py      a server that is started for it, and stopped
- report.py      what was found, as text and as JSON
- run.py         the whole run
"""
