"""Is that server right? Behaviours of a chat server, tried from outside, on any server in any language.

`python -m labkit check server HOST:PORT` runs them, and so does the exercise `server`. The files, each
built on those before it:

- dialect.py   the form in which a server passes on what one says
- server_under_test.py   a server to try, and the clients that are connected to it
- behaviour.py           what a behaviour is
- talking.py, hearing.py, naming.py, staying.py, leaving.py, dying.py   the behaviours
- behaviours.py          all of them, in order
- advice.py    what a miss means
- causes.py    which misses have one cause
- report.py              what was found, as text and as JSON
- greeting.py  what a server does when somebody connects, if that is not what it should be
- opening.py   what is learnt of a server before it is judged
- limit.py     how long a behaviour may take
- run.py                 the whole run
- client/                the same for clients
"""
