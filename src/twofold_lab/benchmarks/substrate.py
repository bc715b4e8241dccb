"""Benchmark the simulation of an analog substrate against the ideal net."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from twofold import recipes, substrate
from twofold.cli.text import format_spread, format_table, machine_line
from twofold.layers.layer import Layer
from twofold.layers.weights import Weights
from twofold.plots.colors import POSITIVE, TWIN
from twofold.training.trainer import Trainer, synchronize
from twofold_lab.benchmarks.bench import Benchmark, Workbench, interleave, ratios, spread
from twofold_lab.benchmarks.trainer import RATE, every_case, layers_of, trainer
from twofold_lab.tables import markdown, table

NETS: dict[str, tuple[str, dict[str, Any]]] = {
    "dense": ("mnist", {}),
    "local": ("mnist-hybrid-local", {}),
    "recurrent": ("recurrent", {"widths": (1000, 1000)}),
}
"""Type of layers -> recipe of the net, and changes of its fields."""
BATCHES = 5
"""Number of batches in a round."""
ROUNDS = 7


@dataclass(frozen=True)
class SubstrateCost(Benchmark):
    """Milliseconds of a training step of a net on simulated analog hardware and of the ideal net, in turns.

    Both nets train without importance sampling and compute all products in every pass. On a CPU, processor time is
    measured.

    Attributes:
        substrate: name of a preset.
    """

    substrate: str = "bench"

    def measure(self, bench: Workbench) -> dict[str, Any]:
        preset = substrate.find(self.substrate)
        nets: dict[str, dict[str, Any]] = {}
        for layers, (name, changes) in NETS.items():
            bench.say(f"{ROUNDS} rounds of {layers} layers")
            recipe = replace(every_case(recipes.find(name)), rate=RATE, **changes)
            data = bench.load(recipe.data)
            ideal, analog = (trainer(bench, recipe, data, BATCHES * recipe.batch) for _ in range(2))
            disable_sharing(ideal.method.net)
            preset.install(analog.method.net, recipe.seed)
            contenders = {name: steps(training) for name, training in (("ideal", ideal), ("analog", analog))}
            interleave(contenders, 1)
            seconds = interleave(contenders, ROUNDS)
            nets[layers] = {
                **{name: spread([value / BATCHES for value in times]) for name, times in seconds.items()},
                "ratio": spread(ratios(seconds["analog"], seconds["ideal"])),
                "widths": list(recipe.widths),
                "batch": recipe.batch,
            }
        return {"analog_over_ideal": max(figures["ratio"]["median"] for figures in nets.values()), "nets": nets}

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        rows = [["layers", "ideal, ms", "analog, ms", "analog / ideal"]]
        rows += [[title, *times] for title, times in _rows(record).items()]
        return f"substrate: {record['settings']['substrate']}, {machine_line(record)}\n\n{format_table(rows)}"

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        from twofold.plots import canvas
        from twofold_lab.benchmarks.drawing import bars

        figure, [[axes]] = canvas.subplots(1, 1, 6.4, 3.4, 0.15)
        nets = record["nets"]
        series = {
            name: (color, [{k: 1000 * v for k, v in figures[name].items()} for figures in nets.values()])
            for name, color in (("ideal", TWIN), ("analog", POSITIVE))
        }
        bars(axes, "A training step", "milliseconds", list(nets), series)
        axes.legend()
        canvas.suptitle(figure, f"Nets on the substrate {record['settings']['substrate']}, {record['precision']}")
        return canvas.write(figure, path)


@table("substrate-cost", "bench/substrate.json")
def documented(record: Mapping[str, Any]) -> str:
    """Return the table of the documentation."""
    rows = [[title, record["precision"], *times] for title, times in _rows(record).items()]
    return markdown(["layers", "precision", "ideal, ms", "analog, ms", "analog / ideal"], rows)


def _rows(record: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the times of both nets in milliseconds and their ratio, by layers."""
    rows = {}
    for layers, figures in record["nets"].items():
        times = [format_spread({k: 1000 * v for k, v in figures[name].items()}) for name in ("ideal", "analog")]
        rows[f"{layers}, {layers_of(figures['widths'])}"] = [*times, format_spread(figures["ratio"])]
    return rows


def disable_sharing(net: nn.Module) -> None:
    """Make a net compute all products again in every pass."""
    for module in net.modules():
        if isinstance(module, Layer):
            for weights in module.learnables():
                if isinstance(weights, Weights):
                    weights.linear = False


def steps(training: Trainer) -> Callable[[int], float]:
    """Return a function that measures the time of one round, as processor time on a CPU."""
    device = training.method.net.device
    clock = time.process_time if device.type == "cpu" else time.perf_counter

    def timed(_: int) -> float:
        synchronize(device)
        start = clock()
        training.epoch(0)
        synchronize(device)
        return clock() - start

    return timed
