"""Benchmark a black box in another process against one in this process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
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
from twofold_lab.benchmarks.bench import Benchmark, Workbench, expect
from twofold_lab.benchmarks.timing import interleave, milliseconds, ratios, spreads, timer
from twofold_lab.tables import table

STEPS, ROUNDS, PIXELS, CLASSES, RATE = 10, 9, 784, 10, 1e-4
"""Numbers of training steps per round, rounds, pixels, classes; learning rate, which does not affect the time."""

TITLES = {"process": "in this process", "tcp": "over TCP", "pipes": "over pipes"}


@dataclass(frozen=True)
class OverTheWire(Benchmark):
    """Milliseconds of a training step with a black box after the first layer: in this process, over TCP, over pipes.

    The box is the simulated instrument: a square random matrix followed by ReLU. Its width is that of the layers.
    Images are random.

    Attributes:
        batch: number of images in a step.
        width: number of units in each layer.
        layers: number of layers.
        noise: standard deviation of the noise of each read of the box. The box needs time to draw the noise.
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
            bench.say(f"{ROUNDS} rounds")
            seconds = interleave(steps, ROUNDS, warm_up=True)
        ratio = {name: ratios(times, seconds["process"]) for name, times in seconds.items()}
        return {"ratio": spreads(ratio), "step": spreads(seconds)}

    @contextmanager
    def _boxes(self) -> Iterator[dict[str, Callable[[Tensor], Tensor]]]:
        """Yield the box for each transport; the processes of TCP and pipes end with the context."""
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
        return timer(partial(net.learn, images, labels, rate=RATE), bench.device, STEPS)

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        return f"wire: {_net(record)}, {machine_line(record)}\n\n{format_table(wire(record))}"

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        from twofold_lab.benchmarks.drawing import bar_charts

        times = [milliseconds(record["step"][name]) for name in TITLES]
        charts = {("A training step", "milliseconds"): {"": ([POSITIVE, TWIN, TWIN], times)}}
        return bar_charts(path, f"A black box in a net of {_net(record)}", list(TITLES.values()), charts)


def _net(record: Mapping[str, Any]) -> str:
    settings = record["settings"]
    return f"{settings['layers']} x {settings['width']}, batch {settings['batch']}"


@table("wire", "bench/wire.json")
def wire(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the time of a training step with a black box in this process and in another process."""
    rows = [[f"the box ({_net(record)})", "a step, ms", "times that in this process"]]
    for name, title in TITLES.items():
        rows.append([title, *map(format_spread, (milliseconds(record["step"][name]), record["ratio"][name]))])
    return rows
