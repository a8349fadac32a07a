"""People, on one selector: they come, act, leave in every way there is, and come back.

First a witness takes its place in each room. Then there is chaos until so many lines were delivered and
so many connections have ended abruptly. Then all go quiet: each asks one thing more and waits for
the answer, twice; after the second, whatever was said has been heard. At last all leave politely, and
one more comes and tries each nickname that was used.

There may be several servers (`Shared`), and things that befall them (storm.py): people are spread over
those that are there. The witnesses, and all who come through a link, are on server 0: it is always there.

It judges nothing but that things go on: what was heard, the checker judges (checker.py).
"""

from __future__ import annotations

import random
import selectors
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import Protocol

from chaos.client import Client, State
from chaos.guests import Guests, Pipeliner
from chaos.history import BACK, CUT_OFF, Life
from chaos.hosts import Address
from chaos.order import LEFT
from chaos.person import Names, Person
from chaos.strangers import Strangers
from chaos.verdict import Kind, Verdict
from labkit.instruments.faults import Bandwidth, Delay, Fault, Freeze, Glue, HalfClose, Slice
from labkit.instruments.link import Link
from labkit.server.limits import Limits
from labkit.server.rooms import LOBBY
from labkit.wire.messages import (
    HUNG_UP,
    SERVER_LOST,
    SERVER_STOPPED,
    TOO_SLOW,
    VANISHED,
    Join,
    Refused,
    Rename,
    Whisper,
)

ANSWERS = (b"! ", b"* you are ", b"* in ", b"nickname", b"* /", CUT_OFF, BACK)
"""How lines begin that answer one's own, or tell of the server: they are no deliveries."""

AT_ONCE = 10
"""People who do something in one turn of the loop, at most."""

CONTESTED = tuple(f"pretendertothethrone{n}" for n in range(2))
"""Nicknames that all want, where there are several servers to ask for them."""

TRIED_AT_ONCE = 20
"""Nicknames that are tried in one breath at the end."""

THROUGH_A_LINK = 8
"""Connections through one link, at most: in pieces of seven bytes it carries no more, and a client
behind it would be slow, or silent, through no fault of its own."""

ON_ITS_WAY = 3.0
"""Seconds for which the end of a connection may be on its way through a link."""

SHAPES: tuple[tuple[Fault, ...], ...] = (
    (Slice(7),),
    (Delay(0.005, 0.005),),
    (Glue(200, 0.02),),
    (Slice(100), Delay(0.01, 0.01)),
    (Bandwidth(1_000_000),),
    (),
)
"""What the links do to the stream, in turn."""


@dataclass(frozen=True)
class Plan:
    """One run: how many people, and when it is enough."""

    seed: int = 0
    people: int = 30
    rooms: tuple[str, ...] = (LOBBY, "den", "attic")
    deliveries: int = 10_000
    ends: int = 20  # abrupt ones: vanished, frozen, silent, cut off
    links: int = 3
    slow: bool = True  # also the ends that take as long as a limit says: frozen, silent
    pipeliners: int = 0  # of the people; for these and the next two see guests.py
    sippers: int = 0
    hoarders: int = 0
    strangers: int = 0  # at once; see strangers.py
    thorough: bool = False  # it is enough when all of these have shown what they are to show, too
    pause: float = 0.002  # seconds that a turn may wait: longer ones make less happen in the same time
    small: int = 4096  # bytes that the kernel keeps of what comes, for some of the people
    limits: Limits = Limits(silence=5.0, grace=3.0, behind=128 * 1024, handshake=20.0)
    patience: float = 10.0  # seconds that the server has to be rid of a client that is gone
    soon: float = 15.0  # seconds that anything may take that must happen
    seconds: float = 120.0  # … and all of it

    def with_guests(self, strangers: int = 3) -> Plan:
        """The same with people of all kinds."""
        # Less than the kernel acknowledges at once may not be all that may wait for one who reads slowly.
        limits = replace(self.limits, handshake=3.0, behind=2 * 1024 * 1024)
        return replace(
            self, pipeliners=2, sippers=2, hoarders=1, strangers=strangers, thorough=True, limits=limits
        )

    def shared(self, lease: float) -> Plan:
        """The same on several servers: a client lost with one is not gone before the lease has ended."""
        # One process is all the people, on a machine it shares with the servers: it may be slow itself.
        # And what was said while Redis was away comes all at once.
        limits = replace(
            self.limits, lease=lease, silence=8.0, grace=5.0, behind=16 * 1024 * 1024, handshake=20.0
        )
        # With few kilobytes even loopback carries no more than ten times that in a second, and that is less
        # than what comes.
        return replace(
            self,
            small=64 * 1024,
            limits=limits,
            patience=self.patience + 3 * lease,
            soon=self.soon + 3 * lease,
        )


class Shared(Protocol):
    """Several servers, and what befalls them, as the people see it."""

    @property
    def addresses(self) -> Sequence[Address | None]:
        """Where each listens; None: it is not there."""

    @property
    def outcasts(self) -> set[int]:
        """Servers that may lose all their people, at any time."""

    @property
    def ends(self) -> int:
        """Connections that were lost with their server."""

    @property
    def over(self) -> bool:
        """Nothing more will happen."""

    def turn(self, done: float) -> None:
        """See to what is to happen now; so much of the run is done, from 0 to 1."""

    def calm(self) -> bool:
        """Nothing more is to happen; whether all servers are there, and well."""


class Stuck(Exception):
    """Something that must happen did not, within `Plan.soon`."""


class People:
    """`enter`, `rage`, `settle`, `leave`: in this order. `lives` has all that happened."""

    def __init__(
        self,
        address: Address,
        links: list[Link],
        plan: Plan,
        verdict: Verdict,
    ) -> None:
        self.lives: list[Life] = []
        self.deliveries = 0  # lines that came and are no answers
        self.shared: Shared | None = None  # several servers: to be set before `enter`
        self.on_backplane = False  # one server, with its rooms on Redis: likewise
        self._ends = 0
        self.longest_turn = 0.0  # seconds that the loop left its sockets alone
        self._address, self._links, self._plan, self._verdict = address, links, plan, verdict
        self._chance = random.Random(plan.seed)
        self._names = Names()
        self.guests = Guests(plan.sippers, plan.hoarders, plan.limits, self._names, plan.seed)
        self.strangers = Strangers(address, plan.strangers, plan.limits, verdict)
        self._people: list[Person] = []
        self._pipeliners: list[Pipeliner] = []
        self._witnesses: dict[str, Client] = {}
        self._last: Person | None = None  # comes when all is quiet, and tries each nickname
        self._gone: list[Client] = []
        self._clients: dict[Client, Person | None] = {}
        self._selector = selectors.DefaultSelector()
        self._watched: dict[Client, int] = {}
        self._stopping = False
        self._rests = False
        self._beat_at = 0.0
        self._looked_at = 0.0
        self._give_up = monotonic() + plan.seconds
        self._through: list[list[Client]] = [[] for _ in links]
        self._link_back_at: dict[int, float] = {}
        # Nicknames under which a client was seen to leave, and how much of each witness was looked at.
        self._left: set[str] = set()
        self._looked_until: dict[str, int] = {}

    @property
    def ends(self) -> int:
        """Connections that ended abruptly."""
        return self._ends + (self.shared.ends if self.shared else 0)

    @property
    def rooms(self) -> tuple[str, ...]:
        """All that have a witness."""
        return self._plan.rooms + self.guests.rooms

    @property
    def patience(self) -> float:
        return self._plan.patience

    # --- the four acts ---

    def enter(self) -> None:
        """The witnesses take their places, one after the other."""
        plan = self._plan
        contested = CONTESTED if self.shared else ()
        chatting = plan.people - plan.pipeliners
        self._pipeliners = [
            Pipeliner(n, self._names, plan.rooms, plan.seed) for n in range(plan.pipeliners)
        ]
        self._people = [
            *(Person(n, self._names, plan.rooms, plan.seed, contested) for n in range(chatting)),
            *self._pipeliners,
            *self.guests.people,
        ]
        for pipeliner in self._pipeliners:
            pipeliner.takes_turns = self.shared is None and not self.on_backplane
        for room in self.rooms:
            name = f"witness-{room}"
            witness = Client(self._address, name if room == LOBBY else f"walks-to-{room}")
            self._add(witness, None)
            witness.life.watches = room
            self._until(partial(_is_in, witness), f"the witness of {room} is welcomed")
            if room != LOBBY:
                witness.do((Rename(name), f"/nick {name}".encode()), (Join(room), f"/join {room}".encode()))
            self._ask([witness])
            self._witnesses[room] = witness

    def is_enough(self) -> bool:
        """As the plan says."""
        plan = self._plan
        return (
            self.deliveries >= plan.deliveries
            and self.ends >= plan.ends
            and (not plan.thorough or (self.guests.had_their_fill and self.strangers.had_their_fill))
            and (self.shared is None or self.shared.over)
        )

    def rage(self, enough: Callable[[], bool] | None = None) -> None:
        """Chaos, until it is enough: as the plan says, if nothing else does. Raises Stuck."""
        plan, start = self._plan, monotonic()
        for person in self._people:
            person.back_at = start
        moved, moving = start, (0, 0)
        while not (enough or self.is_enough)():
            if self.shared is not None:
                self.shared.turn(self.deliveries / max(1, plan.deliveries))
            here = self.one_turn()
            due = self.ends / max(1, plan.ends) <= self.deliveries / max(1, plan.deliveries)
            if here and due and self.ends < plan.ends:
                self._end_one(self._chance.choice(here))
            if self._links and self._chance.random() < 0.01:
                self._trouble(self._chance.randrange(len(self._links)))
            self._repair()
            if moving != (now_at := (self.deliveries, self.ends)):
                moved, moving = monotonic(), now_at
            if monotonic() > min(moved + self._plan.soon, self._give_up):
                raise Stuck(
                    f"{self.deliveries} deliveries and {self.ends} ends, and no more. {self._states()}"
                )

    def one_turn(self, coming: bool = True) -> list[Person]:
        """All do what they do, and come back if they were gone; returns those who are free to be ended."""
        self._turn(self._plan.pause)
        if coming:
            self._come_back()
        self.strangers.turn(coming)
        self.guests.turn(monotonic())
        here = [p for p in self._people if p.client and p.client.state is State.IN and not p.steady]
        if self._stopping:
            self._flood()
        for person in self._chance.sample(here, min(len(here), 1 + len(here) // 4, AT_ONCE)):
            if person.client and person.client.state is State.IN:
                person.act(self._people, [f"witness-{room}" for room in self.rooms])
                if self._chance.random() < 0.004:
                    self._leave_openly(person)
        return here

    def settle(self) -> None:
        """All go quiet; afterwards every client that is here has heard all that was said. Raises Stuck."""
        self.drink_up()
        self.strangers.close()
        self.guests.judge(self._verdict)
        for n in range(len(self._links)):
            self._link_back_at[n] = 0.0
        self._repair(())
        self._until(lambda: self.shared is None or self.shared.calm(), "all servers are well")
        self._until(
            lambda: all(c.state in (State.IN, State.OVER) for c in self._clients) and not self._coming(),
            "all that were leaving have left, and all that were coming have come",
            self._come_back_only_if_asked,
        )
        self._last = self._let_in_one_more()
        lately = monotonic() - ON_ITS_WAY - (self._plan.limits.lease if self.shared else 0.0)
        self._until_they_are_gone([c for c in self._gone if c.closed_at > lately])
        here = [client for client in self._clients if client.state is State.IN]
        self._ask(here)
        for client in here:
            client.settling = True
        self._ask(here)

    def drink_up(self) -> None:
        """From now on all read whatever comes."""
        for client in self._clients:
            client.rate = None

    def leave(self) -> None:
        """All but the witnesses leave; then each nickname is tried. Raises Stuck."""
        for client, person in self._clients.items():
            if person not in (None, self._last) and client.state is State.IN:
                client.quit()
        self._until(
            lambda: all(p in (None, self._last) or c.state is State.OVER for c, p in self._clients.items()),
            "all who quit are let go",
        )
        self._try_nicknames()
        self._ask(list(self._witnesses.values()))

    def rest(self) -> None:
        """From now on nobody is let go for what this process does not do."""
        self._rests = True

    def server_stops(self) -> None:
        """From now on the server may stop: nobody comes any more, and all read to the end. Raises Stuck."""
        self._until(
            lambda: all(p.client and p.client.state is State.IN for p in self._pipeliners),
            "all pipeliners are here",
            self._come_back,
        )
        self._stopping = True
        self._until(
            lambda: all(p.client and (p.client.blocked or not _is_in(p.client)) for p in self._pipeliners),
            "pipeliners have said all that the kernel keeps for them",
            self._flood,
        )
        self.drink_up()
        for person in self._people:
            if person.thaws_at is not None:
                self._thaw(person)
        for client in self._clients:
            client.may_end(SERVER_STOPPED)
        for life in self.lives:
            life.untold = True

    def _flood(self) -> None:
        for pipeliner in self._pipeliners:
            pipeliner.flood()

    @property
    def connections(self) -> int:
        """How many are open, strangers' and all."""
        return len(self._clients) + self.strangers.here

    def were_told(self, line: bytes) -> bool:
        """Whether a client, gone or here, has just heard this."""
        return any(line in client.life.heard[-3:] for client in (*self._clients, *self._gone))

    def until_all_are_over(self) -> None:
        """Raises Stuck."""
        self._until(lambda: not self._clients, "all connections have ended")

    def farewell(self) -> None:
        """The server is stopping: the witnesses hear of it, and are let go."""
        self._stopping = True
        for witness in self._witnesses.values():
            if witness.state is State.IN:
                witness.state = State.LEAVING
        self._until(
            lambda: all(w.state is State.OVER for w in self._witnesses.values()),
            "the server says goodbye to those who are left",
        )

    def close(self) -> None:
        """Close whatever is open."""
        self.strangers.close()
        for client in self._clients:
            if client.state is not State.OVER:
                client.close()
        self._selector.close()

    # --- one turn of the loop ---

    def _turn(self, seconds: float) -> None:
        for key, events in self._selector.select(seconds):
            client = key.data
            if events & selectors.EVENT_WRITE:
                client.flush()
            if events & selectors.EVENT_READ and client.state is not State.OVER:
                before = len(client.life.heard)
                client.read()
                self.deliveries += sum(not line.startswith(ANSWERS) for line in client.life.heard[before:])
        now = monotonic()
        paused = now - self._looked_at if self._looked_at else 0.0
        if not self._rests:
            self.longest_turn = max(self.longest_turn, paused)
        self._looked_at = now
        for client in list(self._clients):
            if client.rate is not None and client.state is not State.OVER:
                if paused > self._plan.limits.grace / 4:  # nobody reads steadily on such a machine
                    client.may_end(TOO_SLOW)
                client.sip(now)
        assert self._plan.limits.silence is not None
        if now >= self._beat_at:
            self._beat_at = now + self._plan.limits.silence / 6
            for client in list(self._clients):
                if client.state in (State.IN, State.FROZEN) and not client.blocked:
                    client.send(b"\n")
        for client in list(self._clients):
            if client.state is State.OVER:
                self._forget(client)
            else:
                self._watch(client)
        for person in self._people:
            if person.thaws_at is not None and now >= person.thaws_at:
                self._thaw(person)

    def _watch(self, client: Client) -> None:
        wanted = selectors.EVENT_READ * (client.state is not State.FROZEN and client.rate is None)
        wanted |= selectors.EVENT_WRITE * client.blocked
        before = self._watched.get(client, 0)
        if wanted == before:
            return
        if not wanted:
            self._selector.unregister(client.sock)
        elif before:
            self._selector.modify(client.sock, wanted, client)
        else:
            self._selector.register(client.sock, wanted, client)
        self._watched[client] = wanted

    def _stop_watching(self, client: Client) -> None:
        if self._watched.pop(client, 0):
            self._selector.unregister(client.sock)

    def _add(self, client: Client, person: Person | None) -> None:
        self._clients[client] = person
        client.life.shared = self.on_backplane or self.shared is not None
        self.lives.append(client.life)
        client.before_closing = self._stop_watching
        self._watch(client)

    def _forget(self, client: Client) -> None:
        person = self._clients.pop(client)
        self._gone.append(client)
        if client in self._witnesses.values() and not self._stopping:
            self._verdict.complain(Kind.THROWN_OUT, f"the witness {client.life}, who did nothing for it")
            raise Stuck("Without a witness nothing can be proven.")
        if person is not None and person.client is client:
            now = monotonic()
            person.back_at = now + max(self._chance.choice((0.0, 0.0, 0.01, 0.05)), _patiently(person, now))

    def _until(
        self, holds: Callable[[], bool], what: str, meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        give_up = monotonic() + self._plan.soon
        while not holds():
            self._turn(0.01)
            meanwhile()
            if monotonic() > give_up:
                raise Stuck(f"waited {self._plan.soon:g} s until {what}. {self._states()}")

    def _ask(self, clients: Iterable[Client]) -> None:
        clients = list(clients)
        for client in clients:
            client.probe()
        self._until(
            lambda: all(not c.unanswered or c.state is State.OVER for c in clients), "all are answered"
        )

    def _states(self) -> str:
        states = []
        for client, person in self._clients.items():
            if client.state is State.IN and not client.unanswered:
                continue
            where = f"server {client.server}" if person is None or person.link is None else "a link"
            life = client.life
            states.append(
                f"{life} {client.state.name} on {where}, {client.unanswered} unanswered, may end "
                f"{sorted(life.ends)}, did last {life.deeds[-6:]}, heard last {life.heard[-2:]}"
            )
        return f"Not there yet: {len(states)} ({'; '.join(states[:5])})"

    # --- coming ---

    def _coming(self) -> list[Client]:
        return [c for c in self._clients if c.state in (State.WAITING, State.ASKED)]

    def _come_back_only_if_asked(self) -> None:
        """Those who have begun to come go on; no others do."""
        now = monotonic()
        for client, person in list(self._clients.items()):
            if client.refused and person is not None:
                self._ask_again(client, person, now)

    def _come_back(self) -> None:
        now = monotonic()
        for person in self._people:
            client = person.client
            if client is None or client.state is State.OVER:
                if now >= person.back_at:
                    self._connect(person)
            elif client.refused:
                self._ask_again(client, person, now)
            elif client.state is State.IN:
                person.refused_since = None

    def _ask_again(self, client: Client, person: Person, now: float) -> None:
        """The nickname is taken: by the connection before, whose end is not yet noticed."""
        if person.contests:
            client.vanish()  # another was quicker; that will do
            return
        if person.refused_since is None:
            person.refused_since = now
        if now < person.back_at:
            return
        if now > person.refused_since + self._plan.patience:
            what = f"{client.life}, {self._plan.patience:g} s after whoever had it was gone"
            self._verdict.complain(Kind.TAKEN, what)
            client.vanish()
            person.start_anew()
            return
        person.back_at = now + max(0.01, _patiently(person, now))
        client.ask()

    def _connect(self, person: Person) -> None:
        chance = self._chance
        if chance.random() < 0.03:
            self._knock()
        person.link = chance.randrange(len(self._links)) if self._links and chance.random() < 0.3 else None
        if person.link is not None and (
            len(self._users(person.link)) >= THROUGH_A_LINK or not person.fits_a_link
        ):
            person.link = None
        server, address = (
            self._somewhere() if person.link is None else (0, self._links[person.link].address)
        )
        small = self._plan.small if person.small or chance.random() < 0.3 else 0
        client = Client(address, person.nickname(), small=small, server=server)
        if self.shared is not None and server in self.shared.outcasts:
            client.may_end(SERVER_LOST)
        person.client = client
        if person.link is not None:
            self._through[person.link].append(client)
        if person.link in self._link_back_at:  # it may go the way of the others there
            client.may_end(HUNG_UP)
            client.may_end(TOO_SLOW)
        self._add(client, person)
        if chance.random() < 0.05 and not person.steady:
            self._pass_by(client, person)

    def _somewhere(self) -> tuple[int, Address]:
        """One of the servers that are there."""
        if self.shared is None:
            return 0, self._address
        there = [(n, address) for n, address in enumerate(self.shared.addresses) if address is not None]
        return self._chance.choice(there)

    def _pass_by(self, client: Client, person: Person) -> None:
        """Come, say something and go, all in one breath, without waiting for a welcome."""
        client.ask()
        client.do(*[person.say() for _ in range(self._chance.randint(0, 3))])
        if self._chance.random() < 0.5:
            client.hang_up()
        else:
            client.vanish()

    def _knock(self) -> None:
        """Connect, and be gone before the server asks."""
        server, address = self._somewhere()
        Client(address, "", server=server).vanish()

    # --- going ---

    def _leave_openly(self, person: Person) -> None:
        client = person.client
        assert client is not None
        client.do(person.say(), person.say())
        self._chance.choice((client.quit, client.hang_up))()

    def _end_one(self, person: Person) -> None:
        client = person.client
        if client is None or client.state is not State.IN:
            return
        ways: list[Callable[[], None]] = [client.vanish, client.vanish, client.slam]
        if self._plan.slow:
            ways += [client.fall_silent]
            if client.small and person.link is None:
                ways += [client.freeze] * 4
        way = self._chance.choice(ways)
        if self._chance.random() < 0.5 and not client.blocked:
            person.do([person.say() for _ in range(self._chance.randint(1, 4))])
        if _is_in(client):
            way()
            if client.state is State.FROZEN:  # type: ignore[comparison-overlap]  # by way()
                person.thaws_at = (
                    monotonic() + self._chance.choice((0.02, 2.0, 2.0)) * self._plan.limits.grace
                )
            self._ends += 1

    def _thaw(self, person: Person) -> None:
        """It reads again; or finds out that it was let go."""
        person.thaws_at = None
        if person.client is not None and person.client.state is State.FROZEN:
            person.client.state = State.IN

    # --- what happens to a server ---

    def concerned(self, server: int, reason: str) -> int:
        """All that are on this server may be lost with it, and those whose leaving is not yet heard of;
        how many are connected."""
        for room, witness in self._witnesses.items():
            heard = witness.life.heard
            for n in range(self._looked_until.get(room, 0), len(heard)):
                if b" left (" in heard[n] and (left := LEFT.fullmatch(heard[n])):
                    self._left.add(left[1].decode())
            self._looked_until[room] = len(heard)
        self._gone = [c for c in self._gone if not self._left.intersection(c.names_in_doubt())]
        for client in [*self._clients, *self._gone]:
            if client.server == server:
                client.may_end(reason)
        return sum(client.server == server for client in self._clients)

    # --- what happens to a link, and to all who came through it ---

    def _trouble(self, n: int) -> None:
        link = self._links[n]
        if n in self._link_back_at:
            return
        users = self._users(n)
        what = self._chance.random()
        if what < 0.8:
            link.to_server.use(*self._chance.choice(SHAPES))
            link.to_client.use(*self._chance.choice(SHAPES))
        elif what < 0.9:
            for client in users:
                client.may_end(VANISHED)
            link.reset()
            self._ends += sum(client.state is State.IN for client in users)
        elif what < 0.95:
            for client in users:
                client.may_end(HUNG_UP)
            self._link_back_at[n] = monotonic() + 0.1
            link.to_server.use(HalfClose())
        elif self._plan.slow:
            for client in users:
                client.may_end(TOO_SLOW)
            self._link_back_at[n] = monotonic() + 1.5 * self._plan.limits.grace
            link.to_client.use(Freeze())

    def _users(self, n: int) -> list[Client]:
        """All who came through this link; also who is gone, as long as its end may still be in there."""
        lately = monotonic() - ON_ITS_WAY
        return [c for c in self._through[n] if c.state is not State.OVER or c.closed_at > lately]

    def _repair(self, shape: tuple[Fault, ...] | None = None) -> None:
        """Links are whole again when their time has come."""
        now = monotonic()
        for n, when in list(self._link_back_at.items()):
            if now >= when:
                del self._link_back_at[n]
                for direction in (self._links[n].to_server, self._links[n].to_client):
                    direction.use(*(self._chance.choice(SHAPES) if shape is None else shape))

    # --- at the end ---

    def _let_in_one_more(self) -> Person:
        person = Person(len(self._people), self._names, self._plan.rooms, self._plan.seed)
        server, address = self._somewhere()
        client = person.client = Client(address, person.nickname(), server=server)
        self._add(client, person)
        self._until(partial(_is_in, client), "one more is welcomed")
        return person

    def _until_they_are_gone(self, gone: list[Client]) -> None:
        """To whisper to them is refused, whatever they may be called; or their nicknames stay taken."""
        assert self._last is not None and self._last.client is not None
        client, give_up = self._last.client, monotonic() + self._plan.patience
        names = {name.lower() for corpse in gone for name in corpse.names_in_doubt()}
        for person in self._people:
            if person.client and person.client.state is State.IN:
                names.discard(person.name.lower())  # the client that came back has it now
        while names:
            first, asked = len(client.life.heard), {}
            for name in names:
                deed, line = self._last.whisper_to(name)
                assert isinstance(deed, Whisper)
                asked[f"! nobody here is called {deed.to}".encode()] = name
                client.do((deed, line))
            self._ask([client])
            names -= {asked[line] for line in client.life.heard[first:] if line in asked}
            if monotonic() > give_up:
                for name in sorted(names):
                    what = f"{name}, {self._plan.patience:g} s after whoever had it was gone"
                    self._verdict.complain(Kind.TAKEN, what)
                return
            self._turn(0.01)

    def _try_nicknames(self) -> None:
        """The last one takes each nickname that was used, one after the other."""
        person = self._last
        assert person is not None and person.client is not None
        client = person.client
        keys = [key for key in self._names.keys() if key != client.welcomed_as().lower()]
        for first in range(0, len(keys), TRIED_AT_ONCE):
            names = [self._names.of(key) for key in keys[first : first + TRIED_AT_ONCE]]
            before = len(client.life.heard)
            client.send(b"".join(f"/nick {name}\n".encode() for name in names))
            self._ask([client])
            granted = b"\n".join(client.life.heard[before:])
            for name in names:
                taken = f"* you are {name}, in ".encode() not in granted
                if taken:
                    self._verdict.complain(Kind.TAKEN, f"{name}, after all have left")
                # Before the probe, which was its last deed.
                client.life.deeds.insert(
                    -1, Refused(f"the nickname {name} is taken") if taken else Rename(name)
                )
        client.quit()
        self._until(lambda: client.state is State.OVER, "the last one is let go")


def _is_in(client: Client) -> bool:
    return client.state is State.IN


def _patiently(person: Person, now: float) -> float:
    """Seconds until the next try: the longer it has been refused, the more."""
    return 0.0 if person.refused_since is None else min(0.3, (now - person.refused_since) / 4)
