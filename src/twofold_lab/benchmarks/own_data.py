"""Measure the errors on a user's own data: folders of images, and a file with a hundred classes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from twofold.cli.text import format_table, machine_line
from twofold.data import Dataset, as_dataset
from twofold.recipes.own import recipe_for
from twofold.training.result import Result
from twofold.training.runs import load
from twofold.training.train import train
from twofold_lab.benchmarks.bench import Benchmark, Workbench, expect
from twofold_lab.tables import table

Record = Mapping[str, Any]
CASES = 100
"""Number of images in a folder."""
PAIRS = {"train": 20_000, "test": 5000}
"""Number of pairs in the training set and in the test set."""
TITLES = {"digits": "8 x 8 digits", "mnist": "MNIST, 28 x 28"}


@dataclass(frozen=True)
class OwnData(Benchmark):
    """Test errors of `twofold train --data` with default settings, on image folders with 10 and with 100 classes.

    The folders contain the first hundred training images of each digit, of scikit-learn's digits and of MNIST. The
    images are also passed as arrays in Python, which should give the same errors. The hundred classes are pairs of
    MNIST digits side by side, drawn with replacement: 20,000 pairs of training images and 5000 pairs of test images.

    Attributes:
        epochs: epochs of the training on pairs, with 3 x 500 units; the twin uses its default.
    """

    epochs: int = 20

    def measure(self, bench: Workbench) -> dict[str, Any]:
        expect(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        with TemporaryDirectory() as folder:
            folders = {name: _folder(bench, Path(folder) / name, bench.load(name)) for name in TITLES}
            hundred = self._hundred(bench, Path(folder))
        return {"folders": folders, "hundred": hundred}

    def _hundred(self, bench: Workbench, folder: Path) -> dict[str, Any]:
        """Train a net and its twin on pairs of digits; return their errors, with the facts about the run."""
        data = bench.load("mnist")
        arrays: dict[str, Any] = {}
        for seed, (split, count) in enumerate(PAIRS.items()):
            pixels, labels = _bytes(getattr(data, f"{split}_images")), getattr(data, f"{split}_labels").numpy()
            left, right = np.random.RandomState(seed).randint(len(pixels), size=(count, 2)).T
            arrays[f"x_{split}"] = np.concatenate([pixels[left], pixels[right]], 2)
            arrays[f"y_{split}"] = 10 * labels[left] + labels[right]
        np.savez(folder / "pairs.npz", **arrays)
        options = ["--with-twin", "--widths", "500", "500", "500", "--epochs", str(self.epochs)]
        _train(bench, folder / "pairs.npz", folder / "run", *options)
        net, twin = (load(path, "cpu").result for path in (folder / "run", folder / "run" / "twin"))
        return {"Forward-Forward": _errors(net), "twin": _errors(twin), **_facts(net, "pairs")}

    @staticmethod
    def table(record: Record) -> str:
        tables = (format_table(rows) for rows in (folders_table(record), hundred_table(record)))
        return "\n\n".join([f"own-data: {machine_line(record)}", *tables])


def _folder(bench: Workbench, folder: Path, data: Dataset) -> dict[str, Any]:
    """Train on class folders with the command line, and on the same images as arrays; return the errors of both."""
    chosen = np.concatenate([np.flatnonzero(data.train_labels == label)[:CASES] for label in range(data.classes)])
    pixels, classes = _bytes(data.train_images)[chosen], [f"digit {int(data.train_labels[case])}" for case in chosen]
    for number, (picture, name) in enumerate(zip(pixels, classes, strict=True)):
        path = folder / "mine" / name / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    command = _train(bench, folder / "mine", folder / "command")
    own = as_dataset("mine", pixels.astype(np.float32) / 255, classes)
    recipe, device, precision = recipe_for(own), bench.device.type, bench.precision
    result = train(recipe, folder / "python", own, device=device, precision=precision)
    return {
        "trained on": len(own.train_labels),
        "tested on": len(own.test_labels),
        "command": {test: 100 * error for test, error in command["test_error"].items()},
        "Python": _errors(result),
        **_facts(result, data.name),
    }


def _bytes(images: Any) -> NDArray[np.uint8]:
    return (255 * images[:, 0]).round().byte().numpy()  # type: ignore[no-any-return]


def _train(bench: Workbench, data: Path, run: Path, *options: str) -> dict[str, Any]:
    """Train with the command line in another process; return the JSON that it prints."""
    bench.say(f"twofold train --data {data.name} {' '.join(options)}")
    command = [sys.executable, "-m", "twofold", "train", "--data", str(data), "--run", str(run), "--no-pictures"]
    machine = ["--device", bench.device.type, "--precision", bench.precision, "--json"]
    process = subprocess.run([*command, *options, *machine], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(process.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def _errors(result: Result) -> dict[str, float]:
    return {test: 100 * error for test, error in result.test_error.items()}


def _facts(result: Result, data: str) -> dict[str, Any]:
    return {"settings": {**result.settings, "data": data}, "fingerprint": result.fingerprint, "seed": result.seed}


@table("own-folders", "own-data.json")
def folders_table(record: Record) -> list[list[str]]:
    """Return the test errors on folders of images, with the command line and in Python."""
    heads = ["ten folders of a hundred PNGs", "trained on", "tested on", "slow %", "fast %", "Python, slow %", "fast %"]
    rows = [
        [TITLES[name], str(entry["trained on"]), str(entry["tested on"])]
        + [f"{entry[way][test]:.2f}" for way in ("command", "Python") for test in ("slow", "fast")]
        for name, entry in record["folders"].items()
    ]
    return [heads, *rows]


@table("own-hundred", "own-data.json")
def hundred_table(record: Record) -> list[list[str]]:
    """Return the test errors on a hundred classes, relative to that of the twin."""
    errors, twin = record["hundred"]["Forward-Forward"], record["hundred"]["twin"]["fast"]
    rows = [[test, f"{error:.2f}", f"{error / twin:.2f}"] for test, error in errors.items()]
    return [["test", "error %", "beside the twin's"], *rows, ["backprop twin", f"{twin:.2f}", "1"]]
