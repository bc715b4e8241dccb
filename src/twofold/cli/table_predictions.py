"""Predictions for the rows of a table, printed as CSV or JSON."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twofold.cli.output import say
from twofold.data.columns import Problems
from twofold.data.tables import is_table, pixel_cases, read_table, types
from twofold.errors import DataError, SettingError
from twofold.training.prediction import OUT_OF_DISTRIBUTION, combine_scores, table_warnings
from twofold.training.runs import Run


def predict_table(run: Run, path: Path, as_json: bool) -> None:
    """Print the class that each test of a run predicts for each row of a table.

    Args:
        run: a run that was trained on a table, or on pixels in the columns of a table.
        path: a table with the same columns. Additional columns are ignored; next to pixels, only the label is.
        as_json: print one JSON object per row instead of CSV.

    Raises:
        SettingError: the path is not a table.
        DataError: the table cannot be read, a column is missing, or rows could not be used. The other rows are printed.
    """
    rows = list(predictions(run, path))
    if as_json:
        for row in rows:
            print(json.dumps(row))
    else:
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    if warned := [row["warning"] for row in rows if row["warning"]]:
        reason = next((warning for warning in warned if warning != OUT_OF_DISTRIBUTION), OUT_OF_DISTRIBUTION)
        say(f"note: {len(warned)} of {len(rows)} rows have a warning (about 1 in 100 is usual), such as: {reason}")
    failed = [row for row in rows if row["error"]]
    for row in failed[:MOST_ERRORS]:
        say(f"error: row {row['row']}: {row['error']}")
    if failed:
        raise DataError(f"{len(failed)} of {len(rows)} rows of {path} could not be used: repair or remove them")


MOST_ERRORS = 20
"""Number of rows whose errors are printed; the column ``error`` has all of them."""


def predictions(run: Run, path: Path) -> Iterator[dict[str, Any]]:
    """Yield a dict for each row of a table.

    The entries of a dict are ``row``, the number of the row (from 1); for each test, the main test first, the name of
    the predicted class; ``probability``, the probability that the main test gives to its predicted class; ``warning``,
    if the row does not look like the training data; and ``error``, the reason if the row could not be classified.
    """
    assert run.preparation is not None
    if not is_table(path):
        raise SettingError(f"{run.folder} was trained on a table, but {path} is no table file: give {types()}")
    errors: dict[int, str] = {}
    names = run.preparation.names
    columns, problems = read_table(path, errors), Problems(str(path))
    if run.preparation.kind == "pictures":
        columns = {name: column for name, column in columns.items() if not run.source or name != run.source.label}
        cases = pixel_cases(columns, run.preparation.shape, problems)
    else:
        cases, problems = run.preparation.table_with_problems(columns, str(path))
    errors = problems.rows | errors
    cases = cases.to(run.net.device)
    scores, warnings = run.net.scores(cases), table_warnings(run, cases, problems.unusual)
    labels = {test: score.argmax(1).tolist() for test, score in scores.items()}
    for number, (_, share) in enumerate(combine_scores(run.net, scores)):
        error = errors.get(number)
        classes = {test: None if error else names[predicted[number]] for test, predicted in labels.items()}
        probability = None if error else round(share, 4)
        warning = None if error else warnings[number]
        yield {"row": number + 1, **classes, "probability": probability, "warning": warning, "error": error}
