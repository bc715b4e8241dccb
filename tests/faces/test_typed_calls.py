"""Every argument of the public API with values that are wrong, and with other forms of the right one.

Oracle: a wrong value is refused in one line that names the argument, with an error that is a `TwofoldError`; another
form of the right value gives what the right value gives. The calls are made from the signatures: an argument that is
new is tried as soon as it has a place in `public_calls`, and a test fails where it has none.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import twofold
from support.public_calls import CALLS, Call
from twofold.checks import BY_NAME, UNIONS
from twofold.errors import TwofoldError
from twofold.layers.inputs import CachedInput, LabeledImages
from twofold.layers.weights import Weights
from twofold.training.result import Result
from twofold.training.runs import Run

RECIPES = {type(one).__name__ for one in twofold.RECIPES.values()}
"""Their types are tried here, and their ranges where recipes are."""


def outcome(call: Call, changes: Mapping[str, Any]) -> Any:
    """What a call gives and leaves behind, in a form that can be compared."""
    function, arguments = call
    signature = inspect.signature(function)
    ordered = {name: {**arguments, **changes}[name] for name in signature.parameters}
    bound = inspect.BoundArguments(signature, ordered)  # type: ignore[arg-type]
    found = plain(function(*bound.args, **bound.kwargs))
    return found, plain(getattr(function, "__self__", None))


def plain(value: Any) -> Any:
    """A value as lists and numbers, without the time that it took."""
    form = next((form for kind, form in FORMS if isinstance(value, kind)), lambda other: other)
    found = form(value)
    if found is not value and form is not FORMS[0][1]:
        return plain(found)
    if isinstance(found, Mapping):
        return {name: plain(each) for name, each in found.items() if name != "seconds"}
    return [plain(each) for each in found] if isinstance(found, tuple | list | Iterator) else found


def of_module(module: nn.Module) -> tuple[Any, ...]:
    settings = {name: each for name, each in vars(module).items() if isinstance(each, int | float | str | range)}
    return module.state_dict(), settings, [each for each in vars(module).values() if isinstance(each, twofold.Rule)]


def of_dataclass(one: Any) -> Any:
    return [getattr(one, each.name) for each in fields(one)] if is_dataclass(one) else one


FORMS: list[tuple[type, Callable[[Any], Any]]] = [
    (Tensor, lambda tensor: (str(tensor.dtype), tensor.tolist())),
    (np.ndarray, np.ndarray.tolist),
    (nn.Module, of_module),
    (Result, lambda result: result.test_error),
    (Run, lambda run: run.net),
    (CachedInput, lambda ready: ready.rows),
    (LabeledImages, LabeledImages.to_tensor),
    (Weights, lambda weights: weights.to_matrix()),
    (partial, lambda one: one.func),
    (type, lambda kind: kind),
    (object, of_dataclass),
]
"""How values of each type are compared."""


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    if is_dataclass(function):
        return get_type_hints(function)
    return get_type_hints(inspect.unwrap(function.__init__ if inspect.isclass(function) else function))


RETURNED = {"Data", "Dataset", "Evaluation", "History", "Result", "Run"}
"""Types that functions return."""
OTHERS = {"Connectivity", "Full", "Instrument", "Masked", "Recipe", "Tiled", "Trainer", "serve", "top_down"}
"""What has tests of its mistakes elsewhere."""


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every function, constructor and method with arguments that a user meets, each once."""
    recipes = {type(one).__name__ for one in twofold.RECIPES.values()}
    for name in sorted({*twofold.__all__} - RETURNED - OTHERS - recipes):
        found = getattr(twofold, name)
        if inspect.isclass(found) and issubclass(found, BaseException):
            continue
        if inspect.isclass(found):
            yield name, found
            named = {each.name for each in fields(found)} if is_dataclass(found) else set()
            for method in set(dir(found)) - named:
                one = getattr(found, method)
                if (
                    not method.startswith("_")
                    and callable(one)
                    and inspect.isroutine(one)
                    and one.__module__.startswith("twofold")
                ):
                    yield one.__qualname__, one
        elif callable(found):
            yield name, found
    yield from ((type(one).__name__, type(one)) for one in twofold.RECIPES.values())


# ---- wrong values --------------------------------------------------------------------------------------------------

VALUES: dict[str, Any] = {
    **{
        "None": None,
        "a word": "xyz",
        "bytes": b"x",
        "3": 3,
        "3.5": 3.5,
        "True": True,
        "NaN": math.nan,
        "infinite": math.inf,
    },
    **{"[3]": [3], "an object": object(), "a function of none": lambda: None},
}
RIGHT: dict[Any, set[str]] = {
    **{
        int: {"3"},
        float: {"3", "3.5"},
        bool: {"True"},
        str: {"a word"},
        Path: {"a word"},
        torch.device: {"a word", "3"},
    },
    **{type(None): {"None"}, Tensor: {"[3]"}, Any: set(VALUES)},
}
"""Type -> the values that are of it. The others are wrong."""

OF_SCIKIT_LEARN = {"ForwardForwardClassifier", "ForwardForwardFeatures", "ForwardForwardFeatures.transform"}
"""It wants constructors that only keep what they are given, and wraps ``transform``: Python names what is amiss."""

FREE = {"name", "data", "data_dir"}
"""Words that are not one of several."""

NOT_BELOW_ZERO = {
    "decay",
    "peer",
    "floor",
    "tolerance",
    "smoothing",
    "damping",
    "rate",
    "softmax_rate",
    "softmax_decay",
    "top_down_start",
}
MAY_BE_NEGATIVE = {"seed", "device_seed", "point"}
MAY_BE_ZERO = NOT_BELOW_ZERO | MAY_BE_NEGATIVE | {"reject", "verbose", "margin", "padding", "blurs", "count"}
"""Numbers that work, and so does what is not tried to be refused here: 0 or -1."""


BESIDES = {"widths": {"3"}, "slope": {"None"}, "signal": {"None"}}
"""Values that an argument takes although its type does not say so."""


def right(hint: Any) -> set[str]:
    origin, args = get_origin(hint), get_args(hint)
    if origin in UNIONS:
        return set().union(*map(right, args))
    if origin in (tuple, Sequence) and args[0] is int:
        return {"[3]"} if origin is Sequence or args[-1] is Ellipsis else set()
    return RIGHT.get(hint, set())


def wrong_values(key: str, name: str, hint: Any, value: Any) -> Iterator[Any]:
    """Values of another type, unknown names, and numbers outside the range."""
    yield from (VALUES[each] for each in VALUES.keys() - right(hint) - BESIDES.get(name, set()))
    kinds = get_args(hint) if get_origin(hint) in UNIONS else (hint,)
    if str in kinds and (name not in FREE or (key, name) == ("load_data", "name")):
        yield "xyz"
    if key not in RECIPES and {int, float} & set(kinds):
        yield from () if name in MAY_BE_NEGATIVE else (-1,)
        yield from () if name in MAY_BE_ZERO or key == "Substrate" else (0,)
    if get_origin(hint) is tuple and get_args(hint)[0] is int and key not in RECIPES:
        yield from ((), [0] * len(value), [-1] * len(value), [*value[:-1], "x"], [*value[:-1], 2.5])
    if Tensor in kinds and isinstance(value, Tensor):
        yield from wrong_tensors(key, name, value)


def wrong_tensors(key: str, name: str, value: Tensor) -> Iterator[Tensor]:
    """Tensors of another type, shape or device, and with other numbers than there may be."""
    yield from (value.to_sparse(), value.to("meta"), value.sum(), value.to(torch.complex64))
    yield value.flatten()[:-1] if value.ndim > 1 else value[None]
    if value.is_floating_point():
        yield 255 * value if key in ("as_dataset", "fit") else (255 * value).byte()
        yield from [value * torch.nan] if "image" in name or name in ("case", "data") else []
    else:
        yield from (value.float(), value == 0, value + 100, value - 100)
    if value.ndim == 1 and (name, key) != ("labels", "Recurrent.top"):
        yield value[:-1]


# ---- other forms of right ones -------------------------------------------------------------------------------------


def other_forms(name: str, hint: Any, value: Any) -> Iterator[Any]:
    """The same value as Python users also write it."""
    kinds = get_args(hint) if get_origin(hint) in UNIONS else (hint,)
    forms: dict[Any, tuple[Callable[[Any], Any], ...]] = {
        int: (np.int64, torch.tensor),
        float: (np.float64, partial(torch.tensor, dtype=torch.float64)),
        **{bool: (np.bool_,), str: (np.str_,), Path: (str,), Tensor: (Tensor.numpy, Tensor.tolist)},
    }
    for kind in (kind for kind in kinds if isinstance(kind, type) and kind is not Any and isinstance(value, kind)):
        yield from (form(value) for form in forms.get(kind, ()))
    if isinstance(value, Tensor) and value.is_floating_point():
        yield from [value.double()] if "image" in name or name in ("case", "data") else []
    elif isinstance(value, Tensor):
        yield from (value.int(), value.numpy().astype(np.uint8), value.numpy()[::-1].copy()[::-1])
    for known in BY_NAME.get(hint, {}).items():
        yield from [known[0]] if known[1] is value else []
    for part in kinds:
        if get_origin(part) in (tuple, Sequence, list, Iterable) and isinstance(value, list | tuple):
            yield from (tuple(value), list(value))
            yield from [np.array(value)] if value and isinstance(value[0], int) else []
    if get_origin(hint) is Callable and not inspect.isclass(value):
        yield partial(value)


# ---- the tests -----------------------------------------------------------------------------------------------------


def arguments(key: str) -> Iterator[tuple[str, Any, Any, Callable[[Any], dict[str, Any]]]]:
    """Each argument of a call: its name, type and right value, and how it is given another one."""
    function, given = CALLS[key]()
    hints = hints_of(function)
    for name, value in given.items():
        if inspect.signature(function).parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
            for place, each in enumerate(value):
                yield name, hints[name], each, partial(put, name, value, place)
        elif inspect.signature(function).parameters[name].kind is not inspect.Parameter.VAR_KEYWORD:
            hint = Tensor if hints[name] is Any and isinstance(value, Tensor) else hints[name]
            yield name, hint, value, partial(lambda name, new: {name: new}, name)


def put(name: str, values: tuple[Any, ...], place: int, new: Any) -> dict[str, Any]:
    """One of several values replaced."""
    return {name: (*values[:place], new, *values[place + 1 :])}


KEYS = [pytest.param(key, marks=[pytest.mark.slow] if key in ("load_data", "train", "draw") else []) for key in CALLS]


def shown(value: Any) -> str:
    return f"{type(value).__name__} {' '.join(str(value).split())[:60]}"


SAID = {
    ("load_data", "name"): "data set",
    ("read_data", "label"): "column",
    ("read_data", "size"): "--size",
    ("recipe_for", "like"): "recipe",
} | {("as_dataset", f"{part}_{what}"): part for part in ("train", "test") for what in ("images", "labels")}
"""What an error may say in place of the name."""


def as_said(text: str) -> str:
    """Names as they stand in errors: those of options have other strokes."""
    return text.replace("_", " ").replace("-", " ")


@pytest.mark.parametrize("key", KEYS)
def test_a_wrong_value_is_refused_in_one_line_that_names_the_argument(key: str) -> None:
    faults = []
    for name, hint, value, given in arguments(key):
        for wrong in wrong_values(key, name, hint, value):
            try:
                outcome(CALLS[key](), given(wrong))
                faults.append(f"{name} = {shown(wrong)} is taken")
            except TwofoldError as error:
                said = str(error)
                if "\n" in said or not any(
                    as_said(one) in as_said(said) for one in (name, SAID.get((key, name), name))
                ):
                    faults.append(f"{name} = {shown(wrong)} says: {said}")
            except Exception as error:
                faults.append(f"{name} = {shown(wrong)} ends in {type(error).__name__}: {str(error).splitlines()[:1]}")
    assert not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.parametrize("key", CALLS)
def test_another_form_of_the_right_value_gives_the_same(key: str) -> None:
    faults = []
    expected = outcome(CALLS[key](), {}) if key != "load_data" else None
    for name, hint, value, given in arguments(key):
        for other in other_forms(name, hint, value):
            try:
                if outcome(CALLS[key](), given(other)) != expected and key != "load_data":
                    faults.append(f"{name} = {shown(other)} gives something else")
            except Exception as error:
                faults.append(f"{name} = {shown(other)} ends in {type(error).__name__}: {str(error).splitlines()[:1]}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("key", KEYS)
def test_arguments_that_are_missing_or_misspelled_are_named(key: str) -> None:
    function, given = CALLS[key]()
    parameters = inspect.signature(function).parameters.values()
    if not is_dataclass(function):  # Python itself makes the constructors of dataclasses
        required = [
            each.name for each in parameters if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD
        ]
        for name in [*required, "xyz"]:
            changed = {each: value for each, value in given.items() if each not in (name, "data", "settings")}
            with pytest.raises((TwofoldError, TypeError) if key in OF_SCIKIT_LEARN else TwofoldError, match=name):
                function(**changed, **({"xyz": 1} if name == "xyz" else {}))


def test_every_public_function_and_argument_is_tried() -> None:
    found = dict(public())
    takes = {name for name, one in found.items() if set(inspect.signature(one).parameters) - {"self"}}
    assert takes == set(CALLS)
    for key in CALLS:
        function, given = CALLS[key]()
        assert set(given) == set(inspect.signature(function).parameters), key


def test_a_public_function_that_is_not_tried_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def newest(rate: float) -> None: ...

    newest.__module__, newest.__qualname__ = "twofold.layers.layer", "Layer.newest"
    monkeypatch.setattr(twofold.Dense, "newest", newest, raising=False)
    assert set(dict(public())) - set(CALLS) >= {"Layer.newest"}
