"""Benchmark equivalent implementations of a layer with local fields and no weight sharing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import unfold

from twofold.cli.text import format_table, machine_line
from twofold.layers.connectivity import Connectivity, Masked
from twofold.layers.dense import Dense, SparseLayer
from twofold.layers.fields import Fields
from twofold.layers.layer import FeedForwardLayer
from twofold.layers.local import LocallyConnected
from twofold.layers.tiles import tile_of
from twofold.learning import Rule
from twofold.machine import compute_type
from twofold.plots.colors import POSITIVE, TWIN
from twofold_lab.benchmarks.bench import Benchmark, Workbench, expect
from twofold_lab.benchmarks.timing import interleave, milliseconds, quartiles, ratios, spreads, timer
from twofold_lab.tables import table

UPDATES, ROUNDS = 8, 9
"""Number of updates in each round, and number of rounds."""

TITLES = {
    "tiles": "tiles",
    "gather": "a block for each grid point",
    "unfold": "unfold",
    "masked": "masked dense",
    "dense": "dense, no mask",
}


class Unfolded(Connectivity):
    """Connectivity that copies the inputs of each receptive field for each case. A grid point is then one product."""

    def __init__(self, fields: Fields) -> None:
        super().__init__(fields.units, fields.inputs)
        self.fields = fields
        points = fields.grid[0] * fields.grid[1]
        self.shape = (points, fields.field**2 * fields.below[0], fields.channels)

    def fan_in(self) -> Tensor:
        return torch.full((self.units,), self.shape[1])

    def draw(self, scale: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(self.shape, generator=generator) * scale[0]

    def matmul(self, weight: Tensor, rows: Tensor, total: Tensor) -> Tensor:
        product = self._patches(rows.to(weight.dtype)) @ weight
        return product.permute(1, 2, 0).flatten(1) + total

    def gather(self, gradient: Tensor, wanted: Tensor, seen: Tensor) -> None:
        signals = wanted.T.reshape(seen.shape[0], self.fields.channels, -1).permute(2, 0, 1)
        torch.baddbmm(gradient, self._patches(seen).transpose(1, 2), signals, beta=0, out=gradient)

    def reduce_inputs(self, rows: Tensor) -> Tensor:
        return self._patches(rows).sum(2).T.repeat(1, self.fields.channels)

    def to_matrix(self, weight: Tensor) -> Tensor:
        impulses = torch.eye(self.inputs, dtype=weight.dtype)
        return self.matmul(weight, impulses, weight.new_zeros(self.units)).T

    def _patches(self, rows: Tensor) -> Tensor:
        """Return the inputs of each receptive field, ``(grid points, cases, inputs of a field)``."""
        fields = self.fields
        images = rows.view(-1, *fields.below)
        return unfold(images, fields.field, padding=fields.margin, stride=fields.stride).permute(2, 0, 1)


@dataclass(frozen=True)
class LocalLayer(Benchmark):
    """Milliseconds of a training step of one layer with local receptive fields, by implementation.

    All implementations compute the same result. The input is random.

    Attributes:
        side: height and width of the input map and of the output map.
        channels: number of channels of both maps.
        field: height and width of the receptive field of each unit; fields are cut off at the edges of the input map.
        batch: number of positive cases; there are as many negative cases.
    """

    side: int = 32
    channels: int = 3
    field: int = 11
    batch: int = 100

    def measure(self, bench: Workbench) -> dict[str, Any]:
        expect(self.field % 2 == 1, "field", self.field, "an odd number")
        expect(self.batch >= 1, "batch", self.batch, "at least 1")
        fields = Fields((self.channels, self.side, self.side), self.channels, self.field, margin=self.field // 2)
        layers = self.layers(fields)
        generator = torch.Generator().manual_seed(0)
        positive, negative = torch.rand(2, self.batch, fields.inputs, generator=generator).to(bench.device)
        for layer in layers.values():
            layer.to(bench.device).compute = compute_type(bench.precision)
        phases: dict[str, Callable[[FeedForwardLayer], object]] = {
            "learn": lambda layer: layer.learn(positive, negative, 1e-4),
            "forward": lambda layer: layer(positive),
        }
        seconds = {}
        for phase, work in phases.items():
            bench.say(f"{ROUNDS} rounds of {phase}")
            timers = {name: timer(partial(work, layer), bench.device, UPDATES) for name, layer in layers.items()}
            seconds[phase] = interleave(timers, ROUNDS, warm_up=True)
        learn = seconds["learn"]
        ratio = spreads({name: ratios(times, learn["tiles"]) for name, times in learn.items()})
        return {
            "speedup": ratio["masked"]["median"],
            "ratio": ratio,
            **{phase: spreads(figures) for phase, figures in seconds.items()},
            "stored": {
                name: sum(weight.numel() for weight in layer.parameters()) - fields.units
                for name, layer in layers.items()
            },
            "weights": fields.weights,
            "units": fields.units,
            "tile": list(tile_of(fields)),
        }

    @staticmethod
    def layers(fields: Fields) -> dict[str, FeedForwardLayer]:
        """Return name of an implementation -> layer with this implementation."""
        rule = Rule()
        return {
            "tiles": LocallyConnected(fields, rule),
            "gather": LocallyConnected(fields, rule, tile=(1, 1)),
            "unfold": SparseLayer(Unfolded(fields), rule),
            "masked": SparseLayer(Masked(fields.mask()), rule),
            "dense": Dense(fields.inputs, fields.units, rule),
        }

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        settings = record["settings"]
        net = f"{record['units']} units, fields {settings['field']} x {settings['field']}, batch {settings['batch']}"
        tile = " x ".join(map(str, record["tile"]))
        return (
            f"local: {net}, tiles of {tile} grid points, {machine_line(record)}\n\n{format_table(local_speed(record))}"
        )

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        from twofold_lab.benchmarks.drawing import bar_charts

        colors, field = [POSITIVE, *[TWIN] * (len(TITLES) - 1)], record["settings"]["field"]
        times = {phase: [milliseconds(record[phase][name]) for name in TITLES] for phase in ("learn", "forward")}
        charts = {
            ("A training step", "milliseconds"): {"": (colors, times["learn"])},
            ("A forward pass", "milliseconds"): {"": (colors, times["forward"])},
        }
        title = f"{record['units']} units with fields of {field} x {field}, {record['precision']}"
        return bar_charts(path, title, list(TITLES.values()), charts)


@table("local-speed", "bench/local.json", "bench/fp32/local.json")
def local_speed(*records: Mapping[str, Any]) -> list[list[str]]:
    """Return the time of a training step of a locally connected layer, by implementation."""
    rows = [["", "learning, ms", "forward, ms", "times the tiles", "stored / existing weights"]]
    for record in records:
        for name, title in TITLES.items():
            times = (quartiles(milliseconds(record[phase][name]), 1) for phase in ("learn", "forward"))
            stored = f"{record['stored'][name] / record['weights']:.2f}"
            rows.append([f"{title}, {record['precision']}", *times, quartiles(record["ratio"][name]), stored])
    return rows
