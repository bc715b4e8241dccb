"""Estimates of the memory of a training run."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from twofold.layers.fields import Fields
from twofold.layers.tiles import MAX_STORED


class Sizes:
    """The memory of the weights and activations of a net, in bytes.

    Args:
        sizes: number of inputs of the net, followed by the number of units of each layer.
        fields: receptive fields of each layer, or empty if layers are fully connected.
        batch: batch size.
        precision: precision of matrix products.
        analog: True if analog devices store the weights.

    Attributes:
        weights: bytes of the weights of each layer, in float32.
        copied: bytes of all copies and gradients of the weights, divided by the bytes of the weights themselves.
        rows: bytes of a batch of inputs, followed by the bytes of a batch of activations of each layer, in float32.
    """

    def __init__(
        self, sizes: Sequence[int], fields: Sequence[Fields], batch: int, precision: str, analog: bool = False
    ) -> None:
        self.weights = [4 * below * above for below, above in itertools.pairwise(sizes)]
        if fields:
            self.weights = [4 * int(MAX_STORED * field.weights) for field in fields]
        self.copied = 1.5 if precision == "bf16" else 1.0  # copy and gradient in bf16, or a gradient in fp32
        if analog:
            self.copied += 4  # gains, offsets, pulse sizes and measured weights
        self.rows = [4 * batch * size for size in sizes]

    def of_a_stack(self, offload: bool) -> int:
        """Return the memory, in bytes, of the training of a stack of layers in which each layer learns separately.

        Args:
            offload: True if only one layer at a time is in memory and the other layers are on disk.
        """
        working = max(self.weights) * (2 + self.copied) + 8 * max(self.rows)
        return int(working if offload else sum(self.weights) * (1 + self.copied) + working)
