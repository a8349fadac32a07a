"""A process for one of two things: a server that is to be tested, or a student's test of one.

Started by judging.py, through process.py, like child.py, whose reports and watchdog it uses. A server
reports the address it listens on, and runs until its process is ended. A test reports whether it found
the server at that address right (it returned) or wrong (it raised).
"""

from __future__ import annotations

import inspect
import os
import pickle
import socket
import sys
import threading
import traceback
from typing import Any

from labkit.exercises.bench import bench as benches
from labkit.exercises.grading.child import NotThere, Reports, Watchdog, load


class Unfit(Exception):
    """This is no test."""


def host(job: dict[str, Any], reports: Reports) -> None:
    """Run the server, on a free port of this machine."""
    listener = socket.create_server(("127.0.0.1", 0))
    reports.send(state="listening", address=listener.getsockname())
    load(job)(listener)


def put_to_the_test(job: dict[str, Any], reports: Reports) -> None:
    """Run the student's test on the server at job["address"]."""

    def test() -> None:
        my_test, address = load(job), tuple(job["address"])
        if not callable(my_test):
            raise Unfit(f"a test is a function that takes an address, not {my_test!r}")
        try:
            inspect.signature(my_test).bind(address)
        except TypeError as error:
            raise Unfit(f"it must take one argument, the address: {error}") from None
        except ValueError:
            pass  # it has no signature to be looked at
        my_test(address)

    def wrong(why: str) -> None:
        reports.send(state="wrong", why=why)

    try:
        watchdog = Watchdog(reports, job["seconds"])
        watchdog.guard(test, lambda: {"at": benches.whereabouts()})
    except Unfit as unfit:
        return reports.send(state="unusable", why=str(unfit))
    except NotThere as name:
        return reports.send(state="unusable", why=f"the text defines no {name}")
    except SyntaxError as error:
        why = f"{type(error).__name__}: {error.msg} (line {error.lineno})"
        return reports.send(state="unusable", why=why)
    except AssertionError as error:
        return wrong(str(error).splitlines()[0] if str(error) else benches.told(error, innermost=False))
    except BaseException as error:  # raising is how a test says no, whatever it raises
        return wrong(benches.told(error, innermost=False))
    reports.send(state="right")


def main() -> None:
    reports = Reports()
    job = pickle.load(sys.stdin.buffer)
    reports.sign = job["sign"]
    # A wrong server is expected to have threads that die; its reports are enough.
    threading.excepthook = lambda hook: None
    try:
        {"host": host, "test": put_to_the_test}[job["role"]](job, reports)
    except BaseException as error:  # a server that dies is found out by the test
        reports.send(state="died", why="".join(traceback.format_exception_only(error)).strip())
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
