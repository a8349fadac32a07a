"""What a student's test does with what it has found: for `judge`, where a test catches less than it might.

Only an exception counts. A test that returns False, or prints what is wrong, or asserts a pair, finds a bug
and tells nobody.
"""

from __future__ import annotations


def of_a_trial(returned: str, printed: str) -> str:
    """What can be seen of a run that found nothing wrong: what it returned ("" for None), and printed."""
    if returned:
        return (
            f"it returned {returned}, and nobody looks at what a test returns. assert WHAT, MESSAGE raises "
            "if it is not so"
        )
    if printed:
        return f"it printed {printed!r}, and nobody reads that. assert WHAT, MESSAGE raises if it is not so"
    return ""
