"""Values against type hints: what is converted, what is refused, and how the refusal reads."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
import pytest
import torch
from torch import Tensor

from support.helpers import refusal
from twofold.checks import BY_NAME, check_arguments, check_fields, convert, words
from twofold.checks.bounds import counts, floating, not_negative, positive, shaped, share, sizes
from twofold.errors import ArgumentError, DataError, SettingError

T = TypeVar("T")


class Named(Protocol):
    name: str


@runtime_checkable
class Learns(Protocol):
    def learn(self) -> None: ...


@dataclass
class Size:
    """A type of the user's."""


SIZE = Size()
TWO, HALF = torch.tensor(2), torch.tensor(0.5, dtype=torch.float64)

CONVERTED: list[tuple[Any, Any, Any]] = [
    *((one, int, 2) for one in (2, np.int64(2), np.uint8(2), TWO, np.array(2))),
    *((one, float, 0.5) for one in (0.5, np.float32(0.5), HALF, np.array(0.5))),
    (2, float, 2.0),
    (np.True_, bool, True),
    (np.str_("digits"), str, "digits"),
    *((one, Path, Path("runs/x")) for one in ("runs/x", Path("runs/x"))),
    *((one, torch.device, torch.device("cpu")) for one in ("cpu", torch.device("cpu"))),
    *((one, tuple[int, ...], (2, 3)) for one in ([2, 3], (2, 3), range(2, 4), np.array([2, 3]), torch.tensor([2, 3]))),
    *((one, tuple[int, float], (2, 3.0)) for one in ([2, 3], (np.int8(2), 3.0))),
    ((2, 3), Sequence[int], (2, 3)),
    ([2, 3], Sequence[int], [2, 3]),
    ({"below": np.int64(2)}, Mapping[str, int], {"below": 2}),
    *((one, float | None, one) for one in (None, 0.5)),
    (3, str | int, 3),
    ("both", Literal["one", "both"], "both"),
    *((one, Any, one) for one in (None, "x")),
    (SIZE, Size, SIZE),
    (3, T, 3),
    (3, Named, 3),
    (print, Callable[[int], None], print),
    (torch.neg, Callable[[Tensor], Tensor], torch.neg),
    (math.sqrt, Callable[..., float], math.sqrt),
]


def named(value: Any) -> str:
    """The name of a function, or the value itself: an address would be another one in each process."""
    return str(getattr(value, "__name__", value))


@pytest.mark.parametrize(("value", "hint", "expected"), CONVERTED, ids=named)
def test_what_is_unambiguous_is_converted(value: Any, hint: Any, expected: Any) -> None:
    found = convert("it", value, hint)
    assert found == expected
    assert type(found) is type(expected)


REFUSED: list[tuple[Any, Any, str]] = [
    (3.5, int, "it is 3.5 (float), expected a whole number"),
    (2.0, int, "it is 2.0 (float), expected a whole number"),
    (True, int, "it is True (bool), expected a whole number"),
    (torch.tensor(True), int, "it is numbers of type torch.bool and shape () on cpu, expected a whole number"),
    (10**400, float, f"it is {'1' + '0' * 17}...{'0' * 19} (int), expected a number"),
    (True, float, "it is True (bool), expected a number"),
    (1, bool, "it is 1 (int), expected True or False"),
    (None, str, "it is None, expected a string"),
    (b"x", Path, "it is of type bytes, expected a path"),
    ("abacus", torch.device, "it is 'abacus' (str), expected a device, such as 'cpu' or 'cuda'"),
    ("x", float | None, "it is 'x' (str), expected a number or None"),
    (100, tuple[int, ...], "it is 100 (int), expected a sequence of whole numbers"),
    ("100", tuple[int, ...], "it is '100' (str), expected a sequence of whole numbers"),
    ([2, "x"], tuple[int, ...], "it is [2, 'x'] (list), expected a sequence of whole numbers"),
    ((2,), tuple[int, int], "it is (2,) (tuple), expected 2 whole numbers"),
    ((2,), tuple[int, float], "it is (2,) (tuple), expected (a whole number, a number)"),
    ({2, 3}, Sequence[int], "it is of type set, expected a sequence of whole numbers"),
    (3, Iterable[Size], "it is 3 (int), expected a sequence of Size objects"),
    (
        {"a": "x"},
        Mapping[str, int],
        "it is {'a': 'x'} (dict), expected a mapping from strings to whole numbers",
    ),
    ("none", Literal["one", "both"], "it is 'none' (str), expected one of 'one', 'both'"),
    (True, Literal[1], "it is True (bool), expected one of 1"),
    (3, Size, "it is 3 (int), expected a Size"),
    (3, Learns, f"it is 3 (int), expected an object with the members of {__name__}.Learns"),
    (3, Callable[..., int], "it is 3 (int), expected a function"),
    (lambda: 3, Callable[[int], int], "it is of type function, expected a function of 1 argument"),
    (lambda a: a, Callable[[int, int], int], "it is of type function, expected a function of 2 arguments"),
    ("x", Tensor, "it is 'x' (str), expected a tensor or an array of numbers"),
    ([[1], [2, 3]], Tensor, "it is [[1], [2, 3]] (list), expected a tensor or an array of numbers"),
    (
        np.array(["x"]),
        Tensor,
        "it is numbers of type <U1 and shape (1,), expected a tensor or an array of numbers",
    ),
]


@pytest.mark.parametrize(("value", "hint", "says"), REFUSED, ids=named)
def test_what_would_be_a_guess_is_refused_in_words(value: Any, hint: Any, says: str) -> None:
    assert refusal(lambda: convert("it", value, hint), ArgumentError) == says


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3)[:, ::-1],
        np.broadcast_to(np.arange(3.0), (2, 3)),
        np.arange(3, dtype=">i4"),
        np.array([True, False]),
        [[1.0, 2.0], [3.0, 4.0]],
    ],
    ids=str,
)
def test_any_array_becomes_a_tensor_of_its_numbers(array: Any) -> None:
    found = convert("it", array, Tensor)
    assert isinstance(found, Tensor)
    assert found.tolist() == np.asarray(array).tolist()


def test_a_value_that_is_right_stays_itself() -> None:
    tensor, mapping = torch.rand(3), {"a": 1}
    assert convert("it", tensor, Tensor | None) is tensor
    assert convert("it", mapping, dict) is mapping


def test_a_known_name_stands_for_its_value_and_an_unknown_one_is_told_the_nearest(monkeypatch: Any) -> None:
    monkeypatch.setitem(BY_NAME, Size, {"small": SIZE})
    assert convert("size", "small", Size) is SIZE
    assert refusal(lambda: convert("size", "smal", Size), SettingError) == "unknown size 'smal': did you mean 'small'?"


def test_every_hint_has_words_of_one_line() -> None:
    assert words(tuple[int, ...] | None) == "a sequence of whole numbers or None"
    assert words(Iterable[Size]) == "a sequence of Size objects"
    assert words(Callable[[], int]) == "a function of 0 arguments"


@check_arguments
def learn(rows: Tensor, *more: int, rate: float, rule: Size = SIZE, **others: Any) -> tuple[Any, ...]:
    """Learn."""
    return rows, more, rate, rule, others


@check_arguments
def step(rows: Tensor, rate: float = 0.5, *, phase: Literal["one", "both"] = "both") -> tuple[Any, ...]:
    return rows, rate, phase


def test_typed_converts_all_arguments_and_keeps_the_face_of_the_function() -> None:
    rows, more, rate, rule, others = learn([1.0], np.int64(1), 2, rate=np.float64(0.5), decay=2)
    assert isinstance(rows, Tensor)
    assert (more, rate, rule, others) == ((1, 2), 0.5, SIZE, {"decay": 2})
    assert type(rate) is float
    assert (learn.__name__, learn.__doc__) == ("learn", "Learn.")
    rows, *rest = step(np.zeros(2), phase="one")
    assert isinstance(rows, Tensor)
    assert rest == [0.5, "one"]
    assert step(rows)[0] is rows


CALLS: dict[str, tuple[Callable[[], Any], str]] = {
    "a wrong type": (lambda: step(torch.zeros(2), rate="x"), "rate is 'x' (str), expected a number"),
    "a wrong type in a fast place": (lambda: step("x"), "rows is 'x' (str), expected a tensor or an array of numbers"),
    "a bool": (lambda: step(torch.zeros(2), True), "rate is True (bool), expected a number"),
    "one of several": (lambda: learn(torch.zeros(2), 1, 2.5, rate=1), "more is 2.5 (float), expected a whole number"),
    "missing": (step, "step: missing a required argument: 'rows'"),
    "misspelled": (lambda: step(torch.zeros(2), rat=1), "step: got an unexpected keyword argument 'rat'"),
    "too many": (lambda: step(torch.zeros(2), 0.5, 1), "step: too many positional arguments"),
    "twice": (lambda: step(torch.zeros(2), rows=torch.zeros(2)), "step: multiple values for argument 'rows'"),
}


@pytest.mark.parametrize("call", CALLS)
def test_typed_names_what_is_wrong(call: str) -> None:
    action, says = CALLS[call]
    assert refusal(action, ArgumentError) == says


def test_what_goes_wrong_inside_a_typed_function_stays_what_it_is() -> None:
    @check_arguments
    def broken(rate: float) -> None:
        raise TypeError("inside")

    with pytest.raises(TypeError, match=r"^inside$") as caught:
        broken(0.5)
    assert not isinstance(caught.value, ArgumentError)


@dataclass(frozen=True)
class Settings:
    widths: tuple[int, ...]
    rate: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)


def test_fields_are_checked_and_converted_where_they_are_frozen() -> None:
    made = Settings([2, 3], np.float32(0.5))  # type: ignore[arg-type]
    assert made == Settings((2, 3), 0.5)
    assert (type(made.widths), type(made.rate)) == (tuple, float)
    said = refusal(lambda: Settings((2,), "x"), ArgumentError)  # type: ignore[arg-type]
    assert said == "rate is 'x' (str), expected a number"


RANGES: dict[str, tuple[Callable[..., None], list[float], list[float]]] = {
    "positive": (positive, [1e-9, 5], [0, -1, math.nan, math.inf]),
    "not negative": (not_negative, [0, 5.5], [-1e-9, math.nan, math.inf, -math.inf]),
    "a share": (share, [0, 0.999], [1, -0.1, math.nan, math.inf]),
    "a count": (counts, [1, 1000], [0, -1, 2**31]),
    "a count from 2": (functools.partial(counts, 2), [2], [1, 0]),
}


@pytest.mark.parametrize("kind", RANGES)
def test_numbers_outside_their_range_are_named(kind: str) -> None:
    check, inside, outside = RANGES[kind]
    for number in inside:
        check(rate=number, other=None)
    for number in outside:
        assert refusal(lambda number=number: check(rate=number), SettingError).startswith(
            f"rate is {number}, expected "
        )


def test_sizes_are_at_least_one_and_each_above_zero() -> None:
    sizes(widths=(1, 2))
    assert refusal(lambda: sizes(widths=()), SettingError) == "widths is empty, expected at least one number"
    assert refusal(lambda: sizes(widths=(1, 0)), SettingError).startswith("widths is 0, expected at least 1")


TENSORS: dict[str, tuple[Tensor, tuple[Any, ...], str]] = {
    "another size": (torch.zeros(2, 3), ("batch", 4), "it: the shape is (2, 3), expected (batch, 4)"),
    "a dimension less": (torch.zeros(2), ("batch", 4), "it: the shape is (2,), expected (batch, 4)"),
    "none for the others": (torch.zeros(2), ("batch", "..."), "it: the shape is (2,), expected (batch, ...)"),
    "sparse": (torch.zeros(2).to_sparse(), ("batch",), "it: the tensor is sparse or on the meta device"),
    "without numbers": (torch.zeros(2, device="meta"), ("batch",), "it: the tensor is sparse or on the meta device"),
    "whole": (
        torch.arange(2),
        ("batch",),
        "it: the type is torch.int64, expected floating-point numbers: use .float()",
    ),
    "bytes": (torch.zeros(2, dtype=torch.uint8), (2,), "use .float(), and divide bytes by 255"),
}


@pytest.mark.parametrize("case", TENSORS)
def test_a_tensor_that_is_not_as_expected_is_named(case: str) -> None:
    tensor, shape, says = TENSORS[case]
    assert says in refusal(lambda: floating("it", tensor, *shape), DataError)


def test_a_tensor_on_another_device_is_named() -> None:
    tensor, cpu = torch.zeros(2, device="meta"), torch.device("cpu")
    said = refusal(lambda: shaped("it", tensor, 2, on=cpu), DataError)
    assert said == "it: the device is meta, expected cpu: move it with .to('cpu')"
    shaped("it", torch.zeros(2, 3, 4), 2, "...", on=cpu)
