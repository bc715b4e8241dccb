"""What do locks, digests and checks cost? Their own time, as a share of the time of an epoch of the recipe mnist.

    python scripts/measure_safety.py [--epochs 3] [--results FOLDER]

Trains the recipe for a few epochs in a run folder, with a clock around everything that is there for safety alone:
claiming the folder, digests of tensors and texts, looking whether all numbers are finite, checking settings and
arguments. Each second counts once, also where one of them calls another. Writes results/reliability-cost.json.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from twofold import checkpoint, checks, files, machine
from twofold.checks import convert
from twofold.data import load
from twofold.files import write_json
from twofold.methods.method import Method
from twofold.recipes.mnist import mnist
from twofold.training import run_folder
from twofold.training import train as training
from twofold.training.run_folder import RunFolder

PARTS: dict[str, list[tuple[Any, str]]] = {
    "claiming the folder": [(FileLock, "acquire"), (FileLock, "release"), (RunFolder, "open"), (RunFolder, "clear")],
    "digests of tensors": [(checkpoint, "_digest")],
    "digests of texts": [(checkpoint, "sign"), (run_folder, "sign"), (files, "sign")],
    "are all numbers finite": [(Method, "require_finite")],
    "types of arguments and settings": [(checks, "convert"), (run_folder, "convert")],
    "describing the machine": [(machine, "describe")],
}
"""What is timed: part -> the functions, each with where it is looked up."""


class Clock:
    """Seconds by part; within one part no other is timed.

    Attributes:
        seconds: of each part.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.running = False

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time added to the part."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            if self.running:
                return function(*args, **kwargs)
            self.running, start = True, time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[part] += time.perf_counter() - start
                self.running = False

        return timed

    @contextmanager
    def everywhere(self) -> Iterator[None]:
        """Time all parts."""
        before = [(owner, name, getattr(owner, name)) for places in PARTS.values() for owner, name in places]
        for part, places in PARTS.items():
            for owner, name in places:
                setattr(owner, name, self.around(part, getattr(owner, name)))
        try:
            yield
        finally:
            for owner, name, function in before:
                setattr(owner, name, function)


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path(__file__).resolve().parents[1] / "results")
    asked = parser.parse_args()
    data, clock = load("mnist"), Clock()
    recipe = replace(mnist, epochs=convert("epochs", asked.epochs, int))
    with tempfile.TemporaryDirectory() as folder, clock.everywhere():
        start = time.perf_counter()
        result = training.train(recipe, Path(folder) / "run", data, name="mnist")
        whole = time.perf_counter() - start
    share = {part: 100 * clock.seconds[part] / recipe.epochs / result.seconds_per_epoch for part in PARTS}
    record = {
        "recipe": "mnist",
        "epochs": recipe.epochs,
        "seconds an epoch": round(result.seconds_per_epoch, 3),
        "seconds in all": round(whole, 3),
        "share of an epoch %": {part: round(found, 4) for part, found in share.items()},
        "together %": round(sum(share.values()), 4),
        "environment": result.environment,
    }
    for part, found in record["share of an epoch %"].items():
        print(f"{part:34} {found:.4f} %")
    print(f"{'together':34} {record['together %']:.4f} % of {record['seconds an epoch']:.2f} s")
    write_json(asked.results / "reliability-cost.json", record)


if __name__ == "__main__":
    main()
