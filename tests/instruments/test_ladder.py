"""instruments/ladder.py: a journal as a picture, in text and in Mermaid."""

from __future__ import annotations

import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import Wire
from wcwidth import wcswidth

from labkit import ChatClient, ChatServer
from labkit.instruments.ladder import LABEL, Beside, Ladder
from labkit.instruments.link import Link
from labkit.journal import Journal
from labkit.wire.messages import EVENTS, REASONS
from labkit.wire.text import clean


def wire(*rows: tuple[str, str, str, str]) -> Journal:
    """A link's journal: kind, sender, what, receiver."""
    journal = Journal()
    for kind, sender, what, receiver in rows:
        journal.record(kind, sender, what, receiver)
    return journal


def test_the_text_shows_sender_receiver_and_content() -> None:
    """Lines in order of appearance, arrows with their bytes, FIN and RST told apart."""
    journal = wire(
        ("bytes", "server", "'nickname\\n' (9)", "alice"),
        ("bytes", "alice", "'alice\\n' (6)", "server"),
        ("FIN", "alice", "", "server"),
        ("RST", "server", "", "alice"),
    )
    assert str(Ladder(journal, "a short life")).splitlines() == [
        "a short life",
        "",
        "  server                alice",
        "    │─ 'nickname\\n' (9) ─▶│",
        "    │◀── 'alice\\n' (6) ───│",
        "    │◀────── FIN ▸ ───────│",
        "    │─────── RST ✕ ──────▶│",
    ]


def test_an_empty_journal_is_no_error() -> None:
    """There is nothing to draw, and it says so."""
    ladder = Ladder(Journal(), "quiet")
    assert str(ladder) == "quiet: nothing has happened"
    assert ladder._repr_mimebundle_() == {"text/plain": "quiet: nothing has happened"}


def test_a_long_journal_is_folded_in_the_middle_and_says_how_much() -> None:
    """The first and the last are shown."""
    journal = wire(*[("bytes", "a", f"line {n}", "b") for n in range(100)])
    text = str(Ladder(journal, rows=10))
    assert "line 4 " in text and "line 95 " in text
    assert "line 5 " not in text and "line 94 " not in text
    assert "… 90 more …" in text
    assert "… 90 more …" in Ladder(journal, rows=10).mermaid()
    with pytest.raises(ValueError, match="at least 2 rows"):
        Ladder(journal, rows=1)


def test_a_long_label_is_shortened() -> None:
    """A picture must not be as wide as what was said."""
    text = str(Ladder(wire(("bytes", "a", "x" * 1000, "b"))))
    assert "x" * (LABEL - 1) + "… " in text
    assert "x" * LABEL not in text


_rows = st.lists(
    st.tuples(
        st.sampled_from(["bytes", "FIN", "RST"]),
        st.sampled_from(["alice", "server", "木下", "end"]),
        st.text(st.characters(codec="ascii", min_codepoint=32), max_size=60),
        st.sampled_from(["alice", "server", "木下", "end"]),
    ),
    max_size=60,
)


@given(_rows)
def test_the_text_lines_up(rows: list[tuple[str, str, str, str]]) -> None:
    """Each end's line stands in one column from top to bottom, whatever the names and labels are."""
    rows = [row for row in rows if row[1] != row[3]]
    if not rows:
        return
    ladder = Ladder(wire(*rows))
    body = str(ladder).splitlines()[3:]
    assert len(body) == min(len(rows), 40) + (len(rows) > 40)
    columns = None
    for line in body:
        if "⋮" in line:
            continue
        # A label may hold a │ of its own; these rows have none, being ASCII.
        here = {wcswidth(line[:i]) for i, c in enumerate(line) if c == "│"}
        columns = here if columns is None else columns | here
    assert columns is not None
    assert len(columns) == len(ladder.participants)


@given(_rows)
def test_nothing_that_was_said_is_taken_for_mermaids_own_words(
    rows: list[tuple[str, str, str, str]],
) -> None:
    """Each line of the drawing is one of the forms that we use, with text that is escaped."""
    lines = Ladder(wire(*rows)).mermaid().splitlines()
    text = r"(?:[^#;%<>{}\"\\]|#\d+;)*"
    form = re.compile(
        rf"sequenceDiagram|    (?:accTitle|accDescr): {text}|    participant p\d+ as {text}"
        rf"|    p\d+(?:->>|--\)|-x)p\d+: {text}|    Note over p\d+(?:,p\d+)?: {text}"
    )
    for line in lines:
        assert form.fullmatch(line), line
    assert not [line for line in lines if re.search(r"\bend\b", line)]


def test_a_servers_journal_tells_to_whom_it_went() -> None:
    """Who was asked, who joined, what was said to whom, who left and how, and by which thread."""
    with ChatServer(port=0) as server:
        with ChatClient("alice", server.address) as alice, ChatClient("bob", server.address) as bob:
            alice.say("hello")
            bob.wait_for("hello")
            bob.whisper("alice", "psst")
            alice.wait_for("psst")
            bob.say("/join tea")
            alice.wait_for("went to tea")
            alice.say("gone?")
            alice.say("/nick al")
            alice.wait_for("you are al,")
            bob.abort()
            server.journal.wait_for("left", "bob")
        server.journal.wait_for("left", "al")
        arrows = [(a.sender, a.receiver, a.label or a.kind) for a in Ladder(server.journal).arrows]
        threads = {a.thread for a in Ladder(server.journal).arrows}
    assert arrows == [
        ("server", "alice", "nickname"),
        ("alice", "server", "alice"),
        ("server", "alice", "* you are alice, in lobby"),
        ("server", "bob", "nickname"),
        ("bob", "server", "bob"),
        ("server", "bob", "* you are bob, in lobby"),
        ("server", "alice", "* bob joined"),
        ("alice", "server", "hello"),
        ("server", "bob", "alice: hello"),
        ("bob", "server", "/msg alice psst"),
        ("server", "alice", "bob -> you: psst"),
        ("bob", "server", "/join tea"),
        ("server", "alice", "* bob went to tea"),
        ("server", "bob", "* you are bob, in tea"),
        ("alice", "server", "gone?"),
        ("alice", "server", "/nick al"),
        ("alice", "alice", "is now al"),
        ("bob", "server", "RST"),
        ("al", "server", "FIN"),
    ]
    assert threads == {"labkit-handle-1", "labkit-handle-2"}


def test_it_shows_itself_in_jupyter_as_a_drawing_and_always_as_text() -> None:
    """Both forms, from the same journal; with a title and a description for those who cannot see it."""
    with ChatServer(port=0) as server, Link(server.address, client="alice") as link:
        with ChatClient("alice", link.address):
            pass
        link.journal.wait_for("FIN", "server")
        bundle = Ladder(link.journal, "alice comes and goes")._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    drawing = Ladder(link.journal, "alice comes and goes").mermaid()
    assert "    accTitle: alice comes and goes\n" in drawing
    assert "    accDescr: server to alice: 'nickname" in drawing
    assert "alice: 'nickname" not in bundle["text/plain"]
    assert "'alice\\n' (6)" in bundle["text/plain"]


@pytest.mark.parametrize(
    ("reason", "arrow"),
    [
        ("hung up", ("alice", "server", "FIN")),
        ("vanished", ("alice", "server", "RST")),
        ("quit", ("alice", "server", "bytes")),
        ("went silent", ("server", "alice", "FIN")),
        ("was too slow", ("server", "alice", "RST")),
        ("server stopped", ("server", "alice", "FIN")),
        ("server lost", ("server", "alice", "FIN")),
        ("no nickname", ("server", "alice", "FIN")),
        ("no password", ("server", "alice", "FIN")),
        ("no TLS", ("server", "alice", "FIN")),
    ],
)
def test_the_arrow_begins_where_the_connection_was_ended(reason: str, arrow: tuple[str, str, str]) -> None:
    """Three ways of leaving are the client's doing, all others the server's; each reason has its row."""
    journal = Journal()
    journal.record("joined", "alice", where="lobby")
    journal.record("left", "alice", reason, "lobby")
    last = Ladder(journal).arrows[-1]
    assert (last.sender, last.receiver, last.kind) == arrow
    assert reason in REASONS


def test_every_reason_is_drawn() -> None:
    """None is forgotten: an arrow says FIN, RST, or what was said last."""
    for reason in REASONS.values():
        journal = Journal()
        journal.record("joined", "alice", where="lobby")
        journal.record("left", "alice", reason, "lobby")
        last = Ladder(journal).arrows[-1]
        assert last.kind in ("FIN", "RST") or last.label == reason.last_packet
        assert last.sender == ("server" if reason.ended_by == "server" else "alice")


def test_only_leaving_for_an_announced_reason_is_told_to_the_others() -> None:
    """A server that stops tells all by one line, and a stranger is told to none."""
    for reason in REASONS.values():
        journal = Journal()
        journal.record("joined", "alice", where="lobby")
        journal.record("joined", "bob", where="lobby")
        journal.record("left", "alice", reason, "lobby")
        told = [
            arrow for arrow in Ladder(journal).arrows if arrow.receiver == "bob" and "left" in arrow.label
        ]
        assert [arrow.label for arrow in told] == [f"* alice left ({reason})"] * reason.announced


def test_after_three_wrong_passwords_the_server_says_fin() -> None:
    """The server ended it: the last arrow to the stranger is its FIN, with the reason."""
    with ChatServer(port=0, password="sesame") as server, Wire(server.address) as mallory:
        mallory.send("mallory", "a", "b", "c")
        mallory.to_the_end()
        server.journal.wait_for("left")
        arrow = next(arrow for arrow in Ladder(server.journal).arrows if arrow.kind == "FIN")
    assert (arrow.sender, arrow.label) == ("server", "no password")


def test_a_message_of_a_kind_that_the_ladder_has_never_seen_is_drawn_all_the_same() -> None:
    """What a message is and who asked for it is its own row: the ladder and the journal read it there."""
    for event, kind in EVENTS.items():
        fields = {name: "tea" if name in ("room", "new") else "words" for name in kind.__match_args__}
        if "who" in fields:
            fields["who"] = "alice"
        message = kind(**fields)
        journal = Journal()
        journal.record("joined", "alice", where="lobby")
        journal.record("joined", "bob", where="lobby")
        who, what = message.news()
        journal.record(event, who or "alice", what, "bob" if message.private and who else "lobby")
        labels = [arrow.label for arrow in Ladder(journal).arrows]
        assert message.line() in labels
        if (asked := message.asked()) is not None:
            assert asked.line() in labels


# --- to the letter ---


def test_a_folded_picture() -> None:
    """Who went before, who is shown, and how much is not: in the text and in the drawing."""
    journal = Journal(7)
    for n in range(9):
        journal.record("bytes", "alice", f"{n}", "server")
    ladder = Ladder(journal, rows=5)
    assert str(ladder).splitlines() == [
        "who sent what to whom",
        "",
        " alice    server",
        "   ⋮        ⋮   … 2 earlier events dropped …",
        *[f"   │── {n} ──▶│" for n in (2, 3, 4)],
        "   ⋮        ⋮   … 2 more …",
        *[f"   │── {n} ──▶│" for n in (7, 8)],
    ]
    assert ladder.mermaid().splitlines() == [
        "sequenceDiagram",
        "    accTitle: who sent what to whom",
        "    accDescr: … 2 earlier events dropped …#59; "
        + "#59; ".join(f"alice to server: {n}" for n in (2, 3, 4))
        + "#59; … 2 more …#59; alice to server: 7#59; alice to server: 8",
        "    participant p0 as alice",
        "    participant p1 as server",
        "    Note over p0,p1: … 2 earlier events dropped …",
        *[f"    p0->>p1: {n}" for n in (2, 3, 4)],
        "    Note over p0,p1: … 2 more …",
        *[f"    p0->>p1: {n}" for n in (7, 8)],
    ]


@pytest.mark.parametrize(("number", "rows"), [(5, 5), (6, 5), (4, 5), (3, 2), (2, 2)])
def test_how_much_is_folded(number: int, rows: int) -> None:
    """As many arrows are shown as there may be, the greater half first; of fewer, all."""
    journal = wire(*[("bytes", "a", f"<{n}>", "b") for n in range(number)])
    shown = re.findall(r"<(\d)>", str(Ladder(journal, rows=rows)))
    first = rows - rows // 2 if number > rows else number
    assert shown == [str(n) for n in [*range(first), *range(max(first, number - rows // 2), number)]]
    assert ("more" in str(Ladder(journal, rows=rows))) == (number > rows)


def test_a_picture_of_three_with_wide_names_and_threads() -> None:
    """Columns are as far apart as the labels between them need; each row can end with its thread."""
    journal = Journal()
    for kind, who, what, where in (
        ("bytes", "木下", "hi", "server"),
        ("bytes", "server", "a long line for the last of them", "zoë"),
        ("FIN", "zoë", "", "木下"),
    ):
        journal.record(kind, who, what, where)
    thread = threading.current_thread().name
    rows = [
        "   │── hi ─▶│                                     │",
        "   │        │─ a long line for the last of them ─▶│",
        "   │◀─────────────────── FIN ▸ ───────────────────│",
    ]
    assert str(Ladder(journal, "three")).splitlines() == [
        "three",
        "",
        "  木下    server                                 zoë",
        *rows,
    ]
    assert str(Ladder(journal, threads=True)).splitlines()[3:] == [f"{row}   {thread}" for row in rows]


def test_notes_of_a_server_and_of_one_client() -> None:
    """What happened at one place stands there, behind the lines before it."""
    journal = Journal()
    journal.record("joined", "alice", where="lobby")
    journal.record("renamed", "alice", "to al", "lobby")
    journal.record("full", what="no room")
    journal.record("stopped")
    ladder = Ladder(journal, "a server")
    assert [(a.sender, a.receiver, a.label, a.kind) for a in ladder.arrows] == [
        ("alice", "server", "alice", "bytes"),
        ("server", "alice", "* you are alice, in lobby", "bytes"),
        ("alice", "server", "/nick al", "bytes"),
        ("alice", "alice", "is now al", "note"),
        ("server", "server", "full no room", "note"),
        ("server", "server", "stopped", "note"),
    ]
    assert str(ladder).splitlines()[2:] == [
        " alice                          server",
        "   │─────────── alice ───────────▶│",
        "   │◀─ * you are alice, in lobby ─│",
        "   │────────── /nick al ─────────▶│",
        "   ├ is now al",
        "   │                              ├ full no room",
        "   │                              ├ stopped",
    ]
    assert ladder.mermaid().splitlines()[4:] == [
        "    participant p1 as server",
        "    p0->>p1: alice",
        "    p1->>p0: * you are alice, in lobby",
        "    p0->>p1: /nick al",
        "    Note over p0: is now al",
        "    Note over p1: full no room",
        "    Note over p1: stopped",
    ]


def test_each_kind_of_arrow_in_the_drawing() -> None:
    """Bytes, FIN and RST."""
    journal = wire(("bytes", "a", "hi", "b"), ("FIN", "a", "", "b"), ("RST", "b", "", "a"))
    assert Ladder(journal).mermaid().splitlines()[-3:] == [
        "    p0->>p1: hi",
        "    p0--)p1: FIN ▸",
        "    p1-xp0: RST ✕",
    ]


def test_what_mermaid_would_take_for_its_own_is_escaped() -> None:
    """Each such sign by its number, and nothing else; `end` in three spellings."""
    own = '#;%<>{}"\\'
    for code in range(32, 0x250):
        label = f"-{chr(code)}-"
        drawn = Ladder(wire(("bytes", "a", label, "b"))).mermaid().splitlines()[-1]
        shown = clean(label)
        expected = f"-#{code};-" if chr(code) in own else shown
        assert drawn == f"    p0->>p1: {expected}"
    drawn = Ladder(wire(("bytes", "a", "end End END eND", "b"))).mermaid().splitlines()[-1]
    assert drawn == "    p0->>p1: e#110;d E#110;d E#78;D eND"


@pytest.mark.parametrize(
    ("length", "shown"), [(LABEL, LABEL), (LABEL + 1, LABEL - 1), (LABEL - 1, LABEL - 1)]
)
def test_how_much_of_a_label_is_shown(length: int, shown: int) -> None:
    """To the character."""
    text = str(Ladder(wire(("bytes", "a", "x" * length, "b"))))
    assert f" {'x' * shown}{'…' * (length > LABEL)} " in text


def test_who_is_there_to_hear() -> None:
    """Those in the room, as they come, go and take other names; and one that joins again is not asked."""
    journal = Journal()
    for who in ("alice", "bob", "carol"):
        journal.record("joined", who, where="lobby")
    journal.record("joined", "carol", where="den")
    journal.record("renamed", "bob", "to rob", "lobby")
    journal.record("said", "alice", "one", "lobby")
    journal.record("left", "rob", "quit", "lobby")
    journal.record("said", "alice", "two", "lobby")
    arrows = [(a.sender, a.receiver, a.label) for a in Ladder(journal).arrows]
    assert arrows[9:] == [
        ("server", "carol", "* you are carol, in den"),
        ("bob", "server", "/nick rob"),
        ("bob", "bob", "is now rob"),
        ("server", "alice", "* bob is now rob"),
        ("alice", "server", "one"),
        ("server", "rob", "alice: one"),
        ("rob", "server", "/quit"),
        ("server", "alice", "* rob left (quit)"),
        ("alice", "server", "two"),
    ]


def test_one_that_was_never_called_anything() -> None:
    """It is `a client`."""
    journal = Journal()
    journal.record("asked")
    assert [(a.sender, a.receiver, a.label) for a in Ladder(journal).arrows] == [
        ("server", "a client", "nickname")
    ]


def test_a_ladder_that_begins_at_what_matters() -> None:
    """What came before is counted, and still tells who is in the room; each keeps its place."""
    journal = Journal()
    for name in ("alice", "bob"):
        journal.record("joined", name, where="lobby")
    journal.record("said", "bob", "hi", "lobby")
    ladder = Ladder(journal, begin="said")
    assert [(a.sender, a.receiver) for a in ladder.arrows] == [("bob", "server"), ("server", "alice")]
    assert ladder.participants == [name for name in Ladder(journal).participants if name != "carol"]
    assert str(ladder).splitlines()[3].endswith("… 5 earlier …")
    assert Ladder(journal, begin="whispered").arrows == Ladder(journal).arrows


def test_ladders_beside_each_other() -> None:
    """As text in columns, also where one is longer or has wide letters; in HTML, each by itself."""
    one = Ladder(wire(("bytes", "a", "'木'", "b"), ("FIN", "b", "", "a")), "one")
    two = Ladder(wire(("RST", "c", "", "d")), "two")
    both = Beside(one, two, Ladder(Journal(), "none"))
    lines = str(both).splitlines()
    assert lines[0].split() == ["one", "two", "none:", "nothing", "has", "happened"]
    starts = [
        wcswidth(lines[0][: lines[0].index("two")]),
        wcswidth(lines[3][: lines[3].index("│─ RST")]) - 1,
    ]
    assert starts[0] == starts[1]
    html = both._repr_mimebundle_()["text/html"]
    assert html.count('class="sheet"') == 2 and "none: nothing has happened" in html
