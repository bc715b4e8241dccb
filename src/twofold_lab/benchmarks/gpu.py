"""Benchmark Forward-Forward on a GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twofold.cli.text import format_spread, format_table, machine_line
from twofold.errors import SettingError
from twofold.nets.net import evaluate
from twofold_lab.benchmarks.bench import LOOK, Benchmark, Workbench, data_facts, expect
from twofold_lab.benchmarks.roofline import fractions
from twofold_lab.benchmarks.timing import interleave, percent, ratios, spread, spreads
from twofold_lab.benchmarks.trainer import every_case, layers_of, pair, trainer, warm_up

RECIPES = ("mnist", "mnist-wide")
"""Recipes whose epochs are timed; the last one is also trained to the end."""
ROUNDS = 5


@dataclass(frozen=True)
class Gpu(Benchmark):
    """Training on a GPU: seconds per epoch, share of the peak rate of matrix products, and one complete training run.

    The first epochs of the recipes mnist and mnist-wide and of their backprop twins are timed alternately. The share of
    the best rate is measured as in `twofold bench roofline`, without importance sampling. The complete run trains the
    recipe mnist-wide (4 x 2000 units).

    Attributes:
        epochs: number of epochs of the complete training run, which is timed and tested.
    """

    epochs: int = 60

    def measure(self, bench: Workbench) -> dict[str, Any]:
        expect(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        if bench.device.type != "cuda":
            raise SettingError("twofold bench gpu needs a CUDA device, got the CPU: run it on a machine with a GPU")
        return self.on_device(bench, RECIPES)

    def on_device(self, bench: Workbench, names: Sequence[str]) -> dict[str, Any]:
        """Measure the recipes ``names`` on the device of the workbench; the last one is trained to the end."""
        figures: dict[str, Any] = {}
        for name in names:
            recipe, twin = pair(name)
            data = bench.load(recipe.data)
            bench.say(f"{name}: matrix products")
            shares = fractions(bench, {"ff": every_case(recipe), "twin": twin}, data)
            bench.say(f"{name}: {ROUNDS} epochs")
            warm_up(bench, recipe, twin, data)
            trainers = {"ff": trainer(bench, recipe, data), "twin": trainer(bench, twin, data)}
            seconds = interleave({key: training.epoch for key, training in trainers.items()}, ROUNDS)
            figures[name] = {
                "widths": list(recipe.widths),
                "seconds": spreads(seconds),
                "ratio": spread(ratios(seconds["ff"], seconds["twin"])),
                "fraction": {key: shares[key]["fraction"] for key in ("ff", "twin")},
                "best_gflops": shares["best"],
            }
        bench.say(f"{name}: complete training, {self.epochs} epochs")
        training = trainer(bench, replace(recipe, epochs=self.epochs), data)
        total_seconds = sum(metrics["seconds"] for metrics in training.epochs())
        return {
            "recipes": figures,
            "whole": {
                "recipe": name,
                "epochs": self.epochs,
                "seed": recipe.seed,
                "seconds": total_seconds,
                "test_error": percent(evaluate(training.method.net, *data.test).error, 3),
            },
            **data_facts(data, "test set"),
        }

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        rows = [["recipe", "FF s/epoch", "twin s/epoch", "FF / twin", "FF of the best product", "twin"]]
        for name, entry in record["recipes"].items():
            times = [format_spread(entry["seconds"][key]) for key in ("ff", "twin")]
            shares = [format_spread(entry["fraction"][key]) for key in ("ff", "twin")]
            rows.append([f"{name} ({layers_of(entry['widths'])})", *times, format_spread(entry["ratio"]), *shares])
        whole = record["whole"]
        errors = ", ".join(f"{test} {error:.2f} %" for test, error in whole["test_error"].items())
        summary = f"{whole['recipe']}, FF, {whole['epochs']} epochs: {whole['seconds']:.1f} s, test error {errors}"
        return f"gpu: {machine_line(record)}\n\n{format_table(rows)}\n\n{summary}"

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        from twofold_lab.benchmarks.drawing import bar_charts

        nets = record["recipes"]

        def series(key: str) -> dict[str, Any]:
            return {title: (color, [net[key][side] for net in nets.values()]) for side, (title, color) in LOOK.items()}

        charts = {
            ("As they train", "seconds per epoch"): series("seconds"),
            ("Without importance sampling", "share of the best matrix product"): series("fraction"),
        }
        return bar_charts(path, f"On {record['environment']['processor']}, {record['precision']}", list(nets), charts)
