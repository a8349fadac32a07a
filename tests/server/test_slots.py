"""slots.py: who is connected, from where, and which one is to go when there is room for no more."""

from __future__ import annotations

import pytest

from labkit.server.slots import ConnectionSlots


def slots_taken_from(*hosts: str, most: int = 10, per_address: int | None = None) -> ConnectionSlots[int]:
    """Slots with a connection from each of these hosts: 0, 1, 2 …"""
    slots: ConnectionSlots[int] = ConnectionSlots(most, per_address)
    for who, host in enumerate(hosts):
        slots.add(who, host)
    return slots


def test_it_is_full_when_as_many_are_there_as_may_be() -> None:
    """With a nickname or without; and no longer when one has gone."""
    slots = slots_taken_from("10.0.0.1", "10.0.0.2", most=2)
    slots.named(0)
    assert slots.full and len(slots) == 2
    slots.remove(1)
    assert not slots.full and 1 not in slots and 0 in slots


def test_so_many_may_come_from_one_address() -> None:
    """One more may not, until one of them has gone; from elsewhere they may."""
    slots = slots_taken_from("10.0.0.1", "10.0.0.1", per_address=2)
    assert slots.has_enough_from("10.0.0.1")
    assert not slots.has_enough_from("10.0.0.2")
    slots.remove(0)
    assert not slots.has_enough_from("10.0.0.1")


def test_without_a_limit_any_number_may() -> None:
    """None is no limit."""
    assert not slots_taken_from(*["10.0.0.1"] * 9).has_enough_from("10.0.0.1")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),  # how a listener for both kinds sees IPv4
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("10.0.0.1", "10.0.0.2", False),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, same: bool) -> None:
    """In IPv6 a home has 2**64 of them, so the first 64 bits count; an IPv4 address is one in any form."""
    assert slots_taken_from(one, per_address=1).has_enough_from(other) is same


def test_the_longest_without_a_nickname_makes_way() -> None:
    """A client with a nickname never does; when all have one, none does."""
    slots = slots_taken_from("10.0.0.1", "10.0.0.1", "10.0.0.1")
    slots.named(0)
    assert slots.in_the_way() == 1
    slots.remove(1)
    slots.remove(1)
    assert slots.in_the_way() == 2
    slots.named(2)
    slots.named(2)
    assert slots.in_the_way() is None


def test_those_go_first_of_whom_most_come_from_one_place() -> None:
    """A host that opens many connections crowds out itself: the others wait undisturbed."""
    slots = slots_taken_from("10.0.0.1", *["10.0.0.66"] * 3, "10.0.0.2")
    going = []
    while (who := slots.in_the_way()) is not None:
        going.append(who)
        slots.remove(who)
    assert going[:2] == [1, 2]  # then one is left of each
    assert sorted(going) == [0, 1, 2, 3, 4]


def test_nothing_is_kept_of_those_who_have_gone() -> None:
    """Addresses do not pile up."""
    slots = slots_taken_from(*[f"10.0.{n}.1" for n in range(200)])
    for who in range(200):
        if who % 2:
            slots.named(who)
        slots.remove(who)
    assert (slots._slots, slots._count, slots._unnamed) == ({}, {}, {})
