"""Is that client right? Behaviours of a chat client, tried from outside, on any client in any language.

`python -m labkit check client -- COMMAND` runs them: it plays the client's user, and the server that the
client talks to. The files, each built on those before it:

- way.py   how a client is run, and how long it may take
- played_server.py   the server that it finds
- running.py   a client that runs, and how to wait for it
- client_under_test.py   a client to try, its user, its screen and its server
- joining.py, hearing.py, saying.py, leaving.py, dying.py   the behaviours
- behaviours.py   all of them, in order
- advice.py   what a miss means, and which of them have one cause
- report.py   what was found
- opening.py   what a client does before it is judged
- run.py   the whole run
"""
