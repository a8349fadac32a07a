"""Exercise `goodbye`: every way in which a client's thread can end."""

from __future__ import annotations

import errno
import queue
import socket
import threading
from functools import partial
from typing import Any

from labkit.exercises.bench.bench import SOON, Bench, take
from labkit.exercises.bench.hurried import Hurried
from labkit.exercises.bench.serving import IN_VAIN
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.probe.deadline import wait
from labkit.probe.failed import CheckFailed
from labkit.wire import sockets

TASK = """
A server has a thread for each client. This is what it does: write `handle_client(client, hear, gone)`.

- `client` is a connected socket. Read until it ends. For each line that is complete, call `hear(text)`,
  with a `str` without the LF. Bytes that are not UTF-8 become U+FFFD (`"�"`).
- When it is over, call `gone(reason)`, once: `"hung up"` after FIN, `"vanished"` after RST or any other
  `OSError` of this socket.
- `hear` is the server's own code. If it raises anything, even an `OSError`, that is a bug of the server's,
  and not this client's leaving: call `gone("error")`, and let the exception go on up.
- In every case the socket is closed at the end. After FIN, RST or another `OSError`, return.

What becomes of half a line before the end is up to you.
"""

ANSWER = '''
def handle_client(client, hear, gone):
    """Hear one client out; then tell, once, how it ended, and close its socket."""
    ### BEGIN SOLUTION
    reason = "error"  # until we know better
    rest = b""
    try:
        while True:
            try:
                data = client.recv(4096)
            except OSError:
                reason = "vanished"
                break
            if not data:
                reason = "hung up"
                break
            *lines, rest = (rest + data).split(b"\\n")
            for line in lines:
                hear(line.decode("utf-8", "replace"))
    finally:
        client.close()
        gone(reason)
    ### END SOLUTION
'''

ENOUGH = 200
"""Calls of `hear` after which it does not return: that keeps an endless loop readable."""


class Unreachable(socket.socket):
    """A socket whose connection ends by an error other than RST."""

    def recv(self, *args: Any) -> bytes:
        try:
            return super().recv(*args)
        except ConnectionResetError:
            raise OSError(errno.EHOSTUNREACH, "No route to host") from None

    def recv_into(self, *args: Any) -> int:  # what a makefile reads with
        try:
            return super().recv_into(*args)
        except ConnectionResetError:
            raise OSError(errno.EHOSTUNREACH, "No route to host") from None


class Life:
    """The life of alice's thread, as its server sees it: what she says, and how she ended.

    Args:
        raises: what `hear` raises when alice says "boom".
    """

    def __init__(self, bench: Bench, raises: Exception | None = None, kind: Any = socket.socket) -> None:
        self.bench, self.raises = bench, raises
        ours, self.alice = bench.pair()
        self.client = kind(fileno=ours.detach())
        self.heard: queue.SimpleQueue[Any] = queue.SimpleQueue()  # None: the thread has ended
        self.calls: list[str] = []
        self.raised_elsewhere = False  # whether it was raised in another thread than handle_client's
        self.went_up = False  # whether the exception of `hear` came out of handle_client
        self.thread = bench.thread(self.live, name="alice's-thread")

    def live(self) -> None:
        try:
            self.bench.code(self.client, self.hear, self.gone)
        except BaseException as error:
            if self.raises is None or self.raises not in (error, error.__cause__):
                raise
            self.went_up = True
            error.with_traceback(None)  # that would keep open a file that the code made of the socket
            self.raises.with_traceback(None)
        finally:
            self.heard.put(None)

    def hear(self, text: Any) -> None:
        if len(self.calls) < ENOUGH:
            self.noted(f"hear({text!r})")
            self.heard.put(text)
        else:
            threading.Event().wait()
        if text == "boom" and self.raises is not None:
            self.bench.said(f"raises {type(self.raises).__name__}", "the room", "server")
            self.raised_elsewhere = threading.current_thread() is not self.thread.thread
            raise self.raises

    def gone(self, reason: Any) -> None:
        self.noted(f"gone({reason!r})")

    def noted(self, call: str) -> None:
        self.calls.append(call)
        self.bench.said(call, "server", "the room")

    # --- what must be so ---

    def hears(self, text: str, clue: str = "") -> None:
        """The next line heard is this one. `clue`: for another line instead."""
        try:
            seen = take(self.heard)
        except queue.Empty:
            raise CheckFailed(f"hear({text!r})", "nothing was heard in 2 s", "not heard") from None
        if seen is None:
            error = self.thread.error
            how = "handle_client returned" if error is None else f"{type(error).__name__} ended the thread"
            ended = "thrown out" if error is None else type(error).__name__
            raise CheckFailed(f"hear({text!r})", ", and ".join([*self.calls[-1:], how]), ended)
        if seen != text:
            cut = "\ufffd" in str(seen) and "\n" not in str(seen)
            if isinstance(seen, bytes):
                clue = "bytes"
            elif seen == f"{text}\n":
                clue = "LF"
            raise CheckFailed(f"hear({text!r})", f"hear({seen!r})", "letter" if cut else clue)

    def ends(self, expected: str) -> list[str]:
        """Wait until the thread has ended; its calls of `gone`. There must be one."""

        def ended(slice_of_it: float) -> bool:
            return self.thread.ended(slice_of_it) or self.calls.count("hear('')") > IN_VAIN

        wait(ended, SOON)
        if not self.thread.ended(0):
            again = self.calls.count("hear('')") > 1
            seen = "hear('') again and again" if again else f"after {SOON:g} s the thread still runs"
            raise CheckFailed(f"{expected}, and the thread ends", seen, "goes on")
        calls = [call for call in self.calls if call.startswith("gone")]
        if not calls:
            raise CheckFailed(expected, "the thread has ended, and gone was not called", "not told")
        if len(calls) > 1:
            raise CheckFailed(f"{expected}, once", " and ".join(calls), "twice")
        return calls

    def ends_with(self, reason: str, clues: dict[str, str] | None = None) -> None:
        """The thread ends, and tells this reason. `clues`: by the call that came instead."""
        expected = f"gone({reason!r})"
        (seen,) = self.ends(expected)
        if seen != expected:
            raise CheckFailed(expected, seen, (clues or {}).get(seen, ""))
        if self.thread.error is not None:
            came = f"{type(self.thread.error).__name__} came out of it"
            if self.raises is None:
                raise CheckFailed("handle_client returns", came, "raised")
            raise CheckFailed(f"the {type(self.raises).__name__} of hear comes out of it", came, "another")


def each_line(bench: Bench) -> None:
    life = Life(bench, kind=partial(Hurried, hurry=True))
    for text in ("hi", "are you there?"):
        life.alice.send(text)
        try:
            life.hears(text)
        except CheckFailed as failed:
            failed.clue = "impatient" if life.client.timed_out else failed.clue
            raise
        bench.said("says nothing for a while", "alice", "server")
        life.client.is_waited_for()
    life.alice.send_bytes(b"one\ntwo\nth")  # in ASCII first: a recv is no line
    life.hears("one")
    life.hears("two")
    life.alice.send_bytes(b"ree\nse\xc3")
    life.hears("three")
    life.alice.send_bytes(b"\xb1ora\n")
    life.hears("señora")
    for text in ("", "  spaces  ", "quit", "a\rb\u2028c"):
        life.alice.send(text)
        life.hears(text, "as it is")
    life.alice.send("", "no more")
    life.hears("", "as it is")
    life.hears("no more", "as it is")
    life.alice.reset()


def hangs_up(bench: Bench) -> None:
    life = Life(bench)
    life.alice.send("bye")
    life.alice.hang_up()
    life.hears("bye")
    life.ends_with("hung up")


def vanishes(bench: Bench) -> None:
    life = Life(bench)
    life.alice.send("hi")
    life.hears("hi")
    life.alice.reset()
    life.ends_with("vanished", {"gone('hung up')": "alike"})


def out_of_reach(bench: Bench) -> None:
    life = Life(bench, kind=Unreachable)
    life.alice.send("hi")
    life.hears("hi")
    bench.said("No route to host", "alice's router", "server")
    with socket.fromfd(life.alice.fileno(), socket.AF_INET, socket.SOCK_STREAM) as again:
        sockets.reset_on_close(again)
    life.alice.close()  # an RST wakes her thread; the ladder does not show what is none
    life.ends_with("vanished")


def not_text(bench: Bench) -> None:
    life = Life(bench)
    life.alice.send(b"caf\xe9")
    life.hears("caf\ufffd", "other sign")
    life.alice.send("still here")
    life.hears("still here")
    life.alice.reset()


def own_error(bench: Bench, error: Exception) -> None:
    """An error of `hear` is reported as "error", and propagates."""
    life = Life(bench, raises=error)
    life.alice.send("boom")
    life.hears("boom")
    try:
        life.ends_with("error", {"gone('vanished')": "left", "gone('hung up')": "left"})
        if not life.went_up:
            raise CheckFailed(
                f"{type(error).__name__} comes out of handle_client", "handle_client returned", "swallowed"
            )
    except CheckFailed as failed:
        failed.clue = "another thread" if life.raised_elsewhere else failed.clue
        raise


def key_error(bench: Bench) -> None:
    own_error(bench, KeyError("bob"))


def broken_pipe(bench: Bench) -> None:
    own_error(bench, BrokenPipeError(errno.EPIPE, "bob's connection is broken"))


def closed(bench: Bench) -> None:
    for after in ("FIN", "RST", "an error of hear"):
        life = Life(bench, raises=KeyError("bob"))
        word = "boom" if after == "an error of hear" else "hi"
        life.alice.send(word)
        life.hears(word)
        if after == "FIN":
            life.alice.hang_up()
        elif after == "RST":
            life.alice.reset()
        life.ends("gone(…)")
        if life.client.fileno() >= 0:
            half = life.client._closed
            seen = "only its file" if half else "it"
            clue = "half open" if half else f"after {after}"
            raise CheckFailed("the socket is closed", f"after {after} {seen} is still open", clue)
        if after != "RST":
            ended = life.alice.ended()
            bench.expect(ended, "alice hears the end", f"after {after} she hears none", f"after {after}")


TOLD_TWICE = (
    "gone was called more than once. By which two ways does your code come to it?",
    "Remember the reason in a variable, and call gone in one place only: in a finally.",
)
RAISED = (
    "Her leaving was told, and then something raised. What was her socket still used for?",
    "Of a connection that was reset, or is closed, shutdown() raises an OSError. close() never does.",
)
NOT_TOLD = (
    "The thread has ended, and the server was not told. Which way did it take past your call of gone?",
    "What must be done however it ends belongs into a finally.",
)

EXERCISE = Exercise(
    name="goodbye",
    title="a client's thread, and how it ends",
    chapter="05_goodbyes",
    wants="handle_client",
    task=TASK,
    answer=ANSWER,
    steps=(
        Step(
            "each line is heard, however recv cuts them",
            each_line,
            hints=(
                "Compare what one recv brought with what alice meant: where does a line of hers end?",
                "Keep what follows the last LF, and put it before what the next recv brings.",
                "*lines, rest = (rest + data).split(b'\\n')",
            ),
            hints_by_clue={
                "not heard": (
                    "A line is complete once its LF has come. What does your code still wait for?",
                    "recv returns what there is. Take it apart at b'\\n' and hear each line at once.",
                ),
                "LF": (
                    "The LF tells where her line ends. Is it part of what she said?",
                    "split(b'\\n') leaves it out, removesuffix(b'\\n') takes it off what readline returns.",
                ),
                "bytes": (
                    "hear wants text. What does recv bring?",
                    "line.decode('utf-8', 'replace') makes a str of it.",
                ),
                "impatient": (
                    "She said nothing for a while. Has she left for it? What ran out of patience?",
                    "Set no timeout: a client that is silent is still there.",
                ),
                "letter": (
                    "ñ is two bytes, and recv cut between them. What does decode make of half of it?",
                    "Join the bytes first, cut them at LF, and decode only whole lines.",
                ),
                "thrown out": (
                    "She said a line and stayed. Why did handle_client return?",
                    "Read in a loop: only b'' and an OSError end it.",
                ),
                "as it is": (
                    "Compare what she said and what was heard. What did your code change, or leave out?",
                    "An empty line is a line, spaces belong to it, no word is special: hear it as it is.",
                ),
            },
        ),
        Step(
            "FIN: told once, as 'hung up', after her last line; and the thread ends",
            hangs_up,
            hints=(
                "She hung up properly. Which of your reasons is for that?",
                "FIN is no error: recv returns b''. That alone is 'hung up'.",
            ),
            hints_by_clue={
                "goes on": (
                    "After FIN, what does recv return, and what when you call it again?",
                    "It returns b'', at once, each time. No except catches that; an if does.",
                    "if not data: break",
                ),
                "not told": NOT_TOLD,
                "twice": TOLD_TWICE,
                "raised": RAISED,
            },
            points=2,
        ),
        Step(
            "RST: told once, as 'vanished'",
            vanishes,
            hints=(
                "What does recv do when the connection was reset, and who catches it?",
                "except OSError: reason = 'vanished'",
            ),
            hints_by_clue={
                "alike": (
                    "Her client aborted, with RST. How could a reader of the log know?",
                    "An error of recv and its b'' are two ways to end. Give each its own reason.",
                ),
                "raised": RAISED,
                "goes on": (
                    "recv has raised an error, and your loop goes round again. What should end it?",
                    "After an OSError nothing more will come from this socket: break.",
                ),
                "not told": NOT_TOLD,
                "twice": TOLD_TWICE,
            },
        ),
        Step(
            "any other OSError: 'vanished', too",
            out_of_reach,
            hints=(
                "The network said: no route to host. Is that a ConnectionResetError?",
                "Cables, routers and keepalive have errors of their own. All of them are OSErrors.",
                "except OSError:",
            ),
        ),
        Step(
            "what is not UTF-8 throws nobody out",
            not_text,
            hints=(
                "One of her bytes was no UTF-8. Why should she lose her connection for it?",
                "decode() is strict unless told otherwise: decode('utf-8', 'replace').",
            ),
            hints_by_clue={
                "other sign": (
                    "She was heard, but without U+FFFD in the place of that byte. How do you decode?",
                    "decode('utf-8', 'replace'), and neither 'ignore' nor another encoding.",
                ),
                "UnicodeDecodeError": (
                    "Look at the line it died in: how does decode treat a byte that is no UTF-8?",
                    "decode('utf-8', 'replace') puts U+FFFD there, and goes on.",
                ),
            },
        ),
        Step(
            "hear raises: told as 'error', and the exception goes on up",
            key_error,
            hints=(
                "hear raised: which reason is for that?",
                "Begin with reason = 'error', and change it where you know that recv ended it.",
            ),
            hints_by_clue={
                "left": (
                    "Alice is still there. Whose error was that, and whom does your code blame for it?",
                    "A bare except catches every bug of yours, and calls it her leaving.",
                    "Put nothing but recv into the try that has except OSError.",
                ),
                "another thread": (
                    "hear was called in a thread of its own. Where does an exception go from there?",
                    "It ends that thread alone. Call hear in handle_client's own: there it goes up.",
                ),
                "another": (
                    "hear raised, and something else came out. What raised on the way, after hear had?",
                    "What stands in a finally must not raise: of a socket only close() never does.",
                ),
                "swallowed": (
                    "The server has a bug, and its error is gone. Who could still find it?",
                    "Don't catch what you cannot mend. try … finally does its work, and lets it pass.",
                ),
                "not told": (
                    "An exception leaves at once. Which lines of yours did it jump over?",
                    "Call gone in a finally: that is run on every way out.",
                ),
                "twice": TOLD_TWICE,
                "goes on": (
                    "hear has raised, and the thread goes on. Who caught that?",
                    "Put nothing but recv into a try with an except.",
                ),
            },
            points=2,
        ),
        Step(
            "hear raises an OSError: that is not her leaving, either",
            broken_pipe,
            hints=(
                "Bob's connection broke while alice was heard. Which two calls stand in your try?",
                "An OSError of recv is about alice. One of hear is not: call hear outside of that try.",
            ),
            hints_by_clue={
                "swallowed": (
                    "A KeyError of hear goes up, and a BrokenPipeError does not. Who catches that one?",
                    "Around hear there is no except that does not end with raise.",
                ),
                "goes on": (
                    "hear raised an OSError, and the thread goes on. Which except is that?",
                    "Put nothing but recv into the try that has except OSError.",
                ),
                "not told": NOT_TOLD,
                "twice": TOLD_TWICE,
            },
        ),
        Step(
            "the socket is closed, however it ended",
            closed,
            hints=("Follow each way out of your code: does it pass client.close()?",),
            hints_by_clue={
                "half open": (
                    "You closed the socket. What else was made of it, that is open still?",
                    "A file from makefile keeps its socket open, until it is closed as well.",
                    "with client, client.makefile('rb') as reader:",
                ),
                "after FIN": (
                    "She has said goodbye. Who says it to her?",
                    "client.close() sends the server's own FIN, and gives the number of the socket back.",
                ),
                "after RST": (
                    "Nothing is left of the connection, but the socket is still yours. Who closes it?",
                    "Close it in a finally, and it doesn't matter how it ended.",
                ),
                "after an error of hear": (
                    "The exception went up. Did it come past your client.close()?",
                    "Put client.close() into a finally, or all of it into: with client:",
                ),
            },
        ),
    ),
    wrong=(
        Wrong(
            "a recv is a line",
            "each line is heard, however recv cuts them",
            (("(rest + data).split(b\"\\n\")", '[data.rstrip(b"\\n"), b""]'),),
        ),
        Wrong(
            "decodes each piece",
            "each line is heard, however recv cuts them",
            (
                ('rest = b""', 'rest = ""'),
                ('(rest + data).split(b"\\n")', '(rest + data.decode("utf-8", "replace")).split("\\n")'),
                ('hear(line.decode("utf-8", "replace"))', "hear(line)"),
            ),
            clue="letter",
        ),
        Wrong(
            "an empty line is the end",
            "each line is heard, however recv cuts them",
            (("for line in lines:\n", 'for line in lines:\n                if not line:\n'
              '                    reason = "hung up"\n                    return\n'),),
            clue="thrown out",
        ),
        Wrong(
            "strips what she says",
            "each line is heard, however recv cuts them",
            (('line.decode("utf-8", "replace")', 'line.strip().decode("utf-8", "replace")'),),
            clue="as it is",
        ),
        Wrong(
            "hears bytes",
            "each line is heard, however recv cuts them",
            (('hear(line.decode("utf-8", "replace"))', "hear(line)"),),
            clue="bytes",
        ),
        Wrong(
            "hears the LF as well",
            "each line is heard, however recv cuts them",
            (('"replace"))', '"replace") + "\\n")'),),
            clue="LF",
        ),
        Wrong(
            "takes silence for a goodbye",
            "each line is heard, however recv cuts them",
            (('    rest = b""\n', '    rest = b""\n    client.settimeout(1)\n'),),
            clue="impatient",
        ),
        Wrong(
            "ignores what is not UTF-8",
            "what is not UTF-8 throws nobody out",
            (('"replace"', '"ignore"'),),
            clue="other sign",
        ),
        Wrong(
            "raises another exception instead",
            "hear raises: told as 'error', and the exception goes on up",
            (("    finally:\n",
              '    except Exception:\n        raise RuntimeError("a bug") from None\n    finally:\n'),),
            clue="another",
        ),
        Wrong(
            "passes over an OSError of hear",
            "hear raises an OSError: that is not her leaving, either",
            (('                hear(line.decode("utf-8", "replace"))',
              "                try:\n"
              '                    hear(line.decode("utf-8", "replace"))\n'
              "                except OSError:\n"
              "                    continue"),),
            clue="goes on",
        ),
        Wrong(
            "a file of the socket stays open",
            "the socket is closed, however it ended",
            source='''
            readers = []


            def handle_client(client, hear, gone):
                reason = "error"
                reader = client.makefile("rb")
                readers.append(reader)
                try:
                    while True:
                        try:
                            line = reader.readline()
                        except OSError:
                            reason = "vanished"
                            return
                        if not line:
                            reason = "hung up"
                            return
                        hear(line.removesuffix(b"\\n").decode("utf-8", "replace"))
                finally:
                    client.close()
                    gone(reason)
            ''',
            clue="half open",
        ),
        Wrong(
            "the end of the stream is ignored",
            "FIN: told once, as 'hung up', after her last line; and the thread ends",
            (('if not data:\n                reason = "hung up"\n                break', "pass"),),
            clue="goes on",
            survey="end of stream ignored",
        ),
        Wrong(
            "FIN and RST are told alike",
            "RST: told once, as 'vanished'",
            (('reason = "vanished"\n                break', 'data = b""'),),
            clue="alike",
        ),
        Wrong(
            "told twice",
            "RST: told once, as 'vanished'",
            (('reason = "vanished"', 'gone("vanished")'),),
            clue="twice",
        ),
        Wrong(
            "only a reset is caught",
            "any other OSError: 'vanished', too",
            (("except OSError:", "except ConnectionResetError:"),),
        ),
        Wrong(
            "decodes strictly",
            "what is not UTF-8 throws nobody out",
            (('"utf-8", "replace"', ""),),
            clue="UnicodeDecodeError",
            survey="a message that isn't UTF-8 throws its sender out",
        ),
        Wrong(
            "bare except: the server's own error is told as the client's leaving",
            "hear raises: told as 'error', and the exception goes on up",
            source='''
            def handle_client(client, hear, gone):
                rest = b""
                try:
                    while data := client.recv(4096):
                        *lines, rest = (rest + data).split(b"\\n")
                        for line in lines:
                            hear(line.decode("utf-8", "replace"))
                    gone("hung up")
                except:
                    gone("vanished")
                client.close()
            ''',
            clue="left",
            survey="bare except",
        ),
        Wrong(
            "the server's own error is swallowed",
            "hear raises: told as 'error', and the exception goes on up",
            (("    finally:\n", "    except Exception:\n        pass\n    finally:\n"),),
            clue="swallowed",
        ),
        Wrong(
            "an error of hear jumps over the goodbye",
            "hear raises: told as 'error', and the exception goes on up",
            (("        client.close()\n        gone(reason)", "        client.close()\n    gone(reason)"),),
            clue="not told",
        ),
        Wrong(
            "recv and hear in one try",
            "hear raises an OSError: that is not her leaving, either",
            source='''
            def handle_client(client, hear, gone):
                reason = "error"
                rest = b""
                try:
                    while data := client.recv(4096):
                        *lines, rest = (rest + data).split(b"\\n")
                        for line in lines:
                            hear(line.decode("utf-8", "replace"))
                    reason = "hung up"
                except OSError:
                    reason = "vanished"
                finally:
                    client.close()
                    gone(reason)
            ''',
            clue="left",
        ),
        Wrong(
            "the socket is never closed",
            "the socket is closed, however it ended",
            (("        client.close()\n", ""),),
            clue="after FIN",
        ),
        Wrong(
            "an error of hear jumps over the close",
            "the socket is closed, however it ended",
            (("        client.close()\n        gone(reason)", "        gone(reason)\n    client.close()"),),
            clue="after an error of hear",
        ),
    ),
    others={
        "a file made of the socket": '''
        def handle_client(client, hear, gone):
            reason = "error"
            try:
                with client, client.makefile("rb") as file:
                    while True:
                        try:
                            line = file.readline()
                        except OSError:
                            reason = "vanished"
                            return
                        if not line:
                            reason = "hung up"
                            return
                        hear(line.removesuffix(b"\\n").decode(errors="replace"))
            finally:
                gone(reason)
        ''',
        "a class, with select": '''
        import selectors


        class Handler:
            def __init__(self, client, hear):
                self.client, self.hear, self.buffer = client, hear, bytearray()
                client.setblocking(False)

            def reason(self):
                with selectors.DefaultSelector() as selector:
                    selector.register(self.client, selectors.EVENT_READ)
                    while selector.select():
                        try:
                            data = self.client.recv(16)
                        except OSError:
                            return "vanished"
                        if data == b"":
                            return "hung up"
                        self.buffer += data
                        self.work()

            def work(self):
                while (end := self.buffer.find(10)) >= 0:
                    line = str(self.buffer[:end], "utf-8", "replace")
                    del self.buffer[: end + 1]
                    self.hear(line)


        def handle_client(client, hear, gone):
            try:
                reason = Handler(client, hear).reason()
            except BaseException:
                gone("error")
                raise
            else:
                gone(reason)
            finally:
                client.close()
        ''',
        "a thread that reads, and a queue": '''
        import queue
        import socket
        import threading


        def handle_client(client, hear, gone):
            events = queue.Queue()

            def read():
                rest = b""
                try:
                    while data := client.recv(4096):
                        *lines, rest = (rest + data).split(b"\\n")
                        for line in lines:
                            events.put((line.decode("utf-8", "replace"), None))
                    events.put((None, "hung up"))
                except OSError:
                    events.put((None, "vanished"))

            reader = threading.Thread(target=read, daemon=True)
            reader.start()
            reason = "error"
            try:
                while True:
                    text, end = events.get()
                    if end:
                        reason = end
                        break
                    hear(text)
            finally:
                try:
                    client.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                reader.join()
                client.close()
                gone(reason)
        ''',
    },
)  # fmt: skip
