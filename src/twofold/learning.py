"""The local learning rule: signals, peer normalization, sampling, and the update step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from twofold import defaults, machine
from twofold.activations import Activation, relu
from twofold.checks import check_fields
from twofold.checks.bounds import not_negative, positive, share
from twofold.errors import SettingError
from twofold.goodness import Goodness, sum_of_squares
from twofold.machine.reduce import reduce
from twofold.normalize import normalize
from twofold.objectives import Objective, swish_symba

GOLDEN = (math.sqrt(5) - 1) / 2

TINY = 1e-30
"""Lower bound on the total weight of cases, to avoid a division by zero if all weights are 0."""

BLOCK = 1 << 18
"""Number of weights updated at a time, so that everything read and written for them fits into a cache."""

Phase = Literal["positive", "negative", "both"]
"""The data that a layer sees. With both, the first half of the rows is positive; rows i of both halves form a pair."""


@dataclass(frozen=True)
class Rule:
    """The settings of a layer's learning rule.

    For one batch, with goodness g, threshold θ and the objective's signals s⁺ and s⁻ (all per case), the total inputs z
    of the layer should change by

        Δz⁺ = s⁺ · slope(y⁺) + peer · (max(floor, mean over units of m) - m),     Δz⁻ = -s⁻ · slope(y⁻)

    where slope is the slope of the goodness times that of the activation function. The weight gradient (Δz⁺ᵀ x⁺ + Δz⁻ᵀ
    x⁻) / batch is smoothed over batches,

        v ← smoothing · v + (1 - smoothing) · gradient,     w ← w + rate · (v - decay · w),

    without decay for biases. m is the running mean activity of each unit on positive data (0.9 old + 0.1 new, starting
    at 0.5). Source: the author's code; paper section 2.1 for the peer term.

    If cases have weights, a case with weight c acts like c cases in all of these terms: signals, peers, m and decay. A
    case that is sampled with probability p and weighted by 1 / p therefore contributes, on average, as if it were
    always seen.

    Attributes:
        goodness: the goodness function.
        objective: the loss on the goodness of positive and negative data.
        temperature: temperature of the objective, in units of goodness. The default is `defaults.TEMPERATURE` ·
            |threshold| / √units, because a goodness that is a sum over units varies with the root of their number.
        smoothing: fraction of the old gradient that is kept at each batch, in [0, 1).
        decay: weight decay, relative to the rate.
        peer: strength of peer normalization. It moves each unit's mean activity towards that of its layer, and revives
            units that are never active.
        floor: minimum target of the mean activity; a layer below it becomes more active. If positive data should have
            low activity, a layer whose units are all inactive could not recover otherwise.
        tolerance: a case whose signal is weaker than this contributes to the gradient with probability signal /
            tolerance, with the strength of the tolerance. The gradient is the same on average, and after the first
            epochs much less work. 0 uses all cases unchanged.
        normalize: normalization of an activity before it is passed on.
        unit: activation function; `CustomLayer` contains its own.

    Raises:
        ArgumentError: a field is of the wrong type.
        SettingError: a number is outside its range.
    """

    goodness: Goodness = sum_of_squares
    objective: Objective = swish_symba
    temperature: float | None = None
    smoothing: float = defaults.SMOOTHING
    decay: float = defaults.DECAY
    peer: float = defaults.PEER
    floor: float = 0.0
    tolerance: float = 0.0
    normalize: Callable[[Tensor], Tensor] = normalize
    unit: Activation = relu

    def __post_init__(self) -> None:
        check_fields(self)
        positive(temperature=self.temperature)
        share(smoothing=self.smoothing, tolerance=self.tolerance)
        not_negative(decay=self.decay, peer=self.peer, floor=self.floor)

    def temperature_for(self, units: int) -> float:
        """Return the temperature of a layer with ``units`` units."""
        if self.temperature is not None:
            return self.temperature
        return defaults.TEMPERATURE * abs(self.goodness.threshold(units)) / math.sqrt(units)


def scaled_temperature(temperature: float, units: int, like: int = 1) -> float:
    """Scale a temperature that suits layers of ``like`` units to layers of ``units``: by the root of their ratio.

    A goodness that is a sum over units varies with the root of their number. `Rule.temperature_for` has the same law.
    """
    return temperature * math.sqrt(units / like)


def slope(activity: Tensor, total: Tensor | None, rule: Rule) -> Tensor:
    """Return ½ ∂goodness/∂z, ``(batch, units)``: the slope of the goodness times that of the activation function.

    Args:
        activity: ``(batch, units)``.
        total: total inputs z, ``(batch, units)``; ``None`` if the activation function's slope depends only on its
            activity.
        rule: its goodness and activation function are used.
    """
    gradient = rule.goodness.slope(activity)
    if rule.unit is relu and rule.goodness.spares_silent_units:
        return gradient
    return gradient * rule.unit.slope(activity if total is None else total)


def case_signals(
    goodness: Tensor,
    phase: Phase,
    batches: Tensor,
    case_weight: Tensor,
    threshold: float,
    temperature: float,
    rule: Rule,
) -> tuple[Tensor, Tensor]:
    """Return the learning signal and the difficulty of each case.

    Args:
        goodness: goodness of the positive and negative cases, ``(2, cases)``, or of one phase, ``(1, cases)``.
        phase: the phases in ``goodness``.
        batches: number of batches so far, ``()``; incremented in place.
        case_weight: weight of each case, ``(cases,)``.
        threshold: the goodness at which p(positive) = ½.
        temperature: temperature of the objective.
        rule: its objective and tolerance are used.

    Returns:
        The signals, in the shape of ``goodness``: positive if the goodness should increase, 0 if a case is left out.
            And the difficulty, ``(cases,)``: the stronger of a pair's two signals before weighting.

    Raises:
        SettingError: one phase is given alone, but the objective compares pairs.
    """
    excess = goodness - threshold
    if phase != "both" and rule.objective.paired:
        raise SettingError(
            f"phase is {phase!r}, but the objective compares positive with negative cases: gather both phases at once, "
            "or use an objective that judges each case by itself, such as logistic"
        )
    by_case = rule.objective.signal(excess[0], excess[-1], temperature)
    signals = torch.stack(by_case) if phase == "both" else by_case[phase == "negative"][None]
    difficulty = signals.abs().amax(0)
    batches.add_(1)
    signals = sample(signals * case_weight.to(signals.dtype), rule.tolerance, batches)
    if phase != "positive":
        signals[-1].neg_()
    return signals, difficulty


class Count(NamedTuple):
    """The number of cases in a batch, summed over all processes that train the net.

    Attributes:
        cases: number of cases, ``()``.
        weight: sum of their weights, ``()``.
    """

    cases: Tensor
    weight: Tensor


def count_of(case_weight: Tensor) -> Count:
    """Return the count of cases with weights ``(cases,)``."""
    return Count(*reduce(case_weight.new_full((), len(case_weight)), case_weight.sum()))


def peer_gradient(total: Tensor, count: Count, mean_activity: Tensor, rule: Rule) -> Tensor:
    """Return the gradient of peer normalization on total inputs, ``(units,)``; it is the same for every positive case.

    Args:
        total: weighted sum of activity over the newest positive cases, ``(units,)``.
        count: count of these cases.
        mean_activity: running mean of activity, ``(units,)``; updated in place.
        rule: its ``peer`` and ``floor`` are used.
    """
    (total,) = reduce(total)
    new = (0.1 * count.weight / count.cases).clamp(max=1).to(mean_activity.dtype)
    mean_activity.lerp_((total / count.weight.clamp(min=TINY)).to(mean_activity.dtype), new)
    return rule.peer * (mean_activity.mean().clamp(min=rule.floor) - mean_activity)


def sample(signals: Tensor, tolerance: float, batches: Tensor) -> Tensor:
    """Round each signal weaker than the tolerance to 0 or to ± tolerance, so that its expected value is unchanged.

    A signal of magnitude a < tolerance becomes ± tolerance if a / tolerance > u. The numbers u of the cases and batches
    are a low-discrepancy sequence in [0, 1): multiples of an irrational number, modulo 1. No random numbers are drawn,
    and the two cases of a pair are kept or left out together if their signals are equal.

    Args:
        signals: signals of positive and of negative cases, ``(2, batch)``, or of one of them, ``(1, batch)``.
        tolerance: 0 keeps all signals unchanged.
        batches: number of batches so far, ``()``.
    """
    if not tolerance:
        return signals
    case = torch.arange(signals.shape[1], device=signals.device)
    u = ((case * GOLDEN + _turn(batches)) % 1).to(signals.dtype)
    size = signals.abs()
    return (signals.sign() * size.clamp(min=tolerance)).where(size > tolerance * u, 0.0)


def _turn(batches: Tensor) -> Tensor:
    """Return batches · √2 modulo 1, ``()``, computed in double precision even if the device has none."""
    if machine.has_doubles(batches.device):
        return batches.double() * math.sqrt(2) % 1
    return (batches.cpu().double() * math.sqrt(2) % 1).float().to(batches.device)


def momentum_step(
    weight: Tensor,
    velocity: Tensor,
    gradient: Tensor,
    rate: float,
    rule: Rule,
    copy: Tensor | None = None,
    counted: Tensor | float = 1.0,
) -> None:
    """Update v ← smoothing · v + (1 - smoothing) · gradient; w ← w + rate · (v - counted · decay · w), in place.

    Args:
        weight: w. A tensor with one dimension contains biases, which do not decay.
        velocity: v, in the shape and type of w.
        gradient: points uphill; in the shape of w.
        rate: the learning rate.
        rule: its smoothing and decay are used.
        copy: a copy of the weights in another type, updated with them.
        counted: mean weight of the cases in the gradient.
    """
    decay = rule.decay if weight.dim() > 1 else 0.0
    kept = 1 - rate * decay * counted
    weights, velocities, gradients = weight.detach().view(-1), velocity.view(-1), gradient.reshape(-1)
    copies = None if copy is None else copy.detach().view(-1)
    for first in range(0, len(weights), BLOCK):
        block = slice(first, first + BLOCK)
        w, v = weights[block], velocities[block]
        v.lerp_(gradients[block].to(v.dtype), 1 - rule.smoothing)
        if decay:
            w.mul_(kept)
        w.add_(v, alpha=rate)
        if copies is not None:
            copies[block].copy_(w)
