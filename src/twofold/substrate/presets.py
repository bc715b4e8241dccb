"""Substrates by name."""

from __future__ import annotations

from twofold.errors import unknown
from twofold.substrate.parameters import Substrate

ideal = Substrate()

bench = Substrate(full_scale=4.0, mismatch=0.2, read_noise=0.05, threshold=0.1, drift=0.1, bits=6)

PRESETS = {"ideal": ideal, "bench": bench}


def find(name: str) -> Substrate:
    """Return the preset called ``name``.

    Raises:
        SettingError: there is none; the nearest name is suggested.
    """
    if name not in PRESETS:
        raise unknown("substrate", name, PRESETS)
    return PRESETS[name]
