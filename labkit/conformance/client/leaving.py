"""Behaviours of a client whose user leaves: by the end of the input (Ctrl-D, a file), or by Ctrl-C."""

from __future__ import annotations

import os

from labkit.conformance.behaviour import Section
from labkit.conformance.client.client_under_test import ClientUnderTest
from labkit.conformance.client.way import OTHER, QUIET
from labkit.conformance.server_under_test import NotJudged, NotOffered
from labkit.probe.failed import CheckFailed

LEAVING = Section()

SPIN = 0.5
"""Processors in use, from which on a client that has nothing to do is taken to run in a circle."""

LOOK = 0.6
"""Seconds over which that is looked at."""


def _hung_up(client: ClientUnderTest) -> None:
    """Wait for the client's FIN.

    Raises:
        CheckFailed: it does not come.
    """
    if client.until(lambda: client.server.end):
        return
    still = "it goes on" if not client.ended else "its process is over, its connection is not"
    raise CheckFailed("the connection is ended when the input ends", f"{still}; {client.seen()}")


def spins(client: ClientUnderTest) -> float:
    """Processors that it uses for nothing; 0 if it ends."""
    clock, seconds, used = client.clock, client.clock.seconds, client.clock.used
    client.ends(LOOK)
    if client.ended:
        return 0.0
    if client.endless:
        return 1.0
    return (clock.used - used) / max(clock.seconds - seconds, LOOK / 2)


@LEAVING.has("when its input ends, it hangs up", "who leaves says so, with FIN")
def hangs_up(client: ClientUnderTest) -> None:
    client.join()
    before = len(client.screen)
    client.end_input()
    _hung_up(client)
    if client.ends(QUIET) and client.traceback:
        raise CheckFailed("it hangs up without a traceback", client.seen(before))


@LEAVING.has("the last line before the end of its input arrives", "FIN comes behind all that was said")
def the_last_line(client: ClientUnderTest) -> None:
    client.join()
    word = client.unique("bye")
    client.type(word)
    client.end_input()
    if not client.hears(word):
        raise CheckFailed(f"{word!r} arrives, which was typed right before the end", client.seen())


@LEAVING.has("a last line that lacks its end arrives", "the last line of a file may lack its end")
def without_its_end(client: ClientUnderTest) -> None:
    client.join()
    word = client.unique("bye")
    client.type_bytes(word.encode())
    client.end_input()
    if not client.hears(word):
        raise CheckFailed(f"{word!r} arrives, the last of the input, without LF", client.seen())


@LEAVING.has(
    "once its input has ended, and the server hangs up, it ends", "after FIN on both sides all is over"
)
def ends(client: ClientUnderTest) -> None:
    client.join()
    client.end_input()
    client.until(lambda: client.server.end)
    client.server.hang_up()
    if not client.ends():
        raise CheckFailed("its process ends when both sides have hung up", f"it goes on; {client.seen()}")


@LEAVING.has("its end is quiet: it does not run in a circle", "who has nothing to do waits")
def does_not_spin(client: ClientUnderTest) -> None:
    client.join()
    client.end_input()
    client.until(lambda: client.server.end, QUIET)
    used = spins(client)
    after = "its input has ended"
    if used < SPIN:
        client.server.hang_up()
        used = spins(client)
        after = "the server has hung up"
    if used >= SPIN:
        seen = f"since {after}, it uses {used:.0%} of one"
        raise CheckFailed("it waits, and uses no processor", f"{seen}; {client.seen()}")


@LEAVING.has("after its goodbye it shows what is still said", "FIN ends one direction", optional=True)
def shows_the_rest(client: ClientUnderTest) -> None:
    client.join()
    client.end_input()
    if not client.until(lambda: client.server.end):
        raise NotOffered("it does not hang up when its input ends")
    word = client.unique("rest")
    client.say(f"{OTHER}: {word}")
    client.server.hang_up()
    if not client.shows(word):
        raise NotOffered("it listens no more once its input has ended")


@LEAVING.has("Ctrl-C ends it quietly", "a user may leave at any time")
def interrupted(client: ClientUnderTest) -> None:
    if os.name != "posix":
        raise NotJudged("on this system no Ctrl-C can be sent to it alone")
    client.join()
    before = len(client.screen)
    client.interrupt()
    if not client.ends():
        raise CheckFailed("it ends", f"it goes on; {client.seen(before)}")
    if client.traceback:
        raise CheckFailed("it ends without a traceback", client.seen(before))
