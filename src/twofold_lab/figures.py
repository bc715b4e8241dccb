"""Figures of training runs for records: errors in percent, means, standard deviations, and epochs to an error."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from twofold.training.runs import Run


def percent(share: float) -> float:
    """Convert a fraction to a percentage, rounded to a thousandth of a point."""
    return round(100 * share, 3)


def errors(run: Run) -> dict[str, float]:
    """Return the errors of a run in percent, ``"TEST error %" -> error``, on its test or held-out images."""
    return {f"{test} error %": percent(share) for test, share in run.result.error.items()}


def error(run: Run) -> float:
    """Return the error of a run in its main test, in percent: the slow test, or the only test of a twin."""
    return next(iter(errors(run).values()))


def mean_and_std(values: Iterable[float]) -> dict[str, float]:
    """Return ``mean`` and ``std``, the sample standard deviation (0 for a single value), rounded to a thousandth."""
    kept = list(values)
    spread = statistics.stdev(kept) if len(kept) > 1 else 0.0
    return {"mean": round(statistics.fmean(kept), 3), "std": round(spread, 3)}


def mean_errors(runs: Iterable[Run]) -> dict[str, dict[str, float]]:
    """Return the mean and standard deviation over runs of the error in each test, in percent."""
    by_run = [errors(run) for run in runs]
    return {test: mean_and_std(run[test] for run in by_run) for test in by_run[0]}


def reached(run: Run, target: float) -> dict[str, float | int | None]:
    """Return the epochs, visits and seconds after which the error on held-out images was first at most ``target``.

    The target is a fraction. The error is that of the slow test, or of the only test of a twin. Visits are the number
    of images used divided by the number of training images; importance sampling omits images from an epoch. All three
    values are ``None`` if the run does not reach the target.
    """
    seconds = visits = 0.0
    for metrics in run.history:
        seconds += metrics["seconds"]
        visits += metrics["visits"]
        if next(iter(metrics["validation_error"].values())) <= target:
            return {"epochs": metrics["epoch"], "visits": round(visits, 3), "seconds": round(seconds, 3)}
    return {"epochs": None, "visits": None, "seconds": None}
