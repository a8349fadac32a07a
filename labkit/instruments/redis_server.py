"""A Redis of your own: a real redis-server on a free port, to be killed, paused and restarted.

    with RedisServer() as redis:
        ChatServer(port=0, backplane=redis.url)

It has a temporary folder of its own, and listens on 127.0.0.1 alone. It neither asks nor touches a Redis
that runs already. Port and folder stay while it is stopped or killed: started again, it is the same server,
with what it had written to disk.

It does not outlive the program that started it, however that ends (labkit/probe/children.py).

It needs no redis-py: the few commands that it sends to Redis are below. Meant for one thread.
"""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from urllib.parse import quote

from labkit.probe import children

PROGRAMS = ("redis-server", "valkey-server")
"""What it may be called; Valkey is the same server, under a free licence."""

MISSING = (
    f"found neither {' nor '.join(PROGRAMS)} on PATH (apt-get install redis-server, or: brew install redis)"
)
"""The error where none is installed."""

STARTING = 20.0
"""Seconds that it may take to answer."""

STOPPING = 10.0
"""Seconds between SIGTERM and SIGKILL."""

PORTS = range(20_000, 32_768)
"""Its port is one of these: below those that systems give to outgoing connections (Linux: from 32768 on,
ip(7)). Else such a connection could take the port while Redis is away; even one to that very port."""

TRIES = 20
"""Ports that are tried at the first start: another program may take one first."""


class RedisMissing(RuntimeError):
    """There is no redis-server on this machine; the text says how to get it."""


class RedisNotStarted(RuntimeError):
    """Redis did not start; the text says how that was seen, and what it wrote last."""


class _PortTaken(RedisNotStarted):
    """Another program has the port."""


def program() -> str | None:
    """The path of the redis-server, or valkey-server, of this machine; None if there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class RedisServer:
    """A redis-server that is started by `start`, or by a `with` block, which also ends it.

    Args:
        append_only: it writes each command to disk before it answers, so that it knows everything again
            when it is started after `stop` or `kill`. Without it, it forgets all.
        password: for clients; None: they need none. It is in no list of processes.

    Raises:
        RedisMissing: it is not installed.
        ValueError: `password` is empty.
    """

    def __init__(self, append_only: bool = False, password: str | None = None) -> None:
        found = program()
        if found is None:
            raise RedisMissing(MISSING)
        if password == "":
            raise ValueError("the password is empty; None is for a Redis without one")
        self._program = found
        self._append_only = append_only
        self._password = password
        self._port: int | None = None
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    # --- where it is ---

    @property
    def address(self) -> tuple[str, int]:
        """(host, port), the same for as long as it lives, also while it is stopped."""
        if self._port is None:
            raise RuntimeError("this Redis has no address before start()")
        return "127.0.0.1", self._port

    @property
    def url(self) -> str:
        """Where it is, as a backplane takes it: with the password, if it has one."""
        return self.url_through(self.address)

    def url_through(self, address: tuple[str, int]) -> str:
        """Its URL by another address: that of a `Link` in front of it."""
        secret = "" if self._password is None else f":{quote(self._password, safe='')}@"
        return f"redis://{secret}{address[0]}:{address[1]}"

    @property
    def running(self) -> bool:
        """Whether its process is there, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._running().pid

    def __repr__(self) -> str:
        where = "no port yet" if self._port is None else f"127.0.0.1:{self._port}"
        return f"<RedisServer, {where}, {'running' if self.running else 'stopped'}>"

    # --- starting and ending it ---

    def start(self) -> RedisServer:
        """Start it; returns when it answers. Does nothing if it runs already.

        Raises:
            RedisNotStarted: it ended, or did not answer in time; with the end of what it wrote.
        """
        if self.running:
            return self
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="labkit-redis-"))
            children.remove(self._folder)  # and end what runs there
            atexit.register(self.close)
        try:
            if self._port is not None:
                self._start_on(self._port)
            else:
                self._start_anywhere()
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """End it in good order. Does nothing if it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(getattr(signal, "SIGKILL", signal.SIGTERM))

    def restart(self) -> RedisServer:
        """Stop it, and start it again."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """Suspend it until `resume`: connections stay, and hang."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its folder. Twice does no harm."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
            atexit.unregister(self.close)

    def __enter__(self) -> RedisServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- how ---

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"it does not run: {self!r}")
        return self._process

    def _start_anywhere(self) -> None:
        """On the first port that is free, and still free when Redis asks for it."""
        dice = random.SystemRandom()
        for left in reversed(range(TRIES)):
            port = dice.choice(PORTS)
            try:
                self._start_on(port)
            except _PortTaken:
                self._process = None
                if not left:
                    raise
            else:
                return

    def _start_on(self, port: int) -> None:
        _must_be_free(port)
        assert self._folder is not None
        with open(self._folder / "log", "wb") as log:
            # A session of its own: Ctrl-C in a terminal, or an interrupted kernel, must not end Redis.
            self._process = children.popen(
                # Where to listen it must know also if we end, and its standard input, before the settings.
                [self._program, "-", "--bind", "127.0.0.1", "--port", str(port)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        try:
            with self._process.stdin as stdin:
                stdin.write(self._settings())
        except BrokenPipeError:
            pass  # it ended before it read them; its log says why
        self._wait_until_it_answers(port)
        self._port = port

    def _settings(self) -> bytes:
        """Its configuration, which it reads from its standard input, where no other program sees it."""
        lines = [
            f"dir {_quoted(str(self._folder))}",
            'save ""',
            f"appendonly {'yes' if self._append_only else 'no'}",
            "appendfsync always",
            "daemonize no",
        ]
        if self._password is not None:
            lines.append(f"requirepass {_quoted(self._password)}")
        return "".join(line + "\n" for line in lines).encode()

    def _wait_until_it_answers(self, port: int) -> None:
        give_up = monotonic() + STARTING
        while True:
            assert self._process is not None
            if (status := self._process.poll()) is not None:
                taken = "Address already in use" in self._last_lines()
                raise (_PortTaken if taken else RedisNotStarted)(
                    f"redis-server ended at once, with status {status}; its last lines:{self._last_lines()}"
                )
            try:
                with _RedisConnection(port, max(0.1, give_up - monotonic())) as connection:
                    if self._password is not None:
                        connection.send("AUTH", self._password)
                    # Not that of another Redis, which took the port first.
                    ours = f"process_id:{self._process.pid}\r" in connection.send("INFO", "server")
                    if ours and connection.send("PING") == "+PONG":
                        return
            except OSError:
                pass  # it does not listen yet, or ends just now
            if monotonic() > give_up:
                raise RedisNotStarted(
                    f"redis-server runs, but does not answer on port {port} after {STARTING:g} s; "
                    f"its last lines:{self._last_lines()}"
                )
            sleep(0.005)

    def _last_lines(self, count: int = 10) -> str:
        assert self._folder is not None
        lines = (self._folder / "log").read_text("utf-8", "replace").splitlines()
        return "".join(f"\n    {line}" for line in lines[-count:]) or " none"

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            if hasattr(signal, "SIGCONT"):
                self._process.send_signal(signal.SIGCONT)  # a paused process does not end
            try:
                self._process.wait(STOPPING)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None


def _must_be_free(port: int) -> None:
    with socket.socket() as sock:
        if os.name == "posix":  # ignore connections that are over
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError as error:
            raise _PortTaken(f"cannot start Redis on port {port} of 127.0.0.1: {error.strerror}") from None


def _quoted(text: str) -> str:
    """As Redis reads a word of its configuration: in quotes, and all but letters and digits by number."""
    return (
        '"'
        + "".join(chr(b) if chr(b).isalnum() and b < 128 else f"\\x{b:02x}" for b in text.encode())
        + '"'
    )


class _RedisConnection:
    """A connection to Redis, with as much of its protocol (RESP2) as is needed here."""

    def __init__(self, port: int, timeout: float) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout)

    def send(self, *words: str) -> str:
        """Send one command; returns the answer, without its framing.

        Raises:
            OSError: the connection ended, or no answer came in time.
        """
        data = f"*{len(words)}\r\n".encode()
        for word in map(str.encode, words):
            data += b"$%d\r\n%b\r\n" % (len(word), word)
        self._sock.sendall(data)
        answer = b""
        while b"\r\n" not in answer or len(answer) < _length(answer):
            if not (more := self._sock.recv(65536)):
                raise ConnectionResetError("Redis has closed the connection")
            answer += more
        return answer.decode("utf-8", "replace").removesuffix("\r\n")

    def __enter__(self) -> _RedisConnection:
        return self

    def __exit__(self, *exception: object) -> None:
        self._sock.close()


def _length(answer: bytes) -> int:
    """How long an answer is; its first line has come."""
    first = answer.partition(b"\r\n")[0]
    size = int(first[1:]) if first[:1] == b"$" else -1  # of what follows; -1: nothing does
    return len(first) + 2 + (size + 2 if size >= 0 else 0)
