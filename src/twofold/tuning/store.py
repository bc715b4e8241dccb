"""Storage of trials in an optuna journal with one study per side, and the lock and identity of the study folder.

Only the process that holds the folder's lock appends to the journal; workers never write to it. A lock of optuna, which
a killed process would leave behind, is therefore not needed. Each line of the journal is one operation. An incomplete
last line, left by a crash or a full disk, is removed.

A trial is planned (WAITING), in progress (RUNNING), finished (COMPLETE) or diverged (FAIL). If the process is killed, a
trial in progress remains RUNNING and is resumed later under the same number. Unlike with optuna's heartbeats, no trial
is retried under another number or planned twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial

from twofold.errors import RunError
from twofold.files import UNFINISHED, read_signed, sweep, write_signed
from twofold.training.run_folder import locked
from twofold.tuning.plan import Settings, Side

Identity = Mapping[str, Any]
"""Values that identify a study, in a form that can be written as JSON."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Unlocked(JournalFileOpenLock):
    """A lock that does nothing, since the folder is locked."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None


class Store:
    """The trials of a study folder.

    Args:
        folder: Study folder, which must be locked.
        sides: The recipes that are tuned.
    """

    def __init__(self, folder: Path, sides: list[Side]) -> None:
        self.folder = folder
        self.journal = folder / "journal.log"
        with self._one_line_errors():
            _remove_incomplete_line(self.journal)
            storage = JournalStorage(JournalFileBackend(str(self.journal), lock_obj=Unlocked(str(self.journal))))
            self.studies = {
                side.name: optuna.create_study(storage=storage, study_name=side.name, load_if_exists=True)
                for side in sides
            }

    def trials(self, side: Side) -> list[FrozenTrial]:
        """Return all trials of a side, ordered by number."""
        return self.studies[side.name].get_trials(deepcopy=False)

    def add(self, side: Side, settings: Settings, seed: int) -> None:
        """Plan a trial."""
        ranges = {
            field: distribution([*values, *(settings[field] for settings in side.plan)])
            for field, values in side.values.items()
        }
        with self._one_line_errors():
            self.studies[side.name].add_trial(
                create_trial(state=TrialState.WAITING, params=settings, distributions=ranges, user_attrs={"seed": seed})
            )

    def begin(self, side: Side) -> int:
        """Start the first planned trial, and return its number."""
        with self._one_line_errors():
            return self.studies[side.name].ask().number

    def end(self, side: Side, number: int, error: float | None, facts: Mapping[str, Any]) -> None:
        """Store the error of a trial, or ``None`` if it diverged, and other facts about it."""
        study = self.studies[side.name]
        with self._one_line_errors():
            trial = optuna.trial.Trial(study, self.trials(side)[number]._trial_id)
            trial.set_user_attr("facts", dict(facts))
            study.tell(number, error, TrialState.FAIL if error is None else TrialState.COMPLETE)

    @contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        """Convert errors of the journal to errors of one line."""
        try:
            yield
        except OSError as error:
            raise RunError(
                f"cannot write {self.journal}: {error.strerror or error}; finished trials are kept: free some disk "
                "space, then repeat the command"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{self.journal} is damaged ({' '.join(str(error).split())}): choose another --study"
            ) from error


def distribution(values: list[Any]) -> BaseDistribution:
    """Return optuna's distribution for the range of values; it is logarithmic for floats above zero."""
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return IntDistribution(min(values), max(values))
    if all(isinstance(value, float) for value in values):
        return FloatDistribution(min(values), max(values), log=min(values) > 0)
    return CategoricalDistribution(list(dict.fromkeys(values)))


def _remove_incomplete_line(path: Path) -> None:
    if path.exists():
        with path.open("rb+") as file:
            end = file.read().rfind(b"\n") + 1
            file.truncate(end)


@contextmanager
def claimed(folder: Path, identity: Identity) -> Iterator[None]:
    """Lock a study folder, and verify that it is new or contains the study with this identity.

    Raises:
        RunError: The folder is in use, or contains something else.
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
    """Raise an error unless ``study.json`` contains the expected identity."""
    stored, intact = read_signed(path)
    if not intact:
        raise RunError(f"{path} was modified after it was written: restore the original, or choose another --study")
    for key in dict.fromkeys([*identity, *stored]):
        actual, wanted = stored.get(key), identity.get(key)
        if actual != wanted:
            raise RunError(
                f"{path.parent} contains a study with {key} = {actual}, expected {wanted}: repeat the command that "
                "started it, or choose another --study"
            )
