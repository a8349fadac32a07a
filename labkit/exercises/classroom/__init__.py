"""A class's submissions: found, judged one beside the other, and told about. `python -m labkit grade`.

- feedback.py     a page for each student
- found.py        whose file is which, and for which exercise
- marking.py      judges them, several at once, and misses none
- overview.py     where the class stands, step by step: as text, and as a page
- place.py        a folder of its own for each submission
- predictions.py  what a class expected, question by question: as text, and as a page
- suspicion.py    what in a submission reaches for the checker, or for an answer
- table.py        the grades, as rows of a CSV file
"""
