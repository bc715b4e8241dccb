"""The local learning rule of a layer: learning signals, peer normalization, sampling of cases, and the weight update.

A pre-activation z is the weighted sum of a unit's inputs plus its bias.
"""

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
"""Lower bound on the total weight of a batch; avoids a division by zero if all case weights are 0."""

BLOCK = 1 << 18
"""Number of weights that `momentum_step` updates at a time. Tensors of this size fit into the processor's cache."""

Phase = Literal["positive", "negative", "both"]
"""The type of data in a batch. With ``both``, the first half of the rows is positive data and the second half negative
data. Row i of the first half and row i of the second half form a pair.
"""


@dataclass(frozen=True)
class Rule:
    """The hyper-parameters of the learning rule of a layer.

    Let x be the inputs of a layer, z its pre-activations and y its activity. The objective maps the goodness of each
    case to a learning signal: s⁺ for positive and s⁻ for negative cases. The desired changes of z are

        Δz⁺ = s⁺ · d(y⁺) + peer · (max(floor, mean over units of m) - m),     Δz⁻ = -s⁻ · d(y⁻)

    Here d = ½ ∂goodness/∂z, and m is the running mean activity of each unit on positive data (0.9 old + 0.1 new,
    starting at 0.5). The weight gradient (Δz⁺ᵀ x⁺ + Δz⁻ᵀ x⁻) / batch is smoothed over batches:

        v ← smoothing · v + (1 - smoothing) · gradient,     w ← w + rate · (v - decay · w)

    Biases do not decay. Source: the author's code; paper section 2.1 for the peer term.

    Cases may have weights. A case with weight c counts as c cases in all of these terms: signals, peer term, m and
    decay. On average, a case that is sampled with probability p and has the weight 1 / p therefore contributes as much
    as without sampling.

    Attributes:
        goodness: goodness function.
        objective: loss on the goodness of positive and negative data.
        temperature: temperature of the objective, in units of goodness. The default is `defaults.TEMPERATURE` ·
            |threshold| / √units, because the spread of a sum over units grows with √units.
        smoothing: fraction of the smoothed gradient v that is kept at each batch, in [0, 1).
        decay: weight decay, relative to the learning rate.
        peer: strength of peer normalization. Peer normalization moves the mean activity of each unit towards the
            mean of the layer. This also revives units that are never active.
        floor: minimum of the mean activity that peer normalization aims at. With 0, a layer in which all units are
            inactive cannot recover if the goodness decreases with the activity.
        tolerance: importance sampling. A case with a signal below ``tolerance`` is used with probability signal /
            tolerance, and its signal is then raised to ``tolerance``. The expected gradient does not change, and after
            the first epochs a step needs much less work. 0 uses all cases, with their own signals.
        normalize: normalization of the activity that is passed to the next layer.
        unit: activation function. `CustomLayer` ignores this field, because its module contains an activation function.

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
    """Convert a temperature from layers of ``like`` units to layers of ``units`` units: temperature · √(units / like).

    If the goodness is a sum over units, its spread grows with √units. The default of `Rule.temperature_for` grows with
    √units for the same reason.
    """
    return temperature * math.sqrt(units / like)


def slope(activity: Tensor, total: Tensor | None, rule: Rule) -> Tensor:
    """Return half the derivative of the goodness with respect to the pre-activations, ½ ∂goodness/∂z.

    Args:
        activity: activities, ``(batch, units)``.
        total: pre-activations z, ``(batch, units)``; not needed if the derivative of the activation function can be
            computed from the activity.
        rule: learning rule that contains the goodness and the activation function.

    Returns:
        ``(batch, units)``.
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
        phase: type of the cases in ``goodness``; ``both`` for two rows.
        batches: number of batches so far, ``()``; incremented in place.
        case_weight: weight of each case, ``(cases,)``.
        threshold: the goodness at which p(positive) = ½.
        temperature: temperature of the objective.
        rule: learning rule that contains the objective and the tolerance.

    Returns:
        Two tensors: the signals, in the shape of ``goodness``, and the difficulty, ``(cases,)``. A signal is positive
            if the goodness should increase, negative if it should decrease, and 0 if the case is not used. The
            difficulty is the magnitude of the signal before weighting and sampling; for a pair, the larger of the two
            magnitudes.

    Raises:
        SettingError: ``phase`` is not ``both``, but the objective compares pairs.
    """
    excess = goodness - threshold
    if phase != "both" and rule.objective.paired:
        raise SettingError(
            f"phase is {phase!r}, but the objective compares pairs of a positive and a negative case: use phase 'both' "
            "or an objective without pairs, such as logistic"
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
        weight: sum of the weights of all cases, ``()``.
    """

    cases: Tensor
    weight: Tensor


def count_of(case_weight: Tensor) -> Count:
    """Return the number of cases and the sum of all case weights, given the weight of each case, ``(cases,)``."""
    return Count(*reduce(case_weight.new_full((), len(case_weight)), case_weight.sum()))


def peer_gradient(total: Tensor, count: Count, mean_activity: Tensor, rule: Rule) -> Tensor:
    """Return the desired change of the pre-activations by peer normalization, ``(units,)``.

    The change is the same for every positive case: peer · (max(floor, mean over units of m) - m).

    Args:
        total: sum of case weight · activity over the positive cases in the batch, ``(units,)``.
        count: number and total weight of the positive cases.
        mean_activity: running mean m of the activities, ``(units,)``; updated in place.
        rule: learning rule that contains ``peer`` and ``floor``.
    """
    (total,) = reduce(total)
    new = (0.1 * count.weight / count.cases).clamp(max=1).to(mean_activity.dtype)
    mean_activity.lerp_((total / count.weight.clamp(min=TINY)).to(mean_activity.dtype), new)
    return rule.peer * (mean_activity.mean().clamp(min=rule.floor) - mean_activity)


def sample(signals: Tensor, tolerance: float, batches: Tensor) -> Tensor:
    """Round each signal weaker than the tolerance to 0 or to ± tolerance, without changing the expected signal.

    A signal of magnitude a < tolerance becomes ± tolerance if a / tolerance > u, else 0. The thresholds u in [0, 1),
    one per case, are a low-discrepancy sequence: multiples of an irrational number, modulo 1. No random numbers are
    drawn. The two cases of a pair have the same u, so that equal signals give equal results.

    Args:
        signals: signals of positive and negative cases, ``(2, batch)``, or of only one phase, ``(1, batch)``.
        tolerance: magnitude below which signals are rounded; 0 keeps all signals unchanged.
        batches: number of batches so far, ``()``.

    Returns:
        The rounded signals, in the shape of ``signals``.
    """
    if not tolerance:
        return signals
    case = torch.arange(signals.shape[1], device=signals.device)
    u = ((case * GOLDEN + _turn(batches)) % 1).to(signals.dtype)
    size = signals.abs()
    return (signals.sign() * size.clamp(min=tolerance)).where(size > tolerance * u, 0.0)


def _turn(batches: Tensor) -> Tensor:
    """Return batches · √2 modulo 1, ``()``, by which `sample` shifts its thresholds u in each batch.

    It is computed in double precision, on the CPU if the device does not support double precision.
    """
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
        velocity: v, the smoothed gradient, in the shape and dtype of w.
        gradient: direction in which the weights should change, in the shape of w.
        rate: learning rate.
        rule: learning rule that contains the smoothing and the decay.
        copy: optional copy of ``weight`` in another dtype, which is also updated.
        counted: mean weight of the cases in the batch.
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
