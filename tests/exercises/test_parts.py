"""A kernel that takes only a part takes it of the student's code, not of the check."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

from labkit.exercises.bench.parts import part_only


def test_only_others_sends_are_cut() -> None:
    """Those of the check's own thread go out whole: it also asks the kernel by a socket."""
    one, other = socket.socketpair()
    with one, other, ThreadPoolExecutor(1) as pool:
        with part_only():
            assert one.send(b"as usual") == 8
            assert pool.submit(one.send, b"in part").result() == 5
        assert pool.submit(one.send, b"as usual").result() == 8
