"""The record of a study: all trials, the chosen settings, and the command that trains with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from twofold.files import write_signed
from twofold.methods import Recipe
from twofold.recipes import find
from twofold.tuning.choice import RULE, Tried, binomial_error, choose, edges, mean
from twofold.tuning.plan import Settings, Side

Record = dict[str, Any]
"""Content of a record; see `described`."""


def described(
    name: str, trials: int, cases: int, results: Sequence[tuple[Side, Sequence[Tried]]], facts: Mapping[str, Any]
) -> Record:
    """Return the record of a completed study, with values that can be written as JSON.

    Args:
        name: Name of the recipe.
        trials: Number of trials of each recipe in the first round.
        cases: Number of training cases, including the held-out cases.
        results: The recipe and its twin, each with all of its trials.
        facts: Further entries of the record, which describe the data and the machine.

    Returns:
        A dict with ``recipe``, ``rule``, ``trials``, ``trained_on`` and ``held_out`` (numbers of cases), ``sides``,
        ``date`` and the entries of ``facts``. ``sides`` is a list with a dict for the recipe and one for the twin:

        * ``recipe``: name of the recipe or twin;
        * ``settings``: all fields of the recipe before tuning;
        * ``values``: tuned field -> values tried;
        * ``stands``: tuned field -> value before tuning;
        * ``trials``: all trials;
        * ``chosen``: a dict with the chosen ``settings``, the ``error`` (mean over the ``seeds``), ``standard_error``,
          ``errors`` (name of a test -> mean error), ``edges`` (see `choice.edges`) and ``command``.

        Errors are fractions of the held-out cases.

    Raises:
        SettingError: All settings diverged with at least one seed.
    """
    held_out = results[0][0].recipe.validation
    return {
        "recipe": name,
        "rule": RULE,
        "trials": trials,
        "trained_on": cases - held_out,
        "held_out": held_out,
        "sides": [_side(side, tried) for side, tried in results],
        "date": datetime.now(UTC).date().isoformat(),
        **facts,
    }


def _side(side: Side, tried: Sequence[Tried]) -> dict[str, Any]:
    planned, cases = [trial for trial in tried if trial.number < len(side.plan)], side.recipe.validation
    best = choose(side.name, planned, tried, cases)
    settings, error = best[0].settings, mean(best)
    assert error is not None
    errors = {test: fmean(trial.facts["errors"][test] for trial in best) for test in best[0].facts["errors"]}
    return {
        "recipe": side.name,
        "settings": side.recipe.fields(),
        "values": {field: list(values) for field, values in side.values.items()},
        "stands": side.plan[0],
        "trials": [
            {"number": run.number, "settings": run.settings, "seed": run.seed, "error": run.error, **run.facts}
            for run in tried
        ],
        "chosen": {
            "settings": settings,
            "error": error,
            "standard_error": binomial_error(error, cases),
            "errors": errors,
            "seeds": [trial.seed for trial in best],
            "edges": edges(settings, planned, side.values),
            "command": command(side.name, side.with_settings(settings, side.recipe.seed)),
        },
    }


def command(name: str, recipe: Recipe) -> str:
    """Return the command line that trains a recipe on all training cases.

    Args:
        name: Name of the recipe.
        recipe: The recipe. Each field that differs from the recipe called ``name``, except ``validation``, becomes an
            option.
    """
    defaults, words = find(name).fields(), [f"twofold train {name}"]
    for field, value in recipe.fields().items():
        if value != defaults[field] and field != "validation":
            words.append(_words(field, value))
    return " ".join(words)


def _words(field: str, value: Any) -> str:
    option = field.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    return f"--{option} " + " ".join(map(str, value if isinstance(value, list) else [value]))


class Settled(NamedTuple):
    """Summary of all trials that have the same settings and different seeds.

    Attributes:
        mark: ``chosen`` for the chosen settings, ``recipe`` for the settings of the recipe before tuning,
            ``chosen, recipe`` if the two are the same; otherwise an empty string.
        settings: Tuned field -> value.
        error: Mean error over the seeds; ``None`` if training diverged with at least one seed.
        seeds: Number of seeds.
        seconds: Mean training time, in seconds.
    """

    mark: str
    settings: Settings
    error: float | None
    seeds: int
    seconds: float


def by_settings(side: Mapping[str, Any]) -> list[Settled]:
    """Return a summary for each of the settings that were tried, ordered by error, lowest first and diverged last.

    Args:
        side: An entry of ``sides`` in a record.
    """
    groups: list[Settled] = []
    for first in side["trials"]:
        if all(first["settings"] != group.settings for group in groups):
            settings = first["settings"]
            repeats = [trial for trial in side["trials"] if trial["settings"] == settings]
            marks = {"chosen": side["chosen"]["settings"], "recipe": side["stands"]}
            mark = ", ".join(name for name, marked in marks.items() if settings == marked)
            errors = [trial["error"] for trial in repeats]
            error = None if None in errors else fmean(errors)
            seconds = fmean(trial.get("seconds", 0.0) for trial in repeats)
            groups.append(Settled(mark, settings, error, len(repeats), seconds))
    return sorted(groups, key=lambda group: (group.error is None, group.error))


def warnings(side: Mapping[str, Any]) -> list[str]:
    """Return a warning for each chosen value that is the lowest or highest value tried.

    Args:
        side: An entry of ``sides`` in a record.
    """
    chosen = side["chosen"]
    return [
        f"the chosen {field} of {side['recipe']}, {chosen['settings'][field]}, is the {edge} value tried: "
        f"a {edge.replace('est', 'er')} value may be better"
        for field, edge in chosen["edges"].items()
    ]


def draw(record: Mapping[str, Any], path: Path) -> Path:
    """Plot the trials of a record to the PNG file ``path``, and return the path."""
    from twofold.plots.trials import trials

    return trials(record, path)


def write(record: Mapping[str, Any], results: Path, docs: Path) -> Path:
    """Write a record and, if the folder for plots exists, the plot of its trials.

    Args:
        record: The record of a study.
        results: Folder in which the record is written to ``tuning/RECIPE.json``.
        docs: Folder in which the plot is written to ``pictures/tuning-RECIPE.png``, if ``pictures`` exists.

    Returns:
        The path of the record.
    """
    path = results / "tuning" / f"{record['recipe']}.json"
    write_signed(path, record)
    if (docs / "pictures").is_dir():
        draw(record, docs / "pictures" / f"tuning-{record['recipe']}.png")
    return path
