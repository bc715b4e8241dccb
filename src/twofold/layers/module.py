"""Layers made from any ``torch.nn.Module``."""

from __future__ import annotations

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
    """Any module as a layer: autograd computes its gradients within the module, and no derivative leaves it.

    The module must return ``units`` activities per case. It contains its own activation function, such as ``nn.ReLU``;
    that of the rule is not used. Peer normalization acts on the module's outputs, since its total inputs are not known.

    If the module returns maps ``(batch, channels, rows, columns)``, all its gradients are divided by rows · columns.
    They are then means over positions, as in `Convolution`, so that one learning rate suits maps of any size.

    Args:
        module: maps ``(batch, ...)`` to ``(batch, ...)`` with ``units`` numbers per case.
        units: that number, or the shape of the activity, such as (channels, rows, columns), if `Fixed` modules follow.
        rule: the learning rule.
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

    def learnables(self) -> list[Learnable]:
        return self._learned

    def forward(self, below: LayerInput) -> Tensor:
        """Return the module's activity, ``(batch, ...)``.

        Raises:
            DataError: the module rejects the input or returns a different number of activities.
        """
        inputs = to_tensor(below)
        try:
            activity: Tensor = convert("the module's output", self.module(inputs), Tensor)
        except (RuntimeError, ValueError, IndexError) as error:
            raise DataError(
                f"below: the module rejects the shape {tuple(inputs.shape)} and the type {inputs.dtype} "
                f"({str(error).strip().splitlines()[0]})"
            ) from error
        shaped("the module's output, flattened to one row per case", activity.flatten(1), inputs.shape[0], self.units)
        if len(self.shape) > 1:
            shaped("the module's output", activity, inputs.shape[0], *self.shape)
        return activity

    def respond(self, below: LayerInput) -> Response:
        """Return the response with the module's graph, which `gather` consumes."""
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
