"""Predictions for the rows of a table, as CSV or as lines of JSON."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twofold.data.tables import ENDINGS, read_table
from twofold.errors import SettingError
from twofold.training.prediction import sure
from twofold.training.runs import Run


def predict_table(run: Run, path: Path, as_json: bool) -> None:
    """Print what each test of a run names for each row of a table.

    Args:
        run: was trained on a table.
        path: a table with the same columns; others, such as the label's, are not looked at.
        as_json: one JSON object a row, and not CSV.

    Raises:
        SettingError: the path is no table's.
        DataError: the table cannot be read, or lacks a column.
    """
    rows = predictions(run, path)
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    first = next(rows)
    writer = csv.DictWriter(sys.stdout, list(first), lineterminator="\n")
    writer.writeheader()
    writer.writerow(first)
    writer.writerows(rows)


def predictions(run: Run, path: Path) -> Iterator[dict[str, Any]]:
    """For each row its number, from 1; the class that each test names, the main test first; and the probability that
    the softmax gives to the class that the main test names."""
    assert run.preparation is not None
    if path.suffix.lower() not in ENDINGS:
        kinds = ", ".join(ENDINGS)
        raise SettingError(f"{run.folder} was trained on a table, but {path} is none: give one of the kind {kinds}")
    names, cases = run.preparation.names, run.preparation.table(read_table(path), str(path))
    scores = run.net.scores(cases.to(run.net.device))
    named = {test: score.argmax(1).tolist() for test, score in scores.items()}
    for number, (_, share) in enumerate(sure(scores)):
        classes = {test: names[answers[number]] for test, answers in named.items()}
        yield {"row": number + 1, **classes, "probability": round(share, 4)}
