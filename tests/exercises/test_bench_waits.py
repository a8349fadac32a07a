"""What a step brings about happens on however busy a machine: a thread that gets no processor is waited
for. Or a wrong answer would pass, for nothing was tried."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from time import monotonic
from types import FrameType
from typing import Any

import pytest
from support import SOON

from labkit.exercises.bench import between as betweens
from labkit.exercises.bench.between import PATIENCE, Between, between_lines
from labkit.exercises.bench.hurried import LOOK, SHORT, Hurried, HurriedTimers
from labkit.probe import deadline


@pytest.fixture
def stands() -> Iterator[threading.Event]:
    """The clock of this process stands still until this is set; then all that can pass has passed."""
    goes = threading.Event()
    began = monotonic()
    deadline.count_by(lambda: 1000.0 * (monotonic() - began) if goes.is_set() else 0.0)
    try:
        yield goes
    finally:
        deadline.count_by(None)


def late(seconds: float, does: Callable[[], object]) -> threading.Thread:
    """A thread that comes to do this only after so long."""

    def work() -> None:
        threading.Event().wait(seconds)
        does()

    thread = threading.Thread(target=work, name="test-late", daemon=True)
    thread.start()
    return thread


def test_a_thread_that_comes_late_to_its_lines_is_waited_for(
    stands: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something happens before its first line all the same."""
    monkeypatch.setattr(betweens, "is_students", lambda filename: filename == __file__)
    happened: list[bool] = []

    def happens() -> bool:
        happened.append(True)
        return False

    with between_lines() as between:

        def lines() -> None:
            between.follow_this_thread()
            first = 1
            del first

        thread = late(2 * PATIENCE, lines)
        between.each(happens)
    thread.join(SOON)
    assert happened == [True] and not thread.is_alive()


def test_a_line_that_comes_too_late_waits_for_nobody(stands: threading.Event) -> None:
    """The last look at the stops is over, just before one more is put there."""

    class Late(SimpleQueue[threading.Event]):
        def put(self, item: threading.Event, block: bool = True, timeout: float | None = None) -> None:
            between._over = True
            super().put(item)

    between = Between()
    between._stops = Late()
    between._thread = threading.get_ident()
    began = monotonic()
    line: Callable[[FrameType, str, object], Any] = between._line
    late(2.0, stands.set)
    line(None, "line", None)  # type: ignore[arg-type]
    assert not stands.is_set() and monotonic() - began < SOON


def test_code_that_comes_late_to_its_client_is_waited_for(stands: threading.Event) -> None:
    """And one whose timeout was cut until that is over."""
    ours, theirs = socket.socketpair()
    with theirs, Hurried(fileno=ours.detach(), hurry=True) as client:
        client.settimeout(10.0)

        def reads() -> None:
            with pytest.raises(TimeoutError):
                client.recv(1)

        thread = late(2 * LOOK, reads)
        client.is_waited_for()
        assert client.timed_out == 1
        thread.join(SOON)


def test_a_timer_that_begins_late_is_waited_for(stands: threading.Event) -> None:
    """It was started, and its thread has not got to its first line."""

    def slow(frame: FrameType, event: str, argument: object) -> None:
        sys.setprofile(None)
        threading.Event().wait(0.3)

    rang: list[bool] = []
    run = threading.Timer.run
    with HurriedTimers() as timers:
        threading.setprofile(slow)
        threading.Timer(SHORT, lambda: rang.append(True)).start()
        threading.setprofile(None)
        timers.wait()
        assert rang == [True]
    assert threading.Timer.run is run and threading.Timer.start is threading.Thread.start
