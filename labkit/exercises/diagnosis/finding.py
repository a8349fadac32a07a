"""`look_at`: which lines of a student's source to look at after a failure, the likeliest first."""

from __future__ import annotations

import re

from labkit.exercises.diagnosis import errors, loading, locks, shape, stream
from labkit.exercises.diagnosis.code import Code, Failed, Finding

MOST = 2
"""Findings that are told: more would be a list of suspicions."""

STUCK = re.compile(r"still|not come back|deadlock|does not end|not returned|longer|waits|too long|nothing")


def look_at(code: Code, failed: Failed) -> tuple[Finding, ...]:
    """What to look at for this failure of a step."""
    found: list[Finding] = []
    for rule in (*errors.RULES, *shape.RULES, *locks.RULES, *stream.RULES):
        found += rule(code, failed)
    if not found:
        found += shape.hides_errors(code, failed)
    if not found:
        found += shape.unused_parameter(code, failed)
    return _first(found)


def look_at_file(
    source: str, wants: str, methods: set[str], seen: str, at: list[int]
) -> tuple[Finding, ...]:
    """What to look at if the source could not even be loaded.

    Args:
        seen: what was seen.
        at: the lines that it speaks of.
    """
    found = list(loading.syntax(source))
    if found or "SyntaxError" in seen or "IndentationError" in seen or "TabError" in seen:
        return _first(found)
    try:
        if "none of that name" in seen or f"defines no {wants}" in seen:
            found += loading.names(source, wants, methods)
        elif "an object" in seen:
            found += loading.instance(source, wants)
        else:
            found += loading.top_level(source, at)
    except SyntaxError:
        pass
    return _first(found)


def _first(found: list[Finding]) -> tuple[Finding, ...]:
    """The first of each name."""
    by_name: dict[str, Finding] = {}
    for finding in found:
        by_name.setdefault(finding.name, finding)
    return tuple(by_name.values())[:MOST]
