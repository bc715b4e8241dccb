"""Wrong labels that are given, so that each layer learns as soon as it has its input.

Oracle: the same wrong labels drawn after a pass through the whole net, bitwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import twofold
from support.helpers import refusal
from support.small_nets import NETS, PIXELS, of_modules
from twofold.data import Dataset
from twofold.errors import DataError
from twofold.layers.boxes import Sampled
from twofold.layers.dense import Dense, dense
from twofold.methods import build
from twofold.negatives import NEGATIVES
from twofold.substrate import PRESETS
from twofold.training.trainer import Trainer


def with_a_box() -> twofold.FeedForward:
    first = torch.Generator().manual_seed(0)
    layers = [Dense(PIXELS + 10, 40, generator=first), twofold.BlackBox(Sampled(40, 1)), Dense(40, 30, generator=first)]
    return twofold.FeedForward(layers, 10)


def on_a_substrate() -> twofold.FeedForward:
    net: twofold.FeedForward = PRESETS["bench"].install(NETS["feedforward"](), seed=1)
    return net


MADE = {
    "feedforward": NETS["feedforward"],
    "any module": of_modules,
    "recurrent": NETS["recurrent"],
    "a box that draws": with_a_box,
    "a substrate with noise": on_a_substrate,
    "three layers, all read": lambda: twofold.FeedForward(
        dense(PIXELS + 10, (20, 15, 12), None, torch.Generator().manual_seed(0)), 10, counted_from=1
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_given_wrong_labels_teach_what_drawn_ones_teach(digits: Dataset, name: str) -> None:
    drawn, given = MADE[name](), MADE[name]()
    for number in range(3):
        part = slice(20 * number, 20 * number + 20)
        images, labels = digits.train_images[part], digits.train_labels[part]
        wrong = (labels + 1 + torch.arange(20) % 9) % 10
        results = [
            drawn.learn(images, labels, rate=0.05, negatives=lambda *_, wrong=wrong: wrong),
            given.learn(images, labels, rate=0.05, negatives=wrong),
        ]
        assert torch.equal(results[0].logits, results[1].logits)
        assert torch.equal(results[0].difficulty, results[1].difficulty)
    for key, tensor in drawn.state_dict().items():
        assert torch.equal(tensor, given.state_dict()[key]), key


@pytest.mark.parametrize("given", [True, False])
def test_a_layer_learns_before_any_layer_above_it_has_run_where_labels_are_given(
    digits: Dataset, given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a pipeline over layers needs."""
    net: Any = MADE["three layers, all read"]()
    order: list[str] = []
    numbers = {id(layer): number for number, layer in enumerate(net.stack, 1)}
    forward, learn = Dense.forward, Dense.learn

    def spy(what: str, method: Any) -> Any:
        def noted(layer: Dense, *given: Any, **named: Any) -> Any:
            order.append(f"{what} {numbers[id(layer)]}")
            return method(layer, *given, **named)

        return noted

    monkeypatch.setattr(Dense, "forward", spy("run", forward))
    monkeypatch.setattr(Dense, "learn", spy("learn", learn))
    images, labels = digits.train_images[:8], digits.train_labels[:8]
    wrong = (labels + 1) % 10
    net.learn(images, labels, rate=0.05, negatives=wrong if given else (lambda *_: wrong))
    firsts = [order.index(f"learn {number}") for number in (1, 2)]
    runs = [order.index(f"run {number}") for number in (2, 3)]
    assert all(first < run for first, run in zip(firsts, runs, strict=True)) is given


def test_layers_above_those_that_learn_are_still_read_by_the_softmax(digits: Dataset) -> None:
    nets = [MADE["three layers, all read"]() for _ in range(2)]
    images, labels = digits.train_images[:8], digits.train_labels[:8]
    wrong = (labels + 1) % 10
    for net, negatives in zip(nets, (wrong, lambda *_: wrong), strict=True):
        net.learn(images, labels, rate=0.05, negatives=negatives, learning=range(1, 2))
    assert torch.equal(nets[0].softmax.weight, nets[1].softmax.weight)
    assert all(part.any() for part in nets[0].softmax.weight.split((20, 15, 12), 1))


@pytest.mark.parametrize("name", ["feedforward", "recurrent"])
def test_wrong_labels_that_are_true_or_none_are_refused(digits: Dataset, name: str) -> None:
    images, labels = digits.train_images[:8], digits.train_labels[:8]
    for wrong, says in (
        (labels, "has the true label for 8 of 8"),
        (labels[:5], "negatives"),
        (labels + 10, "negatives"),
    ):
        said = refusal(lambda wrong=wrong: MADE[name]().learn(images, labels, rate=0.1, negatives=wrong), DataError)
        assert says in said


@pytest.mark.parametrize("method", ["forward-forward", "recurrent"])
def test_stored_negatives_are_drawn_from_the_logits_of_the_last_visit(
    tiny: Dataset, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "digits" if method == "forward-forward" else "recurrent"
    changes: dict[str, Any] = {"data": "tiny", "widths": (14, 12), "epochs": 2, "batch": 8, "tolerance": 0.0}
    recipe = replace(twofold.RECIPES[name], **changes, revisit=1.0, negatives="stored", validation=0)
    trainer = Trainer(build(recipe, tiny.form), recipe, tiny.train)
    used: list[Tensor] = []
    draw = NEGATIVES["hard"]
    monkeypatch.setitem(NEGATIVES, "hard", lambda *given: (used.append(given[1].clone()), draw(*given))[1])
    kept: list[Tensor] = []

    def watch(trainer: Trainer, batch: Any, result: Any) -> None:
        kept.append(result.logits.clone())
        visits.append(batch.cases)

    visits: list[Tensor] = []
    trainer.on_batch = watch
    trainer.run()
    newest = torch.zeros(40, 4)
    for cases, before, after in zip(visits, used, kept, strict=True):
        assert torch.equal(before, newest[cases])
        newest[cases] = after.to(newest.dtype)
    assert newest.any()


@pytest.mark.slow
def test_stored_negatives_teach_the_digits(digits: Dataset) -> None:
    net = twofold.FeedForward.dense(digits.shape, (100, 80), 10, generator=torch.Generator().manual_seed(0))
    twofold.fit(net, digits, epochs=10, negatives="stored")
    error = twofold.evaluate(net, *digits.test).error
    assert error["slow"] < 0.15
    assert error["fast"] < 0.08
