"""Estimates of the memory of a training."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from twofold.layers.fields import Fields
from twofold.layers.tiles import MAX_STORED


class Sizes:
    """Bytes of the weights and activities of a net.

    Args:
        sizes: number of inputs, and of units of each layer.
        fields: local fields of each layer, or empty if layers are fully connected.
        batch: cases per update.
        precision: precision of matrix products.
        analog: True if analog devices store the weights.

    Attributes:
        weights: bytes of the weights of each layer, in float32.
        copied: bytes of the copies and gradients of weights, relative to those of the weights.
        rows: bytes of a batch of activities of each size, in float32.
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
        """Return the bytes of layers trained one after another; with ``offload``, one is in memory at a time."""
        working = max(self.weights) * (2 + self.copied) + 8 * max(self.rows)
        return int(working if offload else sum(self.weights) * (1 + self.copied) + working)
