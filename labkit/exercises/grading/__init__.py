"""What runs a student's code, and says what came of it. The exercises themselves are in catalogue/.

- cells.py          what of a notebook belongs to an exercise
- checking.py       `check(name, code)`
- child.py          the process in which a student's code runs
- clock.py          the clock by which that process is timed
- explaining.py     which lines to look at after a failure, and which code was judged
- guard.py          notices what a submission reaches for, and bounds what it uses up
- here.py           `check` where no process can be started
- judging.py        `judge(my_test)`
- memory.py         a bound on the memory of a student's code
- notebooks.py      the notebooks of exercises and of solutions, both from one source
- process.py        a process for a student's code
- result.py         what a check found
- server_child.py   the process in which a server runs, or a student's test of one
- submission.py     what a student handed in, as Python source: a file or a notebook
"""
