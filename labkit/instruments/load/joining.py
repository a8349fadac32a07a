"""How the clients of a load join: all connect, give their nicknames, and are known to hear.

Servers differ in what they say to a newcomer; the assignment's says nothing at all. Here only that counts
which any correct server does: it asks `nickname`, and passes on what is said. So the first client calls,
again and again, until all others have heard its latest call: then all have joined, and no line about that
is still on its way.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Sequence
from time import monotonic
from time import perf_counter as now
from typing import Any

from labkit.instruments.load.clients import CHUNK, LoadClient
from labkit.instruments.load.plan import LoadError
from labkit.probe import kernel
from labkit.wire import descriptors, selecting, sockets
from labkit.wire.errors import words

AT_ONCE = 32
"""Newcomers that wait to be asked: a server's queue has room for more (listen(2))."""

KEPT = 300
"""Bytes kept of what a newcomer heard last: enough to find a call in it, and to quote in an error."""

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 2.0
"""Seconds between two calls; each next pause is twice as long."""

Where = tuple[int, Any]
"""A server's address as the system has it: the family, and what `connect` takes."""

SPARE_FILES = 64
"""Descriptors that the process needs for other things."""


def join(
    addresses: Sequence[sockets.Address], count: int, patience: float
) -> tuple[list[LoadClient], bool]:
    """Have so many clients join, the first at the first server, the next at the next, and so on in turn.

    Returns them, and whether the server sends clients their own lines.

    Args:
        addresses: of one server, or of several that share their rooms; not more than clients.
        patience: seconds without progress after which it gives up.

    Raises:
        LoadError: not all of them could join; the text has what the server said last.
    """
    allow_files(count + SPARE_FILES)
    clients: list[LoadClient] = []
    selector = selecting.selector()
    try:
        wheres: list[Where] = []
        for address in addresses:
            first = _connected(address, patience)
            wheres.append((first.family, first.getpeername()))
            port: int = (clients[0].sock if clients else first).getsockname()[1]
            clients.append(_enter(selector, len(clients), first, port))
        asking = set(clients)
        give_up = now() + patience
        while asking or len(clients) < count:
            while len(clients) < count and len(asking) < AT_ONCE:
                where = wheres[len(clients) % len(wheres)]
                clients.append(_enter(selector, len(clients), _connecting(where), port))
                asking.add(clients[-1])
            for client in _heard(selector, 0.2):
                if client in asking and b"nickname" in client.tail:
                    with contextlib.suppress(OSError):  # the server hung up already: the next recv says so
                        client.sock.send(client.nickname.encode() + b"\n")
                    client.tail = client.tail.partition(b"nickname")[2]
                    asking.remove(client)
                    give_up = now() + patience
            if now() > give_up:
                missed = min(asking, key=lambda client: client.number)
                raise LoadError(
                    f"client {missed.number + 1} of {count} is not asked for its `nickname` within "
                    f"{patience:g} s; {_last_words(missed)}"
                )
        echoes = _call_until_all_are_in(selector, clients, patience)
    except BaseException:
        for client in clients:
            client.sock.close()
        raise
    finally:
        selector.close()
    return clients, echoes


def _connected(address: sockets.Address, patience: float) -> socket.socket:
    """A connection that does not block from now on."""
    try:
        sock = sockets.connect(address, patience)
    except OSError as error:
        raise LoadError(str(error) if error.strerror is None else error.strerror) from None
    sock.setblocking(False)
    return sock


def _connecting(where: Where) -> socket.socket:
    """One more connection. Once it can be read, it is open or was refused."""
    family, address = where
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):  # not yet; or never, and then its recv says so
        sock.connect(address)
    return sock


def _enter(selector: selectors.BaseSelector, number: int, sock: socket.socket, port: int) -> LoadClient:
    client = LoadClient(number, sock)
    client.nickname = f"n{number}x{port:x}"  # no other connection there has that port
    selector.register(sock, selectors.EVENT_READ, client)
    return client


def _heard(selector: selectors.BaseSelector, seconds: float) -> list[LoadClient]:
    """Those that heard something; all that was new is at the end of their `tail`."""
    some = []
    for key, _ in selector.select(seconds):
        client: LoadClient = key.data
        try:
            data = client.sock.recv(CHUNK)
        except BlockingIOError:
            continue
        except OSError as error:
            how, data = f" ({words(error)})", b""
        else:
            how = ""
        if not data:
            who = f"client {client.number + 1}"
            raise LoadError(f"the server hung up on {who} as it joined{how}; {_last_words(client)}")
        client.tail = client.tail[-KEPT:] + data
        some.append(client)
    return some


def _call_until_all_are_in(
    selector: selectors.BaseSelector, clients: list[LoadClient], patience: float
) -> bool:
    caller, *others = clients
    # Else a server without framing may take the nickname and the first call for one message.
    kernel.wait_until_read(caller.sock, monotonic(), patience)
    give_up = now() + patience
    pause, number = FIRST_PAUSE, 0
    waiting = set(others)
    while waiting:
        number += 1
        call = b"roll call %d." % number
        with contextlib.suppress(OSError):  # as above
            caller.sock.send(call + b"\n")
        before, waiting = waiting, set(others)
        call_again = now() + pause
        while waiting and now() < call_again:
            for client in _heard(selector, min(pause, 0.2)):
                if call in client.tail:
                    waiting.discard(client)
        if len(waiting) < len(before):
            give_up = now() + patience
        elif now() > give_up:
            deaf = min(waiting, key=lambda client: client.number)
            raise LoadError(
                f"{len(waiting)} of {len(clients)} clients do not hear what the first one says within "
                f"{patience:g} s; {_last_words(deaf)}"
            )
        pause = min(2 * pause, LONGEST_PAUSE)
    _heard(selector, FIRST_PAUSE)  # the caller may hear itself, and last
    return call in caller.tail


def _last_words(client: LoadClient) -> str:
    said = client.tail[-KEPT:].decode(errors="replace").strip()
    return f"the last that it heard: {said[-100:]!r}" if said else "it heard nothing"


def allow_files(count: int) -> None:
    """Have the system allow this process so many descriptors.

    Raises:
        LoadError: it may not.
    """
    if descriptors.allow_many(count) < count:
        raise LoadError(f"{count} files at once are needed, the system grants fewer (ulimit -Hn)")
