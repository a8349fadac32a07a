"""A server for the clients, in a process of its own: `python serve.py "Limits(…)" PORT CLASS [REDIS_URL]`.

CLASS is SmallBuffers, or one of the servers with a backplane that is made wrong (broken_backplanes.py).
Ends with SIGTERM, and with the program that started it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos.hosts import SmallBuffers  # noqa: E402
from labkit.server.limits import Limits  # noqa: E402


def main(limits: Limits, port: int, name: str, backplane: str | None) -> None:
    asked_to_stop = []
    signal.signal(signal.SIGTERM, lambda *_: asked_to_stop.append(True))
    kind: Any = SmallBuffers
    if name != SmallBuffers.__name__:
        from chaos import broken_backplanes

        kind = getattr(broken_backplanes, name)
    parent = os.getppid()
    options = {} if backplane is None else {"backplane": backplane}
    try:
        server = kind(port=port, limits=limits, **options).start()
    except OSError as error:  # perhaps the port is taken; the fleet tries another one
        print(f"! {error}", flush=True)
        sys.exit(1)
    with server:
        print(f"{server.address[0]}:{server.address[1]}", flush=True)
        while not asked_to_stop and os.getppid() == parent and not server.wait(0.1):
            pass


if __name__ == "__main__":
    main(
        eval(sys.argv[1], {"Limits": Limits}),
        int(sys.argv[2]),
        sys.argv[3],
        sys.argv[4] if sys.argv[4:] else None,
    )
