"""Load the data of a run again from their original location."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from twofold.checks import check_arguments
from twofold.data import Data
from twofold.data import load as load_data
from twofold.data.source import Source
from twofold.errors import RunError, SettingError
from twofold.training.runs import Run


@check_arguments
def held_out(run: Run, data_dir: Path | None = None, place: Path | None = None) -> Data:
    """Load the data of a run. The test set consists of the cases that the run was tested on.

    If the run held out training cases, these cases are the test set.

    Args:
        run: the run.
        data_dir: folder that is searched first for data sets.
        place: new location of the user's own data, if they were moved after training.

    Raises:
        RunError: the data are missing, differ from those of the run, or were arrays, which are not stored.
        DataError: the data cannot be read.
    """
    data = read_again(run.source, run.folder, run.result.fingerprint, place) or _named(run, data_dir)
    return data.hold_out(run.recipe.validation) if run.recipe.validation else data


_ADVICE = "use the run folder it was exported from, or twofold.evaluate(run.net, ...) in Python"
"""Advice for an exported file, which does not contain the location of the data."""


def read_again(source: Source | None, folder: Path, fingerprint: str, place: Path | None = None) -> Data | None:
    """Load the user's own data of a run, or return ``None`` for a run on a built-in data set or arrays.

    Args:
        source: files that the data were read from, or ``None``.
        folder: run folder or exported file, for error messages.
        fingerprint: expected fingerprint of the data.
        place: new location of the data, if they were moved after training.

    Raises:
        RunError: the data are missing or have changed.
        DataError: the data cannot be read.
        SettingError: ``place`` is given for a run that has no source.
    """
    if source is None:
        if place is not None:
            reason = "does not say where its data are" if folder.is_file() else "was not trained on your own data"
            raise SettingError(
                f"--data is {place}, but {folder} {reason}: {_ADVICE if folder.is_file() else 'omit it'}"
            )
        return None
    current = source.at(place) if place else source
    for path, done in ((current.path, "trained"), (current.test, "tested")):
        if path and not Path(path).exists():
            raise RunError(f"{folder} was {done} on {path}, which does not exist: give the new location with --data")
    data = replace(current.read(), name=source.name)
    if data.fingerprint != fingerprint:
        raise RunError(
            f"{current.path} has changed since {folder} was trained on it: restore the original data, or train again"
        )
    return data


def _named(run: Run, data_dir: Path | None) -> Data:
    """Load the built-in data set of a run by its name, and check that the data are those of the run."""
    try:
        data = load_data(run.result.dataset, data_dir)
    except SettingError as error:
        if run.folder.is_file():
            raise RunError(f"{run.folder} does not say where {run.result.dataset!r} is: {_ADVICE}") from error
        raise RunError(
            f"{run.folder} was trained on the arrays {run.result.dataset!r}, which are not stored: in Python, pass "
            "them to twofold.evaluate(run.net, ...) and twofold.draw(run, data)"
        ) from error
    if data.fingerprint != run.result.fingerprint:
        raise RunError(f"{run.folder} was trained on other data than this copy of {data.name}: check --data-dir")
    return data
