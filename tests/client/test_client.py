"""client.py: ChatClient with labkit's server, and with servers that are dumb, silent, deaf or dead."""

from __future__ import annotations

import ast
import inspect
import re
import select
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from textwrap import dedent

import pytest
from support import SOON, BareServer, Wire, need
from watched import takes

import labkit.client.client
import labkit.client.connection
from labkit import RAW, ChatClient, ChatServer, Limits
from labkit.client import FROZEN, GONE, HERE, JOINING, ConnectionEnded, NicknameRefused
from labkit.client.session import Session
from labkit.client.transcript import Lines, Transcript


@pytest.fixture
def fake(bare_server: BareServer, elsewhere: ThreadPoolExecutor) -> Callable[..., tuple[ChatClient, Wire]]:
    """Makes a ChatClient called alice, at home with a server that the test plays."""

    def make(
        *, welcome: str = "* you are alice, in lobby", timeout: float = SOON
    ) -> tuple[ChatClient, Wire]:
        joining = elsewhere.submit(ChatClient, "alice", bare_server.address, timeout=timeout)
        peer = bare_server.accept()
        peer.send("nickname")
        assert peer.line() == "alice"
        peer.send(welcome)
        return joining.result(SOON), peer

    return make


def test_what_a_client_does_without_being_told() -> None:
    """The defaults that its docstring and README count on: as they are written, for conftest.py has the
    tests wait longer."""
    (function,) = ast.parse(dedent(inspect.getsource(ChatClient.__init__))).body
    assert isinstance(function, ast.FunctionDef)
    defaults = {
        argument.arg: default and ast.unparse(default)
        for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    }
    assert function.args.defaults == []
    assert defaults == {
        "framing": "LINES",
        "timeout": "5.0",
        "password": "None",
        "tls": "None",
        "give_up": "30.0",
        "seed": "None",
    }


# --- the handshake ---


def test_it_returns_when_it_is_here(server: ChatServer) -> None:
    """When ChatClient() returns, its nickname (as the server shows it) is on the roster, and it hears."""
    with ChatClient(" Ａlice ", server.address) as alice:
        assert server.roster() == ["Alice"]
        assert (alice.nickname, alice.room, alice.state, alice.end) == ("Alice", "lobby", HERE, "")
        assert repr(alice) == "<ChatClient Alice, here>"
        assert "labkit-recv_msg-Alice" in [t.name for t in threading.enumerate()]
    assert (alice.state, alice.end) == (GONE, "you left")
    assert repr(alice) == "<ChatClient Alice, gone>"


def test_a_refused_nickname(server: ChatServer) -> None:
    """A nickname that is taken or unfit is refused with the server's words, and nothing stays behind."""
    with ChatClient("alice", server.address):
        with pytest.raises(NicknameRefused, match="^the nickname Alice is taken$"):
            ChatClient("Alice", server.address)
        with pytest.raises(
            NicknameRefused, match="^that nickname will not do: no white space inside a name$"
        ):
            ChatClient("a b", server.address)
        assert server.roster() == ["alice"]


def test_answering_again_after_a_refusal(server: ChatServer) -> None:
    """Without a nickname it connects and is asked; refused answers can be followed by a better one."""
    with ChatClient("alice", server.address), ChatClient(None, server.address) as other:
        assert (other.state, other.nickname) == (JOINING, "")
        for nickname in ("alice", "*"):
            with pytest.raises(NicknameRefused):
                other.answer(nickname)
            assert other.state == JOINING
        other.answer("bob")
        assert (other.state, other.nickname) == (HERE, "bob")
        assert server.roster() == ["alice", "bob"]


def test_three_refusals_end_it(server: ChatServer) -> None:
    """The third refusal is the last: its text says so, and the connection ends."""
    with ChatClient(None, server.address) as eve:
        for nickname in ("*1", "*2"):
            with pytest.raises(NicknameRefused):
                eve.answer(nickname)
        with pytest.raises(NicknameRefused, match="a name cannot begin with '[*]'; that was the last try$"):
            eve.answer("*3")
        assert eve.wait_until_gone() == "the server hung up"
        with pytest.raises(ConnectionEnded, match="the server asked for no nickname: the server hung up"):
            eve.answer("eve")


def test_a_nickname_with_an_lf(server: ChatServer) -> None:
    """A nickname of two lines is refused before anything is sent."""
    with pytest.raises(ValueError, match="a line cannot hold an LF"):
        ChatClient("alice\nhello", server.address)
    assert server.roster() == []


def test_a_server_that_never_asks(bare_server: BareServer) -> None:
    """A server that listens and says nothing: TimeoutError, naming what was waited for."""
    with pytest.raises(
        TimeoutError, match="the server asked for no nickname within 0.1 s; nothing came instead"
    ):
        ChatClient("alice", bare_server.address, timeout=0.1)


def test_a_server_that_says_something_else(
    bare_server: BareServer, elsewhere: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of another kind: the timeout's text tells what it said instead."""

    class Impatient(Session):
        """Its time is short once something has come."""

        def wait_until_asked(self) -> None:
            with self.changed:
                self.changed.wait_for(lambda: self.transcript.inbox, 2 * SOON)
            self.timeout = 0.1
            super().wait_until_asked()

    monkeypatch.setattr(labkit.client.client, "Session", Impatient)
    joining = elsewhere.submit(ChatClient, "alice", bare_server.address)
    with bare_server.accept() as peer:
        peer.send("220 mail.example ESMTP")
        with pytest.raises(TimeoutError, match="instead came: 220 mail.example ESMTP"):
            joining.result(SOON)


def test_a_server_that_never_answers(bare_server: BareServer, elsewhere: ThreadPoolExecutor) -> None:
    """A server that asks, and then neither accepts nor refuses: TimeoutError, naming the nickname."""

    class Impatient(ChatClient):
        """Its time is short once it has been asked."""

        def answer(self, nickname: str) -> None:
            self._session.timeout = 0.1
            super().answer(nickname)

    joining = elsewhere.submit(Impatient, "alice", bare_server.address)
    with bare_server.accept() as peer:
        peer.send("nickname")
        assert peer.line() == "alice"
        with pytest.raises(
            TimeoutError, match="neither accepted nor refused the nickname 'alice' within 0.1 s"
        ):
            joining.result(SOON)


@pytest.mark.parametrize("go", [Wire.hang_up, Wire.reset])
@pytest.mark.parametrize("asks_first", [True, False])
def test_a_server_that_goes_in_the_handshake(
    bare_server: BareServer, elsewhere: ThreadPoolExecutor, go: Callable[[Wire], None], asks_first: bool
) -> None:
    """The server ends the connection, with FIN or RST, before or after it asked: said at once."""
    joining = elsewhere.submit(ChatClient, "alice", bare_server.address)
    with bare_server.accept() as peer:
        if asks_first:
            peer.send("nickname")
            assert peer.line() == "alice"
        go(peer)
        # A reset can come even before connect() has returned; no ConnectionEnded then: it never was here.
        with pytest.raises(ConnectionError, match="hung up|broke|reset by peer") as left:
            joining.result(SOON)
        assert ("answered by the end" in str(left.value)) == asks_first
        assert isinstance(left.value, ConnectionEnded) or go is Wire.reset


def test_a_server_without_a_word_of_welcome(
    fake: Callable[..., tuple[ChatClient, Wire]],
) -> None:
    """A student's server may know no welcome: the first line it sends means that alice is in."""
    alice, peer = fake(welcome="bob: hello")
    assert (alice.state, alice.nickname) == (HERE, "alice")
    assert alice.wait_for("hello") == "bob: hello"
    alice.say("hi")
    assert peer.line() == "hi"
    peer.hang_up()
    alice.leave()
    peer.close()


def test_a_banner_before_the_request(bare_server: BareServer, elsewhere: ThreadPoolExecutor) -> None:
    """A server may say something before it asks; that is no answer yet, and a refusal is still one."""
    joining = elsewhere.submit(ChatClient, "alice", bare_server.address)
    with bare_server.accept() as peer:
        peer.send("Welcome to my server!", "nickname")
        assert peer.line() == "alice"
        peer.send("! the nickname alice is taken", "nickname")
        peer.hang_up()
        try:
            with pytest.raises(NicknameRefused, match="alice is taken"):
                joining.result(SOON)
        finally:
            if not joining.exception(SOON):
                joining.result().leave()


def test_answering_a_raw_server_gone(bare_server: BareServer, elsewhere: ThreadPoolExecutor) -> None:
    """In RAW too, answering a server that has hung up is ConnectionEnded, and the client stays gone."""
    joining = elsewhere.submit(ChatClient, None, bare_server.address, framing=RAW)
    with bare_server.accept() as peer:
        peer.send_bytes(b"nickname")
        alice = joining.result(SOON)
        peer.hang_up()
        assert alice.wait_until_gone() == "the server hung up"
    with pytest.raises(ConnectionEnded):
        alice.answer("alice")
    assert alice.state == GONE
    alice.leave()


# --- addresses ---


def test_no_server_listens_there() -> None:
    """No server listens there: ConnectionRefusedError, with the address and a question worth asking."""
    with socket.socket() as bound:  # taken, and not listening
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(
            ConnectionRefusedError, match=f"nobody listens on 127.0.0.1:{port} .is the server running.."
        ):
            ChatClient("alice", ("127.0.0.1", port))


def test_no_such_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that does not exist: OSError, naming it."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(OSError, match="no such host: chat.example"):
        ChatClient("alice", ("chat.example", 14901))


@pytest.mark.parametrize("host", ["a" * 70, "a..b"])
def test_a_host_that_cannot_be_one(host: str) -> None:
    """A host name with a part that is too long, or empty, exists nowhere either: OSError, as documented."""
    with pytest.raises(OSError, match="no such host"):
        ChatClient("alice", (host, 14901))


@pytest.mark.parametrize("port", [-1, 65536, 99999, 2**40])
def test_a_port_that_cannot_be_one(port: int) -> None:
    """A port beyond 65535 is refused; the system's resolver would take it for another one."""
    with pytest.raises(ValueError, match=f"a port is a number from 0 to 65535, not {port}"):
        ChatClient("alice", ("127.0.0.1", port))


# --- saying and hearing ---


def test_all_others_hear_it(server: ChatServer) -> None:
    """A line goes to all others with the sender's name; a whisper to one alone."""
    with (
        ChatClient("alice", server.address) as alice,
        ChatClient("bob", server.address) as bob,
        ChatClient("carol", server.address) as carol,
    ):
        alice.wait_for("carol joined")
        alice.say("hello")
        assert bob.wait_for("hello") == "alice: hello"
        assert carol.wait_for("hello") == "alice: hello"
        alice.whisper("bob", "psst")
        assert bob.wait_for("psst") == "alice -> you: psst"
        alice.say("//who")
        assert carol.wait_for("who") == "alice: /who"
        assert not any("psst" in line for line in carol.transcript)
        assert alice.transcript[-3:] == ["> hello", "> /msg bob psst", "> //who"]


def test_wait_for_finds_each_line_once(server: ChatServer) -> None:
    """wait_for returns a line once; what did not match stays for another wait_for."""
    with ChatClient("alice", server.address) as alice, ChatClient("bob", server.address) as bob:
        for text in ("one", "two", "one again"):
            alice.say(text)
        assert bob.wait_for("two") == "alice: two"
        assert bob.wait_for("one") == "alice: one"
        assert bob.wait_for("one") == "alice: one again"
        with pytest.raises(TimeoutError):
            bob.wait_for("one", timeout=0.01)


def test_wait_for_a_pattern_or_a_function(server: ChatServer) -> None:
    """What is waited for may be a regular expression, or any function of a line."""
    with ChatClient("alice", server.address) as alice, ChatClient("bob", server.address) as bob:
        alice.say("the answer is 42")
        alice.say("and the question?")
        assert bob.wait_for(re.compile(r"\d+$")) == "alice: the answer is 42"
        assert bob.wait_for(lambda line: line.endswith("?")) == "alice: and the question?"


def test_wait_for_what_comes_later(server: ChatServer, elsewhere: ThreadPoolExecutor) -> None:
    """A wait that has begun ends with the line that comes."""
    with ChatClient("alice", server.address) as alice, ChatClient("bob", server.address) as bob:
        waiting = elsewhere.submit(bob.wait_for, "the end")
        for i in range(100):
            alice.say(f"line {i}")
        assert not waiting.done()
        alice.say("the end")
        assert waiting.result(SOON) == "alice: the end"
        assert [bob.wait_for("line") for _ in range(100)] == [f"alice: line {i}" for i in range(100)]


def is_shouted(line: str) -> bool:
    return line.isupper()


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("hello", "bob waited 0.01 s for 'hello'; instead came: "),
        (re.compile("^x+$"), "bob waited 0.01 s for a line like '^x+$'; instead came: "),
        (is_shouted, "bob waited 0.01 s for a line for which is_shouted holds; instead came: "),
    ],
)
def test_a_timeout_tells_what_came_instead(server: ChatServer, wanted: str, told: str) -> None:
    """wait_for's timeout names who waited, for what, and the last five lines not found yet."""
    with ChatClient("alice", server.address) as alice, ChatClient("bob", server.address) as bob:
        for i in range(7):
            alice.say(f"line {i}")
        bob.wait_for("line 6")
        with pytest.raises(TimeoutError) as timeout:
            bob.wait_for(wanted, timeout=0.01)
        assert str(timeout.value) == told + " | ".join(f"alice: line {i}" for i in range(1, 6))


def test_a_timeout_with_nothing_to_tell(server: ChatServer) -> None:
    """If nothing came, it says that."""
    with ChatClient("bob", server.address) as bob:
        bob.wait_for("you are")
        with pytest.raises(TimeoutError, match="^bob waited 0 s for 'x'; nothing came instead$"):
            bob.wait_for("x", timeout=0)


def test_a_line_at_the_very_last_moment_is_found(server: ChatServer) -> None:
    """What came while the wait was giving up is returned, not named in the timeout as what came instead."""
    with ChatClient("bob", server.address) as bob:

        class TooLate(threading.Condition):
            """The line comes after the wait has given up, and before it has the lock again."""

            def wait(self, timeout: float | None = None) -> bool:
                threading.Event().wait(timeout)
                bob._transcript.inbox.append("alice: hello")
                return False

        transcript = bob._transcript
        kept, transcript.changed = transcript.changed, TooLate()
        try:
            assert bob.wait_for("hello", timeout=0.01) == "alice: hello"
        finally:
            transcript.changed = kept


def test_transcript_and_tail(server: ChatServer) -> None:
    """The transcript has what was heard and what was said, in order; tail has its last lines."""
    with ChatClient("alice", server.address) as alice, ChatClient("bob", server.address) as bob:
        alice.wait_for("bob joined")
        alice.say("hello")
        bob.wait_for("hello")
        bob.say("hi")
        alice.wait_for("hi")
        assert alice.transcript == ["* you are alice, in lobby", "* bob joined", "> hello", "bob: hi"]
        assert bob.transcript == ["* you are bob, in lobby", "alice: hello", "> hi"]
        assert alice.tail(2) == ["> hello", "bob: hi"]
        assert alice.tail(100) == alice.transcript and alice.tail(0) == []
        alice.transcript.clear()  # a copy
        assert len(alice.transcript) == 4


def test_say_refuses_two_lines(server: ChatServer) -> None:
    """An LF in a text would make two lines of it: ValueError, and nothing is sent."""
    with ChatClient("alice", server.address) as alice, ChatClient("bob", server.address) as bob:
        alice.wait_for("bob joined")
        with pytest.raises(ValueError, match="a line cannot hold an LF"):
            alice.say("one\n* bob left (quit)")
        alice.say("next")
        assert bob.wait_for(lambda _: True).endswith("you are bob, in lobby")
        assert bob.wait_for(lambda _: True) == "alice: next"
        assert alice.transcript == ["* you are alice, in lobby", "* bob joined", "> next"]


def test_what_the_server_refuses_is_heard(server: ChatServer) -> None:
    """A line that the server refuses is answered by `! …`, and the connection stands."""
    with ChatClient("alice", server.address) as alice, ChatClient("bob", server.address) as bob:
        alice.say("x" * 5000)
        assert alice.wait_for("!") == "! too long: a line has at most 4096 bytes"
        alice.say("/dance")
        assert alice.wait_for("!").startswith("! no such command: /dance")
        alice.say("still here")
        assert bob.wait_for("here") == "alice: still here"


def test_a_line_that_is_too_long_to_hear(fake: Callable[..., tuple[ChatClient, Wire]]) -> None:
    """A server that sends an over-long line costs that line alone; controls become visible."""
    alice, peer = fake()
    peer.send("x" * 5000, "bob: \x1b[2Jhello")
    assert alice.wait_for("dropped") == "! a line of more than 4096 bytes came, and was dropped"
    assert alice.wait_for("bob") == "bob: ␛[2Jhello"
    peer.hang_up()
    alice.leave()
    peer.close()


def test_rename_and_move(server: ChatServer) -> None:
    """/nick and /join are told by the server's word of welcome, and the client follows."""
    with ChatClient("alice", server.address) as alice:
        alice.wait_for("you are")
        alice.say("/nick al")
        alice.wait_for("you are")
        alice.say("/join tea")
        alice.wait_for("you are")
        assert (alice.nickname, alice.room) == ("al", "tea")


def test_on_change_is_told_of_everything(server: ChatServer) -> None:
    """A listener is called after lines heard, lines said, freezing, thawing and the end."""
    with ChatClient("alice", server.address) as alice:
        alice.wait_for("you are")
        states: list[str] = []
        heard = threading.Event()

        def listener() -> None:
            states.append(alice.state)
            if alice.tail(1)[0].endswith("//TEXT: says /TEXT"):
                heard.set()

        alice.on_change(listener)
        alice.say("/help")
        assert heard.wait(SOON)
        alice.freeze()
        alice.thaw()
        alice.leave()
        assert states[0] == HERE and FROZEN in states and states[-1] == GONE


def test_what_threads_share_is_guarded(server: ChatServer) -> None:
    """Whoever looks at a client, or tells of it, has its lock."""
    with ChatClient("alice", server.address) as alice:
        transcript, session = alice._transcript, alice._session
        takes(
            transcript,
            "changed",
            lambda: alice.tail(1),
            lambda: alice.on_change(lambda: None),
            transcript.tell_listeners,
            lambda: alice.wait_for("you are alice"),
        )
        takes(alice, "_changed", lambda: alice.transcript, lambda: alice.state)
        takes(session, "changed", lambda: alice.say("hello"))
    with ChatClient("bob", [server.address]) as bob:
        takes(bob._session, "changed", lambda: bob.say("hello"), times=2)


def test_two_threads_speak(server: ChatServer, elsewhere: ThreadPoolExecutor) -> None:
    """Lines that several threads say are never mixed, and each thread's stay in order."""
    with ChatClient("alice", server.address) as alice, ChatClient("bob", server.address) as bob:

        def speak(me: int) -> None:
            for i in range(200):
                alice.say(f"{me} says {i} " + "x" * 300)

        for done in [elsewhere.submit(speak, me) for me in range(4)]:
            done.result(SOON)
        for me in range(4):
            lines = [bob.wait_for(f"alice: {me} says ") for _ in range(200)]
            assert lines == [f"alice: {me} says {i} " + "x" * 300 for i in range(200)]


# --- leaving, and misbehaving ---


def test_leave_is_a_goodbye(server: ChatServer) -> None:
    """leave() ends with FIN: the others hear `hung up`; twice does no harm; then there is no saying."""
    with ChatClient("alice", server.address) as alice, ChatClient("bob", server.address) as bob:
        alice.leave()
        assert bob.wait_for("left") == "* alice left (hung up)"
        alice.leave()
        alice.abort()
        assert alice.end == "you left"
        with pytest.raises(ConnectionEnded, match="^alice cannot say 'hello': you left$"):
            alice.say("hello")
        assert alice.transcript[-1] != "> hello"
        with pytest.raises(ConnectionEnded, match="^alice waited for 'x', but you left; "):
            alice.wait_for("x")
        assert alice.wait_for("bob joined") == "* bob joined"  # what had come can still be found


def test_leaving_waits_for_the_servers_last_words(
    fake: Callable[..., tuple[ChatClient, Wire]], elsewhere: ThreadPoolExecutor
) -> None:
    """Between our goodbye and its own, what it says is heard."""
    alice, peer = fake()
    leaving = elsewhere.submit(alice.leave)
    assert peer.to_the_end() == []
    done, _ = wait([leaving], 0.1)
    assert not done
    peer.send("* one more thing")
    peer.close()
    leaving.result(SOON)
    assert alice.transcript[-1] == "* one more thing"
    assert (alice.end, alice.state) == ("you left", GONE)


def test_what_was_said_before_leaving_arrives(server: ChatServer) -> None:
    """leave() right after say(): nothing said is lost."""
    with ChatClient("bob", server.address) as bob:
        alice = ChatClient("alice", server.address)
        for i in range(500):
            alice.say(f"line {i}")
        alice.leave()
        bob.wait_for("alice left (hung up)")
        assert [line for line in bob.transcript if "line" in line] == [
            f"alice: line {i}" for i in range(500)
        ]


def test_abort_ends_with_rst(server: ChatServer) -> None:
    """abort() ends with RST: the others hear `vanished`."""
    with ChatClient("alice", server.address) as alice, ChatClient("bob", server.address) as bob:
        alice.abort()
        assert bob.wait_for("left") == "* alice left (vanished)"
        assert (alice.state, alice.end) == (GONE, "you aborted")
        alice.leave()
        with pytest.raises(ConnectionEnded, match="you aborted"):
            alice.say("hello")


def test_quit(server: ChatServer) -> None:
    """/quit: the server says goodbye, and the others hear `quit`."""
    with ChatClient("alice", server.address) as alice, ChatClient("bob", server.address) as bob:
        alice.say("/quit")
        assert bob.wait_for("left") == "* alice left (quit)"
        assert alice.wait_until_gone() == "the server hung up"


def test_wait_until_gone_times_out(server: ChatServer) -> None:
    """While the connection stands, wait_until_gone says so."""
    with ChatClient("alice", server.address) as alice:
        with pytest.raises(TimeoutError, match="alice is still connected after 0.01 s"):
            alice.wait_until_gone(timeout=0.01)


def test_freeze_and_thaw(server: ChatServer) -> None:
    """A frozen client hears nothing and is still there; thawed, it hears all it missed, in order."""
    with ChatClient("alice", server.address) as alice, ChatClient("bob", server.address) as bob:
        alice.wait_for("bob joined")  # quiet now
        alice.freeze()
        assert alice.state == FROZEN
        alice.say("I can still speak")
        bob.wait_for("still speak")
        with ChatClient("carol", server.address) as carol:
            for i in range(100):
                bob.say(f"line {i}")
            carol.wait_for("line 99")
        bob.wait_for("carol left (hung up)")
        assert alice.transcript[-1] == "> I can still speak"
        assert server.roster() == ["alice", "bob"]
        alice.thaw()
        assert alice.state == HERE
        alice.wait_for("carol left")
        assert [line for line in alice.transcript if "line" in line] == [
            f"bob: line {i}" for i in range(100)
        ]


@pytest.mark.parametrize(("how", "reason"), [("leave", "hung up"), ("abort", "vanished")])
def test_a_frozen_client_can_go(server: ChatServer, how: str, reason: str) -> None:
    """A frozen client leaves like any other, without hanging."""
    with ChatClient("alice", server.address) as alice, ChatClient("bob", server.address) as bob:
        alice.wait_for("bob joined")
        alice.freeze()
        bob.say("are you there?")
        getattr(alice, how)()
        assert bob.wait_for("alice left") == f"* alice left ({reason})"


def test_a_frozen_client_is_let_go_in_the_end() -> None:
    """Who stops reading for longer than the server's grace was too slow, and learns it when thawed."""
    with ChatServer(port=0, limits=Limits(grace=0.2)) as server:
        with ChatClient("alice", server.address) as alice, ChatClient("bob", server.address) as bob:
            alice.wait_for("bob joined")
            alice.freeze()
            while "alice" in server.roster():  # until the socket's buffers are full and the grace is over
                bob.say("x" * 4000)
            assert bob.wait_for("alice left") == "* alice left (was too slow)"
            alice.thaw()
            assert re.match("the connection broke|the server hung up", alice.wait_until_gone())


def test_the_server_stops(server: ChatServer) -> None:
    """server.stop(): all hear `* server stopped`, then know that the server hung up."""
    clients = [ChatClient(name, server.address) for name in ("alice", "bob", "carol")]
    server.stop()
    for client in clients:
        assert client.wait_for("stopped") == "* server stopped"
        assert client.wait_until_gone() == "the server hung up"
        with pytest.raises(
            ConnectionEnded, match=f"^{client.nickname} cannot say 'hello': the server hung up$"
        ):
            client.say("hello")
        client.leave()


def test_the_server_goes_without_a_word(fake: Callable[..., tuple[ChatClient, Wire]]) -> None:
    """FIN from the server, nothing before it: noticed at once, and waiting threads are told."""
    alice, peer = fake()
    peer.close()
    with pytest.raises(ConnectionEnded, match="^alice waited for 'x', but the server hung up; "):
        alice.wait_for("x")
    with pytest.raises(ConnectionEnded, match="the server hung up"):
        alice.say("hello")
    alice.leave()


def test_the_server_dies(
    fake: Callable[..., tuple[ChatClient, Wire]], elsewhere: ThreadPoolExecutor
) -> None:
    """RST from the server: noticed at once, by a wait that had begun too."""
    alice, peer = fake()
    waiting: Future[str] = elsewhere.submit(alice.wait_for, "x")
    peer.reset()
    with pytest.raises(ConnectionEnded, match="but the connection broke"):
        waiting.result(SOON)
    assert alice.wait_until_gone().startswith("the connection broke (")
    with pytest.raises(ConnectionEnded, match="^alice cannot say 'hello': the connection broke"):
        alice.say("hello")
    alice.leave()


def test_a_server_that_stops_reading(elsewhere: ThreadPoolExecutor) -> None:
    """say() waits for a server that does not read no longer than the timeout; then the client is gone."""
    with BareServer(receive_buffer=4096) as deaf:
        joining = elsewhere.submit(ChatClient, "alice", deaf.address)
        with deaf.accept() as peer:
            peer.send("nickname")
            assert peer.line() == "alice"
            peer.send("* you are alice, in lobby")
            alice = joining.result(SOON)
            alice._session.timeout = alice._session.connection.timeout = 0.3
            with pytest.raises(TimeoutError, match="^the server read nothing for 0.3 s$"):
                alice.say("x" * 20_000_000)
            assert alice.wait_until_gone() == "the server read nothing for 0.3 s"
            with pytest.raises(ConnectionEnded, match="the server read nothing"):
                alice.say("hello")
            alice.leave()


def test_vanish_does_not_wait_for_a_say(elsewhere: ThreadPoolExecutor) -> None:
    """It aborts at once, even while another thread is in the middle of a long say()."""
    need(hasattr(select, "poll"), "needs poll, to see a reset without reading")
    with BareServer(receive_buffer=4096) as deaf:
        joining = elsewhere.submit(ChatClient, "alice", deaf.address, timeout=60.0)
        with deaf.accept() as peer:
            peer.send("nickname")
            assert peer.line() == "alice"
            peer.send("* you are alice, in lobby")
            alice = joining.result(SOON)
            saying = elsewhere.submit(alice.say, "x" * 20_000_000)
            assert peer.sock.recv(1, socket.MSG_PEEK)
            full = select.poll()
            full.register(alice._session.connection.sock, select.POLLOUT)
            while full.poll(100):
                assert not saying.done()  # until there is no room, and the sending thread waits for it
            alice.abort()
            reset = select.poll()
            reset.register(peer.sock, 0)  # POLLERR and POLLHUP are told of unasked
            seen = reset.poll(10_000)
            with pytest.raises((ConnectionEnded, TimeoutError)):
                saying.result(SOON)
            assert seen


def test_leave_does_not_wait_for_a_silent_server(
    fake: Callable[..., tuple[ChatClient, Wire]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that never answers our FIN with its own is left all the same, after GOODBYE seconds."""
    monkeypatch.setattr(labkit.client.client, "GOODBYE", 0.1)
    alice, peer = fake()
    alice.leave()
    assert (alice.state, alice.end) == (GONE, "you left")
    peer.close()


def test_heartbeats(fake: Callable[..., tuple[ChatClient, Wire]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that says nothing sends an empty line now and then; they are no part of its transcript."""
    alice, peer = fake()
    monkeypatch.setattr(labkit.client.connection, "HEARTBEAT", 0.02)
    peer.send("bob: hello")  # wakes the receiving thread, which then looks at the clock
    assert peer.lines(3) == ["", "", ""]
    alice.say("hello")
    assert [line for line in peer.until("hello") if line] == ["hello"]
    assert peer.lines(2) == ["", ""]
    assert alice.transcript == ["* you are alice, in lobby", "bob: hello", "> hello"]
    peer.hang_up()
    alice.leave()
    peer.close()


def test_no_heartbeat_in_raw(
    bare_server: BareServer, elsewhere: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the assignment's dialect an empty line would be a message: none is sent."""
    monkeypatch.setattr(labkit.client.connection, "HEARTBEAT", 0.01)
    joining = elsewhere.submit(ChatClient, "alice", bare_server.address, framing=RAW)
    with bare_server.accept() as peer:
        peer.send_bytes(b"nickname")
        assert peer.recv() == "alice"
        alice = joining.result(SOON)
        with pytest.raises(TimeoutError):
            alice.wait_for("nothing", timeout=0.2)  # many times as long as it would take
        alice.say("hello")
        assert peer.recv() == "hello"
        peer.hang_up()
        alice.leave()


def test_a_quiet_client_stays_where_silence_is_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats are enough for a server that lets go of the silent, as nc is."""
    monkeypatch.setattr(labkit.client.connection, "HEARTBEAT", 0.05)
    with ChatServer(port=0, limits=Limits(silence=2.0)) as server:
        with ChatClient("alice", server.address) as alice, Wire.joined(server.address, "nc") as silent:
            assert alice.wait_for("left", timeout=4 * SOON) == "* nc left (went silent)"
            assert server.roster() == ["alice"]
            silent.to_the_end()


def test_fifty_at_once(server: ChatServer, elsewhere: ThreadPoolExecutor) -> None:
    """Fifty clients come at the same moment, speak once each, and hear each of the others once."""
    names = [f"client{i}" for i in range(50)]
    clients = list(elsewhere.map(lambda name: ChatClient(name, server.address), names))
    assert sorted(server.roster()) == sorted(names)
    for client in clients:
        client.say(f"I am {client.nickname}.")
    for client in clients:
        for name in names:
            if name != client.nickname:
                assert client.wait_for(f"I am {name}.") == f"{name}: I am {name}."
        assert sum("I am" in line for line in client.transcript) == 50  # its own too
    list(elsewhere.map(ChatClient.leave, clients))
    for name in names:
        server.journal.wait_for("left", name)
    assert server.roster() == []


def test_an_empty_nickname_is_refused_at_once(server: ChatServer) -> None:
    """On the wire an empty line is a heartbeat: the server would wait on, and so would we."""
    with pytest.raises(ValueError, match="an empty line is no nickname"):
        ChatClient("", server.address)


def test_the_transcript_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps so many lines, and so many characters: a few long lines are as much as many short ones."""
    monkeypatch.setattr("labkit.client.transcript.KEPT_CHARACTERS", 1000)
    lines = Lines()
    for n in range(100):
        lines.append(f"{n:02}" + "x" * 98)
    assert [line[:2] for line in lines] == [f"{n}" for n in range(90, 100)]
    assert lines.characters == 1000
    monkeypatch.setattr("labkit.client.transcript.KEPT", 3)
    lines.append("y")
    assert [len(line) for line in lines] == [100, 100, 1]


def test_what_was_found_no_longer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """`wait_for` makes room for others in the inbox."""
    monkeypatch.setattr("labkit.client.transcript.KEPT_CHARACTERS", 20)
    transcript = Transcript()
    with transcript.changed:
        transcript.keep("first line")
    assert transcript.wait_for("first", 1, "alice") == "first line"
    with transcript.changed:
        for text in ("0123456789", "9876543210"):
            transcript.keep(text)
    assert transcript.wait_for("0123", 1, "alice") == "0123456789"
    assert transcript.inbox.characters == 10
