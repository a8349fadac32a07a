"""The stepper's pure parts, one by one: state as text, tables, words, locks, and what a line is."""

from __future__ import annotations

import operator
import re
import sys
import threading
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import pytest
from support import SOON

from labkit.instruments import stepper
from labkit.instruments.stepper import explore, lines, locks, replay, snapshot, words
from labkit.instruments.stepper.hands import Ended, interrupt
from labkit.instruments.stepper.lines import NOWHERE, Lines, Place
from labkit.instruments.stepper.locks import RUNNING, Lock, RLock
from labkit.instruments.stepper.panel import STYLE, StepPanel
from labkit.instruments.stepper.record import Record, Step, Trace
from labkit.instruments.stepper.searching import FURTHER, BrokenSchedule, _broken, _words
from labkit.instruments.stepper.table import CELL, HTML_STYLE, ROWS, STATE, as_html, as_text, note_as_html

# --- state as text ---


class Plain:
    def __init__(self) -> None:
        self.a = 1
        self.b = [1]


class Slots:
    __slots__ = ("x", "y")

    def __init__(self) -> None:
        self.x = 1


class OneSlot:
    __slots__ = "x"

    def __init__(self) -> None:
        self.x = 2


class SlotsAndMore(Slots):
    def __init__(self) -> None:
        super().__init__()
        self.z = 3


class Empty:
    pass


class Says:
    def __repr__(self) -> str:
        return "<Says at 0x7f00AB, and more>"


class Bad:
    def __repr__(self) -> str:
        raise ValueError("x")


class AMapping(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        return 1

    def __iter__(self) -> Any:
        return iter("a")

    def __len__(self) -> int:
        return 1


@dataclass
class Data:
    a: int = 1
    b: str = "x"


def held() -> Lock:
    lock = Lock()
    lock.acquire()
    return lock


ME = threading.current_thread().name


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5, "5"),
        ("hi", "'hi'"),
        ([], "[]"),
        ((), "()"),
        ({}, "{}"),
        (set(), "set()"),
        (frozenset(), "frozenset()"),
        ([1], "[1]"),
        ((1,), "(1,)"),
        ((1, 2), "(1, 2)"),
        ({2, 1}, "{1, 2}"),
        (frozenset({2, 1}), "frozenset({1, 2})"),
        ({1: 2, 3: 4}, "{1: 2, 3: 4}"),
        ({"a b": 1}, "{'a b': 1}"),
        (list(range(8)), "[0, 1, 2, 3, 4, 5, 6, 7]"),
        (list(range(9)), "[0, 1, 2, 3, 4, 5, 6, 7, …]"),
        (set(range(8)), "{0, 1, 2, 3, 4, 5, 6, 7}"),
        (set(range(9)), "{0, 1, 2, 3, 4, 5, 6, 7, …}"),
        (frozenset(range(9)), "frozenset({0, 1, 2, 3, 4, 5, 6, 7, …})"),
        ({n: n for n in range(9)}, "{0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7, …}"),
        (tuple(range(9)), "(0, 1, 2, 3, 4, 5, 6, 7, …)"),
        ([[[1]]], "[[[1]]]"),
        ([[[[1]]]], "[[[…]]]"),
        ({1: {2: {3: {4: 5}}}}, "{1: {2: {3: …}}}"),
        ({(((1,),),): 2}, "{((…,),): 2}"),
        (Empty(), "<Empty>"),
        (Says(), "<Says, and more>"),
        (Bad(), "<Bad: ValueError in its repr>"),
        (Lock(), "<free lock>"),
        (held(), f"<lock held by {ME}>"),
        (Plain, "Plain"),
        (Plain.__init__, "__init__"),
        (snapshot, "labkit.instruments.stepper.snapshot"),
        ("x" * 38, f"'{'x' * 38}'"),
        ("x" * 39, f"'{'x' * 17}...{'x' * 18}'"),
        (b"y" * 60, f"b'{'y' * 16}...{'y' * 18}'"),
        (10**39, str(10**39)),
        (10**40, f"{str(10**40)[:18]}...{'0' * 19}"),
        (types.SimpleNamespace(a="x" * 35), f"namespace(a='{'x' * 26}…"),
        (range(5), "range(0, 5)"),
        (AMapping(), "<AMapping>"),
        ([Plain()], "[Plain(a=1, b=[1])]"),
        ([[[Plain()]]], "[[[<Plain>]]]"),
    ],
)
def test_one_value(value: object, shown: str) -> None:
    """What is in it, shortened; the same for the same, and without addresses."""
    assert snapshot.text(value) == shown
    if not isinstance(value, (dict, Plain)):
        assert snapshot.parts(value) == (shown,)


@pytest.mark.parametrize(
    ("state", "parts"),
    [
        (None, ()),
        ({"a": 1, "b": Plain()}, ("a=1", "b=Plain(a=1, b=[1])")),
        ({"a": 1, "b c": 2}, ("{'a': 1, 'b c': 2}",)),
        ({1: 2}, ("{1: 2}",)),
        ({}, ("{}",)),
        (Plain(), ("a=1", "b=[1]")),
        (Slots(), ("x=1",)),
        (OneSlot(), ("x=2",)),
        (SlotsAndMore(), ("z=3", "x=1")),
        (Data(), ("a=1", "b='x'")),
        (Says(), ("<Says, and more>",)),
        (Bad(), ("<Bad: ValueError in its repr>",)),
        (Plain, ("Plain",)),
        ([1], ("[1]",)),
    ],
)
def test_a_state_in_pieces(state: object, parts: tuple[str, ...]) -> None:
    """One for each name in it, or one for the whole."""
    assert snapshot.parts(state) == parts


# --- tables ---


def step(thread: str, line: int, source: str, *parts: str, note: str = "") -> Step:
    return Step(thread, line, source, ", ".join(parts), note, parts, Place("f", line, "g", source))


SHORT = Trace(
    ("alice", "bob"),
    (
        step("alice", 3, "n = state['count']", "count=0", note="n = 0"),
        step("bob", 14, "x" * 50, "count=0", "names=['bob']"),
        Step(
            "alice",
            4,
            "line 4",
            "count=1, names=['bob']",
            "y" * 60,
            ("count=1", "names=['bob']"),
            Place("f", 4, "g", ""),
        ),
    ),
    "it <broke>",
    "count=0",
    ("count=0",),
)


def test_a_table_as_text() -> None:
    """Each line under its thread, the state after it, and what has changed is marked."""
    assert as_text(SHORT).splitlines() == [
        "   alice                                   bob" + " " * 39 + "state (▸ changed)",
        f"─  {'─' * 38}  {'─' * 38}  {'─' * 24}",
        " " * 85 + "count=0",
        "1    3 n = state['count']" + " " * 60 + "count=0",
        "       → n = 0",
        "2" + " " * 43 + f"14 {'x' * 33}…" + "  ▸ count=0, names=['bob']",
        "3      line 4" + " " * 70 + "▸ count=1, names=['bob']",
        f"       → {'y' * 31}…",
        "",
        "✗ it <broke>",
    ]


def test_a_table_as_html() -> None:
    """The same, with all that is the user's escaped."""

    def row(number: str, alice: str, bob: str, state: str) -> str:
        cells = f'<td class="n">{number}</td><td>{alice}</td><td>{bob}</td>'
        return f'<tr>{cells}<td class="state">{state}</td></tr>'

    def code(line: int | None, text: str) -> str:
        at = f'<span class="at">{line}</span>' if line else ""
        return f'<div class="step">{at}<code>{text}</code></div>'

    def same(text: str) -> str:
        return f'<div class="same"><code>{text}</code></div>'

    def new(text: str) -> str:
        return f"<div><b><code>{text}</code></b></div>"

    bobs = "names=[&#x27;bob&#x27;]"
    rows = [
        row("", "", "", same("count=0")),
        row(
            "1",
            code(3, "n = state[&#x27;count&#x27;]") + '<div class="note">→ n = 0</div>',
            "",
            same("count=0"),
        ),
        row("2", "", code(14, "x" * 50), same("count=0") + new(bobs)),
        row(
            "3",
            code(None, "line 4") + f'<div class="note">→ {"y" * 60}</div>',
            "",
            new("count=1") + same(bobs),
        ),
    ]
    names = ("step", "<bdi>alice</bdi>", "<bdi>bob</bdi>", "state")
    heads = "".join(f'<th scope="col">{name}</th>' for name in names)
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    why = '<div class="why">✗ it &lt;broke&gt;</div></div>'
    label = 'role="group" aria-label="what each thread did, step by step"'
    frame = f'<div class="labkit-steps" tabindex="0" {label}>'
    assert as_html(SHORT, "2 & 3") == f"{HTML_STYLE}{frame}<div>2 &amp; 3</div>{table}{why}"
    assert as_html(SHORT) == f"{HTML_STYLE}{frame}{table}{why}"
    for styles in (HTML_STYLE, STYLE):
        assert styles.startswith("<style>\n.labkit-") and styles.endswith("}\n</style>")
    assert note_as_html("2 & 3") == '<div class="labkit-steps">2 &amp; 3</div>'


@pytest.mark.parametrize("number", [ROWS - 1, ROWS, ROWS + 1, ROWS + 3])
def test_a_long_table_is_folded(number: int) -> None:
    """The first and the last are shown, with their numbers; where there is no state, no column for it."""
    trace = Trace(("a", "b", "c"), tuple(step("abc"[n % 3], n, f"s{n};") for n in range(number)), "", "")
    text, html = as_text(trace), as_html(trace)
    hidden = max(0, number - ROWS)
    shown = [n for n in range(number) if not hidden or not ROWS // 2 <= n < ROWS // 2 + hidden]
    assert [n for n in range(number) if f"s{n};" in text] == shown
    assert [n for n in range(number) if f"s{n};" in html] == shown
    lines_ = text.splitlines()
    assert "state" not in lines_[0] and lines_[-1] == "✓ nothing breaks" and 'class="fine"' in html
    assert [line.split()[0] for line in lines_[2:-2] if "…" not in line] == [str(n + 1) for n in shown]
    assert len(lines_) == len(shown) + bool(hidden) + 4
    if hidden:
        assert f"    … {hidden} more steps …" in lines_
        assert f'</tr><tr><td></td><td colspan="4">… {hidden} more steps …</td></tr><tr>' in html
    assert html.count("<td class") == 2 * (len(shown) + 1)


@pytest.mark.parametrize(("first", "second", "rows"), [(30, STATE - 32, 1), (30, STATE - 31, 2)])
def test_a_long_state_is_set_in_several_lines(first: int, second: int, rows: int) -> None:
    """Its parts below each other; only the first is marked."""
    trace = Trace(("a", "b"), (step("a", 1, "s", "p" * first, "q" * second),), "", "start", ("start",))
    lines_ = as_text(trace).splitlines()[3:-2]
    assert len(lines_) == rows
    assert lines_[0].split("▸ ")[1] == "p" * first + (f", {'q' * second}" if rows == 1 else "")
    if rows == 2:
        assert lines_[1].strip() == "q" * second and "▸" not in lines_[1]
        assert lines_[1].index("q") == lines_[0].index("p")


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("x" * (CELL - 4), "x" * (CELL - 4)),
        ("x" * (CELL - 3), "x" * (CELL - 5) + "…"),
        ("木" * 30, "木" * 16 + "…"),
    ],
)
def test_a_long_line_is_cut(source: str, shown: str) -> None:
    """To what may stand in a cell, wide letters counted as two."""
    text = as_text(Trace(("a", "b"), (step("a", 7, source),), "", ""))
    assert text.splitlines()[2] == f"1    7 {shown}"


def test_what_a_trace_tells() -> None:
    """Who made each step, and what came of it."""
    assert SHORT.schedule == ("alice", "bob", "alice")
    assert SHORT.verdict == "✗ it <broke>"
    assert Trace(("a",), (), "", "").verdict == "✓ nothing breaks"


def test_a_record_of_steps() -> None:
    """What a step leaves behind; one that another worker made is not changed."""
    state = {"count": 0}
    record = Record(state, None)
    assert (record.start, record.start_parts) == ("count=0", ("count=0",))
    record.made("alice")
    assert record.steps == []
    place = Place("f", 3, "g", "x = 1")
    record.begins("alice", place)
    state["count"] = 1
    record.made("bob")
    assert record.steps == [Step("alice", 3, "x = 1", place=place)]
    record.made("alice", note="it waits")
    assert record.steps == [Step("alice", 3, "x = 1", "count=1", "it waits", ("count=1",), place)]
    assert not record.looking

    looking: list[bool] = []

    def show(state: dict[str, int]) -> str:
        looking.extend([shown.looking] if looking else [True])
        return f"is {state['count']}"

    shown = Record(state, show)
    assert (shown.start, shown.start_parts) == ("is 1", ("is 1",))
    shown.begins("alice", place)
    frame = sys._getframe()
    local = 1
    shown.locals_of(frame)
    local = 2
    shown.made("alice", frame)
    assert shown.steps[0].state == "is 1" and looking == [True, True] and not shown.looking
    assert local == 2


def test_local_names_that_have_changed_are_noted() -> None:
    """Of the frame that the step was in; not where a name is shared with another function."""
    record = Record(None, None)
    assert (record.start, record.start_parts) == ("", ())

    def work(record: Record) -> None:
        frame = sys._getframe()
        a = b = 1
        record.begins("alice", NOWHERE)
        record.locals_of(frame)
        a, c = 2, "new"
        record.made("alice", frame)
        record.begins("alice", NOWHERE)
        record.locals_of(frame)
        record.made("alice", frame)
        record.begins("alice", NOWHERE)
        record.locals_of(frame)
        a = 3
        record.made("alice", sys._getframe(1))
        assert (a, b, c) == (3, 1, "new")

    def shares(record: Record) -> None:
        x = 1
        frame = sys._getframe()

        def inner() -> int:
            return x

        record.begins("alice", NOWHERE)
        record.locals_of(frame)
        x = 2
        record.made("alice", frame)
        assert inner() == x

    work(record)
    shares(record)
    assert [step.note for step in record.steps] == ["a = 2, c = 'new'", "", "", ""]


# --- words ---


@dataclass
class Waits:
    name: str
    lock: Lock | None = None
    done: bool = False
    place: Place = Place("f", 7, "g", "with lock:")
    function: Any = print


def a_lock(holder: str | None = None) -> Lock:
    lock = Lock()
    lock.holder = holder
    return lock


@dataclass
class State:
    lock: Any = None
    inner: Any = None


GLOBAL = a_lock("bob")


def uses_it(state: object) -> None:
    with GLOBAL:
        pass


def test_who_waits_for_which_lock() -> None:
    """Each that has not ended, where, for what, and who holds it."""
    mine, theirs = a_lock("bob"), a_lock("alice")
    state = State(lock=mine, inner=State(lock=theirs))
    told = words.deadlock(
        [
            Waits("alice", mine),
            Waits("bob", theirs, place=Place("f", 0, "", "")),
            Waits("carol", None),
            Waits("dave", mine, done=True),
        ],
        state,
    )
    assert told == (
        "deadlock: alice waits for a lock that bob holds (lock), at line 7; "
        "bob waits for a lock that alice holds (inner.lock), in code that cannot be seen"
    )


@pytest.mark.parametrize(
    ("waits", "others", "told"),
    [
        (Waits("alice", a_lock("alice")), [], "for a lock that alice herself holds"),
        (Waits("bob", a_lock("bob")), [], "for a lock that bob himself holds"),
        (Waits("thread", a_lock("thread")), [], "for a lock that thread itself holds"),
        (
            Waits("alice", a_lock("bob")),
            [Waits("bob", done=True)],
            "for a lock that bob, who has ended, still holds",
        ),
        (Waits("alice", a_lock("bob")), [Waits("bob")], "for a lock that bob holds"),
        (Waits("alice", a_lock("bob")), [Waits("eve", done=True)], "for a lock that bob holds"),
        (Waits("alice", GLOBAL, function=uses_it), [], "for a lock that bob holds (GLOBAL)"),
        (Waits("alice", GLOBAL), [], "for a lock that bob holds"),
        (Waits("alice", locks._Sleeper()), [], "to be woken, and nobody is left to do it"),
    ],
)
def test_for_what_one_waits(waits: Waits, others: list[Waits], told: str) -> None:
    """By the name that the user's code has for it, if that is to be found."""
    assert words._for_what(waits, [waits, *others], None) == told


def test_names_of_locks() -> None:
    """In the state, as an attribute or a key; or one floor down."""
    lock = a_lock()
    for state, name in (
        ({"a": 1, "guard": lock}, "guard"),
        (State(lock=lock), "lock"),
        ({"room": State(inner=lock)}, "room.inner"),
        (State(inner=State(lock=lock)), "inner.lock"),
        ([lock], ""),
        (None, ""),
    ):
        assert words.name_of(lock, state, uses_it) == name


@pytest.mark.parametrize(
    ("place", "short", "long"),
    [
        (Place("f", 7, "g", "x = 1"), "at line 7", "at line 7: x = 1"),
        (Place("f", 7, "g", ""), "at line 7", "at line 7"),
        (NOWHERE, "in code that cannot be seen", "in code that cannot be seen"),
    ],
)
def test_where(place: Place, short: str, long: str) -> None:
    assert words.at(place, False) == short and words.at(place) == long


def test_what_an_exception_says() -> None:
    """Its first line, if that fits in a sentence."""
    assert words.first_line(ValueError("one\ntwo")) == "one"
    assert words.first_line(ValueError("x" * 300)) == "x" * 200
    assert words.first_line(ValueError()) == ""


def holds_not(state: object) -> bool:
    return False


def fails(error: Exception) -> Callable[[object], object]:
    def invariant(state: object) -> object:
        raise error

    return invariant


@pytest.mark.parametrize(
    ("invariant", "told"),
    [
        (lambda state: None, ""),
        (lambda state: True, ""),
        (lambda state: [1], ""),
        (lambda state: False, "the invariant does not hold: a=1, b='x'"),
        (lambda state: 0, "the invariant does not hold: a=1, b='x'"),
        (holds_not, "holds_not does not hold: a=1, b='x'"),
        (fails(AssertionError("so it is\nand more")), "so it is"),
        (fails(AssertionError()), "the invariant fails with AssertionError"),
        (fails(KeyError("x")), "the invariant fails with KeyError: 'x'"),
        (fails(KeyError()), "the invariant fails with KeyError"),
    ],
)
def test_what_is_wrong_with_a_state(invariant: Callable[[object], object], told: str) -> None:
    """In words; and nothing, if nothing is."""
    assert _broken(invariant, Data(), None) == told


def test_a_state_that_is_shown_in_another_way() -> None:
    assert _broken(holds_not, Data(), lambda state: "two") == "holds_not does not hold: two"
    assert _broken(holds_not, None, None) == "holds_not does not hold"


FOUND = BrokenSchedule((0,), "why", False)


@pytest.mark.parametrize(
    ("found", "tried", "complete", "switches", "limit", "told"),
    [
        (FOUND, 1, False, 4, "", "1 schedule tried, the fewest switches first: this one breaks"),
        (FOUND, 1234, False, 4, "x", "1,234 schedules tried, the fewest switches first: this one breaks"),
        (
            None,
            2,
            False,
            4,
            "5 seconds are over",
            "2 schedules tried, and there are more (5 seconds are over): nothing breaks so far",
        ),
        (None, 2, True, 4, "", "2 schedules tried, all that there are: nothing breaks"),
        (None, 2, False, 1, "", "2 schedules tried, all with at most 1 switch: nothing breaks"),
        (None, 2, False, 0, "", "2 schedules tried, all with at most 0 switches: nothing breaks"),
    ],
)
def test_what_was_tried(
    found: BrokenSchedule | None, tried: int, complete: bool, switches: int, limit: str, told: str
) -> None:
    assert _words(found, tried, complete, switches, limit) == told


# --- what cannot be asked for ---


@dataclass
class Counter:
    count: int = 0
    seen: list[int] = field(default_factory=list)


def add_one(state: Counter) -> None:
    n = state.count
    state.count = n + 1


def counted(state: Counter) -> bool:
    return state.count == 2


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        (lambda: explore(Counter, [add_one] * 2, switches=-1), "switches: 0 or more is needed, not -1"),
        (lambda: explore(Counter, [add_one] * 2, schedules=0), "schedules: 1 or more is needed, not 0"),
        (lambda: explore(Counter, [add_one]), "two or three workers are needed, not 1"),
        (lambda: explore(Counter, [add_one] * 4), "two or three workers are needed, not 4"),
        (
            lambda: explore(Counter, {"a": add_one, 3: add_one}),  # type: ignore[dict-item]
            "a worker is a function, with a name that is text; not 3: ",
        ),
        (lambda: explore(Counter, {"a": add_one, "b": 3}), "not 'b': 3"),  # type: ignore[dict-item]
        (
            lambda: explore(3, [add_one] * 2),  # type: ignore[arg-type]
            "setup is a function that makes the state, not 3",
        ),
        (
            lambda: replay(Counter, [add_one] * 2, [2]),
            "the schedule does not fit: nobody here is called 2, only add_one 1, add_one 2",
        ),
        (lambda: replay(Counter, [add_one] * 2, ["x"]), "nobody here is called 'x', only"),
        (lambda: replay(Counter, [add_one] * 2, [-1]), "nobody here is called -1, only"),
    ],
)
def test_what_cannot_be_asked_for(ask: Callable[[], object], why: str) -> None:
    """It is said why."""
    with pytest.raises(ValueError) as error:
        ask()
    assert why in str(error.value)


def test_the_least_that_can_be_asked_for() -> None:
    """No switch and one schedule."""
    found = explore(Counter, [add_one, add_one], counted, switches=0, schedules=1)
    assert not found.found and (found.schedule, found.why, found.run) == (None, "", None)
    assert found.words == "1 schedule tried, and there are more (that is the limit): nothing breaks so far"
    assert str(found) == repr(found) == found.words
    assert found._repr_html_() == note_as_html(found.words) and not found.complete
    with pytest.raises(ValueError, match="^there is nothing to walk through: 1 schedule tried"):
        found.slider()


def test_two_functions_of_one_name_get_numbers() -> None:
    """A lambda is a worker; a partial has the name of its function."""
    assert list(stepper._named([add_one, add_one])) == ["add_one 1", "add_one 2"]
    assert list(stepper._named([add_one, uses_it])) == ["add_one", "uses_it"]
    assert list(stepper._named([lambda state: None, partial(add_one)])) == ["worker", "add_one"]


def test_a_schedule_by_number_or_by_name() -> None:
    """Both go the same way."""
    found = explore(Counter, {"alice": add_one, "bob": add_one}, counted)
    assert found.schedule is not None and bool(found)
    numbers = [["alice", "bob"].index(name) for name in found.schedule]
    by_name = replay(Counter, {"alice": add_one, "bob": add_one}, found.schedule, counted)
    by_number = replay(Counter, {"alice": add_one, "bob": add_one}, numbers, counted)
    assert str(by_name) == str(by_number) == str(found.run)
    assert str(found) == f"{found.words}\n\n{found.run}"
    assert by_name._repr_html_() == as_html(by_name)
    assert found._repr_html_() == as_html(by_name, found.words)


# --- locks ---


@pytest.mark.parametrize("kind", [Lock, RLock])
def test_a_lock_knows_its_holder(kind: type[Lock]) -> None:
    """In threads that no stepper leads, it is a real one."""
    lock = kind()
    assert lock.free and not lock.locked() and lock.holder is None and repr(lock) == "<free lock>"
    assert lock.acquire()
    assert lock.holder == ME and lock.locked() and not lock.free and repr(lock) == f"<lock held by {ME}>"
    got: list[bool] = []
    other = threading.Thread(target=lambda: got.append(lock.acquire(False)))
    other.start()
    other.join()
    assert got == [False] and lock.holder == ME
    lock.release()
    assert lock.free and lock.holder is None
    with pytest.raises(RuntimeError):
        lock.release()
    with lock as entered:
        assert entered is True and lock.locked()
    assert lock.free
    with pytest.raises(ValueError):
        lock.acquire(False, 1)
    lock.acquire()
    lock._at_fork_reinit()
    assert lock.free and lock.holder is None


def test_a_release_that_fails_changes_nothing() -> None:
    """Of a lock that another holds, and of one that is free."""
    lock = Lock()
    lock.holder = "alice"
    with pytest.raises(RuntimeError):
        lock.release()
    assert lock.holder == "alice"
    again = RLock()
    again.acquire()
    errors: list[BaseException] = []

    def tries() -> None:
        try:
            again.release()
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=tries)
    thread.start()
    thread.join()
    assert [str(error) for error in errors] == ["cannot release un-acquired lock"] and again.holder == ME


def test_an_rlock_counts() -> None:
    """It is free when its holder has released it as often as taken; a Condition may take it all at once."""
    lock = RLock()
    for _ in range(3):
        assert lock.acquire()
    lock.release()
    assert lock.holder == ME and not lock.free
    assert lock._release_save() == 2 and lock.free and lock.holder is None and not lock._is_owned()
    lock._acquire_restore(2)
    assert lock._is_owned() and not lock.free and lock.holder == ME
    lock.release()
    assert not lock.free
    lock.release()
    assert lock.free and lock.holder is None


class Turn:
    """A thread that a stepper leads: what it is asked to wait for is written down."""

    name = "alice"

    def __init__(self, frees: int) -> None:
        self.asked: list[tuple[Lock, float]] = []
        self.frees = frees

    def wait_for(self, lock: Lock, timeout: float) -> bool:
        self.asked.append((lock, timeout))
        if len(self.asked) == self.frees:
            lock._real.release()
        return len(self.asked) <= self.frees


@pytest.mark.parametrize(
    ("blocking", "timeout", "frees", "got", "asked"),
    [
        (True, -1, 1, True, 1),
        (True, -1, 3, True, 3),
        (True, 5.0, 1, True, 1),
        (True, 5.0, 0, False, 1),
        (True, 0, 1, False, 0),
        (False, -1, 1, False, 0),
    ],
)
def test_a_lock_under_the_stepper_lets_others_go_on(
    monkeypatch: pytest.MonkeyPatch, blocking: bool, timeout: float, frees: int, got: bool, asked: int
) -> None:
    """Until it is free, or the time has run out, which passes at the stepper's wish."""
    turn, lock = Turn(frees), Lock()
    lock._real.acquire()
    monkeypatch.setitem(RUNNING, threading.get_ident(), cast(Any, turn))
    assert lock.acquire(blocking, timeout) is got
    assert turn.asked == [(lock, timeout)] * asked
    assert lock.holder == ("alice" if got else None)


# --- lines ---


@pytest.mark.parametrize(
    ("source", "takes"),
    [
        ("with self.lock:", True),
        ("with state['lock']:", True),
        ("lock.acquire()", True),
        ("with self.lock: x = 1", False),
        ("with open(file):", False),
        ("lock.acquire(False)", False),
        ("x = lock.acquire()", False),
    ],
)
def test_a_line_that_takes_a_lock(source: str, takes: bool) -> None:
    """And does nothing else; at its end, it gives it back."""
    assert Place("f", 3, "g", source).takes_a_lock is takes
    assert not Place("f", 3, "g", source, leaving=True).takes_a_lock


def test_how_a_place_is_shown() -> None:
    """By its text, or its number, or not at all."""
    assert Place("f", 3, "g", "x = 1").text == "x = 1"
    assert Place("f", 3, "g", "with x:", leaving=True).text == "end of with x:"
    assert Place("f", 3, "g", "").text == "line 3"
    assert NOWHERE.text == "(code that cannot be seen)"


def made(source: str, file: str, name: str = "__main__") -> types.FrameType:
    """A frame of code that stands in this file."""
    names: dict[str, Any] = {"__name__": name, "sys": sys}
    exec(compile(source, file, "exec"), names)
    frame: types.FrameType = names["frame"]
    return frame


HERE = "frame = sys._getframe()"
IN_A_LIST = "[frame] = [sys._getframe() for _ in [1]]"


@pytest.mark.parametrize(
    ("source", "file", "name", "theirs"),
    [
        (HERE, "/home/student/chat.py", "__main__", True),
        (HERE, "<cell 3>", "__main__", True),
        (HERE, "<string>", "__main__", True),
        (HERE, "<string>", "namedtuple_Point", False),
        (HERE, "<frozen importlib._bootstrap>", "__main__", False),
        (HERE, threading.__file__, "threading", False),
        (HERE, stepper.__file__, "x", False),
        (HERE, "/usr/lib/site-packages/x.py", "x", False),
        (HERE, "/usr/lib/dist-packages/x.py", "x", False),
        (HERE, "/home/site-packages.py", "x", True),
    ],
)
def test_whose_lines_are_steps(source: str, file: str, name: str, theirs: bool) -> None:
    """The user's: neither the library's, nor labkit's, nor what is installed."""
    frame = made(source, file, name)
    known = Lines([add_one])
    assert known.theirs(frame) is theirs
    assert known.theirs(frame) is theirs


def test_a_comprehension_is_a_part_of_its_line() -> None:
    """Where it has a frame of its own."""
    frame = made(IN_A_LIST, "/home/student/chat.py")
    assert Lines([]).theirs(frame) is (frame.f_code.co_name == "<module>")


def test_a_file_of_a_worker_is_the_users_wherever_it_is() -> None:
    """Also one in a folder of the library."""
    frame = made("def work(state): pass\n" + HERE, threading.__file__)
    assert not Lines([add_one]).theirs(frame)
    assert Lines([frame.f_globals["work"]]).theirs(frame)


def test_the_function_in_what_can_be_called() -> None:
    """A partial of a partial, a method, an object, a decorated function."""

    class Worker:
        def work(self, state: object) -> None:
            pass

        def __call__(self, state: object) -> None:
            pass

    worker = Worker()
    assert lines.plain(partial(partial(add_one))) is add_one
    assert lines.plain(worker.work) is Worker.work
    assert lines.plain(worker) is Worker.__call__


def test_the_listing_of_a_function() -> None:
    """Without its indentation; of code that is nowhere, nothing."""
    assert lines.listing(add_one.__code__) == [
        "def add_one(state: Counter) -> None:",
        "    n = state.count",
        "    state.count = n + 1",
    ]
    assert (
        lines.listing(Turn.wait_for.__code__)[0]
        == "def wait_for(self, lock: Lock, timeout: float) -> bool:"
    )
    assert lines.listing(compile("x = 1", "<nowhere>", "exec")) == []


# --- the slider ---


def stood(line: int, source: str = "") -> Place:
    return Place("f", line, "g", source or f"line <{line}>")


def made_step(thread: str, line: int, state: str, note: str = "") -> Step:
    return Step(thread, line, f"line <{line}>", state, note, (state,), stood(line))


WALK = Trace(
    ("alice", "bob"),
    (
        made_step("alice", 1, "n=1"),
        made_step("bob", 11, "n=1", "waits: alice holds it"),
        made_step("alice", 2, "n=2"),
        made_step("bob", 11, "n=3", "fails: ValueError"),
    ),
    "it broke",
    "n=0",
    ("n=0",),
    {"alice": None, "bob": stood(12)},
)


def test_each_stop_of_a_slider() -> None:
    """Where each thread stands, what was done, what has changed, and in the end what came of it."""
    panel = StepPanel(WALK)

    def code(name: str, line: int, stands: bool) -> str:
        mark = ' class="stands" aria-current="step"' if stands else ""
        label = f'role="group" aria-label="the code of {name}"'
        return f'<pre tabindex="0" {label}><span{mark}><i>{line:>3}</i> line &lt;{line}&gt;</span></pre>'

    def thread(name: str, turn: str, words_: str, line: int, stands: bool = True) -> str:
        said = f'<b><bdi>{name}</bdi></b> <span class="status">{words_}</span>'
        return f'<div class="{turn}">{said}{code(name, line, stands)}</div>'

    def done(name: str, line: int, note: str = "") -> str:
        told = f'<div class="note">→ {note}</div>' if note else ""
        return (
            f'<b><bdi>{name}</bdi></b><div class="step"><span class="at">{line}</span>'
            f"<code>line &lt;{line}&gt;</code></div>{told}"
        )

    def same(text: str) -> str:
        return f'<div class="same"><code>{text}</code></div>'

    def new(text: str) -> str:
        return f"<div><b><code>{text}</code></b></div>"

    def shown(threads: str, status: str) -> str:
        return (
            f'<div class="labkit-steps"><div class="labkit-threads">{threads}</div>'
            f'<div role="status">{status}</div></div>'
        )

    waits, fails = "waits: alice holds it", "fails: ValueError"
    stops = [
        (
            shown(
                thread("alice", "turn", "goes on now", 1) + thread("bob", "", "has not begun", 11),
                "&nbsp;" + same("n=0") + "&nbsp;",
            ),
            ["n=0", "alice goes on now, 1: line <1>", "bob has not begun, 11: line <11>"],
        ),
        (
            shown(
                thread("alice", "", "stands", 2) + thread("bob", "turn", "goes on now", 11),
                done("alice", 1) + new("n=1") + "&nbsp;",
            ),
            ["n=1", "alice stands, 2: line <2>", "bob goes on now, 11: line <11>"],
        ),
        (
            shown(
                thread("alice", "turn", "goes on now", 2) + thread("bob", "", waits, 11),
                done("bob", 11, waits) + same("n=1") + "&nbsp;",
            ),
            ["n=1", "alice goes on now, 2: line <2>", f"bob {waits}, 11: line <11>"],
        ),
        (
            shown(
                thread("alice", "over", "has ended", 2, False) + thread("bob", "", waits, 11),
                done("alice", 2) + new("n=2") + "&nbsp;",
            ),
            ["n=2", "alice has ended", f"bob {waits}, 11: line <11>"],
        ),
        (
            shown(
                thread("alice", "over", "has ended", 2, False) + thread("bob", "", fails, 12),
                done("bob", 11, fails) + new("n=3") + '<div class="why">✗ it broke</div>',
            ),
            ["n=3", "alice has ended", f"bob {fails}, 12: line <12>"],
        ),
    ]
    assert panel.value == 0 and (panel._stops.min, panel._stops.max) == (0, 4)
    for made, (html, (state, *threads)) in enumerate(stops):
        panel.value = made
        assert panel._shown.value == html
        verdict = ["✗ it broke"] * (made == 4)
        told = [f"after {made} of 4 steps: {state}", *(f"  {line}" for line in threads), *verdict]
        assert repr(panel).splitlines() == told
        assert (panel._back.disabled, panel._on.disabled) == (made == 0, made == 4)
    panel._back.click()
    assert panel.value == 3
    panel._on.click()
    assert panel.value == 4
    for wrong in (-1, 5):
        with pytest.raises(ValueError, match=f"^there are 0 to 4 steps, not {wrong}$"):
            panel.value = wrong


def test_a_slider_of_a_function_shows_all_of_it() -> None:
    """The line that a thread is about to execute is marked."""
    first = add_one.__code__.co_firstlineno
    place = Place(__file__, first + 2, "add_one", "state.count = n + 1", code=add_one.__code__)
    trace = Trace(("a",), (), "", "", (), {"a": place})
    html = StepPanel(trace)._shown.value
    assert html.count("<span") == 4 and html.count('class="stands"') == 1
    assert f'<span class="stands" aria-current="step"><i>{first + 2:>3}</i>     state.count' in html
    assert f"<span><i>{first:>3}</i> def add_one(state: Counter) -&gt; None:</span>" in html


# --- in which order schedules are tried ---


def log_of(name: str, lines_: int) -> Callable[[list[str]], None]:
    source = "def write(log):\n" + f"    log.append({name!r})\n" * lines_
    names: dict[str, Any] = {}
    exec(compile(source, f"<{name}>", "exec"), names)
    return cast("Callable[[list[str]], None]", names["write"])


@pytest.mark.parametrize(
    ("sizes", "switches", "tried"),
    [
        ((2, 2), 0, ["aabb", "bbaa"]),
        ((2, 2), 1, ["aabb", "bbaa", "abba", "baab"]),
        ((2, 2), 2, ["aabb", "bbaa", "abba", "baab", "abab", "baba"]),
        ((1, 1, 1), 0, ["abc", "acb", "bca", "bac", "cab", "cba"]),
    ],
)
def test_which_orders_are_tried(sizes: tuple[int, ...], switches: int, tried: list[str]) -> None:
    """The fewest switches first; each once; and it is known whether these were all."""
    seen: list[str] = []
    workers = {name: log_of(name, size) for name, size in zip("abc", sizes, strict=False)}
    result = explore(list, workers, lambda log: seen.append("".join(log)), switches=switches)
    assert sorted(seen) == sorted(tried) and result.tried == len(tried)
    switched = [sum(a != b for a, b in zip(log, log[1:], strict=False)) for log in seen]
    assert switched == sorted(switched)
    assert result.complete == (len(tried) == 6)


def test_how_many_orders_there_are() -> None:
    """As many as there are ways to interleave."""
    for sizes, number in (((3, 3), 20), ((1, 4), 5), ((4, 4), 70), ((2, 2, 2), 90)):
        workers = {name: log_of(name, size) for name, size in zip("abc", sizes, strict=False)}
        result = explore(list, workers, switches=99, seconds=60)
        assert (result.tried, result.complete) == (number, True)


def test_the_shortest_that_breaks_is_found() -> None:
    """Of those with the fewest switches."""
    result = explore(
        list, {"a": log_of("a", 3), "b": log_of("b", 1)}, lambda log: "".join(log) != "abaa", switches=9
    )
    assert result.schedule == ("a", "b", "a", "a") and not result.complete
    assert result.why == "the invariant does not hold: ['a', 'b', 'a', 'a']"


def test_how_long_a_shorter_one_is_looked_for() -> None:
    """So many schedules more, from the first that breaks on; of those with as few switches."""
    seen: list[str] = []

    def few_switches(log: list[str]) -> bool:
        seen.append("".join(log))
        return sum(a != b for a, b in zip(log, log[1:], strict=False)) < 4

    result = explore(list, {"a": log_of("a", 8), "b": log_of("b", 8)}, few_switches, switches=9, seconds=60)
    first = next(n for n, log in enumerate(seen) if log.count("ab") + log.count("ba") >= 4)
    # The one that was found is played once more, for its record.
    assert result.tried == first + FURTHER == len(seen) - 1 and FURTHER == 200
    assert result.found and not result.complete


ANOTHER_WAY = (
    "a schedule broke something, and went another way when it was played again: setup must make everything "
    "anew, and workers must not leave anything to chance, to the clock or to threads of their own"
)


def test_a_search_that_goes_another_way_is_told() -> None:
    """A schedule does not fit the second time; or what broke breaks no more, or in another way."""
    plays: list[int] = []

    def setup() -> list[int]:
        plays.append(0)
        return plays

    def longer_at_first(state: list[int]) -> None:
        if len(state) < 2:
            state[0] = 1
            state[0] = 2

    with pytest.raises(ValueError) as error:
        explore(setup, {"alice": longer_at_first, "bob": longer_at_first})
    assert re.fullmatch(
        r"the same schedule went another way the second time \(at step \d it lets \w+ go on, who has "
        r"ended\): setup must make everything anew, each time the same",
        str(error.value),
    )

    def first_only(state: list[int]) -> bool:
        return len(state) != 1

    def one_line(state: list[int]) -> None:
        state[0] = 1

    plays.clear()
    with pytest.raises(ValueError) as error:
        explore(setup, {"alice": one_line, "bob": one_line}, first_only, switches=0, schedules=1)
    assert str(error.value) == f"{ANOTHER_WAY} (first_only does not hold: [1]; then nothing)"

    def fewer_later(state: list[int]) -> None:
        if len(state) == 1:
            state[0] = 1

    plays.clear()
    with pytest.raises(ValueError) as error:
        explore(setup, {"alice": fewer_later, "bob": fewer_later}, first_only, switches=0, schedules=1)
    assert str(error.value).startswith(f"{ANOTHER_WAY} (first_only does not hold: [1]; then: the schedule ")
    assert "does not fit: " in str(error.value)


def test_a_worker_without_a_line_makes_one_step() -> None:
    """A function written in C: that it ran is shown, and not what it did."""
    run = replay(list, {"a": list.clear, "b": operator.length_hint}, ["a", "b"])
    assert [(step.thread, step.source) for step in run.steps] == [
        ("a", "(code that cannot be seen)"),
        ("b", "(code that cannot be seen)"),
    ]


def test_a_thread_that_goes_on_for_ever_is_interrupted() -> None:
    """Wherever it is, as soon as it executes Python again."""
    goes_on, over = threading.Event(), threading.Event()
    interrupted: list[bool] = []

    def loops() -> None:
        try:
            while not over.is_set():
                goes_on.set()
        except Ended:
            interrupted.append(True)

    thread = threading.Thread(target=loops)
    thread.start()
    assert goes_on.wait(SOON)
    interrupt(thread)
    thread.join(SOON)
    over.set()
    thread.join()
    assert interrupted == [True]
