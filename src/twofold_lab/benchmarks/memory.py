"""Benchmark the memory of a training step as a function of the number of layers."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twofold import machine
from twofold.cli.text import format_table, machine_line
from twofold.errors import RunError, SettingError
from twofold.plots.colors import POSITIVE, TESTS, TWIN
from twofold_lab.benchmarks.bench import Benchmark, Workbench, expect
from twofold_lab.benchmarks.one_step import CLASSES, SHAPE
from twofold_lab.benchmarks.trainer import pair
from twofold_lab.tables import table

CONTENDERS = {
    "ff": ("FF", POSITIVE),
    "twin": ("twin", TWIN),
    "twin-checkpoints": ("twin, checkpoints", TESTS[3]),
    "twin-parts": ("twin, 8 parts of the batch", TESTS[1]),
}
"""Contender -> name and color of the contender in tables and plots."""

COUNTED = (
    "Counted: peak memory of torch's allocator during a training step, minus the memory held between steps.\n"
    "Included: activities, gradients, temporary results. Not included: weights, smoothed gradients (momentum), copies\n"
    "of weights in lower precision. The twin holds all its gradients at once, FF those of one layer.\n"
    "FF's softmax reads the last two layers at every depth; a softmax that reads all of them would grow with depth."
)


@dataclass(frozen=True)
class Memory(Benchmark):
    """Memory of a training step for several numbers of layers, measured in a separate process for each net.

    The contenders are Forward-Forward without importance sampling; its backprop twin; the twin with activation
    checkpointing between segments of √layers; and the twin with gradient accumulation over 8 parts of the batch.

    Attributes:
        width: number of units in each hidden layer.
        depths: numbers of hidden layers.
        batch: number of images in a step; they are random, with 784 pixels.
    """

    width: int = 1000
    depths: tuple[int, ...] = (4, 16, 64)
    batch: int = 1000

    def measure(self, bench: Workbench) -> dict[str, Any]:
        expect(self.width >= 1, "width", self.width, "at least 1 unit")
        expect(self.batch >= 8, "batch", self.batch, "at least 8, since the batch is divided into 8 parts")
        depths = sorted(set(self.depths))
        text = " ".join(str(depth) for depth in self.depths) or "empty"
        expect(len(depths) >= 2 and depths[0] >= 1, "depths", text, "at least two numbers of layers")
        needed, free = self.needed(bench.precision), machine.free_memory(bench.device)
        if needed > free:
            raise SettingError(
                f"--width {self.width} with --depths up to {max(self.depths)} needs about {needed / 1e9:.1f} GB of "
                f"memory, but only {free / 1e9:.1f} GB are free: lower one of them"
            )
        bench.recipes.extend(pair("mnist"))
        peaks: dict[str, list[dict[str, int]]] = {name: [] for name in CONTENDERS}
        for depth in depths:
            for name in CONTENDERS:
                peaks[name].append(self.in_a_process(bench, name, depth))
                bench.say(f"{depth} layers, {CONTENDERS[name][0]}: {peaks[name][-1]['peak'] / 1e6:.1f} MB")
        growth = {name: sizes[-1]["peak"] / sizes[0]["peak"] for name, sizes in peaks.items()}
        return {
            "activation_growth": growth.pop("ff"),
            "twin_activation_growth": growth,
            "depths": depths,
            "bytes": {name: [size["peak"] for size in sizes] for name, sizes in peaks.items()},
            "process_bytes": {name: [size["process"] for size in sizes] for name, sizes in peaks.items()},
            "counted": COUNTED,
        }

    def needed(self, precision: str) -> int:
        """Estimate the memory for training the twin with the largest number of layers, in bytes."""
        depth, narrow = max(self.depths), precision == "bf16"
        weights = math.prod(SHAPE) * self.width + (depth - 1) * self.width**2 + self.width * CLASSES
        return weights * (12 + 2 * narrow) + self.batch * depth * self.width * (2 if narrow else 4)

    def in_a_process(self, bench: Workbench, name: str, depth: int) -> dict[str, int]:
        """Measure the training step of a contender in a new process; see `one_step.measure`.

        The process returns freed memory to the system immediately.
        """
        sizes = [str(size) for size in (depth, self.width, self.batch)]
        program = "import sys; from twofold_lab.benchmarks.one_step import main; main(sys.argv[1:])"
        words = [sys.executable, "-c", program, name, *sizes, bench.device.type, bench.precision]
        environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
        process = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
        if process.returncode:
            reason = process.stderr.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
            raise RunError(f"the step of {CONTENDERS[name][0]} with {depth} layers failed: {reason[0]}")
        result: dict[str, int] = json.loads(process.stdout.splitlines()[-1])
        return result

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        checks = [["MB of the process", *(f"{depth} layers" for depth in record["depths"])]]
        for name, peaks in record["process_bytes"].items():
            checks.append([CONTENDERS[name][0], *(f"{peak / 1e6:.1f}" for peak in peaks)])
        sizes = f"width {record['settings']['width']}, batch {record['settings']['batch']}"
        title = f"memory: {sizes}, {machine_line(record)}"
        return "\n\n".join([title, format_table(memory(record)), record["counted"], format_table(checks)])

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        from matplotlib.ticker import NullLocator

        from twofold.plots import canvas

        figure, [panels] = canvas.subplots(1, 2, 5, 4.2, 0.15)
        views = (("Peak memory of torch", "bytes"), ("Peak memory of the process", "process_bytes"))
        for ax, (title, key) in zip(panels, views, strict=True):
            for name, peaks in record[key].items():
                label, color = CONTENDERS[name]
                ax.plot(record["depths"], [peak / 1e6 for peak in peaks], "o-", color=color, ms=5, lw=1.9, label=label)
            canvas.label_axes(ax, title, "hidden layers", "MB beyond the weights")
            canvas.scale_axis(ax, np.array([peak / 1e6 for peaks in record[key].values() for peak in peaks]))
            ax.set_xscale("log")
            ax.set_xticks(record["depths"], [str(depth) for depth in record["depths"]])
            ax.xaxis.set_minor_locator(NullLocator())
            canvas.legend(ax, 2)
        sizes = f"{record['settings']['width']} units a layer, {record['settings']['batch']} images a step"
        canvas.suptitle(figure, f"Memory of a training step: {sizes}, {record['precision']}")
        return canvas.write(figure, path)


@table("memory", "bench/memory.json")
def memory(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the peak memory of a training step in torch's allocator, by number of layers."""
    growth = {"ff": record["activation_growth"], **record["twin_activation_growth"]}
    rows = [["MB", *(f"{depth} layers" for depth in record["depths"]), "growth"]]
    for name, peaks in record["bytes"].items():
        rows.append([CONTENDERS[name][0], *(f"{peak / 1e6:.1f}" for peak in peaks), f"{growth[name]:.2f}"])
    return rows
