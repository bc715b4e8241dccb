"""Backpropagation that stays within layers, and that on devices: trained as any recipe, resumed, read back, exported.

Oracles: bitwise equality with an undisturbed run; nets cut off above a layer; run folders as older versions wrote them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import twofold
from support.helpers import refusal
from support.runs import CtrlC, outcome, train
from support.small_layers import seeded
from twofold.data import Dataset
from twofold.errors import SettingError
from twofold.methods import BackpropRecipe, build
from twofold.nets.affine import MeasuredLayer
from twofold.recipes import as_twin, find
from twofold.training import runs

ON_DEVICES = {"substrate": "bench", "device_seed": 3}
WAYS: dict[str, dict[str, Any]] = {
    "layer": {"readout": "layer"},
    "layer, on devices": {"readout": "layer", **ON_DEVICES},
    "block": {"readout": "block", "block_size": 1},
    "on devices": ON_DEVICES,
    "feedback": {"derivative": "feedback"},
    "an oracle": {**ON_DEVICES, "derivative": "known"},
    "boxes, on devices": {**ON_DEVICES, "widths": (10,) * 3, "box": "sampled", "box_drift": 0.1},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_backpropagate_is_resumed_bitwise_and_read_back(
    tiny: Dataset, twin_recipe: BackpropRecipe, tmp_path: Path, way: str
) -> None:
    asked = replace(twin_recipe, epochs=2, **WAYS[way])
    whole = train(asked, tmp_path / "whole", tiny)
    with pytest.raises(KeyboardInterrupt):
        train(asked, tmp_path / "parts", tiny, progress=CtrlC(1))
    assert outcome(train(asked, tmp_path / "parts", tiny, resume=True)) == outcome(whole)
    nets = [runs.load(tmp_path / name, "cpu").net for name in ("whole", "parts")]
    states = [net.state_dict() for net in nets]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert all(isinstance(layer, MeasuredLayer) == (way not in ("layer", "block")) for layer in nets[0].stack[:-1])


def test_local_backprop_learns_and_no_layer_hears_of_those_above(tiny: Dataset) -> None:
    """Bitwise: else something would come down."""
    images, labels = tiny.train
    nets = [twofold.Backprop(25, (9,) * depth, 4, seeded(), readout="layer") for depth in (1, 3)]
    for net in nets:
        for _ in range(60):
            net.learn(images, labels, rate=0.1)
    assert torch.equal(nets[0].stack[0].weight, nets[1].stack[0].weight)
    assert torch.equal(nets[0].stack[-1].weight, nets[1].heads[0].weight)  # type: ignore[arg-type]
    error = nets[1].evaluate(*tiny.test).error
    assert [*error] == [*nets[1].passes()] == ["fast"]
    assert error["fast"] < 0.2
    assert len(nets[1].heads) == 2  # the top layer is the softmax of the last one
    every = nets[1]._pass(images)[0]
    torch.testing.assert_close(nets[1](images), sum(every) / 3)


def test_a_block_of_layers_does_not_depend_on_the_blocks_above(tiny: Dataset) -> None:
    """Bitwise."""
    images, labels = tiny.train
    few, many = (twofold.Backprop(25, (9,) * depth, 4, seeded(), readout="block", block_size=2) for depth in (3, 5))
    for net in (few, many):
        for _ in range(60):
            net.learn(images, labels, rate=0.1)
    assert [len(net.softmaxes) for net in (few, many)] == [1, 2]
    for layers in zip(few.stack[:2], many.stack[:2], strict=True):
        assert torch.equal(layers[0].weight, layers[1].weight)
    assert [*many.evaluate(*tiny.test).error] == ["fast", "mean"]
    assert many.evaluate(*tiny.test).error["mean"] < 0.2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"readout": "block"}, "--readout is block, expected top or layer without --box and --block-size"),
        ({"readout": "layers"}, "unknown readout 'layers': did you mean 'layer'?"),
        ({"derivative": "idea"}, "unknown derivative 'idea': did you mean 'ideal'?"),
        ({"substrate": "bensh"}, "unknown substrate 'bensh': did you mean 'bench'?"),
    ],
)
def test_settings_that_do_not_fit_are_named_in_one_line(
    twin_recipe: BackpropRecipe, changes: dict[str, Any], said: str
) -> None:
    assert refusal(lambda: replace(twin_recipe, **changes), SettingError) == said


def test_local_fields_are_refused_on_devices(tiny: Dataset) -> None:
    twin = find("mnist-hybrid-local-twin")
    said = refusal(lambda: replace(twin, **ON_DEVICES), SettingError)  # type: ignore[arg-type]
    assert said == "--substrate is bench, expected ideal if --field-sizes is given"
    fields = twofold.Tiled(twofold.Fields((1, 5, 5), 4, 3, 1, 0))
    said = refusal(
        lambda: twofold.Backprop(25, fields.units, 4, connectivity=[fields], substrate=twofold.Substrate()),
        SettingError,
    )
    assert said.startswith("connectivity: expected Full or Masked")


def test_a_twin_stays_on_the_machines_numbers_whatever_holds_the_weights_of_its_recipe() -> None:
    made = as_twin(find("mnist-twin"), replace(find("mnist"), **ON_DEVICES))  # type: ignore[arg-type]
    assert build(made, {"shape": (1, 28, 28), "classes": 10}).stack[0].weights.linear
    assert made == find("mnist-twin")


@pytest.mark.parametrize("gradient", ["local", "known"])
def test_a_run_of_the_method_boxed_backprop_goes_on_bitwise(
    tiny: Dataset, twin_recipe: BackpropRecipe, tmp_path: Path, gradient: str
) -> None:
    way = {"readout": "block"} if gradient == "local" else {"gradient": gradient}
    asked = replace(twin_recipe, widths=(10,) * 3, box="one_bit", **way)  # type: ignore[arg-type]
    train(asked, tmp_path / "whole", tiny)
    with pytest.raises(KeyboardInterrupt):
        train(asked, tmp_path / "old", tiny, progress=CtrlC(2))
    path = tmp_path / "old" / "config.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    later = ("readout", "substrate", "device_seed", "derivative")
    settings = {name: value for name, value in content["settings"].items() if name not in later}
    old = {**content, "method": "boxed-backprop", "settings": {**settings, "gradient": gradient}}
    del old["digest"], old["format"]
    path.write_text(json.dumps(old), encoding="utf-8")
    train(asked, tmp_path / "old", tiny, resume=True)
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "old")]
    assert weights[0] == weights[1]
    assert runs.load(tmp_path / "old", "cpu").recipe == asked
