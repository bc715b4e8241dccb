"""The linear softmax classifier on the activities of the hidden layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from twofold import defaults
from twofold.checks.bounds import counts
from twofold.layers.connectivity import Full
from twofold.layers.layer import Learner
from twofold.layers.weights import Learnable, Weights, apply_gathered
from twofold.learning import Rule, count_of


class Softmax(Learner):
    """A linear softmax classifier on normalized hidden activities (talk 13:02).

    The classifier is trained together with the net, but passes no gradient to the hidden layers. The logits are
    features · Wᵀ, in the dtype of the weights, without a bias. W starts at 0. The gradient is (one-hot - softmax)ᵀ ·
    features.

    Args:
        features: number of features.
        classes: number of classes.
        decay: weight decay, relative to the learning rate.
    """

    weight: nn.Parameter
    weight_velocity: Tensor

    def __init__(self, features: int, classes: int, decay: float = defaults.SOFTMAX_DECAY) -> None:
        super().__init__()
        counts(2, classes=classes)
        self.rule = Rule(decay=decay)
        self.weights = Weights(self, "weight", torch.zeros(classes, features), Full(classes, features))

    def learnables(self) -> list[Learnable]:
        return [self.weights]

    def forward(self, features: Tensor) -> Tensor:
        """Return logits ``(batch, classes)`` for features ``(batch, features)``."""
        return self.weights.product(features, self.weight.new_zeros(len(self.weight)))

    def learn(self, features: Tensor, labels: Tensor, rate: float, case_weight: Tensor | None = None) -> Tensor:
        """Make one step of gradient descent on the cross-entropy.

        Args:
            features: normalized hidden activities, ``(batch, features)``.
            labels: true labels, ``(batch,)``.
            rate: learning rate.
            case_weight: weight of each case, ``(batch,)``; 1 by default.

        Returns:
            The logits computed before the step, ``(batch, classes)``.
        """
        with torch.no_grad():
            logits: Tensor = self(features)
            wanted = -logits.softmax(1)
            wanted[torch.arange(len(labels), device=labels.device), labels] += 1
            case_weight = wanted.new_ones(len(labels)) if case_weight is None else case_weight.to(wanted.dtype)
            count = count_of(case_weight)
            wanted *= case_weight[:, None] / count.cases
            self.weights.gather_product(wanted.T, features.to(wanted.dtype))
            apply_gathered(self.learnables(), rate, self.rule, count.weight / count.cases)
        return logits
