"""Benchmark a black box in another process against one in this process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from twofold.cli.text import format_spread, format_table, machine_line
from twofold.instrument import Instrument, Simulated
from twofold.layers.black_box import BlackBox
from twofold.layers.dense import Dense
from twofold.layers.layer import FeedForwardLayer
from twofold.nets.feedforward import FeedForward
from twofold.plots.colors import POSITIVE, TWIN
from twofold_lab.benchmarks.bench import Benchmark, Workbench, expect, interleave, ratios, seconds_of, spread
from twofold_lab.tables import markdown, table

STEPS, ROUNDS, PIXELS, CLASSES, RATE = 10, 9, 784, 10, 1e-4
"""Steps in a burst, number of bursts, pixels, classes, and the learning rate, which does not affect the time."""

TITLES = {"process": "in this process", "tcp": "over TCP", "pipes": "over pipes"}


@dataclass(frozen=True)
class OverTheWire(Benchmark):
    """Milliseconds of a training step with a black box after the first layer: in this process, over TCP, over pipes.

    The box is the simulated instrument: a random matrix, as wide as the layers, with a rectifier. Images are random.

    Attributes:
        batch: number of images in a step.
        width: number of units in each layer.
        layers: number of layers.
        noise: standard deviation of the noise of each read of the box, which takes time in the box.
    """

    batch: int = 100
    width: int = 500
    layers: int = 3
    noise: float = 0.0

    def measure(self, bench: Workbench) -> dict[str, Any]:
        for field in ("batch", "width", "layers"):
            expect(getattr(self, field) >= 1, field, getattr(self, field), "at least 1")
        with self._boxes() as boxes:
            steps = {name: self._step(bench, box) for name, box in boxes.items()}
            interleave(steps, 1)
            bench.say(f"{ROUNDS} rounds")
            seconds = interleave(steps, ROUNDS)
        return {
            "ratio": {name: spread(ratios(times, seconds["process"])) for name, times in seconds.items()},
            "step": {name: spread(times) for name, times in seconds.items()},
        }

    @contextmanager
    def _boxes(self) -> Iterator[dict[str, Callable[[Tensor], Tensor]]]:
        """Yield the box for each transport; other processes are stopped at the end of the context."""
        local = Simulated("random-relu", self.width, self.width, self.noise)
        size = ["--inputs", str(self.width), "--units", str(self.width), "--noise", str(self.noise)]
        command = [sys.executable, "-m", "twofold", "instrument", "serve", *size]
        piped = Instrument([*command, "--pipes"])
        with subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                announcement = server.stdout.readline()
                over_tcp = Instrument(next(word for word in announcement.split() if word.startswith("tcp://")))
                yield {"process": lambda rows: local(rows, 1), "tcp": over_tcp, "pipes": piped}
                over_tcp.close()
            finally:
                piped.close()
                server.kill()

    def _step(self, bench: Workbench, box: Callable[[Tensor], Tensor]) -> Callable[[int], float]:
        generator = torch.Generator().manual_seed(0)
        layers: list[FeedForwardLayer | BlackBox] = [Dense(PIXELS + CLASSES, self.width, generator=generator)]
        layers.append(BlackBox(box, self.width))
        layers += [Dense(self.width, self.width, generator=generator) for _ in range(self.layers - 1)]
        net = FeedForward(layers, CLASSES).to(bench.device)
        net.set_precision(bench.precision)
        images = torch.rand(self.batch, PIXELS, generator=generator).to(bench.device)
        labels = torch.arange(self.batch, device=bench.device) % CLASSES
        return lambda _: seconds_of(lambda: net.learn(images, labels, rate=RATE), bench.device, STEPS)

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        rows = [["box", "step, ms", "relative to this process"], *_rows(record)]
        return f"wire: {_net(record)}, {machine_line(record)}\n\n{format_table(rows)}"

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        from twofold.plots import canvas
        from twofold_lab.benchmarks.drawing import bars

        figure, [[ax]] = canvas.subplots(1, 1, 5.8, 3.0, 0.15)
        times = [{key: 1000 * value for key, value in record["step"][name].items()} for name in TITLES]
        bars(ax, "A training step", "milliseconds", list(TITLES.values()), {"": ([POSITIVE, TWIN, TWIN], times)})
        return canvas.write(figure, path)


@table("wire", "bench/wire.json")
def documented(record: Mapping[str, Any]) -> str:
    """Return the table of the documentation."""
    return markdown([f"the box ({_net(record)})", "a step, ms", "times that in this process"], _rows(record))


def _rows(record: Mapping[str, Any]) -> list[list[str]]:
    steps = {name: {key: 1000 * value for key, value in record["step"][name].items()} for name in TITLES}
    return [[TITLES[name], format_spread(step), format_spread(record["ratio"][name])] for name, step in steps.items()]


def _net(record: Mapping[str, Any]) -> str:
    settings = record["settings"]
    return f"{settings['layers']} x {settings['width']}, batch {settings['batch']}"
