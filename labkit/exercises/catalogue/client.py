"""Exercise `client`: a client that notices both ends, its own and the server's."""

from __future__ import annotations

import contextlib
import gc
import socket

from labkit.exercises.bench.bench import SOON, Bench
from labkit.exercises.bench.deaths import deaths
from labkit.exercises.bench.parts import part_only
from labkit.exercises.bench.student_client import StudentClient
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.probe.deadline import pause
from labkit.probe.failed import CheckFailed

TASK = """
Write `run_client(address, keyboard, show)`, a whole client. `address` is `(host, port)`. `keyboard` is a
text file such as `sys.stdin`: its `readline()` waits for the next line typed, and gives `""` at the end of
input. `show(text)` shows a line to the user: a `str`, without the LF. The half that reads is `show_lines`
of `screen`: call it, or write it anew.

- The line `nickname` is the server's request. It is not shown; it is answered with the next line typed. It
  may come again, after a refusal. Every other line is shown, also `bob: nickname`.
- What is typed after that is sent, line by line. Lines are UTF-8, and end with LF.
- When the input ends, and all that was typed is sent, say goodbye (FIN). A server answers with its own FIN;
  what it says before that is still shown. Then return.
- When the server has gone, by FIN or by RST, at any moment: show one line that begins with `* ` and tells
  so, and return, even though nobody types. A daemon thread may be left, waiting at the keyboard, and
  nothing else.
- If there is no server at `address`: show one line that begins with `* `, and return.
"""

ANSWER = '''
import contextlib
import socket
import threading


def run_client(address, keyboard, show):
    """Chat with the server at `address` until the input ends, or the server goes."""
    ### BEGIN SOLUTION
    try:
        server = socket.create_connection(address)
    except OSError as error:
        show(f"* no server there: {error}")
        return
    leaving = threading.Event()

    def send_what_is_typed():
        with contextlib.suppress(OSError):  # the server has gone: the loop below notices
            for line in keyboard:  # the first answers the request
                server.sendall(line.rstrip("\\n").encode() + b"\\n")
            leaving.set()
            server.shutdown(socket.SHUT_WR)  # FIN, and we still listen

    with server:
        threading.Thread(target=send_what_is_typed, daemon=True).start()
        for line in lines_from(server):
            if line != "nickname":
                show(line)
    if not leaving.is_set():
        show("* the server has gone")
    ### END SOLUTION


def lines_from(server):
    """Every line that the server sends, until it has gone."""
    ### BEGIN SOLUTION
    rest = b""
    while True:
        try:
            data = server.recv(4096)
        except OSError:  # RST
            return
        if not data:  # FIN
            return
        *lines, rest = (rest + data).split(b"\\n")
        yield from (line.decode("utf-8", "replace") for line in lines)
    ### END SOLUTION
'''

MANY = 300
"""Lines typed in one go."""


def sockets_of(client: StudentClient) -> list[socket.socket]:
    """The sockets of the student's client that are connected to the server."""
    found = []
    for thing in gc.get_objects():
        if isinstance(thing, socket.socket) and thing is not client.server.sock:
            with contextlib.suppress(OSError):
                if thing.getpeername() == client.server.sock.getsockname():
                    found.append(thing)
    return found


# --- the steps ---


def chats(bench: Bench) -> None:
    with deaths() as died:
        try:
            talk(StudentClient(bench))
        except CheckFailed as failed:
            clue = died[0].partition(":")[0] if died and failed.clue.startswith("not s") else failed.clue
            raise CheckFailed(failed.expected, failed.seen, clue) from None


def talk(client: StudentClient) -> None:
    client.server.says(b"* you are alice\n")
    client.shows("* you are alice")
    client.types("hi all")
    client.server_hears("hi all")
    client.types("¿qué tal?")
    client.server_hears("¿qué tal?", "UTF-8")
    client.types("", "  spaces  ")
    client.server_hears("", "empty")
    client.server_hears("  spaces  ", "spaces")
    for word in ("quit", "exit"):
        client.types(word)
        client.server_hears(word, "word")
    with part_only():
        client.types("a line that is a little longer")
        client.server_hears("a line that is a little longer")
    client.server.says("bob: hi, señora\n".encode())
    client.shows("bob: hi, señora")
    client.server.says(b"  bob is far away  \n")
    client.shows("  bob is far away  ")
    client.ends()


def silence(bench: Bench) -> None:
    """Where recv has a timeout: it is made to run out before the server says more."""
    client = StudentClient(bench)
    client.server.says(b"* you are alice\n")
    client.shows("* you are alice")
    in_time = [sock for sock in sockets_of(client) if sock.gettimeout()]
    for sock in in_time:
        sock.settimeout(0.05)  # as if that one had been over so soon
    client.server.says(b"bob: well\n")
    client.shows("bob: well")
    if in_time:
        pause(0.2)
    client.server.says(b"bob: still here?\n")
    client.shows("bob: still here?", clue="timeout")
    client.ends()


def asked_again(bench: Bench) -> None:
    client = StudentClient(bench)
    client.server.says(b"! alice is taken\n", b"nickname\n")
    client.shows("! alice is taken")
    client.types("al")
    client.server_hears("al")
    client.server.says(b"* you are al\n")
    client.shows("* you are al")
    client.ends()


def cut_and_glued(bench: Bench) -> None:
    client = StudentClient(bench, nickname="")
    client.server.says(b"* welcome\nnickname\n* a quiet day\n")
    client.types("alice")
    client.server_hears("alice")
    client.shows("* welcome", "* a quiet day", clue="glued")
    client.server.says(b"! alice is taken\nnick", b"name\n* try al")
    client.shows("! alice is taken", clue="cut")
    client.types("al")
    client.server_hears("al")
    client.server.says(b"ic\xc3", b"\xa9", b"\n")
    client.shows("* try alic\xe9", clue="cut")
    odd = "bob: CR \r, VT \v, NEL \x85, and U+2028 \u2028: no end of a line"
    client.server.says(odd.encode() + b"\nbob: well\n")
    client.shows(odd, clue="only LF")
    client.shows("bob: well", clue="only LF")
    client.ends()


def about_nicknames(bench: Bench) -> None:
    client = StudentClient(bench)
    for line in ("bob: nickname", "nickname: I am called so"):
        client.server.says(line.encode() + b"\nbob: well\n")
        client.shows(line, clue=line.split(":")[0])
        client.shows("bob: well")
    client.ends()


def input_ends(bench: Bench) -> None:
    client = StudentClient(bench)
    lines = [f"line {n}" for n in range(1, MANY + 1)]
    client.types(*lines)
    client.input_ends()
    for line in lines:
        client.server_hears(line, "lost")
    more = client.server.line()
    if more is not None:
        raise CheckFailed(
            "the server hears FIN, after all lines", f"it heard {more.decode()!r} then", "more"
        )
    if client.server.end is None:
        returned = client.call.ended(0)
        seen = "run_client returned without it" if returned else f"nothing came in {SOON:g} s"
        clue = "no FIN" if returned else ""
        if not returned and not sockets_of(client):
            seen, clue = f"{seen}, though the socket is closed", "closed"
        raise CheckFailed("the server hears FIN, after all lines", seen, clue)
    if client.server.end == "FIN":
        client.server.says(b"bob: see you\n")
        client.shows("bob: see you", clue="last line")
    client.server.hangs_up()
    client.call.result("run_client returns after the server's FIN")
    client.leaves_no_thread()


def server_hangs_up(bench: Bench) -> None:
    client = StudentClient(bench)
    client.server.says(b"bob: see you\n")
    client.server.hangs_up()
    client.shows("bob: see you")
    client.has_reported("after the server's FIN")


def hangs_up_early(bench: Bench) -> None:
    client = StudentClient(bench, nickname="")
    client.server.says(b"* welcome\nnickname\n")
    client.server.hangs_up()
    client.shows("* welcome")
    client.has_reported("after the server's FIN")


def server_vanishes(bench: Bench) -> None:
    client = StudentClient(bench)
    client.server.says(b"bob: see you\n")
    client.shows("bob: see you")
    client.server.vanishes()
    client.has_reported("after the server's RST")


def nobody_there(bench: Bench) -> None:
    client = StudentClient(bench, there=False)
    client.has_reported("as there is no server")


HANDSHAKE_FIRST = """
import socket
import threading


def run_client(address, keyboard, show):
    try:
        server = socket.create_connection(address)
    except OSError as error:
        show(f"* no server there: {error}")
        return
    lines = server.makefile(encoding="utf-8", newline="\\n")
    leaving = threading.Event()

    def talk():
        try:
            for line in keyboard:
                server.sendall(line.encode())
            leaving.set()
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    try:
        for line in lines:
            if line == "nickname\\n":
                server.sendall(keyboard.readline().encode())
                break
            show(line.removesuffix("\\n"))
        threading.Thread(target=talk, daemon=True).start()
        for line in lines:
            if line != "nickname\\n":
                show(line.removesuffix("\\n"))
    except OSError:
        pass
    server.close()
    if not leaving.is_set():
        show("* the server has gone")
"""

NEVER_NOTICES = """
import socket
import threading


def run_client(address, keyboard, show):
    try:
        server = socket.create_connection(address)
    except OSError as error:
        show(f"* no server there: {error}")
        return

    def recv_msg():
        rest = b""
        while data := server.recv(4096):
            *lines, rest = (rest + data).split(b"\\n")
            for line in lines:
                if line != b"nickname":
                    show(line.decode())

    thread = threading.Thread(target=recv_msg)
    thread.start()
    for line in keyboard:
        server.sendall(line.encode())
    server.shutdown(socket.SHUT_WR)
    thread.join()
    server.close()
"""

HINTS_AT_HALF_A_LETTER = (
    "Half a letter came, for é is two bytes. What did your code make of the first of them?",
    "Cut at b'\\n' first, as bytes, and decode whole lines only.",
)

EXERCISE = Exercise(
    name="client",
    title="a client that notices both ends",
    chapter="05_goodbyes",
    wants="run_client",
    task=TASK,
    answer=ANSWER,
    steps=(
        Step(
            "shows what comes, and sends what is typed",
            chats,
            hints=(
                "Two things must go on at once: which of them does your code wait for?",
                "One thread reads from the server, another from the keyboard.",
            ),
            hints_by_clue={
                "not connected": (
                    "Who connects to the server, and to which address?",
                    "server = socket.create_connection(address)",
                ),
                "not sent": (
                    "A line was typed. Who reads the keyboard, while your code waits for the server?",
                    "A thread: for line in keyboard: server.sendall(line.encode())",
                ),
                "not shown": (
                    "A line has come. Who reads from the server, while your code waits at the keyboard?",
                    "A loop in a thread of its own: recv, split at b'\\n', show each line.",
                ),
                "request": (
                    "The first line that was shown was not for the user. For whom was it?",
                    "nickname alone is the server's request: if line != 'nickname': show(line)",
                ),
                "no LF": (
                    "The words came. By what does the server see that the line has ended?",
                    "Each line ends with LF on the wire: server.sendall(line.encode() + b'\\n')",
                ),
                "LF too many": (
                    "An empty line came, that nobody typed. What does readline() leave at the end?",
                    "A line from the keyboard has its LF already: send one, and not two.",
                ),
                "part": (
                    "Not all of the line was sent. What does sock.send return?",
                    "send may take a part, and says how much. sendall goes on until all is out.",
                ),
                "more than that": (
                    "Compare, letter by letter, what was typed with what the server heard.",
                    "A line is sent as it was typed, and ends with LF alone: no CR, no name before it.",
                ),
                "word": (
                    "That word was typed to be sent. Which of your lines keeps it back?",
                    "What ends the chat is the end of input, and no word.",
                ),
                "bytes": (
                    "What was shown is bytes. What makes a str of them?",
                    "show(line.decode('utf-8', 'replace'))",
                ),
                "letters": (
                    "Not all that came is ASCII. How do you make letters of bytes?",
                    "Lines are UTF-8, and a letter may be several bytes: whole lines, .decode('utf-8')",
                ),
                "stripped": (
                    "There were blanks at both ends of that line. Who took them away?",
                    "strip() removes all white space. Only the LF does not belong to the line.",
                ),
                "shown twice": (
                    "A line was shown a second time. What of it was kept, or what shows it again?",
                    "Show each line once, where it is cut off; keep what follows the last LF alone.",
                ),
                "not hers": (
                    "Compare what was shown with what the server said. Where does the rest come from?",
                    "show(line), with what the server said, and no more; what is typed is there already.",
                ),
                "UTF-8": (
                    "Not all that was typed is ASCII. What became of the other letters on their way?",
                    "Lines are UTF-8: line.encode() has a place for every letter there is.",
                ),
                "empty": (
                    "Nothing was typed but Enter. What does readline() return then?",
                    "'\\n', an empty line: it is sent like any other. The end of input is ''.",
                ),
                "spaces": (
                    "Something was typed at both ends of that line. Who took it away?",
                    "strip() removes all white space; removesuffix('\\n') removes only the LF.",
                ),
                "LF": (
                    "Compare the two closely: what is at the end of what was shown?",
                    "The LF ends a line, and does not belong to it: line.removesuffix('\\n')",
                ),
            },
        ),
        Step(
            "answers again after a refusal",
            asked_again,
            hints=(
                "The server asked a second time. What did your code make of it?",
                "Each line that is nickname, and nothing else, is a request. Not the first one alone.",
            ),
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
                    "Three lines came in one recv. Into how many did your code take it apart?",
                    "TCP keeps no borders: data.split(b'\\n') finds all the lines there are.",
                ),
                "only LF": (
                    "Which signs does your code take for the end of a line, and which one is it?",
                    "splitlines() cuts at ten signs, and a text file at CR, too: cut at b'\\n' alone.",
                    "lines = server.makefile(encoding='utf-8', newline='\\n'), or data.split(b'\\n')",
                ),
                "letters": HINTS_AT_HALF_A_LETTER,
                "letter": HINTS_AT_HALF_A_LETTER,
                "cut": (
                    "Half a line came, then the other half. Where was the first half meanwhile?",
                    "*lines, rest = (rest + data).split(b'\\n'); decode whole lines only.",
                ),
            },
        ),
        Step(
            "somebody's words about nicknames are shown",
            about_nicknames,
            hints=("Which lines does your code keep from the user?", "if line != 'nickname': show(line)"),
            hints_by_clue={
                "bob": (
                    "Bob said a word, and alice cannot read it. By what does your code know a request?",
                    "'nickname' in line is true of much more. A request is equal to it.",
                ),
                "nickname": (
                    "Somebody is called nickname. How does a line of theirs begin?",
                    "line.startswith('nickname') is true of it. A request is equal to it.",
                ),
            },
        ),
        Step(
            "a silent server is no server that has gone",
            silence,
            hints=(
                "Nobody said anything for a while. What did recv do, and what did your code make of it?",
                "A timeout is no end. Without one, recv waits as long as it takes: settimeout(None).",
            ),
        ),
        Step(
            "when the input ends, everything is sent, then FIN; and it returns",
            input_ends,
            hints=(
                "What does readline() return at the end of input, and what does your loop do with that?",
                "It returns '', at once, each time. for line in keyboard: ends there by itself.",
                "After the loop: server.shutdown(socket.SHUT_WR)",
            ),
            hints_by_clue={
                "lost": (
                    "Not all that was typed has arrived. Who was still sending, when your code left?",
                    "Say goodbye where you send: after the last sendall, in the same thread.",
                ),
                "more": (
                    "That was not typed. What did readline() return?",
                    "'' is no empty line: that would be '\\n'. It is the end of input.",
                ),
                "closed": (
                    "You closed the socket while a thread of yours is in recv. What was sent then?",
                    "Nothing: the connection ends when nobody uses it. server.shutdown(socket.SHUT_WR)",
                ),
                "last line": (
                    "Bob said something after alice had said goodbye. Who was still listening?",
                    "shutdown(SHUT_WR) ends what you say. Go on reading until recv returns b''.",
                ),
                "no FIN": (
                    "run_client has returned, and the server waits for more. What tells it: that was all?",
                    "server.shutdown(socket.SHUT_WR) sends FIN; close() does, once nobody reads any more.",
                ),
                "does not come back": (
                    "Both have said FIN. What does your code still wait for?",
                    "After the server's FIN recv returns b''. That ends the loop, and run_client.",
                ),
                "thread": (
                    "run_client has returned. Which of its threads goes on?",
                    "A thread that reads from the server ends when recv returns b''.",
                ),
            },
        ),
        Step(
            "when the server hangs up, tells so in one line, and returns",
            server_hangs_up,
            hints=(
                "The server has gone, and nobody types. Which line does your code wait in?",
                "A thread that waits at the keyboard cannot notice. Let a daemon thread wait there.",
            ),
            hints_by_clue={
                "does not come back": (
                    "The server has said FIN, and nobody types. Whom does your code still wait for?",
                    "Nothing can wake a readline(). So a daemon thread waits there, and no thread for it.",
                    "Read from the server in run_client itself, and return when recv gives b''.",
                ),
                "not shown": (
                    "Bob's last words came just before FIN. What became of them?",
                    "Show all lines of what recv gave; the FIN comes with the next recv.",
                ),
                "not told": (
                    "run_client has returned. How would alice know why?",
                    "After the loop that reads: show('* the server has gone')",
                ),
                "twice": (
                    "It was told more than once. In which lines, and by which of your threads?",
                    "Tell in one place. In the thread at the keyboard, an OSError is no news.",
                ),
                "no star": (
                    "How can alice tell your words from those said in the room?",
                    "A notice begins with '* '.",
                ),
                "thread": (
                    "Alice's program should end now. Which thread does Python wait for, and where is it?",
                    "threading.Thread(target=…, daemon=True)",
                ),
            },
        ),
        Step(
            "also when it hangs up before the nickname is given",
            hangs_up_early,
            hints=(
                "It was asked for a nickname, and nobody types. Who listens to the server meanwhile?",
                "The thread that reads from the server must not read the keyboard, not even once.",
                "The answer is the next line typed: the thread at the keyboard sends it like any other.",
            ),
        ),
        Step(
            "when the server vanishes (RST), tells so in one line, and returns",
            server_vanishes,
            hints=(
                "What does recv do after an RST, and what does your code after that?",
                "An OSError from recv is an end like b'': leave the loop.",
            ),
            hints_by_clue={
                "ConnectionResetError": (
                    "In which line did it raise, and what should alice see instead?",
                    "try: data = server.recv(4096), and except OSError: leave the loop.",
                ),
            },
        ),
        Step(
            "tells in one line that there is no server",
            nobody_there,
            hints=(
                "What does connecting do if no server listens there?",
                "It raises an OSError: catch it, show one line that begins with '* ', and return.",
            ),
        ),
    ),
    wrong=(
        Wrong(
            "shows the request",
            "shows what comes, and sends what is typed",
            (('            if line != "nickname":\n    ', ""),),
            clue="request",
        ),
        Wrong(
            "shows the LF",
            "shows what comes, and sends what is typed",
            (("                show(line)", '                show(line + "\\n")'),),
            clue="LF",
        ),
        Wrong(
            "sends no LF",
            "shows what comes, and sends what is typed",
            (('.encode() + b"\\n"', ".encode()"),),
            clue="no LF",
        ),
        Wrong(
            "sends a second LF",
            "shows what comes, and sends what is typed",
            (('line.rstrip("\\n").encode()', "line.encode()"),),
            clue="LF too many",
        ),
        Wrong(
            "send, never sendall",
            "shows what comes, and sends what is typed",
            (("server.sendall(", "server.send("),),
            clue="part",
        ),
        Wrong(
            "a word ends it",
            "shows what comes, and sends what is typed",
            (
                (
                    "                server.sendall(",
                    '                if line == "quit\\n":\n                    break\n'
                    "                server.sendall(",
                ),
            ),
            clue="word",
        ),
        Wrong(
            "shows bytes",
            "shows what comes, and sends what is typed",
            (('yield from (line.decode("utf-8", "replace") for line in lines)', "yield from lines"),),
            clue="bytes",
        ),
        Wrong(
            "strips what it shows",
            "shows what comes, and sends what is typed",
            (('line.decode("utf-8", "replace")', 'line.decode("utf-8", "replace").strip()'),),
            clue="stripped",
        ),
        Wrong(
            "shows what is typed",
            "shows what comes, and sends what is typed",
            (
                (
                    "                server.sendall(",
                    '                show(line.rstrip("\\n"))\n                server.sendall(',
                ),
            ),
            clue="not hers",
        ),
        Wrong(
            "decodes before it cuts",
            "every line is whole, however recv cuts or glues them",
            (
                ('rest = b""', 'rest = ""'),
                ('(rest + data).split(b"\\n")', '(rest + data.decode("utf-8", "replace")).split("\\n")'),
                ('yield from (line.decode("utf-8", "replace") for line in lines)', "yield from lines"),
            ),
            clue="letters",
        ),
        Wrong(
            "cuts at every end of a line there is",
            "every line is whole, however recv cuts or glues them",
            (
                (
                    'yield from (line.decode("utf-8", "replace") for line in lines)',
                    "for line in lines:\n"
                    '            yield from line.decode("utf-8", "replace").splitlines()',
                ),
            ),
            clue="only LF",
        ),
        Wrong(
            "takes a silent server for one that has gone",
            "a silent server is no server that has gone",
            (("socket.create_connection(address)", "socket.create_connection(address, timeout=10)"),),
        ),
        Wrong(
            "hears nothing after its own goodbye",
            "when the input ends, everything is sent, then FIN; and it returns",
            (("socket.SHUT_WR)  # FIN, and we still listen", "socket.SHUT_RDWR)"),),
            clue="last line",
        ),
        Wrong(
            "closes the socket under recv",
            "when the input ends, everything is sent, then FIN; and it returns",
            (("server.shutdown(socket.SHUT_WR)  # FIN, and we still listen", "server.close()"),),
            clue="closed",
        ),
        Wrong(
            "sends ASCII",
            "shows what comes, and sends what is typed",
            (('line.rstrip("\\n").encode()', 'line.rstrip("\\n").encode("ascii", "replace")'),),
            clue="UTF-8",
        ),
        Wrong(
            "stops at an empty line",
            "shows what comes, and sends what is typed",
            (
                (
                    "                server.sendall(",
                    "                if not line.strip():\n                    break\n"
                    "                server.sendall(",
                ),
            ),
            clue="empty",
        ),
        Wrong(
            "strips what is typed",
            "shows what comes, and sends what is typed",
            (('line.rstrip("\\n")', "line.strip()"),),
            clue="spaces",
        ),
        Wrong(
            "knows only one request",
            "answers again after a refusal",
            (
                ("        for line in lines_from", "        asked = False\n        for line in lines_from"),
                ('if line != "nickname":', 'if line != "nickname" or asked:'),
                ("                show(line)", "                show(line)\n            asked = True"),
            ),
        ),
        Wrong(
            "a recv is a line",
            "every line is whole, however recv cuts or glues them",
            (('*lines, rest = (rest + data).split(b"\\n")', 'lines = [data.rstrip(b"\\n")]'),),
            clue="glued",
        ),
        Wrong(
            "forgets half a line",
            "every line is whole, however recv cuts or glues them",
            (("(rest + data)", "data"),),
            clue="cut",
        ),
        Wrong(
            "takes every word of a nickname for the request",
            "somebody's words about nicknames are shown",
            (('line != "nickname"', '"nickname" not in line'),),
            clue="bob",
        ),
        Wrong(
            "takes one who is called nickname for the request",
            "somebody's words about nicknames are shown",
            (('line != "nickname"', 'not line.startswith("nickname")'),),
            clue="nickname",
        ),
        Wrong(
            "ignores the end of its input",
            "when the input ends, everything is sent, then FIN; and it returns",
            (
                ("for line in keyboard:  # the first answers the request", "while True:"),
                ('line.rstrip("\\n").encode() + b"\\n"', "keyboard.readline().encode()"),
            ),
            survey="ignores the end of its own input",
        ),
        Wrong(
            "takes the end of its input for an empty line",
            "when the input ends, everything is sent, then FIN; and it returns",
            (
                (
                    "for line in keyboard:  # the first answers the request",
                    "while True:\n                line = keyboard.readline()",
                ),
            ),
            clue="more",
        ),
        Wrong(
            "never notices that the server has gone",
            "when the server hangs up, tells so in one line, and returns",
            source=NEVER_NOTICES,
            clue="does not come back",
            survey="never notices that the server has gone",
        ),
        Wrong(
            "goes without a word",
            "when the server hangs up, tells so in one line, and returns",
            (('    if not leaving.is_set():\n        show("* the server has gone")\n', ""),),
            clue="not told",
        ),
        Wrong(
            "two threads tell it",
            "when the server hangs up, tells so in one line, and returns",
            (
                (
                    "with contextlib.suppress(OSError):  # the server has gone: the loop below notices",
                    "try:",
                ),
                (
                    "# FIN, and we still listen\n",
                    '\n        except OSError:\n            show("* the server has gone")\n',
                ),
            ),
            clue="twice",
        ),
        Wrong(
            "the thread at the keyboard is no daemon",
            "when the server hangs up, tells so in one line, and returns",
            ((", daemon=True", ""),),
            clue="thread",
        ),
        Wrong(
            "waits at the keyboard for the nickname",
            "also when it hangs up before the nickname is given",
            source=HANDSHAKE_FIRST,
        ),
        Wrong(
            "an RST is not caught",
            "when the server vanishes (RST), tells so in one line, and returns",
            (("except OSError:  # RST", "except TimeoutError:"),),
            clue="ConnectionResetError",
        ),
        Wrong(
            "expects a server to be there",
            "tells in one line that there is no server",
            (("    except OSError as error:\n", "    except TimeoutError as error:\n"),),
        ),
    ),
    others={
        "one thread, with select": """
        import os
        import selectors
        import socket


        def run_client(address, keyboard, show):
            server = socket.socket()
            if server.connect_ex(address) != 0:
                server.close()
                show("* nobody is there")
                return
            with server, selectors.DefaultSelector() as selector:
                selector.register(server, selectors.EVENT_READ)
                selector.register(keyboard, selectors.EVENT_READ)
                typed = heard = b""
                leaving = False
                while True:
                    for key, _ in selector.select():
                        if key.fileobj is keyboard:
                            data = os.read(keyboard.fileno(), 4096)
                            if not data:
                                selector.unregister(keyboard)
                                server.shutdown(socket.SHUT_WR)
                                leaving = True
                                continue
                            *lines, typed = (typed + data).split(b"\\n")
                            try:
                                server.sendall(b"".join(line + b"\\n" for line in lines))
                            except OSError:
                                pass
                        else:
                            try:
                                data = server.recv(4096)
                            except OSError:
                                data = b""
                            if not data:
                                if not leaving:
                                    show("* lost the server")
                                return
                            *lines, heard = (heard + data).split(b"\\n")
                            for line in lines:
                                if line != b"nickname":
                                    show(str(line, "utf-8"))
        """,
        "a queue of what happens; nothing is sent before it is asked for": """
        import queue
        import socket
        import threading


        def pump(lines, kind, events):
            try:
                for line in lines:
                    events.put((kind, line.rstrip("\\n")))
            except OSError:
                pass
            events.put((kind, None))


        def run_client(address, keyboard, show):
            try:
                server = socket.create_connection(address, timeout=3)
            except OSError:
                return show("* there is no server")
            server.settimeout(None)
            events = queue.Queue()
            lines = server.makefile("r", encoding="utf-8", errors="replace", newline="\\n")
            for source, kind in ((keyboard, "typed"), (lines, "came")):
                threading.Thread(target=pump, args=(source, kind, events), daemon=True).start()
            waiting, requests, joined, leaving = [], 0, False, False
            while True:
                kind, line = events.get()
                if kind == "came" and line is None:
                    if not leaving:
                        show("* the server is away")
                    break
                if kind == "came" and line == "nickname":
                    requests, joined = 1, False
                elif kind == "came":
                    show(line)
                elif line is None:
                    leaving = True
                else:
                    waiting.append(line)
                while waiting and (requests or joined):
                    try:
                        server.sendall((waiting.pop(0) + "\\n").encode())
                    except OSError:
                        break
                    requests, joined = 0, True
                if leaving and not waiting:
                    try:
                        server.shutdown(socket.SHUT_WR)
                    except OSError:
                        pass
            server.close()
        """,
        "a class, two daemons and an event": """
        import socket
        import threading


        class Client:
            def __init__(self, keyboard, show):
                self.keyboard, self.show = keyboard, show
                self.over = threading.Event()
                self.left = False

            def type(self):
                while line := self.keyboard.readline():
                    try:
                        self.sock.sendall(line.encode())
                    except OSError:
                        return
                self.left = True
                try:
                    self.sock.shutdown(socket.SHUT_WR)
                except OSError:
                    pass

            def listen(self):
                buffer = bytearray()
                try:
                    while byte := self.sock.recv(1):
                        if byte != b"\\n":
                            buffer += byte
                        else:
                            if buffer != b"nickname":
                                self.show(buffer.decode("utf-8", "replace"))
                            buffer.clear()
                except OSError:
                    pass
                self.over.set()

            def run(self, address):
                self.sock = socket.socket()
                try:
                    self.sock.connect(address)
                except OSError:
                    self.show("* no connection")
                    return
                for work in (self.type, self.listen):
                    threading.Thread(target=work, daemon=True).start()
                self.over.wait()
                if not self.left:
                    self.show("* connection lost")
                self.sock.close()


        def run_client(address, keyboard, show):
            Client(keyboard, show).run(address)
        """,
        "asyncio, and the keyboard in a thread": """
        import asyncio
        import threading


        def run_client(address, keyboard, show):
            asyncio.run(main(address, keyboard, show))


        async def main(address, keyboard, show):
            loop = asyncio.get_running_loop()
            try:
                reader, writer = await asyncio.open_connection(*address)
            except OSError as error:
                show(f"* {error}")
                return
            typed = asyncio.Queue()

            def read_keys():
                try:
                    for line in keyboard:
                        loop.call_soon_threadsafe(typed.put_nowait, line)
                    loop.call_soon_threadsafe(typed.put_nowait, None)
                except RuntimeError:
                    pass

            threading.Thread(target=read_keys, daemon=True).start()
            over = False

            async def send():
                nonlocal over
                while (line := await typed.get()) is not None:
                    writer.write(line.encode())
                    await writer.drain()
                over = True
                writer.write_eof()

            task = asyncio.create_task(send())
            try:
                while line := await reader.readline():
                    text = line.decode("utf-8", "replace").removesuffix("\\n")
                    if text != "nickname":
                        show(text)
            except OSError:
                pass
            if not over:
                show("* the server is gone")
            task.cancel()
            writer.close()
        """,
        "makefile, both ways": """
        import socket
        import threading


        def run_client(address, keyboard, show):
            try:
                sock = socket.create_connection(address)
            except OSError as e:
                show("* could not connect: " + str(e))
                return
            said_goodbye = False

            def typing():
                nonlocal said_goodbye
                out = sock.makefile("w", encoding="utf-8", newline="\\n")
                try:
                    while True:
                        line = keyboard.readline()
                        if line == "":
                            break
                        if not line.endswith("\\n"):
                            line += "\\n"
                        out.write(line)
                        out.flush()
                    said_goodbye = True
                    sock.shutdown(socket.SHUT_WR)
                except (OSError, ValueError):
                    pass

            t = threading.Thread(target=typing, daemon=True)
            t.start()
            try:
                with sock.makefile("r", encoding="utf-8", errors="replace", newline="\\n") as lines:
                    for line in lines:
                        line = line[:-1] if line.endswith("\\n") else line
                        if line == "nickname":
                            continue
                        show(line)
            except OSError:
                pass
            sock.close()
            if not said_goodbye:
                show("* disconnected")
        """,
        "a dataclass with string annotations": """
        from __future__ import annotations

        import socket
        import threading
        from collections.abc import Callable, Iterator
        from dataclasses import dataclass, field
        from typing import TextIO


        @dataclass
        class Client:
            address: tuple[str, int]
            keyboard: TextIO
            show: Callable[[str], None]
            sock: socket.socket | None = None
            finished: threading.Event = field(default_factory=threading.Event)
            buffer: bytearray = field(default_factory=bytearray)

            def connect(self) -> bool:
                try:
                    self.sock = socket.create_connection(self.address)
                except OSError:
                    self.show("* no server")
                    return False
                return True

            def lines(self) -> Iterator[str]:
                while True:
                    try:
                        chunk = self.sock.recv(1024)
                    except ConnectionError:
                        return
                    if chunk == b"":
                        return
                    self.buffer.extend(chunk)
                    while (end := self.buffer.find(b"\\n")) >= 0:
                        line = bytes(self.buffer[:end])
                        del self.buffer[: end + 1]
                        yield line.decode("utf-8", errors="replace")

            def send(self) -> None:
                try:
                    for typed in iter(self.keyboard.readline, ""):
                        self.sock.sendall(typed.rstrip("\\n").encode("utf-8") + b"\\n")
                    self.finished.set()
                    self.sock.shutdown(socket.SHUT_WR)
                except OSError:
                    pass

            def run(self) -> None:
                if not self.connect():
                    return
                threading.Thread(target=self.send, daemon=True).start()
                for line in self.lines():
                    if line == "nickname":
                        continue
                    self.show(line)
                if not self.finished.is_set():
                    self.show("* connection closed by server")
                self.sock.close()


        def run_client(address, keyboard, show):
            Client(address, keyboard, show).run()
        """,
        "inheritance": """
        import socket
        import threading


        class Lines:
            def __init__(self, sock):
                self.sock, self.rest = sock, b""

            def __iter__(self):
                return self

            def __next__(self):
                while b"\\n" not in self.rest:
                    try:
                        more = self.sock.recv(512)
                    except OSError:
                        more = b""
                    if not more:
                        raise StopIteration
                    self.rest += more
                line, _, self.rest = self.rest.partition(b"\\n")
                return str(line, "utf-8", "replace")


        class Typist(threading.Thread):
            def __init__(self, keyboard, sock):
                super().__init__(daemon=True)
                self.keyboard, self.sock, self.done = keyboard, sock, False

            def run(self):
                try:
                    for line in self.keyboard:
                        self.sock.sendall(bytes(line, "utf-8"))
                    self.done = True
                    self.sock.shutdown(socket.SHUT_WR)
                except OSError:
                    pass


        def run_client(address, keyboard, show):
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                sock.connect(address)
            except OSError:
                sock.close()
                return show("* nobody is at home")
            typist = Typist(keyboard, sock)
            typist.start()
            for line in Lines(sock):
                if line != "nickname":
                    show(line)
            if not typist.done:
                show("* lost connection")
            sock.close()
        """,
        "globals": """
        import queue
        import socket
        import threading

        events = queue.Queue()
        sock = None


        def listen():
            rest = b""
            while True:
                try:
                    data = sock.recv(4096)
                except OSError:
                    data = b""
                if not data:
                    events.put(("gone", ""))
                    return
                rest += data
                *lines, rest = rest.split(b"\\n")
                for line in lines:
                    events.put(("line", line.decode()))


        def type_():
            while True:
                line = keyboard_.readline()
                if not line:
                    events.put(("bye", ""))
                    return
                events.put(("typed", line))


        def run_client(address, keyboard, show):
            global sock, keyboard_, events
            events = queue.Queue()
            keyboard_ = keyboard
            try:
                sock = socket.create_connection(address)
            except OSError:
                show("* offline")
                return
            threading.Thread(target=listen, daemon=True).start()
            threading.Thread(target=type_, daemon=True).start()
            leaving = False
            while True:
                what, text = events.get()
                try:
                    if what == "typed":
                        sock.sendall(text.encode())
                    elif what == "bye":
                        leaving = True
                        sock.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                if what == "line" and text != "nickname":
                    show(text)
                if what == "gone":
                    if not leaving:
                        show("* offline")
                    sock.close()
                    return
        """,
    },
)
