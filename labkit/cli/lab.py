"""python -m labkit lab: a copy of the notebooks, and JupyterLab, opened on the first of them.

The copy is the user's own: what they have changed in it stays (own_copy.py).

JupyterLab runs as a program of its own; this one prints the address to open, and waits for the end. If this
one is killed, JupyterLab ends, too. It spares a newcomer several things: finding the notebooks, root in a
container, a machine without a browser, the question whether Ctrl-C is meant, and the pop-up about Jupyter's
news.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import secrets
import subprocess
import sys
import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from time import sleep

import psutil

from labkit.cli import options as take
from labkit.cli.console import print_error
from labkit.probe import children
from labkit.wire import sockets
from labkit.wire.extras import missing

DETAILS = (
    "It lays a copy of them into DIR, over nothing that you have changed there, and opens that. It runs "
    "until Ctrl-C. What follows -- is handed to JupyterLab."
)

COPY = "chat-lab"
"""The folder of the copy, where the user names none."""

PORTS = range(8888, 8988)
"""Where to look for a free port: Jupyter's own, and those after it."""

SETTINGS = {
    # No question about news, and no look-up of newer versions. A user's own choice comes before this one.
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
}
"""JupyterLab's settings, where the lab's defaults differ from its own."""

LOOK_AROUND = 0.2
"""Seconds between two looks whether JupyterLab has ended."""

SHUTDOWN = 10.0
"""Seconds that JupyterLab has to end its kernels and itself."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=take.port, help="(default: the first free one from 8888 on)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address to open")
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="DIR",
        help=f"the folder of your copy (default: this one if it has a copy, else {COPY} in it)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--only-copy", action="store_true", help="lay the copy, and open nothing")
    how.add_argument(
        "--in-place", action="store_true", help="open the notebooks of the repository themselves"
    )


def arrange(words: list[str]) -> tuple[list[str], argparse.Namespace]:
    """The words up to `--`; those after it as `more`, options for JupyterLab itself."""
    at = words.index("--") if "--" in words else len(words)
    return words[:at], argparse.Namespace(more=words[at + 1 :])


def run(options: argparse.Namespace) -> int:
    from labkit.exercises.handout.own_copy import FIRST, CannotLay

    if not options.only_copy and importlib.util.find_spec("jupyterlab") is None:
        return print_error(missing("jupyterlab", "lab"))
    try:
        folder = _folder(options)
    except CannotLay as error:
        return print_error(error)
    except OSError as error:
        return print_error(f"cannot write {error.filename}: {error.strerror}")
    if options.only_copy:
        return 0
    return open_notebooks(folder.absolute() / FIRST, options.port, not options.no_browser, options.more)


def _folder(options: argparse.Namespace) -> Path:
    """The folder to open. A copy is laid into it first, and what was done there is told.

    Raises:
        OSError, CannotLay: it cannot be laid there.
    """
    from labkit.exercises.catalogue import WITH_ANSWERS
    from labkit.exercises.grading.notebooks import INSTALLED, NOTEBOOKS
    from labkit.exercises.handout.own_copy import is_copy, lay

    if options.in_place and (INSTALLED or options.folder is not None):
        options.parser.error("--in-place opens the repository's own: it needs one, and takes no DIR")
    # The student's edition is a copy already.
    if options.in_place or not (WITH_ANSWERS or INSTALLED or options.folder is not None):
        return NOTEBOOKS
    folder: Path = options.folder or (Path() if is_copy(Path()) else Path(COPY))
    laid = lay(folder)
    for names, done in ((laid.new, "laid into it"), (laid.renewed, "renewed")):
        if names:
            print(f"Your copy of the notebooks is {folder.absolute()}: {len(names)} files {done}.")
    if laid.kept:
        print(f"Left as you have changed them: {', '.join(laid.kept)}.", flush=True)
    return folder


def open_notebooks(
    notebook: Path, port: int | None = None, browser: bool = True, more: Sequence[str] = ()
) -> int:
    """Run JupyterLab until it ends or Ctrl-C; returns the exit status.

    Args:
        notebook: what to open; the folder that it is in is all that JupyterLab shows.
        port: None takes the first free one of PORTS.
        browser: whether to open a browser, where there is one.
        more: options for JupyterLab itself.
    """
    if port:
        if not _is_free(port):
            return print_error(f"port {port} is taken; without --port a free one is found")
    else:
        port = next(filter(_is_free, PORTS), None)
        if port is None:
            return print_error(
                f"none of the ports {PORTS[0]} to {PORTS[-1]} is free; name another with --port"
            )
    browser = browser and has_browser()
    with tempfile.TemporaryDirectory(prefix="labkit-") as folder:
        children.remove(folder)
        token = secrets.token_hex(12)
        environment = _environment(Path(folder), token)
        child = subprocess.Popen(_command(notebook, port, browser, more), env=environment)
        # Alone: it ends its kernels itself. A browser that it has opened is the user's.
        children.end_alone(child.pid, SHUTDOWN)
        try:
            if not _came_up(child, port):
                return print_error("JupyterLab did not start; what it said stands above")
            print(
                "\nA browser opens now. If none does, open this address in one:"
                if browser
                else "\nOpen this address in a browser:",
                f"\n    http://localhost:{port}{_url(notebook)}?token={token}\n",
                "Ctrl-C ends JupyterLab.\n",
                sep="\n",
                flush=True,
            )
            while child.poll() is None:
                sleep(LOOK_AROUND)  # on Windows, Ctrl-C does not interrupt a wait
        except KeyboardInterrupt:
            _end(child)
        else:
            if child.returncode:
                return print_error(f"JupyterLab ended with status {child.returncode}")
        print("JupyterLab has ended. Goodbye.", flush=True)
        return 0


def has_browser() -> bool:
    """Whether a browser with a window can be opened here."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False  # what webbrowser finds then works in the terminal, and would block it
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def _is_free(port: int) -> bool:
    try:
        sockets.listen("localhost", port).close()
    except OSError:
        return False
    return True


def _url(notebook: Path) -> str:
    return f"/lab/tree/{notebook.name}"


def _command(notebook: Path, port: int, browser: bool, more: Sequence[str]) -> list[str]:
    command = [
        sys.executable,
        *("-m", "jupyterlab"),
        f"--ServerApp.root_dir={notebook.parent}",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",  # this port or none: it is in the address that we print
        f"--LabApp.default_url={_url(notebook)}",  # what the browser opens
        "--ServerApp.answer_yes=True",  # Ctrl-C means it
        "--Application.log_level=WARN",
    ]
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    return [*command, *more]


def _environment(folder: Path, token: str) -> dict[str, str]:
    """The child's environment: the token, and a folder with SETTINGS.

    The token is not in the command line, which every user of the machine can read (ps).
    """
    settings = folder / "labconfig" / "default_setting_overrides.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps(SETTINGS))
    path = os.pathsep.join(filter(None, [os.environ.get("JUPYTER_CONFIG_PATH"), str(folder)]))
    return {**os.environ, "JUPYTER_TOKEN": token, "JUPYTER_CONFIG_PATH": path}


def _came_up(child: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until JupyterLab can be reached; False if it ended instead."""
    while child.poll() is None:
        try:
            sockets.connect(("localhost", port), timeout=1).close()
            if _listens(child.pid, port):
                return True
        except OSError:
            pass
        sleep(0.1)
    return False


def _listens(pid: int, port: int) -> bool:
    """Whether this process or a descendant listens there: another may have been quicker. In a venv on
    Windows, python.exe only starts the Python that does it."""
    try:
        first = psutil.Process(pid)
        tree = [first, *first.children(recursive=True)]
        connections = [one for process in tree for one in process.net_connections("tcp")]
    except psutil.Error:  # it has ended; or we may not look, and believe it
        return bool(psutil.pid_exists(pid))
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End JupyterLab. A typed Ctrl-C has reached it already; a signal sent to this process has not."""
    if os.name != "nt":  # on Windows this would kill it, and leave its kernels behind
        child.terminate()
    while True:
        try:
            child.wait(SHUTDOWN)
            return
        except KeyboardInterrupt:
            continue  # it is ending
        except subprocess.TimeoutExpired:
            child.kill()
