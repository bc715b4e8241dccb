"""Weights that other hardware holds: they are read once for several passes, or for every pass anew.

Oracles: weights on this machine, counts of reads. A read that is noisy gives positive and negative cases noise of their
own; were a product kept and used again, the noise would be the same for both, and a layer could learn to ignore it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from support.small_layers import CASES, RATE, UNITS, Read, SeparateRead, authors_rule, seeded
from twofold.labels import one_hot
from twofold.layers.connectivity import Full
from twofold.layers.dense import Dense
from twofold.layers.inputs import CachedInput, Images, LabeledImages
from twofold.layers.recurrent import RecurrentLayer, TimeStep
from twofold.normalize import normalize

PIXELS, CLASSES, ITERATIONS = 12, 4, 5


def declared_on_the_instance(*given: Any) -> Read:
    read = Read(*given)
    read.linear = False
    return read


SEPARATE: dict[str, Callable[..., Read]] = {"of the class": SeparateRead, "of the instance": declared_on_the_instance}


def dense_layer() -> Dense:
    return Dense(PIXELS + CLASSES, UNITS, authors_rule(temperature=3.0), seeded()).double()


def read_by(layer: Dense, kind: Callable[..., Read], noise: float = 0.0) -> Read:
    """The layer's weights, taken over by weights of this kind."""
    layer.weights = read = kind(layer, "weight", layer.connectivity, noise)
    return read


def pixels(seed: int = 0) -> Images:
    rows = torch.rand(CASES, PIXELS + CLASSES, generator=seeded(seed), dtype=torch.float64)
    return Images(rows.index_fill(1, torch.arange(CLASSES), 0.0))


def labeled(images: Images, shift: int) -> LabeledImages:
    return LabeledImages(images, one_hot((torch.arange(CASES) + shift) % CLASSES, CLASSES, 2.5)[None])


# Images with labels --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("anew", SEPARATE)
def test_weights_that_are_read_anew_are_read_in_every_pass_and_others_once_for_all(anew: str) -> None:
    for kind, rows in ((Read, [CASES]), (SEPARATE[anew], [CASES, CASES, CASES, 2 * CASES])):
        layer, images = dense_layer(), pixels()
        read = read_by(layer, kind)
        for shift in range(3):
            layer(labeled(images, shift))
        layer.learn(labeled(images, 0), labeled(images, 1), RATE)
        assert read.rows == rows


@pytest.mark.parametrize("anew", SEPARATE)
def test_a_dense_layer_learns_the_same_from_exact_weights_however_often_they_are_read(anew: str) -> None:
    layer, other = dense_layer(), dense_layer()
    read_by(other, SEPARATE[anew])
    for step in range(4):
        images = pixels(step)
        found = [each.learn(labeled(images, 0), labeled(images, 1), RATE) for each in (layer, other)]
        torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(other.state_dict(), layer.state_dict(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(other.learning_state(), layer.learning_state(), rtol=1e-12, atol=1e-12)


def test_every_pass_and_every_row_has_noise_of_its_own_where_weights_are_read_anew() -> None:
    images = pixels()
    for kind, alike in ((Read, True), (SeparateRead, False)):
        layer = dense_layer()
        layer.bias += 5.0  # so that no unit is silent
        read_by(layer, kind, noise=0.1)
        first, second = layer(labeled(images, 0)), layer(labeled(images, 0))
        assert bool((first == second).all()) == bool((first == second).any()) == alike
        twice = layer(LabeledImages(images, labeled(images, 0).labels.repeat(2, 1, 1))).view(2, CASES, UNITS)
        assert bool((twice[0] == twice[1]).all()) == bool((twice[0] == twice[1]).any()) == alike


def test_noise_does_not_get_into_the_weights_but_through_what_is_learned() -> None:
    layer, exact = dense_layer(), dense_layer()
    read_by(layer, SeparateRead, noise=0.01)
    layer(labeled(pixels(), 0))
    torch.testing.assert_close(layer.state_dict(), exact.state_dict(), rtol=0, atol=0)
    for each in (layer, exact):
        each.learn(labeled(pixels(), 0), labeled(pixels(), 1), RATE)
    change = layer.weight - exact.weight
    assert 0 < change.norm() < 0.1 * (exact.weight - dense_layer().weight).norm()


def test_a_product_that_was_shared_is_not_used_once_weights_are_read_anew() -> None:
    module = nn.Module()
    module.register_parameter("weight", nn.Parameter(torch.rand(UNITS, 3, generator=seeded()), requires_grad=False))
    read, frame = Read(module, "weight", Full(UNITS, 3), 0.1), CachedInput(torch.rand(CASES, 3, generator=seeded(1)))
    first = frame.product(read)
    assert torch.equal(frame.product(read), first)
    read.linear = False
    assert not torch.equal(frame.product(read), first)
    assert read.rows == [CASES, CASES]


# Frames and labels of recurrent layers -------------------------------------------------------------------------------


def recurrent_layer() -> RecurrentLayer:
    sources = {"below": PIXELS, "above": CLASSES, "beside": UNITS}
    return RecurrentLayer(sources, UNITS, authors_rule(temperature=3.0), seeded()).double()


def read_from(layer: RecurrentLayer, kinds: dict[str, Callable[..., Read]], noise: float = 0.0) -> dict[str, Read]:
    """The layer's weights to some of its sources, taken over by weights of these kinds."""
    found = {name: kind(layer.weights, name, layer.connectivity[name], noise) for name, kind in kinds.items()}
    layer.learned.update(found)
    return found


def look(layer: RecurrentLayer, seed: int = 0) -> list[TimeStep]:
    """Some iterations in front of an image that positive and negative cases share, under labels that stay."""
    frame = CachedInput(torch.rand(CASES, PIXELS, generator=seeded(seed), dtype=torch.float64))
    top = CachedInput(torch.eye(CLASSES, dtype=torch.float64)[torch.arange(2 * CASES) % CLASSES])
    state, steps = torch.ones(2 * CASES, UNITS, dtype=torch.float64), list[TimeStep]()
    for _ in range(ITERATIONS):
        sources = {"below": frame, "above": top, "beside": normalize(state)}
        after = layer.respond(sources, state, 0.3)
        steps.append(TimeStep(sources, after.active, after.goodness))
        state = after.state
    return steps


@pytest.mark.parametrize("anew", SEPARATE)
def test_at_every_iteration_weights_are_read_anew_or_what_stays_is_read_once(anew: str) -> None:
    layer = recurrent_layer()
    read = read_from(layer, {"below": Read, "above": Read, "beside": Read})
    look(layer)
    once = {"below": [CASES], "above": [2 * CASES], "beside": ITERATIONS * [2 * CASES]}
    assert {name: each.rows for name, each in read.items()} == once
    layer = recurrent_layer()
    read = read_from(layer, {"below": SEPARATE[anew], "above": SEPARATE[anew], "beside": SEPARATE[anew]})
    look(layer)
    assert {name: each.rows for name, each in read.items()} == dict.fromkeys(read, ITERATIONS * [2 * CASES])


@pytest.mark.parametrize("sources", [("below",), ("above",), ("below", "above", "beside")])
def test_a_recurrent_layer_learns_the_same_from_exact_weights_however_often_they_are_read(
    sources: tuple[str, ...],
) -> None:
    layer, other = recurrent_layer(), recurrent_layer()
    read_from(other, dict.fromkeys(sources, SeparateRead))
    for step in range(3):
        for each in (layer, other):
            each.gather(look(each, step))
            each.apply_gradient(RATE)
        torch.testing.assert_close(other.state_dict(), layer.state_dict(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(other.learning_state(), layer.learning_state(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["bias", "weights"])
def test_a_long_video_is_gathered_as_exactly_as_a_short_one(kind: str) -> None:
    """In bfloat16 a thousandth of what is new is nothing beside what is there."""
    torch.manual_seed(0)
    layer, moments = Dense(PIXELS, UNITS), 2000
    layer.compute = torch.bfloat16
    wanted, rows = torch.randn(moments, UNITS, 1).bfloat16(), torch.rand(moments, 1, PIXELS).bfloat16()
    wanted += 0.5 * torch.linspace(-1, 1, moments)[:, None, None].bfloat16()
    for number in range(moments):
        keep, share = number / (number + 1), 1 / (number + 1)
        if kind == "bias":
            layer.biases.gather(wanted[number, :, 0], keep, share)
        else:
            layer.weights.gather_product(wanted[number], rows[number], keep, share)
    found = (layer.biases if kind == "bias" else layer.weights).gradient
    expected = wanted.double().mean(0)[:, 0] if kind == "bias" else (wanted.double() @ rows.double()).mean(0)
    assert found is not None
    assert (found.double() - expected).norm() < 0.01 * expected.norm()


@pytest.mark.parametrize("source", ["below", "above"])
def test_copies_of_a_frame_and_iterations_have_noise_of_their_own_where_weights_are_read_anew(source: str) -> None:
    layer = recurrent_layer()
    layer.bias += 5.0  # so that no unit is silent
    read_from(layer, {source: SeparateRead}, noise=0.1)
    frame = CachedInput(torch.rand(CASES, PIXELS, generator=seeded(), dtype=torch.float64))
    top = CachedInput(torch.eye(CLASSES, dtype=torch.float64)[torch.arange(CASES) % CLASSES].repeat(2, 1))
    before = torch.ones(2 * CASES, UNITS, dtype=torch.float64)
    one, other = (layer.respond({"below": frame, "above": top}, before, 0.0).active for _ in range(2))
    assert not torch.isclose(one, other, atol=1e-9).any()
    assert not torch.isclose(one[:CASES], one[CASES:], atol=1e-9).any()
