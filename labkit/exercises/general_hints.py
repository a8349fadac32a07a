"""Hints for what can happen in every step of every exercise, by clue.

The hints of one exercise are in its own file of catalogue/: each step's `hints` and `hints_by_clue`.
"""

from __future__ import annotations

BUSY, WAITING = "busy", "waiting"
"""Clues of a step that took too long: whether the code was at work, or waited."""

GENERAL_HINTS: dict[str, tuple[str, ...]] = {
    BUSY: (
        "Which line was it in, and what would have to change for that loop to end?",
        "A loop ends when its condition turns false, or by break or return. Here neither happened.",
    ),
    WAITING: (
        "Which line was it in, and what does that line wait for? Who should bring it?",
        "A lock waits until its holder lets go of it; recv waits until something comes.",
    ),
    "ended": (
        "What in your code can end a whole process?",
        "os._exit ends it at once, without a word. To end a function, return.",
    ),
    "died": (
        "A thread ended by an exception. In which line, and who catches it there?",
        "An exception in a thread ends that thread alone, and mostly unseen. Catch what can be expected.",
    ),
    "port": (
        "Something still listens. Which line should have closed it?",
        "Close a listening socket when it is no longer needed: with socket.create_server(…) as listener: …",
    ),
    "NotImplementedError": (
        "Here something is still to be written. Which line is it?",
        "Put your own code in place of `raise NotImplementedError()`.",
    ),
    "EOFError": (
        "input() found no keyboard. Where should the text come from?",
        "The check calls your code with all that it needs. Take it from the arguments.",
    ),
    "NameError": (
        "Which name is it, and where was it to be defined?",
        "A misspelt name, a missing import, or a cell that was not run.",
    ),
    "AttributeError": (
        "Which name is missing, and on what kind of object?",
        "A misspelt name, or another object than you think: print type(…) of it in the line before.",
    ),
    "TypeError": (
        "Which call does not fit, and what was it given?",
        "Compare your `def` with the task: the arguments, their order, and `self` in a class.",
    ),
    "exit": ("sys.exit() ends the program. What is it that should end here?", "To end a function, return."),
    "storm": ("What is printed, and from within which loop?", "Take the print out, or end the loop."),
}
