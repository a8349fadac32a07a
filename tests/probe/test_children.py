"""children.py and reaper.py: what a process has started ends with it, however that ends.

Each test here ends a process at once (SIGKILL, mostly), and waits until those that it had started are gone:
a child without the mark, one that has lost its parent as well, and one that has the mark but has left
parent and session.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Set
from pathlib import Path
from time import monotonic, sleep

import psutil
import pytest
from programs import CLEAN, LABKIT, PATIENCE, Program
from support import SOON, need

from labkit.probe import children
from labkit.probe.reaper import Legacy, runs

TESTS = Path(__file__).parents[1]

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)

posix = pytest.mark.skipif(os.name != "posix", reason="sessions and signals are POSIX's")

STRANGER = r"""
import os, signal, subprocess, sys, time
from pathlib import Path

def note(kind, pid):
    file = Path(sys.argv[1], f"{pid}.tmp")
    file.write_text(kind)
    file.rename(file.with_suffix(".pid"))

quiet = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")}
sleeper = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
unmarked = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}

def orphan(**options):
    print(subprocess.Popen(sleeper, **quiet, **options).pid, flush=True)

if sys.argv[2] == "orphan":
    orphan(env=unmarked)
elif sys.argv[2] == "daemon":
    orphan(start_new_session=True)
else:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for kind in "orphan", "daemon":
        note(kind, subprocess.check_output([sys.executable, __file__, sys.argv[1], kind]).decode().strip())
    note("child", subprocess.Popen(sleeper, env=unmarked, **quiet).pid)
    note("itself", os.getpid())
    time.sleep(600)
"""
"""It starts one of each kind, notes their process ids in a folder, and goes on for ten minutes."""

KINDS = {"orphan", "daemon", "child", "itself"}

PATIENT = (
    "import sys; from labkit.__main__ import main; from labkit.probe import launch; "
    "from labkit.exercises.grading import checking, judging; "
    "launch.STARTING = checking.STEP_SECONDS = checking.SECONDS = judging.SECONDS = 600.0; "
    "sys.exit(main(sys.argv[1:]))"
)
"""`python -m labkit`, but a stranger may take as long as it likes."""


def wait_until(holds: Callable[[], object], what: str) -> None:
    give_up = monotonic() + 2 * PATIENCE
    while not holds():
        assert monotonic() < give_up, f"waited {2 * PATIENCE:g} s until {what}"
        sleep(0.01)


class Stranger:
    """A program of somebody's: files to be run with, and the processes that have come of it."""

    def __init__(self, folder: Path) -> None:
        self.notes = folder / "notes"
        self.notes.mkdir()
        self.program = folder / "stranger.py"
        self.program.write_text(STRANGER)
        self.words = [sys.executable, str(self.program), str(self.notes), "all"]
        self.known: dict[psutil.Process, str] = {}

    def started(self, kinds: Set[str] = KINDS) -> list[psutil.Process]:
        """Its processes, once there is one of each kind."""
        wait_until(lambda: set(self._look().values()) == kinds, f"there are {kinds}")
        return list(self.known)

    def _look(self) -> dict[psutil.Process, str]:
        for file in self.notes.glob("*.pid"):
            try:
                self.known[psutil.Process(int(file.stem))] = file.read_text()
            except psutil.NoSuchProcess:
                pass
        return self.known

    def is_gone(self) -> None:
        """Wait until none of its processes runs."""
        wait_until(lambda: not any(map(runs, self._look())), "all of them are gone")


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Stranger]:
    """A stranger's program; whatever the test finds, its processes do not outlive it."""
    one = Stranger(tmp_path)
    yield one
    for process in one.known:
        if runs(process):
            process.kill()


def python(text: str, *arguments: str) -> Program:
    return Program(sys.executable, "-c", text, *arguments)


# --- each command that starts something ---


COMMANDS = ["load", "check server", "check", "judge"]


def started(command: str, stranger: Stranger) -> Program:
    """The command, run on the stranger's program, or on an answer that runs it."""
    file = stranger.notes.with_name("mine.py")
    file.write_text(f"import subprocess\n\nsubprocess.run({stranger.words!r})\n")
    words = {
        "load": ["load", shlex.join([*stranger.words, "{port}"])],
        "check server": ["check", "server", "--", *stranger.words],
        "check": ["check", "framing", str(file)],
        "judge": ["check", "judge", str(file)],
    }
    return python(PATIENT, *words[command])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_killed_command_leaves_nothing(command: str, stranger: Stranger) -> None:
    """Neither what it has started itself, nor what has come of that."""
    with started(command, stranger) as program:
        family = [*stranger.started(), *psutil.Process(program.process.pid).children(recursive=True)]
        program.process.send_signal(KILL)
        stranger.is_gone()
        wait_until(lambda: not any(map(runs, family)), "all of its family is gone")


@posix
@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("command", ["load", "check server", "check"])
def test_nor_does_one_that_is_asked_to_end(command: str, how: str, stranger: Stranger) -> None:
    """It ends, and says no more than it must."""
    with started(command, stranger) as program:
        stranger.started()
        program.process.send_signal(getattr(signal, how))
        program.ends()
        assert "Traceback" not in program.complaints()
        stranger.is_gone()


def test_a_killed_lab_leaves_neither_jupyterlab_nor_its_kernels(tmp_path: Path) -> None:
    """JupyterLab is asked to end, and ends its kernels; the lab's own folder goes, too."""
    folders = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    (tmp_path / "tmp").mkdir()
    environment = {**CLEAN, **folders, "TMPDIR": str(tmp_path / "tmp"), "COVERAGE_PROCESS_START": ""}
    with Program(*LABKIT, "lab", "--no-browser", environment=environment) as program:
        # JupyterLab takes its time.
        wait_until(lambda: "Ctrl-C ends JupyterLab." in program.said, "it can be reached")
        said = program.said
        address, _, token = next(word for word in said.split() if "?token=" in word).partition("?token=")
        request = urllib.request.Request(
            address.partition("/lab/")[0] + "/api/kernels",
            data=b"{}",
            headers={"Authorization": f"token {token}"},
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=PATIENCE) as answer:
            assert json.load(answer)["name"] == "python3"
        family = psutil.Process(program.process.pid).children(recursive=True)
        assert len(family) >= 2, family
        assert list((tmp_path / "tmp").glob("labkit-*"))
        program.process.send_signal(KILL)
        wait_until(lambda: not any(map(runs, family)), "JupyterLab and its kernel are gone")
        wait_until(lambda: not list((tmp_path / "tmp").glob("labkit-*")), "its folder is gone")


A_TEST = """
import os, pathlib, subprocess
from programs import Serving

def test_that_hangs():
    notes = pathlib.Path({notes!r})
    with Serving() as server:
        for kind, pid in ("server", server.process.pid), ("worker", os.getpid()):
            (notes / f"{{pid}}.pid").write_text(kind)
        subprocess.run({words!r}, start_new_session=True)
"""


@pytest.mark.parametrize("who", ["controller", "worker"])
def test_a_killed_test_run_leaves_nothing(who: str, stranger: Stranger) -> None:
    """Whether all of it is killed, or one of its workers; with what a test starts by whatever means."""
    file = stranger.notes.with_name("test_that_hangs.py")
    file.write_text(A_TEST.format(words=stranger.words, notes=str(stranger.notes)))
    (configuration := file.with_name("pytest.ini")).write_text("[pytest]\n")
    command = ["-P", "-m", "pytest", "-p", "xdist", "-n1", "--max-worker-restart=0", "-p", "conftest"]
    command += ["-p", "no:cacheprovider", "-c", str(configuration), str(file)]
    environment = {name: value for name, value in CLEAN.items() if not name.startswith("PYTEST")}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    environment["PYTHONPATH"] = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    with Program(sys.executable, *command, environment=environment) as program:
        family = stranger.started(KINDS | {"server", "worker"})
        worker = next(process for process in family if stranger.known[process] == "worker")
        (psutil.Process(program.process.pid) if who == "controller" else worker).send_signal(KILL)
        stranger.is_gone()


# --- the mechanism ---

STARTS = """
import os, subprocess, sys, threading, time
from labkit.probe import children
"""


def reapers(mark: str) -> list[psutil.Process]:
    """Those that end what the process with this mark has started."""
    return [process for process in psutil.process_iter() if mark in _command_line(process)]


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def test_what_is_started_is_as_with_subprocess() -> None:
    """Its exit status, its streams, its environment but for the mark; and an error if there is none."""
    code = "import os, sys; print(sorted(os.environ.items()), input()); sys.exit(3)"
    environment = {**CLEAN, "ANY": "thing"}
    pipe = subprocess.PIPE
    outcomes = []
    for popen in (subprocess.Popen, children.popen):
        process = popen([sys.executable, "-c", code], env=environment, stdin=pipe, stdout=pipe, stderr=pipe)
        said, complained = process.communicate(b"typed\n")
        without_mark = [word for word in said.decode().split("), (") if children.MARK not in word]
        outcomes.append((process.returncode, without_mark, complained))
    assert outcomes[0] == outcomes[1] and outcomes[0][0] == 3 and outcomes[0][2] == b""
    with pytest.raises(FileNotFoundError):
        children.popen(["/no/such/program"])


def test_the_reaper_is_one_and_nobodys_child_and_ends_with_its_process() -> None:
    """Eight threads that start something at once start one reaper, which ends without anything to end."""
    text = (
        STARTS
        + """
import psutil
ready = threading.Barrier(8)
def start():
    ready.wait()
    children.popen([sys.executable, "-S", "-c", ""]).wait()
threads = [threading.Thread(target=start) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(children._token, psutil.Process().children(), flush=True)
input()
sys.exit(5)
"""
    )
    with python(text) as program:
        mark, left = program.until("]\n").split(maxsplit=1)
        assert os.name != "posix" or left == "[]\n"
        wait_until(lambda: len(reapers(mark)) == 1, "one reaper is there")
        program.type("\n")
        assert program.ends() == 5
        assert program.complaints() == ""
        wait_until(lambda: not reapers(mark), "the reaper has ended")


def test_others_are_left_alone(stranger: Stranger) -> None:
    """A process of another's, though it is of the same program, and has a mark, too."""
    with children.popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        text = STARTS + "children.popen(sys.argv[1:], start_new_session=True); time.sleep(600)"
        with python(text, *stranger.words) as program:
            stranger.started()
            program.process.send_signal(KILL)
            stranger.is_gone()
        assert other.poll() is None


@posix
def test_signals_sent_to_all_do_not_end_the_reaper_first(stranger: Stranger) -> None:
    """At a machine's shutdown, say. It is there until its process is gone."""
    text = (
        STARTS
        + "children.popen(sys.argv[1:], start_new_session=True);"
        + "print(children._token, flush=True); time.sleep(600)"
    )
    with python(text, *stranger.words) as program:
        mark = program.until("\n").strip()
        stranger.started()
        wait_until(lambda: _ignores_sigterm(mark), "the reaper is ready")
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            reapers(mark)[0].send_signal(getattr(signal, name))
        program.process.send_signal(KILL)
        stranger.is_gone()


def _ignores_sigterm(mark: str) -> bool:
    need(sys.platform == "linux", "/proc, which tells which signals are ignored")
    for process in reapers(mark):
        status = Path(f"/proc/{process.pid}/status").read_text()
        ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
        return bool(ignored >> (signal.SIGTERM - 1) & 1 and ignored >> (signal.SIGHUP - 1) & 1)
    return False


@posix
def test_a_process_whose_reaper_was_killed_goes_on() -> None:
    """It starts others as before."""
    text = (
        STARTS
        + """
children.popen([sys.executable, "-S", "-c", ""]).wait()
print(children._token, flush=True)
input()
process = children.popen([sys.executable, "-S", "-c", "print('here')"])
sys.exit(process.wait())
"""
    )
    with python(text) as program:
        mark = program.until("\n").strip()
        wait_until(lambda: reapers(mark), "the reaper is there")
        for process in reapers(mark):
            process.kill()
        wait_until(lambda: not reapers(mark), "the reaper is gone")
        program.type("\n")
        program.until("here")
        assert program.ends() == 0
        assert program.complaints() == ""


@posix
def test_a_fork_that_lives_on_holds_nothing_up(stranger: Stranger) -> None:
    """What its parent has started ends with that; it may start others, which end with it."""
    text = (
        STARTS
        + """
children.popen([sys.executable, "-S", "-c", ""]).wait()
pid = os.fork()
if not pid:
    own = children.popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    print(os.getpid(), own.pid, flush=True)
    time.sleep(600)
children.popen(sys.argv[1:], start_new_session=True)
time.sleep(600)
"""
    )
    with python(text, *stranger.words) as program:
        fork, its_own = map(psutil.Process, map(int, program.until("\n").split()))
        try:
            stranger.started()
            program.process.send_signal(KILL)
            stranger.is_gone()
            assert runs(fork) and runs(its_own)
        finally:
            fork.kill()
        wait_until(lambda: not runs(its_own), "what the fork has started is gone")


@posix
def test_alone_means_that_its_children_are_its_own_affair(tmp_path: Path) -> None:
    """It gets SIGTERM, and the time to end them in order; what it leaves is left. The folder goes."""
    parent = """
import signal, subprocess, sys, time
kept, ended = [subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"]) for _ in "12"]
def end(*_):
    ended.kill()
    sys.exit()
signal.signal(signal.SIGTERM, end)
print(kept.pid, ended.pid, flush=True)
while True: time.sleep(600)
"""
    text = (
        STARTS
        + """
children.remove(sys.argv[2])
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
children.end_alone(child.pid, 600.0)
time.sleep(600)
"""
    )
    folder = tmp_path / "a folder\nof its own"
    (folder / "in it").mkdir(parents=True)
    # Without the mark of these tests, or `kept` would be ended with them.
    with python(text, parent, str(folder)) as program:
        kept, ended = map(psutil.Process, map(int, program.until("\n").split()))
        try:
            parent_of_both = kept.parent()
            program.process.send_signal(KILL)
            wait_until(lambda: not any(map(runs, [ended, parent_of_both])), "it has ended its child")
            wait_until(lambda: not folder.exists(), "the folder is gone")
            assert runs(kept)
        finally:
            kept.kill()


def test_numbers_of_processes_that_have_ended_are_forgotten() -> None:
    """They are used again; and a line about one that has ended already does no harm."""
    legacy = Legacy(children.MARK, "none")
    with children.popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        legacy.add(f"family {process.pid}")
        assert [one.pid for one in legacy._families] == [process.pid]
        process.kill()
    with children.popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        legacy.add(f"family {process.pid}")
        legacy.add(f"alone {other.pid} 2.5")
        assert legacy._families == [] and [one.pid for one in legacy._alone] == [other.pid]
        assert legacy._grace == 2.5
        legacy.end()
        assert other.wait(SOON) != 0
