"""`twofold predict`: classify images, or the rows of a table, with a trained net."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from twofold.cli import report
from twofold.cli.arguments import Predict, parse
from twofold.cli.output import say
from twofold.cli.text import format_percent, format_table
from twofold.data.tables import is_table
from twofold.errors import DataError, SettingError, TwofoldError
from twofold.nets.classifier import Classifier
from twofold.training import runs
from twofold.training.prediction import Prediction, pictures_at, predictions, with_familiarity

Answers = Iterable[tuple[Path, Prediction | TwofoldError]]


def predict(words: Sequence[str]) -> None:
    """Classify images, or the rows of a table."""
    options = parse(Predict, words, "predict")
    if not options.pictures:
        raise SettingError("twofold predict needs a PICTURE after RUN: give image files or folders of images")
    if options.csv + options.jsonl + options.json > 1:
        raise SettingError("give only one of --csv, --jsonl and --json")
    loaded = runs.load(options.run)
    if loaded.preparation is None:
        raise SettingError(
            f"{options.run} was trained on {loaded.result.dataset}, which are not labeled images: give another run"
        )
    if not isinstance(loaded.net, Classifier):
        raise SettingError(f"{options.run} is a net of the method {loaded.net.method}, which is not a classifier")
    pixels = loaded.source is not None and loaded.source.pixels and is_table(options.pictures[0])
    if loaded.preparation.kind == "table" or pixels:
        from twofold.cli.table_predictions import predict_table

        if len(options.pictures) > 1:
            raise SettingError(
                f"{options.run} was trained on a table: give only one table, not {len(options.pictures)}"
            )
        predict_table(loaded, options.pictures[0], options.json or options.jsonl)
        return
    pictures = pictures_at(options.pictures)
    loaded = with_familiarity(loaded, options.data_dir)
    answers = predictions(loaded, pictures)
    if options.csv or options.jsonl:
        failed = _lines(answers, options.csv)
    elif len(pictures) == 1 and not options.pictures[0].is_dir():
        _one(loaded, answers, options.json)
        return
    else:
        failed = _table(answers, options.json)
    if len(failed) == 1:
        raise failed[0]
    for error in failed:
        say(f"error: {error}")
    if failed:
        raise DataError(f"{len(failed)} of {len(pictures)} images could not be classified: see the errors above")


def _one(loaded: runs.Run, answers: Answers, as_json: bool) -> None:
    """Print the results of all tests for one image."""
    ((_, prediction),) = answers
    if isinstance(prediction, TwofoldError):
        raise prediction
    assert loaded.preparation is not None
    results, names = loaded.net.explain(prediction.case), loaded.preparation.names
    print(report.answer(results, names))
    print(f"\npreprocessing: {'; '.join(prediction.done) or 'none'}")
    if prediction.warning:
        print(f"warning: the image {prediction.warning}")
    if as_json:
        label_names = {test: names[label] for test, label in results["label"].items()}
        facts = {"familiarity": prediction.familiarity, "warning": prediction.warning, "done": list(prediction.done)}
        print(json.dumps({**results, "name": label_names, **facts}, allow_nan=False))


def _lines(answers: Answers, as_csv: bool) -> list[TwofoldError]:
    """Print a line of CSV or JSON for each image, and return the errors of images that cannot be classified."""
    failed, writer = [], None
    for picture, prediction in answers:
        row = _row(picture, prediction)
        if isinstance(prediction, TwofoldError):
            failed.append(prediction)
        if not as_csv:
            print(json.dumps(row, allow_nan=False))
            continue
        if writer is None:
            writer = csv.DictWriter(sys.stdout, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)
    return failed


def _table(answers: Answers, as_json: bool) -> list[TwofoldError]:
    """Print a table of all images, and return the errors of images that cannot be classified."""
    rows, lines, failed = [], [["picture", "label", "probability", "preprocessing", ""]], []
    for picture, prediction in answers:
        rows.append(_row(picture, prediction))
        if isinstance(prediction, TwofoldError):
            failed.append(prediction)
            continue
        share, done = format_percent(prediction.probability), "; ".join(prediction.done) or "none"
        warning = f"warning: {prediction.warning}" if prediction.warning else ""
        lines.append([str(picture), prediction.name, share, done, warning])
    if len(lines) > 1:
        print("\n".join(line.rstrip() for line in format_table(lines, left=(0, 1, 3, 4)).splitlines()))
    if as_json:
        print(json.dumps({"pictures": rows}, allow_nan=False))
    return failed


def _row(picture: Path, prediction: Prediction | TwofoldError) -> dict[str, Any]:
    """Return the prediction or the error for one image as a row of a table: column -> value."""
    if isinstance(prediction, Prediction):
        return prediction.row(picture)
    empty = dict.fromkeys(("label", "class", "probability", "familiarity", "warning", "done"))
    return {"picture": str(picture), **empty, "error": str(prediction)}
