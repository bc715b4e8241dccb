"""About how much memory a training takes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from twofold.layers.fields import Fields
from twofold.layers.tiles import MAX_STORED


class Sizes:
    """Bytes that the parts of a net take.

    Args:
        sizes: numbers of inputs and of the units of each layer.
        fields: what the units of each layer see, where they do not see all.
        batch: cases of an update.
        precision: of the products.
        analog: whether analog devices hold the weights.

    Attributes:
        weights: of each layer, in float32.
        copied: how many times as much the copies and gradients of weights take as the weights.
        rows: of a batch of activities of each size, in float32.
    """

    def __init__(
        self, sizes: Sequence[int], fields: Sequence[Fields], batch: int, precision: str, analog: bool = False
    ) -> None:
        self.weights = [4 * below * above for below, above in itertools.pairwise(sizes)]
        if fields:
            self.weights = [4 * int(MAX_STORED * each.weights) for each in fields]
        self.copied = 1.5 if precision == "bf16" else 1.0  # copy and gradient in bf16, or a gradient in fp32
        if analog:
            self.copied += 4  # gains, offsets, sizes of pulses, and what the devices give
        self.rows = [4 * batch * size for size in sizes]

    def of_a_stack(self, offload: bool) -> int:
        """The bytes for layers that learn one after the other, all in memory or, with offload, one at a time."""
        at_work = max(self.weights) * (2 + self.copied) + 8 * max(self.rows)
        return int(at_work if offload else sum(self.weights) * (1 + self.copied) + at_work)
