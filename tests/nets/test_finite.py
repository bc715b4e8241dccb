"""A net with NaN or infinite values answers nothing, and says which of its parts has them.

Oracle: one value, planted in each part of each net in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import twofold
from support.helpers import refusal
from support.small_layers import seeded
from support.small_nets import CLASSES, NETS, PIXELS, SHAPE
from twofold.errors import DataError, Diverged
from twofold.layers.dense import Dense
from twofold.layers.module import CustomLayer
from twofold.nets.feedforward import FeedForward
from twofold.nets.net import first_not_finite

IMAGES = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(3))
LABELS = torch.arange(6)

ANSWERS: dict[str, Callable[[Any, Tensor], object]] = {
    "evaluate": lambda net, images: twofold.evaluate(net, images, LABELS),
    "net.evaluate": lambda net, images: net.evaluate(images, LABELS),
    "net.predict": lambda net, images: net.predict(images),
    "net.predict by the fast test": lambda net, images: net.predict(images, [*net.passes()][:2][-1]),
    "net.scores": lambda net, images: net.scores(images),
    "net.explain": lambda net, images: net.explain(images[:1]),
}


def of_batch_norm() -> FeedForward:
    """Its first layer has buffers of its own."""
    net = FeedForward([Dense(PIXELS + CLASSES, 8, generator=seeded()), Dense(8, 8, generator=seeded(1))], CLASSES)
    net.layers[1] = CustomLayer(nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU()), 8)
    return net.eval()


EVERY = {**NETS, "buffers": of_batch_norm}


@pytest.mark.parametrize("value", [torch.nan, -torch.inf])
@pytest.mark.parametrize("kind", EVERY)
def test_one_value_that_is_not_finite_silences_a_net_and_its_place_is_named(kind: str, value: float) -> None:
    """-∞ is the one that hides: a rectifier makes an honest zero of it."""
    net = EVERY[kind]()
    parts = {name: tensor for name, tensor in net.state_dict().items() if tensor.is_floating_point()}
    assert any("softmax" in name or "label_weight" in name for name in parts) or kind == "backprop"
    for number, (name, tensor) in enumerate(parts.items()):
        flat = tensor.view(-1)
        before = flat[-1].clone()
        flat[-1] = value
        for answer in [*ANSWERS.values()][:: 1 if number == 0 else 5]:
            said = refusal(lambda answer=answer: answer(net, IMAGES), Diverged)  # type: ignore[misc]
            assert said.startswith(f"{name} of this net has NaN or infinite values")
        flat[-1] = before
    for answer in ANSWERS.values():
        answer(net, IMAGES)


@pytest.mark.parametrize("kind", ["feedforward", "feedforward, any module", "recurrent", "backprop"])
def test_scores_that_are_not_finite_are_no_answer_either(kind: str) -> None:
    """The net is finite, and what it computes is not: squares of large numbers are larger."""
    net = EVERY[kind]()
    for learnable in (*net.stack[-1].learnables(), *net.stack[-2].learnables()[: kind == "backprop"]):
        learnable.value.fill_(1e30)
    for name, answer in ANSWERS.items():
        if "fast" in name and kind != "backprop":
            continue  # what a softmax reads is brought to its length first
        said = refusal(lambda answer=answer: answer(net, IMAGES), DataError)  # type: ignore[misc]
        assert "test are not finite for images with values from 0" in said


def test_a_sum_that_is_too_large_is_no_false_alarm() -> None:
    large = torch.full((4,), 3e38)
    assert not large.sum().isfinite()
    assert first_not_finite({"large": large, "whole": torch.tensor([1]), "gone": torch.tensor(torch.nan)}) == "gone"
    assert first_not_finite({"large": large}) is None


@pytest.mark.parametrize("kind", NETS)
def test_a_rate_that_no_net_survives_leaves_a_net_that_does_not_answer(kind: str) -> None:
    """The library's own loop, in which nobody looks."""
    net = NETS[kind]()
    for _ in range(3):
        net.learn(IMAGES, LABELS, rate=1e30)
    for answer in ANSWERS.values():
        refusal(lambda answer=answer: answer(net, IMAGES), twofold.errors.TwofoldError)  # type: ignore[misc]
