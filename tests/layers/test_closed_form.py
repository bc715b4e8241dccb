"""The closed form is the gradient of the written-out loss, and pulls every unit towards its peers.

Oracles: autograd in float64, the analytic step of the paper. Were they to differ, a layer would learn by another rule
than the one that is published.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from support.small_layers import (
    INPUTS,
    LAYERS,
    RATE,
    UNITS,
    authors_rule,
    batch,
    dense_layer,
    seeded,
    the_same_as_a_module,
)
from twofold.goodness import GOODNESS
from twofold.layers.dense import Dense
from twofold.learning import Rule
from twofold.normalize import normalize
from twofold.objectives import OBJECTIVES, Objective


class WrittenOut:
    """One dense layer by autograd from the formula alone: ½ mean loss, minus the pull of the peers, is descended."""

    def __init__(self, layer: Dense, rule: Rule) -> None:
        self.rule = rule
        self.parameters = [layer.weight.detach().clone(), layer.bias.detach().clone()]
        self.velocities = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.mean = torch.full((UNITS,), 0.5, dtype=torch.float64)

    def learn(self, positive: Tensor, negative: Tensor, rate: float) -> None:
        rule = self.rule
        weight, bias = (parameter.requires_grad_() for parameter in self.parameters)
        total = positive @ weight.T + bias
        threshold = rule.goodness.threshold(UNITS)
        good, bad = (rule.goodness.value(z.relu()) - threshold for z in (total, negative @ weight.T + bias))
        self.mean = 0.9 * self.mean + 0.1 * total.relu().mean(0).detach()
        peers = (rule.peer * (self.mean.mean() - self.mean) * total).sum(1)
        descended = (0.5 * rule.objective.loss(good, bad, rule.temperature) - peers).mean()
        for index, gradient in enumerate(torch.autograd.grad(descended, [weight, bias])):
            self.velocities[index] = rule.smoothing * self.velocities[index] - (1 - rule.smoothing) * gradient
            old, decay = self.parameters[index].detach(), rule.decay * (gradient.dim() > 1)
            self.parameters[index] = old + rate * (self.velocities[index] - decay * old)


# Oracle: autograd ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("goodness", "objective"), [*itertools.product(GOODNESS, OBJECTIVES)])
def test_the_closed_form_descends_the_written_out_loss(goodness: str, objective: str) -> None:
    """Several steps, so that smoothing, decay and running means are in it: the algorithm of the paper, exactly."""
    rule = Rule(GOODNESS[goodness], OBJECTIVES[objective], temperature=2.0, smoothing=0.7, decay=0.05, peer=0.2)
    layer = dense_layer(rule)
    oracle = WrittenOut(layer, rule)
    for step in range(4):
        layer.learn(*batch(step), RATE)
        oracle.learn(*batch(step), RATE)
        torch.testing.assert_close([layer.weight.data, layer.bias.data], oracle.parameters, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("goodness", "objective"), [*itertools.product(GOODNESS, OBJECTIVES)])
def test_any_module_learns_what_the_closed_form_learns(goodness: str, objective: str) -> None:
    """Apart from peer normalization, which cannot see the total inputs of an unknown module."""
    rule = Rule(GOODNESS[goodness], OBJECTIVES[objective], temperature=2.0, smoothing=0.7, decay=0.05, peer=0.0)
    layer = dense_layer(rule)
    module = the_same_as_a_module(layer, rule)
    for step in range(4):
        closed, by_autograd = layer.learn(*batch(step), RATE), module.learn(*batch(step), RATE)
        torch.testing.assert_close(closed, by_autograd)
        torch.testing.assert_close(list(layer.parameters()), [p.data for p in module.parameters()])
    torch.testing.assert_close(layer.mean_activity, module.mean_activity)


def test_a_module_is_drawn_to_its_peers_through_what_it_puts_out() -> None:
    rule = Rule(objective=INDIFFERENT, smoothing=0.0, decay=0.0, peer=0.2)
    module = the_same_as_a_module(dense_layer(rule), rule)
    before = [parameter.detach().clone() for parameter in module.parameters()]
    positive, negative = batch(0)
    activity = module(positive)
    mean = 0.9 * 0.5 + 0.1 * activity.mean(0).detach()
    wanted = (0.2 * (mean.mean() - mean) * activity).sum(1).mean()
    gradients = torch.autograd.grad(wanted, list(module.parameters()))
    module.learn(positive, negative, RATE)
    expected = [old + RATE * gradient for old, gradient in zip(before, gradients, strict=True)]
    torch.testing.assert_close([parameter.data for parameter in module.parameters()], expected)


@pytest.mark.parametrize("kind", LAYERS)
def test_what_a_layer_hands_on_is_its_normalized_activity_from_before_the_update(kind: str) -> None:
    layer = LAYERS[kind](authors_rule())
    positive, negative = batch(0)
    activities = [layer(side).detach() for side in (positive, negative)]
    learned = layer.learn(positive, negative, RATE)
    torch.testing.assert_close([learned.positive, learned.negative], [normalize(activity) for activity in activities])
    torch.testing.assert_close(list(learned.goodness), [activity.square().sum(1) for activity in activities])


# Oracle: the paper's analytic step -----------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [1.5, 4.0, 100.0])
def test_one_step_of_the_right_rate_reaches_any_goodness(wanted: float) -> None:
    """Paper section 2.2: the rate is sqrt(wanted / goodness) - 1 for an input of length 1; what is passed on stays."""
    layer = Dense(INPUTS, UNITS, authors_rule(temperature=1e-6, smoothing=0, decay=0, peer=0), seeded()).double()
    layer.threshold = 1e6  # far above: the positive case is plainly wrong, the negative one plainly right
    case = batch(0)[0][:1]
    case = case / case.norm()
    before, passed_on = layer.goodness(layer(case)), normalize(layer(case))
    layer.learn(case, batch(0)[1][:1], (wanted / before.item()) ** 0.5 - 1)
    layer.bias.zero_()  # the statement is about weights
    torch.testing.assert_close(layer.goodness(layer(case)).item(), wanted)
    torch.testing.assert_close(normalize(layer(case)), passed_on, rtol=0, atol=1e-4)


# Peer normalization --------------------------------------------------------------------------------------------------


def _zeros(positive: Tensor, negative: Tensor, _: float) -> tuple[Tensor, Tensor]:
    return torch.zeros_like(positive), torch.zeros_like(negative)


INDIFFERENT = Objective(lambda positive, *_: torch.zeros_like(positive), signal=_zeros, paired=False)
"""Asks nothing of the goodness: what is learned then comes from the peers."""


def test_the_pull_of_the_peers_is_one_and_the_same_for_every_positive_case() -> None:
    layer = dense_layer(Rule(objective=INDIFFERENT, smoothing=0.9, decay=0, peer=0.2))
    layer.weight[2], layer.bias[2] = 0, -0.3  # silent, and drawn like any other
    positive, negative = batch(0)
    mean = 0.9 * 0.5 + 0.1 * layer(positive).mean(0)
    layer.learn(positive, negative, RATE)
    pull = 0.1 * 0.2 * (mean.mean() - mean)
    torch.testing.assert_close(layer.weight_velocity, torch.outer(pull, positive.mean(0)))  # rank one
    torch.testing.assert_close(layer.bias_velocity, pull)  # the negative cases have no part in it
    torch.testing.assert_close(layer.mean_activity, mean)


@pytest.mark.parametrize(("peer", "revived"), [(0.2, True), (0.0, False)])
def test_peer_normalization_revives_a_silent_unit_and_nothing_else_does(peer: float, revived: bool) -> None:
    """Gated by the activity, as autograd on it would be, it could not: dead units would stay dead."""
    layer = dense_layer(authors_rule(smoothing=0.5, decay=0, peer=peer))
    layer.weight[2], layer.bias[2] = 0, -0.3
    for step in range(60):
        layer.learn(*batch(step), RATE)
    assert bool(layer(batch(100)[0])[:, 2].any()) == revived
