"""The commands of `python -m labkit`, a file each: its options, and its run.

- console.py     how the commands of `python -m labkit` speak to the terminal they run in
- demo.py        python -m labkit demo
- exercises.py   what `python -m labkit check` and `python -m labkit exercises` do
- join.py        chat in a terminal
- keyboards.py   keyboards
- lab.py         python -m labkit lab
- load.py        python -m labkit load
- serve.py       python -m labkit serve
"""
