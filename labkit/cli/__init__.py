"""The commands of `python -m labkit`, a file each: its options, and its run.

- dispatch.py    finds the command, loads its file, and runs it
- serve.py, join.py, lab.py, demo.py, check.py, exercises.py, watch.py, grade.py, load.py
                 the commands
- options.py     options that several commands have, and what reads them
- console.py     standard output and error, and the terminal
- display.py     what a terminal, or an encoding, makes of a text; pure
- keyboards.py   what `join` reads from: a terminal, or a pipe
"""
