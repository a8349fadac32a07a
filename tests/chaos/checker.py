"""The checker: from what all clients sent and heard it proves that they were told nothing but the truth.

It sees no server, only histories (history.py). What must hold:

- All who are in a room hear all that happens there, once, and in one order for all; except what they said
  or did themselves. A client is in a room from the line `* you are NAME, in ROOM` on, until they leave
  it: for another room, as they learn by the next such line, or for good.
- A client that left for good, in whatever way, may not have heard the last of it: what it heard must be
  all up to some line, and nothing after that. No other may miss anything: not those who went to
  another room, and not those who were still here when all had gone quiet (`Life.settled`).
- A sender's lines come in the order in which they were sent, and none in between is missing. Only the
  last of one who vanished, or was let go, may not have been done at all.
- A whisper reaches the client that has the nickname at that moment, once, and no other; or the sender is
  refused. (Both, if the server of its reader was lost.)
- No client has a nickname while another has it.
- Each coming, going and renaming is told once; each leaving with the reason for which it happened.
- Nothing is heard that no client said or did.

Where several servers share the rooms, all this holds over all of them. Nothing else may be heard there but
that its server is cut off, and back again, in turns; and that it was given up, as the last thing.

For what happens at the same time, the order decides: a client seen to come before a line hears it,
one that comes after it does not. The order of a room is what its witness heard (order.py); if somebody
else's differs, then one of the two was told wrongly, and it is no matter which.

Pure. This file is about what was said; what was heard is listening.py's.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaos.history import Life
from chaos.listening import Facts, Listening, around
from chaos.order import LEFT, Course, Order
from chaos.verdict import Kind, Verdict
from labkit.server.rooms import LOBBY
from labkit.wire.messages import SERVER_LOST, Whisper


def check(lives: Sequence[Life]) -> Verdict:
    """What is wrong with these histories, which must be all of one run.

    Raises:
        ValueError: two things that were said or done read alike, so that they cannot be told apart; or
            there is no witness in the lobby.
    """
    verdict = Verdict()
    facts = Facts([Course(life) for life in lives])
    for life in lives:
        if life.watches:
            facts.orders[life.watches] = _order_of(life, facts)
    if LOBBY not in facts.orders:
        raise ValueError("need a witness in the lobby")
    done = {}
    for course in facts.courses:
        listening = Listening(facts, course, verdict)
        listening.check()
        done[course.life.nickname] = listening.done
    for course in facts.courses:
        _check_what_it_said(course, done[course.life.nickname], facts, verdict)
    for course in facts.courses:
        _check_whispers(course, facts, verdict)
    _check_nicknames(facts, verdict)
    return verdict


def _order_of(witness: Life, facts: Facts) -> Order:
    """What happened in the room that this one watches; what cannot have happened there is left out."""
    order = Order(witness.watches, witness)
    inside = False
    for n, line in enumerate(witness.heard):
        if n == witness.settled:
            order.settled = len(order.lines)
        if line.startswith(b"* you are "):
            inside = line.endswith(b", in " + witness.watches.encode())
        elif inside and line not in order.at and facts.belongs(line, order.room):
            order.add(line)
            _note_the_roster(order, line, facts)
    if witness.settled == len(witness.heard):
        order.settled = len(order.lines)
    return order


def _note_the_roster(order: Order, line: bytes, facts: Facts) -> None:
    if left := LEFT.fullmatch(line):
        order.goes(left[1].decode())
        return
    step = facts.steps[line]
    course = facts.of[step.life.nickname]
    before, after = course.places[max(step.deed - 1, 0)], course.places[step.deed]
    if step.deed == 0 or (before.room != order.room and after.room == order.room):
        order.comes(after.name)
    elif after.room != order.room:
        order.goes(before.name)
    elif after.name != before.name:
        order.renames(before.name, after.name)


def _check_what_it_said(course: Course, done: int, facts: Facts, verdict: Verdict) -> None:
    """All of it was heard in its room, in order; and its leaving was told once, with its reason."""
    life = course.life
    seen = [
        s
        for s in course.steps
        if (s.room in facts.orders and s.text in facts.orders[s.room].at) or s.text in facts.heard_by
    ]
    if not seen and done < 0:
        return _check_leaving(course, -1, facts, verdict)  # it may never have been let in
    done = max([done, *(step.deed for step in seen)])
    if life.whole:
        done = len(life.deeds)
    last = {room: (-1, b"") for room in facts.orders}
    for step in course.steps:
        order = facts.orders.get(step.room)
        if order is None or step.deed > done or life.watches == step.room:
            continue
        at = order.at.get(step.text)
        if at is None:
            heard_by = facts.heard_by.get(step.text, "nobody")
            verdict.complain(
                Kind.LOST,
                f"{step.text!r} was not heard by the witness of {step.room}, but by {heard_by}",
                _said_around(course, step.deed),
            )
        elif at < last[step.room][0]:
            verdict.complain(
                Kind.ORDER,
                f"{life} said {step.text!r} after {last[step.room][1]!r}, and was heard before that",
                [*_said_around(course, step.deed), *around(order.lines, at, f"the witness of {step.room}")],
            )
        else:
            last[step.room] = (at, step.text)
    _check_leaving(course, done, facts, verdict)


def _check_leaving(course: Course, done: int, facts: Facts, verdict: Verdict) -> None:
    life = course.life
    told = [(o, line, name) for name in course.names() for o, line in facts.leavings.get(name, ())]
    where = course.places[done] if done >= 0 else None
    expected = life.over and where is not None and where.room in facts.orders
    for number, (order, line, name) in enumerate(told):
        reason = LEFT.fullmatch(line)[2].decode()  # type: ignore[index]
        excerpt = around(order.lines, order.at[line], f"the witness of {order.room}")
        if where is None or not life.over:
            verdict.complain(Kind.FORGED, f"{line!r}: it had not come, or it is still here", excerpt)
        elif number:
            verdict.complain(Kind.TWICE, f"{line!r}: it left once, and was told {len(told)} times", excerpt)
        elif name != where.name:
            verdict.complain(Kind.FORGED, f"{line!r}: by then it was called {where.name}", excerpt)
        elif order.room != where.room:
            verdict.complain(
                Kind.LEAK, f"{line!r} was told in {order.room}: it was in {where.room}", excerpt
            )
        elif reason not in life.ends:
            why = " or ".join(sorted(life.ends)) or "nothing that it did"
            verdict.complain(Kind.REASON, f"{line!r}: it was {why}", excerpt)
        elif order.at[line] < max(order.at.get(s.text, -1) for s in course.steps if s.room == order.room):
            verdict.complain(Kind.ORDER, f"{line!r} was told before the last that {life} said", excerpt)
        else:
            verdict.told[reason] += 1
    if expected and not told and not life.watches and not life.untold:
        assert where is not None
        why = " or ".join(sorted(life.ends)) or "thrown out"
        verdict.complain(
            Kind.LOST,
            f"nobody was told that {where.name} left {where.room} ({why})",
            [
                *_said_around(course, done),
                *around(life.heard, len(life.heard) - 1, str(life)),
            ],
        )


def _check_whispers(course: Course, facts: Facts, verdict: Verdict) -> None:
    """Each that was done reached a client, or was refused, or was for one who left without hearing it."""
    life = course.life
    for n, text in course.whispers.items():
        deed = life.deeds[n - 1]
        assert isinstance(deed, Whisper)
        heard, refused = text in facts.whispered, (life.nickname, n) in facts.refused
        # A server that was lost had no time to tell that one of its people had heard it.
        lost = heard and SERVER_LOST in facts.of[facts.whispered[text]].life.ends
        if heard and refused and not lost:
            verdict.complain(
                Kind.WHISPER, f"{text!r} was heard, and its sender was told that nobody is called so"
            )
        owners = facts.by_key.get(deed.to.lower(), [])
        if refused and any(owner.life.watches and owner.life.settled is not None for owner in owners):
            verdict.complain(
                Kind.ANSWER,
                f"{life} was told that {deed.to} is not here, who never left",
                _said_around(course, n),
            )
        # Who was not settled, or whose server stopped, may have left before it heard that it was refused.
        unsure = life.settled is None or life.stopped
        if heard or refused or (unsure and n > facts.answered[life.nickname]):
            continue
        if all(owner.life.settled is not None for owner in owners):
            verdict.complain(
                Kind.LOST,
                f"{text!r}, for {deed.to}, was not heard, and not refused",
                _said_around(course, n),
            )


def _check_nicknames(facts: Facts, verdict: Verdict) -> None:
    """A client that was let in was the only one to have the nickname, for as long as that is sure."""
    came: dict[str, list[Life]] = {}
    for course in facts.courses:
        if course.life.since is not None:
            came.setdefault(course.life.nickname.lower(), []).append(course.life)
    for lives in came.values():
        lives.sort(key=lambda life: life.since or 0.0)
        has_it = lives[0]
        for life in lives[1:]:
            assert life.since is not None
            if life.since < has_it.until:
                verdict.complain(Kind.SHARED, f"{life} was let in, while {has_it} had the nickname")
            if life.until > has_it.until:
                has_it = life


def _said_around(course: Course, deed: int) -> list[str]:
    """The deeds before and after this one, to be shown."""
    first = max(0, deed - 3)
    deeds = course.life.deeds[first : deed + 2]
    return [f"{course.life} sent {n}: {d!r}" for n, d in enumerate(deeds, first + 1)]
