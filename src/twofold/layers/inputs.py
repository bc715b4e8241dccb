"""Inputs of a layer: matrices with one row per case, either as tensors or as objects that avoid repeated work.

A layer needs two matrix products with its input: one for the pre-activations of its units, and one for the weight
gradient. `total_input` and `gather_gradient` compute them for both forms of input.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from twofold.goodness import accumulate_dtype
from twofold.layers.weights import Weights
from twofold.normalize import EPS


class CachedInput:
    """A constant input of a layer, with a cache of the product of this input with the weights.

    Attributes:
        rows: the input, ``(batch, inputs)``.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows
        self._product: tuple[Tensor, int, Tensor] | None = None

    def product(self, weights: Weights) -> Tensor:
        """Return ``rows · Wᵀ``, ``(batch, units)``, from the cache if the weights have not changed.

        Products with weights that are not `Weights.linear` are not cached.
        """
        if not weights.linear:
            return self._read(weights)
        weight = weights.effective()
        if self._product is None or self._product[0] is not weight or self._product[1] != weight._version:
            self._product = weight, weight._version, self._read(weights)
        return self._product[2]

    def _read(self, weights: Weights) -> Tensor:
        return weights.product(self.rows, weights.effective().new_zeros(weights.connectivity.units))


class Images(CachedInput):
    """A batch of flattened images whose first columns are zero, because these columns are reserved for the label.

    Args:
        rows: images with an empty label, ``(batch, inputs)``.
        shape: shape of an image with its label, ``(inputs,)`` or (channels, height, width). In the second case, the
            label consists of one channel per class; see `labels.planes`.

    Attributes:
        places: number of columns per class: 1, or height · width.
        squares: sum of the squared pixels of each image, ``(batch,)``.
    """

    def __init__(self, rows: Tensor, shape: tuple[int, ...] | None = None) -> None:
        super().__init__(rows)
        self.shape = shape or (rows.shape[1],)
        self.places = math.prod(self.shape[1:])
        self.squares = rows.square().sum(1, dtype=accumulate_dtype(rows))


class LabeledImages:
    """Normalized images with labels, as a matrix ``(variants · batch, inputs)`` that is not stored (talk 10:57).

    Each image has one or several label vectors ("variants"). Row v · batch + i is s (x + l), where x is image i, l is
    label vector v of image i, and s = 1 / (ε + √(mean of squares of x + l)). The rows of an image differ only in the
    label. The product of the weights with the image is therefore computed once for all rows of the image, and so is the
    contribution of the image to the weight gradient.

    Args:
        images: images with an empty label.
        labels: label vectors, ``(variants, batch, classes)``.
    """

    def __init__(self, images: Images, labels: Tensor) -> None:
        self.images = images
        self.labels = labels
        self.variants, self.count, self.classes = labels.shape
        squares = images.squares + images.places * labels.square().sum(2, dtype=accumulate_dtype(labels))
        self.scale = 1 / (EPS + (squares / images.rows.shape[1]).sqrt())  # (variants, images)

    def __len__(self) -> int:
        return self.variants * self.count

    def total_input(self, weights: Weights, bias: Tensor) -> Tensor:
        """Return the pre-activations ``(rows, units)``, computed from one product with images and one with labels."""
        product, weight = self.images.product(weights), weights.effective()
        if weights.connectivity.whole and self.images.places == 1:
            of_classes = weight[:, : self.classes].T
        else:
            of_classes = weights.product(self._classes(weight.dtype), weight.new_zeros(weights.connectivity.units))
            bias = bias.repeat_interleave(weights.connectivity.units // len(bias))
        of_labels = self.labels.to(weight.dtype) @ of_classes
        return torch.addcmul(bias, of_labels.add_(product), self.scale[:, :, None].to(weight.dtype)).flatten(0, 1)

    def active_rows(self, signal: Tensor) -> Tensor:
        """Return the row numbers of all variants of each image that has a nonzero signal in at least one variant.

        Args:
            signal: learning signal of each row, ``(rows,)``.
        """
        images = nonzero_rows(signal.view(self.variants, self.count).any(0))
        return (images + self.count * torch.arange(self.variants, device=images.device)[:, None]).flatten()

    def _classes(self, dtype: torch.dtype) -> Tensor:
        """Return an input row per class, ``(classes, inputs)``: 1 in the label columns of this class, 0 elsewhere."""
        ones = torch.eye(self.classes, dtype=dtype, device=self.labels.device).repeat_interleave(self.images.places, 1)
        return torch.nn.functional.pad(ones, (0, self.images.rows.shape[1] - ones.shape[1]))

    def gather_gradient(
        self, weights: Weights, wanted: Tensor, rows: Tensor, positive: Tensor, peers: Tensor, keep: float, share: float
    ) -> None:
        """Accumulate the weight gradient; see the function `gather_gradient`."""
        if weights.connectivity.whole and self.images.places == 1:
            weights.gather(self._weight_gradient(wanted, rows, positive, peers), keep, share)
            return
        factors, pixels, of_classes = self._shared(wanted, rows, positive, peers)
        seen = torch.cat([pixels, self._classes(wanted.dtype)])
        weights.gather_product(torch.cat([factors, of_classes.T]).T, seen, keep, share)

    def _weight_gradient(self, wanted: Tensor, rows: Tensor, positive: Tensor, peers: Tensor) -> Tensor:
        """Return the weight gradient Σ over rows of wanted ⊗ row + peers ⊗ Σ of positive rows, ``(units, inputs)``."""
        factors, pixels, of_classes = self._shared(wanted, rows, positive, peers)
        gradient = factors.T @ pixels
        gradient[:, : self.classes] += of_classes
        return gradient

    def _shared(self, wanted: Tensor, rows: Tensor, positive: Tensor, peers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return factors of the weight gradient; for the arguments see the function `gather_gradient`.

        Returns:
            Three matrices. First, the desired changes of the pre-activations, summed over all labels of an image, with
            the peer term as last row, ``(images + 1, units)``. Second, the pixels by which the first matrix is
            multiplied, ``(images + 1, inputs)``. Third, the gradient of the weights from the label, ``(units,
            classes)``.
        """
        dtype, first = wanted.dtype, rows[: len(rows) // self.variants]
        scaled_wanted = wanted * self.scale.flatten()[rows, None].to(dtype)
        shared = scaled_wanted.view(self.variants, len(first), wanted.shape[1]).sum(0)
        pixels = self.images.rows.to(dtype)
        positive_scale = self.scale[: len(positive) // self.count] * positive.view(-1, self.count).to(self.scale.dtype)
        positive_scale = positive_scale.to(dtype)
        labels = self.labels.flatten(0, 1).to(dtype)
        positive_labels = positive_scale.flatten()[None] @ labels[: len(positive)]
        return (
            torch.cat([shared, peers[None]]),
            torch.cat([pixels[first], positive_scale.sum(0, keepdim=True) @ pixels]),
            torch.cat([scaled_wanted, peers[None]]).T @ torch.cat([labels[rows], positive_labels]),
        )

    def to_tensor(self) -> Tensor:
        """Return all rows as a tensor, ``(rows, inputs)``, or ``(rows, channels, height, width)`` for maps."""
        rows = self.images.rows.repeat(self.variants, 1)
        labels = self.labels.flatten(0, 1).to(rows.dtype).repeat_interleave(self.images.places, 1)
        rows[:, : labels.shape[1]] += labels
        return (rows * self.scale.flatten()[:, None].to(rows.dtype)).view(-1, *self.images.shape)


LayerInput = Tensor | LabeledImages
"""The input of a feedforward layer."""


def join(positive: LayerInput, negative: LayerInput) -> LayerInput:
    """Concatenate the positive and the negative batch, positive rows first.

    Two `LabeledImages` of the same images are joined without a copy of the images.
    """
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
    """Return `LabeledImages` unchanged if the weights can use them, else the input as a tensor, ``(rows, inputs)``."""
    if isinstance(below, LabeledImages) and (weights.connectivity.whole or below.images.places > 1):
        return below
    return to_tensor(below).flatten(1)


def total_input(below: LayerInput, weights: Weights, bias: Tensor) -> Tensor:
    """Return the pre-activations ``below · Wᵀ + bias``, ``(rows, units)``, in the dtype of ``bias``."""
    if isinstance(below, LabeledImages) and weights.linear:
        return below.total_input(weights, bias)
    return weights.product(to_tensor(below).flatten(1), bias)


def active_rows(below: LayerInput, signal: Tensor) -> Tensor:
    """Return the numbers of the rows to include in the weight gradient: at least all rows with a nonzero signal.

    Args:
        below: the input of a layer.
        signal: learning signal of each row, ``(rows,)``.
    """
    return below.active_rows(signal) if isinstance(below, LabeledImages) else nonzero_rows(signal != 0)


def nonzero_rows(active: Tensor) -> Tensor:
    """Return the numbers of the rows where ``active``, ``(rows,)``, is True; on a GPU, the numbers of all rows.

    Selecting rows on a GPU would synchronize with the GPU. The additional rows have a signal of zero and no effect.
    """
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
    """Accumulate the weight gradient Σ over active rows of wanted ⊗ row + peers ⊗ Σ over positive rows of weight · row.

    Args:
        weights: weights whose gradient is accumulated.
        below: input of the layer, with the positive rows first.
        wanted: desired changes of the pre-activations in the active rows, ``(active, units)``.
        rows: numbers of the active rows, ``(active,)``, from `active_rows`.
        positive: case weight of each positive row, ``(positive rows,)``.
        peers: desired change of the pre-activations by peer normalization, the same for all positive rows,
            ``(units,)``, in the dtype of ``wanted``.
        keep, share: factors of the old and of the new gradient, as in `Weights.gather_product`.
    """
    if isinstance(below, LabeledImages):
        below.gather_gradient(weights, wanted, rows, positive, peers, keep, share)
        return
    active, total = below.index_select(0, rows), weighted_sum(below[: len(positive)], positive)[None]
    seen = torch.cat([active.to(wanted.dtype), total.to(wanted.dtype)])
    weights.gather_product(torch.cat([wanted, peers[None]]).T, seen, keep, share)


def weighted_sum(rows: Tensor, case_weight: Tensor) -> Tensor:
    """Return Σ over rows of weight · row, ``(columns,)``, in the wider of the two dtypes.

    Args:
        rows: ``(rows, columns)``. If there are fewer rows than case weights, the rows are repeated, as by
            ``Tensor.repeat``, to match the case weights.
        case_weight: weight of each row, ``(cases,)``.
    """
    if len(rows) < len(case_weight):
        copied = torch.arange(len(case_weight), device=case_weight.device) % len(rows)
        case_weight = case_weight.new_zeros(len(rows)).index_add_(0, copied, case_weight)
    dtype = torch.promote_types(rows.dtype, case_weight.dtype)
    return case_weight.to(dtype) @ rows.to(dtype)
