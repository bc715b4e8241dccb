"""Backpropagation with the chip in the loop: the forward pass is measured on analog devices, and the derivative is that
of a model of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from twofold.checks import typed
from twofold.checks.bounds import not_negative
from twofold.errors import unknown
from twofold.layers.connectivity import Connectivity, Full
from twofold.layers.weights import apply_gathered
from twofold.learning import Rule
from twofold.nets.backprop import Affine, Backprop
from twofold.nets.classifier import NetResult
from twofold.normalize import normalize
from twofold.substrate.neurons import Neurons
from twofold.substrate.noise import mixed
from twofold.substrate.parameters import Substrate
from twofold.substrate.weights import AnalogWeights, signal_of
from twofold.units import relu

MODELS = ("ideal", "known", "feedback")
"""What a derivative is of: ``ideal``, the weights as they were written, as nobody measures each device; ``known``, what
the devices give without noise, an oracle; ``feedback``, fixed random weights (feedback alignment)."""


class _Measured(torch.autograd.Function):
    """Activity as devices and neurons give it; backwards the derivative of a rectified layer with the weights
    ``back``."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, back: Tensor, layer: MeasuredLayer) -> Tensor:
        total = layer.weights.product(rows, bias.to(layer.weights.in_use().dtype))
        activity = relu.value(total) if layer.neurons is None else layer.neurons(total)
        ctx.save_for_backward(rows, back, activity)
        return activity

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        rows, back, activity = ctx.saved_tensors
        wanted = gradients[0].to(back.dtype) * (activity > 0)
        return (wanted @ back).to(rows.dtype), wanted.T @ rows.to(back.dtype), wanted.sum(0), None, None


class MeasuredLayer(Affine):
    """A rectified layer of the twin on a substrate. Biases are digital.

    Args:
        connectivity: `Full`.
        scale: of the first weights, as those of `Affine`.
        generator: draws the first weights.
        substrate: the physics.
        seed: of the device.
        model: what its derivative is of; see `MODELS`.
    """

    feedback: Tensor

    def __init__(
        self,
        connectivity: Connectivity,
        scale: float,
        generator: torch.Generator | None,
        substrate: Substrate,
        seed: int,
        model: str,
    ) -> None:
        super().__init__(connectivity, scale, generator)
        value, self.model = self.weight.detach().clone(), model
        signal = signal_of([(value, connectivity)])
        drawn = torch.Generator().manual_seed(mixed(seed, len("neurons")))
        units = connectivity.units
        self.neurons = Neurons(units, relu, substrate, signal, drawn) if substrate.has_neurons else None
        self.weights = AnalogWeights(self, "weight", value, connectivity, substrate, seed, signal, self.neurons)
        if model == "feedback":
            self.register_buffer("feedback", scale * torch.randn(value.shape, generator=drawn) / math.sqrt(self.inputs))

    def forward(self, activity: Tensor) -> Tensor:
        """Activity ``(batch, units)`` for that of the layer below, ``(batch, inputs)``."""
        weight, bias = (each.value.requires_grad_() for each in self.learnables())
        known = self.weights.in_use().to(weight.dtype)
        back = {"known": known, "feedback": getattr(self, "feedback", None)}.get(self.model, weight)
        measured: Tensor = _Measured.apply(activity, weight, bias, back, self)  # type: ignore[no-untyped-call]
        return measured

    @torch.no_grad()
    def apply_gradient(self, rate: float, rule: Rule, counted: Tensor) -> None:
        for each in self.learnables():
            assert each.value.grad is not None
            each.gather(each.value.grad)
            each.value.grad = None
        apply_gathered(self.learnables(), rate, rule, counted)


class ChipBackprop(Backprop):
    """The twin with its hidden layers on a substrate, and a digital softmax on top.

    Args:
        pixels, widths, classes, generator: as for `Backprop`.
        substrate: the physics.
        device: the seed of the device.
        model: what derivatives are of; see `MODELS`.

    Raises:
        SettingError: there is no such model.
    """

    @typed
    def __init__(
        self,
        pixels: int,
        widths: tuple[int, ...],
        classes: int,
        generator: torch.Generator | None = None,
        *,
        substrate: Substrate,
        device: int,
        model: str = "ideal",
    ) -> None:
        if model not in MODELS:
            raise unknown("model", model, MODELS)
        super().__init__(pixels, widths, classes)
        for number, layer in enumerate(self.stack[:-1]):
            full = layer.connectivity
            self.layers[number] = MeasuredLayer(full, math.sqrt(2), generator, substrate, mixed(device, number), model)

    def hidden(self, images: Tensor) -> Iterator[Tensor]:
        """The activity of each hidden layer, ``(batch, units)``."""
        activity = self.prepare(images.flatten(1))
        for layer in self.stack[:-1]:
            activity = layer(activity)
            yield activity

    @typed
    def forward(self, images: Tensor) -> Tensor:
        *_, top = self.hidden(self._enter(images))
        logits: Tensor = self.stack[-1](top)
        return logits


class LocalChip(ChipBackprop):
    """Layers on a substrate that each learn with a softmax of their own: no derivative crosses a layer.

    Each hands on its activity at fixed length. The net's logits are the mean over the softmaxes.

    Args:
        pixels, widths, classes, generator, substrate, device: as for `ChipBackprop`.
    """

    def __init__(
        self,
        pixels: int,
        widths: tuple[int, ...],
        classes: int,
        generator: torch.Generator | None = None,
        *,
        substrate: Substrate,
        device: int,
    ) -> None:
        super().__init__(pixels, widths, classes, generator, substrate=substrate, device=device)
        self.heads = nn.ModuleList(Affine(Full(classes, units), 0.0) for units in widths)

    def hidden(self, images: Tensor) -> Iterator[Tensor]:
        activity = self.prepare(images.flatten(1))
        for layer in self.stack[:-1]:
            activity = normalize(layer(activity))
            yield activity
            activity = activity.detach()

    def each(self, images: Tensor) -> Tensor:
        """The logits of each layer's softmax, ``(layers, batch, classes)``."""
        return torch.stack([head(one) for head, one in zip(self.heads, self.hidden(images), strict=True)])

    @typed
    def forward(self, images: Tensor) -> Tensor:
        return self.each(self._enter(images)).mean(0)

    @typed
    def learn(
        self, images: Tensor, labels: Tensor, *, rate: float, weight: Tensor | None = None, rule: Rule | None = None
    ) -> NetResult:
        """Learn from one batch, each layer by its own cross-entropy; see `Backprop.learn`."""
        not_negative(rate=rate)
        images, labels = self._enter_to_learn(images, labels, weight)
        with torch.enable_grad():
            logits = self.each(images)
            losses = torch.stack([cross_entropy(each, labels, reduction="none") for each in logits])
            self._descend((*self.stack[:-1], *self.heads), losses.sum(0), weight, rate, rule)
        return NetResult(logits.detach().mean(0), [], 1 - (-losses.detach()).exp().mean(0))
