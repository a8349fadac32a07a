"""What a server, or a client, does a while after it was done something to is seen all the same.

On a busy machine its threads come late to all that they do. These do on any: each harm comes LATE seconds
after what it comes of, when a check that does not wait for the server has found that all is well.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import zoo
from faults import REMOVE, TO_ALL, Fault

from labkit.conformance.client.behaviours import BEHAVIOURS
from labkit.conformance.client.run import check_client
from labkit.conformance.client.way import Way
from labkit.conformance.run import check_command

LATE = 0.2

HANG_UP = "client.sock.shutdown, (socket.SHUT_RDWR,)"

NOTICED = "    client.gone = True\n    client.outbox.put(None)\n\n\ndef handle_client"


Change = tuple[str, str]
"""A piece of the right server's text, and what stands there instead."""


def later(call: str) -> str:
    return f"threading.Timer({LATE}, {call}).start()"


def unless_named(reason: str, what: str) -> Change:
    """This happens after one without a nickname has left for this reason."""
    whether = f'    if not client.nickname and reason == "{reason}":\n        {what}\n'
    return NOTICED, whether + NOTICED


SERVERS: dict[str, tuple[set[int], list[Change]]] = {
    "of what is said": (
        {4, 7, 10, 14, 18, 31},
        [
            (
                TO_ALL,
                f"""for client in list(clients):
            if client is sender and text.endswith(tuple("0123456789")) or client.room != sender.room:
                {later("client.send, (text,)")}
            if client is not sender""",
            ),
            (
                '        text = "" if message is None else message.decode(errors="replace")\n',
                f"""        text = "" if message is None else message.decode(errors="replace")
        if "\\ufffd" in text:
            {later(HANG_UP)}
""",
            ),
            ('client.send("! too long")', f'client.send("! too long")\n            {later(HANG_UP)}'),
            (
                'notice(client, "joined")',
                f"""notice(client, "joined")
                {later('notice, (client, "is here")')}""",
            ),
            (
                "    client.send(REQUEST)\n    for",
                """    with lock:
        clients.append(client)
    client.send(REQUEST)
    for""",
            ),
            ("                clients.append(client)\n", ""),
            (
                "            nicknames.remove(client.nickname)\n",
                "            if client.nickname:\n                nicknames.remove(client.nickname)\n",
            ),
            (
                "                self.sock.sendall(data)\n",
                f"""                if not self.nickname and data != (REQUEST + END).encode():
                    threading.Event().wait({LATE})
                self.sock.sendall(data)
""",
            ),
        ],
    ),
    "of a newcomer": (
        {28, 29, 33},
        [
            unless_named("hung up", later("server.close")),
            unless_named("vanished", later("server.close")),
            (
                'nickname = clean((answer or b"").decode(errors="replace").strip())',
                f"""nickname = clean((answer or b"").decode(errors="replace").strip())
        if "\\ufffd" in nickname:
            {later("os._exit, (1,)")}""",
            ),
        ],
    ),
    # Who is told of a reset, the thread that reads or the one that sends, is luck.
    "of a goodbye or a reset": (
        {25, 26, 32},
        [
            (NOTICED, f"    if client.nickname:\n        {later('lock.acquire')}\n" + NOTICED),
        ],
    ),
    "of a leaving": (
        {20, 23, 27},
        [
            (
                REMOVE,
                f"""if reason == "vanished":
                {later("clients.pop, (min(clients.index(client) + 1, len(clients) - 1),)")}
            else:
                {later("clients[-1].sock.shutdown, (socket.SHUT_RDWR,)")}
            {later('notice, (client, "is gone")')}
            clients.remove(client)
            nicknames.remove(client.nickname)""",
            ),
        ],
    ),
}
"""Harm that comes late: the numbers of the behaviours that are ✗, and changes to the right server."""


@pytest.mark.parametrize("of", SERVERS)
def test_harm_that_comes_late_is_seen(of: str, tmp_path: Path) -> None:
    numbers, changes = SERVERS[of]
    fault = Fault(f"the late harm {of}", tuple(changes), frozenset(numbers), None, "")
    report = check_command(zoo.wrong(fault, tmp_path), only=numbers)
    unsure = {verdict.behaviour.number for verdict in report.verdicts if verdict.too_busy}
    assert {*report.missed} | unsure == numbers, str(report)


CLIENT = (
    (
        '            if has("an empty line ends") and not line:\n                break\n',
        f"            if not line:\n                {later('os._exit, (0,)')}\n",
    ),
    (
        "        self.show(text)\n        return False\n",
        f"""        self.show(text)
        if "nickname" in text:
            {later('self.sock.sendall, (b"alice!", )')}
        return False
""",
    ),
    (
        '        """FIN has come."""\n',
        f"""        if rest:
            self.show("it is over")
            threading.Event().wait({LATE})
            print("Traceback (most recent call last)", flush=True)
            os._exit(1)
""",
    ),
)

HARM = {
    "an empty line does not end it",
    "the request in another's words is none",
    "a goodbye in the middle of a line is noticed",
}


def test_harm_that_comes_late_is_seen_in_a_client(tmp_path: Path) -> None:
    source = (Path(__file__).parent / "clients/threads.py").read_text(encoding="utf-8")
    for old, new in CLIENT:
        assert source.count(old) == 1
        source = source.replace(old, new)
    program = tmp_path / "client.py"
    program.write_text(source, encoding="utf-8")
    some = [behaviour for behaviour in BEHAVIOURS if behaviour.name in HARM]
    report = check_client(Way((sys.executable, str(program), "$HOST", "$PORT")), behaviours=some)
    unsure = {verdict.behaviour.number for verdict in report.verdicts if verdict.too_busy}
    assert {*report.missed} | unsure == {behaviour.number for behaviour in some}, str(report)
