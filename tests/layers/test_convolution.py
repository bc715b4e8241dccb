"""A convolution is a local layer whose grid points share their weights, before and after learning."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from support.small_layers import authors_rule
from twofold import Convolution, Unsupervised
from twofold.data import Dataset
from twofold.layers.fields import Fields
from twofold.layers.local import LocallyConnected
from twofold.negatives import hybrids

RULE = authors_rule(temperature=3.0, smoothing=0.0, decay=0.0, tolerance=0.1)
MAPS = [
    Fields((1, 7, 7), 2, 3),
    Fields((2, 9, 7), 3, 3, 2),
    Fields((3, 8, 6), 2, 5, margin=2),
    Fields((2, 9, 9), 2, 3, 2, margin=1),
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def convolution(fields: Fields, generator: torch.Generator | None = None) -> Convolution:
    """The convolution whose units lie and see as fields say."""
    return Convolution(
        fields.below, fields.channels, fields.field, fields.stride, fields.margin, rule=RULE, generator=generator
    )


def spread(layer: Convolution, fields: Fields) -> Tensor:
    """Its weights as a matrix: what each pixel alone brings to each unit."""
    eye = torch.eye(fields.inputs, dtype=layer.weight.dtype).view(-1, *fields.below)
    return torch.nn.functional.conv2d(eye, layer.weight, None, fields.stride, fields.margin).flatten(1).T


def same(fields: Fields) -> tuple[Convolution, LocallyConnected]:
    """A convolution, and a local layer with the same weights at all points."""
    layer = convolution(fields, seeded()).double()
    layer.bias += torch.linspace(-0.2, 0.2, fields.channels, dtype=torch.float64)
    other = LocallyConnected(fields, RULE, seeded()).double()
    whole, points = spread(layer, fields), fields.units // fields.channels
    blocks = (
        other.connectivity._tiles(other.connectivity._units[:, None], 1),
        other.connectivity._tiles(other.connectivity._inputs[:, None], 2),
    )
    for block, units, inputs in zip(other.connectivity._blocks(other.weight), *blocks, strict=True):
        block.copy_(whole[units, inputs.transpose(1, 2)])
    other.bias.copy_(layer.bias.repeat_interleave(points))
    return layer, other


@pytest.mark.parametrize("fields", MAPS)
@pytest.mark.parametrize("peer", [0.0, 0.3])
def test_it_learns_the_mean_of_what_its_grid_points_would_learn(fields: Fields, peer: float) -> None:
    layer, other = same(fields)
    layer.rule = other.rule = replace(RULE, peer=peer)
    positive, negative = torch.rand(2, 8, fields.inputs, generator=seeded(1), dtype=torch.float64)
    torch.testing.assert_close(spread(layer, fields), other.to_matrix())
    before, biases = other.to_matrix(), other.bias.clone()
    first, bias = layer.weight.clone(), layer.bias.clone()
    found, wanted = (each.learn(positive, negative, 0.3) for each in (layer, other))
    torch.testing.assert_close(found.positive.flatten(1), wanted.positive)
    torch.testing.assert_close(found.goodness, wanted.goodness)
    torch.testing.assert_close(found.difficulty, wanted.difficulty)
    # The change of a weight of the kernel is the mean of the changes of its copies, nothing at the points it misses.
    change, points = other.to_matrix() - before, fields.units // fields.channels
    for place in ((0, 0, 0, 0), (-1, -1, 1, 2), (-1, 0, -1, -1)):
        probe = torch.zeros_like(layer.weight)
        probe[place] = 1
        mine = convolution(fields).double()
        mine.weight.copy_(probe)
        torch.testing.assert_close((layer.weight - first)[place], (change * spread(mine, fields)).sum() / points)
    torch.testing.assert_close(layer.bias - bias, (other.bias - biases).view(-1, points).mean(1))


def test_copies_of_a_kernel_in_the_type_of_the_products_are_renewed() -> None:
    positive, negative = torch.rand(2, 8, MAPS[1].inputs, generator=seeded(1))
    layer = convolution(MAPS[1], seeded())
    layer.compute = torch.bfloat16
    for _ in range(2):
        layer.learn(positive, negative, 0.3)
    fresh = convolution(MAPS[1])
    fresh.compute = torch.bfloat16
    fresh.load_state_dict(layer.state_dict())
    assert layer(positive).dtype == torch.bfloat16
    assert torch.equal(layer(positive), fresh(positive))


@pytest.mark.slow
def test_convolutions_learn_digits_without_a_label(digits: Dataset) -> None:
    """Were the gradient's sign or scale wrong, the layers would learn nothing that a softmax can use."""
    rule = authors_rule(peer=0.0)

    def error(rate: float) -> float:
        generator = seeded()
        first = Convolution((1, 8, 8), 16, 3, padding=1, rule=rule, generator=generator)
        second = Convolution((16, 8, 8), 16, 3, padding=1, rule=rule, generator=generator)
        net = Unsupervised([first, second], 10, counted_from=1)
        images, labels = digits.train
        for epoch in range(6):
            for cases in torch.randperm(len(labels), generator=seeded(epoch)).split(40):
                positive = net.images(images[cases]).rows
                negative = net.images(hybrids(images[cases], 2, generator)).rows
                features = []
                for layer in net.layers:
                    assert isinstance(layer, Convolution)
                    positive, negative, _, _ = layer.learn(positive, negative, rate)
                    features.append(positive.flatten(1))
                net.softmax.learn(torch.cat(features, 1), labels[cases], 0.1)
        return (net.fast(digits.test[0]).argmax(1) != digits.test[1]).float().mean().item()

    taught = error(0.1)
    assert taught < 0.06
    assert taught < error(0.0)
