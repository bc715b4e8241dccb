"""Storage of finished trials in their run folders, and the lock and identity of the study folder.

When a trial is finished, the file ``outcome.json`` is written to the run folder of the trial. If a run folder has no
such file, the trial is trained, or resumed from its last epoch. Only the process that holds the lock of the study
folder writes these files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from twofold.errors import RunError
from twofold.files import UNFINISHED, read_signed, sweep, write_signed
from twofold.training.run_folder import locked
from twofold.tuning.choice import MORE_SEEDS, Tried
from twofold.tuning.plan import Side

Identity = Mapping[str, Any]
"""Settings and data of a study: name -> JSON-compatible value. To resume a study, all of them must be unchanged."""


class Store:
    """The finished trials of a study folder, which are read from the run folders.

    Args:
        folder: Study folder, which must be locked.
        sides: The recipes that are tuned.

    Raises:
        RunError: A file ``outcome.json`` was edited after it was written.
    """

    def __init__(self, folder: Path, sides: list[Side]) -> None:
        self.folder = folder
        self._tried: dict[str, dict[int, Tried]] = {side.name: {} for side in sides}
        for side in sides:
            for number in range(len(side.plan) * (1 + MORE_SEEDS)):
                if (path := self._outcome(side, number)).exists():
                    content, intact = read_signed(path)
                    if not intact:
                        raise RunError(
                            f"{path} was edited after it was written: delete {path.parent} to repeat the trial"
                        )
                    self._tried[side.name][number] = Tried(**content)

    def run_folder(self, side: Side, number: int) -> Path:
        """Return the run folder of a trial."""
        return self.folder / "trials" / f"{side.name}-{number:03}"

    def tried(self, side: Side) -> list[Tried]:
        """Return the finished trials of a recipe, ordered by number."""
        return [trial for _, trial in sorted(self._tried[side.name].items())]

    def add(self, side: Side, trial: Tried) -> None:
        """Add a finished trial of a recipe, and write ``outcome.json`` to the run folder of the trial.

        Raises:
            RunError: The file cannot be written.
        """
        path = self._outcome(side, trial.number)
        try:
            write_signed(path, asdict(trial))
        except RunError as error:
            raise RunError(
                f"cannot write {path} ({error.__cause__}); finished trials are kept: free some disk space, then repeat "
                "the command"
            ) from error
        self._tried[side.name][trial.number] = trial

    def _outcome(self, side: Side, number: int) -> Path:
        return self.run_folder(side, number) / "outcome.json"


@contextmanager
def claimed(folder: Path, identity: Identity) -> Iterator[None]:
    """Lock a study folder within the context, and check that it is new or contains the study with ``identity``.

    Raises:
        RunError: The folder is in use, or contains another study or other files.
    """
    path = folder / "study.json"
    if folder.is_dir() and not path.exists():
        files = {file.name for file in folder.iterdir()} - {
            ".lock",
            *(file.name for file in folder.glob(f".*{UNFINISHED}")),
        }
        if files:
            raise RunError(f"{folder} is neither empty nor a study folder: choose another --study")
    with locked(folder, "study", "--study"):
        sweep(folder)
        if path.exists():
            _expect(path, identity)
        else:
            write_signed(path, identity)
        yield


def _expect(path: Path, identity: Identity) -> None:
    """Raise a `RunError` unless the file ``path``, the ``study.json`` of a study folder, contains ``identity``."""
    stored, intact = read_signed(path)
    if not intact:
        raise RunError(f"{path} was edited after it was written: restore the original, or choose another --study")
    for key in dict.fromkeys([*identity, *stored]):
        actual, wanted = stored.get(key), identity.get(key)
        if actual != wanted:
            raise RunError(
                f"{path.parent} contains a study with {key} = {actual}, expected {wanted}: repeat the command that "
                "started it, or choose another --study"
            )
