"""What students are handed: the notebooks, and a labkit that checks their code and holds no answer.

- build.py       what goes into the folder, and how it is written without harm to anybody's work
- own_copy.py    a copy of the notebooks, laid into a folder and over no work
- predicting.py  a walkthrough's questions, asked by widgets, and explanations folded up
- stripping.py   an exercise's module without its answers
- traces.py      whether something of an answer is left in a text
"""
