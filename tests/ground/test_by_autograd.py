"""Goodness functions without a slope and objectives without a signal: autograd finds them.

Oracle: those in closed form, in float64.
"""

from __future__ import annotations

import pytest
import torch

import twofold
from twofold.goodness import GOODNESS
from twofold.layers.dense import Dense
from twofold.learning import Rule
from twofold.objectives import OBJECTIVES


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", GOODNESS)
def test_the_slope_of_a_goodness_is_half_its_derivative(name: str) -> None:
    given = GOODNESS[name]
    found = twofold.Goodness(value=given.value, threshold=given.threshold)
    activity = rand(7, 5).relu()
    torch.testing.assert_close(found.slope(activity), given.slope(activity))
    assert found.spares_silent_units == given.spares_silent_units


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_the_signal_of_an_objective_is_its_derivative_by_either_goodness(name: str, temperature: float) -> None:
    given = OBJECTIVES[name]
    found = twofold.Objective(loss=given.loss, paired=given.paired)
    excess = rand(9), rand(9, seed=1)
    torch.testing.assert_close(found.signal(*excess, temperature), given.signal(*excess, temperature))


def test_what_is_given_takes_precedence() -> None:
    given = twofold.Goodness(GOODNESS["sum_of_squares"].value, float, lambda activity: 7 * activity)
    assert torch.equal(given.slope(torch.ones(1, 2)), torch.full((1, 2), 7.0))
    signal = torch.full((3,), 0.5)
    objective = twofold.Objective(OBJECTIVES["symba"].loss, True, lambda *_: (signal, signal))
    assert objective.signal(torch.zeros(3), torch.zeros(3), 1.0)[0] is signal


def test_a_goodness_that_does_not_depend_on_some_activity_has_no_slope_there() -> None:
    first_only = twofold.Goodness(value=lambda activity: activity[:, 0], threshold=float)
    assert torch.equal(first_only.slope(torch.ones(2, 3)), torch.tensor([[0.5, 0, 0]] * 2))
    constant = twofold.Objective(loss=lambda positive, negative, T: positive.square(), paired=False)
    assert torch.equal(constant.signal(torch.ones(2), torch.ones(2), 1.0)[1], torch.zeros(2))


@pytest.mark.parametrize("phase", ["both", "apart"])
@pytest.mark.parametrize("goodness", GOODNESS)
def test_a_layer_learns_the_same_without_closed_forms(goodness: str, phase: str) -> None:
    given, logistic = GOODNESS[goodness], OBJECTIVES["logistic"]
    plain = twofold.Goodness(given.value, given.threshold), twofold.Objective(logistic.loss, paired=False)
    layers = []
    for rule in (Rule(given, logistic, 1.0), Rule(*plain, 1.0)):
        layer = Dense(6, 5, rule, torch.Generator().manual_seed(0)).double()
        positive, negative = rand(4, 6).abs(), rand(4, 6, seed=1).abs()
        for _ in range(3):
            if phase == "both":
                layer.learn(positive, negative, 0.1)
            else:
                layer.gather(layer.respond(positive), "positive")
                layer.gather(layer.respond(negative), "negative")
                layer.apply_gradient(0.1)
        layers.append(layer)
    torch.testing.assert_close(layers[0].weight, layers[1].weight)


@pytest.mark.slow
def test_a_net_learns_the_digits_by_a_goodness_and_an_objective_that_are_one_function_each() -> None:
    digits = twofold.load_data("digits")
    rule = twofold.Rule(
        twofold.Goodness(value=lambda activity: activity.pow(2).sum(1), threshold=float),
        twofold.Objective(
            loss=lambda positive, negative, T: T * torch.exp((negative - positive) / T).log1p(), paired=True
        ),
    )
    start = torch.Generator().manual_seed(0)
    net = twofold.FeedForward.dense(digits.shape, (100, 80), digits.classes, rule, generator=start)
    twofold.fit(net, digits, epochs=8)
    assert twofold.evaluate(net, *digits.test).error["fast"] < 0.1
