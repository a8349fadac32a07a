"""The tests' fixtures: servers, threads, and a check that no thread is left behind."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest
from hypothesis import Phase, settings
from support import SOON, BareServer, need_redis

import labkit.client.client
from labkit import ChatClient, ChatServer
from labkit.instruments.redis_server import RedisServer
from labkit.journal import Journal
from labkit.probe import children

settings.register_profile("labkit", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=5000)  # for a night, not for every run
# For tests/tools/mutants.py, to which any failure will do.
settings.register_profile(
    "mutants", deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate)
)
settings.load_profile(os.environ.get("LABKIT_HYPOTHESIS", "labkit"))

# The tests start hundreds of Pythons. Without bytecode, each compiles labkit anew: a third of its start.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# However the tests end, killed or not, what they have started ends with them.
children.mark_all()

# Where a test does not say how long it waits, it waits as long; nor does a client give up sooner, or leave
# before the server has answered its goodbye.
ChatClient.__init__.__kwdefaults__ = {**(ChatClient.__init__.__kwdefaults__ or {}), "timeout": SOON}
labkit.client.client.GOODBYE = SOON
ChatClient.wait_for.__defaults__ = (SOON,)
ChatClient.wait_until_gone.__defaults__ = (SOON,)
Journal.wait_for.__defaults__ = (None, SOON)


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fail a test after which one of labkit's threads still runs."""
    before = set(threading.enumerate())
    yield
    give_up = monotonic() + SOON
    ours = [t for t in threading.enumerate() if t.name.startswith("labkit") and t not in before]
    for thread in ours:
        thread.join(max(0.0, give_up - monotonic()))
    left = sorted(t.name for t in ours if t.is_alive())
    assert not left, f"threads left behind: {', '.join(left)}"


@pytest.fixture(autouse=True)
def policy_kept() -> Iterator[None]:
    """Some loops of a server, which a test may run in this thread, begin by changing its scheduling."""
    yield
    if hasattr(os, "SCHED_BATCH") and os.sched_getscheduler(0) == os.SCHED_BATCH:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture
def server() -> Iterator[ChatServer]:
    """A server on a free port, stopped afterwards."""
    with ChatServer(port=0) as running:
        yield running


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis of our own, on a free port; it forgets all when it is restarted."""
    need_redis()
    with RedisServer() as running:
        yield running


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    """Other threads, for what would block this one."""
    with ThreadPoolExecutor(64, thread_name_prefix="test") as pool:
        yield pool


@pytest.fixture
def bare_server() -> Iterator[BareServer]:
    """A listening socket that the test plays the server with."""
    with BareServer() as bare:
        yield bare
