"""A server for the crowd, in a process of its own: `python serve.py "Limits(…)"`. Ends with SIGTERM.

It builds on arena.py, for the server.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos.arena import SmallBuffers  # noqa: E402
from labkit.limits import Limits  # noqa: E402


def main(limits: Limits) -> None:
    asked_to_stop = []
    signal.signal(signal.SIGTERM, lambda *_: asked_to_stop.append(True))
    with SmallBuffers(port=0, limits=limits) as server:
        print(f"{server.address[0]}:{server.address[1]}", flush=True)
        while not asked_to_stop and not server.wait(0.1):
            pass


if __name__ == "__main__":
    main(eval(sys.argv[1], {"Limits": Limits}))
