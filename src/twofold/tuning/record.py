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


def described(
    name: str, trials: int, cases: int, results: Sequence[tuple[Side, Sequence[Tried]]], facts: Mapping[str, Any]
) -> Record:
    """Return the record of a complete study, with values that can be written as JSON.

    Args:
        name: Name of the recipe.
        trials: Number of trials of each side in the first round.
        cases: Number of training cases, including the held-out ones.
        results: Each side with all of its trials.
        facts: Description of data and machine, added to the record.

    Returns:
        ``recipe``, ``rule``, ``trials``, ``trained_on`` and ``held_out`` cases, ``sides``, ``date`` and the facts. Each
        side has its ``recipe``, its own ``settings``, the ``values`` that were tried, the tuned fields of its own
        settings (``stands``), all ``trials``, and the ``chosen`` settings with their ``error`` (a mean if there are
        several ``seeds``), ``standard_error``, ``errors`` of all tests, ``edges`` and ``command``. Errors are fractions
        of the held-out cases.

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
    """Return the command that trains on all training cases, with an option for each field changed from the recipe."""
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
    """Summary of the trials with the same settings.

    Attributes:
        mark: ``chosen``, ``as it stands`` (the recipe's own settings), both, or empty.
        settings: Values of the tuned fields.
        error: Mean error; ``None`` if a training diverged.
        seeds: Number of seeds.
        seconds: Mean training time, in seconds.
    """

    mark: str
    settings: Settings
    error: float | None
    seeds: int
    seconds: float


def by_settings(side: Mapping[str, Any]) -> list[Settled]:
    """Group the trials of a side by settings, and sort the groups by error, the lowest first."""
    groups: list[Settled] = []
    for first in side["trials"]:
        if all(first["settings"] != group.settings for group in groups):
            settings = first["settings"]
            repeats = [trial for trial in side["trials"] if trial["settings"] == settings]
            marks = {"chosen": side["chosen"]["settings"], "as it stands": side["stands"]}
            mark = ", ".join(name for name, marked in marks.items() if settings == marked)
            errors = [trial["error"] for trial in repeats]
            error = None if None in errors else fmean(errors)
            seconds = fmean(trial.get("seconds", 0.0) for trial in repeats)
            groups.append(Settled(mark, settings, error, len(repeats), seconds))
    return sorted(groups, key=lambda group: (group.error is None, group.error))


def warnings(side: Mapping[str, Any]) -> list[str]:
    """Return a warning for each chosen value at the edge of the values that were tried."""
    chosen = side["chosen"]
    return [
        f"the chosen {field} of {side['recipe']}, {chosen['settings'][field]}, is the {edge} that was tried: "
        f"a {edge.replace('est', 'er')} one may be better"
        for field, edge in chosen["edges"].items()
    ]


def draw(record: Mapping[str, Any], path: Path) -> Path:
    """Draw the trials of a record, and write the picture to ``path`` as PNG."""
    from twofold.plots.trials import trials

    return trials(record, path)


def write(record: Mapping[str, Any], results: Path, docs: Path) -> Path:
    """Write a record to ``results/tuning/RECIPE.json``, and its picture to ``docs/pictures`` if this folder exists."""
    path = results / "tuning" / f"{record['recipe']}.json"
    write_signed(path, record)
    if (docs / "pictures").is_dir():
        draw(record, docs / "pictures" / f"tuning-{record['recipe']}.png")
    return path
