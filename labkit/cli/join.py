"""python -m labkit join: chat in a terminal. What is typed is said, what is heard is printed.

As in the assignment, the main thread reads the keyboard and sends. Another thread prints what the client's
receiving thread has heard. When the connection ends, so does the program, even in the middle of a line;
with several servers the client goes to the next one by itself, and its `# …` lines say so.
"""

from __future__ import annotations

import argparse
import sys
import threading
from contextlib import suppress
from time import sleep

from labkit.cli import options as take
from labkit.cli.console import is_terminal, print_error
from labkit.cli.display import whole
from labkit.cli.keyboards import Interrupted, Keyboard, PipeKeyboard, TerminalKeyboard
from labkit.client import (
    GONE,
    JOINING,
    ChatClient,
    ComingBack,
    ConnectionEnded,
    NicknameRefused,
    PasswordNeeded,
    WrongPassword,
)
from labkit.server import PORT
from labkit.wire.addresses import place
from labkit.wire.framing import FRAMINGS, RAW
from labkit.wire.messages import Quit, from_client

DETAILS = (
    "Ctrl-D leaves; Ctrl-Z suspends it. On a pipe every line is said, the first one being the nickname if "
    "none is given: printf 'alice\\nhello\\n' | python -m labkit join"
)

RAW_PAUSE = 0.2
"""Seconds between two messages in the raw dialect, where nothing but time keeps them apart."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "nickname", type=whole, nargs="?", metavar="NICK", help="your nickname (default: you are asked)"
    )
    parser.add_argument(
        "--host",
        type=take.place,
        default="localhost",
        help="where the server is, HOST or HOST:PORT (default: %(default)s)",
    )
    parser.add_argument("--port", type=take.port, help=f"(default: {PORT})")
    parser.add_argument(
        "--also",
        type=take.host_port,
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="another server of the same chat, to go to when the first is lost; may be given several times",
    )
    take.add_framing(parser)
    take.add_password(parser, "for a server that asks for one")
    parser.add_argument(
        "--tls",
        action="store_true",
        help="the server speaks TLS; its certificate must be one that this machine trusts",
    )
    parser.add_argument(
        "--tls-ca",
        metavar="FILE",
        help="the same, for a certificate that this machine does not know: this one, or one that it signed",
    )


def run(options: argparse.Namespace) -> int:
    """Chat until the input or the connection ends; returns the exit status."""
    if options.nickname and take.is_place(options.nickname):
        options.parser.error(f"{options.nickname} is a place, and no nickname: give it by --host")
    first = take.address(options, PORT)
    framing = FRAMINGS[options.framing]
    try:
        password = take.password_of(options)
        client = ChatClient(
            None,
            [first, *options.also] if options.also else first,
            framing=framing,
            # One to be asked for waits until the server wants it.
            password=None if isinstance(password, take.Asked) else password,
            tls=options.tls_ca or options.tls or None,
        )
    except (OSError, ValueError) as error:
        return print_error(error)
    keyboard = _keyboard(client, several=bool(options.also))

    def watch() -> None:
        if client.state == GONE:
            keyboard.interrupt()

    problem = ""
    try:
        client.on_change(watch)
        watch()  # it may have gone before
        printer = threading.Thread(target=_print_heard, args=(client, keyboard), daemon=True)
        problem = _chat(client, keyboard, printer, options.nickname, framing is RAW)
        client.leave()
        if not printer.ident:
            printer.start()  # the server may have said a last word
        printer.join()
    except KeyboardInterrupt:
        pass  # another one, in the middle of the goodbye: there is no more to wait for
    finally:
        keyboard.close()
    return print_error(problem) if problem else keyboard.status


def _keyboard(client: ChatClient, several: bool) -> Keyboard:
    if is_terminal(sys.stdin) and is_terminal(sys.stdout):
        return TerminalKeyboard(lambda: _where(client, several))
    return PipeKeyboard()


def _chat(
    client: ChatClient, keyboard: Keyboard, printer: threading.Thread, nickname: str | None, raw: bool
) -> str:
    """Join and talk until there is no more to say; returns what went wrong, "" if nothing did."""
    try:
        if _join(client, keyboard, nickname, raw):
            printer.start()
            _talk(client, keyboard, raw)
        elif not keyboard.interactive:
            return "no nickname: the input ended before it gave one"
    except KeyboardInterrupt:
        pass  # Ctrl-C is a way to leave
    except (Interrupted, ConnectionEnded):
        with suppress(TimeoutError):
            client.wait_until_gone(timeout=1)
        return client.end
    except NicknameRefused as refused:
        return f"nickname refused: {refused}"
    except WrongPassword as refused:
        return str(refused)
    except PasswordNeeded:
        return "the server asks for a password: give it by --password-file FILE, or in LABKIT_PASSWORD"
    except (TimeoutError, ValueError) as error:
        return str(error)
    return ""


def _where(client: ChatClient, several: bool) -> str:
    """What stands below the line being typed, once the client is in a room."""
    if not client.room:
        return ""
    if client.state == JOINING:
        return f" {client.nickname}, looking for a server    Ctrl-D: leave"
    where = f"{client.room} at {place(client.address)}" if several else client.room
    return f" {client.nickname} in {where}    /help: commands    Ctrl-D: leave"


def _join(client: ChatClient, keyboard: Keyboard, nickname: str | None, raw: bool) -> bool:
    """Answer the server's request for a nickname; False if the input ended before there was one."""
    while True:
        answer = nickname or keyboard.ask("nickname: ")
        nickname = None
        if answer is None:
            return False
        if not answer.strip():
            continue
        try:
            _give_nickname(client, keyboard, answer)
            if raw:
                _expect_no_refusal(client, keyboard)
            return True
        except NicknameRefused as refused:
            with suppress(TimeoutError, ConnectionEnded):
                client.wait_for(f"! {refused}", timeout=0)  # shown here: not to be printed again
            if not keyboard.interactive:
                raise
            keyboard.show(f"! {refused}")


def _give_nickname(client: ChatClient, keyboard: Keyboard, nickname: str) -> None:
    try:
        client.answer(nickname)
    except PasswordNeeded as needed:
        _give_password(client, keyboard, needed)


def _give_password(client: ChatClient, keyboard: Keyboard, needed: PasswordNeeded) -> None:
    """The server asks for a password: ask for it here, if there is a user to ask."""
    while True:
        if isinstance(needed, WrongPassword):
            with suppress(TimeoutError, ConnectionEnded):
                client.wait_for(f"! {needed}", timeout=0)
        if not keyboard.interactive or not client.asks_for_password:
            raise needed
        if isinstance(needed, WrongPassword):
            keyboard.show(f"! {needed}")
        password = keyboard.ask_secretly("password: ")
        if password is None:
            raise KeyboardInterrupt  # Ctrl-D is a way to leave as well
        try:
            if password:
                return client.give_password(password)
        except PasswordNeeded as again:
            needed = again


def _expect_no_refusal(client: ChatClient, keyboard: Keyboard) -> None:
    """Wait for a refusal, or for a request for the password: raw accepts a nickname by silence."""
    try:
        refused = client.wait_for(lambda line: line.startswith("! "), timeout=RAW_PAUSE)
    except TimeoutError:
        if client.asks_for_password:
            _give_password(client, keyboard, PasswordNeeded())
        return
    raise NicknameRefused(refused.removeprefix("! "))


def _talk(client: ChatClient, keyboard: Keyboard, raw: bool) -> None:
    """Say every line that is typed, until there are no more or one of them is /quit."""
    while (line := keyboard.ask("> ")) is not None:
        if not line:
            continue
        _say(client, keyboard, line)
        if raw:
            sleep(RAW_PAUSE)
        if line.startswith("/quit"):
            with suppress(ValueError):  # such as "/quitter", which is no command
                if from_client(line) == Quit():
                    return


def _say(client: ChatClient, keyboard: Keyboard, line: str) -> None:
    """Say it; while there is no server, wait for one. A user at a terminal is told instead of made to wait:
    they may want to leave."""
    while True:
        try:
            if keyboard.interactive and client.state == JOINING:
                raise ComingBack
            return client.say(line)
        except ComingBack:
            if keyboard.interactive:
                return keyboard.show(f"# not said, there is no server yet: {line}")


def _print_heard(client: ChatClient, keyboard: Keyboard) -> None:
    """Show every line that is heard, until the connection has ended."""
    while True:
        try:
            keyboard.show(client.wait_for(lambda line: True, timeout=3600))
        except TimeoutError:
            continue  # an hour of silence
        except ConnectionEnded:
            return
