"""The rate of every contender of the claim black-box, without a box and with a still random matrix with ReLU.

    python scripts/measure_boxes.py [--contenders forward-forward local ...]

Each is trained at several rates, as the claim trains it at full size, from seed 0, and tested on the held-out images.
Rates that come within half a point of the best are told apart by the mean over three seeds: half a point is five of a
thousand held-out images. After each training its error is put into results/hardware/black-box-rates.json; what is there
is not trained again. The last lines are what the claim's TUNED has to hold.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from twofold import machine
from twofold.errors import Diverged
from twofold.files import read_json, write_json
from twofold_lab.claims.black_box import CONTENDERS, EPOCHS, HELD, IMAGES, LOCAL, ORACLE, OURS, part, recipe
from twofold_lab.lab import Lab

RESULTS = Path(__file__).resolve().parents[1] / "results" / "hardware" / "black-box-rates.json"
RATES = dict.fromkeys(CONTENDERS, (0.0125, 0.025, 0.05, 0.1)) | {
    OURS: (0.1, 0.2, 0.4, 0.8),
    LOCAL: (0.025, 0.05, 0.1, 0.2),
    "direct_feedback_alignment": (0.025, 0.05, 0.1, 0.2),
    "spsa": (0.0002, 0.0005, 0.0016, 0.003),
}
"""Moved until the best of each lies within them; rates that were tried before stay in the record."""
BOXES = ("none", "random_relu")
CLOSE = 0.5
"""Points of error on the held-out images within which one seed does not tell rates apart."""


def asked(contenders: list[str]) -> list[tuple[str, str, float]]:
    """Contender, box and rate of each training; without a box all ways to backpropagate are the twin."""
    return [
        (contender, box, rate)
        for contender in contenders
        for box in BOXES
        if box != "none" or contender in (OURS, ORACLE)
        for rate in RATES[contender]
    ]


def measure(contender: str, box: str, rate: float, seed: int, lab: Lab) -> None:
    """Train and test one, and put it into the record."""
    record: dict[str, Any] = read_json(RESULTS) if RESULTS.exists() else {"tried": []}
    key = {"contender": contender, "box": box, "rate": rate, "seed": seed}
    if any(all(each[name] == value for name, value in key.items()) for each in record["tried"]):
        return
    settings = replace(recipe(lab, contender, box, 0.0), rate=rate, seed=seed)
    try:
        found = lab.train(settings, f"black-box-{contender}", part(lab)).result.error
        errors = {test: round(100 * error, 2) for test, error in found.items()}
    except Diverged:
        errors = {"diverged": 90.0}
    record["tried"].append({**key, "held-out error %": errors})
    record["what"] = f"MNIST, 6 x 500, {IMAGES} images, {EPOCHS} epochs, tested on {HELD} held-out images"
    where = machine.describe(machine.choose_device("auto"))
    record["environment"] = {part: where[part] for part in ("twofold", "commit", "torch", "processor")}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    write_json(RESULTS, record)


def errors(contender: str, box: str) -> dict[float, dict[int, float]]:
    """Rate -> seed -> held-out error of the best test, in percent."""
    found: dict[float, dict[int, float]] = {}
    for each in read_json(RESULTS)["tried"]:
        if (each["contender"], each["box"]) == (contender, box):
            found.setdefault(each["rate"], {})[each["seed"]] = min(each["held-out error %"].values())
    return found


def close(contender: str, box: str) -> list[float]:
    """The rates that seed 0 alone does not tell from the best."""
    first = {rate: seeds[0] for rate, seeds in errors(contender, box).items()}
    return [rate for rate, error in first.items() if error <= min(first.values()) + CLOSE]


def best(contender: str, box: str) -> float:
    """Of the rates that are close to each other the one with the least mean error."""
    found = errors(contender, box)
    return min(close(contender, box), key=lambda rate: fmean(found[rate].values()))


def main() -> None:
    """Measure what is asked for and print the choice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contenders", nargs="*", choices=[OURS, *CONTENDERS], default=[OURS, *CONTENDERS])
    options, lab = parser.parse_args(), Lab("full")
    wanted = asked([*dict.fromkeys([ORACLE, *options.contenders])])
    for contender, box, rate in wanted:
        measure(contender, box, rate, 0, lab)
    for contender, box in dict.fromkeys((contender, box) for contender, box, _ in wanted):
        if len(rates := close(contender, box)) > 1:
            for rate, seed in itertools.product(rates, lab.seeds[1:]):
                measure(contender, box, rate, seed, lab)
    for contender in options.contenders:
        print(
            f'"{contender}": ({best(contender if contender == OURS else ORACLE, "none")}, {best(contender, BOXES[1])})'
        )


if __name__ == "__main__":
    main()
