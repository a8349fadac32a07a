"""Chat Lab: how a multi-user chat over TCP works, on real sockets and real threads.

- wire/          what both ends must agree on, and what carries it
- server/        ChatServer, a thread for each client; backplane/: rooms that servers share, on Redis
- client/        ChatClient, which comes back when its server is lost
- classic.py     the assignment's own server and client
- journal.py     what happened, in order
- probe/         what looks at a server from outside
- instruments/   what a lab bench has: links with faults, ladders, panels, load, the stepper
- peers/         other servers, to be read beside ours
- conformance/   is that server right? behaviours, tried from outside
- exercises/     what to write yourself: task, answer, wrong versions, hints; and what runs a student's code
- cli/           the commands of `python -m labkit`
- __main__.py    python -m labkit: the list of commands
"""

import _signal  # type: ignore[import-not-found]  # signal's own, in C: signal itself takes a while to load
import sys

if sys.version_info < (3, 11):  # noqa: UP036  # a checkout can be run with any
    _told = "labkit needs Python 3.11 or newer; this is %d.%d" % sys.version_info[:2]  # noqa: UP031
    raise SystemExit(_told) if sys.argv[:1] == ["-m"] else ImportError(_told)

if [*sys.argv[:1], *sys.orig_argv[-len(sys.argv) :][:1]] == ["-m", "labkit"] or (
    "".join(sys.argv[:1]).endswith(("/labkit", "\\labkit", "\\labkit.exe"))
):
    # The command is being loaded: until cli/dispatch.py takes over, Ctrl-C ends it quietly.
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

from labkit.wire.shadows import shadow, shadow_in_use

try:
    from labkit.client import ChatClient
    from labkit.journal import Journal
    from labkit.server import ChatServer
    from labkit.server.limits import Limits
    from labkit.wire.framing import LINES, RAW
except Exception as error:
    if told := shadow(error):
        raise ImportError(told) from None
    raise
if told := shadow_in_use():
    raise ImportError(told)

__all__ = ["LINES", "RAW", "ChatClient", "ChatServer", "Journal", "Limits"]

__version__ = "0.1.0"
