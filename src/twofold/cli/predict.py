"""`twofold predict`: what a run says of pictures, or of the rows of a table."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from twofold.benchmarks.report import format_percent, format_table
from twofold.cli import report
from twofold.cli.arguments import Predict, parse
from twofold.cli.output import say
from twofold.errors import DataError, SettingError, TwofoldError
from twofold.nets.classifier import Classifier
from twofold.training import runs
from twofold.training.prediction import Prediction, acquainted, pictures_at, predictions

Answers = Iterable[tuple[Path, Prediction | TwofoldError]]


def predict(words: Sequence[str]) -> None:
    """Classify pictures, or the rows of a table."""
    options = parse(Predict, words, "predict")
    if not options.pictures:
        raise SettingError("twofold predict needs a PICTURE, several, or a folder of them, after the run")
    if options.csv + options.jsonl + options.json > 1:
        raise SettingError("--csv, --jsonl and --json are one answer in several forms: choose one of them")
    loaded = runs.load(options.run)
    if loaded.preparation is None:
        raise SettingError(
            f"{options.run} was trained on {loaded.result.dataset}, which has no pictures: choose another run"
        )
    if not isinstance(loaded.net, Classifier):
        raise SettingError(f"{options.run} is a net of the method {loaded.net.method}, which names no classes")
    if loaded.preparation.kind == "table":
        from twofold.cli.table_predictions import predict_table

        if len(options.pictures) > 1:
            raise SettingError(f"{options.run} was trained on a table: give one table, not {len(options.pictures)}")
        predict_table(loaded, options.pictures[0], options.json or options.jsonl)
        return
    pictures = pictures_at(options.pictures)
    loaded = acquainted(loaded, options.data_dir)
    answers = predictions(loaded, pictures)
    if options.csv or options.jsonl:
        lost = _lines(answers, options.csv)
    elif len(pictures) == 1 and not options.pictures[0].is_dir():
        _one(loaded, answers, options.json)
        return
    else:
        lost = _table(answers, options.json)
    if lost:
        raise DataError(f"{lost} of {len(pictures)} pictures got no answer, as said above: give others")


def _one(loaded: runs.Run, answers: Answers, as_json: bool) -> None:
    """All that each test says of one picture."""
    ((_, found),) = answers
    if isinstance(found, TwofoldError):
        raise found
    assert loaded.preparation is not None
    told, names = loaded.net.explain(found.case), loaded.preparation.names
    print(report.answer(told, names))
    print(f"\ndone to the picture: {'; '.join(found.done) or 'nothing'}")
    if found.warning:
        print(f"warning: it {found.warning}")
    if as_json:
        named = {test: names[label] for test, label in told["label"].items()}
        more = {"familiarity": found.familiarity, "warning": found.warning, "done": list(found.done)}
        print(json.dumps({**told, "name": named, **more}, allow_nan=False))


def _lines(answers: Answers, as_csv: bool) -> int:
    """A line for each picture, as CSV or as JSON; the number of those without an answer."""
    lost, writer = 0, None
    for picture, found in answers:
        row = _row(picture, found)
        lost += row["error"] is not None
        if not as_csv:
            print(json.dumps(row, allow_nan=False))
            continue
        if writer is None:
            writer = csv.DictWriter(sys.stdout, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)
    return lost


def _table(answers: Answers, as_json: bool) -> int:
    """A table of all pictures; the number of those without an answer."""
    rows, lines, lost = [], [["picture", "label", "probability", "done to it", ""]], 0
    for picture, found in answers:
        rows.append(_row(picture, found))
        if isinstance(found, TwofoldError):
            lost += 1
            continue
        share, done = format_percent(found.probability), "; ".join(found.done) or "nothing"
        lines.append([str(picture), found.name, share, done, f"warning: {found.warning}" if found.warning else ""])
    if len(lines) > 1:
        print("\n".join(line.rstrip() for line in format_table(lines, left=(0, 1, 3, 4)).splitlines()))
    if as_json:
        print(json.dumps({"pictures": rows}, allow_nan=False))
    return lost


def _row(picture: Path, found: Prediction | TwofoldError) -> dict[str, Any]:
    """A picture and what is said of it; an error is said at once, too."""
    if isinstance(found, Prediction):
        return found.row(picture)
    say(f"error: {found}")
    nothing = dict.fromkeys(("label", "class", "probability", "familiarity", "warning", "done"))
    return {"picture": str(picture), **nothing, "error": str(found)}
