"""What a trainer is given from outside: a schedule, a function for each batch; and what it tells devices.

Oracles: schedules by hand; the same training without a hook, bitwise; the random walk's own formula.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import twofold
from support.helpers import refusal
from support.runs import train
from support.small_nets import NETS
from twofold.data import Dataset
from twofold.errors import SettingError
from twofold.methods import BackpropRecipe, FeedForwardRecipe, build
from twofold.nets.classifier import NetResult
from twofold.schedules import SCHEDULES
from twofold.substrate import arrays, set_run_length
from twofold.training.trainer import Trainer
from twofold_lab.claims import hybrid
from twofold_lab.lab import Lab

DRIFTING = twofold.Substrate(full_scale=4.0, drift=0.1, threshold=0.1, neuron_drift=0.1)


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


# A schedule ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETS)
def test_the_rate_of_an_epoch_is_that_of_the_schedule(digits: Dataset, name: str) -> None:
    data = digits.train_images[:100], digits.train_labels[:100]
    for schedule, factors in (
        ("constant_then_linear", [1.0, 1.0, 0.6, 0.1]),
        ("constant", [1.0] * 4),
        (lambda progress: 1 - progress / 2, [0.9, 0.775, 0.65, 0.525]),
    ):
        history = twofold.fit(NETS[name](), *data, epochs=4, batch=20, rate=0.01, schedule=schedule)
        assert [each["rate"] / 0.01 for each in history] == pytest.approx(factors)


def test_a_schedule_acts_on_every_rate(digits: Dataset) -> None:
    """With a factor of 0 nothing learns: neither layers nor the softmax."""
    for name in NETS:
        before, net = NETS[name](), NETS[name]()
        twofold.fit(net, *digits.train, epochs=1, batch=200, schedule=lambda progress: 0.0)
        assert same(net, before)


def test_a_schedule_that_does_not_exist_is_refused(digits: Dataset, recipe: FeedForwardRecipe) -> None:
    said = refusal(lambda: twofold.fit(NETS["backprop"](), *digits.train, epochs=1, schedule="constnat"), SettingError)
    assert said == "unknown schedule 'constnat': did you mean 'constant'?"
    assert "unknown schedule" in refusal(lambda: replace(recipe, schedule="linear_then_so"), SettingError)


def test_a_schedule_is_an_option_of_the_command_line_and_kept_with_the_run(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path
) -> None:
    result = train(replace(recipe, schedule="constant"), tmp_path / "run", tiny)
    assert result.settings["schedule"] == "constant"
    assert twofold.load(tmp_path / "run", "cpu").history[-1]["rate"] == recipe.rate


def test_a_softmax_alone_learns_at_one_rate_in_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, rates = Lab("smoke", tmp_path), list[float]()
    step = hybrid.SoftmaxAlone.step

    def watched(method: hybrid.SoftmaxAlone, *given: Any) -> NetResult:
        result = step(method, *given)
        rates.append(method.rate)
        return result

    monkeypatch.setattr(hybrid.SoftmaxAlone, "step", watched)
    recipe, _ = hybrid.settings(lab)
    hybrid.untrained(lab, replace(recipe, epochs=24))
    assert [rates[number] / recipe.rate for number in range(18, len(rates), 36)] == pytest.approx(
        [1, 1, 1, 2 / 2 * 0.5]
    )


# A function for each batch -------------------------------------------------------------------------------------------


def test_a_hook_sees_every_batch_with_what_its_step_returned_and_changes_nothing(
    tiny: Dataset, recipe: FeedForwardRecipe
) -> None:
    plain, net = build(recipe, tiny.form), build(recipe, tiny.form)
    Trainer(plain, recipe, tiny.train).run()
    seen: list[tuple[int, float, list[int]]] = []

    def watch(trainer: Trainer, batch: Any, result: Any) -> None:
        assert trainer.net is net
        assert isinstance(result, NetResult)
        assert result.logits.shape == (len(batch.cases), 4)
        assert len(result.difficulty) == len(batch.cases)
        seen.append((trainer.method.batches_seen, trainer.progress, batch.cases.tolist()))

    Trainer(net, recipe, tiny.train, on_batch=watch).run()
    assert [number for number, _, _ in seen] == [*range(1, 21)]
    assert [progress for _, progress, _ in seen] == pytest.approx([number / 5 for number in range(20)])
    assert sorted(case for _, _, cases in seen[:5] for case in cases) == [*range(40)]
    assert same(net, plain)


def test_an_exception_of_a_hook_ends_the_training(tiny: Dataset, recipe: FeedForwardRecipe) -> None:
    def stop(trainer: Trainer, *_: Any) -> None:
        if trainer.method.batches_seen == 7:
            raise KeyboardInterrupt

    trainer = Trainer(build(recipe, tiny.form), recipe, tiny.train, on_batch=stop)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert len(trainer.history) == 1


# Devices -------------------------------------------------------------------------------------------------------------


def on_a_device(data: Dataset, substrate: twofold.Substrate = DRIFTING) -> Any:
    net = twofold.FeedForward.dense(data.shape, (14, 12), data.classes, generator=torch.Generator().manual_seed(0))
    return substrate.install(net, seed=1)


def lengths(net: Any) -> set[int]:
    held = {array.substrate.run_length for array in arrays(net)}
    return held | {array.neurons.substrate.run_length for array in arrays(net) if array.neurons is not None}


@pytest.mark.parametrize("how", ["fit", "train", "a recurrent net"])
def test_a_trainer_tells_every_device_of_a_net_how_many_updates_the_run_has(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path, how: str
) -> None:
    """Also one that no recipe names. 40 cases make 6 batches of 7."""
    net = on_a_device(tiny)
    if how == "fit":
        twofold.fit(net, *tiny.train, epochs=3, batch=7)
    elif how == "train":
        train(replace(recipe, widths=(14, 12), epochs=3, batch=7), tmp_path / "run", tiny, net=net)
    else:
        net = DRIFTING.install(twofold.Recurrent(25, (14, 12), 4), seed=1)
        twofold.fit(net, *tiny.train, epochs=3, batch=7)
    assert lengths(net) == {18}


def test_drift_in_a_run_is_as_far_as_the_substrate_says_however_long_the_run_is(tiny: Dataset) -> None:
    """Oracle: a random walk whose steps sum up to ``drift`` times the weights' root mean square; nothing else moves."""
    for epochs in (5, 80):
        net = on_a_device(tiny, twofold.Substrate(drift=0.1))
        first = [array.value.clone() for array in arrays(net)]
        twofold.fit(net, *tiny.train, epochs=epochs, batch=10, rate=1e-12, schedule="constant")
        for array, before in zip(arrays(net), first, strict=True):
            moved = (array.value - before).square().mean().sqrt() / before.square().mean().sqrt()
            assert 0.07 < moved < 0.14


def test_a_run_length_that_was_stated_or_set_by_an_earlier_training_stays(tiny: Dataset) -> None:
    """The rate at which a device drifts is a fact of the device."""
    stated = on_a_device(tiny, replace(DRIFTING, updates=500))
    twofold.fit(stated, *tiny.train, epochs=1, batch=10)
    assert lengths(stated) == {500}
    again = on_a_device(tiny)
    for epochs in (5, 1):
        twofold.fit(again, *tiny.train, epochs=epochs, batch=10)
    assert lengths(again) == {20}
    told = on_a_device(tiny)
    set_run_length(told, 77)
    twofold.fit(told, *tiny.train, epochs=1)
    assert lengths(told) == {77}
    assert lengths(on_a_device(tiny)) == {10_000}, "layers that learn without a trainer"


def test_schedules_by_hand(twin_recipe: BackpropRecipe) -> None:
    assert [SCHEDULES["constant"](progress) for progress in (0.0, 0.7, 1.0)] == [1.0, 1.0, 1.0]
    assert twin_recipe.schedule == "constant_then_linear"
    assert math.isclose(SCHEDULES["constant_then_linear"](0.75), 0.5)
