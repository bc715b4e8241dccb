"""Kill training runs at random moments, repeatedly, and resume them until they are complete."""

from __future__ import annotations

import random
import signal
import tempfile
import time
from pathlib import Path

from torture_processes import (
    NOT_BEGUN,
    SIGNALS,
    TRAININGS,
    Command,
    Ended,
    Reference,
    Tally,
    check_complete,
    finished_epochs,
    left_over,
    lost,
    train,
)

MOSTLY = [signal.SIGKILL] * 7 + [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


def kills(name: str, expected: Reference, words: list[str], quota: int, real: bool, seed: int) -> Tally:
    """Kill and resume training runs of one family until they were interrupted ``quota`` times."""
    tally, draw = Tally(), random.Random(seed)
    while tally.tried["kills"] < quota:
        with tempfile.TemporaryDirectory() as folder:
            _killed_and_resumed(name, expected, words, real, draw, Path(folder), tally)
    return tally


def _killed_and_resumed(
    name: str, expected: Reference, words: list[str], real: bool, draw: random.Random, folder: Path, tally: Tally
) -> None:
    """Complete one training run that is killed and resumed one or more times."""
    run, known = folder / "run", finished_epochs(folder / "run")
    for left in range(draw.choice((1, 1, 2, 3)), -1, -1):
        number = draw.choice(MOSTLY)
        story = f"{' '.join([name, *words])}, {signal.Signals(number).name if left else 'resumed'}"
        again = run.exists() and ((run / "checkpoint.safetensors").exists() or (run / "result.json").exists())
        resume = ["--resume"] if again or draw.random() < 0.5 else []
        before = set(left_over(run, complete=False))
        command = train(TRAININGS[name], folder, *words, *resume, real=real)
        if left:
            _wait_for_a_moment(command, run, expected.seconds, real, draw)
            command.send(number)
        ended = command.end()
        hit = left > 0 and ended.code not in (0, NOT_BEGUN)
        tally.tried["kills"] += hit
        tally.tried["of them signals that can be answered"] += hit and number != signal.SIGKILL
        if hit:
            _check_end(ended, number, run, before, tally, story)
        elif ended.code != NOT_BEGUN:
            ended.judge({0}, tally, story)
        for epoch in lost(known, now := finished_epochs(run)):
            tally.blame("epochs lost", f"{story}: {epoch}")
        known = now
        if ended.code == 0:
            break
    tally.tried["trainings"] += 1
    if (run / "result.json").exists():
        check_complete(run, expected, tally, story)
    if beside := sorted(path.name for path in folder.iterdir() if path != run):
        tally.blame("left over", f"{story}: {beside}")


def _wait_for_a_moment(command: Command, run: Path, seconds: float, real: bool, draw: random.Random) -> None:
    """Wait for a random time or, in half of the cases, until a random number of files were created or removed."""
    if real:  # the start of Python is not tested
        while not command.ended and not (run / "config.json").exists():
            time.sleep(0.001)
    if draw.random() < 0.5:
        until = time.monotonic() + draw.uniform(0.02, seconds)
        while time.monotonic() < until and not command.ended:
            time.sleep(0.001)
        return
    changes, newest = draw.randrange(1, 30), _changed(run)
    while changes > 0 and not command.ended:
        time.sleep(0.0002)
        now = _changed(run)
        changes, newest = changes - (now != newest), now
    time.sleep(draw.uniform(0, 0.003))


def _changed(folder: Path) -> int:
    """Return the modification time of a folder in nanoseconds, or 0 if it does not exist."""
    try:
        return folder.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _check_end(ended: Ended, number: int, run: Path, before: set[str], tally: Tally, story: str) -> None:
    """Check how a command ended by a signal: one line that says how to continue, and only documented files."""
    if number == signal.SIGKILL:
        ended.judge({-number}, tally, story)
        return
    ended.judge({SIGNALS[signal.Signals(number)]}, tally, story)
    begun = (run / "config.json").exists()
    if begun and not any("repeat the command" in line or "start again" in line for line in ended.said):
        tally.blame("not one line", f"{story}: {ended.said} does not say how to go on")
    if left := set(left_over(run, complete=False)) - before:  # an earlier kill may have left something
        tally.blame("left over", f"{story}: {', '.join(left)}")
