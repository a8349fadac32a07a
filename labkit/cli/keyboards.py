"""Keyboards: where the lines come from that are said, and where those that are heard are shown.

- `TerminalKeyboard`, a user at a terminal: prompt_toolkit keeps what is typed apart from what arrives.
- `PipeKeyboard`, a file or a program, as in `printf 'alice\\nhello\\n' | python -m labkit join`.

Three threads use a keyboard: the main one asks for lines, another shows lines, and any may interrupt the
asking. prompt_toolkit is imported only when a TerminalKeyboard is made.
"""

from __future__ import annotations

import atexit
import codecs
import os
import queue
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from labkit.cli.console import lose_output, print_error, print_heard
from labkit.cli.display import whole
from labkit.wire.framing import LineFraming, TooLong

if TYPE_CHECKING:
    import asyncio

    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyBindings

NOT_EMPTY = "# Ctrl-D leaves when nothing is typed; Ctrl-C leaves at once"

LONGEST = 1 << 20
"""Bytes of the longest line read from a pipe. The server refuses far shorter ones itself."""

LOOK_AROUND = 0.5
"""Seconds between two looks of a main thread that waits. On Windows, Ctrl-C is noticed only then."""


class Interrupted(Exception):
    """There is nothing left to ask for, although the input has not ended."""


class Keyboard(Protocol):
    """Where lines come from, and where those that are heard are shown."""

    interactive: bool  # whether a user sits there, who can be asked again
    status: int  # the exit status, for what came of showing lines: 1 if nothing takes them any more

    def ask(self, prompt: str) -> str | None:
        """The next line; None when there are no more. Raises Interrupted after `interrupt`."""

    def ask_secretly(self, prompt: str) -> str | None:
        """As `ask`, for a password: what is typed is neither shown nor kept in the history."""

    def show(self, line: str) -> None:
        """Print a line; from any thread."""

    def interrupt(self) -> None:
        """Have `ask` raise Interrupted, at once if it waits; from any thread."""

    def close(self) -> None:
        """Restore the terminal, and print what was not printed yet. Must be called in the end."""


class PipeKeyboard:
    """Lines from a file or another program, one at a time; what is heard goes to standard output."""

    interactive = False

    def __init__(self) -> None:
        self.status = 0
        self._happened: queue.SimpleQueue[str | Interrupted | None] = queue.SimpleQueue()
        self._more = threading.Semaphore(0)
        threading.Thread(target=self._read, name="labkit-stdin", daemon=True).start()

    def ask(self, prompt: str) -> str | None:
        while True:
            try:
                what = self._happened.get(timeout=LOOK_AROUND)
            except queue.Empty:
                continue
            if isinstance(what, Interrupted):
                raise what
            self._more.release()
            return what

    def ask_secretly(self, prompt: str) -> str | None:
        return self.ask(prompt)  # there is no screen

    def show(self, line: str) -> None:
        try:
            print_heard(line)
        except OSError as error:
            self.status = lose_output(error)
            self.interrupt()

    def interrupt(self) -> None:
        self._happened.put(Interrupted())

    def close(self) -> None:
        pass  # `show` has printed everything

    def _read(self) -> None:
        """Runs in a thread of its own, which may wait for a line that never comes."""
        for line in _lines_of_stdin():
            if isinstance(line, TooLong):
                print_error(f"a line of more than {line.limit} bytes was not sent")
            else:
                self._happened.put(line)
                self._more.acquire()
        self._happened.put(None)


def _lines_of_stdin() -> Iterator[str | TooLong]:
    """The lines of standard input, cut as on the wire.

    Not through `sys.stdin`: Python cannot end in peace while a thread waits in there.
    """
    framing = LineFraming(LONGEST)
    if sys.stdin is None:  # closed, and its number may be a socket's by now
        return
    decoder = codecs.getincrementaldecoder(_encoding())("replace")
    with suppress(OSError):  # such as a terminal that is gone
        while data := os.read(sys.stdin.fileno(), 65536):
            yield from framing.feed(decoder.decode(data).encode())
    # The last line may lack its end.
    yield from framing.feed(decoder.decode(b"", final=True).encode() + b"\n")


def _encoding() -> str:
    """What standard input is written in. Where it is said to be ASCII and is not, it is likely UTF-8."""
    name = codecs.lookup(sys.stdin.encoding).name
    return "utf-8" if name == "ascii" else name


class TerminalKeyboard:
    """A user at a terminal: what arrives is printed above the line being typed, never into it.

    `below` gives the text of the bar at the bottom of the screen; with none there is no bar. On a terminal
    that cannot move its cursor (TERM=dumb) nothing is drawn: what is typed is echoed, and written once more
    after a line that arrives.
    """

    interactive = True

    def __init__(self, below: Callable[[], str]) -> None:
        import asyncio

        from prompt_toolkit import PromptSession
        from prompt_toolkit.output import DummyOutput
        from prompt_toolkit.utils import is_dumb_terminal

        self.status = 0
        self._below = below
        self._dumb = is_dumb_terminal()
        self._session: PromptSession[str] = PromptSession(
            enable_suspend=True, key_bindings=self._keys(), output=DummyOutput() if self._dumb else None
        )
        # One event loop for all prompts: what is to be printed waits in it from one prompt to the next.
        self._runner = asyncio.Runner()
        self._loop = self._runner.get_loop()
        self._loop.set_exception_handler(self._failed)
        self._asking: asyncio.Task[str | None] | None = None
        self._interrupted = False
        self._pasted: deque[str] = deque()  # lines that came in one paste and are to be said one by one
        self._unprinted: deque[str] = deque()
        self._echoed = ""  # on a dumb terminal: the row being typed, with its prompt; "" between two
        with suppress(AttributeError, NotImplementedError):  # Windows
            self._loop.add_signal_handler(signal.SIGCONT, self._resume)
        # Raw between two prompts, too: a key is kept for the next, without echo, and Ctrl-D is not lost.
        self._raw_mode = ExitStack()
        atexit.register(self._raw_mode.close)  # whatever happens before `close`
        raw_mode = self._session.input.raw_mode()
        self._raw_mode.push(raw_mode)
        raw_mode.__enter__()

    def _keys(self) -> KeyBindings:
        from prompt_toolkit.application import get_app
        from prompt_toolkit.filters import Condition
        from prompt_toolkit.key_binding import KeyBindings

        def at_the_end() -> bool:
            typed = get_app().current_buffer.document
            return bool(typed.text) and typed.is_cursor_at_the_end

        keys = KeyBindings()
        keys.add("c-d", filter=Condition(at_the_end))(lambda _: self.show(NOT_EMPTY))
        return keys

    def ask(self, prompt: str) -> str | None:
        if not self._pasted:
            typed = self._runner.run(self._ask(prompt, self._session))
            if typed is None:
                return None
            self._pasted.extend(typed.split("\n"))
        return self._pasted.popleft()

    def ask_secretly(self, prompt: str) -> str | None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.history import DummyHistory

        # A session of its own: the other's history would show the password at the next arrow up.
        session: PromptSession[str] = PromptSession(
            history=DummyHistory(),
            is_password=True,
            enable_suspend=True,
            key_bindings=self._session.key_bindings,
            input=self._session.input,
            output=self._session.output,
        )
        typed = self._runner.run(self._ask(prompt, session))
        return typed and typed.split("\n")[0]

    async def _ask(self, prompt: str, session: PromptSession[str]) -> str | None:
        import asyncio

        self._print()
        self._asking = asyncio.create_task(self._prompt(prompt, session))
        if self._interrupted:
            self._asking.cancel()
        try:
            return await self._asking
        except asyncio.CancelledError:
            if self._interrupted:
                raise Interrupted from None
            raise  # a signal
        finally:
            self._asking = None

    async def _prompt(self, prompt: str, session: PromptSession[str]) -> str | None:
        try:
            bar = self._below if self._below() else None
            with self._echo(prompt, session):
                typed = await session.prompt_async(prompt, bottom_toolbar=bar, set_exception_handler=False)
        except (EOFError, KeyboardInterrupt):  # Ctrl-D, Ctrl-C
            return None
        except OSError as error:
            self._lose(error)
            return None
        return whole(typed)

    @contextmanager
    def _echo(self, prompt: str, session: PromptSession[str]) -> Iterator[None]:
        """On a dumb terminal: write what is typed, and once more on a row of its own when it is changed."""

        def echo(_: object) -> None:
            row = prompt + ("" if session.is_password else session.default_buffer.text)
            _write(row[len(self._echoed) :] if row.startswith(self._echoed) else f"\n{row}")
            self._echoed = row

        if not self._dumb:
            yield
            return
        session.default_buffer.reset()  # it holds the line before
        session.default_buffer.on_text_changed += echo
        echo(None)
        try:
            yield
        finally:
            session.default_buffer.on_text_changed -= echo
            self._echoed = ""
            _write("\n")

    def show(self, line: str) -> None:
        self._unprinted.append(line)
        self._call(self._print)

    def interrupt(self) -> None:
        self._interrupted = True
        self._call(self._stop_asking)

    def close(self) -> None:
        try:
            self._runner.close()
        finally:
            self._raw_mode.close()
        self._print()

    # --- in the event loop's thread, which is the main one ---

    def _stop_asking(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    def _resume(self) -> None:
        """It was stopped, and goes on (Ctrl-Z, fg): the shell has had the terminal, and written on it."""
        self._set_aside(self._session.input.raw_mode().__enter__)

    def _print(self) -> None:
        if self._unprinted:
            self._set_aside(self._print_all)

    def _print_all(self) -> None:
        while self._unprinted:
            print_heard(self._unprinted.popleft())

    def _set_aside(self, meanwhile: Callable[[], object]) -> None:
        """What is being typed makes room for what is done meanwhile, and stands below it then.

        Unlike prompt_toolkit's run_in_terminal this never leaves the raw mode: a key that is pressed now is
        a key, too, and Ctrl-D is not lost.
        """
        from prompt_toolkit.application import get_app_or_none

        app = get_app_or_none()
        try:
            if app:
                app.renderer.erase()
            _write(self._echoed and "\n")
            meanwhile()
            _write(self._echoed)
            if app:
                app.renderer.request_absolute_cursor_position()  # the bar is at the bottom
                app.invalidate()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        """The terminal is gone."""
        self.status = self.status or lose_output(error)
        self.interrupt()

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self.status:  # what prompt_toolkit stumbles over without a terminal needs no telling
            loop.default_exception_handler(context)

    def _call(self, what: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: `close` prints what is left
            self._loop.call_soon_threadsafe(what)


def _write(text: str) -> None:
    """Write a part of a row."""
    print(text, end="", flush=True)
