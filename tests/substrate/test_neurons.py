"""Neurons with transfer functions of their own, which drift.

Oracles: the transfer function by hand; statistics of many neurons with fixed seeds.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from support.small_layers import seeded
from twofold.activations import ACTIVATIONS
from twofold.layers.dense import Dense
from twofold.layers.recurrent import RecurrentLayer
from twofold.learning import Rule
from twofold.substrate import Substrate, drift

INPUTS, WIDTH = 30, 4000


def layer(unit: str = "relu", seed: int = 0, **physics: Any) -> Any:
    made = Dense(INPUTS, WIDTH, Rule(unit=ACTIVATIONS[unit]), seeded())
    return Substrate(**physics).install(made, seed)


def rows() -> Tensor:
    return torch.randn(5, INPUTS, generator=seeded(1))


def total() -> Tensor:
    return rows() @ Dense(INPUTS, WIDTH, generator=seeded()).weight.T


def test_each_neuron_has_a_threshold_in_units_of_the_signal() -> None:
    made = layer(threshold=0.1)
    thresholds = made.neurons.threshold
    assert made.neurons.signal == pytest.approx(1, rel=0.01)
    assert thresholds.std().item() == pytest.approx(0.1, rel=0.05)
    assert torch.allclose(made(rows()), (total() - thresholds).relu(), atol=1e-5)
    assert not torch.equal(thresholds, layer(threshold=0.1, seed=1).neurons.threshold)


def test_gain_exponent_and_saturation_are_those_of_each_neuron() -> None:
    made = layer(neuron_gain=0.3, exponent=0.2, saturation=1.5, saturation_spread=0.1)
    own = made.neurons
    for factors, size in ((own.gain, 0.3), (own.exponent, 0.2), (own.limit / 1.5 / own.signal, 0.1)):
        assert factors.mean().item() == pytest.approx(1, abs=0.02)
        assert factors.std().item() == pytest.approx(size, rel=0.1)
        assert factors.min() > 0
    z = total() * own.gain / own.signal
    expected = torch.minimum(z.sign() * z.abs() ** own.exponent * own.signal, own.limit)
    assert torch.allclose(made(rows()), expected.relu(), atol=1e-5)


@pytest.mark.parametrize("unit", ["relu", "gelu", "tanh"])
def test_the_unit_of_the_rule_follows_and_total_inputs_stay_as_they_were_read(unit: str) -> None:
    made = layer(unit, threshold=0.5)
    found = made.respond(rows())
    assert torch.allclose(found.activity, ACTIVATIONS[unit].value(total() - made.neurons.threshold), atol=1e-5)
    if found.total is not None:
        assert torch.allclose(found.total, total(), atol=1e-5)


def test_neurons_of_several_sources_take_their_sum_once() -> None:
    made: Any = RecurrentLayer({"below": INPUTS, "above": 20}, WIDTH, generator=seeded())
    plain = RecurrentLayer({"below": INPUTS, "above": 20}, WIDTH, generator=seeded())
    Substrate(threshold=0.2).install(made, 0)
    sources = {"below": rows(), "above": rows()[:, :20]}
    bare = sum(sources[name] @ one.T for name, one in plain.weights.items())
    found = made.respond(sources, None, 0.0)
    assert torch.allclose(found.active, (bare - made.neurons.threshold).relu(), atol=1e-5)


def test_thresholds_and_gains_wander_as_far_as_stated_over_the_run() -> None:
    made = layer(threshold=0.1, neuron_drift=0.2, updates=40)
    before = made.neurons.threshold.clone(), made.neurons.gain.log()
    for _ in range(40):
        made.learn(rows().relu(), rows().relu(), 0.0)
    for old, new in zip(before, (made.neurons.threshold, made.neurons.gain.log()), strict=True):
        assert (new - old).square().mean().sqrt().item() == pytest.approx(0.2, rel=0.05)
    kept = made.neurons.threshold.clone()
    drift(made, 40)
    assert (made.neurons.threshold - kept).square().mean().sqrt().item() == pytest.approx(0.2, rel=0.05)
