"""`net(images)`, as of any module: the scores of the main test of one pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from support.small_nets import CLASSES, NETS
from twofold.data import Dataset
from twofold.layers.boxes import boxes_for
from twofold.nets.backprop import Backprop
from twofold.substrate import PRESETS

EVERY = {
    **NETS,
    "boxed": lambda: Backprop(64, (9, 9, 8), CLASSES, boxes=boxes_for("one_bit", (9, 9, 8), 0), readout="block"),
    "local": lambda: Backprop(64, (9, 8), CLASSES, readout="layer"),
    "chip": lambda: Backprop(64, (9, 8), CLASSES, substrate=PRESETS["ideal"]),
    "local chip": lambda: Backprop(64, (9, 8), CLASSES, substrate=PRESETS["ideal"], readout="layer"),
}


def scale_of(net: Any) -> float:
    """The temperature by which the scores of a goodness test are divided; 1 for logits."""
    return sum(block.temperature for block in net.stack) if net.method == "label-free" else 1.0


@pytest.mark.parametrize("name", EVERY)
def test_a_net_is_called_with_images_and_gives_the_logits_of_its_only_pass(digits: Dataset, name: str) -> None:
    net, images = EVERY[name](), digits.test_images[:7]
    for softmax in [each for part, each in net.named_parameters() if "softmax" in part or each.shape[:1] == (CLASSES,)]:
        torch.nn.init.normal_(softmax, generator=torch.Generator().manual_seed(1))
    scores = net(images)
    assert scores.shape == (7, CLASSES)
    test = "fast" if "fast" in net.passes() else "slow"
    assert net.passes()[test] == 1
    torch.testing.assert_close(scores.detach().softmax(1), net.scores(images)[test].div(scale_of(net)).softmax(1))
    assert torch.equal(scores.argmax(1), net.predict(images, test))
    assert torch.equal(torch.nn.Sequential(net)(images).detach(), scores.detach()), "as a part of another module"


@pytest.mark.parametrize("widths", [30, (30,), [30], range(30, 31), torch.tensor([30])], ids=str)
def test_widths_are_any_sequence_of_numbers_or_one(widths: object) -> None:
    import twofold

    nets = [
        twofold.FeedForward.dense((1, 8, 8), widths, 10),  # type: ignore[arg-type]
        twofold.Recurrent(64, widths, 10),  # type: ignore[arg-type]
        twofold.Backprop(64, widths, 10),  # type: ignore[arg-type]
    ]
    assert [net.widths for net in nets] == [(30,)] * 3
