"""`serve`, and two who `join` it on pipes, as one types them: for a system on which few tests can run.

    python tests/tools/serve_and_join.py

Exit status 0: each heard what the other said, and each left by itself. The server is ended then.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import threading

LIMIT = 300.0
"""Seconds after which all three are ended, whatever they do: a hundred times what they need."""


def started(*words: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "labkit", *words]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8")


def until(program: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The first line of what it prints that has this in it."""
    assert program.stdout
    for line in program.stdout:
        print(line, end="", flush=True)
        if found := re.search(pattern, line):
            return found
    raise SystemExit(f"no {pattern!r}: {program.args!r} ended")


def says(program: subprocess.Popen[str], text: str) -> None:
    assert program.stdin
    program.stdin.write(f"{text}\n")
    program.stdin.flush()


def main() -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):  # a console may not have the letters
        sys.stdout.reconfigure(errors="replace")
    programs = [started("serve", "--port", "0")]

    def end() -> None:
        for program in programs:
            program.kill()

    timer = threading.Timer(LIMIT, end)
    timer.start()
    try:
        port = until(programs[0], r"--port (\d+)")[1]
        alice = started("join", "--host", "127.0.0.1", "--port", port)  # asks for the nickname
        programs.append(alice)
        says(alice, "alice")
        until(alice, r"you are alice")
        bob = started("join", "--host", "127.0.0.1", "--port", port, "bob")
        programs.append(bob)
        until(alice, r"bob joined")
        says(alice, "привет")
        until(bob, r"alice: привет")
        says(bob, "hello")
        until(alice, r"bob: hello")
        for leaver in (bob, alice):
            assert leaver.stdin
            leaver.stdin.close()
            assert leaver.wait() == 0, leaver.args
    finally:
        timer.cancel()
        end()
        for program in programs:
            program.wait()


if __name__ == "__main__":
    main()
