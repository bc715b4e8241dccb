"""How `predict` fares with pictures as people have them: 60 digits in each of ten forms.

    python scripts/measure_pictures.py make FOLDER [--part held-out] [--seed 0]
    python scripts/measure_pictures.py measure FOLDER --run RUN --part test
    python scripts/measure_pictures.py sheet FOLDER --run RUN

`make` makes the files, FOLDER/FORM/NUMBER-LABEL.SUFFIX: six of every digit in each form, none in two. With
``held-out`` the digits are among the last 10,000 training images, on which `predict` was developed; with ``test`` they
are test images, which are used once, at the end. The same seed makes the same files. Two more kinds were added after
`predict` was made: digits of a thin pen, photographed, and pictures of no digit at all.

`measure` answers for them with the command, and writes results/pictures.json for the test images. `sheet` draws some of
them above what the net sees: docs/pictures/predict.png.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from markdown_table import ROOT
from picture_forms import FORMS, MORE, no_digits
from PIL import Image

from twofold import machine
from twofold.cli.main import main as twofold
from twofold.data import Dataset, load
from twofold.data.pictures import decoded, prepare
from twofold.files import write_json
from twofold.training import runs
from twofold.training.prediction import with_familiarity

OF_EACH = 6
"""Pictures of every digit in each form."""

RESULTS = ROOT / "results" / "pictures.json"
SHEET = ROOT / "docs" / "pictures" / "predict.png"
TILE, COLUMNS = 72, 10


def part_of(mnist: Dataset, name: str) -> tuple[Any, Any]:
    """Digits (cases, 28, 28) as bytes and their labels."""
    images, labels = (mnist.hold_out(10_000) if name == "held-out" else mnist).test
    return (images[:, 0] * 255).round().byte().numpy(), labels.numpy()


def files(part: str, seed: int) -> Iterator[tuple[str, int, int, str, bytes]]:
    """The form, the number of the digit in its part, its label, the suffix and the bytes of every picture."""
    digits, labels = part_of(load("mnist"), part)
    random = np.random.default_rng(seed)
    of_label = [random.permutation(np.flatnonzero(labels == label)) for label in range(10)]
    for place, (form, make) in enumerate({**FORMS, **MORE}.items()):
        for chosen in np.stack([numbers[OF_EACH * place : OF_EACH * (place + 1)] for numbers in of_label], 1).ravel():
            suffix, content = make(digits[chosen], np.random.default_rng([seed, place, int(chosen)]))
            yield form, int(chosen), int(labels[chosen]), suffix, content
    for form, contents in no_digits(digits, load("fashion-mnist"), np.random.default_rng(seed)).items():
        for number, content in enumerate(contents):
            yield form, number, -1, "png", content


def make(folder: Path, part: str, seed: int) -> None:
    """Write the files."""
    for form, number, label, suffix, content in files(part, seed):
        path = folder / form / f"{number:05}-{label if label >= 0 else 'none'}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def answers(trained: Path, folder: Path) -> list[dict[str, Any]]:
    """What the command says of the pictures in a folder."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        twofold(["predict", str(trained), str(folder), "--jsonl"])
    return [json.loads(line) for line in out.getvalue().splitlines()]


def measure(folder: Path, trained: Path, part: str, seed: int) -> None:
    """Count what is right and what is warned of in each form, and write the record."""
    forms: dict[str, dict[str, Any]] = {}
    for place in sorted(each for each in folder.iterdir() if each.is_dir()):
        rows = answers(trained, place)
        true = [Path(row["picture"]).stem.split("-")[1] for row in rows]
        right = [row["label"] == label for row, label in zip(rows, true, strict=True)]
        warned = [row["warning"] is not None or row["error"] is not None for row in rows]
        wrong = [each for each, fine in zip(warned, right, strict=True) if not fine]
        forms[place.name] = {"pictures": len(rows), "right": sum(right), "warned": sum(warned)} | {
            "wrong": len(wrong),
            "wrong and warned": sum(wrong),
        }
        print(place.name, forms[place.name], flush=True)
    loaded = with_familiarity(runs.load(trained))
    facts = {
        "what": f"pictures of MNIST digits ({part}), seed {seed}; right by the main test; refused counts as warned",
        "recipe": {name: loaded.recipe.fields()[name] for name in ("widths", "epochs", "validation", "seed")},
        "error": loaded.result.error,
        "environment": machine.describe(loaded.net.device),
    }
    told = {group: {name: forms[name] for name in names if name in forms} for group, names in groups(forms).items()}
    record = {**facts, **told}
    if part == "test":
        write_json(RESULTS, record)
    total = [sum(each[key] for each in told["forms"].values()) for key in ("right", "pictures")]
    print(f"right: {total[0]} of {total[1]}")


def groups(forms: dict[str, Any]) -> dict[str, list[str]]:
    """The ten forms, the one that was added, and what is no digit."""
    known = {*FORMS, *MORE}
    return {"forms": list(FORMS), "more": list(MORE), "no digits": [name for name in forms if name not in known]}


def sheet(folder: Path, trained: Path) -> None:
    """Draw pictures of each form, and below each what the net sees."""
    preparation = with_familiarity(runs.load(trained)).preparation
    assert preparation is not None
    found = Image.new("RGB", (COLUMNS * TILE, 2 * TILE * len(FORMS)), (104, 104, 150))
    for row, form in enumerate(FORMS):
        for column, path in enumerate(sorted((folder / form).iterdir())[:COLUMNS]):
            raw = decoded(path)
            raw.thumbnail((TILE - 6, TILE - 6))
            seen = Image.fromarray((255 * prepare(path, preparation)[0][0, 0].numpy()).astype(np.uint8))
            for place, tile in ((0, raw), (1, seen.resize((TILE - 12, TILE - 12), Image.Resampling.NEAREST))):
                middle = [(TILE - length) // 2 for length in tile.size]
                found.paste(tile.convert("RGB"), (column * TILE + middle[0], (2 * row + place) * TILE + middle[1]))
    found.quantize(128).save(SHEET, optimize=True)


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["make", "measure", "sheet"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", type=Path, default=Path("runs/mnist-seed0"))
    parser.add_argument("--part", choices=["held-out", "test"], default="held-out")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    match given.what:
        case "make":
            make(given.folder, given.part, given.seed)
        case "measure":
            measure(given.folder, given.run, given.part, given.seed)
        case _:
            sheet(given.folder, given.run)


if __name__ == "__main__":
    main()
