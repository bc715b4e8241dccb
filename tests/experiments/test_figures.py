"""Figures of runs, and the data of the CIFAR table.

Oracles: means and standard deviations by hand; a history that is made up; the data set itself.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from twofold_lab.claims import cifar
from twofold_lab.figures import mean_and_std, reached
from twofold_lab.lab import Lab


def test_the_spread_of_seeds_is_the_sample_standard_deviation() -> None:
    assert mean_and_std([1.0, 2.0, 3.0]) == {"mean": 2.0, "std": 1.0}
    assert mean_and_std([1.5]) == {"mean": 1.5, "std": 0.0}


def test_an_error_is_reached_at_the_first_epoch_that_has_it_or_never() -> None:
    errors = (0.3, 0.2, 0.1, 0.25)
    history = [
        {"epoch": number, "seconds": 2.0, "visits": 0.5, "validation_error": {"slow": error, "fast": 0.0}}
        for number, error in enumerate(errors, 1)
    ]
    run: Any = SimpleNamespace(history=history)
    assert reached(run, 0.2) == {"epochs": 2, "visits": 1.0, "seconds": 4.0}
    assert reached(run, 1.0)["epochs"] == 1
    assert set(reached(run, 0.05).values()) == {None}


def test_the_table_of_cifar_is_made_without_the_test_set() -> None:
    lab = Lab()
    recipe, twin = cifar.settings(lab)
    made, whole = cifar.first_images(lab, recipe), lab.data("digits")
    assert torch.equal(made.test_images, whole.train_images[-300:])
    assert torch.equal(made.train_images, whole.train_images[:1000])
    assert len(whole.train_images) - 300 >= 1000
    for settings in (recipe, twin):
        deep = cifar.deepened(settings, 3)
        assert (deep.widths, deep.field_sizes, deep.strides, deep.margins) == ((192,) * 3, (5,) * 3, (1,) * 3, (2,) * 3)
