"""Predictions for the rows of a table, printed as CSV or JSON."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twofold.data.tables import ENDINGS, read_table
from twofold.errors import SettingError
from twofold.training.prediction import combine_scores
from twofold.training.runs import Run


def predict_table(run: Run, path: Path, as_json: bool) -> None:
    """Print the class that each test of a run predicts for each row of a table.

    Args:
        run: a run that was trained on a table.
        path: a table with the same columns. Additional columns, such as the label, are ignored.
        as_json: print one JSON object per row instead of CSV.

    Raises:
        SettingError: the path is not a table.
        DataError: the table cannot be read, or a column is missing.
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
    """Yield a dict for each row of a table.

    Its entries are ``row``, the row number (from 1); for each test, the name of the predicted class (the main test
    first); and ``probability``, the softmax probability of the class that the main test predicts.
    """
    assert run.preparation is not None
    if path.suffix.lower() not in ENDINGS:
        types = ", ".join(ENDINGS)
        raise SettingError(f"{run.folder} was trained on a table, but {path} is no table file: give {types}")
    names, cases = run.preparation.names, run.preparation.table(read_table(path), str(path))
    scores = run.net.scores(cases.to(run.net.device))
    labels = {test: score.argmax(1).tolist() for test, score in scores.items()}
    for number, (_, share) in enumerate(combine_scores(scores)):
        classes = {test: names[answers[number]] for test, answers in labels.items()}
        yield {"row": number + 1, **classes, "probability": round(share, 4)}
