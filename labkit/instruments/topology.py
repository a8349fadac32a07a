"""Who is connected where: several servers, their clients, and the Redis that they share.

As HTML, and as text that says the same. It asks the servers themselves, and nobody else; they are drawn
as they are at that moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from labkit.instruments import drawing
from labkit.instruments.markup import bdi
from labkit.server import ChatServer
from labkit.wire.text import clean

STYLE = """<style>
.labkit-topology .redis, .labkit-topology .server {
  border: 2px solid var(--ink); border-radius: 6px; padding: 6px 10px; text-align: center;
}
.labkit-topology .redis { background: var(--shade); }
.labkit-topology .servers { display: flex; flex-flow: row wrap; gap: 0 16px; }
.labkit-topology .servers > div { flex: 1 1 180px; min-width: 0; }
.labkit-topology .line { width: 0; height: 30px; margin: 0 auto; border-left: 3px solid var(--ink); }
.labkit-topology .cut { border-left: 3px dashed var(--bad); position: relative; }
.labkit-topology .words { padding: 4px 0; text-align: center; font-weight: 600; }
.labkit-topology .clients { display: flex; flex-flow: row wrap; gap: 6px; justify-content: center; }
.labkit-topology .client { text-align: center; }
.labkit-topology .client .line { height: 14px; border-left-width: 1px; }
.labkit-topology .client .box small { font-size: 11px; }
</style>"""


@dataclass(frozen=True, slots=True)
class _Server:
    name: str
    state: str  # "running", "stopped"
    cut_off: str  # why it does not reach Redis, or ""
    shares: bool  # whether it has a Redis at all
    clients: tuple[tuple[str, str], ...]  # nickname and room


class Topology:
    """Some servers, as they are now.

    Args:
        servers: each with a name.
        redis: what Redis is called.
    """

    def __init__(self, servers: Mapping[str, ChatServer], redis: str = "Redis") -> None:
        if not servers:
            raise ValueError("there is no server to draw")
        self._redis = redis
        self._servers = [
            _Server(
                name,
                "running" if server.running else "stopped",
                server.cut_off if server.running else "",
                bool(server.shares_through),
                tuple((who.nickname, who.room) for who in server.present()),
            )
            for name, server in servers.items()
        ]

    @property
    def rooms(self) -> list[str]:
        """The rooms that have a stream, as far as these servers' people are in them."""
        return sorted({room for one in self._servers if one.shares for _, room in one.clients})

    def _channels(self) -> str:
        rooms = self.rooms
        if not rooms:
            return "no room has anybody in it"
        which = "a stream for the room" if len(rooms) == 1 else "a stream for each of the rooms"
        return f"{which} {', '.join(map(clean, rooms))}"

    def __repr__(self) -> str:
        shared = [one for one in self._servers if one.shares]
        lines = [f"{self._redis} · {self._channels()}"] if shared else []
        for one in self._servers:
            last = one is self._servers[-1]
            fork, stem = ("└─", "   ") if last else ("├─", "│  ")
            if not shared:
                fork = stem = ""
            elif not self._joined(one):
                fork = "└ ✕" if last else "├ ✕"
            state = f"{one.state}, Redis: {one.cut_off}" if one.cut_off else one.state
            lines.append(f"{fork} {one.name} · {state}, {self._count(one)}".strip())
            lines += [f"{stem}   {clean(name)} in {clean(room)}" for name, room in one.clients]
        return "\n".join(lines)

    @staticmethod
    def _joined(one: _Server) -> bool:
        """Whether it is connected to Redis."""
        return one.shares and one.state == "running" and not one.cut_off

    @staticmethod
    def _count(one: _Server) -> str:
        return f"{len(one.clients)} connected" if one.clients else "nobody connected"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        columns = "".join(map(self._column, self._servers))
        top = ""
        if any(one.shares for one in self._servers):
            top = f'<div class="redis"><b>{bdi(self._redis)}</b><br>{bdi(self._channels())}</div>'
        inner = f'{top}<div class="servers">{columns}</div>'
        html = STYLE + drawing.framed("labkit-topology", repr(self), inner)
        return {"text/plain": repr(self), "text/html": html}

    def _column(self, one: _Server) -> str:
        line = ""
        if one.shares:
            line = '<div class="line"></div>'
            if not self._joined(one):
                why = f"Redis: {one.cut_off}" if one.cut_off else one.state
                line = f'<div class="line cut"></div><div class="words">✕ {bdi(why)}</div>'
        clients = "".join(
            f'<div class="client"><div class="line"></div><span class="box">{bdi(clean(name))}'
            f"<small>in {bdi(clean(room))}</small></span></div>"
            for name, room in one.clients
        )
        nobody = f'<div class="words faint">{self._count(one)}</div>'
        people = f'<div class="clients">{clients}</div>' if clients else nobody
        server = f'<div class="server"><b>{bdi(one.name)}</b><br>{escape(one.state)}</div>'
        return f"<div>{line}{server}{people}</div>"
