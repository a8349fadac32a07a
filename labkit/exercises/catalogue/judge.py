"""Exercise `judge`: the other way round, a test that finds out wrong servers.

The servers are in bench/judged_servers.py; what tries the test on them is grading/judging.py.
"""

from __future__ import annotations

from labkit.exercises.exercise import Task

JUDGED = (
    "the sender hears itself",
    "no name before the message",
    "takes the same nickname twice",
    "takes an empty nickname",
    "does not ask again",
    "a recv is a message",
    "the handshake in the accept loop",
    "decodes strictly",
    "tells nobody who left",
    "a nickname is taken for ever",
)
"""The wrong servers that a test is tried on, in this order."""

JUDGE = Task(
    title="write the test yourself",
    wants="my_test",
    task="""
    How do you know that a server is right? Write `my_test(address)`: it connects to the server at
    `address`, a pair of host and port, tries it, and raises an exception if something is wrong (`assert`
    does). If all is right, it returns. It has 6 seconds.

    It is run against four right servers, which differ in everything that the wire leaves open, and against
    ten wrong ones, with one bug each. Accuse no right server; catch as many bugs as you can.

    The wire: lines that end with LF. The server asks `nickname`; the answer is a nickname. It welcomes
    with `* you are alice, in lobby`, or refuses with `! ` and a reason, and asks again. What alice says,
    all others hear as `alice: hello`, and she does not. `* alice joined` and `* alice left (hung up)` are
    told to the others; in the brackets stands why. An empty nickname, or one that is taken, is refused.
    What is not UTF-8 ends no connection.
    """,
    points=len(JUDGED),
    answer='''
    import socket


    class Person:
        """A client: a socket that says lines and hears lines."""

        def __init__(self, address, nickname=None):
            self.sock = socket.create_connection(address, timeout=2)
            self.reader = self.sock.makefile("r", encoding="utf-8", newline="\\n")
            if nickname is not None:
                assert self.hears() == "nickname"
                self.says(nickname)
                self.hears_until(f"* you are {nickname}")

        def says(self, text):
            self.sock.sendall(text.encode() + b"\\n")

        def leaves(self):
            """Say goodbye: FIN."""
            self.sock.shutdown(socket.SHUT_WR)

        def hears(self):
            """The next line; times out, and so raises, if none comes."""
            return self.reader.readline().rstrip("\\n")

        def hears_until(self, start):
            """The lines up to one that begins so."""
            lines = [self.hears()]
            while not lines[-1].startswith(start):
                assert lines[-1] or len(lines) < 100, f"nothing that begins with {start!r} came"
                lines.append(self.hears())
            return lines


    def my_test(address):
        """Raise if the server at this address is wrong."""
        ### BEGIN SOLUTION
        silent = Person(address)  # does not answer, and no client must wait for it
        assert silent.hears() == "nickname"
        alice, bob = Person(address, "alice"), Person(address, "bob")

        # What one says, the others hear, with the name before it; and not the speaker.
        alice.says("one\\ntwo")
        assert bob.hears_until("alice: one")
        assert bob.hears() == "alice: two"
        bob.says("three")
        heard = alice.hears_until("bob: three")
        assert not any("one" in line for line in heard), "alice heard herself"

        # Nicknames that are taken or empty are refused, and asked for again.
        for unfit in ("alice", ""):
            other = Person(address)
            assert other.hears() == "nickname"
            other.says(unfit)
            assert other.hears().startswith("! "), f"{unfit!r} was not refused"
            assert other.hears() == "nickname", "not asked again"

        # What is not UTF-8 ends no connection.
        alice.sock.sendall(b"caf\\xe9\\n")
        alice.says("still here")
        bob.hears_until("alice: still here")

        # A leaving is told to the others, and the nickname is free.
        alice.leaves()
        bob.hears_until("* alice left")
        Person(address, "alice")
        ### END SOLUTION
    ''',
)
