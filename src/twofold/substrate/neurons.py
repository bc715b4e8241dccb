"""Analog neurons with individual transfer functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from twofold.activations import Activation
from twofold.substrate.noise import log_normal

if TYPE_CHECKING:
    from twofold.substrate.parameters import Substrate


class Neurons(nn.Module):
    """Activation function y = unit(z') of analog neurons. A neuron distorts the pre-activation z to z'.

    In units of the signal, z' = sign(u) |u|^p with u = gain · (z - threshold), clamped to [-limit, limit]. The
    properties threshold, gain, limit and exponent p differ between neurons. Each property is a buffer in
    ``state_dict``, or ``None`` if it is ideal in the substrate.

    Args:
        units: Number of neurons.
        unit: Activation function of the layer's rule.
        substrate: Physical parameters.
        signal: Root mean square of the layer's pre-activations.
        generator: Generator from which the properties of the neurons are drawn.
    """

    def __init__(
        self, units: int, unit: Activation, substrate: Substrate, signal: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.substrate = substrate
        self.signal = signal
        self._unit = unit
        wanders, shape = bool(substrate.neuron_drift), (units,)
        self.threshold: Tensor | None
        self.gain: Tensor | None
        self.limit: Tensor | None
        self.exponent: Tensor | None
        self.register_buffer("threshold", None)
        self.register_buffer("gain", None)
        self.register_buffer("limit", None)
        self.register_buffer("exponent", None)
        if substrate.threshold or wanders:
            self.threshold = substrate.threshold * signal * torch.randn(shape, generator=generator)
        if substrate.neuron_gain or wanders:
            self.gain = log_normal(substrate.neuron_gain, shape, generator)
        if substrate.saturation is not None:
            self.limit = substrate.saturation * signal * log_normal(substrate.saturation_spread, shape, generator)
        if substrate.exponent:
            self.exponent = log_normal(substrate.exponent, shape, generator)

    def forward(self, total: Tensor) -> Tensor:
        """Return activities for pre-activations ``total`` ``(rows, ...)``; may overwrite ``total``."""
        if not self._unit.of_activity:
            total = total.clone()  # the learning rule needs the pre-activations, too
        flat = total.flatten(1)
        if self.threshold is not None:
            flat.sub_(self.threshold)
        if self.gain is not None:
            flat.mul_(self.gain)
        if self.exponent is not None:
            size = flat.abs().div_(self.signal).pow_(self.exponent.to(flat.dtype)).mul_(self.signal)
            flat.copy_(size.copysign_(flat))
        if self.limit is not None:
            limit = self.limit.to(flat.dtype)
            torch.clamp(flat, -limit, limit, out=flat)
        return self._unit.value(flat.view(total.shape))

    @torch.no_grad()
    def wander(self, updates: int, generator: torch.Generator) -> None:
        """Let thresholds and gains drift, in place, by one random step as large as the drift in ``updates`` updates."""
        if not self.substrate.neuron_drift:
            return
        assert self.threshold is not None
        assert self.gain is not None
        step = self.substrate.neuron_drift * math.sqrt(updates / self.substrate.run_length)
        noise = torch.empty(2, len(self.gain), device=self.gain.device).normal_(0, step, generator=generator)
        self.threshold.add_(noise[0], alpha=self.signal)
        self.gain.mul_(noise[1].exp_())
