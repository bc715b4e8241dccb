"""Nets on a substrate: every path that uses weights goes through the device, and a device is what its seed says.

Oracles: the ideal net, bitwise; the same net with weights of 0; a training that was never interrupted.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from support.helpers import first
from support.runs import CtrlC, train
from support.small_layers import seeded
from support.small_nets import CLASSES, NETS, SHAPE, WIDTHS
from twofold import evaluate, load
from twofold.checkpoint import module_tensors
from twofold.data import Dataset
from twofold.errors import ArgumentError, SettingError
from twofold.labels import shape_with_label
from twofold.layers.convolution import Convolution
from twofold.layers.dense import Dense
from twofold.layers.fields import Fields
from twofold.layers.local import LocallyConnected
from twofold.nets.feedforward import FeedForward
from twofold.recipes import RECIPES
from twofold.substrate import PRESETS, Substrate, arrays, drift, find, program, set_run_length

NOISY = Substrate(
    **{"full_scale": 4.0, "mismatch": 0.3, "offset": 0.01, "stuck": 0.02, "read_noise": 0.02, "bits": 6},
    **{"programming_noise": 0.01, "pulse_spread": 0.1, "drift": 0.2, "updates": 20, "threshold": 0.1},
    **{"neuron_drift": 0.1, "neuron_gain": 0.1},
)
QUIET = replace(NOISY, read_noise=0.0)
EXACT = replace(QUIET, bits=None, pulse_spread=0.0, drift=0.0, full_scale=100.0)


def local() -> FeedForward:
    return FeedForward([LocallyConnected(Fields(SHAPE, 4, 3, 1, 1), generator=seeded())], CLASSES, label_in="overlay")


def convolution() -> FeedForward:
    below = shape_with_label("planes", SHAPE, CLASSES)
    return FeedForward([Convolution(below, 4, 3, generator=seeded())], CLASSES, label_in="planes")


MADE: dict[str, Callable[[], Any]] = {
    **{name: NETS[name] for name in ("feedforward", "unsupervised", "recurrent")},
    "local": local,
    "convolution": convolution,
}


def learned(net: Any, digits: Dataset, batches: int = 2, start: int = 0) -> list[Tensor]:
    """What a net says while it learns from some batches."""
    said = []
    for number in range(start, start + batches):
        batch = first(digits, 20 * (number + 1))
        found = net.learn(batch.images[-20:], batch.labels[-20:], rate=0.02, generator=seeded(number))
        said += [found.logits, found.difficulty, *(part for pair in found.goodness if pair for part in pair)]
    return said


@pytest.mark.parametrize("name", MADE)
def test_an_ideal_substrate_changes_no_bit(name: str, digits: Dataset) -> None:
    plain, ideal = MADE[name](), Substrate().install(MADE[name](), 5)
    assert all(torch.equal(*pair) for pair in zip(learned(plain, digits), learned(ideal, digits), strict=True))
    known = module_tensors(ideal)
    assert all(torch.equal(tensor, known[key]) for key, tensor in module_tensors(plain).items())


@pytest.mark.parametrize("physics", [NOISY, QUIET], ids=["noisy", "quiet"])
@pytest.mark.parametrize("name", MADE)
def test_no_path_goes_past_the_device(name: str, physics: Substrate, digits: Dataset) -> None:
    """Devices that give nothing: all that a net says is as if its weights were 0, whatever was written."""
    noise = 1e-30 if physics.read_noise else 0.0  # still read anew for every pass
    dead = replace(physics, read_noise=noise, threshold=0.0, neuron_drift=0.0)
    net, bare = dead.install(MADE[name](), 5), MADE[name]()
    for each in arrays(net):
        assert each.gain is not None
        assert each.offset is not None
        each.gain.zero_()
        each.offset.zero_()
    for layer in bare.stack:
        for each in layer.learnables():
            each.value.zero_()
    images, same = digits.test_images[:30], partial(torch.allclose, atol=1e-6)
    assert same(net.features(images), bare.features(images))
    if name != "unsupervised":
        candidates = net.every_label(images)
        assert same(net.goodness(images, candidates), bare.goodness(images, candidates))
    assert all(same(*pair) for pair in zip(learned(net, digits, 1), learned(bare, digits, 1), strict=True))
    assert all(not each.to_matrix().any() for each in arrays(net))
    assert any(each.value.any() for each in arrays(net))


def test_the_learning_rule_never_asks_for_what_was_written(digits: Dataset) -> None:
    """Gradients are products of what was seen: another value of the parameter, with the same device, changes none."""
    seen: list[list[Tensor]] = []
    for factor in (1.0, 2.0):
        net = EXACT.install(NETS["feedforward"](), 5)
        for each in arrays(net):
            assert each.gain is not None
            each.value.mul_(factor)
            each.gain.div_(factor)
        learned(net, digits, 1)
        seen.append([each.velocity.clone() for each in arrays(net)])
    assert all(torch.allclose(*pair, atol=1e-6) for pair in zip(*seen, strict=True))
    assert all(each.any() for each in seen[0])


@pytest.mark.parametrize("name", MADE)
def test_a_net_learns_on_its_device(name: str, digits: Dataset) -> None:
    net = NOISY.install(MADE[name](), 5)
    before = {key: tensor.clone() for key, tensor in module_tensors(net).items()}
    learned(net, digits)
    for key, tensor in module_tensors(net).items():
        part = key.rpartition("_")[2].rpartition(".")[2]
        changes = part in ("velocity", "counts", "threshold", "gain") and not (part == "gain" and "neurons" not in key)
        if part in ("offset", "pulse") or (part == "gain" and not changes):
            assert torch.equal(tensor, before[key]), key
        elif changes:
            assert not torch.equal(tensor, before[key]), key


def test_one_seed_is_one_device_and_layers_have_devices_of_their_own() -> None:
    same, again, other = (NOISY.install(NETS["feedforward"](), seed) for seed in (5, 5, 6))
    states = [each.state_dict() for each in (same, again, other)]
    assert all(torch.equal(tensor, states[1][key]) for key, tensor in states[0].items())
    for each, another in zip(arrays(same), arrays(other), strict=True):
        assert not torch.equal(each.gain, another.gain)
    layers = [Dense(9, 9, generator=seeded()) for _ in range(2)]
    net = NOISY.install(torch.nn.ModuleList(layers), 5)
    assert len({each.gain.sum().item() for each in arrays(net)}) == 2


def test_a_net_that_goes_on_from_its_state_learns_the_same_bitwise(digits: Dataset) -> None:
    net = NOISY.install(NETS["feedforward"](), 5)
    learned(net, digits)
    copies = [copy.deepcopy(net), NOISY.install(NETS["feedforward"](), 5)]
    with torch.no_grad():
        for key, tensor in module_tensors(copies[1]).items():
            tensor.copy_(module_tensors(net)[key])
    said = learned(net, digits, start=2)
    for each in copies:
        assert all(torch.equal(*pair) for pair in zip(said, learned(each, digits, start=2), strict=True))


def test_reduced_precision_reads_the_same_device(digits: Dataset) -> None:
    net = QUIET.install(NETS["feedforward"](), 5)
    net.set_precision("bf16")
    for each in arrays(net):
        assert each.effective().dtype == torch.bfloat16
        assert torch.equal(each.effective(), (each.value * each.gain + each.offset).to(torch.bfloat16))
    learned(net, digits)
    for each in arrays(net):
        assert torch.equal(each.effective(), (each.value * each.gain + each.offset).to(torch.bfloat16))


def test_programming_copies_what_was_written_and_the_device_makes_something_else_of_it(digits: Dataset) -> None:
    exact = replace(QUIET, programming_noise=0.0, stuck=0.0)
    one, other = (exact.install(NETS["feedforward"](), seed) for seed in (5, 6))
    learned(one, digits)
    program(other, one)
    for mine, theirs in zip(arrays(one), arrays(other), strict=True):
        assert torch.equal(mine.value, theirs.value)
        assert not torch.allclose(mine.to_matrix(), theirs.to_matrix(), rtol=0.1)
    assert torch.equal(one.softmax.weight, other.softmax.weight)
    assert torch.equal(one.stack[0].bias, other.stack[0].bias)
    with pytest.raises(SettingError, match="net: its parameters differ from those of the device"):
        program(other, FeedForward.dense(SHAPE, (7, *WIDTHS), CLASSES))
    with pytest.raises(SettingError, match="module: it has no analog weights"):
        program(NETS["feedforward"](), one)


def test_a_device_that_ages_goes_as_far_as_its_run_says() -> None:
    net = replace(QUIET, stuck=0.0, programming_noise=0.0).install(NETS["feedforward"](), 5)
    set_run_length(net, 50)
    before = [each.value.clone() for each in arrays(net)]
    thresholds = net.stack[0].neurons.threshold.clone()
    drift(net, 50)
    for each, old in zip(arrays(net), before, strict=True):
        moved = (each.value - old).square().mean().sqrt() / old.square().mean().sqrt()
        assert moved.item() == pytest.approx(0.2, rel=0.1)
    assert not torch.equal(net.stack[0].neurons.threshold, thresholds)


@pytest.mark.slow
def test_a_training_on_a_device_goes_on_bitwise_and_its_net_is_tested_on_its_device(
    tmp_path: Path, digits: Dataset
) -> None:
    """The device is in the files, and what is drawn next."""
    recipe = replace(RECIPES["digits"], substrate="bench", device_seed=3, epochs=2, widths=(20, 20))
    whole = train(recipe, tmp_path / "whole", digits)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "stopped", digits, progress=CtrlC(1).epoch)
    again = train(recipe, tmp_path / "stopped", digits, resume=True)
    assert again.test_error == whole.test_error
    one, other = (load(tmp_path / name).net for name in ("whole", "stopped"))
    assert all(torch.equal(tensor, other.state_dict()[key]) for key, tensor in one.state_dict().items())
    device = PRESETS["bench"].install(FeedForward.dense(SHAPE, (20, 20), CLASSES), 3)
    for trained, fresh in zip(arrays(one), arrays(device), strict=True):
        assert torch.equal(trained.gain, fresh.gain)  # seed 3 of this substrate, and no other device
    held = digits.test_images, digits.test_labels
    assert evaluate(one, *held).error == evaluate(other, *held).error
    with pytest.raises(SettingError, match="unknown substrate 'bensh': did you mean 'bench'"):
        replace(recipe, substrate="bensh")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"mismatch": -0.1}, "mismatch is -0.1, expected a finite number, 0 or more"),
    ({"read_noise": 0.1}, "read_noise is 0.1 and full_scale is None, expected full_scale to be a number"),
    ({"full_scale": 0.0}, "full_scale is 0.0, expected a finite number above 0"),
    ({"stuck": 1.0, "full_scale": 4.0}, "stuck is 1.0, expected a number in [0, 1)"),
    ({"bits": 0, "full_scale": 4.0}, "bits is 0, expected 1 to 24 bits, or None"),
    ({"bits": 6}, "bits is 6 and full_scale is None"),
    ({"adc_bits": 30}, "adc_bits is 30, expected 1 to 24 bits"),
    ({"softness": 1.5, "bits": 6, "full_scale": 4.0}, "softness is 1.5, expected 0"),
    ({"asymmetry": 1.0, "bits": 6, "full_scale": 4.0}, "asymmetry is 1.0, expected more than -1 and less than 1"),
    ({"asymmetry": 0.1}, "asymmetry is 0.1 and bits is None, expected bits to be a number"),
    ({"g_min": 30.0}, "g_max is 25.0, expected more than g_min, which is 30.0 microsiemens"),
    ({"saturation_spread": 0.1}, "saturation_spread is 0.1 and saturation is None"),
    ({"updates": 0}, "updates is 0, expected at least 1"),
    ({"drift": float("nan")}, "drift is nan, expected a finite number"),
]


@pytest.mark.parametrize(("physics", "message"), BAD, ids=[message.split(",")[0] for _, message in BAD])
def test_parameters_outside_their_physical_range_are_refused_in_one_line(physics: Any, message: str) -> None:
    with pytest.raises(SettingError) as error:
        Substrate(**physics)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_every_parameter_refuses_what_is_no_number() -> None:
    for each in fields(Substrate):
        with pytest.raises(ArgumentError, match=f"^{each.name} is "):
            Substrate(**{each.name: "much"})


def test_what_cannot_be_put_on_a_substrate_is_refused() -> None:
    with pytest.raises(SettingError, match="module: Linear has no weighted layer"):
        NOISY.install(torch.nn.Linear(3, 3), 0)
    with pytest.raises(SettingError, match="analog already"):
        NOISY.install(NOISY.install(NETS["feedforward"](), 0), 0)
    with pytest.raises(SettingError, match="unknown substrate 'bensh': did you mean 'bench'"):
        find("bensh")
    with pytest.raises(ArgumentError, match="seed"):
        NOISY.install(NETS["feedforward"](), 0.5)  # type: ignore[arg-type]
