"""Exercise `accept`: a thread for each client, so that nobody waits for anybody else."""

from __future__ import annotations

import contextlib
import linecache
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from types import CodeType, FrameType
from typing import Any

from labkit import sockets
from labkit.exercises.bench import SOON, Bench, is_students
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.exercises.missed import Missed
from labkit.exercises.peer import Peer

TASK = """
Write `serve(listener)`. `listener` is a listening socket; `listener.accept()` gives the next client that
connects. Serve each of them, in a thread of its own:

- Send `nickname` and LF, and read the answer: a line, however many pieces it comes in.
- Send `* you are NAME` and LF.
- Then read on. What the client says is of no interest here; but when its end comes, close the socket, and
  let the thread end.

Nobody waits for anybody else: not for one who stays, not for one who never answers. Nobody is kept out by a
client that breaks off (a reset), or whose nickname is not UTF-8; what that client itself gets does not matter.

When the listener is closed, `accept` raises an `OSError`. Then `serve` returns.
"""

ANSWER = '''
import threading


def handle_client(client):
    """Ask one client for its nickname, welcome it, and read on until it leaves."""
    ### BEGIN SOLUTION
    try:
        with client, client.makefile("rb") as reader:
            client.sendall(b"nickname\\n")
            nickname = reader.readline().decode("utf-8", "replace").strip()
            client.sendall(f"* you are {nickname}\\n".encode())
            while reader.readline():
                pass
    except OSError:
        pass  # it has vanished; that is its own affair
    ### END SOLUTION


def serve(listener):
    """Give each client a thread, until the listener is closed."""
    ### BEGIN SOLUTION
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return  # the listener is closed
        threading.Thread(target=handle_client, args=(client,), daemon=True).start()
    ### END SOLUTION
'''

MANY = 20

TURN = 0.01
"""Seconds of one turn of waiting."""


class Listener(socket.socket):
    """A listening socket that remembers what it gave, so that only a close closes it, and who asked."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(fileno=sock.detach())
        self.given: list[socket.socket] = []
        self.used = threading.Event()  # somebody has begun to wait for clients
        self.loop: CodeType | None = None  # the function that calls accept
        self.at_accept: Callable[[socket.socket], None] | None = None

    def accept(self) -> tuple[socket.socket, Any]:
        self.loop = sys._getframe(1).f_code
        self.used.set()
        client, address = super().accept()
        self.given.append(client)
        if self.at_accept is not None:
            self.at_accept(client)
        return client, address

    def fileno(self) -> int:
        self.used.set()  # as select and its like do
        return super().fileno()


class Serving:
    """The student's serve, running in a thread."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.listener = Listener(bench.listener())
        self.address = self.listener.getsockname()
        self.call = bench.thread(bench.code, self.listener, name="serve")
        self.listener.used.wait(SOON if self.call.error is None else 0)
        self.before = set(self.students_threads())

    def peer(self, name: str) -> Peer:
        return self.bench.peer(self.address, name)

    def line(self, peer: Peer) -> str | None:
        """The next line that this one hears; None if none comes in time, or serve died."""
        give_up = monotonic() + SOON
        while monotonic() < give_up:
            dead = self.call.error is not None
            try:
                return peer.line(TURN)
            except TimeoutError:
                if dead:
                    break
            except EOFError:
                break
        return None

    def hears(self, peer: Peer, wanted: str, when: str = "") -> None:
        """This one hears this line next.

        Raises:
            Missed: it does not. The clue is what serve died of, or where it is.
        """
        line = self.line(peer)
        if line == wanted:
            return
        expected = f"{peer.name}{when} hears {wanted + chr(10)!r}"
        if line is not None:
            raise Missed(expected, f"{peer.name} heard {line + chr(10)!r}")
        if peer.hears(wanted, 0):
            raise Missed(expected, f"{peer.name} heard {wanted!r}, without an LF", "no LF")
        where, clue = self.whereabouts()
        raise Missed(expected, f"{peer.seen()}{where}", clue)

    def joins(self, name: str, when: str = "") -> Peer:
        """A client connects, is asked, answers, and is welcomed."""
        peer = self.peer(name)
        self.hears(peer, "nickname", when)
        peer.send(name)
        self.hears(peer, f"* you are {name}", when)
        return peer

    def leaves(self, peer: Peer) -> None:
        """It hangs up, and the server lets it go."""
        peer.hang_up()
        peer.ended()

    def shut(self) -> bool:
        """Close the listener; whether serve comes back."""
        self.bench.said("the listener is closed", "check", "server")
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # on Linux this wakes whoever waits in accept
        except OSError:
            with contextlib.suppress(OSError):  # elsewhere it takes one who knocks
                socket.create_connection(self.address, timeout=SOON).close()
        self.call.ended(0.2)
        self.listener.close()
        return self.call.ended()

    # --- where the code is ---

    def students_threads(self) -> Iterator[int]:
        """The threads that are in the student's code, but for that of serve itself."""
        for ident, frame in sys._current_frames().items():
            if ident != self.call.thread.ident and students(frame):
                yield ident

    def threads_left(self) -> bool:
        """Whether there are more of these threads than before, now and for some time."""
        give_up = monotonic() + SOON
        while left := set(self.students_threads()) - self.before:
            if monotonic() > give_up:
                break
            sleep(TURN)  # nothing tells when a thread has ended that the student's code started
        return bool(left)

    def whereabouts(self) -> tuple[str, str]:
        """Where serve is, instead of accepting: in words, and as a clue."""
        if self.call.error is not None:
            return ": serve had died", type(self.call.error).__name__
        if self.call.ended(0):
            return ": serve had returned", "returned"
        top = sys._current_frames().get(self.call.thread.ident or 0)
        frames = students(top)
        if not frames or (top and any(frame.f_code is Listener.accept.__code__ for frame in stack(top))):
            return "", ""  # it is where it should be
        clue = "itself" if frames[-1].f_code is self.listener.loop else "called"
        callees: list[FrameType | None] = [*frames[1:], None]
        for frame, callee in zip(frames, callees, strict=True):
            text = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
            name = re.escape(callee.f_code.co_name) if callee else r"\w+"
            if re.search(rf"target\s*=\s*[\w.]*\b{name}\(", text):
                clue = "target=f()"
            elif re.search(r"\.(run|join)\(", text) and (not callee or name != "run"):
                clue = "run" if ".run(" in text else "join"
        loop = next((frame for frame in frames if frame.f_code is self.listener.loop), frames[0])
        text = linecache.getline(loop.f_code.co_filename, loop.f_lineno).strip()
        return f": meanwhile the loop that accepts was in {text!r}", clue


def stack(top: FrameType) -> list[FrameType]:
    """This frame and those that called it, the outermost first."""
    frames = [top]
    while frames[-1].f_back is not None:
        frames.append(frames[-1].f_back)
    return frames[::-1]


def students(top: FrameType | None) -> list[FrameType]:
    """Those of them that are the student's code."""
    return [frame for frame in stack(top) if is_students(frame.f_code.co_filename)] if top else []


@contextmanager
def serving(bench: Bench) -> Iterator[Serving]:
    """The student's serve, running; ended again, unless something was missed, which is then looked into."""
    serve = Serving(bench)
    yield serve
    serve.shut()
    for client in serve.listener.given:
        client.close()


def asks(bench: Bench) -> None:
    with serving(bench) as serve:
        serve.leaves(serve.joins("alice"))


def goodbye(bench: Bench) -> None:
    with serving(bench) as serve:
        alice = serve.joins("alice")
        for word in ("hello", "again"):
            alice.send(word)
            alice.until_read()
        bench.expect(not alice.ended(0), "alice can say more than one line", alice.seen(), "early")
        alice.hang_up()
        if not alice.ended():
            running = bool(set(serve.students_threads()) - serve.before)
            expected = "alice hung up; then the server's end is closed, too"
            raise Missed(expected, f"{alice.seen()}, and no FIN", "reads on" if running else "open")
        bench.expect(not serve.threads_left(), "alice's thread ends", "it was still running", "reads on")


def listener_closed(bench: Bench) -> None:
    with serving(bench) as serve:
        serve.leaves(serve.joins("alice"))
        expected = "the listener is closed, and serve returns"
        bench.expect(serve.shut(), expected, f"it was still running after {SOON:g} s", "goes on")
        if serve.call.error is not None:
            raise Missed(expected, "serve raised an exception", type(serve.call.error).__name__)


def two_pieces(bench: Bench) -> None:
    with serving(bench) as serve:
        alice = serve.peer("alice")
        serve.hears(alice, "nickname")
        alice.send_bytes(b"al")
        alice.send_bytes(b"ice\n")
        serve.hears(alice, "* you are alice")


def reset(bench: Bench) -> None:
    with serving(bench) as serve:
        mallory = serve.peer("mallory")
        serve.hears(mallory, "nickname")
        mallory.reset()
        serve.joins("bob", ", who comes after mallory's reset,")
        mallory = serve.peer("mallory")

        def at_accept(client: socket.socket) -> None:
            serve.listener.at_accept = None
            mallory.reset()
            sockets.readable(client, SOON)  # then the reset has arrived

    with serving(bench) as serve:
        # The next one vanishes in the very moment in which it is accepted.
        serve.listener.at_accept = at_accept
        mallory = serve.peer("mallory")
        serve.joins("bob", ", who comes after mallory's reset,")


def not_text(bench: Bench) -> None:
    with serving(bench) as serve:
        mallory = serve.peer("mallory")
        serve.hears(mallory, "nickname")
        mallory.send(b"caf\xe9")
        mallory.until_read()
        mallory.hang_up()
        serve.joins("bob", ", who comes after mallory's bytes,")


def one_who_stays(bench: Bench) -> None:
    with serving(bench) as serve:
        serve.joins("alice")
        serve.joins("bob", ", who comes while alice is here,")


def one_who_is_silent(bench: Bench) -> None:
    with serving(bench) as serve:
        alice = serve.peer("alice")
        serve.hears(alice, "nickname")
        serve.joins("bob", ", who comes while alice says nothing,")


def twenty(bench: Bench) -> None:
    with serving(bench) as serve, contextlib.ExitStack() as stack:
        # Their wires are not drawn: a ladder of twenty is no picture.
        names = [f"guest-{n}" for n in range(1, MANY + 1)]
        guests = [stack.enter_context(Peer(serve.address, name, patience=SOON)) for name in names]
        bench.said(f"{MANY} connect", f"{MANY} guests", "server")
        asked = [guest for guest in guests if serve.line(guest) == "nickname"]
        bench.said(f"{len(asked)} are asked", "server", f"{MANY} guests")
        if len(asked) < MANY:
            where, clue = serve.whereabouts()
            raise Missed(f"all {MANY} are asked", f"{len(asked)} of {MANY} were asked{where}", clue)
        for guest in guests:
            guest.send(guest.name)
        for guest in guests:
            line = serve.line(guest)
            if line != f"* you are {guest.name}":
                others = [other for other in guests if other.hears(f"* you are {guest.name}\n", 0)]
                seen = "".join(f"; {other.name} heard it" for other in others)
                heard = f"{guest.name} heard {line!r}" if line else guest.seen()
                raise Missed(f"{guest.name} is welcomed by that name", heard + seen, "mixed" if others else "")
