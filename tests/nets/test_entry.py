"""What enters a net from outside: a batch of images, their labels, and wrong labels of the user's own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import twofold
from support.helpers import refusal
from support.small_nets import CLASSES, NETS, SHAPE
from twofold.errors import DataError, TwofoldError
from twofold.negatives import checked_wrong_labels

IMAGES, LABELS = torch.rand(12, *SHAPE, generator=torch.Generator().manual_seed(0)), torch.arange(12) % CLASSES

WITH_NEGATIVES = ("feedforward", "feedforward, any module", "recurrent")


def kept(net: Any) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def of_one_image(image: Tensor) -> list[Tensor]:
    """An image without a batch around it, in the shapes that are no batch of another kind."""
    return [image.flatten(), image.reshape(SHAPE[1:])]


@pytest.mark.parametrize("kind", [kind for kind in NETS if kind != "feedforward, any module"])
def test_a_single_image_is_told_to_be_none_of_a_batch(kind: str) -> None:
    net = NETS[kind]()
    for image in of_one_image(IMAGES[0]):
        for action in (net.predict, net, lambda image: net.learn(image, LABELS[:1], rate=0.1)):
            said = refusal(lambda image=image, action=action: action(image), DataError)
            assert f"the shape is {tuple(image.shape)}, which is a single image" in said
            assert said.endswith("add a dimension, as in image[None]")


BAD: dict[str, tuple[Tensor, Tensor, str]] = {
    "bytes": ((255 * IMAGES).byte(), LABELS, "use .float(), and divide bytes by 255"),
    "one pixel is NaN": (
        IMAGES.clone().index_put_((torch.tensor(3),), torch.tensor(torch.nan)),
        LABELS,
        "first in image 3",
    ),
    "one is infinite": (
        IMAGES / (torch.arange(12) != 5)[:, None, None, None],
        LABELS,
        "in 1 of 12 images, first in image 5",
    ),
    "another size": (IMAGES[..., 1:], LABELS, "56 numbers per image, expected 64"),
    "no image": (IMAGES[:0], LABELS[:0], "expected at least one image to learn from"),
    "labels as numbers with fractions": (
        IMAGES,
        LABELS.float(),
        "labels: the type is torch.float32, expected integers",
    ),
    "a label too many": (IMAGES, LABELS[:-1], "labels: the shape is (11,), expected (12)"),
    "a label too large": (IMAGES, LABELS + 1, "labels range from 1 to 10, expected 0 to 9"),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("kind", NETS)
def test_a_batch_that_a_net_cannot_learn_from_changes_nothing(kind: str, bad: str) -> None:
    net, (images, labels, says) = NETS[kind](), BAD[bad]
    before = kept(net)
    said = refusal(lambda: net.learn(images, labels, rate=0.1), TwofoldError)
    assert says in said or kind == "feedforward, any module"  # which alone knows what size it takes
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_huge_numbers_are_finite_though_their_sum_is_not() -> None:
    net = NETS["backprop"]()
    assert net.predict(torch.full((2, *SHAPE), 3e38)).shape == (2,)


def mostly_wrong(labels: Tensor, logits: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.where(torch.arange(len(labels)) < 2, labels, (labels + 1) % CLASSES)


OWN: dict[str, tuple[Callable[..., Any], str]] = {
    "some are true": (
        mostly_wrong,
        "the output of negatives has the true label for 2 of 12 images, expected wrong labels only",
    ),
    "too few": (lambda labels, logits, generator: labels[1:], "the output of negatives: the shape is (11,)"),
    "beyond the classes": (lambda labels, logits, generator: labels + 10, "range from 10 to 19, expected 0 to 9"),
    "nothing": (lambda labels, logits, generator: None, "the output of negatives is None, expected a tensor"),
    "two arguments": (lambda labels, logits: labels, "negatives is of type function, expected a function of 3 arg"),
    "no such name": ("hrad", "unknown negatives 'hrad': did you mean 'hard'?"),
}  # type: ignore[dict-item]


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("kind", WITH_NEGATIVES)
def test_negatives_that_are_none_are_noticed(kind: str, own: str) -> None:
    negatives, says = OWN[own]
    net = NETS[kind]()
    assert says in refusal(lambda: net.learn(IMAGES, LABELS, rate=0.1, negatives=negatives), TwofoldError)


@pytest.mark.parametrize("kind", WITH_NEGATIVES)
def test_negatives_of_ones_own_learn_as_those_of_the_house(kind: str) -> None:
    nets = [NETS[kind]() for _ in range(3)]
    wrong = twofold.NEGATIVES["hard"]
    for net, negatives in zip(nets, ("hard", wrong, functools.partial(wrong)), strict=True):
        net.learn(IMAGES, LABELS, rate=0.1, negatives=negatives, generator=torch.Generator().manual_seed(1))
    for name, tensor in nets[0].state_dict().items():
        assert all(torch.equal(tensor, net.state_dict()[name]) for net in nets[1:])


def test_learning_reads_numbers_only_on_the_cpu() -> None:
    """On a GPU it would have to wait for each batch. The device meta has no numbers that could be read."""
    net = NETS["feedforward"]().to("meta")
    images, labels = IMAGES.to("meta"), LABELS.to("meta")
    net._enter_to_learn(images, labels, torch.ones(12, device="meta"))
    checked_wrong_labels("negatives", labels, labels, CLASSES)
