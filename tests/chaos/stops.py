"""A server that is stopped in the middle of everything; then the checker.

All clients go on as if nothing were: commands without end, answers that are not read, half a backlog. It
must end all the same, and leave nothing behind. What they heard is proven up to `* server stopped`: all are
told so at the same place in the order of things, and up to there none may have missed anything.

How long a stop takes on a busy machine says little. What is counted is the processor time that the server
has had since: one that never ends goes on reading what clients send.
"""

from __future__ import annotations

import contextlib
import random
from enum import Enum
from time import monotonic

from chaos.arena import Outcome, checked
from chaos.fleet import in_memory
from chaos.hosts import Elsewhere, ServeCommand, SmallBuffers
from chaos.listening import STOPPED
from chaos.people import People, Plan, Stuck
from chaos.verdict import Kind, Verdict
from labkit.instruments.redis_server import RedisServer

MOST_TIME = 30.0
"""Seconds after which a stop does not end …"""

MOST_WORK = 3.0
"""… or of processor time: a hundred times what it needs."""

LINGERS = 0.25
"""Seconds for which the clients may leave their sockets alone while the server stops: it waits for them for
one second, and after that their last lines are lost."""

INTERRUPTS = 3


class Way(Enum):
    """How it is stopped."""

    ASKED = "SIGTERM"
    INTERRUPTED = "SIGTERM; and SIGINT in the middle of the stop, which is begun again"
    SERVE = "SIGTERM to `python -m labkit serve`"
    REDIS_HANGS = "SIGTERM, while the backplane's Redis does not answer"
    REDIS_IS_GONE = "SIGTERM, after the backplane's Redis was killed"


def run_stop(
    plan: Plan, way: Way, server: str = SmallBuffers.__name__, most_time: float = MOST_TIME
) -> Outcome:
    """One run of this plan, stopped this way when it is enough. `server` names its class (serve.py)."""
    start = monotonic()
    verdict = Verdict()
    with contextlib.ExitStack() as stack:
        redis = None
        if way in (Way.REDIS_HANGS, Way.REDIS_IS_GONE):
            with in_memory():
                redis = stack.enter_context(RedisServer(append_only=True))
        kind = ServeCommand if way is Way.SERVE else Elsewhere
        host = kind(plan.limits, 0, None if redis is None else redis.url, server)
        stack.callback(host.stop)
        host.started()
        people = People(host.address, [], plan, verdict)
        people.on_backplane = redis is not None
        stack.callback(people.close)
        notes: list[str] = []
        try:
            people.enter()
            people.rage()
            people.server_stops()
            if redis is not None:
                _lose(redis, way, people, random.Random(plan.seed))
            notes.append(_stop(host, way, people, most_time))
        except Stuck as stuck:
            host.kill()
            verdict.complain(Kind.STUCK, str(stuck))
        else:
            host.stop()
            _check_what_is_left(host, way, verdict)
            _cut(people, verdict)
            verdict = checked(people, verdict)
    seconds = monotonic() - start
    return Outcome(
        plan, verdict, seconds, people.ends, False, people.longest_turn, None, (way.value, *notes)
    )


def _lose(redis: RedisServer, way: Way, people: People, chance: random.Random) -> None:
    """Redis is away; the server has noticed, or not."""
    (redis.pause if way is Way.REDIS_HANGS else redis.kill)()
    for _ in range(chance.choice((0, 20, 200))):
        people.one_turn(coming=False)


def _stop(host: Elsewhere, way: Way, people: People, most_time: float) -> str:
    """Ask it to stop, and go on as before until it has; returns what that took. Raises Stuck."""
    work, start = host.processor_time(), monotonic()
    people.longest_turn = 0.0
    host.ask_to_stop()
    interrupts = INTERRUPTS if way is Way.INTERRUPTED else 0
    spent = 0.0
    while not host.over:
        people.one_turn(coming=False)
        if interrupts and people.were_told(STOPPED):
            host.interrupt()
            interrupts -= 1
        with contextlib.suppress(OSError, ProcessLookupError):
            spent = max(spent, host.processor_time() - work)
        if spent > MOST_WORK or monotonic() - start > most_time:
            raise Stuck(
                f"{monotonic() - start:.1f} s and {spent:.1f} s of processor time after {way.value} "
                "the server has not stopped"
            )
    took = f"it took {monotonic() - start:.2f} s, and {spent:.2f} s of processor time"
    people.until_all_are_over()
    return took


def _check_what_is_left(host: Elsewhere, way: Way, verdict: Verdict) -> None:
    last = host.last_words.strip().splitlines()[-1:]
    right = "The server has stopped. Goodbye." if way is Way.SERVE else "left 0 threads and 0 descriptors"
    if host.status != 0 or last != [right]:
        verdict.complain(
            Kind.LEFT_BEHIND, f"after {way.value}: status {host.status}, and it said last {last}"
        )


def _cut(people: People, verdict: Verdict) -> None:
    """Let each history end where its client was told that the server stops: it is still here then."""
    for life in people.lives:
        if STOPPED in life.heard:
            life.settled = life.heard.index(STOPPED)
            life.heard = life.heard[: life.settled]
            life.stopped, life.over, life.thrown_out = True, False, False
        elif life.watches and people.longest_turn < LINGERS:
            verdict.complain(Kind.LOST, f"{life}, who read on, was not told that the server stops")
