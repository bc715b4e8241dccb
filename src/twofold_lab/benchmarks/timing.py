"""Interleaved timing of benchmarks, and statistics of the figures."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from twofold import machine
from twofold.cli.text import format_spread
from twofold.training.trainer import synchronize


@contextmanager
def one_thread() -> Iterator[dict[str, Any]]:
    """Limit torch to one thread within the context, for measurements on the CPU in single precision.

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
    """Call ``work`` several times and return its mean time in seconds, including the time until the device is idle."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(times):
        work()
    synchronize(device)
    return (time.perf_counter() - start) / times


def timer(work: Callable[[], object], device: torch.device, times: int = 1) -> Callable[[int], float]:
    """Return a contender for `interleave` that measures the seconds of ``work``, see `seconds_of`."""
    return lambda _: seconds_of(work, device, times)


def interleave(
    contenders: Mapping[str, Callable[[int], float]], rounds: int, warm_up: bool = False
) -> dict[str, list[float]]:
    """Call each contender once per round, in reversed order in every other round.

    Changes in the speed of the machine thus affect all contenders equally.

    Args:
        contenders: name -> function of the number of the round (from 0) that returns a figure.
        rounds: number of rounds.
        warm_up: add a first round whose figures are discarded.

    Returns:
        name -> figures, one for each round.
    """
    if warm_up:
        interleave(contenders, 1)
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in list(contenders)[:: -1 if number % 2 else 1]:
            figures[name].append(contenders[name](number))
    return figures


# ---- figures -----------------------------------------------------------------------------------------------------


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the ``median`` of values, and their first and third quartile as ``low`` and ``high``."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    return {"median": median, "low": low, "high": high}


def spreads(figures: Mapping[str, Sequence[float]], factor: float = 1.0) -> dict[str, dict[str, float]]:
    """Return the `spread` of the values of each name, multiplied by ``factor``."""
    return {name: spread([factor * value for value in values]) for name, values in figures.items()}


def ratios(times: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """Return the ratios of ``times`` to ``baseline``, round by round."""
    return [value / base for value, base in zip(times, baseline, strict=True)]


def quartiles(figure: Mapping[str, float], digits: int = 2) -> str:
    """Format a median with its quartiles, each with ``digits`` decimals."""
    return format_spread(figure, f"{{:.{digits}f}}".format)


def milliseconds(figure: Mapping[str, float]) -> dict[str, float]:
    """Convert the median and quartiles of a `spread` from seconds to milliseconds."""
    return {name: 1000 * seconds for name, seconds in figure.items()}


def percent(errors: Mapping[str, float], digits: int = 2) -> dict[str, float]:
    """Convert error rates, by name of the test, from fractions to rounded percentages."""
    return {test: round(100 * share, digits) for test, share in errors.items()}
