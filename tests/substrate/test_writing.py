"""What becomes of weights that are written, and left alone: range, programming, pulses, drift.

Oracles: the formula of one pulse, by hand; statistics of many devices with fixed seeds; the ideal step.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from support.small_layers import seeded
from twofold.errors import SettingError
from twofold.learning import Rule
from twofold.substrate import AnalogWeights, Substrate

SHAPE = (200, 250)
PLAIN = Rule(smoothing=0.0, decay=0.0)


def array(seed: int = 0, **physics: Any) -> AnalogWeights:
    first = torch.randn(SHAPE, generator=seeded(), dtype=torch.float64)
    return Substrate(**{"full_scale": 4.0, **physics}).array(first, seed)


def asked(weights: AnalogWeights, change: Tensor | float, rule: Rule = PLAIN) -> Tensor:
    """What an update that asks for a change of every weight changes."""
    before = weights.value.clone()
    weights.gradient = torch.zeros(SHAPE, dtype=torch.float64) + change
    weights.apply(1.0, rule, 1.0)
    return weights.value - before


def test_weights_are_cut_off_at_the_full_scale() -> None:
    for physics in ({}, {"bits": 6}):
        found = array(full_scale=2.0, **physics)
        assert found.value.abs().max().item() == pytest.approx(2 * found.spread)
        asked(found, 10.0)
        assert found.value.min().item() == pytest.approx(2 * found.spread)


def test_a_weight_is_the_difference_of_two_conductances_within_their_range() -> None:
    found = array(full_scale=2.0, g_min=5.0, g_max=25.0)
    up, down = found.conductances()
    assert torch.allclose((up - down) * found.scale / 20, found.value)
    assert 5 <= torch.minimum(up, down).min() == torch.minimum(up, down).max()
    assert torch.maximum(up, down).max().item() == pytest.approx(25)
    with pytest.raises(SettingError, match="full_scale is None"):
        array(full_scale=None).conductances()


def test_a_programmed_weight_lands_with_the_stated_error_anew_each_time() -> None:
    found, wanted = array(programming_noise=0.02), torch.zeros(SHAPE)
    errors = []
    for _ in range(2):
        found.program(wanted)
        errors.append(found.value.detach().clone().flatten())
        assert errors[-1].std().item() == pytest.approx(0.02 * found.scale, rel=0.02)
    assert abs(torch.corrcoef(torch.stack(errors))[0, 1].item()) < 0.02


def test_an_update_is_a_number_of_whole_pulses_and_right_on_average() -> None:
    found = array(bits=6)
    wanted = 0.3 * found.pulse
    assert found.pulse == pytest.approx(2 * found.scale / 63)  # 64 levels
    found.program(torch.zeros(SHAPE))
    pulses = asked(found, wanted) / found.pulse
    assert torch.allclose(pulses, pulses.round(), atol=1e-6)
    assert set(pulses.round().unique().tolist()) == {0, 1}
    assert pulses.mean().item() == pytest.approx(0.3, abs=5 * math.sqrt(0.3 * 0.7 / pulses.numel()))
    assert asked(found, -2.25 * found.pulse).mean().item() == pytest.approx(-2.25 * found.pulse, rel=0.01)


def test_pulses_are_drawn_anew_for_every_update() -> None:
    found = array(bits=6)
    first, second = (asked(found, 0.5 * found.pulse) != 0 for _ in range(2))
    assert (first == second).double().mean().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("up", [1, -1])
def test_the_size_of_a_pulse_depends_on_its_direction_and_on_the_weight(up: int) -> None:
    found = array(bits=8, asymmetry=0.2, softness=0.7)
    before = found.value.clone()
    moved = asked(found, up * found.pulse * (1 + 1e-9))
    expected = up * found.pulse * (1 + 0.2 * up) * (1 - 0.7 * up * before / found.scale)
    inside = (before + expected).abs() < found.scale
    assert torch.allclose(moved[inside], expected[inside], rtol=1e-6)


def test_soft_bounds_are_never_reached_by_small_pulses() -> None:
    found = array(bits=5, softness=1.0)
    found.program(torch.zeros(SHAPE))
    for _ in range(60):
        asked(found, found.pulse)
    assert 0.9 * found.scale < found.value.min()
    assert found.value.max() < found.scale


def test_pulses_differ_between_devices_and_from_one_to_the_next() -> None:
    own = array(bits=8, pulse_spread=0.3)
    sizes = [asked(own, one * own.pulse) / own.pulse for one in (1.0, -1.0)]
    kept = (own.value.abs() < 0.9 * own.scale).flatten()
    assert torch.allclose(sizes[0].flatten()[kept], -sizes[1].flatten()[kept], rtol=1e-6)
    assert sizes[0].flatten()[kept].std().item() == pytest.approx(0.3, rel=0.05)
    each = array(bits=8, pulse_noise=0.3)
    each.program(torch.zeros(SHAPE))
    for pulses in (1, 4):
        moved = asked(each, pulses * each.pulse * (1 + 1e-9)) / each.pulse
        assert moved.mean().item() == pytest.approx(pulses, rel=0.01)
        assert moved.std().item() == pytest.approx(0.3 * math.sqrt(pulses), rel=0.03)


def test_an_update_without_pulses_is_the_ideal_one() -> None:
    rule, found = Rule(), Substrate().array(torch.randn(SHAPE, generator=seeded(), dtype=torch.float64), 0)
    ideal = copy.deepcopy(found)
    for _ in range(3):
        asked(found, 0.1, rule)
        ideal.gradient = torch.full(SHAPE, 0.1, dtype=torch.float64)
        super(AnalogWeights, ideal).apply(1.0, rule, 1.0)
    assert torch.equal(found.value, ideal.value)


def test_smoothing_is_digital_and_decay_comes_as_pulses_on_what_is_read() -> None:
    rule, found = Rule(smoothing=0.5, decay=0.001), array(bits=8, mismatch=0.5, read_noise=0.02)
    found.program(torch.full(SHAPE, 1.0))
    gain = found.to_matrix()
    for _ in range(80):
        asked(found, 0.0, rule)
    assert not found.velocity.any()
    fallen = 1 - found.value
    some = gain < 1.5
    assert fallen[some].mean().item() == pytest.approx(0.08 * gain[some].mean().item(), rel=0.08)
    assert torch.corrcoef(torch.stack([fallen.flatten(), gain.flatten()]))[0, 1] > 0.5  # what is read more falls more
    asked(found, 0.1, rule)
    assert torch.allclose(found.velocity, torch.tensor(0.05, dtype=torch.float64))


@pytest.mark.parametrize("bits", [None, 6])
def test_drift_adds_up_to_the_stated_figure_over_the_run(bits: int | None) -> None:
    found = array(drift=0.1, updates=64, bits=bits, full_scale=None if bits is None else 8.0)
    before, rms = found.value.clone(), found.value.square().mean().sqrt().item()
    halfway = 0.0
    for number in range(64):
        asked(found, 0.0)
        if number == 31:
            halfway = (found.value - before).square().mean().sqrt().item()
    moved = found.value - before
    assert moved.square().mean().sqrt().item() == pytest.approx(0.1 * rms, rel=0.03)
    assert halfway == pytest.approx(0.1 * rms / math.sqrt(2), rel=0.03)  # a random walk
    assert abs(moved.mean().item()) < 5 * 0.1 * rms / math.sqrt(moved.numel())


def test_a_device_ages_without_learning_as_far_as_with_it_and_stuck_devices_stay() -> None:
    found = array(drift=0.1, updates=64, stuck=0.2)
    before, given = found.value.clone(), found.to_matrix()
    found.drift(64)
    alive = found.gain != 0
    size = (found.value - before)[alive].square().mean().sqrt().item()
    assert size == pytest.approx(0.1 * before[alive].square().mean().sqrt().item(), rel=0.03)
    assert torch.equal(found.to_matrix()[~alive], given[~alive])
    assert torch.equal(found.value[~alive], before[~alive])
