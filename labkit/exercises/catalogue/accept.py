"""Exercise `accept`: a thread for each client, so that no client waits for another."""

from __future__ import annotations

import socket
import threading
from functools import partial
from queue import SimpleQueue

from labkit.exercises.bench.bench import SOON, Bench, take
from labkit.exercises.bench.between import PATIENCE, between_lines
from labkit.exercises.bench.hurried import HurriedTimers
from labkit.exercises.bench.serving import IN_VAIN, Serving, serving
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.journal import Journal
from labkit.probe.deadline import wait
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import RawClient
from labkit.wire import sockets

TASK = """
Write `serve(listener)`. `listener` is a listening socket; `listener.accept()` gives the next client that
connects. Serve each of them, in a thread of its own:

- Send `nickname` and LF, and read the answer: a line, however many pieces it comes in.
- Send `* you are NAME` and LF.
- Then read on. What the client says is of no interest here; but when its end comes, close the socket, and
  let the thread end.

Nobody waits for anybody else: not for one who stays, not for one who never answers. One who says nothing
may stay nevertheless. Nobody is kept out by a client that breaks off (a reset), or whose nickname is not
UTF-8; what that one gets does not matter. A reset ends that client's thread, without an exception.

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

MANY = 40
"""Guests at once: more than the 32 threads of the largest pool, if the code does not say how many."""

AFTER_RESET = ", who comes after mallory's reset,"

NO_FIN = {
    "reads on": "no FIN, and her thread was still running",
    "open": f"no FIN in {SOON:g} s, though her thread had ended",
    "half open": f"no FIN in {SOON:g} s: the socket is closed, but a file made of it is not",
}


def asks(bench: Bench) -> None:
    with serving(bench) as serve:
        threading.setprofile(serve.late(1))
        alice = serve.joins("alice")
        threading.setprofile(None)
        alice.send("hello")
        alice.until_read()  # then all of the welcome has come
        rest = alice.follows(0)
        expected = "alice hears '* you are alice\\n', and no empty line after it"
        bench.expect(not rest.startswith((b"\n", b"\r\n")), expected, alice.seen(), "LF kept")
        alice.hang_up()


def leaves(serve: Serving, client: RawClient, what: str, suffix: str = "") -> None:
    """A client hangs up: its socket is closed, and its thread ends."""
    ended = serve.hangs_up(client)
    alone = not serve.threads_left(0 if ended is None else SOON)
    half = any(sock._closed and sock.fileno() >= 0 for sock in serve.listener.given)  # type: ignore[attr-defined]
    clue = "reads on" if not alone else "half open" if half else "open"
    serve.bench.expect(ended, f"{what}, so the server's end is closed, too", NO_FIN[clue], clue + suffix)
    serve.bench.expect(alone, f"{what}, so her thread ends", "it was still running", clue + suffix)


def goodbye(bench: Bench) -> None:
    with serving(bench) as serve:
        alice = serve.joins("alice")
        for words, clue in (("hello", "again"), "early"), (("", "more"), "empty line"):
            for word in words:
                alice.send(word)
                alice.until_read()
            bench.expect(not alice.ended(0), "alice can say more than one line", alice.seen(), clue)
        leaves(serve, alice, "alice hung up")
    for sends, when in ((b"", "before her nickname"), (b"ca", "in the middle of her nickname")):
        bench.journal = Journal()
        with serving(bench) as serve:
            carol = serve.connect("carol")
            serve.hears(carol, "nickname")
            if sends:
                carol.send_bytes(sends)
                carol.until_read()
            leaves(serve, carol, f"carol hung up {when}", " before")


def listener_closed(bench: Bench) -> None:
    with serving(bench, hurry=True) as serve:
        expected = "the listener is closed, and serve returns"
        quiet = serve.listener.gettimeout()
        if quiet:
            wait(serve.listener.timed_out.wait, SOON)
        for name in ("alice", "bob"):
            try:
                serve.joins(name).hang_up()
            except CheckFailed as failed:
                if quiet and failed.clue in ("returned", "TimeoutError"):
                    failed.clue = "quiet"
                raise
        returned, spins = serve.shut(), serve.listener.in_vain > IN_VAIN
        seen = f"{IN_VAIN} calls of accept" if spins else f"{SOON:g} s"
        bench.expect(returned, expected, f"it was still running after {seen}", "goes on")
        if serve.call.error is not None:
            raise CheckFailed(expected, "serve raised an exception", type(serve.call.error).__name__)


def two_pieces(bench: Bench) -> None:
    with serving(bench) as serve:
        alice = serve.connect("alice")
        serve.hears(alice, "nickname")
        alice.send_bytes(b"al")
        alice.send_bytes(b"ice\n")
        serve.hears(alice, "* you are alice")


def ends_well(serve: Serving, left: bool) -> None:
    """After mallory's reset: her thread has ended, and not by an exception."""
    serve.bench.expect(not left, "mallory vanished, so her thread ends", "it was still running", "spins")
    died = [type(error).__name__ for error in serve.deaths]
    expected = "mallory's thread ends, and no exception comes out of it"
    serve.bench.expect(not died, expected, f"a {''.join(died[:1])} did", "died")


def reset(bench: Bench) -> None:
    with serving(bench) as serve:
        mallory = serve.connect("mallory")
        serve.hears(mallory, "nickname")
        mallory.reset()
        left = serve.threads_left(SOON)
        serve.joins("bob", AFTER_RESET)
        ends_well(serve, left)
    bench.journal = Journal()
    with serving(bench) as serve:
        doomed: SimpleQueue[RawClient] = SimpleQueue()
        vanished = threading.Event()

        def vanish(client: socket.socket) -> None:
            serve.listener.at_accept = None
            take(doomed).reset()
            wait(partial(sockets.readable, client), SOON)  # then the reset has arrived
            vanished.set()

        serve.listener.at_accept = vanish
        calls = serve.listener.calls
        doomed.put(serve.connect("mallory"))
        wait(vanished.wait, SOON)
        serve.accepts_again(calls + 1)
        left = serve.threads_left(SOON)
        serve.joins("bob", AFTER_RESET)
        ends_well(serve, left)


def not_text(bench: Bench) -> None:
    with serving(bench) as serve:
        serve.forgives = UnicodeError  # what comes of mallory does not matter
        mallory = serve.connect("mallory")
        serve.hears(mallory, "nickname")
        mallory.send(b"caf\xe9")
        mallory.until_read()
        mallory.hang_up()
        serve.threads_left(SOON)
        serve.joins("bob", ", who comes after mallory's bytes,")


def one_who_stays(bench: Bench) -> None:
    with serving(bench) as serve:
        serve.joins("alice")
        serve.joins("bob", ", who comes while alice is here,")


def one_who_is_silent(bench: Bench) -> None:
    with HurriedTimers() as timers, serving(bench, hurry=True) as serve:
        alice = serve.connect("alice")
        serve.hears(alice, "nickname")
        # A short timeout for each would only hide it: so there are several.
        others = [RawClient(serve.address, "another") for _ in range(5)]
        bench.said("connect, and say nothing either", "5 others", "server")
        try:
            bob = serve.joins("bob", ", who comes while they say nothing,")
        except CheckFailed as failed:
            # Patience that has run out with her may have run out with him, before he had his turn.
            failed.clue = failed.clue or ("thrown out" if alice.ended(0) else "")
            raise

        def is_silent() -> None:
            bench.said("says nothing for a while", "alice", "server")
            serve.listener.given[0].is_waited_for()
            timers.wait()

        expected = "alice may think as long as she likes"
        is_silent()
        alice.send_bytes(b"al")
        alice.until_read()
        is_silent()
        alice.send_bytes(b"ice\n")
        welcome = "* you are alice"
        if serve.line(alice) != welcome:
            mixed = any(other.hears(welcome + "\n", 0) for other in (bob, *others))
            seen = "it came to another" if mixed else alice.seen()
            clue = "mixed" if mixed else "thrown out" if alice.end else ""
            raise CheckFailed(expected + f", and hears {welcome!r}", seen, clue)
        is_silent()
        alice.send("hello")
        alice.until_read()
        alice.send("again")
        alice.until_read()
        bench.expect(not alice.ended(0), expected, alice.seen(), "thrown out")
        for other in others:
            other.close()


def one_after_the_other(bench: Bench) -> None:
    """Between any two lines of alice's thread, another guest is asked and welcomed."""
    with between_lines() as between, serving(bench) as serve:
        alice = serve.connect("alice")
        serve.hears(alice, "nickname")
        serve.listener.given[-1].at_line = between.follow_this_thread
        alice.send("alice")
        guests = 0

        def another() -> bool:
            nonlocal guests
            if alice.hears("\n", 0):
                return False
            guests += 1
            name = f"guest-{guests}"
            with RawClient(serve.address, name, timeout=SOON) as guest:
                asked = guest.hears("nickname\n", PATIENCE)
                guest.send(name)
                return asked and guest.hears(f"* you are {name}\n", PATIENCE)

        alice_heard = alice.transcript
        between.each(another)
        welcome = "* you are alice"
        if not alice.hears(welcome + "\n", 0) and f"{welcome}\n".encode() not in alice_heard:
            serve.line(alice)
            seen = bytes(alice_heard).decode(errors="replace").removeprefix("nickname\n")
            bench.said(f"{guests} more come and go", f"{guests} guests", "server")
            mixed = "guest" in seen
            bench.expect(
                f"{welcome}\n" in seen,
                f"alice hears {welcome!r}",
                f"alice heard {seen!r}",
                "shared" * mixed,
            )


def many(bench: Bench) -> None:
    one_after_the_other(bench)
    bench.journal = Journal()
    # The wires are not drawn: a ladder of forty would be unreadable.
    everybody = f"{MANY} guests"
    with serving(bench) as serve:
        guests: list[RawClient] = []
        bench.said(f"{MANY} connect, one by one", everybody, "server")
        while len(guests) < MANY:
            guest = RawClient(serve.address, f"guest-{len(guests) + 1}", timeout=SOON)
            if serve.line(guest) != "nickname":
                where, clue = serve.whereabouts()
                raise CheckFailed(f"all {MANY} are asked", f"only {len(guests)} were asked{where}", clue)
            guests.append(guest)
        bench.said("all are asked", "server", everybody)
        for guest in guests:
            guest.send(guest.name)
        for guest in guests:
            welcome = f"* you are {guest.name}"
            line = serve.line(guest)
            if line != welcome:
                others = [other.name for other in guests if other.hears(welcome + "\n", 0)]
                heard = f"{guest.name} heard {line!r}" if line else guest.seen()
                seen = f"; it came to {others[0]}" if others else ""
                raise CheckFailed(
                    f"{guest.name} hears {welcome!r}", heard + seen, "mixed" if others else ""
                )
        bench.said("all are welcomed", "server", everybody)
        for guest in guests:
            guest.close()
    with serving(bench) as serve:
        bench.said(f"{MANY} more connect, all at once", everybody, "server")
        threading.setprofile(serve.late(2))
        guests = [RawClient(serve.address, f"guest-{n}", timeout=SOON) for n in range(1, MANY + 1)]
        for guest in guests:
            if serve.line(guest) != "nickname":
                twice = [other.name for other in guests if other.hears("nickname\nnickname\n", 0)]
                seen = f"{guest.name} was not asked"
                seen += f", and {twice[-1]} more than once" if twice else serve.whereabouts()[0]
                raise CheckFailed(f"all {MANY} are asked, once", seen, "twice" if twice else "")
            guest.close()
        threading.setprofile(None)


IN_THE_LOOP = """
import threading


def handshake(client):
    client.sendall(b"nickname\\n")
    nickname = client.makefile("rb").readline().decode({decode})
    client.sendall(f"* you are {{nickname}}".encode())


def read_on(client):
    try:
        while client.recv(1024):
            pass
    except OSError:
        pass
    client.close()


def serve(listener):
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        try:
            handshake(client)
        except {except_for}:
            continue
        threading.Thread(target=read_on, args=(client,), daemon=True).start()
"""

HINTS_WHO_WAITS = (
    "bob came, and was not asked. In which line was the thread that should accept him?",
    "serve itself only accepts, and starts a thread for each: in that one it may wait as long as it likes.",
    "threading.Thread(target=handle_client, args=(client,)).start()",
)
HINTS_NO_THREAD_FREE = {
    "lock": (
        "bob's thread runs, and waits for a lock. Who holds it, and until when?",
        "Whoever holds a lock keeps all others waiting. Here nobody shares anything: no lock is needed.",
    ),
    "pool": (
        "bob was accepted, but no thread was free for him. How many has your pool?",
        "A client may stay for hours. Give each a thread of its own: threading.Thread(…).start()",
    ),
}
HINTS_MIXED = (
    "Somebody heard what was meant for another. Which variable do all the threads share?",
    "An attribute or a global is one for all. What belongs to one client is an argument.",
    "threading.Thread(target=handle_client, args=(client,)).start()",
)
HINTS_APART = (
    "What can go wrong with one client belongs in the thread of that client: there it hurts no other.",
    "In the loop: accept, and start a thread. All of the handshake is done in that thread.",
)

EXERCISE = Exercise(
    name="accept",
    title="a thread each",
    chapter="02_a_thread_each",
    wants="serve",
    task=TASK,
    answer=ANSWER,
    steps=(
        Step(
            "asks who connects, and welcomes by nickname",
            asks,
            hints=(
                "Follow the ladder: what did the client hear, what did it say, what came then?",
                "accept, and then for that client: send, read a line, send.",
            ),
            hints_by_clue={
                "no LF": (
                    "How does the client know that what it hears is complete?",
                    "By its LF: client.sendall(b'nickname\\n')",
                ),
                "LF kept": (
                    "She heard her welcome, and then an empty line. Where does the second LF come from?",
                    "readline returns the line with its LF. It is not part of the nickname.",
                    "nickname = line.removesuffix(b'\\n')",
                ),
                "returned": (
                    "Somebody connected, and serve had returned. What does calling it do, in your code?",
                    "serve itself loops: while True: with the accept in it. No yield, no async.",
                ),
                "arguments": (
                    "Her thread died at once: what was its function to be given, and what was it given?",
                    "args is a tuple: with one in it, (client,) has a comma. (client) is client.",
                ),
                "no thread": (
                    "She was accepted. Which thread serves her, and which line started it?",
                    "Thread(…) only makes one. start() makes it run.",
                ),
                "closed": (
                    "Her socket was closed in serve's own thread, while hers still used it. In which line?",
                    "Who serves her closes her socket, when she has left; serve leaves it alone.",
                ),
                "itself": (
                    "serve accepted her, and waits. Is it her turn to speak, before she was asked?",
                    "The server speaks first: send the request, and then read.",
                ),
            },
        ),
        Step(
            "reads on until the client hangs up; then closes, and the thread ends",
            goodbye,
            hints=("What came last from the client, and what did its thread do then?",),
            hints_by_clue={
                "early": (
                    "After its welcome a client may say many lines. How many did you read?",
                    "Read in a loop, until the end comes.",
                ),
                "reads on": (
                    "What do recv and readline return when the other side has hung up? Who looks at it?",
                    "b'' means the end: it comes at once, and again and again. Leave the loop then.",
                    "while reader.readline(): pass",
                ),
                "open": (
                    "Your thread has ended. And its socket?",
                    "client.close(), or with client: around it all.",
                ),
                "half open": (
                    "You closed the socket. What else was made of it, that is open still?",
                    "A file from makefile keeps its socket open, until it is closed as well.",
                    "with client, client.makefile('rb') as reader:",
                ),
                "empty line": (
                    "She only pressed Enter. Is that her end?",
                    "An empty line is b'\\n', the end is b''. Look before you strip anything.",
                ),
                "reads on before": (
                    "She left before her nickname was complete. What does the loop that reads it wait for?",
                    "recv and readline return b'' at the end, again and again: no LF will come. Give up.",
                    "if not data: return",
                ),
                "open before": (
                    "She left before her nickname was complete. Did your way out pass client.close()?",
                    "with client: around it all closes it however it ends.",
                ),
                "half open before": (
                    "She left early. The socket was closed, but was the file made of it?",
                    "with client, client.makefile('rb') as reader: closes both, however it ends.",
                ),
            },
        ),
        Step(
            "serve goes on until the listener is closed, and then returns",
            listener_closed,
            hints=("What does accept do when its listener is closed, and what does serve make of it?",),
            hints_by_clue={
                "returned": (
                    "One client was served, and then serve returned. Which line should come again?",
                    "while True: with the accept in it.",
                ),
                "quiet": (
                    "For a while nobody came, and serve ended. Which exception was that?",
                    "TimeoutError is an OSError, too. Catch it first: except TimeoutError: continue",
                ),
                "OSError": (
                    "accept raised an OSError. Whose business is it to catch that?",
                    "try: client, _ = listener.accept(), and then except OSError: return",
                ),
                "goes on": (
                    "The listener is closed. Can there ever be another client?",
                    "Do not try again: except OSError: return",
                ),
            },
        ),
        Step(
            "a nickname in two pieces is one nickname",
            two_pieces,
            hints=(
                "'al' came, and then 'ice\\n'. After which of them is the nickname complete?",
                "recv returns what is there. Read until the LF: client.makefile('rb').readline() does.",
            ),
        ),
        Step(
            "a reset keeps nobody else out",
            reset,
            hints=(
                "mallory is gone. In which thread was that noticed, and what else is it for?",
                *HINTS_APART,
            ),
            hints_by_clue={
                "ConnectionResetError": (
                    "mallory vanished, and serve died of it. What was serve doing with mallory's socket?",
                    *HINTS_APART,
                ),
                "died": (
                    "mallory vanished, and her thread died with a traceback. Which lines can raise then?",
                    "recv, readline and sendall raise an OSError when the other side is gone.",
                    "try: around all that uses the socket, and except OSError: pass",
                ),
                "spins": (
                    "mallory is gone for good. What does your loop do with the error that recv raises?",
                    "Leave the loop: nothing will come from this socket any more.",
                ),
                "returned": (
                    "mallory vanished, and serve returned. Which call failed, and was the except for it?",
                    "Only accept tells that the listener is closed. Put nothing else into that try.",
                    "Send and read in the client's thread, with a try of its own.",
                ),
            },
        ),
        Step(
            "a nickname that is not UTF-8 keeps nobody else out",
            not_text,
            hints=("mallory's nickname is no text. Which thread had to find that out?", *HINTS_APART),
            hints_by_clue={
                "UnicodeDecodeError": (
                    "decode() raised, and serve died of it. Whose thread should decode mallory's bytes?",
                    *HINTS_APART,
                    "And decode('utf-8', 'replace') never raises.",
                )
            },
        ),
        Step(
            "a client that stays keeps nobody out",
            one_who_stays,
            hints=HINTS_WHO_WAITS,
            hints_by_clue={
                "target=f()": (
                    "target=f(client): who calls f here, and when?",
                    "The brackets call it at once, in serve's own thread. The new one is given None.",
                    "target=handle_client, args=(client,): without brackets.",
                ),
                "run": (
                    "There is a Thread. In which thread does run() run?",
                    "In the one that calls it. start() makes a new one, and calls run() there.",
                ),
                "join": (
                    "What does join() wait for?",
                    "For the end of the thread. Then nothing is won by having started it. Leave it out.",
                ),
                **HINTS_NO_THREAD_FREE,
                "called": (
                    "bob came, and serve was busy with alice. Which call of serve's does not come back?",
                    "Give that call a thread of its own.",
                    "threading.Thread(target=handle_client, args=(client,)).start()",
                ),
            },
        ),
        Step(
            "a silent client keeps nobody out",
            one_who_is_silent,
            hints=HINTS_WHO_WAITS,
            hints_by_clue={
                "called": (
                    "The handshake is a function. Which thread calls it, and how long may alice think?",
                    "Call it first thing in the client's own thread, and not before that is started.",
                ),
                **HINTS_NO_THREAD_FREE,
                "mixed": HINTS_MIXED,
                "thrown out": (
                    "alice said nothing for a while, and was thrown out. What ran out of patience?",
                    "She may think for hours: it costs a thread that sleeps. Take the timeout away.",
                ),
                "itself": (
                    "The loop that accepts also reads. Whom does it wait for, and who waits meanwhile?",
                    "Take it out of the loop: into the function that is the client's thread.",
                ),
            },
            points=2,
        ),
        Step(
            "forty at once",
            many,
            hints=(
                "How many got an answer, and what stopped the next one?",
                "A pool has so many threads and no more. A client may stay for hours: give each its own.",
            ),
            hints_by_clue={
                "returned": (
                    "serve returned, and the listener was still open. After how many clients?",
                    "while True: only a closed listener ends it.",
                ),
                "lock": HINTS_NO_THREAD_FREE["lock"],
                "twice": (
                    "One was asked twice, and another not at all. When does a lambda look what client is?",
                    "When it runs: by then the loop may be one client further. Hand it over at once.",
                    "threading.Thread(target=handle_client, args=(client,)).start()",
                ),
                "mixed": HINTS_MIXED,
                "shared": (
                    "Between two lines of alice's thread another came. What of hers did that write over?",
                    "A global or an attribute is one for all. A local variable is one for each call.",
                ),
            },
        ),
    ),
    wrong=(
        Wrong(
            "the request has no LF",
            "asks who connects, and welcomes by nickname",
            (('b"nickname\\n"', 'b"nickname"'),),
            clue="no LF",
        ),
        Wrong(
            "the LF stays in the nickname",
            "asks who connects, and welcomes by nickname",
            (('"replace").strip()', '"replace")'),),
            clue="LF kept",
        ),
        Wrong(
            "(client) is no tuple",
            "asks who connects, and welcomes by nickname",
            (("args=(client,)", "args=(client)"),),
            clue="arguments",
        ),
        Wrong(
            "never starts the thread",
            "asks who connects, and welcomes by nickname",
            ((".start()", ""),),
            clue="no thread",
        ),
        Wrong(
            "the loop closes what it has handed over",
            "asks who connects, and welcomes by nickname",
            (("daemon=True).start()", "daemon=True).start()\n        client.close()"),),
            clue="closed",
        ),
        Wrong(
            "an empty line is the end",
            "reads on until the client hangs up; then closes, and the thread ends",
            (("while reader.readline():", "while reader.readline().strip():"),),
            clue="empty line",
        ),
        Wrong(
            "a FIN before the nickname spins",
            "reads on until the client hangs up; then closes, and the thread ends",
            (("            nickname = reader.readline().decode",
              '            line = b""\n'
              '            while not line.endswith(b"\\n"):\n'
              "                line += reader.readline()\n"
              "            nickname = line.decode"),),
            clue="reads on before",
        ),
        Wrong(
            "a file of the socket stays open",
            "reads on until the client hangs up; then closes, and the thread ends",
            (('        with client, client.makefile("rb") as reader:\n',
              '        readers.append(reader := client.makefile("rb"))\n        with client:\n'),
             ("import threading\n", "import threading\n\nreaders = []\n")),
            clue="half open",
        ),
        Wrong(
            "ends when nobody comes for a while",
            "serve goes on until the listener is closed, and then returns",
            (("    while True:\n        try:",
              "    listener.settimeout(5)\n    while True:\n        try:"),),
            clue="quiet",
        ),
        Wrong(
            "the thread dies of a reset",
            "a reset keeps nobody else out",
            (("except OSError:\n        pass", "except EOFError:\n        pass"),),
            clue="died",
        ),
        Wrong(
            "throws out who says nothing for a second",
            "a silent client keeps nobody out",
            (("    try:\n        with client,",
              "    try:\n        client.settimeout(1)\n        with client,"),),
            clue="thrown out",
        ),
        Wrong(
            "one lock around every conversation",
            "a client that stays keeps nobody out",
            (("with client, client.makefile", "with lock, client, client.makefile"),
             ("import threading\n", "import threading\n\nlock = threading.Lock()\n")),
            clue="lock",
        ),
        Wrong(
            "a global nickname",
            "forty at once",
            (("        with client, client", "        global nickname\n        with client, client"),),
            clue="shared",
        ),
        Wrong(
            "reads one line more",
            "reads on until the client hangs up; then closes, and the thread ends",
            (("while reader.readline():\n                pass", "reader.readline()"),),
            clue="early",
        ),
        Wrong(
            "reads on after the end",
            "reads on until the client hangs up; then closes, and the thread ends",
            (("reader.readline():\n                pass", "True:\n                reader.readline()"),),
            clue="reads on",
        ),
        Wrong(
            "leaves the socket open",
            "reads on until the client hangs up; then closes, and the thread ends",
            (("with client, client.makefile", "with client.makefile"),),
            clue="open",
        ),
        Wrong(
            "dies with the listener",
            "serve goes on until the listener is closed, and then returns",
            (("        try:\n            client, _ = listener.accept()\n        except OSError:\n"
              "            return  # the listener is closed\n",
              "        client, _ = listener.accept()\n"),),
            clue="OSError",
        ),
        Wrong(
            "goes on without a listener",
            "serve goes on until the listener is closed, and then returns",
            (("return  # the listener is closed", "continue"),),
            clue="goes on",
        ),
        Wrong(
            "a recv is the nickname",
            "a nickname in two pieces is one nickname",
            (("reader.readline().decode", "client.recv(1024).decode"),),
        ),
        Wrong(
            "a handshake that breaks off ends the loop",
            "a reset keeps nobody else out",
            source=IN_THE_LOOP.format(except_for="EOFError", decode='"utf-8", "replace"'),
            survey="a reset during the handshake ends all joining",
            clue="ConnectionResetError",
        ),
        Wrong(
            "takes a failing send for the end of the listener",
            "a reset keeps nobody else out",
            (('            client.sendall(b"nickname\\n")\n', ""),
             ("client, _ = listener.accept()\n",
              'client, _ = listener.accept()\n            client.sendall(b"nickname\\n")\n')),
            clue="returned",
        ),
        Wrong(
            "bytes that are no text end the loop",
            "a nickname that is not UTF-8 keeps nobody else out",
            source=IN_THE_LOOP.format(except_for="OSError", decode=""),
            survey="a nickname that isn't UTF-8 ends all joining",
            clue="UnicodeDecodeError",
        ),
        Wrong(
            "calls it, instead of naming it",
            "a client that stays keeps nobody out",
            (("target=handle_client, args=(client,)", "target=handle_client(client)"),),
            survey="target=f()",
            clue="target=f()",
        ),
        Wrong(
            "run, not start",
            "a client that stays keeps nobody out",
            ((").start()", ").run()"),),
            clue="run",
        ),
        Wrong(
            "waits for each thread",
            "a client that stays keeps nobody out",
            (("threading.Thread(target", "thread = threading.Thread(target"),
             (".start()", "\n        thread.start()\n        thread.join()")),
            clue="join",
        ),
        Wrong(
            "no thread",
            "a client that stays keeps nobody out",
            (("threading.Thread(target=handle_client, args=(client,), daemon=True).start()",
              "handle_client(client)"),),
            clue="called",
        ),
        Wrong(
            "the handshake is called by the loop",
            "a silent client keeps nobody out",
            source=IN_THE_LOOP.format(except_for="(OSError, UnicodeDecodeError)", decode=""),
            survey="one silent client keeps everybody else from joining",
            clue="called",
        ),
        Wrong(
            "the loop itself reads",
            "a silent client keeps nobody out",
            source="""
            import threading


            def read_on(client):
                try:
                    while client.recv(1024):
                        pass
                except OSError:
                    pass
                client.close()


            def serve(listener):
                while True:
                    try:
                        client, _ = listener.accept()
                    except OSError:
                        return
                    try:
                        client.sendall(b"nickname\\n")
                        nickname = b""
                        while not nickname.endswith(b"\\n"):
                            if not (byte := client.recv(1)):
                                break
                            nickname += byte
                        client.sendall(b"* you are " + nickname)
                    except OSError:
                        continue
                    threading.Thread(target=read_on, args=(client,), daemon=True).start()
            """,
            survey="recv in the accept loop",
            clue="itself",
        ),
        Wrong(
            "a pool of twenty",
            "forty at once",
            (("import threading\n",
              "from concurrent.futures import ThreadPoolExecutor\n\npool = ThreadPoolExecutor(20)\n"),
             ("threading.Thread(target=handle_client, args=(client,), daemon=True).start()",
              "pool.submit(handle_client, client)")),
        ),
        Wrong(
            "a lambda, which looks later who client is",
            "forty at once",
            (("target=handle_client, args=(client,)", "target=lambda: handle_client(client)"),),
            clue="twice",
        ),
        Wrong(
            "one variable for all clients",
            "a silent client keeps nobody out",
            source="""
            import threading


            class Server:
                def handle(self):
                    reader = self.client.makefile("rb")
                    try:
                        with self.client, reader:
                            self.client.sendall(b"nickname\\n")
                            nickname = reader.readline().decode("utf-8", "replace").strip()
                            self.client.sendall(f"* you are {nickname}\\n".encode())
                            while reader.readline():
                                pass
                    except OSError:
                        pass

                def run(self, listener):
                    while True:
                        try:
                            self.client, _ = listener.accept()
                        except OSError:
                            return
                        threading.Thread(target=self.handle, daemon=True).start()


            def serve(listener):
                Server().run(listener)
            """,
            clue="mixed",
        ),
    ),
    others={
        "a class for each, which is a thread": """
        from threading import Thread


        class Guest(Thread):
            def __init__(self, sock):
                super().__init__(daemon=True)
                self.sock = sock
                self.rest = b""

            def line(self):
                while b"\\n" not in self.rest:
                    data = self.sock.recv(4096)
                    if not data:
                        raise EOFError
                    self.rest += data
                line, _, self.rest = self.rest.partition(b"\\n")
                return line

            def run(self):
                try:
                    self.sock.sendall(b"nickname\\n")
                    self.sock.sendall(b"* you are %b\\n" % self.line())
                    while self.line() is not None:
                        pass
                except (EOFError, OSError):
                    self.sock.close()


        class Door:
            def __init__(self, listener):
                self.listener = listener
                self.guests = []

            def run(self):
                try:
                    while True:
                        self.guests.append(Guest(self.listener.accept()[0]))
                        self.guests[-1].start()
                except OSError:
                    pass


        def serve(listener):
            Door(listener).run()
        """,
        "a function within, that dies of what is not text": """
        import _thread


        def serve(listener):
            def talk(client):
                with client:
                    client.send(b"nickname\\n")
                    nickname = b""
                    while (byte := client.recv(1)) not in (b"", b"\\n"):
                        nickname += byte
                    client.send(("* you are " + nickname.decode() + "\\n").encode())
                    while client.recv(1000):
                        pass

            while listener.fileno() != -1:
                try:
                    client = listener.accept()[0]
                except OSError:
                    break
                _thread.start_new_thread(talk, (client,))
        """,
        "a pool that is large enough, and a timeout": """
        from concurrent.futures import ThreadPoolExecutor


        def serve(listener):
            listener.settimeout(0.1)
            pool = ThreadPoolExecutor(max_workers=200)
            clients = set()
            while True:
                try:
                    client, address = listener.accept()
                except TimeoutError:
                    continue
                except OSError:
                    break
                client.settimeout(None)
                clients.add(client)
                pool.submit(talk, client, clients)
            pool.shutdown(wait=False)


        def talk(client, clients):
            try:
                lines = client.makefile("r", encoding="utf-8", errors="replace", newline="\\n")
                client.sendall(b"nickname\\n")
                nickname = next(lines, "")
                client.sendall(("* you are " + nickname).encode())
                for line in lines:
                    pass
                lines.close()
            finally:
                clients.discard(client)
                client.close()
        """,
    },
)  # fmt: skip
