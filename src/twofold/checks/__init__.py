"""Convert values to annotated types if that is unambiguous, and otherwise raise a one-line error.

    convert("classes", 3.5, int)          ArgumentError: classes is 3.5 (float), expected a whole number
    convert("widths", [20, 20], tuple[int, ...])    (20, 20)
    convert("folder", "runs/x", Path)     Path("runs/x")

`check_arguments` does so for all arguments of a public function, `check_fields` for the fields of a dataclass.
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
    torch.device: ("a device, such as 'cpu' or 'cuda'", "devices"),
    type(None): ("None", "None"),
}
"""The names of types in error messages, singular and plural."""

BY_NAME: dict[Any, Mapping[str, Any]] = {}
"""Type -> its named values. A name is accepted in place of a value of that type."""

UNIONS = (Union, types.UnionType)
SEQUENCES = (tuple, list, Sequence, Iterable)
MAPPINGS = (dict, Mapping)


def convert(name: str, value: Any, hint: Any) -> Any:
    """Convert ``value`` to the type ``hint``.

    These conversions are made: integers of NumPy and of 0-dimensional tensors to ``int``; real numbers to ``float``;
    strings to ``Path``, ``torch.device`` and values known `BY_NAME`; lists and arrays to tuples and lists; NumPy arrays
    and lists of numbers to tensors. A ``bool`` is not accepted as a number, nor a ``float`` as an ``int``, even if it
    is a whole number.

    Args:
        name: name of the argument in the error message.
        value: the value.
        hint: an annotated type. Type variables, and protocols that cannot be checked, accept everything.

    Raises:
        ArgumentError: the value has another type.
        SettingError: the name is not known.
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
        raise ArgumentError(f"{name} is {_describe(value)}, expected {words(hint)}") from None


def words(hint: Any, several: bool = False) -> str:
    """Describe an expected type in words."""
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
        count = _count(args)
        text = "a function" if count is None else f"a function of {count} argument{'' if count == 1 else 's'}"
    else:
        text = WORDS.get(hint, _words_of_class(hint))[several]
    return text


def _words_of_class(cls: Any) -> tuple[str, str]:
    name = getattr(cls, "__name__", str(cls))
    if getattr(cls, "_is_protocol", False):
        members = f"with the members of {cls.__module__}.{name}"
        return f"an object {members}", f"objects {members}"
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}", f"{name} objects"


def _describe(value: Any) -> str:
    """Describe a value in a few words, on one line."""
    if isinstance(value, Tensor | np.ndarray):
        device = f" on {value.device}" if isinstance(value, Tensor) else ""
        sparse = "sparse " if isinstance(value, Tensor) and value.layout != torch.strided else ""
        return f"{sparse}numbers of type {value.dtype} and shape {tuple(value.shape)}{device}"
    if value is None or not isinstance(value, str | int | float | list | tuple | dict):
        return "None" if value is None else f"of type {type(value).__name__}"
    try:
        text = " ".join(reprlib.repr(value).split())
    except ValueError:  # Python does not convert integers of more than 4300 digits
        text = "too large a number"
    return f"{text} ({type(value).__name__})"


def _convert(value: Any, hint: Any) -> Any:
    """Convert ``value`` to ``hint``; raise TypeError or ValueError if that would be ambiguous."""
    base = get_origin(hint) or hint
    if base in GENERICS:
        return GENERICS[base](value, base, get_args(hint))
    if base in SCALARS:
        return SCALARS[base](value)
    return value if not _checkable(base) or isinstance(value, base) else _refuse()


def _checkable(cls: Any) -> bool:
    """Return True if ``isinstance`` can check the type."""
    checkable: bool = getattr(cls, "_is_runtime_protocol", not getattr(cls, "_is_protocol", False))
    return isinstance(cls, type) and cls is not Any and checkable


def _to_literal(value: Any, _: Any, args: Sequence[Any]) -> Any:
    return value if any(type(choice) is type(value) and choice == value for choice in args) else _refuse()


def _to_union(value: Any, _: Any, hints: Sequence[Any]) -> Any:
    """Return the value if it has the type of a hint, else convert it to the first hint that accepts it."""
    for hint in hints:
        if type(value) is hint:
            return value
    for hint in hints:
        try:
            return _convert(value, hint)
        except (TypeError, ValueError, OverflowError):
            continue
    return _refuse()


def _to_sequence(value: Any, origin: Any, args: Sequence[Any]) -> Any:
    if isinstance(value, np.ndarray | Tensor):
        value = value.tolist() if value.ndim == 1 else _refuse()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        return value if origin is Iterable and isinstance(value, Iterator | nn.Module) else _refuse()
    if origin is tuple and args and args[-1] is not Ellipsis:
        return tuple(_convert(item, hint) for item, hint in zip(value, args, strict=True))
    items = [_convert(item, args[0]) if args else item for item in value]
    return tuple(items) if origin is tuple or isinstance(value, tuple) else items


def _to_mapping(value: Any, _: Any, args: Sequence[Any]) -> Any:
    items = value.items() if isinstance(value, Mapping) else _refuse()
    return {_convert(key, args[0]): _convert(item, args[1]) for key, item in items} if args else value


def _to_function(value: Any, _: Any, args: Sequence[Any]) -> Any:
    return value if callable(value) and _accepts(value, _count(args)) else _refuse()


def _count(args: Sequence[Any]) -> int | None:
    """Return the number of arguments in the hint of a function, or None if it is not stated."""
    return len(args[0]) if args and isinstance(args[0], list) else None


def _accepts(function: Callable[..., Any], count: int | None) -> bool:
    """Return True if a function can be called with ``count`` arguments, or if its signature is unknown."""
    try:
        inspect.signature(function).bind(*range(count or 0)) if count is not None else None
    except TypeError:
        return False
    except ValueError:  # many functions written in C have no signature
        return True
    return True


def _to_int(value: Any) -> int:
    if isinstance(value, bool | np.bool_) or (isinstance(value, Tensor) and value.dtype == torch.bool):
        _refuse()
    number = operator.index(value)
    float(number)  # raises OverflowError if the number exceeds the range of floats
    return number


def _to_float(value: Any) -> float:
    if isinstance(value, Tensor | np.ndarray) and value.ndim == 0:
        value = value.item()
    return float(value) if isinstance(value, Real) and not isinstance(value, bool | np.bool_) else _refuse()


def _to_bool(value: Any) -> bool:
    return bool(value) if isinstance(value, bool | np.bool_) else _refuse()


def _to_str(value: Any) -> str:
    return str(value) if isinstance(value, str) else _refuse()


def _to_path(value: Any) -> Path:
    return Path(value) if isinstance(value, str | os.PathLike) else _refuse()


def _to_tensor(value: Any) -> Tensor:
    if isinstance(value, list | tuple):
        try:
            return torch.tensor(value)
        except RuntimeError:
            _refuse()
    if isinstance(value, np.ndarray) and value.dtype.kind in "buif":
        return torch.from_numpy(np.require(value, value.dtype.newbyteorder("="), ["C", "W"]))
    return value if isinstance(value, Tensor) else _refuse()


def _to_device(value: Any) -> torch.device:
    try:
        device: torch.device = torch.device(value)
    except RuntimeError as error:
        raise ValueError from error
    return device


def _refuse() -> Any:
    raise TypeError


GENERICS: dict[Any, Callable[[Any, Any, Sequence[Any]], Any]] = {
    Literal: _to_literal,
    **dict.fromkeys(UNIONS, _to_union),
    **dict.fromkeys(SEQUENCES, _to_sequence),
    **dict.fromkeys(MAPPINGS, _to_mapping),
    Callable: _to_function,
}
"""Converters to generic types; each takes the value, the type and its arguments."""

SCALARS: dict[Any, Callable[[Any], Any]] = {
    int: _to_int,
    float: _to_float,
    bool: _to_bool,
    str: _to_str,
    Path: _to_path,
    Tensor: _to_tensor,
    torch.device: _to_device,
}
"""Converters to other types."""


_enabled: ContextVar[bool] = ContextVar("checks_enabled", default=True)


def checks_enabled() -> bool:
    """Return True if argument checks are enabled."""
    return _enabled.get()


@contextmanager
def skip_checks() -> Iterator[None]:
    """Disable argument checks within this block.

    The trainer checks data and settings once before it begins, so that batches are not checked again. On a GPU,
    checking the numbers in a tensor would mean waiting for it.
    """
    token = _enabled.set(False)
    try:
        yield
    finally:
        _enabled.reset(token)


def check_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """Check and convert the arguments of a function or method by its annotations in every call.

    The names in the annotations must exist in the function's module; they are looked up at the first call. For
    arguments of the expected types, a call takes about a microsecond longer.
    """
    signature = inspect.signature(function)
    parameters = signature.parameters.values()
    defaults = {arg.name: arg.default for arg in parameters}
    positional = [arg.name for arg in parameters if arg.kind is arg.POSITIONAL_OR_KEYWORD]
    required = {arg.name for arg in parameters if arg.default is arg.empty and arg.kind is not arg.VAR_KEYWORD}
    hints: dict[str, Any] = {}
    exact: dict[str, tuple[type, ...] | None] = {}

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        if not _enabled.get():
            return function(*args, **kwargs)
        if not exact:
            hints.update(get_type_hints(function))
            exact.update({name: _exact_types(hints[name]) if name in hints else None for name in defaults})
        arguments = {**dict(zip(positional, args, strict=False)), **kwargs}
        if len(arguments) == len(args) + len(kwargs) and required <= arguments.keys():
            for name, value in arguments.items():
                accepted = exact.get(name, ())
                if accepted is not None and type(value) not in accepted and value is not defaults.get(name, hints):
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
                bound.arguments[name] = tuple(convert(name, item, hint) for item in value)
            elif kind is inspect.Parameter.VAR_KEYWORD:
                bound.arguments[name] = {key: convert(key, item, hint) for key, item in value.items()}
            else:
                bound.arguments[name] = convert(name, value, hint)
        return function(*bound.args, **bound.kwargs)

    return checked


def _exact_types(hint: Any) -> tuple[type, ...] | None:
    """Return the types whose values need no conversion to ``hint``; ``None`` means all types."""
    base = get_origin(hint) or hint
    if base in UNIONS:
        return tuple(cls for member in get_args(hint) for cls in _exact_types(member) or ())
    if base in GENERICS:
        return ()
    return (base,) if _checkable(base) else None


def check_fields(instance: Any) -> None:
    """Check and convert the fields of a dataclass, frozen or not, by their annotations; call it in ``__post_init__``.

    Raises:
        ArgumentError: a field has the wrong type.
    """
    hints = get_type_hints(type(instance))
    for field in fields(instance):
        value = getattr(instance, field.name)
        object.__setattr__(instance, field.name, convert(field.name, value, hints[field.name]))
