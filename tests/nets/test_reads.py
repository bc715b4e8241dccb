"""How often a net reads the weights of its layers: once for all passes, or anew for every pass where they ask for it.

Oracles: counts by hand; the same net on this machine's own weights.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from support.small_layers import Read, SeparateRead, seeded
from support.small_nets import CLASSES, NETS, SHAPE
from twofold import defaults, evaluate
from twofold.data import Dataset
from twofold.nets.feedforward import FeedForward
from twofold.nets.recurrent import Recurrent

BATCH = 20


def read_by(net: Any, kind: type[Read], noise: float = 0.0) -> list[dict[str, Read]]:
    """The weights of all layers, taken over by weights of this kind: of each layer by source."""
    found: list[dict[str, Read]] = []
    for layer in net.stack:
        if isinstance(net, Recurrent):
            taken = {name: kind(layer.weights, name, layer.connectivity[name], noise) for name in layer.learned}
            layer.learned.update(taken)
        else:
            layer.weights = kind(layer, "weight", layer.connectivity, noise)
            taken = {"below": layer.weights}
        found.append(taken)
    return found


def rows(reads: dict[str, Read]) -> dict[str, list[int]]:
    """How many rows each read since the last time, read by read."""
    found = {name: list(read.rows) for name, read in reads.items()}
    for read in reads.values():
        read.rows.clear()
    return found


def test_neutral_positive_and_negative_pass_share_one_read_of_the_images_or_have_one_each(digits: Dataset) -> None:
    images, labels = digits.train_images[:BATCH], digits.train_labels[:BATCH]
    above = [BATCH, 2 * BATCH]  # the neutral pass, the positive and the negative one
    for kind, first in ((Read, [BATCH]), (SeparateRead, above)):
        net = NETS["feedforward"]()
        reads = read_by(net, kind)
        net.learn(images, labels, rate=0.1, generator=seeded())
        assert [rows(each)["below"] for each in reads] == [first, above]


def test_the_slow_test_reads_once_for_all_labels_or_once_for_each(digits: Dataset) -> None:
    images = digits.test_images[:BATCH]
    for kind, first in ((Read, [BATCH]), (SeparateRead, CLASSES * [BATCH])):
        net = NETS["feedforward"]()
        reads = read_by(net, kind)
        net.slow(images)
        assert [rows(each)["below"] for each in reads] == [first, CLASSES * [BATCH]]


def test_a_still_image_and_its_labels_are_read_once_or_at_every_iteration(digits: Dataset) -> None:
    """Hand count: a bottom-up pass, iterations under the neutral label, iterations under right and wrong labels."""
    images, labels = digits.train_images[:BATCH], digits.train_labels[:BATCH]
    looks = defaults.ITERATIONS * [BATCH] + defaults.ITERATIONS * [2 * BATCH]
    for kind, frame, label in ((Read, [BATCH], [BATCH, 2 * BATCH]), (SeparateRead, [BATCH, *looks], looks)):
        net = NETS["recurrent"]()
        first, last = read_by(net, kind)
        net.learn(images, labels, rate=0.1, generator=seeded())
        assert rows(first) == {"below": frame, "above": looks}
        assert rows(last) == {"below": [BATCH, *looks], "above": label}


@pytest.mark.parametrize("name", ["feedforward", "unsupervised", "recurrent"])
def test_a_net_learns_the_same_from_exact_weights_however_often_they_are_read(name: str, digits: Dataset) -> None:
    nets = [NETS[name]().double() for _ in range(2)]
    read_by(nets[1], SeparateRead)
    for batch in range(3):
        images, labels = (part[batch * BATCH : (batch + 1) * BATCH] for part in digits.train)
        for net in nets:
            net.learn(images.double(), labels, rate=0.1, generator=seeded(batch))
        torch.testing.assert_close(nets[1].state_dict(), nets[0].state_dict(), rtol=1e-9, atol=1e-12)
    images = digits.test_images[:BATCH].double()
    torch.testing.assert_close(nets[1].scores(images), nets[0].scores(images), rtol=1e-7, atol=1e-9)


def test_a_net_learns_from_weights_whose_every_read_is_noisy(digits: Dataset) -> None:
    """Noise that differs from pass to pass is what analog hardware has."""
    net = FeedForward.dense(SHAPE, (200, 200), CLASSES, generator=seeded())
    read_by(net, SeparateRead, noise=0.1)
    for epoch in range(3):
        for cases in torch.randperm(len(digits.train_labels), generator=seeded(epoch)).split(defaults.BATCH):
            images, labels = (part[cases] for part in digits.train)
            net.learn(images, labels, rate=defaults.RATE, generator=seeded(epoch))
    assert evaluate(net, *digits.test).error["slow"] < 0.25
