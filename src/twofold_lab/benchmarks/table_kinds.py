"""Measure the estimator on generated kinds of tables, compared with scikit-learn's classifiers."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from twofold.cli.text import machine_line
from twofold.errors import Diverged
from twofold_lab.benchmarks.bench import Benchmark, Workbench
from twofold_lab.benchmarks.estimators import CONTENDERS, LINEAR, MLP, OURS
from twofold_lab.benchmarks.timing import one_thread
from twofold_lab.data.table_kinds import KINDS, REPORTED_SEEDS
from twofold_lab.tables import markdown, table

Record = Mapping[str, Any]


@dataclass(frozen=True)
class TableKinds(Benchmark):
    """Accuracy and time to fit of the estimator on kinds of tables, compared with scikit-learn's classifiers.

    All settings are defaults. Text columns are one-hot encoded, and missing numbers are replaced by the mean and an
    indicator. Seconds are processor time on one thread, and include the encoding.

    Attributes:
        seeds: seeds of the tables.
        folds: number of folds of the cross-validation.
        kinds: kinds of tables.
    """

    seeds: tuple[int, ...] = tuple(REPORTED_SEEDS)
    folds: int = 5
    kinds: tuple[str, ...] = tuple(KINDS)

    def measure(self, bench: Workbench) -> dict[str, Any]:
        with one_thread() as facts, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figures = {kind: self._measure_kind(bench, kind) for kind in self.kinds}
        return {"measured": figures, "test": "fast", **facts}

    def _measure_kind(self, bench: Workbench, kind: str) -> dict[str, Any]:
        """Return the accuracies, seconds and numbers of diverged fits of all contenders on one kind of tables."""
        accuracies: dict[str, list[float]] = {name: [] for name in CONTENDERS}
        seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
        diverged = dict.fromkeys(CONTENDERS, 0)
        for seed in self.seeds:
            frame, labels = KINDS[kind](seed)
            folds = StratifiedKFold(self.folds, shuffle=True, random_state=seed)
            for train, test in folds.split(frame, labels):
                for name, make in CONTENDERS.items():
                    start = time.process_time()
                    try:
                        fitted = make_pipeline(encoder(), make(seed)).fit(frame.iloc[train], labels[train])
                    except Diverged:
                        diverged[name] += 1
                        continue
                    seconds[name].append(time.process_time() - start)
                    accuracies[name].append(100 * fitted.score(frame.iloc[test], labels[test]))
        figures = {
            name: {
                "right %": round(fmean(accuracies[name]), 2) if accuracies[name] else None,
                "worst %": round(min(accuracies[name]), 2) if accuracies[name] else None,
                "seconds": round(float(np.median(seconds[name])), 4) if seconds[name] else None,
                "diverged": diverged[name],
            }
            for name in CONTENDERS
        }
        bench.say(f"{kind}: {figures}")
        return figures

    @staticmethod
    def table(record: Record) -> str:
        return f"table kinds: {machine_line(record)}\n\n{kinds_table(record)}"


def encoder() -> Any:
    """Return a transformer that one-hot encodes text columns and imputes missing numbers, with an indicator."""
    return make_column_transformer(
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_exclude="number"),
        ),
        (SimpleImputer(add_indicator=True), make_column_selector(dtype_include="number")),
    )


@table("table-kinds", "table-kinds.json")
def kinds_table(record: Record) -> str:
    """Return accuracies, diverged fits and seconds of the estimator and of scikit-learn's classifiers on each kind."""
    rows = []
    for kind, entry in record["measured"].items():
        ours = entry[OURS]
        right = [entry[name]["right %"] for name in (OURS, MLP, LINEAR)]
        cells = ["diverged" if value is None else f"{value:.1f}" for value in right]
        gain = "" if ours["right %"] is None else f"{ours['right %'] - max(right[1:]):+.1f}"
        seconds = ["" if entry[name]["seconds"] is None else f"{entry[name]['seconds']:.2f}" for name in (OURS, MLP)]
        rows.append([kind, *cells, gain, str(ours["diverged"]), *seconds])
    heads = ["right answers in %", "Forward-Forward", "MLP", "logistic regression", "compared with the better"]
    return markdown([*heads, "divergences", "s to fit", "s, MLP"], rows)
