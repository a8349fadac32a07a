"""Exercise `screen`: the half of a client that reads."""

from __future__ import annotations

from labkit.exercises.bench.bench import Bench
from labkit.exercises.bench.student_client import StudentReader
from labkit.exercises.exercise import Exercise, Step, Wrong

TASK = """
Write `show_lines(server, show)`, the half of a client that reads. `client`, which comes next, adds the
other half, the keyboard, and may call this one.

- `server` is a connected socket. Each line that comes is shown with `show(text)`: a `str`, without the LF.
  Lines are UTF-8, and end with LF.
- The line `nickname` is the server's request, and not for the user: it is not shown. It may come again.
  Every other line is shown, also `bob: nickname`.
- When the server has gone, by FIN or by RST: return, without an error.

What becomes of half a line before the end is up to you.
"""

ANSWER = '''
def show_lines(server, show):
    """Show every line that the server sends, until it has gone."""
    ### BEGIN SOLUTION
    kept = b""
    while True:
        try:
            data = server.recv(4096)
        except OSError:  # RST
            return
        if not data:  # FIN
            return
        *lines, kept = (kept + data).split(b"\\n")
        for line in lines:
            if line != b"nickname":
                show(line.decode("utf-8", "replace"))
    ### END SOLUTION
'''


# --- the steps ---


def shows(bench: Bench) -> None:
    reader = StudentReader(bench)
    for line in ("* you are alice", "bob: hi, señora", "", "  bob is far away  "):
        reader.server.says(line.encode() + b"\n")
        reader.shows(line)


def cut_and_glued(bench: Bench) -> None:
    reader = StudentReader(bench)
    reader.server.says(b"* welcome\n* a quiet day\n")
    reader.shows("* welcome", "* a quiet day", clue="glued")
    reader.server.says(b"bob: hel", b"lo\n")
    reader.shows("bob: hello", clue="cut")
    reader.server.says(b"bob: ol\xc3", b"\xa9\n")
    reader.shows("bob: ol\xe9", clue="cut")
    odd = "bob: CR \r, VT \v, NEL \x85, and U+2028 \u2028: no end of a line"
    reader.server.says(odd.encode() + b"\nbob: well\n")
    reader.shows(odd, "bob: well", clue="only LF")


def requests(bench: Bench) -> None:
    reader = StudentReader(bench)
    for refusal in ("! alice is taken", "! so is al"):
        reader.server.says(b"nickname\n" + refusal.encode() + b"\n")
        reader.shows(refusal)
    for line in ("bob: nickname", "nickname: I am called so"):
        reader.server.says(line.encode() + b"\nbob: well\n")
        reader.shows(line, clue=line.split(":")[0])
        reader.shows("bob: well")


def hangs_up(bench: Bench) -> None:
    reader = StudentReader(bench)
    reader.server.says(b"bob: see you\n")
    reader.server.hangs_up()
    reader.shows("bob: see you")
    reader.returns("after the server's FIN")


def vanishes(bench: Bench) -> None:
    reader = StudentReader(bench)
    reader.server.says(b"bob: see you\n")
    reader.shows("bob: see you")
    reader.server.vanishes()
    reader.returns("after the server's RST")


HALF_A_LETTER = (
    "Half a letter came, for é is two bytes. What did your code make of the first of them?",
    "Keep bytes until their line is whole, and decode then.",
)

EXERCISE = Exercise(
    name="screen",
    title="what the server says, until it goes",
    chapter="05_goodbyes",
    wants="show_lines",
    task=TASK,
    answer=ANSWER,
    steps=(
        Step(
            "a line that comes is shown, without its LF",
            shows,
            hints=(
                "A line has come. Which of your lines reads from the socket, and which one calls show?",
                "A loop: recv, split at b'\\n', and show each line.",
            ),
            hints_by_clue={
                "too early": (
                    "The server is there, and your code has returned. What did it take for the end?",
                    "One recv is not all. A loop goes on until recv returns b''.",
                ),
                "LF": (
                    "Compare the two closely: what is at the end of what was shown?",
                    "The LF ends a line, and does not belong to it.",
                ),
                "bytes": (
                    "What was shown is bytes. What makes a str of them?",
                    "show(line.decode('utf-8', 'replace'))",
                ),
                "letters": (
                    "Not all that came is ASCII. How do you make letters of bytes?",
                    "Lines are UTF-8: .decode('utf-8', 'replace')",
                ),
                "stripped": (
                    "There were blanks at both ends of that line. Who took them away?",
                    "strip() removes all white space. Only the LF does not belong to the line.",
                ),
            },
        ),
        Step(
            "every line is whole, however recv cuts or glues them",
            cut_and_glued,
            hints=(
                "Where did one recv begin and end, and where the lines in it?",
                "Keep what follows the last LF for the next recv, and look at whole lines only.",
            ),
            hints_by_clue={
                "glued": (
                    "Two lines came in one recv. Into how many did your code take it apart?",
                    "TCP keeps no borders: data.split(b'\\n') finds all the lines there are.",
                ),
                "only LF": (
                    "Which signs does your code take for the end of a line, and which one is it?",
                    "splitlines() of a str cuts at ten signs, a text file at CR, too. Only LF counts.",
                ),
                "letters": HALF_A_LETTER,
                "letter": HALF_A_LETTER,
                "cut": (
                    "Half a line came, then the other half. Where was the first half meanwhile?",
                    "*lines, kept = (kept + data).split(b'\\n')",
                ),
            },
            points=2,
        ),
        Step(
            "the server's request is not shown, and all other lines are",
            requests,
            hints=("Which lines does your code keep from the user?", "if line != b'nickname': show it"),
            hints_by_clue={
                "request": (
                    "A line was shown that was not for the user. For whom was it?",
                    "nickname alone is the server's request, each time that it comes.",
                ),
                "bob": (
                    "Bob said a word, and alice cannot read it. By what does your code know a request?",
                    "b'nickname' in line is true of much more. A request is equal to it.",
                ),
                "nickname": (
                    "Somebody is called nickname. How does a line of theirs begin?",
                    "line.startswith(b'nickname') is true of it. A request is equal to it.",
                ),
            },
        ),
        Step(
            "when the server hangs up (FIN), it returns",
            hangs_up,
            hints=(
                "The server has said FIN. What does recv return now, and what does your loop do then?",
                "recv returns b'' at once, each time: if not data: return",
            ),
            hints_by_clue={
                "not shown": (
                    "Bob's last words came just before FIN. What became of them?",
                    "Show all lines of what recv gave; the FIN comes with the next recv.",
                ),
                "more": (
                    "The server had said all. What was it that your code showed after that?",
                    "b'' is no line: look at it before you split it.",
                ),
            },
        ),
        Step(
            "when the server vanishes (RST), it returns, without an error",
            vanishes,
            hints=(
                "What does recv do after an RST, and what does your code after that?",
                "An OSError from recv is an end like b'': return.",
            ),
            hints_by_clue={
                "ConnectionResetError": (
                    "In which line did it raise, and who should have noticed that this is an end?",
                    "try: data = server.recv(4096), and except OSError: return.",
                ),
            },
        ),
    ),
    wrong=(
        Wrong(
            "one recv is all",
            "a line that comes is shown, without its LF",
            (
                (
                    '                show(line.decode("utf-8", "replace"))\n',
                    '                show(line.decode("utf-8", "replace"))\n        return\n',
                ),
            ),
            clue="too early",
        ),
        Wrong(
            "shows the LF",
            "a line that comes is shown, without its LF",
            (('"replace"))', '"replace") + "\\n")'),),
            clue="LF",
        ),
        Wrong(
            "shows bytes",
            "a line that comes is shown, without its LF",
            (('line.decode("utf-8", "replace")', "line"),),
            clue="bytes",
        ),
        Wrong(
            "decodes ASCII",
            "a line that comes is shown, without its LF",
            (('"utf-8", "replace"', '"ascii", "replace"'),),
            clue="letters",
        ),
        Wrong(
            "strips what it shows",
            "a line that comes is shown, without its LF",
            (('line.decode("utf-8", "replace")', 'line.decode("utf-8", "replace").strip()'),),
            clue="stripped",
        ),
        Wrong(
            "a recv is a line",
            "every line is whole, however recv cuts or glues them",
            (('*lines, kept = (kept + data).split(b"\\n")', 'lines = [data.removesuffix(b"\\n")]'),),
            clue="glued",
        ),
        Wrong(
            "forgets half a line",
            "every line is whole, however recv cuts or glues them",
            (("(kept + data)", "data"),),
            clue="cut",
        ),
        Wrong(
            "decodes before it cuts",
            "every line is whole, however recv cuts or glues them",
            (
                ('kept = b""', 'kept = ""'),
                ('(kept + data).split(b"\\n")', '(kept + data.decode("utf-8", "replace")).split("\\n")'),
                ('b"nickname"', '"nickname"'),
                ('show(line.decode("utf-8", "replace"))', "show(line)"),
            ),
            clue="letters",
        ),
        Wrong(
            "cuts at every end of a line there is",
            "every line is whole, however recv cuts or glues them",
            (
                (
                    'show(line.decode("utf-8", "replace"))',
                    'for part in line.decode("utf-8", "replace").splitlines() or [""]:\n'
                    "                    show(part)",
                ),
            ),
            clue="only LF",
        ),
        Wrong(
            "shows the request",
            "the server's request is not shown, and all other lines are",
            (('            if line != b"nickname":\n    ', ""),),
            clue="request",
        ),
        Wrong(
            "takes every word of a nickname for the request",
            "the server's request is not shown, and all other lines are",
            (('line != b"nickname"', 'b"nickname" not in line'),),
            clue="bob",
        ),
        Wrong(
            "takes one who is called nickname for the request",
            "the server's request is not shown, and all other lines are",
            (('line != b"nickname"', 'not line.startswith(b"nickname")'),),
            clue="nickname",
        ),
        Wrong(
            "ignores the end",
            "when the server hangs up (FIN), it returns",
            (("        if not data:  # FIN\n            return\n", ""),),
        ),
        Wrong(
            "shows the end as a line",
            "when the server hangs up (FIN), it returns",
            (("        if not data:  # FIN\n", '        if not data:\n            show("")\n'),),
            clue="more",
        ),
        Wrong(
            "an RST is not caught",
            "when the server vanishes (RST), it returns, without an error",
            (("except OSError:  # RST", "except TimeoutError:"),),
            clue="ConnectionResetError",
        ),
    ),
    others={
        "a file made of the socket": """
        def show_lines(server, show):
            try:
                with server.makefile("rb") as lines:
                    for line in lines:
                        text = line.removesuffix(b"\\n").decode("utf-8", "replace")
                        if text != "nickname":
                            show(text)
            except OSError:
                pass
        """,
        "byte by byte": """
        def show_lines(server, show):
            line = bytearray()
            while True:
                try:
                    byte = server.recv(1)
                except ConnectionError:
                    break
                if byte == b"":
                    break
                if byte != b"\\n":
                    line += byte
                    continue
                if line != b"nickname":
                    show(str(line, "utf-8", errors="replace"))
                line.clear()
        """,
        "a class with a buffer": """
        class Lines:
            def __init__(self, sock):
                self.sock, self.buffer = sock, b""

            def __iter__(self):
                while self.fill():
                    while b"\\n" in self.buffer:
                        line, _, self.buffer = self.buffer.partition(b"\\n")
                        yield line.decode(errors="replace")

            def fill(self):
                try:
                    data = self.sock.recv(100)
                except OSError:
                    return False
                self.buffer += data
                return len(data) > 0


        def show_lines(server, show):
            for line in Lines(server):
                if line == "nickname":
                    continue
                show(line)
        """,
        "a decoder that keeps half a letter": """
        import codecs


        def show_lines(server, show):
            decoder, text = codecs.getincrementaldecoder("utf-8")("replace"), ""
            try:
                while data := server.recv(4096):
                    text += decoder.decode(data)
                    while (end := text.find("\\n")) >= 0:
                        line, text = text[:end], text[end + 1 :]
                        if line != "nickname":
                            show(line)
            except OSError:
                return
        """,
    },
)
