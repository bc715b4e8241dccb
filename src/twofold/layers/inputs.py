"""What a layer gets from below: a matrix with one row a case, written out or in a form that saves work.

A layer needs two products with it: the total inputs of its units, and the weight gradient. ``linear`` and ``outer``
give both for either form, so that a layer need not know which one it has.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from twofold.goodness import wide
from twofold.layers.connectivity import Connectivity
from twofold.normalize import TINY


class Constant:
    """Rows that stay as they are while they are used several times, and so does their product with the weights.

    Attributes:
        rows: ``(batch, inputs)``.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows
        self._product: tuple[Tensor, int, Tensor] | None = None

    def times(self, weight: Tensor, seen: Connectivity | None = None) -> Tensor:
        """``rows · weightᵀ``, ``(batch, units)``: computed once for as long as the weights stay as they are.

        Args:
            weight: as they are stored.
            seen: which units see which inputs; all see all where it is not given.
        """
        if self._product is None or self._product[0] is not weight or self._product[1] != weight._version:
            if seen is None:
                product = functional.linear(self.rows.to(weight.dtype), weight)
            else:
                product = seen.times(weight, self.rows, weight.new_zeros(seen.units))
            self._product = weight, weight._version, product
        return self._product[2]


class Images(Constant):
    """A batch of images in the rows of a matrix whose first columns, the place of the label, are zero.

    Attributes:
        squares: sum of the squared pixels of each image, ``(batch,)``.
    """

    def __init__(self, rows: Tensor) -> None:
        super().__init__(rows)
        self.squares = rows.square().sum(1, dtype=wide(rows))


class Stated:
    """Images with labels stated, at fixed length, as a matrix that is never written out (talk 10:57).

    Row v · batch + i is image xᵢ under its v-th label vector l: s (x + l) with s = 1 / (tiny + √(mean of squares of
    x + l)). Positive, negative and neutral input differ in the label alone, so the product with the images, and the
    images' part of the weight gradient, are shared by all label vectors.

    Args:
        images: the images.
        labels: label vectors, ``(variants, images, classes)``; where there are fewer than the images of the batch, they
            belong to the first ones.
    """

    def __init__(self, images: Images, labels: Tensor) -> None:
        self.images = images
        self.labels = labels
        self.variants, self.count, self.classes = labels.shape
        inputs = images.rows.shape[1]
        squares = images.squares[: self.count] + labels.square().sum(2, dtype=wide(labels))
        self.scale = 1 / (TINY + (squares / inputs).sqrt())  # (variants, images)

    def __len__(self) -> int:
        return self.variants * self.count

    def linear(self, weight: Tensor, bias: Tensor) -> Tensor:
        product = self.images.times(weight)[: self.count]
        of_labels = self.labels.to(weight.dtype) @ weight[:, : self.classes].T
        return torch.addcmul(bias, of_labels.add_(product), self.scale[:, :, None].to(weight.dtype)).flatten(0, 1)

    def busy(self, signal: Tensor) -> Tensor:
        """The rows of all images that have a signal under any of their labels."""
        images = chosen(signal.view(self.variants, self.count).any(0))
        return (images + self.count * torch.arange(self.variants, device=images.device)[:, None]).flatten()

    def outer(self, wanted: Tensor, rows: Tensor, pull: Tensor) -> Tensor:
        kind, first = wanted.dtype, rows[: len(rows) // self.variants]
        scaled = wanted * self.scale.flatten()[rows, None].to(kind)
        shared = scaled.view(self.variants, len(first), wanted.shape[1]).sum(0)
        pixels = self.images.rows[: self.count].to(kind)
        half = self.scale[: self.variants // 2].to(kind)
        gradient = torch.cat([shared, pull[None]]).T @ torch.cat([pixels[first], half.sum(0, keepdim=True) @ pixels])
        labels = self.labels.flatten(0, 1).to(kind)
        stated = half.flatten()[None] @ labels[: half.numel()]
        gradient[:, : self.classes] += torch.cat([scaled, pull[None]]).T @ torch.cat([labels[rows], stated])
        return gradient

    def written_out(self) -> Tensor:
        """The matrix itself, ``(variants · images, inputs)``."""
        rows = self.images.rows[: self.count].repeat(self.variants, 1)
        rows[:, : self.classes] += self.labels.flatten(0, 1).to(rows.dtype)
        return rows * self.scale.flatten()[:, None].to(rows.dtype)


Below = Tensor | Stated
"""What a layer gets from below."""


def join(positive: Below, negative: Below) -> Below:
    """Both batches as one, the positive rows first. Two ``Stated`` of the same images share them."""
    if isinstance(positive, Stated) and isinstance(negative, Stated) and positive.images is negative.images:
        return Stated(positive.images, torch.cat([positive.labels, negative.labels]))
    return torch.cat([written_out(positive), written_out(negative)])


def written_out(below: Below) -> Tensor:
    """As a tensor, ``(rows, ...)``."""
    return below if isinstance(below, Tensor) else below.written_out()


def linear(below: Below, weight: Tensor, bias: Tensor) -> Tensor:
    """Total inputs ``below · weightᵀ + bias``, ``(rows, units)``, in the type of the weights."""
    if isinstance(below, Stated):
        return below.linear(weight, bias)
    return functional.linear(below.to(weight.dtype), weight, bias)


def busy(below: Below, signal: Tensor) -> Tensor:
    """The numbers of the rows that go into the weight gradient: all that have a signal."""
    return below.busy(signal) if isinstance(below, Stated) else chosen(signal != 0)


def chosen(holds: Tensor) -> Tensor:
    """Where it holds; on a GPU everywhere: the program would wait for the answer, and rows of zeros add nothing."""
    return torch.arange(len(holds), device=holds.device) if holds.is_cuda else holds.nonzero()[:, 0]


def outer(below: Below, wanted: Tensor, rows: Tensor, pull: Tensor) -> Tensor:
    """The weight gradient, Σ over the chosen rows of wanted ⊗ row, plus pull ⊗ the sum of all positive rows.

    Args:
        below: positive rows first, then as many negative ones.
        wanted: of the chosen rows, ``(chosen, units)``.
        rows: their numbers, ``(chosen,)``, as ``busy`` gives them.
        pull: ``(units,)``, in the type of ``wanted``. The same for all positive rows: one more row for the product.

    Returns:
        ``(units, inputs)``.
    """
    if isinstance(below, Stated):
        return below.outer(wanted, rows, pull)
    half, given = below[: len(below) // 2], below.index_select(0, rows)
    total = half.sum(0, keepdim=True, dtype=wide(half))
    return torch.cat([wanted, pull[None]]).T @ torch.cat([given.to(wanted.dtype), total.to(wanted.dtype)])
