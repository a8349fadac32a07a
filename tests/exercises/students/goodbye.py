"""Answers to `goodbye` as students write them: right ones in many styles, and wrong ones."""

from labkit.exercises.exercise import Wrong

RIGHT = {
    "asyncio": r"""
import asyncio


class HearFailed(Exception):
    pass


async def read(client, hear):
    loop = asyncio.get_running_loop()
    rest = b""
    while True:
        try:
            data = await loop.sock_recv(client, 1024)
        except OSError:
            return "vanished"
        if not data:
            return "hung up"
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            hear(line.decode("utf-8", "replace"))


def handle_client(client, hear, gone):
    client.setblocking(False)
    try:
        reason = asyncio.run(read(client, hear))
    except BaseException:
        client.close()
        gone("error")
        raise
    client.close()
    gone(reason)
""",
    "socketserver handler": r"""
import socketserver


class Handler(socketserver.StreamRequestHandler):
    def __init__(self, request, hear, gone):
        self.hear, self.gone = hear, gone
        super().__init__(request, None, None)

    def handle(self):
        self.reason = "error"
        while True:
            try:
                line = self.rfile.readline()
            except OSError:
                self.reason = "vanished"
                return
            if not line.endswith(b"\n"):
                self.reason = "hung up"
                return
            self.hear(line[:-1].decode("utf-8", "replace"))

    def finish(self):
        try:
            super().finish()
        finally:
            self.request.close()
            self.gone(self.reason)


def handle_client(client, hear, gone):
    Handler(client, hear, gone)
""",
    "dataclass": r"""
from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass
class Conversation:
    client: socket.socket
    buffer: bytes = b""
    end: str | None = None

    def lines(self) -> Iterator[bytes]:
        while self.end is None:
            try:
                data = self.client.recv(2048)
            except OSError:
                self.end = "vanished"
                return
            if data == b"":
                self.end = "hung up"
                return
            self.buffer += data
            while b"\n" in self.buffer:
                line, self.buffer = self.buffer.split(b"\n", 1)
                yield line


def handle_client(client: socket.socket, hear: Callable[[str], None], gone: Callable[[str], None]) -> None:
    talk = Conversation(client)
    try:
        for line in talk.lines():
            hear(line.decode(errors="replace"))
    finally:
        client.close()
        gone(talk.end or "error")
""",
    "ExitStack and closures": r"""
from contextlib import ExitStack


def handle_client(client, hear, gone):
    state = {"reason": "error", "rest": b""}

    def receive():
        try:
            data = client.recv(65536)
            if not data:
                state["reason"] = "hung up"
            return data
        except OSError:
            state["reason"] = "vanished"
            return b""

    with ExitStack() as stack:
        stack.callback(lambda: gone(state["reason"]))
        stack.callback(client.close)
        for data in iter(receive, b""):
            lines = (state["rest"] + data).split(b"\n")
            state["rest"] = lines.pop()
            for line in lines:
                hear(str(line, "utf-8", "replace"))
""",
    "inheritance and globals": r"""
import threading

live = set()
lock = threading.Lock()


class Ended(Exception):
    reason = ""


class HungUp(Ended):
    reason = "hung up"


class Vanished(Ended):
    reason = "vanished"


def read(client):
    try:
        data = client.recv(300)
    except OSError as error:
        raise Vanished from error
    if not data:
        raise HungUp
    return data


def handle_client(client, hear, gone):
    with lock:
        live.add(client)
    rest = b""
    try:
        while True:
            rest += read(client)
            while (at := rest.find(b"\n")) != -1:
                line, rest = rest[:at], rest[at + 1:]
                hear(line.decode("utf-8", errors="replace"))
    except Ended as end:
        gone(end.reason)
    except:
        gone("error")
        raise
    finally:
        with lock:
            live.discard(client)
        client.close()
""",
    "text file, newline": r"""
def handle_client(client, hear, gone):
    reason = "error"
    reader = client.makefile("r", encoding="utf-8", errors="replace", newline="\n")
    try:
        while True:
            try:
                line = reader.readline()
            except OSError:
                reason = "vanished"
                break
            if line == "":
                reason = "hung up"
                break
            if line.endswith("\n"):
                hear(line[:-1])
    finally:
        reader.close()
        client.close()
        gone(reason)
""",
    "wraps the exception of hear": r"""
import select


class HearError(Exception):
    def __init__(self, cause):
        self.cause = cause


def pump(client, hear):
    rest = b""
    while True:
        select.select([client], [], [])
        data = client.recv(4096)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            try:
                hear(line.decode("utf-8", "replace"))
            except Exception as error:
                raise HearError(error) from error


def handle_client(client, hear, gone):
    try:
        with client:
            pump(client, hear)
    except OSError:
        gone("vanished")
    except HearError as error:
        gone("error")
        raise error.cause
    else:
        gone("hung up")
""",
    "shutdown, then close": r"""
import socket


def close(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    finally:
        sock.close()


def handle_client(client, hear, gone):
    rest = bytearray()
    reason = None
    try:
        while not reason:
            try:
                n = client.recv_into(view := bytearray(64))
            except (ConnectionError, OSError):
                reason = "vanished"
                continue
            if n == 0:
                reason = "hung up"
                continue
            rest += view[:n]
            while (i := rest.find(b"\n")) >= 0:
                text = rest[:i].decode("utf-8", "replace")
                del rest[:i + 1]
                hear(text)
    except BaseException:
        close(client)
        gone("error")
        raise
    close(client)
    gone(reason)
""",
    "recursion": r"""
def one_more(client, rest, hear):
    try:
        data = client.recv(8192)
    except OSError:
        return "vanished"
    if not data:
        return "hung up"
    lines = (rest + data).split(b"\n")
    for line in lines[:-1]:
        hear(line.decode("utf-8", "replace"))
    return one_more(client, lines[-1], hear)


def handle_client(client, hear, gone):
    why = ["error"]
    with client:
        try:
            why.append(one_more(client, b"", hear))
        finally:
            gone(why[-1])
""",
    "timeouts retried": r"""
import socket


def handle_client(client, hear, gone):
    client.settimeout(0.25)
    buf = b""
    reason = "error"
    try:
        while True:
            try:
                chunk = client.recv(1024)
            except socket.timeout:
                continue
            except OSError:
                reason = "vanished"
                return
            if not chunk:
                reason = "hung up"
                return
            buf += chunk
            while b"\n" in buf:
                line, _, buf = buf.partition(b"\n")
                hear(line.decode("utf-8", "replace"))
    finally:
        try:
            client.close()
        finally:
            gone(reason)
""",
    "hears half lines at the end, removes CR": r"""
def handle_client(client, hear, gone):
    why = None
    f = client.makefile("rb")
    try:
        while True:
            try:
                raw = f.readline()
            except OSError:
                why = "vanished"
                break
            if raw == b"":
                why = "hung up"
                break
            hear(raw.rstrip(b"\n").decode("utf-8", errors="replace"))
    except Exception:
        why = "error"
        raise
    finally:
        f.close()
        client.close()
        gone(why)
""",
    "generator with try finally": r"""
from contextlib import closing, contextmanager


@contextmanager
def told(gone):
    box = ["error"]
    try:
        yield box
    finally:
        gone(box[0])


def chunks(client, box):
    while True:
        try:
            data = client.recv(999)
        except OSError:
            box[0] = "vanished"
            return
        if not data:
            box[0] = "hung up"
            return
        yield data


def handle_client(client, hear, gone):
    with closing(client), told(gone) as box:
        left = b""
        for data in chunks(client, box):
            *done, left = (left + data).split(b"\n")
            for raw in done:
                hear(raw.decode("utf-8", "replace"))
""",
    "shuts and logs, gone last": r"""
import logging


def handle_client(client, hear, gone):
    pending = bytearray()
    outcome = "error"
    try:
        while outcome == "error":
            try:
                data = client.recv(10)
            except OSError as exc:
                logging.info("lost: %s", exc)
                outcome = "vanished"
            else:
                if data:
                    pending += data
                    *lines, last = pending.split(b"\n")
                    pending = bytearray(last)
                    for l in lines:
                        hear(bytes(l).decode("utf-8", "replace"))
                else:
                    outcome = "hung up"
    except:
        logging.exception("bug")
        raise
    finally:
        gone(outcome)
        client.close()
""",
}

WRONG = (
    Wrong(
        "always vanished",
        "FIN: told once, as 'hung up', after her last line; and the thread ends",
        swaps=(('"hung up"', '"vanished"'),),
        clue="",
    ),
    Wrong(
        "error stays on RST",
        "RST: told once, as 'vanished'",
        swaps=(('                reason = "vanished"\n', ""),),
        clue="",
    ),
    Wrong(
        "except Exception: gone error, no raise",
        "hear raises: told as 'error', and the exception goes on up",
        swaps=(
            (
                ("    finally:\n        client.close()\n        gone(reason)"),
                ('    except Exception:\n        reason = "error"\n    client.close()\n    gone(reason)'),
            ),
        ),
        clue="swallowed",
    ),
    Wrong(
        "raise other",
        "hear raises: told as 'error', and the exception goes on up",
        swaps=(
            ("    finally:", ('    except Exception:\n        raise RuntimeError("bug")\n    finally:')),
        ),
        clue="another",
    ),
    Wrong(
        "hear OSErrors ignored",
        "hear raises an OSError: that is not her leaving, either",
        swaps=(
            (
                '                hear(line.decode("utf-8", "replace"))',
                (
                    "                try:\n"
                    '                    hear(line.decode("utf-8", "replace"))\n'
                    "                except OSError:\n"
                    "                    pass"
                ),
            ),
        ),
        clue="goes on",
    ),
    Wrong(
        "only hear the last",
        "each line is heard, however recv cuts them",
        swaps=(("for line in lines:", "for line in lines[-1:]:"),),
        clue="",
    ),
    Wrong(
        "skip empty",
        "each line is heard, however recv cuts them",
        swaps=(("for line in lines:", "for line in filter(None, lines):"),),
        clue="not heard",
    ),
    Wrong(
        "latin-1",
        "each line is heard, however recv cuts them",
        swaps=(('"utf-8", "replace"', '"latin-1"'),),
        clue="",
    ),
    Wrong(
        "b'' checked after strip",
        "each line is heard, however recv cuts them",
        swaps=(("if not data:", "if not data.strip():"),),
        clue="thrown out",
    ),
    Wrong(
        "ConnectionError only",
        "any other OSError: 'vanished', too",
        swaps=(("except OSError", "except ConnectionError"),),
        clue="",
    ),
    Wrong(
        "no error case",
        "hear raises: told as 'error', and the exception goes on up",
        swaps=(
            (
                (
                    '    reason = "error"  # until we know better\n'
                    '    rest = b""\n'
                    "    try:\n"
                    "        while True:\n"
                    "            try:\n"
                    "                data = client.recv(4096)\n"
                    "            except OSError:\n"
                    '                reason = "vanished"\n'
                    "                break\n"
                    "            if not data:\n"
                    '                reason = "hung up"\n'
                    "                break\n"
                    '            *lines, rest = (rest + data).split(b"\\n")\n'
                    "            for line in lines:\n"
                    '                hear(line.decode("utf-8", "replace"))\n'
                    "    finally:\n"
                    "        client.close()\n"
                    "        gone(reason)"
                ),
                (
                    '    rest = b""\n'
                    "    while True:\n"
                    "        try:\n"
                    "            data = client.recv(4096)\n"
                    "        except OSError:\n"
                    '            gone("vanished")\n'
                    "            break\n"
                    "        if not data:\n"
                    '            gone("hung up")\n'
                    "            break\n"
                    '        *lines, rest = (rest + data).split(b"\\n")\n'
                    "        for line in lines:\n"
                    '            hear(line.decode("utf-8", "replace"))\n'
                    "    client.close()"
                ),
            ),
        ),
        clue="not told",
    ),
    Wrong(
        "raises after RST",
        "RST: told once, as 'vanished'",
        swaps=(
            (
                ('                reason = "vanished"\n                break'),
                ('                reason = "vanished"\n                raise'),
            ),
        ),
        clue="raised",
    ),
    Wrong(
        "shutdown raises",
        "RST: told once, as 'vanished'",
        swaps=(("        client.close()", "        client.shutdown(2)\n        client.close()"),),
        clue="not told",
    ),
    Wrong(
        "text makefile universal newline",
        "each line is heard, however recv cuts them",
        swaps=(
            (
                (
                    '    reason = "error"  # until we know better\n'
                    '    rest = b""\n'
                    "    try:\n"
                    "        while True:\n"
                    "            try:\n"
                    "                data = client.recv(4096)\n"
                    "            except OSError:\n"
                    '                reason = "vanished"\n'
                    "                break\n"
                    "            if not data:\n"
                    '                reason = "hung up"\n'
                    "                break\n"
                    '            *lines, rest = (rest + data).split(b"\\n")\n'
                    "            for line in lines:\n"
                    '                hear(line.decode("utf-8", "replace"))\n'
                    "    finally:\n"
                    "        client.close()"
                ),
                (
                    '    reason = "error"\n'
                    "    try:\n"
                    '        with client, client.makefile("r", encoding="utf-8", '
                    'errors="replace") as f:\n'
                    "            while True:\n"
                    "                try:\n"
                    "                    line = f.readline()\n"
                    "                except OSError:\n"
                    '                    reason = "vanished"\n'
                    "                    return\n"
                    "                if not line:\n"
                    '                    reason = "hung up"\n'
                    "                    return\n"
                    '                hear(line.removesuffix("\\n"))\n'
                    "    finally:"
                ),
            ),
        ),
        clue="as it is",
    ),
    Wrong(
        "KeyError caught only",
        "hear raises an OSError: that is not her leaving, either",
        swaps=(
            (
                ("    finally:\n        client.close()\n        gone(reason)"),
                (
                    "    except KeyError:\n"
                    "        client.close()\n"
                    '        gone("error")\n'
                    "        raise\n"
                    "    client.close()\n"
                    "    gone(reason)"
                ),
            ),
        ),
        clue="not told",
    ),
    Wrong(
        "reads file lines, rstrip",
        "each line is heard, however recv cuts them",
        swaps=(
            (
                (
                    '    reason = "error"  # until we know better\n'
                    '    rest = b""\n'
                    "    try:\n"
                    "        while True:\n"
                    "            try:\n"
                    "                data = client.recv(4096)\n"
                    "            except OSError:\n"
                    '                reason = "vanished"\n'
                    "                break\n"
                    "            if not data:\n"
                    '                reason = "hung up"\n'
                    "                break\n"
                    '            *lines, rest = (rest + data).split(b"\\n")\n'
                    "            for line in lines:\n"
                    '                hear(line.decode("utf-8", "replace"))\n'
                    "    finally:\n"
                    "        client.close()"
                ),
                (
                    '    reason = "error"\n'
                    "    try:\n"
                    '        with client, client.makefile("rb") as f:\n'
                    "            while True:\n"
                    "                try:\n"
                    "                    line = f.readline()\n"
                    "                except OSError:\n"
                    '                    reason = "vanished"\n'
                    "                    return\n"
                    "                if not line:\n"
                    '                    reason = "hung up"\n'
                    "                    return\n"
                    '                hear(line.rstrip().decode(errors="replace"))\n'
                    "    finally:"
                ),
            ),
        ),
        clue="as it is",
    ),
    Wrong(
        "thread left",
        "each line is heard, however recv cuts them",
        swaps=(
            (
                (
                    '    reason = "error"  # until we know better\n'
                    '    rest = b""\n'
                    "    try:\n"
                    "        while True:\n"
                    "            try:\n"
                    "                data = client.recv(4096)\n"
                    "            except OSError:\n"
                    '                reason = "vanished"\n'
                    "                break\n"
                    "            if not data:\n"
                    '                reason = "hung up"\n'
                    "                break\n"
                    '            *lines, rest = (rest + data).split(b"\\n")\n'
                    "            for line in lines:\n"
                    '                hear(line.decode("utf-8", "replace"))\n'
                    "    finally:\n"
                    "        client.close()\n"
                    "        gone(reason)"
                ),
                (
                    "    import threading\n"
                    "    def run():\n"
                    '        rest = b""\n'
                    '        reason = "error"\n'
                    "        try:\n"
                    "            while data := client.recv(4096):\n"
                    '                *lines, rest = (rest + data).split(b"\\n")\n'
                    "                for line in lines:\n"
                    '                    hear(line.decode("utf-8", "replace"))\n'
                    '            reason = "hung up"\n'
                    "        except OSError:\n"
                    '            reason = "vanished"\n'
                    "        finally:\n"
                    "            client.close()\n"
                    "            gone(reason)\n"
                    "    threading.Thread(target=run).start()"
                ),
            ),
        ),
        clue="thrown out",
    ),
    Wrong(
        "hears each line in another thread",
        "hear raises: told as 'error', and the exception goes on up",
        swaps=(
            (
                '                hear(line.decode("utf-8", "replace"))',
                (
                    "                text = line.decode('utf-8', 'replace')\n"
                    "                hearing = threading.Thread(target=hear, args=(text,))\n"
                    "                hearing.start()\n"
                    "                hearing.join()"
                ),
            ),
            (
                "def handle_client",
                "import threading\n\n\ndef handle_client",
            ),
        ),
        clue="another thread",
    ),
)
