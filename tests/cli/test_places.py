"""Where `serve` listens: what it prints of that, and whether it leads there. And every command tries every
address of a name."""

from __future__ import annotations

import ipaddress
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import certificates
import psutil
import pytest
from programs import LABKIT, PATIENCE, Program, Serving
from support import SOON, has_ipv6, make_known, need

from labkit import ChatServer
from labkit.cli import serve
from labkit.conformance.run import check_address
from labkit.instruments.load.joining import join as join_all
from labkit.probe.raw_client import RawClient
from labkit.wire import addresses

LOOPBACK_TOO = "Only this machine can reach it"


def joins(server: Serving) -> str:
    """Join by the command line that the server prints, as it stands; returns that."""
    command = server.until("To join: python ").split("To join: python ")[1].split("\n")[0]
    with Program(sys.executable, *shlex.split(command), "alice") as alice:
        alice.until("* you are alice, in lobby\n")
        alice.hang_up()
        assert alice.ends() == 0, alice.complaints()
    return command


def has(host: str) -> bool:
    """Whether this machine has that address."""
    with suppress(OSError), socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind(socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0][4])
        return True
    return False


def stops(server: Serving) -> str:
    """Stop it; returns what it complained of."""
    server.interrupt()
    assert server.ends() == 0
    return server.complaints()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.1.1", "::1", "[::1]"])
def test_a_loopback_address_is_joined_and_said_to_be_one(host: str) -> None:
    """127.0.1.1 is what Debian's hosts file has for a machine's own name; it is not 127.0.0.1."""
    need(has(host.strip("[]")), f"the address {host}")
    with Serving("--host", host) as server:
        assert f"--port {server.address[1]}" in joins(server)
        assert server.said.splitlines()[2] == f"{LOOPBACK_TOO}."
        assert stops(server) == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "*"])
def test_everywhere_is_joined_by_an_address_that_others_have(host: str) -> None:
    """One of this machine's own; where it has none but loopback, that, and it is said."""
    need(host != "::" or has_ipv6(), "IPv6")
    with Serving("--host", host) as server:
        assert ipaddress.ip_address(server.address[0]).is_unspecified
        command = joins(server)
        assert "ADDRESS" not in command
        others = [one for one in addresses.seen_by_others() if host != "0.0.0.0" or "." in one]
        assert (f"--host {others[0]} " in command) if others else (LOOPBACK_TOO in server.said)
        with RawClient(("127.0.0.1", server.address[1]), "bob") as bob:
            assert bob.hears("nickname")
        assert "open to other machines" in stops(server)


def link_local() -> str:
    """A link-local address of this machine, with its interface; or "" if it has none."""
    for name, found in psutil.net_if_addrs().items():
        for one in found:
            if one.family == socket.AF_INET6 and one.address.startswith("fe80:"):
                host: str = one.address.partition("%")[0] + f"%{name}"
                if psutil.net_if_stats()[name].isup and has(host):
                    return host
    return ""


def test_a_link_local_address_is_joined_with_its_interface() -> None:
    """And others are told to name theirs."""
    host = link_local()
    if not host:
        pytest.skip("this machine has no link-local address")
    with Serving("--host", host) as server:
        assert server.address[0] == host
        assert f"--host {host} --port" in joins(server)
        assert "the name of its own network interface stands behind the %" in server.said
        with Program(*LABKIT, "join", "bob", "--host", f"[{host}]:{server.address[1]}") as bob:
            bob.until("* you are bob, in lobby\n")


@pytest.mark.parametrize(
    ("written", "by"),
    [
        ("{host}", ["--port", "{port}"]),
        ("[{host}]", ["--port", "{port}"]),
        ("[{host}]:{port}", []),
    ],
)
def test_join_takes_a_host_as_it_is_written_anywhere(written: str, by: list[str]) -> None:
    """In brackets or not, with its port or not."""
    need(has_ipv6(), "IPv6")
    with ChatServer("::1", 0) as server:
        host, port = server.address
        words = [word.format(host=host, port=port) for word in ["--host", written, *by]]
        with Program(*LABKIT, "join", "alice", *words) as alice:
            alice.until("* you are alice, in lobby\n")
    with (
        ChatServer(port=0) as server,
        Program(*LABKIT, "join", "alice", "--host", addresses.place(server.address)) as alice,
    ):
        alice.until("* you are alice, in lobby\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--host", "localhost:14902", "--port", "14902"],
            "the port is given twice: in --host and by --port",
        ),
        (["[::1]:14901"], "[::1]:14901 is a place, and no nickname: give it by --host"),
        (["::1"], "::1 is a place, and no nickname: give it by --host"),
        (["localhost:14901"], "localhost:14901 is a place, and no nickname: give it by --host"),
    ],
)
def test_a_place_where_it_cannot_be(words: list[str], told: str) -> None:
    """The usage, and what is wrong; status 2."""
    done = subprocess.run([*LABKIT, "join", *words], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2
    assert done.stderr.endswith(f"error: {told}\n")


# --- what is printed, on machines that are not like this one ---


def test_a_name_that_is_loopback_here_is_said_to_be() -> None:
    """Whoever gives the machine's own name means others to reach it, and on Debian they cannot."""
    assert serve._who_can("127.0.1.1", "127.0.1.1", "alices-laptop") == [
        "Only this machine can reach it: alices-laptop means 127.0.1.1 here."
    ]
    assert serve._who_can("::1", "::1", "localhost") == ["Only this machine can reach it."]
    assert serve._who_can("192.168.1.10", "192.168.1.10", "alices-laptop") == []


@pytest.mark.parametrize(
    ("host", "dual", "called"),
    [
        ("0.0.0.0", True, "127.0.0.1"),
        ("::", True, "127.0.0.1"),
        ("::", False, "::1"),
    ],
)
def test_a_machine_that_has_no_address_but_loopback(
    host: str, dual: bool, called: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One joins by that, and is told that no other machine can."""
    monkeypatch.setattr(addresses, "seen_by_others", lambda: [])
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: dual)
    assert serve._called(host, host, None) == (called, True)
    assert serve._who_can(host, called, host) == [
        "Only this machine can reach it so: it has no other address."
    ]


@pytest.mark.parametrize(
    ("host", "dual", "called"),
    [
        ("0.0.0.0", True, "192.168.1.10"),
        ("::", True, "2001:db8::5"),
        ("::", False, "2001:db8::5"),
        ("10.0.0.1", True, "10.0.0.1"),
    ],
)
def test_an_address_of_the_family_that_it_listens_on(
    host: str, dual: bool, called: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server on all IPv4 addresses is not joined by an IPv6 one, nor the other way round."""
    monkeypatch.setattr(addresses, "seen_by_others", lambda: ["2001:db8::5", "192.168.1.10"])
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: dual)
    assert serve._called(host, host, None) == (called, True)
    assert serve._who_can(host, called, host) == []


def test_the_host_is_left_out_only_where_join_looks_there_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where localhost is ::1 first, another server may listen there, on the same port."""
    make_known(monkeypatch, "localhost", ("127.0.0.1", 0), ("::1", 0, 0, 0))
    assert serve._how_to_join(("127.0.0.1", 14901), "lines") == "python -m labkit join"
    assert serve._how_to_join(("::1", 14901), "lines") == "python -m labkit join --host ::1"
    make_known(monkeypatch, "localhost", ("::1", 0, 0, 0), ("127.0.0.1", 0))
    assert serve._how_to_join(("127.0.0.1", 7), "raw") == (
        "python -m labkit join --host 127.0.0.1 --port 7 --framing raw"
    )
    assert serve._how_to_join(("::1", 14901), "lines") == "python -m labkit join"


@pytest.mark.parametrize(
    ("hosts", "words", "host"),
    [
        ("DNS:localhost", ["--host", "127.0.0.1"], ""),
        ("IP:127.0.0.1", [], "--host 127.0.0.1 "),
        ("IP:127.0.0.1", ["--host", "*"], "--host 127.0.0.1 "),
        ("DNS:localhost", ["--host", "*"], ""),
    ],
)
def test_with_a_certificate_one_joins_by_a_host_that_it_names(
    hosts: str, words: list[str], host: str, tmp_path: Path
) -> None:
    """Any other is refused by the client."""
    made = certificates.make(tmp_path, "some", hosts)
    with Serving("--tls-cert", made.pem, "--tls-key", made.key, *words) as server:
        command = joins(server)
        assert f"join {host}--port" in command
        assert "the certificate is not for" not in stops(server)


def test_a_certificate_for_another_host_is_warned_of(tmp_path: Path) -> None:
    """Nobody can join by it, and the one who serves learns it first."""
    made = certificates.make(tmp_path, "other", "DNS:chat.example")
    with Serving("--tls-cert", made.pem, "--tls-key", made.key) as server:
        assert "the certificate is not for 127.0.0.1: clients will refuse it" in stops(server)


# --- every command tries every address ---


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[ChatServer], str]]:
    """Gives a server a name whose first address is one where no server listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))

        def known(server: ChatServer) -> str:
            make_known(monkeypatch, "many.example", bound.getsockname(), server.address)
            return "many.example"

        yield known


def test_check_server_tries_every_address(name: Callable[[ChatServer], str]) -> None:
    """And finds a server that is right."""
    with ChatServer(port=0) as server:
        assert check_address(f"{name(server)}:{server.address[1]}").holds


def test_a_load_tries_every_address(name: Callable[[ChatServer], str]) -> None:
    """All its clients go where the first one got in."""
    with ChatServer(port=0) as server:
        clients, _ = join_all([(name(server), 1)], 5, SOON)
        assert {client.sock.getpeername() for client in clients} == {server.address}
        for client in clients:
            client.sock.close()


def test_a_raw_client_tries_every_address(name: Callable[[ChatServer], str]) -> None:
    """In front of a server, whatever speaks there."""
    with ChatServer(port=0) as server, RawClient((name(server), 1), "alice") as alice:
        alice.join("alice")
