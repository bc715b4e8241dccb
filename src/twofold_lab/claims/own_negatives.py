"""It is open whether a net can learn to generate its own negative data (talk 34:55).

The experiment is not built yet.
"""

from __future__ import annotations

from twofold_lab.claim import Claim

CLAIM = Claim(
    "own-negatives", time="34:55", says="It is open whether a net can learn to generate its own negative data."
)
