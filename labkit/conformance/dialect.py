"""The form in which a server passes on what a client says, learnt from two who talk.

The wire's own is `alice: hello`. Others write `[alice] hello` or `<alice> hello`, put the time before it,
or give no name at all. Which form it is, one behaviour judges; the others take it as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

NAME, TEXT = "{name}", "{text}"


@dataclass(frozen=True)
class Form:
    """A pattern such as `{name}: {text}`. A number in it stands for any number: it may be the time."""

    pattern: str = f"{NAME}: {TEXT}"

    @property
    def named(self) -> bool:
        """Whether it tells who said something."""
        return NAME in self.pattern

    @property
    def shown(self) -> str:
        """An example, as alice would say it."""
        example = self.pattern.replace(NAME, "alice").replace(TEXT, "TEXT")
        # A colour is told as the bytes that it is made of, and colours nobody's terminal.
        return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in example)

    def speaker(self, before: str) -> str | None:
        """Whose words follow, if just this stands before them; None: that does not tell."""
        match = re.fullmatch(_pattern(self.pattern.partition(TEXT)[0], "(?P<name>.*)"), before)
        return None if match is None else match.groupdict().get("name", "").strip()

    def said(self, heard: str, text: str, raw: bool = False) -> list[str]:
        """The nicknames under which this text was said, in what was heard; "" where there are none.

        Args:
            heard: whole lines; or, if `raw`, messages that may run together.
            text: "": nothing but spaces.
        """
        before, after = self.pattern.split(TEXT)
        # In raw, a message begins anywhere: the nearest name counts.
        name = r"(?P<name>[^\r\n]*?)" if raw else r"(?P<name>[^\r\n]*)"
        expression = _pattern(before, name) + (re.escape(text) or "[ \\t]*") + _pattern(after, name)
        found: Iterable[re.Match[str]]
        if raw:
            found = re.finditer(expression if self.named else f"(?:^|(?<=\n)){expression}$", heard, re.M)
        else:
            lines = heard.removesuffix("\n").split("\n") if heard else []
            found = filter(None, (re.fullmatch(f"{expression}\r?", line) for line in lines))
        return [match.groupdict().get("name") or "" for match in found]


def _pattern(text: str, name: str) -> str:
    """A regular expression for this part of a form."""
    return name.join(re.sub(r"\d+", r"\\d+", re.escape(part)) for part in text.split(NAME))


def learnt(heard: dict[str, str], texts: dict[str, str]) -> Form | None:
    """The form of the lines in which two nicknames were heard to say something; None: they have none.

    Args:
        heard: by nickname, the line or message that has what it said.
        texts: by nickname, what it said.
    """
    forms = set()
    for nickname, line in heard.items():
        before, found, after = line.strip("\r\n").partition(texts[nickname])
        if not found:
            return None
        pattern = TEXT.join(part.replace(nickname, NAME) for part in (before, after))
        if pattern.count(NAME) > 1 or re.search(r"[a-z]-\d", pattern):
            return None  # in raw, another message may run into this one
        forms.add(re.sub(r"\d+", "0", pattern))
    return Form(forms.pop()) if len(forms) == 1 else None
