"""Benchmark the operations per second of training against the best rate of matrix products of this machine."""

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
from twofold_lab.benchmarks.bench import LOOK, Benchmark, Workbench, data_facts
from twofold_lab.benchmarks.operations import operations, shares, square_products
from twofold_lab.benchmarks.timing import interleave, milliseconds, quartiles, spread
from twofold_lab.benchmarks.trainer import RATE, burst, every_case, layers_of, pair, trainer
from twofold_lab.tables import table

SQUARES = {"cpu": (1024, 2048, 4096), "cuda": (4096, 8192, 16384)}
"""Sizes of the square matrices that determine the best rate of a device."""
TITLES = {"ff": "FF, every case", "twin": "twin"}
BATCHES, ROUNDS = 20, 9
"""Number of training batches in each round, and number of rounds."""


@dataclass(frozen=True)
class Roofline(Benchmark):
    """Floating point operations per second of training, relative to the best rate of this machine.

    The operations of matrix products are counted, 2 for each multiply and add. The nets are Forward-Forward without
    importance sampling and its backprop twin. The best rate is the largest median rate of a few large square products.
    All measurements are interleaved.

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
            **data_facts(data),
        }

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        net = f"{layers_of(record['widths'])}, batch {record['batch']}, {record['dataset']}"
        title = f"roofline: {record['settings']['recipe']} ({net}), {machine_line(record)}"
        return "\n\n".join([title, *rates_table(record, TITLES)])

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        net = f"{layers_of(record['widths'])}, batch {record['batch']}, {record['precision']}"
        return draw_rates(record, LOOK, f"Forward-Forward without importance sampling and its twin: {net}", path)


def rates_table(record: Mapping[str, Any], titles: Mapping[str, str]) -> tuple[str, str]:
    """Return the table of the rates of nets and of square products, and the shares of time of each net, as text.

    Args:
        record: a record with the figures of `fractions`.
        titles: name of a net in the record -> its title.
    """
    rows, times = [["", "GFLOP per batch", "ms per batch", "GFLOP/s", "of the best"]], []
    for name, title in titles.items():
        figures = record[name]
        rates = format_spread(figures["gflops"]), format_spread(figures["fraction"])
        rows.append([title, format_3(figures["gflop"]), format_spread(milliseconds(figures["seconds"])), *rates])
        shares = (f"{operator} {format_percent(share)}" for operator, share in figures["time"].items())
        times.append(f"time of {title}: {', '.join(shares)}")
    for size, gflops in record["products"].items():
        rates = format_spread(gflops), format_3(gflops["median"] / record["best"])
        rows.append([f"product {size} x {size}", "", "", *rates])
    return format_table(rows), "\n".join(times)


def draw_rates(record: Mapping[str, Any], nets: Mapping[str, tuple[str, str]], title: str, path: Path) -> Path:
    """Plot the rates of nets and of square products, and the shares of time of each net, into a PNG file.

    Args:
        record: a record with the figures of `fractions`.
        nets: name of a net in the record -> its title and color.
        title: title of the plot.
        path: the file.
    """
    from twofold.plots import canvas
    from twofold_lab.benchmarks.drawing import bars, stack

    figure, [[left, right]] = canvas.subplots(1, 2, 5.6, 3.6, 0.15)
    rows = [*(name for name, _ in nets.values()), *(f"product {size}" for size in record["products"])]
    rates = [*(record[name]["gflops"] for name in nets), *record["products"].values()]
    colors = [*(color for _, color in nets.values()), *[BLANK] * len(record["products"])]
    bars(left, "Matrix products executed", "GFLOP/s", rows, {"": (colors, rates)})
    left.axvline(record["best"], color=INK, lw=1, ls="--")
    stack(right, "Where the time goes", "time", {name: record[key]["time"] for key, (name, _) in nets.items()})
    canvas.suptitle(figure, title)
    return canvas.write(figure, path)


def fractions(bench: Workbench, recipes: Mapping[str, Recipe], data: Dataset) -> dict[str, Any]:
    """Measure the operation rates of nets that train on equal batches, alternately with large square matrix products.

    Returns:
        ``products`` (size of the matrices -> spread of GFLOP/s) and ``best`` (the largest median of these spreads). For
        each name in ``recipes``, a dictionary with the ``gflop`` and ``seconds`` of a batch, the rate in ``gflops``,
        its ``fraction`` of the best rate, and ``time`` (operator -> share of the time).
    """
    batch = max(recipe.batch for recipe in recipes.values())
    batches = min(BATCHES, len(data.train_labels) // batch)
    cases = batches * batch
    recipes = {name: replace(recipe, rate=RATE) for name, recipe in recipes.items()}
    trainers = {name: trainer(bench, recipe, data, cases) for name, recipe in recipes.items()}
    products = square_products(SQUARES[bench.device.type], bench.device, bench.precision)
    contenders: dict[str, Callable[[int], float]] = {name: burst(training) for name, training in trainers.items()}
    contenders |= {str(size): rate for size, rate in products.items()}
    bench.say(f"{ROUNDS} rounds")
    measured = interleave(contenders, ROUNDS, warm_up=True)
    rates = {str(size): spread([rate / 1e9 for rate in measured[str(size)]]) for size in products}
    best = max(rate["median"] for rate in rates.values())
    figures: dict[str, Any] = {"products": rates, "best": best}
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
def roofline(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the operation rates of both nets, as a share of the best rate, and the shares of time by operator."""
    rows = [["command", "", "GFLOP per batch", "GFLOP/s", "of the best product", "where the time goes"]]
    for name, title in TITLES.items():
        figures = record[name]
        time = ", ".join(f"{kind} {100 * share:.0f} %" for kind, share in list(figures["time"].items())[:5])
        rates = quartiles(figures["gflops"], 0), quartiles(figures["fraction"])
        rows.append(["`twofold bench roofline`", title, f"{figures['gflop']:.1f}", *rates, time])
    return rows
