"""What benchmarks have in common: a place to run, contenders that take turns, and figures with their spread."""

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
"""What the two sides of a comparison are called in pictures, and their colors."""


@dataclass(frozen=True)
class Workbench:
    """Where a benchmark runs.

    Attributes:
        device: of the nets and their data.
        precision: of the matrix products, fp32 or bf16.
        data_dir: where data files are looked for first.
        report: called with a line whenever the benchmark has got further.
    """

    device: torch.device
    precision: str
    data_dir: Path | None = None
    report: Callable[[str], None] | None = None

    def say(self, text: str) -> None:
        """Report how far the benchmark is, where somebody wants to know."""
        if self.report is not None:
            self.report(text)

    def load(self, name: str) -> Dataset:
        """A data set by name."""
        return data.load(name, self.data_dir)


@dataclass(frozen=True)
class Benchmark(ABC):
    """A comparison that can be run. Its fields are the options of the command."""

    @abstractmethod
    def measure(self, bench: Workbench) -> dict[str, Any]:
        """The figures, as JSON can hold them."""

    @staticmethod
    @abstractmethod
    def table(record: Mapping[str, Any]) -> str:
        """A record as text for people."""

    @staticmethod
    @abstractmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        """A record as a picture, a PNG at ``path``."""


def expect(holds: bool, field: str, value: object, expected: str) -> None:
    """Refuse the value of an option.

    Raises:
        SettingError: it does not hold.
    """
    if not holds:
        raise SettingError(f"--{field} is {value}, expected {expected}")


# ---- time --------------------------------------------------------------------------------------------------------


def seconds_of(work: Callable[[], object], device: torch.device, times: int = 1) -> float:
    """How long ``work`` takes until the device has finished it, on average over some times."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(times):
        work()
    synchronize(device)
    return (time.perf_counter() - start) / times


def interleave(contenders: Mapping[str, Callable[[int], float]], rounds: int) -> dict[str, list[float]]:
    """Ask each contender for a figure once a round, in reversed order every other round.

    So a machine that grows slower or faster with time does so for all of them alike.

    Args:
        contenders: name -> function of the round, counted from 0.
        rounds: how many.

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
    """``median``, and as ``low`` and ``high`` the first and the third quartile."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    return {"median": median, "low": low, "high": high}


def ratios(times: Sequence[float], others: Sequence[float]) -> list[float]:
    """Round by round, how many times as long the first took."""
    return [one / other for one, other in zip(times, others, strict=True)]
