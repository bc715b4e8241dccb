"""A transformation between layers that nobody differentiates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from twofold.layers.fixed import Fixed
from twofold.normalize import normalize


class Reading(nn.Module):
    """What a function makes of normalized activity, read without a graph."""

    def __init__(self, function: nn.Module) -> None:
        super().__init__()
        self.function = function

    @torch.no_grad()
    def forward(self, activity: Tensor) -> Tensor:
        """The function's answer to activity ``(batch, units)`` at fixed length."""
        answer: Tensor = self.function(normalize(activity))
        return answer


class BlackBox(Fixed):
    """Stands behind a layer: what that hands on goes through a function, in one call for both passes of a pair.

    Args:
        function: without parameters; takes and gives ``(batch, units)``.
    """

    def __init__(self, function: nn.Module) -> None:
        super().__init__(Reading(function))
