"""A right server on asyncio's streams: what is written waits in each transport."""

from __future__ import annotations

import asyncio
import os
import unicodedata

FRAMING = "lines"
FORM = "{name}: {text}"
REQUEST = "nickname"
END = "\n" if FRAMING == "lines" else ""

room: dict[str, asyncio.StreamWriter] = {}


def tell(writer: asyncio.StreamWriter, text: str) -> None:
    writer.write((text + END).encode())


def tell_others(name: str, text: str) -> None:
    for other, writer in room.items():
        if other != name:
            tell(writer, text)


async def message(reader: asyncio.StreamReader) -> str | None:
    """The next one, "" for none to speak of; None: it was too long.

    Raises:
        EOFError: there are no more.
    """
    if FRAMING == "raw":
        data = await reader.read(2048)
        if not data:
            raise EOFError
        return data.decode(errors="replace")
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError as error:
        await reader.readexactly(error.consumed)
        while True:
            try:
                await reader.readuntil(b"\n")
                return None
            except asyncio.LimitOverrunError as more:
                await reader.readexactly(more.consumed)
    if len(line) > 4096:
        return None
    text = line.rstrip(b"\r\n").decode(errors="replace")
    return "".join("�" if unicodedata.category(c)[0] == "C" else c for c in text)


async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    while True:
        tell(writer, REQUEST)
        name = (await message(reader) or "").strip()
        if name and name not in room:
            return name
        if FRAMING == "lines":
            tell(writer, "! choose another one")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    name, how = "", "hung up"
    try:
        name = await join(reader, writer)
        if FRAMING == "lines":
            tell_others(name, f"* {name} joined")
        room[name] = writer
        while True:
            text = await message(reader)
            if text is None:
                tell(writer, "! too long, sorry")
            elif text:
                tell_others(name, FORM.format(name=name, text=text))
    except EOFError:
        pass
    except OSError:
        how = "vanished"
    finally:
        if room.pop(name, None) and FRAMING == "lines":
            tell_others(name, f"* {name} left ({how})")
        writer.close()


async def main() -> None:
    async with await asyncio.start_server(
        serve, "127.0.0.1", int(os.environ["PORT"]), limit=4096, backlog=100
    ) as server:
        await server.serve_forever()


asyncio.run(main())
