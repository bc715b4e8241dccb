"""Measure what it costs to simulate an analog substrate: a training step beside that of the ideal net."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from twofold import recipes, substrate
from twofold.benchmarks.bench import Benchmark, Workbench, interleave, ratios, spread
from twofold.benchmarks.report import format_spread, format_table, machine_line
from twofold.benchmarks.trainer import RATE, every_case, layers_of, trainer
from twofold.layers.layer import Layer
from twofold.layers.weights import Weights
from twofold.plots.colors import POSITIVE, TWIN
from twofold.training.trainer import Trainer, synchronize

NETS: dict[str, tuple[str, dict[str, Any]]] = {
    "dense": ("mnist", {}),
    "local": ("mnist-hybrid-local", {}),
    "recurrent": ("recurrent", {"widths": (1000, 1000)}),
}
"""Kinds of layers: the recipe whose net is simulated, and what is changed of it."""
BATCHES = 5
"""Batches of a round."""
ROUNDS = 7


@dataclass(frozen=True)
class SubstrateCost(Benchmark):
    """Milliseconds of a training step of a net on a substrate and of the same ideal net, in turns.

    No case is left out, and neither net shares a product between passes. On a CPU it is the processor's time.

    Attributes:
        substrate: the name of a preset.
    """

    substrate: str = "bench"

    def measure(self, bench: Workbench) -> dict[str, Any]:
        preset = substrate.find(self.substrate)
        found: dict[str, dict[str, Any]] = {}
        for kind, (name, changes) in NETS.items():
            bench.say(f"{ROUNDS} rounds of {kind} layers")
            recipe = replace(every_case(recipes.find(name)), rate=RATE, **changes)
            data = bench.load(recipe.data)
            ideal, analog = (trainer(bench, recipe, data, BATCHES * recipe.batch) for _ in range(2))
            read_anew(ideal.method.net)
            preset.install(analog.method.net, recipe.seed)
            contenders = {name: steps(training) for name, training in (("ideal", ideal), ("analog", analog))}
            interleave(contenders, 1)
            seconds = interleave(contenders, ROUNDS)
            found[kind] = {
                **{name: spread([one / BATCHES for one in each]) for name, each in seconds.items()},
                "ratio": spread(ratios(seconds["analog"], seconds["ideal"])),
                "widths": list(recipe.widths),
                "batch": recipe.batch,
            }
        return {"analog_over_ideal": max(one["ratio"]["median"] for one in found.values()), "nets": found}

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        rows = [["layers", "ideal, ms", "analog, ms", "analog / ideal"]]
        for kind, one in record["nets"].items():
            times = (format_spread({k: 1000 * v for k, v in one[name].items()}) for name in ("ideal", "analog"))
            rows.append([f"{kind}, {layers_of(one['widths'])}", *times, format_spread(one["ratio"])])
        return f"substrate: {record['settings']['substrate']}, {machine_line(record)}\n\n{format_table(rows)}"

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        from twofold.benchmarks.drawing import bars
        from twofold.plots import canvas

        figure, [[axes]] = canvas.subplots(1, 1, 6.4, 3.4, 0.15)
        nets = record["nets"]
        series = {
            name: (color, [{k: 1000 * v for k, v in one[name].items()} for one in nets.values()])
            for name, color in (("ideal", TWIN), ("analog", POSITIVE))
        }
        bars(axes, "A training step", "milliseconds", list(nets), series)
        axes.legend()
        canvas.suptitle(figure, f"Nets on the substrate {record['settings']['substrate']}, {record['precision']}")
        return canvas.write(figure, path)


def read_anew(net: nn.Module) -> None:
    """Let a net share no product between passes."""
    for part in net.modules():
        if isinstance(part, Layer):
            for each in part.learnables():
                if isinstance(each, Weights):
                    each.shares_products = False


def steps(training: Trainer) -> Callable[[int], float]:
    """A timer of one round: of the processor's time, or of the GPU's."""
    device = training.method.net.device
    clock = time.process_time if device.type == "cpu" else time.perf_counter

    def timed(_: int) -> float:
        synchronize(device)
        start = clock()
        training.epoch(0)
        synchronize(device)
        return clock() - start

    return timed
