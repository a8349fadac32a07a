"""dialect.py: in which form a message is passed on, and what was said in that form."""

from __future__ import annotations

import pytest

from labkit.conformance.dialect import Form, learnt

NAMELESS = Form("{text}")


@pytest.mark.parametrize(
    ("alice", "bob", "pattern"),
    [
        ("alice: form-1", "bob: form-2", "{name}: {text}"),
        ("[alice] form-1\r\n", "[bob] form-2\r\n", "[{name}] {text}"),
        ("12:01 <alice> form-1", "9:17 <bob> form-2", "0:0 <{name}> {text}"),
        ("form-1", "form-2", "{text}"),
        ("form-1 (alice)", "form-2 (bob)", "{text} ({name})"),
        ("alice: form-1", "bob> form-2", None),
        ("something else", "bob: form-2", None),
        # In raw, messages run together.
        ("[alice] [alice] form-1", "[bob] [bob] form-2", None),
        ("ping-7form-1", "ping-8form-2", None),
    ],
)
def test_a_form_is_learnt_from_two(alice: str, bob: str, pattern: str | None) -> None:
    """It is the same for both, or there is none; a number in it is any number."""
    form = learnt({"alice": alice, "bob": bob}, {"alice": "form-1", "bob": "form-2"})
    assert (form and form.pattern) == pattern


@pytest.mark.parametrize(
    ("form", "heard", "text", "names"),
    [
        (Form(), "alice: hello\nbob: hello\n", "hello", ["alice", "bob"]),
        (Form(), "alice: hello there\n", "hello", []),
        (Form("0:0 [{name}] {text}"), "10:59 [alice] hello\r\n", "hello", ["alice"]),
        (Form(), "alice: \n", "", ["alice"]),
        (Form(), "", "", []),
        (NAMELESS, "hello\n", "hello", [""]),
        # The end of a line is no empty line.
        (NAMELESS, "", "", []),
        (NAMELESS, "hello\n", "", []),
        (NAMELESS, "\n", "", [""]),
        (NAMELESS, "hello\n \nhello\n", "", [""]),
    ],
)
def test_what_was_said(form: Form, heard: str, text: str, names: list[str]) -> None:
    """By whom, each time."""
    assert form.said(heard, text) == names


def test_what_was_said_in_messages_that_run_together() -> None:
    """Where one begins, nothing tells; a name is what stands right before the words."""
    assert Form("[{name}] {text}").said("[bob] hello[alice] hello", "hello", raw=True)[-1] == "alice"


def test_a_colour_is_shown_as_its_bytes() -> None:
    """An example of the form is for a terminal, whose colours it leaves alone; letters stay as they are."""
    assert Form("\x1b[31m{name}\x1b[0m: {text}").shown == r"\x1b[31malice\x1b[0m: TEXT"
    assert Form("«{name}» сказал {text}").shown == "«alice» сказал TEXT"
