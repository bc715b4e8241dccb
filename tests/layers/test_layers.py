"""Layers: what a pair counts, what is sampled, and that nothing which happens above a layer teaches it.

Oracles: the same rule with its weights and samples written out, bitwise equality, PyTorch's contract of a module.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from support.small_layers import CASES, INPUTS, LAYERS, RATE, UNITS, authors_rule, batch, seeded
from twofold.layers.dense import Dense, dense
from twofold.layers.layer import FeedForwardLayer
from twofold.layers.module import CustomLayer
from twofold.learning import Rule, sample
from twofold.normalize import normalize
from twofold.objectives import OBJECTIVES, Objective

# Weights and tolerance -----------------------------------------------------------------------------------------------


def signals(layer: FeedForwardLayer, positive: Tensor, negative: Tensor) -> Tensor:
    """How strongly the layer's objective asks for more and for less, ``(2, batch)``."""
    excess = [layer.goodness(layer(side).detach()) - layer.threshold for side in (positive, negative)]
    return torch.stack(layer.rule.objective.signal(excess[0], excess[1], layer.rule.temperature))


def gradient(rule: Rule, kind: str, positive: Tensor, negative: Tensor, weight: Tensor | None = None) -> list[Tensor]:
    """The gradient of the first batch, as a sum over its cases."""
    layer = LAYERS[kind](replace(rule, smoothing=0.0, decay=0.0, peer=0.0))
    layer.learn(positive, negative, RATE, weight)
    state = layer.learning_state()
    return [len(positive) * tensor for name, tensor in state.items() if name.endswith("velocity")]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_pair_counts_as_often_as_its_weight_says(kind: str, objective: str) -> None:
    def weak(positive: Tensor, negative: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        more, less = OBJECTIVES[objective].signal(positive, negative, temperature)
        return 0.3 * more, 0.3 * less

    rule = authors_rule(objective=replace(OBJECTIVES[objective], signal=weak), temperature=2.0)
    (positive, negative), times = batch(0), 1 + torch.arange(CASES) % 3
    repeated = [side.repeat_interleave(times, 0) for side in (positive, negative)]
    weighted = gradient(rule, kind, positive, negative, times.double())
    torch.testing.assert_close(weighted, gradient(rule, kind, repeated[0], repeated[1]))


@pytest.mark.parametrize("kind", LAYERS)
def test_all_pairs_count_one_where_nothing_else_is_said(kind: str) -> None:
    one = torch.ones(CASES, dtype=torch.float64)
    torch.testing.assert_close(
        gradient(authors_rule(), kind, *batch(0)), gradient(authors_rule(), kind, *batch(0), one)
    )


@pytest.mark.parametrize("kind", LAYERS)
def test_a_weight_counts_in_decay_peers_and_running_means_too(kind: str) -> None:
    """Else a layer whose easy cases are left out would decay, and be pulled to its peers, too little."""
    rule = authors_rule(decay=0.05, peer=0.2, smoothing=0.7)
    weighted, repeated, times = LAYERS[kind](rule), LAYERS[kind](rule), 1 + torch.arange(CASES) % 3
    count = int(times.sum())
    each = torch.full((count,), count / CASES, dtype=torch.float64)
    for step in range(3):
        positive, negative = batch(step)
        weighted.learn(positive, negative, RATE, times.double())
        repeated.learn(*(side.repeat_interleave(times, 0) for side in (positive, negative)), RATE, each)
        torch.testing.assert_close(dict(weighted.named_parameters()), dict(repeated.named_parameters()))
        torch.testing.assert_close(weighted.mean_activity, repeated.mean_activity)


@pytest.mark.parametrize("kind", LAYERS)
def test_cases_that_count_nothing_change_nothing(kind: str) -> None:
    layer = LAYERS[kind](authors_rule(decay=0.05, peer=0.2))
    before = copy.deepcopy(layer.state_dict())
    layer.learn(*batch(0), RATE, torch.zeros(CASES, dtype=torch.float64))
    assert all(torch.equal(each, before[name]) for name, each in layer.state_dict().items())
    assert (layer.mean_activity == 0.5).all()


def _sampled(tolerance: float) -> Objective:
    """The logistic objective with its weak signals left out or raised, batch by batch."""
    batches = torch.zeros((), dtype=torch.int64)

    def signal(positive: Tensor, negative: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        batches.add_(1)
        both = torch.stack(OBJECTIVES["logistic"].signal(positive, negative, temperature))
        more, less = sample(both, tolerance, batches)
        return more, less

    return replace(OBJECTIVES["logistic"], signal=signal)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("tolerance", [0.0, 0.5, 0.8, 0.999])
def test_the_tolerance_samples_the_signals_and_touches_nothing_else(kind: str, tolerance: float) -> None:
    """What is left out for speed must be what the recipe says, or the speed is bought with another algorithm."""
    rule = authors_rule(temperature=3.0, tolerance=tolerance)
    layer = LAYERS[kind](rule)
    written_out = LAYERS[kind](replace(rule, tolerance=0.0, objective=_sampled(tolerance)))
    for step in range(4):
        weak = signals(layer, *batch(step)) < tolerance
        learned = layer.learn(*batch(step), RATE)
        expected = written_out.learn(*batch(step), RATE)
        torch.testing.assert_close(learned[:3], expected[:3])
        torch.testing.assert_close(layer.state_dict(), written_out.state_dict())
    assert 0 < weak.sum() < 2 * CASES or tolerance != 0.5, "this case is to sample some and not all"


@pytest.mark.slow
@pytest.mark.parametrize("kind", LAYERS)
def test_what_a_layer_learns_under_a_tolerance_is_on_average_what_it_learns_without(kind: str) -> None:
    """A tolerance that simply left weak cases out would end in other weights, and did."""
    positive, negative = batch(0)
    rule = authors_rule(temperature=3.0, smoothing=0.0, decay=0.0, peer=0.0)
    layer, exact = LAYERS[kind](replace(rule, tolerance=0.9)), gradient(rule, kind, positive, negative)
    assert (signals(layer, positive, negative) < 0.9).sum() > CASES
    velocities = [tensor for name, tensor in layer.learning_state().items() if name.endswith("velocity")]
    total, batches = [torch.zeros_like(tensor) for tensor in velocities], 2000
    for _ in range(batches):
        layer.learn(positive, negative, 0.0)
        for tensor, velocity in zip(total, velocities, strict=True):
            tensor.add_(CASES * velocity / batches)
    torch.testing.assert_close(total, exact, rtol=0, atol=0.01 * max(tensor.abs().max().item() for tensor in exact))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_need_of_a_pair_is_the_stronger_of_its_signals_whatever_it_counts(kind: str, objective: str) -> None:
    """By it the next visit is decided: taken from weighted or sampled signals, easy images would be taken for hard."""
    layer = LAYERS[kind](authors_rule(objective=OBJECTIVES[objective], temperature=2.0, tolerance=0.6))
    layer.threshold = layer.goodness(layer(batch(0)[0]).detach()).median().item()  # so that either may be stronger
    for step in range(3):
        more, less = signals(layer, *batch(step)).tolist()
        weight = 5 * torch.rand(CASES, generator=seeded(step), dtype=torch.float64)
        difficulty = layer.learn(*batch(step), RATE, weight).difficulty
        assert difficulty.tolist() == pytest.approx([max(abs(a), abs(b)) for a, b in zip(more, less, strict=True)])


# Locality ------------------------------------------------------------------------------------------------------------


def stack(kind: str, top_seed: int) -> list[FeedForwardLayer]:
    """Three layers; what depends on ``top_seed`` is the last one alone."""
    layers: list[FeedForwardLayer] = list(dense(INPUTS, (UNITS, UNITS, UNITS), authors_rule(), seeded()))
    with torch.no_grad():
        layers[2].load_state_dict(Dense(UNITS, UNITS, authors_rule(), seeded(top_seed)).state_dict())
    for layer in layers:
        layer.double()
    if kind == "module":
        linears = [nn.Linear(INPUTS if n == 0 else UNITS, UNITS).double() for n in range(3)]
        for linear, layer in zip(linears, layers, strict=True):
            linear.load_state_dict(layer.state_dict())
        layers = [CustomLayer(nn.Sequential(linear, nn.ReLU()), UNITS, authors_rule()).double() for linear in linears]
    return layers


@pytest.mark.parametrize("kind", LAYERS)
def test_no_layer_learns_anything_from_a_layer_above(kind: str) -> None:
    """Exactly zero, bitwise. Otherwise it is backpropagation by another name, and the talk's first claim is void."""
    one, other = stack(kind, top_seed=1), stack(kind, top_seed=2)
    for step in range(5):
        for layers in (one, other):
            positive, negative = batch(step)
            for layer in layers:
                positive, negative, *_ = layer.learn(positive, negative, RATE)
    for same in range(2):
        for mine, yours in zip(one[same].parameters(), other[same].parameters(), strict=True):
            assert torch.equal(mine, yours)
    assert not torch.equal(next(one[2].parameters()), next(other[2].parameters()))


@pytest.mark.parametrize("kind", LAYERS)
def test_no_graph_leaves_a_layer(kind: str) -> None:
    """A graph that does would keep the activities of all layers in memory, and a derivative could cross."""
    below = [side.requires_grad_() for side in batch(0)]
    learned = LAYERS[kind](authors_rule()).learn(below[0], below[1], RATE)
    assert not any(tensor.requires_grad for tensor in (learned.positive, learned.negative, *learned.goodness))
    assert all(side.grad is None for side in below)


def test_the_graph_of_a_module_ends_at_its_input() -> None:
    """It is kept until the gradient is gathered: a longer one would keep the activities of all layers below."""
    scale = nn.Parameter(torch.ones((), dtype=torch.float64))
    activity = LAYERS["module"](authors_rule()).respond(scale * batch(0)[0]).activity
    assert activity.requires_grad
    assert torch.autograd.grad(activity.sum(), scale, allow_unused=True) == (None,)


# Oracle: PyTorch's contract of a module ------------------------------------------------------------------------------


def narrow(layer: Dense) -> Dense:
    layer.compute = torch.bfloat16
    return layer


def fresh(layer: Dense) -> Dense:
    """A layer with the same weights that has never computed anything."""
    copied = Dense(INPUTS, UNITS, layer.rule)
    copied.load_state_dict(layer.state_dict())
    return narrow(copied)


@pytest.mark.parametrize("change", ["learn", "load", "edit", "move"])
def test_the_narrow_copy_of_the_weights_is_never_stale(change: str) -> None:
    """A net that learns with yesterday's weights still learns something, and its figures are worth nothing."""
    layer, (positive, negative) = (
        narrow(Dense(INPUTS, UNITS, authors_rule(), seeded())),
        (side.float() for side in batch(0)),
    )
    before = layer(positive)
    if change == "learn":
        layer.learn(positive, negative, 1.0)
    elif change == "load":
        layer.load_state_dict(Dense(INPUTS, UNITS, authors_rule(), seeded(1)).state_dict())
    elif change == "edit":
        layer.weight[0] += 1.0
    else:
        layer.double()
        layer.weight[0] += 1.0
        layer.float()
    assert not torch.equal(layer(positive), before)
    assert torch.equal(layer(positive), fresh(layer)(positive))
    assert layer(positive).dtype == torch.bfloat16


def test_a_narrow_layer_learns_nearly_what_a_wide_one_learns_and_keeps_wide_weights() -> None:
    wide, thin = Dense(50, 40, authors_rule(), seeded()), narrow(Dense(50, 40, authors_rule(), seeded()))
    first = wide.weight.clone()
    for step in range(10):
        positive, negative = (side.float() for side in batch(step, inputs=50))
        wide.learn(positive, negative, RATE)
        thin.learn(positive, negative, RATE)
    assert thin.weight.dtype == torch.float32
    assert (thin.weight - wide.weight).norm() < 0.03 * (wide.weight - first).norm()


@pytest.mark.parametrize("kind", LAYERS)
def test_state_dict_holds_the_parameters_and_learning_state_what_only_learning_needs(kind: str) -> None:
    """Smoothed gradients among the weights would make a file that no other program understands."""
    layer = LAYERS[kind](authors_rule())
    layer.learn(*batch(0), RATE)
    names = {name for name, _ in layer.named_parameters()}
    assert set(layer.state_dict()) == names
    state = layer.learning_state()
    velocities = {f"{name}_velocity" for name in names}
    assert set(state) == {"mean_activity", "batches"} | velocities
    assert state["batches"].item() == 1
    assert not torch.equal(state["mean_activity"], torch.full((UNITS,), 0.5, dtype=torch.float64))
    assert all(tensor.count_nonzero() for tensor in state.values())


@pytest.mark.parametrize("kind", LAYERS)
def test_weights_and_learning_state_together_are_all_that_a_layer_knows(kind: str) -> None:
    """Whatever else it kept would be lost at a resume."""
    layer, other = (LAYERS[kind](authors_rule(temperature=3.0, tolerance=0.8)) for _ in range(2))
    for step in range(3):
        layer.learn(*batch(step), RATE)
    other.load_state_dict(layer.state_dict())
    for name, tensor in layer.learning_state().items():
        other.learning_state()[name].copy_(tensor)
    for each in (layer, other):
        each.learn(*batch(9), RATE)
    torch.testing.assert_close(layer.state_dict(), other.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_is_a_module_like_any_other(kind: str) -> None:
    """``train`` that learns, or a list that hides its layers, are the traps of published code."""
    layer = LAYERS[kind](authors_rule())
    assert not layer.eval().training
    assert layer.train().training
    layer.to(torch.float32)
    tensors = dict(layer.named_parameters()) | layer.learning_state()
    assert tensors.pop("batches").dtype == torch.int64, "a count that is rounded stands still one day"
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    copied = copy.deepcopy(layer)
    copied.learn(*(side.float() for side in batch(0)), RATE)
    assert not torch.equal(next(copied.parameters()), next(layer.parameters()))


def test_what_is_frozen_of_a_module_stays_as_it_is() -> None:
    layer = LAYERS["module"](authors_rule())
    layer.learn(*batch(0), RATE)
    for frozen in (["module.0.bias"], ["module.0.bias", "module.0.weight"]):
        before = {name: parameter.detach().clone() for name, parameter in layer.named_parameters()}
        for name in frozen:
            layer.get_parameter(name).requires_grad_(False)
        difficulty = layer.learn(*batch(1), RATE).difficulty
        assert difficulty.shape == (CASES,)
        same = {name for name, parameter in layer.named_parameters() if torch.equal(parameter, before[name])}
        assert same == set(frozen)


def test_the_first_weights_have_the_size_that_the_author_gives_them() -> None:
    layer = Dense(400, 300, Rule(), seeded())
    assert layer.weight.std().item() == pytest.approx(1 / 20, rel=0.02)
    assert abs(layer.weight.mean().item()) < 0.001
    assert layer.bias.count_nonzero() == 0


def test_a_convolution_learns_to_tell_stripes_that_stand_from_stripes_that_lie() -> None:
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)

    def stripes(count: int) -> Tensor:
        rows = (torch.rand(count, 1, 6, 1, generator=generator) > 0.5).float().expand(-1, -1, -1, 6)
        return normalize(rows + 0.1 * torch.rand(count, 1, 6, 6, generator=generator))

    layer = CustomLayer(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()), 4 * 4 * 4, authors_rule(temperature=5.0))
    for _ in range(150):
        learned = layer.learn(stripes(20).mT, stripes(20), 0.5)
    assert learned.positive.shape == (20, 4, 4, 4)
    standing, lying = (layer.goodness(layer(images).detach()) for images in (stripes(200).mT, stripes(200)))
    assert (standing > layer.threshold).float().mean() > 0.9
    assert (lying < layer.threshold).float().mean() > 0.9
