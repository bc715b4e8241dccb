"""The local learning rule: smoothed gradients, weight decay, peer normalization, and the schedule of the rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from twofold.goodness import Goodness, sum_of_squares
from twofold.normalize import normalize
from twofold.objectives import Objective, logistic

GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Rule:
    """What a layer needs to know to learn by itself.

    For one batch, with goodness g, threshold θ and the objective's signals s⁺ and s⁻ (all per case), the layer climbs

        Δz⁺ = s⁺ · slope(y⁺) + peer · (max(floor, mean over units of m) - m),     Δz⁻ = -s⁻ · slope(y⁻)

    on its total inputs z. The weight gradient (Δz⁺ᵀ x⁺ + Δz⁻ᵀ x⁻) / batch is smoothed over batches,

        v ← smoothing · v + (1 - smoothing) · gradient,     w ← w + rate · (v - decay · w),

    without decay on biases. m is the running mean activity of each unit on positive data (0.9 old + 0.1 new, starting
    at 0.5). Source: the author's code; paper section 2.1 for the peer term.

    Attributes:
        goodness: the goodness function.
        objective: what is asked of the goodness of positive and negative data.
        temperature: of the objective, in units of goodness.
        smoothing: share of the old gradient that is kept at each batch, in [0, 1).
        decay: weight decay, relative to the rate.
        peer: strength of peer normalization. It pulls each unit's mean activity to that of its layer, and revives
            units that are never active.
        floor: the least that peers pull to: a layer whose mean activity is below it pulls itself up. Where low activity
            is wanted of positive data, silence of the whole layer would be an end from which nothing leads back.
        tolerance: a case whose signal is weaker than this goes into the gradient with a probability of signal /
            tolerance, and then with the strength of the tolerance: the same on average, and after the first epochs a
            small part of the work. 0 takes all as they are.
        normalize: what is done to an activity before it is passed on.
    """

    goodness: Goodness = sum_of_squares
    objective: Objective = logistic
    temperature: float = 1.0
    smoothing: float = 0.9
    decay: float = 0.001
    peer: float = 0.03
    floor: float = 0.0
    tolerance: float = 0.0
    normalize: Callable[[Tensor], Tensor] = normalize


class Judged(NamedTuple):
    """What a layer makes of its activity for a batch, positive cases first.

    Attributes:
        above: normalized activity, ``(2 batch, ...)``.
        goodness: ``(2 batch,)``.
        signal: how the goodness of each case is to change, ``(2 batch,)``; divided by the batch, 0 where a case is left
            out.
        need: the stronger of a pair's two signals, before any weighting, ``(batch,)``.
        pull: the pull of the peers on the total input of each unit, ``(units,)``; divided by the batch.
    """

    above: Tensor
    goodness: Tensor
    signal: Tensor
    need: Tensor
    pull: Tensor


def judge(
    activity: Tensor, mean_activity: Tensor, batches: Tensor, weight: Tensor | None, threshold: float, rule: Rule
) -> Judged:
    """Everything about a batch that needs no product with the weights.

    Args:
        activity: ``(2 batch, ...)``, positive cases first.
        mean_activity: running mean for positive cases, ``(units,)``; renewed in place.
        batches: how many there were, ``()``; counted on in place.
        weight: how much each pair of cases counts, ``(batch,)``, or ``None``: all count 1. None counts more than one
            that is plainly wrong, whose signal is 1: what has changed much since it was weighed would upset the layer.
        threshold: the goodness at which p(positive) = ½.
        rule: how the layer learns.
    """
    flat = activity.flatten(1)
    count = len(flat) // 2
    goodness = rule.goodness.value(flat)
    more, less, need = ask(goodness[:count], goodness[count:], batches, weight, threshold, rule)
    pull = peers(flat[:count].mean(0, dtype=mean_activity.dtype), mean_activity, rule)
    return Judged(rule.normalize(activity), goodness, torch.cat([more, less]) / count, need, pull / count)


def ask(
    positive: Tensor, negative: Tensor, batches: Tensor, weight: Tensor | None, threshold: float, rule: Rule
) -> tuple[Tensor, Tensor, Tensor]:
    """How the goodness of each case is to change, and how much a pair had to teach; each ``(cases,)``.

    Args:
        positive: goodness of the positive cases, ``(cases,)``.
        negative: of as many negative ones.
        batches, weight, threshold, rule: as in ``judge``.

    Returns:
        The signal of the positive cases, above 0 where more goodness is wanted, that of the negative ones, and the
        stronger of a pair's two, before any weighting. Signals are 0 where a case is left out.
    """
    signals = torch.stack(rule.objective.signal(positive - threshold, negative - threshold, rule.temperature))
    need = signals.abs().amax(0)
    if weight is not None:
        most = signals.abs().clamp(min=1)
        signals = torch.minimum(torch.maximum(signals * weight, -most), most)
    batches.add_(1)
    more, less = sample(signals, rule.tolerance, batches)
    return more, -less, need


def peers(mean: Tensor, mean_activity: Tensor, rule: Rule) -> Tensor:
    """The pull of the peers on each unit, ``(units,)``, once its running mean has taken in the newest ``mean``."""
    mean_activity.lerp_(mean, 0.1)
    return rule.peer * (mean_activity.mean().clamp(min=rule.floor) - mean_activity)


def sample(signals: Tensor, tolerance: float, batches: Tensor) -> Tensor:
    """Weak signals become 0 or as strong as the tolerance, and stay the same on average.

    A signal of strength a < tolerance is kept where a / tolerance is above a number u that the case has got for this
    batch. Over cases and over batches u is spread evenly over [0, 1) by irrational steps, so that nothing is drawn, and
    a pair is kept or left out together where its signals are equal.

    Args:
        signals: of positive and of negative cases, ``(2, batch)``.
        tolerance: 0 keeps all as they are.
        batches: how many there were, ``()``.
    """
    if not tolerance:
        return signals
    case = torch.arange(signals.shape[1], device=signals.device)
    u = ((case * GOLDEN + batches.double() * math.sqrt(2) % 1) % 1).to(signals.dtype)
    size = signals.abs()
    return (signals.sign() * size.clamp(min=tolerance)).where(size > tolerance * u, 0.0)


def smooth_and_step(
    weight: Tensor, velocity: Tensor, gradient: Tensor, rate: float, rule: Rule, narrow: Tensor | None = None
) -> None:
    """v ← smoothing · v + (1 - smoothing) · gradient; w ← w + rate · (v - decay · w), in place.

    ``gradient`` points uphill. Tensors with one dimension are biases and do not decay. ``narrow`` is a copy of the
    weights in the type of the products, to be renewed with them; where they have that type, it is themselves.
    """
    velocity.lerp_(gradient.to(velocity.dtype), 1 - rule.smoothing)
    if rule.decay and weight.dim() > 1:
        weight.mul_(1 - rate * rule.decay)
    weight.add_(velocity, alpha=rate)
    if narrow is not None and narrow is not weight:
        narrow.copy_(weight)


Judge = Callable[[Tensor, Tensor, Tensor, Tensor | None, float, Rule], Judged]
"""``judge``, or what computes the same faster."""

Update = Callable[[Tensor, Tensor, Tensor, float, Rule, Tensor | None], None]
"""``smooth_and_step``, or what computes the same faster."""


class Narrow:
    """A copy of a weight matrix in the type of the products, made once after each change of the matrix."""

    def __init__(self) -> None:
        self._copy: Tensor | None = None
        self._state: tuple[int, int] | None = None

    def of(self, weight: Tensor, kind: torch.dtype | None) -> Tensor:
        """``weight`` in the type ``kind``: itself where it has that type or ``kind`` is ``None``."""
        if kind is None or kind == weight.dtype:
            return weight
        if self._copy is None or self._copy.dtype != kind or self._state != self._state_of(weight):
            self._copy = weight.detach().to(kind)
            self.is_of(weight)
        return self._copy

    def is_of(self, weight: Tensor) -> None:
        """Whoever changed the weights has changed the copy, too."""
        self._state = self._state_of(weight)

    @staticmethod
    def _state_of(weight: Tensor) -> tuple[int, int]:
        return weight.data_ptr(), weight._version


def half_constant_half_linear(progress: float) -> float:
    """The factor of the rate: 1 for the first half of the training, then linear to zero.

    Args:
        progress: share of the training that is done, in [0, 1].
    """
    return min(1.0, 2.0 * (1.0 - progress))
