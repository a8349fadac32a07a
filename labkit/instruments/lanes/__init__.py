"""What ran when: for each thread, when it ran, waited in `recv`, waited for a lock, and held one.

From a real run, with `record`, or from the stepper, with `Run.lanes()`:

    with record(server) as recording:
        ...
    recording.lanes

- side_by_side.py  the lanes: what each thread did at a moment, and the picture of it
- states.py      what a thread can be at
- recorder.py    takes it from a real run
- replacing.py   what is replaced meanwhile, and how it is put back
- recorded.py    a lock and a socket that write down who waits for them
- finding.py     the locks and sockets of an object, and who waits at them already
- telling.py     from what was recorded to lanes
- text.py        lanes as text
- drawing.py     lanes as a drawing
"""

from labkit.instruments.lanes.recorder import Recording, record
from labkit.instruments.lanes.side_by_side import Lanes
from labkit.instruments.lanes.states import Interval, Mark

__all__ = ["Interval", "Lanes", "Mark", "Recording", "record"]
