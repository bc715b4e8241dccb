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
from twofold_lab.benchmarks.bench import Benchmark, Workbench
from twofold_lab.benchmarks.timing import interleave, milliseconds, ratios, spread, spreads
from twofold_lab.benchmarks.trainer import RATE, every_case, layers_of, trainer
from twofold_lab.tables import table

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
    """Milliseconds of a training step on simulated analog hardware and on ideal weights, measured alternately.

    Both nets train without importance sampling and compute all products in every pass. On a CPU, processor time is
    measured.

    Attributes:
        substrate: name of a preset of `Substrate`.
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
            seconds = interleave({"ideal": steps(ideal), "analog": steps(analog)}, ROUNDS, warm_up=True)
            nets[layers] = {
                **spreads(seconds, 1 / BATCHES),
                "ratio": spread(ratios(seconds["analog"], seconds["ideal"])),
                "widths": list(recipe.widths),
                "batch": recipe.batch,
            }
        return {"analog_over_ideal": max(figures["ratio"]["median"] for figures in nets.values()), "nets": nets}

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        title = f"substrate: {record['settings']['substrate']}, {machine_line(record)}"
        return f"{title}\n\n{format_table(substrate_cost(record))}"

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        from twofold_lab.benchmarks.drawing import bar_charts

        nets = record["nets"]
        series = {
            name: (color, [milliseconds(figures[name]) for figures in nets.values()])
            for name, color in (("ideal", TWIN), ("analog", POSITIVE))
        }
        title = f"Nets on the substrate {record['settings']['substrate']}, {record['precision']}"
        return bar_charts(path, title, list(nets), {("A training step", "milliseconds"): series})


def disable_sharing(net: nn.Module) -> None:
    """Make a net compute the matrix products of every pass, instead of sharing them between passes."""
    for module in net.modules():
        if isinstance(module, Layer):
            for weights in module.learnables():
                if isinstance(weights, Weights):
                    weights.linear = False


def steps(training: Trainer) -> Callable[[int], float]:
    """Return a contender for `interleave` that measures the seconds of an epoch, as processor time on a CPU."""
    device = training.method.net.device
    clock = time.process_time if device.type == "cpu" else time.perf_counter

    def timed(_: int) -> float:
        synchronize(device)
        start = clock()
        training.epoch(0)
        synchronize(device)
        return clock() - start

    return timed


@table("substrate-cost", "bench/substrate.json")
def substrate_cost(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the time of a training step on ideal and on simulated analog hardware."""
    rows = [["layers", "precision", "ideal, ms", "analog, ms", "analog / ideal"]]
    for layers, figures in record["nets"].items():
        times = (format_spread(milliseconds(figures[name])) for name in ("ideal", "analog"))
        net = f"{layers}, {layers_of(figures['widths'])}"
        rows.append([net, record["precision"], *times, format_spread(figures["ratio"])])
    return rows
