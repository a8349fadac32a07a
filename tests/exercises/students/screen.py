"""Answers to `screen` as students write them: right ones in many styles, and wrong ones."""

from labkit.exercises.exercise import Wrong

RIGHT = {
    "selectors": r"""
import selectors
def show_lines(server, show):
    sel = selectors.DefaultSelector()
    sel.register(server, selectors.EVENT_READ)
    buf = b""
    while sel.select():
        try:
            chunk = server.recv(65536)
        except OSError as e:
            break
        if len(chunk) == 0:
            break
        buf = buf + chunk
        parts = buf.split(b"\n")
        buf = parts.pop()
        for p in parts:
            if p == b"nickname":
                pass
            else:
                show(p.decode("utf-8", "replace"))
    sel.close()
""",
    "a thread and a queue": r"""
import queue
import threading


def show_lines(server, show):
    lines = queue.Queue()

    def read():
        rest = b""
        try:
            while True:
                data = server.recv(1024)
                if not data:
                    break
                rest += data
                while b"\n" in rest:
                    line, rest = rest.split(b"\n", 1)
                    lines.put(line)
        except ConnectionResetError:
            pass
        finally:
            lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while (line := lines.get()) is not None:
        if line != b"nickname":
            show(line.decode("utf-8", errors="replace"))
""",
    "a text file that cuts at LF alone, and a closed socket": r"""
def show_lines(server, show):
    try:
        with server, server.makefile("r", encoding="utf-8", errors="replace", newline="\n") as f:
            while line := f.readline():
                if line != "nickname\n":
                    show(line[:-1])
    except OSError:
        return None
""",
}

WRONG = [
    Wrong(
        "a text file cuts at CR, too",
        "every line is whole, however recv cuts or glues them",
        source=r"""
        def show_lines(server, show):
            try:
                for line in server.makefile(encoding="utf-8"):
                    if line != "nickname\n":
                        show(line.rstrip("\n"))
            except OSError:
                pass
        """,
        clue="only LF",
    ),
    Wrong(
        "strips CR as well as LF",
        "a line that comes is shown, without its LF",
        (('line.decode("utf-8", "replace")', 'line.decode("utf-8", "replace").rstrip()'),),
        clue="stripped",
    ),
    Wrong(
        "prints instead of showing",
        "a line that comes is shown, without its LF",
        (("show(line.decode", "print(line.decode"),),
        clue="not shown",
    ),
    Wrong(
        "ends at an empty line",
        "a line that comes is shown, without its LF",
        (
            (
                "        for line in lines:\n",
                "        for line in lines:\n            if not line:\n                return\n",
            ),
        ),
        clue="too early",
    ),
    Wrong(
        "only the first request is kept from the user",
        "the server's request is not shown, and all other lines are",
        (
            ('    kept = b""\n', '    kept = b""\n    asked = False\n'),
            (
                '            if line != b"nickname":\n',
                '            if line == b"nickname" and not asked:\n                asked = True\n'
                "            else:\n",
            ),
        ),
        clue="request",
    ),
]  # fmt: skip
