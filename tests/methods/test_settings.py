"""Settings that cannot be: each is refused in one line, before anything is written.

Oracle: the range that each field documents. A setting out of its range would train a net that nobody asked for.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.helpers import AUTHORS, refusal
from twofold.data import Dataset
from twofold.errors import SettingError
from twofold.methods import BackpropRecipe, FeedForwardRecipe
from twofold.recipes import RECIPES, as_twin
from twofold.training.train import train


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"widths": ()}, "--widths is empty"),
        ({"widths": (5, 0)}, "--widths is 0, expected at least 1"),
        ({"epochs": 0}, "--epochs is 0, expected at least 1"),
        ({"batch": 0}, "--batch is 0, expected at least 1"),
        ({"rate": -0.1}, "--rate is -0.1, expected a number above 0"),
        ({"rate": float("nan")}, "--rate is nan"),
        ({"rate": float("inf")}, "--rate is inf"),
        ({"smoothing": 1.0}, "--smoothing is 1.0, expected a share in [0, 1)"),
        ({"decay": -1.0}, "--decay is -1.0"),
        ({"decay": float("nan")}, "--decay is nan"),
        ({"jitter": -1}, "--jitter is -1"),
        ({"validation": -1}, "--validation is -1"),
        ({"temperature": 0.0}, "--temperature is 0.0"),
        ({"label_strength": 0.0}, "--label-strength is 0.0"),
        ({"peer": float("nan")}, "--peer is nan"),
        ({"tolerance": 1.0}, "--tolerance is 1.0, expected a share in [0, 1)"),
        ({"tolerance": -0.1}, "--tolerance is -0.1"),
        ({"revisit": 0.0}, "--revisit is 0.0, expected a number above 0"),
        ({"revisit": 1.5}, "--revisit is 1.5"),
        ({"counted_from": 0}, "--counted-from is 0"),
        ({"softmax_rate": 0.0}, "--softmax-rate is 0.0"),
        ({"softmax_decay": -1.0}, "--softmax-decay is -1.0"),
        ({"negatives": "soft"}, "unknown negatives 'soft'"),
        ({"goodness": "sum_of_sqares"}, "did you mean 'sum_of_squares'?"),
        ({"objective": "logistics"}, "did you mean 'logistic'?"),
        ({"label_in": "append"}, "did you mean 'prepend'?"),
        ({"normalize": "layer"}, "unknown normalize 'layer'"),
        ({"seed": 2**70}, "--seed is"),
        ({"validation": 40}, "cannot hold out 40 of 40"),
        ({"batch": 41}, "--batch is 41"),
        ({"jitter": 5}, "--jitter is 5, expected less than 5"),
        ({"decay": 200.0}, "--decay is 200, expected less than 100 with --rate 0.01"),
        ({"counted_from": 4}, "--counted-from is 4, expected at most 3"),
        ({"label_in": "overlay", "data": "four pixels"}, "use --label-in prepend"),
    ],
    ids=str,
)
def test_a_setting_out_of_its_range_is_told_before_anything_is_written(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    data = tiny
    if change.get("data"):
        data = replace(tiny, train_images=tiny.train_images[:, :, :2, :2], test_images=tiny.test_images[:, :, :2, :2])
    said = refusal(lambda: train(replace(recipe, **change), tmp_path / "run", data), SettingError)
    assert words in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "change", [{"widths": (5, 0)}, {"rate": 0.0}, {"smoothing": 1.0}, {"tolerance": 1.0}, {"revisit": 0.0}], ids=str
)
def test_the_twin_takes_the_same_settings_in_the_same_ranges(
    twin_recipe: BackpropRecipe, change: dict[str, Any]
) -> None:
    (field,) = change
    assert f"--{field} is " in refusal(lambda: replace(twin_recipe, **change), SettingError)


def test_a_twin_keeps_its_own_schedule_and_takes_all_else(
    recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe
) -> None:
    """Its rate was tuned for it: with that of Forward-Forward it would be a lame one."""
    own = {"epochs": 7, "rate": 0.5, "smoothing": 0.25, "decay": 0.125, "tolerance": 0.75, "revisit": 0.625}
    shared = {"data": "other", "widths": (9, 8), "batch": 5, "jitter": 2, "mirror": True, "validation": 6, "seed": 4}
    made = as_twin(replace(twin_recipe, **own), replace(recipe, **shared))
    assert made == replace(twin_recipe, **own, **shared)


@pytest.mark.parametrize("option", [{"device": "gpu"}, {"precision": "fp16"}])
def test_an_unknown_device_or_precision_is_told(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path, option: dict[str, Any]
) -> None:
    (kind,) = option
    said = refusal(lambda: train(recipe, tmp_path / "run", tiny, **option), SettingError)
    assert f"unknown {kind} '{option[kind]}'" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["recurrent", "cifar-local", "digits-twin"])
def test_layers_that_cannot_rest_on_disk_are_not_offloaded(tiny: Dataset, tmp_path: Path, name: str) -> None:
    """A switch that is taken and ignored would be believed."""
    recipe = replace(RECIPES[name], data="tiny", batch=8)
    said = refusal(lambda: train(recipe, tmp_path / "run", tiny, offload=True), SettingError)
    assert said.startswith("--offload is only for methods that train each layer by itself")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("name", "widths"), [("mnist-paper", [1000] * 3), ("mnist-paper-wide", [2000] * 4)])
def test_the_recipe_of_the_paper_is_the_authors_method_with_nothing_changed(name: str, widths: list[int]) -> None:
    """Otherwise a reader could say that another algorithm than his reached the figure."""
    fields = RECIPES[name].fields()
    expected = {**AUTHORS, "data": "mnist", "widths": widths, "epochs": 60, "batch": 100, "label_in": "overlay"}
    assert {field: fields[field] for field in expected} == expected
    assert fields.keys() - expected.keys() == {
        *("floor", "unit", "substrate", "device_seed", "box", "box_drift", "schedule", "input_start")
    }
    changed_by_none = {"floor": 0.0, "unit": "relu", "substrate": "ideal", "box": "none", "box_drift": 0.0}
    changed_by_none["input_start"] = 1.0
    assert fields["schedule"] == "constant_then_linear"
    assert {name: fields[name] for name in changed_by_none} == changed_by_none
