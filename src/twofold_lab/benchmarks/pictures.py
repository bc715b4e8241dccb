"""Measure `twofold predict` on images of many forms, with 60 digits in each form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from twofold.cli.text import machine_line
from twofold.data.pictures import decoded, prepare
from twofold.errors import TwofoldError
from twofold.training.prediction import Prediction, pictures_at, predictions, with_familiarity
from twofold.training.runs import Run, load
from twofold_lab.benchmarks.bench import Benchmark, Workbench, expect
from twofold_lab.data.picture_forms import FORMS, LATER, no_digits
from twofold_lab.tables import markdown, table

PER_LABEL = 6
"""Number of images of each digit in each form."""
TILE, COLUMNS = 72, 10


@dataclass(frozen=True)
class Pictures(Benchmark):
    """Accuracy and warnings of `twofold predict` for images of digits in ten forms and for images without a digit.

    A form is a file type, size, color or other property of an image file. Each form has six images of each digit, and
    no digit is used in two forms. Two groups were added after `predict` was finished: photographs of digits written
    with a thin pen, and images without a digit. Predictions are those of the main test. Files that are refused count as
    files with a warning. The plot shows some images above the corresponding inputs of the net.

    Attributes:
        run: run folder of a net that was trained on MNIST, or a file written by `twofold export`.
        part: test uses the test images of MNIST; held-out uses the last 10,000 training images, on which `predict` was
            developed.
        seed: seed of the files; the same seed makes the same files.
        files: folder for the files, which are named PART-seedN/FORM/NUMBER-LABEL.SUFFIX.
    """

    run: str = "runs/mnist-seed0"
    part: Literal["held-out", "test"] = "held-out"
    seed: int = 0
    files: str = "runs/pictures"

    def measure(self, bench: Workbench) -> dict[str, Any]:
        expect(self.seed >= 0, "seed", self.seed, "at least 0")
        run = with_familiarity(load(Path(self.run), bench.device, bench.precision), bench.data_dir)
        for name, content in self.make(bench):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        forms = {}
        for folder in sorted(path for path in self.folder.iterdir() if path.is_dir()):
            forms[folder.name] = count(run, folder)
            bench.say(f"{folder.name}: {forms[folder.name]}")
        return {
            "recipe": {name: run.recipe.fields()[name] for name in ("widths", "epochs", "validation", "seed")},
            "error": run.result.error,
            "test": next(iter(run.result.error)),
            **{"dataset": run.result.dataset, "fingerprint": run.result.fingerprint},
            "forms": {name: forms[name] for name in FORMS},
            "more": {name: forms[name] for name in LATER},
            "no digits": {name: entry for name, entry in forms.items() if name not in {*FORMS, *LATER}},
        }

    @property
    def folder(self) -> Path:
        """Folder of the files for this ``part`` and ``seed``."""
        return Path(self.files) / f"{self.part}-seed{self.seed}"

    def make(self, bench: Workbench) -> Iterator[tuple[str, bytes]]:
        """Yield the path of each file, relative to `folder`, and its content."""
        mnist = bench.load("mnist")
        images, labels = (mnist.hold_out(10_000) if self.part == "held-out" else mnist).test
        digits, random = (images[:, 0] * 255).round().byte().numpy(), np.random.default_rng(self.seed)
        by_label = [random.permutation(np.flatnonzero(labels.numpy() == label)) for label in range(10)]
        for number, (form, make) in enumerate({**FORMS, **LATER}.items()):
            own = slice(PER_LABEL * number, PER_LABEL * (number + 1))
            for case in map(int, np.stack([cases[own] for cases in by_label], 1).ravel()):
                suffix, content = make(digits[case], np.random.default_rng([self.seed, number, case]))
                yield f"{form}/{case:05}-{labels[case]}.{suffix}", content
        random = np.random.default_rng(self.seed)
        for form, contents in no_digits(digits, bench.load("fashion-mnist"), random).items():
            for number, content in enumerate(contents):
                yield f"{form}/{number:05}-none.png", content

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        return f"pictures: {machine_line(record)}\n\n{documented(record)}"

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        benchmark, tiles = Pictures(**record["settings"]), []
        preparation = with_familiarity(load(Path(benchmark.run), "cpu")).preparation
        assert preparation is not None
        for row, form in enumerate(FORMS):
            for column, file in enumerate(sorted((benchmark.folder / form).iterdir())[:COLUMNS]):
                picture = decoded(file)
                picture.thumbnail((TILE - 6, TILE - 6))
                case = Image.fromarray((255 * prepare(file, preparation)[0][0, 0].numpy()).astype(np.uint8))
                tiles += [(2 * row, column, picture)]
                tiles += [(2 * row + 1, column, case.resize((TILE - 12, TILE - 12), Image.Resampling.NEAREST))]
        sheet = Image.new("RGB", (COLUMNS * TILE, 2 * TILE * len(FORMS)), (104, 104, 150))
        for row, column, tile in tiles:
            left, top = ((TILE - length) // 2 for length in tile.size)
            sheet.paste(tile.convert("RGB"), (column * TILE + left, row * TILE + top))
        sheet.quantize(128).save(path, optimize=True)
        return path


def count(run: Run, folder: Path) -> dict[str, int]:
    """Return the numbers of images in a folder: all, those that are classified correctly, and those with a warning."""
    results = [(path.stem.split("-")[1], answer) for path, answer in predictions(run, pictures_at([folder]))]
    right = [isinstance(answer, Prediction) and answer.name == label for label, answer in results]
    warned = [isinstance(answer, TwofoldError) or answer.warning is not None for _, answer in results]
    wrong = [warning for warning, correct in zip(warned, right, strict=True) if not correct]
    totals = {"pictures": len(results), "right": sum(right), "warned": sum(warned)}
    return totals | {"wrong": len(wrong), "wrong and warned": sum(wrong)}


@table("pictures", "pictures.json")
def documented(record: Mapping[str, Any]) -> str:
    """Return the accuracy and the number of warnings for each form."""
    forms = record["forms"].values()
    total = {key: sum(form[key] for form in forms) for key in ("right", "pictures", "warned")}
    later = {f"added later: {name}": form for name, form in record["more"].items()}
    rows = []
    for name, form in {**record["forms"], "**all ten**": total, **later}.items():
        share = 100 * form["right"] / form["pictures"]
        rows.append([name, f"{form['right']} of {form['pictures']}", f"{share:.1f}", str(form["warned"])])
    for name, form in record["no digits"].items():
        rows.append([f"no digit: {name}", "-", "-", f"{form['warned']} of {form['pictures']}"])
    recipe, layers = record["recipe"], " x ".join(map(str, record["recipe"]["widths"]))
    errors = ", ".join(f"{test} {100 * error:.2f} %" for test, error in record["error"].items())
    note = (
        f"The net has layers of {layers} and was trained for {recipe['epochs']} epochs, "
        f"seed {recipe['seed']}, with {recipe['validation']} training images held out; its errors on these: {errors}."
    )
    return f"{markdown(['form', 'right', '%', 'warned'], rows)}\n\n{note}"
