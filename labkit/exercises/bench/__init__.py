"""What an exercise's steps work with: the student's code, threads, sockets, and a journal.

- bench.py            what a step has to work with
- judged_servers.py   right servers and wrong ones, which a student's test is tried on
- races.py            a step in which two threads meet
- serving.py          a student's `serve(listener)` at work
- stopping.py         a student's `Server` that a step stops
- student_client.py   a student's client at work: keyboard, screen, server
"""
