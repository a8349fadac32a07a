"""What student servers and clients get wrong, counted: the rows that exercises and notebooks are about.

Twelve servers of this assignment's family were run and probed. A program read 170 servers and 182 clients
(± 5 %). Data, and nothing else.
"""

from __future__ import annotations

PROBED = {
    "one client that stops reading stalls the room": "12 of 12",
    "two clients can have the same nickname": "11 of 12",
    "two sends arrive as one message": "11 of 12",
    "one silent client keeps everybody else from joining": "9 of 12",
    "a reset during the handshake ends all joining": "8 of 12",
    "a nickname that isn't UTF-8 ends all joining": "8 of 12",
    "a clean goodbye isn't noticed": "7 of 12",
    "a message that isn't UTF-8 throws its sender out": "6 of 12",
    "a long Cyrillic message throws its sender out": "6 of 12",
    "after somebody's reset the next messages reach nobody": "5 of 12",
    "after somebody's goodbye the next innocent sender is thrown out": "4 of 12",
    "the sender hears its own message": "4 of 12",
    "remove inside the loop skips the next client": "1 of 12",
    "a lock taken twice: the server goes silent": "1 of 12",
}
"""What happens: how many of twelve servers, run and probed."""

READ = {
    "no framing": "98 %",
    "walks the live list while others change it": "95 %",
    "blocking fan-out: no queue, no timeout": "92 %",
    "no SO_REUSEADDR": "91 %",
    "decodes strictly": "89 %",
    "no lock at all": "88 %",
    "send, never sendall": "84 %",
    "an unguarded send in the broadcast": "65 %",
    "end of stream ignored": "52 %",
    "bare except": "49 %",
    "recv in the accept loop": "26 %",
    "removes from the list it walks": "25 %",
    "never removes anybody": "21 %",
    "keeps two lists in step by .index()": "18 %",
    "sends while holding the lock": "6.5 %",
    "target=f()": "5 %",
    "a lock taken twice": "1 %",
}
"""What the code does: the share of 170 servers."""

NICKNAMES = {"allows the same nickname twice": "94 %", "allows an empty nickname": "90 %"}
"""The share of the 77 servers that take a nickname."""

CLIENTS = {"never notices that the server has gone": "53 %", "ignores the end of its own input": "98 %"}
"""The share of 182 clients."""

ROWS = PROBED | READ | NICKNAMES | CLIENTS
