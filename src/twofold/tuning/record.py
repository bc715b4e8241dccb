"""The record of a study: every trial, what was chosen, and how to repeat it."""

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
    name: str, trials: int, cases: int, found: Sequence[tuple[Side, Sequence[Tried]]], facts: Mapping[str, Any]
) -> Record:
    """Put a complete study in values that JSON can hold.

    Args:
        name: of the recipe.
        trials: of each side in the first round.
        cases: training cases, with those that were held out.
        found: each side with all of its trials.
        facts: of data and machine.

    Returns:
        ``recipe``, ``rule``, ``trials``, ``trained_on`` and ``held_out`` cases, ``sides``, ``date`` and the facts. Each
        side has its ``recipe``, its ``settings`` as it stands, the ``values`` that were tried, all ``trials``, and what
        was ``chosen``: the settings, ``error`` (a mean, where there are several ``seeds``), ``errors`` of all tests,
        ``edges``, and the ``command``. Errors are shares of the held-out cases.

    Raises:
        SettingError: no settings train with all of their seeds.
    """
    held = found[0][0].recipe.validation
    return {
        "recipe": name,
        "rule": RULE,
        "trials": trials,
        "trained_on": cases - held,
        "held_out": held,
        "sides": [_side(side, tried) for side, tried in found],
        "date": datetime.now(UTC).date().isoformat(),
        **facts,
    }


def _side(side: Side, tried: Sequence[Tried]) -> dict[str, Any]:
    planned, cases = [each for each in tried if each.number < len(side.plan)], side.recipe.validation
    best = choose(side.name, planned, tried, cases)
    settings, error = best[0].settings, mean(best)
    assert error is not None
    errors = {test: fmean(each.facts["errors"][test] for each in best) for test in best[0].facts["errors"]}
    return {
        "recipe": side.name,
        "settings": side.recipe.fields(),
        "values": {field: list(each) for field, each in side.values.items()},
        "stands": side.plan[0],
        "trials": [
            {"number": each.number, "settings": each.settings, "seed": each.seed, "error": each.error, **each.facts}
            for each in tried
        ],
        "chosen": {
            "settings": settings,
            "error": error,
            "standard_error": binomial_error(error, cases),
            "errors": errors,
            "seeds": [each.seed for each in best],
            "edges": edges(settings, planned, side.values),
            "command": command(side.name, side.with_settings(settings, side.recipe.seed)),
        },
    }


def command(name: str, recipe: Recipe) -> str:
    """The command that trains a recipe with these settings on all training cases: what is not as the recipe stands."""
    stands, words = find(name).fields(), [f"twofold train {name}"]
    for field, value in recipe.fields().items():
        if value != stands[field] and field != "validation":
            words.append(_words(field, value))
    return " ".join(words)


def _words(field: str, value: Any) -> str:
    option = field.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    return f"--{option} " + " ".join(map(str, value if isinstance(value, list) else [value]))


class Settled(NamedTuple):
    """What was found with the same settings.

    Attributes:
        mark: ``chosen``, ``as it stands``, both, or nothing.
        settings: of the fields that are tuned.
        error: the mean; ``None`` where a training diverged.
        seeds: how many.
        seconds: of a training, the mean.
    """

    mark: str
    settings: Settings
    error: float | None
    seeds: int
    seconds: float


def by_settings(side: Mapping[str, Any]) -> list[Settled]:
    """The trials of a side, those with the same settings together, the least error first."""
    found: list[Settled] = []
    for first in side["trials"]:
        if all(first["settings"] != each.settings for each in found):
            settings = first["settings"]
            same = [each for each in side["trials"] if each["settings"] == settings]
            marks = {"chosen": side["chosen"]["settings"], "as it stands": side["stands"]}
            mark = ", ".join(name for name, marked in marks.items() if settings == marked)
            errors = [each["error"] for each in same]
            error = None if None in errors else fmean(errors)
            seconds = fmean(each.get("seconds", 0.0) for each in same)
            found.append(Settled(mark, settings, error, len(same), seconds))
    return sorted(found, key=lambda each: (each.error is None, each.error))


def warnings(side: Mapping[str, Any]) -> list[str]:
    """What speaks against the choice of a side: values at the edge of what was tried."""
    chosen = side["chosen"]
    return [
        f"the chosen {field} of {side['recipe']}, {chosen['settings'][field]}, is the {edge} that was tried: "
        f"a {edge.replace('est', 'er')} one may be better"
        for field, edge in chosen["edges"].items()
    ]


def draw(record: Mapping[str, Any], path: Path) -> Path:
    """Draw the trials of a record into a PNG at ``path``."""
    from twofold.plots.trials import trials

    return trials(record, path)


def write(record: Mapping[str, Any], results: Path, docs: Path) -> Path:
    """Write a record to ``results/tuning/RECIPE.json``, and its picture to ``docs/pictures`` where that is a folder."""
    path = results / "tuning" / f"{record['recipe']}.json"
    write_signed(path, record)
    if (docs / "pictures").is_dir():
        draw(record, docs / "pictures" / f"tuning-{record['recipe']}.png")
    return path
