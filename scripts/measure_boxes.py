"""The rate of every contender of the claim black-box, without a box and with a still random matrix with ReLU.

    python scripts/measure_boxes.py [--contenders forward-forward local ...] [--runs runs/boxes]

Each is trained at several rates, as the claim trains it at full size, from seed 0, and tested on the held-out images.
After each training its error is put into results/hardware/black-box-rates.json; what is there is not trained again.
The last lines are what the claim's TUNED has to hold.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from twofold import machine
from twofold.claims.black_box import EPOCHS, HELD, IMAGES, ORACLE, OURS, part, recipe
from twofold.claims.lab import Lab
from twofold.errors import Diverged
from twofold.files import read_json, write_json
from twofold.nets.crossings import GRADIENTS
from twofold.training.run import train

RESULTS = Path(__file__).resolve().parents[1] / "results" / "hardware" / "black-box-rates.json"
RATES = dict.fromkeys(GRADIENTS, (0.0125, 0.025, 0.05, 0.1)) | {
    OURS: (0.1, 0.2, 0.4, 0.8),
    "local": (0.025, 0.05, 0.1, 0.2),
    "direct_feedback_alignment": (0.025, 0.05, 0.1, 0.2),
    "spsa": (0.0002, 0.0005, 0.0016, 0.003),
}
"""Moved until the best of each lies within them; rates that were tried before stay in the record."""
BOXES = ("none", "random_relu")


def asked(contenders: list[str]) -> list[tuple[str, str, float]]:
    """Contender, box and rate of each training; without a box all ways to backpropagate are the twin."""
    return [
        (contender, box, rate)
        for contender in contenders
        for box in BOXES
        if box != "none" or contender in (OURS, ORACLE)
        for rate in RATES[contender]
    ]


def measure(contender: str, box: str, rate: float, runs: Path) -> None:
    """Train and test one, and put it into the record."""
    record: dict[str, Any] = read_json(RESULTS) if RESULTS.exists() else {"tried": []}
    key = {"contender": contender, "box": box, "rate": rate}
    if any(all(each[name] == value for name, value in key.items()) for each in record["tried"]):
        return
    lab = Lab("full")
    settings, start = replace(recipe(lab, contender, box, 0.0), rate=rate), time.process_time()
    folder = runs / f"{contender}-{box}-{rate:g}"
    try:
        found = train(settings, folder, part(lab), name=f"boxes-{contender}", resume=folder.exists())
        errors = {test: round(100 * error, 2) for test, error in found.error.items()}
    except Diverged:
        errors = {"diverged": 90.0}
    record["tried"].append({**key, "held-out error %": errors, "cpu seconds": round(time.process_time() - start, 1)})
    record["what"] = f"MNIST, 6 x 500, {IMAGES} images, {EPOCHS} epochs, tested on {HELD} held-out images, seed 0"
    where = machine.describe(machine.choose_device("auto"))
    record["environment"] = {part: where[part] for part in ("twofold", "commit", "torch", "processor")}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    write_json(RESULTS, record)


def best(contender: str, box: str) -> float:
    """The rate with the least error."""
    tried = [each for each in read_json(RESULTS)["tried"] if (each["contender"], each["box"]) == (contender, box)]
    rate: float = min(tried, key=lambda each: min(each["held-out error %"].values()))["rate"]
    return rate


def main() -> None:
    """Measure what is asked for and print the choice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contenders", nargs="*", choices=[OURS, *GRADIENTS], default=[OURS, *GRADIENTS])
    parser.add_argument("--runs", type=Path, default=Path("runs/boxes"))
    options = parser.parse_args()
    for contender, box, rate in asked([*dict.fromkeys([ORACLE, *options.contenders])]):
        measure(contender, box, rate, options.runs)
    for contender in options.contenders:
        print(
            f'"{contender}": ({best(contender if contender == OURS else ORACLE, "none")}, {best(contender, BOXES[1])})'
        )


if __name__ == "__main__":
    main()
