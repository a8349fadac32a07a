"""Is that server right? Behaviours of a chat server, tried from outside, on any server in any language.

`python -m labkit check server HOST:PORT` runs them, and so does the exercise `server`. The files, each
built on those before it:

- server_under_test.py   a server to try, and the clients that are connected to it
- behaviour.py           what a behaviour is
- talking.py, naming.py, staying.py, leaving.py, dying.py   the behaviours
- behaviours.py          all of them, in order
- report.py              what was found, as text and as JSON
- run.py                 the whole run
"""
