"""Check values against type hints: what is unambiguous is converted, everything else is named in one line.

    convert("classes", 3.5, int)          ArgumentError: classes is 3.5 (float), expected a whole number
    convert("widths", [20, 20], tuple[int, ...])    (20, 20)
    convert("folder", "runs/x", Path)     Path("runs/x")

`typed` does so with all arguments of a public function, `check_fields` with the fields of a dataclass.
"""

from __future__ import annotations

import functools
import inspect
import operator
import os
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from numbers import Real
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

from twofold.errors import ArgumentError

P = ParamSpec("P")
T = TypeVar("T")

WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a string",
    bool: "True or False",
    Path: "a path",
    Callable: "a function",
    dict: "a mapping",
    Mapping: "a mapping",
    Tensor: "a tensor or an array of numbers",
    torch.device: "a device, as 'cpu' or 'cuda'",
    type(None): "None",
}
"""How an expected type is said."""

UNIONS = (Union, types.UnionType)
SEQUENCES = (tuple, list, Sequence, Iterable)
MAPPINGS = (dict, Mapping)


def convert(name: str, value: Any, hint: Any) -> Any:
    """Return ``value`` as the type ``hint``.

    Converted are: whole numbers of NumPy and of 0-dimensional tensors to ``int``, real numbers to ``float``, strings to
    ``Path`` and ``torch.device``, lists and arrays to tuples and lists, NumPy arrays to tensors. A ``bool`` is no
    number, and a ``float`` is no ``int``, even where it is a whole number.

    Args:
        name: the argument, as it is named in the error.
        value: what was given.
        hint: a type as annotations have it. A type variable, and a protocol that cannot be checked, take
                everything.

    Raises:
        ArgumentError: the value is of another type.
    """
    try:
        return _convert(value, hint)
    except (TypeError, ValueError, OverflowError):
        shown = repr(value) if isinstance(value, str | int | float | bool | None) else ""
        kind = type(value).__name__
        said = f"{shown[:60]} ({kind})" if shown and value is not None else shown or f"of the type {kind}"
        raise ArgumentError(f"{name} is {said}, expected {words(hint)}") from None


def words(hint: Any) -> str:
    """An expected type in words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, args))
    if origin in UNIONS:
        return " or ".join(dict.fromkeys(words(each) for each in args))
    if origin in SEQUENCES and args:
        return f"a sequence, each of it {words(args[0])}"
    if getattr(hint, "_is_protocol", False):
        return f"an object with the members of {hint.__module__}.{hint.__name__}"
    return WORDS.get(origin or hint, f"a {getattr(origin or hint, '__name__', hint)}")


def _convert(value: Any, hint: Any) -> Any:
    """Return ``value`` as ``hint``; a TypeError or ValueError where that would be a guess."""
    origin, args = get_origin(hint), get_args(hint)
    kind = origin or hint
    if kind is Literal:
        return next((each for each in args if each == value), None) or _refuse()
    if kind in UNIONS:
        return _first(value, args)
    if kind in SEQUENCES + MAPPINGS:
        return _sequence(value, kind, args) if kind in SEQUENCES else _mapping(value, args)
    if kind in SCALARS:
        return SCALARS[kind](value)
    checkable = getattr(kind, "_is_runtime_protocol", not getattr(kind, "_is_protocol", False))
    if isinstance(kind, type) and kind is not Any and checkable:
        return value if isinstance(value, kind) else _refuse()
    return value


def _first(value: Any, hints: Sequence[Any]) -> Any:
    """The value as the hint that it is already of, else as the first that it can be turned into."""
    for hint in hints:
        if isinstance(hint, type) and type(value) is hint:
            return value
    for hint in hints:
        try:
            return _convert(value, hint)
        except (TypeError, ValueError):
            continue
    return _refuse()


def _sequence(value: Any, origin: Any, args: Sequence[Any]) -> Any:
    if isinstance(value, str | bytes | Mapping) or (isinstance(value, np.ndarray | Tensor) and value.ndim != 1):
        _refuse()
    if not isinstance(value, tuple | list | range | np.ndarray | Tensor):
        return value if origin is Iterable and isinstance(value, Iterable) else _refuse()
    items = value.tolist() if isinstance(value, np.ndarray | Tensor) else list(value)
    if origin is tuple and args and args[-1] is not Ellipsis:
        if len(items) != len(args):
            _refuse()
        return tuple(_convert(item, hint) for item, hint in zip(items, args, strict=True))
    each = [_convert(item, args[0]) if args else item for item in items]
    return tuple(each) if origin is tuple else each


def _whole(value: Any) -> int:
    if isinstance(value, bool | np.bool_) or (isinstance(value, Tensor) and value.dtype == torch.bool):
        _refuse()
    found = operator.index(value)
    float(found)  # a number that not even a float can hold overflows here
    return found


def _real(value: Any) -> float:
    if isinstance(value, Tensor | np.ndarray) and value.ndim == 0:
        value = value.item()
    return float(value) if isinstance(value, Real) and not isinstance(value, bool | np.bool_) else _refuse()


def _truth(value: Any) -> bool:
    return bool(value) if isinstance(value, bool | np.bool_) else _refuse()


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str) else _refuse()


def _path(value: Any) -> Path:
    return Path(value) if isinstance(value, str | os.PathLike) else _refuse()


def _tensor(value: Any) -> Tensor:
    if isinstance(value, np.ndarray) and value.dtype.kind in "buif":
        return torch.from_numpy(np.require(value, requirements=["C", "W"]))
    return value if isinstance(value, Tensor) else _refuse()


def _device(value: Any) -> torch.device:
    try:
        device: torch.device = torch.device(value)
    except RuntimeError as error:
        raise ValueError from error
    return device


def _function(value: Any) -> Any:
    return value if callable(value) else _refuse()


def _mapping(value: Any, args: Sequence[Any]) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping) or not args:
        return value if isinstance(value, Mapping) else _refuse()
    return {_convert(key, args[0]): _convert(each, args[1]) for key, each in value.items()}


def _refuse() -> Any:
    raise TypeError


SCALARS: dict[Any, Callable[[Any], Any]] = {
    int: _whole,
    float: _real,
    bool: _truth,
    str: _text,
    Path: _path,
    Tensor: _tensor,
    torch.device: _device,
    Callable: _function,
}
"""How a value becomes one of these types."""


def typed(function: Callable[P, T]) -> Callable[P, T]:
    """Check and convert the arguments of a function or method by its annotations, each time that it is called.

    The names in the annotations have to exist in the function's module: they are looked up at the first call.
    """
    signature = inspect.signature(function)
    hints: dict[str, Any] = {}

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        if not hints:
            hints.update({"return": None, **get_type_hints(function)})
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{function.__qualname__.removesuffix('.__init__')}: {error}") from None
        for name, value in bound.arguments.items():
            if name in hints:
                kind = signature.parameters[name].kind
                if kind is inspect.Parameter.VAR_POSITIONAL:
                    bound.arguments[name] = tuple(convert(name, each, hints[name]) for each in value)
                elif kind is inspect.Parameter.VAR_KEYWORD:
                    bound.arguments[name] = {key: convert(key, each, hints[name]) for key, each in value.items()}
                else:
                    bound.arguments[name] = convert(name, value, hints[name])
        return function(*bound.args, **bound.kwargs)

    return checked


def check_fields(instance: Any) -> None:
    """Check and convert the fields of a dataclass, frozen or not, by their annotations; call it in ``__post_init__``.

    Raises:
        ArgumentError: a field is of the wrong type.
    """
    hints = get_type_hints(type(instance))
    for field in fields(instance):
        value = getattr(instance, field.name)
        object.__setattr__(instance, field.name, convert(field.name, value, hints[field.name]))
