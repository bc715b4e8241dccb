"""Shared parts of all benchmarks: workbench, interleaved timing, and statistics."""

from __future__ import annotations

import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from twofold import data, machine
from twofold.data import Dataset
from twofold.errors import SettingError
from twofold.plots.colors import POSITIVE, TWIN
from twofold.training.trainer import synchronize

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
        """Draw a record to a PNG file at ``path``; ``None`` if the benchmark has no picture."""
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
