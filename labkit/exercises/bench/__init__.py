"""What an exercise's steps work with: the student's code, threads, sockets, and a journal.

- bench.py            what a step has to work with
- between.py          what happens between two lines of a student's thread
- hurried.py          sockets whose timeouts run out at once
- races.py            a step in which two threads meet
- serving.py          a student's `serve(listener)` at work
- stopping.py         a student's `Server` that a step stops
- student_client.py   a student's client at work: keyboard, screen, server
"""
