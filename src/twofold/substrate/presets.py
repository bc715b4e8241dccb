"""Substrates by name, most of them modeled on published devices.

Published properties of a device are expressed as parameters of `Substrate`; values that are not from the publication
are marked as *estimate*.
"""

from __future__ import annotations

from twofold.errors import unknown
from twofold.substrate.parameters import Substrate

ideal = Substrate()
"""An ideal substrate, without any physical effects."""

bench = Substrate(full_scale=4.0, mismatch=0.2, read_noise=0.05, threshold=0.1, drift=0.1, bits=6)
"""A hypothetical device, not a published one: gains that vary by 20 %, read noise of 5 %, thresholds that vary by 10 %,
weights that drift by 10 % over a run, and a range of 63 pulses."""

reram = Substrate(
    full_scale=4.0,  # estimate
    bits=10,  # about 1000 steps over the range
    softness=1.0,  # soft bounds
    asymmetry=0.01,  # after calibration to the point at which upward and downward pulses are equal
    pulse_spread=0.3,
    pulse_noise=3.75,  # the noise of a pulse is larger than the pulse
    read_noise=0.01,  # estimate
    stuck=0.01,  # estimate
    programming_noise=0.02,  # estimate
)
"""Filamentary ReRAM, HfO2: Gong et al., Signal and noise extraction from analog memory elements for neuromorphic
computing, Nat. Commun. 9:2102 (2018), and the fit of a device with soft bounds to it in the IBM Analog Hardware
Acceleration Kit (Rasch et al., AICAS 2021)."""

pcm = Substrate(
    g_max=25.0,
    full_scale=4.0,  # estimate
    bits=5,  # estimate: about 20 pulses from the lowest to the highest conductance of a device, two devices per weight
    softness=0.5,  # estimate: pulses get smaller with increasing conductance
    pulse_noise=0.75,  # estimate
    pulse_spread=0.3,  # estimate
    programming_noise=0.04,  # up to 1.1 of 25 microsiemens
    read_noise=0.01,  # estimate, for 1 / f noise that is read at one moment
    drift=0.1,  # estimate: exponents of 0.05 that vary by a third, over three decades, after a common factor
)
"""Phase-change memory: Nandakumar et al., Mixed-precision deep learning based on computational memory, Front. Neurosci.
14:406 (2020), for pulses; Joshi et al., Accurate deep neural network inference using computational phase-change memory,
Nat. Commun. 11:2473 (2020), for programming and drift. Ambrogio et al., Nature 558:60 (2018), train nets on it."""

ecram = Substrate(
    full_scale=4.0,  # estimate
    bits=10,  # about 1000 steps over the range
    softness=0.3,  # between the softness upward (0.12) and downward (0.51)
    asymmetry=0.01,
    pulse_spread=0.1,
    pulse_noise=0.3,
    mismatch=0.05,  # the spread of the devices' ranges
    read_noise=0.01,  # estimate
)
"""Electrochemical RAM with lithium: Tang et al., ECRAM as scalable synaptic cell for high-speed, low-power neuromorphic
computing, IEDM 2018, and the fit of a device with linear steps to it in the IBM Analog Hardware Acceleration Kit."""

capacitor = Substrate(
    full_scale=4.0,  # estimate
    bits=9,  # about 400 steps over the range
    softness=0.05,
    asymmetry=0.06,  # the standard deviation over cells, used for all of them
    pulse_spread=0.1,
    pulse_noise=0.3,
    mismatch=0.07,  # the spread of the cells' ranges
    read_noise=0.01,  # estimate
)
"""A capacitor and three transistors, charged and discharged: Li et al., Capacitor-based cross-point array for analog
neural network with record symmetry and linearity, VLSI Technology 2018, and the fit to it in the IBM Analog Hardware
Acceleration Kit. Leakage (a lifetime of about 10^6 updates in that fit) is not modeled."""

rpu = Substrate(
    full_scale=4.0,  # estimate
    bits=10,  # 1200 steps over the range
    pulse_spread=0.3,
    pulse_noise=0.3,
    asymmetry=0.05,
    dac_bits=7,
    adc_bits=9,
    adc_range=12.0,
    read_noise=0.01,  # estimate: the published noise of 0.06 is that of the outputs, independent of the inputs
)
"""The specification of a hypothetical device: Gokmen and Vlasov, Acceleration of deep neural network
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
"""All presets by name."""


def find(name: str) -> Substrate:
    """Return the preset called ``name``.

    Raises:
        SettingError: There is no such preset; the message suggests the nearest name.
    """
    if name not in PRESETS:
        raise unknown("substrate", name, PRESETS)
    return PRESETS[name]
