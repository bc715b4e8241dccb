"""A training of a net of one's own: interrupted, read back, and told from one of a recipe's net.

Oracles: bitwise equality with an undisturbed run; the documented contract.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import twofold
from support.command_line import answer
from support.data_files import refusal
from support.runs import CtrlC, train
from support.small_layers import seeded
from twofold import checkpoint
from twofold.data import Dataset
from twofold.errors import RunError, SettingError
from twofold.methods import BackpropRecipe, FeedForwardRecipe
from twofold.training import runs

pytestmark = pytest.mark.usefixtures("progress_at_every_batch")


def own_net(data: Dataset, width: int = 7) -> twofold.FeedForward:
    """A box between two layers, which no recipe describes."""
    generator = seeded()
    layers = [
        twofold.Dense(data.pixels + data.classes, width, generator=generator),
        twofold.BlackBox(torch.sign, width),
        twofold.Dense(width, 5, generator=generator),
    ]
    return twofold.FeedForward(layers, data.classes, counted_from=1)


def test_a_training_of_an_own_net_that_is_interrupted_ends_as_one_that_was_not_and_is_read_back(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path
) -> None:
    learning = own_net(tiny)
    whole = train(recipe, tmp_path / "whole", tiny, net=learning)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "again", tiny, net=own_net(tiny), progress=CtrlC(1.5))
    resumed = train(recipe, tmp_path / "again", tiny, net=own_net(tiny), resume=True)
    assert resumed.error == whole.error
    name = "weights.safetensors"
    assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    found = twofold.load(tmp_path / "again", net=own_net(tiny))
    assert torch.equal(found.net.slow(tiny.test_images), learning.slow(tiny.test_images))
    assert found.result.parameters == sum(each.numel() for each in learning.parameters())


def test_what_a_recipe_says_of_a_net_is_not_heeded_for_an_own_one(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path
) -> None:
    """Its batches, rate and negatives are."""
    other = replace(recipe, widths=(50, 50, 50), temperature=3.0, label_strength=9.0, box="one_bit", box_drift=0.5)
    weights = [
        train(each, tmp_path / str(number), tiny, net=own_net(tiny)).run
        for number, each in enumerate((recipe, other, replace(other, rate=2 * recipe.rate)))
    ]
    first, same, faster = ((Path(each) / "weights.safetensors").read_bytes() for each in weights)
    assert first == same != faster
    settings = json.loads((tmp_path / "1" / "config.json").read_text())["settings"]
    assert (settings["widths"], settings["box"]) == ([7, 5], "none")


def test_a_trained_own_net_is_trained_further(tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path) -> None:
    """As a net is that has the weights already, and not as one that begins anew."""
    before, once = tmp_path / "before", replace(recipe, epochs=1)
    train(recipe, before, tiny, net=own_net(tiny))
    trained = twofold.load(before, device="cpu", net=own_net(tiny)).net
    train(once, tmp_path / "further", tiny, net=own_net(tiny), start=before)
    train(once, tmp_path / "trained", tiny, net=trained)
    train(once, tmp_path / "anew", tiny, net=own_net(tiny))
    further, same, anew = (
        checkpoint.read(tmp_path / name / "weights.safetensors")[0] for name in ("further", "trained", "anew")
    )
    assert all(torch.equal(further[name], same[name]) for name in further)
    assert not torch.equal(further["layers.0.weight"], anew["layers.0.weight"])


def test_a_run_says_whether_it_needs_an_own_net(
    tiny: Dataset, recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe, tmp_path: Path
) -> None:
    own, usual = tmp_path / "own", tmp_path / "usual"
    train(recipe, own, tiny, net=own_net(tiny))
    train(recipe, usual, tiny)
    assert "own_net" not in (usual / "config.json").read_text()
    assert "give a net of the same architecture, as twofold.load(..., net=net)" in refusal(
        SettingError, lambda: runs.load(own)
    )
    assert "net of its recipe" in refusal(SettingError, lambda: runs.load(usual, net=own_net(tiny)))
    assert "another architecture" in refusal(RunError, lambda: runs.load(own, net=own_net(tiny, 8)))
    assert "own_net = True, not False" in refusal(RunError, lambda: train(recipe, own, tiny, resume=True))
    said = refusal(SettingError, lambda: train(twin_recipe, tmp_path / "new", tiny, net=own_net(tiny)))
    assert "the net has the method forward-forward, but the recipe has the method backprop" in said
    assert "offload" in refusal(
        SettingError, lambda: train(recipe, tmp_path / "new", tiny, net=own_net(tiny), offload=True)
    )
    assert not (tmp_path / "new").exists()
    code, _, (words,) = answer(["eval", str(own)])
    assert code == 1
    assert "has a custom net" in words
