"""Tables of settings that were tried on held-out training images, by `twofold tune` and in earlier studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twofold.defaults import LEARNING_VERSION
from twofold.tuning.record import by_settings
from twofold_lab.tables import NONE, markdown, table

Record = Mapping[str, Any]
Rows = list[list[str]]
ERROR, TRAIN_ERROR = "validation error %", "train error %"
TESTS = ("slow", "fast", "settled", "both")
FIELDS = ("objective", "temperature", "decay", "rate", "tolerance", "neutral_share", "epochs")


def _changes(trial: Record) -> str:
    return ", ".join(f"{field} {value}" for field, value in trial["changed"].items()) or "as the base"


def _errors(errors: Mapping[str, float], tests: list[str]) -> list[str]:
    return [f"{errors[test]:.2f}" if test in errors else "-" for test in tests]


def _best_first(trials: list[dict[str, Any]], fields: Sequence[str]) -> Rows:
    """Return the fields, the held-out error and the training error of each trial, the best trial first.

    The field ``changed`` stands for the settings that differ from those of the base.
    """
    rows = [[*fields, "held-out error %", "training error %"]]
    for trial in sorted(trials, key=lambda trial: trial[ERROR]):
        cells = (_changes(trial) if field == "changed" else str(trial[field]) for field in fields)
        rows.append([*cells, f"{trial[ERROR]:.2f}", f"{trial[TRAIN_ERROR]:.2f}"])
    return rows


@table("unsupervised-choices", "unsupervised/choices.json")
def unsupervised(record: Record) -> Rows:
    """Return the trials of nets without labels, the best first."""
    return _best_first(record["tried"], ["changed"])


@table("cifar-twin-choices", "cifar/choices.json")
def cifar_twin(record: Record) -> Rows:
    """Return the trials of the twin on CIFAR-10, the best first."""
    return _best_first(record["twin"], ["images", "epochs", "rate", "decay"])


@table("recurrent-choices", "recurrent/choices.json")
@table("cifar-choices", "cifar/choices.json")
def recurrent(record: Record) -> Rows:
    """Return the trials of a recurrent net, sorted by the error of the slow test, the smallest first."""
    trials = sorted(record["tried"], key=lambda trial: trial[ERROR]["slow"])
    tests = [test for test in TESTS if any(test in trial[ERROR] for trial in trials)]
    rows = [["changed", *(f"{test} %" for test in tests), "share of images in the last epoch"]]
    for trial in trials:
        rows.append([_changes(trial), *_errors(trial[ERROR], tests), f"{trial['visits in the last epoch']:.2f}"])
    return rows


@table("regime-choices", "regime/choices.json")
def regime(record: Record) -> Rows:
    """Return a table of the settings that were tried with few training images, with held-out errors."""
    fields = ("images of a class", "method", "decay")
    rows = [[*fields, "slow %", "fast %"]]
    for trial in record["tried"]:
        rows.append([*(str(trial[field]) for field in fields), *_errors(trial[ERROR], ["slow", "fast"])])
    return rows


@table("choices", "choices/*.json")
def feedforward(records: Mapping[str, Record]) -> Rows | str:
    """Return the trials of feedforward nets. The row of the one trial that used the test set says so."""
    rows = [["method", *FIELDS, "tested on", "slow %", "fast %", "each layer alone %"]]
    for record in records.values():
        errors = {test: 100 * error for test, error in (record["validation_error"] or record["test_error"]).items()}
        layers = " / ".join(f"{100 * error:.2f}" for error in record["layer_error"]) or "-"
        settings = [str(record["settings"].get(field, "-")) for field in FIELDS]
        tested = "held out" if record["validation_error"] else "test set"
        rows.append([record["method"], *settings, tested, *_errors(errors, ["slow", "fast"]), layers])
    return rows if records else NONE


# ---- studies of `twofold tune` -----------------------------------------------------------------------------------


@table("tuned", "tuning/*.json")
def tuned(records: Mapping[str, Record]) -> str:
    """Return the chosen settings of each tuned recipe and of its twin, with their held-out errors."""
    rows = []
    for record in records.values():
        for study in record["sides"]:
            choice = study["chosen"]
            before = next(group.error for group in by_settings(study) if group.settings == study["stands"])
            rows.append(
                [
                    f"`{choice['command']}`",
                    f"{_percent(choice['error'])} ± {_percent(choice['standard_error'])}",
                    str(len(choice["seeds"])),
                    _percent(before),
                    f"{record['trials']} + {len(study['trials']) - record['trials']}",
                    ", ".join(f"{field} ({edge})" for field, edge in choice["edges"].items()) or "none",
                ]
            )
    heads = ["chosen", "held-out error %", "seeds", "as it stood %", "trials", "at the edge"]
    return markdown(heads, rows) + "".join(map(_stale, records.values())) if rows else NONE


@table("tuned-digits", "tuning/digits.json")
@table("tuned-mnist", "tuning/mnist.json")
def trials(record: Record) -> str:
    """Return all settings that were tried for a recipe and for its twin, the best first."""
    return "\n\n".join(map(_study, record["sides"])) + _stale(record)


def _study(study: Record) -> str:
    rows = [
        [
            group.mark,
            *(str(group.settings[field]) for field in study["values"]),
            _percent(group.error),
            str(group.seeds),
            "" if group.error is None else f"{group.seconds:.0f}",
        ]
        for group in by_settings(study)
    ]
    return markdown([f"`{study['recipe']}`", *study["values"], "held-out error %", "seeds", "seconds"], rows)


def _percent(share: float | None) -> str:
    return "diverged" if share is None else f"{100 * share:.2f}"


def _stale(record: Record) -> str:
    version = record["learning_version"]
    if version == LEARNING_VERSION:
        return ""
    return f"\n\n*The record of `{record['recipe']}` is stale: learning version {version}, now {LEARNING_VERSION}.*"
