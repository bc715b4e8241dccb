"""Benchmark the training time to a target test error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from twofold.cli.text import format_3, format_spread, format_table, machine_line
from twofold.data import Dataset
from twofold.errors import SettingError
from twofold.methods import Recipe
from twofold.nets.net import evaluate
from twofold.plots.colors import INK
from twofold_lab.benchmarks.bench import (
    LOOK,
    Benchmark,
    Workbench,
    expect,
    interleave,
    percent,
    quartiles,
    spread,
    tested,
)
from twofold_lab.benchmarks.trainer import layers_of, pair, trainer, warm_up
from twofold_lab.tables import markdown, table

RECIPE = "mnist"


@dataclass(frozen=True)
class Schedule:
    """Changes to the recipe and its twin for a short training to a target error.

    Attributes:
        ff, twin: changes of the fields of the recipes.
        test: the test of Forward-Forward that is used, which was the best one on the held-out images.
    """

    ff: dict[str, Any]
    twin: dict[str, Any]
    test: str = "both"


SCHEDULES = {
    2.0: Schedule(ff={"batch": 100, "epochs": 4, "rate": 0.04}, twin={"batch": 100, "epochs": 2, "rate": 0.025}),
    1.6: Schedule(ff={"batch": 50, "epochs": 6, "rate": 0.03}, twin={"batch": 50, "epochs": 6, "rate": 0.05}),
}
"""Target error in percent of the test images -> schedule. For both sides it is the cheapest one of a grid with a mean
error of at most the target on the last 10,000 training images; docs/speed.md describes the search.
"""


@dataclass(frozen=True)
class TimeToError(Benchmark):
    """Seconds to train a net of three layers of 1000 units on MNIST to a target test error.

    The trainings of Forward-Forward and of its backprop twin are interleaved, each with its own schedule for each
    target. The test set is used once, at the end of each training. There is no ratio if the mean error over the seeds
    is above the target.

    Attributes:
        targets: target errors in percent of the test images, each with a schedule.
        seeds: number of trainings for each target and method.
    """

    targets: tuple[float, ...] = (2.0, 1.6)
    seeds: int = 5

    def measure(self, bench: Workbench) -> dict[str, Any]:
        expect(self.seeds >= 1, "seeds", self.seeds, "at least 1")
        expect(len(self.targets) >= 1, "targets", "empty", "at least one error in percent")
        for target in self.targets:
            if target not in SCHEDULES:
                known = ", ".join(f"{target:g}" for target in SCHEDULES)
                raise SettingError(f"--targets is {target:g}, which has no schedule: choose among {known}")
        recipe, twin = pair(RECIPE)
        data = bench.load(recipe.data)
        warm_up(bench, recipe, twin, data)
        targets: dict[str, Any] = {}
        for target in self.targets:
            changes = SCHEDULES[target]
            runs: dict[str, list[dict[str, Any]]] = {"ff": [], "twin": []}
            trainings = {
                "ff": _training(bench, replace(recipe, **changes.ff), data, runs["ff"]),
                "twin": _training(bench, replace(twin, **changes.twin), data, runs["twin"]),
            }
            interleave(trainings, self.seeds)
            targets[str(target)] = {
                "ratio": ratio(runs, target, changes.test),
                "test": {"ff": changes.test, "twin": "fast"},
                "seconds": {name: spread([run["seconds"] for run in side]) for name, side in runs.items()},
                "schedule": {"ff": changes.ff, "twin": changes.twin},
                "runs": runs,
            }
        ratios = [entry["ratio"] for entry in targets.values()]
        return {
            "ff_over_bp": None if None in ratios else max(ratios),
            "targets": targets,
            "widths": list(recipe.widths),
            "tested": tested("test set", data),
            "dataset": data.name,
            "official_data": data.official,
        }

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        rows = [["test error", "", "seconds", "test", "error, mean of seeds", "FF / twin"]]
        for target, entry in record["targets"].items():
            first = f"at most {float(target):g} %", "-" if entry["ratio"] is None else format_3(entry["ratio"])
            for name, title, (heading, relative) in (("ff", "FF", first), ("twin", "twin", ("", ""))):
                test, seconds = entry["test"][name], format_spread(entry["seconds"][name])
                error = mean_error(entry["runs"][name], test)
                rows.append([heading, title, seconds, test, f"{error:.2f} %", relative])
        net = f"{layers_of(record['widths'])}, {record['dataset']}"
        return f"time-to-error: {net}, {machine_line(record)}\n\n{format_table(rows, left=(0, 1))}"

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        from twofold.plots import canvas

        figure, [panels] = canvas.subplots(1, len(record["targets"]), 5.2, 4.2, 0.15)
        for ax, (target, entry) in zip(panels, record["targets"].items(), strict=True):
            for name, (title, color) in LOOK.items():
                test = entry["test"][name]
                points = [(run["seconds"], run["error"][test]) for run in entry["runs"][name]]
                ax.plot(*zip(*points, strict=True), "o", color=color, ms=6, label=f"{title}, {test} test")
            ax.axhline(float(target), color=INK, lw=1, ls="--", label="target")
            canvas.label_axes(ax, f"To {float(target):g} %", "seconds of training", "test error (%)")
            ax.set_xlim(left=0)
            canvas.legend(ax, 2)
        canvas.suptitle(figure, f"Error against training time, {layers_of(record['widths'])}, {record['dataset']}")
        return canvas.write(figure, path)


def mean_error(runs: Sequence[Mapping[str, Any]], test: str) -> float:
    """Return the mean error of trainings by a test, in percent."""
    return fmean(run["error"][test] for run in runs)


def ratio(runs: Mapping[str, Sequence[Mapping[str, Any]]], target: float, test: str) -> float | None:
    """Return the ratio of median seconds to the twin's; ``None`` if a mean error is above the target."""
    if mean_error(runs["ff"], test) > target or mean_error(runs["twin"], "fast") > target:
        return None
    ff, twin = (spread([run["seconds"] for run in runs[name]])["median"] for name in ("ff", "twin"))
    return ff / twin


def _training(bench: Workbench, recipe: Recipe, data: Dataset, runs: list[dict[str, Any]]) -> Callable[[int], float]:
    """Return a function that trains with a given seed and appends the result to ``runs``."""

    def train(seed: int) -> float:
        training = trainer(bench, replace(recipe, seed=seed), data)
        seconds: float = sum(metrics["seconds"] for metrics in training.epochs())
        error = percent(evaluate(training.method.net, *data.test).error, 3)
        runs.append({"seed": seed, "seconds": seconds, "error": error})
        bench.say(f"{recipe.method}, seed {seed}: {min(error.values()):.2f} % after {seconds:.1f} s")
        return seconds

    return train


# ---- tables --------------------------------------------------------------------------------------------------------


@table("time-to-error", "bench/time-to-error.json")
def time_to_error(record: Mapping[str, Any]) -> str:
    """Return the seconds of training to each target error."""
    rows = []
    for target, entry in record["targets"].items():
        for name, title in (("ff", "FF"), ("twin", "twin")):
            changes = ", ".join(f"{key} {value}" for key, value in entry["schedule"][name].items())
            test = entry["test"][name]
            error = f"{mean_error(entry['runs'][name], test):.2f} ({test})"
            ratio = "" if name == "twin" or entry["ratio"] is None else f"**{entry['ratio']:.2f}**"
            rows.append([f"{float(target):g} %", title, changes, quartiles(entry["seconds"][name], 1), error, ratio])
    return markdown(["target", "", "schedule", "seconds", "mean test error %", "FF / twin"], rows)


@table("schedules", "speed/schedules.json")
def schedules(record: Mapping[str, Any]) -> str:
    """Return the schedules that were tried with several seeds, the cheapest first.

    The code that measured them is no longer kept.
    """
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for training in record["trainings"]:
        groups.setdefault((training["side"], *training["schedule"].values()), []).append(training)
    repeated = [(key, group) for key, group in groups.items() if len(group) > 1]
    rows = []
    for (side, *schedule), group in sorted(repeated, key=lambda item: (item[0][0], _mean_seconds(item[1]))):
        errors = [
            f"{fmean(training['validation error %'][test] for training in group):.2f}" if test else ""
            for test in (("slow", "fast", "both") if side == "ff" else ("", "fast", ""))
        ]
        title = "FF" if side == "ff" else "twin"
        rows.append([title, *map(str, schedule), f"{_mean_seconds(group):.1f}", str(len(group)), *errors])
    return markdown(["", "batch", "epochs", "rate", "CPU s", "seeds", "slow %", "fast %", "both %"], rows)


def _mean_seconds(trainings: Sequence[Mapping[str, Any]]) -> float:
    return fmean(training["seconds"] for training in trainings)
