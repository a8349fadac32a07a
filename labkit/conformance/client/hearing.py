"""Behaviours of a client that hears what others say: what TCP does to lines does not show."""

from __future__ import annotations

from labkit.conformance.behaviour import Section
from labkit.conformance.client.client_under_test import ClientUnderTest
from labkit.conformance.client.way import OTHER
from labkit.conformance.server_under_test import NotJudged
from labkit.probe.failed import CheckFailed

HEARING = Section()

LONG = 2500
"""Letters of a long line: more than the 1024 or 2048 bytes that one recv mostly asks for, and fewer than a
line may have (4096 bytes)."""

SILENCE = 3.2
"""Seconds in which nobody says anything. Who gives `connect` a timeout of up to 3 s, and so recv too, ends;
for longer ones, the check would have to last longer."""

MANY = 200
"""Lines that are said at once."""

_IN_RAW = "in raw a message is what one recv brings, whatever that is"


@HEARING.has("what others say is shown while its user types nothing", "messages come at any time")
def shown_without_a_key(client: ClientUnderTest) -> None:
    client.join()
    word = client.unique("hello")
    client.say(f"{OTHER}: {word}")
    if client.until(lambda: word in client.screen):
        return
    seen = client.seen()
    client.type("nudge")
    late = client.until(lambda: word in client.screen)
    raise CheckFailed(f"{word!r} is shown at once", "it is shown only after Enter" if late else seen)


@HEARING.has(
    "lines that come in one send are all shown, once", "a recv may bring several lines", not_raw=_IN_RAW
)
def lines_in_one_send(client: ClientUnderTest) -> None:
    client.join()
    words = [client.unique("glued") for _ in range(5)]
    client.say(*(f"{OTHER}: {word}" for word in words))
    client.shown_once("each of 5 lines that came in one send is shown, once and in order", *words)


@HEARING.has(
    "a line that comes in pieces is shown as one", "a line may come in several recvs", not_raw=_IN_RAW
)
def a_line_in_pieces(client: ClientUnderTest) -> None:
    client.join()
    word = client.unique("inpieces")
    line = f"{OTHER}: {word}\n".encode()
    client.send(line[:8], line[8:11], line[11:-1], line[-1:])
    client.shown_once(f"{word!r}, which came in four pieces, is shown as one", word)


@HEARING.has("another alphabet is shown as it is", "what is said is UTF-8")
def another_alphabet(client: ClientUnderTest) -> None:
    client.join()
    word = client.unique("привет")
    client.say(f"{OTHER}: {word}")
    client.shown_once("Cyrillic is shown as Cyrillic", word)


@HEARING.has("a letter that is cut in two is shown whole", "a recv may end in the middle of a letter")
def a_letter_in_two(client: ClientUnderTest) -> None:
    client.join()
    whole, word = client.unique("вода"), client.unique("щука")
    client.say(f"{OTHER}: {whole}")
    if not client.shows(whole):
        raise NotJudged("it does not show Cyrillic that comes whole either")
    line = f"{OTHER}: {word}".encode() + b"\n" * (client.framing == "lines")
    cut = len(f"{OTHER}: щ".encode()) - 1
    client.send(line[:cut], line[cut:])
    # In raw these are two messages, and it is enough to survive them.
    client.shown_once(
        "a letter of which the halves come apart is shown", *[word] * (client.framing == "lines")
    )


@HEARING.has("bytes that are not UTF-8 do not end it", "a letter may be sent that is none")
def no_letters(client: ClientUnderTest) -> None:
    client.join()
    client.send(f"{OTHER}: ".encode() + b"\xff\xfe\xc3\x28" + b"\n" * (client.framing == "lines"))
    client.shown_once("after bytes that are not UTF-8 it goes on")


@HEARING.has("a long line is shown whole", "a line has up to 4096 bytes", not_raw=_IN_RAW)
def a_long_line(client: ClientUnderTest) -> None:
    client.join()
    word = client.unique("long") + "m" * LONG + client.unique("end")
    client.say(f"{OTHER}: {word}")
    client.shown_once(f"a line of {len(word)} letters is shown in one", word)


@HEARING.has("a line of any form is shown", "lines begin with `* `, `! ` and names, or are empty")
def any_form(client: ClientUnderTest) -> None:
    client.join()
    words = [client.unique(word) for word in ("joined", "colons", "alone")]
    client.say(f"* max {words[0]}")
    client.say(f"{OTHER}: a: b: {words[1]}")
    if client.framing == "lines":
        client.say("")
    client.say(words[2])
    client.shown_once("lines without a name, with colons, and an empty one do no harm", *words)


@HEARING.has("signs are shown as they are", "a message is text, and no pattern to be filled in")
def signs(client: ClientUnderTest) -> None:
    client.join()
    text = f"50 %d %s {{0}} $1 {client.unique('signs')}"
    client.say(f"{OTHER}: {text}")
    client.shown_once(f"{text!r} is shown so", text)


@HEARING.has("its own nickname in a line hides nothing", "a sender does not hear itself: all is another's")
def its_own_nickname(client: ClientUnderTest) -> None:
    client.join()
    if not (nickname := client.nickname):
        raise NotJudged("it gives no nickname")
    words = [client.unique("toyou"), client.unique("alike")]
    client.say(f"{OTHER}: {nickname}, {words[0]}")
    client.say(f"{nickname}nt: {words[1]}")
    client.shown_once(
        f"a line that speaks to {nickname!r}, and one by {nickname + 'nt'!r}, are shown", *words
    )


@HEARING.has(
    "many lines are all shown, once and in order", "nothing is lost, whatever recv brings", not_raw=_IN_RAW
)
def many_lines(client: ClientUnderTest) -> None:
    client.join()
    words = [client.unique("many") for _ in range(MANY)]
    stream = "".join(f"{OTHER}: {word}\n" for word in words).encode()
    sizes = (997, 31, 1024, 37, 503)
    at = n = 0
    while at < len(stream):
        client.send(stream[at : at + sizes[n % len(sizes)]])
        at, n = at + sizes[n % len(sizes)], n + 1
    client.shown_once(f"each of {MANY} lines is shown, once and in order", *words)


@HEARING.has("a silence of the server does not end it", "messages come at any time, or not for hours")
def silence(client: ClientUnderTest) -> None:
    client.join()
    client.until(lambda: client.ended or client.server.end, SILENCE)
    client.shown_once(f"what is said after {SILENCE:g} s in which nobody spoke is shown")
