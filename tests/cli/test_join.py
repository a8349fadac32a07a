"""join.py and keyboards.py: `python -m labkit join`, on a pipe and on a terminal."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

import pytest
from programs import LABKIT, PATIENCE, OnTerminal, Program
from support import BareServer, Wire

from labkit import RAW, ChatClient, ChatServer, Limits
from labkit.classic import ClassicServer

SERVER_GONE = "the server hung up"

PROMPT = "\n>"
"""What stands before the line to be typed; the space after it may be a movement of the cursor."""


def join_command(server: tuple[str, int], *more: str) -> tuple[str, ...]:
    host, port = server
    return (*LABKIT, "join", *more, "--host", host, "--port", str(port))


def with_time(change: str, *command: str) -> Program:
    """This command of labkit's, and first this change of the seconds that it has."""
    code = f"import sys; from labkit.__main__ import main; {change}; sys.exit(main(sys.argv[1:]))"
    return Program(sys.executable, "-c", code, *command[len(LABKIT) :])


def on_pipe(server: tuple[str, int], *more: str) -> Program:
    """A busy server has all the time that it needs, also to answer the last line and the goodbye."""
    change = f"import labkit.client.client as it; it.GOODBYE = {PATIENCE}; "
    change += f"it.ChatClient.__init__.__kwdefaults__['timeout'] = {PATIENCE}"
    return with_time(change, *join_command(server, *more))


def raw_on_pipe(server: tuple[str, int]) -> Program:
    """In the raw dialect, where only time keeps two lines apart: with more of it than it needs."""
    change = "import labkit.cli.join; labkit.cli.join.RAW_PAUSE = 1.0"
    return with_time(change, *join_command(server, "--framing", "raw"))


def on_terminal(server: tuple[str, int], *more: str) -> OnTerminal:
    return OnTerminal(*join_command(server, *more))


@pytest.fixture
def bob(server: ChatServer) -> Iterator[ChatClient]:
    """Another client, who is in the chat already and hears what is said."""
    with ChatClient("bob", server.address) as bob:
        yield bob


@pytest.fixture
def stranger(bare_server: BareServer) -> BareServer:
    """A server that the test plays itself, with the time that a starting program needs."""
    bare_server.sock.settimeout(PATIENCE)
    return bare_server


# --- on a pipe ---


def test_the_first_line_is_the_nickname_and_the_others_are_said(
    server: ChatServer, bob: ChatClient
) -> None:
    """Every line of a pipe is delivered, the last one too, which has no line end; then it leaves."""
    with on_pipe(server.address) as alice:
        alice.type("alice\nhello\nä line with lètters\n/who\nthe last")
        alice.hang_up()
        assert alice.ends() == 0
        bob.wait_for("alice left (hung up)", timeout=PATIENCE)
        assert alice.said.splitlines() == ["* you are alice, in lobby", "* in lobby: bob, alice"]
        assert alice.complaints() == ""
    said = [line for line in bob.transcript if line.startswith("alice: ")]
    assert said == ["alice: hello", "alice: ä line with lètters", "alice: the last"]


def test_with_a_nickname_given_every_line_is_said(server: ChatServer, bob: ChatClient) -> None:
    """`join NICK` asks for nothing: the first line is said."""
    with on_pipe(server.address, "alice") as alice:
        alice.type("hello\n")
        bob.wait_for("alice: hello", timeout=PATIENCE)
        bob.say("hello yourself")
        alice.until("bob: hello yourself\n")
        alice.hang_up()
        assert alice.ends() == 0


def test_a_thousand_lines_on_a_pipe_arrive_in_order(server: ChatServer, bob: ChatClient) -> None:
    """Nothing is lost between a fast pipe and the wire, whatever its end does."""
    with on_pipe(server.address, "alice") as alice:
        alice.type("".join(f"line {n}\n" for n in range(1000)))
        alice.hang_up()
        assert alice.ends() == 0
    bob.wait_for("alice left", timeout=PATIENCE)
    assert [line for line in bob.transcript if ": line" in line] == [
        f"alice: line {n}" for n in range(1000)
    ]


def test_quit_ends_the_pipe(server: ChatServer) -> None:
    """/quit is a proper goodbye: status 0, and what follows it is not said."""
    with on_pipe(server.address) as alice:
        alice.type("alice\n/quit\nnot said\n")
        assert alice.ends() == 0
    assert server.journal.wait_for("left", "alice", timeout=PATIENCE).what == "quit"
    assert "said" not in [event.kind for event in server.journal]


def test_ctrl_c_on_a_pipe_leaves_properly(server: ChatServer) -> None:
    """SIGINT ends it with status 0, and the server sees FIN."""
    with on_pipe(server.address, "alice") as alice:
        alice.until("* you are alice")
        alice.interrupt()
        assert alice.ends() == 0
        assert alice.complaints() == ""
    assert server.journal.wait_for("left", "alice", timeout=PATIENCE).what == "hung up"


def test_no_nickname_on_a_pipe(server: ChatServer) -> None:
    """A pipe that ends before it gave a nickname is an error, in one line."""
    with on_pipe(server.address) as unnamed:
        unnamed.type("\n  \n")
        unnamed.hang_up()
        assert unnamed.fails() == "no nickname: the input ended before it gave one"


def test_a_closed_standard_input_is_an_input_that_has_ended(server: ChatServer) -> None:
    """`<&-`: number 0 may be the socket by then, and is not read from."""
    with Program("sh", "-c", 'exec "$@" <&-', "sh", *join_command(server.address, "alice")) as alice:
        assert alice.ends() == 0
        assert alice.said == "* you are alice, in lobby\n"


def test_a_refused_nickname_on_a_pipe(server: ChatServer, bob: ChatClient) -> None:
    """One line says why; the lines after it are not tried as nicknames."""
    with on_pipe(server.address) as second:
        second.type("bob\ncarol\n")
        assert second.fails() == "nickname refused: the nickname bob is taken"
        assert second.said == ""
    assert server.roster() == ["bob"]


def test_too_long_a_line_is_refused_and_costs_no_connection(server: ChatServer, bob: ChatClient) -> None:
    """The server says so for a line over its limit, the keyboard for one that is too long to keep."""
    with on_pipe(server.address, "alice") as alice:
        alice.type("x" * 5000 + "\n" + "y" * (1 << 21) + "\nstill here\n")
        bob.wait_for("alice: still here", timeout=PATIENCE)
        alice.until("! too long")
        alice.hang_up()
        assert alice.ends() == 0
        assert alice.complaints() == "labkit: a line of more than 1048576 bytes was not sent\n"


def test_the_server_stops_while_a_pipe_waits() -> None:
    """join says so and ends by itself, although its input is still open; what came before is printed."""
    with ChatServer(port=0) as server, on_pipe(server.address, "alice") as alice:
        alice.until("* you are alice")
        server.stop()
        assert alice.fails() == SERVER_GONE
        assert alice.said.splitlines()[-1] == "* server stopped"


def test_the_connection_breaks_while_a_pipe_waits(stranger: BareServer) -> None:
    """A reset is told apart from a goodbye."""
    with on_pipe(stranger.address, "alice") as alice, stranger.accept() as wire:
        wire.send("nickname")
        assert wire.line() == "alice"
        wire.send("* you are alice, in lobby")
        alice.until("* you are alice")
        wire.reset()
        assert alice.fails().startswith("the connection broke (")


def test_the_handshake_times_out() -> None:
    """Also while the nickname is awaited, the end of the connection is told at once, and its reason."""
    with ChatServer(port=0, limits=Limits(handshake=0.3)) as server, on_pipe(server.address) as unnamed:
        assert unnamed.fails() == SERVER_GONE
        assert unnamed.said == "! no nickname within 0.3 s\n"


def test_a_full_server() -> None:
    """The server's reason for turning a client away is in the one line."""
    with ChatServer(port=0, limits=Limits(max_clients=1)) as server, ChatClient("bob", server.address):
        with on_pipe(server.address, "alice") as alice:
            assert "the server is full: 1 connections" in alice.fails()


def test_no_server_listens() -> None:
    """One line, with the address that was tried."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # taken, but not listening
        with on_pipe(deaf.getsockname(), "alice") as alice:
            port = deaf.getsockname()[1]
            assert alice.fails() == f"nobody listens on 127.0.0.1:{port} (is the server running?)"


def test_no_such_host() -> None:
    """One line, with the name that was tried (RFC 6761: nothing is ever called .invalid)."""
    with on_pipe(("nowhere.invalid", 14901), "alice") as alice:
        assert alice.fails().startswith("no such host: nowhere.invalid")


def test_something_else_listens_there(stranger: BareServer) -> None:
    """A server that asks for no nickname is named as the trouble, with what it sent instead."""
    with on_pipe(stranger.address, "alice") as alice, stranger.accept() as wire:
        wire.send("SSH-2.0-OpenSSH_9.6")
        wire.hang_up()
        complaint = alice.fails()
    assert "asked for no nickname" in complaint and "SSH-2.0" in complaint


def test_a_nickname_that_cannot_be_sent(server: ChatServer) -> None:
    """A line end inside a nickname is no traceback."""
    with on_pipe(server.address, "a\nb") as odd:
        assert "cannot hold an LF" in odd.fails()


def test_a_reader_that_is_gone(server: ChatServer, bob: ChatClient) -> None:
    """`join | head -1` ends at the next line to print, without a complaint."""
    with Program("sh", "-c", '"$@" | head -n 1', "sh", *join_command(server.address, "alice")) as alice:
        alice.until("* you are alice, in lobby\n")
        while "alice" in server.roster():  # each line is one more chance for the pipe to break
            bob.say("hello")
            bob.say("/who")
            bob.wait_for("* in lobby", timeout=PATIENCE)
        assert alice.ends() == 0
        assert alice.complaints() == ""


def test_a_letter_that_the_output_lacks(server: ChatServer, bob: ChatClient) -> None:
    """An output that knows only ASCII shows a question mark; nothing fails."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    with Program(*join_command(server.address, "alice"), environment=environment) as alice:
        alice.until("* you are alice")
        bob.say("grüße")
        alice.until("bob: gr??e\n")


# --- the raw dialect ---


def test_raw_with_the_assignments_own_server() -> None:
    """A pipe's lines stay apart although nothing but time separates them."""
    with ClassicServer(port=0) as server, ChatClient("bob", server.address, framing=RAW) as bob:
        with raw_on_pipe(server.address) as alice:
            alice.type("alice\nhello\nworld\n")
            assert bob.wait_for("alice: hello", timeout=PATIENCE) == "alice: hello"
            assert bob.wait_for("alice: world", timeout=PATIENCE) == "alice: world"
            bob.say("welcome")
            alice.until("bob: welcome\n")
            alice.hang_up()
            assert alice.ends() == 0


def test_raw_refusal_on_a_pipe() -> None:
    """The raw dialect accepts a nickname by silence; a refusal is noticed all the same."""
    with ChatServer(port=0, framing=RAW) as server, ChatClient("bob", server.address, framing=RAW):
        server.journal.wait_for("joined", "bob", timeout=PATIENCE)
        with raw_on_pipe(server.address) as second:
            second.type("bob\ncarol\n")
            assert second.fails() == "nickname refused: the nickname bob is taken"


# --- on a terminal ---


def test_what_arrives_does_not_cut_through_what_is_typed(server: ChatServer, bob: ChatClient) -> None:
    """A line arrives while another is half typed: it stands above, and the half is there to be ended."""
    with on_terminal(server.address) as alice:
        alice.until_shown("nickname:")
        alice.type("alice\r")
        alice.until_shown("* you are alice, in lobby")
        alice.type("half a li")
        alice.until_shown("half a li")  # after the prompt, though perhaps not drawn in one go
        before = len(alice.shown)
        bob.say("watch out")
        alice.until_shown("bob: watch out", before)
        arrived = alice.shown.index("bob: watch out")
        alice.until_shown("> half a li", arrived)  # drawn again, below
        alice.type("ne\r")
        assert bob.wait_for("alice: ", timeout=PATIENCE) == "alice: half a line"
        alice.hang_up()
        assert alice.ends() == 0
        assert alice.complaints() == ""


def test_the_bar_shows_nickname_and_room(server: ChatServer) -> None:
    """Below what is typed stands who you are and in which room, also after it has changed."""
    with on_terminal(server.address, "alice") as alice:
        alice.until_shown("alice in lobby")
        alice.type("/join garden\r")
        alice.until_shown("alice in garden")
        alice.type("/nick al\r")
        alice.until_shown("al in garden")


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
@pytest.mark.parametrize("named", [True, False], ids=["in the chat", "asked for a nickname"])
def test_leaving_by_a_key(server: ChatServer, key: str, named: bool) -> None:
    """Both keys leave properly, with status 0 and no complaint."""
    with on_terminal(server.address, *(["alice"] if named else [])) as alice:
        alice.until_shown(PROMPT if named else "nickname:")
        alice.type(key)
        assert alice.ends() == 0
        assert alice.complaints() == ""
    assert server.journal.wait_for("left", timeout=PATIENCE).what == "hung up"


def test_quit_on_a_terminal(server: ChatServer) -> None:
    """/quit ends it at once, with status 0."""
    with on_terminal(server.address, "alice") as alice:
        alice.until_shown(PROMPT)
        alice.type("/quit\r")
        assert alice.ends() == 0
        assert alice.complaints() == ""


def test_a_refused_nickname_is_asked_for_again(server: ChatServer, bob: ChatClient) -> None:
    """On a terminal there is a user to ask; the reason is shown once."""
    with on_terminal(server.address, "bob") as second:
        second.until_shown("! the nickname bob is taken")
        second.until_shown("nickname:")
        second.type("carol\r")
        bob.wait_for("carol joined", timeout=PATIENCE)
        second.until_shown("* you are carol, in lobby")
        assert second.shown.count("! the nickname bob is taken") == 1


def test_three_refused_nicknames(server: ChatServer, bob: ChatClient) -> None:
    """After the third the server ends the connection, and join ends with it."""
    with on_terminal(server.address, "bob") as second:
        for _ in range(2):
            before = len(second.until_shown("! the nickname bob is taken"))
            second.until_shown("nickname:")
            second.type("bob\r")
            second.until_shown("! ", before)
        assert second.fails() == SERVER_GONE
        assert "that was the last try" in second.shown


def test_the_server_stops_while_a_line_is_typed() -> None:
    """The user need not press Enter to be told: join ends by itself, in the middle of a line."""
    with ChatServer(port=0) as server, on_terminal(server.address, "alice") as alice:
        alice.until_shown(PROMPT)
        alice.type("half a li")
        alice.until_shown("half a li")
        server.stop()
        assert alice.fails() == SERVER_GONE
        assert "* server stopped" in alice.shown


def test_the_server_stops_while_a_nickname_is_typed() -> None:
    """The same before there is a nickname."""
    with ChatServer(port=0) as server, on_terminal(server.address) as unnamed:
        unnamed.until_shown("nickname:")
        unnamed.type("ali")
        server.stop()
        assert unnamed.fails() == SERVER_GONE


def test_several_lines_pasted_at_once(server: ChatServer, bob: ChatClient) -> None:
    """A paste (ESC [200~ … ESC [201~) of three lines is three lines on the wire."""
    with on_terminal(server.address, "alice") as alice:
        alice.until_shown(PROMPT)
        alice.type("\x1b[200~one\rtwo\rthree\x1b[201~\r")
        for line in ("one", "two", "three"):
            assert bob.wait_for("alice: ", timeout=PATIENCE) == f"alice: {line}"


def test_many_lines_arrive_in_order_while_a_line_is_typed(server: ChatServer) -> None:
    """Five hundred lines between keystrokes: all are shown, in order, and the typed line is whole."""
    with on_terminal(server.address, "alice") as alice:
        alice.until_shown(PROMPT)
        with Wire.joined(server.address, "bob") as bob:
            for n, letter in enumerate("hello"):
                bob.send(*(f"line {100 * n + i}." for i in range(100)))
                alice.type(letter)
            alice.until_shown("bob: line 499.")
            alice.type("\r")
            assert bob.line() == "alice: hello"
        places = [alice.shown.index(f"bob: line {n}.") for n in range(500)]
        assert places == sorted(places)


# --- several servers ---


def test_a_pipe_goes_on_at_another_server(server: ChatServer) -> None:
    """`--also`: the first server stops, and what comes through the pipe then is said at the second, in the
    room."""
    with ChatServer(port=0) as second, ChatClient("bob", second.address) as bob:
        bob.say("/join den")
        bob.wait_for("in den")
        host, port = second.address
        with on_pipe(server.address, "alice", "--also", f"{host}:{port}") as alice:
            alice.type("/join den\n")
            alice.until("* you are alice, in den")
            server.stop()
            alice.until("# lost ")  # said before that, it may have gone to the first
            alice.type("is anybody here?\n")
            assert bob.wait_for("here?", timeout=PATIENCE) == "alice: is anybody here?"
            alice.until(f"# back at {host}:{port}, in den\n")
            bob.say("yes")
            alice.until("bob: yes\n")
            alice.hang_up()
            assert alice.ends() == 0
            lines = alice.said.splitlines()
            at = f"{server.address[0]}:{server.address[1]}"
            assert lines[lines.index("* server stopped") + 1] == (
                f"# lost {at} (the server hung up); trying {host}:{port}"
            )
            assert alice.complaints() == ""


def test_the_prompt_stays_while_another_server_is_found(server: ChatServer) -> None:
    """On a terminal the half-typed line is kept; below it stands where one is."""
    with ChatServer(port=0) as second, ChatClient("bob", second.address) as bob:
        host, port = second.address
        with on_terminal(server.address, "alice", "--also", f"{host}:{port}") as alice:
            alice.until_shown(f"alice in lobby at {server.address[0]}:{server.address[1]}")
            alice.type("half a li")
            alice.until_shown("half a li")
            before = len(alice.shown)
            server.stop()
            alice.until_shown(f"# back at {host}:{port}, in lobby", before)
            back = alice.shown.index("# back at")
            alice.until_shown("> half a li", back)
            alice.until_shown(f"alice in lobby at {host}:{port}", back)
            alice.type("ne\r")
            assert bob.wait_for("alice: ", timeout=PATIENCE) == "alice: half a line"
            alice.hang_up()
            assert alice.ends() == 0
            assert alice.complaints() == ""


def test_leaving_a_terminal_that_looks_for_a_server(server: ChatServer, bare_server: BareServer) -> None:
    """While there is none, the bar says so, and Ctrl-D leaves as ever."""
    host, port = bare_server.address  # it listens, and says nothing
    with on_terminal(server.address, "alice", "--also", f"{host}:{port}") as alice:
        alice.until_shown("alice in lobby")
        server.stop()
        alice.until_shown("alice, looking for a server")
        alice.hang_up()
        assert alice.ends() == 0
        assert alice.complaints() == ""


def test_no_server_has_the_nickname_back(server: ChatServer, stranger: BareServer) -> None:
    """The end of it is one line, and status 1."""
    host, port = stranger.address
    with on_pipe(server.address, "alice", "--also", f"{host}:{port}") as alice:
        alice.until("* you are alice")
        server.stop()
        with stranger.accept() as wire:
            wire.send("nickname")
            assert wire.line() == "alice"
            wire.send("! not on a Sunday", "nickname")
            assert alice.fails() == f"{host}:{port} would not have alice back: not on a Sunday"


def test_none_of_several_listens() -> None:
    """One line, with each of the addresses that were tried; IPv6 addresses are given in brackets."""
    with on_pipe(("127.0.0.1", 1), "alice", "--also", "127.0.0.1:2", "--also", "[::1]:3") as alice:
        complaint = alice.fails()
    assert complaint.startswith("no server let us in: nobody listens on 127.0.0.1:1 (")
    assert "; nobody listens on 127.0.0.1:2 (" in complaint and "[::1]:3" in complaint


@pytest.mark.parametrize("also", ["localhost", "localhost:x", ":14902", "::1:14902", "localhost:0", "[]:1"])
def test_also_needs_a_host_and_a_port(also: str) -> None:
    """What else is given is refused, with what is needed."""
    with on_pipe(("127.0.0.1", 1), "alice", "--also", also) as alice:
        assert alice.ends() == 2
        complaint = " ".join(alice.complaints().split())
    assert f"a server is HOST:PORT, such as localhost:14902 or [::1]:14902, not {also!r}" in complaint


def test_several_servers_need_lines() -> None:
    """The raw dialect cannot tell when one is back: one line says so."""
    with on_pipe(("127.0.0.1", 1), "alice", "--also", "127.0.0.1:2", "--framing", "raw") as alice:
        assert alice.fails().startswith("a list of addresses needs framing=LINES")
