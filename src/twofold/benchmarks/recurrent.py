"""Measure how fast the recurrent net trains, and whether its memory grows with iterations or frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from twofold.benchmarks.bench import LOOK, Benchmark, Workbench, expect
from twofold.benchmarks.peak_memory import peak
from twofold.benchmarks.report import format_3, format_percent, format_spread, format_table, machine_line
from twofold.benchmarks.roofline import fractions
from twofold.benchmarks.trainer import IMAGES, every_case, layers_of, trainer
from twofold.data import Dataset
from twofold.methods import Recipe, RecurrentRecipe, RecurrentTraining
from twofold.normalize import normalize
from twofold.plots.colors import BLANK, INK, POSITIVE, TESTS
from twofold.recipes.mnist import mnist
from twofold.recipes.recurrent import recurrent, twin

CONTENDERS = {"recurrent": ("recurrent", POSITIVE), "ff": ("feedforward", TESTS[2]), "twin": LOOK["twin"]}
"""Names of the contenders, and their colors."""

COUNTED = (
    "Held: the most that torch's allocator holds at a time during an update, beyond what it holds between updates.\n"
    "A video of random frames, each seen once, and a still image; gradients are gathered over windows of 8."
)


@dataclass(frozen=True)
class RecurrentNet(Benchmark):
    """Seconds per epoch of the recurrent net, the feedforward net and the twin, with no case or image left out.

    All have the same hidden layers and take turns; the best matrix product of this machine is timed beside them. Then
    the memory of an update is measured after few and after many iterations or frames.

    Attributes:
        width: units of each of the two hidden layers.
        lengths: numbers of iterations and frames at which memory is compared.
    """

    width: int = 1000
    lengths: tuple[int, ...] = (8, 64)

    def measure(self, bench: Workbench) -> dict[str, Any]:
        expect(self.width >= 1, "width", self.width, "at least 1 unit")
        said = " ".join(str(length) for length in self.lengths) or "empty"
        expect(len(self.lengths) > 1 and min(self.lengths) >= 1, "lengths", said, "two or more, each at least 1")
        widths, data = (self.width, self.width), bench.load(recurrent.data)
        recipe = replace(every_case(recurrent), widths=widths)
        recipes: dict[str, Recipe] = {
            "recurrent": recipe,
            "ff": replace(every_case(mnist), widths=widths),
            "twin": replace(twin, widths=widths),
        }
        found = fractions(bench, recipes, data)
        lengths = sorted(self.lengths)
        bench.say("memory")
        held = {
            "iterations": [
                still_peak(bench, replace(recipe, iterations=length, judge_from=1, judge_to=length), data)
                for length in lengths
            ],
            "frames": [video_peak(bench, recipe, data, length) for length in lengths],
        }
        growth = {name: each[-1] / each[0] for name, each in held.items()}
        batches = IMAGES / recipe.batch
        return {
            "roofline_fraction": found["recurrent"]["fraction"]["median"],
            "memory_growth": max(growth.values()),
            "seconds_per_epoch": {name: batches * found[name]["seconds"]["median"] for name in recipes},
            **found,
            "held": held,
            "growth": growth,
            "lengths": lengths,
            "widths": list(widths),
            "iterations": recipe.iterations,
            "batch": recipe.batch,
            "dataset": data.name,
            "official_data": data.official,
        }

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        rows = [["nothing left out", "s/epoch", "GFLOP per batch", "ms per batch", "GFLOP/s", "of the best"]]
        for name, (title, _) in CONTENDERS.items():
            one = record[name]
            milliseconds = format_spread({key: 1000 * seconds for key, seconds in one["seconds"].items()})
            epoch = format_3(record["seconds_per_epoch"][name])
            rates = format_spread(one["gflops"]), format_spread(one["fraction"])
            rows.append([title, epoch, format_3(one["gflop"]), milliseconds, *rates])
        for size, gflops in record["products"].items():
            rates = format_spread(gflops), format_3(gflops["median"] / record["best"])
            rows.append([f"product {size} x {size}", "", "", "", *rates])
        memory = [["MB held", *(str(length) for length in record["lengths"]), "growth"]]
        memory += [
            [name, *(f"{held / 1e6:.1f}" for held in each), f"{record['growth'][name]:.3f}"]
            for name, each in record["held"].items()
        ]
        parts = ", ".join(f"{kind} {format_percent(part)}" for kind, part in record["recurrent"]["time"].items())
        net = f"{layers_of(record['widths'])}, {record['iterations']} iterations, batch {record['batch']}"
        title = f"recurrent: {net}, {record['dataset']}, {machine_line(record)}"
        return "\n\n".join([title, format_table(rows), f"time: {parts}", format_table(memory), COUNTED])

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        from twofold.benchmarks.drawing import bars, stack
        from twofold.plots import canvas

        figure, [[left, right]] = canvas.subplots(1, 2, 5.6, 3.6, 0.15)
        rows = [*(title for title, _ in CONTENDERS.values()), *(f"product {size}" for size in record["products"])]
        rates = [*(record[name]["gflops"] for name in CONTENDERS), *record["products"].values()]
        colors = [*(color for _, color in CONTENDERS.values()), *[BLANK] * len(record["products"])]
        bars(left, "Matrix products executed", "GFLOP/s", rows, {"": (colors, rates)})
        left.axvline(record["best"], color=INK, lw=1, ls="--")
        times = {title: record[name]["time"] for name, (title, _) in CONTENDERS.items()}
        stack(right, "Where the time goes", "time", times)
        net = f"{layers_of(record['widths'])}, {record['iterations']} iterations, batch {record['batch']}"
        canvas.suptitle(figure, f"The recurrent net with nothing left out: {net}, {record['precision']}")
        return canvas.write(figure, path)


def still_peak(bench: Workbench, recipe: Recipe, data: Dataset) -> int:
    """Return the bytes that an update on still images holds."""
    training = trainer(bench, recipe, data, recipe.batch)
    training.epoch(0)
    return peak(partial(training.epoch, 0), list(training.method.net.parameters()), bench.device)


def video_peak(bench: Workbench, recipe: RecurrentRecipe, data: Dataset, frames: int) -> int:
    """Return the bytes that an update after a video of ``frames`` frames holds; these are random, made one by one."""
    net = RecurrentTraining.build(recipe, data.form).to(bench.device)
    net.set_precision(bench.precision)
    rows = torch.zeros(2 * recipe.batch, dtype=torch.int64, device=bench.device)
    generator = torch.Generator(bench.device).manual_seed(0)

    def video() -> Iterator[Tensor]:
        for _ in range(frames):
            yield normalize(torch.rand(len(rows), data.pixels, generator=generator, device=bench.device))

    def watch() -> None:
        with torch.no_grad():
            start = net.start(torch.zeros(len(rows), data.pixels, device=bench.device))
            net.learn_video(video(), net.top(rows), start, 0.0)

    watch()
    return peak(watch, list(net.parameters()), bench.device)
