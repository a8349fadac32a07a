"""What links saw, saved as pcapng: read back by a few lines of our own, and by tshark."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from time import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import PATIENCE
from support import SOON, has_ipv6, need, until

from labkit import ChatClient, ChatServer
from labkit.instruments import capture, pcapng
from labkit.instruments.capture import Capture
from labkit.instruments.faults import HalfClose, Slice
from labkit.instruments.link import Link
from labkit.instruments.panel import board

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


# --- a reader, from the specification and from RFC 791, 8200 and 9293 alone ---


@dataclass
class Read:
    """One packet of a file."""

    interface: int
    when: float
    comments: list[str]
    source: tuple[str, int]
    to: tuple[str, int]
    flags: int
    seq: int
    ack: int
    data: bytes
    whole: int  # bytes that it had; with fewer in `data`, the others are missing


@dataclass
class File:
    section: dict[int, bytes] = field(default_factory=dict)
    interfaces: list[dict[int, bytes]] = field(default_factory=list)
    packets: list[Read] = field(default_factory=list)


def options_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        code, length = struct.unpack_from("<HH", data, at)
        if code == 0:
            assert length == 0 and at + 4 == len(data)
            return
        yield code, data[at + 4 : at + 4 + length]
        at += 4 + length + -length % 4
    assert at == len(data)


def sum_of(data: bytes) -> int:
    """The Internet checksum's sum, word by word: 0xFFFF if the checksum in it is right."""
    total = 0
    for (word,) in struct.iter_unpack(">H", data + bytes(len(data) % 2)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total


def packet_of(
    raw: bytes, original: int
) -> tuple[tuple[str, int], tuple[str, int], int, int, int, bytes, int]:
    if raw[0] >> 4 == 4:
        head, hosts = raw[:20], (raw[12:16], raw[16:20])
        assert sum_of(head) == 0xFFFF and struct.unpack_from(">H", head, 2)[0] == original
        assert head[9] == 6
        pseudo = raw[12:20] + struct.pack(">BBH", 0, 6, original - 20)
        tcp, long = raw[20:], original - 20
    else:
        assert raw[0] >> 4 == 6 and raw[6] == 6
        hosts = (raw[8:24], raw[24:40])
        assert struct.unpack_from(">H", raw, 4)[0] == original - 40
        pseudo = raw[8:40] + struct.pack(">II", original - 40, 6)
        tcp, long = raw[40:], original - 40
    ports = struct.unpack_from(">HH", tcp)
    seq, ack, offset, flags = struct.unpack_from(">IIBB", tcp, 4)
    size = (offset >> 4) * 4
    if len(raw) == original:
        assert sum_of(pseudo + tcp) == 0xFFFF
    ends = [(str(ip_address(host)), port) for host, port in zip(hosts, ports, strict=True)]
    return ends[0], ends[1], seq, ack, flags, tcp[size:], long - size


def read(path: Path) -> File:
    return parsed(path.read_bytes())


def parsed(data: bytes) -> File:
    at, file = 0, File()
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0 and struct.unpack_from("<I", data, at + length - 4)[0] == length
        body = data[at + 8 : at + length - 4]
        if kind == 0x0A0D0D0A:
            assert at == 0 and struct.unpack_from("<IHHq", body) == (0x1A2B3C4D, 1, 0, -1)
            file.section = dict(options_of(body[16:]))
        elif kind == 1:
            assert struct.unpack_from("<HHI", body) == (101, 0, 0)
            file.interfaces.append(dict(options_of(body[8:])))
        else:
            assert kind == 6
            interface, high, low, kept, original = struct.unpack_from("<IIIII", body)
            raw = body[20 : 20 + kept]
            comments = [
                value.decode() for code, value in options_of(body[20 + kept + -kept % 4 :]) if code == 1
            ]
            source, to, seq, ack, flags, payload, whole = packet_of(raw, original)
            when = (high * 2**32 + low) / 1e6
            file.packets.append(
                Read(interface, when, comments, source, to, flags, seq, ack, payload, whole)
            )
        at += length
    assert at == len(data)
    return file


def checked_as_tcp(packets: list[Read]) -> None:
    """Each sequence number follows the one before; each acknowledgement is what the other has sent."""
    following: dict[tuple[tuple[str, int], tuple[str, int]], int] = {}
    for packet in packets:
        way, back = (packet.source, packet.to), (packet.to, packet.source)
        if packet.flags & SYN:
            following[way] = packet.seq
        assert following.setdefault(way, packet.seq) == packet.seq
        if packet.flags & ACK and back in following:
            assert following[back] == packet.ack
        counted = packet.whole + bool(packet.flags & (SYN | FIN))
        following[way] = (packet.seq + counted) % 2**32


def kinds(link: Link) -> list[tuple[str, str]]:
    """What the ladder shows, without the bytes: who, and what."""
    return [(event.kind, event.who) for event in link.journal]


def told(file: File, link: int, client: tuple[str, int]) -> list[tuple[str, str]]:
    """The same, of a file."""
    names = {FIN | ACK: "FIN", RST | ACK: "RST", PSH | ACK: "bytes"}
    return [
        (names[packet.flags], "client" if packet.source == client else "server")
        for packet in file.packets
        if packet.interface == link and packet.flags in names
    ]


@pytest.fixture
def goodbyes(server: ChatServer, tmp_path: Path) -> Iterator[tuple[Path, list[Link]]]:
    """Bob says goodbye, carol aborts, dave falls silent: notebook 05, saved in one file."""
    with board(server, "alice", "bob", "carol", "dave", wires=True) as people:
        wires = [people.wire(name) for name in ("bob", "carol", "dave")]
        people.bob.leave()
        people.alice.wait_for("bob left")
        people.carol.abort()
        people.alice.wait_for("carol left")
        people.dave.wait_for("carol left")
        wires[2].silence()
        people.dave.say("can you hear me?")
        until(lambda: [kind for kind, _ in kinds(wires[0])].count("FIN") == 2)
        yield wires[0].save(tmp_path / "goodbyes.pcapng", *wires[1:]), wires


def test_the_three_goodbyes(goodbyes: tuple[Path, list[Link]]) -> None:
    """FIN twice, RST once, nothing at all: in the file where the ladder has them, each on its interface."""
    path, wires = goodbyes
    file = read(path)
    assert [names[2] for names in file.interfaces] == [b"bob", b"carol", b"dave"]
    for i, wire in enumerate(wires):
        mine = [packet for packet in file.packets if packet.interface == i]
        assert [packet.flags for packet in mine[:3]] == [SYN, SYN | ACK, ACK]
        client = mine[0].source
        names = {wire.to_server.sender: "client", wire.to_client.sender: "server"}
        assert told(file, i, client) == [(kind, names[who]) for kind, who in kinds(wire)]
    ends = [[kind for kind, _ in kinds(wire) if kind != "bytes"] for wire in wires]
    assert ends == [["FIN", "FIN"], ["RST"], []]
    checked_as_tcp(file.packets)
    times = [packet.when for packet in file.packets]
    assert times == sorted(times) and time() - 100 < times[0] <= times[-1] < time() + 1
    assert [packet.comments for packet in file.packets if packet.flags & RST] == [["RST of carol"]]


def test_the_file_says_what_it_is(goodbyes: tuple[Path, list[Link]]) -> None:
    """A comment of the section: drawn up from what the link saw; what is true, made up, and not shown."""
    comment = read(goodbyes[0]).section[1].decode()
    assert comment == pcapng.COMMENT
    for words in (
        "Drawn up",
        "not captured",
        "Made up",
        "Not shown",
        "retransmissions",
        "windows",
        "acknowledg",
    ):
        assert words in comment


def test_the_bytes_as_they_passed(tmp_path: Path) -> None:
    """Each piece is a packet of the same bytes, both ways."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Link(listener.getsockname(), client="near") as link,
    ):
        link.to_server.use(Slice(3))
        with socket.create_connection(link.address) as near:
            far, _ = listener.accept()
            with far:
                near.sendall(b"good night")
                heard = b""
                while len(heard) < 10:
                    heard += far.recv(100)
                far.sendall("жук\x00".encode())
                assert near.recv(100) == "жук\x00".encode()
                client, at_server = near.getsockname(), listener.getsockname()
                link.to_server.use(HalfClose())
                assert far.recv(1) == b""
        file = read(link.save(str(tmp_path / "file")))
    pieces = [(packet.source, packet.data) for packet in file.packets if packet.data]
    assert pieces == [
        *((client, piece) for piece in (b"goo", b"d n", b"igh", b"t")),
        (at_server, "жук\x00".encode()),
    ]
    assert {packet.to for packet in file.packets} == {client, at_server}
    checked_as_tcp(file.packets)


def test_a_reset_by_the_link_says_so(server: ChatServer, tmp_path: Path) -> None:
    """RST to both ends, each in the name of the other; the comment tells whose it is."""
    with Link(server.address, client="grace") as link, ChatClient("grace", link.address) as grace:
        link.reset()
        grace.wait_until_gone(SOON)
        until(lambda: kinds(link)[-2:] == [("RST", "link")] * 2)
        file = read(link.save(tmp_path / "reset.pcapng"))
    ends = [(packet.flags & RST, packet.comments) for packet in file.packets[-2:]]
    assert ends == [
        (RST, ["RST that the link itself sent in the name of grace"]),
        (RST, ["RST that the link itself sent in the name of server"]),
    ]
    checked_as_tcp(file.packets)


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    """SYN, and RST in answer, as a port that nobody listens on gives."""
    with socket.socket() as bound, ExitStack() as stack:  # taken, and not listening
        bound.bind(("127.0.0.1", 0))
        address = bound.getsockname()
        link = stack.enter_context(Link(address, client="near"))
        # Where the RST is quick, connect raises already.
        with pytest.raises(ConnectionResetError), socket.create_connection(link.address) as near:
            near.settimeout(SOON)
            near.recv(1)
        until(lambda: kinds(link) == [("RST", "server")])
        file = read(link.save(tmp_path / "refused.pcapng"))
    assert [packet.flags for packet in file.packets] == [SYN, RST | ACK]
    assert file.packets[1].source == address
    checked_as_tcp(file.packets)


def test_ipv6_and_a_mixture(tmp_path: Path) -> None:
    """A server on ::1 behind a link on 127.0.0.1 is shown with IPv6 headers, and right checksums."""
    need(has_ipv6(), "no IPv6 here")
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        at_server = listener.getsockname()[:2]
        with Link(at_server) as link, socket.create_connection(link.address) as near:
            far, _ = listener.accept()
            near.sendall(b"hello")
            assert far.recv(5) == b"hello"
            far.close()
            assert near.recv(1) == b""
            file = read(link.save(tmp_path / "six.pcapng"))
    assert file.packets[0].to == at_server
    assert [packet.data for packet in file.packets if packet.data] == [b"hello"]


def test_a_piece_that_ip_has_no_room_for(tmp_path: Path) -> None:
    """It becomes several packets, which say of what they are parts."""
    seen = Capture()
    talk = seen.opened(("127.0.0.1", 1000), ("127.0.0.1", 2000))
    seen.connected(talk, ("127.0.0.1", 2000), ("127.0.0.1", 3000))
    whole = bytes(range(256)) * 1000
    seen.passed(talk, True, memoryview(whole))
    (tmp_path / "large").write_bytes(pcapng.file_of([pcapng.Source(seen, "near", "far")]))
    parts = read(tmp_path / "large").packets[3:]
    assert b"".join(part.data for part in parts) == whole and len(parts) == 4
    assert parts[-1].comments == ["bytes 196486 to 256000 of a piece of 256000"]
    checked_as_tcp(read(tmp_path / "large").packets)


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of old pieces only the length is kept, and of many packets the newest; the file says so."""
    monkeypatch.setattr(capture, "BYTES", 1000)
    monkeypatch.setattr(capture, "PACKETS", 50)
    seen = Capture()
    talk = seen.opened(("127.0.0.1", 1000), ("127.0.0.1", 2000))
    seen.connected(talk, ("127.0.0.1", 2000), ("127.0.0.1", 3000))
    for number in range(100):
        seen.passed(talk, number % 2 == 0, b"%-99d\n" % number)
    assert sum(len(packet.data or b"") for packet in seen.packets()) == 1000
    (tmp_path / "old").write_bytes(pcapng.file_of([pcapng.Source(seen, "near", "far")]))
    file = read(tmp_path / "old")
    assert len(file.packets) == 50 and "The first 53 packets are missing" in file.section[1].decode()
    assert [len(packet.data) for packet in file.packets] == [0] * 40 + [100] * 10
    assert {packet.whole for packet in file.packets} == {100}
    assert file.packets[0].comments == ["these bytes are missing, for newer ones took their room"]
    checked_as_tcp(file.packets)
    one_by_one = Capture()
    other = one_by_one.opened(("127.0.0.1", 1), ("127.0.0.1", 2))
    for _ in range(3):
        one_by_one.passed(other, True, bytes(5000))  # larger than all that is kept
    assert all(packet.data is None for packet in one_by_one.packets()[1:])


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=300)), max_size=30), st.integers(0, 3000))
def test_any_conversation_is_right(said: list[tuple[bool, bytes]], number: int) -> None:
    """Whatever is said, by whichever end, of whichever connection: lengths, checksums and numbers hold."""
    seen = Capture()
    seen._count = number * 5000  # sequence numbers run over, too
    talk = seen.opened(("127.0.0.1", 1000), ("::1", 2000) if number % 2 else ("10.0.0.1", 2000))
    seen.connected(talk, talk.server, ("127.0.0.1", 3000))
    for from_client, data in said:
        seen.passed(talk, from_client, data)
    seen.ended(talk, capture.FIN, True)
    seen.ended(talk, capture.RST, False)
    file = parsed(pcapng.file_of([pcapng.Source(seen, "near\n", "فار")]))
    checked_as_tcp(file.packets)
    assert b"".join(p.data for p in file.packets) == b"".join(data for _, data in said)


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\x00\x00", b"\xff\xff", b"\xff\xfe\x00\x01", b"abc", bytes(99)]
)
def test_the_checksum(data: bytes) -> None:
    """RFC 1071: with its complement put in, the sum of the words is all ones."""
    assert sum_of(data + bytes(len(data) % 2) + struct.pack(">H", pcapng.checksum(data))) == 0xFFFF


def test_what_cannot_be_saved(server: ChatServer, tmp_path: Path) -> None:
    """A folder that is not there, and what is no link; a file is replaced, and a link is saved once."""
    with Link(server.address) as link:
        with pytest.raises(OSError):
            link.save(tmp_path / "none" / "file")
        with pytest.raises(TypeError, match="what is saved along is a Link, not 'bob'"):
            link.save(tmp_path / "file", "bob")  # type: ignore[arg-type]
        (tmp_path / "file").write_bytes(bytes(10_000))
        assert len(read(link.save(tmp_path / "file", link)).interfaces) == 1
    assert read(link.save(tmp_path / "later")).packets == []  # also once it was stopped


# --- Wireshark's own reader ---


def tshark(path: Path, *options: str) -> str:
    """What tshark prints; it must not complain."""
    program = shutil.which("tshark")
    need(program, "tshark is not installed")
    checks = ("-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE")
    # The port may happen to be another protocol's, by which a chat is malformed.
    bytes_alone = ("-d", f"tcp.port=={read(path).packets[0].to[1]},data")
    done = subprocess.run(
        [str(program), "-r", str(path), *checks, *bytes_alone, *options],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=PATIENCE,
    )
    complaints = [line for line in done.stderr.splitlines() if "Running as user" not in line]
    assert done.returncode == 0 and complaints == []
    return done.stdout


def test_tshark_opens_the_three_goodbyes(goodbyes: tuple[Path, list[Link]]) -> None:
    """Nothing malformed, no bad checksum, no lost segment; FIN and RST where the ladder shows them."""
    path, wires = goodbyes
    fields = ("frame.interface_name", "tcp.flags.fin", "tcp.flags.reset", "tcp.len", "tcp.checksum.status")
    shown = [word for name in fields for word in ("-e", name)]
    rows = [line.split("\t") for line in tshark(path, "-T", "fields", *shown).splitlines()]
    seen: dict[str, list[str]] = {}
    for name, fin, rst, length, status in rows:
        assert status in ("1", "Good")
        kind = (
            "FIN"
            if fin in ("1", "True")
            else "RST"
            if rst in ("1", "True")
            else "bytes"
            if length != "0"
            else ""
        )
        seen.setdefault(name, []).extend([kind] * bool(kind))
    assert seen == {wire.to_server.sender: [kind for kind, _ in kinds(wire)] for wire in wires}
    # The one thing that Wireshark warns of is the RST itself.
    unwanted = "_ws.malformed || tcp.analysis.flags || _ws.expert.severity >= 0x600000"
    assert tshark(path, "-Y", f"({unwanted}) && !tcp.flags.reset == 1") == ""
    whole = tshark(path, "-V")
    assert "Malformed" not in whole and "incorrect" not in whole and "RST of carol" in whole
