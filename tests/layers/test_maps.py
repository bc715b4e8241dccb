"""Layers of maps: convolutions of any form, modules that are the same, units other than the rectifier, fixed parts.

Oracle: autograd of the written-out loss through `torch.nn.functional.conv2d`, in float64.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from support.helpers import refusal
from support.small_layers import CASES, RATE, authors_rule, batch, dense_layer, seeded
from twofold import Convolution, CustomLayer, Dense, FeedForward, Fixed, Rule
from twofold.activations import ACTIVATIONS
from twofold.errors import DataError, SettingError
from twofold.goodness import GOODNESS
from twofold.labels import one_hot
from twofold.layers.inputs import Images, LabeledImages
from twofold.layers.layer import FeedForwardLayer
from twofold.layers.recurrent import RecurrentLayer
from twofold.normalize import normalize
from twofold.objectives import OBJECTIVES

RULE = authors_rule(temperature=3.0, smoothing=0.7, decay=0.05, peer=0.0)

FORMS: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {
    "a rest of the stride": ((2, 8, 7), {"kernel_size": 3, "stride": 2}),
    "rectangular": ((3, 5, 9), {"kernel_size": (2, 4), "stride": (1, 2), "padding": (0, 3)}),
    "one by one": ((4, 3, 3), {"kernel_size": 1}),
    "dilated": ((2, 9, 8), {"kernel_size": 3, "padding": 2, "dilation": (2, 1)}),
    "groups": ((4, 5, 5), {"kernel_size": 3, "stride": (2, 3), "padding": 1, "groups": 2}),
    "padding beyond the kernel": ((1, 4, 4), {"kernel_size": 2, "padding": 3, "stride": 3}),
    "same size": ((2, 6, 5), {"kernel_size": (4, 3), "padding": "same", "dilation": (1, 2)}),
    "valid": ((2, 6, 5), {"kernel_size": 3, "padding": "valid", "stride": 2}),
    "the whole map": ((2, 4, 5), {"kernel_size": (4, 5)}),
}
CHANNELS = 4


def maps(shape: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    both = torch.randn(2, CASES, *shape, generator=seeded(seed), dtype=torch.float64)
    return normalize(both[0] + 0.5), normalize(both[1])


def convolution(form: str, rule: Rule = RULE) -> Convolution:
    below, how = FORMS[form]
    layer = Convolution(below, CHANNELS, **how, rule=rule, generator=seeded()).double()
    layer.bias += torch.linspace(-0.2, 0.2, CHANNELS, dtype=torch.float64)
    return layer


def as_module(form: str, rule: Rule = RULE) -> CustomLayer:
    below, how = FORMS[form]
    layer, inner = convolution(form), nn.Conv2d(below[0], CHANNELS, **how).double()
    inner.load_state_dict(layer.state_dict())
    return CustomLayer(nn.Sequential(inner, nn.ReLU()), layer.units, rule).double()


def descended(
    rule: Rule, activities: Callable[[Tensor], Tensor], positive: Tensor, negative: Tensor, peers: Tensor | float = 0.0
) -> Tensor:
    """½ mean loss, whose gradient a layer descends, less what peers ask of the positive total inputs."""
    good, bad = (rule.goodness.value(activities(side).flatten(1)) for side in (positive, negative))
    threshold = rule.goodness.threshold(activities(positive).flatten(1).shape[1])
    return 0.5 * rule.objective.loss(good - threshold, bad - threshold, rule.temperature or 0).mean() - peers


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("form", FORMS)
def test_a_convolution_of_any_form_descends_the_mean_over_places(form: str) -> None:
    layer, (below, how) = convolution(form), FORMS[form]
    positive, negative = maps(below, 1)
    how = {name: value for name, value in how.items() if name != "kernel_size"}
    weight, bias = (value.detach().clone().requires_grad_() for value in (layer.weight, layer.bias))
    loss = descended(layer.rule, lambda x: functional.conv2d(x, weight, bias, **how).relu(), positive, negative)
    expected = torch.autograd.grad(loss, [weight, bias])
    places = layer.shape[1] * layer.shape[2]
    found = layer.learn(positive, negative, RATE)
    assert found.positive.shape == (CASES, *layer.shape)
    for velocity, gradient in zip((layer.weight_velocity, layer.bias_velocity), expected, strict=True):
        torch.testing.assert_close(velocity, -0.3 * gradient / places, rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("form", FORMS)
def test_a_module_of_a_convolution_learns_what_a_convolution_learns(form: str) -> None:
    """One rate serves both: sums over places in one and means in the other would be two algorithms."""
    closed, module = convolution(form), as_module(form)
    for step in range(3):
        torch.testing.assert_close(
            *(each.learn(*maps(FORMS[form][0], step), RATE) for each in (closed, module)), rtol=1e-9, atol=1e-12
        )
        torch.testing.assert_close([*closed.parameters()], [*module.parameters()], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("form", ["rectangular", "groups"])
def test_maps_may_come_flat(form: str) -> None:
    whole, flat = convolution(form), convolution(form)
    positive, negative = maps(FORMS[form][0], 1)
    found = whole.learn(positive, negative, RATE)
    torch.testing.assert_close(found, flat.learn(positive.flatten(1), negative.flatten(1), RATE))
    torch.testing.assert_close(whole.weight, flat.weight)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kernel_size": 9}, "does not fit into an input of 6 x 5"),
        ({"groups": 2}, "groups is 2, expected a divisor of the 3 input and 4 output channels"),
        ({"stride": (1, 0)}, "stride is 0"),
        ({"padding": -1}, "padding is -1"),
        ({"padding": "sane"}, "unknown padding 'sane'"),
        ({"padding": "same", "stride": 2}, "stride is (2, 2), expected 1 with padding 'same'"),
    ],
)
def test_what_pytorch_would_refuse_is_refused_in_one_line(changes: dict[str, Any], said: str) -> None:
    arguments = {"shape_below": (3, 6, 5), "channels": 4, "kernel_size": 3, **changes}
    assert said in refusal(lambda: Convolution(**arguments), SettingError)


# Units ---------------------------------------------------------------------------------------------------------------


class Surrogate(torch.autograd.Function):
    """The threshold unit, with the slope by which it learns."""

    @staticmethod
    def forward(ctx: Any, total: Tensor) -> Tensor:
        ctx.save_for_backward(total)
        return 2 * (total > 0).to(total.dtype)

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> Tensor:  # type: ignore[override]
        (total,) = ctx.saved_tensors
        return above * 2 * (1 - total.abs()).clamp(min=0)


WRITTEN: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "leaky_relu": functional.leaky_relu,
    "gelu": functional.gelu,
    "tanh": lambda total: 1.7159 * torch.tanh(2 / 3 * total),
    "threshold": Surrogate.apply,  # type: ignore[dict-item]
}


@pytest.mark.parametrize(("unit", "goodness"), [*itertools.product(ACTIVATIONS, GOODNESS)])
@pytest.mark.parametrize("kind", ["dense", "convolution"])
def test_a_layer_of_any_unit_descends_the_written_out_loss(kind: str, unit: str, goodness: str) -> None:
    """A unit that is not zero when silent has a slope there, and only it says which."""
    rule = Rule(
        GOODNESS[goodness], OBJECTIVES["logistic"], 3.0, smoothing=0.7, decay=0.0, peer=0.0, unit=ACTIVATIONS[unit]
    )
    layer: Any = dense_layer(rule) if kind == "dense" else convolution("rectangular", rule)
    positive, negative = batch(1) if kind == "dense" else maps(FORMS["rectangular"][0], 1)
    weight, bias = (value.detach().clone().requires_grad_() for value in (layer.weight, layer.bias))

    def activity(below: Tensor) -> Tensor:
        total = (
            functional.linear(below, weight, bias)
            if kind == "dense"
            else functional.conv2d(below, weight, bias, (1, 2), (0, 3))
        )
        return WRITTEN[unit](total)

    expected = torch.autograd.grad(descended(rule, activity, positive, negative), [weight, bias])
    places = 1 if kind == "dense" else layer.shape[1] * layer.shape[2]
    seen = layer.respond(positive)
    torch.testing.assert_close(seen.activity, activity(positive).detach())
    layer.learn(positive, negative, RATE)
    for velocity, gradient in zip((layer.weight_velocity, layer.bias_velocity), expected, strict=True):
        torch.testing.assert_close(velocity, -0.3 * gradient / places, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("unit", ACTIVATIONS)
def test_only_units_that_need_it_keep_total_inputs(unit: str) -> None:
    layer = Dense(6, 5, Rule(unit=ACTIVATIONS[unit]), seeded())
    seen = layer.respond(torch.rand(4, 6, generator=seeded()))
    assert (seen.total is None) == (unit in ("relu", "leaky_relu", "tanh"))


def test_a_recurrent_layer_refuses_a_unit_whose_slope_needs_total_inputs() -> None:
    for unit in ACTIVATIONS.values():
        if unit.of_activity:
            RecurrentLayer({"below": 3}, 4, Rule(unit=unit))
        else:
            said = refusal(lambda unit=unit: RecurrentLayer({"below": 3}, 4, Rule(unit=unit)), SettingError)  # type: ignore[misc]
            assert "must have a derivative that depends only on the activity" in said


# Planes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["rectangular", "groups"])
@pytest.mark.parametrize("tolerance", [0.0, 0.6])
def test_a_convolution_learns_the_same_from_shared_images_as_from_the_written_out_maps(
    form: str, tolerance: float
) -> None:
    """The product with the images is made once for all labels; what is learned must not know."""
    shape = FORMS[form][0]
    rule = authors_rule(temperature=3.0, decay=0.05, peer=0.2, tolerance=tolerance)
    short, long = convolution(form, rule), convolution(form, rule)
    for step in range(4):
        images = torch.rand(CASES, *shape, generator=seeded(step), dtype=torch.float64)
        images[:, :2] = 0
        ready, label = Images(images.flatten(1), shape), torch.arange(CASES) % 2
        sides = [LabeledImages(ready, one_hot(each, 2, 0.7)[None].double()) for each in (label, 1 - label)]
        written = [
            normalize(torch.cat([images[:, :2] + each.labels[0][:, :, None, None], images[:, 2:]], 1)) for each in sides
        ]
        torch.testing.assert_close([side.to_tensor() for side in sides], written)
        torch.testing.assert_close(short.learn(*sides, RATE), long.learn(*written, RATE))
        torch.testing.assert_close(short.state_dict(), long.state_dict())
        torch.testing.assert_close(short.learning_state(), long.learning_state())


# Fixed parts ---------------------------------------------------------------------------------------------------------

CLASSES, PICTURE = 3, (1, 8, 8)


def stack(*fixed: nn.Module, module: bool = False) -> list[FeedForwardLayer | Fixed]:
    """Two layers, and what stands between them."""
    handed_on = nn.Sequential(*fixed)(torch.zeros(2, 4, 6, 6))[0].numel()
    first: FeedForwardLayer = Convolution((4, 8, 8), 4, 3, generator=seeded())
    if module:
        inner = nn.Conv2d(4, 4, 3)
        inner.load_state_dict(first.state_dict())
        first = CustomLayer(nn.Sequential(inner, nn.ReLU()), (4, 6, 6))
    return [first, *map(Fixed, fixed), Dense(handed_on, 7, generator=seeded(1))]


def picture(seed: int = 0, count: int = 6) -> tuple[Tensor, Tensor]:
    return torch.rand(count, *PICTURE, generator=seeded(seed)), torch.arange(count) % CLASSES


@pytest.mark.parametrize("module", [False, True])
@pytest.mark.parametrize("fixed", [(nn.MaxPool2d(2),), (nn.AvgPool2d(3), nn.Flatten())])
def test_a_layer_hands_on_what_the_fixed_parts_make_of_its_activity(fixed: tuple[nn.Module, ...], module: bool) -> None:
    net = FeedForward(stack(*fixed, module=module), CLASSES, label_in="planes")
    images, labels = picture()
    assert len(net.layers) == 2
    stated = net.with_label(images, labels)
    first, second = net.stack
    activity = first(stated).detach()
    below = normalize(nn.Sequential(*fixed)(activity))
    torch.testing.assert_close(first.respond(stated).output, below)
    both = [activity.flatten(1).square().sum(1), second(below).square().sum(1)]
    torch.testing.assert_close(net.goodness(images, labels[:, None])[:, 0], torch.stack(both, 1))
    net.learn(images, labels, rate=0.1)


def test_batch_statistics_are_those_of_both_phases_in_a_step_and_running_ones_in_a_test() -> None:
    """Statistics of each phase by itself would tell a layer which phase it is; those of a test batch would leak."""
    net = FeedForward(stack(nn.BatchNorm2d(4, affine=False)), CLASSES, label_in="planes").train()
    images, labels = picture()
    first, part = net.stack[0], net.stack[0].fixed[0]
    before = {name: value.clone() for name, value in part.state_dict().items()}
    answers = net.predict(images), net.slow(images), net.fast(images)
    torch.testing.assert_close(part.state_dict(), before)
    torch.testing.assert_close(net.slow(images[:1]), answers[1][:1])
    assert net.training
    assert part.training
    ready = net.images(images)
    positive, negative = net.with_label(ready, labels), net.with_label(ready, (labels + 1) % CLASSES)
    found = first.learn(positive, negative, 0.0)
    activity = torch.cat([first(side) for side in (positive, negative)])
    expected = normalize(functional.batch_norm(activity, None, None, training=True))
    torch.testing.assert_close(torch.cat([found.positive, found.negative]), expected)
    torch.testing.assert_close(part.running_mean, 0.1 * activity.mean((0, 2, 3)))
    assert "layers.0.fixed.0.running_mean" in net.state_dict()


MISTAKES: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "parameters": (lambda: Fixed(nn.BatchNorm2d(4)), SettingError, "BatchNorm2d has parameters (weight, bias)"),
    "first": (
        lambda: FeedForward([Fixed(nn.Flatten()), Dense(8, 4)], CLASSES),
        SettingError,
        "the first is Fixed, expected a layer that learns",
    ),
    "does not fit": (
        lambda: FeedForward([CustomLayer(nn.Linear(8, 4), 4), Fixed(nn.MaxPool2d(2))], CLASSES),
        SettingError,
        "give its output shape as units",
    ),
    "next does not fit": (
        lambda: FeedForward([*stack(nn.MaxPool2d(2))[:2], Dense(144, 4)], CLASSES, label_in="planes"),
        SettingError,
        "layer 2 has 144 inputs, but the layer below has 36",
    ),
    "planes for vectors": (
        lambda: FeedForward([Dense(8, 4)], CLASSES, label_in="planes"),
        SettingError,
        "label_in is planes, which does not fit the input shape (8,)",
    ),
    "no room for planes": (
        lambda: FeedForward([Convolution((3, 8, 8), 4, 3)], CLASSES, label_in="planes"),
        SettingError,
        "with 3 additional input channels",
    ),
    "vectors for maps": (
        lambda: FeedForward([Convolution((4, 8, 8), 4, 3)], CLASSES),
        SettingError,
        "label_in is prepend, which does not fit the input shape (4, 8, 8)",
    ),
    "flat pictures": (
        lambda: FeedForward(stack(), CLASSES, label_in="planes").predict(torch.rand(5, 64)),
        DataError,
        "images: the shape is (5, 64), expected (batch, channels, height, width)",
    ),
    "the shape of a module": (
        lambda: CustomLayer(nn.Linear(8, 4), (2, 2))(torch.rand(3, 8)),
        DataError,
        "the module's output: the shape is (3, 4), expected (3, 2, 2)",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_stack_of_maps_that_does_not_fit_is_refused_in_one_line(name: str) -> None:
    make, kind, said = MISTAKES[name]
    assert said in refusal(make, kind)
