"""Tune the learning rate of every contender of the claim black-box."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from twofold.cli.text import format_table
from twofold.errors import Diverged
from twofold_lab.benchmarks.bench import Benchmark, Workbench, expect
from twofold_lab.claims.black_box import CONTENDERS, EPOCHS, HELD, IMAGES, LOCAL, ORACLE, OURS, images, recipe
from twofold_lab.lab import RUNS, Lab
from twofold_lab.tables import table

RATES = dict.fromkeys(CONTENDERS, (0.0125, 0.025, 0.05, 0.1)) | {
    OURS: (0.1, 0.2, 0.4, 0.8),
    LOCAL: (0.025, 0.05, 0.1, 0.2),
    "direct_feedback_alignment": (0.025, 0.05, 0.1, 0.2),
    "spsa": (0.0002, 0.0005, 0.0016, 0.003),
}
"""Contender -> grid of learning rates. Each grid was shifted until its best rate was not at an end of the grid."""
ALL = (OURS, *CONTENDERS)
NONE, BOX = "none", "random_relu"
CLOSE = 0.5
"""Difference in points of two held-out errors below which one seed is not enough to choose between the two rates."""

Trials = list[dict[str, Any]]


@dataclass(frozen=True)
class Boxes(Benchmark):
    """Held-out error of every contender of the claim black-box at each learning rate, with and without a black box.

    The box is a random matrix followed by ReLU, without drift. All contenders are trained as in the claim at full size.
    Complete runs are not repeated. Rates whose error is within half a point of the best (five of a thousand held-out
    images) are compared by the mean over three seeds.

    Attributes:
        contenders: names of the contenders.
    """

    contenders: tuple[str, ...] = ALL

    def measure(self, bench: Workbench) -> dict[str, Any]:
        expect(set(self.contenders) <= set(ALL), "contenders", " ".join(self.contenders), f"some of {', '.join(ALL)}")
        lab = Lab("full", RUNS, bench.device.type, bench.precision, bench.data_dir)
        pairs = [(name, NONE) for name in (OURS, ORACLE)] + [(name, BOX) for name in self.contenders]
        tried: Trials = []
        for contender, box in pairs:
            bench.say(f"{contender}, {box}")
            tried += [self._trial(lab, contender, box, rate, 0) for rate in RATES[contender]]
            if len(rates := close(tried, contender, box)) > 1:
                again = itertools.product(rates, lab.seeds[1:])
                tried += [self._trial(lab, contender, box, rate, seed) for rate, seed in again]
        data = f"MNIST, 6 x 500, {IMAGES} images, {EPOCHS} epochs, tested on {HELD} held-out images"
        return {"what": data, "tried": tried}

    def _trial(self, lab: Lab, contender: str, box: str, rate: float, seed: int) -> dict[str, Any]:
        settings = replace(recipe(lab, contender, box, 0.0), rate=rate, seed=seed)
        try:
            error = lab.train(settings, f"black-box-{contender}", images(lab)).result.error
            errors = {test: round(100 * share, 2) for test, share in error.items()}
        except Diverged:
            errors = {"diverged": 90.0}
        return {"contender": contender, "box": box, "rate": rate, "seed": seed, "held-out error %": errors}

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        tried = record["tried"]
        rows = [[contender, box, f"{best(tried, contender, box):g}"] for contender, box in pairs_of(tried)]
        return format_table([["contender", "box", "rate"], *rows])


def pairs_of(tried: Trials) -> list[tuple[str, str]]:
    """Return the pairs of contender and box that were tried."""
    return list(dict.fromkeys((trial["contender"], trial["box"]) for trial in tried))


def errors_of(tried: Trials, contender: str, box: str) -> dict[float, list[float]]:
    """Return rate -> held-out error in percent with each seed; the error is the smallest over all tests."""
    errors: dict[float, list[float]] = {}
    for trial in tried:
        if (trial["contender"], trial["box"]) == (contender, box):
            errors.setdefault(trial["rate"], []).append(min(trial["held-out error %"].values()))
    return errors


def close(tried: Trials, contender: str, box: str) -> list[float]:
    """Return the rates whose error with the first seed is within `CLOSE` points of the smallest error."""
    first = {rate: errors[0] for rate, errors in errors_of(tried, contender, box).items()}
    return [rate for rate, error in first.items() if error <= min(first.values()) + CLOSE]


def best(tried: Trials, contender: str, box: str) -> float:
    """Return the rate with the smallest mean error over seeds, among those returned by `close`."""
    errors = errors_of(tried, contender, box)
    return min(close(tried, contender, box), key=lambda rate: fmean(errors[rate]))


@table("black-box-rates", "hardware/black-box-rates.json")
def rates(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the held-out errors of every contender at every rate; * marks means over three seeds."""
    rows = [["contender", "box", "held-out error, %, at the rate"]]
    for contender, box in pairs_of(record["tried"]):
        texts = (
            f"{fmean(errors):.1f} at {rate:g}{' *' if len(errors) > 1 else ''}"
            for rate, errors in sorted(errors_of(record["tried"], contender, box).items())
        )
        rows.append([contender.replace("_", " "), box.replace("_", " "), ", ".join(texts)])
    return rows


@table("black-box-prototypes", "hardware/black-box-prototypes.json")
def prototypes(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the settings of Forward-Forward that were tried on few held-out images, in the order of the trials."""
    columns = ("data", "box", "drift", "contender", "label again", "rate", "temperature per unit", "epochs")
    rows = [
        [
            *(str(trial[column]).replace("_", " ") for column in columns),
            " / ".join(f"{test} {error:.1f}" for test, error in trial["held-out error %"].items()),
            " / ".join(f"{error:.0f}" for error in trial["layer error %"]) or "-",
        ]
        for trial in record["tried"]
    ]
    return [[*columns, "held-out error, %", "each layer alone, %"], *rows]
