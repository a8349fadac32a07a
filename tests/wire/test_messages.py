"""messages.py: what is read is what was meant, and nothing that is said can look like another line."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from texts import NAMES, TEXTS, harmless

from labkit.server.rooms import Enters, Refusal, Rooms, ToOne, ToRoom
from labkit.wire import messages as m
from labkit.wire.text import brief, clean, in_lines

CLEANED = TEXTS.map(clean)
COMMANDS = ["/who", "/msg", "/nick", "/me", "/join", "/help", "/quit"]

# What a client may send: anything, and often something that begins like a command or like a server's line.
LINES = st.one_of(
    TEXTS,
    st.builds(
        "{}{}{}".format, st.sampled_from([*COMMANDS, "/", "//"]), st.sampled_from(["", " ", "  "]), TEXTS
    ),
    st.builds("/msg {} {}".format, st.sampled_from(["bob", "BOB", "nobody"]), TEXTS),
    st.builds(
        "{}{}".format, st.sampled_from(["* ", "! ", "bob: ", "bob -> you: ", "nickname", "\r"]), TEXTS
    ),
).map(lambda line: line.replace("\n", ""))  # no framing hands over an LF but the raw one's, tried below


# --- from the server ---


@given(
    st.one_of(
        st.builds(m.Said, NAMES, CLEANED),
        st.builds(m.Acted, NAMES, CLEANED),
        st.builds(m.Whispered, NAMES, CLEANED),
        st.builds(m.Welcome, NAMES, NAMES),
        st.builds(m.Joined, NAMES),
        st.builds(m.Left, NAMES, st.sampled_from(list(m.REASONS))),
        st.builds(m.Moved, NAMES, NAMES),
        st.builds(m.Renamed, NAMES, NAMES),
        st.builds(m.Refused, CLEANED),
        st.just(m.Request()),
    )
)
@example(m.Said("nickname", "nickname"))
@example(m.Said("bob", "* alice left (quit)"))
@example(m.Said("->", "you: hi"))
@example(m.Whispered("->", ""))
@example(m.Acted("a*", "joined"))
@example(m.Welcome("you", "in"))
@example(m.Welcome("a,", "in,"))
@example(m.Joined("you"))
@example(m.Renamed("is", "now"))
def test_what_the_server_writes_is_read_back(message: m.FromServer) -> None:
    """Every kind of line, with any fit name and any clean text, reads as the message it was made of."""
    assert m.from_server(message.line()) == message


def test_a_line_is_as_its_form_says() -> None:
    """Also where a class writes its own, for speed."""
    kinds: list[type[m.FromServer]] = [*m.EVENTS.values(), m.Welcome, m.Notice]
    for kind in kinds:
        fields = {name: f"<{name}>" for name in kind.__match_args__}
        assert kind(**fields).line() == kind.form.format(**fields)


@given(NAMES, CLEANED, NAMES)
def test_what_a_journal_keeps_reads_back_as_the_message(who: str, words: str, name: str) -> None:
    """An event has the words of its message, and the message can be made of it again."""
    for event, kind in m.EVENTS.items():
        values = {"who": who, "room": name, "new": name, "reason": "quit"}
        message = kind(**{field: values.get(field, words) for field in kind.__match_args__})
        told_by, what = message.news()
        assert m.from_event(event, told_by or who, what) == message


def test_a_reason_is_its_words_and_what_follows_from_them() -> None:
    """It goes wherever a str does, and back; one that another server made up is a reason, too."""
    for words, reason in m.REASONS.items():
        assert words == reason == f"{reason}"
        copy = pickle.loads(pickle.dumps(reason))
        assert (copy, copy.ended_by, copy.last_packet) == (reason, reason.ended_by, reason.last_packet)
        assert m.reason_called(words) is reason
    assert m.reason_called("fell asleep") == "fell asleep"


@pytest.mark.parametrize(
    ("why", "taken", "wrong_password", "last_try"),
    [
        ("the nickname bob is taken", True, False, False),
        ("the nickname bob is taken; that was the last try", True, False, True),
        ("bob is taken", True, False, False),
        ("wrong password", False, True, False),
        ("wrong password; that was the last try", False, True, True),
        ("the nickname bob looks like b0b, who is here", False, False, False),
    ],
)
def test_what_a_refusal_means(why: str, taken: bool, wrong_password: bool, last_try: bool) -> None:
    """What a client must tell apart, of our own server and of a student's."""
    refused = m.Refused(why)
    assert (refused.taken, refused.wrong_password, refused.last_try) == (taken, wrong_password, last_try)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nickname", m.Request()),
        ("alice: hello", m.Said("alice", "hello")),
        ("alice: ", m.Said("alice", "")),
        ("alice: * bob joined", m.Said("alice", "* bob joined")),
        ("alice * waves", m.Acted("alice", "waves")),
        ("alice -> you: psst", m.Whispered("alice", "psst")),
        ("* you are alice, in lobby", m.Welcome("alice", "lobby")),
        ("* alice joined", m.Joined("alice")),
        ("* alice left (hung up)", m.Left("alice", "hung up")),
        ("* alice went to tea", m.Moved("alice", "tea")),
        ("* alice is now al", m.Renamed("alice", "al")),
        ("* server stopped", m.Notice("server stopped")),
        ("* in lobby: alice, bob", m.Notice("in lobby: alice, bob")),
        ("! no such command: /x", m.Refused("no such command: /x")),
        ("", m.Other("")),
        ("alice:hello", m.Other("alice:hello")),
        ("Connected to the server!", m.Other("Connected to the server!")),
        ("*", m.Other("*")),
        ("nickname ", m.Other("nickname ")),
        ("NICKNAME", m.Other("NICKNAME")),
        ("nickname\n", m.Other("nickname\n")),
        ("alice: two\nlines", m.Other("alice: two\nlines")),
    ],
)
def test_the_lines_of_the_wire(line: str, message: m.FromServer) -> None:
    """The forms that the assignment and this chat name, and what fits none of them."""
    assert m.from_server(line) == message
    assert message.line() == line


@given(TEXTS)
def test_reading_a_server_never_fails(line: str) -> None:
    """Any text at all is read as some message, and as one that writes the same line again."""
    assert m.from_server(line).line() == line


# --- clean ---


@given(TEXTS)
def test_clean_is_harmless_and_idempotent(text: str) -> None:
    """What clean() returns cannot disturb a screen, can be sent, and is left alone by another clean()."""
    cleaned = clean(text)
    assert harmless(cleaned)
    assert clean(cleaned) == cleaned
    assert len(cleaned) == len(text)
    cleaned.encode()
    if harmless(text):
        assert cleaned == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b[2Jgone", "␛[2Jgone"),
        ("a\tb", "a b"),
        ("a\rb\nc\x00d", "a␍b␊c␀d"),
        ("\x7f", "␡"),
        ("\x9b31m", "\ufffd31m"),  # CSI in one character
        ("abc\u202ecba", "abc\ufffdcba"),
        ("a\u2028b\u2029c\x85d", "a\ufffdb\ufffdc\ufffdd"),
        ("\ud83d", "\ufffd"),
        ("Grüße, 世界 👩‍🔬 שלום", "Grüße, 世界 👩‍🔬 שלום"),  # joined emoji and right-to-left letters stay
    ],
)
def test_clean_shows_what_was_there(text: str, cleaned: str) -> None:
    """A control character becomes a visible sign; letters of every script stay what they are."""
    assert clean(text) == cleaned


def test_clean_knows_every_control_there_is() -> None:
    """Of all code points, exactly those that could disturb a screen are replaced."""
    for c in map(chr, range(0x110000)):
        assert (clean(c) == c) == harmless(c), f"U+{ord(c):04X}"


@pytest.mark.parametrize(("text", "short"), [("x" * 40, "x" * 40), ("x" * 41, "x" * 39 + "…"), ("", "")])
def test_brief(text: str, short: str) -> None:
    """A long text is quoted by its beginning, 40 characters in all."""
    assert brief(text) == short


# --- from a client ---

WORD = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=8)
REST = CLEANED.filter(lambda text: text and text == text.lstrip())


@given(
    st.one_of(
        st.builds(m.Say, CLEANED.filter(bool)),
        st.builds(m.Whisper, WORD, CLEANED.filter(bool)),
        st.builds(m.Act, REST),
        st.builds(m.Rename, REST),
        st.builds(m.Join, REST),
        st.sampled_from([m.Who(), m.Help(), m.Quit(), m.Heartbeat()]),
    )
)
@example(m.Say("/who"))
@example(m.Say("//"))
@example(m.Whisper("bob", " two spaces"))
@example(m.Whisper("bob", "/quit"))
def test_what_a_client_writes_is_read_back(command: m.FromClient) -> None:
    """Every command reads as what it was made of."""
    assert m.from_client(command.line()) == command


@given(LINES)
def test_a_client_is_understood_or_told_why_not(line: str) -> None:
    """Any text is a command, which reads back as itself, or BadCommand with words that are safe to show."""
    try:
        command = m.from_client(line)
    except m.BadCommand as bad:
        assert line.startswith("/") and not line.startswith("//")
        refusal = m.Refused(str(bad))
        assert harmless(refusal.line()) and len(refusal.line()) < 200
        assert m.from_server(refusal.line()) == refusal
    else:
        assert m.from_client(command.line()) == command


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("hello", m.Say("hello")),
        (" /who", m.Say(" /who")),
        ("\t/who", m.Say(" /who")),
        ("//who", m.Say("/who")),
        ("///", m.Say("//")),
        ("//", m.Say("/")),
        ("//\x1b", m.Say("/␛")),
        ("nickname", m.Say("nickname")),
        ("", m.Heartbeat()),
        (" ", m.Say(" ")),
        ("/who", m.Who()),
        ("/who  ", m.Who()),
        ("/WHO", m.Who()),
        ("/help", m.Help()),
        ("/quit", m.Quit()),
        ("/msg bob hello there", m.Whisper("bob", "hello there")),
        ("/msg  bob  hello", m.Whisper("bob", " hello")),
        ("/msg\tbob\thello", m.Whisper("bob", "hello")),
        ("/msg bob //x", m.Whisper("bob", "//x")),
        ("/me waves \x1b[0m", m.Act("waves ␛[0m")),
        ("/nick al", m.Rename("al")),
        ("/nick two words", m.Rename("two words")),
        ("/join tea", m.Join("tea")),
    ],
)
def test_the_commands(line: str, command: m.FromClient) -> None:
    """What each line asks for; `//` is how to say a line that begins with `/`."""
    assert m.from_client(line) == command


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("/", "no such command: / (try /help; //… says /…)"),
        ("/ who", "no such command: / (try /help; //… says /…)"),
        ("/dance", "no such command: /dance (try /help; //… says /…)"),
        ("/whom", "no such command: /whom (try /help; //… says /…)"),
        ("/\x1b[31m", "no such command: /␛[31m (try /help; //… says /…)"),
        ("/" + "x" * 4000, "no such command: /" + "x" * 38 + "… (try /help; //… says /…)"),
        ("/who bob", "that is said like this: /who"),
        ("/quit now", "that is said like this: /quit"),
        ("/msg", "that is said like this: /msg NICK TEXT"),
        ("/msg bob", "that is said like this: /msg NICK TEXT"),
        ("/msg bob ", "that is said like this: /msg NICK TEXT"),
        ("/MSG", "that is said like this: /msg NICK TEXT"),
        ("/me", "that is said like this: /me ACTION"),
        ("/me   ", "that is said like this: /me ACTION"),
        ("/nick", "that is said like this: /nick NEW"),
        ("/join", "that is said like this: /join ROOM"),
    ],
)
def test_a_bad_command_says_how_it_should_be(line: str, why: str) -> None:
    """A line that begins with `/` and is no command is refused, with what would be right."""
    with pytest.raises(m.BadCommand) as bad:
        m.from_client(line)
    assert str(bad.value) == why


def test_help_to_the_letter() -> None:
    """As it is read in a terminal: the commands in their order, and what is none at the end."""
    assert m.HELP[0] == "/who: who is here    /msg NICK TEXT: to one alone    /nick NEW: another nickname"
    assert m.HELP[1].startswith("/me ACTION: say what you do    /join ROOM: another room    ")
    assert m.HELP[-1].endswith("/quit: leave    //TEXT: says /TEXT")


@pytest.mark.parametrize(
    ("words", "ended_by", "last_packet", "announced"),
    [
        ("hung up", "client", "FIN", True),
        ("vanished", "client", "RST", True),
        ("went silent", "server", "FIN", True),
        ("was too slow", "server", "RST", True),
        ("quit", "client", "/quit", True),
        ("server stopped", "server", "FIN", False),
        ("server lost", "server", "FIN", True),
        ("no nickname", "server", "FIN", False),
        ("no password", "server", "FIN", False),
        ("no TLS", "server", "FIN", False),
        ("a student's own", "client", "FIN", True),
    ],
)
def test_each_reason(words: str, ended_by: str, last_packet: str, announced: bool) -> None:
    """What follows from it."""
    reason = m.reason_called(words)
    assert (reason, reason.ended_by, reason.last_packet, reason.announced) == (
        words,
        ended_by,
        last_packet,
        announced,
    )
    assert (words in m.REASONS) == (words != "a student's own")


@pytest.mark.parametrize(
    ("kind", "event", "told", "private", "asked_by"),
    [
        (m.Request, "asked", "", True, None),
        (m.PasswordRequest, "", "", False, None),
        (m.Refused, "refused", "{why}", True, None),
        (m.Said, "said", "{text}", False, m.Say),
        (m.Speech, "", "", False, None),
        (m.Acted, "acted", "{action}", False, m.Act),
        (m.Whispered, "whispered", "{text}", True, None),
        (m.Welcome, "", "", False, None),
        (m.Joined, "joined", "", False, None),
        (m.Left, "left", "{reason}", False, None),
        (m.Moved, "moved", "to {room}", False, m.Join),
        (m.Renamed, "renamed", "to {new}", False, m.Rename),
        (m.Notice, "", "", False, None),
        (m.Other, "", "", False, None),
    ],
)
def test_each_row_of_what_the_server_says(
    kind: type[m.FromServer], event: str, told: str, private: bool, asked_by: type[m.FromClient] | None
) -> None:
    """What the journal and the ladder make of it."""
    assert (kind.event, kind.told, kind.private, kind.asked_by) == (event, told, private, asked_by)
    assert (m.EVENTS.get(event) is kind) == bool(event)


@pytest.mark.parametrize(
    ("parts", "budget", "lines"),
    [
        ([], 10, [""]),
        (["one", "two", "six"], 8, ["one, two", "six"]),
        (["one", "two", "six"], 7, ["one", "two", "six"]),
        (["one", "two", "six"], 13, ["one, two, six"]),
        (["жжж", "жж"], 12, ["жжж, жж"]),
        (["жжж", "жж"], 11, ["жжж", "жж"]),
        (["longer than that", "x"], 3, ["", "longer than that", "x"]),
    ],
)
def test_parts_in_lines(parts: list[str], budget: int, lines: list[str]) -> None:
    """As many in each as fit, in bytes; in their order."""
    assert in_lines(parts, ", ", budget) == lines


def test_help_names_every_command() -> None:
    """/help tells of all the commands there are, in lines that are short enough for a terminal."""
    told = " ".join(m.HELP)
    assert all(command in told for command in COMMANDS if command != "/help")
    assert all(len(m.Notice(line).line()) <= 100 for line in m.HELP)


# --- nothing said can look like another line ---


def outcome(rooms: Rooms[str], line: str) -> list[m.FromServer]:
    """All that any client is sent when alice sends this line."""
    try:
        command = m.from_client(line)
        if isinstance(command, m.Quit | m.Heartbeat):
            return []
        deliveries = rooms.do("alice", command)
    except (m.BadCommand, Refusal) as refused:
        return [m.Refused(str(refused))]
    return [d.message for d in deliveries if not isinstance(d, Enters)]


def rooms_with(sender: str = "alice") -> Rooms[str]:
    rooms: Rooms[str] = Rooms()
    rooms.join("alice", sender)
    if sender.lower() not in ("bob", "carol"):
        rooms.join("bob", "bob")
        rooms.join("carol", "carol")
    return rooms


@given(LINES | TEXTS)
@example("* bob left (quit)")
@example("\n* bob left (quit)")
@example("\r* bob left (quit)")
@example("! you are banned")
@example("nickname")
@example("bob: I never said that")
@example("/me \x1b[2K\rbob: I never said that")
@example("/msg bob \u202e dias reven I")
@example("/msg bob\u2028x y")
@example("/nick bob\r")
@example("/join \x1b[31m")
def test_nothing_said_looks_like_another_line(line: str) -> None:
    """Whatever a client sends, all that others are sent is one harmless line that reads as what it is."""
    for message in outcome(rooms_with(), line):
        assert harmless(message.line())
        message.line().encode()
        assert m.from_server(message.line()) == message


@given(NAMES, TEXTS)
def test_what_is_said_is_heard_as_said_by_its_sender(sender: str, text: str) -> None:
    """Whatever the speaker and the words: others read Said, of exactly that name and cleaned text."""
    if text:
        [delivery] = rooms_with(sender).do("alice", m.from_client("/" + text if text[0] == "/" else text))
        assert isinstance(delivery, ToRoom) and delivery.but == "alice"
        assert m.from_server(delivery.message.line()) == m.Said(sender, clean(text))


@given(TEXTS)
def test_an_action_is_heard_as_its_senders(text: str) -> None:
    """/me: the others read Acted, of exactly that name and cleaned text."""
    cleaned = clean(text).lstrip()
    if cleaned:
        [delivery] = rooms_with().do("alice", m.from_client(f"/me {text}"))
        assert isinstance(delivery, ToRoom) and delivery.but == "alice"
        assert m.from_server(delivery.message.line()) == m.Acted("alice", cleaned)


@given(TEXTS.filter(bool))
def test_a_whisper_is_heard_as_its_senders(text: str) -> None:
    """/msg: the one it is for, and no other, reads Whispered, of exactly that name and cleaned text."""
    [delivery] = rooms_with().do("alice", m.from_client(f"/msg bob {text}"))
    assert isinstance(delivery, ToOne) and delivery.who == "bob"
    assert m.from_server(delivery.message.line()) == m.Whispered("alice", clean(text))


@given(TEXTS)
def test_a_newcomer_cannot_slip_a_line_in(nickname: str) -> None:
    """A nickname, fit or not: what any client is told of it is one harmless line."""
    rooms: Rooms[str] = Rooms()
    rooms.join("bob", "bob")
    try:
        deliveries = rooms.join("eve", nickname)
    except Refusal as refused:
        told: list[m.FromServer] = [m.Refused(str(refused))]
    else:
        told = [d.message for d in deliveries if not isinstance(d, Enters)]
    for message in told:
        assert harmless(message.line())
        assert m.from_server(message.line()) == message


TALK = st.lists(
    TEXTS | st.text() | st.sampled_from(["", "/who", "//x", "hello", " /who", "a\tb"]), max_size=10
)


@given(TALK)
def test_talk_is_what_only_says_something_line_by_line(texts: list[str]) -> None:
    """`is_talk` of all of them is that `from_client` makes a `Say` of each, as it stands."""
    texts = [text.replace("\n", "") for text in texts]
    lines = "".join(f"{text}\n" for text in texts).encode("utf-8", "surrogatepass")
    talk = bool(texts) and all(
        text and not text.startswith("/") and m.from_client(text) == m.Say(text) for text in texts
    )
    assert m.is_talk(lines) == talk


@pytest.mark.parametrize("count", [1, 8, 9, 1000])
@pytest.mark.parametrize("line", [b"\n", b"/who\n", b"a\r\n", b"\x1b[2J\n", b"\xff\n", "\u202e\n".encode()])
def test_one_line_that_is_no_talk_is_found_among_many(line: bytes, count: int) -> None:
    """Wherever it stands, and by whichever way the others are looked at."""
    talk = b"hello\n" * count
    assert m.is_talk(talk) and m.is_talk(talk + "ж\n".encode())
    for lines in (line + talk, talk + line, talk + line + talk, "ж\n".encode() + line + talk):
        assert not m.is_talk(lines)


@given(NAMES, st.lists(TEXTS.map(clean).filter(bool), min_size=1, max_size=4))
def test_a_speech_is_the_lines_that_were_said(who: str, texts: list[str]) -> None:
    """On the wire it looks like as many single lines."""
    speech = m.Speech(who, "".join(f"{text}\n" for text in texts).encode())
    assert speech.texts == texts
    assert speech.line() == "\n".join(m.Said(who, text).line() for text in texts)
    assert speech.data() == speech.line().encode() + b"\n"


def test_a_new_kind_of_line_is_read_wherever_it_is_defined() -> None:
    """Its form is its parser, too, and its free text may have spaces; what it takes away is a notice's."""

    @dataclass(frozen=True, slots=True)
    class Topic(m.FromServer, form="* {who} wants to talk about {topic}"):
        who: str
        topic: str

    line = "* alice wants to talk about cake, and tea"
    try:
        assert m.from_server(line) == Topic("alice", "cake, and tea")
        assert m.from_server("* nothing else is one") == m.Notice("nothing else is one")
    finally:
        del m._FORMS[Topic.form]
    assert isinstance(m.from_server(line), m.Notice)
