"""Benchmark the operation rate of a training against the best matrix product rate of this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from twofold.cli.text import format_3, format_percent, format_spread, format_table, machine_line
from twofold.data import Dataset
from twofold.methods import Recipe
from twofold.plots.colors import BLANK, INK
from twofold_lab.benchmarks.bench import LOOK, Benchmark, Workbench, interleave, milliseconds, quartiles, spread
from twofold_lab.benchmarks.operations import operations, shares, square_products
from twofold_lab.benchmarks.trainer import RATE, burst, every_case, layers_of, pair, trainer
from twofold_lab.tables import markdown, table

SQUARES = {"cpu": (1024, 2048, 4096), "cuda": (4096, 8192, 16384)}
"""Sizes of the square matrices that determine the best rate of a device."""
TITLES = {"ff": "FF, every case", "twin": "twin"}
BATCHES, ROUNDS = 20, 9
"""Number of batches in a burst of training, and number of bursts."""


@dataclass(frozen=True)
class Roofline(Benchmark):
    """Floating point operations per second of training, relative to the best rate of this machine.

    The operations of matrix products are counted (2 per multiply and add), for Forward-Forward without importance
    sampling and for its backprop twin. The best rate is the largest median rate of a few large square products. All
    measurements are interleaved.

    Attributes:
        recipe: name of a Forward-Forward recipe.
    """

    recipe: str = "mnist-wide"

    def measure(self, bench: Workbench) -> dict[str, Any]:
        recipe, twin = pair(self.recipe)
        data = bench.load(recipe.data)
        figures = fractions(bench, {"ff": every_case(recipe), "twin": twin}, data)
        return {
            "roofline_fraction": figures["ff"]["fraction"]["median"],
            "twin_roofline_fraction": figures["twin"]["fraction"]["median"],
            **figures,
            "widths": list(recipe.widths),
            "batch": recipe.batch,
            "dataset": data.name,
            "official_data": data.official,
        }

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        rows = [["", "GFLOP per batch", "ms per batch", "GFLOP/s", "of the best"]]
        for name, title in TITLES.items():
            figures = record[name]
            rates = format_spread(figures["gflops"]), format_spread(figures["fraction"])
            rows.append([title, format_3(figures["gflop"]), format_spread(milliseconds(figures["seconds"])), *rates])
        for size, gflops in record["products"].items():
            rates = format_spread(gflops), format_3(gflops["median"] / record["best"])
            rows.append([f"product {size} x {size}", "", "", *rates])
        net = f"{layers_of(record['widths'])}, batch {record['batch']}, {record['dataset']}"
        times = [
            f"time of {title:5}"
            + ", ".join(f"{kind} {format_percent(share)}" for kind, share in record[name]["time"].items())
            for name, title in (("ff", "FF"), ("twin", "twin"))
        ]
        title = f"roofline: {record['settings']['recipe']} ({net}), {machine_line(record)}"
        return "\n\n".join([title, format_table(rows), "\n".join(times)])

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        from twofold.plots import canvas
        from twofold_lab.benchmarks.drawing import bars, stack

        figure, [[left, right]] = canvas.subplots(1, 2, 5.6, 3.6, 0.15)
        rows = [*(LOOK[name][0] for name in ("ff", "twin")), *(f"product {size}" for size in record["products"])]
        rates = [record["ff"]["gflops"], record["twin"]["gflops"], *record["products"].values()]
        colors = [LOOK["ff"][1], LOOK["twin"][1], *[BLANK] * len(record["products"])]
        bars(left, "Matrix products executed", "GFLOP/s", rows, {"": (colors, rates)})
        left.axvline(record["best"], color=INK, lw=1, ls="--")
        stack(right, "Where the time goes", "time", {LOOK[name][0]: record[name]["time"] for name in ("ff", "twin")})
        net = f"{layers_of(record['widths'])}, batch {record['batch']}, {record['precision']}"
        canvas.suptitle(figure, f"Forward-Forward without importance sampling and its twin: {net}")
        return canvas.write(figure, path)


def fractions(bench: Workbench, recipes: Mapping[str, Recipe], data: Dataset) -> dict[str, Any]:
    """Measure trainings on equal batches, interleaved with the square products.

    Returns:
        ``products`` (size -> spread of GFLOP/s), ``best`` (the largest of their medians), and for each recipe ``gflop``
        and ``seconds`` per batch, ``gflops``, ``fraction`` of the best, and ``time`` (kind of operator -> share).
    """
    batch = max(recipe.batch for recipe in recipes.values())
    batches = min(BATCHES, len(data.train_labels) // batch)
    cases = batches * batch
    recipes = {name: replace(recipe, rate=RATE) for name, recipe in recipes.items()}
    trainers = {name: trainer(bench, recipe, data, cases) for name, recipe in recipes.items()}
    products = square_products(SQUARES[bench.device.type], bench.device, bench.precision)
    contenders: dict[str, Callable[[int], float]] = {name: burst(training) for name, training in trainers.items()}
    contenders |= {str(size): rate for size, rate in products.items()}
    interleave(contenders, 1)
    bench.say(f"{ROUNDS} rounds of bursts")
    measured = interleave(contenders, ROUNDS)
    rates = {size: spread([rate / 1e9 for rate in measured[str(size)]]) for size in products}
    best = max(rate["median"] for rate in rates.values())
    figures: dict[str, Any] = {"products": {str(size): rate for size, rate in rates.items()}, "best": best}
    for name, training in trainers.items():
        gflop = operations(partial(training.epoch, 0)) / batches / 1e9
        gflops = [gflop * batches / seconds for seconds in measured[name]]
        figures[name] = {
            "gflop": gflop,
            "seconds": spread([seconds / batches for seconds in measured[name]]),
            "gflops": spread(gflops),
            "fraction": spread([rate / best for rate in gflops]),
            "time": shares(partial(training.epoch, 0), bench.device),
        }
    return figures


@table("roofline", "bench/roofline.json")
def roofline(record: Mapping[str, Any]) -> str:
    """Return the share of the best rate and the shares of time."""
    rows = []
    for name, title in TITLES.items():
        figures = record[name]
        time = ", ".join(f"{kind} {100 * share:.0f} %" for kind, share in list(figures["time"].items())[:5])
        rates = quartiles(figures["gflops"], 0), quartiles(figures["fraction"])
        rows.append(["`twofold bench roofline`", title, f"{figures['gflop']:.1f}", *rates, time])
    heads = ["command", "", "GFLOP per batch", "GFLOP/s", "of the best product", "where the time goes"]
    return markdown(heads, rows)
