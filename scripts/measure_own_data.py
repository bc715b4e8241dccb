"""Measure what data of one's own reach, and write results/own_data.json.

    python scripts/measure_own_data.py folders        ten folders of a hundred PNGs, by the command and through Python
    python scripts/measure_own_data.py pairs FILE     write FILE: pairs of digits side by side, a hundred classes
    twofold train --data FILE --with-twin --widths 500 500 500 --epochs 20 --precision fp32 --no-pictures --run RUN
    python scripts/measure_own_data.py hundred RUN    keep the errors of that run

The pictures of a folder are the first hundred of each digit, of scikit-learn's and of MNIST's training images. Pairs
are drawn with replacement: 20,000 of MNIST's training images, 5000 of its test images.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from markdown_table import ROOT
from PIL import Image

import twofold
from twofold.files import read_json, write_json

PATH = ROOT / "results" / "own_data.json"
EACH = 100


def first(name: str) -> tuple[np.ndarray, list[str]]:
    """Pictures as bytes and what they are called, in the order of their folders."""
    data = twofold.load_data(name)
    pixels, labels = (255 * data.train_images[:, 0]).round().byte().numpy(), data.train_labels.numpy()
    chosen = np.concatenate([np.flatnonzero(labels == label)[:EACH] for label in range(data.classes)])
    return pixels[chosen], [f"digit {label}" for label in labels[chosen]]


def folder(name: str) -> dict[str, Any]:
    """The errors of the command and of the same pictures through Python."""
    pixels, words = first(name)
    with TemporaryDirectory() as place:
        root = Path(place)
        for number, (picture, word) in enumerate(zip(pixels, words, strict=True)):
            (root / "mine" / word).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(root / "mine" / word / f"{number:04}.png")
        words_of = [sys.executable, "-m", "twofold", "train", "--data", str(root / "mine"), "--precision", "fp32"]
        done = subprocess.run([*words_of, "--json"], cwd=root, capture_output=True, text=True, check=True)
        command = json.loads(done.stdout.splitlines()[-1])
        data = twofold.as_dataset("mine", pixels.astype(np.float32) / 255, words)
        result = twofold.train(twofold.recipe_for(data), root / "python", data, precision="fp32")
    return {
        "trained on": len(data.train_labels),
        "tested on": len(data.test_labels),
        "command": {test: 100 * error for test, error in command["test_error"].items()},
        "Python": {test: 100 * error for test, error in result.test_error.items()},
        "settings": {**result.settings, "data": name},
    }


def pairs(path: Path) -> None:
    """Write pairs of digits, of which each is one of a hundred classes."""
    data, arrays = twofold.load_data("mnist"), {}
    for seed, (part, count) in enumerate((("train", 20_000), ("test", 5000))):
        images, labels = getattr(data, f"{part}_images"), getattr(data, f"{part}_labels").numpy()
        drawn = np.random.RandomState(seed).randint(len(images), size=(count, 2))
        pixels = (255 * images[:, 0]).round().byte().numpy()
        arrays[f"x_{part}"] = np.concatenate([pixels[drawn[:, 0]], pixels[drawn[:, 1]]], 2)
        arrays[f"y_{part}"] = 10 * labels[drawn[:, 0]] + labels[drawn[:, 1]]
    np.savez(path, **arrays)


def hundred(run: Path) -> dict[str, Any]:
    """The errors of a run on pairs and of its twin."""
    net, twin = (twofold.load(place, "cpu").result for place in (run, run / "twin"))
    return {
        "Forward-Forward": {test: 100 * error for test, error in net.test_error.items()},
        "twin": {test: 100 * error for test, error in twin.test_error.items()},
        "settings": {**net.settings, "data": "pairs"},
        "fingerprint": net.fingerprint,
        "seed": net.seed,
    }


def main(words: list[str]) -> None:
    """Do what was asked for."""
    if words[0] == "pairs":
        pairs(Path(words[1]))
        return
    kept: dict[str, Any] = read_json(PATH) if PATH.exists() else {}
    if words[0] == "folders":
        kept["folders"] = {name: folder(name) for name in ("digits", "mnist")}
    else:
        kept["hundred"] = hundred(Path(words[1]))
    write_json(PATH, kept)


if __name__ == "__main__":
    main(sys.argv[1:])
