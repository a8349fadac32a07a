"""The process that forks for forking.py. It has imported what the processes of checks need.

On the socket that is its standard input comes a request for each fork: descriptors, and in pickle what to
run. The fork answers on the last but one of these as soon as it has a session of its own. On the last, this
process tells how the fork has ended.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pickle
import runpy
import selectors
import signal
import socket
import struct
import sys
import traceback

MODULES = ("labkit.exercises.grading.child", "labkit.exercises.grading.server_child")
"""What may be run."""

ALSO = ("labkit.exercises.bench.judged_servers",)
"""What these import later."""

LENGTH = struct.Struct("=I")
NUMBER = struct.Struct("=i")


def serve(asked: socket.socket) -> None:
    """Fork as asked, until the tests have closed the socket."""
    woken, wakes = socket.socketpair()
    woken.setblocking(False)
    wakes.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    ends: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(asked, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in selector.select()]
            if woken in ready:
                with contextlib.suppress(BlockingIOError):
                    woken.recv(4096)
                reap(ends)
            if asked in ready and not fork(asked, ends):
                return


def reap(ends: dict[int, int]) -> None:
    """Tell of those that have ended."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            end = ends.pop(ended[0])
            with contextlib.suppress(BrokenPipeError):
                os.write(end, NUMBER.pack(os.waitstatus_to_exitcode(ended[1])))
            os.close(end)


def fork(asked: socket.socket, ends: dict[int, int]) -> bool:
    """Do as the next request says. False: there is none any more."""
    length, descriptors, _, _ = socket.recv_fds(asked, LENGTH.size, 5)
    if not length:
        return False
    request = pickle.loads(asked.recv(LENGTH.unpack(length)[0], socket.MSG_WAITALL))
    pid = os.fork()
    if not pid:
        module, environment, cwd = request
        run(module, environment, cwd, descriptors)
    ends[pid] = descriptors.pop()
    for descriptor in descriptors:
        os.close(descriptor)
    return True


def run(module: str, environment: dict[str, str], cwd: str | None, descriptors: list[int]) -> None:
    """Be `python -P -m module`, in the fork. Does not return."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for number, descriptor in enumerate(descriptors[:3]):
            os.dup2(descriptor, number)
        os.write(descriptors[3], NUMBER.pack(os.getpid()))
        os.closerange(3, 1 << 16)
        os.environ.clear()
        os.environ.update(environment)
        if cwd:
            os.chdir(cwd)
        sys.modules.pop(module)
        sys.argv = [module]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(1)


if __name__ == "__main__":
    for name in MODULES + ALSO:
        importlib.import_module(name)
    gc.freeze()
    serve(socket.socket(fileno=os.dup(0)))
