"""Parts shared by all benchmarks: a workbench, contenders that take turns, and figures with their spread."""

from __future__ import annotations

import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from twofold import data
from twofold.data import Dataset
from twofold.errors import SettingError
from twofold.plots.colors import POSITIVE, TWIN
from twofold.training.trainer import synchronize

LOOK = {"ff": ("Forward-Forward", POSITIVE), "twin": ("twin", TWIN)}
"""Names of the two sides of a comparison in pictures, and their colors."""


@dataclass(frozen=True)
class Workbench:
    """Device, precision and data for a benchmark, and where it reports its progress.

    Attributes:
        device: device of the nets and their data.
        precision: precision of the matrix products, fp32 or bf16.
        data_dir: folder in which data files are looked for first.
        report: called with a line of text at each step of the benchmark; ``None`` reports nothing.
    """

    device: torch.device
    precision: str
    data_dir: Path | None = None
    report: Callable[[str], None] | None = None

    def say(self, text: str) -> None:
        """Report the progress of the benchmark, if there is a ``report``."""
        if self.report is not None:
            self.report(text)

    def load(self, name: str) -> Dataset:
        """Load a data set by name."""
        return data.load(name, self.data_dir)


@dataclass(frozen=True)
class Benchmark(ABC):
    """A comparison that can be run. Its fields are the options of the command."""

    @abstractmethod
    def measure(self, bench: Workbench) -> dict[str, Any]:
        """Measure, and return the figures as values that JSON can hold."""

    @staticmethod
    @abstractmethod
    def table(record: Mapping[str, Any]) -> str:
        """Format a record as text for people."""

    @staticmethod
    @abstractmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        """Draw a record into a PNG at ``path``."""


def expect(holds: bool, field: str, value: object, expected: str) -> None:
    """Refuse the value of an option.

    Raises:
        SettingError: ``holds`` is false.
    """
    if not holds:
        raise SettingError(f"--{field} is {value}, expected {expected}")


# ---- time --------------------------------------------------------------------------------------------------------


def seconds_of(work: Callable[[], object], device: torch.device, times: int = 1) -> float:
    """Return the seconds that ``work`` takes until the device has finished it, as a mean over ``times`` calls."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(times):
        work()
    synchronize(device)
    return (time.perf_counter() - start) / times


def interleave(contenders: Mapping[str, Callable[[int], float]], rounds: int) -> dict[str, list[float]]:
    """Get a figure from each contender once per round, in reversed order every other round.

    A machine that gets slower or faster with time thus does so for all contenders alike.

    Args:
        contenders: name -> function of the round, counted from 0.
        rounds: number of rounds.

    Returns:
        name -> a figure for each round.
    """
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in list(contenders)[:: -1 if number % 2 else 1]:
            found[name].append(contenders[name](number))
    return found


# ---- figures -----------------------------------------------------------------------------------------------------


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the ``median`` and, as ``low`` and ``high``, the first and the third quartile."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    return {"median": median, "low": low, "high": high}


def ratios(times: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return ``times`` divided by ``others``, round by round."""
    return [one / other for one, other in zip(times, others, strict=True)]
