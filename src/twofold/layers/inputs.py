"""The input of a layer: a matrix with one row for each case, as a tensor or in a form that saves work.

A layer needs two products with it: the total inputs of its units, and the weight gradient. `total_input` and
`gather_gradient` give both for either form, so that a layer need not know which one it has.
"""

from __future__ import annotations

import torch
from torch import Tensor

from twofold.checks import looking
from twofold.checks.bounds import floating
from twofold.goodness import accumulate_dtype
from twofold.layers.weights import Weights
from twofold.normalize import EPS


class CachedInput:
    """Rows that stay the same while they are used several times, and so does their product with the weights.

    Attributes:
        rows: ``(batch, inputs)``.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows
        self._product: tuple[Tensor, int, Tensor] | None = None

    def product(self, weights: Weights) -> Tensor:
        """``rows · Wᵀ``, ``(batch, units)``: computed once for as long as the weights stay the same.

        Weights that do not share products are read anew at every call.
        """
        if not weights.shares_products:
            return self._read(weights)
        used = weights.in_use()
        if self._product is None or self._product[0] is not used or self._product[1] != used._version:
            self._product = used, used._version, self._read(weights)
        return self._product[2]

    def _read(self, weights: Weights) -> Tensor:
        return weights.product(self.rows, weights.in_use().new_zeros(weights.connectivity.units))


class Images(CachedInput):
    """A batch of images in the rows of a matrix whose first columns, the place of the label, are zero.

    Attributes:
        squares: sum of the squared pixels of each image, ``(batch,)``.
    """

    def __init__(self, rows: Tensor) -> None:
        super().__init__(rows)
        self.squares = rows.square().sum(1, dtype=accumulate_dtype(rows))


class LabeledImages:
    """Images with labels, at fixed length, as a matrix that is never written out (talk 10:57).

    Row v · batch + i is image xᵢ under its v-th label vector l: s (x + l) with s = 1 / (ε + √(mean of squares of
    x + l)). Positive, negative and neutral input differ in the label alone, so the product with the images, and the
    images' part of the weight gradient, are shared by all label vectors.

    Args:
        images: the images.
        labels: label vectors, ``(variants, batch, classes)``.
    """

    def __init__(self, images: Images, labels: Tensor) -> None:
        self.images = images
        self.labels = labels
        self.variants, self.count, self.classes = labels.shape
        squares = images.squares + labels.square().sum(2, dtype=accumulate_dtype(labels))
        self.scale = 1 / (EPS + (squares / images.rows.shape[1]).sqrt())  # (variants, images)

    def __len__(self) -> int:
        return self.variants * self.count

    def total_input(self, weights: Weights, bias: Tensor) -> Tensor:
        """Total inputs, ``(rows, units)``, from one product with the images and a small one with the labels."""
        product, weight = self.images.product(weights), weights.in_use()
        of_labels = self.labels.to(weight.dtype) @ weight[:, : self.classes].T
        return torch.addcmul(bias, of_labels.add_(product), self.scale[:, :, None].to(weight.dtype)).flatten(0, 1)

    def active_rows(self, signal: Tensor) -> Tensor:
        """The rows of all images that have a signal under any of their labels."""
        images = nonzero_rows(signal.view(self.variants, self.count).any(0))
        return (images + self.count * torch.arange(self.variants, device=images.device)[:, None]).flatten()

    def weight_gradient(self, wanted: Tensor, rows: Tensor, positive: Tensor, peers: Tensor) -> Tensor:
        """Σ over rows of wanted ⊗ row + peers ⊗ Σ of positive rows, ``(units, inputs)``; see `gather_gradient`."""
        dtype, first = wanted.dtype, rows[: len(rows) // self.variants]
        scaled = wanted * self.scale.flatten()[rows, None].to(dtype)
        shared = scaled.view(self.variants, len(first), wanted.shape[1]).sum(0)
        pixels = self.images.rows.to(dtype)
        half = self.scale[: len(positive) // self.count] * positive.view(-1, self.count).to(self.scale.dtype)
        half = half.to(dtype)
        gradient = torch.cat([shared, peers[None]]).T @ torch.cat([pixels[first], half.sum(0, keepdim=True) @ pixels])
        labels = self.labels.flatten(0, 1).to(dtype)
        stated = half.flatten()[None] @ labels[: len(positive)]
        gradient[:, : self.classes] += torch.cat([scaled, peers[None]]).T @ torch.cat([labels[rows], stated])
        return gradient

    def to_tensor(self) -> Tensor:
        """The matrix itself, ``(variants · images, inputs)``."""
        rows = self.images.rows.repeat(self.variants, 1)
        rows[:, : self.classes] += self.labels.flatten(0, 1).to(rows.dtype)
        return rows * self.scale.flatten()[:, None].to(rows.dtype)


LayerInput = Tensor | LabeledImages
"""The input of a feedforward layer."""


def checked(name: str, below: LayerInput, inputs: int | None, on: torch.device) -> None:
    """Refuse an input that does not fit a layer; one without a number of inputs takes any.

    Raises:
        DataError: another number of inputs or another device than the layer's, or no floating-point numbers.
    """
    if not looking():
        return
    rows = below if isinstance(below, Tensor) else below.images.rows
    floating(name, rows, "batch", "..." if inputs is None else inputs, on=on)


def join(positive: LayerInput, negative: LayerInput) -> LayerInput:
    """Both batches as one, the positive rows first. Two `LabeledImages` of the same images share them."""
    if (
        isinstance(positive, LabeledImages)
        and isinstance(negative, LabeledImages)
        and positive.images is negative.images
    ):
        return LabeledImages(positive.images, torch.cat([positive.labels, negative.labels]))
    return torch.cat([to_tensor(positive), to_tensor(negative)])


def to_tensor(below: LayerInput) -> Tensor:
    """Return the input as a tensor, ``(rows, ...)``."""
    return below if isinstance(below, Tensor) else below.to_tensor()


def usable_by(weights: Weights, below: LayerInput) -> LayerInput:
    """The input, as a tensor where the weights are not stored as a whole matrix, ``(units, inputs)``."""
    return below if weights.connectivity.whole else to_tensor(below)


def total_input(below: LayerInput, weights: Weights, bias: Tensor) -> Tensor:
    """Total inputs ``below · Wᵀ + bias``, ``(rows, units)``, in the type of the products."""
    if isinstance(below, LabeledImages) and weights.shares_products:
        return below.total_input(weights, bias)
    return weights.product(to_tensor(below), bias)


def active_rows(below: LayerInput, signal: Tensor) -> Tensor:
    """The numbers of the rows that go into the weight gradient: all that have a signal."""
    return below.active_rows(signal) if isinstance(below, LabeledImages) else nonzero_rows(signal != 0)


def nonzero_rows(active: Tensor) -> Tensor:
    """The numbers of the rows that are active. On a GPU all rows: finding out which ones would mean waiting for it, and
    rows of zeros add nothing."""
    return torch.arange(len(active), device=active.device) if active.is_cuda else active.nonzero()[:, 0]


def gather_gradient(
    weights: Weights,
    below: LayerInput,
    wanted: Tensor,
    rows: Tensor,
    positive: Tensor,
    peers: Tensor,
    keep: float,
    share: float,
) -> None:
    """Gather the weight gradient, Σ over active rows of wanted ⊗ row + peers ⊗ Σ over positive rows of weight · row.

    Args:
        weights: gather it.
        below: the input; its positive rows come first.
        wanted: how the total inputs of the active rows are to change, ``(active, units)``.
        rows: their numbers, ``(active,)``, as `active_rows` gives them.
        positive: how much each positive row counts, ``(positive rows,)``.
        peers: ``(units,)``, in the type of ``wanted``. The same for all positive rows: one more row for the product.
        keep, share: of the old and of the new gradient, as in `Weights.gather_product`.
    """
    if isinstance(below, LabeledImages):
        weights.gather(below.weight_gradient(wanted, rows, positive, peers), keep, share)
        return
    some, total = below.index_select(0, rows), weighted_sum(below[: len(positive)], positive)[None]
    seen = torch.cat([some.to(wanted.dtype), total.to(wanted.dtype)])
    weights.gather_product(torch.cat([wanted, peers[None]]).T, seen, keep, share)


def weighted_sum(rows: Tensor, weight: Tensor) -> Tensor:
    """Σ over rows of weight · row, ``(columns,)``, in the wider of their types. Rows that stand for copies of
    themselves, one after the other, have the weight of all."""
    if len(rows) < len(weight):
        copied = torch.arange(len(weight), device=weight.device) % len(rows)
        weight = weight.new_zeros(len(rows)).index_add_(0, copied, weight)
    kind = torch.promote_types(rows.dtype, weight.dtype)
    return weight.to(kind) @ rows.to(kind)
