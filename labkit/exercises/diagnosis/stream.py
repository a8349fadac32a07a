"""Rules about sockets: bytes and text, lines, ends, and threads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from labkit.exercises.diagnosis.code import Code, Failed, Finding, Rule, calls, last, text

CONCURRENT = (
    "Thread", "Executor", "asyncio", "select", "poll", "socketserver", "start_new_thread", "Process",
    "fork", "Timer", "trio", "gevent", "concurrent",
)  # fmt: skip
"""One of these stands in each server that does two things at once."""

LINES = ("\\n", "readline", "makefile", "splitlines", "10", "\\x0a", "StreamReader", "StreamRequestHandler")
"""One of these stands in all code that looks for the end of a line."""


def received(code: Code) -> set[str]:
    """The names that hold what a recv returned."""
    found = set()
    for node in code.all(ast.Assign, ast.NamedExpr):
        if calls(node.value, "recv", "recv_into", "read"):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {last(target) for target in targets}
    return found - {""}


def _is_received(node: ast.AST, names: set[str]) -> bool:
    return (isinstance(node, ast.Name) and node.id in names) or calls(node, "recv")


def bytes_and_text(code: Code, failed: Failed) -> Iterator[Finding]:
    """What recv returned is compared with what it never is."""
    names = received(code)
    for node in code.all(ast.Compare):
        sides = [node.left, *node.comparators]
        if not any(_is_received(side, names) for side in sides):
            continue
        for side in sides:
            value = side.value if isinstance(side, ast.Constant) else ...
            if isinstance(value, str):
                words = f"`{text(node)}` is never true: recv returns bytes, and b{value!r} is not {value!r}"
                yield Finding("bytes compared with str", node.lineno, words)
            elif value is None:
                words = f"`{text(node)}`: recv never returns None. At the end of the stream it returns b''"
                yield Finding("recv compared with None", node.lineno, words)


def text_of_bytes(code: Code, failed: Failed) -> Iterator[Finding]:
    """str() of bytes, or bytes in an f-string."""
    if not re.search(r"""b\\?['"]""", failed.text):
        return
    names = received(code) | {"data", "line", "message", "msg"}
    for call in code.all(ast.Call):
        if (
            calls(call, "str")
            and len(call.args) == 1
            and not call.keywords
            and _is_received(call.args[0], names)
        ):
            words = (
                f"`{text(call)}` of bytes shows them as Python writes them, with b'…' around. Use .decode()"
            )
            yield Finding("str() of bytes", call.lineno, words)
    for part in code.all(ast.FormattedValue):
        if _is_received(part.value, received(code)):
            words = f"`{{{text(part.value)}}}` is bytes, and comes out with b'…' around. Decode it first"
            yield Finding("bytes in an f-string", part.lineno, words)


def decodes_pieces(code: Code, failed: Failed) -> Iterator[Finding]:
    if not failed.tells("\ufffd", "\\ufffd", "UnicodeDecodeError", "UTF-8", "two by recv", "cut"):
        return
    names = received(code)
    if "feed" in code.entries:
        names |= {a.arg for a in code.entries["feed"].args.args[1:2]}
    name = "decodes before it cuts"
    why = (
        "a piece may end in the middle of a letter. Keep bytes, cut them at b'\\n', and decode whole lines"
    )
    for call in code.all(ast.Call):
        decodes = isinstance(call.func, ast.Attribute) and call.func.attr == "decode"
        if decodes and isinstance(call.func, ast.Attribute) and _is_received(call.func.value, names):
            yield Finding(name, call.lineno, f"`{text(call)}` decodes what one recv returned: {why}")


def strict_file(code: Code, failed: Failed) -> Iterator[Finding]:
    """A text file made of a socket dies of what is not UTF-8."""
    if not failed.tells("UnicodeDecodeError", "UTF-8"):
        return
    for call in code.all(ast.Call):
        if calls(call, "makefile") and not any(keyword.arg == "errors" for keyword in call.keywords):
            mode = next((text(argument) for argument in call.args), "'r'")
            if "b" not in mode:
                words = (
                    f"`{text(call)}` decodes strictly: a byte that is no UTF-8 raises. Add errors='replace'"
                )
                yield Finding("makefile decodes strictly", call.lineno, words)


def recv_is_a_message(code: Code, failed: Failed) -> Iterator[Finding]:
    if not re.search(r"piece|cut|each line|a line", failed.step):
        return
    receives = next((call for call in code.all(ast.Call) if calls(call, "recv")), None)
    if receives is not None and not code.mentions(*LINES):
        words = (
            "one recv is taken for one message: nothing looks for the LF. It may bring half a line, or two"
        )
        yield Finding("a recv is a message", receives.lineno, words)


def file_keeps_it_open(code: Code, failed: Failed) -> Iterator[Finding]:
    if not failed.tells("FIN", "open", "closed", "close"):
        return
    in_with = {id(item.context_expr) for block in code.all(ast.With) for item in block.items}
    for call in code.all(ast.Call):
        if not calls(call, "makefile") or id(call) in in_with:
            continue
        parent = code.parents.get(call)
        name = last(parent.targets[0]) if isinstance(parent, ast.Assign) else ""
        if name and (
            code.mentions(f"{name}.close(")
            or any(last(item.context_expr) == name for block in code.all(ast.With) for item in block.items)
        ):
            continue
        words = (
            "a socket that is closed stays open as long as a file made of it is. Close the file, too: "
            f"with client, {text(call)} as file:"
        )
        yield Finding("makefile keeps the socket open", call.lineno, words)


def no_thread(code: Code, failed: Failed) -> Iterator[Finding]:
    if "Thread(" not in code.answer or code.mentions(*CONCURRENT):
        return
    if failed.stuck or failed.tells("nothing", "not asked", "refused"):
        line = code.wanted.lineno if code.wanted else 0
        words = "there is no thread here: while it waits for one client, nothing else is done"
        yield Finding("no thread at all", line, words)


def sends_text(code: Code, failed: Failed) -> Iterator[Finding]:
    if not failed.tells("a bytes-like object is required"):
        return
    for call in code.all(ast.Call):
        if calls(call, "send", "sendall") and call.args and _is_text(call.args[0]):
            words = f"`{text(call)}`: a socket takes bytes. Encode the text: .encode()"
            yield Finding("sends a str", call.lineno, words)


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right)
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def line_end(code: Code, failed: Failed) -> Iterator[Finding]:
    """What was to come has come, but for its LF; or with one that it should not have."""
    expected, _, seen = failed.text.partition("\0")
    for words in re.findall(r"'([^']*)\\n'", expected):
        if words and f"{words}'" in seen and f"{words}\\n" not in seen:
            told = f"'{words}' came without its LF: who reads lines waits for it. Send b'…\\n'"
            yield Finding("the LF is missing", 0, told)
            return
    for words in re.findall(r"'([^'\\]+)'", expected):
        for end, called in (("\\r\\n", "CR and LF"), ("\\n", "LF"), ("\\r", "CR")):
            if f"'{words}{end}'" in seen:
                yield Finding(
                    f"the {called} is kept", 0, f"'{words}{end}': the {called} at its end is still there"
                )
                return


RULES: tuple[Rule, ...] = (
    line_end, bytes_and_text, text_of_bytes, decodes_pieces, strict_file, recv_is_a_message, sends_text,
    file_keeps_it_open, no_thread,
)  # fmt: skip
