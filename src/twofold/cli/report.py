"""Format results as text for the terminal."""

from __future__ import annotations

import math
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from twofold.cli.text import format_percent, format_table
from twofold.data import DATASETS, Dataset
from twofold.methods import METHODS
from twofold.recipes import RECIPES, twin_of
from twofold.training.result import Result
from twofold.tuning import record as studies


def tests(errors: Mapping[str, float], metrics: Mapping[str, Any]) -> str:
    """Format a table with the error of a net in each test and, if it was measured, the error of each layer alone.

    Args:
        errors: test -> error, as a fraction.
        metrics: other metrics of the tests; see `Result`.
    """
    rows = [["test", "error", "forward passes per image"]]
    rows += [[name, format_percent(error), _passes(metrics, name)] for name, error in errors.items()]
    rows += [[name, error, ""] for name, error in _layers(metrics)]
    return format_table(rows)


def of_tests(metrics: Mapping[str, Any], chosen: Mapping[str, float]) -> dict[str, Any]:
    """Return the metrics. For a metric with a value for each test, only the values of the chosen tests are kept."""
    return {
        key: {name: value[name] for name in chosen if name in value} if isinstance(value, Mapping) else value
        for key, value in metrics.items()
    }


def _passes(metrics: Mapping[str, Any], test: str) -> str:
    return str(metrics.get("passes_per_image", {}).get(test, ""))


def _layers(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return, for each layer, a title and the error of predictions by this layer alone, as text."""
    errors = enumerate(metrics.get("layer_error", ()), 1)
    return [(f"layer {number} alone", format_percent(error)) for number, error in errors]


def comparison(results: Sequence[Result]) -> str:
    """Format a comparison of trained nets as a table, with one row for each test of each net."""
    held = "validation" if results[0].validation_error else "test"
    rows = [["", "test", f"{held} error", "passes per image", "epochs", "seconds", "s/epoch"]]
    for result in results:
        last = [str(result.epochs), f"{result.seconds:.1f}", f"{result.seconds_per_epoch:.2f}"]
        for name, error in result.error.items():
            rows.append([result.method, name, format_percent(error), _passes(result.metrics, name), *last])
            last = ["", "", ""]
        rows += [["", name, error, "", "", "", ""] for name, error in _layers(result.metrics)]
    first = results[0]
    widths = " x ".join(str(width) for width in first.settings["widths"])
    official = " (official)" if first.official_data else " (not the official files)"
    dataset = first.dataset + (official if first.dataset in DATASETS else "")
    return (
        f"\n{first.recipe}: {widths}, {dataset}, seed {first.seed}, {first.precision} on "
        f"{first.device}\n\n{format_table(rows)}\n\nrun: {first.run}"
    )


def study(record: Mapping[str, Any]) -> str:
    """Format the trials of a recipe and its twin (the best settings first), and the chosen settings.

    Args:
        record: record of the study; see `twofold.tuning.record.described`.
    """
    lines = [
        f"{record['recipe']}: errors on {record['held_out']} held-out of {record['trained_on'] + record['held_out']} "
        f"training cases of {record['dataset']}, {record['precision']} on {record['device']}"
    ]
    for side in record["sides"]:
        chosen, fields = side["chosen"], list(side["values"])
        rows = [["", *fields, f"{next(iter(chosen['errors']))} test", "seeds", "s/run"]]
        for trial in studies.by_settings(side):
            error = "diverged" if trial.error is None else format_percent(trial.error)
            values = [str(trial.settings[field]) for field in fields]
            seconds = "" if trial.error is None else f"{trial.seconds:.1f}"
            rows.append([trial.mark, *values, error, str(trial.seeds), seconds])
        lines += ["", side["recipe"], "", format_table(rows), "", f"chosen: {chosen['command']}"]
        lines += [f"warning: {line}" for line in studies.warnings(side)]
    return "\n".join(lines)


def answer(results: dict[str, Any], names: Sequence[str]) -> str:
    """Format the results of all tests for one image.

    The classes are sorted by probability if there are more than `IN_ORDER` classes.

    Args:
        results: return value of `Classifier.explain`.
        names: names of the classes.
    """
    goodness = results["goodness"] or [None] * len(results["softmax"])
    figures = list(zip(names, results["probability"], goodness, results["softmax"], strict=True))
    if len(figures) > IN_ORDER:
        figures.sort(key=lambda row: -row[1])
    rows = [["label", "probability", "goodness", "softmax of the fast test"]]
    for name, probability, value, share in figures:
        rows.append([name, format_percent(probability), "" if value is None else f"{value:.1f}", format_percent(share)])
    summary = ", ".join(f"{test} test: {names[label]}" for test, label in results["label"].items())
    return f"{summary}\n\n{format_table(rows)}"


IN_ORDER = 10
"""Largest number of classes that are listed in the order of the labels instead of by probability."""


def at_chance(result: Result, data: Dataset) -> str | None:
    """Return a warning with advice if a net is not better than always predicting the most frequent class, or ``None``.

    Args:
        result: the result of the training.
        data: the data with the test part that the net was tested on.
    """
    (test, error), *_ = result.error.items()
    sizes = data.train_labels.bincount(minlength=data.classes)
    frequent = int(sizes.argmax())
    chance = float((data.test_labels != frequent).float().mean())
    noise = 2 * math.sqrt(chance * (1 - chance) / len(data.test_labels))
    if error < max(chance - noise, CHANCE * chance):
        return None
    table = data.preparation is not None and data.preparation.kind == "table"
    advice = (
        f"check that the columns tell the classes apart and that --label {data.source.label} is the right column, "
        if table and data.source and data.source.label
        else "check that the labels belong to the cases, "
    )
    if data.source and int(sizes.min()) < RARE * int(sizes.sum()):
        advice += "for a rare class add --class-weight balanced, "
    settings = {name: result.settings[name] for name in ("epochs", "rate") if name in result.settings}
    trial = " or ".join(f"another --{name} than {value:g}" for name, value in settings.items())
    return (
        f"the net is at chance: always predicting {data.names[frequent]} has an error of {format_percent(chance)}, the "
        f"{test} test {format_percent(error)}: {advice}then try {trial}"
    )


CHANCE = 0.8
"""Fraction of the error of always predicting the most frequent class. A net with a smaller error is never at chance."""

RARE = 0.2
"""Share of the training cases below which a class is rare."""


def next_step(result: Result, data: Dataset) -> str:
    """Return the command that predicts new data with the net of a run."""
    table = data.preparation is not None and data.preparation.kind == "table"
    return f"next: twofold predict {shlex.quote(result.run)} {'new.csv' if table else 'PICTURE...'}"


def recipes() -> str:
    """Format a list of all recipes that are not twins, with one line for each."""
    twins, lines = {twin_of(name) for name in RECIPES}, []
    for name, recipe in RECIPES.items():
        if name not in twins:
            widths = " x ".join(str(width) for width in recipe.widths)
            lines.append(f"  {name:24} {recipe.data}, layers of {widths}, {recipe.epochs} epochs")
    return "\n".join(lines)


def options(groups: Mapping[str, Sequence[str]]) -> str:
    """Format a list of options by group: title -> options."""
    wrap = partial(textwrap.fill, width=119, break_on_hyphens=False, subsequent_indent=" " * 31)
    return "\n".join(wrap(f"  {title:28} {' '.join(names)}") for title, names in groups.items())


def recipe_fields() -> dict[str, list[str]]:
    """Return the command-line options for recipe fields by group: title -> options.

    The first groups have the fields that all methods share, the others the remaining fields of each method. Fields of
    the net and its data, and fields of training, are in separate groups.
    """
    kinds = {method: list(METHODS[method].recipe_type.properties().items()) for method in METHODS}
    of_training = {name for fields in kinds.values() for name, properties in fields if "of_net" not in properties}
    shared = set.intersection(*({name for name, _ in fields} for fields in kinds.values()))
    groups: dict[str, dict[str, None]] = {}
    for method, fields in kinds.items():
        for name, _ in fields:
            title = "all recipes" if name in shared else method
            group = groups.setdefault(f"{title}, {'training' if name in of_training else 'net'}", {})
            group[f"--{name.replace('_', '-')}"] = None
    return {title: list(group) for title, group in groups.items()}
