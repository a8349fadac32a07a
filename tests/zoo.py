"""The zoo: chat servers as students write them, right ones in six ways, wrong ones with a fault each."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from faults import FAULTS, Fault
from programs import PATIENCE
from support import need

HERE = Path(__file__).parent / "conformance/zoo"

PYTHON = ("two_lists.py", "tcp_server.py", "streams.py", "one_loop.py")
OTHERS = ("node.js", "poll.c")

FORMS = ("{name}: {text}", "[{name}] {text}", "{text}")
"""In which a server passes on what one says."""

FRAMINGS = ("lines", "raw")


def right(name: str, folder: Path, framing: str = "lines", form: str = FORMS[0]) -> list[str]:
    """The command that starts a right server, written to this folder; the test is skipped if none can."""
    return _command(name, _spoken((HERE / name).read_text(encoding="utf-8"), framing, form), folder)


def wrong(fault: Fault, folder: Path, framing: str = "lines", form: str = FORMS[0]) -> list[str]:
    """The command that starts a server with this fault, written to this folder."""
    source = (HERE / PYTHON[0]).read_text(encoding="utf-8")
    for old, new in fault.changes:
        if source.count(old) != 1:
            raise ValueError(f"{fault.name}: {old!r} stands {source.count(old)} times in the right server")
        source = source.replace(old, new)
    return _command(PYTHON[0], _spoken(source, framing, form), folder)


def missed(fault: Fault, framing: str, form: str) -> frozenset[int] | None:
    """The numbers of the behaviours that are ✗; None: in this dialect there is no such fault."""
    found = fault.missed if framing == "lines" else fault.raw
    if found is None or (3 in found and form != FORMS[0]):
        return None
    return found if form == FORMS[0] else found | {3}


def called(name: str) -> Fault:
    """The fault of this name."""
    return next(fault for fault in FAULTS if fault.name == name)


def _spoken(source: str, framing: str, form: str) -> str:
    """The same server in another dialect."""
    in_bytes = form.replace("{name}", "%(name)b").replace("{text}", "%(text)b")
    return (
        source.replace('FRAMING = "lines"', f'FRAMING = "{framing}"', 1)
        .replace(f'"{FORMS[0]}"', f'"{form}"', 1)
        .replace('b"%(name)b: %(text)b"', f'b"{in_bytes}"', 1)
    )


def _command(name: str, source: str, folder: Path) -> list[str]:
    file = folder / name
    file.write_text(source, encoding="utf-8")
    if name.endswith(".js"):
        need(shutil.which("node"), "node, for a chat server in JavaScript")
        return ["node", str(file)]
    if name.endswith(".c"):
        need(sys.platform == "linux" and shutil.which("gcc"), "gcc, for a chat server in C")
        subprocess.run(["gcc", "-O1", "-o", str(folder / "poll"), str(file)], check=True, timeout=PATIENCE)
        return [str(folder / "poll")]
    return [sys.executable, str(file)]
