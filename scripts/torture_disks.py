"""Train on a disk that is full, from the beginning or from a random moment."""

from __future__ import annotations

import random
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from torture_processes import (
    TRAININGS,
    Ended,
    Reference,
    Tally,
    check_complete,
    finished_epochs,
    left_over,
    lost,
    train,
)

from twofold import checkpoint
from twofold.errors import TwofoldError
from twofold.training.run_folder import RunFolder

SPARE = 64 * 1024
"""Size of a small disk, in bytes, in addition to twice the space that a training run needs."""


def can_mount() -> bool:
    """Return True if this process may mount disks. If not, the checks limit the size of files instead."""
    with (
        tempfile.TemporaryDirectory() as folder,
        suppress(OSError, subprocess.CalledProcessError),
        _disk(folder, SPARE),
    ):
        return True
    return False


@contextmanager
def _disk(folder: str, size: int) -> Iterator[Path]:
    """Mount a disk of ``size`` bytes at ``folder``, and unmount it at the end."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield Path(folder)
    finally:
        subprocess.run(["umount", folder], check=True, capture_output=True)


def full_disks(name: str, expected: Reference, words: Sequence[str], number: int, seed: int) -> Tally:
    """Train until the disk is full, ``number`` times; then free some space and resume."""
    tally, draw, mounted = Tally(), random.Random(seed), can_mount()
    while tally.tried["full disks"] < number:
        with tempfile.TemporaryDirectory() as folder:
            if mounted:
                with _disk(folder, 2 * expected.most + SPARE) as disk:
                    ended = _train_until_full(name, expected, words, draw, disk)
                    _resume(name, expected, words, ended, disk, tally)
            else:
                limit = int(draw.uniform(0, expected.most / 2))
                ended = train(TRAININGS[name], Path(folder), *words, file_size=limit).end()
                _resume(name, expected, words, ended, Path(folder), tally)
    return tally


def _train_until_full(name: str, expected: Reference, words: Sequence[str], draw: random.Random, disk: Path) -> Ended:
    """Train with a random number of free bytes, or fill the disk during the training run."""
    size = 2 * expected.most + SPARE
    if draw.random() < 0.4:
        command = train(TRAININGS[name], disk, *words)
        time.sleep(draw.uniform(0, expected.seconds))
        _fill(disk / "ballast", size)
    else:
        free = draw.choice((0, draw.uniform(0, 24 * 1024), draw.uniform(0, expected.most)))
        _fill(disk / "ballast", size - int(free))
        command = train(TRAININGS[name], disk, *words)
    return command.end()


def _fill(path: Path, size: int) -> None:
    """Write ``size`` bytes, or as many as fit."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while size > 0:
            size -= file.write(bytes(min(size, 4096)))


def _resume(name: str, expected: Reference, words: Sequence[str], ended: Ended, folder: Path, tally: Tally) -> None:
    """Check that all files can be read and that, with free space, a resume completes the training run."""
    story, run, known = " ".join([name, *words]), folder / "run", finished_epochs(folder / "run")
    ended.judge({0, 1}, tally, story)
    if ended.code == 1:
        tally.tried["full disks"] += 1
        if not any("cannot" in line for line in ended.said):
            tally.blame("not one line", f"{story}: {ended.said}")
        for home in (run, run / "twin"):
            if (home / "config.json").exists():
                _check_readable(home, tally, story)
        if run.exists() and (left := left_over(run, complete=(run / "result.json").exists())):
            tally.blame("left over", f"{story}: {', '.join(left)}")
    (folder / "ballast").unlink(missing_ok=True)
    train(TRAININGS[name], folder, *words, "--resume").end().judge({0}, tally, f"{story}, resumed")
    for epoch in lost(known, finished_epochs(run)):
        tally.blame("epochs lost", f"{story}: {epoch}")
    if (run / "result.json").exists():
        check_complete(run, expected, tally, story)


def _check_readable(home: Path, tally: Tally, story: str) -> None:
    """Check that every file that a training run left on a full disk is complete."""
    left = RunFolder(home)
    try:
        left.config(strict=True)
        left.history(strict=True)
        for path in (left.checkpoint, left.weights):
            if path.exists():
                checkpoint.read(path)
    except TwofoldError as error:
        tally.blame("unreadable files", f"{story}: {error}")
