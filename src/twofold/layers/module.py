"""Layers that wrap a ``torch.nn.Module``."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from twofold.checks import check_arguments, convert
from twofold.checks.bounds import shaped, sizes
from twofold.errors import DataError
from twofold.layers.inputs import LayerInput, to_tensor
from twofold.layers.layer import FeedForwardLayer, Response
from twofold.layers.weights import Learnable
from twofold.learning import Phase, Rule


class CustomLayer(FeedForwardLayer):
    """A layer whose activity is computed by any ``torch.nn.Module``.

    Autograd computes the gradients of the module's parameters. No gradient is passed on to the layer below. The module
    must contain its activation function, such as ``nn.ReLU``; the activation function of the learning rule is not used.
    Peer normalization acts on the outputs of the module, because the pre-activations of the module are not known.

    If the module returns maps ``(batch, channels, rows, columns)``, the gradients of all parameters are divided by
    rows · columns. The gradients are then means over positions, as in `Convolution`, so that the learning rate does not
    depend on the map size.

    Args:
        module: module that maps ``(batch, ...)`` to activities ``(batch, ...)``.
        units: number of activities per case. If a `Fixed` module follows the layer, give the shape of the activity of
            one case instead, such as (channels, rows, columns).
        rule: learning rule.
    """

    @check_arguments
    def __init__(self, module: nn.Module, units: int | tuple[int, ...], rule: Rule | None = None) -> None:
        shape = (units,) if isinstance(units, int) else units
        sizes(units=shape)
        super().__init__(shape, rule or Rule())
        self.module = module
        self._learned = []
        for name, parameter in list(module.named_parameters()):
            if parameter.requires_grad:
                path, _, leaf = name.rpartition(".")
                self._learned.append(Learnable(module.get_submodule(path), leaf, parameter.detach()))

    @property
    def positions(self) -> int:
        return math.prod(self.shape[1:])

    def learnables(self) -> list[Learnable]:
        return self._learned

    def differentiable(self) -> list[Tensor]:
        return [learnable.value for learnable in self._learned]

    def forward(self, below: LayerInput) -> Tensor:
        """Return the output of the module, ``(batch, ...)``.

        Raises:
            DataError: the module raises an error for the input, or returns an output of the wrong shape.
        """
        inputs = to_tensor(below)
        try:
            activity: Tensor = convert("the module's output", self.module(inputs), Tensor)
        except (RuntimeError, ValueError, IndexError) as error:
            raise DataError(
                f"the module of a CustomLayer fails for an input of shape {tuple(inputs.shape)} and type "
                f"{inputs.dtype}: {str(error).strip().splitlines()[0]}"
            ) from error
        shaped("the module's output, flattened to one row per case", activity.flatten(1), inputs.shape[0], self.units)
        if len(self.shape) > 1:
            shaped("the module's output", activity, inputs.shape[0], *self.shape)
        return activity

    def respond(self, below: LayerInput) -> Response:
        """Run a forward pass that records the autograd graph of the module, for one call of `gather`."""
        with torch.enable_grad():
            return super().respond(to_tensor(below).detach())

    def gather(self, seen: Response, phase: Phase = "both", case_weight: Tensor | None = None) -> Tensor:
        signal, peers, difficulty, positive = self._learning_signal(seen, phase, case_weight)
        keep, share = self._shares(phase)
        flat = seen.activity.detach().flatten(1)
        wanted = signal[:, None].to(flat.dtype) * self.rule.goodness.slope(flat)
        wanted[: len(positive)] += torch.outer(positive.to(flat.dtype), peers.to(flat.dtype))
        wanted /= seen.activity[0, 0].numel()  # positions of a map
        learned = [learnable for learnable in self.learnables() if learnable.value.requires_grad]
        if not learned:
            return difficulty
        with torch.enable_grad():
            values = [learnable.value for learnable in learned]
            gradients = torch.autograd.grad(seen.activity, values, wanted.view_as(seen.activity))
        for learnable, gradient in zip(learned, gradients, strict=True):
            learnable.gather(gradient, keep, share)
        return difficulty
