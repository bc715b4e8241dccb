"""How far the label gets down a recurrent net, what the derivative through time is, and where a layer's input is from.

Oracles: a chain whose influence is known in closed form, the speed limit of one layer an iteration, finite differences
in float64. Were one of these to fail, figures of the claims relax, video, glom or no-later would mean something else.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from twofold.goodness import minus_sum_of_squares
from twofold.learning import Rule
from twofold.nets.backprop import Backprop
from twofold.nets.recurrent import Recurrent
from twofold.normalize import normalize
from twofold.objectives import swish_symba
from twofold.recipes.recurrent import recurrent
from twofold_lab.claims.glom import shares
from twofold_lab.claims.no_later import redraw
from twofold_lab.claims.relax import draw
from twofold_lab.claims.video import ThroughTime, unroll
from twofold_lab.influence import (
    BRIEF,
    Depth,
    Study,
    brief,
    decay,
    first_reached,
    front,
    influence,
    presentations,
    reached,
    sensitivity,
)

RULE = Rule(goodness=minus_sum_of_squares, objective=swish_symba, temperature=2.0)
PLAIN = replace(RULE, smoothing=0.0, decay=0.0, peer=0.0)
INPUTS, CLASSES, STRENGTH = 9, 3, 2.0


def a_net(widths: tuple[int, ...], rule: Rule = RULE, kind: type[Recurrent] = Recurrent, **options: Any) -> Recurrent:
    """In double, with biases that are not zero."""
    generator = torch.Generator().manual_seed(0)
    net = kind(INPUTS, widths, CLASSES, rule, label_strength=STRENGTH, generator=generator, **options).double()
    for layer in net.stack:
        layer.bias.data = 0.3 * torch.randn(layer.bias.shape, generator=generator, dtype=torch.float64)
    return net


def cases(count: int) -> tuple[Tensor, Tensor]:
    images = torch.rand(count, 1, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return images, torch.arange(count) % CLASSES


def chain(layers: int, gain: float, bias: float, damping: float = 0.0) -> Recurrent:
    """Each layer copies three units from above, times a gain, beside one unit that is always ``bias``."""
    net = a_net((6,) * layers, damping=damping)
    for layer in net.stack:
        layer.weights["below"].data.zero_()
        above = torch.zeros_like(layer.weights["above"])
        above[:3, :3] = gain * torch.eye(3)
        layer.weights["above"].data = above
        layer.bias.data = torch.tensor([0, 0, 0, 0, 0, bias], dtype=torch.float64)
    return net


def in_a_chain(layers: int, gain: float, bias: float) -> list[float]:
    """The same in closed form: the label's part x of a state (x, bias) moves by √2 x; what is seen has length √6."""
    found, seen = [], STRENGTH
    for _ in range(layers):
        part = gain * seen
        length = math.hypot(part, bias)
        found.append(math.sqrt(2) * part / length)
        seen = math.sqrt(6) * part / length
    return found[::-1]


# ---- influence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_the_influence_in_a_chain_is_the_closed_form(damping: float) -> None:
    images, labels = cases(4)
    found = influence(chain(5, 0.2, 1.5, damping), images, labels, (labels + 1) % CLASSES, 60)
    expected = torch.tensor(in_a_chain(5, 0.2, 1.5), dtype=torch.float64)
    assert (expected.diff() > 0).all()
    torch.testing.assert_close(found[:, -1], expected, rtol=1e-4, atol=0)


def test_no_influence_comes_before_the_front_can_have_and_some_comes_then() -> None:
    images, labels = cases(4)
    found = influence(a_net((8, 7, 6, 5)), images, labels, (labels + 1) % CLASSES, 6)
    for layer in range(4):
        assert (found[layer, : 3 - layer] == 0).all()
        assert (found[layer, 3 - layer :] > 0).all()


def test_without_damping_the_front_of_a_chain_moves_one_layer_an_iteration() -> None:
    images, labels = cases(2)
    arrived, speed, fit = front(influence(chain(6, 0.2, 1.5), images, labels, (labels + 1) % CLASSES, 12))
    assert arrived == [6, 5, 4, 3, 2, 1]
    assert speed == pytest.approx(1)
    assert fit == pytest.approx(1)


def test_damping_slows_the_front() -> None:
    images, labels = cases(2)
    _, speed, _ = front(influence(chain(6, 0.2, 1.5, 0.7), images, labels, (labels + 1) % CLASSES, 80))
    assert 0 < speed < 0.8


def test_the_same_label_has_no_influence() -> None:
    images, labels = cases(3)
    assert not influence(a_net((6, 5)), images, labels, labels, 5).any()


def test_a_decay_that_is_exact_is_found() -> None:
    found = decay(0.8 * 0.5 ** torch.arange(5.0, dtype=torch.float64).flip(0))
    assert found == pytest.approx((0.5, 1.0, 0.8 * 0.5**99))


def test_reach_counts_from_the_top_and_stops_at_a_gap() -> None:
    assert reached(torch.tensor([0.5, 0.001, 0.02, 0.3])) == 2
    assert reached(torch.tensor([0.5, 0.02])) == 2
    assert reached(torch.tensor([0.5, 0.001])) == 0


def test_the_first_number_of_presentations_that_reaches_a_layer_is_found() -> None:
    assert first_reached([0, 1, 4], torch.tensor([[0, 0.2, 0], [0.1, 0.2, 0], [0.0, 0.2, 0]])) == [1, 0, None]


# ---- presentations -------------------------------------------------------------------------------------------------


def test_presentations_begin_with_the_net_as_it_is_and_leave_it_so() -> None:
    net = a_net((8, 7, 6))
    before = copy.deepcopy(net.state_dict())
    images, labels = cases(1)
    found = presentations(net, replace(recurrent, iterations=5), images, labels, [0, 1, 3])
    torch.testing.assert_close(found[0], influence(net, images, labels, (labels + 1) % CLASSES, 19)[:, -1])
    assert (found[1] != found[0]).all()
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_brief_presentations_reach_as_many_layers_as_they_have_iterations_and_by_learning_twice_as_many() -> None:
    """A pair teaches a layer by a difference, and this comes no lower than the activity of one presentation does."""
    images, labels = cases(1)
    found = brief(a_net((8,) * (3 * BRIEF)), replace(recurrent, rate=0.1), images, labels, [0, 1, 2, 8])
    for count, row in zip([0, 1, 2, 8], found, strict=True):
        blank = len(row) - BRIEF * min(count + 1, 2)
        assert (row[:blank].abs() < 1e-12).all()
        assert (row[blank:] > 1e-9).all()


# ---- the twin ------------------------------------------------------------------------------------------------------


def test_the_twins_gradient_is_that_of_finite_differences() -> None:
    twin = Backprop(INPUTS, (5, 4), CLASSES, torch.Generator().manual_seed(0))
    for layer in twin.stack:
        layer.weight.data = torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(2))
    images, labels = cases(1)
    weights = [layer.weight.detach().double() for layer in twin.stack]
    first = (normalize(images.flatten(1)) @ weights[0].T).relu()
    second = (first @ weights[1].T).relu()

    def loss_from_first(activity: Tensor) -> Tensor:
        return loss_from_second((activity @ weights[1].T).relu())

    def loss_from_second(activity: Tensor) -> Tensor:
        return cross_entropy(activity @ weights[2].T, labels)

    sizes = [
        slope(loss, activity).norm() * activity.norm()
        for loss, activity in ((loss_from_first, first), (loss_from_second, second))
    ]
    assert sensitivity(twin, images, labels) == pytest.approx([float(sizes[0] / sizes[1]), 1.0], rel=1e-5)


def slope(function: Any, at: Tensor, step: float = 1e-6) -> Tensor:
    """Central differences, in the shape of ``at``."""
    found = torch.zeros_like(at).flatten()
    for index in range(at.numel()):
        moved = torch.zeros_like(at).flatten()
        moved[index] = step
        higher, lower = function(at + moved.view_as(at)), function(at - moved.view_as(at))
        found[index] = (higher - lower) / (2 * step)
    return found.view_as(at)


# ---- the derivative through time -----------------------------------------------------------------------------------


def test_the_derivative_through_time_is_that_of_finite_differences() -> None:
    net = a_net((5, 4), lateral=True)
    images, labels = cases(3)
    top = torch.cat([labels, (labels + 1) % CLASSES])

    def loss(net: Recurrent) -> Tensor:
        """Written with what the net itself does, without autograd."""
        frame = net.images(images)
        losses = []
        for state in net.look(frame, net.top(top), 4):
            for settled in state:
                positive, negative = settled.goodness.chunk(2)
                losses.append(0.5 * RULE.objective.loss(positive, negative, RULE.temperature).mean())
        return torch.stack(losses).sum() / 4

    net.layers.requires_grad_()
    unrolled = unroll(net, repeat(net.images(images), 4), net.top(top), through_time=True)
    named = dict(net.layers.named_parameters())
    gradients = torch.autograd.grad(unrolled.losses.mean(), list(named.values()))
    with torch.no_grad():
        assert unrolled.losses.mean() == pytest.approx(float(loss(net)))
        for (name, parameter), gradient in zip(named.items(), gradients, strict=True):

            def moved(values: Tensor, name: str = name) -> Tensor:
                other = copy.deepcopy(net)
                other.layers.get_parameter(name).data = values
                return loss(other)

            torch.testing.assert_close(gradient, slope(moved, parameter.detach()), rtol=1e-4, atol=1e-7)


def test_without_time_it_is_the_greedy_rule() -> None:
    net, images, labels = a_net((6, 5, 4), PLAIN, lateral=True), *cases(3)
    frame, top = net.images(images), net.top(torch.cat([labels, (labels + 1) % CLASSES]))
    learner = copy.deepcopy(net)
    learner.learn_video(repeat(frame, 5), top, tuple(each.repeat(2) for each in learner.start(frame)), 1.0)
    net.layers.requires_grad_()
    losses = unroll(net, repeat(frame, 5), top, through_time=False).losses
    named = dict(net.layers.named_parameters())
    gradients = torch.autograd.grad(-losses.mean(), list(named.values()))
    for (name, parameter), gradient in zip(named.items(), gradients, strict=True):
        learned = learner.layers.get_parameter(name) - parameter.detach()
        torch.testing.assert_close(learned, gradient, rtol=1e-6, atol=1e-9)


def test_where_there_is_one_moment_and_one_layer_both_learn_the_same_peers_included() -> None:
    images, labels = cases(3)
    nets = [a_net((6,), RULE, kind, damping=0.0) for kind in (Recurrent, ThroughTime)]
    for net in nets:
        frame, top = net.images(images), net.top(torch.cat([labels, (labels + 1) % CLASSES]))
        for _ in range(3):
            start = tuple(each.repeat(2) for each in net.start(frame))
            lesson = net.learn_video(repeat(frame, 1), top, start, 0.1)
            assert len(lesson.goodness) == 1
    one, other = (net.state_dict() for net in nets)
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=1e-9, atol=1e-12)


# ---- where input comes from ----------------------------------------------------------------------------------------


def test_shares_add_up_and_a_source_without_weights_brings_nothing() -> None:
    net, images, labels = a_net((6, 5), lateral=True), *cases(30)
    net.stack[0].weights["beside"].data.zero_()
    found = shares(net, images, labels)
    for layer in found:
        assert sum(source["share"] for source in layer.values()) == pytest.approx(1, abs=0.003)
    assert found[0]["lateral"] == {"share": 0, "size": 0}
    net.stack[0].weights["above"].data.zero_()
    assert shares(net, images, labels)[0]["bottom-up"] == {"share": 1, "size": 1}


def test_redrawing_a_layer_changes_its_weights_alone_and_not_their_size() -> None:
    net, other = (a_net((300, 200)) for _ in range(2))
    redraw(other, 1)
    for name, tensor in net.state_dict().items():
        changed = name.startswith("layers.1.weights")
        assert torch.equal(tensor, other.state_dict()[name]) != changed
        assert other.state_dict()[name].std() == pytest.approx(float(tensor.std()), rel=0.1)


# ---- the picture ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_picture_is_drawn(tmp_path: Path) -> None:
    nets = {}
    for depth in (2, 3):
        values = torch.logspace(-4, 0, depth * 7, dtype=torch.float64).reshape(depth, 7)
        gradient = [1.0 + 0.2 * layer for layer in reversed(range(depth))]
        nets[depth] = Depth(values, 0.5 * values, gradient, ({"slow error %": 4.0}, {"fast error %": 3.0}))
    ones = torch.ones(2, 3, dtype=torch.float64)
    path = draw(Study(nets, [0, 1], ones, ones), tmp_path / "relax.png")
    assert path.read_bytes().startswith(b"\x89PNG")
