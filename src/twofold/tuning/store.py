"""Where trials are kept: optuna's journal, with one study for each side, and the lock and identity of their folder.

Workers never write here. The one process that has the folder's lock appends to the journal, so that no lock of optuna's
own is needed, which a killed process would leave behind. Each line is one operation, written at once. The half of a
line that a crash or a full disk leaves was no operation, and is cut off.

A trial is planned (WAITING), at work (RUNNING), done (COMPLETE) or diverged (FAIL). One that was at work when the
process was killed is still RUNNING, and is gone on with under its own number: none is retried under another, as
optuna's heartbeats would do, and none is drawn twice.
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
"""What makes a study this one, in words and values that JSON can hold."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Unlocked(JournalFileOpenLock):
    """No lock of the journal's own: the folder has one."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None


class Store:
    """The trials of a study folder.

    Args:
        folder: which is locked.
        sides: what is tuned.
    """

    def __init__(self, folder: Path, sides: list[Side]) -> None:
        self.folder = folder
        self.journal = folder / "journal.log"
        with self._said():
            _cut_off_half_a_line(self.journal)
            storage = JournalStorage(JournalFileBackend(str(self.journal), lock_obj=Unlocked(str(self.journal))))
            self.studies = {
                side.name: optuna.create_study(storage=storage, study_name=side.name, load_if_exists=True)
                for side in sides
            }

    def trials(self, side: Side) -> list[FrozenTrial]:
        """All trials of a side, by number."""
        return self.studies[side.name].get_trials(deepcopy=False)

    def add(self, side: Side, settings: Settings, seed: int) -> None:
        """Plan a trial."""
        spread = {
            field: distribution([*values, *(each[field] for each in side.plan)])
            for field, values in side.values.items()
        }
        with self._said():
            self.studies[side.name].add_trial(
                create_trial(state=TrialState.WAITING, params=settings, distributions=spread, user_attrs={"seed": seed})
            )

    def begin(self, side: Side) -> int:
        """Take the first planned trial; its number."""
        with self._said():
            return self.studies[side.name].ask().number

    def end(self, side: Side, number: int, error: float | None, facts: Mapping[str, Any]) -> None:
        """Keep the error of a trial, or ``None`` where it diverged, and other facts about it."""
        study = self.studies[side.name]
        with self._said():
            trial = optuna.trial.Trial(study, self.trials(side)[number]._trial_id)
            trial.set_user_attr("facts", dict(facts))
            study.tell(number, error, TrialState.FAIL if error is None else TrialState.COMPLETE)

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Say in one line what is wrong with the journal."""
        try:
            yield
        except OSError as error:
            raise RunError(
                f"cannot write {self.journal}: {error.strerror or error}; the trials that it holds are kept: free some "
                "space, then repeat the command"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{self.journal} cannot be read ({' '.join(str(error).split())}): it is damaged; choose another --study"
            ) from error


def distribution(values: list[Any]) -> BaseDistribution:
    """The range of values, as optuna draws it: on a logarithmic axis where all are above zero."""
    if all(isinstance(each, int) and not isinstance(each, bool) for each in values):
        return IntDistribution(min(values), max(values))
    if all(isinstance(each, float) for each in values):
        return FloatDistribution(min(values), max(values), log=min(values) > 0)
    return CategoricalDistribution(list(dict.fromkeys(values)))


def _cut_off_half_a_line(path: Path) -> None:
    if path.exists():
        with path.open("rb+") as file:
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)


@contextmanager
def claimed(folder: Path, identity: Identity) -> Iterator[None]:
    """Lock a study folder, and make sure that it is new or holds this very study.

    Raises:
        RunError: it is in use, or holds something else.
    """
    path = folder / "study.json"
    if folder.is_dir() and not path.exists():
        left = {each.name for each in folder.iterdir()} - {
            ".lock",
            *(each.name for each in folder.glob(f".*{UNFINISHED}")),
        }
        if left:
            raise RunError(f"{folder} is not empty and no study folder: choose another --study")
    with locked(folder, "study", "--study"):
        sweep(folder)
        if path.exists():
            _expect(path, identity)
        else:
            write_signed(path, identity)
        yield


def _expect(path: Path, identity: Identity) -> None:
    """Raise unless ``study.json`` says that this study is the one that is asked for."""
    found, intact = read_signed(path)
    if not intact:
        raise RunError(f"{path} was changed since it was written: put the original back, or choose another --study")
    for key in dict.fromkeys([*identity, *found]):
        had, wanted = found.get(key), identity.get(key)
        if had != wanted:
            raise RunError(
                f"{path.parent} holds a study with {key} = {had}, asked for is {wanted}: repeat the command that "
                "began it, or choose another --study"
            )
