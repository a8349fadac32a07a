"""limits.py: every number has its reason, and a number that cannot be is refused at once."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from labkit import Limits
from labkit.server.limits import MEANS
from labkit.wire.framing import MAX_LINE

NEVER = float("inf")
NAN = float("nan")


def test_every_limit_says_what_it_means() -> None:
    """MEANS, from which --help is made, has words for each field, and nothing else."""
    assert list(MEANS) == [field.name for field in fields(Limits)]
    assert all(len(words) > 20 and not words.endswith(".") for words in MEANS.values())
    assert all(words[0].islower() for words in MEANS.values())  # they stand in the middle of a line


def test_the_defaults() -> None:
    """What a server allows by default; three are off, for nc's sake and a class's."""
    limits = Limits()
    assert (limits.max_clients, limits.refusals, limits.handshake) == (10_000, 3, 60.0)
    assert limits.line == MAX_LINE == 4096
    assert (limits.behind, limits.waiting, limits.lease) == (64 << 20, 512 << 20, 5.0)
    assert limits.silence is None and limits.messages is None and limits.per_address is None
    assert limits == Limits(**{field.name: getattr(limits, field.name) for field in fields(Limits)})


def test_limits_do_not_change() -> None:
    """Limits belong to a running server and its threads: they cannot be changed under its feet."""
    with pytest.raises(FrozenInstanceError):
        Limits().line = 600  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("max_clients", 0, "Limits.max_clients is a whole number, at least 1, not 0"),
        ("max_clients", -1, "Limits.max_clients is a whole number, at least 1, not -1"),
        ("max_clients", NAN, "Limits.max_clients is a whole number, at least 1, not nan"),
        ("per_address", 0, "Limits.per_address is a whole number, at least 1, not 0"),
        ("per_address", 2.0, "Limits.per_address is a whole number, at least 1, not 2.0"),
        ("refusals", 0, "Limits.refusals is a whole number, at least 1, not 0"),
        # Never reached by counting: no client would be let go.
        ("refusals", 2.5, "Limits.refusals is a whole number, at least 1, not 2.5"),
        ("behind", 8191, "Limits.behind is a whole number, at least 8192, not 8191"),
        ("behind", "8192", "Limits.behind is a whole number, at least 8192, not '8192'"),
        ("line", 511, "Limits.line is from 512 to 4096 bytes, not 511"),
        ("line", 4097, "Limits.line is from 512 to 4096 bytes, not 4097"),
        ("line", 1000.5, "Limits.line is from 512 to 4096 bytes, not 1000.5"),
        ("line", None, "Limits.line is from 512 to 4096 bytes, not None"),
        ("handshake", 0, "Limits.handshake is from 0.001 to 1e9, not 0"),
        ("handshake", -1.0, "Limits.handshake is from 0.001 to 1e9, not -1.0"),
        ("handshake", NAN, "Limits.handshake is from 0.001 to 1e9, not nan"),
        ("handshake", NEVER, "Limits.handshake is from 0.001 to 1e9, not inf"),
        ("handshake", None, "Limits.handshake is from 0.001 to 1e9, not None"),
        ("grace", 0, "Limits.grace is from 0.001 to 1e9, not 0"),
        ("grace", None, "Limits.grace is from 0.001 to 1e9, not None"),
        ("silence", 0, "Limits.silence is from 0.001 to 1e9, not 0"),
        ("silence", NEVER, "Limits.silence is from 0.001 to 1e9, not inf"),
        ("messages", 0, "Limits.messages is from 0.001 to 1e9, not 0"),
        ("messages", 1e-300, "Limits.messages is from 0.001 to 1e9, not 1e-300"),
        ("lease", 0.9, "Limits.lease is from 1 to 86400 seconds, not 0.9"),
        ("lease", 86_401, "Limits.lease is from 1 to 86400 seconds, not 86401"),
        ("lease", None, "Limits.lease is from 1 to 86400 seconds, not None"),
        ("waiting", 8191, "Limits.waiting is a whole number, at least 8192, not 8191"),
        ("messages", "5", "Limits.messages is from 0.001 to 1e9, not '5'"),
    ],
)
def test_a_number_that_cannot_be_is_refused(name: str, value: object, why: str) -> None:
    """A bad limit is told when it is given, by its name and with what would do."""
    with pytest.raises(ValueError) as refused:
        Limits(**{name: value})  # type: ignore[arg-type]
    assert str(refused.value) == why


@pytest.mark.parametrize(
    "good",
    [
        {"max_clients": 1, "refusals": 1, "behind": 8192, "line": 512},
        {"line": 4096},
        {"handshake": 0.001, "silence": 0.001, "grace": 0.001, "messages": 0.001},
        {"handshake": 10**9, "silence": 1e9, "grace": 1e9, "messages": 1e9},
        {"silence": None, "messages": None, "per_address": None},
        {"per_address": 1, "lease": 1, "waiting": 8192},
        {"lease": 86_400},
    ],
)
def test_the_ends_of_each_range_will_do(good: dict[str, float | None]) -> None:
    """The least and the most that the refusals name are allowed."""
    limits = Limits(**good)  # type: ignore[arg-type]
    assert {name: getattr(limits, name) for name in good} == good
