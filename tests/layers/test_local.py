"""Local layers against a dense layer whose weights are zero wherever a unit does not see, unit by unit.

Were one of these to fail, a unit would see more or less than its field, or learn from something else.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from support.helpers import refusal
from support.small_layers import authors_rule
from twofold.data import Dataset
from twofold.errors import SettingError
from twofold.layers.dense import Dense, SparseLayer
from twofold.layers.fields import Fields, fields_for
from twofold.layers.local import LocallyConnected, local
from twofold.layers.tiles import MAX_STORED, MIN_UNITS, blocks_of, tile_of
from twofold.learning import Rule
from twofold.methods import UnsupervisedRecipe, build
from twofold.recipes import RECIPES
from twofold.training.runs import load
from twofold.training.train import train
from twofold_lab.benchmarks.local import LocalLayer, Unfolded

CIFAR = Fields((3, 32, 32), 3, 11, margin=5)
MNIST = (Fields((1, 28, 28), 128, 10, 6), Fields((128, 4, 4), 220, 2), Fields((220, 3, 3), 512, 2))
SMALL = [
    Fields((1, 7, 7), 2, 3),
    Fields((2, 9, 7), 3, 3, 2),
    Fields((3, 8, 6), 2, 5, margin=2),
    Fields((2, 6, 6), 1, 3, 3, 0),
    Fields((1, 5, 5), 4, 5),
    Fields((2, 9, 9), 2, 3, 2, margin=1),
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sees(fields: Fields) -> Tensor:
    """What each unit sees, unit by unit and pixel by pixel."""
    _, height, width = fields.below
    rows, columns = fields.grid
    found = torch.zeros(fields.units, fields.inputs, dtype=torch.bool)
    for unit in range(fields.units):
        row, column = unit // columns % rows, unit % columns
        for pixel in range(fields.inputs):
            y, x = pixel // width % height, pixel % width
            down, across = y - (row * fields.stride - fields.margin), x - (column * fields.stride - fields.margin)
            found[unit, pixel] = 0 <= down < fields.field and 0 <= across < fields.field
    return found


@pytest.mark.parametrize("fields", SMALL)
@pytest.mark.parametrize("tile", [None, (1, 1), (2, 3), (9, 9)])
def test_it_learns_what_a_dense_layer_learns_that_sees_no_more(fields: Fields, tile: tuple[int, int] | None) -> None:
    seen = sees(fields)
    ours = LocallyConnected(fields, authors_rule(temperature=3.0, tolerance=0.1), seeded(), tile).double()
    dense = Dense(fields.inputs, fields.units, authors_rule(temperature=3.0, tolerance=0.1)).double()
    dense.weight.copy_(ours.to_matrix())
    assert torch.equal(dense.weight != 0, seen)
    assert torch.equal(fields.mask(), seen)
    generator = seeded(1)
    for _ in range(3):
        positive, negative = torch.rand(2, 8, fields.inputs, generator=generator, dtype=torch.float64)
        found = ours.learn(positive, negative, 0.3)
        wanted = dense.learn(positive, negative, 0.3)
        dense.weight *= seen
        dense.weight_velocity *= seen
        for one, other in ((found.positive, wanted.positive), (found.negative, wanted.negative)):
            assert torch.allclose(one, other, atol=1e-12)
        assert torch.allclose(found.difficulty, wanted.difficulty, atol=1e-12)
        assert torch.allclose(ours.to_matrix(), dense.weight, atol=1e-12)
        assert torch.allclose(ours.bias, dense.bias, atol=1e-12)


@pytest.mark.parametrize("fields", SMALL)
def test_what_a_unit_does_not_see_does_not_change_it(fields: Fields) -> None:
    layer = LocallyConnected(fields, Rule(), seeded()).double()
    image = torch.rand(1, fields.inputs, generator=seeded(1), dtype=torch.float64)
    before, unseen = layer(image), ~sees(fields)
    for pixel in range(0, fields.inputs, 5):
        other = image.clone()
        other[0, pixel] += 1
        changed = (layer(other) != before)[0]
        assert not bool((changed & unseen[:, pixel]).any())


def test_first_weights_are_as_large_as_a_units_own_field_asks_for() -> None:
    weight = LocallyConnected(CIFAR, Rule(), seeded()).to_matrix()
    seen = CIFAR.mask()
    corner, middle = 0, 16 * 32 + 16
    assert int(seen[corner].sum()) == 3 * 36
    assert int(seen[middle].sum()) == 363
    length = weight.square().sum(1)
    assert abs(float(length.mean()) - 1) < 0.01
    assert abs(float(length[[0, 31, 992, 1023]].mean()) - 1) < 0.2


@pytest.mark.parametrize("fields", [CIFAR, *MNIST, *SMALL, Fields((1, 16, 16), 1, 3, margin=1)])
def test_no_more_than_twice_the_weights_are_stored(fields: Fields) -> None:
    layer = LocallyConnected(fields, Rule())
    existing = int(fields.mask().sum())
    assert fields.weights == existing == int(layer.connectivity.fan_in().sum())
    assert not layer.to_matrix()[~fields.mask()].any()
    assert layer.weight.numel() <= MAX_STORED * existing


def test_tiles_are_as_wide_as_products_want_them() -> None:
    tile = tile_of(CIFAR)
    assert tile[0] * tile[1] * CIFAR.channels >= MIN_UNITS
    assert [tile_of(fields) for fields in MNIST] == [(1, 1)] * 3
    assert [len(blocks_of(fields, (1, 1))) for fields in MNIST] == [1] * 3
    assert sum(block.units.numel() for block in blocks_of(CIFAR, tile)) == CIFAR.units


def test_the_net_of_the_paper_has_its_sizes() -> None:
    assert [fields.above for fields in MNIST] == [(128, 4, 4), (220, 3, 3), (512, 2, 2)]
    recipe = RECIPES["mnist-hybrid-local"]
    net = build(recipe, {"shape": [1, 28, 28], "classes": 10})
    layers = list(net.layers)
    assert all(isinstance(layer, LocallyConnected) for layer in layers)
    assert tuple(layer.fields for layer in layers) == MNIST  # type: ignore[union-attr]


def test_copies_in_the_type_of_the_products_are_renewed() -> None:
    layer = LocallyConnected(SMALL[1], authors_rule(), seeded())
    layer.compute = torch.bfloat16
    positive, negative = torch.rand(2, 8, SMALL[1].inputs, generator=seeded(1))
    for _ in range(2):
        layer.learn(positive, negative, 0.3)
    fresh = LocallyConnected(SMALL[1], authors_rule(), seeded())
    fresh.compute = torch.bfloat16
    fresh.load_state_dict(layer.state_dict())
    assert layer(positive).dtype == torch.bfloat16
    assert torch.equal(layer(positive), fresh(positive))


def test_all_ways_of_the_benchmark_learn_the_same() -> None:
    fields = Fields((2, 6, 6), 2, 3, margin=1)
    layers = LocalLayer.layers(fields)
    ours = layers["tiles"].double()
    assert isinstance(ours, LocallyConnected)
    whole = ours.to_matrix()
    other, masked, unfolded = (layers[name].double() for name in ("gather", "masked", "unfold"))
    assert isinstance(other, LocallyConnected)
    assert isinstance(masked, SparseLayer)
    assert isinstance(unfolded, SparseLayer)
    squares = unfolded.connectivity
    assert isinstance(squares, Unfolded)
    masked.weight.copy_(whole)
    for block, rows, columns in zip(
        other.connectivity._blocks(other.weight),
        other.connectivity._tiles(other.connectivity._units[:, None], 1),
        other.connectivity._tiles(other.connectivity._inputs[:, None], 2),
        strict=True,
    ):
        block.copy_(whole[rows, columns.transpose(1, 2)])
    eye = squares._patches(torch.eye(fields.inputs, dtype=torch.float64))
    # Each grid point's products with single pixels are its weights.
    unfolded.weight.copy_(eye.transpose(1, 2) @ whole.view(2, 36, -1).permute(1, 2, 0))
    positive, negative = torch.rand(2, 6, fields.inputs, generator=seeded(1), dtype=torch.float64)
    for _ in range(2):
        found = [layer.learn(positive, negative, 0.3).positive for layer in (ours, other, masked, unfolded)]
        for each in found[1:]:
            assert torch.allclose(each, found[0], atol=1e-12)
    assert torch.allclose(masked.weight, ours.to_matrix(), atol=1e-12)
    assert torch.equal(other.to_matrix() != 0, fields.mask())


@pytest.mark.slow
def test_local_layers_learn_digits_without_a_label(digits: Dataset, tmp_path: Path) -> None:
    recipe = RECIPES["mnist-hybrid-local"]
    assert isinstance(recipe, UnsupervisedRecipe)
    changes: dict[str, Any] = {"data": "digits", "widths": (25 * 12, 16 * 16), "field_sizes": (4, 2)}
    changes |= {"strides": (1, 1), "margins": (0, 0)}
    recipe = replace(recipe, **changes, epochs=15, batch=40, blurs=2, rate=0.03)
    result = train(recipe, tmp_path / "run", digits, device="cpu", precision="fp32")
    assert result.error["fast"] < 0.06
    net = load(tmp_path / "run").net
    assert torch.equal(net.fast(digits.test[0]), load(tmp_path / "run").net.fast(digits.test[0]))


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (lambda: Fields((1, 8, 8), 2, 9), "fields of 9 x 9 do not fit into a map of 8 x 8"),
        (
            lambda: Fields((1, 8, 8), 2, 3, 2),
            "stride is 2, but then fields of 3 with a margin of 0 do not cover 1 of 8 pixels",
        ),
        (lambda: Fields((1, 8, 8), 0, 3), "channels is 0"),
        (lambda: Fields((1, 8, 8), 2, 3, 0), "stride is 0"),
        (lambda: Fields((1, 8, 8), 2, 3, 1, 3), "margin is 3, expected 0 to 2"),
        (lambda: fields_for(100, (1, 8, 8), 3), "100 units do not divide evenly over 6 x 6 grid points"),
        (
            lambda: list(local([SMALL[0], SMALL[0]], Rule())),
            "expects the map (1, 7, 7), but the layer below has (2, 5, 5)",
        ),
        (lambda: replace(RECIPES["mnist-hybrid-local"], strides=(1,)), "--strides is 1, expected"),
        (lambda: replace(RECIPES["mnist-hybrid"], strides=(1,)), "--strides is 1, expected"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(action: Any, told: str) -> None:
    assert told in refusal(action, SettingError)
