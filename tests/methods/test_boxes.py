"""Trainings with black boxes between the layers: they drift, are counted, and go on where they were interrupted.

Oracles: bitwise equality with an undisturbed run, counts by hand.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from support.helpers import refusal
from support.runs import CtrlC, outcome, train
from twofold.data import Dataset
from twofold.errors import SettingError
from twofold.layers.boxes import BOXES, boxes_for, boxes_in
from twofold.methods import BackpropRecipe, FeedForwardRecipe, Recipe, build
from twofold.nets.crossings import GRADIENTS
from twofold.recipes import RECIPES, twin_of
from twofold.training import runs
from twofold.training.trainer import Trainer

SQUARE = {"widths": (10,) * 5, "epochs": 2}


@pytest.fixture(scope="session")
def boxed(twin_recipe: BackpropRecipe) -> BackpropRecipe:
    return replace(twin_recipe, **SQUARE, box="sampled", box_drift=0.1, gradient="stop")  # type: ignore[arg-type]


def learned(recipe: Recipe, data: Dataset) -> Trainer:
    trainer = Trainer(build(recipe, data.form), recipe, data.train)
    trainer.run()
    return trainer


@pytest.mark.parametrize("kind", ["forward-forward", *GRADIENTS, "block", "layer"])
def test_a_training_with_boxes_that_was_interrupted_ends_bitwise_as_one_that_was_not(
    tiny: Dataset, recipe: FeedForwardRecipe, boxed: BackpropRecipe, tmp_path: Path, kind: str
) -> None:
    """Boxes have a state, what they draw too: all of it has to be in the checkpoint."""
    asked: Recipe = replace(recipe, **SQUARE, box="sampled", box_drift=0.1)
    if kind != "forward-forward":
        asked = replace(boxed, **{"gradient" if kind in GRADIENTS else "readout": kind})  # type: ignore[arg-type]
    whole = train(asked, tmp_path / "whole", tiny)
    with pytest.raises(KeyboardInterrupt):
        train(asked, tmp_path / "parts", tiny, progress=CtrlC(1))
    parts = train(asked, tmp_path / "parts", tiny, resume=True)
    assert outcome(parts) == outcome(whole)
    nets = [runs.load(tmp_path / name, "cpu").net.state_dict() for name in ("whole", "parts")]
    assert nets[0].keys() == nets[1].keys()
    assert any("matrix" in name for name in nets[0])
    assert all(torch.equal(nets[0][name], nets[1][name]) for name in nets[0])


def test_boxes_drift_after_each_batch_by_as_much_as_is_said(
    tiny: Dataset, recipe: FeedForwardRecipe, boxed: BackpropRecipe
) -> None:
    batches = 2 * 5
    for one in (replace(recipe, **SQUARE, box="random_relu", box_drift=0.1), replace(boxed, box="random_relu")):
        expected = boxes_for("random_relu", (10,) * 5, one.seed)
        for box in expected.values():
            for _ in range(batches):
                box.drift(0.1)
        found = list(boxes_in(learned(one, tiny).method.net))
        assert all(torch.equal(box.matrix, other.matrix) for box, other in zip(found, expected.values(), strict=True))
        still = boxes_in(learned(replace(one, box_drift=0.0), tiny).method.net)
        first = boxes_for("random_relu", (10,) * 5, one.seed).values()
        assert all(torch.equal(box.matrix, other.matrix) for box, other in zip(still, first, strict=True))


def test_the_metrics_count_what_training_reads_from_boxes_and_no_test(
    tiny: Dataset, recipe: FeedForwardRecipe, boxed: BackpropRecipe
) -> None:
    cases, boxes = len(tiny.train_labels), 2
    ours = replace(recipe, **SQUARE, box="one_bit", validation=8)
    for one, reads in ((ours, 3), (boxed, 1), (replace(boxed, gradient="spsa"), 3)):
        trainer = learned(one, tiny)
        assert [epoch["box_reads"] for epoch in trainer.history] == [reads * boxes * cases] * 2
        trainer.method.net.evaluate(*tiny.test)
        assert trainer.method.metrics()["box_reads"] == 0
    assert "box_reads" not in learned(replace(recipe, epochs=1), tiny).history[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"box": "none", "box_drift": 0.1}, "--box-drift is 0.1, expected 0 if --box is none"),
        ({"box_drift": 1.5}, "--box-drift is 1.5, expected a share in [0, 1]"),
        ({"widths": (10, 10)}, "--box is one_bit, expected none for a net with fewer than 3 layers"),
        ({"box": "one-bit"}, "unknown box 'one-bit': did you mean 'one_bit'?"),
    ],
)
def test_boxes_that_cannot_be_are_told_in_one_line(
    recipe: FeedForwardRecipe, boxed: BackpropRecipe, changes: dict[str, Any], said: str
) -> None:
    for one in (replace(recipe, **SQUARE), boxed):
        assert refusal(lambda one=one: replace(one, **{"box": "one_bit", **changes}), SettingError) == said
    assert refusal(lambda: replace(boxed, gradient="known "), SettingError).startswith("unknown gradient")


def test_the_recipe_and_its_baseline_have_the_same_layers_and_boxes() -> None:
    ours, baseline = RECIPES["black-box"], RECIPES[str(twin_of("black-box"))]
    assert isinstance(ours, FeedForwardRecipe)
    assert isinstance(baseline, BackpropRecipe)
    form = {"shape": [1, 28, 28], "classes": 10}
    nets = [build(replace(one, widths=(20,) * 6), form) for one in (ours, baseline)]
    matrices = [[box.matrix for box in boxes_in(net)] for net in nets]
    assert [len(each) for each in matrices] == [2, 2]
    assert all(torch.equal(one, other) for one, other in zip(*matrices, strict=True))
    assert set(BOXES) == set(ours.fields_with("names")["box"]) - {"none"}
