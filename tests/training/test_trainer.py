"""Training without a folder: a net, a recipe and tensors, or a net and tensors alone.

Oracles: the same training in a run folder, bitwise; thresholds that a net which does not learn stays far from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import twofold
from support.helpers import SHORTCUTS, refusal
from support.runs import train
from twofold import defaults
from twofold.data import Dataset
from twofold.errors import Diverged, SettingError
from twofold.layers.dense import dense
from twofold.methods import METHODS, BackpropRecipe, FeedForwardRecipe, Recipe, build
from twofold.nets.net import Net
from twofold.recipes import RECIPES
from twofold.training import runs
from twofold.training.trainer import Trainer

SMALL: dict[str, Any] = {"data": "tiny", "widths": (14, 12), "epochs": 4, "batch": 8, "jitter": 1, **SHORTCUTS}
"""Small nets that draw all that can be drawn: distortions, negative data, and which images are seen."""

FAMILIES = sorted(METHODS)


@pytest.fixture(scope="module")
def recipes(recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe) -> dict[str, Recipe]:
    """One of each family."""
    every = (recipe, twin_recipe, RECIPES["recurrent"], RECIPES["mnist-hybrid"], RECIPES["digits-blocks"])
    found = {each.method: replace(each, **SMALL) for each in every}
    assert sorted(found) == FAMILIES
    return found


def untimed(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in metrics.items() if key != "seconds"} for metrics in history]


def assert_equal(one: Net, other: Net) -> None:
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)


# A trainer -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_training_without_a_folder_ends_bitwise_as_one_in_a_folder(
    tiny: Dataset, recipes: dict[str, Recipe], tmp_path: Path, family: str
) -> None:
    """What is found out in a notebook would otherwise not be what the command line trains."""
    recipe = recipes[family]
    train(recipe, tmp_path, tiny)
    kept = runs.load(tmp_path, "cpu")
    trainer = Trainer(build(recipe, tiny.form), recipe, tiny.train)
    trainer.run()
    assert_equal(trainer.method.net, kept.net)
    assert untimed(trainer.history) == untimed(kept.history)
    assert [metrics["epoch"] for metrics in trainer.history] == [1, 2, 3, 4]
    assert all(metrics["seconds"] > 0 for metrics in trainer.history)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_training_that_is_left_after_an_epoch_goes_on_where_it_was(
    tiny: Dataset, recipes: dict[str, Recipe], family: str
) -> None:
    recipe = recipes[family]
    whole, parts = (Trainer(build(recipe, tiny.form), recipe, tiny.train) for _ in range(2))
    whole.run()
    for metrics in parts.epochs():
        assert metrics is parts.history[-1]
        if metrics["epoch"] == 2:
            break
    assert len(parts.history) == 2
    parts.run()
    assert_equal(parts.method.net, whole.method.net)
    assert untimed(parts.history) == untimed(whole.history)
    assert list(parts.epochs()) == [], "a training that is at its end has no epoch left"


def test_progress_is_told_in_epochs_from_nothing_to_all(tiny: Dataset, recipe: FeedForwardRecipe) -> None:
    told: list[float] = []
    net = build(recipe, tiny.form)
    Trainer(net, recipe, tiny.train, on_batch=lambda trainer, *_: told.append(trainer.progress)).run()
    assert told == sorted(told)
    assert len(told) == 20
    assert 0 <= told[0] < told[-1] <= 4


def test_a_trainer_writes_nothing_and_leaves_the_data_as_they_are(
    tiny: Dataset, recipes: dict[str, Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fingerprint = replace(tiny).fingerprint
    for recipe in recipes.values():
        Trainer(build(recipe, tiny.form), recipe, tiny.train).run()
    assert not list(tmp_path.iterdir())
    assert replace(tiny).fingerprint == fingerprint


# What diverged never gets out ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_after_an_epoch_all_that_a_checkpoint_would_hold_is_finite_or_named(
    tiny: Dataset, recipes: dict[str, Recipe], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what shows in no metric: smoothed gradients, and a softmax that nobody reads during the training."""
    recipe = replace(recipes[family], epochs=1)
    trainer = Trainer(build(recipe, tiny.form), recipe, tiny.train)
    method = trainer.method
    held = {name: tensor for name, tensor in method.tensors().items() if tensor.is_floating_point()}
    assert any("velocity" in name for name in held)
    next(trainer.epochs())
    monkeypatch.setattr(method.sampler, "epoch", lambda batch: iter(()))
    for name, tensor in held.items():
        trainer.history.clear()
        flat = tensor.detach().view(-1)
        before, flat[0] = flat[0].clone(), torch.nan
        said = refusal(lambda: next(trainer.epochs()), Diverged)
        assert said.startswith(f"a value of {name} is no longer finite after ")
        at_fault = "--softmax-rate (it is 0.1)" if "softmax." in name else f"--rate (it is {recipe.rate:g})"
        assert said.endswith(f"lower {at_fault}")
        assert not trainer.history
        flat[0] = before
    assert next(trainer.epochs())["epoch"] == 1


@pytest.mark.parametrize("measured", [float("nan"), {"a": [1.0, float("inf")]}, [None, {"b": -float("inf")}]], ids=str)
def test_a_metric_that_is_not_finite_stops_the_training(
    tiny: Dataset, recipe: FeedForwardRecipe, monkeypatch: pytest.MonkeyPatch, measured: Any
) -> None:
    trainer = Trainer(build(recipe, tiny.form), recipe, tiny.train)
    monkeypatch.setattr(trainer.method, "metrics", lambda: {"rate": 1.0, "strange": measured})
    said = refusal(lambda: next(trainer.epochs()), Diverged)
    assert said.startswith("the metric strange is no longer finite after 5 batches: ")
    assert not trainer.history


# A net and tensors alone ---------------------------------------------------------------------------------------------


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


NETS: dict[str, tuple[Callable[[], Net], int, dict[str, float]]] = {
    # a net for the digits, epochs, and the errors that it stays below
    "forward-forward": (
        lambda: twofold.FeedForward.dense((1, 8, 8), (100, 80), 10, generator=seeded()),
        10,
        {"slow": 0.3, "fast": 0.1},
    ),
    "recurrent": (lambda: twofold.Recurrent(64, (60, 50), 10, generator=seeded()), 6, {"slow": 0.4, "fast": 0.12}),
    "unsupervised": (lambda: twofold.Unsupervised(dense(64, (100, 80), None, seeded()), 10), 6, {"fast": 0.15}),
    "backprop": (lambda: twofold.Backprop(64, (100, 80), 10, seeded()), 3, {"fast": 0.06}),
}


@pytest.mark.parametrize("family", NETS)
def test_a_net_learns_the_digits_with_one_call_and_no_setting(digits: Dataset, family: str) -> None:
    """The defaults are for somebody's own data: they have to be good without being looked at."""
    make, epochs, wanted = NETS[family]
    net = make()
    history = list(twofold.fit(net, *digits.train, epochs=epochs))
    assert net.method == family
    assert [metrics["epoch"] for metrics in history] == [*range(1, epochs + 1)]
    assert history[-1]["train_error"] < history[0]["train_error"]
    error = twofold.evaluate(net, *digits.test).error
    assert {test: error[test] for test, limit in wanted.items() if error[test] >= limit} == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_with_the_fields_of_a_recipe_a_net_is_fitted_bitwise_as_by_the_recipe(
    tiny: Dataset, recipes: dict[str, Recipe], family: str
) -> None:
    recipe = recipes[family]
    trainer, net = Trainer(build(recipe, tiny.form), recipe, tiny.train), build(recipe, tiny.form)
    trainer.run()
    of_training = {name: value for name, value in asdict(recipe).items() if name not in recipe.fields_with("of_net")}
    history = list(twofold.fit(net, *tiny.train, **of_training))
    assert_equal(net, trainer.method.net)
    assert untimed(history) == untimed(trainer.history)


def fitted(net: Net, data: tuple[Tensor, ...], **settings: Any) -> dict[str, Tensor]:
    twofold.fit(net, *data, **{"epochs": 2, "batch": 8, **settings})
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


CHANGES: dict[str, dict[str, Any]] = {
    "epochs": {"epochs": 3},
    "batch": {"batch": 10},
    "seed": {"seed": 1},
    "rate": {"rate": 0.07},
    "jitter": {"jitter": 1},
    "mirror": {"mirror": True},
    "visits": {"tolerance": 0.9999, "revisit": 0.1},
    "schedule": {"schedule": "constant"},
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_setting_of_a_training_arrives(
    tiny: Dataset, recipes: dict[str, Recipe], family: str, change: str
) -> None:
    nets = [build(recipes[family], tiny.form) for _ in range(3)]
    plain, again = (fitted(net, tiny.train) for net in nets[:2])
    other = fitted(nets[2], tiny.train, **CHANGES[change])
    assert all(torch.equal(plain[name], again[name]) for name in plain)
    assert not all(torch.equal(plain[name], other[name]) for name in plain)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_rate_that_nobody_states_is_the_default(tiny: Dataset, recipes: dict[str, Recipe], family: str) -> None:
    rates = {"backprop": defaults.TWIN_RATE, "label-free": defaults.LABEL_FREE_RATE}
    rate = rates.get(family, defaults.RATE)
    stated, unstated = (build(recipes[family], tiny.form) for _ in range(2))
    one, other = fitted(stated, tiny.train, rate=rate), fitted(unstated, tiny.train)
    assert all(torch.equal(one[name], other[name]) for name in one)
    (metrics,) = twofold.fit(unstated, *tiny.train, epochs=1, batch=40, rate=0.25)
    assert metrics["rate"] == 0.25


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ratte": 0.1}, "unknown setting 'ratte': did you mean 'rate'?"),
        ({"learning_rate": 0.1}, "unknown setting 'learning_rate'"),
        ({"rate": -0.1}, "rate is -0.1, expected a number above 0"),
        ({"epochs": 0}, "epochs is 0, expected at least 1"),
        ({"batch": 0}, "batch is 0, expected at least 1"),
        ({"seed": 2**70}, "seed is"),
        ({"revisit": 0.0}, "revisit is 0.0, expected a number above 0"),
        ({"jitter": -1}, "jitter is -1"),
    ],
    ids=str,
)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_setting_that_cannot_be_is_told_before_anything_is_learned(
    tiny: Dataset, recipes: dict[str, Recipe], family: str, settings: dict[str, Any], words: str
) -> None:
    """Told by the call itself, not by the first epoch that somebody asks for."""
    net = build(recipes[family], tiny.form)
    asked: dict[str, Any] = {"epochs": 1, **settings}
    assert words in refusal(lambda: twofold.fit(net, *tiny.train, **asked), SettingError)
    assert_equal(net, build(recipes[family], tiny.form))


def test_fit_has_trained_when_it_returns_and_gives_the_history(tiny: Dataset, recipe: FeedForwardRecipe) -> None:
    net, seen = build(recipe, tiny.form), list[dict[str, Any]]()
    history = twofold.fit(net, *tiny.train, epochs=2, on_epoch=seen.append)
    assert not torch.equal(net.softmax.weight, build(recipe, tiny.form).softmax.weight)
    assert [metrics["epoch"] for metrics in history] == [1, 2]
    assert history.last is history[-1]
    assert seen == history
