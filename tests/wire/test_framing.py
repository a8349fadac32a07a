"""framing.py: whatever the pieces in which the bytes come, the messages are the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.wire.framing import FRAMINGS, LINES, MAX_LINE, RAW, LineFraming, RawFraming, TooLong

LIMIT = 16  # small, so that a generated line is often too long

# Bytes in which everything that matters happens often: line ends, half characters, lines near the limit.
PIECES = st.sampled_from(
    [b"\n", b"\r", b"\r\n", b"a", b"hello", b"x" * (LIMIT - 1), b"x" * LIMIT, "é€🙂".encode()]
)
STREAMS = st.lists(PIECES | st.binary(max_size=4), max_size=20).map(b"".join)


def fed(framing: LineFraming | RawFraming, pieces: list[bytes]) -> list[str | TooLong]:
    return [message for piece in pieces for message in framing.feed(piece)]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` cut at these places."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in zip(edges, edges[1:], strict=False)]


def by_the_byte(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def naively(data: bytes, limit: int) -> list[str | TooLong]:
    """What LineFraming should make of all of `data`, as plainly as it can be said."""
    messages: list[str | TooLong] = []
    for line in data.split(b"\n")[:-1]:
        if len(line) + 1 > limit:
            messages.append(TooLong(limit))
        else:
            messages.append(line.removesuffix(b"\r").decode("utf-8", "replace"))
    return messages


# --- lines ---

WAYS: dict[str, Callable[[bytes], list[bytes]]] = {
    "whole": lambda data: [data],
    "by the byte": by_the_byte,
    "glued": lambda data: cut(data, [3, 4, 11]),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("data", "messages"),
    [
        (b"hello\n", ["hello"]),
        (b"one\ntwo\nthree\n", ["one", "two", "three"]),
        (b"no end yet", []),
        (b"\n\n", ["", ""]),
        (b"crlf\r\n", ["crlf"]),
        (b"\r\n", [""]),
        (b"two crs\r\r\n", ["two crs\r"]),
        (b"a cr \r within\n", ["a cr \r within"]),
        ("Grüße, 世界 🙂\n".encode(), ["Grüße, 世界 🙂"]),
        (b"latin-1 \xe9t\xe9\n", ["latin-1 \ufffdt\ufffd"]),
        (b"half \xe4\xb8\nnext\n", ["half \ufffd", "next"]),
        (b"nul \x00 stays\n", ["nul \x00 stays"]),
        ("not line ends: \u2028 \x85 \x0b\n".encode(), ["not line ends: \u2028 \x85 \x0b"]),
        (b"", []),
    ],
)
def test_lines_whole_by_the_byte_and_glued(data: bytes, messages: list[str], way: str) -> None:
    """A line is what stands before an LF, whatever the pieces in which it came."""
    assert fed(LineFraming(), WAYS[way](data)) == messages


@given(STREAMS, st.lists(st.integers(0), max_size=12))
def test_any_split_gives_the_same_lines(data: bytes, places: list[int]) -> None:
    """However the stream is cut, the messages are those of a naive reading of the whole."""
    assert fed(LineFraming(LIMIT), cut(data, places)) == naively(data, LIMIT)
    assert fed(LineFraming(LIMIT), by_the_byte(data)) == naively(data, LIMIT)


@given(st.lists(st.text().filter(lambda text: "\n" not in text and not text.endswith("\r")), max_size=8))
def test_what_is_framed_is_read_back(texts: list[str]) -> None:
    """frame() and feed() agree about every text without an LF."""
    framing = LineFraming(1_000_000)
    assert fed(framing, [b"".join(framing.frame(text) for text in texts)]) == texts


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("length", "fits"), [(LIMIT - 2, True), (LIMIT - 1, True), (LIMIT, False), (LIMIT + 1, False)]
)
def test_the_longest_line(length: int, fits: bool, way: str) -> None:
    """A line may have `limit` bytes with its LF; one byte more and TooLong stands in its place."""
    data = b"x" * length + b"\nnext\n"
    first = "x" * length if fits else TooLong(LIMIT)
    assert fed(LineFraming(LIMIT), WAYS[way](data)) == [first, "next"]


def test_the_cr_counts_for_the_limit() -> None:
    """The limit is of bytes on the wire: the CR that is dropped is one of them."""
    assert fed(LineFraming(LIMIT), [b"x" * (LIMIT - 2) + b"\r\n"]) == ["x" * (LIMIT - 2)]
    assert fed(LineFraming(LIMIT), [b"x" * (LIMIT - 1) + b"\r\n"]) == [TooLong(LIMIT)]


@pytest.mark.parametrize("size", [1, 7, LIMIT - 1, LIMIT, LIMIT + 1, 5 * LIMIT])
def test_an_over_long_line_is_told_once(size: int) -> None:
    """However many pieces an over-long line has, it is one TooLong, when it ends; the next line is read."""
    framing = LineFraming(LIMIT)
    assert fed(framing, [b"x" * size] * (200 // size + LIMIT)) == []
    assert framing.feed(b"the end of it\nnext\nand ") == [TooLong(LIMIT), "next"]
    assert framing.feed(b"more\n") == ["and more"]


@given(STREAMS, st.lists(st.integers(0), max_size=12))
def test_never_keeps_more_than_the_limit(data: bytes, places: list[int]) -> None:
    """Between two feeds at most `limit` bytes are kept, whatever came."""
    framing = LineFraming(LIMIT)
    for piece in cut(data, places):
        framing.feed(piece)
        assert len(framing._rest) <= LIMIT


def test_an_endless_line_costs_nothing() -> None:
    """A hundred megabytes without an LF: nothing is kept of them, and the next line is read."""
    framing = LineFraming()
    megabyte = b"x" * 1_000_000
    for _ in range(100):
        assert framing.feed(megabyte) == []
        assert len(framing._rest) <= MAX_LINE
    assert framing.feed(b"\nhello\n") == [TooLong(MAX_LINE), "hello"]


@pytest.mark.parametrize("text", ["two\nlines", "\n", "end\n"])
def test_a_line_cannot_hold_an_lf(text: str) -> None:
    """frame() refuses an LF: the reader would see two lines."""
    with pytest.raises(ValueError, match="a line cannot hold an LF"):
        LineFraming().frame(text)


def test_a_lone_surrogate_is_framed_all_the_same() -> None:
    """Text that has no UTF-8 (half a surrogate pair) still makes a line."""
    assert LineFraming().frame("\ud800!") == b"?!\n"


@pytest.mark.parametrize("limit", [1, 0, -5])
def test_a_limit_without_room_is_refused(limit: int) -> None:
    """A limit that no message fits in is a mistake, and is said at once."""
    with pytest.raises(ValueError, match="no room for a message"):
        LineFraming(limit)


# --- raw ---


def test_raw_is_a_message_a_recv() -> None:
    """In the assignment's dialect each feed is one message: here is where it breaks, too."""
    assert fed(RawFraming(), [b"hello", b"two words"]) == ["hello", "two words"]
    assert fed(RawFraming(), [b"glued" + b"together"]) == ["gluedtogether"]
    assert fed(RawFraming(), [b"to", b"rn"]) == ["to", "rn"]


@pytest.mark.parametrize("data", [b"hello\n", b"hello\r\n", b"hello\n\n", b"hello"])
def test_raw_drops_line_ends(data: bytes) -> None:
    """The line end that nc sends along is no part of the message."""
    assert RawFraming().feed(data) == ["hello"]


def test_raw_keeps_line_ends_within() -> None:
    """Only the end of a message is trimmed."""
    assert RawFraming().feed(b"one\ntwo\n") == ["one\ntwo"]


def test_raw_nothing_is_no_message() -> None:
    """An empty feed, and half a character, are no messages; a line end alone is an empty one."""
    framing = RawFraming()
    assert framing.feed(b"") == []
    assert framing.feed("é".encode()[:1]) == []
    assert framing.feed("é".encode()[1:]) == ["é"]
    assert framing.feed(b"\n") == [""]


@given(st.text(), st.lists(st.integers(0), max_size=12))
def test_raw_no_character_is_lost_to_a_cut(text: str, places: list[int]) -> None:
    """Cut anywhere, within characters too, the messages together are the text (but for line ends)."""
    messages = fed(RawFraming(1_000_000), cut(text.encode(), places))
    assert not any(isinstance(message, TooLong) for message in messages)

    def bare(all_of_it: str) -> str:
        return all_of_it.replace("\r", "").replace("\n", "")

    assert bare("".join(map(str, messages))) == bare(text)


@given(st.lists(st.binary(max_size=LIMIT + 4), max_size=8))
def test_raw_never_fails(pieces: list[bytes]) -> None:
    """Whatever the bytes, each feed gives at most one message, no longer than the limit allows."""
    framing = RawFraming(LIMIT)
    for piece in pieces:
        messages = framing.feed(piece)
        assert len(messages) <= 1
        assert (TooLong(LIMIT) in messages) == (len(piece) > LIMIT)


def test_raw_an_over_long_message_is_dropped_whole() -> None:
    """One byte over the limit gives TooLong; what follows is read as if it had not been."""
    framing = RawFraming(LIMIT)
    assert framing.feed(b"x" * LIMIT) == ["x" * LIMIT]
    assert framing.feed(b"half: \xe2") == ["half: "]
    assert framing.feed(b"x" * LIMIT + b"\xe2") == [TooLong(LIMIT)]
    assert framing.feed(b"next") == ["next"]


def test_raw_has_no_frame() -> None:
    """frame() adds nothing, in this dialect."""
    assert RawFraming().frame("hé") == "hé".encode()


def test_both_go_by_their_names() -> None:
    """`--framing lines` and `--framing raw` name the two; each call makes a new one."""
    assert FRAMINGS == {"lines": LINES, "raw": RAW}
    assert isinstance(LINES(), LineFraming) and isinstance(RAW(), RawFraming)
