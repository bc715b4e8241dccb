"""Any module as a layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from twofold.checks import convert, typed
from twofold.checks.bounds import shaped, sizes
from twofold.errors import DataError
from twofold.layers.inputs import LayerInput, checked, to_tensor
from twofold.layers.layer import FeedForwardLayer, Response
from twofold.layers.weights import Learnable
from twofold.learning import Phase, Rule


class LocalModule(FeedForwardLayer):
    """Any module as a layer: its own autograd finds its gradients, and no derivative leaves it.

    The module must give ``units`` activities per case, and has units of its own, such as ``nn.ReLU``; that of the rule
    is not used. Peer normalization acts on what the module puts out, since its total inputs are not known.

    Where the module puts out maps ``(batch, channels, rows, columns)``, all its gradients are divided by
    rows · columns: a mean over places, as those of `Convolution`, so that one rate serves maps of any size.

    Args:
        module: maps ``(batch, ...)`` to ``(batch, ...)`` with ``units`` numbers per case.
        units: that number, or the shape of the activity, such as (channels, rows, columns), where `Fixed` parts follow.
        rule: how the layer learns.
    """

    @typed
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

    @typed
    def forward(self, below: LayerInput) -> Tensor:
        """Activity of the module, ``(batch, ...)``.

        Raises:
            DataError: the module does not take such input, or gives another number of activities.
        """
        given = to_tensor(below)
        checked("below", given, None, self.mean_activity.device)
        try:
            activity: Tensor = convert("what the module gives", self.module(given), Tensor)
        except (RuntimeError, ValueError, IndexError) as error:
            raise DataError(
                f"below: the module refuses the shape {tuple(given.shape)} and the type {given.dtype} "
                f"({str(error).strip().splitlines()[0]})"
            ) from error
        shaped("what the module gives, with one row a case,", activity.flatten(1), given.shape[0], self.units)
        if len(self.shape) > 1:
            shaped("what the module gives", activity, given.shape[0], *self.shape)
        return activity

    @typed
    def respond(self, below: LayerInput) -> Response:
        """The response, with the graph of what happened inside the module, which `gather` uses up."""
        with torch.enable_grad():
            return super().respond(to_tensor(below).detach())

    @typed
    def gather(self, seen: Response, phase: Phase = "both", weight: Tensor | None = None) -> Tensor:
        signal, peers, difficulty, positive = self._learning_signal(seen, phase, weight)
        keep, share = self._shares(phase)
        flat = seen.activity.detach().flatten(1)
        wanted = signal[:, None].to(flat.dtype) * self.rule.goodness.slope(flat)
        wanted[: len(positive)] += torch.outer(positive.to(flat.dtype), peers.to(flat.dtype))
        wanted /= seen.activity[0, 0].numel()  # places of a map
        learned = [each for each in self.learnables() if each.value.requires_grad]
        if not learned:
            return difficulty
        with torch.enable_grad():
            values = [each.value for each in learned]
            gradients = torch.autograd.grad(seen.activity, values, wanted.view_as(seen.activity))
        for each, gradient in zip(learned, gradients, strict=True):
            each.gather(gradient, keep, share)
        return difficulty
