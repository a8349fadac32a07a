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
    # --- the file cannot be loaded ---
    "no such name": (
        "What is the name that the task asks for, and what does your file have?",
        "The name must stand at the left edge, letter by letter as in the task.",
    ),
    "SyntaxError": (
        "What is the matter with that line, or with the one above it?",
        "Python says where it could no longer go on: look there, and just before it.",
    ),
    "not callable": (
        "Where does that name get its value? The last line that gives it one counts.",
        "Hand in the class itself, and let the check make the object.",
    ),
    "exit at load": (
        "What is it that should end here? The check loads your file, and then calls your code.",
        'What only runs the program belongs under: if __name__ == "__main__":',
    ),
    "ImportError": (
        "Which module is it, and where is it?",
        "A module beside your file is imported by its name: import helper. `from .` needs a package.",
    ),
    "ModuleNotFoundError": (
        "Is the name spelt right? A file of yours must be beside this one, and handed in, too.",
        "Only Python's own modules are sure to be there. Others must be installed.",
    ),
    # --- what was returned is of another kind ---
    "returns None": (
        "Which path through your code comes to its end without a `return` that has a value?",
        "What is printed is not returned. And a function that ends without return returns None.",
    ),
    "returns a generator": (
        "What does a function with `yield` in it return, and when does it begin to run?",
        "Collect in a list, and return the list at the end.",
    ),
    "returns a coroutine": (
        "Who awaits what an `async def` returns? Here nobody does.",
        "Take out `async`. Sockets and threads need none.",
    ),
    "returns a view of a dict": (
        "What becomes of what you returned, when the dict changes?",
        "Return a copy: list(….items()), list(….values()).",
    ),
    "returns an iterator": (
        "How many times can a map, filter, zip or iter be gone through?",
        "Return a list of it: list(…).",
    ),
    "returns a set": (
        "The task asks for a list. What is the order in a set, and what becomes of two that are equal?",
        "Keep a list, or a dict, whose keys have an order. Return list(…).",
    ),
    "returns a tuple": ("The task asks for a list. What is it that you return?", "return list(…)"),
    "returns bytes": (
        "The task asks for str. What are these, and which call makes text of them?",
        "data.decode('utf-8', 'replace')",
    ),
    "returns a function": ("What is missing behind its name?", "Call it: ()."),
    "returns something else": ("Compare it with what the task asks for. What did you return?",),
    # --- exceptions ---
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
    "UnboundLocalError": (
        "A function that gives a name a value has its own such name. Which one did you mean here?",
        "Of an object: self.name. Of the file: say `global name` first.",
    ),
    "KeyError": (
        "Which key is not there, and who could have taken it out, or never put it in?",
        "Look first, with `in`; or use .get(key) and .pop(key, None).",
    ),
    "IndexError": (
        "How long was the list there, and which place was asked for?",
        "An empty list has no [0]. Look at its length first.",
    ),
    "ZeroDivisionError": ("What was it divided by, and when is that 0?",),
    "RuntimeError": (
        "What does the message say that changed, or could not be started?",
        "`changed size during iteration`: go through a copy. `can't start new thread`: too many run.",
    ),
    "RecursionError": (
        "Which function calls itself, and which call of it would not?",
        "A property that reads itself does so, too: keep the value under another name, self._name.",
    ),
    "MemoryError": (
        "What grows there, and when does it stop growing?",
        "A loop that appends needs an end. A buffer is cut when a line is complete.",
    ),
    "exit": ("sys.exit() ends the program. What is it that should end here?", "To end a function, return."),
    "storm": ("What is printed, and from within which loop?", "Take the print out, or end the loop."),
}
