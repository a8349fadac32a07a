"""The child process of `judge`: it runs either a server, or a student's test of one.

judging.py starts it through process.py; it shares its reports and watchdog with child.py. A server reports
the address it listens on, and runs until its process is ended. A test reports whether it found the server
at that address right (it returned) or wrong (it raised).
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
from labkit.exercises.grading.child import NameMissing, Reports, Watchdog, load
from labkit.exercises.grading.clock import Clock
from labkit.exercises.grading.guard import guard
from labkit.wire import nicknames
from labkit.wire.shadows import shadow


class NotATest(Exception):
    """The code is no test; the text says why."""


def run_server(job: dict[str, Any], reports: Reports) -> None:
    """Run the server of this name on a free port of this machine."""
    from labkit.exercises.bench.judged_servers import serve_called  # a test needs none of them

    nicknames.load()  # takes a while: not in the time of the first client
    listener = socket.create_server(("127.0.0.1", 0))
    reports.send(state="listening", address=listener.getsockname())
    serve_called(job["server"])(listener)


def run_test(job: dict[str, Any], reports: Reports) -> None:
    """Run the student's test on the server at job["address"]."""

    def test() -> None:
        my_test, address = load(job), tuple(job["address"])
        if not callable(my_test):
            raise NotATest(f"a test is a function that takes an address, not {my_test!r}")
        try:
            inspect.signature(my_test).bind(address)
        except TypeError as error:
            raise NotATest(f"it must take one argument, the address: {error}") from None
        except ValueError:
            pass  # it has no signature to look at
        value = my_test(address)
        if inspect.isawaitable(value) or inspect.isgenerator(value):
            how = "yield" if inspect.isgenerator(value) else "async def"
            raise NotATest(f"no line of it is run, because of its `{how}`: a test is a plain function")

    def wrong(why: str) -> None:
        watchdog.until_looked()
        reports.send(state="wrong", why=why)

    watchdog = Watchdog(reports, job["seconds"], Clock(job["clock"]))
    try:
        watchdog.guard(test, lambda: {"at": benches.whereabouts()})
    except NotATest as error:
        return reports.send(state="unusable", why=str(error))
    except NameMissing as name:
        return reports.send(state="unusable", why=f"the text defines no {name}")
    except SyntaxError as error:
        why = f"{type(error).__name__}: {error.msg} (line {error.lineno})"
        return reports.send(state="unusable", why=why)
    except AssertionError as error:
        return wrong(
            str(error).splitlines()[0] if str(error) else benches.in_one_line(error, innermost=False)
        )
    except BaseException as error:  # whatever a test raises, it says that the server is wrong
        return wrong(shadow(error) or benches.in_one_line(error, innermost=False))
    watchdog.until_looked()
    reports.send(state="right")


def main() -> None:
    reports = Reports()
    job = pickle.load(sys.stdin.buffer)
    reports.sign = job["sign"]
    # Threads of a wrong server may die; their tracebacks would say nothing new.
    threading.excepthook = lambda hook: None
    guard(job, reports)
    reports.send(state="ready")
    try:
        {"server": run_server, "test": run_test}[job["role"]](job, reports)
    except BaseException as error:  # of a server: the test notices
        reports.send(state="died", why="".join(traceback.format_exception_only(error)).strip())
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
