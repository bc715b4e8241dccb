"""Refuse numbers outside their range and tensors of another shape, in one line that names them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from twofold.checks import looking
from twofold.errors import DataError, SettingError


def positive(**numbers: float | None) -> None:
    """Refuse numbers that are not above 0 and finite. What is ``None`` is not looked at, here and below.

    Raises:
        SettingError: here and below, a number is outside its range.
    """
    _expect(numbers, lambda number: 0 < number < math.inf, "a finite number above 0")


def not_negative(**numbers: float | None) -> None:
    """Refuse numbers below 0, infinite, or NaN."""
    _expect(numbers, lambda number: 0 <= number < math.inf, "a finite number, 0 or more")


def share(**numbers: float | None) -> None:
    """Refuse numbers outside [0, 1)."""
    _expect(numbers, lambda number: 0 <= number < 1, "a share in [0, 1)")


def counts(least: int = 1, **numbers: int | None) -> None:
    """Refuse whole numbers below ``least``, or too large to count anything in memory."""
    _expect(numbers, lambda number: least <= number < 2**31, f"at least {least} and below 2^31")


def _expect(numbers: Mapping[str, float | None], holds: Callable[[float], bool], expected: str) -> None:
    for name, number in numbers.items() if looking() else ():
        if number is not None and not holds(number):
            raise SettingError(f"{name} is {number}, expected {expected}")


def sizes(**sequences: Sequence[int]) -> None:
    """Refuse sequences of sizes that are empty, or in which one is below 1."""
    for name, sequence in sequences.items():
        if not sequence:
            raise SettingError(f"{name} is empty, expected at least one number")
        counts(**{name: min(sequence)})


def as_widths(widths: int | Sequence[int]) -> tuple[int, ...]:
    """Units of each layer as a tuple, none below 1; one number is a single layer."""
    together = (widths,) if isinstance(widths, int) else tuple(widths)
    sizes(widths=together)
    return together


def shaped(name: str, tensor: Tensor, *shape: int | str, on: torch.device | None = None) -> None:
    """Refuse a tensor of another shape or on another device than ``on``.

    Args:
        name: the argument.
        tensor: its value.
        shape: the size of each dimension, or, where it may be any, its name; ``...`` at the end stands for one or more.
        on: the device; any, where it is not given.

    Raises:
        DataError: it is not as expected.
    """
    if not looking():
        return
    if tensor.layout != torch.strided or (tensor.is_meta and on is None):
        raise DataError(
            f"{name}: a tensor that is sparse or on the device meta, expected a dense one with numbers in it"
        )
    found = tensor.shape
    sizes = shape[:-1] if shape[-1] == "..." else shape
    fits = len(found) == len(sizes) if len(sizes) == len(shape) else len(found) > len(sizes)
    if not fits or any(want != size for want, size in zip(sizes, found, strict=False) if not isinstance(want, str)):
        raise DataError(f"{name}: the shape is {tuple(found)}, expected ({', '.join(map(str, shape))})")
    if on is not None and tensor.device != on:
        raise DataError(f"{name}: the device is {tensor.device}, expected {on}: move it with .to({str(on)!r})")


def floating(name: str, tensor: Tensor, *shape: int | str, on: torch.device | None = None) -> None:
    """Refuse what is not `shaped` so, or holds other than real floating-point numbers.

    Raises:
        DataError: it is not as expected.
    """
    shaped(name, tensor, *shape, on=on)
    if looking() and not tensor.is_floating_point():
        how = ", and divide bytes by 255" if tensor.dtype == torch.uint8 else ""
        raise DataError(f"{name}: the type is {tensor.dtype}, expected floating-point numbers: use .float(){how}")
