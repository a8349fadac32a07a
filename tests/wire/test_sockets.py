"""sockets.py and addresses.py: a send that never waits; connecting; listening; what a host stands for."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from support import SOON, BareServer, FullServer, has_ipv6, make_known, need

from labkit import ChatClient, ChatServer
from labkit.wire import addresses, sockets


def pair() -> tuple[socket.socket, socket.socket]:
    need(sockets.HAS_DONTWAIT, "MSG_DONTWAIT, which this system lacks")
    return socket.socketpair()


def test_send_now_sends() -> None:
    """All of it, if there is room; b"\\0" is a byte like others."""
    ours, theirs = pair()
    with ours, theirs:
        assert sockets.send_now(ours, b"one\0two\n") == 8
        assert theirs.recv(100) == b"one\0two\n"


def test_send_now_takes_what_fits_and_then_nothing() -> None:
    """A part, then 0; and what was taken arrives."""
    ours, theirs = pair()
    with ours, theirs:
        sent = 0
        while (took := sockets.send_now(ours, bytes(100_000))) > 0:
            assert took <= 100_000
            sent += took
        assert took == 0
        theirs.settimeout(SOON)
        while sent:
            sent -= len(theirs.recv(65536))


def test_send_now_to_a_socket_that_is_gone() -> None:
    """A broken pipe, and a socket that is closed on our own side."""
    ours, theirs = pair()
    theirs.close()
    with pytest.raises(BrokenPipeError):
        sockets.send_now(ours, b"x")
    ours.close()
    with pytest.raises(OSError) as error:
        sockets.send_now(ours, b"x")
    assert error.value.errno == errno.EBADF


# --- connecting, to each address of a name ---


@pytest.fixture
def refused() -> Iterator[tuple[str, int]]:
    """An address at which no server listens, and none will."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()


def dial(*wheres: tuple[str, int], timeout: float = SOON) -> sockets.Dial:
    return sockets.Dial(("many.example", 1), [(socket.AF_INET, where) for where in wheres], timeout)


def finish(dialling: sockets.Dial) -> None:
    """Go on until it is connected."""
    while not dialling.go_on():
        assert sockets.writable(dialling.sock, SOON)


def test_the_next_address_is_tried_where_the_first_refuses(
    monkeypatch: pytest.MonkeyPatch, refused: tuple[str, int]
) -> None:
    """In the resolver's order, and no further than needed."""
    with BareServer() as second, BareServer() as third:
        make_known(monkeypatch, "many.example", refused, second.address, third.address)
        with sockets.connect(("many.example", 1), SOON) as sock, second.accept():
            assert sock.getpeername() == second.address
            assert not sockets.readable(third.sock, 0)


def test_ipv6_first_where_the_resolver_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """And IPv4 first where it says that: the order is the resolver's, by RFC 6724."""
    need(has_ipv6(), "IPv6")
    with BareServer() as four, sockets.listen("::1", 0) as six:
        for order in ((six.getsockname(), four.address), (four.address, six.getsockname())):
            make_known(monkeypatch, "both.example", *order)
            with sockets.connect(("both.example", 1), SOON) as sock:
                assert sock.getpeername() == order[0]


def test_a_name_of_ipv6_alone_is_reached(monkeypatch: pytest.MonkeyPatch, refused: tuple[str, int]) -> None:
    """`serve --host ::1` and `join` meet, also where localhost is 127.0.0.1 first."""
    need(has_ipv6(), "IPv6")
    with ChatServer("::1", 0) as server:
        make_known(monkeypatch, "localhost", refused, (*server.address, 0, 0))
        with ChatClient("alice", ("localhost", 1)) as alice:
            assert alice.state == "here"


def test_an_address_that_is_silent_leaves_the_others_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its share of what is left: a third of 9 s, half of 6 s, and the last 3 s."""
    clock = 100.0
    monkeypatch.setattr(sockets, "monotonic", lambda: clock)
    with FullServer() as full:
        dialling = dial(full.address, full.address, full.address, timeout=9.0)
        for due in (103.0, 106.0, 109.0):
            assert not dialling.go_on()
            assert dialling.due == due
            clock = due - 0.001
            assert not dialling.go_on() and dialling.due == due
            clock = due
        with pytest.raises(
            ConnectionError, match="^no answer from many.example:1 within 9 s .tried 127.0.0.1, "
        ):
            dialling.go_on()
        assert dialling.sock.fileno() == -1


def test_one_that_refuses_leaves_all_its_time_to_the_others(
    monkeypatch: pytest.MonkeyPatch, refused: tuple[str, int]
) -> None:
    """A refusal takes none of it."""
    monkeypatch.setattr(sockets, "monotonic", lambda: 100.0)
    with FullServer() as full:
        dialling = dial(refused, full.address, timeout=9.0)
        while dialling.due != 109.0:
            assert not dialling.go_on()
        assert not dialling.go_on()
        dialling.sock.close()


def test_one_that_is_silent_does_not_keep_from_one_that_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its share of the time is over the next one is tried, and answers."""
    clock = 100.0
    monkeypatch.setattr(sockets, "monotonic", lambda: clock)
    with FullServer() as full, BareServer() as server:
        dialling = dial(full.address, server.address)
        assert not dialling.go_on()
        clock = dialling.due
        finish(dialling)
        with dialling.sock:
            assert dialling.sock.getpeername() == server.address


def test_a_family_that_this_machine_lacks_is_passed_over(refused: tuple[str, int]) -> None:
    """Such as IPv6, where the kernel has none: no socket can be made."""
    with BareServer() as server:
        nonsense = (9999, ("2001:db8::1", 1, 0, 0))
        wheres: list[Any] = [nonsense, (socket.AF_INET, server.address)]
        dialling = sockets.Dial(("many.example", 1), wheres, SOON)
        finish(dialling)
        dialling.sock.close()
        with pytest.raises(ConnectionError) as error:
            finish(sockets.Dial(("many.example", 1), [wheres[0], (socket.AF_INET, refused)], SOON))
    words = str(error.value)
    assert words.startswith("cannot reach many.example:1: 2001:db8::1: Address family not supported")
    assert words.endswith("; 127.0.0.1: nobody listens there")


def test_nobody_listens_is_said_after_all_were_tried(
    monkeypatch: pytest.MonkeyPatch, refused: tuple[str, int]
) -> None:
    """With each address that was tried; of a host with one address, without."""
    make_known(monkeypatch, "many.example", refused, ("127.0.0.1", 1), ("127.0.0.1", 2))
    with pytest.raises(ConnectionRefusedError) as error:
        sockets.connect(("many.example", 1), SOON)
    tried = "tried 127.0.0.1, 127.0.0.1 and 127.0.0.1"
    assert str(error.value) == f"nobody listens on many.example:1 ({tried}; is the server running?)"
    make_known(monkeypatch, "one.example", refused)
    with pytest.raises(ConnectionRefusedError) as error:
        sockets.connect(("one.example", 1), SOON)
    assert str(error.value) == "nobody listens on one.example:1 (is the server running?)"


def test_no_descriptor_is_left_behind(monkeypatch: pytest.MonkeyPatch, refused: tuple[str, int]) -> None:
    """Neither of the addresses that failed, nor of one that was given up."""
    opened: list[socket.socket] = []

    class Counted(socket.socket):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            opened.append(self)

    with FullServer() as full:
        monkeypatch.setattr(socket, "socket", Counted)
        make_known(monkeypatch, "many.example", refused, full.address)
        with pytest.raises(ConnectionError, match="it was given up"):
            sockets.connect(("many.example", 1), SOON, lambda: len(opened) == 2)
    assert [sock.fileno() for sock in opened] == [-1, -1]


# --- listening ---


def test_a_host_is_listened_on_where_this_machine_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may stand for another machine's addresses, too (192.0.2.77: RFC 5737); IPv4 goes first."""
    make_known(monkeypatch, "me.example", ("::1", 0, 0, 0), ("192.0.2.77", 0), ("127.0.0.1", 0))
    with sockets.listen("me.example", 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
    make_known(monkeypatch, "you.example", ("192.0.2.77", 0), ("192.0.2.78", 0))
    with pytest.raises(OSError, match="cannot listen on you.example:0: this machine has no such address"):
        sockets.listen("you.example", 0)


def test_a_taken_port_is_no_reason_to_listen_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or clients would look for it in vain."""
    with BareServer() as taken:
        make_known(monkeypatch, "me.example", taken.address, ("127.0.0.1", 0))
        with pytest.raises(OSError, match="this Python process itself listens there already"):
            sockets.listen("me.example", taken.address[1])


@pytest.mark.parametrize("host", ["", "*"])
def test_everywhere(host: str) -> None:
    """IPv4 and, where there is IPv6, that as well."""
    with sockets.listen(host, 0) as listener:
        port = listener.getsockname()[1]
        for one in ("127.0.0.1", *(["::1"] if has_ipv6() else [])):
            sockets.connect((one, port), SOON).close()
        sockets.connect(addresses.own(listener), SOON).close()


def test_everywhere_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """IPv4 alone, where the system cannot serve both at once, or has IPv6 switched off."""
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with sockets.listen("*", 0) as listener:
        assert listener.getsockname()[0] == "0.0.0.0"
    monkeypatch.undo()
    make_known(monkeypatch, "::", ("2001:db8::1", 0, 0, 0))  # not to be had, as where it is off
    with sockets.listen("*", 0) as listener:
        assert listener.getsockname()[0] == "0.0.0.0"


# --- who holds a port ---


def test_a_port_that_this_process_holds_is_told_as_that() -> None:
    """A notebook whose server still runs: it is not "another program"; on whatever address either is."""
    with ChatServer(port=0) as running:
        port = running.address[1]
        for host in ("localhost", "127.0.0.1", "0.0.0.0", "*"):
            with pytest.raises(OSError) as error:
                ChatServer(host, port).start()
            assert error.value.errno == errno.EADDRINUSE
            assert error.value.strerror == (
                f"cannot listen on {host}:{port}: this Python process itself listens there already (a "
                "ChatServer that was started here earlier?); stop that one, or take port=0"
            )
    ChatServer(port=port).start().stop()


def test_a_port_that_another_process_holds_is_told_with_its_number() -> None:
    """So that one can find it; unless the system does not tell."""
    need(sys.platform == "linux", "a system that tells who holds a port")
    script = "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); "
    script += "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        with pytest.raises(
            OSError, match=rf"{port}, which \S+ .process {other.pid}. holds: another program "
        ):
            sockets.listen("127.0.0.1", port)
        other.communicate()


def test_a_port_of_another_address_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one at which no server listens; and a system that says nothing is no trouble."""
    with BareServer() as server:
        port = server.address[1]
        assert addresses.held_by((socket.AF_INET, ("127.0.0.1", port))) == "self"
        assert addresses.held_by((socket.AF_INET, ("0.0.0.0", port))) == "self"
        assert addresses.held_by((socket.AF_INET, ("127.0.0.7", port))) == ""
        monkeypatch.setattr(psutil.Process, "net_connections", refuse)
        assert addresses.held_by((socket.AF_INET, ("127.0.0.1", port))) == ""


def refuse(*_: object) -> None:
    raise psutil.AccessDenied


# --- how addresses are written ---


def test_places() -> None:
    """An IPv6 address stands in brackets, with its interface."""
    assert addresses.place(("a.example", 1)) == "a.example:1"
    assert addresses.place(("fe80::1%eth0", 2)) == "[fe80::1%eth0]:2"


def test_an_address_stands_once_in_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hosts file may hold it twice."""
    one, two = ("127.0.0.1", 5), ("127.0.0.2", 5)
    make_known(monkeypatch, "twice.example", two, one, two)
    assert [where for _, where in addresses.resolve(("twice.example", 5))] == [two, one]


def test_everywhere_is_connected_to_on_this_machine() -> None:
    """Windows connects to 0.0.0.0 no more than to any other address that is none."""
    for everywhere, here in (("0.0.0.0", "127.0.0.1"), ("::", "::1")):
        assert addresses.to_connect_to((everywhere, 7))[0][1][:2] == (here, 7)


class LinkLocal(socket.socket):
    def getsockname(self) -> tuple[str, int, int, int]:
        return "fe80::1", 5, 0, 1


def test_a_link_local_address_keeps_its_interface() -> None:
    """Without it, it leads nowhere; and the resolver takes what is written."""
    need(has_ipv6(), "IPv6")
    with LinkLocal(socket.AF_INET6) as sock:
        host, port = addresses.own(sock)
    assert host.startswith("fe80::1%") and port == 5
    assert addresses.resolve((host, port))[0][1] == ("fe80::1", 5, 0, 1)


def test_addresses_that_others_see(monkeypatch: pytest.MonkeyPatch) -> None:
    """That from which packets leave comes first; those that are of use here alone are left out."""
    monkeypatch.setattr(addresses, "_leaves_from", lambda: iter(["192.168.1.10"]))
    of_interfaces = [
        "127.0.0.1",
        "172.17.0.1",
        "192.168.1.10",
        "::1",
        "fe80::1%eth0",
        "0.0.0.0",
        "2001:db8::5",
    ]
    monkeypatch.setattr(addresses, "_of_interfaces", lambda: iter(of_interfaces))
    assert addresses.seen_by_others() == ["192.168.1.10", "172.17.0.1", "2001:db8::5"]


def test_addresses_of_this_very_machine() -> None:
    """Whatever it has can be listened on."""
    for host in addresses.seen_by_others():
        sockets.listen(host, 0).close()
