"""The faults of the zoo: each is a small change to a right server, and breaks just the behaviours named.

The server is tests/conformance/zoo/two_lists.py. A change is a piece of its text, and what stands there
instead; most are a line that a student forgot, or wrote in another way.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """What a server gets wrong.

    Args:
        changes: pieces of the right server's text, and what stands there instead.
        missed: the numbers of the behaviours that are ✗ for it, in lines.
        raw: those in raw; None: there the fault is none, or does not show.
        look: what the report must say for a reader to find the line.
    """

    name: str
    changes: tuple[tuple[str, str], ...]
    missed: frozenset[int]
    raw: frozenset[int] | None
    look: str


FAULTS: list[Fault] = []


def fault(name: str, missed: set[int], raw: set[int] | None, look: str, *changes: str) -> None:
    pairs = tuple(zip(changes[::2], changes[1::2], strict=True))
    FAULTS.append(Fault(name, pairs, frozenset(missed), None if raw is None else frozenset(raw), look))


PUT = "self.outbox.put((text + END).encode())"
"""Where a right server hands a line to the thread that sends it."""

TO_ALL = "for client in list(clients):\n            if client is not sender"

REMOVE = "clients.remove(client)\n            nicknames.remove(client.nickname)"

GUARD = " and not client.gone:\n                client.send(text)"

START = "threading.Thread(target=handle_client, args=(sock,), daemon=True).start()"

IN_THE_LOOP = """client, messages = Client(sock), read(sock)
        GUARDED
        threading.Thread(target=handle_client, args=(client, messages), daemon=True).start()"""

HANDLE = """def handle_client(sock: socket.socket) -> None:
    client, messages, reason = Client(sock), read(sock), "hung up"
    try:
        if ask(client, messages):"""

HANDLE_ASKED = """def handle_client(client: Client, messages: Iterator[bytes | None]) -> None:
    reason = "hung up"
    try:
        if client.nickname:"""

REFUSE = """        if FRAMING == "lines":
            client.send("! not that one")
        client.send(REQUEST)
    return False"""

# --- talking ---

fault(
    "something stands before the request",
    {1},
    {1},
    "the first thing that each client is sent is the request",
    "client.send(REQUEST)\n    for",
    'client.send("Your " + REQUEST)\n    for',
)
fault(
    "the request is a sentence",
    {1},
    {1},
    "alone",
    "client.send(REQUEST)\n    for",
    'client.send(REQUEST + ", please: ")\n    for',
)
fault(
    "the request has no LF",
    {1},
    None,
    "in lines, LF ends it",
    "client.send(REQUEST)\n    for",
    "client.sock.sendall(REQUEST.encode())\n    for",
)
fault(
    "a pool of eight threads",
    {2},
    {2},
    "a pool of threads",
    "import threading\n",
    "import threading\nfrom concurrent.futures import ThreadPoolExecutor\n",
    "clients: list[Client] = []",
    "clients: list[Client] = []\npool = ThreadPoolExecutor(8)",
    START,
    "pool.submit(handle_client, sock)",
)
fault("one is in the list twice", {2}, {2}, "and how often", "in list(clients):", "in 2 * clients:")
fault(
    "no space before the text",
    {3},
    {3},
    "a colon and a space",
    "FORM.format",
    'FORM.replace(" {t", "{t").format',
)
fault(
    "the sender hears itself",
    {4},
    {4},
    "passes over the one who said it",
    "if client is not sender and",
    "if",
)
fault(
    "what comes at once is one message, up to the last LF",
    {5},
    None,
    "what one recv brings is not one message",
    '*lines, buffer = buffer.split(b"\\n")',
    'lines, buffer = ([buffer[:-1]], b"") if buffer.endswith(b"\\n") else ([], buffer)',
)
fault(
    "each recv is a line",
    {5, 8, 30},
    None,
    "what one recv brings",
    "buffer += data\n",
    'buffer = data if data.endswith(b"\\n") else data + b"\\n"\n',
)
fault(
    "what follows the last LF is forgotten",
    {5, 8, 30},
    None,
    "what follows the last one",
    "buffer += data\n",
    "buffer = data\n",
)
fault(
    "one buffer for all",
    {5},
    None,
    "a buffer for each",
    "clients: list[Client] = []",
    'clients: list[Client] = []\nbuffer = b""\ngather = threading.Lock()',
    'buffer, skipping = b"", False\n    while',
    "global buffer\n    skipping = False\n    while",
    'buffer += data\n        *lines, buffer = buffer.split(b"\\n")',
    'with gather:\n            buffer += data\n            *lines, buffer = buffer.split(b"\\n")',
)
fault("empty lines are passed on", {5}, None, "a line with nothing in it", "elif text:\n", "else:\n")
fault(
    "an empty line ends the connection",
    {5},
    None,
    "is no end of a connection",
    "elif text:\n",
    "elif not text:\n            return\n        else:\n",
)
fault("the CR is kept", {6}, None, "CR LF", '.removesuffix(b"\\r")', "")
fault(
    "text is decoded strictly",
    {7},
    {7, 8},
    "decoding raises",
    'else message.decode(errors="replace")',
    "else message.decode()",
)
fault(
    "each recv is decoded",
    {8},
    None,
    "find the line's end first, then decode",
    "buffer += data\n",
    'buffer += data.decode(errors="replace").encode()\n',
)
fault(
    "each recv is decoded, however much it takes",
    {8},
    None,
    "find the line's end first, then decode",
    "sock.recv(1024)",
    "sock.recv(65536)",
    "buffer += data\n",
    'buffer += data.decode(errors="replace").encode()\n',
)
fault("controls are passed on", {9}, None, "cannot be printed", "clean(text) if", "text if")
fault(
    "no line is too long",
    {10},
    None,
    "count what has come without LF",
    "LONGEST = 4096",
    "LONGEST = 1_000_000_000",
)
fault(
    "too long a line ends the connection",
    {10},
    None,
    "do not return",
    'buffer, skipping = b"", True',
    "return",
)
fault(
    "too long a line is dropped in silence",
    {10},
    None,
    "say so with `! …`",
    'client.send("! too long")',
    "continue",
)
fault(
    "a pause between two sends, and no lock",
    {11},
    None,
    "one lock",
    "with lock:\n        for client in list(clients):",
    "if True:\n        for client in list(clients):\n            threading.Event().wait(0.003)",
)
fault(
    "what does not fit into a short queue is lost",
    {11},
    None,
    "a queue that is full",
    "queue.Queue()",
    "queue.Queue(12)",
    PUT,
    """try:
            self.outbox.put_nowait((text + END).encode())
        except queue.Full:
            pass""",
)
fault(
    "/who leaves out the last",
    {12},
    None,
    "all who have a nickname",
    ".join(nicknames)",
    ".join(nicknames[:-1])",
)
fault(
    "a private message goes to all",
    {13},
    None,
    "send to that one alone",
    "if other.nickname == nickname:",
    "if other is not client:",
)
fault(
    "rooms are forgotten in the broadcast",
    {14},
    None,
    "those in the sender's room",
    " and client.room == sender.room",
    "",
)

# --- nicknames ---

fault(
    "a nickname can be taken twice",
    {15},
    {15},
    "look whether a client here has it",
    "if nickname and nickname not in nicknames:",
    "if nickname:",
)
fault(
    "after a refusal any nickname is taken",
    {15},
    {15},
    "in the same way",
    "        self.gone = False\n",
    "        self.gone = self.refused = False\n",
    "if nickname and nickname not in nicknames:",
    "if nickname and (client.refused or nickname not in nicknames):",
    "    client.send(REQUEST)\n    return",
    "    client.send(REQUEST)\n        client.refused = True\n    return",
)
fault(
    "an empty nickname ends the program, a moment after all connections",
    {16},
    {16},
    "the server ended",
    "        with lock:\n            if nickname and",
    """        if not nickname:
            for other in clients:
                other.close()
            threading.Event().wait(0.1)
            os._exit(1)
        with lock:
            if nickname and""",
)
fault(
    "a nickname can be empty",
    {16},
    {16},
    "strip the answer",
    "if nickname and nickname not in nicknames:",
    "if nickname not in nicknames:",
)
fault(
    "after a refusal it waits in silence",
    {17},
    {17},
    "send the request once more",
    "    client.send(REQUEST)\n    return",
    "    continue\n    return",
)
fault(
    "one refusal, and out without a word",
    {17},
    {17},
    "take the next answer",
    REFUSE,
    "        return False\n    return False",
)
fault(
    "a refusal keeps the lock",
    {15},
    {15},
    "take it with `with`",
    "        with lock:\n            if nickname and",
    "        lock.acquire()\n        if True:\n            if nickname and",
    "                return True\n",
    "                lock.release()\n                return True\n",
)
fault(
    "one that was refused takes off the other of its name",
    {15},
    {15},
    "whom does the clean-up take off",
    "        with lock:\n            if nickname and",
    "        client.nickname = nickname\n        with lock:\n            if nickname and",
    "if client in clients:\n            clients.remove(client)",
    "if client.nickname in nicknames:\n            del clients[nicknames.index(client.nickname)]",
)
fault("a joining is not told", {18}, None, "tell those who are here", 'notice(client, "joined")', "pass")
fault(
    "a joining is told twice",
    {18},
    None,
    "a joining is told in two places",
    'notice(client, "joined")',
    'notice(client, "joined")\n                notice(client, "is here")',
)
fault(
    "the newcomer is told of itself",
    {18},
    None,
    "before it is put among them",
    'notice(client, "joined")',
    'client.send(f"* {nickname} joined")\n                notice(client, "joined")',
)
fault(
    "the nickname is asked for where it accepts",
    {19},
    {19},
    "in the loop that accepts, wait for no client",
    START,
    IN_THE_LOOP.replace(
        "GUARDED", "try:\n            ask(client, messages)\n        except OSError:\n            pass"
    ),
    HANDLE,
    HANDLE_ASKED,
)
fault(
    "the loop that accepts dies with a newcomer",
    {19, 28, 29},
    {19, 28, 29},
    "the loop that accepts talks to the newcomer itself",
    START,
    IN_THE_LOOP.replace("GUARDED", "ask(client, messages)"),
    HANDLE,
    HANDLE_ASKED,
    '(answer or b"").decode(errors="replace")',
    '(answer or b"").decode()',
)
fault(
    "one in a room without a nickname hears it",
    {31},
    {31},
    "put a client among the members once it has a nickname",
    "    client.send(REQUEST)\n    for",
    "    with lock:\n        clients.append(client)\n    client.send(REQUEST)\n    for",
    "                clients.append(client)\n",
    "",
    "            nicknames.remove(client.nickname)\n",
    "            if client.nickname:\n                nicknames.remove(client.nickname)\n",
)

# --- some stay ---

fault(
    "the dead are removed by place, in rising order",
    {20},
    {20},
    "removes from the list",
    TO_ALL,
    """for place in [n for n, client in enumerate(clients) if client.gone]:
            del clients[place]
        for client in clients:
            if client is not sender""",
    "            clients.remove(client)\n",
    "",
)
fault(
    "the dead are removed from the list that is walked",
    {20, 26, 27},
    {20, 26, 27},
    "removes from the list",
    "            clients.remove(client)\n",
    "",
    TO_ALL,
    """for client in clients:
            if client.gone:
                clients.remove(client)
            elif client is not sender""",
)
fault(
    "one send for all, with a lock held",
    {21},
    {21},
    "a queue and a sending thread for each",
    PUT,
    """try:
            self.sock.sendall((text + END).encode())
        except OSError:
            self.gone = True""",
)
fault(
    "what is behind waits on a stack",
    {21},
    None,
    "one sending thread for each client",
    PUT,
    """self.outbox.put((text + END).encode())
        if self.outbox.qsize() > 10:
            self.outbox.queue.reverse()""",
)
fault(
    "a full queue holds up all",
    {21, 32},
    {21, 32},
    "for room in its queue",
    "queue.Queue()",
    "queue.Queue(100)",
)
fault(
    "the lock is taken once more where a send fails",
    {32},
    {32},
    "does that path take a lock that is held already",
    "        except OSError:\n            self.gone = True\n",
    '        except OSError:\n            with lock:\n                leave(self, "vanished")\n',
)

# --- some leave ---

fault(
    "the end of a stream is ignored",
    {22},
    {22},
    "recv returns nothing after FIN",
    "while data := sock.recv(1024):",
    """while True:
        if not (data := sock.recv(1024)):
            threading.Event().wait(0.01)
            continue""",
)
fault(
    "what recv returns at the end of a stream is said",
    {22},
    {22},
    "this one sends that nothing to the others",
    "while data := sock.recv(1024):",
    """while True:
        if not (data := sock.recv(1024)):
            threading.Event().wait(0.01)
            data = b"null" + END.encode()""",
)
fault(
    "the socket is not closed",
    {22},
    {22},
    "close the socket",
    "            self.gone = True\n        self.close()",
    "            self.gone = True",
)
fault(
    "a leaving is not told",
    {23},
    None,
    "all ways out of it lead there",
    'notice(client, f"left ({reason})")',
    "pass",
)
fault(
    "a leaving is told twice",
    {23},
    None,
    "a leaving is told in two places",
    "nicknames.remove(client.nickname)\n",
    'nicknames.remove(client.nickname)\n            notice(client, "says goodbye")\n',
)
fault(
    "each leaving is a hang-up",
    {23},
    None,
    "`vanished` after an error",
    'reason = "vanished"',
    'reason = "hung up"',
)
fault(
    "a nickname stays taken",
    {24},
    {24},
    "take the nickname off",
    "            nicknames.remove(client.nickname)\n",
    "",
)
fault(
    "one who has vanished is not taken off",
    {23, 24},
    {24},
    "a `finally`",
    """    except OSError:
        reason = "vanished"
    finally:
        leave""",
    """    except OSError:
        pass
    else:
        leave""",
)
fault(
    "the name is looked up at the place where one once stood",
    {34},
    {34},
    "keep the nickname with its client",
    "                clients.append(client)\n",
    "                client.place = len(clients)\n                clients.append(client)\n",
    "name=client.nickname, text",
    "name=nicknames[client.place], text",
)
fault(
    "a place is not given back",
    {25},
    {25},
    "One who leaves gives the place back",
    "sock, _ = server.accept()\n",
    """sock, _ = server.accept()
        came.append(0)
        if len(came) > 30:
            sock.close()
            continue
""",
    "clients: list[Client] = []",
    "clients: list[Client] = []\ncame: list[int] = []",
)
fault(
    "one is taken off at the place where it once stood",
    {25},
    {25},
    "an index that was its own before",
    "                clients.append(client)\n",
    "                client.place = len(clients)\n                clients.append(client)\n",
    "clients.remove(client)",
    "del clients[client.place]",
)
fault(
    "the lock is taken once more where one leaves",
    {22, 25, 26, 27, 32},
    {22, 25, 26, 27, 32},
    "takes a lock that it has",
    'notice(client, f"left ({reason})")',
    'broadcast(client, "goodbye")',
)

# --- some die ---

fault(
    "one who has vanished is not removed, and a send to it raises",
    {26},
    {26},
    "a send to one who is gone raises",
    REMOVE,
    """nicknames.remove(client.nickname)
            if reason == "hung up":
                clients.remove(client)""",
    GUARD,
    ":\n                client.send(text)",
)
fault(
    "one who has hung up is not removed, and a send to it raises",
    {27},
    {27},
    "the one to remove is the one the send was for",
    REMOVE,
    """nicknames.remove(client.nickname)
            if reason != "hung up":
                clients.remove(client)""",
    GUARD,
    ":\n                client.send(text)",
)
fault(
    "a goodbye in the handshake closes the listener",
    {33},
    {33},
    "recv may return nothing instead of a nickname",
    "            talk(client, messages)\n",
    "            talk(client, messages)\n        else:\n            server.close()\n",
)
fault(
    "a reset in the handshake closes the listener",
    {28},
    {28},
    "recv may raise instead of a nickname",
    '        reason = "vanished"\n',
    '        reason = "vanished"\n        if not client.nickname:\n            server.close()\n',
)
fault(
    "a nickname that is not UTF-8 ends the program",
    {29},
    {29},
    "decoding a nickname may raise",
    '(answer or b"").decode(errors="replace")',
    '(answer or b"").decode()',
    "    finally:\n        leave",
    "    except UnicodeDecodeError:\n        os._exit(1)\n    finally:\n        leave",
)
fault(
    "a word ends the program",
    {35},
    {35},
    "ends the loop of the one who said it",
    "        if message is None:\n",
    '        if text == "quit":\n            os._exit(0)\n        if message is None:\n',
)
fault(
    "a text is cut",
    {30},
    {30},
    "a slice",
    'clean(text) if FRAMING == "lines" else text',
    'clean(text)[:2000] if FRAMING == "lines" else text[:500]',
)
fault(
    "of two spaces one is left",
    {30},
    {30},
    "leave one space where there were two",
    'said = clean(text) if FRAMING == "lines" else text',
    'said = " ".join((clean(text) if FRAMING == "lines" else text).split())',
)
fault(
    "what one says is part of a format",
    {30},
    {30},
    "what one says is no format",
    "FORM.format(name=client.nickname, text=said)",
    'FORM.replace("{text}", said).format(name=client.nickname)',
)
