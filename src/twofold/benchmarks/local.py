"""How fast a layer with local fields and no weight sharing learns, in several ways of computing the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import unfold

from twofold.benchmarks.bench import Benchmark, Workbench, expect, interleave, ratios, seconds_of, spread
from twofold.benchmarks.report import format_3, format_spread, format_table, machine_line
from twofold.layers.connectivity import Masked
from twofold.layers.inputs import Below, busy, written_out
from twofold.layers.layer import Connected, Dense, Layer
from twofold.layers.local import Fields, Local, tile_of
from twofold.learning import Rule
from twofold.machine import compute_type
from twofold.plots.colors import POSITIVE, TWIN
from twofold.training import compiled as fused

UPDATES, ROUNDS = 8, 9
"""Updates of a burst, and how many bursts there are."""

TITLES = {
    "tiles": "tiles",
    "gather": "a block for each grid point",
    "unfold": "unfold",
    "masked": "masked dense",
    "dense": "dense, no mask",
}


class Unfolded(Layer):
    """Every grid point's square written out for every case, and a product for each grid point."""

    def __init__(self, fields: Fields, rule: Rule) -> None:
        super().__init__(fields.units, rule)
        self.fields = fields
        points = fields.grid[0] * fields.grid[1]
        shape = (points, fields.field**2 * fields.below[0], fields.channels)
        self.weight = torch.nn.Parameter(torch.randn(shape) / shape[1] ** 0.5, requires_grad=False)
        self.bias = torch.nn.Parameter(torch.zeros(fields.units), requires_grad=False)
        self.register_buffer("weight_velocity", torch.zeros(shape), persistent=False)
        self.register_buffer("bias_velocity", torch.zeros(fields.units), persistent=False)

    def _seen(self, rows: Tensor) -> Tensor:
        """``(grid points, rows, inputs)``."""
        fields = self.fields
        images = rows.view(-1, *fields.below)
        return unfold(images, fields.field, padding=fields.margin, stride=fields.stride).permute(2, 0, 1)

    def forward(self, below: Below) -> Tensor:
        kind = self.compute or self.weight.dtype
        product = self._seen(written_out(below).to(kind)) @ self.weight.to(kind)
        return (product.permute(1, 2, 0).flatten(1) + self.bias.to(kind)).relu_()

    def climb(self, below: Below, activity: Tensor, signal: Tensor, pull: Tensor, rate: float) -> None:
        below, rows = written_out(below), busy(below, signal)
        wanted, bias_gradient = self.wanted(activity, signal, pull, rows)
        total = below[: len(signal) // 2].sum(0, keepdim=True)
        seen = self._seen(torch.cat([below.index_select(0, rows), total]).to(wanted.dtype))
        asked = torch.cat([wanted, pull[None].to(wanted.dtype)])
        gradient = seen.transpose(1, 2) @ asked.view(len(asked), self.fields.channels, -1).permute(2, 0, 1)
        self.update(self.weight, self.get_buffer("weight_velocity"), gradient, rate, self.rule, None)
        self.update(self.bias, self.get_buffer("bias_velocity"), bias_gradient, rate, self.rule, None)


@dataclass(frozen=True)
class LocalLayer(Benchmark):
    """Milliseconds of a batch of learning (forward, judgment, gradient, update) of one local layer, in several ways.

    All compute the same. The input is random, and as many positive as negative cases take part.

    Attributes:
        side: rows and columns of the map, below and above.
        channels: of both.
        field: side of the square that each unit sees, cut off at the edges.
        batch: positive cases.
    """

    side: int = 32
    channels: int = 3
    field: int = 11
    batch: int = 100

    def measure(self, bench: Workbench) -> dict[str, Any]:
        expect(self.field % 2 == 1, "field", self.field, "an odd number: a square has a middle")
        expect(self.batch >= 1, "batch", self.batch, "at least 1")
        fields = Fields((self.channels, self.side, self.side), self.channels, self.field, margin=self.field // 2)
        layers = self.layers(fields)
        generator = torch.Generator().manual_seed(0)
        positive, negative = torch.rand(2, self.batch, fields.inputs, generator=generator).to(bench.device)
        for layer in layers.values():
            layer.to(bench.device).compute = compute_type(bench.precision)
            if fused.available(bench.device):
                fused.fuse(layer)

        def learning(layer: Layer) -> Callable[[int], float]:
            def burst() -> None:
                for _ in range(UPDATES):
                    layer.learn(positive, negative, 1e-4)

            return lambda _: seconds_of(burst, bench.device) / UPDATES

        def looking(layer: Layer) -> Callable[[int], float]:
            def burst() -> None:
                for _ in range(UPDATES):
                    layer(positive)

            return lambda _: seconds_of(burst, bench.device) / UPDATES

        found = {}
        for kind, contender in (("learn", learning), ("forward", looking)):
            bench.say(f"{ROUNDS} rounds of {kind}")
            contenders = {name: contender(layer) for name, layer in layers.items()}
            interleave(contenders, 1)
            found[kind] = interleave(contenders, ROUNDS)
        ratio = {name: spread(ratios(each, found["learn"]["tiles"])) for name, each in found["learn"].items()}
        return {
            "speedup": ratio["masked"]["median"],
            "ratio": ratio,
            **{kind: {name: spread(each) for name, each in one.items()} for kind, one in found.items()},
            "stored": {
                name: sum(weight.numel() for weight in layer.parameters()) - fields.units
                for name, layer in layers.items()
            },
            "weights": fields.weights,
            "units": fields.units,
            "tile": list(tile_of(fields)),
        }

    @staticmethod
    def layers(fields: Fields) -> dict[str, Layer]:
        """The contenders."""
        rule = Rule()
        return {
            "tiles": Local(fields, rule),
            "gather": Local(fields, rule, tile=(1, 1)),
            "unfold": Unfolded(fields, rule),
            "masked": Connected(Masked(fields.mask()), rule),
            "dense": Dense(fields.inputs, fields.units, rule),
        }

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        rows = [["", "learn, ms", "forward, ms", "times the tiles", "stored / existing weights"]]
        for name, title in TITLES.items():
            learn, forward = (
                format_spread({k: 1000 * v for k, v in record[kind][name].items()}) for kind in ("learn", "forward")
            )
            stored = format_3(record["stored"][name] / record["weights"])
            rows.append([title, learn, forward, format_spread(record["ratio"][name]), stored])
        settings = record["settings"]
        net = f"{record['units']} units, fields {settings['field']} x {settings['field']}, batch {settings['batch']}"
        tile = " x ".join(map(str, record["tile"]))
        return f"local: {net}, tiles of {tile} grid points, {machine_line(record)}\n\n{format_table(rows)}"

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        from twofold.benchmarks.drawing import bars
        from twofold.plots import canvas

        figure, [[left, right]] = canvas.subplots(1, 2, 5.8, 3.4, 0.15)
        colors = [POSITIVE, *[TWIN] * (len(TITLES) - 1)]
        for ax, kind, title in ((left, "learn", "A batch of learning"), (right, "forward", "A forward pass")):
            times = [{key: 1000 * value for key, value in record[kind][name].items()} for name in TITLES]
            bars(ax, title, "milliseconds", list(TITLES.values()), {"": (colors, times)})
        settings = record["settings"]
        field = f"{settings['field']} x {settings['field']}"
        canvas.suptitle(figure, f"{record['units']} units with fields of {field}, {record['precision']}")
        return canvas.write(figure, path)
