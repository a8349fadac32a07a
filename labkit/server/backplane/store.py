"""The Redis that several servers share: two connections to it, and what can go wrong with them.

`turn` has things done and brings the answers; `read` waits for what is new. Each is for one thread. What
is done there is told in scripts.py. Nothing here retries: the caller must know what may be done twice.

A URL can hold a password. It is never shown: not in an error, not in `repr`, not in `where`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from labkit.server.backplane.scripts import HELLO, TURN
from labkit.wire.errors import words

AWAY = (redis.ConnectionError, redis.TimeoutError, OSError)
"""Redis cannot be reached, or does not answer."""

OLDEST = (6, 2)
"""The oldest Redis that can do what is needed: XTRIM with MINID. (Valkey says that it is a 7.2.)"""

AT_ONCE = 100
"""Entries of a stream read at once."""

PASSWORD = "REDISCLI_AUTH"
"""The environment variable that may hold the password, where the URL does not: redis-cli's own. What is on
a command line, every user of the machine can see."""

_DATABASE = re.compile(r"/?\d*")

OURS = {"protocol", "decode_responses", "encoding", "socket_timeout", "socket_connect_timeout"}
"""Options that a URL can hold, and that are not for it to choose."""

UNREADABLE = "(unreadable)"
"""What is shown of a URL in which the end of the password cannot be told."""

Command = tuple[str, tuple[str | bytes | int, ...]]
"""What is to be done in a turn: the name of the function in `TURN`, and its arguments."""

Streams = Mapping[str, str]
"""Streams by key, each with the id of the last entry that was read."""

Entries = list[tuple[str, list[tuple[str, dict[bytes, bytes]]]]]
"""What is new: for each stream its key, and the entries with their ids."""


class GivenUp(Exception):
    """The other servers have given this one up, or Redis has lost what it knew of it."""


class Full(redis.RedisError):
    """Redis takes nothing that makes it fuller: that turn was not done."""


class NoRedis(ConnectionError):
    """There is no Redis that would do; the text says where, and why, in one line."""


class Store:
    """Connect with `open`; the URL is checked at once.

    Args:
        url: redis://[USER:PASSWORD@]HOST:PORT[/DATABASE], rediss:// for TLS, or unix://PATH.
        patience: seconds to wait for an answer, and for a connection.

    Raises:
        ValueError: that is no such URL.
    """

    def __init__(self, url: str, patience: float) -> None:
        self.where = _shown(url)
        self._patience = patience
        options: dict[str, Any] = {}
        try:
            parts = urlsplit(url)
            if self.where == UNREADABLE or (parts.scheme != "unix" and not _DATABASE.fullmatch(parts.path)):
                raise ValueError
            if OURS.intersection(parse_qs(parts.query)):
                raise ValueError
            if not parts.password and (password := os.environ.get(PASSWORD)):
                options["password"] = password
            self._turns, self._reads = (
                redis.Redis.from_url(
                    url,
                    socket_timeout=patience,
                    socket_connect_timeout=patience,
                    retry=Retry(NoBackoff(), 0),
                    protocol=2,
                    single_connection_client=False,
                    **options,
                )
                for _ in range(2)
            )
        except (ValueError, TypeError):  # what it says may repeat a part of the URL
            raise ValueError(
                f"not the URL of a Redis: {self.where}; it looks like redis://HOST:PORT/0, or begins with "
                "rediss:// (TLS) or unix://; in a password / is written %2F, ? %3F, # %23 and @ %40"
            ) from None
        self._turn = self._turns.register_script(TURN)
        self._hello = self._turns.register_script(HELLO)

    def __repr__(self) -> str:
        return f"<Store {self.where}>"

    def open(self) -> None:
        """See whether it is there, and will do.

        Raises:
            NoRedis: it is not, or will not.
        """
        try:
            version = str(self._turns.info("server")["redis_version"])
            memory = self._turns.info("memory")
        except (*AWAY, redis.RedisError) as error:
            self.close()
            raise NoRedis(f"no Redis at {self.where}: {reason(error)}") from None
        except TypeError:  # redis-py makes no connection before
            raise NoRedis(f"the URL of the Redis at {self.where} has an unknown option") from None
        if tuple(map(int, version.split(".")[:2])) < OLDEST:
            self.close()
            raise NoRedis(f"the Redis at {self.where} is {version}; it must be 6.2 or newer")
        policy = str(memory.get("maxmemory_policy", ""))
        if memory.get("maxmemory") and policy.startswith("allkeys"):
            self.close()
            raise NoRedis(
                f"the Redis at {self.where} throws away what it likes when its memory is full "
                f"(maxmemory-policy {policy}); it must be noeviction"
            )

    def hello(self, server: str, lease: float, before: str = "") -> None:
        """The server takes part; `before`: which it was until now. Raises redis.RedisError, OSError."""
        self._hello(args=[server, int(lease * 1000), before])

    def turn(
        self, server: str, number: int, lease: float, commands: Sequence[Command], aside: bool = False
    ) -> list[Any]:
        """Have all this done, and return the answers in the same order.

        May be called again with the same number and commands when no answer came: nothing is done twice.
        `aside`: what may be done twice, before that turn; no answers if the turn turns out to be done.

        Raises:
            GivenUp: the server takes part no more.
            Full: Redis has no room for that.
            redis.RedisError, OSError: Redis is away, or in trouble; whether it was done is not known.
        """
        arguments: list[str | bytes | int] = [server, number, int(lease * 1000), int(aside)]
        for name, those in commands:
            arguments += (name, len(those), *those)
        try:
            answers: list[Any] = self._turn(args=arguments)
        except redis.ResponseError as error:
            if str(error).startswith("GIVENUP"):
                raise GivenUp(str(error).partition(" ")[2]) from None
            if str(error).startswith("FULL"):
                raise Full(str(error).partition(" ")[2]) from None
            raise
        return answers

    def read(self, streams: Streams, seconds: float) -> Entries:
        """What is new in these streams; waits for so long if nothing is. Raises as `turn` does."""
        milliseconds = max(1, int(min(seconds, self._patience / 2) * 1000))
        found = self._reads.execute_command(  # type: ignore[no-untyped-call]  # redis-py has no type for it
            "XREAD", "COUNT", AT_ONCE, "BLOCK", milliseconds, "STREAMS", *streams.keys(), *streams.values()
        )
        return [
            (key.decode(), [(at.decode(), fields) for at, fields in entries])
            for key, entries in found or ()
        ]

    def close(self) -> None:
        """Close both connections. No thread may use one of them."""
        for client in (self._turns, self._reads):
            client.connection_pool.disconnect()


def reason(error: Exception) -> str:
    """Why, in a few words."""
    if isinstance(error, (redis.TimeoutError, TimeoutError)):
        return "no answer"
    cause = error.__cause__ or error.__context__
    if isinstance(error, redis.ConnectionError) and isinstance(cause, OSError):
        return words(cause)
    text = str(error).partition(" script: ")[0]  # and in which line of it
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def _shown(url: str) -> str:
    """The URL without its user, password and options."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return UNREADABLE
    if not parts.scheme or (not host and parts.scheme != "unix"):
        return UNREADABLE
    if "@" in parts.path + parts.query + parts.fragment:  # what is before it may be a password with / ? #
        return UNREADABLE
    host = f"[{host}]" if host and ":" in host else host or ""
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"
