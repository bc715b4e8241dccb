"""Analog substrates: physical models of devices that store weights, and of neurons that read the devices.

net = PRESETS["bench"].install(FeedForward.dense((1, 28, 28), (500, 500), 10), seed=1)   # the seed selects the device
"""

from twofold.substrate.device import arrays, drift, installed, program, set_run_length
from twofold.substrate.parameters import Substrate
from twofold.substrate.presets import PRESETS, find
from twofold.substrate.weights import AnalogWeights

__all__ = ["PRESETS", "AnalogWeights", "Substrate", "arrays", "drift", "find", "installed", "program", "set_run_length"]
