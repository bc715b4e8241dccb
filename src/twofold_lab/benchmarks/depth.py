"""Benchmark the error of deep recurrent nets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from twofold.cli.text import format_table, machine_line
from twofold.methods import Recipe
from twofold.recipes import recurrent_deep as recipes
from twofold_lab.benchmarks.bench import Benchmark, Workbench, data_facts, expect
from twofold_lab.benchmarks.timing import percent
from twofold_lab.tables import table

TESTS = ("slow", "fast", "settled", "both")
ERRORS = [*(f"{test} %" for test in TESTS), "each layer alone, slow %"]


@dataclass(frozen=True)
class Depth(Benchmark):
    """Test error of deep recurrent nets, with and without top-down input, and of their backprop twins.

    The nets are those of the recipe recurrent-deep. They are tested once, at the end of training. Runs are saved in the
    folder of `twofold claims`, and an interrupted run is resumed.

    Attributes:
        depths: numbers of hidden layers.
        seeds: number of training runs of each net.
    """

    depths: tuple[int, ...] = (6, 8, 10)
    seeds: int = 1

    def measure(self, bench: Workbench) -> dict[str, Any]:
        expect(min(self.depths, default=0) >= 1, "depths", " ".join(map(str, self.depths)) or "empty", "at least 1")
        expect(self.seeds >= 1, "seeds", self.seeds, "at least 1")
        ours, twin = recipes.recurrent_deep, recipes.twin
        nets = {"recurrent": ours, "without top-down": replace(ours, top_down=False), "twin": twin}
        data, rows = bench.load(ours.data), []
        for depth, (name, recipe), seed in product(self.depths, nets.items(), range(self.seeds)):
            changed: Recipe = replace(recipe, widths=ours.widths[:1] * depth, seed=seed)
            result = bench.train(changed, f"depth-{depth}-{name.replace(' ', '-')}", data).result
            rows.append(
                {
                    **{"layers": depth, "net": name, "seed": seed},
                    **{field: result.settings[field] for field in ("epochs", "rate", "decay")},
                    "commit": result.environment.get("commit"),
                    "error %": percent(result.test_error),
                    "layer error %": [round(100 * error, 2) for error in result.metrics.get("layer_error", [])],
                }
            )
        return {
            **{"nets": rows, "units": ours.widths[0]},
            **data_facts(data, "test set"),
        }

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        title = f"depth: {record['units']} units a layer, {record['dataset']}, {machine_line(record)}"
        return f"{title}\n\n{format_table(recurrent_depth(record))}"


def _errors(errors: Mapping[str, float], by_layer: list[float], digits: int) -> list[str]:
    layers = " / ".join(f"{error:.{digits}f}" for error in by_layer) or "-"
    return [*(f"{errors[test]:.2f}" if test in errors else "-" for test in TESTS), layers]


@table("recurrent-depth", "recurrent/depth.json")
def recurrent_depth(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the test errors of each net, by number of layers."""
    nets = record["nets"]
    twins = {(net["layers"], net["seed"]): net["error %"]["fast"] for net in nets if net["net"] == "twin"}
    rows = [["layers", "net", "seed", "epochs", "rate", *ERRORS, "slow / twin's"]]
    for net in nets:
        slow, twin = net["error %"].get("slow"), twins.get((net["layers"], net["seed"]))
        facts = (str(net[name]) for name in ("layers", "net", "seed", "epochs", "rate"))
        errors = _errors(net["error %"], net["layer error %"], 2)
        rows.append([*facts, *errors, f"{slow / twin:.2f}" if slow and twin else "-"])
    return rows


@table("recurrent-depth-choices", "recurrent/depth-choices.json")
def recurrent_depth_choices(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the settings that were tried on held-out training images, in the order of the trials."""
    heads = ["data", "net", "layers", "label", "top-down start", "goodness", "iterations", "judged", "rate", "other"]
    rows = [[*heads, *ERRORS]]
    for trial in record["tried"]:
        settling = ["-"] * 5
        if trial["net"] != "twin":
            start = "none" if trial["top_down_start"] is None else str(trial["top_down_start"])
            iterations = str(trial["iterations"]), f"{trial['judge_from']} to {trial['judge_to']}"
            settling = [trial["label_to"], start, trial["goodness"].replace("_", " "), *iterations]
        changes = ", ".join([f"{trial['epochs']} epochs", *(f"{name} {v}" for name, v in trial["other"].items())])
        errors = _errors(trial["held-out error %"], trial["layer error %"], 1)
        rows.append(
            [trial["data"], trial["net"], str(trial["layers"]), *settling, str(trial["rate"]), changes, *errors]
        )
    return rows
