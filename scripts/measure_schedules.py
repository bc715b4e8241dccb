"""Choose the schedules of `twofold bench time-to-error`: one grid for both sides, on held-out training images.

    python scripts/measure_schedules.py

Forward-Forward and its twin are each trained on 50,000 images with all points of their grid, with as many points for
either, and tested on the last 10,000 training images; the test images are not read. Then, for each target, those whose
error is at most 1.05 times the target are trained with two more seeds, in the order of their processor seconds (of one
thread, training alone), until the mean error of one is at most the target: that one is chosen. Of Forward-Forward's
tests the one counts whose mean is least. After each training the figures are put into results/speed/schedules.json;
what is there is not trained again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from statistics import fmean
from typing import Any

import torch
from markdown_table import ROOT

from twofold import machine
from twofold_lab.benchmarks.bench import Workbench
from twofold_lab.benchmarks.trainer import pair, trainer, warm_up
from twofold.data import Dataset
from twofold.files import read_json, write_json
from twofold.methods import Recipe
from twofold.nets.net import evaluate

RESULTS = ROOT / "results" / "speed" / "schedules.json"
TARGETS = (2.0, 1.6)
HELD_OUT = 10_000
SEEDS = range(3)
GRID: dict[str, dict[str, tuple[Any, ...]]] = {
    "ff": {"batch": (50, 100), "epochs": (1, 2, 3, 4, 6), "rate": (0.02, 0.03, 0.04, 0.06)},
    "twin": {"batch": (50, 100), "epochs": (1, 2, 3, 4, 6), "rate": (0.0125, 0.025, 0.05, 0.1)},
}
"""A first grid was wider spaced, and was widened on the sides at which both were near its edge. At a rate of .2 the
twin learned nothing or diverged: those points are in the record as far as they have an error."""


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
    """Train all points of a side once, and choose one for each target."""
    first = [trained(bench, side, recipe, data, point, SEEDS[0]) for point in points(side)]
    for target in TARGETS:
        near = [each for each in first if least([each])[1] <= 1.05 * target]
        for one in sorted(near, key=lambda each: each["seconds"]):
            same = [trained(bench, side, recipe, data, one["schedule"], seed) for seed in SEEDS]
            test, error = least(same)
            if error <= target:
                bench.say(f"{target} %, {side}: {one['schedule']}, {test} {error:.2f} %")
                break


def trained(
    bench: Workbench, side: str, recipe: Recipe, data: Dataset, point: dict[str, Any], seed: int
) -> dict[str, Any]:
    """The figures of a training, from the record or newly measured."""
    record = read_json(RESULTS) if RESULTS.exists() else {"trainings": []}
    this = {"side": side, "schedule": point, "seed": seed}
    there: list[dict[str, Any]] = record["trainings"]
    for each in there:
        if all(each[key] == value for key, value in this.items()):
            return each
    row = {**this, **train(bench, replace(recipe, **point, seed=seed), data)}
    bench.say(str(row))
    what = f"MNIST, 3 x 1000, tested on the last {HELD_OUT} training images; processor seconds of one thread"
    environment = {**machine.describe(bench.device), "threads": 1}
    rows = sorted([*there, row], key=str)
    write_json(RESULTS, {"what": what, "targets": TARGETS, "environment": environment, "trainings": rows})
    return row


def least(trainings: list[dict[str, Any]]) -> tuple[str, float]:
    """The test with the least mean error over some trainings of a point, and that error in percent."""
    tests = trainings[0]["validation error %"]
    means = {test: fmean(each["validation error %"][test] for each in trainings) for test in tests}
    return min(means.items(), key=lambda item: item[1])


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
