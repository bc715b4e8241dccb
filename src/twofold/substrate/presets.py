"""Substrates by name, most of them after published devices.

What a publication says of a device is put into the terms of `Substrate`; each line that is not from it says *estimate*.
"""

from __future__ import annotations

from twofold.errors import unknown
from twofold.substrate.parameters import Substrate

ideal = Substrate()
"""No physics at all."""

bench = Substrate(full_scale=4.0, mismatch=0.2, read_noise=0.05, threshold=0.1, drift=0.1, bits=6)
"""No published device, but what a bench may find: gains that differ by 20 %, read noise of 5 %, thresholds that differ
by 10 %, weights that drift by 10 % over a run, and pulses of which 63 cross the range."""

reram = Substrate(
    full_scale=4.0,  # estimate
    bits=10,  # about 1000 steps over the range
    softness=1.0,  # soft bounds
    asymmetry=0.01,  # after calibration to the point at which pulses up and down are the same
    pulse_spread=0.3,
    pulse_noise=3.75,  # single pulses are noisier than they are large
    read_noise=0.01,  # estimate
    stuck=0.01,  # estimate
    programming_noise=0.02,  # estimate
)
"""Filamentary ReRAM, HfO2: Gong et al., Signal and noise extraction from analog memory elements for neuromorphic
computing, Nat. Commun. 9:2102 (2018), and the fit of a soft-bounds device to it that comes with the IBM Analog Hardware
Acceleration Kit (Rasch et al., AICAS 2021)."""

pcm = Substrate(
    g_max=25.0,
    full_scale=4.0,  # estimate
    bits=5,  # estimate: about 20 pulses from the lowest to the highest conductance of a device, two devices a weight
    softness=0.5,  # estimate: pulses get smaller on the way up
    pulse_noise=0.75,  # estimate
    pulse_spread=0.3,  # estimate
    programming_noise=0.04,  # up to 1.1 of 25 microsiemens
    read_noise=0.01,  # estimate, for noise of 1 / f read at one moment
    drift=0.1,  # estimate: exponents of 0.05 that differ by a third, over three decades, behind one common factor
)
"""Phase-change memory: Nandakumar et al., Mixed-precision deep learning based on computational memory, Front. Neurosci.
14:406 (2020), for pulses; Joshi et al., Accurate deep neural network inference using computational phase-change memory,
Nat. Commun. 11:2473 (2020), for programming and drift; Ambrogio et al., Nature 558:60 (2018), is a training with it."""

ecram = Substrate(
    full_scale=4.0,  # estimate
    bits=10,  # about 1000 steps over the range
    softness=0.3,  # between those upwards (0.12) and downwards (0.51)
    asymmetry=0.01,
    pulse_spread=0.1,
    pulse_noise=0.3,
    mismatch=0.05,  # the spread of their ranges
    read_noise=0.01,  # estimate
)
"""Electrochemical RAM with lithium: Tang et al., ECRAM as scalable synaptic cell for high-speed, low-power neuromorphic
computing, IEDM 2018, and the fit of a linear step to it in the same kit."""

capacitor = Substrate(
    full_scale=4.0,  # estimate
    bits=9,  # about 400 steps over the range
    softness=0.05,
    asymmetry=0.06,  # the standard deviation between cells, here the same for all
    pulse_spread=0.1,
    pulse_noise=0.3,
    mismatch=0.07,  # the spread of their ranges
    read_noise=0.01,  # estimate
)
"""A capacitor and three transistors, charged and discharged: Li et al., Capacitor-based cross-point array for analog
neural network with record symmetry and linearity, VLSI Technology 2018, and the fit to it in the same kit. Leakage, a
lifetime of some 10^6 updates in that fit, is left out."""

rpu = Substrate(
    full_scale=4.0,  # estimate
    bits=10,  # 1200 steps over the range
    pulse_spread=0.3,
    pulse_noise=0.3,
    asymmetry=0.05,
    dac_bits=7,
    adc_bits=9,
    adc_range=12.0,
    read_noise=0.01,  # estimate: their noise of 0.06 is one of the outputs, whatever the inputs
)
"""The specification of a device that is yet to be built: Gokmen and Vlasov, Acceleration of deep neural network
training with resistive cross-point devices, Front. Neurosci. 10:333 (2016)."""

PRESETS: dict[str, Substrate] = {
    "ideal": ideal,
    "bench": bench,
    "reram": reram,
    "pcm": pcm,
    "ecram": ecram,
    "capacitor": capacitor,
    "rpu": rpu,
}
"""By name."""


def find(name: str) -> Substrate:
    """Return the preset called ``name``.

    Raises:
        SettingError: there is none; the nearest name is suggested.
    """
    if name not in PRESETS:
        raise unknown("substrate", name, PRESETS)
    return PRESETS[name]
