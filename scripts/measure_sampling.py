"""What sampling costs and gains: recipes with it and with nothing left out, on held-out images.

    python scripts/measure_sampling.py [mnist 0] [mnist 1] [mnist-jitter 0] ... [--runs runs/sampling]

Each is trained by its recipe for 40 epochs, the last 10,000 training images (of the digits 300) held out. The largest
nets, of which that would take hours, learn from the first 10,000 images for as many epochs as `SHORT` says. The test
images are not read. A training that is there is read, one that was interrupted goes on. After each, its errors are put
into results/speed/sampling.json.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from markdown_table import ROOT

from twofold import load_data
from twofold.data import Dataset
from twofold.files import read_json, write_json
from twofold.recipes import find
from twofold.training.train import train

RESULTS = ROOT / "results" / "speed" / "sampling.json"
HELD, HELD_OF_DIGITS = 10_000, 300
EPOCHS = 40
SHORT, IMAGES = {"mnist-wide": 20, "recurrent": 12}, 10_000
"""Epochs of the nets that learn from so many images."""
SAMPLED = {"tolerance": 0.3, "revisit": 0.2}
WHOLE = {"tolerance": 0.0, "revisit": 1.0}


def measure(name: str, seed: int, runs: Path) -> None:
    """Train a recipe both ways, and put the errors into the record."""
    recipe, epochs = find(name), SHORT.get(name, EPOCHS)
    dataset, held = load_data(recipe.data), HELD_OF_DIGITS if recipe.data == "digits" else HELD
    if name in SHORT:
        dataset = shortened(dataset)
    for settings in (SAMPLED, WHOLE):
        folder = runs / f"{name}-seed{seed}-{settings['tolerance']}-{settings['revisit']}"
        found = train(
            replace(recipe, validation=held, epochs=epochs, seed=seed, **settings),
            folder,
            dataset,
            name=name,
            resume=folder.exists(),
        )
        visits = [json.loads(line)["visits"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
        measured = {
            **{"recipe": name, "seed": seed, **settings, "images": len(dataset.train_labels) - held, "epochs": epochs},
            "visits": round(sum(visits) / len(visits), 3),
            "validation error %": {test: round(100 * error, 2) for test, error in found.validation_error.items()},
        }
        record = read_json(RESULTS) if RESULTS.exists() else {"trainings": []}
        same = ("recipe", "seed", "tolerance", "revisit")
        others = [each for each in record["trainings"] if any(each[key] != measured[key] for key in same)]
        rows = sorted([*others, measured], key=lambda each: tuple(str(each[key]) for key in same))
        what = "tested on held-out training images, the last 10,000 (of the digits 300)"
        write_json(RESULTS, {"what": what, "environment": found.environment, "trainings": rows})


def shortened(dataset: Dataset) -> Dataset:
    """The first training images, and the last, which are held out."""
    images, labels = dataset.train
    kept = [*range(IMAGES), *range(len(labels) - HELD, len(labels))]
    name = f"{dataset.name}, {IMAGES} images"
    return replace(dataset, name=name, train_images=images[kept], train_labels=labels[kept])


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("asked", nargs="*", default=["mnist", "0", "mnist", "1", "mnist", "2", "mnist-jitter", "0"])
    parser.add_argument("--runs", type=Path, default=Path("runs/sampling"))
    given = parser.parse_args()
    for name, seed in zip(given.asked[::2], given.asked[1::2], strict=True):
        measure(name, int(seed), given.runs)


if __name__ == "__main__":
    main()
