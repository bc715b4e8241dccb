"""Refuse numbers outside their range and tensors of another shape, in one line that names them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from twofold.errors import DataError, SettingError


def expect(holds: bool, name: str, value: object, expected: str) -> None:
    """Refuse the value of a setting unless ``holds``.

    Raises:
        SettingError: it does not hold.
    """
    if not holds:
        raise SettingError(f"{name} is {value}, expected {expected}")


def positive(**numbers: float | None) -> None:
    """Refuse numbers that are not above 0 and finite. What is ``None`` is not looked at, here and below."""
    for name, number in numbers.items():
        expect(number is None or 0 < number < math.inf, name, number, "a finite number above 0")


def not_negative(**numbers: float | None) -> None:
    """Refuse numbers below 0, infinite, or NaN."""
    for name, number in numbers.items():
        expect(number is None or 0 <= number < math.inf, name, number, "a finite number, 0 or more")


def share(**numbers: float | None) -> None:
    """Refuse numbers outside [0, 1)."""
    for name, number in numbers.items():
        expect(number is None or 0 <= number < 1, name, number, "a share in [0, 1)")


def counts(least: int = 1, **numbers: int | None) -> None:
    """Refuse whole numbers below ``least``, or too large to count anything in memory."""
    for name, number in numbers.items():
        expect(number is None or least <= number < 2**31, name, number, f"at least {least} and below 2^31")


def sizes(**sequences: Sequence[int]) -> None:
    """Refuse sequences of sizes that are empty, or in which one is below 1."""
    for name, sequence in sequences.items():
        expect(bool(sequence), name, "empty", "at least one number")
        counts(**{name: min(sequence)})


def shaped(name: str, tensor: Tensor, *shape: int | str, on: torch.device | None = None) -> None:
    """Refuse a tensor of another shape or on another device than ``on``.

    Args:
        name: the argument.
        tensor: its value.
        shape: the size of each dimension, or, where it may be any, its name; ``...`` at the end allows for more.
        on: the device; any, where it is not given.

    Raises:
        DataError: it is not as expected.
    """
    found = tensor.shape
    sizes = shape[:-1] if shape[-1] == "..." else shape
    fits = len(found) == len(sizes) or (len(found) >= len(sizes) < len(shape))
    if not fits or any(want != size for want, size in zip(sizes, found, strict=False) if not isinstance(want, str)):
        raise DataError(f"{name}: the shape is {tuple(found)}, expected ({', '.join(map(str, shape))})")
    if on is not None and tensor.device != on:
        raise DataError(f"{name}: the device is {tensor.device}, expected {on}: move it with .to({str(on)!r})")


def floating(name: str, tensor: Tensor) -> None:
    """Refuse a tensor that does not hold real floating-point numbers.

    Raises:
        DataError: it holds others.
    """
    if not tensor.is_floating_point():
        how = ", and divide bytes by 255" if tensor.dtype == torch.uint8 else ""
        raise DataError(f"{name}: the type is {tensor.dtype}, expected floating-point numbers: use .float(){how}")


_looking: ContextVar[bool] = ContextVar("looking", default=True)


def looking() -> bool:
    """Whether the numbers in tensors are to be looked at, which on a GPU means to wait for it."""
    return _looking.get()


@contextmanager
def looked_at() -> Iterator[None]:
    """In here the numbers in tensors are not looked at: whoever calls has looked at all of them."""
    token = _looking.set(False)
    try:
        yield
    finally:
        _looking.reset(token)
