"""What an array of devices gives when it is read: gains, offsets, stuck devices, noise and converters.

Oracles: plain matrix products; noise drawn for each device by itself; statistics of many devices, with fixed seeds and
bounds of several standard errors; levels by hand.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from support.small_layers import seeded
from twofold.layers.connectivity import Connectivity, Full, Masked
from twofold.layers.convolution import Convolved
from twofold.layers.fields import Fields
from twofold.layers.tiles import Tiled
from twofold.substrate import AnalogWeights, Substrate

UNITS, INPUTS, ROWS = 300, 200, 50

CONNECTIVITIES: dict[str, Connectivity] = {
    "full": Full(12, 36),
    "masked": Masked(torch.rand(12, 36, generator=seeded()) < 0.4),
    "tiled": Tiled(Fields((1, 6, 6), 3, 4, 2, 1)),
    "convolved": Convolved((4, 3, 3), 6, 2, 1, "same", 1, 2),
}


def weight(units: int = UNITS, inputs: int = INPUTS) -> Tensor:
    return torch.randn(units, inputs, generator=seeded(), dtype=torch.float64) / math.sqrt(inputs)


def rows(inputs: int = INPUTS) -> Tensor:
    return torch.randn(ROWS, inputs, generator=seeded(1), dtype=torch.float64)


def array(seed: int = 0, value: Tensor | None = None, **physics: Any) -> AnalogWeights:
    return Substrate(**physics).array(weight() if value is None else value, seed)


def product(weights: AnalogWeights, seen: Tensor | None = None) -> Tensor:
    return weights.product(rows() if seen is None else seen, torch.zeros(UNITS, dtype=torch.float64))


def array_of(connectivity: Connectivity, **physics: Any) -> AnalogWeights:
    """An array with first weights of N(0, 1) / √inputs, as a connectivity stores them."""
    first = connectivity.draw(connectivity.fan_in().rsqrt(), seeded()).double()
    return AnalogWeights(torch.nn.Module(), "weight", first, connectivity, Substrate(**physics), 0)


def test_an_ideal_array_multiplies_exactly_as_a_matrix_does() -> None:
    total = torch.randn(UNITS, generator=seeded(2), dtype=torch.float64)
    assert torch.equal(array().product(rows(), total), torch.addmm(total, rows(), weight().T))


@pytest.mark.parametrize("mismatch", [0.2, 1.0])
def test_gains_have_the_stated_spread_around_nominal_and_none_is_negative(mismatch: float) -> None:
    gains = array(mismatch=mismatch).to_matrix() / weight()
    assert gains.min() > 0
    assert gains.mean().item() == pytest.approx(1, abs=5 * mismatch / math.sqrt(gains.numel()))
    assert gains.std().item() == pytest.approx(mismatch, rel=0.06)


def test_a_product_is_that_of_the_gains_and_offsets_of_its_own_device_alone() -> None:
    physics = {"full_scale": 4.0, "mismatch": 0.3, "offset": 0.02}
    first, same, other = (array(seed, **physics) for seed in (0, 0, 1))
    assert torch.allclose(product(first), rows() @ first.to_matrix().T)
    assert torch.equal(product(first), product(same))
    assert not torch.allclose(product(first), product(other))


def test_offsets_are_relative_to_the_full_scale() -> None:
    found = array(full_scale=5.0, offset=0.01)
    spread = weight().square().mean().sqrt().item()
    assert (found.to_matrix() - weight()).std().item() == pytest.approx(0.01 * 5 * spread, rel=0.03)


def test_the_stated_share_is_stuck_somewhere_in_the_range_whatever_is_written() -> None:
    found = array(full_scale=4.0, stuck=0.1)
    before = found.to_matrix()
    found.program(weight() + 0.05)
    stuck = found.to_matrix() == before
    assert stuck.double().mean().item() == pytest.approx(0.1, abs=0.006)
    held = before[stuck] / found.scale
    assert held.abs().max() <= 1
    assert held.std().item() == pytest.approx(1 / math.sqrt(3), rel=0.03)  # evenly in the whole range


def test_read_noise_on_the_sums_is_that_of_every_device_by_itself() -> None:
    found, count = array(full_scale=4.0, read_noise=0.05), 24
    exact, drawn = rows() @ weight().T, torch.Generator().manual_seed(3)
    fast = torch.stack([product(found) - exact for _ in range(count)])
    size = 0.05 * found.scale
    slow = torch.stack(
        [rows() @ (size * torch.randn(UNITS, INPUTS, generator=drawn, dtype=torch.float64)).T for _ in range(count)]
    )
    for noise in (fast, slow):
        by_row = noise.transpose(0, 1).flatten(1)
        expected = size * rows().square().sum(1).sqrt()
        assert torch.allclose(by_row.std(1), expected, rtol=0.04)
        assert (by_row.mean(1) / expected).abs().max() < 0.05
        standard = by_row / expected[:, None]
        assert standard.pow(4).mean().item() == pytest.approx(3, abs=0.06)  # Gaussian
    assert torch.corrcoef(fast[0])[0, 1:].abs().max() < 0.3  # of no row with another


def test_every_read_has_noise_of_its_own() -> None:
    found = array(full_scale=4.0, read_noise=0.05)
    assert not found.linear
    assert not torch.equal(product(found), product(found))
    assert array(mismatch=0.2).linear


@pytest.mark.parametrize("name", CONNECTIVITIES)
def test_noise_comes_from_the_devices_that_there_are(name: str) -> None:
    connectivity = CONNECTIVITIES[name]
    found = array_of(connectivity, full_scale=4.0, read_noise=0.05)
    seen = rows(connectivity.inputs)
    ones = torch.zeros_like(found.value)
    ones[found.value != 0] = 1
    expected = seen.square() @ connectivity.to_matrix(ones).T
    assert torch.allclose(connectivity.reduce_inputs(seen.square()).expand_as(expected), expected)
    zeros = torch.zeros(connectivity.units, dtype=torch.float64)
    exact = seen @ found.to_matrix().T
    noise = torch.stack([found.product(seen, zeros) - exact for _ in range(100)])
    assert (noise.std(0) / (0.05 * found.scale * expected.sqrt()) - 1).abs().mean() < 0.08


@pytest.mark.parametrize("name", CONNECTIVITIES)
def test_where_there_is_no_device_there_is_no_weight(name: str) -> None:
    connectivity = CONNECTIVITIES[name]
    physics = {"full_scale": 4.0, "mismatch": 0.5, "offset": 0.1, "stuck": 0.2, "programming_noise": 0.1, "drift": 0.5}
    found = array_of(connectivity, **physics)
    found.drift(1000)
    missing = connectivity.mask(torch.ones_like(found.value)) == 0
    assert not found.effective()[missing].any()
    assert not found.value[missing].any()


def test_converters_round_to_their_levels_and_cut_off() -> None:
    coarse = array(dac_bits=3, dac_range=1.5)
    levels = torch.arange(-3, 4, dtype=torch.float64) * 0.5
    nearest = levels[(rows()[:, :, None] - levels).abs().argmin(2)]
    assert torch.allclose(product(coarse), nearest @ weight().T)
    read = array(adc_bits=4, adc_range=2.0)
    signal = (rows() @ weight().T).div(rows().square().mean().sqrt()).square().mean().sqrt()
    found = product(read) / (2.0 * read.signal / 7)
    assert torch.allclose(found, found.round())
    assert found.abs().max().item() == pytest.approx(7)
    assert read.signal == pytest.approx(signal.item(), rel=0.05)
    inside = (rows() @ weight().T).abs() < 2.0 * read.signal
    assert ((product(read) - rows() @ weight().T)[inside].abs() <= 1.001 * read.signal / 7).all()
    biased = read.product(rows(), torch.full((UNITS,), 100.0, dtype=torch.float64))
    assert torch.allclose(biased, product(read) + 100)  # digital, behind the converter
    assert not coarse.linear
    assert not read.linear


def test_what_is_read_follows_what_is_written_and_every_part_of_the_device() -> None:
    found = array(full_scale=8.0, mismatch=0.2, offset=0.01)
    for change in (found.value, found.gain, found.offset):
        assert change is not None
        before = product(found)
        change.detach().mul_(2)
        assert not torch.allclose(product(found), before)
        assert torch.allclose(product(found), rows() @ found.to_matrix().T)
