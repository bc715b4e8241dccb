"""How `predict` fares with pictures as people have them: 60 digits in each of ten forms.

    python scripts/measure_pictures.py make FOLDER [--part held-out] [--seed 0]

Makes the files, FOLDER/FORM/NUMBER-LABEL.SUFFIX: six of every digit in each form, and no digit in two forms. With
``held-out`` the digits are among the last 10,000 training images, on which `predict` was developed; with ``test`` they
are test images, which are used once, at the end. The same seed makes the same files.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from picture_forms import FORMS

from twofold.data import Dataset, load

OF_EACH = 6
"""Pictures of every digit in each form."""


def part_of(mnist: Dataset, name: str) -> tuple[Any, Any]:
    """Digits (cases, 28, 28) as bytes and their labels."""
    images, labels = (mnist.hold_out(10_000) if name == "held-out" else mnist).test
    return (images[:, 0] * 255).round().byte().numpy(), labels.numpy()


def files(part: str, seed: int) -> Iterator[tuple[str, int, int, str, bytes]]:
    """The form, the number of the digit in its part, its label, the suffix and the bytes of every picture."""
    digits, labels = part_of(load("mnist"), part)
    random = np.random.default_rng(seed)
    of_label = [random.permutation(np.flatnonzero(labels == label)) for label in range(10)]
    for place, (form, make) in enumerate(FORMS.items()):
        for chosen in np.stack([numbers[OF_EACH * place : OF_EACH * (place + 1)] for numbers in of_label], 1).ravel():
            suffix, content = make(digits[chosen], np.random.default_rng([seed, place, int(chosen)]))
            yield form, int(chosen), int(labels[chosen]), suffix, content


def make(folder: Path, part: str, seed: int) -> None:
    """Write the files."""
    for form, number, label, suffix, content in files(part, seed):
        path = folder / form / f"{number:05}-{label}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["make"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", choices=["held-out", "test"], default="held-out")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    make(given.folder, given.part, given.seed)


if __name__ == "__main__":
    main()
