"""Makes a Python on Linux lack what it lacks on other systems, as far as labkit meets it.

Python imports it by itself where this folder is in PYTHONPATH, so that it holds for what a program starts,
too. FAKE in the environment names the systems and faults, a space between them; see FAKES.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
import selectors
import shutil  # noqa: F401 - from Python 3.12 on it looks for _winapi where the platform is Windows
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakSet

MOST_SELECTED = 512

# Before any of it is taken away.
_poll, _IN, _OUT = select.poll, select.POLLIN, select.POLLOUT

_deaf: WeakSet[socket.socket] = WeakSet()


def darwin() -> None:
    """XNU: `send` knows no MSG_DONTWAIT, SHUT_RD throws away what has arrived, and no listener is shut."""
    _pretend("darwin")
    no_proc()
    _ignore_dontwait()

    def shutdown(sock: socket.socket, how: int) -> None:
        _no_listener(sock)
        if how != socket.SHUT_WR:
            while select.select([sock], [], [], 0)[0] and sock.recv(65536, socket.MSG_DONTWAIT):
                pass
        _socket.socket.shutdown(sock, how)

    _patch(shutdown=shutdown)
    _lack(os, "sched_getaffinity", "sched_setaffinity", "sched_setscheduler", "sched_param", "SCHED_BATCH")


def windows() -> None:
    """Windows: no MSG_DONTWAIT, no poll; after SHUT_RD `recv` fails, and one that waits does not wake."""
    _pretend("win32")
    _lack(socket, "MSG_DONTWAIT", "MSG_NOSIGNAL", "SO_RCVTIMEO", "SO_SNDTIMEO", "TCP_USER_TIMEOUT")
    _lack(select, "poll", "epoll", "POLLRDHUP")
    _lack(selectors, "PollSelector", "EpollSelector")
    selectors.DefaultSelector = selectors.SelectSelector  # type: ignore[misc, assignment]
    few_sockets()
    no_proc()
    no_fork()
    _lack(os, *(name for name in dir(os) if name.startswith("sched_")), "SCHED_BATCH")

    def shutdown(sock: socket.socket, how: int) -> None:
        _no_listener(sock)
        if how != socket.SHUT_RD:
            _socket.socket.shutdown(sock, socket.SHUT_WR)
        if how != socket.SHUT_WR:
            _deaf.add(sock)

    def recv(sock: socket.socket, *how: int) -> bytes:
        if sock in _deaf:
            raise BrokenPipeError(errno.ESHUTDOWN, "shut down")
        return _socket.socket.recv(sock, *how)

    _patch(shutdown=shutdown, recv=recv)
    _refuse_everywhere()


def few_sockets() -> None:
    """FD_SETSIZE is 512 on Windows."""
    poll = _poll

    def limited(readers: Any, writers: Any, others: Any, timeout: float | None = None) -> Any:
        if any(len(some) > MOST_SELECTED for some in (readers, writers, others)):
            raise ValueError("too many file descriptors in select()")
        asked = poll()  # Linux' own select knows no descriptor above 1023
        number: Callable[[Any], int] = lambda one: one if isinstance(one, int) else one.fileno()  # noqa: E731
        for fd in {*map(number, readers), *map(number, writers)}:
            asked.register(fd, _IN * (fd in map(number, readers)) | _OUT * (fd in map(number, writers)))
        came = dict(asked.poll(None if timeout is None else 1000 * timeout))
        can = [
            [one for one in some if came.get(number(one), 0) & ~other]
            for some, other in ((readers, _OUT), (writers, _IN))
        ]
        return (*can, [])

    select.select = limited


def no_keepalive() -> None:
    """One option of keepalive is refused, as by Wine and by some containers."""

    def setsockopt(sock: socket.socket, level: int, option: int, *value: Any) -> None:
        if (level, option) == (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE):
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")
        _socket.socket.setsockopt(sock, level, option, *value)

    _patch(setsockopt=setsockopt)


def no_sched() -> None:
    """Nothing of sched(7)."""
    _lack(os, *(name for name in dir(os) if name.startswith(("sched_", "SCHED_"))))


def no_proc() -> None:
    """Nor proc(5): psutil alone, which does not read it by Path, tells of processes."""
    for name in ("exists", "read_text", "iterdir"):
        setattr(Path, name, _without_proc(getattr(Path, name), name == "exists"))


def _without_proc(inner: Any, tells: bool) -> Any:
    def method(path: Path, *arguments: Any, **more: Any) -> Any:
        if not str(path).startswith("/proc"):
            return inner(path, *arguments, **more)
        if tells:
            return False
        raise FileNotFoundError(errno.ENOENT, "no such file", str(path))

    return method


def no_fork() -> None:
    """Nor fork, nor process groups."""
    _lack(os, "fork", "forkpty", "register_at_fork")


def no_limits() -> None:
    """macOS: a hard limit on descriptors that is none, and cannot be asked for."""
    import resource

    inner = resource.setrlimit
    limits = [(256, resource.RLIM_INFINITY)]

    def setrlimit(what: int, pair: tuple[int, int]) -> None:
        if what != resource.RLIMIT_NOFILE:
            return inner(what, pair)
        if pair[0] > 10_240 or pair[0] == resource.RLIM_INFINITY:
            raise ValueError("current limit exceeds maximum limit")
        limits[:] = [pair]

    get = resource.getrlimit
    resource.setrlimit = setrlimit
    resource.getrlimit = lambda what: limits[0] if what == resource.RLIMIT_NOFILE else get(what)


def no_words() -> None:
    """Windows' strerror, which knows nothing of sockets."""
    os.strerror = lambda number: "Unknown error"


def sigbreak() -> None:
    """A signal that stands for Windows' Ctrl-Break."""
    signal.SIGBREAK = signal.SIGUSR1  # type: ignore[attr-defined]


def no_threads() -> None:
    """Pyodide: no thread can be started, no process, and no socket be had."""
    import subprocess

    _pretend("emscripten")

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("can't start new thread")

    def no_process(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSYS, "emscripten does not support processes.")

    def no_socket(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    threading.Thread.start = fails  # type: ignore[method-assign]
    subprocess.Popen.__init__ = no_process  # type: ignore[method-assign]
    socket.socket.__init__ = no_socket  # type: ignore[method-assign]
    sys.modules["psutil"] = None  # type: ignore[assignment]


FAKES: dict[str, Callable[[], None]] = {
    fake.__name__: fake
    for fake in (
        *(darwin, windows, few_sockets, no_keepalive, no_sched, no_proc, no_fork, no_limits, no_words),
        *(sigbreak, no_threads),
    )
}


def _pretend(platform: str) -> None:
    import sysconfig

    sysconfig.get_config_vars()
    if platform != "emscripten":
        import asyncio  # noqa: F401  # they choose their code by that name
        import subprocess

        import psutil  # noqa: F401

        for name in ("CREATE_NEW_PROCESS_GROUP", "CREATE_NO_WINDOW"):
            setattr(subprocess, name, 0)
    sys.platform = platform


def _patch(**methods: Any) -> None:
    for name, method in methods.items():
        setattr(socket.socket, name, method)


def _lack(module: Any, *names: str) -> None:
    for name in names:
        if hasattr(module, name):
            delattr(module, name)


def _ignore_dontwait() -> None:
    def send(sock: socket.socket, data: Any, flags: int = 0) -> int:
        return _socket.socket.send(sock, data, flags & ~0x40)

    _patch(send=send)


def _no_listener(sock: socket.socket) -> None:
    """Raise what a listener's shutdown does."""
    try:
        sock.getpeername()
    except OSError:
        raise OSError(errno.ENOTCONN, "not connected") from None


def _refuse_everywhere() -> None:
    """Nobody can connect to 0.0.0.0 or ::."""

    def refuse(address: Any) -> None:
        if address[0] in ("0.0.0.0", "::"):
            raise OSError(errno.EADDRNOTAVAIL, "The requested address is not valid in its context")

    def connect(sock: socket.socket, address: Any) -> None:
        refuse(address)
        _socket.socket.connect(sock, address)

    def connect_ex(sock: socket.socket, address: Any) -> int:
        if address[0] in ("0.0.0.0", "::"):
            return errno.EADDRNOTAVAIL
        return _socket.socket.connect_ex(sock, address)

    _patch(connect=connect, connect_ex=connect_ex)


for name in os.environ.get("FAKE", "").split():
    FAKES[name]()
