"""Train through hardware in another process: a protocol, a client, a server, and a simulated instrument.

The client is ``BlackBox(Instrument("tcp://127.0.0.1:5555"))``, the server ``serve(function, inputs, units)``.
``docs/instruments.md`` specifies the protocol for servers that are not written in Python.
"""

from twofold.instrument.client import Instrument
from twofold.instrument.server import PIPES, serve
from twofold.instrument.simulated import DEVICES, Simulated

__all__ = ["DEVICES", "PIPES", "Instrument", "Simulated", "serve"]
