"""Arguments that users give: wrong ones are refused in one line that names them, other forms of right ones are taken.

The calls are made from the signatures of the public API. The values that a call needs besides the wrong one are made
from their types, since types are checked before the function itself runs.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import twofold
from support.helpers import refusal
from support.small_layers import seeded
from support.small_nets import NETS
from twofold.checks import MAPPINGS, SEQUENCES, UNIONS
from twofold.errors import ArgumentError, SettingError, TwofoldError
from twofold.estimators.settings import ClassifierSettings

# ---- the public API ------------------------------------------------------------------------------------------------


def is_checked(function: Any) -> bool:
    """Whether `check_arguments` decorates a function, below or above other decorators."""
    code = getattr(function, "__code__", None)
    own = code is not None and code.co_qualname == "check_arguments.<locals>.checked"
    return own or (hasattr(function, "__wrapped__") and is_checked(function.__wrapped__))


def entries() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public function, constructor and method that checks its arguments, each once."""
    for name in sorted(twofold.__all__):
        public = getattr(twofold, name)
        if not inspect.isclass(public):
            yield from [(name, public)] if is_checked(public) else []
            continue
        for method in dir(public):
            function = inspect.getattr_static(public, method)
            function = getattr(function, "__func__", function)
            if is_checked(function):
                yield function.__qualname__.removesuffix(".__init__"), function


CHECKED = dict(entries())

NET_METHODS = ("__init__", "learn", "predict", "scores", "evaluate", "explain", "fast", "familiarity")
LAYERS = ("BlackBox", "Convolution", "CustomLayer", "Dense", "Fixed", "LocallyConnected", "RecurrentLayer")
FUNCTIONS = (
    *("as_dataset", "draw", "evaluate", "export", "fit", "load", "load_data", "read_data", "recipe_for"),
    *("serve", "train"),
)


def test_what_users_call_checks_its_arguments() -> None:
    assert {name for name in CHECKED if name.islower()} == {*FUNCTIONS}
    assert all(is_checked(getattr(twofold, layer).__init__) for layer in (*LAYERS, "Instrument"))
    for net in (twofold.FeedForward, twofold.Recurrent, twofold.Unsupervised, twofold.Backprop):
        assert all(is_checked(getattr(net, method)) for method in NET_METHODS), net


# ---- wrong types ---------------------------------------------------------------------------------------------------

VALUES: dict[str, Any] = {
    **{"None": None, "a word": "xyz", "bytes": b"x", "3": 3, "3.5": 3.5, "True": True, "[3]": [3]},
    **{"an object": object(), "a function": lambda: None},
}
RIGHT: dict[Any, set[str]] = {
    **{int: {"3"}, float: {"3", "3.5"}, bool: {"True"}, str: {"a word"}, Path: {"a word"}, Tensor: {"[3]"}},
    **{torch.device: {"a word", "3"}, type(None): {"None"}, Any: set(VALUES)},
}
"""Type -> the values that are accepted as it. All others are wrong."""
BESIDES = {"widths": {"3"}, "slope": {"None"}, "signal": {"None"}}
"""Values that an argument takes although its type does not say so."""


def right(hint: Any) -> set[str]:
    origin, args = get_origin(hint), get_args(hint)
    if origin in UNIONS:
        return set[str]().union(*map(right, args))
    if origin in SEQUENCES:
        return {"[3]"} if "3" in right(args[0]) and (origin is not tuple or args[-1] is Ellipsis) else set()
    if origin is Callable:
        return {"a function"} if args[0] is Ellipsis or not args[0] else set()
    return RIGHT[Any] if isinstance(hint, TypeVar) else RIGHT.get(hint, set())


def example(hint: Any) -> Any:
    """A value of a type."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in UNIONS or origin is Literal:
        return args[0] if origin is Literal else example(args[0])
    if origin in SEQUENCES or origin in MAPPINGS:
        fixed = origin is tuple and args[-1] is not Ellipsis
        return tuple(map(example, args)) if fixed else {} if origin in MAPPINGS else ()
    if origin is Callable:
        return lambda *_: None
    simple = {int: 3, float: 0.5, bool: True, str: "x", Path: Path("x"), Tensor: torch.zeros(2)}
    return simple.get(hint) if hint in simple or not isinstance(hint, type) else Mock(spec=hint)


def variants(function: Callable[..., Any]) -> Iterator[tuple[str, Any, Callable[[Any], Any]]]:
    """Each argument of a function: its name, its type, and a call with another value of it."""
    parameters, hints = inspect.signature(function).parameters, get_type_hints(inspect.unwrap(function))
    free = [Mock() for name in parameters if name in ("self", "cls")]
    needed = {
        name: example(hints[name])
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and not parameter.kind.name.startswith("VAR") and name in hints
    }
    for name in hints.keys() & parameters.keys():
        if parameters[name].kind.name == "VAR_POSITIONAL":
            named = {other: needed[other] for other in needed if parameters[other].kind.name == "KEYWORD_ONLY"}
            before = [value for other, value in needed.items() if other not in named]
            yield name, hints[name], lambda value, before=before, named=named: function(*free, *before, value, **named)
        elif parameters[name].kind.name != "VAR_KEYWORD":
            yield name, hints[name], partial(lambda name, value: function(*free, **{**needed, name: value}), name)


def faults(name: str, hint: Any, call: Callable[[Any], Any]) -> Iterator[str]:
    """The wrong values of an argument that are not refused, or not in one line that names it."""
    for shown in VALUES.keys() - right(hint) - BESIDES.get(name, set()):
        try:
            call(VALUES[shown])
            yield f"{name} = {shown} is taken"
        except TwofoldError as error:
            if "\n" in str(error) or name.replace("_", " ") not in str(error).replace("_", " ").replace("-", " "):
                yield f"{name} = {shown} says: {error}"
        except Exception as error:
            yield f"{name} = {shown} ends in {type(error).__name__}: {error}"


@pytest.mark.parametrize("key", CHECKED)
def test_a_value_of_another_type_is_refused_in_one_line_that_names_the_argument(key: str) -> None:
    wrong = [fault for variant in variants(CHECKED[key]) for fault in faults(*variant)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("key", [key for key in CHECKED if not key.startswith("ForwardForward")])
def test_arguments_that_are_missing_or_misspelled_are_named(key: str) -> None:
    """Except by methods that scikit-learn wraps."""
    function, parameters = CHECKED[key], inspect.signature(CHECKED[key]).parameters.values()
    required = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty and parameter.kind in (1, 3) and parameter.name not in ("self", "cls")
    ]
    free = [None for parameter in parameters if parameter.name in ("self", "cls")]
    if required:
        assert repr(required[0]) in refusal(lambda: function(*free), ArgumentError)
    if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
        given = dict.fromkeys(required)
        assert "'xyz'" in refusal(lambda: function(*free, **given, xyz=1), ArgumentError)


SETTINGS: dict[str, Any] = {
    type(value).__name__: value
    for value in (
        *(twofold.Rule(), twofold.Fields((1, 3, 3), 2, 2), twofold.Substrate()),
        *(kinds[name] for kinds, name in ((twofold.GOODNESS, "sum_of_squares"), (twofold.OBJECTIVES, "symba"))),
        *(twofold.ACTIVATIONS["leaky_relu"], *twofold.RECIPES.values()),
        ClassifierSettings(
            **{"widths": (4,), "epochs": 2, "batch": 3, "rate": 0.1, "device": "cpu", "precision": "fp32"},
            **{"verbose": 0, "test": "slow", "early_stopping": True, "validation_fraction": 0.5},
            **{"n_iter_no_change": 2, "reject": 0.1, "warm_start": False},
        ),
    )
}
"""Dataclasses with settings, and estimators, whose arguments are checked as such when they fit."""


@pytest.mark.parametrize("key", SETTINGS)
def test_a_setting_of_another_type_is_refused_in_one_line_that_names_it(key: str) -> None:
    value, hints = SETTINGS[key], get_type_hints(type(SETTINGS[key]))
    wrong = [
        fault
        for field in fields(value)
        for fault in faults(
            field.name, hints[field.name], partial(lambda name, new: replace(value, **{name: new}), field.name)
        )
    ]
    assert not wrong, "\n".join(wrong)


# ---- numbers outside their range -----------------------------------------------------------------------------------

RANGES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "Dense": (twofold.Dense, {"inputs": 9, "units": 5}),
    "Convolution": (
        twofold.Convolution,
        {"shape_below": (2, 3, 3), "channels": 4, "kernel_size": 2, "stride": 1, "dilation": 1, "groups": 2},
    ),
    "CustomLayer": (twofold.CustomLayer, {"module": nn.Linear(9, 5), "units": 5}),
    "RecurrentLayer": (twofold.RecurrentLayer, {"sources": {"below": 9}, "units": 5}),
    "BlackBox": (twofold.BlackBox, {"function": torch.relu, "units": 5, "timeout": 9.0}),
    "FeedForward": (
        twofold.FeedForward,
        {
            "layers": [twofold.Dense(9, 5)],
            "classes": 3,
            "label_strength": 2.0,
            "counted_from": 1,
            "softmax_decay": 0.01,
        },
    ),
    "Recurrent": (
        twofold.Recurrent,
        {"inputs": 9, "widths": 5, "classes": 3, "damping": 0.2, "iterations": 3, "label_strength": 2.0}
        | {"softmax_decay": 0.01, "top_down_start": 0.5},
    ),
    "Backprop": (twofold.Backprop, {"pixels": 9, "widths": 5, "classes": 3}),
    "Rule": (twofold.Rule, {"temperature": 1.0, "smoothing": 0.5, "decay": 0.1, "peer": 0.1, "tolerance": 0.1}),
    "FeedForward.learn": (
        lambda **rates: NETS["feedforward"]().learn(torch.rand(4, 64), torch.arange(4), **rates),
        {"rate": 0.1, "softmax_rate": 0.1},
    ),
    "Backprop.scores": (lambda **size: NETS["backprop"]().scores(torch.rand(4, 64), **size), {"shortlist": 2}),
}
"""Right calls. Every number in them has a least value of 0 or more."""


@pytest.mark.parametrize("key", RANGES)
def test_a_number_outside_its_range_is_named(key: str) -> None:
    function, given = RANGES[key]
    function(**given)
    for name in (name for name, value in given.items() if type(value) in (int, float)):
        for wrong in (-1, math.nan) if type(given[name]) is float else (-1,):
            said = refusal(lambda name=name, wrong=wrong: function(**{**given, name: wrong}), SettingError)
            assert name in said
            assert str(wrong) in said


# ---- other forms of right values -----------------------------------------------------------------------------------


def test_numbers_of_numpy_and_torch_arrays_and_names_are_taken() -> None:
    layer = twofold.Dense(np.int64(9), torch.tensor(5))  # type: ignore[arg-type]
    assert (type(layer.units), layer.units, type(layer.inputs)) == (int, 5, int)
    net = twofold.FeedForward.dense(np.array([1, 3, 3]), [5, np.int8(4)], 3)  # type: ignore[arg-type, list-item]
    assert net.widths == (5, 4)
    assert twofold.Rule(objective="symba", unit="tanh").objective is twofold.OBJECTIVES["symba"]  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["feedforward", "recurrent", "unsupervised", "backprop"])
def test_arrays_and_lists_give_what_tensors_give(kind: str) -> None:
    images, labels = torch.rand(4, 1, 8, 8, generator=seeded()), torch.arange(4)
    nets = [NETS[kind]() for _ in range(3)]
    forms: list[Mapping[str, Any]] = [
        {"images": images, "labels": labels, "rate": 0.1},
        {"images": images.numpy(), "labels": labels.numpy().astype(np.uint8), "rate": np.float64(0.1)},
        {"images": images.tolist(), "labels": labels.tolist(), "rate": torch.tensor(0.1, dtype=torch.float64)},
    ]
    for net, form in zip(nets, forms, strict=True):
        net.learn(**form, generator=seeded())
        assert net.predict(form["images"]).equal(nets[0].predict(images))
        assert net.evaluate(form["images"], form["labels"]).error == nets[0].evaluate(images, labels).error
    for name, tensor in nets[0].state_dict().items():
        assert all(torch.equal(tensor, net.state_dict()[name]) for net in nets[1:])
