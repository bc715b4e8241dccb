"""Check the ranges of numbers and the shapes of tensors; errors are one line with the argument's name.

No function here reads the numbers in a tensor: on a GPU that would mean waiting for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from twofold.errors import DataError, SettingError


def positive(**numbers: float | None) -> None:
    """Check that numbers are finite and above 0. ``None`` is accepted, by the functions below too.

    Raises:
        SettingError: a number is outside its range; the functions below raise it too.
    """
    _expect(numbers, lambda number: 0 < number < math.inf, "a finite number above 0")


def not_negative(**numbers: float | None) -> None:
    """Check that numbers are finite and not below 0."""
    _expect(numbers, lambda number: 0 <= number < math.inf, "a finite number, 0 or more")


def share(**numbers: float | None) -> None:
    """Check that numbers are in [0, 1)."""
    _expect(numbers, lambda number: 0 <= number < 1, "a number in [0, 1)")


def counts(least: int = 1, **numbers: int | None) -> None:
    """Check that integers are at least ``least`` and below 2³¹, the limit of anything counted in memory."""
    _expect(numbers, lambda number: least <= number < 2**31, f"at least {least} and below 2^31")


def _expect(numbers: Mapping[str, float | None], holds: Callable[[float], bool], expected: str) -> None:
    for name, number in numbers.items():
        if number is not None and not holds(number):
            raise SettingError(f"{name} is {number}, expected {expected}")


def sizes(**sequences: Sequence[int]) -> None:
    """Check that sequences of sizes are not empty and contain only numbers above 0."""
    for name, sequence in sequences.items():
        if not sequence:
            raise SettingError(f"{name} is empty, expected at least one number")
        counts(**{name: min(sequence)})


def as_widths(widths: int | Sequence[int]) -> tuple[int, ...]:
    """Return the units of each layer as a tuple and check them; one number is a single layer."""
    units = (widths,) if isinstance(widths, int) else tuple(widths)
    sizes(widths=units)
    return units


def shaped(name: str, tensor: Tensor, *shape: int | str, on: torch.device | None = None) -> None:
    """Check the shape and, if ``on`` is given, the device of a tensor.

    Each item of ``shape`` is a size, or the name of a dimension of any size. ``...`` at the end means one or more
    dimensions.

    Raises:
        DataError: the shape, layout or device differs.
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
    """Check a tensor as `shaped` does, and that it contains real floating-point numbers.

    Raises:
        DataError: the tensor differs.
    """
    shaped(name, tensor, *shape, on=on)
    if not tensor.is_floating_point():
        hint = ", and divide bytes by 255" if tensor.dtype == torch.uint8 else ""
        raise DataError(f"{name}: the type is {tensor.dtype}, expected floating-point numbers: use .float(){hint}")
