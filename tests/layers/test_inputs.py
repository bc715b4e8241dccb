"""What a layer gets from below: a matrix that is never written out gives what the written-out one gives, for less work.

Oracles: the matrix itself in float64, row by row from its formula; counts of multiply-adds. Were the short forms wrong,
every net would learn from other pictures than the ones it is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from support.small_layers import authors_rule
from twofold.labels import FLAT, neutral, one_hot
from twofold.layers.connectivity import Full
from twofold.layers.dense import Dense
from twofold.layers.inputs import (
    Images,
    LabeledImages,
    LayerInput,
    active_rows,
    gather_gradient,
    join,
    to_tensor,
    total_input,
)
from twofold.layers.layer import FeedForwardLayer
from twofold.layers.module import CustomLayer
from twofold.layers.weights import Weights
from twofold.learning import Rule
from twofold.normalize import normalize
from twofold.objectives import OBJECTIVES

PIXELS, CLASSES, BATCH, UNITS = 12, 4, 7, 5


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def pictures(seed: int = 0, count: int = BATCH) -> Tensor:
    """Of rather different lengths, so that a wrong one shows."""
    sizes = torch.linspace(0.2, 3, BATCH, dtype=torch.float64)[:, None]
    return (sizes * torch.rand(BATCH, PIXELS, generator=seeded(seed), dtype=torch.float64))[:count]


def ready(way: str, seed: int = 0, count: int = BATCH) -> Images:
    return Images(FLAT[way](pictures(seed, count), torch.zeros(count, CLASSES)))


def holding(weight: Tensor) -> Weights:
    """Weights of a layer, of that value."""
    return Weights(nn.Module(), "weight", weight, Full(*weight.shape))


def label_vectors(variants: int, count: int) -> Tensor:
    """Stated labels, and among them a neutral one, in the type that they come in."""
    vectors = [one_hot((torch.arange(count) + n) % CLASSES, CLASSES, 2.5) for n in range(variants)]
    if variants > 2:
        vectors[2] = neutral(count, CLASSES, 2.5, vectors[2].device)
    return torch.stack(vectors)


def a_pair(images: Images) -> tuple[LabeledImages, LabeledImages]:
    """The images with one label each, and with another."""
    positive, negative = label_vectors(2, BATCH)
    return LabeledImages(images, positive[None]), LabeledImages(images, negative[None])


def by_hand(way: str, vectors: Tensor) -> Tensor:
    """Row by row: the picture with the label put into it, at fixed length."""
    rows = [
        normalize(FLAT[way](pictures()[case : case + 1], vector[None]))[0]
        for variant in vectors
        for case, vector in enumerate(variant)
    ]
    return torch.stack(rows)


SHAPES = [(way, variants, count) for way in FLAT for variants in (1, 2, 4) for count in (BATCH, 3)]
"""Ways of putting the label in, label vectors of each image, images."""


# Oracle: the matrix itself -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("way", "variants", "count"), SHAPES)
def test_written_out_it_is_each_picture_with_its_label_at_fixed_length(way: str, variants: int, count: int) -> None:
    vectors = label_vectors(variants, count)
    stated = LabeledImages(ready(way, count=count), vectors)
    assert len(stated) == variants * count
    torch.testing.assert_close(stated.to_tensor(), by_hand(way, vectors))
    torch.testing.assert_close(to_tensor(stated), by_hand(way, vectors))


@pytest.mark.parametrize(("way", "variants", "count"), SHAPES)
def test_total_inputs_are_those_of_the_written_out_matrix(way: str, variants: int, count: int) -> None:
    vectors = label_vectors(variants, count)
    rows = by_hand(way, vectors)
    weight, bias = normal(UNITS, rows.shape[1]), normal(UNITS, seed=1)
    expected = rows @ weight.T + bias
    weights = holding(weight)
    stated = LabeledImages(ready(way, count=count), vectors)
    torch.testing.assert_close(total_input(stated, weights, bias), expected)
    torch.testing.assert_close(total_input(rows, weights, bias), expected)


BUSY: dict[str, Callable[[int], Tensor]] = {
    "all": lambda rows: torch.ones(rows, dtype=torch.float64),
    "none": lambda rows: torch.zeros(rows, dtype=torch.float64),
    "the first": lambda rows: (torch.arange(rows) == 0).double(),
    "the last": lambda rows: -(torch.arange(rows) == rows - 1).double(),
    "some": lambda rows: normal(rows, seed=2) * (torch.arange(rows) % 3 == 1),
    "pairs": lambda rows: (normal(rows // 2, seed=2) * (torch.arange(rows // 2) % 2)).repeat(2),
}
"""Which rows have a signal, and how strong it is."""


def gathered(below: LayerInput, wanted: Tensor, rows: Tensor, positive: Tensor, pull: Tensor) -> Tensor:
    """The weight gradient, from nothing."""
    weights = holding(torch.zeros(UNITS, to_tensor(below).shape[1], dtype=torch.float64))
    gather_gradient(weights, below, wanted, rows, positive, pull, 0.0, 1.0)
    assert weights.gradient is not None
    return weights.gradient


@pytest.mark.parametrize("which", BUSY)
@pytest.mark.parametrize(("way", "variants", "count"), [shape for shape in SHAPES if shape[1] % 2 == 0])
def test_the_weight_gradient_is_that_of_the_written_out_matrix(way: str, variants: int, count: int, which: str) -> None:
    """Also of the pull of the peers, which all positive rows feel as they count, whether they have a signal or not."""
    vectors = label_vectors(variants, count)
    stated, rows = LabeledImages(ready(way, count=count), vectors), by_hand(way, vectors)
    signal, slope, pull = BUSY[which](len(rows)), normal(len(rows), UNITS, seed=3), normal(UNITS, seed=4)
    counts = normal(len(rows) // 2, seed=5).abs()
    expected = (signal[:, None] * slope).T @ rows + torch.outer(pull, counts @ rows[: len(counts)])
    everywhere = torch.arange(len(rows))  # as on a GPU, which is not asked which rows have a signal
    for below in (stated, rows):
        for chosen in (active_rows(below, signal), everywhere):
            assert set(signal.nonzero()[:, 0].tolist()) <= set(chosen.tolist())
            wanted = (signal[:, None] * slope)[chosen]
            torch.testing.assert_close(gathered(below, wanted, chosen, counts, pull), expected)


@given(st.lists(st.booleans(), min_size=2 * BATCH, max_size=2 * BATCH))
def test_what_goes_into_the_gradient_are_the_images_that_have_a_signal_under_any_label(some: list[bool]) -> None:
    """Work is saved only where rows are left out; a written-out matrix knows no images, only rows."""
    signal = torch.tensor(some, dtype=torch.float64)
    stated = LabeledImages(ready("prepend"), label_vectors(2, BATCH))
    images = [case for case in range(BATCH) if some[case] or some[BATCH + case]]
    assert active_rows(stated, signal).tolist() == images + [BATCH + case for case in images]
    assert active_rows(stated.to_tensor(), signal).tolist() == [row for row, has in enumerate(some) if has]


@pytest.mark.parametrize("kind", ["the same images", "other images", "written out"])
def test_two_batches_are_joined_positive_rows_first(kind: str) -> None:
    images = ready("overlay")
    positive = LabeledImages(images, label_vectors(2, BATCH)[:1])
    negative = LabeledImages(images if kind == "the same images" else ready("overlay", 1), label_vectors(2, BATCH)[1:])
    both = join(positive, negative.to_tensor() if kind == "written out" else negative)
    assert isinstance(both, LabeledImages) == (kind == "the same images")
    torch.testing.assert_close(to_tensor(both), torch.cat([positive.to_tensor(), negative.to_tensor()]))


def test_narrow_products_are_nearly_the_wide_ones_and_have_their_type() -> None:
    vectors = label_vectors(2, BATCH)
    images, rows = (
        Images(FLAT["prepend"](pictures().float(), torch.zeros(BATCH, CLASSES))),
        by_hand("prepend", vectors),
    )
    stated, weight, bias = LabeledImages(images, vectors), normal(UNITS, rows.shape[1]), normal(UNITS, seed=1)
    weights = holding(weight.float())
    weights.compute = torch.bfloat16
    found = total_input(stated, weights, bias.bfloat16())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), rows @ weight.T + bias, rtol=0.02, atol=0.1)
    wanted, pull = normal(len(rows), UNITS, seed=3), normal(UNITS, seed=4)
    gradient = gathered(stated, wanted.bfloat16(), torch.arange(len(rows)), torch.ones(BATCH), pull.bfloat16())
    expected = wanted.T @ rows + torch.outer(pull, rows[:BATCH].sum(0))
    assert (gradient.double() - expected).norm() < 0.01 * expected.norm()


# The product with the images -----------------------------------------------------------------------------------------


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """The types of the products with images that have been computed so far."""
    computed: list[torch.dtype] = []
    multiply = Full.matmul

    def counted(connectivity: Full, weight: Tensor, rows: Tensor, total: Tensor) -> Tensor:
        computed.append(weight.dtype)
        return multiply(connectivity, weight, rows, total)

    monkeypatch.setattr(Full, "matmul", counted)
    return computed


def test_a_batch_costs_one_product_with_its_images(products: list[torch.dtype]) -> None:
    images, layer = ready("prepend"), Dense(PIXELS + CLASSES, UNITS, authors_rule(), seeded()).double()
    for vectors in (label_vectors(1, BATCH), label_vectors(2, BATCH), label_vectors(4, BATCH)):
        layer(LabeledImages(images, vectors))
    positive, negative = a_pair(images)
    layer.learn(positive, negative, 0.1)
    assert products == [torch.float64]


CHANGES: dict[str, Callable[[Dense, Images], object]] = {
    "learn": lambda layer, images: layer.learn(*a_pair(images), 0.5),
    "load": lambda layer, _: layer.load_state_dict(
        Dense(PIXELS + CLASSES, UNITS, authors_rule(), seeded(5)).state_dict()
    ),
    "edit": lambda layer, _: layer.weight[0].add_(1.0),
}


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_the_product_with_the_images_is_never_stale(change: str, narrow: bool) -> None:
    """A net that is shown its images through yesterday's weights still learns something, and nobody would notice."""
    images, layer = ready("prepend"), Dense(PIXELS + CLASSES, UNITS, authors_rule(), seeded()).double()
    layer.compute = torch.bfloat16 if narrow else None
    vectors = label_vectors(1, BATCH)
    for _ in range(3):
        before = layer(LabeledImages(images, vectors))
        CHANGES[change](layer, images)
        after = layer(LabeledImages(images, vectors))
        assert torch.equal(after, layer(LabeledImages(ready("prepend"), vectors)))
        if change != "load":
            assert not torch.equal(after, before)


def test_layers_that_share_images_do_not_share_the_product() -> None:
    images, vectors = ready("prepend"), label_vectors(1, BATCH)
    layers = [Dense(PIXELS + CLASSES, UNITS, authors_rule(), seeded(seed)).double() for seed in range(2)]
    for layer in (*layers, *layers):
        expected = (by_hand("prepend", vectors) @ layer.weight.T + layer.bias).relu()
        torch.testing.assert_close(layer(LabeledImages(images, vectors)), expected)


def test_weights_that_lie_where_others_have_lain_are_not_taken_for_them() -> None:
    """Memory that was given back is used again: an address alone does not tell two matrices apart."""
    images, rows = ready("prepend"), ready("prepend").rows
    memory = np.zeros((UNITS, PIXELS + CLASSES))
    for seed in range(2):
        memory[:] = normal(UNITS, PIXELS + CLASSES, seed=seed).numpy()
        weight = torch.from_numpy(memory)
        torch.testing.assert_close(images.product(holding(weight)), rows @ weight.T)


# Learning from it ----------------------------------------------------------------------------------------------------


def dense_layer(rule: Rule) -> Dense:
    layer = Dense(PIXELS + CLASSES, UNITS, rule, seeded()).double()
    layer.bias.add_(normal(UNITS, seed=1), alpha=0.1)
    return layer


def module_layer(rule: Rule) -> CustomLayer:
    linear_part = nn.Linear(PIXELS + CLASSES, UNITS).double()
    linear_part.load_state_dict(dense_layer(rule).state_dict())
    return CustomLayer(nn.Sequential(linear_part, nn.ReLU()), UNITS, rule).double()


LAYERS: dict[str, Callable[[Rule], FeedForwardLayer]] = {"dense": dense_layer, "module": module_layer}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("tolerance", [0.0, 0.4, 0.999])
def test_a_layer_learns_the_same_from_it_as_from_the_written_out_matrix(
    kind: str, objective: str, tolerance: float
) -> None:
    """Whatever is left out, to the last case: with the largest tolerance and few signals some batches have none."""
    rule = Rule(objective=OBJECTIVES[objective], temperature=20.0, tolerance=tolerance, smoothing=0.7, decay=0.05)
    short, long = LAYERS[kind](rule), LAYERS[kind](rule)
    weight = torch.linspace(0.5, 2, BATCH, dtype=torch.float64)
    for step in range(6):
        images = ready("prepend", seed=step)
        positive, negative = a_pair(images)
        learned = short.learn(positive, negative, 0.3, weight)
        expected = long.learn(positive.to_tensor(), negative.to_tensor(), 0.3, weight)
        torch.testing.assert_close(learned, expected)
        torch.testing.assert_close(short.state_dict(), long.state_dict())
        torch.testing.assert_close(short.learning_state(), long.learning_state())


@pytest.mark.parametrize("stated", [True, False])
def test_where_no_case_has_a_signal_the_peers_still_pull(stated: bool) -> None:
    """After some epochs many batches of an easy task are such: a training must neither stop there nor stand still."""
    nothing = replace(OBJECTIVES["logistic"], signal=lambda *excess: (0 * excess[0], 0 * excess[1]))
    layer = dense_layer(Rule(objective=nothing, smoothing=0.0, decay=0.0, peer=0.2))
    images = ready("prepend")
    positive, negative = a_pair(images)
    rows = positive.to_tensor()
    mean = 0.9 * 0.5 + 0.1 * layer(rows).mean(0)
    below = (positive, negative) if stated else (rows, negative.to_tensor())
    assert layer.learn(below[0], below[1], 0.3).difficulty.tolist() == [0.0] * BATCH
    pull = 0.2 * (mean.mean() - mean)
    torch.testing.assert_close(layer.weight_velocity, torch.outer(pull, rows.mean(0)))
    torch.testing.assert_close(layer.bias_velocity, pull)
