"""What runs a student's code, and says what came of it. The exercises themselves are in catalogue/.

- cells.py          what of a notebook belongs to an exercise
- checking.py       `check(name, code)`
- child.py          the process in which a student's code runs
- guard.py         notices what a submission reaches for, and bounds what it uses up
- judging.py        `judge(my_test)`
- notebooks.py      the notebooks of exercises and of solutions, both from one source
- process.py        a process for a student's code
- result.py         what a check found
- server_child.py   the process in which a server runs, or a student's test of one
- submission.py     what a student handed in, as Python source: a file or a notebook
"""
