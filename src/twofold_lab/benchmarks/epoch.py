"""Benchmark the time of a training epoch of Forward-Forward against that of its backprop twin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from twofold import machine
from twofold.cli.text import format_3, format_percent, format_spread, format_table, machine_line
from twofold.data import Dataset
from twofold.methods import Recipe
from twofold.plots.colors import INK, TESTS
from twofold_lab.benchmarks.bench import LOOK, Benchmark, Workbench, data_facts, expect
from twofold_lab.benchmarks.timing import interleave, quartiles, ratios, spread, spreads
from twofold_lab.benchmarks.trainer import compare, layers_of, pair, trainer, warm_up
from twofold_lab.tables import table

SLICE, ROUNDS = 6000, 7
"""Number of images in each timing round without importance sampling, and number of such rounds."""

SWEEP_SLICE, SWEEP_ROUNDS = 2000, 5
SWEEP: tuple[dict[str, Any], ...] = (
    *({"widths": (width,) * 3, "batch": 100} for width in (500, 1000, 2000)),
    *({"widths": (1000,) * depth, "batch": 100} for depth in (2, 6)),
    *({"widths": (1000,) * 3, "batch": batch} for batch in (50, 400)),
)
"""Fields of the nets of the sweep: variations in one property of three layers of 1000 units at batch size 100."""


@dataclass(frozen=True)
class Epoch(Benchmark):
    """Seconds per epoch of a recipe and of its backprop twin, measured alternately; the first epoch is counted, too.

    Forward-Forward is also timed without importance sampling: every case counts for every layer, and every image is
    used in every epoch. This is measured on a part of the training images, for the net of the recipe and for several
    widths, depths, batch sizes and precisions.

    Attributes:
        recipe: name of a Forward-Forward recipe.
        epochs: number of epochs, from the first one of the recipe's schedule.
        sweep: also time nets of other widths, depths, batch sizes and precisions.
    """

    recipe: str = "mnist"
    epochs: int = 8
    sweep: bool = True

    def measure(self, bench: Workbench) -> dict[str, Any]:
        recipe, twin = pair(self.recipe)
        last = recipe.epochs
        expect(1 <= self.epochs <= last, "epochs", self.epochs, f"1 to {last}, the epochs of {self.recipe}")
        twin = replace(twin, epochs=max(twin.epochs, self.epochs))
        data = bench.load(recipe.data)
        bench.say(f"without importance sampling, {ROUNDS} rounds")
        every_case = compare(bench, recipe, twin, data, images=SLICE, rounds=ROUNDS)
        warm_up(bench, recipe, twin, data)
        trainers = {"ff": trainer(bench, recipe, data), "twin": trainer(bench, twin, data)}
        seen: dict[str, list[float]] = {name: [] for name in trainers}

        def learn(name: str, number: int) -> float:
            seconds = trainers[name].epoch(number)
            seen[name].append(trainers[name].method.metrics()["visits"])
            bench.say(f"epoch {number + 1}/{self.epochs}, {name}: {seconds:.2f} s")
            return seconds

        seconds = interleave({name: partial(learn, name) for name in trainers}, self.epochs)
        paired = ratios(seconds["ff"], seconds["twin"])
        return {
            "ff_over_bp": spread(paired)["median"],
            "ff_over_bp_first": paired[0],
            "ff_over_bp_every_case": every_case["ratio"]["median"],
            "ratio": spread(paired),
            "ratios": paired,
            "seconds": spreads(seconds),
            "seconds_by_epoch": seconds,
            "images_seen": seen,
            "every_case": {**every_case, "rounds": ROUNDS},
            "widths": list(recipe.widths),
            "batch": recipe.batch,
            **data_facts(data),
            "sweep": _sweep(bench, recipe, twin, data) if self.sweep else [],
        }

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        rows = [["epoch", "FF s", "twin s", "FF / twin", "images: FF", "twin"]]
        for number, ratio in enumerate(record["ratios"]):
            times = [format_3(record["seconds_by_epoch"][name][number]) for name in LOOK]
            images = [format_percent(record["images_seen"][name][number]) for name in LOOK]
            rows.append([str(number + 1), *times, format_3(ratio), *images])
        medians = {**record["seconds"], "ratio": record["ratio"]}
        rows.append(["median (quartiles)", *(format_spread(medians[name]) for name in (*LOOK, "ratio")), "", ""])
        every_case = [format_spread(record["every_case"][name]) for name in (*LOOK, "ratio")]
        rows.append(["every case *", *every_case, *[format_percent(1)] * 2])
        net = f"{layers_of(record['widths'])}, batch {record['batch']}, {record['dataset']}"
        title = f"epoch: {record['settings']['recipe']} ({net}), {machine_line(record)}"
        note = "* without importance sampling: seconds for 60,000 images, estimated from a part of them"
        more = [format_table(sweep(record))] if record["sweep"] else []
        return "\n\n".join([title, format_table(rows), note, *more])

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        from matplotlib.ticker import MaxNLocator

        from twofold.plots import canvas
        from twofold_lab.benchmarks.drawing import bars

        figure, [panels] = canvas.subplots(1, 2 if record["sweep"] else 1, 5.6, 4.4, 0.15)
        times = record["seconds_by_epoch"]
        for name, (title, color) in LOOK.items():
            panels[0].plot(range(1, 1 + len(times[name])), times[name], "o-", color=color, ms=4, lw=1.9, label=title)
        panels[0].set_ylim(0, 1.1 * max(times["ff"] + times["twin"]))
        panels[0].xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        canvas.label_axes(panels[0], f"{record['settings']['recipe']}, as it trains", "epoch", "seconds")
        if record["sweep"]:
            rows, series = _by_precision(record["sweep"])
            bars(panels[1], "Without importance sampling", "seconds, Forward-Forward / twin", rows, series)
            panels[1].axvline(1, color=INK, lw=1, ls="--")
        for ax in panels:
            canvas.legend(ax, 2)
        net = f"{layers_of(record['widths'])}, batch {record['batch']}"
        canvas.suptitle(figure, f"Seconds per epoch: {net}, {record['precision']} on {record['device']}")
        return canvas.write(figure, path)


def _sweep(bench: Workbench, recipe: Recipe, twin: Recipe, data: Dataset) -> list[dict[str, Any]]:
    """Time each net of the sweep in fp32 and, if the device has fast instructions for bf16, also in bf16."""
    entries = []
    for changes in SWEEP:
        for precision in ("fp32", "bf16") if machine.has_fast_bf16(bench.device) else ("fp32",):
            bench.say(f"{layers_of(changes['widths'])}, batch {changes['batch']}, {precision}")
            nets = replace(recipe, **changes), replace(twin, **changes)
            figures = compare(bench, *nets, data, images=SWEEP_SLICE, rounds=SWEEP_ROUNDS, precision=precision)
            entries.append({**changes, "widths": list(changes["widths"]), "precision": precision, **figures})
    return entries


def _by_precision(sweep: list[dict[str, Any]]) -> tuple[list[str], dict[str, Any]]:
    """Return the names of the nets of a sweep and, for each precision, a color and the time ratio of each net."""
    nets = list(dict.fromkeys(f"{layers_of(entry['widths'])}, batch {entry['batch']}" for entry in sweep))
    precisions = list(dict.fromkeys(entry["precision"] for entry in sweep))
    return nets, {
        precision: (color, [entry["ratio"] for entry in sweep if entry["precision"] == precision])
        for precision, color in zip(precisions, TESTS, strict=False)
    }


# ---- tables --------------------------------------------------------------------------------------------------------


@table("epochs", "bench/epoch.json", "bench/mnist-wide/epoch.json")
def epochs(*records: Mapping[str, Any]) -> list[list[str]]:
    """Return the seconds per epoch with importance sampling, and the time ratios with and without it."""
    rows = [["command", "FF, s", "twin, s", "`ff_over_bp`", "first epoch", "nothing left out"]]
    for record in records:
        recipe, seconds = record["settings"]["recipe"], record["seconds"]
        rows.append(
            [
                "`twofold bench epoch`" if recipe == Epoch.recipe else f"`twofold bench epoch --recipe {recipe}`",
                *(quartiles(seconds[name]) for name in ("ff", "twin")),
                f"**{record['ff_over_bp']:.2f}**",
                *(f"{record[f'ff_over_bp_{state}']:.2f}" for state in ("first", "every_case")),
            ]
        )
    return rows


@table("sweep", "bench/epoch.json")
def sweep(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the seconds per epoch of nets of several sizes, without importance sampling."""
    rows = [["net", "batch", "precision", "FF, s", "twin, s", "FF / twin"]]
    for entry in record["sweep"]:
        times = *(quartiles(entry[name], 1) for name in LOOK), quartiles(entry["ratio"])
        rows.append([layers_of(entry["widths"]), str(entry["batch"]), entry["precision"], *times])
    return rows


# Records of measurements that were made once, whose code is no longer kept.


@table("ideas", "speed/ideas-mnist.json")
def ideas(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the predicted and the measured time ratio of each optimization of a training step."""
    ideas = {name: idea for name, idea in record["ideas"].items() if name != "all of them"}
    rows = [[name, f"{idea['predicted']:.2f}", quartiles(idea["ratio"])] for name, idea in ideas.items()]
    return [["idea", "predicted", f"`{record['recipe']}`"], *rows]


@table("products", "speed/ideas-mnist.json")
def products(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the operation rate of the matrix product of a layer, by data type."""
    rows = [[name, quartiles(rate, 0)] for name, rate in record["products"].items()]
    return [["GFLOP/s", f"`{record['recipe']}`"], *rows]


@table("compiled", "speed/compiled.json")
def compiled(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the time ratio without and with `torch.compile` for each net."""
    rows = [[name, quartiles(net["gain"])] for name, net in record["nets"].items()]
    return [["net, in bf16", "time without `torch.compile` / with it: median (lowest to highest of 9)"], *rows]
