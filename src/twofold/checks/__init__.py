"""Check the types of arguments against annotations, and convert values if the conversion is unambiguous.

    convert("classes", 3.5, int)          ArgumentError: classes is 3.5 (float), expected a whole number
    convert("widths", [20, 20], tuple[int, ...])    (20, 20)
    convert("folder", "runs/x", Path)     Path("runs/x")

`check_arguments` checks and converts the arguments of a public function, `check_fields` the fields of a dataclass. Only
functions that users call are checked.
"""

from __future__ import annotations

import functools
import inspect
import operator
import os
import reprlib
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from numbers import Real
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor, nn

from twofold.errors import ArgumentError, TwofoldError, unknown

P = ParamSpec("P")
T = TypeVar("T")

WORDS: dict[Any, tuple[str, str]] = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a string", "strings"),
    bool: ("True or False", "values True or False"),
    Path: ("a path", "paths"),
    Tensor: ("a tensor or an array of numbers", "tensors"),
    torch.device: ("a device, such as 'cpu' or 'cuda'", "devices"),
    type(None): ("None", "None"),
}
"""Type -> description of the type in error messages, in the singular and in the plural."""

BY_NAME: dict[Any, Mapping[str, Any]] = {}
"""Type -> dictionary from names to values of the type. For an argument of the type, `convert` also accepts a name."""

UNIONS = (Union, types.UnionType)
SEQUENCES = (tuple, list, Sequence, Iterable)
MAPPINGS = (dict, Mapping)
REFUSALS = (TypeError, ValueError, OverflowError, RuntimeError)


def convert(name: str, value: Any, hint: Any) -> Any:
    """Check the type of an argument, and convert the value of the argument if the conversion is unambiguous.

    These conversions are made: NumPy integers and 0-dimensional integer tensors to ``int``; real numbers to ``float``;
    strings to ``Path``, ``torch.device`` and the values in `BY_NAME`; lists and one-dimensional arrays to tuples and
    lists; NumPy arrays and lists of numbers to tensors. A ``bool`` is not accepted as a number, and a ``float`` not as
    an ``int``, even if it is a whole number. Type variables, and protocols that are not runtime-checkable, accept every
    value.

    Args:
        name: name of the argument, for error messages.
        value: value of the argument.
        hint: expected type, as in an annotation.

    Returns:
        The value, converted to the expected type.

    Raises:
        ArgumentError: the value has the wrong type.
        SettingError: the value is a string, but not one of the names in `BY_NAME`.
    """
    if known := BY_NAME.get(hint):
        if isinstance(value, str):
            if value not in known:
                raise unknown(name, value, known)
            return known[value]
        if any(value is member for member in known.values()):
            return value
    try:
        return _convert(value, hint)
    except REFUSALS as error:
        if isinstance(error, TwofoldError):
            raise
        raise ArgumentError(f"{name} is {_describe(value)}, expected {words(hint)}") from None


def words(hint: Any, several: bool = False) -> str:
    """Describe the type ``hint`` in words for an error message, in the plural if ``several`` is True."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        text = "one of " + ", ".join(map(repr, args))
    elif origin in UNIONS:
        text = " or ".join(dict.fromkeys(words(member, several) for member in args))
    elif origin is tuple and args[-1] is not Ellipsis:
        equal = len(set(args)) == 1
        text = f"{len(args)} {words(args[0], True)}" if equal else f"({', '.join(map(words, args))})"
    elif origin in SEQUENCES:
        text = f"a sequence of {words(args[0], True)}"
    elif origin in MAPPINGS:
        text = f"a mapping from {words(args[0], True)} to {words(args[1], True)}"
    elif origin is Callable:
        count = None if args[0] is Ellipsis else len(args[0])
        text = "a function" if count is None else f"a function of {count} argument{'' if count == 1 else 's'}"
    else:
        name = getattr(hint, "__name__", str(hint))
        if getattr(hint, "_is_protocol", False):
            name = f"object with the members of {hint.__module__}.{name}"
        text = WORDS.get(hint, (f"{'an' if name[0] in 'AEIOUo' else 'a'} {name}", f"{name} objects"))[several]
    return text


def _describe(value: Any) -> str:
    """Describe a value and its type for an error message, on one line."""
    if isinstance(value, Tensor | np.ndarray):
        device = f" on {value.device}" if isinstance(value, Tensor) else ""
        return f"numbers of type {value.dtype} and shape {tuple(value.shape)}{device}"
    if value is None or not isinstance(value, str | int | float | list | tuple | dict):
        return "None" if value is None else f"of type {type(value).__name__}"
    try:
        text = " ".join(reprlib.repr(value).split())
    except ValueError:  # Python does not convert integers of more than 4300 digits
        text = "too large a number"
    return f"{text} ({type(value).__name__})"


def _convert(value: Any, hint: Any) -> Any:
    """Convert ``value`` to the type ``hint``, or raise one of the exceptions in `REFUSALS` if it has the wrong type."""
    base = get_origin(hint) or hint
    if base in CONVERTERS:
        return CONVERTERS[base](value, base, get_args(hint))
    checkable = getattr(base, "_is_runtime_protocol", not getattr(base, "_is_protocol", False))
    return value if not isinstance(base, type) or base is Any or not checkable or isinstance(value, base) else _refuse()


def _refuse() -> Any:
    raise TypeError


def _to_literal(value: Any, _: Any, choices: Sequence[Any]) -> Any:
    return value if any(type(choice) is type(value) and choice == value for choice in choices) else _refuse()


def _to_union(value: Any, _: Any, hints: Sequence[Any]) -> Any:
    """Return the value if its type is a member of the union, else convert it to the first member that accepts it."""
    if type(value) in hints:
        return value
    for hint in hints:
        try:
            return _convert(value, hint)
        except REFUSALS:
            continue
    return _refuse()


def _to_sequence(value: Any, origin: Any, args: Sequence[Any]) -> Any:
    if isinstance(value, np.ndarray | Tensor):
        value = value.tolist() if value.ndim == 1 else _refuse()
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        return value if origin is Iterable and isinstance(value, Iterator | nn.Module) else _refuse()
    if origin is tuple and args and args[-1] is not Ellipsis:
        return tuple(_convert(item, hint) for item, hint in zip(value, args, strict=True))
    items = [_convert(item, args[0]) if args else item for item in value]
    return tuple(items) if origin is tuple or isinstance(value, tuple) else items


def _to_mapping(value: Any, _: Any, args: Sequence[Any]) -> Any:
    items = value.items() if isinstance(value, Mapping) else _refuse()
    return {_convert(key, args[0]): _convert(item, args[1]) for key, item in items} if args else value


def _to_function(value: Any, _: Any, args: Sequence[Any]) -> Any:
    """Return the callable ``value``, after a check that it accepts as many arguments as the type hint lists, if any."""
    if callable(value) and args and args[0] is not Ellipsis:
        try:
            inspect.signature(value).bind(*args[0])
        except ValueError:  # many functions written in C have no signature
            return value
    return value if callable(value) else _refuse()


def _to_number(value: Any, kind: Any, _: Any) -> Any:
    if isinstance(value, Tensor | np.ndarray | np.generic) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        _refuse()
    float(value)  # raises OverflowError if the number exceeds the range of floats
    return operator.index(value) if kind is int else float(value)


def _to_tensor(value: Any, *_: Any) -> Any:
    if isinstance(value, list | tuple):
        return torch.tensor(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "buif":
        return torch.from_numpy(np.require(value, value.dtype.newbyteorder("="), ["C", "W"]))
    return value if isinstance(value, Tensor) else _refuse()


def _of(*kinds: type) -> Callable[[Any, Any, Any], Any]:
    """Return a converter that accepts only instances of the types ``kinds``."""
    return lambda value, kind, _: kind(value) if isinstance(value, kinds) else _refuse()


CONVERTERS: dict[Any, Callable[[Any, Any, Any], Any]] = {
    Literal: _to_literal,
    **dict.fromkeys(UNIONS, _to_union),
    **dict.fromkeys(SEQUENCES, _to_sequence),
    **dict.fromkeys(MAPPINGS, _to_mapping),
    **dict.fromkeys((int, float), _to_number),
    Callable: _to_function,
    Tensor: _to_tensor,
    bool: _of(bool, np.bool_),
    str: _of(str),
    Path: _of(str, os.PathLike),
    torch.device: _of(str, int, torch.device),
}
"""Type -> function that converts values to the type: (value, type without arguments, type arguments) -> new value."""


def check_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function or method to check and convert its arguments by their annotations; see `convert`.

    The names in the annotations must exist in the module of the function; the first call looks the names up. The checks
    take a few microseconds per call.
    """
    signature = inspect.signature(function)
    kinds = {name: parameter.kind for name, parameter in signature.parameters.items()}
    hints: dict[str, Any] = {}
    exact: dict[str, tuple[Any, ...]] = {}  # the types of values that need no conversion

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        if not hints:
            hints.update(get_type_hints(function))
            exact.update(
                {name: get_args(hint) if get_origin(hint) in UNIONS else (hint,) for name, hint in hints.items()}
            )
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{function.__qualname__.removesuffix('.__init__')}: {error}") from None
        for name, value in bound.arguments.items():
            if name not in hints or type(value) in exact[name]:
                continue
            if kinds[name] is inspect.Parameter.VAR_POSITIONAL:
                bound.arguments[name] = tuple(convert(name, item, hints[name]) for item in value)
            elif kinds[name] is not inspect.Parameter.VAR_KEYWORD:
                bound.arguments[name] = convert(name, value, hints[name])
        return function(*bound.args, **bound.kwargs)

    return checked


def check_fields(instance: Any) -> None:
    """Check and convert the fields of a dataclass instance by the annotations of the dataclass, in ``__post_init__``.

    The dataclass may be frozen.

    Raises:
        ArgumentError: a field has the wrong type.
    """
    hints = get_type_hints(type(instance))
    for field in fields(instance):
        value = getattr(instance, field.name)
        object.__setattr__(instance, field.name, convert(field.name, value, hints[field.name]))
