"""The data of a run, read again from where they came from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from twofold.checks import typed
from twofold.data import Data
from twofold.data import load as load_data
from twofold.data.source import Source
from twofold.errors import RunError, SettingError
from twofold.training.runs import Run


@typed
def held_out(run: Run, data_dir: Path | None = None, place: Path | None = None) -> Data:
    """The data a run was trained on, its test part being what the run was tested on.

    Args:
        run: the run.
        data_dir: a folder with data sets, looked in first.
        place: where data of one's own lie now, if no longer where they were read from.

    Raises:
        RunError: the data on this machine are not the ones of the run, or are gone, or were arrays.
        DataError: they cannot be read.
    """
    data = read_again(run.source, run.folder, run.result.fingerprint, place) or _named(run, data_dir)
    return data.hold_out(run.recipe.validation) if run.recipe.validation else data


_ELSE = "use the run folder that it was made of, or twofold.evaluate(run.net, ...) in Python"
"""What to do with the one file of a run, which does not say where data of one's own lie on somebody's machine."""


def read_again(source: Source | None, folder: Path, fingerprint: str, place: Path | None = None) -> Data | None:
    """Read the data of a run from where they came from; ``None`` where that is no place of one's own.

    Raises:
        RunError: they are gone, or have changed.
        DataError: they cannot be read.
        SettingError: a place is given for data that came from none.
    """
    if source is None:
        if place is not None:
            why = "does not say how its data were read" if folder.is_file() else "was not trained on data of your own"
            raise SettingError(
                f"--data is {place}, but {folder} {why}: {_ELSE if folder.is_file() else 'leave it away'}"
            )
        return None
    there = source.at(place) if place else source
    for path, done in ((there.path, "trained"), (there.test, "tested")):
        if path and not Path(path).exists():
            raise RunError(f"{folder} was {done} on {path}, which is not there: say where the data are with --data")
    data = replace(there.read(), name=source.name)
    if data.fingerprint != fingerprint:
        raise RunError(
            f"{there.path} has changed since {folder} was trained on it: put back what was there, or train anew"
        )
    return data


def _named(run: Run, data_dir: Path | None) -> Data:
    """The data set that the recipe of a run names."""
    try:
        data = load_data(run.result.dataset, data_dir)
    except SettingError as error:
        if run.folder.is_file():
            raise RunError(f"{run.folder} does not say where its data {run.result.dataset!r} lay: {_ELSE}") from error
        raise RunError(
            f"{run.folder} was trained on the arrays {run.result.dataset!r}, which lie in no file: in Python, give "
            "them to twofold.evaluate(run.net, ...) and twofold.draw(run, data)"
        ) from error
    if data.fingerprint != run.result.fingerprint:
        raise RunError(f"{run.folder} was trained on other data than the {data.name} found here: check --data-dir")
    return data
