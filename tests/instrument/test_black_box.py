"""Boxes that nobody can differentiate, between layers that learn.

Oracle: each layer taught by itself, by hand, with what the box made of the activity below it.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from support.helpers import refusal
from support.peers import served
from support.runs import CtrlC, train
from support.small_layers import seeded
from twofold import BlackBox, Dense, FeedForward, Fixed, Rule, Unsupervised, evaluate, fit
from twofold.checkpoint import read
from twofold.data import Dataset
from twofold.errors import DeviceError, SettingError
from twofold.instrument import Instrument
from twofold.methods import METHODS, FeedForwardRecipe
from twofold.methods.feedforward import ForwardForward
from twofold.nets.net import Net
from twofold.normalize import NORMALIZE, normalize

WIDTHS, BOX, CLASSES = (12, 10, 8), 9, 4
MATRIX = np.random.default_rng(3).standard_normal((2, 12, BOX)).astype(np.float32)


def watchful(rows: Tensor) -> Tensor:
    """A random matrix that takes nothing that could be differentiated, and gives what could."""
    assert not torch.is_grad_enabled()
    assert not rows.requires_grad
    assert (rows.dtype, rows.device.type, rows.ndim) == (torch.float32, "cpu", 2)
    with torch.enable_grad():
        return (rows @ torch.from_numpy(MATRIX[0])[: rows.shape[1]].requires_grad_()).relu()


def of_numpy(rows: Tensor) -> np.ndarray[Any, Any]:
    return np.maximum(rows.numpy() @ MATRIX[1][: rows.shape[1]], 0)


def one_bit(rows: Tensor) -> np.ndarray[Any, Any]:
    return of_numpy(rows) > 0.5


class Drifting(nn.Module):
    """A box whose gain changes with each call, and which knows how often it was called."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, rows: Tensor) -> Tensor:
        self.calls += 1
        return watchful(rows + 0.01 * self.calls)


BOXES: dict[str, Callable[[], Callable[[Tensor], Any]]] = {
    "torch": lambda: watchful,
    "numpy": lambda: of_numpy,
    "one bit": lambda: one_bit,
    "with state": Drifting,
    "lists": lambda: lambda rows: of_numpy(rows).tolist(),
    "another thread": lambda: Instrument(served(watchful, 12, BOX)),
}


def boxed(function: Callable[[Tensor], Any], inputs: int = 29, **options: Any) -> FeedForward:
    """Three layers, with a box behind the first."""
    layers = [Dense(inputs, 12, generator=seeded(1)), BlackBox(function, **options)]
    layers += [Dense(BOX, 10, generator=seeded(2)), Dense(10, 8, generator=seeded(3))]
    return FeedForward(layers, CLASSES)


def a_batch(count: int = 6) -> tuple[Tensor, Tensor]:
    return torch.rand(count, 25, generator=seeded(4)), torch.arange(count) % CLASSES


@pytest.mark.parametrize("name", BOXES)
def test_all_layers_around_a_box_learn_what_they_would_learn_by_hand(name: str) -> None:
    function, (images, labels) = BOXES[name](), a_batch()
    net = boxed(function, units=BOX)
    first, second, third = copy.deepcopy(net.stack)
    wrong = (labels + 1) % CLASSES
    ready = net.images(images)
    positive, negative = net.with_label(ready, labels), net.with_label(ready, wrong)
    by_hand = copy.deepcopy(function)
    with torch.no_grad():
        by_hand(normalize(torch.rand(6, 12)))  # the pass that the softmax learns from
        raw = torch.cat([first(positive), first(negative)])
    first.fixed = nn.Sequential()
    first.learn(positive, negative, 0.1)
    with torch.no_grad():
        below = normalize(torch.as_tensor(by_hand(normalize(raw))).detach().float())
    if isinstance(by_hand, Instrument):
        by_hand.close()  # one client at a time
    positive, negative, *_ = second.learn(below[:6], below[6:], 0.1)
    third.learn(positive, negative, 0.1)

    before = copy.deepcopy(net.state_dict())
    net.learn(images, labels, rate=0.1, negatives=lambda labels, *_: (labels + 1) % CLASSES)
    for found, wanted in zip(net.stack, (first, second, third), strict=True):
        torch.testing.assert_close(found.weight, wanted.weight)
    learned = [name for name, value in before.items() if name.endswith("weight")]
    assert all(not torch.equal(net.state_dict()[name], before[name]) for name in learned)


def test_both_passes_of_a_pair_meet_the_box_in_one_call() -> None:
    seen: list[Tensor] = []
    net = boxed(lambda rows: seen.append(rows) or of_numpy(rows), units=BOX)
    images, labels = a_batch()
    net.learn(images, labels, rate=0.1)
    assert [len(rows) for rows in seen] == [6, 12]
    seen.clear()
    net.learn(images, labels, rate=0.1, learning=range(1, 2))
    assert [len(rows) for rows in seen] == [6, 12]
    assert not torch.equal(seen[1][:6], seen[1][6:])


def test_a_box_gets_activity_at_fixed_length_of_its_own_and_what_it_gives_is_brought_to_fixed_length() -> None:
    layer = Dense(5, 12, generator=seeded())
    stack: list[Any] = [layer]
    seen: list[Tensor] = []

    def greedy(rows: Tensor) -> Tensor:
        seen.append(rows.clone())
        return rows.mul_(7)

    BlackBox(greedy)._join(stack)
    activity = layer(normalize(torch.rand(4, 5, generator=seeded(5))))
    before = activity.clone()
    handed_on = layer.output(activity.detach())
    assert torch.equal(seen[0], normalize(before))
    assert torch.allclose(handed_on.square().mean(1), torch.ones(4), atol=1e-4)
    assert torch.equal(activity, before)
    raw = Dense(5, 12, replace(Rule(), normalize=NORMALIZE["none"]), seeded())
    BlackBox(greedy)._join([raw])
    raw.output(activity.detach())
    assert torch.equal(seen[1], before)
    assert torch.equal(activity, before), "the box works on a copy"


def test_how_many_numbers_a_box_gives_is_stated_or_asked_once() -> None:
    seen: list[int] = []
    boxed(lambda rows: seen.append(len(rows)) or of_numpy(rows), units=BOX)
    assert not seen
    boxed(lambda rows: seen.append(len(rows)) or of_numpy(rows))
    assert seen == [2]
    said = refusal(lambda: boxed(lambda rows: rows), SettingError)
    assert "layer 2 has 9 inputs, but the layer below has 12" in said
    assert "the first is a BlackBox" in refusal(lambda: FeedForward([BlackBox(of_numpy)], 4), SettingError)


def test_boxes_and_fixed_parts_stand_behind_a_layer_in_their_order() -> None:
    layers = [Dense(29, 12, generator=seeded()), BlackBox(of_numpy), BlackBox(lambda rows: rows.flip(1))]
    layers += [Fixed(nn.Unflatten(1, (3, 3))), Fixed(nn.MaxPool1d(3)), Dense(3, 5)]
    net = Unsupervised(layers, CLASSES)
    assert net.stack[0].fixed(torch.rand(2, 12)).shape == (2, 3, 1)


BAD: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "another number of rows": (
        lambda rows: of_numpy(rows)[:-1],
        "the shape (11, 9) for 12 input rows, expected (12, 9)",
    ),
    "one row": (lambda rows: of_numpy(rows)[0], "the shape (9,)"),
    "other units": (lambda rows: of_numpy(rows)[:, 1:], "(12, 8) for 12 input rows, expected (12, 9)"),
    "NaN": (lambda rows: of_numpy(rows) * np.nan, "NaN, infinite or too large"),
    "too large": (lambda rows: of_numpy(rows) + 1e30, "NaN, infinite or too large"),
    "infinite where it is converted": (lambda rows: of_numpy(rows).astype(float) + 1e300, "infinite or too large"),
    "complex numbers": (lambda rows: torch.as_tensor(of_numpy(rows)) * 1j, "complex"),
    "complex arrays": (lambda rows: of_numpy(rows) * 1j, "complex64 and shape (12, 9), expected a tensor"),
    "words": (lambda rows: "on", "'on' (str), expected a tensor or an array"),
    "nothing": (lambda rows: None, "is None, expected a tensor or an array"),
    "no numbers": (lambda rows: torch.as_tensor(of_numpy(rows)).to("meta"), "meta tensor"),
    "an exception": (lambda rows: {}["volts"], "failed with KeyError ('volts')"),
    "an exception of many lines": (lambda rows: rows @ rows, "failed with RuntimeError"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_box_that_gives_something_else_is_named_in_one_line(what: str) -> None:
    net, (function, said) = boxed(of_numpy), BAD[what]
    box = net.stack[0].fixed[0]
    box.function = function
    line = refusal(lambda: net.learn(*a_batch(), rate=0.1), DeviceError) if what != "one row" else ""
    line = line or refusal(lambda: box(torch.rand(12, 12)), DeviceError)
    assert "the box <lambda>" in line
    assert said in line.replace("(6, ", "(12, ").replace("(5, ", "(11, ").replace(" 6 input rows", " 12 input rows")


def test_a_box_that_hangs_is_given_up_and_not_called_again_while_it_hangs() -> None:
    release, grad = threading.Event(), []

    def slow(rows: Tensor) -> Tensor:
        grad.append(torch.is_grad_enabled())
        release.wait(20)
        return rows

    box = BlackBox(slow, timeout=0.05)
    assert "the box slow did not return within 0.05 s" in refusal(lambda: box(torch.rand(2, 3)), DeviceError)
    assert "still busy" in refusal(lambda: box(torch.rand(2, 3)), DeviceError)
    release.set()
    for thread in threading.enumerate():
        if thread.name == "the box slow":
            thread.join(5)
    box.timeout = 5.0
    assert box(torch.rand(2, 3)).shape == (2, 3)
    assert grad == [False, False]
    failing = BlackBox(BAD["an exception"][0], timeout=5.0)
    assert "KeyError" in refusal(lambda: failing(torch.rand(2, 3)), DeviceError)


# Trainings -----------------------------------------------------------------------------------------------------------


class Boxed(ForwardForward):
    """Forward-Forward with a box behind the first layer."""

    function: Callable[[Tensor], Any]

    @classmethod
    def build(cls, recipe: FeedForwardRecipe, form: Any, place: Any = list) -> FeedForward:
        return boxed(cls.function, inputs=29)


@pytest.fixture
def run_with(monkeypatch: pytest.MonkeyPatch, recipe: FeedForwardRecipe, tiny: Dataset) -> Callable[..., Any]:
    """Trains with a box, three epochs, in a folder."""

    def go(function: Callable[[Tensor], Any], folder: Path, **options: Any) -> Any:
        monkeypatch.setattr(Boxed, "function", staticmethod(function), raising=False)
        monkeypatch.setitem(METHODS, "forward-forward", Boxed)
        return train(replace(recipe, widths=WIDTHS, epochs=3, batch=10), folder, tiny, **options)

    return go


class Dying(Drifting):
    """It gives NaN at one call."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def forward(self, rows: Tensor) -> Tensor:
        found = super().forward(rows)
        return found * torch.nan if int(self.calls) == self.at else found


def test_a_run_whose_box_fails_is_saved_and_goes_on_to_the_same_weights(
    run_with: Callable[..., Any], tmp_path: Path
) -> None:
    """A box that is a module is in the checkpoint with its state."""
    run_with(Dying(0), tmp_path / "whole")
    line = refusal(lambda: run_with(Dying(18), tmp_path / "parts"), DeviceError)
    assert "the box Dying returned numbers that are NaN" in line
    assert "epoch 1 is saved in" in line
    assert "--resume" in line
    saved, _ = read(tmp_path / "parts" / "checkpoint.safetensors")
    assert 2 < saved["layers.0.fixed.0.function.calls"] < 18
    run_with(Dying(0), tmp_path / "parts", resume=True)
    names = ("whole", "parts")
    whole, parts = ((tmp_path / name / "weights.safetensors").read_bytes() for name in names)
    assert whole == parts


def test_an_instrument_is_asked_by_a_resumed_training_with_the_numbers_that_it_would_have_asked(
    run_with: Callable[..., Any], tmp_path: Path
) -> None:
    def noisy(rows: Tensor, number: int) -> Tensor:
        return watchful(rows) + torch.randn(len(rows), BOX, generator=seeded(number))

    address = served(noisy, 12, BOX, repeatable=True)
    instrument = Instrument(address)
    run_with(instrument, tmp_path / "whole")
    instrument.close()
    instrument = Instrument(address)
    with pytest.raises(KeyboardInterrupt):
        run_with(instrument, tmp_path / "parts", progress=CtrlC(2))
    run_with(instrument, tmp_path / "parts", resume=True)  # it goes back to the checkpoint, on the same connection
    instrument.close()
    names = ("whole", "parts")
    whole, parts = ((tmp_path / name / "weights.safetensors").read_bytes() for name in names)
    assert whole == parts


def test_a_net_with_boxes_is_saved_and_read_as_any_other(tiny: Dataset) -> None:
    nets: list[Net] = [boxed(function, units=BOX) for function in (of_numpy, Instrument("tcp://127.0.0.1:1"))]
    assert {name for net in nets for name in net.state_dict() if "fixed" in name} == set()
    assert "layers.0.fixed.0.function.calls" in boxed(Drifting()).state_dict()
    net, other = boxed(of_numpy), boxed(of_numpy)
    list(fit(net, *tiny.train, epochs=2, batch=10))
    other.load_state_dict(net.state_dict())
    assert evaluate(other, *tiny.test).error == evaluate(net, *tiny.test).error
    assert evaluate(copy.deepcopy(net), *tiny.test).error == evaluate(net, *tiny.test).error
