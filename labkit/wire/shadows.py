"""Why an import failed, if a file beside the user's own has the name of one of Python's modules.

Python looks into the folder of the script, or the current one, before its own: a `socket.py` there is what
`import socket` finds, in labkit too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

NAMES = sys.stdlib_module_names - {"test"}  # a usual name, and nothing needs Python's own


def shadow(error: BaseException) -> str:
    """In one line which file hides which module of Python's, if `error` comes of that; or else ""."""
    hiding = _hiding()
    seen: set[int] = set()
    while error and id(error) not in seen and hiding:
        seen.add(id(error))
        for module, file in _involved(error):
            if hiding.get(module) == os.path.realpath(file):
                return _told(module, file)
        error = error.__cause__ or error.__context__  # type: ignore[assignment]  # None ends the loop
    return ""


def shadow_in_use() -> str:
    """The same, of what labkit's modules have imported: an empty `socket.py` fails only when it is used."""
    own = os.path.dirname(os.__file__)
    for name, module in list(sys.modules.items()):
        if name.startswith("labkit."):
            for used in vars(module).values():
                file = getattr(used, "__file__", None) if isinstance(used, type(sys)) else None
                if file and used.__name__ in NAMES and file.endswith(".py") and not file.startswith(own):
                    if _hiding().get(used.__name__) == os.path.realpath(file):
                        return _told(used.__name__, file)
    return ""


def _told(module: str, file: str) -> str:
    return f"{file} hides Python's own module {module}: rename it"


def _hiding() -> dict[str, str]:
    """Which module is hidden by which file, of those that stand before Python's own."""
    own = os.path.realpath(os.path.dirname(os.__file__))
    hiding: dict[str, str] = {}
    for folder in map(os.path.realpath, sys.path):
        if folder == own:
            break
        names = os.listdir(folder) if os.path.isdir(folder) and os.access(folder, os.R_OK) else ()
        for name in NAMES.intersection(entry.removesuffix(".py") for entry in names):
            for file in (os.path.join(folder, name, "__init__.py"), os.path.join(folder, f"{name}.py")):
                if os.path.isfile(file):
                    hiding.setdefault(name, file)
    return hiding


def _involved(error: BaseException) -> Iterator[tuple[str, str]]:
    """The modules, each with its file, in which the error arose, or of which it speaks."""
    step = error.__traceback__
    while step:
        yield step.tb_frame.f_globals.get("__name__") or "", step.tb_frame.f_code.co_filename
        step = step.tb_next
    if isinstance(error, SyntaxError) and error.filename:
        yield os.path.basename(error.filename).removesuffix(".py"), error.filename
    about = [getattr(error, "obj", None)] if isinstance(error, AttributeError) else []
    if isinstance(error, ImportError) and error.name:
        about.append(sys.modules.get(error.name.partition(".")[0]))
    for module in about:
        if isinstance(module, type(sys)):
            yield module.__name__, getattr(module, "__file__", None) or ""
