"""Hybrid images against a blur that goes pixel by pixel, and a net that learns from them without a label.

Were one of these to fail, negative data would keep the long-range structure of a digit, or a label have got in.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import twofold
from support.helpers import refusal
from twofold.data import Dataset
from twofold.errors import DataError, SettingError
from twofold.methods import UnsupervisedRecipe, build
from twofold.negatives import hybrids, masks
from twofold.nets.unsupervised import Unsupervised
from twofold.plots.hybrids import hybrids_shown
from twofold.recipes import RECIPES
from twofold.training.runs import draw, load
from twofold.training.train import train
from twofold.training.trainer import Trainer


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def on_digits(**changes: Any) -> UnsupervisedRecipe:
    recipe = RECIPES["mnist-hybrid"]
    assert isinstance(recipe, UnsupervisedRecipe)
    small = {"data": "digits", "widths": (150, 150, 150), "epochs": 20, "batch": 40, "blurs": 2, "rate": 0.03}
    return replace(recipe, **{**small, **changes})


def trainer_of(recipe: UnsupervisedRecipe, data: Dataset) -> Trainer:
    return Trainer(build(recipe, data.form), recipe, data.train)


# Masks and hybrids --------------------------------------------------------------------------------------------------


def blurred(bits: Tensor, times: int) -> Tensor:
    """[¼, ½, ¼] down, then across, pixel by pixel; beyond an edge lies the pixel at the edge."""
    found = bits.double()
    for _ in range(times):
        for transpose in (False, True):
            old = found.T if transpose else found
            new = torch.zeros_like(old)
            for row in range(len(old)):
                above, below = old[max(row - 1, 0)], old[min(row + 1, len(old) - 1)]
                new[row] = 0.25 * above + 0.5 * old[row] + 0.25 * below
            found = new.T if transpose else new
    return found


@pytest.mark.parametrize("blurs", [0, 1, 6])
def test_a_mask_is_where_blurred_bits_are_above_a_half(blurs: int) -> None:
    found = masks(3, 9, 12, blurs, seeded())
    bits = torch.randint(2, (3, 1, 9, 12), generator=seeded())
    assert found.shape == (3, 1, 9, 12)
    for mask, one in zip(found[:, 0], bits[:, 0], strict=True):
        smooth = blurred(one, blurs)
        sure = (smooth - 0.5).abs() > 1e-6
        assert torch.equal(mask.bool()[sure], (smooth > 0.5)[sure])


def test_blurring_makes_patches_of_both_kinds() -> None:
    def alike(blurs: int) -> float:
        """How often neighbors are alike."""
        found = masks(200, 28, 28, blurs, seeded())
        return float((found[..., 1:] == found[..., :-1]).float().mean())

    assert abs(alike(0) - 0.5) < 0.02
    assert 0.7 < alike(2) < alike(8) < 0.98
    assert abs(float(masks(500, 28, 28, 8, seeded()).mean()) - 0.5) < 0.03


def test_a_hybrid_has_each_pixel_from_one_of_two_images() -> None:
    images = torch.rand(5, 2, 8, 8, generator=seeded(1))
    found = hybrids(images, 2, seeded())
    mask = masks(5, 8, 8, 2, seeded()).bool().expand_as(images)
    others = torch.stack([images[number - 1] for number in range(5)])
    assert torch.equal(found[mask], images[mask])
    assert torch.equal(found[~mask], others[~mask])
    assert 0.1 < float(mask.float().mean()) < 0.9
    assert torch.equal(hybrids(images, 2, seeded()), found)


@pytest.mark.parametrize("count", [0, 1])
def test_an_image_alone_is_no_hybrid_of_itself(count: int) -> None:
    """As negative data it would be the positive ones once more."""
    said = refusal(lambda: hybrids(torch.rand(count, 1, 8, 8), 2, seeded()), DataError)
    assert said == f"images: got {count} image, expected at least 2: a hybrid combines two images"


# Learning -----------------------------------------------------------------------------------------------------------


def test_a_lone_last_image_is_mixed_with_one_that_counts_nothing(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three images in batches of two: the last one learns as the first of a pair whose second has no weight."""
    data = tuple(part[:3] for part in digits.train)
    trainer = Trainer(build(on_digits(batch=2), digits.form), on_digits(batch=2), data)
    seen: list[tuple[list[int], list[float]]] = []
    step = trainer.method.step

    def watched(batch: Any, progress: float) -> Tensor:
        seen.append((batch.cases.tolist(), batch.case_weight.tolist()))
        return step(batch, progress)

    monkeypatch.setattr(trainer.method, "step", watched)
    trainer.epoch(0)
    (pair, whole), (mixed, alone) = seen
    assert (whole, alone) == ([1, 1], [1, 0])
    assert mixed[0] not in pair
    assert mixed[1] in pair
    assert trainer.method.net.layers[0].mean_activity.isfinite().all()


@pytest.mark.slow
def test_digits_are_told_apart_by_a_net_that_has_seen_no_label(digits: Dataset, tmp_path: Path) -> None:
    result = train(on_digits(), tmp_path / "run", digits, device="cpu", precision="fp32")
    assert list(result.test_error) == ["fast"]
    assert result.test_error["fast"] < 0.05
    assert result.metrics["passes_per_image"] == {"fast": 1}
    run = load(tmp_path / "run")
    assert isinstance(run.net, Unsupervised)
    assert twofold.evaluate(run.net, *digits.test).error == result.test_error
    last = run.history[-1]["layers"]
    assert all(layer["positive"] > layer["negative"] for layer in last)
    answer = run.net.explain(digits.test_images[:1])
    assert list(answer["label"]) == ["fast"]
    assert answer["goodness"] is None


def test_labels_teach_the_softmax_and_no_layer(digits: Dataset) -> None:
    others = replace(digits, train_labels=(digits.train_labels + 3) % 10)
    trainers = [trainer_of(on_digits(epochs=1), data) for data in (digits, others)]
    for trainer in trainers:
        trainer.epoch(0)
    one, other = (trainer.method.net.state_dict() for trainer in trainers)
    for name in one:
        assert torch.equal(one[name], other[name]) == (not name.startswith("softmax")), name


def test_the_softmax_reads_the_counted_layers_at_fixed_length(digits: Dataset) -> None:
    net = build(on_digits(counted_from=3), digits.form)
    features = net.features(digits.test_images[:50])
    assert features.shape == (50, 150)
    assert torch.allclose(features.square().mean(1), torch.ones(50), atol=1e-3)


@pytest.mark.slow
def test_an_interrupted_training_on_hybrids_ends_bitwise_as_one_that_was_not(digits: Dataset, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    class Impatient:
        def batch(self, done: float) -> None:
            pass

        def epoch(self, metrics: dict[str, Any]) -> None:
            if metrics["epoch"] == 1:
                raise Stop

    recipe = on_digits(epochs=3)
    train(recipe, tmp_path / "whole", digits, device="cpu")
    with pytest.raises(Stop):
        train(recipe, tmp_path / "parts", digits, device="cpu", progress=Impatient())
    train(recipe, tmp_path / "parts", digits, device="cpu", resume=True)
    whole, parts = (load(tmp_path / name).net.state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_run_draws_its_negative_data(digits: Dataset, tmp_path: Path) -> None:
    train(on_digits(epochs=1), tmp_path / "run", digits, device="cpu")
    drawn = draw(load(tmp_path / "run"), digits)
    assert [path.name for path in drawn] == ["learning.png", "hybrids.png"]
    for path in drawn:
        with Image.open(path) as picture:
            picture.verify()
    images = digits.test_images[:4]
    told = refusal(lambda: hybrids_shown(images, images[:3], images, images, tmp_path / "no.png"), DataError)
    assert "expected the same (cases, channels, height, width) for all three" in told
    assert not (tmp_path / "no.png").exists()


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (lambda: masks(1, 8, 8, -1, seeded()), "blurs is -1"),
        (lambda: on_digits(blurs=-1), "--blurs is -1"),
        (lambda: on_digits(batch=1), "--batch is 1, expected at least 2"),
        (lambda: on_digits(counted_from=0), "--counted-from is 0"),
        (lambda: on_digits(counted_from=4), "--counted-from is 4, expected at most 3"),
        (lambda: Unsupervised([], 10), "at least one layer"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(action: Any, told: str) -> None:
    assert told in refusal(action, SettingError)
