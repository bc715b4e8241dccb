"""Positive and negative data may come alone, in any order, and over several batches: the step is the same.

Oracles: both phases gathered at once, means of gradients that were gathered alone. Were they to differ, a layer that
sees one phase now and the other one later, as the brain might by day and by night, would learn by another rule.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from support.helpers import refusal
from support.small_layers import CASES, UNITS, authors_rule, seeded
from twofold.errors import SettingError
from twofold.labels import one_hot
from twofold.layers.connectivity import Masked
from twofold.layers.convolution import Convolution
from twofold.layers.dense import Dense, SparseLayer
from twofold.layers.fields import Fields
from twofold.layers.inputs import CachedInput, Images, LabeledImages, LayerInput, join, to_tensor
from twofold.layers.layer import FeedForwardLayer, Layer
from twofold.layers.local import LocallyConnected
from twofold.layers.module import CustomLayer
from twofold.layers.recurrent import RecurrentLayer, TimeStep
from twofold.learning import Phase, Rule
from twofold.normalize import normalize
from twofold.objectives import OBJECTIVES

FIELDS = Fields((2, 5, 4), 2, 3, margin=1)
INPUTS, CLASSES, RATE, STEPS = FIELDS.inputs, 3, 0.3, 3
RULE = authors_rule(temperature=3.0, smoothing=0.7, decay=0.05, peer=0.2)
PAIRED = replace(RULE, objective=OBJECTIVES["symba"])
WEIGHT = torch.linspace(0.3, 2, CASES, dtype=torch.float64)
EXACT = {"rtol": 0, "atol": 1e-12}


class Seen(NamedTuple):
    """What a layer responded to one batch: to its positive cases, to its negative ones, and to both at once."""

    positive: Any
    negative: Any
    both: Any


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=seeded(seed), dtype=torch.float64)


def images(seed: int) -> tuple[LayerInput, LayerInput]:
    positive, negative = rand(2, CASES, INPUTS, seed=seed)
    return normalize(positive), normalize(negative)


def labeled(seed: int) -> tuple[LayerInput, LayerInput]:
    """The same images under two labels each."""
    ready, label = Images(rand(CASES, INPUTS, seed=seed).index_fill(1, torch.arange(CLASSES), 0.0)), torch.arange(CASES)
    return tuple(LabeledImages(ready, one_hot((label + n) % CLASSES, CLASSES, 2.5)[None]) for n in range(2))  # type: ignore[return-value]


def both_in_one(seen: Callable[[int], tuple[LayerInput, LayerInput]]) -> Callable[[FeedForwardLayer, int], Seen]:
    def respond(layer: FeedForwardLayer, seed: int) -> Seen:
        positive, negative = seen(seed)
        return Seen(*(layer.respond(below) for below in (positive, negative, join(positive, negative))))

    return respond


def recurrent(layer: RecurrentLayer, seed: int) -> Seen:
    """A few iterations in front of a still image, which positive and negative cases share."""
    frame, before = CachedInput(rand(CASES, INPUTS, seed=seed)), rand(2 * CASES, UNITS, seed=seed + 1)
    found: list[list[TimeStep]] = []
    for rows in (slice(0, CASES), slice(CASES, None), slice(None)):
        steps, state = list[TimeStep](), before[rows]
        for number in range(STEPS):
            above = rand(2 * CASES, CLASSES, seed=seed + 2 + number)[rows]
            sources = {"below": frame, "above": above, "beside": normalize(state)}
            after = layer.respond(sources, state, 0.3)
            steps.append(TimeStep(sources, after.active, after.goodness))
            state = after.state
        found.append(steps)
    return Seen(*found)


class SharedGradient(nn.Module):
    """Two biases, which autograd hands one and the same gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(INPUTS, UNITS)
        self.one = nn.Parameter(torch.full((UNITS,), 0.1))
        self.other = nn.Parameter(torch.full((UNITS,), -0.1))

    def forward(self, below: Tensor) -> Tensor:
        return (self.linear(below) + (self.one + self.other)).relu()


def seeded_module(module: nn.Module, units: int, rule: Rule) -> CustomLayer:
    for parameter in module.parameters():
        parameter.data.copy_(0.3 * torch.randn(parameter.shape, generator=seeded(len(parameter))))
    return CustomLayer(module, units, rule)


KINDS: dict[str, tuple[Callable[[Rule], Layer[Any]], Callable[[Any, int], Seen]]] = {
    "dense": (lambda rule: Dense(INPUTS, UNITS, rule, seeded()), both_in_one(images)),
    "dense, labeled images": (lambda rule: Dense(INPUTS, UNITS, rule, seeded()), both_in_one(labeled)),
    "fields": (lambda rule: LocallyConnected(FIELDS, rule, seeded()), both_in_one(images)),
    "fields, labeled images": (lambda rule: LocallyConnected(FIELDS, rule, seeded()), both_in_one(labeled)),
    "mask": (lambda rule: SparseLayer(Masked(FIELDS.mask()), rule, seeded()), both_in_one(images)),
    "convolution": (
        lambda rule: Convolution(FIELDS.below, 2, 3, padding=1, rule=rule, generator=seeded()),
        both_in_one(images),
    ),
    "module": (
        lambda rule: seeded_module(nn.Sequential(nn.Linear(INPUTS, UNITS), nn.ReLU()), UNITS, rule),
        both_in_one(images),
    ),
    "module of maps": (
        lambda rule: seeded_module(
            nn.Sequential(nn.Unflatten(1, FIELDS.below), nn.Conv2d(2, 3, 2), nn.ReLU()), 3 * 4 * 3, rule
        ),
        both_in_one(images),
    ),
    "module of two biases": (lambda rule: seeded_module(SharedGradient(), UNITS, rule), both_in_one(labeled)),
    "recurrent": (
        lambda rule: RecurrentLayer({"below": INPUTS, "above": CLASSES, "beside": UNITS}, UNITS, rule, seeded()),
        recurrent,
    ),
}


def make(kind: str, rule: Rule = RULE) -> Layer[Any]:
    return KINDS[kind][0](rule).double()


def gather(layer: Layer[Any], kind: str, calls: Iterable[tuple[int, Phase]], weight: Tensor | None = None) -> None:
    """Show a layer batch after batch, of each a phase alone or both."""
    for seed, phase in calls:
        layer.gather(getattr(KINDS[kind][1](layer, seed), phase), phase, weight)


def gradients(layer: Layer[Any]) -> list[Tensor]:
    found = [each.gradient for each in layer.learnables()]
    assert all(gradient is not None for gradient in found)
    return [gradient.clone() for gradient in found if gradient is not None]


def known(layer: Layer[Any]) -> dict[str, Tensor]:
    """All that a layer has learned, apart from how often it gathered."""
    state = {**layer.state_dict(), **layer.learning_state()}
    return {name: tensor.clone() for name, tensor in state.items() if name != "batches" and "connectivity" not in name}


# Oracle: both at once ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("order", [("positive", "negative"), ("negative", "positive")])
@pytest.mark.parametrize("kind", KINDS)
def test_a_phase_alone_and_then_the_other_are_both_at_once(
    kind: str, order: tuple[Phase, Phase], weighted: bool
) -> None:
    """Several steps, so that smoothing, decay and running means are in it."""
    alone, together, weight = make(kind), make(kind), WEIGHT if weighted else None
    for step in range(3):
        before = known(together)
        gather(alone, kind, [(10 * step, phase) for phase in order], weight)
        gather(together, kind, [(10 * step, "both")], weight)
        torch.testing.assert_close(gradients(alone), gradients(together), **EXACT)
        for layer in (alone, together):
            layer.apply_gradient(RATE)
        torch.testing.assert_close(known(alone), known(together), **EXACT)
        assert all(not torch.equal(tensor, before[name]) for name, tensor in known(together).items())


BATCHES: list[tuple[int, Phase]] = [(0, "positive"), (10, "positive"), (0, "negative"), (10, "negative")]
ORDERS = [each for each in itertools.permutations(BATCHES) if each.index(BATCHES[0]) < each.index(BATCHES[1])]
"""Two batches of each phase, in any order in which the running mean of positive activity is the same."""


@pytest.mark.parametrize("kind", KINDS)
def test_two_batches_are_the_same_in_whatever_order_their_phases_come(kind: str) -> None:
    together = make(kind)
    gather(together, kind, [(0, "both"), (10, "both")])
    expected = gradients(together)
    together.apply_gradient(RATE)
    for order in ORDERS:
        alone = make(kind)
        gather(alone, kind, order)
        torch.testing.assert_close(gradients(alone), expected, **EXACT)
        alone.apply_gradient(RATE)
        torch.testing.assert_close(known(alone), known(together), **EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_of_several_batches_the_mean_of_each_phase_is_learned(kind: str) -> None:
    rule = replace(RULE, peer=0.0)
    calls: list[tuple[int, Phase]] = [(seed, phase) for phase in ("positive", "negative") for seed in (0, 10, 20)]
    each = []
    for call in calls:
        layer = make(kind, rule)
        gather(layer, kind, [call])
        each.append(gradients(layer))
    mean = [sum(parts) / 3 for parts in zip(*each, strict=True)]
    layer = make(kind, rule)
    gather(layer, kind, calls)
    torch.testing.assert_close(gradients(layer), mean, **EXACT)
    assert all(gradient.any() for gradient in mean)


@pytest.mark.parametrize("kind", KINDS)
def test_a_phase_alone_says_how_difficult_each_of_its_cases_was(kind: str) -> None:
    layer = make(kind)
    seen = KINDS[kind][1](layer, 0)
    positive, negative = layer.gather(seen.positive, "positive"), layer.gather(seen.negative, "negative")
    both = layer.gather(KINDS[kind][1](layer, 0).both)
    assert positive.shape == negative.shape == (CASES,)
    if kind == "recurrent":  # a mean over iterations, of which the one or the other may be the stronger
        assert bool((both >= torch.maximum(positive, negative) - 1e-12).all())
    else:
        torch.testing.assert_close(both, torch.maximum(positive, negative))


# What is refused, and what changes nothing ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("objective", [name for name, objective in OBJECTIVES.items() if objective.paired])
def test_an_objective_that_compares_pairs_refuses_a_phase_alone_and_nothing_changes(objective: str, kind: str) -> None:
    rule = replace(RULE, objective=OBJECTIVES[objective])
    layer, other = make(kind, rule), make(kind, rule)
    for each in (layer, other):
        gather(each, kind, [(0, "both")])
    before, gathered, batches = known(layer), gradients(layer), layer.batches.clone()
    for phase in ("positive", "negative"):
        told = refusal(lambda phase=phase: gather(layer, kind, [(10, phase)]), SettingError)  # type: ignore[misc]
        assert f"phase is {phase!r}, but the objective compares" in told
        torch.testing.assert_close(known(layer), before, rtol=0, atol=0)
        torch.testing.assert_close(gradients(layer), gathered, rtol=0, atol=0)
        assert torch.equal(layer.batches, batches)
    for each in (layer, other):
        gather(each, kind, [(20, "both")])
        each.apply_gradient(RATE)
    torch.testing.assert_close(known(layer), known(other), rtol=0, atol=0)


@pytest.mark.parametrize("calls", [[(0, "both")], [(0, "positive")], [(0, "negative"), (10, "positive"), (10, "both")]])
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_gathered_can_be_taken_back(kind: str, calls: list[tuple[int, Phase]]) -> None:
    layer, other = make(kind), make(kind)
    for each in (layer, other):
        gather(each, kind, [(20, "both")])
        each.apply_gradient(RATE)
    before, memory = known(layer), layer.memory()
    gather(layer, kind, calls)
    layer.drop(memory)
    torch.testing.assert_close(known(layer), before, rtol=0, atol=0)
    stepped = copy.deepcopy(layer)
    stepped.apply_gradient(RATE)
    torch.testing.assert_close(known(stepped), before, rtol=0, atol=0)
    for each in (layer, other):
        gather(each, kind, [(30, "negative"), (30, "positive")])
        each.apply_gradient(RATE)
    torch.testing.assert_close(known(layer), known(other), rtol=0, atol=0)
    assert torch.equal(layer.batches, other.batches)


@pytest.mark.parametrize("kind", KINDS)
def test_without_anything_gathered_a_step_changes_nothing(kind: str) -> None:
    """Not even by what is left of older gradients, nor by decay: no data, no learning."""
    layer = make(kind)
    before = known(layer)
    layer.apply_gradient(RATE)
    torch.testing.assert_close(known(layer), before, rtol=0, atol=0)
    gather(layer, kind, [(0, "both")])
    layer.apply_gradient(RATE)
    after = known(layer)
    assert not torch.equal(next(layer.parameters()), next(iter(before.values())))
    layer.apply_gradient(RATE)
    torch.testing.assert_close(known(layer), after, rtol=0, atol=0)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "recurrent"])
def test_to_learn_is_to_respond_to_gather_and_to_apply(kind: str) -> None:
    layer, by_hand = make(kind, PAIRED), make(kind, PAIRED)
    assert isinstance(layer, FeedForwardLayer)
    assert isinstance(by_hand, FeedForwardLayer)
    for step in range(3):
        positive, negative = (labeled if "labeled" in kind else images)(step)
        learned = layer.learn(positive, negative, RATE, WEIGHT)
        seen = by_hand.respond(join(positive, negative))
        difficulty = by_hand.gather(seen, "both", WEIGHT)
        by_hand.apply_gradient(RATE)
        torch.testing.assert_close(torch.cat([learned.positive, learned.negative]), seen.output, rtol=0, atol=0)
        torch.testing.assert_close(torch.cat(learned.goodness), seen.goodness, rtol=0, atol=0)
        torch.testing.assert_close(learned.difficulty, difficulty, rtol=0, atol=0)
        torch.testing.assert_close(known(layer), known(by_hand), rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_gathers_for_itself(kind: str) -> None:
    layer = make(kind)
    gather(layer, kind, [(0, "positive")])
    before, gathered = known(layer), gradients(layer)
    copied = copy.deepcopy(layer)
    gather(copied, kind, [(0, "negative")])
    copied.apply_gradient(RATE)
    torch.testing.assert_close(known(layer), before, rtol=0, atol=0)
    torch.testing.assert_close(gradients(layer), gathered, rtol=0, atol=0)
    gather(layer, kind, [(0, "negative")])
    layer.apply_gradient(RATE)
    torch.testing.assert_close(known(layer), known(copied), rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_out_of_other_modules_is_learned_from_and_teaches_them_nothing(kind: str) -> None:
    """A graph that goes on below would make the in-place step an error, or keep all activities in memory."""
    layer, other, scale = make(kind), make(kind), nn.Parameter(torch.ones((), dtype=torch.float64))
    seen = KINDS[kind][1](layer, 0).both
    other.gather(seen if kind == "recurrent" else KINDS[kind][1](other, 0).both)
    if isinstance(layer, FeedForwardLayer):
        seen = layer.respond(scale * to_tensor(seen.below))
        assert not seen.output.requires_grad
    else:
        seen = [TimeStep(step.sources, scale * step.active, scale * step.goodness) for step in seen]
    layer.gather(seen)
    for each in (layer, other):
        each.apply_gradient(RATE)
    torch.testing.assert_close(known(layer), known(other), **EXACT)
    assert not any(tensor.requires_grad for tensor in layer.learning_state().values())
    assert scale.grad is None
