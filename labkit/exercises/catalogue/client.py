"""Exercise `client`: a client that notices both ends, its own and the server's."""

from __future__ import annotations

from labkit.exercises.bench.bench import SOON, Bench
from labkit.exercises.bench.student_client import StudentClient
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.probe.failed import CheckFailed

TASK = """
Write `run_client(address, keyboard, show)`, a whole client. `address` is `(host, port)`. `keyboard` is a
text file such as `sys.stdin`: its `readline()` waits for the next line typed, and gives `""` at the end of
input. `show(text)` shows a line to the user: a `str`, without the LF.

- The line `nickname` is the server's request. It is not shown; it is answered with the next line typed. It
  may come again, after a refusal. Every other line is shown, also `bob: nickname`.
- What is typed after that is sent, line by line. Lines are UTF-8, and end with LF.
- When the input ends, and all that was typed is sent, say goodbye (FIN). A server answers with its own FIN.
  Then return.
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


# --- the steps ---


def chats(bench: Bench) -> None:
    client = StudentClient(bench)
    client.server.says(b"* you are alice\n")
    client.shows("* you are alice", clue="request")
    client.types("hi all")
    client.server_hears("hi all")
    client.types("¿qué tal?")
    client.server_hears("¿qué tal?", "UTF-8")
    client.types("", "  spaces  ")
    client.server_hears("", "empty")
    client.server_hears("  spaces  ", "spaces")
    client.server.says("bob: hi, señora\n".encode())
    client.shows("bob: hi, señora")
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
        raise CheckFailed("the server hears FIN, after all lines", seen, "no FIN" if returned else "")
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
                    "Two of your threads have noticed. Which of them should tell?",
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
            points=2,
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
                while True:
                    for key, _ in selector.select():
                        if key.fileobj is keyboard:
                            data = os.read(keyboard.fileno(), 4096)
                            if not data:
                                return
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
            waiting, requests, joined = [], 0, False
            while True:
                kind, line = events.get()
                if kind == "came" and line is None:
                    show("* the server is away")
                    break
                if kind == "came" and line == "nickname":
                    requests, joined = 1, False
                elif kind == "came":
                    show(line)
                elif line is None:
                    server.shutdown(socket.SHUT_WR)
                    break
                else:
                    waiting.append(line)
                while waiting and (requests or joined):
                    try:
                        server.sendall((waiting.pop(0) + "\\n").encode())
                    except OSError:
                        break
                    requests, joined = 0, True
            server.close()
        """,
        "a class, two daemons and an event": """
        import socket
        import threading


        class Client:
            def __init__(self, keyboard, show):
                self.keyboard, self.show = keyboard, show
                self.over = threading.Event()
                self.gone = False

            def type(self):
                while line := self.keyboard.readline():
                    try:
                        self.sock.sendall(line.encode())
                    except OSError:
                        return
                self.over.set()

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
                self.gone = True
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
                if self.gone:
                    self.show("* connection lost")
                try:
                    self.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                self.sock.close()


        def run_client(address, keyboard, show):
            Client(keyboard, show).run(address)
        """,
    },
)
