"""What links have seen as a pcapng file, which Wireshark opens.

A link reads and writes streams, and sees no packets. So it draws some up: an IP and a TCP header for each
piece that it passed on, with sequence numbers that fit. The file says so in a comment, and what is missing.

The format is the IETF's draft-ietf-opsawg-pcapng: a section header, a block for each interface (a link),
and one for each packet, each with options.
"""

from __future__ import annotations

import ipaddress
import platform
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labkit.instruments.capture import ACK, DATA, FIN, RST, SYN, SYN_ACK, Capture, Packet

COMMENT = """\
Drawn up by Chat Lab from what its links passed on; not captured from a network.
True: the bytes, their order, the pieces in which a link passed them on and when it began to, FIN, RST, \
and the addresses of client and server. (A client sends to the link, and the link to the server; here the \
link is left out.)
Made up, to be read as TCP: the headers, the sequence numbers, the three packets that open a connection.
Not shown, for a link cannot see it: segments as the kernels cut them, acknowledgements of their own, \
retransmissions, windows, keepalive, and whether what was passed on has arrived."""

RAW_IP = 101  # LINKTYPE_RAW: a packet begins with its IP header, version 4 or 6
LARGEST = 65_495  # bytes in a packet: what IPv4 leaves of 65,535 for the two headers
SCALE = 14  # the window is 65,535 × 2^14: never full, for we do not know it

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_COMMENT, _OS, _PROGRAM, _NAME, _DESCRIPTION, _RESOLUTION = 1, 3, 4, 2, 3, 9
_FIN, _SYN, _RST, _PSH, _ACK = 1, 2, 4, 8, 16
_FLAGS = {SYN: _SYN, SYN_ACK: _SYN | _ACK, ACK: _ACK, DATA: _PSH | _ACK, FIN: _FIN | _ACK, RST: _RST | _ACK}
_SYN_OPTIONS = struct.pack(">BBHBBBB", 2, 4, LARGEST, 3, 3, SCALE, 1)  # MSS, window scale, and padding


@dataclass(frozen=True, slots=True)
class Source:
    """What one link has seen, and what its ends are called."""

    capture: Capture
    client: str
    server: str


def file_of(sources: Sequence[Source]) -> bytes:
    """The whole file: each link as an interface, and all packets in the order in which they passed."""
    dropped = sum(source.capture.dropped for source in sources)
    note = f"\nThe first {dropped:,} packets are missing, for newer ones took their room." * bool(dropped)
    os = f"{platform.system()} {platform.release()}"
    blocks = [
        _block(
            _SECTION,
            struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1),  # byte order, version 1.0, length not told
            [(_COMMENT, COMMENT + note), (_OS, os), (_PROGRAM, "Chat Lab (labkit)")],
        )
    ]
    for source in sources:
        about = f"a link of Chat Lab between {source.client} and {source.server}"
        names: list[tuple[int, str | bytes]] = [
            (_NAME, source.client),
            (_DESCRIPTION, about),
            (_RESOLUTION, b"\x06"),  # microseconds
        ]
        blocks.append(_block(_INTERFACE, struct.pack("<HHI", RAW_IP, 0, 0), names))
    packets = [(i, packet) for i, source in enumerate(sources) for packet in source.capture.packets()]
    packets.sort(key=lambda numbered: numbered[1].when)  # stable: equal times keep their order
    for i, packet in packets:
        blocks += _blocks_of(i, sources[i], packet)
    return b"".join(blocks)


def _blocks_of(interface: int, source: Source, packet: Packet) -> Iterator[bytes]:
    """A piece as one packet, or as several if IP has no room for it in one."""
    when = round((packet.when + source.capture.epoch) * 1_000_000)
    told = _told(source, packet)
    for start in range(0, max(1, packet.size), LARGEST):
        size = min(LARGEST, packet.size - start)
        data = None if packet.data is None else packet.data[start : start + size]
        whole = _ip(packet, start, size, data)
        length = len(whole) + (size if data is None else 0)
        body = struct.pack("<IIIII", interface, when >> 32, when & 0xFFFFFFFF, len(whole), length)
        notes = [told] if told else []
        if packet.size > LARGEST:
            notes.append(f"bytes {start + 1} to {start + size} of a piece of {packet.size}")
        comment: list[tuple[int, str | bytes]] = [(_COMMENT, "; ".join(notes))] if notes else []
        yield _block(_PACKET, body + _padded(whole), comment)


def _told(source: Source, packet: Packet) -> str:
    """What a packet's comment says; most have none."""
    who = source.client if packet.from_client else source.server
    if packet.by_link:
        return f"{packet.kind} that the link itself sent in the name of {who}"
    if packet.kind in (SYN, SYN_ACK, ACK):
        return f"{packet.kind} of {who}, made up: when the link saw the connection open"
    if packet.kind in (FIN, RST):
        return f"{packet.kind} of {who}"
    return "these bytes are missing, for newer ones took their room" if packet.data is None else ""


def _ip(packet: Packet, start: int, size: int, data: bytes | None) -> bytes:
    """A packet's headers, and its bytes, if they are known."""
    talk = packet.talk
    ends = [talk.client, talk.server] if packet.from_client else [talk.server, talk.client]
    hosts = [ipaddress.ip_address(host.partition("%")[0]) for host, _ in ends]
    options = _SYN_OPTIONS if packet.kind in (SYN, SYN_ACK) else b""
    flags = _FLAGS[packet.kind]
    # Each connection begins elsewhere, as in life; the two ends, too.
    first = [talk.number * 1_000_000, talk.number * 1_000_000 + 500_000][:: 1 if packet.from_client else -1]
    seq = (first[0] + packet.seq + start) % 2**32
    ack = (first[1] + packet.ack) % 2**32 if flags & _ACK else 0
    offset = (20 + len(options)) // 4 << 4
    tcp = bytearray(
        struct.pack(">HHIIBBHHH", ends[0][1], ends[1][1], seq, ack, offset, flags, 0xFFFF, 0, 0) + options
    )
    if all(host.version == 4 for host in hosts):
        addresses = b"".join(host.packed for host in hosts)
        whole = 20 + len(tcp) + size
        head = bytearray(struct.pack(">BBHHHBBH", 0x45, 0, whole, 0, 0x4000, 64, 6, 0) + addresses)
        struct.pack_into(">H", head, 10, checksum(head))
        pseudo = addresses + struct.pack(">BBH", 0, 6, len(tcp) + size)
    else:
        addresses = b"".join(_as_ipv6(host) for host in hosts)
        head = bytearray(struct.pack(">IHBB", 0x60000000, len(tcp) + size, 6, 64) + addresses)
        pseudo = addresses + struct.pack(">II", len(tcp) + size, 6)
    if data is not None:
        struct.pack_into(">H", tcp, 16, checksum(pseudo + tcp + data))
    return bytes(head + tcp + (data or b""))


def _as_ipv6(host: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bytes:
    return host.packed if host.version == 6 else bytes(10) + b"\xff\xff" + host.packed


def checksum(data: bytes | bytearray) -> int:
    """The Internet checksum (RFC 1071): the complement of the sum of all 16-bit words, carries added."""
    padded = bytes(data) + bytes(len(data) % 2)
    # One large number modulo 2^16 - 1 is the sum of its 16-bit digits, carries added.
    total = int.from_bytes(padded, "big") % 0xFFFF
    return 0xFFFF - total if total else (0 if any(padded) else 0xFFFF)


def _block(kind: int, body: bytes, options: Sequence[tuple[int, str | bytes]]) -> bytes:
    """A block: its kind, its length, what it is about, its options, and its length again."""
    for code, value in options:
        data = value.encode("utf-8", "replace") if isinstance(value, str) else value
        data = data[:0xFFFF]
        body += struct.pack("<HH", code, len(data)) + _padded(data)
    if options:
        body += bytes(4)  # the end of the options
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
