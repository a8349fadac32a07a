"""A right client on asyncio, that is told its nickname.

looping.py HOST PORT NICKNAME
"""

from __future__ import annotations

import asyncio
import sys


async def type_on(writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        writer.write(line.rstrip(b"\n") + b"\n")
        await writer.drain()
    writer.write_eof()


async def main(host: str, port: int, nickname: str) -> str | None:
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        return f"nobody listens on {host}:{port} ({error.strerror})"
    typing, refused, last = None, False, ""
    try:
        while line := await reader.readline():
            text = line.decode(errors="replace").rstrip("\r\n")
            if text != "nickname":
                print("\033[1m" + text + "\033[0m", flush=True)
                last = text
            elif refused:
                return f"the nickname {nickname} is refused: {last}"
            else:
                refused = True
                writer.write(f"{nickname}\n".encode())
                typing = typing or asyncio.create_task(type_on(writer))
    except OSError as error:
        return f"the connection broke: {error}"
    finally:
        if typing is not None:
            typing.cancel()
    return "bye" if typing and typing.done() and not typing.cancelled() else "the server has gone"


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
    except KeyboardInterrupt:
        pass
