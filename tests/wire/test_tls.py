"""tls.py, and what uses it: the same chat, on a wire that cannot be read on the way."""

from __future__ import annotations

import gc
import os
import random
import re
import shlex
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest
from certificates import Certificate, make
from programs import LABKIT, PATIENCE, Program, Serving
from support import SOON, BareServer, Wire
from watched import takes

from labkit import RAW, ChatClient, ChatServer, Limits
from labkit.client import GONE, HERE, ConnectionEnded
from labkit.instruments.faults import Slice
from labkit.instruments.link import Link
from labkit.wire.messages import HUNG_UP, NO_NICKNAME, NO_TLS, QUIT, TOO_SLOW, VANISHED
from labkit.wire.tls import Broken, TlsSession, _why, client_context, server_context

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def good(folder: Path) -> Certificate:
    """A certificate for this machine."""
    return make(folder, "class")


@pytest.fixture(scope="module")
def other(folder: Path) -> Certificate:
    """A certificate for another host."""
    return make(folder, "other", "DNS:elsewhere.example")


@pytest.fixture
def server(good: Certificate) -> Iterator[ChatServer]:
    with ChatServer(port=0, tls=good.files) as running:
        yield running


@pytest.fixture
def join(server: ChatServer, good: Certificate) -> Callable[[str], ChatClient]:
    return lambda nickname: ChatClient(nickname, server.address, tls=good.pem)


class TLSWire(Wire):
    """A peer on the standard library's SSLSocket, which owes nothing to labkit's own TLS."""

    def __init__(
        self,
        address: tuple[str, int],
        trusted: str,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        receive_buffer: int | None = None,
    ) -> None:
        context = ssl.create_default_context(cafile=trusted)
        context.minimum_version = context.maximum_version = version
        plain = socket.socket()
        if receive_buffer is not None:  # or the kernel makes it as large as it needs to be
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.settimeout(SOON)
        plain.connect(address)
        super().__init__(context.wrap_socket(plain, server_hostname="localhost"))

    def say_goodbye(self) -> None:
        """close_notify, and then wait for theirs."""
        assert isinstance(self.sock, ssl.SSLSocket)
        self.sock.unwrap()


def joined(
    address: tuple[str, int], trusted: str, nickname: str, receive_buffer: int | None = None
) -> TLSWire:
    """Connected, with a nickname, and welcomed."""
    wire = TLSWire(address, trusted, receive_buffer=receive_buffer)
    assert wire.line() == "nickname"
    wire.send(nickname)
    assert wire.line() == f"* you are {nickname}, in lobby"
    return wire


def left(server: ChatServer, nickname: str = "", count: int = 1) -> str:
    """How a client left, by the server's journal."""
    return server.journal.wait_for("left", nickname, count=count).what


# --- the session alone: no socket, no thread ---


def ends(good: Certificate) -> tuple[TlsSession, TlsSession]:
    """A server's end and a client's end."""
    return TlsSession(server_context(good.files)), TlsSession(client_context(good.pem), "localhost")


def carry(giver: TlsSession, taker: TlsSession, size: int, data: bytes = b"") -> list[bytes]:
    """Encrypt it at one end and decrypt it at the other, in pieces of so many bytes."""
    encrypted = giver.encrypt(data)
    return [
        out for at in range(0, len(encrypted), size) for out in taker.decrypt(encrypted[at : at + size])
    ]


def met(good: Certificate) -> tuple[TlsSession, TlsSession]:
    """The two ends, after the handshake."""
    server, client = ends(good)
    client.decrypt(b"")
    while not (server.ready and client.ready):
        carry(client, server, 10_000)
        carry(server, client, 10_000)
    return server, client


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_session_carries_bytes_both_ways(good: Certificate, size: int) -> None:
    """The handshake, and then data in both directions, cut anywhere: what was encrypted comes out."""
    server, client = ends(good)
    assert repr(server) == "<TlsSession, handshake>"
    client.decrypt(b"")
    while not (server.ready and client.ready):
        assert client.pending or server.pending
        carry(client, server, size)
        carry(server, client, size)
    assert repr(client) == "<TlsSession, TLSv1.3>"
    text = bytes(range(256)) * 200
    for giver, taker in ((client, server), (server, client)):
        assert text not in giver.encrypt(b"") and not giver.pending
        assert b"".join(carry(giver, taker, size, text)) == text
    assert server.decrypt(client.goodbye()) == []
    assert (server.ended, client.ended) == (True, False)
    assert repr(server) == "<TlsSession, over>"


def test_no_two_threads_are_in_openssl_at_once(good: Certificate) -> None:
    """Whatever is done waits while another thread does something."""
    server, client = met(good)
    takes(
        server,
        "_lock",
        lambda: server.encrypt(b"one"),
        lambda: server.decrypt(b""),
        lambda: server.say_plainly(b"two"),
        server.goodbye,
    )
    assert not server.pending and client.ready


def test_a_goodbye_is_heard_after_what_was_said(good: Certificate) -> None:
    """By either end; and afterwards nothing is said."""
    server, client = met(good)
    assert client.decrypt(server.encrypt(b"one") + server.goodbye()) == [b"one"]
    assert client.ended and not server.ended
    assert server.decrypt(client.encrypt(b"two") + client.goodbye()) == [b"two"]
    assert server.ended and not server.trouble and not client.trouble


def test_before_the_handshake_there_is_no_goodbye(good: Certificate) -> None:
    """What is to go out is what the handshake needs."""
    server, client = ends(good)
    assert server.goodbye() == b""
    client.decrypt(b"")
    assert client.pending
    hello = client.goodbye()
    assert hello[0] == 0x16 and not client.pending
    server.decrypt(hello)
    assert server.pending


def test_what_is_said_plainly_goes_instead_of_an_alert(good: Certificate) -> None:
    """And goes alone."""
    server, _ = ends(good)
    with pytest.raises(Broken, match="^plain text came$"):
        server.decrypt(b"hello")
    assert server.plain_text and server.trouble == "plain text came" and not server.pending
    server.say_plainly(b"! no\n")
    assert server.pending
    assert server.encrypt(b"dropped") == b"! no\n"
    assert not server.pending and server.encrypt(b"") == b""


def test_what_comes_with_the_end_of_the_handshake_is_heard(good: Certificate) -> None:
    """A client that says all in one breath, before it was asked: its last part of the handshake, the
    nickname, and lines after it."""
    with ChatServer(port=0, tls=good.files) as server, Wire(server.address) as wire:
        alice = TlsSession(client_context(good.pem), "localhost")
        alice.decrypt(b"")
        wire.send_bytes(alice.encrypt(b""))
        while not alice.ready:
            alice.decrypt(wire.sock.recv(65536))
        wire.send_bytes(alice.encrypt(b"alice\n/me waves\n/who\n"))
        came = b""
        while not came.endswith(b"* in lobby: alice\n"):
            came += b"".join(alice.decrypt(wire.sock.recv(65536)))
        assert came == b"nickname\n* you are alice, in lobby\n* in lobby: alice\n"
        assert server.journal.wait_for("acted").what == "waves"


def test_a_record_is_a_piece(good: Certificate) -> None:
    """Two pieces at once stay two, which the raw dialect builds on; a long one is cut at `size`."""
    server, client = met(good)
    two = client.encrypt(b"hello") + client.encrypt(b"world")
    assert server.decrypt(two) == [b"hello", b"world"]
    assert server.decrypt(client.encrypt(b"x" * 25), 10) == [b"x" * 10, b"x" * 10, b"x" * 5]


def test_before_the_handshake_nothing_can_be_said(good: Certificate) -> None:
    """What is encrypted too early does not go out, in plain text least of all; nor does a goodbye."""
    server, _ = ends(good)
    assert server.encrypt(b"hello") == b"" == server.goodbye()


@pytest.mark.parametrize("nonsense", [b"n", b"nickname\n", b"GET / HTTP/1.1\r\n", b"\x00"])
def test_plain_text_is_known_by_its_first_byte(good: Certificate, nonsense: bytes) -> None:
    """One byte is enough; OpenSSL would wait for four more."""
    for session in ends(good):
        with pytest.raises(Broken, match="^plain text came$"):
            session.decrypt(nonsense)
        assert session.plain_text and session.trouble == "plain text came"


def test_a_changed_byte_is_noticed(good: Certificate) -> None:
    """Ciphertext changed on its way ends the connection, and nothing of it comes out."""
    server, client = met(good)
    encrypted = bytearray(client.encrypt(b"pay alice 10"))
    encrypted[-1] ^= 1
    with pytest.raises(Broken, match="mac"):
        server.decrypt(bytes(encrypted))
    assert server.encrypt(b"more") != b"" and b"more" not in server.encrypt(
        b"more"
    )  # an alert, and no more


def test_whatever_comes_is_broken_or_nothing(good: Certificate) -> None:
    """Spoilt first words and spoilt records: no other exception than Broken, and no byte comes out."""
    chance = random.Random(1)
    context = server_context(good.files)

    def opens(session: TlsSession, data: bytes) -> bool:
        """Spoil the bytes, perhaps cut them short, and open them; False if that is Broken."""
        spoilt = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            spoilt[chance.randrange(len(data))] ^= chance.randint(1, 255)
        try:
            assert session.decrypt(bytes(spoilt[: chance.randint(1, 2 * len(data))])) == []
        except Broken as error:
            assert str(error) == session.trouble
            return False
        return True

    client = TlsSession(client_context(good.pem), "localhost")
    client.decrypt(b"")
    hello = client.encrypt(b"")
    outcomes = {opens(TlsSession(context), hello) for _ in range(1000)}
    assert outcomes == {True, False}
    for _ in range(100):
        server, client = met(good)
        opens(server, client.encrypt(b"hello"))


# --- chat ---


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_another_tls_client_chats(
    server: ChatServer, good: Certificate, join: Callable[[str], ChatClient], version: ssl.TLSVersion
) -> None:
    """Python's SSLSocket, in both versions: asked, welcomed, heard, and told the last word."""
    with join("bob") as bob, TLSWire(server.address, good.pem, version) as alice:
        assert alice.line() == "nickname"
        alice.send("alice", "hello", "/who")
        assert alice.lines(2) == ["* you are alice, in lobby", "* in lobby: bob, alice"]
        assert bob.wait_for("alice: ") == "alice: hello"
        bob.say("hello yourself")
        assert alice.line() == "bob: hello yourself"
        alice.send("/quit")
        assert alice.to_the_end() == []  # and no SSLEOFError: close_notify came
        assert bob.wait_for("left") == f"* alice left ({QUIT})"


def test_old_versions_are_refused(server: ChatServer, good: Certificate) -> None:
    """TLS 1.1 and older are broken (RFC 8996)."""
    context = ssl.create_default_context(cafile=good.pem)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(server.address, timeout=SOON) as sock:
        with pytest.raises(OSError):
            context.wrap_socket(sock, server_hostname="localhost")
    assert left(server) == NO_TLS


def test_the_wire_cannot_be_read_on_the_way(server: ChatServer, good: Certificate) -> None:
    """A tap on the wire sees bytes, and no word of what was said."""
    with Link(server.address) as link, ChatClient("alice", link.address, tls=good.pem) as alice:
        assert alice.state == HERE
        alice.say("attack at dawn")
        server.journal.wait_for("said", "alice")
        seen = repr(link.journal)
    assert "bytes" in seen
    for word in ("nickname", "alice", "attack", "lobby"):
        assert word not in seen


def test_two_threads_at_full_speed_both_ways(server: ChatServer, join: Callable[[str], ChatClient]) -> None:
    """Each of two says three megabytes while it hears the other's: all arrives, once and in order."""
    lines = [f"{n:05} " + "x" * 200 for n in range(15_000)]
    with join("alice") as alice, join("bob") as bob:

        def say_all(who: ChatClient) -> None:
            for line in lines:
                who.say(line)

        talkers = [threading.Thread(target=say_all, args=(who,)) for who in (alice, bob)]
        for talker in talkers:
            talker.start()
        for talker in talkers:
            talker.join()
        last = lines[-1]
        alice.wait_for(f"bob: {last}", timeout=PATIENCE)
        bob.wait_for(f"alice: {last}", timeout=PATIENCE)
        for who, whom in ((alice, "bob"), (bob, "alice")):
            assert [line for line in who.transcript if line.startswith(f"{whom}: ")] == [
                f"{whom}: {line}" for line in lines
            ]


def test_a_slow_reader_loses_nothing(
    server: ChatServer, good: Certificate, join: Callable[[str], ChatClient]
) -> None:
    """A client that does not read while megabytes are said, more than sockets take, finds it all there."""
    # With a buffer of few kilobytes what is left can come at 9 kB a second, even on loopback.
    with join("alice") as alice, joined(server.address, good.pem, "bob", receive_buffer=65536) as bob:
        lines = [f"{n:05} " + "x" * 2000 for n in range(5000)]
        for line in lines:
            alice.say(line)
        give_up = monotonic() + SOON
        while not any(p.behind for p in server.present() if p.nickname == "bob"):
            assert monotonic() < give_up
            alice.say("/who")  # there and back: what was said before has been relayed
            alice.wait_for("in lobby")
        assert bob.lines(len(lines)) == [f"alice: {line}" for line in lines]


def test_a_frozen_one_is_let_go(good: Certificate) -> None:
    """A client that takes nothing is let go with its reason; what waits for it is counted as it is sent."""
    with ChatServer(port=0, tls=good.files, limits=Limits(grace=0.3, behind=1 << 20)) as server:
        with ChatClient("alice", server.address, tls=good.pem) as alice:
            with joined(server.address, good.pem, "bob", receive_buffer=4096):
                line = "x" * 4000
                for _ in range(10_000):
                    alice.say(line)
                    if "bob" not in server.roster():
                        break
                assert alice.wait_for("bob left") == f"* bob left ({TOO_SLOW})"
                assert server.roster() == ["alice"]


def test_raw_over_tls(good: Certificate) -> None:
    """The assignment's dialect: a record is a message, so what is said in one breath stays apart."""
    with ChatServer(port=0, framing=RAW, tls=good.files) as server:
        with ChatClient("bob", server.address, framing=RAW, tls=good.pem) as bob:
            bob.wait_for("you are bob")
            with TLSWire(server.address, good.pem) as alice:
                assert alice.recv() == "nickname"
                alice.send_bytes(b"alice")
                assert alice.recv() == "* you are alice, in lobby"
                alice.send_bytes(b"hel")
                alice.send_bytes(b"lo")
                bob.wait_for("alice: hel")
                bob.wait_for(lambda line: line == "alice: lo")


def test_a_client_whose_lines_are_counted(good: Certificate) -> None:
    """With a rate, a little is read at once, and records are larger than that."""
    with ChatServer(port=0, tls=good.files, limits=Limits(messages=1000)) as server:
        with ChatClient("alice", server.address, tls=good.pem) as alice:
            with ChatClient("bob", server.address, tls=good.pem) as bob:
                for n in range(20):
                    alice.say(f"{n} " + "x" * 3000)
                bob.wait_for("alice: 19 ")
                assert len([x for x in bob.transcript if x.startswith("alice: ")]) == 20


# --- goodbyes ---


def test_what_was_asked_is_heard_after_the_goodbye(server: ChatServer, good: Certificate) -> None:
    """A client that leaves reads on until the server's goodbye, through a wire that cuts records up."""
    with Link(server.address) as link:
        alice = ChatClient("alice", link.address, tls=good.pem)
        link.to_client.use(Slice(11, gap=0.001))
        alice.say("/help")
        alice.say("/who")
        alice.leave()
        assert alice.transcript[-1] == "* in lobby: alice"
        assert alice.end == "you left"
    assert left(server, "alice") == HUNG_UP


def test_goodbyes_are_told_apart(
    server: ChatServer, good: Certificate, join: Callable[[str], ChatClient]
) -> None:
    """close_notify is a goodbye; a FIN without it may be a cut, and RST is one."""
    with join("watcher") as watcher:
        first = joined(server.address, good.pem, "alice")
        first.say_goodbye()
        assert watcher.wait_for("alice left") == f"* alice left ({HUNG_UP})"
        second = joined(server.address, good.pem, "bob")
        socket.socket.shutdown(second.sock, socket.SHUT_WR)
        assert watcher.wait_for("bob left") == f"* bob left ({VANISHED})"
        third = joined(server.address, good.pem, "carol")
        third.reset()
        assert watcher.wait_for("carol left") == f"* carol left ({VANISHED})"
        fourth = join("dora")
        fourth.leave()
        assert watcher.wait_for("dora left") == f"* dora left ({HUNG_UP})"
        fifth = join("eve")
        fifth.abort()
        assert watcher.wait_for("eve left") == f"* eve left ({VANISHED})"
    for wire in (first, second):
        wire.close()


def test_ciphertext_that_is_none(server: ChatServer, good: Certificate) -> None:
    """Nonsense in the middle of a good connection ends it, and no other."""
    with joined(server.address, good.pem, "watcher") as watcher:
        alice = joined(server.address, good.pem, "alice")
        assert watcher.line() == "* alice joined"
        socket.socket.send(alice.sock, b"nonsense" * 10)
        assert watcher.line() == f"* alice left ({VANISHED})"
        alice.close()


def test_stop_says_goodbye(good: Certificate) -> None:
    """All are told, then comes close_notify: a client can tell that nothing was cut off."""
    with ChatServer(port=0, tls=good.files) as server:
        alice = joined(server.address, good.pem, "alice")
        silent = socket.create_connection(server.address, timeout=SOON)
        bob = ChatClient("bob", server.address, tls=good.pem)
        assert alice.line() == "* bob joined"
    assert alice.to_the_end() == ["* server stopped"]
    assert bob.wait_until_gone() == "the server hung up"
    assert bob.transcript[-1] == "* server stopped"
    assert silent.recv(10) == b""
    silent.close()
    alice.close()


def test_stop_leaves_no_descriptor(good: Certificate) -> None:
    """With clients that are here, in the handshake, and gone: threads (see conftest) and files are back."""
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc")
    gc.collect()  # what others have left for it is not to go meanwhile
    before = len(os.listdir("/proc/self/fd"))
    with ChatServer(port=0, tls=good.files) as server:
        wires = [joined(server.address, good.pem, "alice"), Wire(server.address)]
        ChatClient("bob", server.address, tls=good.pem).leave()
    for wire in wires:
        wire.close()
    assert len(os.listdir("/proc/self/fd")) == before


class Impostor(BareServer):
    """A TLS server that the test plays itself."""

    def accept_tls(self, certificate: Certificate) -> ssl.SSLSocket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate.files)
        sock = self.sock.accept()[0]
        sock.settimeout(SOON)
        return context.wrap_socket(sock, server_side=True)


def test_a_client_knows_when_it_was_cut_off(good: Certificate, elsewhere: ThreadPoolExecutor) -> None:
    """A FIN without close_notify is no goodbye of the server's; with it, it is. Tickets do no harm."""
    with Impostor() as impostor:
        for polite, end in ((True, "the server hung up"), (False, "the connection was cut: no goodbye")):
            joining = elsewhere.submit(ChatClient, "alice", impostor.address, tls=good.pem)
            with impostor.accept_tls(good) as peer:
                peer.sendall(b"nickname\n")
                assert peer.recv(100) == b"alice\n"
                peer.sendall(b"* you are alice, in lobby\n")
                alice = joining.result(SOON)
                if polite:
                    peer.unwrap()
                else:
                    socket.socket.shutdown(peer, socket.SHUT_WR)
                assert alice.wait_until_gone().startswith(end)
            alice.leave()
            with pytest.raises(ConnectionEnded):
                alice.say("hello")


def test_a_goodbye_is_answered(good: Certificate, elsewhere: ThreadPoolExecutor) -> None:
    """The server says TLS's goodbye; the client says its own, so that its end is no cut."""
    with Impostor() as impostor:
        joining = elsewhere.submit(ChatClient, "alice", impostor.address, tls=good.pem)
        with impostor.accept_tls(good) as sock:
            sock.sendall(b"nickname\n")
            assert sock.recv(100) == b"alice\n"
            sock.sendall(b"* you are alice, in lobby\n")
            alice = joining.result(SOON)
            plain = sock.unwrap()  # returns when their goodbye has come, and raises if FIN comes instead
            plain.close()
        assert alice.wait_until_gone() == "the server hung up"
        alice.leave()


def test_leaving_a_server_that_does_not_read(good: Certificate, elsewhere: ThreadPoolExecutor) -> None:
    """`leave` comes back, although the goodbye finds no room in the socket."""
    with Impostor(receive_buffer=4096) as impostor:
        joining = elsewhere.submit(ChatClient, "alice", impostor.address, tls=good.pem)
        with impostor.accept_tls(good) as peer:
            peer.sendall(b"nickname\n")
            peer.recv(100)
            peer.sendall(b"* you are alice, in lobby\n")
            alice = joining.result(SOON)
            alice._session.timeout = alice._session.connection.timeout = 0.3
            with pytest.raises(TimeoutError, match="the server read nothing for 0.3 s"):
                while True:
                    alice.say("x" * 4000)
            alice.leave()
            assert alice.state == GONE


# --- newcomers that go wrong ---


def test_plain_text_on_a_tls_port(
    server: ChatServer, join: Callable[[str], ChatClient], capfd: pytest.CaptureFixture[str]
) -> None:
    """`nc` is told in plain words, the journal keeps it, nothing goes to stderr, and others get in."""
    with Wire(server.address) as nc:
        nc.send("alice")
        assert nc.to_the_end() == ["! this server speaks TLS alone, and this was none"]
    assert left(server) == NO_TLS
    assert server.journal.wait_for("refused").what == "no TLS (plain text came)"
    with join("bob"):
        pass
    assert capfd.readouterr().err == ""


def test_a_labkit_client_without_tls(server: ChatServer) -> None:
    """It waits to be asked, as the server waits for it; in the end it says what may be the matter."""
    with pytest.raises(TimeoutError, match=r"nothing came instead \(does it speak TLS\?\)$"):
        ChatClient("alice", server.address, timeout=0.2)


def test_resets_in_the_handshake(
    server: ChatServer, join: Callable[[str], ChatClient], capfd: pytest.CaptureFixture[str]
) -> None:
    """RST before the first byte, and within the first record: both vanish, and others get in."""
    for count, part in enumerate((b"", b"\x16\x03\x01\x02\x00\x01"), 1):
        wire = Wire(server.address)
        wire.send_bytes(part)
        wire.reset()
        assert left(server, count=count) == VANISHED
    with join("bob"):
        pass
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("part", [b"", b"\x16\x03\x01\x02\x00\x01"])
def test_a_goodbye_in_the_handshake(server: ChatServer, part: bytes) -> None:
    """A port scanner connects, and hangs up."""
    with Wire(server.address) as scanner:
        scanner.send_bytes(part)
        scanner.hang_up()
        assert scanner.to_the_end() == []
    assert left(server) == HUNG_UP


def test_many_silent_connections_hold_up_no_client(
    server: ChatServer, join: Callable[[str], ChatClient]
) -> None:
    """The handshake is each one's own thread's business, so newcomers get in beside fifty silent ones."""
    silent = [Wire(server.address) for _ in range(50)]
    with join("alice"):
        assert server.roster() == ["alice"]
    for wire in silent:
        wire.close()


def test_a_silent_connection_is_let_go(good: Certificate) -> None:
    """The handshake of TLS counts in the time for the whole handshake, a byte now and then or none."""
    with ChatServer(port=0, tls=good.files, limits=Limits(handshake=2.0)) as server:
        with Wire(server.address) as silent, Wire(server.address) as slow:
            slow.send_bytes(b"\x16\x03\x01")
            with TLSWire(server.address, good.pem) as nameless:
                assert nameless.to_the_end() == ["nickname", "! no nickname within 2 s"]
            assert silent.to_the_end() == slow.to_the_end() == []
        left(server, count=3)
        ends = [event.what for event in server.journal if event.kind == "left"]
        assert sorted(ends) == sorted([NO_TLS, NO_TLS, NO_NICKNAME])
        reasons = [event.what for event in server.journal if event.kind == "refused"]
        assert sorted(reasons) == ["no TLS within 2 s", "no TLS within 2 s", "no nickname within 2 s"]


def test_a_full_server(good: Certificate) -> None:
    """One too many is turned away before TLS, so it can only guess why."""
    with ChatServer(port=0, tls=good.files, limits=Limits(max_clients=1)) as server:
        with ChatClient("alice", server.address, tls=good.pem):
            with pytest.raises(ConnectionError, match="the server hung up .it may be full"):
                ChatClient("bob", server.address, tls=good.pem)


def test_a_hello_that_comes_byte_by_byte(server: ChatServer, good: Certificate) -> None:
    """TCP may cut the handshake anywhere, and glue the nickname to its end."""
    session = TlsSession(client_context(good.pem), "localhost")
    session.decrypt(b"")
    with Wire(server.address) as wire:
        for byte in session.encrypt(b""):
            wire.send_bytes(bytes([byte]))
        while not session.ready:
            session.decrypt(wire.sock.recv(65536))
        wire.send_bytes(session.encrypt(b"alice\n/who\n"))
        heard = b""
        while b"in lobby: alice" not in heard:
            heard += b"".join(session.decrypt(wire.sock.recv(65536)))
        assert heard.decode().splitlines() == ["nickname", "* you are alice, in lobby", "* in lobby: alice"]


def test_new_keys_in_mid_stream(server: ChatServer, good: Certificate) -> None:
    """`openssl s_client` asks for new keys with K: what the server says to that goes out, and in order."""
    host, port = server.address
    with Program("openssl", "s_client", "-connect", f"{host}:{port}", "-CAfile", good.pem) as peer:
        peer.until("nickname\n")
        peer.type("alice\n")
        peer.until("* you are alice, in lobby\n")
        for n in range(3):
            peer.type("K\n")
            assert peer.process.stderr is not None
            while peer.process.stderr.readline() != b"KEYUPDATE\n":
                pass  # what it thinks of the certificate
            peer.type("/who\n")
            peer.until("* in lobby: alice\n" * (n + 1))
        peer.type("/quit\n")
        peer.ends()
    assert left(server, "alice") == QUIT


# --- what cannot be, in one line each ---


@pytest.mark.parametrize(
    ("valid", "words"),
    [
        (("20200101000000Z", "20200102000000Z"), "has expired"),
        (("20900101000000Z", "20900102000000Z"), "is not valid yet (is this machine's clock right?)"),
    ],
)
def test_a_certificate_out_of_its_time(tmp_path: Path, valid: tuple[str, str], words: str) -> None:
    """It is told which."""
    made = make(tmp_path, "class", valid=valid)
    server, client = ends(made)
    client.decrypt(b"")
    server.decrypt(client.encrypt(b""))
    with pytest.raises(Broken, match=re.escape(f"the server's certificate {words}") + "$"):
        client.decrypt(server.encrypt(b""))
    assert client.trouble == f"the server's certificate {words}"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (9, "is not valid yet (is this machine's clock right?)"),
        (10, "has expired"),
        *((code, "is signed by nobody whom this client trusts") for code in (18, 19, 20, 21)),
        *((code, "is not for chat.example") for code in (62, 64)),
        (28, "will not do: certificate rejected"),
    ],
)
def test_what_openssl_says_of_a_certificate_in_words(code: int, words: str) -> None:
    """By the code that X509_verify_cert gives; see x509_vfy.h."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "certificate rejected"
    assert _why(error, "chat.example") == f"the server's certificate {words}"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("WRONG_VERSION_NUMBER", "what came is no TLS"),
        ("TLSV1_ALERT_UNKNOWN_CA", "the other side does not trust our certificate"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "the other side says: bad certificate"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "the other side says: certificate required"),
        ("NO_SHARED_CIPHER", "no shared cipher"),
        ("", "what openssl says"),
    ],
)
def test_what_openssl_says_in_words(reason: str, words: str) -> None:
    """Its reasons are words with underscores."""
    error = ssl.SSLError(1, "What_OpenSSL says")
    error.reason = reason
    assert _why(error, None) == words.replace("what openssl says", str(error).lower().replace("_", " "))


@pytest.mark.parametrize("which", ["unknown", "other host"])
def test_a_certificate_that_will_not_do(
    good: Certificate, other: Certificate, which: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Signed by no trusted authority, or for another host; the server's journal has it, too."""
    with ChatServer(port=0, tls=other.files) as server:
        trusted, why = {
            "unknown": (good.pem, "the server's certificate is signed by nobody whom this client trusts"),
            "other host": (other.pem, "the server's certificate is not for 127.0.0.1"),
        }[which]
        with pytest.raises(ConnectionError, match=re.escape(why)):
            ChatClient("alice", server.address, tls=trusted)
        assert left(server) == NO_TLS
        assert server.journal.wait_for("refused").what.startswith("no TLS (the other side ")
        if which == "unknown":
            with pytest.raises(ConnectionError, match="signed by nobody"):
                ChatClient("alice", server.address, tls=True)
    assert capfd.readouterr().err == ""


def test_a_server_without_tls(good: Certificate) -> None:
    """Its request in plain text is no TLS, and told as that."""
    with ChatServer(port=0) as plain:
        with pytest.raises(ConnectionError, match=r"no TLS with .*: the server does not speak TLS$"):
            ChatClient("alice", plain.address, tls=good.pem)


@pytest.mark.parametrize("go", [Wire.hang_up, Wire.reset])
def test_a_server_that_goes_in_the_handshake(
    bare_server: BareServer, good: Certificate, elsewhere: ThreadPoolExecutor, go: Callable[[Wire], None]
) -> None:
    """FIN or RST in the middle of it: said at once."""
    joining = elsewhere.submit(ChatClient, "alice", bare_server.address, tls=good.pem)
    with bare_server.accept() as peer:
        peer.sock.recv(10)
        go(peer)
        with pytest.raises(ConnectionError, match="no TLS with .*: (the server hung up|Connection reset)"):
            joining.result(SOON)


def test_a_server_that_answers_no_handshake(bare_server: BareServer, good: Certificate) -> None:
    """It listens, and says nothing."""
    with pytest.raises(TimeoutError, match="no TLS with .*: no answer within 0.1 s"):
        ChatClient("alice", bare_server.address, tls=good.pem, timeout=0.1)


def test_files_that_will_not_do(good: Certificate, other: Certificate, folder: Path) -> None:
    """Missing, empty, swapped, mismatched, locked: each is told with its name, before anything listens."""
    empty = folder / "empty.pem"
    empty.touch()
    locked = make(folder, "locked", locked=True)
    cases: list[tuple[object, type[Exception], str]] = [
        (("no.pem", good.key), OSError, "cannot read the certificate no.pem: No such file"),
        ((good.pem, "no.key"), OSError, "cannot read the key no.key: No such file"),
        ((str(folder), good.key), OSError, f"cannot read the certificate {folder}: Is a directory"),
        ((empty, good.key), ValueError, f"{empty} holds no certificate (PEM)"),
        ((good.pem, empty), ValueError, f"{empty} holds no private key (PEM)"),
        ((good.key, good.pem), ValueError, f"{good.key} holds no certificate (PEM)"),
        ((good.pem, other.key), ValueError, f"the key in {other.key} is not the one of the certificate"),
        (locked.files, ValueError, f"the key in {locked.key} is locked by a password"),
        (good.pem, ValueError, "tls is a pair of files, (certificate, key), or an SSLContext, not "),
        (ssl.create_default_context(), ValueError, "this SSLContext is a client's"),
    ]
    for tls, kind, why in cases:
        with pytest.raises(kind, match=re.escape(why)):
            ChatServer(port=0, tls=tls)  # type: ignore[arg-type]
    with ChatServer(port=0) as server:
        for trusted, kind, why in (
            ("no.pem", OSError, "cannot read the certificate no.pem: No such file"),
            (empty, ValueError, f"{empty} holds no certificate (PEM)"),
            (7, ValueError, "tls is the file of a certificate, True, or an SSLContext, not 7"),
            (server_context(good.files), ValueError, "this SSLContext is a server's"),
        ):
            with pytest.raises(kind, match=re.escape(why)):
                ChatClient("alice", server.address, tls=trusted)  # type: ignore[arg-type]


def test_a_key_that_is_too_short(good: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which one; how short that is depends on how OpenSSL was built."""

    def refuses(context: ssl.SSLContext, *_: object) -> None:
        error = ssl.SSLError(1, "ee key too small")
        error.reason = "EE_KEY_TOO_SMALL"
        raise error

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", refuses)
    with pytest.raises(ValueError, match=r"^the key in \S+ is too short to be safe$"):
        server_context(good.files)


def test_no_send_waits_for_a_renegotiation(good: Certificate) -> None:
    """Whoever made the context: the other side could begin one at any time (TLS 1.2)."""
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs = ssl.create_default_context()
    for context in (server_context(good.files), server_context(own), client_context(theirs)):
        assert context.options & ssl.OP_NO_RENEGOTIATION


def test_contexts_of_ones_own(good: Certificate) -> None:
    """Both sides take an ssl.SSLContext: for client certificates, say."""
    with ChatServer(port=0, tls=server_context(good.files)) as server:
        with ChatClient("alice", server.address, tls=client_context(good.pem)) as alice:
            assert alice.state == HERE


def test_without_tls_nothing_of_it_is_loaded() -> None:
    """Neither `import labkit` nor a plain chat pays for what it does not use."""
    script = (
        "import sys; from labkit import *\n"
        "with ChatServer(port=0) as s, ChatClient('alice', s.address): pass\n"
        "print([name for name in ('ssl', 'labkit.wire.tls', 'hashlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.stdout, done.stderr) == ("[]\n", "")


# --- the commands ---


def test_what_readme_tells_a_teacher(tmp_path: Path) -> None:
    """The certificate is made by README's own command, and the printed command line joins with it."""
    command = next(
        line for line in README.read_text(encoding="utf-8").splitlines() if "openssl req" in line
    )
    command = command.replace("IP:192.168.1.10", "IP:127.0.0.1,DNS:localhost")
    subprocess.run(shlex.split(command), cwd=tmp_path, check=True, capture_output=True, timeout=PATIENCE)
    pem, key = str(tmp_path / "class.pem"), str(tmp_path / "class.key")
    with Serving("--tls-cert", pem, "--tls-key", key) as server:
        join = server.until("\n").split("To join: python ", 1)[1].split("\n")[0]
        assert join.endswith(f"--tls-ca {pem}")
        with Program(sys.executable, *shlex.split(join), "alice") as alice:
            alice.until("* you are alice, in lobby\n")
            alice.type("/who\n")
            alice.until("* in lobby: alice\n")
            alice.hang_up()
            assert alice.ends() == 0
            assert alice.complaints() == ""
        server.interrupt()
        assert server.ends() == 0
        assert server.complaints() == ""


def test_errors_of_the_commands_are_one_line(good: Certificate, other: Certificate) -> None:
    """Status 1 and the reason, on both sides."""
    with Program(*LABKIT, "serve", "--port", "0", "--tls-cert", good.pem, "--tls-key", other.key) as server:
        assert "is not the one of the certificate" in server.fails()
    with Program(*LABKIT, "serve", "--port", "0", "--tls-cert", "no.pem", "--tls-key", "no.key") as server:
        assert server.fails() == "cannot read the certificate no.pem: No such file or directory"
    with ChatServer(port=0, tls=good.files) as running:
        where = ("--port", str(running.address[1]))
        with Program(*LABKIT, "join", "alice", *where, "--tls") as alice:
            assert alice.fails().endswith("is signed by nobody whom this client trusts")
        with Program(*LABKIT, "join", "alice", *where, "--tls-ca", "no.pem") as alice:
            assert alice.fails() == "cannot read the certificate no.pem: No such file or directory"
    done = subprocess.run(
        [*LABKIT, "serve", "--tls-cert", "x"], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 2 and "--tls-cert and --tls-key need each other" in done.stderr


def test_a_server_that_never_answers_is_left_when_the_time_is_up(
    good: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where TLS was never agreed on, no goodbye is waited for."""
    monkeypatch.setattr("labkit.client.client.GOODBYE", 60.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = monotonic()
        with pytest.raises(TimeoutError, match="no answer within 0.2 s"):
            ChatClient("alice", silent.getsockname()[:2], tls=good.pem, timeout=0.2)
        assert monotonic() - start < 60
