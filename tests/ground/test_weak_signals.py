"""Weak signals are left out or raised to the tolerance by chance, and on average nothing is left out.

Oracles: means over many batches, invariances. Were one of these to fail, the speed would be bought with another
algorithm than the one that the recipe names.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from twofold.learning import sample

TOLERANCES = st.floats(0.01, 0.99)


def some_signals(seed: int, cases: int = 40) -> Tensor:
    """Of both signs, from nothing to beyond 1, for positive and negative data."""
    found = 2.4 * torch.rand(2, cases, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1.2
    found[:, ::7] = 0
    return found


def sampled(signals: Tensor, tolerance: float, batch: int) -> Tensor:
    return sample(signals, tolerance, torch.tensor(batch))


@given(seed=st.integers(0, 1000), tolerance=TOLERANCES, batch=st.integers(0, 10**6))
def test_weak_signals_become_nothing_or_as_strong_as_the_tolerance_and_others_stay(
    seed: int, tolerance: float, batch: int
) -> None:
    signals = some_signals(seed)
    found = sampled(signals, tolerance, batch)
    strong = signals.abs() >= tolerance
    assert torch.equal(found[strong], signals[strong])
    raised = tolerance * signals.sign()
    assert ((found == 0) | (found == raised))[~strong].all()
    assert not found[signals == 0].any()
    assert torch.equal(found, sampled(signals, tolerance, batch)), "a training that is resumed would end otherwise"


@pytest.mark.parametrize("tolerance", [0.1, 0.3, 0.9])
def test_sampled_signals_are_on_average_the_signals(tolerance: float) -> None:
    """Ten times nearer than drawn numbers would bring them: they are spread evenly over the batches."""
    signals, batches = some_signals(0), 4000
    mean = sum(sampled(signals, tolerance, batch) for batch in range(batches)) / batches
    drawn = tolerance * 0.5 / math.sqrt(batches)
    torch.testing.assert_close(mean, signals, rtol=0, atol=drawn / 10)


@pytest.mark.parametrize("strength", [0.003, 0.1, 0.15, 0.29])
@pytest.mark.parametrize("batch", [0, 1, 12_345, 10**7])
def test_of_the_equal_cases_of_one_batch_the_right_share_is_kept(strength: float, batch: int) -> None:
    kept = sampled(torch.full((2, 1000), strength), 0.3, batch).count_nonzero(dim=1)
    assert kept[0] == kept[1]
    assert kept[0].item() == pytest.approx(1000 * strength / 0.3, abs=4)


@given(seed=st.integers(0, 1000), tolerance=TOLERANCES, batch=st.integers(0, 10**6))
def test_a_pair_with_equal_signals_is_kept_or_left_out_together(seed: int, tolerance: float, batch: int) -> None:
    """One of the two alone would push its layer up or down; and an image left out altogether saves its products."""
    more = some_signals(seed)[0]
    found = sampled(torch.stack([more, more]), tolerance, batch)
    assert torch.equal(found[0], found[1])
    opposed = sampled(torch.stack([more, -more]), tolerance, batch)
    assert torch.equal(opposed[0], -opposed[1])


def test_other_cases_are_kept_in_other_batches() -> None:
    signals = torch.full((2, 50), 0.15)
    chosen = [tuple(sampled(signals, 0.3, batch)[0].nonzero()[:, 0].tolist()) for batch in range(20)]
    assert len(set(chosen)) == 20
    seen = {case for cases in chosen for case in cases}
    assert seen == set(range(50))


def test_without_a_tolerance_the_signals_stay_as_they_are() -> None:
    signals = some_signals(0)
    assert torch.equal(sampled(signals, 0.0, 3), signals)
