"""Benchmark the training speed of the recurrent net, and its memory against iterations and frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from twofold.cli.text import format_table, machine_line
from twofold.data import Dataset
from twofold.methods import Recipe, RecurrentRecipe, RecurrentTraining
from twofold.normalize import normalize
from twofold.plots.colors import POSITIVE, TESTS
from twofold.recipes.mnist import mnist
from twofold.recipes.recurrent import recurrent, twin
from twofold_lab.benchmarks.bench import LOOK, Benchmark, Workbench, data_facts, expect
from twofold_lab.benchmarks.peak_memory import peak
from twofold_lab.benchmarks.roofline import draw_rates, fractions, rates_table
from twofold_lab.benchmarks.timing import milliseconds, quartiles
from twofold_lab.benchmarks.trainer import IMAGES, every_case, layers_of, trainer
from twofold_lab.tables import table

CONTENDERS = {"recurrent": ("recurrent", POSITIVE), "ff": ("feedforward", TESTS[2]), "twin": LOOK["twin"]}
"""Net -> name and color of the net in tables and plots."""

COUNTED = (
    "Peak memory of torch's allocator during an update, minus the memory held between updates: for a video of random\n"
    "frames, each seen once, and for a still image; gradients are accumulated over windows of 8."
)


@dataclass(frozen=True)
class RecurrentNet(Benchmark):
    """Seconds per epoch of the recurrent net, the feedforward net and the twin, without importance sampling.

    The nets have the same hidden layers. They are timed alternately with large square matrix products, whose best
    rate is the reference. The peak memory of an update is then measured for few and for many iterations, and for short
    and long videos.

    Attributes:
        width: number of units in each of the two hidden layers.
        lengths: numbers of iterations on a still image, and of frames of a video, for which memory is compared.
    """

    width: int = 1000
    lengths: tuple[int, ...] = (8, 64)

    def measure(self, bench: Workbench) -> dict[str, Any]:
        expect(self.width >= 1, "width", self.width, "at least 1 unit")
        text = " ".join(str(length) for length in self.lengths) or "empty"
        expect(len(self.lengths) > 1 and min(self.lengths) >= 1, "lengths", text, "two or more, each at least 1")
        widths, data = (self.width, self.width), bench.load(recurrent.data)
        recipe = replace(every_case(recurrent), widths=widths)
        recipes: dict[str, Recipe] = {
            "recurrent": recipe,
            "ff": replace(every_case(mnist), widths=widths),
            "twin": replace(twin, widths=widths),
        }
        speeds = fractions(bench, recipes, data)
        lengths = sorted(self.lengths)
        bench.say("memory")
        memory = {
            "iterations": [
                still_peak(bench, replace(recipe, iterations=length, judge_from=1, judge_to=length), data)
                for length in lengths
            ],
            "frames": [video_peak(bench, recipe, data, length) for length in lengths],
        }
        growth = {name: peaks[-1] / peaks[0] for name, peaks in memory.items()}
        batches = IMAGES / recipe.batch
        return {
            "roofline_fraction": speeds["recurrent"]["fraction"]["median"],
            "memory_growth": max(growth.values()),
            "seconds_per_epoch": {name: batches * speeds[name]["seconds"]["median"] for name in recipes},
            **speeds,
            "held": memory,
            "growth": growth,
            "lengths": lengths,
            "widths": list(widths),
            "iterations": recipe.iterations,
            "batch": recipe.batch,
            **data_facts(data),
        }

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        title = f"recurrent: {_net(record)}, without importance sampling, {record['dataset']}, {machine_line(record)}"
        titles = {
            name: f"{title} ({record['seconds_per_epoch'][name]:.2f} s per epoch)"
            for name, (title, _) in CONTENDERS.items()
        }
        blocks = *rates_table(record, titles), format_table(recurrent_memory(record)), COUNTED
        return "\n\n".join([title, *blocks])

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        title = f"The recurrent net without importance sampling: {_net(record)}, {record['precision']}"
        return draw_rates(record, CONTENDERS, title, path)


def _net(record: Mapping[str, Any]) -> str:
    return f"{layers_of(record['widths'])}, {record['iterations']} iterations, batch {record['batch']}"


def still_peak(bench: Workbench, recipe: Recipe, data: Dataset) -> int:
    """Return the peak memory of a training step on still images, in bytes."""
    training = trainer(bench, recipe, data, recipe.batch)
    training.epoch(0)
    return peak(partial(training.epoch, 0), list(training.method.net.parameters()), bench.device)


def video_peak(bench: Workbench, recipe: RecurrentRecipe, data: Dataset, frames: int) -> int:
    """Return the peak memory of a training step on a batch of videos of random frames, in bytes.

    The frames are generated one by one, so that they do not add to the memory.
    """
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


# ---- tables --------------------------------------------------------------------------------------------------------


@table("recurrent-memory", "bench/recurrent.json")
def recurrent_memory(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the peak memory of a training step, by number of iterations and of frames."""
    rows = [["MB held", *map(str, record["lengths"]), "growth"]]
    for name, peaks in record["held"].items():
        rows.append([name, *(f"{peak / 1e6:.1f}" for peak in peaks), f"{record['growth'][name]:.3f}"])
    return rows


@table("recurrent-speed", "bench/recurrent.json", "bench/fp32/recurrent.json")
def recurrent_speed(*records: Mapping[str, Any]) -> list[list[str]]:
    """Return the time and the operation rate of the recurrent net, the feedforward net and the twin."""
    heads = ["", "s per epoch", "GFLOP per batch", "ms per batch", "GFLOP/s", "of the best product"]
    rows = [
        [
            f"{name}, {record['precision']}",
            f"{record['seconds_per_epoch'][name]:.2f}",
            f"{record[name]['gflop']:.2f}",
            quartiles(milliseconds(record[name]["seconds"]), 1),
            quartiles(record[name]["gflops"], 0),
            quartiles(record[name]["fraction"]),
        ]
        for record in records
        for name in CONTENDERS
    ]
    return [heads, *rows]
