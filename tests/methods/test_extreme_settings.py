"""Whatever number stands in a recipe: a training gives finite results, or one line that says which setting to change.

Oracles: JSON, which holds no NaN; the name of the field.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
import torch

import twofold
from support.helpers import refusal
from twofold import machine
from twofold.data import Dataset, as_dataset
from twofold.data.transforms import jitter
from twofold.errors import ArgumentError, DataError, Diverged, SettingError, TwofoldError
from twofold.goodness import GOODNESS
from twofold.layers.dense import dense
from twofold.methods import METHODS, Recipe, build
from twofold.objectives import OBJECTIVES
from twofold.recipes import RECIPES
from twofold.training.trainer import Trainer, fit

SMALL: dict[str, Any] = {"data": "tiny", "widths": (8, 9), "epochs": 3, "batch": 8}
LOCAL: dict[str, Any] = {"widths": (18, 8), "field_sizes": (3, 2), "strides": (1, 1), "margins": (0, 0)}

FAMILIES: dict[str, Recipe] = {
    RECIPES[name].method: replace(RECIPES[name], **SMALL)
    for name in ("digits", "recurrent", "mnist-hybrid", "digits-twin")
}
"""A small recipe of each family."""

REALS = [1e-45, 1e-30, 1e-10, 1e3, 1e8, 1e15, 1e20, 1e38, 1e300]
WHOLES = [0, -1, 1, 2, 10**6, 2**31 - 2, 2**40, 2**70, 10**5000]

OF_FIELDS = ("fields of", "stride is", "margin is")
OTHER_WORDS: dict[str, tuple[str, ...]] = {
    "validation": ("cannot hold out",),
    "widths": ("GB of memory", "units do not divide evenly over"),
    **dict.fromkeys(("field_sizes", "strides", "margins"), OF_FIELDS),
}
"""What is said of a field that does not go with the data or the machine, instead of its name."""


def trained(recipe: Recipe, data: Dataset) -> dict[str, Any]:
    """The metrics of at most three epochs and the answers, as JSON holds them."""
    if recipe.validation:
        data = data.hold_out(recipe.validation)
    needed = METHODS[recipe.method].needed_memory(recipe, data.form, "fp32", False)
    machine.require_memory(needed, torch.device("cpu"), False)
    trainer = Trainer(build(recipe, data.form), recipe, data.train)
    history = list(itertools.islice(trainer.epochs(), 3))
    net = trainer.method.net
    found = {"history": history, "error": net.evaluate(*data.test).error, "case": net.explain(data.test[0][:1])}
    read: dict[str, Any] = json.loads(json.dumps(found, allow_nan=False))
    return read


def numbers(recipe: Recipe) -> dict[str, list[Any]]:
    """The extreme values of each numeric field; of several numbers the first is extreme."""
    found: dict[str, list[Any]] = {}
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        if isinstance(value, float):
            found[field.name] = REALS
        elif isinstance(value, tuple) and value:
            found[field.name] = [(number, *value[1:]) for number in WHOLES if number != 10**6]  # it would fit
        elif isinstance(value, int) and not isinstance(value, bool):
            found[field.name] = [number for number in WHOLES if field.name != "iterations" or not 2 < number < 2**31]
    return found


CASES = [
    pytest.param(recipe, name, id=f"{recipe.method}{'-local' if recipe.fields().get('field_sizes') else ''}-{name}")
    for family in FAMILIES.values()
    for recipe in (family, replace(family, **LOCAL) if hasattr(family, "margins") else family)
    for name in (numbers(recipe) if recipe is family else ["field_sizes", "strides", "margins", "widths"])
    if recipe is family or hasattr(family, "margins")
]


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "field"), CASES)
def test_any_number_gives_finite_results_or_one_line_that_names_the_field(
    tiny: Dataset, recipe: Recipe, field: str
) -> None:
    for value in numbers(recipe)[field]:
        try:
            trained(replace(recipe, **{field: value}), tiny)
        except TwofoldError as error:
            said = str(error)
            assert "\n" not in said
            known = (field, *OTHER_WORDS.get(field, ()))
            assert any(words.replace("-", "_") in said.replace("-", "_") for words in known), said


WILD: dict[str, tuple[str, dict[str, Any], type[TwofoldError], str]] = {
    # family, settings -> what is said
    "decay": ("forward-forward", {"decay": 1e9}, SettingError, "--decay is 1e+09, expected less than 50 with --rate"),
    "rate and decay": (
        "recurrent",
        {"rate": 1e9},
        SettingError,
        "--rate is 1e+09, expected less than 500 with",
    ),
    "softmax": ("forward-forward", {"softmax_rate": 1e20}, SettingError, "--softmax-rate is 1e+20, expected less than"),
    "softmax's decay": ("unsupervised", {"softmax_decay": 11.0}, SettingError, "--softmax-decay is 11, expected less"),
    "twin": ("backprop", {"decay": 1.0}, SettingError, "--decay is 1, expected less than 1 with --rate 0.1"),
    "label": ("forward-forward", {"label_strength": 1e16}, SettingError, "--label-strength is 1e+16, expected at most"),
    "rate": ("unsupervised", {"rate": 1e8, "decay": 0.0}, Diverged, "lower --rate (it is 1e+08)"),
    "twin's rate": ("backprop", {"rate": 1e8, "decay": 0.0}, Diverged, "lower --rate (it is 1e+08)"),
    "peers": ("forward-forward", {"peer": 1e15}, Diverged, "lower --peer (it is 1e+15)"),
    "floor": ("forward-forward", {"floor": 1e20}, Diverged, "lower --floor (it is 1e+20)"),
    "top": ("recurrent", {"label_strength": 1e15}, Diverged, "lower --label-strength (it is 1e+15)"),
    "dead": ("unsupervised", {"rate": 1e3, "decay": 0.0}, Diverged, "the net is dead after 10 batches: no unit of any"),
    "weights alone": (
        "unsupervised",
        {"rate": 1e30, "decay": 0.0},
        Diverged,
        "a value of layers.0.weight is no longer finite",
    ),
}


@pytest.mark.parametrize("wild", WILD)
def test_the_setting_that_is_out_of_proportion_is_the_one_to_lower(tiny: Dataset, wild: str) -> None:
    family, changes, kind, words = WILD[wild]
    assert words in refusal(lambda: trained(replace(FAMILIES[family], **changes), tiny), kind)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_real_number_may_be_nan_or_infinite(family: str) -> None:
    recipe = FAMILIES[family]
    reals = [field.name for field in fields(recipe) if isinstance(getattr(recipe, field.name), float)]
    assert {"rate", "smoothing", "decay", "tolerance", "revisit"} <= set(reals)
    for name, value in itertools.product(reals, [float("nan"), float("inf"), -float("inf")]):
        said = refusal(lambda name=name, value=value: replace(recipe, **{name: value}), SettingError)  # type: ignore[misc]
        assert said.startswith(f"--{name.replace('_', '-')} is {value}")


# What is given in another type ---------------------------------------------------------------------------------------

TYPES: dict[str, tuple[Any, str]] = {
    "rate": ("fast", "rate is 'fast' (str), expected a number"),
    "epochs": (2.5, "epochs is 2.5 (float), expected a whole number"),
    "seed": (True, "seed is True (bool), expected a whole number"),
    "widths": ("100", "widths is '100' (str), expected a sequence of whole numbers"),
    "mirror": (1, "mirror is 1 (int), expected True or False"),
    "goodness": (
        GOODNESS["sum_of_squares"],
        "goodness has the type Goodness, expected a name: to use your own",
    ),
    "objective": (OBJECTIVES["symba"], "objective has the type Objective, expected a name: to"),
    "negatives": (len, "negatives has the type builtin_function_or_method, expected a name"),
}


@pytest.mark.parametrize("field", TYPES)
def test_a_field_of_another_type_is_named(field: str) -> None:
    value, words = TYPES[field]
    for recipe in FAMILIES.values():
        if hasattr(recipe, field):
            said = refusal(lambda recipe=recipe: replace(recipe, **{field: value}), ArgumentError)  # type: ignore[misc]
            assert said.startswith(words)


def test_what_is_unambiguous_becomes_what_a_recipe_holds() -> None:
    recipe = FAMILIES["forward-forward"]
    made = replace(recipe, widths=[20, 20], rate=1, epochs=torch.tensor(4), temperature=torch.tensor(0.5))
    assert (made.widths, made.rate, made.epochs, made.temperature) == ((20, 20), 1.0, 4, 0.5)
    assert made == replace(recipe, widths=(20, 20), rate=1.0, epochs=4, temperature=0.5)


# What means nothing --------------------------------------------------------------------------------------------------

ONE_WIDE = as_dataset("thin", torch.rand(8, 5, 1), torch.arange(8) % 4, torch.rand(4, 5, 1), torch.arange(4), classes=4)

NOTHING: dict[str, tuple[str, dict[str, Any], str]] = {
    "layers beyond the last": ("forward-forward", {"counted_from": 3}, "--counted-from is 3, expected at most 2"),
    "more of them": ("unsupervised", {"counted_from": 3}, "--counted-from is 3, expected at most 2"),
    "of a single layer": ("forward-forward", {"widths": (9,), "counted_from": 3}, "--counted-from is 3, expected at"),
    "iterations never run": (
        "recurrent",
        {"judge_to": 9},
        "--judge-to is 9, expected an iteration from 3 (--judge-from)",
    ),
    "nor learned from": ("recurrent", {"learn_from": 9}, "--learn-from is 9, expected an iteration from 1 to 8"),
    "fields that do not fit": ("recurrent", {**LOCAL, "field_sizes": (6, 2)}, "fields of 6 x 6 do not fit into a map"),
    "strides": ("unsupervised", {**LOCAL, "strides": (3, 1)}, "do not cover 2 of 5 pixels"),
    "margins": (
        "backprop",
        {**LOCAL, "margins": (3, 0)},
        "margin is 3, expected 0 to 2: with a larger margin, the outermost fields of 3 x 3 pixels",
    ),
    "half of the fields": (
        "backprop",
        {**LOCAL, "strides": (1,)},
        "--strides is 1, expected none or one for each of",
    ),
    "a batch without a pair": ("unsupervised", {"batch": 1}, "--batch is 1, expected at least 2"),
    "blurs": ("unsupervised", {"blurs": 50}, "--blurs is 50, expected less than 50: patches would be larger"),
    "width": ("recurrent", {"widths": (2**31 - 2, 9)}, "GB of memory"),
    "epochs": ("backprop", {"epochs": 2**70}, "--epochs is an integer of 72 bits, expected at most 32 bits"),
    "seed": ("backprop", {"seed": -(2**63)}, "--seed is an integer of 65 bits, expected at most 64 bits"),
}


@pytest.mark.parametrize("nothing", NOTHING)
def test_a_setting_that_means_nothing_is_refused(tiny: Dataset, nothing: str) -> None:
    family, changes, words = NOTHING[nothing]
    assert words in refusal(lambda: trained(replace(FAMILIES[family], **changes), tiny), SettingError)


@pytest.mark.parametrize("family", FAMILIES)
def test_images_are_not_shifted_out_of_sight_nor_mirrored_where_there_is_nothing_to_see(
    tiny: Dataset, family: str
) -> None:
    def all_of(data: Dataset, **changes: Any) -> Callable[[], object]:
        return lambda: trained(replace(FAMILIES[family], **changes), data)

    trained(replace(FAMILIES[family], epochs=1, jitter=4, mirror=True), tiny)
    for reach in (5, 1000, 100_000):
        said = refusal(all_of(tiny, jitter=reach), SettingError)
        assert said.startswith(f"--jitter is {reach}, expected less than 5: images have 5 x 5 pixels")
    assert "--jitter is 1, expected less than 1" in refusal(all_of(ONE_WIDE, jitter=1), SettingError)
    assert "--mirror has no effect on images that are one pixel wide" in refusal(
        all_of(ONE_WIDE, mirror=True), SettingError
    )


@pytest.mark.parametrize("reach", [0, 1, 4, 5, 6, 1000])
def test_a_shift_beyond_the_image_costs_no_more_than_one_to_its_edge(tiny: Dataset, reach: int) -> None:
    """Oracle: one image after the other, shifted by the offsets that are drawn."""
    drawn, images = torch.Generator().manual_seed(0), tiny.train_images[:20]
    shifted = jitter(images, reach, torch.Generator().manual_seed(0))
    offsets = torch.randint(2 * reach + 1, (2, 20), generator=drawn).T - reach
    for image, found, (down, right) in zip(images, shifted, offsets.tolist(), strict=True):
        expected = torch.zeros_like(image)
        for row, column in itertools.product(range(5), repeat=2):
            if 0 <= row + down < 5 and 0 <= column + right < 5:
                expected[:, row, column] = image[:, row + down, column + right]
        assert torch.equal(found, expected)


@pytest.mark.parametrize("family", ["forward-forward", "unsupervised"])
def test_a_single_layer_is_read_by_the_default_that_leaves_out_the_first(tiny: Dataset, family: str) -> None:
    """`twofold train digits --widths 100` has to work."""
    for counted in (1, 2):
        recipe = replace(FAMILIES[family], widths=(9,), epochs=1, counted_from=counted)
        assert build(recipe, tiny.form).read == range(1)


def test_a_net_has_no_layers_above_its_last_one() -> None:
    for make in (twofold.Unsupervised, twofold.FeedForward):
        said = refusal(lambda make=make: make(dense(25, (9, 8)), 4, counted_from=3), SettingError)  # type: ignore[misc]
        assert said == "counted_from is 3, expected at most 2: choose a lower layer"


# Few cases -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cases", [1, 2, 5])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_of_one_and_data_with_fewer_cases_than_classes_give_finite_metrics(
    tiny: Dataset, family: str, cases: int
) -> None:
    """Five cases in batches of four leave one for the last batch."""
    recipe = FAMILIES[family]
    net, some = build(recipe, tiny.form), tuple(part[:cases] for part in tiny.train)
    if family == "unsupervised" and cases == 1:
        assert "a hybrid is made of two images" in refusal(lambda: fit(net, *some, epochs=3, batch=4), DataError)
        return
    assert len(list(map(json_of, fit(net, *some, epochs=3, batch=4)))) == 3


@pytest.mark.parametrize("family", FAMILIES)
def test_an_epoch_that_leaves_all_cases_out_has_metrics_without_a_mean(tiny: Dataset, family: str) -> None:
    recipe = replace(FAMILIES[family], tolerance=0.9, revisit=1e-30)
    trainer = Trainer(build(recipe, tiny.form), recipe, tiny.train)
    trainer.method.sampler.difficulty.zero_()
    metrics = json_of(next(trainer.epochs()))
    assert (metrics["visits"], metrics["train_error"]) == (0, 1)
    assert metrics.get("loss") is None
    assert not any(metrics.get("layers", []))


def json_of(metrics: dict[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(json.dumps(metrics, allow_nan=False))
    return read
