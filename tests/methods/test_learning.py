"""Learning: small tasks are learned to a threshold, the loop does what its settings say, and what fails says so.

Oracles: thresholds that a broken rule does not reach, the documented contract of each setting, determinism.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from support.helpers import AUTHORS, SHORTCUTS, first, refusal
from twofold.data import Dataset, load
from twofold.errors import Diverged
from twofold.layers.dense import Dense
from twofold.layers.inputs import LayerInput
from twofold.layers.layer import LayerResult
from twofold.layers.readout import Softmax
from twofold.methods import BackpropRecipe, FeedForwardRecipe, Recipe, build
from twofold.recipes import RECIPES
from twofold.training.result import Result
from twofold.training.train import train
from twofold.training.trainer import Trainer


def trainer_of(recipe: Recipe, data: Dataset) -> Any:
    return Trainer(build(recipe, data.form), recipe, data.train)


def learn(trainer: Trainer, epochs: int | None = None) -> None:
    for epoch in range(epochs or trainer.method.recipe.epochs):
        trainer.epoch(epoch)


def learned(recipe: Recipe, data: Dataset) -> dict[str, Tensor]:
    """The weights after a whole training."""
    trainer = trainer_of(recipe, data)
    learn(trainer)
    found: dict[str, Tensor] = trainer.method.net.state_dict()
    return found


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# Recipes on their own data -------------------------------------------------------------------------------------------

TWINS = {
    (recipe.widths, recipe.rate): name
    for name, recipe in RECIPES.items()
    if isinstance(recipe, BackpropRecipe) and recipe.data == "mnist"
}
"""One of each form and rate: a wide net may diverge at a rate that a narrow one bears."""


@pytest.mark.slow
@pytest.mark.parametrize("name", TWINS.values())
def test_the_twins_of_mnist_do_not_diverge_in_their_first_batches(name: str, mnist_folder: Path) -> None:
    data, batches = load("mnist", mnist_folder), 100
    trainer = trainer_of(replace(RECIPES[name], seed=1), data)

    def stop(trainer: Trainer, *_: Any) -> None:
        if trainer.method.batches_seen >= batches:
            raise InterruptedError

    trainer.on_batch = stop
    with pytest.raises(InterruptedError):
        trainer.epoch(0)
    assert torch.stack(trainer.method._losses[-20:]).mean() < 1


# Small tasks learned to a threshold ----------------------------------------------------------------------------------


def on_digits(digits: Dataset, folder: Path, name: str, precision: str = "fp32", **changes: Any) -> Result:
    recipe = replace(RECIPES[name], **{"widths": (200, 200), **changes})
    return train(recipe, folder / "run", digits, device="cpu", precision=precision)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param({"negatives": "random"}, marks=pytest.mark.slow),
        pytest.param({"layer_by_layer": True}, marks=pytest.mark.slow),
        pytest.param({**SHORTCUTS, "objective": "swish_symba", "temperature": 25.0}, marks=pytest.mark.slow),
        pytest.param({**SHORTCUTS, "negatives": "random", "temperature": 10.0}, marks=pytest.mark.slow),
        pytest.param({**SHORTCUTS, "layer_by_layer": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_digits_are_learned_without_backpropagation(digits: Dataset, tmp_path: Path, changes: dict[str, Any]) -> None:
    """Linear classifiers stay above 5 %; a net whose hidden layers have learned the wrong thing above 10 %."""
    result = on_digits(digits, tmp_path, "digits", **{**AUTHORS, "epochs": 20, **changes})
    assert set(result.test_error) == {"slow", "fast", "shortlist", "both"}
    assert max(result.test_error.values()) < 0.06


@pytest.mark.slow
def test_digits_are_learned_in_narrow_products_as_in_wide_ones(digits: Dataset, tmp_path: Path) -> None:
    result = on_digits(digits, tmp_path, "digits", precision="bf16", **AUTHORS, epochs=20)
    assert max(result.test_error.values()) < 0.06


def test_the_digits_recipe_as_it_is_shipped_is_well_on_its_way_after_a_quarter_of_its_epochs(
    digits: Dataset, tmp_path: Path
) -> None:
    result = on_digits(digits, tmp_path, "digits", epochs=RECIPES["digits"].epochs // 4)
    assert result.test_error["fast"] < 0.06
    assert result.test_error["slow"] < 0.12


@pytest.mark.parametrize(
    ("precision", "changes"),
    [("fp32", {}), ("bf16", {}), ("fp32", {"rate": 0.05, "tolerance": 0.3, "revisit": 0.5})],
)
def test_the_twin_learns_digits_well(digits: Dataset, tmp_path: Path, precision: str, changes: dict[str, Any]) -> None:
    """A comparison with a twin that does not learn would flatter Forward-Forward."""
    result = on_digits(digits, tmp_path, "digits-twin", precision, **{"tolerance": 0.0, "epochs": 8, **changes})
    assert result.test_error["fast"] < 0.04


@pytest.mark.slow
def test_a_deep_recurrent_net_follows_the_image_and_not_its_label(digits: Dataset, tmp_path: Path) -> None:
    """With top-down weights as large as the others, or the label at the top alone, its upper layers do not."""
    changes = {"widths": (100,) * 6, "temperature": 10.0, "batch": 25, "epochs": 8}
    result = on_digits(digits, tmp_path, "recurrent-deep", **changes)
    assert result.test_error["slow"] < 0.05
    assert max(result.metrics["layer_error"]) < 0.09


def test_goodness_rises_for_positive_and_falls_for_negative_data_in_every_layer(
    tiny: Dataset, recipe: FeedForwardRecipe
) -> None:
    trainer = trainer_of(replace(recipe, epochs=60, revisit=1.0), tiny)
    learn(trainer, 1)
    start = trainer.method.metrics()["layers"]
    learn(trainer)
    end = trainer.method.metrics()["layers"]
    for before, after in zip(start, end, strict=True):
        assert after["positive"] - after["negative"] > before["positive"] - before["negative"] + 0.2
        assert after["p_positive"] > after["p_negative"]


# What the settings say -----------------------------------------------------------------------------------------------


def test_layer_by_layer_changes_one_layer_at_a_time_from_the_bottom_up(
    tiny: Dataset, recipe: FeedForwardRecipe
) -> None:
    """The talk's claim that layers can learn one after the other is void if the others learn along."""
    trainer = trainer_of(replace(recipe, layer_by_layer=True, epochs=6, revisit=1.0), tiny)
    method, changed = trainer.method, list[list[bool]]()
    inner = method.step

    def watched(*given: Any) -> Tensor:
        before = [layer.weight.clone() for layer in method.net.layers]
        difficulty: Tensor = inner(*given)
        changed.append([not torch.equal(layer.weight, b) for layer, b in zip(method.net.layers, before, strict=True)])
        return difficulty

    method.step = watched
    learn(trainer)
    assert changed == [[index == batch // 10 for index in range(3)] for batch in range(30)]


@pytest.mark.parametrize("kind", ["forward-forward", "backprop"])
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    tiny: Dataset, recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe, kind: str
) -> None:
    asked = replace(recipe if kind == "forward-forward" else twin_recipe, jitter=1)
    assert equal(learned(asked, tiny), learned(asked, tiny))
    assert not equal(learned(asked, tiny), learned(replace(asked, seed=1), tiny))


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"jitter": 1},
            {"label_in": "overlay"},
            {"label_strength": 2.0},
            {"negatives": "random"},
            {"normalize": "none"},
        ),
        *({"goodness": "mean_of_squares"}, {"objective": "symba"}, {"temperature": 2.0}, {"peer": 0.0}, {"rate": 0.02}),
        *({"smoothing": 0.5}, {"decay": 0.1}, {"tolerance": 0.5}, {"counted_from": 1}, {"layer_by_layer": True}),
        *({"softmax_rate": 0.2}, {"softmax_decay": 0.1}, {"batch": 4}, {"widths": (14, 12)}, {"epochs": 3}),
        {"tolerance": 0.9, "rate": 0.1, "revisit": 0.2},
    ],
    ids=str,
)
def test_every_setting_has_an_effect(tiny: Dataset, recipe: FeedForwardRecipe, change: dict[str, Any]) -> None:
    """An ablation whose switch is not connected shows that nothing matters."""
    plain = {**change, "revisit": 1.0, "tolerance": 0.9} if "revisit" in change else {}
    assert not equal(learned(replace(recipe, **plain), tiny), learned(replace(recipe, **change), tiny))


def test_the_softmax_teaches_the_layers_nothing(tiny: Dataset, recipe: FeedForwardRecipe) -> None:
    """Only hard negatives may tell the layers of it (talk 13:02): with random ones its rate is without effect."""
    one, other = (learned(replace(recipe, negatives="random", softmax_rate=r), tiny) for r in (0.1, 0.5))
    assert not torch.equal(one.pop("softmax.weight"), other.pop("softmax.weight"))
    assert equal(one, other)


def test_the_rate_is_constant_for_half_of_the_batches_and_then_falls_to_zero(
    tiny: Dataset, recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The falling half is worth 0.4 points: a rate that stays or falls early is another recipe."""
    rates: dict[str, list[float]] = {"layer": [], "softmax": [], "twin": []}
    learn_layer, learn_softmax = Dense.learn, Softmax.learn

    def layer(self: Dense, positive: LayerInput, negative: LayerInput, rate: float, weight: Tensor) -> LayerResult:
        rates["layer"].append(rate)
        return learn_layer(self, positive, negative, rate, weight)

    def softmax(self: Softmax, features: Tensor, labels: Tensor, rate: float, weight: Tensor) -> Tensor:
        rates["softmax"].append(rate)
        return learn_softmax(self, features, labels, rate, weight)

    monkeypatch.setattr(Dense, "learn", layer)
    monkeypatch.setattr(Softmax, "learn", softmax)
    learned(replace(recipe, widths=(5,), rate=0.02, softmax_rate=0.3, revisit=1.0), tiny)
    twin = trainer_of(replace(twin_recipe, rate=0.04), tiny).method
    for epoch in range(4):
        for batch in range(5):
            twin.step(first(tiny, 8), (epoch + batch / 5) / 4)
            rates["twin"].append(twin.rate)
    factors = [min(1.0, 2 * (1 - batch / 20)) for batch in range(20)]
    for kind, rate in (("layer", 0.02), ("softmax", 0.3), ("twin", 0.04)):
        assert rates[kind] == pytest.approx([rate * factor for factor in factors])


def test_layer_by_layer_every_layer_has_a_falling_half_of_its_own(tiny: Dataset, recipe: FeedForwardRecipe) -> None:
    method = trainer_of(replace(recipe, layer_by_layer=True), tiny).method
    rates = []
    for batch in range(30):
        method.step(first(tiny, 8), batch / 30)
        rates.append(method.rate)
    one = [recipe.rate * min(1.0, 2 * (1 - batch / 10)) for batch in range(10)]
    assert rates == pytest.approx(one * 3)


def test_the_goodness_reported_is_the_mean_over_the_cases_of_the_epoch(
    tiny: Dataset, recipe: FeedForwardRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[tuple[Tensor, Tensor]] = []
    learn_layer = Dense.learn

    def spy(self: Dense, *given: Any) -> LayerResult:
        found = learn_layer(self, *given)
        kept.append(found.goodness)
        return found

    monkeypatch.setattr(Dense, "learn", spy)
    trainer = trainer_of(replace(recipe, widths=(10,), temperature=3.0), tiny)
    for epoch in range(2):
        kept.clear()
        trainer.epoch(epoch)
        positive, negative = (torch.cat(side) for side in zip(*kept, strict=True))
        (reported,) = trainer.method.metrics()["layers"]
        assert reported["positive"] == pytest.approx(positive.mean().item() / 10)
        assert reported["negative"] == pytest.approx(negative.mean().item() / 10)
        assert reported["p_positive"] == pytest.approx(torch.sigmoid((positive - 10) / 3).mean().item())
        assert reported["p_negative"] == pytest.approx(torch.sigmoid((negative - 10) / 3).mean().item())


def test_with_a_validation_set_the_test_set_changes_nothing(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path
) -> None:
    """Choosing epochs or rates by the test set is the oldest way to a figure that does not hold."""
    poisoned = replace(tiny, test_images=1 - tiny.test_images, test_labels=(tiny.test_labels + 1) % 4)
    asked = replace(recipe, validation=10)
    clean, other = (
        train(asked, tmp_path / name, data, device="cpu", precision="fp32")
        for name, data in (("clean", tiny), ("poisoned", poisoned))
    )
    assert clean.test_error == other.test_error == {}
    assert clean.validation_error == other.validation_error
    assert clean.validation_error.keys() == {"slow", "fast", "shortlist", "both"}
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("clean", "poisoned")]
    assert weights[0] == weights[1]


# What fails says so --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [20, 2])
def test_numbers_that_are_not_finite_stop_the_training_and_name_the_layer(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path, epochs: int
) -> None:
    """Also in a training that is shorter than the interval between two looks: no result may come of it."""
    wild = replace(recipe, rate=1e30, decay=0.0, epochs=epochs)
    said = refusal(lambda: train(wild, tmp_path / "run", tiny, device="cpu", precision="fp32"), Diverged)
    assert said.startswith("layer 1's goodness is no longer finite after ")
    assert "batches: lower --rate (it is 1e+30)" in said
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_loss_that_is_not_finite_stops_the_twin(tiny: Dataset, twin_recipe: BackpropRecipe, tmp_path: Path) -> None:
    wild = replace(twin_recipe, rate=1e30)
    said = refusal(lambda: train(wild, tmp_path / "run", tiny, device="cpu", precision="fp32"), Diverged)
    assert "loss is no longer finite" in said
    assert "lower --rate (it is 1e+30)" in said


COLLAPSED: dict[str, tuple[float, float, list[str]]] = {
    # factor on the weights, biases -> what is said of it
    "silent": (1.0, -50.0, ["near zero", "lower --rate", "raise --peer"]),
    "stuck below": (
        0.1,
        0.0,
        ["classifies all data as negative", "change --rate", "lower --decay", "--label-strength"],
    ),
    "stuck above": (10.0, 0.0, ["classifies all data as positive", "change --rate", "raise --temperature"]),
}


@pytest.mark.parametrize("how", ["silent", *(pytest.param(how, marks=pytest.mark.slow) for how in list(COLLAPSED)[1:])])
def test_a_collapsed_layer_stops_the_training_and_says_what_to_try(
    tiny: Dataset, recipe: FeedForwardRecipe, how: str
) -> None:
    """A dead layer may hide behind a softmax that is right by the others: nobody should publish such a net."""
    weights, biases, words = COLLAPSED[how]
    settings: dict[str, Any] = {"rate": 1e-9, "peer": 0.0, "temperature": 7.0, "revisit": 1.0}
    trainer = trainer_of(replace(recipe, widths=(60, 60), epochs=101, **settings), tiny)
    method = trainer.method
    method.net.layers[1].weight *= weights
    method.net.layers[1].bias += biases
    learn(trainer, 99)
    assert len(method.metrics()["layers"]) == 2, "before 500 batches a layer may still wake up"
    learn(trainer, 1)
    said = refusal(method.metrics, Diverged)
    assert said.startswith("layer 2 has collapsed after 500 batches: ")
    for word in words:
        assert word in said


def test_a_net_at_chance_says_so_once(tiny: Dataset, recipe: FeedForwardRecipe) -> None:
    """A map that sees the label in one corner ends with a good softmax, and layers that know nothing."""
    trainer = trainer_of(replace(recipe, rate=1e-9, epochs=102, revisit=1.0), tiny)
    said = []
    for epochs in (99, 1, 1):
        learn(trainer, epochs)
        with warnings.catch_warnings(record=True) as remarks:
            warnings.simplefilter("always")
            trainer.method.metrics()
        said.append([str(each.message) for each in remarks])
    assert [len(each) for each in said] == [0, 1, 0]
    assert said[1][0].startswith("after 500 batches no layer separates positive from negative data: in the best layer")


def test_a_layer_that_learns_is_not_taken_for_collapsed(tiny: Dataset, recipe: FeedForwardRecipe) -> None:
    trainer = trainer_of(replace(recipe, epochs=101, revisit=1.0), tiny)
    learn(trainer, 100)
    assert trainer.method.batches_seen == 500
    assert len(trainer.method.metrics()["layers"]) == 3
