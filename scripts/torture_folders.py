"""Train in one run folder with two processes at once. One of them gets it, or each gets a new one; files never mix."""

from __future__ import annotations

import random
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from torture_processes import RIVALS, Ended, Reference, Tally, check_complete, train, train_and_kill

NAMES = list(RIVALS)


def rounds(kind: str, expected: Mapping[str, Reference], number: int, seed: int) -> Tally:
    """Start two processes ``number`` times, the second one after a random delay."""
    tally, draw = Tally(), random.Random(seed)
    for _ in range(number):
        with tempfile.TemporaryDirectory() as folder:
            KINDS[kind](expected, draw, Path(folder), tally)
        tally.tried["meetings"] += 1
    return tally


def _offset(draw: random.Random, seconds: float) -> None:
    """Wait for 0 s, for up to 0.02 s, or for up to 1.3 times the duration of a training run."""
    time.sleep(draw.choice((0, draw.uniform(0, 0.02), draw.uniform(0, 1.3 * seconds))))


def _one_wins(ended: Mapping[str, Ended], tally: Tally, story: str) -> list[str]:
    """Return the names of the commands that succeeded; record a fault if another one did not print one line."""
    for name, command in ended.items():
        command.judge({0, 1}, tally, f"{story}, {name}")
    return [name for name, command in ended.items() if command.code == 0]


def same_run(expected: Mapping[str, Reference], draw: random.Random, folder: Path, tally: Tally) -> None:
    """Train twice in the same new folder."""
    first, second = draw.sample(NAMES, 2)
    commands = {first: train(RIVALS[first], folder)}
    _offset(draw, expected[first].seconds)
    commands[second] = train(RIVALS[second], folder)
    winners = _one_wins({name: command.end() for name, command in commands.items()}, tally, "the same --run")
    if len(winners) != 1:
        tally.blame("mixed folders", f"the same --run: {len(winners)} of 2 say that they have trained in it")
    else:
        check_complete(folder / "run", expected[winners[0]], tally, "the same --run", "mixed folders")


def no_run(expected: Mapping[str, Reference], draw: random.Random, folder: Path, tally: Tally) -> None:
    """Train twice without naming a folder: each training run gets its own."""
    first, second = draw.sample(NAMES, 2)
    commands = {first: train(RIVALS[first], folder, run=None)}
    _offset(draw, expected[first].seconds)
    commands[second] = train(RIVALS[second], folder, run=None)
    for name, command in commands.items():
        command.end().judge({0}, tally, f"no --run, {name}")
    found = sorted((folder / "runs").glob("*"))
    if len(found) != 2:
        tally.blame("mixed folders", f"no --run: 2 trainings have left {len(found)} folders")
        return
    rates = {name: reference.homes["."][1]["settings"]["rate"] for name, reference in expected.items()}
    for run in found:
        written = (run / "config.json").read_text()
        (name,) = (name for name in NAMES if f'"rate": {rates[name]}' in written)
        check_complete(run, expected[name], tally, "no --run", "mixed folders")


def two_resume(expected: Mapping[str, Reference], draw: random.Random, folder: Path, tally: Tally) -> None:
    """Resume one killed training run in two processes."""
    name = draw.choice(NAMES)
    train_and_kill(RIVALS[name], folder, 1)
    commands = [train(RIVALS[name], folder, "--resume")]
    _offset(draw, expected[name].seconds)
    commands.append(train(RIVALS[name], folder, "--resume"))
    ended = {f"number {number}": command.end() for number, command in enumerate(commands, 1)}
    if not _one_wins(ended, tally, "two --resume"):
        tally.blame("mixed folders", "two --resume: none has finished the training")
    else:
        check_complete(folder / "run", expected[name], tally, "two --resume", "mixed folders")


def one_killed(expected: Mapping[str, Reference], draw: random.Random, folder: Path, tally: Tally) -> None:
    """Kill a training run while another process tries to resume it. The lock of the killed process is released."""
    name = draw.choice(NAMES)
    train_and_kill(RIVALS[name], folder, 1)
    first = train(RIVALS[name], folder, "--resume")
    _offset(draw, expected[name].seconds)
    second = train(RIVALS[name], folder, "--resume")
    time.sleep(draw.uniform(0, 0.1))
    first.send(signal.SIGKILL)
    first.end()
    second.end().judge({0, 1}, tally, "beside one that is killed")
    train(RIVALS[name], folder, "--resume").end().judge({0}, tally, "after one was killed")
    if (folder / "run" / "result.json").exists():
        check_complete(folder / "run", expected[name], tally, "one was killed", "mixed folders")


KINDS = {"the same --run": same_run, "no --run": no_run, "two --resume": two_resume, "one is killed": one_killed}
