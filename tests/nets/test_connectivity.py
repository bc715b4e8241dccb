"""Nets whose units see fields, against the same nets with all weights stored and a mask over them.

The mask is the oracle: what it leaves out is a zero in a plain matrix, and the learning of such a net is that of a
dense one, which other tests hold to the written-out formulas.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from support.helpers import refusal
from twofold.data import Dataset
from twofold.data.transforms import mirror
from twofold.errors import SettingError
from twofold.goodness import GOODNESS
from twofold.layers.connectivity import Connectivity, Full, Masked
from twofold.layers.dense import Dense
from twofold.layers.fields import Fields, fields_for
from twofold.layers.tiles import Tiled, top_down
from twofold.learning import Rule
from twofold.methods import METHODS, BackpropRecipe, RecurrentRecipe, build
from twofold.methods.backprop import Backpropagation
from twofold.methods.cases import TensorCases
from twofold.methods.method import Batch
from twofold.nets.backprop import Backprop
from twofold.nets.recurrent import Recurrent
from twofold.nets.unsupervised import Unsupervised
from twofold.normalize import centered, normalize
from twofold.objectives import OBJECTIVES
from twofold.recipes import RECIPES, as_twin
from twofold.training.runs import load
from twofold.training.train import train

IMAGE, CASES, CLASSES = (2, 6, 5), 4, 3
NEARLY = {"rtol": 1e-3, "atol": 1e-5}
FIRST = fields_for(3 * 30, IMAGE, 3, 1, 1)
SECOND = fields_for(2 * 30, FIRST.above, 5, 1, 2)
DIGITS = {"shape": [1, 8, 8], "classes": 10}
COARSE = Fields((3, 7, 7), 4, 3, 2)
RULE = Rule(GOODNESS["minus_sum_of_squares"], OBJECTIVES["swish_symba"], 3.0, smoothing=0.5, decay=0.1, peer=0.1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=seeded(seed), dtype=torch.float64)


KINDS: dict[str, Callable[[], Connectivity]] = {
    "full": lambda: Full(7, 5),
    "masked": lambda: Masked(rand(7, 5) < 0.5),
    "fields": lambda: Tiled(FIRST),
    "fields, one tile": lambda: Tiled(SECOND, SECOND.grid),
    "fields, a tile for each point": lambda: Tiled(SECOND, (1, 1)),
    "seen from above": lambda: top_down(SECOND),
    "seen from above, a coarser grid": lambda: top_down(COARSE),
}


@pytest.mark.parametrize("kind", KINDS)
def test_products_are_those_of_the_written_out_matrix(kind: str) -> None:
    seen = KINDS[kind]().double()
    weight = seen.draw(torch.ones(seen.units), seeded()).double()
    whole = seen.to_matrix(weight)
    assert whole.shape == (seen.units, seen.inputs)
    assert torch.equal((whole != 0).sum(1), seen.fan_in())
    rows, total = rand(6, seen.inputs), rand(6, seen.units, seed=1)
    torch.testing.assert_close(seen.matmul(weight, rows, total), total + rows @ whole.T)
    torch.testing.assert_close(seen.matmul(weight, rows, total[0]), total[0] + rows @ whole.T)

    wanted, gradient = rand(seen.units, 6, seed=2), torch.full_like(weight, torch.nan)
    seen.gather(gradient, wanted, rows)
    torch.testing.assert_close(seen.to_matrix(seen.mask(gradient)), (wanted @ rows).where(whole != 0, 0.0))


@pytest.mark.parametrize("kind", KINDS)
def test_each_units_first_weights_are_as_large_as_asked_for(kind: str) -> None:
    seen = KINDS[kind]()
    scale = torch.arange(1.0, seen.units + 1)
    plain, scaled = (seen.to_matrix(seen.draw(each, seeded())) for each in (torch.ones(seen.units), scale))
    torch.testing.assert_close(scaled, scale[:, None] * plain)


def test_units_see_from_above_what_sees_them() -> None:
    for fields in (FIRST, SECOND, COARSE, Fields((2, 7, 6), 3, 3)):
        seen = top_down(fields)
        whole = seen.to_matrix(seen.draw(torch.ones(seen.units), seeded()))
        assert torch.equal(whole != 0, fields.mask().T)


def nets(**options: Any) -> tuple[Recurrent, Recurrent]:
    """A recurrent net with fields in both directions, and the same with masks."""
    made = []
    for masks in (False, True):
        seen: list[dict[str, Connectivity]] = [{"below": Tiled(FIRST), "above": top_down(SECOND)}]
        seen.append({"below": Tiled(SECOND)})
        if masks:
            seen = [{"below": Masked(FIRST.mask()), "above": Masked(SECOND.mask().T.contiguous())}]
            seen.append({"below": Masked(SECOND.mask())})
        net = Recurrent(60, (90, 60), CLASSES, RULE, connectivity=seen, generator=seeded(), **options).double()
        for layer in net.stack:
            layer.bias += 0.3 * rand(layer.units)
        made.append(net)
    ours, other = made
    for mine, theirs in zip(ours.stack, other.stack, strict=True):
        for name, weight in theirs.weights.items():
            weight.copy_(mine.connectivity[name].to_matrix(mine.weights[name]))
    return ours, other


@pytest.mark.parametrize("label_to", ["top", "all"])
def test_a_recurrent_net_with_fields_learns_what_one_with_masks_learns(label_to: str) -> None:
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    ours, other = nets(label_to=label_to)
    first = [dict(layer.weights.items()) for layer in other.stack]
    first = [{name: weight.clone() for name, weight in layer.items()} for layer in first]
    for number in range(3):
        images = rand(CASES, *IMAGE, seed=number)
        for net in (ours, other):
            frame = net.images(images)
            start = tuple(each.repeat(2) for each in net.start(frame))
            net.learn_video(repeat(frame, 4), net.top(labels), start, 0.1, window=3)
    images = rand(CASES, *IMAGE, seed=9)
    torch.testing.assert_close(
        ours.goodness(images, ours.every_label(images)), other.goodness(images, other.every_label(images))
    )
    for mine, theirs, before in zip(ours.stack, other.stack, first, strict=True):
        for name, weight in theirs.weights.items():
            torch.testing.assert_close(mine.connectivity[name].to_matrix(mine.weights[name]), weight.data)
            there = before[name] != 0
            assert not weight[~there].any()
            assert (weight != before[name])[there].float().mean() > 0.9


def test_with_the_label_for_all_it_is_in_every_layer_after_one_iteration() -> None:
    images, (right, wrong) = rand(CASES, *IMAGE), torch.tensor([[0, 1, 2, 0], [1, 2, 0, 1]])
    for label_to, differs in (("top", [False, True]), ("all", [True, True])):
        net, _ = nets(label_to=label_to)
        frame = net.images(images)
        one, other = (net.step(frame, net.top(labels), net.start(frame)) for labels in (right, wrong))
        assert [not torch.equal(a.state, b.state) for a, b in zip(one, other, strict=True)] == differs
    assert [set(layer.weights) for layer in net.stack] == [{"below", "above", "label"}, {"below", "above"}]


def test_a_twin_with_fields_learns_what_one_with_masks_learns() -> None:
    twin = RECIPES["mnist-twin"]
    assert isinstance(twin, BackpropRecipe)
    made: list[Backprop] = []
    for seen in ([Tiled(FIRST), Tiled(SECOND)], [Masked(FIRST.mask()), Masked(SECOND.mask())]):
        made.append(Backprop(60, (90, 60), CLASSES, seeded(), connectivity=seen, center=True).double())
    for mine, theirs in zip(*(net.stack for net in made), strict=True):
        theirs.weight.data = mine.connectivity.to_matrix(mine.weight)
    for net in made:
        net.stack[-1].weight.data = rand(CLASSES, 60)
    labels, cases = torch.arange(CASES) % CLASSES, torch.arange(CASES)
    recipe, data = replace(twin, rate=0.1, decay=0.1), (rand(CASES, *IMAGE), labels)
    methods = [Backpropagation(net, recipe, TensorCases(data)) for net in made]
    for number in range(3):
        for method in methods:
            method.step(Batch(rand(CASES, *IMAGE, seed=number), labels, cases, torch.ones(CASES)), 0.0)
    for mine, theirs in zip(*(net.stack for net in made), strict=True):
        torch.testing.assert_close(mine.connectivity.to_matrix(mine.weight), theirs.weight.data)
    for fields, layer in zip((FIRST, SECOND), made[1].stack, strict=False):
        assert torch.equal(layer.weight != 0, fields.mask())


def test_the_recipe_of_the_paper_has_its_net() -> None:
    recipe = RECIPES["cifar-local"]
    assert isinstance(recipe, RecurrentRecipe)
    net = build(recipe, {"shape": [3, 32, 32], "classes": 10})
    assert isinstance(net, Recurrent)
    assert [layer.units for layer in net.stack] == [3072, 3072]
    assert [{name: int(one.fan_in().max()) for name, one in layer.connectivity.items()} for layer in net.stack] == [
        {"below": 363, "above": 363},
        {"below": 363, "above": 10},
    ]
    assert int(net.stack[0].connectivity["above"].fan_in().min()) == 3 * 36
    twin = build(RECIPES["cifar-local-twin"], {"shape": [3, 32, 32], "classes": 10})
    assert isinstance(twin, Backprop)
    assert [int(layer.connectivity.fan_in().max()) for layer in twin.stack] == [363, 363, 3072]


def test_centered_images_have_no_mean_and_the_length_of_normalized_ones() -> None:
    images = rand(CASES, *IMAGE) + 3
    found = centered(images)
    torch.testing.assert_close(found, normalize(images - images.mean((1, 2, 3), keepdim=True)))
    torch.testing.assert_close(centered(0.5 * images + 2), found, **NEARLY)
    net, _ = nets(center=True)
    torch.testing.assert_close(net.images(images).rows, found.flatten(1))
    torch.testing.assert_close(net.fast(images), net.fast(0.5 * images + 2), **NEARLY)
    twin = Backprop(60, (9,), CLASSES, seeded(), center=True).double()
    twin.stack[-1].weight.data = rand(CLASSES, 9)
    torch.testing.assert_close(twin(images), twin(0.5 * images + 2), **NEARLY)
    assert not torch.allclose(twin(images), twin(images.roll(1, 3)))
    layer = Dense(60, 9, Rule(), seeded()).double()
    unsupervised = Unsupervised([layer], CLASSES, center=True)
    torch.testing.assert_close(unsupervised.images(images).rows, found.flatten(1))


def test_mirrored_images_are_turned_over_left_to_right_every_other_time() -> None:
    images = rand(400, 2, 3, 4)
    found = mirror(images, seeded())
    turned = (found == images.flip(3)).flatten(1).all(1)
    assert torch.equal(turned, ~(found == images).flatten(1).all(1))
    assert 150 < int(turned.sum()) < 250


def small(**changes: Any) -> RecurrentRecipe:
    """A recurrent net with fields for the 8 x 8 digits."""
    recipe = RECIPES["cifar-local"]
    assert isinstance(recipe, RecurrentRecipe)
    small: dict[str, Any] = {"data": "digits", "widths": (192, 192), "field_sizes": (5, 5), "margins": (2, 2)}
    small |= {"epochs": 8, "batch": 40, "temperature": 20.0, "rate": 0.06, "tolerance": 0.0, "mirror": False}
    return replace(recipe, **small | changes)


@pytest.mark.slow
def test_a_recurrent_net_with_fields_learns_digits_and_is_read_back(digits: Dataset, tmp_path: Path) -> None:
    result = train(small(), tmp_path / "run", digits, device="cpu", precision="fp32")
    assert result.error["slow"] < 0.08
    net = load(tmp_path / "run", "cpu").net
    assert isinstance(net, Recurrent)
    assert all(isinstance(layer.connectivity["below"], Tiled) for layer in net.stack)
    right = net.slow(digits.test_images).argmax(1) == digits.test_labels
    assert 1 - right.float().mean().item() == pytest.approx(result.error["slow"])


def test_with_twin_hands_fields_and_images_to_the_twin() -> None:
    recipe, twin = small(center=True, mirror=True), RECIPES["mnist-twin"]
    made = as_twin(twin, recipe)
    assert isinstance(made, BackpropRecipe)
    for name in ("data", "widths", "field_sizes", "strides", "margins", "center", "mirror"):
        assert getattr(made, name) == getattr(recipe, name)


def test_fields_need_less_memory(digits: Dataset) -> None:
    whole = small(field_sizes=(), strides=(), margins=())
    needed = METHODS["recurrent"].needed_memory
    assert needed(small(), digits.form, "fp32", False) < needed(whole, digits.form, "fp32", False)


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (lambda: Masked(torch.ones(3, 4)), "expected torch.bool of shape (units, inputs)"),
        (lambda: Masked(torch.ones(3, dtype=torch.bool)), "of shape (3,), expected torch.bool"),
        (
            lambda: Recurrent(60, (90, 60), CLASSES, RULE, connectivity=[{"below": Full(90, 50)}]),
            "connectivity['below'] has 90 units and 50 inputs, expected 90 units and 60 inputs",
        ),
        (lambda: Recurrent(60, (90,), CLASSES, RULE, label_to="bottom"), "unknown label_to 'bottom'"),
        (lambda: small(label_to="bottom"), "unknown label-to 'bottom'"),
        (lambda: small(margins=(1,)), "--margins is 1, expected none, or one number for each of 2 layers"),
        (lambda: build(small(margins=(2, 5)), DIGITS), "margin is 5, expected 0 to 4"),
        (lambda: build(small(widths=(100, 192)), DIGITS), "100 units do not divide evenly over 8 x 8 grid points"),
        (lambda: build(small(field_sizes=(13, 5)), DIGITS), "do not fit into a map of 8 x 8"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(action: Callable[[], object], told: str) -> None:
    assert told in refusal(action, SettingError)
