"""The sampler: which cases an epoch sees, in which order, and how much each counts.

Oracles: the draws written out, the documented chances, hand counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from twofold.checkpoint import module_tensors
from twofold.data import Dataset
from twofold.methods import BackpropRecipe, FeedForwardRecipe, Recipe, build
from twofold.methods.method import Batch
from twofold.methods.sampler import SampledBatch, Sampler
from twofold.recipes import RECIPES
from twofold.training.trainer import Trainer

DIFFICULTY = torch.tensor([0.0, 0.03, 0.15, 0.3, 1.0, 0.0, 0.29, 0.06, 0.12, 0.7])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def a_sampler(tolerance: float = 0.3, revisit: float = 0.2) -> Sampler:
    sampler = Sampler(10, seeded(), tolerance, revisit)
    sampler.learned(torch.arange(10), DIFFICULTY)
    return sampler


def test_a_chance_is_difficulty_over_tolerance_at_least_revisit_and_at_most_one() -> None:
    expected = torch.tensor([0.2, 0.2, 0.5, 1.0, 1.0, 0.2, 0.29 / 0.3, 0.2, 0.4, 1.0])
    torch.testing.assert_close(a_sampler().chances(), expected)
    assert torch.equal(a_sampler(tolerance=0.0).chances(), torch.ones(10))
    assert torch.equal(a_sampler(revisit=1.0).chances(), torch.ones(10))


def test_before_its_first_visit_a_case_has_everything_to_teach() -> None:
    sampler = Sampler(10, seeded(), 0.9, 0.1)
    assert torch.equal(sampler.difficulty, torch.ones(10))
    assert torch.equal(sampler.chances(), torch.ones(10))
    assert sampler.visits == 0


@pytest.mark.parametrize("batch", [1, 3, 4, 10, 25])
def test_an_epoch_is_an_order_drawn_first_and_then_a_chance_for_each_case(batch: int) -> None:
    """Drawn in another order, trainings of older versions could not be repeated."""
    sampler, generator = a_sampler(), seeded()
    for _ in range(3):
        chances = sampler.chances()
        order = torch.randperm(10, generator=generator)
        order = order[torch.rand(10, generator=generator) < chances[order]]
        found = list(sampler.epoch(batch))
        assert torch.cat([drawn.cases for drawn in found]).tolist() == order.tolist()
        assert [len(drawn.cases) for drawn in found[:-1]] == [batch] * (len(found) - 1)
        assert [drawn.done for drawn in found] == [number * batch / len(order) for number in range(len(found))]
        for drawn in found:
            torch.testing.assert_close(drawn.case_weight, len(drawn.cases) / batch / chances[drawn.cases])
        assert sampler.visits == len(order) / 10


@pytest.mark.parametrize("last", [1, 2, 3, 4])
def test_a_case_counts_the_same_in_a_last_batch_that_is_smaller(last: int) -> None:
    """A mean over a single image would else teach as much as one over a hundred."""
    *full, rest = Sampler(8 + last, seeded()).epoch(4)
    assert [len(drawn.cases) for drawn in (*full, rest)] == [4, 4, last]
    assert all(torch.equal(drawn.case_weight, torch.ones(4)) for drawn in full)
    assert torch.equal(rest.case_weight, torch.full((last,), last / 4))


def test_cases_are_drawn_when_an_epoch_begins_and_what_is_learned_in_it_counts_for_the_next() -> None:
    sampler = a_sampler(revisit=0.2)
    weights = [1 / sampler.chances()[case] for case in range(10)]
    for drawn in sampler.epoch(2):
        torch.testing.assert_close(drawn.case_weight, torch.stack([weights[case] for case in drawn.cases]))
        sampler.learned(drawn.cases, torch.zeros(len(drawn.cases)))
    seen = sampler.difficulty == 0
    assert 3 <= seen.sum() < 10
    torch.testing.assert_close(sampler.chances()[seen], torch.full((int(seen.sum()),), 0.2))
    torch.testing.assert_close(sampler.difficulty[~seen], DIFFICULTY[~seen])


def test_an_epoch_that_chance_leaves_empty_has_no_batch() -> None:
    sampler = Sampler(10, seeded(), 0.3, 1e-9)
    sampler.learned(torch.arange(10), torch.zeros(10))
    assert list(sampler.epoch(4)) == []
    assert sampler.visits == 0


# On average over all that chance may draw ---------------------------------------------------------------------------

FEW = 6
NEEDS = torch.tensor([0.0, 0.05, 0.15, 0.2, 0.25, 0.1])
"""How much each of the few cases had to teach: some less than what gives the smallest chance, none enough for all."""


def some_net(recipe: Recipe, form: dict[str, Any]) -> Any:
    """In the middle of a training, when every part of it has something to learn."""
    net = build(recipe, form).double()
    for parameter in net.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=seeded(), dtype=torch.float64), alpha=0.1)
    return net


def after_an_epoch(recipe: Recipe, data: tuple[torch.Tensor, ...], form: dict[str, Any], seen: list[bool]) -> Any:
    """All that a training goes on with after an epoch that saw these cases, with the chance that it does."""
    method = Trainer(some_net(recipe, form), recipe, data).method
    for layer in method.net.stack if recipe.method != "backprop" else []:
        layer.rule = replace(layer.rule, tolerance=0.0)  # what layers leave out of themselves has its own test
    sampler = method.sampler
    sampler.difficulty = NEEDS.double()
    chances = sampler.chances()
    order = torch.arange(FEW)
    drawn = torch.where(torch.tensor(seen), 0.0, 1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randperm", lambda *_, **__: order)
        patch.setattr(torch, "rand", lambda *_, **__: drawn)
        batches = list(sampler.epoch(recipe.batch))
    for each in batches:
        method.step(method.batch(each.cases, each.case_weight), 0.0)
    state = {name: each for name, each in module_tensors(method.net).items() if each.is_floating_point()}
    return torch.where(torch.tensor(seen), chances, 1 - chances).prod(), state


@pytest.mark.parametrize("kind", ["forward-forward", "recurrent", "twin"])
def test_what_an_epoch_teaches_is_on_average_what_it_teaches_if_every_case_is_seen(
    recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe, kind: str
) -> None:
    """Weights, biases, decay, smoothed gradients, running means, softmaxes: the mean over all 64 sets of cases that may
    be seen, each with its chance, exactly. Peers alone are left out, who are drawn to a mean that itself moves."""
    recurrent = replace(RECIPES["recurrent"], widths=(8, 6), temperature=5.0, neutral_every=1)
    asked: Any = {"forward-forward": recipe, "twin": twin_recipe, "recurrent": recurrent}[kind]
    changes = {} if kind == "twin" else {"peer": 0.0, "negatives": "random", "softmax_decay": 0.05}
    asked = replace(asked, tolerance=0.3, revisit=0.2, decay=0.05, batch=FEW + 2, **changes)
    images = torch.rand(FEW, 1, 3, 3, generator=seeded(), dtype=torch.float64)
    data, form = (images, torch.arange(FEW) % 2), {"shape": (1, 3, 3), "classes": 2}
    expected: dict[str, torch.Tensor] = {}
    for seen in itertools.product([False, True], repeat=FEW):
        chance, state = after_an_epoch(asked, data, form, [*seen])
        for name, each in state.items():
            expected[name] = expected.get(name, 0) + chance * each
    _, state = after_an_epoch(replace(asked, tolerance=0.0), data, form, [True] * FEW)
    untrained = module_tensors(some_net(asked, form))
    assert all(not torch.equal(each, untrained[name]) for name, each in state.items() if "settled" not in name)
    torch.testing.assert_close(expected, state, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", ["forward-forward", "twin"])
def test_the_trainer_hands_each_batch_of_the_sampler_to_the_method_and_its_difficulty_back(
    tiny: Dataset, recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe, kind: str
) -> None:
    asked = replace(recipe if kind == "forward-forward" else twin_recipe, batch=16, epochs=2)
    trainer = Trainer(build(asked, tiny.form), asked, tiny.train)
    method: Any = trainer.method
    drawn, steps, told = list[SampledBatch](), list[tuple[Batch, float]](), list[tuple[Any, ...]]()
    epoch, step, learned = method.sampler.epoch, method.step, method.sampler.learned

    def watched(batch: int) -> Iterator[SampledBatch]:
        for each in epoch(batch):
            drawn.append(each)
            yield each

    method.sampler.epoch = watched
    method.step = lambda *given: (steps.append(given), step(*given))[1]
    method.sampler.learned = lambda *given: (told.append(given), learned(*given))[1]
    trainer.run()
    assert [len(each.cases) for each in drawn] == [16, 16, 8] * 2
    assert [progress for _, progress in steps] == pytest.approx([0, 0.2, 0.4, 0.5, 0.7, 0.9])
    for each, (batch, _), (cases, difficulty) in zip(drawn, steps, told, strict=True):
        assert torch.equal(batch.cases, each.cases)
        assert torch.equal(batch.images, tiny.train_images[each.cases])
        assert torch.equal(batch.labels, tiny.train_labels[each.cases])
        assert torch.equal(batch.case_weight, each.case_weight)
        assert torch.equal(cases, each.cases)
        assert difficulty.shape == cases.shape
        assert ((difficulty >= 0) & (difficulty <= 1)).all()
    newest = {case: value for cases, values in told for case, value in zip(cases.tolist(), values, strict=True)}
    assert torch.equal(method.sampler.difficulty, torch.stack([newest[case] for case in range(40)]))
    assert method.batches_seen == 6
