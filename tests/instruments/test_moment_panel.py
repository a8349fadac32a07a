"""panel/moment_panel.py: one moment of a recording, worked without a front end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from labkit import ChatClient, ChatServer
from labkit.instruments.buffers import Buffers, Count
from labkit.instruments.lanes import Recording, record
from labkit.instruments.link import Link
from labkit.instruments.markup import bdi
from labkit.instruments.panel import MomentPanel
from labkit.journal import Journal

EVIL = "<img/src=x/onerror=alert(1)>"


class Looked:
    """Stands for what looked at buffers: something at each moment but the first."""

    def __init__(self, first: float) -> None:
        self.first = first

    def at(self, seconds: float) -> str | None:
        return f"{EVIL} after {seconds - self.first:.3f}" if seconds > self.first else None


@pytest.fixture(scope="module")
def talk() -> Iterator[tuple[Recording, Link, Journal]]:
    """Alice says something, and bob, who has a wire, answers."""
    with ChatServer(port=0) as server, Link(server.address, client="bob") as link:
        alice, bob = ChatClient("alice", server.address), ChatClient("bob", link.address)
        alice.wait_for("bob joined")
        with record(server, alice, bob, link) as recording:
            alice.say(f"hello {EVIL}")
            bob.wait_for("hello")
            bob.say("hi")
            alice.wait_for("bob: hi")
        alice.leave()
        bob.leave()
        yield recording, link, server.journal


@pytest.fixture
def panel(talk: tuple[Recording, Link, Journal]) -> MomentPanel:
    recording, link, journal = talk
    looked = Looked(recording.monotonic(0.0))
    return MomentPanel(recording, {"bob's wire": link, "the server": journal}, {"buffers": looked})


def moments(talk: tuple[Recording, Link, Journal]) -> list[float]:
    """When the server wrote down that alice said something, and that bob did."""
    recording, _, journal = talk
    return [*recording.when(journal).values()]


def test_a_moment_shows_what_there_was_by_then(
    panel: MomentPanel, talk: tuple[Recording, Link, Journal]
) -> None:
    """When bob's line is written down, alice's has passed and is shown; bob's is on no other screen."""
    _, second = moments(talk)
    text = panel.at(second)
    assert "labkit-handle-2" in text and "holds the rooms' lock" in text
    for part in ("bob's wire\n", "the server\n", "buffers\n", "on alice's screen\n", "on bob's screen\n"):
        assert part in text
    assert f"  alice: hello {EVIL}" in text  # on bob's screen
    assert "  bob: hi" not in text.partition("on alice's screen")[2]
    assert "  > hi" in text.partition("on bob's screen")[2]
    first = panel.at(0.0)
    assert "hello" not in first and "* bob joined" in first and "not looked at yet" in first
    assert "  bob: hi" in panel.at(panel._lanes.end)


def test_the_field_chooses_the_moment(panel: MomentPanel, talk: tuple[Recording, Link, Journal]) -> None:
    """It has a name; buttons go from event to event; what it shows is what the text says."""
    first, second = moments(talk)
    assert panel._field.description == "moment, seconds"
    end = panel.value
    assert 0 <= end - panel._lanes.end < 2e-6 and repr(panel) == panel.at(end) and panel._on.disabled
    panel.value = second
    shown = panel._shown.value
    assert f"at {panel.value:.6f} s" in shown and "<img" not in shown
    assert "&gt;</i> <bdi>hi</bdi>" in shown and f"<b>{bdi('bob')}</b>: {bdi('hi')}" not in shown
    panel._field.set_state({"value": end})  # as the front end does
    assert f"<b>{bdi('bob')}</b>: {bdi('hi')}" in panel._shown.value
    assert "text/plain" in panel._repr_mimebundle_()
    panel.value = between = (first + second) / 2
    assert 0 <= panel.value - between < 2e-6 and f"at {panel.value:.6f} s" in panel._shown.value


def test_buttons_stop_at_all_that_happened(
    panel: MomentPanel, talk: tuple[Recording, Link, Journal]
) -> None:
    """Forth from the beginning to the end, and back: by each event of the journal, without a standstill."""
    panel.value = 0.0
    assert panel._back.disabled and not panel._on.disabled
    there = [0.0]
    while not panel._on.disabled:
        panel._on.click()
        assert panel.value > there[-1]
        there.append(panel.value)
    for moment in moments(talk):
        assert any(0 <= stop - moment < 2e-6 for stop in there)
    back = [there[-1]]
    while not panel._back.disabled:
        panel._back.click()
        back.append(panel.value)
    assert back == there[::-1]


def test_a_look_at_buffers_is_shown_as_bars(talk: tuple[Recording, Link, Journal]) -> None:
    """Not as the text that a screen reader reads."""
    buffers = Buffers(Count("server", "lines", lambda: 3, 4))
    buffers.sample()
    recording, start = talk[0], talk[0].monotonic(0.0)
    sample = replace(next(iter(buffers)), when=start)
    panel = MomentPanel(recording, buffers={"bob": type("Seen", (), {"at": lambda _, when: sample})()})
    assert 'class="tank"' in panel._shown.value and "3 lines of 4" in repr(panel)


def test_what_cannot_be_shown(talk: tuple[Recording, Link, Journal], panel: MomentPanel) -> None:
    """A moment outside of the recording, a journal that is not recorded, a recording that is still on."""
    for outside in (-0.1, panel._lanes.end + 1):
        with pytest.raises(ValueError, match="the recording goes from 0 to"):
            panel.at(outside)
    with pytest.raises(LookupError, match="not recorded"):
        MomentPanel(talk[0], {"another": Journal()})
    with record(Journal()) as on, pytest.raises(RuntimeError, match="still on"):
        MomentPanel(on)
