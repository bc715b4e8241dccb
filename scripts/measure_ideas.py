"""What each idea of the fast path is worth: training steps with the idea left out, beside steps with all of them.

    python scripts/measure_ideas.py [--recipe mnist] [--data-dir DIR] [--results results/speed]

Every case goes into every gradient, apart from the line on leaving out. Bursts take turns; a figure is the median, over
rounds, of the seconds without the idea over the seconds with all. Beside them the rate of a layer's product in several
ways. Writes ideas-RECIPE.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from twofold import machine
from twofold_lab.benchmarks.bench import Workbench, interleave, ratios, seconds_of, spread
from twofold_lab.benchmarks.trainer import burst, every_case, pair, trainer
from twofold.defaults import LEARNING_VERSION
from twofold.files import write_json
from twofold.layers.weights import LowPrecisionCopy
from twofold.methods import FeedForwardRecipe
from twofold.training.trainer import Trainer

IMAGES, ROUNDS = 4000, 7
RESULTS = Path(__file__).resolve().parents[1] / "results" / "speed"


class Forgetful(LowPrecisionCopy):
    """Makes the copy anew at each use."""

    def of(self, value: Tensor, kind: torch.dtype | None) -> Tensor:
        return value if kind is None else value.to(kind)


def without_sharing(training: Trainer) -> None:
    """Every pass has a product of its own with the image."""
    for layer in training.method.net.stack:
        layer.weights.shares_products = False


def without_narrow_copies(training: Trainer) -> None:
    """The bf16 weights are made from the fp32 ones at each use."""
    for layer in training.method.net.stack:
        for each in layer.learnables():
            each._copy = Forgetful()


def as_it_is(training: Trainer) -> None:
    """Nothing is changed."""


@dataclass(frozen=True)
class Idea:
    """What is changed to do without it, and what was expected, as a ratio of times, before it was measured."""

    predicted: float
    change: Callable[[Trainer], None] = as_it_is
    recipe: Callable[[FeedForwardRecipe], FeedForwardRecipe] = every_case
    precision: str | None = None


IDEAS = {
    "all of them": Idea(1.0),
    "the product with the image is shared by positive, negative and neutral input": Idea(1.2, without_sharing),
    "a narrow copy of the weights is kept": Idea(1.2, without_narrow_copies),
    "bf16 products": Idea(2.0, precision="fp32"),
    "weak signals are left out of the gradient, none of the images": Idea(
        0.75, recipe=lambda r: replace(r, revisit=1.0)
    ),
    "batches of 400, not 100": Idea(0.8, recipe=lambda r: replace(every_case(r), batch=400)),
}


def products(units: int, device: torch.device) -> dict[str, Callable[[int], float]]:
    """A layer's product for 200 rows, in several ways: functions that give multiply-adds per second, doubled."""
    rows, weight = torch.randn(200, units, device=device), torch.randn(units, units, device=device)
    narrow, thin = rows.bfloat16(), weight.bfloat16()
    turned, small, few = thin.T.contiguous(), (10 * weight).to(torch.int8), (10 * rows).to(torch.int8)
    ways = {
        "fp32": lambda: rows @ weight.T,
        "bf16": lambda: narrow @ thin.T,
        "bf16, weights stored the other way round": lambda: narrow @ turned,
        "8 bits": lambda: torch._int_mm(few, small.T),
    }

    def rate(way: Callable[[], object]) -> Callable[[int], float]:
        def burst() -> None:
            for _ in range(50):
                way()

        return lambda _: 50 * 2 * 200 * units**2 / seconds_of(burst, device) / 1e9

    return {name: rate(way) for name, way in ways.items()}


def main() -> None:
    """Measure and write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--recipe", default="mnist")
    arguments.add_argument("--data-dir", type=Path, default=None)
    arguments.add_argument("--results", type=Path, default=RESULTS)
    asked = arguments.parse_args()
    device = machine.choose_device("auto")
    bench = Workbench(device, machine.choose_precision("auto", device), asked.data_dir)
    recipe, _ = pair(asked.recipe)
    data = bench.load(recipe.data)
    contenders = {}
    for name, idea in IDEAS.items():
        training = trainer(bench, idea.recipe(recipe), data, IMAGES, precision=idea.precision)
        idea.change(training)
        contenders[name] = burst(training)
    interleave(contenders, 1)
    seconds = interleave(contenders, ROUNDS)
    first = seconds["all of them"]
    found: dict[str, dict[str, Any]] = {
        name: {
            "predicted": idea.predicted,
            "ratio": spread(ratios(seconds[name], first)),
            "seconds": spread(seconds[name]),
        }
        for name, idea in IDEAS.items()
    }
    ways = products(max(recipe.widths), device)
    interleave(ways, 1)
    rates = {name: spread(each) for name, each in interleave(ways, ROUNDS).items()}
    record = {
        "products": rates,
        "recipe": asked.recipe,
        "images": IMAGES,
        "rounds": ROUNDS,
        "precision": bench.precision,
        "ideas": found,
    }
    made_by = {"learning_version": LEARNING_VERSION, "environment": machine.describe(device)}
    write_json(asked.results / f"ideas-{asked.recipe}.json", {**record, **made_by})
    for name, entry in found.items():
        print(f"{entry['ratio']['median']:.2f}  (expected {entry['predicted']})  {name}")
    for name, rate in rates.items():
        print(f"{rate['median']:.0f} GFLOP/s  {name}")


if __name__ == "__main__":
    main()
