"""Hardware in another process, which a training talks to: a protocol, its two ends, and a simulated instrument.

The training's end is ``BlackBox(Instrument("tcp://127.0.0.1:5555"))``, that of the hardware ``serve(function, inputs,
units)``. The protocol, for ends that are not written in Python, is in ``docs/instruments.md``.
"""

from twofold.instrument.client import Instrument
from twofold.instrument.server import PIPES, serve
from twofold.instrument.simulated import DEVICES, Simulated

__all__ = ["DEVICES", "PIPES", "Instrument", "Simulated", "serve"]
