"""reconnect.py, and ChatClient with several servers: stopped, killed, cut off, silent or unwilling."""

from __future__ import annotations

import random
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import pytest
from certificates import Certificate, make
from programs import PATIENCE, Serving
from support import SOON, BareServer, Wire, need_redis

import labkit.client.client
import labkit.client.reconnect
from labkit import RAW, ChatClient, ChatServer, Limits
from labkit.client import (
    FROZEN,
    GONE,
    HERE,
    JOINING,
    ComingBack,
    ConnectionEnded,
    NicknameRefused,
    PasswordNeeded,
    WrongPassword,
)
from labkit.client.reconnect import FIRST_PAUSE, LONGEST_PAUSE, Reconnection, told_of
from labkit.instruments.link import Link
from labkit.instruments.redis_server import RedisServer
from labkit.wire.addresses import place
from labkit.wire.messages import Refused, from_server

A, B, C = ("a.example", 1), ("b.example", 2), ("::1", 3)


def reconnection(
    lost: tuple[str, int] = A, room: str = "den", password: str | None = None, give_up: float = 1000.0
) -> Reconnection:
    return Reconnection([A, B, C], give_up, random.Random(1), lost, "alice", room, password)


@pytest.fixture
def second() -> Iterator[ChatServer]:
    """Another server, which knows nothing of the first."""
    with ChatServer(port=0) as running:
        yield running


@pytest.fixture
def nobody() -> Iterator[tuple[str, int]]:
    """An address where no server listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()


# --- whom to try, and when ---


@pytest.mark.parametrize(("lost", "first"), [(A, [B, C, A]), (B, [C, A, B]), (C, [A, B, C])])
def test_the_next_one_first_and_the_lost_one_last(
    lost: tuple[str, int], first: list[tuple[str, int]]
) -> None:
    """They are tried in turn, from the one after the lost one on, round and round."""
    back = reconnection(lost)
    turns = [back.next() for _ in range(7)]
    assert [address for _, address in turns if turns] == [*first, *first, first[0]]  # type: ignore[misc]
    assert back.first == first[0]


def test_the_pauses_grow_and_are_drawn_by_lot() -> None:
    """From round to round they are twice as long, up to the longest; the seed decides each."""

    def pauses(seed: int) -> list[float]:
        back = Reconnection([A, B, C], 1e9, random.Random(seed), A, "alice", "den", None)
        turns = [back.next() for _ in range(300)]
        return [turn[0] for turn in turns if turn]

    for i, pause in enumerate(pauses(1)):
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (i // 3))
        assert longest / 2 <= pause <= longest
    assert pauses(1) == pauses(1) != pauses(2)


def test_no_try_after_the_time_is_up() -> None:
    """With no time left for another pause it gives up, and says what each of them was lacking."""
    back = reconnection(give_up=0.01)
    assert back.next() is None
    assert back.end == "no server let alice back in within 0.01 s: there was no time to try one"
    assert back.failed(B, ConnectionRefusedError("nobody listens on b.example:2")) != ""
    assert back.failed(B, ConnectionRefusedError("nobody listens on b.example:2")) == ""  # no news
    assert back.failed(C, "the server hung up") == "[::1]:3: the server hung up"
    assert back.end == (
        "no server let alice back in within 0.01 s: nobody listens on b.example:2; "
        "[::1]:3: the server hung up"
    )


def test_places() -> None:
    """An address is written as it is typed, and only once."""
    assert (place(A), place(C)) == ("a.example:1", "[::1]:3")
    assert told_of(A, OSError(1, "no such host: a.example")) == "a.example:1: no such host: a.example"
    assert told_of(A, "no answer from a.example:1 within 5 s") == "no answer from a.example:1 within 5 s"


# --- what ends it ---


def hears(back: Reconnection, *lines: str) -> None:
    """These, in a new try."""
    assert back.next() is not None
    for line in lines:
        back.dialogue.receive(from_server(line))


def test_no_password_to_give() -> None:
    """A server that asks for one is the end."""
    back = reconnection()
    hears(back, "nickname", "password")
    back.failed(B, "")
    assert back.next() is None
    assert back.end == "b.example:2 would not have alice back: it asks for a password, and there is none"


@pytest.mark.parametrize(
    ("lines", "why", "final"),
    [
        (["! the server is full: 1 connections"], "the server is full: 1 connections", False),
        (["nickname", "! others need the room"], "others need the room", False),
        (["nickname", "! no; that was the last try"], "no; that was the last try", True),
        (
            ["nickname", "! alice is taken; that was the last try"],
            "alice is taken; that was the last try",
            False,
        ),
        (["nickname", "! the nickname alice is taken", "nickname"], "the nickname alice is taken", False),
        (
            ["nickname", "! that nickname will not do: no", "nickname"],
            "that nickname will not do: no",
            True,
        ),
        (["nickname", "password", "! wrong password", "password"], "wrong password", True),
        (["nickname", "* you are alice, in lobby", "! no such room"], "no such room", True),
    ],
)
def test_which_refusals_are_the_end(lines: list[str], why: str, final: bool) -> None:
    """That the nickname is taken, or a server full, can pass; any other refusal is told, and is the end.
    A server that says no and hangs up is full, or the like; one that refuses an answer asks again."""
    back = reconnection(password="s")
    hears(back, *lines)
    assert back.dialogue.refusal == Refused(why) and not back.dialogue.inside
    assert back.failed(B, "the server hung up") == f"b.example:2: {why}"
    assert (back.next() is None) == final
    assert bool(back.refused) == final
    if final:
        assert back.end == f"b.example:2 would not have alice back: {why}"


# --- the first time ---


def test_the_first_one_that_answers(
    server: ChatServer, second: ChatServer, nobody: tuple[str, int]
) -> None:
    """They are tried in order; who did not answer is told of, and `address` is where it is."""
    with ChatClient("alice", [nobody, second.address, server.address]) as alice:
        assert alice.address == second.address
        assert alice.transcript == [
            f"# nobody listens on {place(nobody)} (is the server running?)",
            "* you are alice, in lobby",
        ]
        assert (second.roster(), server.roster()) == (["alice"], [])
    assert alice.end == "you left"


def test_no_server_answers(nobody: tuple[str, int], bare_server: BareServer) -> None:
    """One error names each of them and why; no thread is left."""
    with pytest.raises(ConnectionError) as error:
        ChatClient("alice", [nobody, bare_server.address, ("127.0.0.1", 1)], timeout=0.1)
    assert str(error.value) == (
        f"no server let us in: nobody listens on {place(nobody)} (is the server running?); "
        f"{place(bare_server.address)}: the server asked for no nickname within 0.1 s; "
        "nothing came instead (does it speak TLS?); nobody listens on 127.0.0.1:1 (is the server running?)"
    )


def test_a_full_server_is_passed_by(second: ChatServer) -> None:
    """A client turned away before being asked goes to the next server."""
    with ChatServer(port=0, limits=Limits(max_clients=1)) as full, ChatClient("bob", full.address):
        with ChatClient("alice", [full.address, second.address]) as alice:
            assert alice.address == second.address
            assert "the server is full: 1 connections" in alice.transcript[0]


def test_a_refusal_is_not_taken_elsewhere(server: ChatServer, second: ChatServer) -> None:
    """A nickname that is refused at the first time is one's own affair: it raises, as with one server."""
    with ChatClient("alice", server.address):
        with pytest.raises(NicknameRefused, match="^the nickname alice is taken$"):
            ChatClient("alice", [server.address, second.address])
    assert second.roster() == []


@pytest.mark.parametrize(
    ("addresses", "options", "complaint"),
    [
        ([], {}, "the list of addresses is empty: at least one .host, port. is needed"),
        (["localhost", 14901], {}, "an address is .host, port., the port up to 65535, not 'localhost'"),
        ([("localhost", 70000)], {}, "an address is .* not .'localhost', 70000."),
        ([A], {"framing": RAW}, "a list of addresses needs framing=LINES: in RAW nothing tells"),
        ([A], {"give_up": 0}, "give_up is a number of seconds above 0, not 0"),
    ],
)
def test_lists_that_cannot_be_one(addresses: list, options: dict, complaint: str) -> None:  # type: ignore[type-arg]
    """What cannot be right is said before any server is called."""
    with pytest.raises(ValueError, match=complaint):
        ChatClient("alice", addresses, **options)


# --- coming back ---


def test_a_server_stops(server: ChatServer, second: ChatServer, elsewhere: ThreadPoolExecutor) -> None:
    """Its people are at the other one, with the nicknames and in the rooms that they had last; waits that
    had begun go on, listeners are told, and it is the same thread that listens."""
    servers = [server.address, second.address]
    with ChatClient("ann", servers, seed=1) as alice, ChatClient("bob", servers, seed=2) as bob:
        alice.say("/nick alice")
        alice.say("/join den")
        alice.wait_for("you are alice, in den")
        states: set[str] = set()
        alice.on_change(lambda: states.add(alice.state))
        waiting = elsewhere.submit(alice.wait_for, "bob: hello", 2 * SOON)
        thread = alice._session.thread
        server.stop()
        lost, at = place(server.address), place(second.address)
        assert alice.wait_for("# lost") == f"# lost {lost} (the server hung up); trying {at}"
        assert alice.wait_for("# back") == f"# back at {at}, in den"
        assert bob.wait_for("# back") == f"# back at {at}, in lobby"
        assert (alice.nickname, alice.room, alice.state, alice.end) == ("alice", "den", HERE, "")
        assert alice.address == bob.address == second.address
        bob.say("/join den")
        bob.say("hello")
        assert waiting.result(2 * SOON) == "bob: hello"
        assert thread is alice._session.thread and thread.is_alive()
        assert states == {JOINING, HERE}
        heard = alice.transcript
        gone = heard.index("* server stopped")
        assert [line for line in heard[gone:] if "bob" not in line and "not have heard" not in line] == [
            "* server stopped",
            f"# lost {lost} (the server hung up); trying {at}",
            "* you are alice, in lobby",
            "* you are alice, in den",
            f"# back at {at}, in den",
        ]


def test_a_server_is_killed(second: ChatServer) -> None:
    """SIGKILL: the kernel ends its connections, and its people go on at the other one."""
    with Serving() as first, ChatClient("alice", [first.address, second.address]) as alice:
        first.process.kill()
        alice.wait_for("# back at", timeout=PATIENCE)
        assert second.roster() == ["alice"]


def test_there_and_back(server: ChatServer, second: ChatServer) -> None:
    """Cut off by RST again and again, it goes from one to the other, round and round."""
    with Link(server.address) as one, Link(second.address) as two:
        with ChatClient("alice", [one.address, two.address], seed=1) as alice:
            for count in range(1, 4):
                for link, other, behind in ((one, two, server), (two, one, second)):
                    assert alice.address == link.address
                    link.reset()
                    behind.journal.wait_for("left", "alice", count=count)  # or she is a ghost there yet
                    assert alice.wait_for("# lost").startswith(
                        f"# lost {place(link.address)} (the connection broke"
                    )
                    alice.wait_for(f"# back at {place(other.address)}, in lobby")


def test_a_list_of_one(server: ChatServer) -> None:
    """With one server in the list it comes back to that one."""
    with Link(server.address) as link, ChatClient("alice", [link.address], seed=1) as alice:
        alice.say("/join den")
        alice.wait_for("in den")
        link.reset()
        assert alice.wait_for("# lost").endswith("; trying again")
        alice.wait_for(f"# back at {place(link.address)}, in den")


def test_a_line_is_never_heard_twice(server: ChatServer, elsewhere: ThreadPoolExecutor) -> None:
    """A talker whose wire is cut in mid-speech, ten times: what is heard is in order, and nothing of it
    twice; and each time it goes on."""
    done = threading.Event()

    def cut() -> None:
        try:
            for _ in range(10):
                link.reset()
                alice.wait_for("# lost", timeout=4 * SOON)
                alice.wait_for("# back", timeout=4 * SOON)
                for _ in range(5):
                    bob.wait_for("alice: line", timeout=4 * SOON)
        finally:
            done.set()

    with ChatClient("bob", server.address) as bob, Link(server.address) as link:
        with ChatClient("alice", [link.address], seed=1, timeout=4 * SOON) as alice:
            cutting = elsewhere.submit(cut)
            said = 0
            while not done.wait(0.001):
                alice.say(f"line {said}.")
                said += 1
            cutting.result(SOON)
            alice.say("the end")
            bob.wait_for("alice: the end", timeout=4 * SOON)
            heard = [int(number) for number in re.findall(r"alice: line (\d+)", "\n".join(bob.transcript))]
            assert heard == sorted(set(heard))
            assert len(heard) >= 50


def test_the_nickname_is_taken_for_a_while(server: ChatServer, second: ChatServer) -> None:
    """It tries again until the nickname is free; that it is taken is told once."""
    with Wire.joined(second.address, "alice") as ghost:
        with ChatClient("alice", [server.address, second.address], seed=1) as alice:
            server.stop()
            taken = f"# {place(second.address)}: the nickname alice is taken"
            assert alice.wait_for("is taken") == taken
            assert alice.wait_for("nobody listens").startswith("# nobody listens on")
            assert alice.state == JOINING
            ghost.hang_up()
            ghost.to_the_end()
            alice.wait_for("# back at", timeout=2 * SOON)
            assert alice.transcript.count(taken) == 1
            assert not any(line.startswith("!") for line in alice.transcript)


def test_another_refusal_is_the_end(server: ChatServer, bare_server: BareServer) -> None:
    """A server that will not have the nickname ends it, with its reason, for all who wait."""
    alice = ChatClient("alice", [server.address, bare_server.address], seed=1)
    server.stop()
    with bare_server.accept() as peer:
        peer.send("nickname")
        assert peer.line() == "alice"
        peer.send("! not on a Sunday", "nickname")
        end = f"{place(bare_server.address)} would not have alice back: not on a Sunday"
        with pytest.raises(ConnectionEnded, match=re.escape(end)):
            alice.wait_for("nothing")
    assert (alice.state, alice.end, alice.wait_until_gone()) == (GONE, end, end)
    with pytest.raises(ConnectionEnded, match="not on a Sunday"):
        alice.say("hello")
    alice.leave()


def test_a_silent_server_is_passed_by(
    server: ChatServer, second: ChatServer, bare_server: BareServer
) -> None:
    """One that listens and says nothing costs `timeout` seconds; then it is the next one's turn."""
    servers = [server.address, bare_server.address, second.address]
    with ChatClient("alice", servers, seed=1) as alice:
        alice._session.timeout = 0.5  # from the next server on
        server.stop()
        assert alice.wait_for("no answer") == f"# {place(bare_server.address)}: no answer within 0.5 s"
        alice.wait_for(f"# back at {place(second.address)}", timeout=4 * SOON)


def test_a_server_that_goes_while_it_lets_us_in(
    server: ChatServer, second: ChatServer, bare_server: BareServer
) -> None:
    """Lost again on the way to the room: the next one is asked for that room, and not for the lobby."""
    servers = [server.address, bare_server.address, second.address]
    with ChatClient("alice", servers, seed=1) as alice:
        alice.say("/join den")
        alice.wait_for("in den")
        server.stop()
        with bare_server.accept() as peer:
            peer.send("nickname")
            assert peer.line() == "alice"
            peer.send("* you are alice, in lobby")
            assert peer.line() == "/join den"
            peer.hang_up()
            alice.wait_for(f"# back at {place(second.address)}, in den")
        assert [person.room for person in second.present()] == ["den"]


def test_no_server_is_left(
    server: ChatServer,
    second: ChatServer,
    elsewhere: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After `give_up` seconds it is over: the end names each of them, and waiting threads are told."""
    alice = ChatClient("alice", [server.address, second.address], seed=1, give_up=1.5)
    waiting = elsewhere.submit(alice.wait_for, "nothing", 2 * SOON)
    clock = [monotonic()]  # stands still until both were tried
    monkeypatch.setattr(labkit.client.reconnect, "monotonic", lambda: clock[0])
    second.stop()
    server.stop()
    alice.wait_for("# lost")
    saying = elsewhere.submit(alice.say, "hello")
    for gone in (second, server):
        alice.wait_for(f"nobody listens on {place(gone.address)}")
    clock[0] += 1.5
    with pytest.raises(ConnectionEnded, match="^alice cannot say 'hello': no server let alice back in"):
        saying.result(2 * SOON)
    assert (
        alice.end
        == alice.wait_until_gone()
        == (
            "no server let alice back in within 1.5 s: "
            f"nobody listens on {place(second.address)} (is the server running?); "
            f"nobody listens on {place(server.address)} (is the server running?)"
        )
    )
    with pytest.raises(
        ConnectionEnded, match="alice waited for 'nothing', but no server let alice back in"
    ):
        waiting.result(SOON)
    assert "> hello" not in alice.transcript
    alice.leave()


def test_quit_is_no_loss(server: ChatServer, second: ChatServer) -> None:
    """After /quit the server hangs up, and that is that."""
    for goodbye in ("/quit", "/QUIT"):
        with ChatClient("alice", [server.address, second.address]) as alice:
            alice.say("//quit")  # says it, and is none
            alice.say(goodbye)
            assert alice.wait_until_gone() == "the server hung up"
            assert second.roster() == [] and alice.address == server.address


def test_a_client_without_a_nickname_is_not_brought_back(second: ChatServer) -> None:
    """There is nothing to take back: the end is the end, as with one server."""
    with ChatServer(port=0, limits=Limits(handshake=0.5)) as server:
        with ChatClient(None, [server.address, second.address]) as nobody:
            assert nobody.wait_until_gone() == "the server hung up"
            assert nobody.transcript == ["! no nickname within 0.5 s"]


# --- what is said meanwhile ---


def test_what_is_said_meanwhile_waits(server: ChatServer, second: ChatServer) -> None:
    """`say` returns when the line has gone to the next server, in the room that it was meant for."""
    with ChatClient("bob", second.address) as bob:
        bob.say("/join den")
        bob.wait_for("in den")
        with ChatClient("alice", [server.address, second.address], seed=1) as alice:
            alice.say("/join den")
            alice.wait_for("in den")
            server.stop()
            alice.wait_for("# lost")
            alice.say("is anybody here?")
            assert alice.address == second.address
            assert bob.wait_for("here?") == "alice: is anybody here?"
            assert alice.tail(2) == [f"# back at {place(second.address)}, in den", "> is anybody here?"]


def test_what_is_said_does_not_wait_for_ever(server: ChatServer, bare_server: BareServer) -> None:
    """After `timeout` seconds `say` raises: nothing was said. The client goes on looking."""
    with ChatClient("alice", [server.address, bare_server.address], seed=1) as alice:
        alice._session.timeout = 0.3  # from now on
        server.stop()
        alice.wait_for("# lost")
        with pytest.raises(
            ComingBack, match="^alice has not said 'hello': no server let it back in within 0.3 s$"
        ):
            alice.say("hello")
        assert alice.state == JOINING and "> hello" not in alice.transcript


def test_a_server_that_reads_no_more_is_lost(second: ChatServer, elsewhere: ThreadPoolExecutor) -> None:
    """`say` gives up after `timeout` seconds, nothing was said, and the client goes to the next one."""
    with BareServer(receive_buffer=4096) as deaf, ExitStack() as stack:
        joining = elsewhere.submit(ChatClient, "alice", [deaf.address, second.address], seed=1)
        peer = stack.enter_context(deaf.accept())
        peer.send("nickname")
        assert peer.line() == "alice"
        peer.send("* you are alice, in lobby")
        alice = stack.enter_context(joining.result(SOON))
        alice._session.timeout = alice._session.connection.timeout = 0.5  # from now on
        with pytest.raises(ComingBack, match="^the server read nothing for 0.5 s; the line was not said$"):
            alice.say("x" * 20_000_000)
        assert alice.wait_for("# lost").startswith(
            f"# lost {place(deaf.address)} (the server read nothing for 0.5 s); trying"
        )
        alice.wait_for("# back at", timeout=4 * SOON)
        alice._session.timeout = alice._session.connection.timeout = 2 * SOON
        alice.say("/who")
        alice.wait_for("* in lobby: alice")


def test_the_last_words_before_a_loss_are_named(
    bare_server: BareServer,
    second: ChatServer,
    elsewhere: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What went out within the last second may have been heard or not: it is named, and not said again."""
    monkeypatch.setattr(
        labkit.client.reconnect, "LAST_WORDS", 60.0
    )  # those of a busy machine are soon over
    joining = elsewhere.submit(ChatClient, "alice", [bare_server.address, second.address], seed=1)
    with bare_server.accept() as peer:
        peer.send("nickname")
        assert peer.line() == "alice"
        peer.send("* you are alice, in lobby")
        with joining.result(SOON) as alice, ChatClient("bob", second.address) as bob:
            alice.say("hello")
            peer.reset()
            alice.wait_for("# it may not have heard this line: hello")
            alice.say("and now?")
            bob.wait_for("alice: and now?")
            assert not any("hello" in line for line in bob.transcript)


def test_many_last_words(
    bare_server: BareServer,
    second: ChatServer,
    elsewhere: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of several lines that may not have been heard, the number is told, and the first."""
    monkeypatch.setattr(labkit.client.reconnect, "LAST_WORDS", 60.0)
    joining = elsewhere.submit(ChatClient, "alice", [bare_server.address, second.address], seed=1)
    with bare_server.accept() as peer:
        peer.send("nickname")
        assert peer.line() == "alice"
        peer.send("* you are alice, in lobby")
        with joining.result(SOON) as alice:
            for text in ("one", "", "two", "three"):
                alice.say(text)
            peer.reset()
            alice.wait_for("# it may not have heard the last 3 lines, from this one on: one")


def test_words_of_long_ago_are_not_named(
    server: ChatServer, second: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said long before the loss was heard, if anything is."""
    monkeypatch.setattr(labkit.client.reconnect, "LAST_WORDS", 0.0)
    with ChatClient("alice", [server.address, second.address], seed=1) as alice:
        alice.say("hello")
        server.stop()
        alice.wait_for("# back")
        assert not any("may not have heard" in line for line in alice.transcript)


# --- leaving, and misbehaving ---


def refuses(server: ChatServer, nobody: tuple[str, int], stack: ExitStack) -> tuple[str, int]:
    return nobody


def says_nothing(server: ChatServer, nobody: tuple[str, int], stack: ExitStack) -> tuple[str, int]:
    return stack.enter_context(BareServer()).address


def does_not_answer(server: ChatServer, nobody: tuple[str, int], stack: ExitStack) -> tuple[str, int]:
    """Its queue of connections is full: the kernel lets a newcomer knock in vain (Linux)."""
    busy = stack.enter_context(socket.socket())
    busy.bind(("127.0.0.1", 0))
    busy.listen(0)
    for _ in range(4):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(busy.getsockname())
    address: tuple[str, int] = busy.getsockname()
    return address


@pytest.mark.parametrize("how", [ChatClient.leave, ChatClient.abort])
@pytest.mark.parametrize("other", [refuses, says_nothing, does_not_answer])
def test_leaving_while_it_looks_for_a_server(
    server: ChatServer,
    nobody: tuple[str, int],
    how: Callable[[ChatClient], None],
    other: Callable[[ChatServer, tuple[str, int], ExitStack], tuple[str, int]],
    elsewhere: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a pause, connecting in vain, waiting for a word: it leaves at once; waiting threads are told."""
    monkeypatch.setattr(labkit.client.client, "GOODBYE", 60.0)
    with ExitStack() as stack:
        address = other(server, nobody, stack)
        alice = ChatClient("alice", [server.address, address], seed=1, timeout=60.0, give_up=600.0)
        server.stop()
        alice.wait_for("# lost")
        saying = elsewhere.submit(alice.say, "hello")
        threading.Event().wait(0.15)  # as a rule it is on its way by then; if not, it leaves in the pause
        began = monotonic()
        how(alice)
        assert monotonic() - began < 30.0  # it waited for no goodbye, and for none of its timeouts
        assert alice.state == GONE and alice.end.startswith("you ")
        with pytest.raises(ConnectionEnded, match="alice cannot say 'hello': you "):
            saying.result(SOON)


def test_frozen_it_stays_away(server: ChatServer, second: ChatServer) -> None:
    """A frozen client does not notice that its server is gone; thawed, it comes back."""
    with ChatClient("alice", [server.address, second.address], seed=1) as alice:
        alice.freeze()
        server.stop()
        assert alice.state == FROZEN and alice.transcript == ["* you are alice, in lobby"]
        alice.thaw()
        alice.wait_for("# back at")


def test_frozen_on_the_way(server: ChatServer, bare_server: BareServer) -> None:
    """Also on its way back it can be frozen, and is FROZEN then: it answers nothing until it is thawed."""
    with ChatClient("alice", [server.address, bare_server.address], seed=1) as alice:
        server.stop()
        with bare_server.accept() as peer:
            alice.freeze()
            assert alice.state == FROZEN
            peer.send("nickname")
            peer.sock.settimeout(0.2)
            with pytest.raises(TimeoutError):
                peer.line()
            peer.sock.settimeout(SOON)
            alice.thaw()
            assert alice.state == JOINING
            assert peer.line() == "alice"
            peer.send("* you are alice, in lobby")
            alice.wait_for("# back at")


# --- a password, and TLS ---


def test_the_password_is_given_again() -> None:
    """Each server that asks for it gets it, also one that was typed in; it is in no transcript."""
    with ChatServer(port=0, password="sesame") as one, ChatServer(port=0, password="sesame") as two:
        servers = [one.address, two.address]
        with ChatClient("alice", servers, password="sesame", seed=1) as alice:
            with ChatClient(None, servers, seed=2) as bob:
                with pytest.raises(PasswordNeeded):
                    bob.answer("bob")
                bob.give_password("sesame")
                one.stop()
                for client in (alice, bob):
                    client.wait_for("# back at")
                    assert not any("sesame" in line for line in client.transcript)


def test_another_password_there(server: ChatServer) -> None:
    """A server with another password is the end, and so is one that asks where there is none to give."""
    with ChatServer(port=0, password="other") as other:
        servers = [server.address, other.address]
        alice = ChatClient("alice", servers, password="sesame", seed=1)
        bob = ChatClient("bob", servers, seed=1)
        server.stop()
        where = place(other.address)
        assert alice.wait_until_gone() == f"{where} would not have alice back: wrong password"
        assert bob.wait_until_gone() == (
            f"{where} would not have bob back: it asks for a password, and there is none"
        )
        with pytest.raises(WrongPassword):
            ChatClient("alice", [other.address], password="sesame")
        alice.leave()
        bob.leave()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make(tmp_path_factory.mktemp("certificates"), "class")


def test_tls_with_each(good: Certificate, server: ChatServer, tmp_path: Path) -> None:
    """The next server is checked like the first: one without TLS, or with another certificate, is none."""
    other = make(tmp_path, "other")
    with ExitStack() as stack:
        one, two, strange = (
            stack.enter_context(ChatServer(port=0, tls=made.files)) for made in (good, good, other)
        )
        servers = [one.address, server.address, strange.address, two.address]
        alice = stack.enter_context(ChatClient("alice", servers, tls=good.pem, seed=1))
        one.stop()
        alice.wait_for(f"# back at {place(two.address)}")
        said = "\n".join(alice.transcript)
        assert f"# no TLS with {place(server.address)}: " in said
        assert f"# no TLS with {place(strange.address)}: " in said
        assert server.roster() == strange.roster() == []


def test_a_tls_connection_that_is_cut(good: Certificate) -> None:
    """An end without TLS's own goodbye is a loss like any other, and told as what it is."""
    with ChatServer(port=0, tls=good.files) as server, Link(server.address) as link:
        with ChatClient("alice", [link.address], tls=good.pem, seed=1) as alice:
            link.reset()
            alice.wait_for("# lost")
            alice.wait_for("# back at")


# --- servers that share their rooms ---


def test_to_a_server_that_shares_the_room() -> None:
    """Killed: until the lease ends the nickname is still the dead one's; then alice is back where she was,
    and bob, who was at the other server all the time, hears the rest. Stopped in good order: at once."""
    need_redis()
    lease = ("--lease", "2")
    with RedisServer() as redis, ChatServer(port=0, backplane=redis.url, limits=Limits(lease=2.0)) as two:
        with Serving("--backplane", redis.url, *lease) as one, ChatClient("bob", two.address) as bob:
            with ChatClient("alice", [one.address, two.address], seed=1) as alice:
                for client in (alice, bob):
                    client.say("/join den")
                    client.wait_for("in den")
                one.process.kill()
                alice.wait_for("# back at", timeout=PATIENCE)
                assert alice.address == two.address
                assert bob.wait_for("alice left", PATIENCE) == "* alice left (server lost)"
                assert bob.wait_for("alice joined") == "* alice joined"
                alice.say("where was I?")
                assert bob.wait_for("where") == "alice: where was I?"
        with ChatServer(port=0, backplane=redis.url, limits=Limits(lease=2.0)) as three:
            with ChatClient("carol", [three.address, two.address], seed=1) as carol:
                three.stop()
                carol.wait_for("# back at", timeout=PATIENCE)
                assert two.roster() == ["carol"]
