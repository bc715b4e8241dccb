"""Benchmark the training time until a target test error is reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from twofold.cli.text import format_table, machine_line
from twofold.data import Dataset
from twofold.errors import SettingError
from twofold.methods import Recipe
from twofold.nets.net import evaluate
from twofold.plots.colors import INK
from twofold_lab.benchmarks.bench import LOOK, Benchmark, Workbench, data_facts, expect
from twofold_lab.benchmarks.timing import interleave, percent, quartiles, spread
from twofold_lab.benchmarks.trainer import layers_of, pair, trainer, warm_up
from twofold_lab.tables import table

RECIPE = "mnist"
TITLES = {"ff": "FF", "twin": "twin"}


@dataclass(frozen=True)
class Schedule:
    """Fields of the recipe and of its twin for the shortest training to a target error.

    Attributes:
        ff, twin: fields that differ from the recipe of Forward-Forward and from that of the twin.
        test: the test of Forward-Forward with the smallest error on the held-out images.
    """

    ff: dict[str, Any]
    twin: dict[str, Any]
    test: str = "both"


SCHEDULES = {
    2.0: Schedule(ff={"batch": 100, "epochs": 4, "rate": 0.04}, twin={"batch": 100, "epochs": 2, "rate": 0.025}),
    1.6: Schedule(ff={"batch": 50, "epochs": 6, "rate": 0.03}, twin={"batch": 50, "epochs": 6, "rate": 0.05}),
}
"""Target error in percent of the test images -> schedule.

Each of the two schedules is the cheapest in a grid among those whose mean error on the last 10,000 training images is
at most the target. The search is described in docs/speed.md.
"""


@dataclass(frozen=True)
class TimeToError(Benchmark):
    """Seconds to train a net of three layers of 1000 units on MNIST to a target test error.

    Forward-Forward and its backprop twin train alternately, each with its own schedule for each target. The test set is
    used once, at the end of each training run. No ratio is reported if a mean error over the seeds is above the target.

    Attributes:
        targets: target errors in percent of the test images; one of those that have a schedule.
        seeds: number of training runs for each target and method.
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
                "seconds": {name: spread([run["seconds"] for run in group]) for name, group in runs.items()},
                "schedule": {"ff": changes.ff, "twin": changes.twin},
                "runs": runs,
            }
        ratios = [entry["ratio"] for entry in targets.values()]
        return {
            "ff_over_bp": None if None in ratios else max(ratios),
            "targets": targets,
            "widths": list(recipe.widths),
            **data_facts(data, "test set"),
        }

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        net = f"{layers_of(record['widths'])}, {record['dataset']}"
        return f"time-to-error: {net}, {machine_line(record)}\n\n{format_table(time_to_error(record), left=(0, 1))}"

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
    """Return the mean error of training runs in one of the tests, in percent."""
    return fmean(run["error"][test] for run in runs)


def ratio(runs: Mapping[str, Sequence[Mapping[str, Any]]], target: float, test: str) -> float | None:
    """Return the median seconds of Forward-Forward divided by the median seconds of the twin.

    The result is ``None`` if the mean error of Forward-Forward in ``test``, or of the twin, is above the target.
    """
    if mean_error(runs["ff"], test) > target or mean_error(runs["twin"], "fast") > target:
        return None
    ff, twin = (spread([run["seconds"] for run in runs[name]])["median"] for name in ("ff", "twin"))
    return ff / twin


def _training(bench: Workbench, recipe: Recipe, data: Dataset, runs: list[dict[str, Any]]) -> Callable[[int], float]:
    """Return a contender for `interleave` that trains with a seed, adds the result to ``runs`` and returns seconds."""

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
def time_to_error(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the seconds of training to each target error."""
    rows = [["target", "", "schedule", "seconds", "mean test error %", "FF / twin"]]
    for target, entry in record["targets"].items():
        for name, title in TITLES.items():
            changes = ", ".join(f"{key} {value}" for key, value in entry["schedule"][name].items())
            test = entry["test"][name]
            error = f"{mean_error(entry['runs'][name], test):.2f} ({test})"
            ratio = "" if name == "twin" else "-" if entry["ratio"] is None else f"**{entry['ratio']:.2f}**"
            rows.append([f"{float(target):g} %", title, changes, quartiles(entry["seconds"][name], 1), error, ratio])
    return rows


@table("schedules", "speed/schedules.json")
def schedules(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the schedules that were tried with several seeds, the cheapest first.

    The code that measured the schedules was deleted.
    """
    rows = [["", "batch", "epochs", "rate", "CPU s", "seeds", "slow %", "fast %", "both %"]]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for training in record["trainings"]:
        groups.setdefault((training["side"], *training["schedule"].values()), []).append(training)
    repeated = [
        (method, fmean(training["seconds"] for training in group), schedule, group)
        for (method, *schedule), group in groups.items()
        if len(group) > 1
    ]
    for method, seconds, schedule, group in sorted(repeated, key=lambda entry: entry[:2]):
        errors = [
            f"{fmean(training['validation error %'][test] for training in group):.2f}" if test else ""
            for test in (("slow", "fast", "both") if method == "ff" else ("", "fast", ""))
        ]
        rows.append([TITLES[method], *map(str, schedule), f"{seconds:.1f}", str(len(group)), *errors])
    return rows
