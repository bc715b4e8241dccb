"""The local learning rule: signals, peer normalization, sampling, and the step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from twofold import defaults, machine
from twofold.checks import check_fields, typed
from twofold.checks.bounds import counts, not_negative, positive, share
from twofold.errors import SettingError
from twofold.goodness import Goodness, sum_of_squares
from twofold.machine.reduce import reduce
from twofold.normalize import normalize
from twofold.objectives import Objective, swish_symba
from twofold.units import Unit, relu

GOLDEN = (math.sqrt(5) - 1) / 2

TINY = 1e-30
"""Below any number of cases that count: cases that count nothing have no mean, and need none."""

BLOCK = 1 << 18
"""Weights that are updated at a time: few enough that all that is read and written of them stays in a cache."""

Phase = Literal["positive", "negative", "both"]
"""Which data a layer saw. With both, the first half of the rows is positive, and row i of either half makes a pair."""


@dataclass(frozen=True)
class Rule:
    """The settings by which a layer learns.

    For one batch, with goodness g, threshold θ and the objective's signals s⁺ and s⁻ (all per case), the total inputs z
    of the layer are to change by

        Δz⁺ = s⁺ · slope(y⁺) + peer · (max(floor, mean over units of m) - m),     Δz⁻ = -s⁻ · slope(y⁻)

    where the slope is that of the goodness times that of the unit. The weight gradient (Δz⁺ᵀ x⁺ + Δz⁻ᵀ x⁻) / batch
    is smoothed over batches,

        v ← smoothing · v + (1 - smoothing) · gradient,     w ← w + rate · (v - decay · w),

    without decay on biases. m is the running mean activity of each unit on positive data (0.9 old + 0.1 new, starting
    at 0.5). Source: the author's code; paper section 2.1 for the peer term.

    Where cases have weights, a case of weight c counts as c cases do, in all of it: in signals, peers, m and decay. So
    a case that is seen with a chance of p, and then with a weight of 1 / p, teaches on average what it would teach if
    it were always seen.

    Attributes:
        goodness: the goodness function.
        objective: the loss on the goodness of positive and negative data.
        temperature: of the objective, in units of goodness; without one, `defaults.TEMPERATURE` · |threshold| / √units:
            a goodness that is a sum over units varies with the root of their number.
        smoothing: share of the old gradient that is kept at each batch, in [0, 1).
        decay: weight decay, relative to the rate.
        peer: strength of peer normalization. It moves each unit's mean activity towards that of its layer, and
            revives units that are never active.
        floor: the smallest mean activity that units are moved to, so that a layer below it becomes more active. Where
            low activity is wanted of positive data, a layer that falls silent could not recover otherwise.
        tolerance: a case whose signal is weaker than this goes into the gradient with a probability of signal /
            tolerance, and then with the strength of the tolerance: the same on average, and after the first epochs a
            small part of the work. 0 takes all as they are.
        normalize: what is done to an activity before it is passed on.
        unit: what becomes of a total input; `LocalModule` has units of its own.

    Raises:
        ArgumentError: a field is of the wrong type.
        SettingError: a number outside its range.
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
    unit: Unit = relu

    def __post_init__(self) -> None:
        check_fields(self)
        positive(temperature=self.temperature)
        share(smoothing=self.smoothing, tolerance=self.tolerance)
        not_negative(decay=self.decay, peer=self.peer, floor=self.floor)

    @typed
    def temperature_for(self, units: int) -> float:
        """The temperature of a layer of so many units."""
        counts(units=units)
        if self.temperature is not None:
            return self.temperature
        return defaults.TEMPERATURE * abs(self.goodness.threshold(units)) / math.sqrt(units)


def scaled_temperature(temperature: float, units: int, like: int = 1) -> float:
    """Scale a temperature that suits layers of ``like`` units to layers of ``units``: by the root of their ratio.

    A goodness that is a sum over units varies with the root of their number. `Rule.temperature_for` has the same law.
    """
    return temperature * math.sqrt(units / like)


def slope(activity: Tensor, total: Tensor | None, rule: Rule) -> Tensor:
    """Give ½ ∂goodness/∂z, ``(batch, units)``: the slope of the goodness times that of the unit.

    Args:
        activity: ``(batch, units)``.
        total: total inputs z, likewise; ``None`` where the unit's slope is one of its activity.
        rule: its goodness and unit are used.
    """
    found = rule.goodness.slope(activity)
    if rule.unit is relu and rule.goodness.spares_silent_units:
        return found
    return found * rule.unit.slope(activity if total is None else total)


def case_signals(
    goodness: Tensor,
    phase: Phase,
    batches: Tensor,
    weight: Tensor,
    threshold: float,
    temperature: float,
    rule: Rule,
) -> tuple[Tensor, Tensor]:
    """Give the learning signal and the difficulty of each case.

    Args:
        goodness: ``(2, cases)``, of the positive and of the negative cases; of a phase alone ``(1, cases)``.
        phase: which of them it is.
        batches: how many there were, ``()``; counted up in place.
        weight: how much each case counts, ``(cases,)``.
        threshold: the goodness at which p(positive) = ½.
        temperature: of the objective.
        rule: its objective and tolerance are used.

    Returns:
        The signals, in the shape of ``goodness``: above 0 where more goodness is wanted, 0 where a case is left out.
        And the difficulty, ``(cases,)``: the stronger of a pair's two signals before any weighting.

    Raises:
        SettingError: a phase comes alone, and the objective compares pairs.
    """
    excess = goodness - threshold
    if phase != "both" and rule.objective.paired:
        raise SettingError(
            f"the {phase} phase came alone, but the objective compares positive with negative cases: gather from both "
            "at once, or use an objective that judges each case by itself, as logistic does"
        )
    each = rule.objective.signal(excess[0], excess[-1], temperature)
    signals = torch.stack(each) if phase == "both" else each[phase == "negative"][None]
    difficulty = signals.abs().amax(0)
    batches.add_(1)
    signals = sample(signals * weight.to(signals.dtype), rule.tolerance, batches)
    if phase != "positive":
        signals[-1].neg_()
    return signals, difficulty


class Count(NamedTuple):
    """How many cases a batch has, over all processes that train the net.

    Attributes:
        cases: their number, ``()``.
        weight: the sum of their weights, ``()``.
    """

    cases: Tensor
    weight: Tensor


def count_of(weight: Tensor) -> Count:
    """Count cases with these weights, ``(cases,)``."""
    return Count(*reduce(weight.new_full((), len(weight)), weight.sum()))


def peer_gradient(total: Tensor, count: Count, mean_activity: Tensor, rule: Rule) -> Tensor:
    """Give the gradient of peer normalization on total inputs, ``(units,)``; the same for every positive case.

    Args:
        total: activity summed over the newest positive cases, each times its weight, ``(units,)``.
        count: of these cases.
        mean_activity: the running mean of activity, ``(units,)``; takes it in, in place.
        rule: its ``peer`` and ``floor`` are used.
    """
    (total,) = reduce(total)
    new = (0.1 * count.weight / count.cases).clamp(max=1).to(mean_activity.dtype)
    mean_activity.lerp_((total / count.weight.clamp(min=TINY)).to(mean_activity.dtype), new)
    return rule.peer * (mean_activity.mean().clamp(min=rule.floor) - mean_activity)


def sample(signals: Tensor, tolerance: float, batches: Tensor) -> Tensor:
    """Make weak signals 0 or as strong as the tolerance, so that they stay the same on average.

    A signal of strength a < tolerance is kept where a / tolerance is above a number u that the case has for this batch.
    Over cases and over batches u is spread evenly over [0, 1) by irrational steps, so that nothing is drawn, and a pair
    is kept or left out together where its signals are equal.

    Args:
        signals: of positive and of negative cases, ``(2, batch)``, or of one of them, ``(1, batch)``.
        tolerance: 0 keeps all as they are.
        batches: how many there were, ``()``.
    """
    if not tolerance:
        return signals
    case = torch.arange(signals.shape[1], device=signals.device)
    u = ((case * GOLDEN + _turn(batches)) % 1).to(signals.dtype)
    size = signals.abs()
    return (signals.sign() * size.clamp(min=tolerance)).where(size > tolerance * u, 0.0)


def _turn(batches: Tensor) -> Tensor:
    """batches · √2 modulo 1, ``()``: found in double precision also where the device has none."""
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
    """v ← smoothing · v + (1 - smoothing) · gradient; w ← w + rate · (v - counted · decay · w), in place.

    Args:
        weight: w. A tensor with one dimension holds biases, which do not decay.
        velocity: v, in the shape and type of w.
        gradient: points uphill; in the shape of w.
        rate: the learning rate.
        rule: its smoothing and decay are used.
        copy: the weights in another type, renewed with them.
        counted: mean weight of the cases that the gradient is from.
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
