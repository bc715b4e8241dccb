"""Shared parts of all benchmarks: workbench, interleaved timing, statistics, and their format in tables."""

from __future__ import annotations

import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from twofold import data, machine
from twofold.cli.text import format_spread
from twofold.data import Dataset
from twofold.errors import SettingError
from twofold.methods import Recipe
from twofold.plots.colors import POSITIVE, TWIN
from twofold.training.runs import Run
from twofold.training.trainer import synchronize
from twofold_lab.lab import Lab

LOOK = {"ff": ("Forward-Forward", POSITIVE), "twin": ("twin", TWIN)}
"""Names and colors of the two sides of a comparison in pictures."""


@dataclass(frozen=True)
class Workbench:
    """Device, precision, data and progress report of a benchmark.

    Attributes:
        device: device of the nets and their data.
        precision: precision of the matrix products, fp32 or bf16.
        data_dir: folder with data sets, searched first.
        report: called with a line of text at each step; ``None`` disables the report.
        loaded: data sets by name, collected by `load` for the record.
        recipes: recipes of the trained nets, collected for the fingerprint of the record.
    """

    device: torch.device
    precision: str
    data_dir: Path | None = None
    report: Callable[[str], None] | None = None
    loaded: dict[str, Dataset] = field(default_factory=dict)
    recipes: list[Recipe] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Report the progress of the benchmark, if there is a ``report``."""
        if self.report is not None:
            self.report(text)

    def load(self, name: str) -> Dataset:
        """Load a data set by name."""
        if name not in self.loaded:
            self.loaded[name] = data.load(name, self.data_dir)
        return self.loaded[name]

    def train(self, recipe: Recipe, title: str, dataset: Dataset) -> Run:
        """Train in a run folder of the laboratory; see `twofold_lab.lab.Lab.train`. A complete run is read instead."""
        self.say(f"{title}, seed {recipe.seed}: {recipe.epochs} epochs")
        self.recipes.append(recipe)
        lab = Lab("full", device=self.device.type, precision=self.precision, data_dir=self.data_dir)
        return lab.train(recipe, title, dataset)


@dataclass(frozen=True)
class Benchmark(ABC):
    """Base class of benchmarks. The fields are the options of the command."""

    @abstractmethod
    def measure(self, bench: Workbench) -> dict[str, Any]:
        """Run the measurement and return the figures as JSON values."""

    @staticmethod
    @abstractmethod
    def table(record: Mapping[str, Any]) -> str:
        """Format a record as a human-readable table."""

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path | None:
        """Draw a record to a PNG file at ``path``; by default there is no picture."""
        return None


def expect(holds: bool, field: str, value: object, expected: str) -> None:
    """Check the value of an option.

    Raises:
        SettingError: ``holds`` is False.
    """
    if not holds:
        raise SettingError(f"--{field} is {value}, expected {expected}")


# ---- time --------------------------------------------------------------------------------------------------------


@contextmanager
def one_thread() -> Iterator[dict[str, Any]]:
    """Use one thread, for measurements on the CPU in single precision.

    Yields:
        ``device``, ``precision`` and ``environment`` of the record.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield {"device": "cpu", "precision": "fp32", "environment": machine.describe(torch.device("cpu"))}
    finally:
        torch.set_num_threads(threads)


def seconds_of(work: Callable[[], object], device: torch.device, times: int = 1) -> float:
    """Return the mean time of ``work`` in seconds over ``times`` calls, until the device has finished."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(times):
        work()
    synchronize(device)
    return (time.perf_counter() - start) / times


def interleave(contenders: Mapping[str, Callable[[int], float]], rounds: int) -> dict[str, list[float]]:
    """Call each contender once per round, in reversed order in every other round.

    Changes in the speed of the machine thus affect all contenders equally.

    Args:
        contenders: name -> function of the number of the round (from 0) that returns a figure.
        rounds: number of rounds.

    Returns:
        name -> figures, one for each round.
    """
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in list(contenders)[:: -1 if number % 2 else 1]:
            figures[name].append(contenders[name](number))
    return figures


# ---- figures -----------------------------------------------------------------------------------------------------


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the ``median`` and, as ``low`` and ``high``, the first and the third quartile."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    return {"median": median, "low": low, "high": high}


def ratios(times: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """Return the ratios of ``times`` to ``baseline``, round by round."""
    return [value / base for value, base in zip(times, baseline, strict=True)]


def quartiles(figure: Mapping[str, float], digits: int = 2) -> str:
    """Format a median with its quartiles, each with ``digits`` decimals."""
    return format_spread(figure, f"{{:.{digits}f}}".format)


def milliseconds(figure: Mapping[str, float]) -> dict[str, float]:
    """Convert a spread from seconds to milliseconds."""
    return {name: 1000 * seconds for name, seconds in figure.items()}


def percent(errors: Mapping[str, float], digits: int = 2) -> dict[str, float]:
    """Convert errors by test from shares to rounded percentages."""
    return {test: round(100 * share, digits) for test, share in errors.items()}


def tested(kind: str, dataset: Dataset) -> list[list[Any]]:
    """Return the kind and the number of the test cases, as in records of claims."""
    return [[kind, len(dataset.test_labels)]]
