"""A server under test that is in this process: what others do with the machine does not count for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from labkit.conformance.server_under_test import LEAST_TIMEOUT, ServerUnderTest
from labkit.probe.patience import Patience


@contextmanager
def under_test(
    address: tuple[str, int], framing: str = "lines", timeout: float = LEAST_TIMEOUT
) -> Iterator[ServerUnderTest]:
    """As a check sees it, which counts by the clock of the server's process. All its clients leave."""
    with Patience((os.getpid(),)) as clock:
        server = ServerUnderTest(address, framing, timeout, clock=clock)
        try:
            yield server
        finally:
            server.leave()
