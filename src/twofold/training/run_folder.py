"""A run folder: what lies in it, and that nothing in it is damaged, overwritten or taken for something else.

config.json              recipe, settings, data, device, precision, machine
metrics.jsonl            one line an epoch
checkpoint.safetensors   everything needed to go on, after each epoch; gone when the run is complete
weights.safetensors      the trained net (its ``state_dict``)
result.json              what was measured
.lock                    held by the process that trains here
at-rest/                 layers at rest on disk, while they are trained with --offload

Every file carries a digest of its own content. A file of tensors that does not fit its digest is damaged. A text that
was changed since it was written is named when it is read, and not resumed from.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch import Tensor

from twofold import checkpoint
from twofold.checks import convert
from twofold.errors import ArgumentError, RunError, remark
from twofold.files import UNFINISHED, check_signature, read_signed, read_text, sign, sweep, write_bytes, write_signed
from twofold.training.config import FORMAT, Config, current_name, reason
from twofold.training.result import Result, check_metrics
from twofold.training.trainer import History, Trainer

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""Errors that say that there are no locks here, as on some network shares."""

RUNS = Path("runs")
"""Where runs lie for which no folder was named."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run.

    Attributes:
        path: where it lies.
    """

    path: Path

    @property
    def checkpoint(self) -> Path:
        """The file to resume from."""
        return self.path / "checkpoint.safetensors"

    @property
    def weights(self) -> Path:
        """The trained net."""
        return self.path / "weights.safetensors"

    @property
    def at_rest(self) -> Path:
        """The folder of layers at rest."""
        return self.path / "at-rest"

    @property
    def complete(self) -> bool:
        """Whether the training has come to its end."""
        return (self.path / "result.json").exists()

    @property
    def free(self) -> bool:
        """Whether a training may begin here: there is nothing, or only a start that never got to a checkpoint."""
        if not self.path.is_dir():
            return not self.path.exists()
        killed = {".lock", self.at_rest.name, *(path.name for path in self.path.glob(f".*{UNFINISHED}"))}
        left = {path.name for path in self.path.iterdir()} - killed
        trained = {self.checkpoint.name, self.weights.name, "result.json"}
        return not left or ("config.json" in left and not left & trained)

    # ---- claiming ----------------------------------------------------------------------------------------------

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep all others from training here; a lock whose process is gone does not count.

        Raises:
            InUse: another process, or another training of this one, has it.
            RunError: there can be no such folder, or it holds other things than a run, and is left alone.
        """
        if not self.free and not (self.path / "config.json").exists():
            raise RunError(f"{self.path} is not empty and no run folder: choose another --run")
        with locked(self.path, "training", "--run"):
            yield

    def open(self, config: Config, resume: bool) -> None:
        """Make sure that the folder, which is locked, is free for a training or, to resume, holds this very one.

        What killed processes have left unfinished is removed.

        Raises:
            RunError: it holds something else, or was changed since it was written.
        """
        if self.free:
            pass
        elif not resume:
            raise RunError(
                f"{self.path} exists and is not empty: add --resume to go on with it, or choose another --run"
            )
        else:
            self._expect(self.config(strict=True), config)
            self.history(strict=True)
        sweep(self.path)
        self.clear()
        if self.complete:
            self.checkpoint.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the layers at rest."""
        shutil.rmtree(self.at_rest, ignore_errors=True)

    def how_to_go_on(self) -> str:
        """What to do after a training was stopped here."""
        if not self.checkpoint.exists():
            return f"interrupted before the first epoch was finished; nothing is saved in {self.path}: begin again"
        return (
            f"interrupted; epoch {len(self.history())} is saved in {self.path}: to go on, repeat the command with "
            f"--run {self.path} --resume (in Python, resume=True)"
        )

    def matches(self, config: Config) -> bool:
        """Whether the folder holds this very training."""
        try:
            self._expect(self.config(strict=True), config)
        except RunError:
            return False
        return True

    def _expect(self, found: Config, wanted: Config) -> None:
        """Raise unless the folder's training is the one that is asked for."""
        had = found.identity
        for key, value in wanted.identity.items():
            if had.get(key) != value:
                raise RunError(
                    f"{self.path} holds a training with {key} = {had.get(key)}, asked for is {value}: "
                    "resume with the settings it was started with, or choose another --run"
                )

    # ---- writing -----------------------------------------------------------------------------------------------

    def begin(self, config: Config) -> None:
        """Write the settings of a new training."""
        write_signed(self.path / "config.json", config.to_json())

    def save(self, trainer: Trainer, environments: list[dict[str, Any]]) -> None:
        """Write a checkpoint. It holds the history of metrics too, so that the two can never disagree.

        Args:
            trainer: at the end of an epoch.
            environments: versions and machine of each part of the training, the newest last.
        """
        method = trainer.method
        tensors = {**method.tensors(), "generator": method.generator.get_state()}
        facts = {"history": trainer.history, "batches_seen": method.batches_seen, "environments": environments}
        checkpoint.write(self.checkpoint, tensors, facts)
        self._write_metrics(trainer.history)

    def restore(self, trainer: Trainer) -> list[dict[str, Any]] | None:
        """Bring a training back to the last checkpoint.

        Returns:
            Versions and machine of each part of the training so far; ``None`` where there is no checkpoint.

        Raises:
            RunError: the checkpoint is damaged, or belongs to another architecture.
        """
        if not self.checkpoint.exists():
            return None
        tensors, facts = checkpoint.read(self.checkpoint, signed=self.config().format > 1)
        try:
            generator, method = tensors.pop("generator"), trainer.method
            history = convert("history", facts["history"], list[dict[str, Any]])
            batches = convert("batches_seen", facts["batches_seen"], int)
            environments = convert("environments", facts.get("environments", []), list[dict[str, Any]])
            tensors = {current_name(name): tensor for name, tensor in tensors.items()}
            checkpoint.fill(method.tensors(), tensors, self.checkpoint)
            method.generator.set_state(generator)
        except (KeyError, ArgumentError, RuntimeError, TypeError) as error:
            raise RunError(f"{self.checkpoint} is no checkpoint ({error}): delete it and train again") from error
        method.batches_seen, trainer.history = batches, History(history)
        self._write_metrics(history)
        return environments or [self.config().environment]

    def finish(self, result: Result, weights: dict[str, Tensor]) -> None:
        """Write the net and what was measured; from now on the run is complete."""
        checkpoint.write(self.weights, weights, {"name": result.recipe})
        write_signed(self.path / "result.json", result.to_json())
        self.checkpoint.unlink(missing_ok=True)

    def _write_metrics(self, history: list[dict[str, Any]]) -> None:
        """A line an epoch; the digest of each covers the lines before it too."""
        text = ""
        for metrics in history:
            text += sign(metrics, before=text) + "\n"
        write_bytes(self.path / "metrics.jsonl", text.encode())

    # ---- reading -----------------------------------------------------------------------------------------------

    def config(self, strict: bool = False) -> Config:
        """Which training it is.

        Args:
            strict: whether a file that was changed since it was written is refused, and not only named.

        Raises:
            RunError: there is no config.json, which means no run folder, or it is damaged, or of a newer version.
        """
        path = self.path / "config.json"
        if not path.exists():
            raise RunError(f"{self.path} is no run folder (it has no config.json): give one made by `twofold train`")
        content, intact = read_signed(path)
        if isinstance(content.get("format"), int) and content["format"] > FORMAT:
            raise RunError(
                f"{self.path} was written by a newer version of twofold (format {content['format']}, this one reads "
                f"up to {FORMAT}): update twofold"
            )
        try:
            config = Config.from_json(content)
            _ = config.recipe
        except TypeError as error:
            raise RunError(f"{path} does not describe a run ({reason(error)}): it is damaged; train again") from error
        except RunError as error:
            raise RunError(f"{path}: {error}") from error
        _name_change(path, intact, config.format, strict)
        return config

    def result(self, strict: bool = False) -> Result:
        """Read the result; ``strict`` as for `config`.

        Raises:
            RunError: the run is not complete, or its result is damaged.
        """
        config = self.config(strict)
        if not self.complete:
            name = "" if config.source else f"{config.name} "
            raise RunError(f"{self.path} is not complete: go on with `twofold train {name}--run {self.path} --resume`")
        path = self.path / "result.json"
        content, intact = read_signed(path)
        try:
            result = Result.from_json(content)
        except (AttributeError, TypeError) as error:
            raise RunError(f"{path} is no result of a run ({reason(error)}): it is damaged; train again") from error
        _name_change(path, intact, config.format, strict)
        return result

    def history(self, strict: bool = False) -> list[dict[str, Any]]:
        """The metrics of each epoch; ``strict`` as for `config`. There are none before the first epoch.

        Raises:
            RunError: they are damaged or, in a complete run, missing.
        """
        path = self.path / "metrics.jsonl"
        if not path.exists() and not self.complete:
            return []
        text, before, history = read_text(path), "", []
        intact: bool | None = True
        for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
            metrics, same = check_signature(line, path, before=before)
            try:
                check_metrics(metrics)
            except ArgumentError as error:
                raise RunError(f"{path} is damaged in line {number} ({error}): train again") from error
            if metrics.get("epoch") != number:
                raise RunError(f"{path} has no epoch {number} in line {number}: it is damaged; train again")
            intact = same and intact
            before += line + "\n"
            history.append(metrics)
        config = self.config(strict)
        if self.complete and len(history) != config.recipe.epochs:
            raise RunError(f"{path} has {len(history)} of {config.recipe.epochs} epochs: it is damaged; train again")
        _name_change(path, intact and text == before, config.format, strict)
        return history


class InUse(RunError):
    """A folder in which another process, or another thread of this one, is at work."""


@contextmanager
def locked(folder: Path, work: str, option: str) -> Iterator[None]:
    """Keep all others from working in a folder, which is made; a lock whose process is gone does not count.

    Args:
        folder: which; where nothing came of the work it is removed.
        work: what is done there, in a word.
        option: that names another folder.

    Raises:
        InUse: another has it.
        RunError: there can be no such folder.
    """
    lock = FileLock(folder / ".lock", blocking=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        said = f"{folder} is in use by another {work}: wait until it ends, or choose another {option}"
        raise InUse(said) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        if getattr(error, "errno", None) not in NO_LOCKS:
            raise RunError(f"cannot begin a {work} in {folder} ({why}): choose another {option}") from error
        remark(f"{folder} lies where files cannot be locked ({why}): start no second {work} in it")
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / ".lock").unlink()  # whoever has opened it already finds that it is gone, and tries again
            folder.rmdir()
        lock.release()


@contextmanager
def claimed(folder: Path | None, config: Config, resume: bool) -> Iterator[RunFolder]:
    """Lock a run folder for a training, and make sure that it is free for it or, to resume, holds this very one.

    Args:
        folder: which; ``None`` takes the first of ``runs/NAME-seedN``, ``runs/NAME-seedN-2``, ... that is free and, to
            resume, the last of them that holds this training.
        config: the training.
        resume: whether to go on with what the folder holds.

    Raises:
        RunError: the folder is in use, or holds something else.
    """
    if folder is not None:
        homes: Iterator[RunFolder] = iter([RunFolder(folder)])
    else:
        homes = _to_resume(config) if resume else filter(lambda home: home.free, _numbered(config))
    for home in homes:
        try:
            with home.lock():
                if folder is None and not resume and not home.free:
                    continue  # somebody has trained here since it was looked at
                home.open(config, resume)
                yield home
                return
        except InUse:
            if folder is not None or resume:
                raise


def _numbered(config: Config) -> Iterator[RunFolder]:
    """``runs/NAME-seedN``, ``runs/NAME-seedN-2``, ..."""
    name = f"{config.name}-seed{config.recipe.seed}"
    return (RunFolder(RUNS / (name if number == 1 else f"{name}-{number}")) for number in count(1))


def _to_resume(config: Config) -> Iterator[RunFolder]:
    """The last run that is this training; else the last one, which will say why it is another; else a free folder."""
    there = [*takewhile(lambda home: home.path.exists(), _numbered(config))][::-1]
    yield next((home for home in there if home.matches(config)), there[0] if there else next(_numbered(config)))


def _name_change(path: Path, intact: bool | None, written_as: int, strict: bool) -> None:
    """Say so if a file was changed since it was written; refuse it if ``strict``."""
    if intact or (intact is None and written_as == 1):
        return
    said = f"{path} was changed since it was written: its content does not have its digest"
    if strict:
        raise RunError(f"{said}; put the original back, or train again with another --run")
    remark(said)
