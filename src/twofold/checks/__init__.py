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
import reprlib
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
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
    torch.device: ("a device, as 'cpu' or 'cuda'", "devices"),
    type(None): ("None", "None"),
}
"""How an expected type is said, of one and of several."""

BY_NAME: dict[Any, Mapping[str, Any]] = {}
"""Type -> its known values by name: where one of them is expected, its name will do."""

UNIONS = (Union, types.UnionType)
SEQUENCES = (tuple, list, Sequence, Iterable)
MAPPINGS = (dict, Mapping)


def convert(name: str, value: Any, hint: Any) -> Any:
    """Return ``value`` as the type ``hint``.

    Converted are: whole numbers of NumPy and of 0-dimensional tensors to ``int``, real numbers to ``float``, strings to
    ``Path``, ``torch.device`` and what is known `BY_NAME`, lists and arrays to tuples and lists, NumPy arrays and lists
    of numbers to tensors. A ``bool`` is no number, and a ``float`` is no ``int``, even where it is a whole number.

    Args:
        name: the argument, as it is named in the error.
        value: what was given.
        hint: a type as annotations have it. A type variable, and a protocol that cannot be checked, take everything.

    Raises:
        ArgumentError: the value is of another type.
        SettingError: nothing is known by that name.
    """
    if isinstance(value, str) and (known := BY_NAME.get(hint)) is not None:
        if value not in known:
            raise unknown(name, value, known)
        return known[value]
    try:
        return _convert(value, hint)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, TwofoldError):
            raise
        raise ArgumentError(f"{name} is {_shown(value)}, expected {words(hint)}") from None


def words(hint: Any, several: bool = False) -> str:
    """An expected type in words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        said = "one of " + ", ".join(map(repr, args))
    elif origin in UNIONS:
        said = " or ".join(dict.fromkeys(words(each, several) for each in args))
    elif origin is tuple and args[-1] is not Ellipsis:
        alike = len(set(args)) == 1
        said = f"{len(args)} {words(args[0], True)}" if alike else f"({', '.join(map(words, args))})"
    elif origin in SEQUENCES:
        said = f"a sequence of {words(args[0], True)}"
    elif origin in MAPPINGS:
        said = f"a mapping from {words(args[0], True)} to {words(args[1], True)}"
    elif origin is Callable:
        count = _count(args)
        said = "a function" if count is None else f"a function of {count} argument{'' if count == 1 else 's'}"
    else:
        said = WORDS.get(hint, _words_of_class(hint))[several]
    return said


def _words_of_class(kind: Any) -> tuple[str, str]:
    name = getattr(kind, "__name__", str(kind))
    if getattr(kind, "_is_protocol", False):
        members = f"with the members of {kind.__module__}.{name}"
        return f"an object {members}", f"objects {members}"
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}", f"{name} objects"


def _shown(value: Any) -> str:
    """A value in a few words, on one line."""
    if isinstance(value, Tensor | np.ndarray):
        where = f" on {value.device}" if isinstance(value, Tensor) else ""
        sparse = "sparse " if isinstance(value, Tensor) and value.layout != torch.strided else ""
        return f"{sparse}numbers of the type {value.dtype} and the shape {tuple(value.shape)}{where}"
    if value is None or not isinstance(value, str | int | float | list | tuple | dict):
        return "None" if value is None else f"of the type {type(value).__name__}"
    try:
        said = " ".join(reprlib.repr(value).split())
    except ValueError:  # Python writes out no whole number of more than 4300 digits
        said = "too large a number"
    return f"{said} ({type(value).__name__})"


def _convert(value: Any, hint: Any) -> Any:
    """Return ``value`` as ``hint``; a TypeError or ValueError where that would be a guess."""
    kind = get_origin(hint) or hint
    if kind in PARTS:
        return PARTS[kind](value, kind, get_args(hint))
    if kind in SCALARS:
        return SCALARS[kind](value)
    return value if not _checkable(kind) or isinstance(value, kind) else _refuse()


def _checkable(kind: Any) -> bool:
    """Whether it can be asked of a value if it is one of these."""
    checkable: bool = getattr(kind, "_is_runtime_protocol", not getattr(kind, "_is_protocol", False))
    return isinstance(kind, type) and kind is not Any and checkable


def _one_of(value: Any, _: Any, args: Sequence[Any]) -> Any:
    return value if any(type(each) is type(value) and each == value for each in args) else _refuse()


def _first(value: Any, _: Any, hints: Sequence[Any]) -> Any:
    """The value as the hint that it is already of, else as the first that it can be turned into."""
    for hint in hints:
        if type(value) is hint:
            return value
    for hint in hints:
        try:
            return _convert(value, hint)
        except (TypeError, ValueError, OverflowError):
            continue
    return _refuse()


def _sequence(value: Any, origin: Any, args: Sequence[Any]) -> Any:
    if isinstance(value, np.ndarray | Tensor):
        value = value.tolist() if value.ndim == 1 else _refuse()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        return value if origin is Iterable and isinstance(value, Iterator | nn.Module) else _refuse()
    if origin is tuple and args and args[-1] is not Ellipsis:
        return tuple(_convert(item, hint) for item, hint in zip(value, args, strict=True))
    each = [_convert(item, args[0]) if args else item for item in value]
    return tuple(each) if origin is tuple or isinstance(value, tuple) else each


def _mapping(value: Any, _: Any, args: Sequence[Any]) -> Any:
    items = value.items() if isinstance(value, Mapping) else _refuse()
    return {_convert(key, args[0]): _convert(each, args[1]) for key, each in items} if args else value


def _function(value: Any, _: Any, args: Sequence[Any]) -> Any:
    return value if callable(value) and _takes(value, _count(args)) else _refuse()


def _count(args: Sequence[Any]) -> int | None:
    """The number of arguments of a function with these parts of its hint, where it is stated."""
    return len(args[0]) if args and isinstance(args[0], list) else None


def _takes(function: Callable[..., Any], count: int | None) -> bool:
    """Whether a function can be called with so many arguments, as far as it says."""
    try:
        inspect.signature(function).bind(*range(count or 0)) if count is not None else None
    except TypeError:
        return False
    except ValueError:  # many functions that are written in C do not say what they take
        return True
    return True


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
    if isinstance(value, list | tuple):
        try:
            return torch.tensor(value)
        except RuntimeError:
            _refuse()
    if isinstance(value, np.ndarray) and value.dtype.kind in "buif":
        return torch.from_numpy(np.require(value, value.dtype.newbyteorder("="), ["C", "W"]))
    return value if isinstance(value, Tensor) else _refuse()


def _device(value: Any) -> torch.device:
    try:
        device: torch.device = torch.device(value)
    except RuntimeError as error:
        raise ValueError from error
    return device


def _refuse() -> Any:
    raise TypeError


PARTS: dict[Any, Callable[[Any, Any, Sequence[Any]], Any]] = {
    Literal: _one_of,
    **dict.fromkeys(UNIONS, _first),
    **dict.fromkeys(SEQUENCES, _sequence),
    **dict.fromkeys(MAPPINGS, _mapping),
    Callable: _function,
}
"""How a value becomes what a hint with parts says; it gets the value, the hint, and its parts."""

SCALARS: dict[Any, Callable[[Any], Any]] = {
    int: _whole,
    float: _real,
    bool: _truth,
    str: _text,
    Path: _path,
    Tensor: _tensor,
    torch.device: _device,
}
"""How a value becomes one of these types."""


_looking: ContextVar[bool] = ContextVar("looking", default=True)


def looking() -> bool:
    """Whether arguments are looked at."""
    return _looking.get()


@contextmanager
def looked_at() -> Iterator[None]:
    """In here all arguments are taken as they are: the trainer has looked at data and settings before it began, and
    batch after batch is not checked again. On a GPU, to look at the numbers in a tensor means to wait for it."""
    token = _looking.set(False)
    try:
        yield
    finally:
        _looking.reset(token)


def typed(function: Callable[P, T]) -> Callable[P, T]:
    """Check and convert the arguments of a function or method by its annotations, each time that it is called.

    The names in the annotations have to exist in the function's module: they are looked up at the first call. Values
    that are as they should be cost about a microsecond in all.
    """
    signature = inspect.signature(function)
    parameters = signature.parameters.values()
    defaults = {each.name: each.default for each in parameters}
    positional = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    required = {each.name for each in parameters if each.default is each.empty and each.kind is not each.VAR_KEYWORD}
    hints: dict[str, Any] = {}
    exact: dict[str, tuple[type, ...] | None] = {}

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        if not _looking.get():
            return function(*args, **kwargs)
        if not exact:
            hints.update(get_type_hints(function))
            exact.update({name: _exact(hints[name]) if name in hints else None for name in defaults})
        given = {**dict(zip(positional, args, strict=False)), **kwargs}
        if len(given) == len(args) + len(kwargs) and required <= given.keys():
            for name, value in given.items():
                fine = exact.get(name, ())
                if fine is not None and type(value) not in fine and value is not defaults.get(name, hints):
                    break
            else:
                return function(*args, **kwargs)
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{function.__qualname__.removesuffix('.__init__')}: {error}") from None
        for name in bound.arguments.keys() & hints.keys():
            value, hint, kind = bound.arguments[name], hints[name], signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                bound.arguments[name] = tuple(convert(name, each, hint) for each in value)
            elif kind is inspect.Parameter.VAR_KEYWORD:
                bound.arguments[name] = {key: convert(key, each, hint) for key, each in value.items()}
            else:
                bound.arguments[name] = convert(name, value, hint)
        return function(*bound.args, **bound.kwargs)

    return checked


def _exact(hint: Any) -> tuple[type, ...] | None:
    """The types whose values are as ``hint`` wants them; ``None`` stands for all."""
    kind = get_origin(hint) or hint
    if kind in UNIONS:
        return tuple(each for part in get_args(hint) for each in _exact(part) or ())
    if kind in PARTS:
        return ()
    return (kind,) if _checkable(kind) else None


def check_fields(instance: Any) -> None:
    """Check and convert the fields of a dataclass, frozen or not, by their annotations; call it in ``__post_init__``.

    Raises:
        ArgumentError: a field is of the wrong type.
    """
    hints = get_type_hints(type(instance))
    for field in fields(instance):
        value = getattr(instance, field.name)
        object.__setattr__(instance, field.name, convert(field.name, value, hints[field.name]))
