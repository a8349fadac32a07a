"""What both ends' kernels keep: by sock_diag, by the kernel's tables, and of a socket in hand."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import SOON, has_ipv6, need

from labkit.probe import kernel, netlink, queues
from labkit.probe.deadline import Deadline
from labkit.wire import sockets

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these are Linux' own answers")

Pair = tuple[socket.socket, socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two connected sockets, and the listener."""
    yield from connected("127.0.0.1")


def connected(host: str) -> Iterator[Pair]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        socket.create_server((host, 0), family=family, backlog=3) as listener,
        socket.create_connection(listener.getsockname()[:2]) as near,
    ):
        far, _ = listener.accept()
        with far:
            yield near, far, listener


def eventually(look: Callable[[], bool]) -> None:
    """Wait until it is so."""
    deadline = Deadline(SOON)
    while not look():
        assert not deadline.passed()


def cannot_tell(*_: object) -> None:
    raise netlink.CannotTell("a sandbox")


def fill(sock: socket.socket) -> int:
    """Send until there is no room."""
    sock.setblocking(False)
    took = 0
    while size := sockets.send_now(sock, b"blah " * 2000):
        took += size
    return took


def by_netlink(_: pytest.MonkeyPatch) -> None:
    pass


def by_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink, "_ask", cannot_tell)


@pytest.mark.parametrize("way", [by_netlink, by_tables])
def test_what_is_unread_and_what_is_unsent(
    way: Callable[[pytest.MonkeyPatch], None], pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every byte that was taken is at one of the two ends; then the window is shut, and a read opens it."""
    near, far, _ = pair
    way(monkeypatch)
    here, there = queues.ends(near)
    before = queues.at(here, there, near)
    assert before is not None and (before.unread, before.unsent, before.shut) == (0, 0, False)
    took = fill(near)

    def looks() -> tuple[netlink.Queues, netlink.Queues]:
        one, other = queues.at(here, there, near), queues.at(there, here, far)
        assert one is not None and other is not None
        return one, other

    eventually(lambda: looks()[0].shut)
    one, other = looks()
    assert one.unsent + other.unread == took
    assert one.unread == other.unsent == 0 and not other.shut
    assert one.send_full and not other.send_full
    assert other.read_room >= other.read_used >= other.unread

    read = 0
    while read < took:
        read += len(far.recv(65536))
    eventually(lambda: not looks()[0].shut and not looks()[0].unsent)
    assert looks()[1].unread == 0 and not looks()[0].send_full


@pytest.mark.parametrize("way", [by_netlink, by_tables])
def test_connections_that_wait_for_accept(
    way: Callable[[pytest.MonkeyPatch], None], pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each that is not accepted counts, and no longer once it is; of how many, the tables do not tell."""
    _, _, listener = pair
    way(monkeypatch)
    at = queues.plain(listener.getsockname())
    limit = 3 if way is by_netlink else 0
    assert queues.waiting(at) == (0, limit)
    with socket.create_connection(at), socket.create_connection(at):
        eventually(lambda: queues.waiting(at) == (2, limit))
        for left in (1, 0):
            listener.accept()[0].close()
            assert queues.waiting(at) == (left, limit)
    listener.close()
    assert queues.waiting(at) is None


def test_a_listener_of_all_addresses() -> None:
    """It is found by the address that a client connects to."""
    with socket.create_server(("0.0.0.0", 0)) as listener:
        at = ("127.0.0.1", listener.getsockname()[1])
        with socket.create_connection(at):
            eventually(lambda: (queues.waiting(at) or (0, 0))[0] == 1)


def test_ipv6_and_ipv4_inside_it() -> None:
    """Both are asked for by plain addresses."""
    need(has_ipv6(), "no IPv6 here")
    for near, far, _ in connected("::1"):
        near.sendall(b"four")
        here, there = queues.ends(near)

        def unread(end: netlink.Address = there, other: netlink.Address = here) -> int:
            found = queues.at(end, other)
            return found.unread if found else 0

        eventually(lambda: unread() == 4)  # noqa: B023
        assert queues.ends(far) == (there, here)
    assert queues.plain(("::ffff:127.0.0.1", 80, 0, 0)) == ("127.0.0.1", 80)
    assert queues.plain(("fe80::1%eth0", 80, 0, 2)) == ("fe80::1", 80)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells")
def test_bytes_that_the_other_kernel_has_are_not_on_the_way(pair: Pair) -> None:
    """What a full socket sent makes room in it when it arrives; with nothing on the way it stays full."""
    ours, theirs, _ = pair
    while sockets.writable(ours, 0):
        fill(ours)
        eventually(lambda: not queues.on_the_way(ours))
    assert sockets.unsent(ours) > 0
    eventually(lambda: bool(sockets.receive_now(theirs, 1 << 20)) and sockets.writable(ours, 0))


def test_fin_is_no_byte(pair: Pair) -> None:
    """The kernel's own figures count FIN as one; nobody sent a byte."""
    near, far, _ = pair
    here, there = queues.ends(near)
    near.shutdown(socket.SHUT_WR)
    eventually(lambda: far.recv(1, socket.MSG_PEEK) == b"")
    for end, other in ((here, there), (there, here)):
        found = queues.at(end, other)
        assert found is not None and (found.unread, found.unsent) == (0, 0)


def test_a_connection_that_is_gone_is_not_its_listener(pair: Pair) -> None:
    """Asked for it, the kernel tells of the listener at its port; what waits there was never sent."""
    near, far, listener = pair
    here, there = queues.ends(near)
    sockets.reset_on_close(near)
    near.close()
    far.close()
    with socket.create_connection(listener.getsockname()):
        eventually(lambda: queues.waiting(there) == (1, 3))
        assert queues.at(there, here) is None
        assert netlink.unread_at(there, here) == 0


def test_another_system_tells_of_sockets_in_hand(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without sock_diag and tables, FIONREAD and SIOCOUTQ are left; of other sockets it says so."""
    near, far, listener = pair
    monkeypatch.setattr(netlink, "_ask", cannot_tell)
    monkeypatch.setattr(kernel, "TABLES", (tmp_path / "none",))
    here, there = queues.ends(near)
    near.sendall(b"hello")
    eventually(lambda: sockets.readable(far, 0.1))
    found = queues.at(there, here, far)
    assert found is not None and found.unread == found.read_used == 5
    assert found.read_room == far.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    with pytest.raises(netlink.CannotTell, match=r"does not tell a program what another's buffers hold\."):
        queues.at(there, here)
    with pytest.raises(netlink.CannotTell, match="does not tell how many connections wait"):
        queues.waiting(queues.plain(listener.getsockname()))

    def full() -> bool:
        fill(near)  # again, for the other end's kernel may have taken some
        found = queues.at(here, there, near)
        return found is not None and found.send_full

    eventually(full)
    near.close()
    assert queues.at(here, there, near) is None
