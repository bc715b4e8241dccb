"""What `fit` and the trainer are given by mistake: told in one line by the call itself, before anything is learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import twofold
from support.helpers import refusal
from twofold.data import Dataset
from twofold.errors import DataError, SettingError
from twofold.layers.boxes import boxes_for
from twofold.layers.dense import dense
from twofold.methods import METHODS, BackpropRecipe, FeedForwardRecipe, build
from twofold.nets.net import Net
from twofold.training.trainer import Trainer


def nets() -> dict[str, Net]:
    """One of each family for 25 pixels and 4 classes."""
    return {
        "forward-forward": twofold.FeedForward.dense((1, 5, 5), (9, 8), 4),
        "recurrent": twofold.Recurrent(25, (9, 8), 4),
        "unsupervised": twofold.Unsupervised(dense(25, (9, 8)), 4),
        "label-free": twofold.LabelFree.dense((1, 5, 5), (9, 8), 4, block_size=2),
        "backprop": twofold.Backprop(25, (9, 9, 8), 4, boxes=boxes_for("one_bit", (9, 9, 8), 0), readout="block"),
    }


FAMILIES = sorted(METHODS)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_setting_of_the_net_is_refused_where_the_net_is_there_already(tiny: Dataset, family: str) -> None:
    """It would have no effect, and nobody would know."""
    method, net = METHODS[family], nets()[family]
    of_net = method.recipe_type.fields_with("of_net").keys()
    assert {"widths", "data", "validation"} <= of_net
    for name in of_net:
        said = refusal(lambda name=name: twofold.fit(net, *tiny.train, epochs=1, **{name: 1}), SettingError)
        assert said.startswith(f"{name} is a setting of the net or its data")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_setting_is_the_nets_or_has_an_effect_on_the_training(family: str) -> None:
    """Those that are tested to arrive, and those that need special data to show."""
    arriving = {"epochs", "batch", "seed", "rate", "jitter", "mirror", "tolerance", "revisit", "schedule"}
    special = {"negatives", "softmax_rate", "blurs", "layer_by_layer", "learn_from", "neutral_every", "window"}
    twins = {"smoothing", "decay"} if "backprop" in family else set()
    kind = METHODS[family].recipe_type
    assert set(kind.properties()) <= kind.fields_with("of_net").keys() | arriving | special | twins


IMAGES, LABELS = torch.rand(8, 1, 5, 5), torch.arange(8) % 4

MISTAKES: dict[str, tuple[tuple[Any, ...], str]] = {
    "no labels": ((IMAGES,), "got 1 arrays, expected two"),
    "fewer labels": ((IMAGES, LABELS[:5]), "8 images and 5 labels"),
    "fewer images": ((IMAGES[:5], LABELS), "5 images and 8 labels"),
    "a label too large": ((IMAGES, LABELS + 1), "label 4 of image 3 is outside 0 to 3"),
    "a label below zero": ((IMAGES, LABELS - 1), "label -1 of image 0 is outside 0 to 3"),
    "labels with fractions": ((IMAGES, LABELS.float()), "expected whole numbers"),
    "bytes": ((255 * IMAGES, LABELS), "expected 0 to 1: rescale them"),
    "not a number": ((IMAGES * torch.nan, LABELS), "NaN or infinite pixels"),
    "nothing": ((IMAGES[:0], LABELS[:0]), "expected at least one image"),
    "another size": ((torch.rand(8, 1, 6, 6), LABELS), "(1, 1, 6, 6)"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("family", FAMILIES)
def test_data_that_a_net_cannot_learn_from_are_refused(family: str, mistake: str) -> None:
    net = nets()[family]
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    data, says = MISTAKES[mistake]
    assert says in refusal(lambda: twofold.fit(net, *data, epochs=1), DataError)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("settings", [{}, {"jitter": 1}, {"mirror": True}], ids=str)
def test_arrays_flat_images_and_small_integers_are_learned_from(family: str, settings: dict[str, Any]) -> None:
    given: list[tuple[Any, Any]] = [
        (IMAGES, LABELS),
        (IMAGES.flatten(1), LABELS.int()),
        (IMAGES[:, 0].numpy().astype(np.float64), LABELS.numpy().astype(np.uint8)),
    ]
    for images, labels in given[: 3 if settings == {} else 1]:  # rows of pixels are no pictures
        (metrics,) = twofold.fit(nets()[family], images, labels, epochs=1, batch=4, **settings)
        assert metrics["epoch"] == 1


def test_a_net_of_another_family_than_its_recipe_is_refused(
    tiny: Dataset, recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe
) -> None:
    net = build(recipe, tiny.form)
    said = refusal(lambda: Trainer(net, twin_recipe, tiny.train), SettingError)
    assert said == "a recipe of the method backprop cannot train a net of the method forward-forward"


def test_a_net_whose_method_nobody_knows_is_refused(tiny: Dataset) -> None:
    class Stranger(twofold.FeedForward):
        method = "forwards"

    net = Stranger(dense(29, (5,)), 4)
    said = refusal(lambda: twofold.fit(net, *tiny.train, epochs=1), SettingError)
    assert said == "unknown method 'forwards': did you mean 'forward-forward'?"
