"""Blocks of layers that learn from the goodness of every label.

Oracles: the cross-entropy of the goodness, written out and differentiated by autograd in float64.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from support.small_layers import seeded
from twofold.activations import ACTIVATIONS
from twofold.errors import SettingError
from twofold.goodness import GOODNESS
from twofold.layers import block as block_module
from twofold.layers.block import LABEL_SCALE, Block
from twofold.layers.convolution import Convolution
from twofold.layers.dense import Dense
from twofold.layers.fields import Fields
from twofold.layers.layer import FeedForwardLayer
from twofold.layers.local import LocallyConnected
from twofold.layers.module import CustomLayer
from twofold.learning import Rule
from twofold.normalize import normalize
from twofold.substrate import PRESETS

INPUTS, UNITS, CLASSES, CASES = 16, 12, 4, 10
RATE = 0.3

PLAIN = Rule(smoothing=0.0, decay=0.0, peer=0.0, temperature=2.0)


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


BELOW, LABELS = normalize(rand(CASES, INPUTS)), torch.arange(CASES) % CLASSES

MAPS = (1, 4, 4)

LAYERS: dict[str, Callable[[Rule], list[FeedForwardLayer]]] = {
    "dense": lambda rule: [Dense(INPUTS, UNITS, rule, seeded())],
    "two dense": lambda rule: [Dense(INPUTS, 9, rule, seeded()), Dense(9, UNITS, rule, seeded(1))],
    "three dense": lambda rule: [Dense(*size, rule, seeded(size[1])) for size in [(INPUTS, 9), (9, 8), (8, UNITS)]],
    "local": lambda rule: [LocallyConnected(Fields(MAPS, 3, 2, 2), rule, seeded())],
    "module": lambda rule: [CustomLayer(nn.Linear(INPUTS, UNITS), UNITS, rule)],
    "module, dense": lambda rule: [
        CustomLayer(nn.Sequential(nn.Linear(INPUTS, 9), nn.ReLU()), 9, rule),
        Dense(9, UNITS, rule, seeded()),
    ],
}


def block_of(kind: str, rule: Rule = PLAIN) -> Block:
    torch.manual_seed(0)
    return Block(LAYERS[kind](rule), CLASSES, generator=seeded(5)).double()


def goodness(block: Block, below: Tensor, rule: Rule) -> Tensor:
    """The goodness of every label, ``(batch, classes)``, written out, with a graph."""
    for layer in block.stack[:-1]:
        inner = layer(below)
        below = normalize(inner)
    top = block.stack[-1]
    total = top.total(below).flatten(1)
    columns = block.label_weight * (block.units / LABEL_SCALE) ** 0.5
    activity = [rule.unit.value((total + column).clone()) for column in columns]
    return torch.stack([rule.goodness.value(each) for each in activity], 1)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_block_descends_half_the_cross_entropy_of_the_goodness(kind: str) -> None:
    block = block_of(kind)
    before = {name: parameter.detach().clone() for name, parameter in block.named_parameters()}
    for parameter in block.parameters():
        parameter.requires_grad_()
    scores = goodness(block, BELOW, PLAIN)
    loss = cross_entropy(scores / 2.0, LABELS)  # temperature 2 times the factor 1/2 of the derivative of the goodness
    gradients = torch.autograd.grad(loss, list(block.parameters()))
    result = block.learn(BELOW, LABELS, RATE)
    torch.testing.assert_close(result.goodness, scores.detach())
    for (name, parameter), gradient in zip(block.named_parameters(), gradients, strict=True):
        if kind == "local" and name.endswith("0.weight"):
            block.top.connectivity.mask(gradient)  # tiles store more weights than there are
        torch.testing.assert_close(parameter.detach(), before[name] - RATE * gradient, rtol=1e-6, atol=1e-8, msg=name)


@pytest.mark.parametrize(("name", "unit"), [*itertools.product(GOODNESS, ["relu", "leaky_relu", "gelu", "tanh"])])
def test_any_goodness_and_activation_descends_its_cross_entropy(name: str, unit: str) -> None:
    rule = Rule(GOODNESS[name], unit=ACTIVATIONS[unit], smoothing=0.0, decay=0.0, peer=0.0, temperature=2.0)
    block = block_of("dense", rule)
    before = block.stack[0].weight.detach().clone()
    total = (BELOW @ before.T).requires_grad_()
    columns = block.label_weight.detach() * (block.units / LABEL_SCALE) ** 0.5
    function = {"relu": torch.relu, "leaky_relu": nn.functional.leaky_relu, "gelu": nn.functional.gelu}.get(
        unit, lambda z: 1.7159 * torch.tanh(2 / 3 * z)
    )
    scores = torch.stack([rule.goodness.value(function(total + column)) for column in columns], 1)
    (gradient,) = torch.autograd.grad(cross_entropy(scores / 2.0, LABELS), total)
    block.learn(BELOW, LABELS, RATE)
    torch.testing.assert_close(block.stack[0].weight.detach(), before - RATE * gradient.T @ BELOW)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_output_is_the_activity_for_the_mean_label(kind: str) -> None:
    block = block_of(kind)
    below = BELOW
    for layer in block.stack[:-1]:
        below = normalize(layer(below))
    columns = block.label_weight * (block.units / LABEL_SCALE) ** 0.5
    expected = normalize((block.top.total(below).flatten(1) + columns.mean(0)).relu())
    torch.testing.assert_close(block.learn(BELOW, LABELS, RATE).output.flatten(1), expected.detach())


@pytest.mark.parametrize("kind", LAYERS)
def test_the_result_does_not_depend_on_the_number_of_activities_at_a_time(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = Rule(temperature=2.0, tolerance=0.4, peer=0.1)
    whole, parts = block_of(kind, rule), block_of(kind, rule)
    weight = torch.linspace(0.5, 2, CASES)
    results = [whole.learn(BELOW, LABELS, RATE, weight)]
    monkeypatch.setattr(block_module, "CHUNK", 3 * CLASSES * UNITS)
    results.append(parts.learn(BELOW, LABELS, RATE, weight))
    torch.testing.assert_close(results[0], results[1])
    torch.testing.assert_close(dict(whole.named_parameters()), dict(parts.named_parameters()))


@pytest.mark.parametrize("kind", LAYERS)
def test_a_case_of_weight_two_counts_as_two_cases(kind: str) -> None:
    twice, weighted = block_of(kind), block_of(kind)
    twice.learn(torch.cat([BELOW, BELOW[:3]]), torch.cat([LABELS, LABELS[:3]]), RATE * (CASES + 3) / CASES)
    weighted.learn(BELOW, LABELS, RATE, torch.tensor([2.0] * 3 + [1.0] * (CASES - 3)))
    torch.testing.assert_close(dict(twice.named_parameters()), dict(weighted.named_parameters()))


@pytest.mark.parametrize("kind", LAYERS)
def test_peers_attract_with_the_activity_of_the_true_label(kind: str) -> None:
    rule = Rule(smoothing=0.0, decay=0.0, peer=0.5, temperature=2.0)
    block, without = block_of(kind, rule), block_of(kind)
    state = block.top.mean_activity.clone()
    columns = block.label_weight.detach() * (block.units / LABEL_SCALE) ** 0.5
    activity = (block.total(BELOW).detach() + columns[LABELS]).relu().mean(0)
    block.learn(BELOW, LABELS, RATE)
    without.learn(BELOW, LABELS, RATE)
    torch.testing.assert_close(block.top.mean_activity, 0.9 * state + 0.1 * activity)
    mean = block.top.mean_activity
    bias = list(block.top.parameters())[-1].detach() - list(without.top.parameters())[-1].detach()
    torch.testing.assert_close(bias, RATE * 0.5 * (mean.mean() - mean), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("tolerance", [0.2, 0.9])
def test_sampled_cases_keep_the_expected_gradient(tolerance: float) -> None:
    exact = block_of("dense")
    before = exact.stack[0].weight.detach().clone()
    exact.learn(BELOW, LABELS, RATE)
    sampled = block_of("dense", Rule(smoothing=0.0, decay=0.0, peer=0.0, temperature=2.0, tolerance=tolerance))
    start, steps = {name: tensor.clone() for name, tensor in sampled.state_dict().items()}, []
    for _ in range(2000):
        sampled.load_state_dict(start)
        sampled.learn(BELOW, LABELS, RATE)
        steps.append(sampled.stack[0].weight.detach() - before)
    mean = torch.stack(steps).mean(0)
    torch.testing.assert_close(mean, exact.stack[0].weight.detach() - before, rtol=0.05, atol=0.02 * mean.abs().max())


@pytest.mark.parametrize("unit", ACTIVATIONS)
def test_every_activation_learns_inside_a_block(unit: str) -> None:
    rule = Rule(unit=ACTIVATIONS[unit], temperature=2.0)
    block = block_of("two dense", rule)
    before = [parameter.detach().clone() for parameter in block.parameters()]
    for _ in range(3):
        block.learn(BELOW, LABELS, RATE)
    for old, new in zip(before, block.parameters(), strict=True):
        assert not torch.equal(old, new)
        assert new.isfinite().all()


def test_a_convolution_learns_the_mean_over_positions_alone_and_below_another_layer() -> None:
    rule = PLAIN
    convolution = Convolution(MAPS, 3, 2, rule=rule, generator=seeded())
    positions = convolution.shape[1] * convolution.shape[2]
    for layers in ([convolution], [convolution, Dense(convolution.units, UNITS, rule, seeded())]):
        block = Block(layers, CLASSES, generator=seeded()).double()
        below = BELOW.view(-1, *MAPS)
        before = convolution.weight.detach().clone()
        for parameter in block.parameters():
            parameter.requires_grad_()
        loss = cross_entropy(goodness(block, below, rule) / 2.0, LABELS)
        (gradient,) = torch.autograd.grad(loss, [convolution.weight])
        block.learn(below, LABELS, RATE)
        torch.testing.assert_close(
            convolution.weight.detach(), before - RATE * gradient / positions, rtol=1e-6, atol=1e-8
        )


def test_a_block_of_several_layers_refuses_an_analog_substrate() -> None:
    block = Block(LAYERS["two dense"](PLAIN), CLASSES, generator=seeded())
    PRESETS["bench"].install(block, seed=1)
    with pytest.raises(SettingError, match="analog substrate, whose derivative is unknown: use blocks of one layer"):
        block.learn(BELOW.float(), LABELS, RATE)
