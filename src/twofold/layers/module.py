"""Any module as a layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from twofold.layers.inputs import LayerInput, to_tensor
from twofold.layers.layer import FeedForwardLayer, Response
from twofold.layers.weights import Learnable
from twofold.learning import Phase, Rule


class LocalModule(FeedForwardLayer):
    """Any module as a layer: its own autograd finds its gradients, and no derivative leaves it.

    The module must give ``units`` activities per case. Peer normalization acts on what the module puts out, since its
    total inputs are not known.

    Args:
        module: maps ``(batch, ...)`` to ``(batch, ...)`` with ``units`` numbers per case.
        units: that number.
        rule: how the layer learns.
    """

    def __init__(self, module: nn.Module, units: int, rule: Rule | None = None) -> None:
        super().__init__(units, rule or Rule())
        self.module = module
        self._learned = []
        for name, parameter in list(module.named_parameters()):
            if parameter.requires_grad:
                path, _, leaf = name.rpartition(".")
                self._learned.append(Learnable(module.get_submodule(path), leaf, parameter.detach()))

    def learnables(self) -> list[Learnable]:
        return self._learned

    def forward(self, below: LayerInput) -> Tensor:
        """Activity of the module, ``(batch, ...)``."""
        activity: Tensor = self.module(to_tensor(below))
        return activity

    def respond(self, below: LayerInput) -> Response:
        """The response, with the graph of what happened inside the module, which `gather` uses up."""
        with torch.enable_grad():
            return super().respond(to_tensor(below).detach())

    def gather(self, seen: Response, phase: Phase = "both", weight: Tensor | None = None) -> Tensor:
        signal, peers, difficulty, positives = self._learning_signal(seen, phase, weight)
        keep, share = self._shares(phase)
        flat = seen.activity.detach().flatten(1)
        wanted = signal[:, None].to(flat.dtype) * self.rule.goodness.slope(flat)
        wanted[:positives] += peers.to(flat.dtype)
        learned = [each for each in self.learnables() if each.value.requires_grad]
        if not learned:
            return difficulty
        with torch.enable_grad():
            values = [each.value for each in learned]
            gradients = torch.autograd.grad(seen.activity, values, wanted.view_as(seen.activity))
        for each, gradient in zip(learned, gradients, strict=True):
            each.gather(gradient, keep, share)
        return difficulty
