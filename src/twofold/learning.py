"""The local learning rule: smoothed gradients, weight decay, peer normalization, and the schedule of the rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from twofold.goodness import Goodness, sum_of_squares
from twofold.normalize import normalize
from twofold.objectives import Objective, logistic


@dataclass(frozen=True)
class Rule:
    """What a layer needs to know to learn by itself.

    For one batch, with goodness g, threshold θ and the objective's signals s⁺ and s⁻ (all per case), the layer climbs

        Δz⁺ = s⁺ · slope(y⁺) + peer · (mean over units of m - m),     Δz⁻ = -s⁻ · slope(y⁻)

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
        tolerance: cases whose signal, between 0 and 1, is at most this are left out of the gradient: after the first
            epochs nearly all, so that it costs little. 0 leaves none out.
        normalize: what is done to an activity before it is passed on.
    """

    goodness: Goodness = sum_of_squares
    objective: Objective = logistic
    temperature: float = 1.0
    smoothing: float = 0.9
    decay: float = 0.001
    peer: float = 0.03
    tolerance: float = 0.0
    normalize: Callable[[Tensor], Tensor] = normalize


def smooth_and_step(weight: Tensor, velocity: Tensor, gradient: Tensor, rate: float, rule: Rule) -> None:
    """v ← smoothing · v + (1 - smoothing) · gradient; w ← w + rate · (v - decay · w), in place.

    ``gradient`` points uphill. Tensors with one dimension are biases and do not decay.
    """
    velocity.lerp_(gradient.to(velocity.dtype), 1 - rule.smoothing)
    if rule.decay and weight.dim() > 1:
        weight.mul_(1 - rate * rule.decay)
    weight.add_(velocity, alpha=rate)


def half_constant_half_linear(progress: float) -> float:
    """The factor of the rate: 1 for the first half of the training, then linear to zero.

    Args:
        progress: share of the training that is done, in [0, 1].
    """
    return min(1.0, 2.0 * (1.0 - progress))
