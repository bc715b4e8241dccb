"""Draw docs/pictures/top-down.png from the nets of `twofold claims run top-down --size full`, trained if need be."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from twofold.claims.lab import RUNS, Lab
from twofold.claims.plots.top_down import in_context
from twofold.claims.top_down import CONTEXTS, ambiguous, reader, settings, settle, taught

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=RUNS, help="where the trainings are kept")
    parser.add_argument("--size", default="full", help="smoke or full")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures" / "top-down.png")
    given = parser.parse_args()
    lab = Lab(given.size, given.runs)
    recipe, dataset = settings(lab)
    readings = {}
    for name, top_down in (("without top-down", False), ("", True)):
        net = taught(lab, replace(recipe, top_down=top_down), dataset)
        readout = reader(net)
        shown = ambiguous(net, readout, 300)
        states = [[readout.decision_function(state.numpy()) for state in settle(net, images)] for images in shown]
        readings[name] = np.array(states)
    print(in_context(shown, dict(reversed(readings.items())), CONTEXTS, ("H", "A"), given.out))


if __name__ == "__main__":
    main()
