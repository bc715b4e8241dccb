"""Run folders: their files, locks and integrity checks.

config.json              recipe, settings, data, device, precision, machine
metrics.jsonl            one line per epoch
checkpoint.safetensors   training state, written after each epoch and removed when the run is complete
weights.safetensors      the trained net (its ``state_dict``)
result.json              measured results
.lock                    lock of the process that is training in the folder
at-rest/                 layers on disk, during training with --offload

Each file contains a digest of its content. A safetensors file whose digest does not match is rejected as damaged. A
text file that was edited is read with a warning, but training does not resume from it.
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
from twofold.training.config import Config, current_name, reason
from twofold.training.result import Result, check_metrics
from twofold.training.trainer import History, Trainer

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""Error numbers of file systems without locks, such as some network shares."""

RUNS = Path("runs")
"""Default parent folder of runs."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of a training run.

    Attributes:
        path: path of the folder.
    """

    path: Path

    @property
    def checkpoint(self) -> Path:
        """Path of the checkpoint."""
        return self.path / "checkpoint.safetensors"

    @property
    def weights(self) -> Path:
        """Path of the weights of the trained net."""
        return self.path / "weights.safetensors"

    @property
    def at_rest(self) -> Path:
        """Path of the folder for layers that are kept on disk during training with --offload."""
        return self.path / "at-rest"

    @property
    def complete(self) -> bool:
        """True if training has finished."""
        return (self.path / "result.json").exists()

    @property
    def free(self) -> bool:
        """True if a new run may use the folder.

        This is so if the folder does not exist, is empty, or has a run that ended before its first checkpoint.
        """
        if not self.path.is_dir():
            return not self.path.exists()
        killed = {".lock", self.at_rest.name, *(path.name for path in self.path.glob(f".*{UNFINISHED}"))}
        left = {path.name for path in self.path.iterdir()} - killed
        trained = {self.checkpoint.name, self.weights.name, "result.json"}
        return not left or ("config.json" in left and not left & trained)

    # ---- claiming ----------------------------------------------------------------------------------------------

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Create the folder if necessary, and lock it during training. Locks of dead processes are ignored.

        Raises:
            InUse: the folder is locked by another training run, in another process or in this one.
            RunError: the folder cannot be created, or is neither empty nor a run folder.
        """
        if not self.free and not (self.path / "config.json").exists():
            raise RunError(f"{self.path} is not empty and not a run folder: choose another --run")
        with locked(self.path, "training run", "--run"):
            yield

    def open(self, config: Config, resume: bool) -> None:
        """Prepare the locked folder for training, and remove unfinished files of killed processes.

        Args:
            config: description of the training run.
            resume: if True, the folder may already contain this training run.

        Raises:
            RunError: the folder contains a run and ``resume`` is False, or it contains another run, or a file in it was
                edited.
        """
        if self.free:
            pass
        elif not resume:
            raise RunError(f"{self.path} exists and is not empty: add --resume to continue it, or choose another --run")
        else:
            self._expect(self.config(strict=True), config)
            self.history(strict=True)
        sweep(self.path)
        self.clear()
        if self.complete:
            self.checkpoint.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the files of layers that were moved to disk."""
        shutil.rmtree(self.at_rest, ignore_errors=True)

    def how_to_resume(self) -> str:
        """Return a message that explains how to resume the interrupted run."""
        if not self.checkpoint.exists():
            return f"interrupted in the first epoch; nothing is saved in {self.path}: start again"
        return (
            f"interrupted; epoch {len(self.history())} is saved in {self.path}: to continue, repeat the command with "
            f"--run {self.path} --resume (in Python, resume=True)"
        )

    def matches(self, config: Config) -> bool:
        """Return True if the folder contains the training run that ``config`` describes."""
        try:
            self._expect(self.config(strict=True), config)
        except RunError:
            return False
        return True

    def _expect(self, config: Config, wanted: Config) -> None:
        """Raise a `RunError` if ``config``, read from the folder, and ``wanted`` differ in `Config.identity`."""
        identity = config.identity
        for key, value in wanted.identity.items():
            if identity.get(key) != value:
                raise RunError(
                    f"{self.path} contains a run with {key} = {identity.get(key)}, not {value}: "
                    "resume with the original settings, or choose another --run"
                )

    # ---- writing -----------------------------------------------------------------------------------------------

    def begin(self, config: Config) -> None:
        """Write ``config.json`` for a new training run."""
        write_signed(self.path / "config.json", config.to_json())

    def save(self, trainer: Trainer, environments: list[dict[str, Any]]) -> None:
        """Write a checkpoint, and the metrics of all epochs.

        The checkpoint also includes the metrics, so `restore` finds both in a consistent state.

        Args:
            trainer: trainer at the end of an epoch.
            environments: software versions and machine of each session of the run, oldest first. A session ends when
                the run is interrupted.
        """
        method = trainer.method
        tensors = {**method.tensors(), "generator": method.generator.get_state()}
        facts = {"history": trainer.history, "batches_seen": method.batches_seen, "environments": environments}
        checkpoint.write(self.checkpoint, tensors, facts)
        self._write_metrics(trainer.history)

    def restore(self, trainer: Trainer) -> list[dict[str, Any]] | None:
        """Restore the state of a trainer from the last checkpoint.

        Returns:
            Software versions and machine of each session of the run so far, as passed to `save`; ``None`` if there is
            no checkpoint.

        Raises:
            RunError: the checkpoint is damaged or belongs to a net with another architecture.
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
            raise RunError(f"{self.checkpoint} is damaged ({error}): delete it and train again") from error
        method.batches_seen, trainer.history = batches, History(history)
        self._write_metrics(history)
        return environments or [self.config().environment]

    def finish(self, result: Result, weights: dict[str, Tensor]) -> None:
        """Complete the run: write the weights and the result, and remove the checkpoint."""
        checkpoint.write(self.weights, weights, {"name": result.recipe})
        write_signed(self.path / "result.json", result.to_json())
        self.checkpoint.unlink(missing_ok=True)

    def _write_metrics(self, history: list[dict[str, Any]]) -> None:
        """Write ``metrics.jsonl`` with one line per epoch.

        The digest of a line covers this line and all earlier lines.
        """
        text = ""
        for metrics in history:
            text += sign(metrics, before=text) + "\n"
        write_bytes(self.path / "metrics.jsonl", text.encode())

    # ---- reading -----------------------------------------------------------------------------------------------

    def config(self, strict: bool = False) -> Config:
        """Read ``config.json``.

        Args:
            strict: if True, raise a `RunError` for a file that was edited; otherwise issue a `Remark`.

        Raises:
            RunError: the file is missing, damaged, or written by a newer version.
        """
        path = self.path / "config.json"
        if not path.exists():
            raise RunError(f"{self.path} is not a run folder (no config.json): give one made by `twofold train`")
        content, intact = read_signed(path)
        try:
            config = Config.from_json(content)
            _ = config.recipe
        except TypeError as error:
            raise RunError(f"{path} does not describe a run ({reason(error)}): it is damaged; train again") from error
        except RunError as error:
            raise RunError(f"{path}: {error}") from error
        _check_intact(path, intact, config.format, strict)
        return config

    def result(self, strict: bool = False) -> Result:
        """Read ``result.json``.

        Args:
            strict: see `config`.

        Raises:
            RunError: the run is not complete, or the result is damaged.
        """
        config = self.config(strict)
        if not self.complete:
            name = "" if config.source else f"{config.name} "
            raise RunError(f"{self.path} is not complete: resume with `twofold train {name}--run {self.path} --resume`")
        path = self.path / "result.json"
        content, intact = read_signed(path)
        try:
            result = Result.from_json(content)
        except (AttributeError, TypeError) as error:
            raise RunError(f"{path} is not a valid result ({reason(error)}): it is damaged; train again") from error
        _check_intact(path, intact, config.format, strict)
        return result

    def history(self, strict: bool = False) -> list[dict[str, Any]]:
        """Read the metrics of each epoch from ``metrics.jsonl``. The list is empty before the end of the first epoch.

        Args:
            strict: see `config`.

        Raises:
            RunError: the metrics are damaged or, in a complete run, missing.
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
        _check_intact(path, intact and text == before, config.format, strict)
        return history


class InUse(RunError):
    """Error: the folder is locked by another process, or by another thread of this process."""


@contextmanager
def locked(folder: Path, work: str, option: str) -> Iterator[None]:
    """Create a folder if necessary, and lock it within the context. Locks of dead processes are ignored.

    Args:
        folder: the folder. If it is empty when the context exits, it is removed.
        work: description of the work in the folder, such as ``"study"``, for error messages.
        option: command-line option that sets the folder, such as ``"--run"``, for error messages.

    Raises:
        InUse: the folder is locked.
        RunError: the folder cannot be created.
    """
    lock = FileLock(folder / ".lock", blocking=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        message = f"{folder} is in use by another {work}: wait until it ends, or choose another {option}"
        raise InUse(message) from error
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        if getattr(error, "errno", None) not in NO_LOCKS:
            raise RunError(f"cannot start a {work} in {folder} ({cause}): choose another {option}") from error
        remark(f"{folder} is on a file system without locks ({cause}): do not start a second {work} in it")
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / ".lock").unlink()  # a process that has the lock file open notices this and tries again
            folder.rmdir()
        lock.release()


@contextmanager
def claimed(folder: Path | None, config: Config, resume: bool) -> Iterator[RunFolder]:
    """Lock a run folder within the context, and prepare it for training.

    Args:
        folder: the folder. With ``None``, it is selected from ``runs/NAME-seedN``, ``runs/NAME-seedN-2``, ...: the
            first free one or, to resume, the last one that contains this run.
        config: description of the training run.
        resume: if True, the folder may already contain this training run, which is then resumed.

    Raises:
        RunError: the folder is in use or contains another run.
    """
    if folder is not None:
        candidates: Iterator[RunFolder] = iter([RunFolder(folder)])
    else:
        candidates = _to_resume(config) if resume else filter(lambda candidate: candidate.free, _numbered(config))
    for candidate in candidates:
        try:
            with candidate.lock():
                if folder is None and not resume and not candidate.free:
                    continue  # another process has used it in the meantime
                candidate.open(config, resume)
                yield candidate
                return
        except InUse:
            if folder is not None or resume:
                raise


def _numbered(config: Config) -> Iterator[RunFolder]:
    """Yield the run folders ``runs/NAME-seedN``, ``runs/NAME-seedN-2``, ..., which may not exist."""
    name = f"{config.name}-seed{config.recipe.seed}"
    return (RunFolder(RUNS / (name if number == 1 else f"{name}-{number}")) for number in count(1))


def _to_resume(config: Config) -> Iterator[RunFolder]:
    """Yield one run folder: the last one that contains the training run that ``config`` describes.

    If no folder contains it, yield the last existing folder, so that the error message states how the runs differ. If
    no folder exists, yield a new one.
    """
    runs = [*takewhile(lambda entry: entry.path.exists(), _numbered(config))][::-1]
    yield next((entry for entry in runs if entry.matches(config)), runs[0] if runs else next(_numbered(config)))


def _check_intact(path: Path, intact: bool | None, version: int, strict: bool) -> None:
    """Issue a `Remark` if a file was edited, or raise a `RunError` if ``strict`` is True.

    Args:
        path: the file.
        intact: True if the digest matches; ``None`` if the file has no digest, as in format 1.
        version: format of the run folder; see `FORMAT`.
        strict: if True, raise an error; otherwise issue a remark.
    """
    if intact or (intact is None and version == 1):
        return
    message = f"{path} was edited after it was written (its digest does not match)"
    if strict:
        raise RunError(f"{message}; restore the original, or train again with another --run")
    remark(message)
