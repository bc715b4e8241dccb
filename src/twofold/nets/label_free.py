"""The net whose blocks of layers learn from the goodness of every label, and pass on activity without a label."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from twofold import defaults
from twofold.checks import check_arguments, convert
from twofold.checks.bounds import counts, not_negative, positive, sizes
from twofold.errors import SettingError
from twofold.layers.black_box import BlackBox
from twofold.layers.block import Block
from twofold.layers.dense import dense
from twofold.layers.fixed import Fixed
from twofold.layers.inputs import CachedInput
from twofold.layers.layer import FeedForwardLayer
from twofold.learning import Rule
from twofold.nets.classifier import NetResult
from twofold.nets.goodness_classifier import GoodnessNet
from twofold.nets.net import Evaluation, testing
from twofold.nets.stack import counted, stacked
from twofold.normalize import centered, normalize

RULE = Rule(decay=defaults.LABEL_FREE_DECAY, peer=0.0)
"""Default learning rule of the layers of `LabelFree.dense`."""


class LabelFree(GoodnessNet):
    """A feedforward net whose blocks learn from the goodness of every label and pass on activity without a label.

    Each block of layers has its own weights for the label; see `Block`. A block computes the goodness of every label in
    one forward pass. The true label is positive data, every wrong label is negative data. The activity that a block
    passes on does not depend on the label. No derivative crosses a block. With the default ``block_size`` of 1, no
    derivative crosses a layer.

    The only test is the slow test, which needs one forward pass: it predicts the label with the highest total goodness.

    Images are ``(batch, ...)`` with pixels in [0, 1]. They are normalized.

    Args:
        layers: Layers, from the input upwards. A `Fixed` or `BlackBox` object transforms the activity of the layer
            before it.
        classes: Number of classes.
        block_size: Number of layers in a block. The last block may have fewer.
        counted_from: First block, counted from 1, whose goodness the test uses.
        label_strength: Strength of the label relative to its default value; see `Block`.
        center: If True, subtract the mean of each image's pixels.
        generator: Random generator of the initial label weights.

    Raises:
        SettingError: There are no layers, or no blocks from ``counted_from`` upwards; or a `BlackBox` is inside a
            block.
    """

    method = "label-free"

    @check_arguments
    def __init__(
        self,
        layers: Iterable[FeedForwardLayer | Fixed | BlackBox],
        classes: int,
        *,
        block_size: int = 1,
        counted_from: int = 1,
        label_strength: float = 1.0,
        center: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        counts(2, classes=classes)
        counts(block_size=block_size)
        positive(label_strength=label_strength)
        self.classes = classes
        self.block_size = block_size
        self.prepare = centered if center else normalize
        stack, _ = stacked(layers)
        for number, layer in enumerate(stack, 1):
            if number % block_size and number < len(stack) and any(isinstance(m, BlackBox) for m in layer.fixed):
                raise SettingError(
                    f"layers: there is a BlackBox after layer {number}, inside a block of {block_size} layers, which "
                    "needs its derivative: choose a block_size such that each box is behind a block"
                )
        groups = [stack[first : first + block_size] for first in range(0, len(stack), block_size)]
        self.layers = nn.ModuleList(Block(group, classes, label_strength, generator) for group in groups)
        self.read = counted(counted_from, len(groups))

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(layer.units for block in self.stack for layer in block.stack)

    @classmethod
    @check_arguments
    def dense(
        cls,
        shape: Sequence[int],
        widths: int | Sequence[int],
        classes: int,
        rule: Rule | None = None,
        *,
        block_size: int = 1,
        generator: torch.Generator | None = None,
    ) -> Self:
        """Create a net of fully connected layers (`Dense`).

        Args:
            shape: Shape of an image, such as (channels, height, width).
            widths: Number of units of each layer; an integer for a single layer.
            classes: Number of classes.
            rule: Learning rule of the layers.
            block_size: Number of layers in a block.
            generator: Random generator of the initial weights.
        """
        sizes(shape=shape)
        layers = list(dense(math.prod(shape), widths, rule or RULE, generator))
        return cls(layers, classes, block_size=block_size, generator=generator)

    @check_arguments
    def learn(self, images: Tensor, labels: Tensor, *, rate: float, case_weight: Tensor | None = None) -> NetResult:
        """Train the net on one batch. This is the complete learning algorithm.

        Args:
            images: ``(batch, ...)``.
            labels: True labels, ``(batch,)``.
            rate: Learning rate.
            case_weight: Weight of each case, ``(batch,)``; 1 by default.

        Returns:
            The result. Its ``logits`` are the total goodness divided by the total temperature. The goodness of a
            negative case is the mean over wrong labels, weighted by their probabilities.

        Raises:
            DataError: Images or labels do not fit the net.
            SettingError: The rate is negative.
        """
        not_negative(rate=rate)
        images, labels = self._enter_to_learn(images, labels, case_weight)
        below, total = self.prepare(images), torch.zeros(len(labels), self.classes, device=labels.device)
        pairs: list[tuple[Tensor, Tensor] | None] = []
        difficulty = torch.zeros(len(labels), device=labels.device)
        for number, block in enumerate(self.stack):
            below, goodness, hard = block.learn(below, labels, rate, case_weight)
            if number in self.read:
                total = total + goodness
            pairs.append(self._pair(goodness, labels, block.temperature))
            difficulty = torch.maximum(difficulty, hard.to(difficulty.dtype))
        return NetResult(total / self._temperature(self.stack[self.read.start :]), pairs, difficulty)

    @staticmethod
    def _pair(goodness: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Return the goodness of the true label, and the mean goodness of the wrong labels, weighted by p."""
        true, others = labels[:, None], goodness.scatter(1, labels[:, None], -torch.inf)
        return goodness.gather(1, true)[:, 0], (goodness * (others / temperature).softmax(1)).sum(1)

    def _totals(self, images: Tensor) -> Iterator[tuple[Block, Tensor]]:
        """Yield each block with the pre-activations of its top layer, ``(batch, units)``, for checked images."""
        below = self.prepare(images)
        for block in self.stack:
            total = block.total(below)
            yield block, total
            below = block.output(total)

    @check_arguments
    @torch.no_grad()
    def goodness(self, images: Tensor | CachedInput, labels: Tensor | None = None) -> Tensor:
        """Return the goodness of every block for labels, ``(batch, candidates, blocks)``, from one forward pass.

        Args:
            images: ``(batch, ...)``.
            labels: Candidate labels of each image, ``(batch, candidates)``; all labels by default.
        """
        with testing(self):
            goodness = torch.cat(
                [
                    torch.stack([block.goodness(total) for block, total in self._totals(batch)], 2)
                    for batch in self._parts(convert("images", images, Tensor))
                ]
            )
        if labels is None:
            return goodness
        labels = self._candidates(labels, len(goodness))
        return goodness.gather(1, labels[:, :, None].expand(-1, -1, len(self.layers)))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``(batch, classes)``: the total goodness divided by the total temperature."""
        return self.evidence(images)

    @check_arguments
    @torch.no_grad()
    def scores(self, images: Tensor, shortlist: int = defaults.SHORTLIST) -> dict[str, Tensor]:
        return self._checked({"slow": self.slow(images)}, images)

    def _traced(self, images: Tensor) -> dict[str, Tensor]:
        goodness = torch.stack([block.goodness_at_once(total) for block, total in self._totals(images)], 2)
        return {"slow": self.total(goodness), "goodness": goodness}

    @check_arguments
    @torch.no_grad()
    def evaluate(self, *data: Tensor, shortlist: int = defaults.SHORTLIST) -> Evaluation:
        counts(shortlist=shortlist)
        images, labels = self._labeled(data)
        goodness = self.goodness(images)
        scores = self._checked({"slow": self.total(goodness)}, images)
        return self._evaluation(scores, labels, shortlist, goodness)

    def passes(self, shortlist: int = defaults.SHORTLIST) -> dict[str, int]:
        return {"slow": 1}
