"""Trainings on the CPU, whole or interrupted, and what is the same in two that end the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twofold.data import Dataset
from twofold.methods import Recipe
from twofold.training import train as training
from twofold.training.result import Result


def train(recipe: Recipe, folder: Path, data: Dataset, **options: Any) -> Result:
    return training.train(recipe, folder, data, **{"device": "cpu", "precision": "fp32", **options})


class CtrlC:
    """Stops the training after ``after`` epochs; with a fraction, in the middle of one."""

    def __init__(self, after: float) -> None:
        self.after = after

    def batch(self, done: float) -> None:
        if done >= self.after and self.after % 1:
            raise KeyboardInterrupt

    def epoch(self, metrics: dict[str, Any]) -> None:
        if metrics["epoch"] >= self.after:
            raise KeyboardInterrupt


def outcome(result: Result) -> dict[str, Any]:
    """A result, without what depends on the clock and the folder."""
    return {key: value for key, value in result.to_json().items() if key not in ("seconds", "seconds_per_epoch", "run")}
