"""Draw docs/pictures/relax.png from the nets of `twofold claims run relax --size full`, which it trains if need be."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from twofold.claims.lab import RUNS, Lab
from twofold.claims.plots.relax import relaxation
from twofold.claims.relax import BRIEF, examine

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=RUNS, help="where the trainings are kept")
    parser.add_argument("--size", default="full", help="smoke or full")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures" / "relax.png")
    given = parser.parse_args()
    data = os.environ.get("TWOFOLD_DATA")
    study = examine(Lab(given.size, given.runs, data_dir=Path(data) if data else None))
    depths = sorted(study.depths)
    path = relaxation(
        {depth: 100 * found.influence.numpy() for depth, found in study.depths.items()},
        100 * study.depths[depths[-1]].untrained[:, -1].numpy(),
        {depth: found.gradient for depth, found in study.depths.items()},
        {
            depth: (found.errors[0]["slow error %"], found.errors[1]["fast error %"])
            for depth, found in study.depths.items()
        },
        study.presented,
        100 * study.influence.numpy(),
        100 * study.trace.numpy(),
        given.out,
        shown=(depths[1], depths[-1]),
        brief=BRIEF,
    )
    print(path)


if __name__ == "__main__":
    main()
