"""What is left out to be fast: easy images. On average nothing is.

Oracles: means over many visits against what is sampled, hand counts of passes and multiply-adds. Were one of these to
fail, the speed would be bought with another algorithm than the one that the recipe names.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from support.helpers import SHORTCUTS, first
from twofold.data import Dataset
from twofold.layers.dense import Dense
from twofold.layers.layer import LayerResult
from twofold.layers.readout import Softmax
from twofold.methods import BackpropRecipe, FeedForwardRecipe, Recipe, build
from twofold.methods.feedforward import ForwardForward
from twofold.methods.method import Batch
from twofold.negatives import NEGATIVES
from twofold.nets.classifier import NetResult
from twofold.training.trainer import Trainer


def trainer_of(recipe: Recipe, data: Dataset) -> Trainer:
    return Trainer(build(recipe, data.form), recipe, data.train)


def method_of(recipe: Recipe, data: Dataset) -> Any:
    return trainer_of(recipe, data).method


# Easy images ---------------------------------------------------------------------------------------------------------

NEEDS = (0.0, 0.05, 0.15, 0.3, 1.0)
"""How much an image of the numbered data has to teach, by its number modulo five."""


class Recorder(ForwardForward):
    """Learns nothing, notes which images it is shown and what they count, and calls every second of them mistaken."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.shown: list[int] = []
        self.sizes: list[int] = []
        self.counted = torch.zeros(len(self.mistaken))

    def step(self, batch: Batch, progress: float) -> NetResult:
        numbers = (batch.images[:, 0, 0, 0] * 1000).round().long()
        assert torch.equal(numbers, batch.cases), "the weights and logits of other images would be used"
        self.shown += numbers.tolist()
        self.sizes.append(len(batch.labels))
        self.counted[batch.cases] += batch.case_weight * self.recipe.batch / len(batch.cases)
        self.mistaken[batch.cases] = batch.cases % 2 == 1
        return NetResult(torch.empty(0), [], torch.tensor(NEEDS)[batch.cases % 5])


def recording(recipe: FeedForwardRecipe, data: Dataset) -> tuple[Trainer, Recorder]:
    trainer = Trainer(build(recipe, data.form), recipe, data.train, method=Recorder)
    assert isinstance(trainer.method, Recorder)
    return trainer, trainer.method


@pytest.fixture
def numbered() -> Dataset:
    """1000 images that carry their number."""
    images = torch.zeros(1000, 1, 3, 3)
    images[:, 0, 0, 0] = torch.arange(1000) / 1000
    return Dataset("numbered", images, torch.arange(1000) % 2, images[:2], torch.arange(2), 2, official=False)


def wanted(recipe: Recipe) -> Tensor:
    """The chance of each image once it has been seen, from the recipe's own words."""
    shares = [min(1.0, max(recipe.revisit, need / recipe.tolerance)) for need in NEEDS]
    return torch.tensor(shares)[torch.arange(1000) % 5]


@pytest.mark.parametrize("revisit", [1.0, 0.2, 0.6, 0.01])
def test_images_are_seen_again_with_the_chance_that_their_need_gives_and_not_rarer_than_revisit(
    numbered: Dataset, recipe: FeedForwardRecipe, revisit: float
) -> None:
    trainer, method = recording(replace(recipe, tolerance=0.3, revisit=revisit, batch=64), numbered)
    chances, visits = wanted(method.recipe), torch.zeros(1000)
    for epoch in range(9):
        torch.testing.assert_close(method.sampler.chances(), chances if epoch else torch.ones(1000))
        method.shown.clear()
        trainer.epoch(epoch)
        assert len(set(method.shown)) == len(method.shown), "an image was seen twice in an epoch"
        assert epoch or len(method.shown) == 1000, "what was never seen may have everything to teach"
        assert method.metrics()["visits"] == len(method.shown) / 1000
        assert method.metrics()["train_error"] == 0.5
        if epoch:
            visits[method.shown] += 1
    for chance in sorted(set(chances.tolist())):
        group = visits[chances == chance]
        spread = math.sqrt(8 * chance * (1 - chance) / len(group))
        assert abs(group.mean().item() - 8 * chance) <= 4 * spread
        assert chance in (1.0, 0.01) or group.min() < group.max(), "always the same ones were seen again"


def test_over_many_epochs_every_image_counts_the_same(numbered: Dataset, recipe: FeedForwardRecipe) -> None:
    """Importance sampling: seen with chance p, counted 1 / p then. Otherwise easy images would fade away."""
    trainer, method = recording(replace(recipe, tolerance=0.3, revisit=0.1, batch=64), numbered)
    epochs = 400
    for epoch in range(epochs):
        trainer.epoch(0)
        if epoch == 0:
            torch.testing.assert_close(method.counted, torch.ones(1000))
    chances = wanted(method.recipe)
    spread = ((1 / chances - 1) / epochs).sqrt()
    assert ((method.counted / epochs - 1).abs() <= 5 * spread + 1e-5).all()
    for chance in set(chances.tolist()):
        group = chances == chance
        mean = (method.counted[group] / epochs).mean()
        assert abs(mean - 1) <= 4 * spread[group][0] / math.sqrt(int(group.sum())) + 1e-5


@pytest.mark.parametrize("kind", ["forward-forward", "twin"])
def test_without_a_tolerance_every_epoch_sees_every_image(
    tiny: Dataset, recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe, kind: str
) -> None:
    asked = replace(recipe if kind == "forward-forward" else twin_recipe, tolerance=0.0, revisit=0.1)
    trainer = trainer_of(asked, tiny)
    trainer.method.sampler.difficulty[:] = 0
    assert torch.equal(trainer.method.sampler.chances(), torch.ones(40))
    trainer.epoch(0)
    assert trainer.method.metrics()["visits"] == 1


def test_layer_by_layer_sees_every_image_whatever_it_taught_the_layer_before(
    tiny: Dataset, recipe: FeedForwardRecipe
) -> None:
    method = method_of(replace(recipe, layer_by_layer=True, tolerance=0.3, revisit=0.1), tiny)
    method.sampler.difficulty[:] = 0
    assert torch.equal(method.sampler.chances(), torch.ones(40))


@pytest.mark.parametrize("kind", ["forward-forward", "twin"])
def test_the_need_of_an_image_is_that_of_its_last_visit(
    tiny: Dataset, recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe, kind: str
) -> None:
    asked = replace(recipe if kind == "forward-forward" else twin_recipe, tolerance=0.3, revisit=0.1)
    trainer = trainer_of(asked, tiny)
    method: Any = trainer.method
    method.sampler.difficulty[::2] = 0
    method.sampler.difficulty[1::2] = 2.0
    told: dict[int, float] = {}
    inner = method.step

    def watched(batch: Batch, progress: float) -> NetResult:
        part = len(batch.cases) / asked.batch
        torch.testing.assert_close(batch.case_weight, part * torch.where(batch.cases % 2 == 0, 10.0, 1.0))
        result: NetResult = inner(batch, progress)
        told.update(zip(batch.cases.tolist(), result.difficulty.tolist(), strict=True))
        return result

    method.step = watched
    trainer.epoch(0)
    assert 20 <= len(told) < 40
    expected = [told.get(case, 2.0 * (case % 2)) for case in range(40)]
    torch.testing.assert_close(method.sampler.difficulty, torch.tensor(expected))


def test_the_need_of_an_image_is_the_strongest_that_any_layer_has_of_it(
    tiny: Dataset, recipe: FeedForwardRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Tensor] = []
    learn_layer = Dense.learn

    def spy(self: Dense, *given: Any) -> LayerResult:
        told.append(learn_layer(self, *given).difficulty)
        return learn_layer(self, *given)._replace(difficulty=told[-1])

    monkeypatch.setattr(Dense, "learn", spy)
    difficulty = method_of(recipe, tiny).step(first(tiny, 8), 0.0).difficulty
    assert len(told) == 3
    torch.testing.assert_close(difficulty, torch.stack(told).amax(0))
    assert len(set(torch.stack(told).argmax(0).tolist())) > 1


def test_an_epoch_without_shortcuts_sees_every_image_once_in_a_new_order(
    numbered: Dataset, recipe: FeedForwardRecipe
) -> None:
    trainer, method = recording(replace(recipe, batch=300), numbered)
    orders = []
    for epoch in range(2):
        trainer.epoch(epoch)
        orders.append(method.shown[-1000:])
        assert sorted(orders[-1]) == list(range(1000))
    assert orders[0] != orders[1] != list(range(1000))
    assert method.sizes == [300, 300, 300, 100] * 2


@pytest.mark.parametrize("kind", ["forward-forward", "twin"])
def test_an_epoch_in_which_no_image_is_worth_a_visit_passes(
    tiny: Dataset, recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe, kind: str
) -> None:
    """A net that has learned all it can must not stop a long training with an error."""
    asked = replace(recipe if kind == "forward-forward" else twin_recipe, tolerance=0.3, revisit=1e-9)
    trainer = trainer_of(asked, tiny)
    method = trainer.method
    method.sampler.difficulty[:] = 0
    before = {name: tensor.clone() for name, tensor in method.net.state_dict().items()}
    trainer.epoch(0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in method.net.state_dict().items())
    assert method.metrics()["visits"] == 0


# Neutral passes ------------------------------------------------------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The logits from which negative labels were drawn, batch by batch."""
    given: list[Tensor] = []

    def spy(labels: Tensor, logits: Tensor, generator: torch.Generator) -> Tensor:
        given.append(logits.clone())
        return (labels + 1) % 4

    monkeypatch.setitem(NEGATIVES, "hard", spy)
    return given


def test_the_negatives_of_a_batch_come_from_its_own_neutral_pass_which_is_kept(
    tiny: Dataset, recipe: FeedForwardRecipe, drawn: list[Tensor]
) -> None:
    trainer = trainer_of(recipe, tiny)
    for _ in range(3):
        trainer.epoch(0)
    method: Any = trainer.method
    kept = method.logits.clone()
    assert kept.any(1).all()
    batch = first(tiny, 8)._replace(cases=torch.arange(20, 28))
    fresh = method.net.fast(batch.images)
    method.step(batch, 0.5)
    torch.testing.assert_close(drawn[-1], fresh)
    assert torch.equal(method.mistaken[20:28], fresh.argmax(1) != batch.labels)
    kept[20:28] = fresh
    torch.testing.assert_close(method.logits, kept)


def test_the_softmax_learns_from_the_neutral_passes_and_from_nothing_else(
    tiny: Dataset, recipe: FeedForwardRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Any, ...]] = []
    learn_softmax = Softmax.learn

    def spy(self: Softmax, *told: Any) -> Tensor:
        given.append(told)
        return learn_softmax(self, *told)

    monkeypatch.setattr(Softmax, "learn", spy)
    method = method_of(recipe, tiny)
    batch = first(tiny, 8)._replace(case_weight=torch.linspace(0.5, 4, 8))
    features = method.net.features(batch.images)
    method.step(batch, 0.0)
    ((seen, named, rate, counts),) = given
    torch.testing.assert_close(seen, features)
    assert torch.equal(named, batch.labels)
    assert torch.equal(counts, batch.case_weight)
    assert rate == recipe.softmax_rate


# What it saves -------------------------------------------------------------------------------------------------------


def multiply_adds(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops()) // 2


def test_a_batch_makes_three_passes_the_neutral_one_by_itself(tiny: Dataset, recipe: FeedForwardRecipe) -> None:
    method, rows = method_of(recipe, tiny), []
    method.net.layers[1].register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    method.step(first(tiny, 8), 0.0)
    assert rows == [8, 16]


def test_a_batch_multiplies_with_its_images_once_to_see_and_once_to_learn(recipe: FeedForwardRecipe) -> None:
    """Hand count of what one more pixel costs, with three passes and both halves of the gradient."""
    units, batch, pixels = recipe.widths[0], 8, (30, 40)

    def cost(width: int) -> int:
        images = torch.rand(batch, 1, 1, width, generator=torch.Generator().manual_seed(0))
        data = Dataset("wide", images, torch.arange(batch) % 4, images, torch.arange(batch) % 4, 4, official=False)
        method = method_of(recipe, data)
        return multiply_adds(lambda: method.step(first(data, batch), 0.0))

    peers = batch + units  # the sum of the inputs, and the pull on it
    expected = 2 * batch * units + peers
    assert (cost(pixels[1]) - cost(pixels[0])) / (pixels[1] - pixels[0]) == expected


def test_a_batch_with_little_to_teach_costs_less(tiny: Dataset, recipe: FeedForwardRecipe) -> None:
    """The stronger the tolerance, the fewer rows go into the gradient; the forward passes stay."""
    costs = []
    for tolerance in (0.0, 0.5, 0.99):
        method = method_of(replace(recipe, tolerance=tolerance, temperature=50.0, objective="symba"), tiny)
        for layer in method.net.layers:
            layer.weight *= 0.1
        costs.append(multiply_adds(partial(method.step, first(tiny, 8), 0.0)))
    assert costs[0] >= costs[1] > costs[2]


# The twin ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_the_twin_learns_from_chosen_images_is_on_average_what_it_learns_from_all(
    tiny: Dataset, twin_recipe: BackpropRecipe
) -> None:
    """The gradient of an epoch in one batch at a rate of nothing: its mean over epochs is that of all images."""
    quiet = replace(twin_recipe, smoothing=0.0, batch=40, tolerance=0.9, revisit=0.3)
    method = method_of(quiet, tiny)
    torch.nn.init.normal_(method.net.layers[-1].weight, generator=torch.Generator().manual_seed(1))
    images, labels = tiny.train
    velocities = {name: buffer for name, buffer in method.net.named_buffers() if "velocity" in name}
    everything = Batch(images, labels, torch.arange(40), torch.ones(40))
    method.step(everything, 1.0)
    exact = {name: velocity.clone() for name, velocity in velocities.items()}
    method.sampler.difficulty = method.step(everything, 1.0).difficulty
    chances, epochs = method.sampler.chances(), 1000
    assert ((chances < 1) & (chances > 0.3)).any()
    total = {name: torch.zeros_like(velocity) for name, velocity in exact.items()}
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        cases = (torch.rand(40, generator=generator) < chances).nonzero()[:, 0]
        method.step(Batch(images[cases], labels[cases], cases, 1 / chances[cases]), 1.0)
        for name, velocity in velocities.items():
            total[name] += velocity * len(cases) / 40 / epochs
    assert len(exact) == len(list(method.net.parameters()))
    for name, expected in exact.items():
        assert (total[name] - expected).norm() < 0.1 * expected.norm()


def test_shortcuts_change_the_way_and_not_what_is_known_at_the_end(
    tiny: Dataset, recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe
) -> None:
    wide: dict[str, Any] = {"objective": "swish_symba", "temperature": 2.0, "rate": 0.05, "epochs": 30}
    asked: list[Recipe] = [
        replace(recipe, **SHORTCUTS, **wide),
        replace(twin_recipe, **SHORTCUTS, rate=0.1, epochs=30),
    ]
    for each in asked:
        trainer, visits = trainer_of(each, tiny), []
        for epoch in range(each.epochs):
            trainer.epoch(epoch)
            visits.append(trainer.method.metrics()["visits"])
        assert min(visits) < 0.8
        net: Any = trainer.method.net
        error = (net.fast(tiny.test_images).argmax(1) != tiny.test_labels).float().mean()
        assert error <= 0.05
