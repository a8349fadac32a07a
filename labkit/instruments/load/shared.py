"""What several servers share their rooms on: a Redis that runs, or one of our own, for this load alone.

Its URL may hold a password. The servers get that through their environment, which other users cannot read,
and not on their command lines, which `ps` shows to all users (proc(5)); no error and no label holds it.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from labkit.instruments.load.plan import LoadError
from labkit.instruments.redis_server import RedisServer
from labkit.wire.extras import extra

OWN = "own"
"""Instead of a URL: start a Redis, and stop it afterwards."""

VARIABLE = "REDISCLI_AUTH"
"""Where a server finds the password if the URL has none, as redis-cli does."""

SCHEMES = ("redis", "rediss", "unix")

NONE = "1 server, no backplane"
"""The name of the server that the others are compared with."""

MOST = 100
"""Servers at most: each is a process."""

PATIENCE = 2.0
"""Seconds that Redis may take to report what it has used."""


def label(count: int, backplane: str | None) -> str:
    """What so many servers are called in a table."""
    if backplane is None:
        return NONE
    return "1 server" if count == 1 else f"{count} servers"


def check(count: int, backplane: str | None, clients: int) -> None:
    """Whether so many servers can share their rooms on this, with so many clients or more spread over them.

    Raises:
        ValueError: they cannot; the text says why, without the URL.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
        raise ValueError(f"a number of servers is a whole number from 1 to {MOST}, not {count!r}")
    if clients < count:
        raise ValueError(f"{count} servers need as many clients or more, not {clients}")
    if backplane is None:
        if count > 1:
            raise ValueError(
                f"{count} servers without a backplane are {count} chats: their clients would not hear each "
                f"other. Give the URL of a Redis (redis://HOST:PORT), or {OWN!r} to have one started"
            )
        return
    scheme, separator, _ = backplane.partition("://")
    if backplane != OWN and (scheme not in SCHEMES or not separator):
        given = repr(backplane) if "@" not in backplane else "this one, which begins otherwise"
        raise ValueError(f"a backplane is redis://HOST:PORT, rediss://HOST:PORT or {OWN!r}, not {given}")


@dataclass(frozen=True)
class Redis:
    """One that runs.

    `url` is without the password; that is None if there is none.
    """

    url: str
    password: str | None = field(default=None, repr=False)

    def cpu(self) -> float:
        """Seconds of processor time that it has used up to now, user and system; nan if unknown.

        Source: https://redis.io/docs/latest/commands/info/ (section `cpu`).
        """
        with extra("redis"):
            import redis

        try:
            with redis.Redis.from_url(
                self.url,
                password=self.password,
                socket_timeout=PATIENCE,
                socket_connect_timeout=PATIENCE,
            ) as client:
                used = client.info("cpu")
            return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])
        except (redis.RedisError, OSError, ValueError, KeyError):  # gone; or it does not allow the question
            return math.nan


@contextlib.contextmanager
def opened(backplane: str) -> Iterator[Redis]:
    """The Redis of this URL; or one that starts now, and stops in the end.

    Raises:
        LoadError: there is none to start, or it does not start.
    """
    if backplane != OWN:
        url, password = _apart(backplane)
        yield Redis(url, password or os.environ.get(VARIABLE) or None)
        return
    with contextlib.ExitStack() as to_stop:
        try:
            own = to_stop.enter_context(RedisServer())
        except (RuntimeError, OSError) as error:
            raise LoadError(str(error)) from None
        yield Redis(own.url)


def environment(redis: Redis | None) -> dict[str, str]:
    """The variables for a server that shares its rooms on this, if on anything."""
    variables = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return variables if redis is None or redis.password is None else {**variables, VARIABLE: redis.password}


def _apart(url: str) -> tuple[str, str | None]:
    """A URL without its password, and the password."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    name, colon, password = user.partition(":")
    options = parse_qsl(parts.query, keep_blank_values=True)
    secrets = [unquote(password)] * bool(colon) + [value for key, value in options if key == "password"]
    others = urlencode([(key, value) for key, value in options if key != "password"])
    # Not urlunsplit: of unix:///path it leaves unix:/path.
    without = (
        f"{parts.scheme}://{name + '@' if name else ''}{host}{parts.path}{'?' + others if others else ''}"
    )
    return without, secrets[-1] if secrets else None
