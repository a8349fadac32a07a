"""Buffers and queues that fill: what waits between one who sends and one who reads.

- gauges.py     what can be measured, and how
- levels.py     what a buffer holds at one moment, in figures and in words
- pictures.py   bars, moments side by side, and a plot over time, as HTML
- sampler.py    a thread that looks at gauges so many times a second, and what it saw
- samples.py    what all buffers on a way hold at one moment, and what that means

    tubs = between(near, far)        # two connected sockets
    tubs.sample("before")            # a look, with a name
    …
    tubs.moments()                   # the looks that have names, side by side

`to_client(server, "bob", …)` is the way from a chat server to one of its clients.
"""

from labkit.instruments.buffers.gauges import AcceptQueue, Count, ToClient, Way
from labkit.instruments.buffers.levels import EMPTY, FULL, SOME, UNTOLD, Level
from labkit.instruments.buffers.pictures import Moments, Plot
from labkit.instruments.buffers.sampler import Buffers, between, to_client
from labkit.instruments.buffers.samples import Sample

__all__ = [
    "EMPTY",
    "FULL",
    "SOME",
    "UNTOLD",
    "AcceptQueue",
    "Buffers",
    "Count",
    "Level",
    "Moments",
    "Plot",
    "Sample",
    "ToClient",
    "Way",
    "between",
    "to_client",
]
