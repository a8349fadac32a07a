"""Chat in a terminal: what you type is said, what is heard is printed.

As in the assignment, the main thread reads the keyboard and sends. Another thread prints what the
client's receiving thread has heard. When the server goes away, nobody is left typing to it; where there
are several, the client goes to another one by itself, and its `# …` lines say so.

This is no client of its own: it builds on ChatClient (client.py), and on keyboards.py for whoever types.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from time import sleep
from typing import TYPE_CHECKING

from labkit.cli.console import complain, is_terminal, use_any_letter
from labkit.cli.keyboards import Interrupted, Keyboard, Pipe, Typist
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
from labkit.client.reconnect import place
from labkit.wire.framing import LINES, RAW, NewFraming
from labkit.wire.messages import Quit, from_client
from labkit.wire.sockets import Address

if TYPE_CHECKING:
    from labkit.wire.tls import ForClient

RAW_PAUSE = 0.2
"""Seconds between two messages in the raw dialect, where nothing but time keeps them apart."""


def join(
    nickname: str | None,
    address: Address | list[Address],
    framing: NewFraming = LINES,
    password: str | None = None,
    tls: ForClient | None = None,
) -> int:
    """Chat until the input or the connection ends; returns the exit status.

    Args:
        nickname: None asks for it: the first line is the nickname.
        address: (host, port) of the server; or a list of these, as for ChatClient.
        framing: LINES or RAW.
        password: for a server that asks for one. None: whoever sits at the terminal is asked then.
        tls: as for ChatClient.
    """
    use_any_letter()
    try:
        client = ChatClient(None, address, framing=framing, password=password, tls=tls)
    except (OSError, ValueError) as error:
        return complain(error)
    person = is_terminal(sys.stdin) and is_terminal(sys.stdout)
    several = isinstance(address, list)
    keyboard: Keyboard = Typist(lambda: _where(client, several)) if person else Pipe()

    def watch() -> None:
        if client.state == GONE:
            keyboard.interrupt()

    client.on_change(watch)
    watch()  # it may have gone before anybody watched
    printer = threading.Thread(target=_print_heard, args=(client, keyboard), daemon=True)
    problem = ""
    try:
        if _introduce(client, keyboard, nickname, framing is RAW):
            printer.start()
            _talk(client, keyboard, framing is RAW)
        elif not keyboard.asks_again:
            problem = "no nickname: the input ended before it gave one"
    except KeyboardInterrupt:
        pass  # Ctrl-C is a way to leave
    except (Interrupted, ConnectionEnded):
        with suppress(TimeoutError):
            client.wait_until_gone(timeout=1)
        problem = client.end
    except NicknameRefused as refused:
        problem = f"nickname refused: {refused}"
    except WrongPassword as refused:
        problem = str(refused)
    except PasswordNeeded:
        problem = "the server asks for a password: give it by --password-file FILE, or in LABKIT_PASSWORD"
    except (TimeoutError, ValueError) as error:
        problem = str(error)
    try:
        client.leave()
        if not printer.ident:
            printer.start()  # there may be a last word of the server
        printer.join()
    finally:
        keyboard.close()
    return complain(problem) if problem else 0


def _where(client: ChatClient, several: bool) -> str:
    """What stands below the line being typed, once there is something to say to somebody."""
    if not client.room:
        return ""
    if client.state == JOINING:
        return f" {client.nickname}, looking for a server    Ctrl-D: leave"
    where = f"{client.room} at {place(client.address)}" if several else client.room
    return f" {client.nickname} in {where}    /help: commands    Ctrl-D: leave"


def _introduce(client: ChatClient, keyboard: Keyboard, nickname: str | None, raw: bool) -> bool:
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
                client.wait_for(f"! {refused}", timeout=0)  # shown here, so not to be printed again
            if not keyboard.asks_again:
                raise
            keyboard.show(f"! {refused}")


def _give_nickname(client: ChatClient, keyboard: Keyboard, nickname: str) -> None:
    try:
        client.answer(nickname)
    except PasswordNeeded as needed:
        _give_password(client, keyboard, needed)


def _give_password(client: ChatClient, keyboard: Keyboard, needed: PasswordNeeded) -> None:
    """The server asks for a password: so do we, where a person sits who can type it."""
    while True:
        if isinstance(needed, WrongPassword):
            with suppress(TimeoutError, ConnectionEnded):
                client.wait_for(f"! {needed}", timeout=0)
        if not keyboard.asks_again or not client.asks_for_password:
            raise needed
        if isinstance(needed, WrongPassword):
            keyboard.show(f"! {needed}")
        password = keyboard.ask_secretly("password: ")
        if password is None:
            raise KeyboardInterrupt  # Ctrl-D, which is a way to leave as well
        try:
            if password:
                return client.give_password(password)
        except PasswordNeeded as again:
            needed = again


def _expect_no_refusal(client: ChatClient, keyboard: Keyboard) -> None:
    """In the raw dialect a nickname is accepted by saying nothing, so a refusal must be waited for; and a
    request for the password, too."""
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
    """Say it, if need be when there is a server again. Nobody who sits there is made to wait for long: they
    may want to leave."""
    while True:
        try:
            if keyboard.asks_again and client.state == JOINING:
                raise ComingBack
            return client.say(line)
        except ComingBack:
            if keyboard.asks_again:
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
