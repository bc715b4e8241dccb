"""Measure how the memory of training grows with the number of layers."""

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
from twofold.benchmarks.bench import Benchmark, Workbench, expect
from twofold.benchmarks.one_step import CLASSES, SHAPE
from twofold.benchmarks.report import format_table, machine_line
from twofold.errors import RunError, SettingError
from twofold.plots.colors import POSITIVE, TESTS, TWIN

CONTENDERS = {
    "ff": ("FF", POSITIVE),
    "twin": ("twin", TWIN),
    "twin-checkpoints": ("twin, checkpoints", TESTS[3]),
    "twin-parts": ("twin, 8 parts of the batch", TESTS[1]),
}
"""Names of the contenders in tables and pictures, and their colors."""

COUNTED = (
    "Counted: the most that torch's allocator holds at a time during a training step, beyond what it holds between\n"
    "steps (activities, gradients, temporary results). Not counted: weights, smoothed gradients (momentum), copies of\n"
    "weights in lower precision. The twin holds all its gradients at once, FF those of one layer.\n"
    "FF's softmax reads the last two layers at every depth; one that reads them all would grow with depth."
)


@dataclass(frozen=True)
class Memory(Benchmark):
    """The memory that a training step takes, against the number of layers, in a process of its own for each net.

    The contenders are Forward-Forward with no case left out; its backprop twin; the twin that keeps only the activity
    between segments of √layers and recomputes the rest; and the twin that learns from 8 parts of the batch one after
    the other.

    Attributes:
        width: units of each hidden layer.
        depths: numbers of hidden layers.
        batch: images in a step; these are random, of 784 pixels.
    """

    width: int = 1000
    depths: tuple[int, ...] = (4, 16, 64)
    batch: int = 1000

    def measure(self, bench: Workbench) -> dict[str, Any]:
        expect(self.width >= 1, "width", self.width, "at least 1 unit")
        expect(self.batch >= 8, "batch", self.batch, "at least 8 images, since it is divided into 8 parts")
        depths = sorted(set(self.depths))
        said = " ".join(str(depth) for depth in self.depths) or "empty"
        expect(len(depths) >= 2 and depths[0] >= 1, "depths", said, "at least two numbers of layers")
        self._refuse_what_does_not_fit(bench)
        found: dict[str, list[dict[str, int]]] = {name: [] for name in CONTENDERS}
        for depth in depths:
            for name in CONTENDERS:
                found[name].append(self.in_a_process(bench, name, depth))
                bench.say(f"{depth} layers, {CONTENDERS[name][0]}: {found[name][-1]['peak'] / 1e6:.1f} MB")
        growth = {name: each[-1]["peak"] / each[0]["peak"] for name, each in found.items()}
        return {
            "activation_growth": growth.pop("ff"),
            "twin_activation_growth": growth,
            "depths": depths,
            "bytes": {name: [one["peak"] for one in each] for name, each in found.items()},
            "process_bytes": {name: [one["process"] for one in each] for name, each in found.items()},
            "counted": COUNTED,
        }

    def needed(self, precision: str) -> int:
        """Estimate the bytes that the twin of the deepest net takes."""
        depth, narrow = max(self.depths), precision == "bf16"
        weights = math.prod(SHAPE) * self.width + (depth - 1) * self.width**2 + self.width * CLASSES
        return weights * (12 + 2 * narrow) + self.batch * depth * self.width * (2 if narrow else 4)

    def _refuse_what_does_not_fit(self, bench: Workbench) -> None:
        needed, free = self.needed(bench.precision), machine.free_memory(bench.device)
        if needed > free:
            raise SettingError(
                f"--width {self.width} with --depths up to {max(self.depths)} needs about {needed / 1e9:.1f} GB of "
                f"memory, and {free / 1e9:.1f} GB are free: lower one of them"
            )

    def in_a_process(self, bench: Workbench, name: str, depth: int) -> dict[str, int]:
        """Measure a net in a fresh process that returns freed memory to the system at once."""
        sizes = [str(size) for size in (depth, self.width, self.batch)]
        program = "import sys; from twofold.benchmarks.one_step import main; main(sys.argv[1:])"
        words = [sys.executable, "-c", program, name, *sizes, bench.device.type, bench.precision]
        environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            why = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise RunError(f"the step of {CONTENDERS[name][0]} with {depth} layers failed: {why[0]}")
        found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
        return found

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        depths, growth = record["depths"], {"ff": record["activation_growth"], **record["twin_activation_growth"]}
        rows = [["MB held by torch", *(f"{depth} layers" for depth in depths), "growth"]]
        for name, each in record["bytes"].items():
            rows.append([CONTENDERS[name][0], *(f"{held / 1e6:.1f}" for held in each), f"x {growth[name]:.2f}"])
        checks = [["MB of the process", *(f"{depth} layers" for depth in depths)]]
        for name, each in record["process_bytes"].items():
            checks.append([CONTENDERS[name][0], *(f"{held / 1e6:.1f}" for held in each)])
        sizes = f"width {record['settings']['width']}, batch {record['settings']['batch']}"
        title = f"memory: {sizes}, {machine_line(record)}"
        return "\n\n".join([title, format_table(rows), record["counted"], format_table(checks)])

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        from matplotlib.ticker import NullLocator

        from twofold.plots import canvas

        figure, [panels] = canvas.subplots(1, 2, 5, 4.2, 0.15)
        kinds = (("What torch holds during a step", "bytes"), ("What the process takes (a check)", "process_bytes"))
        for ax, (title, key) in zip(panels, kinds, strict=True):
            for name, each in record[key].items():
                label, color = CONTENDERS[name]
                ax.plot(record["depths"], [held / 1e6 for held in each], "o-", color=color, ms=5, lw=1.9, label=label)
            canvas.label_axes(ax, title, "hidden layers", "MB beyond the weights")
            canvas.scale_axis(ax, np.array([held / 1e6 for each in record[key].values() for held in each]))
            ax.set_xscale("log")
            ax.set_xticks(record["depths"], [str(depth) for depth in record["depths"]])
            ax.xaxis.set_minor_locator(NullLocator())
            canvas.legend(ax, 2)
        sizes = f"{record['settings']['width']} units a layer, {record['settings']['batch']} images a step"
        canvas.suptitle(figure, f"Memory of a training step: {sizes}, {record['precision']}")
        return canvas.write(figure, path)
