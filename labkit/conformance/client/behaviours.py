"""All behaviours of a client, in the order in which they are tried."""

from __future__ import annotations

from dataclasses import replace

from labkit.conformance.behaviour import Behaviour
from labkit.conformance.client.dying import DYING
from labkit.conformance.client.hearing import HEARING
from labkit.conformance.client.joining import JOINING
from labkit.conformance.client.leaving import LEAVING
from labkit.conformance.client.saying import SAYING

NO_SERVER = "where nobody listens, it says so"
"""To try this one, the client finds no server."""

ENDINGS = {behaviour.name for behaviour in (*LEAVING, *DYING)}
"""In these the client may end, with whatever status."""

BEHAVIOURS: list[Behaviour] = [
    replace(behaviour, number=number)
    for number, behaviour in enumerate([*JOINING, *HEARING, *SAYING, *LEAVING, *DYING], 1)
]
