"""The twin: the same net, trained by backpropagation. Every comparison uses it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from twofold import defaults
from twofold.checks import typed
from twofold.checks.bounds import as_widths, counts, not_negative
from twofold.errors import SettingError
from twofold.layers.connectivity import Connectivity, Full
from twofold.layers.layer import Learner
from twofold.layers.weights import Learnable, Weights, apply_gathered
from twofold.learning import Rule, count_of
from twofold.nets.classifier import Classifier, NetResult
from twofold.normalize import centered, normalize

TWIN_RULE = Rule(decay=defaults.TWIN_DECAY)
"""How the twin learns where nobody states it."""


class Affine(Learner):
    """Total inputs z = x Wᵀ + b, whose gradients backpropagation finds.

    Args:
        connectivity: which inputs each unit sees.
        scale: weights start as N(0, scale² / inputs of the unit).
        generator: draws the first weights.
    """

    weight: nn.Parameter
    bias: nn.Parameter

    def __init__(self, connectivity: Connectivity, scale: float, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.connectivity = connectivity
        self.inputs = connectivity.inputs
        value = connectivity.draw(scale * connectivity.fan_in().rsqrt(), generator)
        self.weights = Weights(self, "weight", value, connectivity)
        self.biases = Learnable(self, "bias", torch.zeros(connectivity.units))

    def learnables(self) -> list[Learnable]:
        return [self.weights, self.biases]

    @property
    def bottom_up(self) -> Weights:
        """The weights to the layer below."""
        return self.weights

    def forward(self, activity: Tensor) -> Tensor:
        """Total inputs ``(batch, units)`` for activity ``(batch, inputs)`` of the layer below."""
        _, bias = (each.in_use().requires_grad_() for each in self.learnables())
        return self.weights.product(activity, bias)

    @torch.no_grad()
    def apply_gradient(self, rate: float, rule: Rule, counted: Tensor) -> None:
        """One step with the gradients of the newest backward pass, if any, which are then gone; see `momentum_step`."""
        for each in self.learnables():
            leaf = each.in_use()
            if leaf.grad is not None:  # else no gradient reached it
                each.gather(leaf.grad)
                leaf.grad = None
        apply_gathered(self.learnables(), rate, rule, counted)


class Backprop(Classifier):
    """Rectified layers of the given widths and a linear softmax on top, for a normalized image.

    Weights start as N(0, 2 / inputs of the unit), the softmax at 0, biases at 0.

    Args:
        pixels: number of pixels of an image.
        widths: units of the hidden layers; a number for a single one.
        classes: number of labels.
        generator: draws the first weights.
        connectivity: which units of each hidden layer see which inputs; all see all where it is not given.
        center: whether the mean of an image's pixels is subtracted.
    """

    method = "backprop"

    @typed
    def __init__(
        self,
        pixels: int,
        widths: int | Sequence[int],
        classes: int,
        generator: torch.Generator | None = None,
        *,
        connectivity: Sequence[Connectivity] = (),
        center: bool = False,
    ) -> None:
        super().__init__()
        counts(pixels=pixels)
        widths = as_widths(widths)
        counts(2, classes=classes)
        pairs = list(itertools.pairwise((pixels, *widths)))
        if connectivity and [(each.inputs, each.units) for each in connectivity] != pairs:
            raise SettingError(
                f"connectivity: expected one for each layer, and for {pixels} pixels and widths {widths}"
            )
        hidden = connectivity or [Full(above, below) for below, above in pairs]
        self.layers = nn.ModuleList(Affine(each, math.sqrt(2), generator) for each in hidden)
        self.layers.append(Affine(Full(classes, widths[-1]), 0.0))
        self.classes = classes
        self.prepare = centered if center else normalize

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(layer.connectivity.units for layer in self.stack[:-1])

    @typed
    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(batch, classes)`` for images ``(batch, ...)`` with pixels in [0, 1]."""
        images = self._enter(images)
        activity = self.prepare(images.flatten(1))
        for layer in self.layers:
            total = layer(activity)
            activity = total.relu()
        logits: Tensor = total.to(images.dtype)
        return logits

    @typed
    def learn(
        self, images: Tensor, labels: Tensor, *, rate: float, weight: Tensor | None = None, rule: Rule | None = None
    ) -> NetResult:
        """Learn from one batch: cross-entropy, stochastic gradient descent with momentum.

        Args:
            images: ``(batch, ...)``.
            labels: the true ones, ``(batch,)``.
            rate: the learning rate.
            weight: how much each case counts, ``(batch,)``; all count 1 where it is not given.
            rule: its smoothing and decay are used.

        Raises:
            DataError: images or labels that the net was not built for.
            SettingError: a rate below 0.
        """
        not_negative(rate=rate)
        images, labels = self._enter_to_learn(images, labels, weight)
        with torch.enable_grad():
            logits: Tensor = self(images)
            losses = cross_entropy(logits, labels, reduction="none")
            self._descend(self.stack, losses, weight, rate, rule)
        return NetResult(logits.detach(), [], 1 - (-losses.detach()).exp())

    @staticmethod
    def _descend(
        layers: Iterable[Affine], losses: Tensor, weight: Tensor | None, rate: float, rule: Rule | None
    ) -> None:
        """A step of layers down the mean of losses ``(batch,)``, each of which counts as its case does."""
        rule = rule or TWIN_RULE
        weight = torch.ones_like(losses) if weight is None else weight.to(losses.dtype)
        count = count_of(weight)
        (-(weight * losses).sum() / count.cases).backward()  # type: ignore[no-untyped-call]
        for layer in layers:
            layer.apply_gradient(rate / (1 - rule.smoothing), rule, count.weight / count.cases)

    @typed
    @torch.no_grad()
    def fast(self, images: Tensor) -> Tensor:
        """Logits of all images, in parts that fit any memory."""
        return torch.cat([self(part) for part in self._parts(images)])

    def _traced(self, images: Tensor) -> dict[str, Tensor]:
        activity = self.prepare(images.flatten(1))
        for layer in self.stack:
            total = layer.weights.product(activity, layer.bias)
            activity = total.relu()
        return {"fast": total}

    @typed
    def scores(self, images: Tensor, shortlist: int = defaults.SHORTLIST) -> dict[str, Tensor]:
        counts(shortlist=shortlist)
        return self._checked({"fast": self.fast(images)}, images)
