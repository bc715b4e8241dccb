"""Labeled images, checked once, when a data set is made, so that no other code has to check them."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from twofold.checks import check_fields, convert, typed
from twofold.data.preparation import Preparation, numbered
from twofold.data.source import Source
from twofold.errors import DataError, SettingError

STANDARDIZED = 100.0
"""The largest mean square of numbers that count as standardized, where it is 1, up to a part of them or outliers."""

PARTS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training part and a test part of labeled images.

    Attributes:
        name: the name of the data in results.
        train_images, test_images: ``(cases, channels, height, width)``, float32 from 0 to 1, contiguous; the cases of a
            table are ``(cases, 1, 1, features)``, of any finite numbers.
        train_labels, test_labels: ``(cases,)``, int64 from 0 to ``classes - 1``.
        classes: number of classes, at least 2.
        official: whether the bytes were verified to be the published ones.
        preparation: what was done to raw data so that they are as above, and the names of the classes; ``None`` where
            they were as above, and classes are numbers.
        source: where data of one's own were read from; ``None`` for arrays and for the data sets that have a name.

    Raises:
        ArgumentError: a field is of another type.
        DataError: a shape, type of number or value is not as above. The message names the data set, the part and the
            first wrong case.
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
        table = self.preparation is not None and self.preparation.kind == "table"
        _check_part(self.name, "train", self.train_images, self.train_labels, self.classes, table)
        _check_part(self.name, "test", self.test_images, self.test_labels, self.classes, table)
        train, test = tuple(self.train_images.shape[1:]), tuple(self.test_images.shape[1:])
        if train != test:
            raise DataError(
                f"data set {self.name!r}: a train image has the shape {train} and a test image {test}, expected one "
                "(channels, height, width) for both: crop or pad one part"
            )
        if self.preparation and (self.preparation.shape, len(self.preparation.names)) != (train, self.classes):
            raise DataError(
                f"data set {self.name!r}: a case has the shape {train} and one of {self.classes} classes, but its "
                f"preparation says {self.preparation.shape} and {len(self.preparation.names)} names: make them agree"
            )
        for part in PARTS:
            object.__setattr__(self, part, getattr(self, part).resolve_neg().contiguous())

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(channels, height, width)`` of one image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their numbers."""
        return self.preparation.names if self.preparation else numbered(self.classes)

    @property
    def form(self) -> dict[str, Any]:
        """``shape`` and ``classes``, which are all that a net has to know of the data, as values that JSON can hold."""
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
        """Numbers in one image: channels × height × width."""
        return self.train_images[0].numel()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the four tensors' shapes and values, the same on every device and machine."""
        digest = hashlib.sha256()
        for tensor in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            array = tensor.cpu().numpy()
            little_endian = array.astype(array.dtype.newbyteorder("<"), copy=False)
            digest.update(f"{little_endian.dtype.str}{tuple(tensor.shape)}".encode())
            digest.update(little_endian.data)
        return digest.hexdigest()

    @typed
    def hold_out(self, count: int) -> Dataset:
        """Return a data set whose test part is the last ``count`` training images; the real test part is left out.

        Hyper-parameters are chosen on such a data set, so that the test images are used only once, at the end.

        Raises:
            SettingError: ``count`` leaves no image to train on, or none to test on.
        """
        cases = len(self.train_images)
        if not 0 < count < cases:
            raise SettingError(
                f"data set {self.name!r}: cannot hold out {count} of {cases} training images: "
                f"choose a number from 1 to {cases - 1}"
            )
        return replace(
            self,
            train_images=self.train_images[:-count],
            train_labels=self.train_labels[:-count],
            test_images=self.train_images[-count:],
            test_labels=self.train_labels[-count:],
        )

    def to(self, device: torch.device | str) -> Dataset:
        """Return the same data with all four tensors on ``device``.

        Raises:
            ArgumentError: no device is called so.
            SettingError: it is not there, or the data do not fit into its memory.
        """
        place: torch.device = convert("device", device, torch.device)
        try:
            moved = {part: getattr(self, part).to(place) for part in PARTS}
        except (RuntimeError, AssertionError) as error:  # torch without CUDA says so with an assertion
            why = str(error).strip().split("\n", maxsplit=1)[0]
            raise SettingError(f"data set {self.name!r} cannot be moved to {place} ({why}): use cpu") from error
        return replace(self, **moved)


@typed
def labeled_images(name: str, images: Any, labels: Any, *, classes: int) -> tuple[Tensor, Tensor]:
    """One part of a data set of your own, in the shapes that `twofold.as_dataset` takes.

    Rows of features may hold any numbers of the size of standardized ones.

    Raises:
        DataError: no such arrays; see `Dataset`.
    """
    part = as_images(name, "training", images), as_labels(name, "training", labels)
    rows = part[0].ndim == 4 and part[0].shape[1:3] == (1, 1)
    table = rows and float(part[0].square().mean()) <= STANDARDIZED
    _check_part(name, "training", *part, classes, table)
    return part


def _as_tensor(name: str, what: str, values: Any) -> Tensor:
    if isinstance(values, Tensor):
        _check_layout(name, what, values)
        return values.detach()
    if np.ma.isMaskedArray(values) and np.ma.getmaskarray(values).any():
        raise DataError(f"data set {name!r}: {what} have masked values, expected all of them: fill them, or leave out")
    try:
        array = np.array(values)
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise DataError(
            f"data set {name!r}: {what} cannot become one tensor of numbers ({' '.join(str(error).split())}): "
            "give an array or a tensor of numbers (classes are numbered from 0)"
        ) from error


def as_images(name: str, part: str, values: Any) -> Tensor:
    """Arrays of any kind as images, float32; see `twofold.as_dataset`.

    Raises:
        DataError: they cannot be meant.
    """
    images = _as_tensor(name, f"{part} images", values)
    if images.is_complex():
        raise DataError(f"data set {name!r}: {part} images are complex numbers, expected real ones: give magnitudes")
    images = images.to(torch.float32)
    if images.ndim == 2:
        return images[:, None, None, :]
    return images[:, None] if images.ndim == 3 else images


def as_labels(name: str, part: str, values: Any) -> Tensor:
    """Arrays of any kind as the numbers of classes, int64.

    Raises:
        DataError: they cannot be meant.
    """
    labels = _as_tensor(name, f"{part} labels", values)
    _check_one_each(name, part, labels)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise DataError(
            f"data set {name!r}: {part} labels are {labels.dtype}, expected whole numbers: convert them to int64"
        )
    whole = labels.to(torch.int64)
    if labels.dtype == torch.uint64 and (beyond := whole < 0).any():
        first = int(beyond.nonzero()[0])
        raise DataError(
            f"data set {name!r}: {part} label {int(whole[first]) % 2**64} of image {first} is beyond all bounds: "
            "number the classes from 0"
        )
    return whole


def _check_layout(name: str, what: str, values: Tensor) -> None:
    """Refuse tensors whose values do not lie in memory one after the other, or nowhere."""
    found = {
        "on the meta device, which holds no values": values.is_meta,
        "sparse": values.layout != torch.strided,
        "nested": values.is_nested,
        "quantized": values.is_quantized,
    }
    for word, is_so in found.items():
        if is_so:
            raise DataError(f"data set {name!r}: {what} are {word}, expected a dense tensor: give one of plain numbers")


def _check_one_each(name: str, part: str, labels: Tensor) -> None:
    if labels.ndim != 1:
        raise DataError(
            f"data set {name!r}: {part} labels have the shape {tuple(labels.shape)}, expected (cases,): give one "
            "number per image, as .argmax(1) gives for one-hot labels"
        )


def _check_part(name: str, part: str, images: Tensor, labels: Tensor, classes: int, table: bool = False) -> None:
    def refuse(found: str) -> NoReturn:
        raise DataError(f"data set {name!r}: {part} {found}")

    for what, values in (("images", images), ("labels", labels)):
        _check_layout(name, f"{part} {what}", values)
    if images.dtype != torch.float32:
        refuse(f"images are {images.dtype}, expected torch.float32 from 0 to 1: convert them with .float()")
    if labels.dtype != torch.int64:
        refuse(f"labels are {labels.dtype}, expected torch.int64: convert them with .long()")
    if images.ndim != 4:
        refuse(
            f"images have the shape {tuple(images.shape)}, expected (cases, channels, height, width): reshape them "
            "or use twofold.data.as_dataset"
        )
    _check_one_each(name, part, labels)
    if len(images) != len(labels):
        refuse(f"part has {len(images)} images and {len(labels)} labels, expected as many: find what is missing")
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
            f"pixels go from {low:g} to {high:g}, expected 0 to 1: rescale them (divide bytes by 255), or, if they are "
            "rows of features, use twofold.as_dataset(..., table=True)"
        )
    lowest, highest = (int(value) for value in labels.aminmax())
    if lowest < 0 or highest >= classes:
        first = int(((labels < 0) | (labels >= classes)).nonzero()[0])
        refuse(
            f"label {int(labels[first])} of image {first} is outside 0 to {classes - 1}: "
            "number the classes from 0, or raise the number of classes"
        )
