"""Flip one bit in a file of a run: reading the run must report it."""

from __future__ import annotations

import random
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from torture_processes import SMALL, TRAININGS, Command, Tally, train, train_and_kill

from twofold.data import load as load_data
from twofold.errors import Remark, TwofoldError
from twofold.training import runs
from twofold.training import train as training
from twofold.training.config import Config
from twofold.training.run_folder import RunFolder

NAME = "forward-forward"
"""Name of the training run, a key of `TRAININGS`."""

DATA = load_data("digits")
"""Data of the training run."""


class Kind(NamedTuple):
    """A file of a complete or stopped run. The run is resumed if ``resumed``, otherwise read."""

    file: str
    run: str
    resumed: bool


KINDS = [
    *(Kind(file, "complete", False) for file in ("config.json", "result.json", "metrics.jsonl", "weights.safetensors")),
    *(Kind(file, "stopped", True) for file in ("config.json", "metrics.jsonl", "checkpoint.safetensors")),
    *(Kind(file, "complete", True) for file in ("config.json", "result.json")),
]
"""Every file of a run, with every way in which the program reads it."""


def flips(kind: Kind, number: int, commands: int, seed: int) -> Tally:
    """Flip ``number`` bits, one at a time. Commands read the last ``commands`` files, Python reads the others."""
    tally, draw = Tally(), random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, run = Path(folder) / "whole", Path(folder) / "run"
        if kind.run == "complete":
            train(TRAININGS[NAME], Path(folder), run=whole.name).end()
        else:
            train_and_kill(TRAININGS[NAME], Path(folder), 2, whole.name)
        content, settings = (whole / kind.file).read_bytes(), RunFolder(whole).config()
        for count in range(number):
            shutil.copytree(whole, run)
            place, bit = _place(kind.file, content, draw), draw.randrange(8)
            flipped = content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]
            (run / kind.file).write_bytes(flipped)
            story = f"{kind.file} of a {kind.run} run, {'resumed' if kind.resumed else 'read'}, byte {place} bit {bit}"
            if count < number - commands:
                _by_the_library(kind, run, settings, tally, story)
            else:
                _by_a_command(kind, Path(folder), draw, tally, story)
            tally.tried["flipped bits"] += 1
            shutil.rmtree(run)
    return tally


def _place(file: str, content: bytes, draw: random.Random) -> int:
    """Return the index of a random byte; for tensor files, header and data are equally likely."""
    if file.endswith(".safetensors") and draw.random() < 0.5:
        return draw.randrange(8 + int.from_bytes(content[:8], "little"))
    return draw.randrange(len(content))


def _by_the_library(kind: Kind, run: Path, settings: Config, tally: Tally, story: str) -> None:
    """Read or resume the run in this process."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        refused = ""
        try:
            if kind.resumed:
                of = {"name": settings.name, "device": settings.device, "precision": settings.precision}
                training.train(settings.recipe, run, DATA, **of, resume=True)
            else:
                runs.load(run, settings.device)
        except TwofoldError as error:
            refused = str(error)
        except Exception as error:
            tally.blame("tracebacks", f"{story}: {type(error).__name__}: {error}")
            return
    remarks = [str(warning.message) for warning in caught if issubclass(warning.category, Remark)]
    if "\n" in refused:
        tally.blame("not one line", f"{story}: {refused!r}")
    if not any(kind.file in line for line in ([refused] if kind.resumed else [*remarks, refused])):
        tally.blame("unnoticed bits", f"{story}: {[*remarks, refused]}")


def _by_a_command(kind: Kind, folder: Path, draw: random.Random, tally: Tally, story: str) -> None:
    """Read or resume the run with a command in a separate process."""
    words = draw.choice((["eval", "run"], ["plot", "run"], ["predict", "run", "own.png"]))
    if kind.resumed:
        words = ["train", *TRAININGS[NAME].words.split(), *SMALL, "--run", "run", "--resume"]
    else:
        Image.new("L", (8, 8)).save(folder / "own.png")
    ended = Command(words, folder).end()
    ended.judge({1} if kind.resumed else {0, 1}, tally, f"{story}, {words[0]}")
    if not any(kind.file in line for line in ended.err.splitlines() if line.startswith("twofold: ")):
        tally.blame("unnoticed bits", f"{story}, {words[0]}: {ended.err[-300:]}")
