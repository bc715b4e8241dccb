"""Blocks: one or several layers that learn together from the goodness of every label."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from twofold.layers.dense import WeightedLayer
from twofold.layers.inputs import nonzero_rows, weighted_sum
from twofold.layers.layer import FeedForwardLayer, Learner
from twofold.layers.weights import Learnable, apply_gathered
from twofold.learning import TINY, Rule, count_of, peer_gradient, sample, slope

LABEL_SCALE = 40
"""Number of units of a top layer in which the label has the value 1. In other layers, the value is √(units / 40)."""
CHUNK = 1 << 19
"""Number of activities (cases · labels · units) that are computed at a time. They fit into the processor's cache."""


class BlockResponse(NamedTuple):
    """The input of a block and its activity in one forward pass.

    Attributes:
        below: input of the block, ``(batch, ...)``.
        total: pre-activations of the top layer without a label, ``(batch, units)``.
        output: normalized activity without a label, ``(batch, ...)``, the input of the next block.
    """

    below: Tensor
    total: Tensor
    output: Tensor


class BlockResult(NamedTuple):
    """The result of a learning step of a block. All tensors were computed before the update.

    Attributes:
        output: normalized activity without a label, ``(batch, ...)``, the input of the next block.
        goodness: goodness of every label, ``(batch, classes)``.
        difficulty: 1 - p of the true label, ``(batch,)``; see `Block`.
    """

    output: Tensor
    goodness: Tensor
    difficulty: Tensor


class Block(Learner):
    """One or several layers that learn together from the goodness of every label in the top layer.

    Let z be the pre-activations of the top layer, and c_k a vector of weights for label k. With label k, the
    pre-activations are z + c_k. Their activity has the goodness g_k, and p = softmax(g / temperature). The desired
    change of the pre-activations is

        Σ over labels k of ([k is the true label] - p_k) · ½ ∂g_k/∂z

    so the true label is positive data, and every wrong label is negative data, weighted by its probability. One forward
    pass serves all labels. The peer term of `Rule` is added for the activity with the true label. A block passes on the
    activity for the mean of all c_k, normalized, which does not depend on the label.

    In a block of a single layer, the gradient is one matrix product. In a larger block, autograd computes the gradients
    of all layers. No gradient leaves the block.

    Args:
        layers: layers of the block, from the input upwards.
        classes: number of classes.
        label_strength: value of the label, relative to √(units / `LABEL_SCALE`). c_k is this value times row k of
            ``label_weight``.
        generator: random generator of the initial label weights.

    Attributes:
        label_weight: label weights, ``(classes, units)``. Their initial values are distributed as the weights of the
            top layer.
    """

    label_weight: nn.Parameter

    def __init__(
        self,
        layers: Sequence[FeedForwardLayer],
        classes: int,
        label_strength: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.classes = classes
        self.units, self.inputs = self.top.units, layers[0].inputs
        start = torch.randn(classes, self.units, generator=generator)
        self.label_weights = Learnable(self, "label_weight", start * self.top.initial_scale())
        self._label_value = label_strength * math.sqrt(self.units / LABEL_SCALE)
        self._with_graph = len(layers) > 1 or not isinstance(self.top, WeightedLayer)
        self._counted: Tensor | float = 1.0

    @property
    def stack(self) -> list[FeedForwardLayer]:
        """The layers as a list, from the input upwards."""
        layers: list[FeedForwardLayer] = list(self.layers)  # type: ignore[arg-type]
        return layers

    @property
    def top(self) -> FeedForwardLayer:
        """The top layer."""
        return self.stack[-1]

    @property
    def rule(self) -> Rule:
        """The learning rule of the top layer."""
        return self.top.rule

    @property
    def threshold(self) -> float:
        """The threshold of the goodness of the top layer."""
        threshold: float = self.top.threshold
        return threshold

    @property
    def temperature(self) -> float:
        """The temperature of the label probabilities, in units of goodness."""
        return self.top.temperature

    def learnables(self) -> list[Learnable]:
        return [*(learnable for layer in self.stack for learnable in layer.learnables()), self.label_weights]

    # ---- activity ----------------------------------------------------------------------------------------------

    def total(self, below: Tensor) -> Tensor:
        """Return the pre-activations of the top layer without a label, ``(batch, units)``.

        Args:
            below: normalized activity of the block below, ``(batch, ...)``.
        """
        for layer in self.stack[:-1]:
            below = layer.output(layer(below))
        return self.top.total(below).flatten(1)

    def forward(self, below: Tensor) -> Tensor:
        """Return the output of the block, ``(batch, ...)``: the normalized activity without a label."""
        return self.output(self.total(below))

    def output(self, total: Tensor) -> Tensor:
        """Return the normalized activity for the mean of all labels, given the pre-activations without a label."""
        activity = self.rule.unit.value(total + self.columns().mean(0).to(total.dtype))
        return self.top.output(activity.view(-1, *self.top.shape))

    def columns(self) -> Tensor:
        """Return the input that each label adds to the pre-activations of the top layer, ``(classes, units)``."""
        return self._label_value * self.label_weights.value.detach()

    def goodness(self, total: Tensor) -> Tensor:
        """Return the goodness of every label, ``(batch, classes)``, given pre-activations without a label."""
        rows = chunks(len(total), self.classes * self.units)
        return torch.cat([self.goodness_at_once(total[chunk]) for chunk in rows])

    def goodness_at_once(self, total: Tensor) -> Tensor:
        """Return the same as `goodness`, computed for the whole batch at once."""
        return self._goodness(self._activity(total, self.columns())[0])

    def _activity(self, total: Tensor, columns: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the activity for every label, as rows ``(classes · batch, units)``, at least float32.

        The second result is the pre-activations of these rows, or ``None`` if learning needs only the activity.

        Args:
            total: pre-activations without a label, ``(batch, units)``.
            columns: input from every label, ``(classes, units)``.
        """
        rows, unit = (total.to(columns.dtype) + columns[:, None]).flatten(0, 1), self.rule.unit
        return (unit.value(rows), None) if unit.of_activity else (unit.value(rows.clone()), rows)

    def _goodness(self, activity: Tensor) -> Tensor:
        return self.rule.goodness.value(activity).view(self.classes, -1).T

    # ---- learning ----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def learn(self, below: Tensor, labels: Tensor, rate: float, case_weight: Tensor | None = None) -> BlockResult:
        """Train the block on one batch.

        Args:
            below: normalized activity of the block below, ``(batch, ...)``.
            labels: true labels, ``(batch,)``.
            rate: learning rate.
            case_weight: weight of each case, ``(batch,)``; 1 by default.
        """
        seen = self.respond(below)
        goodness, difficulty = self.gather(seen, labels, case_weight)
        self.apply_gradient(rate)
        return BlockResult(seen.output, goodness, difficulty)

    def respond(self, below: Tensor) -> BlockResponse:
        """Run a forward pass for one call of `gather`, with an autograd graph inside a block of several layers."""
        if self._with_graph:
            for layer in self.stack:
                layer.differentiable()
        with torch.set_grad_enabled(self._with_graph):
            total = self.total(below.detach())
        with torch.no_grad():
            return BlockResponse(below, total, self.output(total.detach()))

    @torch.no_grad()
    def gather(self, seen: BlockResponse, labels: Tensor, case_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute the gradient of one forward pass, for use by `apply_gradient`.

        Args:
            seen: response of the block.
            labels: true labels, ``(batch,)``.
            case_weight: weight of each case, ``(batch,)``; 1 by default.

        Returns:
            The goodness of every label, ``(batch, classes)``, and the difficulty of each case, ``(batch,)``: 1 - p of
            the true label.
        """
        total, state, rule = seen.total.detach(), self.top.mean_activity, self.rule
        case_weight = state.new_ones(len(labels)) if case_weight is None else case_weight.to(state.dtype)
        count, columns = count_of(case_weight), self.columns()
        share = case_weight / count.cases
        wanted, positive = torch.empty_like(total), total.new_empty(total.shape, dtype=columns.dtype)
        goodness, by_label = columns.new_empty(len(total), self.classes), torch.zeros_like(columns)
        difficulty = columns.new_empty(len(total))
        self.top.batches.add_(1)
        for rows in chunks(len(total), columns.numel()):
            activity, with_label = self._activity(total[rows], columns)
            goodness[rows] = self._goodness(activity)
            signal = one_hot(labels[rows], self.classes) - (goodness[rows] / self.temperature).softmax(1)
            difficulty[rows] = signal.gather(1, labels[rows, None])[:, 0]
            signal *= self._shares(difficulty[rows], share[rows], rows.start)[:, None]
            change = slope(activity, with_label, rule).view(self.classes, -1, self.units)
            wanted[rows] = torch.bmm(signal[:, None], change.transpose(0, 1))[:, 0]
            by_label += torch.bmm(signal.T[:, None], change)[:, 0]
            if rule.peer:
                positive[rows] = activity.view_as(change)[labels[rows], torch.arange(len(signal), device=labels.device)]
        self._counted = count.weight / count.cases
        self.label_weights.gather(by_label * self._label_value)
        if rule.peer:
            peers = peer_gradient(weighted_sum(positive, case_weight), count, state, rule)
            wanted += torch.outer(share, peers)
        self._gather_weights(seen, wanted)
        return goodness, difficulty

    def _shares(self, difficulty: Tensor, share: Tensor, first: int) -> Tensor:
        """Return the weight of each case in the mean gradient, ``(cases,)``, after sampling; see `learning.sample`.

        Args:
            difficulty: difficulty of each case, ``(cases,)``.
            share: weight of each case before sampling, ``(cases,)``.
            first: number of the first case within the batch.
        """
        if not self.rule.tolerance:
            return share
        sampled = sample(difficulty[None], self.rule.tolerance, self.top.batches, first)[0]
        return share * sampled / difficulty.clamp(min=TINY)

    def _gather_weights(self, seen: BlockResponse, wanted: Tensor) -> None:
        """Compute the gradients of the layers.

        Args:
            seen: response of the block.
            wanted: desired changes of the pre-activations of the top layer, divided by the batch size,
                ``(batch, units)``.
        """
        top = self.top
        if not self._with_graph:
            assert isinstance(top, WeightedLayer)
            below = seen.below.flatten(1)
            if self.rule.tolerance:
                rows = nonzero_rows(wanted.any(1))
                wanted, below = wanted.index_select(0, rows), below.index_select(0, rows)
            top.weights.gather_product(wanted.T, below.to(wanted.dtype))
            top.biases.gather(top.connectivity.bias_gradient(wanted.sum(0, dtype=self.label_weight.dtype)))
            return
        learned = [
            (learnable, leaf, layer.positions)
            for layer in self.stack
            for learnable, leaf in zip(layer.learnables(), layer.differentiable(), strict=True)
            if leaf.requires_grad
        ]
        gradients = torch.autograd.grad(seen.total, [leaf for _, leaf, _ in learned], wanted, allow_unused=True)
        for (learnable, _, positions), gradient in zip(learned, gradients, strict=True):
            if gradient is not None:
                learnable.gather(gradient, share=1 / positions)

    @torch.no_grad()
    def apply_gradient(self, rate: float) -> None:
        """Update all parameters with the gradients computed by `gather`."""
        for layer in self.stack:
            apply_gathered(layer.learnables(), rate, layer.rule, self._counted)
        apply_gathered([self.label_weights], rate, self.rule, self._counted)


def chunks(rows: int, size: int) -> Iterator[slice]:
    """Yield slices of ``rows`` rows, each of at most `CHUNK` activities (but one row at least).

    Args:
        rows: number of rows.
        size: number of activities of a row.
    """
    step = max(1, CHUNK // size)
    for first in range(0, rows, step):
        yield slice(first, min(first + step, rows))
