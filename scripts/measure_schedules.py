"""Choose the schedules of `twofold bench time-to-error`: one grid for both sides, on held-out training images.

    python scripts/measure_schedules.py

Forward-Forward and its twin are each trained on 50,000 images with all points of their grid, with as many points for
either, and tested on the last 10,000 training images; the test images are not read. Points whose error is at most the
target plus a tenth of it are trained with two more seeds. For each target the point is chosen that takes the fewest
processor seconds (of one thread, training alone) among those whose mean error over three seeds is at most the target;
of Forward-Forward's tests the slow test or the test "both" counts, whichever is less in the mean. After each training
the figures are put into results/speed/schedules.json; what is there is not trained again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from markdown_table import ROOT

from twofold import machine
from twofold.benchmarks.bench import Workbench
from twofold.benchmarks.trainer import pair, trainer, warm_up
from twofold.data import Dataset
from twofold.files import read_json, write_json
from twofold.methods import Recipe
from twofold.nets.net import evaluate

RESULTS = ROOT / "results" / "speed" / "schedules.json"
TARGETS = (2.0, 1.6)
HELD_OUT = 10_000
SEEDS = range(3)
GRID: dict[str, dict[str, tuple[Any, ...]]] = {
    "ff": {"batch": (50, 100), "epochs": (2, 3, 4, 6), "rate": (0.03, 0.04, 0.06)},
    "twin": {"batch": (50, 100), "epochs": (2, 3, 4, 6), "rate": (0.05, 0.1, 0.2)},
}


def points(side: str) -> Iterator[dict[str, Any]]:
    """The points of a side's grid."""
    values = GRID[side]
    for point in product(*values.values()):
        yield dict(zip(values, point, strict=True))


def train(bench: Workbench, recipe: Recipe, data: Dataset) -> dict[str, Any]:
    """Train once; the processor seconds and the errors in percent."""
    training = trainer(bench, recipe, data)
    start = time.process_time()
    training.run()
    seconds = time.process_time() - start
    found = evaluate(training.method.net, *data.test).error
    return {
        "seconds": round(seconds, 2),
        "validation error %": {test: round(100 * share, 2) for test, share in found.items()},
    }


def measure(bench: Workbench, side: str, recipe: Recipe, data: Dataset) -> None:
    """Train all points of a side with the first seed, and those that come near a target with the others."""
    for seed in SEEDS:
        for point in points(side):
            record = read_json(RESULTS) if RESULTS.exists() else {"trainings": []}
            every = [each for each in record["trainings"] if each["side"] == side and each["schedule"] == point]
            if any(each["seed"] == seed for each in every) or (seed and not near(every)):
                continue
            found = train(bench, replace(recipe, **point, seed=seed), data)
            row = {"side": side, "schedule": point, "seed": seed, **found}
            bench.say(str(row))
            rows = sorted([*record["trainings"], row], key=str)
            what = f"MNIST, 3 x 1000, tested on the last {HELD_OUT} training images; processor seconds of one thread"
            environment = {**machine.describe(bench.device), "threads": 1}
            write_json(RESULTS, {"what": what, "targets": TARGETS, "environment": environment, "trainings": rows})


def near(trainings: list[dict[str, Any]]) -> bool:
    """Whether a point's first training comes within a tenth of a target that it does not undercut by a fifth."""
    least = min(min(each["validation error %"].values()) for each in trainings if each["seed"] == 0)
    return any(0.8 * target <= least <= 1.1 * target for target in TARGETS)


def main() -> None:
    """Measure both sides."""
    torch.set_num_threads(1)
    where = machine.choose_device("cpu")
    bench = Workbench(where, machine.choose_precision("auto", where), report=print)
    recipe, twin = pair("mnist")
    data = bench.load("mnist").hold_out(HELD_OUT)
    warm_up(bench, recipe, twin, data)
    for side, one in (("ff", recipe), ("twin", twin)):
        measure(bench, side, one, data)


if __name__ == "__main__":
    main()
