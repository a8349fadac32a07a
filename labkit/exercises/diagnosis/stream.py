"""Rules about sockets: bytes and text, lines, ends, and threads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from labkit.exercises.diagnosis.code import Code, Failed, Finding, Rule, calls, last, own, text

CONCURRENT = (
    "Thread", "Executor", "asyncio", "select", "poll", "socketserver", "start_new_thread", "Process",
    "fork", "Timer", "trio", "gevent", "concurrent",
)  # fmt: skip
"""One of these stands in each server that does two things at once."""

READERS = ("readline", "makefile", "splitlines", "StreamReader", "StreamRequestHandler")
"""What looks for the end of a line by itself."""


def received(code: Code) -> set[str]:
    """The names that hold what a recv returned."""
    found = set()
    for node in code.all(ast.Assign, ast.NamedExpr):
        if calls(node.value, "recv", "recv_into", "read"):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {last(target) for target in targets}
    return found - {""}


def _is_received(node: ast.AST, names: set[str]) -> bool:
    node = node.value if isinstance(node, ast.NamedExpr) else node
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
            if "b" not in mode and "w" not in mode:
                words = (
                    f"`{text(call)}` decodes strictly: a byte that is no UTF-8 raises. Add errors='replace'"
                )
                yield Finding("makefile decodes strictly", call.lineno, words)


PIECES = re.compile(r"piece|cut|each line|a line")


def recv_is_a_message(code: Code, failed: Failed) -> Iterator[Finding]:
    receives = next((call for call in code.all(ast.Call) if calls(call, "recv")), None)
    if receives is None or not PIECES.search(failed.step) or 'b"\\n"' not in code.answer:
        return
    if code.mentions(*READERS) or looks_for_lf(code):
        return
    words = "one recv is taken for one message: nothing looks for the LF. It may bring half a line, or two"
    yield Finding("a recv is a message", receives.lineno, words)


def looks_for_lf(code: Code) -> bool:
    """Whether a newline stands where something may look for it, not only where it is added or stripped."""
    for constant in code.all(ast.Constant):
        if constant.value in ("\n", b"\n", 10) and not isinstance(constant.value, bool):
            user = code.parents.get(constant)
            adds = isinstance(user, ast.BinOp)
            strips = isinstance(user, ast.Call) and last(user.func) in (
                "strip", "rstrip", "removesuffix", "replace", "send", "sendall", "recv",
            )  # fmt: skip
            if not (adds or strips or isinstance(user, ast.keyword)):
                return True
    return False


def forgets_the_rest(code: Code, failed: Failed) -> Iterator[Finding]:
    """What one recv brought is cut by itself: what follows its last LF is taken for a line, or lost."""
    if not PIECES.search(failed.step):
        return
    names = received(code)
    if "feed" in code.entries:
        names |= {a.arg for a in code.entries["feed"].args.args[1:2]}
    joined = {
        side.id
        for node in code.all(ast.BinOp)
        for side in (node.left, node.right)
        if isinstance(side, ast.Name)
    }
    joined |= {last(node.value) for node in code.all(ast.AugAssign)}
    for call in code.all(ast.Call):
        if not (isinstance(call.func, ast.Attribute) and call.func.attr in ("split", "splitlines")):
            continue
        source = call.func.value
        while isinstance(source, ast.Call) and isinstance(source.func, ast.Attribute):
            source = source.func.value  # data.decode().split
        if isinstance(source, ast.Name) and source.id in names - joined:
            words = f"`{text(call)}`: what follows the last LF is half a line. Keep it for the next recv"
            yield Finding("half a line is taken for one", call.lineno, words)


def keeps_line_end(code: Code, failed: Failed) -> Iterator[Finding]:
    """readline gives a line with its LF, and nothing here takes it off."""
    reads = next((call for call in code.all(ast.Call) if calls(call, "readline")), None)
    cuts = ("strip(", "removesuffix(", "split", "[:-", "partition(", "replace(", "readline()[")
    kept = re.search(r"white space|\\n\\n|(hear|show)\(.*\\n", failed.seen)
    if reads is not None and kept and not code.mentions(*cuts):
        words = "readline returns the line with its LF, and nothing takes that off: .removesuffix(b'\\n')"
        yield Finding("the LF is kept", reads.lineno, words)


def short_timeout(code: Code, failed: Failed) -> Iterator[Finding]:
    if not failed.tells("vanished", "handle_client returned", "then FIN", "then RST", "TimeoutError"):
        return
    if code.mentions("TimeoutError", "BlockingIOError", "socket.timeout", "select"):
        return
    for call in code.all(ast.Call):
        if calls(call, "settimeout", "setblocking") and call.args:
            value = call.args[0]
            if isinstance(value, ast.Constant) and value.value not in (None, True):
                words = f"`{text(call)}`: one who is silent for so long raises, for a timeout is an OSError"
                yield Finding("a timeout ends the silent", call.lineno, words)


def thread_not_started(code: Code, failed: Failed) -> Iterator[Finding]:
    if code.mentions(".run()"):
        return
    started = {text(call.func.value) for call in code.all(ast.Call) if isinstance(call.func, ast.Attribute)
               and call.func.attr == "start"}  # fmt: skip
    for statement in code.all(ast.Assign):
        if not calls(statement.value, "Thread"):
            continue
        names = {text(target) for target in statement.targets}
        if not names & started and not any("." not in name for name in started):
            words = f"`{text(statement.targets[0])}` is made, and never started: .start()"
            yield Finding("a thread is not started", statement.lineno, words)
    for expression in code.all(ast.Expr):
        if calls(expression.value, "Thread"):
            yield Finding(
                "a thread is not started",
                expression.lineno,
                "this thread is made, and not started: .start()",
            )


def serves_in_the_loop(code: Code, failed: Failed) -> Iterator[Finding]:
    """What reads from one client is called by the loop that accepts."""
    for loop in code.all(ast.While):
        accepts = [s for s in own(loop) if isinstance(s, ast.Assign) and calls(s.value, "accept")]
        sockets = {n.id for s in accepts for t in s.targets for n in ast.walk(t) if isinstance(n, ast.Name)}
        for call in (node for node in own(loop) if isinstance(node, ast.Call)):
            called = code.functions.get(last(call.func))
            given = {argument.id for argument in call.args if isinstance(argument, ast.Name)}
            if called is not None and given & sockets and _reads(code, called, set()):
                words = f"`{text(call)}` serves one client, and the next one waits for it. Give it a thread"
                yield Finding("serves in the loop that accepts", call.lineno, words)


def _reads(code: Code, function: ast.AST, seen: set[str]) -> bool:
    """Whether it waits for what a client says, itself or in what it calls."""
    for node in own(function):
        if (
            calls(node, "recv", "readline", "recv_into")
            or isinstance(node, ast.For)
            and calls(node.iter, "makefile")
        ):
            return True
        name = last(node.func) if isinstance(node, ast.Call) else ""
        if name in code.functions and name not in seen:
            seen.add(name)
            if _reads(code, code.functions[name], seen):
                return True
    return False


def file_keeps_it_open(code: Code, failed: Failed) -> Iterator[Finding]:
    if not re.search("no FIN|still open|not closed|keeps .*open", failed.seen):
        return
    in_with = {id(item.context_expr) for block in code.all(ast.With) for item in block.items}
    for call in code.all(ast.Call):
        if not calls(call, "makefile") or id(call) in in_with:
            continue
        parent = code.parents.get(call)
        if not isinstance(parent, ast.Assign):
            continue
        name = last(parent.targets[0])
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


def line_end(code: Code, failed: Failed) -> Iterator[Finding]:
    """What was to come has come, but for its LF; or with one that it should not have."""
    expected, _, seen = failed.text.partition("\0")
    expected = expected.partition(" from feed(")[0]
    for words in re.findall(r"'([^']*)\\n'", expected):
        if words and f"{words}'" in seen and f"{words}\\n" not in seen:
            told = f"'{words}' came without its LF: who reads lines waits for it. Send b'…\\n'"
            yield Finding("the LF is missing", 0, told)
            return
    for words in re.findall(r"(?<!b)'([^'\\]+)'", expected):
        if re.search(rf"(?<![\w\"])b'{re.escape(words)}", seen):
            told = f"b'{words}' is bytes, and text is wanted: .decode('utf-8', 'replace')"
            yield Finding("bytes for text", 0, told)
            return
        for end, called in (("\\r\\n", "CR and LF"), ("\\n", "LF"), ("\\r", "CR")):
            if f"'{words}{end}'" in seen:
                yield Finding(
                    f"the {called} is kept", 0, f"'{words}{end}': the {called} at its end is still there"
                )
                return


RULES: tuple[Rule, ...] = (
    line_end, bytes_and_text, text_of_bytes, recv_is_a_message, forgets_the_rest, decodes_pieces,
    strict_file, keeps_line_end, serves_in_the_loop, thread_not_started, file_keeps_it_open,
    no_thread, short_timeout,
)  # fmt: skip
