"""Benchmark the effect of importance sampling on the error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean, stdev
from typing import Any

from twofold.cli.text import format_table, machine_line
from twofold_lab.benchmarks.bench import Benchmark, Workbench, data_facts, expect
from twofold_lab.benchmarks.timing import percent
from twofold_lab.benchmarks.trainer import pair
from twofold_lab.tables import table

SETTINGS = ({"tolerance": 0.3, "revisit": 0.2}, {"tolerance": 0.0, "revisit": 1.0})
"""Fields of the recipe with importance sampling, and without."""
TESTS = ("slow", "fast", "both")


@dataclass(frozen=True)
class Sampling(Benchmark):
    """Error on held-out training images with importance sampling and without. The test images are not used.

    Runs are saved in the folder of `twofold claims`, and an interrupted run is resumed.

    Attributes:
        recipe: name of a Forward-Forward recipe.
        epochs: number of epochs.
        images: number of training images, from the first one; by default all that are not held out.
        held_out: number of held-out training images, from the last one.
        seeds: number of training runs with importance sampling, and without.
    """

    recipe: str = "mnist"
    epochs: int = 40
    images: int | None = None
    held_out: int = 10_000
    seeds: int = 3

    def measure(self, bench: Workbench) -> dict[str, Any]:
        expect(self.seeds >= 1, "seeds", self.seeds, "at least 1")
        recipe, _ = pair(self.recipe)
        data = bench.load(recipe.data).hold_out(self.held_out)
        data = data if self.images is None else data.take(self.images)
        rows = []
        for seed, settings in product(range(self.seeds), SETTINGS):
            changed = replace(recipe, epochs=self.epochs, seed=seed, **settings)
            run = bench.train(changed, f"sampling-{self.recipe}", data)
            rows.append(
                {
                    **{"recipe": self.recipe, "seed": seed, **settings},
                    **{"images": len(data.train_labels), "epochs": self.epochs},
                    "commit": run.result.environment.get("commit"),
                    "visits": round(fmean(metrics["visits"] for metrics in run.history), 3),
                    "validation error %": percent(run.result.error),
                }
            )
        return {"trainings": rows, **data_facts(data, "held-out training cases")}

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        title = f"sampling: {record['dataset']}, held-out training images, {machine_line(record)}"
        return f"{title}\n\n{format_table(sampling(record))}"


@table("sampling", "speed/sampling.json")
def sampling(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the errors on held-out images with importance sampling and without: means and deviations over seeds."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for training in record["trainings"]:
        groups.setdefault(tuple(training[name] for name in ("recipe", "tolerance", "revisit")), []).append(training)
    rows = [["recipe", "images", "tolerance", "revisit", "seeds", "visits", *(f"{test} %" for test in TESTS)]]
    for (recipe, *settings), group in groups.items():
        images = f"{group[0]['images']:,}, {group[0]['epochs']} epochs"
        visits = f"{fmean(training['visits'] for training in group):.2f}"
        errors = (_mean([training["validation error %"][test] for training in group]) for test in TESTS)
        rows.append([recipe, images, *map(str, settings), str(len(group)), visits, *errors])
    return rows


def _mean(errors: list[float]) -> str:
    return f"{fmean(errors):.2f}" + (f" ± {stdev(errors):.2f}" if len(errors) > 1 else "")
