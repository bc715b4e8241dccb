"""Deep recurrent nets on MNIST, with and without top-down input, beside backprop on the same layers.

    python scripts/measure_depth.py [6 8 10] [--runs runs/depth] [--seed 0] [--nets recurrent twin]

Every net is trained by its recipe, on all training images, and tested once, at the end. A training that is there is
read, one that was interrupted goes on. After each, its errors are put into results/recurrent/depth.json.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from twofold.files import read_json, write_json
from twofold.methods import Recipe
from twofold.recipes.recurrent_deep import recurrent_deep, twin
from twofold.training.train import train

RESULTS = Path(__file__).resolve().parents[1] / "results" / "recurrent" / "depth.json"
NETS = ["recurrent", "without top-down", "twin"]
UNITS = recurrent_deep.widths[0]


def nets(depth: int, seed: int) -> dict[str, Recipe]:
    """The contenders of a depth by name."""
    same = {"widths": (UNITS,) * depth, "seed": seed}
    ours = replace(recurrent_deep, **same)
    return dict(zip(NETS, (ours, replace(ours, top_down=False), replace(twin, **same)), strict=True))


def measure(depth: int, seed: int, runs: Path, names: list[str]) -> None:
    """Train and test the contenders of a depth, and put each into the record."""
    for name in names:
        recipe, folder = nets(depth, seed)[name], runs / f"{depth}-{name.replace(' ', '-')}-seed{seed}"
        found = train(recipe, folder, name=f"depth-{depth}-{name}", resume=folder.exists())
        record = read_json(RESULTS) if RESULTS.exists() else {"nets": []}
        key = {"layers": depth, "net": name, "seed": seed}
        others = [each for each in record["nets"] if any(each[part] != value for part, value in key.items())]
        measured = {
            **key,
            **{part: found.settings[part] for part in ("epochs", "rate", "decay")},
            "error %": {test: round(100 * error, 2) for test, error in found.test_error.items()},
            "layer error %": [round(100 * error, 2) for error in found.metrics.get("layer_error", [])],
        }
        rows = sorted([*others, measured], key=lambda each: (each["layers"], each["net"], each["seed"]))
        what = f"MNIST, {UNITS} units a layer, 60,000 training images, tested once, at the end, on the test images"
        where = {part: found.environment[part] for part in ("twofold", "commit", "torch", "processor")}
        write_json(RESULTS, {"what": what, "environment": where, "nets": rows})


def main() -> None:
    """Measure all depths that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("depths", type=int, nargs="*", default=[6, 8, 10])
    parser.add_argument("--runs", type=Path, default=Path("runs/depth"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nets", nargs="*", choices=NETS, default=NETS)
    asked = parser.parse_args()
    for depth in asked.depths:
        measure(depth, asked.seed, asked.runs, asked.nets)


if __name__ == "__main__":
    main()
