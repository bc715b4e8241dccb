"""Check the ranges of numbers and the shapes of tensors. Error messages contain the name of the argument.

Numbers are passed by keyword, as in ``positive(rate=rate)``, and ``None`` is always accepted. The values in a tensor
are not checked, because reading them would synchronize with a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from twofold.errors import DataError, SettingError


def positive(**numbers: float | None) -> None:
    """Check that numbers are finite and greater than 0.

    Raises:
        SettingError: a number is outside this range.
    """
    _expect(numbers, lambda number: 0 < number < math.inf, "a finite number above 0")


def not_negative(**numbers: float | None) -> None:
    """Check that numbers are finite and not negative.

    Raises:
        SettingError: a number is outside this range.
    """
    _expect(numbers, lambda number: 0 <= number < math.inf, "a finite number, 0 or more")


def share(**numbers: float | None) -> None:
    """Check that numbers are in [0, 1).

    Raises:
        SettingError: a number is outside this range.
    """
    _expect(numbers, lambda number: 0 <= number < 1, "a number in [0, 1)")


def counts(least: int = 1, **numbers: int | None) -> None:
    """Check that integers are at least ``least`` and below 2³¹.

    Raises:
        SettingError: a number is outside this range.
    """
    _expect(numbers, lambda number: least <= number < 2**31, f"at least {least} and below 2^31")


def _expect(numbers: Mapping[str, float | None], holds: Callable[[float], bool], expected: str) -> None:
    for name, number in numbers.items():
        if number is not None and not holds(number):
            raise SettingError(f"{name} is {number}, expected {expected}")


def sizes(**sequences: Sequence[int]) -> None:
    """Check that sequences of sizes, such as the widths of layers, are not empty and contain only positive integers.

    Raises:
        SettingError: a sequence is empty, or a number is outside the range of `counts`.
    """
    for name, sequence in sequences.items():
        if not sequence:
            raise SettingError(f"{name} is empty, expected at least one number")
        counts(**{name: min(sequence)})


def as_widths(widths: int | Sequence[int]) -> tuple[int, ...]:
    """Check the number of units of each layer and return them as a tuple.

    Args:
        widths: number of units of each layer; an integer for a single layer.

    Raises:
        SettingError: ``widths`` is empty, or a number is outside the range of `counts`.
    """
    units = (widths,) if isinstance(widths, int) else tuple(widths)
    sizes(widths=units)
    return units


def shaped(name: str, tensor: Tensor, *shape: int | str, on: torch.device | None = None) -> None:
    """Check the shape and, optionally, the device of a tensor.

    Args:
        name: name of the argument, for error messages.
        tensor: the tensor.
        shape: expected shape. Each item is a size, or a string for a dimension of any size, such as ``"batch"``. The
            string ``"..."`` at the end stands for one or more dimensions.
        on: expected device; any device if omitted.

    Raises:
        DataError: the tensor has another shape or device, is sparse, or is on the meta device.
    """
    if tensor.layout != torch.strided or (tensor.is_meta and on is None):
        raise DataError(f"{name}: the tensor is sparse or on the meta device, expected a dense tensor on a real device")
    actual = tuple(tensor.shape)
    sizes = shape[:-1] if shape[-1] == "..." else shape
    fits = len(actual) == len(sizes) if len(sizes) == len(shape) else len(actual) > len(sizes)
    if not fits or any(want != size for want, size in zip(sizes, actual, strict=False) if not isinstance(want, str)):
        raise DataError(f"{name}: the shape is {actual}, expected ({', '.join(map(str, shape))})")
    if on is not None and tensor.device != on:
        raise DataError(f"{name}: the device is {tensor.device}, expected {on}: move it with .to({str(on)!r})")


def floating(name: str, tensor: Tensor, *shape: int | str, on: torch.device | None = None) -> None:
    """Check the shape, device and floating-point type of a tensor; for the arguments see `shaped`.

    Raises:
        DataError: the tensor has another shape, device or type, is sparse, or is on the meta device.
    """
    shaped(name, tensor, *shape, on=on)
    if not tensor.is_floating_point():
        hint = ", and divide bytes by 255" if tensor.dtype == torch.uint8 else ""
        raise DataError(f"{name}: the type is {tensor.dtype}, expected floating-point numbers: use .float(){hint}")
