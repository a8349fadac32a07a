"""password.py, and what uses it: who does not know it learns nothing, and it is shown nowhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from threading import Semaphore
from time import monotonic

import pytest
from certificates import make
from programs import CLEAN, LABKIT, PATIENCE, OnTerminal, Program, Serving
from support import SOON, BareServer, Wire

from labkit import RAW, ChatClient, ChatServer, Limits
from labkit.classic import ClassicClient, ClassicServer
from labkit.client import HERE, JOINING, ConnectionEnded, NicknameRefused, PasswordNeeded, WrongPassword
from labkit.instruments.ladder import Ladder
from labkit.instruments.link import Link
from labkit.instruments.panel import ChatPanel, ServerPanel
from labkit.server.password import LONGEST, Password
from labkit.wire.framing import FRAMINGS
from labkit.wire.messages import HUNG_UP, NO_PASSWORD, PasswordRequest, Said, from_server

SECRET = "open sesame"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(port=0, password=SECRET) as running:
        yield running


def asked(address: tuple[str, int], nickname: str) -> Wire:
    """A bare peer that has given its nickname, and is asked for the password."""
    wire = Wire(address)
    assert wire.line() == "nickname"
    wire.send(nickname)
    assert wire.line() == "password"
    return wire


# --- the password alone ---


def test_it_fits_or_not() -> None:
    """The same text, in whatever form Unicode has for it; upper case, spaces and length count."""
    password = Password("Öffne dich, Sesam")
    assert password.fits("Öffne dich, Sesam")
    assert password.fits("O\u0308ffne dich, Sesam") and password.fits("Öffne\u00a0dich, Sesam")
    for wrong in ("öffne dich, Sesam", "Öffne dich, Sesam ", "Öffne dich", "", "\n", "x" * 10**6, None, 7):
        assert not password.fits(wrong)


def test_it_cannot_be_read() -> None:
    """Neither by its repr nor in what it keeps."""
    password = Password(SECRET)
    assert repr(password) == str(password) == "<Password>"
    assert SECRET.encode() not in b"".join(
        bytes(value) for name in password.__slots__ if isinstance(value := getattr(password, name), bytes)
    )


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("", "the password is empty; without one, nobody is asked for it"),
        ("two\nlines", "the password holds a character that cannot be typed"),
        ("bell\a", "the password holds a character that cannot be typed"),
        ("\ud800", "the password holds a character that cannot be typed"),
        ("é" * LONGEST, "the password is too long: it has at most 256 bytes"),
        (12345, "a password is text, not int"),
    ],
)
def test_what_cannot_be_a_password(bad: object, why: str) -> None:
    """Told when the server is made, and without repeating it."""
    with pytest.raises(ValueError) as refused:
        ChatServer(port=0, password=bad)  # type: ignore[arg-type]
    assert str(refused.value) == why


def test_the_longest_one() -> None:
    """256 bytes fit on the shortest line that Limits allow, and in a recv of the raw dialect."""
    longest = "é" * (LONGEST // 2)
    with ChatServer(port=0, password=longest, limits=Limits(line=512)) as server:
        with ChatClient("alice", server.address, password=longest):
            assert server.roster() == ["alice"]


# --- the wire ---


def test_by_hand(server: ChatServer) -> None:
    """With nc: asked for the nickname, for the password, told what is wrong, asked again, let in."""
    with asked(server.address, "alice") as alice:
        alice.send("sesame")
        assert alice.lines(2) == ["! wrong password", "password"]
        alice.send("", SECRET)  # an empty line is a sign of life, and no try
        assert alice.line() == "* you are alice, in lobby"


def test_in_one_breath(server: ChatServer) -> None:
    """Nickname, password and more, in one send."""
    with Wire(server.address) as alice:
        alice.send("alice", SECRET, "/who")
        assert alice.lines(4) == [
            "nickname",
            "password",
            "* you are alice, in lobby",
            "* in lobby: alice",
        ]


def test_three_wrong_ones_end_it(server: ChatServer) -> None:
    """The third is the last; another client may go on trying, and get in."""
    with asked(server.address, "mallory") as mallory, asked(server.address, "alice") as alice:
        mallory.send("1", "2", "x" * 5000)
        assert mallory.to_the_end() == [
            "! wrong password",
            "password",
            "! wrong password",
            "password",
            "! wrong password; that was the last try",
        ]
        assert server.journal.wait_for("left").what == NO_PASSWORD
        alice.send(SECRET)
        assert alice.line() == "* you are alice, in lobby"


def test_strangers_learn_no_nicknames(server: ChatServer) -> None:
    """A taken nickname, and one that cannot be, are answered by `password` like any other: only a client
    that knows it is told. It is asked for once."""
    with ChatClient("alice", server.address, password=SECRET):
        for nickname in ("alice", "*", "bob"):
            with asked(server.address, nickname) as stranger:
                stranger.hang_up()
                assert stranger.to_the_end() == []
        with asked(server.address, "Alice") as friend:
            friend.send(SECRET)
            assert friend.lines(2) == ["! the nickname Alice is taken", "nickname"]
            friend.send("bob")
            assert friend.line() == "* you are bob, in lobby"


def test_no_nickname_is_kept_while_the_password_is_awaited(server: ChatServer) -> None:
    """A client that knows it gets the nickname meanwhile; the others do not hear of the one asked."""
    with asked(server.address, "alice") as squatter:
        assert server.roster() == []
        with ChatClient("alice", server.address, password=SECRET) as alice:
            squatter.send(SECRET)
            assert squatter.lines(2) == ["! the nickname alice is taken", "nickname"]
            squatter.send("/quit")
            assert squatter.line().startswith("! that nickname will not do")
            squatter.hang_up()
            server.journal.wait_for("left")
            alice.say("/who")
            alice.wait_for("in lobby: alice")
            assert not any("joined" in line or "left" in line for line in alice.transcript)


def test_it_counts_in_the_time_of_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that takes too long is let go, and told what was lacking; a heartbeat gives no more time."""
    ahead = 0.0
    monkeypatch.setattr("labkit.server.handshake.monotonic", lambda: monotonic() + ahead)
    with ChatServer(port=0, password=SECRET, limits=Limits(handshake=600)) as server:
        started = monotonic()
        with asked(server.address, "alice") as alice:
            ahead = 598.5  # whatever it took until now, this much is left of what began with it
            alice.send("")
            assert alice.to_the_end() == ["! no password within 600 s"]
            assert 1.4 < monotonic() - started < 3 * SOON
        assert server.journal.wait_for("left").what == NO_PASSWORD


def test_leaving_instead_of_answering(server: ChatServer) -> None:
    """FIN while the password is asked for; stop does not wait for it either."""
    with asked(server.address, "alice") as alice:
        alice.hang_up()
        assert server.journal.wait_for("left").what == HUNG_UP
    with asked(server.address, "bob") as bob:
        server.stop()
        assert bob.to_the_end() == ["* server stopped"]


def test_the_line_password_is_a_request_and_nothing_else_is() -> None:
    """What a client says begins with a nickname, so no room line can be taken for it."""
    assert from_server("password") == PasswordRequest()
    assert PasswordRequest().line() == "password"
    assert from_server("alice: password") == Said("alice", "password")


def test_without_a_password_no_client_is_asked() -> None:
    """As ever; a client that has one keeps it to itself."""
    with ChatServer(port=0) as server, Link(server.address) as link:
        with ChatClient("alice", link.address, password=SECRET) as alice:
            alice.say("hello")
            server.journal.wait_for("said", "alice")
        assert SECRET not in repr(link.journal) and "password" not in repr(link.journal)


# --- labkit's client ---


def test_the_client_answers(server: ChatServer) -> None:
    """It gives its password when it is asked, and is here when ChatClient() returns."""
    with ChatClient("alice", server.address, password=SECRET) as alice:
        assert (alice.state, alice.nickname, alice.room) == (HERE, "alice", "lobby")
        assert alice.transcript == ["* you are alice, in lobby"]


def test_a_client_without_one(server: ChatServer) -> None:
    """A clear error, and nothing stays behind; so for a wrong one, and for one that cannot be sent."""
    with pytest.raises(PasswordNeeded, match="^the server asks for a password, and none was given$"):
        ChatClient("alice", server.address)
    with pytest.raises(WrongPassword, match="^wrong password$"):
        ChatClient("alice", server.address, password="sesame")
    for bad in ("", "two\nlines"):
        with pytest.raises(ValueError, match="^a password is not empty, and holds no line end$"):
            ChatClient("alice", server.address, password=bad)
    with ChatServer(port=0, password=SECRET, limits=Limits(refusals=1)) as strict:
        with pytest.raises(WrongPassword, match="^wrong password; that was the last try$"):
            ChatClient("alice", strict.address, password="sesame")
    assert server.roster() == []


def test_giving_it_later(server: ChatServer) -> None:
    """`answer` and `give_password`, step by step; and what is said meanwhile does not go out as a guess."""
    with ChatClient(None, server.address) as alice:
        with pytest.raises(ValueError, match="does not ask for a password"):
            alice.give_password(SECRET)
        with pytest.raises(PasswordNeeded):
            alice.answer("alice")
        assert alice.asks_for_password and alice.state == JOINING
        with pytest.raises(PasswordNeeded, match="give_password, and then say"):
            alice.say("hello")
        for _ in range(2):
            with pytest.raises(WrongPassword):
                alice.give_password("sesame")
        alice.give_password(SECRET)
        assert (alice.state, alice.asks_for_password) == (HERE, False)
        alice.say("hello")
        server.journal.wait_for("said", "alice")
    with pytest.raises(ConnectionEnded):
        alice.give_password(SECRET)


def test_the_right_password_and_a_taken_nickname(server: ChatServer) -> None:
    """It is the nickname that is refused then, and another one will do, without the password."""
    with ChatClient("alice", server.address, password=SECRET):
        with pytest.raises(NicknameRefused, match="taken"):
            ChatClient("alice", server.address, password=SECRET)
        with ChatClient(None, server.address, password=SECRET) as second:
            with pytest.raises(NicknameRefused, match="taken"):
                second.answer("alice")
            second.answer("bob")
            assert server.roster() == ["alice", "bob"]


def test_saying_password_gets_no_password(bare_server: BareServer, elsewhere: ThreadPoolExecutor) -> None:
    """Only right behind the nickname is `password` a request: later it is a line, as it may be on a server
    that relays what it was sent, line ends and all."""
    joining = elsewhere.submit(ChatClient, "alice", bare_server.address, password=SECRET)
    with bare_server.accept() as peer:
        peer.send("nickname")
        assert peer.line() == "alice"
        peer.send("* you are alice, in lobby", "bob: look", "password", "bob: and?")
        with joining.result(SOON) as alice:
            assert alice.wait_for("password") == "password"
            alice.wait_for("bob: and?")
            assert not alice.asks_for_password
            alice.say("nothing to see")
            assert peer.line() == "nothing to see"
            peer.hang_up()


# --- the raw dialect ---


@pytest.fixture
def raw_server() -> Iterator[ChatServer]:
    with ChatServer(port=0, framing=RAW, password=SECRET) as running:
        yield running


@pytest.fixture
def refusal_read(raw_server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> Semaphore:
    """Release it when a refusal was read: only then does the request follow, which a client that was slower
    than RAW_PAUSE would take for a part of it."""
    read = Semaphore(0)
    monkeypatch.setattr(raw_server._ending, "wait", lambda seconds: read.acquire(timeout=SOON))
    return read


def test_raw_by_hand(raw_server: ChatServer, refusal_read: Semaphore) -> None:
    """Each request is a recv of its own, also after a refusal."""
    with Wire(raw_server.address) as alice:
        for expected, answer in (
            ("nickname", "alice"),
            ("password", "sesame"),
            ("! wrong password", None),
            ("password", SECRET),
            ("* you are alice, in lobby", "hello"),
        ):
            assert alice.recv() == expected
            if answer is not None:
                alice.send_bytes(answer.encode())
            else:
                refusal_read.release()
        raw_server.journal.wait_for("said", "alice")


def test_raw_client(raw_server: ChatServer, refusal_read: Semaphore) -> None:
    """With the right one it is here; with a wrong one it is told; without one it cannot say anything."""
    with ChatClient("alice", raw_server.address, framing=RAW, password=SECRET) as alice:
        assert alice.state == HERE
        assert raw_server.roster() == ["alice"]
        with pytest.raises(WrongPassword):
            ChatClient("bob", raw_server.address, framing=RAW, password="sesame")
        refusal_read.release()
        with pytest.raises(NicknameRefused, match="taken"):
            ChatClient("alice", raw_server.address, framing=RAW, password=SECRET)
        refusal_read.release()
    with pytest.raises(PasswordNeeded):
        with ChatClient("carol", raw_server.address, framing=RAW) as carol:
            raw_server.journal.wait_for("left", "alice")
            with carol._changed:
                carol._changed.wait_for(lambda: carol.asks_for_password, SOON)
            carol.say("hello")
    assert raw_server.roster() == []


def test_the_assignments_own_client(raw_server: ChatServer) -> None:
    """It knows nothing of passwords, and needs not: it shows the request, and what is typed answers it."""
    shown: Queue[str] = Queue()
    alice = ClassicClient("alice", raw_server.address, show=shown.put)
    try:
        # Not before: in one recv with the nickname it would be taken for a part of that.
        assert shown.get(timeout=SOON) == "password"
        with ChatClient("bob", raw_server.address, framing=RAW, password=SECRET) as bob:
            bob.wait_for("you are bob")
            alice.write(SECRET)
            bob.wait_for("alice joined")
    finally:
        alice.close()


def test_raw_with_the_assignments_own_server() -> None:
    """A server without a password says nothing to a nickname: that lets us in, and the password stays."""
    with ClassicServer(port=0) as classic:
        with ChatClient("bob", classic.address, framing=RAW) as bob:
            with ChatClient("alice", classic.address, framing=RAW, password=SECRET, timeout=1.5) as alice:
                assert alice.state == HERE
                bob.say("look\npassword")  # stays two lines
                alice.wait_for("bob: look")
                alice.say("I looked")
                assert bob.wait_for("alice") == "alice: I looked"
                assert SECRET not in "".join(bob.transcript)


# --- never shown ---


def test_it_is_shown_nowhere(server: ChatServer) -> None:
    """Not in journal, ladder, panel, transcript or repr; right or wrong."""
    with ChatClient("alice", server.address, password=SECRET) as alice:
        with pytest.raises(WrongPassword) as refused:
            ChatClient("bob", server.address, password="wrong " + SECRET)
        server.journal.wait_for("left")
        panels = ChatPanel(alice), ServerPanel(server)
        seen = [
            repr(server),
            repr(server.journal),
            repr(Ladder(server.journal)),
            Ladder(server.journal).mermaid(),
            repr(server.present()),
            repr(alice),
            repr(alice.transcript),
            repr(refused.value),
            *map(repr, panels),
        ]
    assert all(seen) and "joined" in seen[1]
    for text in seen:
        assert SECRET not in text
    server.stop()
    with pytest.raises(ConnectionEnded):
        panels[0].wait_for("nothing more")


def test_under_tls_not_even_a_tap_shows_it(tmp_path: Path) -> None:
    """A link shows what passes: in plain text the password, under TLS nothing."""
    certificate = make(tmp_path, "class")
    for files, trusted in ((None, None), (certificate.files, certificate.pem)):
        with ChatServer(port=0, password=SECRET, tls=files) as server, Link(server.address) as link:
            with ChatClient("alice", link.address, password=SECRET, tls=trusted):
                assert (SECRET in repr(link.journal)) == (files is None)


# --- the commands ---


def in_environment(password: str) -> dict[str, str]:
    return {**CLEAN, "LABKIT_PASSWORD": password}


def test_serve_and_join(tmp_path: Path) -> None:
    """The password from a file and from the environment: it works, and the list of processes lacks it."""
    psutil = pytest.importorskip("psutil")
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\nanother line\n", encoding="utf-8")
    with Serving("--password-file", str(file)) as server:
        where = ("--host", server.address[0], "--port", str(server.address[1]))
        command = (*LABKIT, "join", "alice", *where)
        with Program(*command, environment=in_environment(SECRET)) as alice:
            alice.until("* you are alice, in lobby\n")
            with Program(*command[:-5], "bob", *where, "--password-file", str(file)) as bob:
                bob.until("* you are bob, in lobby\n")
                for program in (server, alice, bob):
                    assert SECRET not in " ".join(psutil.Process(program.process.pid).cmdline())
                bob.hang_up()
                assert bob.ends() == 0
        with Program(*command, environment=in_environment("sesame")) as wrong:
            assert wrong.fails() == "wrong password"
        with Program(*command) as without:
            assert without.fails() == (
                "the server asks for a password: give it by --password-file FILE, or in LABKIT_PASSWORD"
            )
        with Program(*command, "--password", SECRET) as carol:
            carol.until("* you are alice, in lobby\n")
        server.interrupt()
        assert server.ends() == 0
        assert SECRET not in server.said + server.complaints()


def test_a_wrong_command_line(tmp_path: Path) -> None:
    """One line each, and the password in none."""
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.touch()
    binary.write_bytes(b"\xff\xfe\n")
    for options, why in (
        (("--password-file", "no.txt"), "cannot read the password file no.txt: No such file or directory"),
        (("--password-file", str(empty)), f"the first line of the password file {empty} is empty"),
        (("--password-file", str(binary)), f"the password file {binary} is not UTF-8"),
        (("--password", ""), "the password is empty; without one, nobody is asked for it"),
        (("--password", SECRET + "\a"), "the password holds a character that cannot be typed"),
        (("--password",), "there is no terminal to ask for the password: use --password-file FILE"),
    ):
        with Program(*LABKIT, "serve", "--port", "0", *options) as server:
            assert server.fails() == why


def test_the_warning_says_what_is_still_open(tmp_path: Path) -> None:
    """Before strangers: with a password, that it can be read on the way; with both, nothing."""
    certificate = make(tmp_path, "class")
    tls = ("--tls-cert", certificate.pem, "--tls-key", certificate.key)
    password = ("--password", SECRET)
    for options, words in ((password, "nothing is encrypted"), (tls, "there is no password")):
        with Serving("--host", "0.0.0.0", *options) as server:
            server.interrupt()
            assert server.ends() == 0
            assert words in " ".join(server.complaints().split())
    with Serving("--host", "0.0.0.0", *password, *tls) as server:
        server.interrupt()
        assert server.ends() == 0
        assert server.complaints() == ""


def on_terminal(address: tuple[str, int], *more: str) -> OnTerminal:
    return OnTerminal(*LABKIT, "join", *more, "--host", address[0], "--port", str(address[1]))


@pytest.mark.parametrize("framing", ["lines", "raw"])
def test_a_person_is_asked(framing: str) -> None:
    """At a terminal `join` asks when the server does, as often as the server does; nothing shows it, nor
    does the arrow up bring it back."""
    with ChatServer(port=0, password=SECRET, framing=FRAMINGS[framing]) as server:
        with on_terminal(server.address, "alice", "--framing", framing) as alice:
            alice.until_shown("password:")
            alice.type("sesame\r")
            alice.until_shown("! wrong password")
            alice.type(SECRET + "\r")
            alice.until_shown("* you are alice, in lobby")
            alice.until_shown("\n>")
            alice.type("\x1b[A")  # arrow up
            alice.type("hello\r")
            assert server.journal.wait_for("said", "alice", timeout=PATIENCE).what == "hello"
            alice.hang_up()
            assert alice.ends() == 0
            assert SECRET not in alice.shown and "sesame" not in alice.shown
            assert alice.complaints() == ""


def test_a_person_leaves_instead(server: ChatServer) -> None:
    """Ctrl-D at the question is a way to leave."""
    with on_terminal(server.address, "alice") as alice:
        alice.until_shown("password:")
        alice.hang_up()
        assert alice.ends() == 0
    assert server.journal.wait_for("left", timeout=PATIENCE).what == HUNG_UP


def test_a_teacher_is_asked_twice() -> None:
    """`serve --password` asks at the terminal, shows nothing of what is typed, and takes it twice."""
    with OnTerminal(*LABKIT, "serve", "--port", "0", "--password") as serve:
        type_secretly(serve, "Password for this server: ", SECRET)
        type_secretly(serve, "The same once more: ", SECRET)
        port = int(serve.until("\n").split("listening on 127.0.0.1:")[1].split()[0])
        with ChatClient("alice", ("127.0.0.1", port), password=SECRET):
            pass
        serve.interrupt()
        assert serve.ends() == 0
        assert SECRET not in serve.said + serve.complaints()
    with OnTerminal(*LABKIT, "serve", "--port", "0", "--password") as serve:
        type_secretly(serve, "Password for this server: ", SECRET)
        type_secretly(serve, "The same once more: ", "sesame")
        assert serve.ends() == 1
        assert serve.complaints().strip() == "labkit: the two passwords differ"


def type_secretly(program: OnTerminal, prompt: str, password: str) -> None:
    """Type it when the prompt has come, which is when the terminal has stopped showing what is typed."""
    assert program.process.stderr is not None
    came = b""
    while prompt.encode() not in came:
        came += os.read(program.process.stderr.fileno(), 1000)
    program.type(password + "\n")
