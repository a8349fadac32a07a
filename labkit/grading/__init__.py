"""What runs a student's code, and says what came of it. The exercises themselves are in labkit/exercises/.

- bench.py      what a step has to work with: threads, sockets, a journal
- races.py      a step in which two threads meet
- serving.py    a student's `serve(listener)` at work
- stopping.py   a student's server that is to be stopped
- desk.py       a student's client, with its keyboard and screen
- child.py      the process that the code runs in
- process.py    that process, as seen from outside: started, watched, ended
- checking.py   `check(name, code)`
- result.py     what a check found, as text and as HTML
- hosting.py    a process for a server, or for a test of one
- judging.py    `judge(my_test)`
- notebooks.py  the notebooks of exercises and solutions
- commands.py   what `python -m labkit check` and `exercises` do
"""
