"""Is that server right? Behaviours of a chat server, tried from outside, on any server in any language.

`python -m labkit check server HOST:PORT` is made of these, and so is the exercise `server`. The files, in
the order in which they build on each other:

- probed.py      a server that is being tried, and the people there
- behaviour.py   what a behaviour is
- talking.py, naming.py, staying.py, leaving.py, dying.py   the behaviours
- behaviours.py  all of them, in order
- report.py      what was found, as text and as JSON
- run.py         the whole run
"""
