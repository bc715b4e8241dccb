"""Labeled images, validated once when a data set is created."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from twofold.checks import check_arguments, check_fields, convert
from twofold.data.preparation import Preparation, numbered
from twofold.data.source import Source
from twofold.errors import DataError, SettingError

STANDARDIZED = 100.0
"""Largest mean square of features that count as standardized. Exactly standardized features have a mean square of 1;
the larger limit allows for subsets and outliers."""

MOST_CLASSES = 1000
"""Number of classes up to which a data set may have fewer training cases than classes."""

PARTS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training part and a test part of labeled images.

    Attributes:
        name: name of the data set in results.
        train_images, test_images: ``(cases, channels, height, width)``, float32 from 0 to 1, contiguous; for a table
            ``(cases, 1, 1, features)``, any finite numbers.
        train_labels, test_labels: ``(cases,)``, int64 from 0 to ``classes - 1``.
        classes: number of classes, at least 2.
        official: True if digests show that the data are the published ones.
        preparation: preprocessing of the raw data, and the class names; ``None`` if there was no preprocessing and the
            classes have no names.
        source: origin of a user's own data; ``None`` for arrays and for built-in data sets.

    Raises:
        ArgumentError: a field has the wrong type.
        DataError: a shape, dtype or value is not as described. The message names the data set, the part and the first
            wrong case.
    """

    name: str
    train_images: Tensor = field(repr=False)
    train_labels: Tensor = field(repr=False)
    test_images: Tensor = field(repr=False)
    test_labels: Tensor = field(repr=False)
    classes: int
    official: bool
    preparation: Preparation | None = field(default=None, repr=False)
    source: Source | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_fields(self)
        for part in PARTS:
            object.__setattr__(self, part, getattr(self, part).detach())
        if self.classes < 2:
            raise DataError(f"data set {self.name!r}: classes is {self.classes}, expected 2 or more: count the labels")
        cases = len(self.train_labels) if self.train_labels.ndim else 0
        if self.classes > max(MOST_CLASSES, cases):
            raise DataError(
                f"data set {self.name!r}: classes is {self.classes}, expected at most the {cases} training cases: "
                "number the classes from 0 without gaps"
            )
        table = self.preparation is not None and self.preparation.kind == "table"
        _check_part(self.name, "train", self.train_images, self.train_labels, self.classes, table)
        _check_part(self.name, "test", self.test_images, self.test_labels, self.classes, table)
        train, test = tuple(self.train_images.shape[1:]), tuple(self.test_images.shape[1:])
        if train != test:
            raise DataError(
                f"data set {self.name!r}: train images have the shape {train} and test images {test}, expected the "
                "same (channels, height, width): crop or pad one part"
            )
        if self.preparation and (self.preparation.shape, len(self.preparation.names)) != (train, self.classes):
            raise DataError(
                f"data set {self.name!r}: cases have the shape {train} and {self.classes} classes, but the preparation "
                f"has the shape {self.preparation.shape} and {len(self.preparation.names)} names: make them agree"
            )
        for part in PARTS:
            object.__setattr__(self, part, getattr(self, part).resolve_neg().contiguous())

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image, ``(channels, height, width)``."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, in the order of the class numbers."""
        return self.preparation.names if self.preparation else numbered(self.classes)

    @property
    def form(self) -> dict[str, Any]:
        """``shape`` and ``classes``, the properties needed to build a net, as JSON-compatible values."""
        return {"shape": list(self.shape), "classes": self.classes}

    @property
    def train(self) -> tuple[Tensor, Tensor]:
        """Training images and labels."""
        return self.train_images, self.train_labels

    @property
    def test(self) -> tuple[Tensor, Tensor]:
        """Test images and labels."""
        return self.test_images, self.test_labels

    @property
    def pixels(self) -> int:
        """Number of values in one image: channels × height × width."""
        return self.train_images[0].numel()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the shapes and values of the four tensors, the same on every device and machine."""
        digest = hashlib.sha256()
        for tensor in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            array = tensor.cpu().numpy()
            little_endian = array.astype(array.dtype.newbyteorder("<"), copy=False)
            digest.update(f"{little_endian.dtype.str}{tuple(tensor.shape)}".encode())
            digest.update(little_endian.data)
        return digest.hexdigest()

    @check_arguments
    def hold_out(self, count: int) -> Dataset:
        """Return a data set whose test part is the last ``count`` training images; the original test part is dropped.

        Choose hyper-parameters on such a data set, and use the original test part only once, at the end.

        Raises:
            SettingError: ``count`` is not between 1 and the number of training cases minus 1.
        """
        cases = len(self.train_images)
        if not 0 < count < cases:
            raise SettingError(
                f"data set {self.name!r}: cannot hold out {count} of {cases} training cases: "
                f"choose a number from 1 to {cases - 1}"
            )
        return replace(
            self,
            train_images=self.train_images[:-count],
            train_labels=self.train_labels[:-count],
            test_images=self.train_images[-count:],
            test_labels=self.train_labels[-count:],
        )

    @check_arguments
    def take(self, count: int, first: int = 0) -> Dataset:
        """Return a data set with ``count`` training images, starting at index ``first``, and the whole test part.

        Raises:
            SettingError: there are fewer than ``first + count`` training cases.
        """
        cases = len(self.train_images)
        if not 0 <= first < first + count <= cases:
            raise SettingError(
                f"data set {self.name!r}: cannot take {count} training cases from number {first} of {cases}: "
                f"choose at most {max(cases - first, 0)}"
            )
        images, labels = (tensor[first : first + count] for tensor in self.train)
        return replace(self, train_images=images, train_labels=labels)

    def to(self, device: torch.device | str) -> Dataset:
        """Return a copy with all four tensors on ``device``.

        Raises:
            ArgumentError: ``device`` is not a device name.
            SettingError: the device is not available, or the data do not fit into its memory.
        """
        place: torch.device = convert("device", device, torch.device)
        try:
            moved = {part: getattr(self, part).to(place) for part in PARTS}
        except (RuntimeError, AssertionError) as error:  # torch without CUDA raises an AssertionError
            why = str(error).strip().split("\n", maxsplit=1)[0]
            raise SettingError(f"data set {self.name!r} cannot be moved to {place} ({why}): use cpu") from error
        return replace(self, **moved)


def labeled_images(name: str, images: Any, labels: Any, *, classes: int) -> tuple[Tensor, Tensor]:
    """Return images and labels as the validated tensors of one part of a data set.

    The arrays may have the shapes that `twofold.as_dataset` accepts. Rows of features need not lie between 0 and 1; a
    mean square of at most `STANDARDIZED` is accepted.

    Raises:
        DataError: the arrays are invalid; see `Dataset`.
    """
    part = as_images(name, "training", images), as_labels(name, "training", labels)
    rows = part[0].ndim == 4 and part[0].shape[1:3] == (1, 1)
    table = rows and float(part[0].square().mean()) <= STANDARDIZED
    _check_part(name, "training", *part, classes, table)
    return part


def _as_tensor(name: str, content: str, values: Any) -> Tensor:
    """Convert an array or a tensor of any type to a tensor. Error messages call the values ``content``."""
    if isinstance(values, Tensor):
        _check_layout(name, content, values)
        return values.detach()
    if np.ma.isMaskedArray(values) and np.ma.getmaskarray(values).any():
        raise DataError(f"data set {name!r}: {content} have masked values, expected none: fill or remove them")
    try:
        array = np.array(values)
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise DataError(
            f"data set {name!r}: {content} cannot be converted to a tensor ({' '.join(str(error).split())}): "
            "give an array or a tensor of numbers (classes are numbered from 0)"
        ) from error


def as_images(name: str, part: str, values: Any) -> Tensor:
    """Convert an array to float32 images ``(cases, channels, height, width)``; see `twofold.as_dataset`.

    Raises:
        DataError: the array cannot be converted.
    """
    images = _as_tensor(name, f"{part} images", values)
    if images.is_complex():
        raise DataError(f"data set {name!r}: {part} images are complex, expected real numbers: give magnitudes")
    images = images.to(torch.float32)
    if images.ndim == 2:
        return images[:, None, None, :]
    return images[:, None] if images.ndim == 3 else images


def as_labels(name: str, part: str, values: Any) -> Tensor:
    """Convert an array to int64 class numbers ``(cases,)``.

    Raises:
        DataError: the array cannot be converted.
    """
    labels = _as_tensor(name, f"{part} labels", values)
    _check_one_per_case(name, part, labels)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise DataError(
            f"data set {name!r}: {part} labels are {labels.dtype}, expected whole numbers: convert them to int64"
        )
    numbers = labels.to(torch.int64)
    if labels.dtype == torch.uint64 and (beyond := numbers < 0).any():
        first = int(beyond.nonzero()[0])
        raise DataError(
            f"data set {name!r}: {part} label {int(numbers[first]) % 2**64} of image {first} is too large: "
            "number the classes from 0"
        )
    return numbers


def _check_layout(name: str, content: str, values: Tensor) -> None:
    """Raise a `DataError` if a tensor is not dense; ``content`` names the tensor in the message."""
    layouts = {
        "on the meta device, which holds no values": values.is_meta,
        "sparse": values.layout != torch.strided,
        "nested": values.is_nested,
        "quantized": values.is_quantized,
    }
    for layout, present in layouts.items():
        if present:
            raise DataError(f"data set {name!r}: {content} are {layout}, expected a dense tensor: convert them")


def _check_one_per_case(name: str, part: str, labels: Tensor) -> None:
    if labels.ndim != 1:
        raise DataError(
            f"data set {name!r}: {part} labels have the shape {tuple(labels.shape)}, expected (cases,): give one "
            "number per image (for one-hot labels, use .argmax(1))"
        )


def _check_part(name: str, part: str, images: Tensor, labels: Tensor, classes: int, table: bool = False) -> None:
    def refuse(problem: str) -> NoReturn:
        raise DataError(f"data set {name!r}: {part} {problem}")

    for content, values in (("images", images), ("labels", labels)):
        _check_layout(name, f"{part} {content}", values)
    if images.dtype != torch.float32:
        refuse(f"images are {images.dtype}, expected torch.float32 from 0 to 1: convert them with .float()")
    if labels.dtype != torch.int64:
        refuse(f"labels are {labels.dtype}, expected torch.int64: convert them with .long()")
    if images.ndim != 4:
        refuse(
            f"images have the shape {tuple(images.shape)}, expected (cases, channels, height, width): reshape them "
            "or use twofold.data.as_dataset"
        )
    _check_one_per_case(name, part, labels)
    if len(images) != len(labels):
        refuse(f"part has {len(images)} images and {len(labels)} labels, expected equal numbers: add or remove some")
    if images.numel() == 0:
        refuse(f"images have the shape {tuple(images.shape)}, expected at least one image with pixels: add some")
    low, high = (float(value) for value in images.aminmax())  # NaN anywhere makes both NaN
    if not (low >= 0 and high <= 1) and not (table and math.isfinite(low + high)):
        bad = ~images.isfinite().flatten(1).all(1)
        if bad.any():
            refuse(
                f"images have NaN or infinite pixels in {int(bad.sum())} of {len(bad)} images, first in image "
                f"{int(bad.nonzero()[0])}: remove or repair them"
            )
        refuse(
            f"pixels range from {low:g} to {high:g}, expected 0 to 1: rescale them (divide bytes by 255), or, for rows "
            "of features, use twofold.as_dataset(..., table=True)"
        )
    lowest, highest = (int(value) for value in labels.aminmax())
    if lowest < 0 or highest >= classes:
        first = int(((labels < 0) | (labels >= classes)).nonzero()[0])
        refuse(
            f"label {int(labels[first])} of image {first} is outside 0 to {classes - 1}: "
            "number the classes from 0, or raise the number of classes"
        )
