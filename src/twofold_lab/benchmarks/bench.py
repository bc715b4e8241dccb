"""Classes and functions shared by all benchmarks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from twofold import data
from twofold.data import Dataset
from twofold.errors import SettingError
from twofold.methods import Recipe
from twofold.plots.colors import POSITIVE, TWIN
from twofold.training.runs import Run
from twofold_lab.lab import Lab

LOOK = {"ff": ("Forward-Forward", POSITIVE), "twin": ("twin", TWIN)}
"""Name in records -> (name in plots, color in plots) for Forward-Forward and the backprop twin."""


@dataclass(frozen=True)
class Workbench:
    """Device, precision, data and progress report of a benchmark.

    Attributes:
        device: device of the nets and their data.
        precision: precision of the matrix products, fp32 or bf16.
        data_dir: folder that is searched first for data sets.
        report: function that is called with a line of text at each step; ``None`` disables the report.
        loaded: data sets by name, added by `load`. The record states the fingerprints of these data sets.
        recipes: recipes of the trained nets. The fingerprint of the code in the record depends on these recipes.
    """

    device: torch.device
    precision: str
    data_dir: Path | None = None
    report: Callable[[str], None] | None = None
    loaded: dict[str, Dataset] = field(default_factory=dict)
    recipes: list[Recipe] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Pass a line of text to ``report``; do nothing if it is ``None``."""
        if self.report is not None:
            self.report(text)

    def load(self, name: str) -> Dataset:
        """Load a data set by name."""
        if name not in self.loaded:
            self.loaded[name] = data.load(name, self.data_dir)
        return self.loaded[name]

    def train(self, recipe: Recipe, title: str, dataset: Dataset) -> Run:
        """Train a net in a run folder of the laboratory, or load its run if it is complete; see `Lab.train`."""
        self.say(f"{title}, seed {recipe.seed}: {recipe.epochs} epochs")
        self.recipes.append(recipe)
        lab = Lab("full", device=self.device.type, precision=self.precision, data_dir=self.data_dir)
        return lab.train(recipe, title, dataset)


@dataclass(frozen=True)
class Benchmark(ABC):
    """Base class of benchmarks. The fields of a subclass are the options of its command."""

    @abstractmethod
    def measure(self, bench: Workbench) -> dict[str, Any]:
        """Run the benchmark and return the measured figures as JSON values."""

    @staticmethod
    @abstractmethod
    def table(record: Mapping[str, Any]) -> str:
        """Format a record as a table for the terminal."""

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path | None:
        """Plot a record into a PNG file at ``path``; by default there is no plot."""
        return None


def expect(holds: bool, field: str, value: object, expected: str) -> None:
    """Raise `SettingError`, which states the option ``field`` and its ``value``, unless the condition ``holds``."""
    if not holds:
        raise SettingError(f"--{field} is {value}, expected {expected}")


def data_facts(dataset: Dataset, tested: str | None = None) -> dict[str, Any]:
    """Return the facts about a data set for a record: ``dataset`` (the name) and ``official_data``.

    Args:
        dataset: the data set.
        tested: description of the test cases, such as ``test set``. If given, the result has the key ``tested``: a list
            of this description and the number of test cases.
    """
    facts = {"dataset": dataset.name, "official_data": dataset.official}
    return facts if tested is None else {"tested": [[tested, len(dataset.test_labels)]], **facts}
