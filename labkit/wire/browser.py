"""A Python that runs in a browser (JupyterLite: Pyodide) has neither sockets nor threads nor processes."""

from __future__ import annotations

import sys

RUNS_HERE = sys.platform in ("emscripten", "wasi")

NO_CHAT = (
    "this Python runs in a browser, where there are no sockets and no threads: the chat needs a Python of "
    "your own machine; what works here are the checks of exercises that need neither, such as framing"
)


def refuse() -> None:
    """Raise what explains it, where there can be no connection.

    Raises:
        OSError: this is such a Python.
    """
    if RUNS_HERE:
        raise OSError(NO_CHAT)
