"""Run folders of older versions: they still read, and say the same of the net.

Oracles: the files as older versions wrote them, written out here; the run that they were made of.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import twofold
from support.helpers import hashes, refusal
from support.runs import CtrlC, train
from twofold import checkpoint
from twofold.data import Dataset
from twofold.methods import BackpropRecipe, FeedForwardRecipe
from twofold.recipes import RECIPES
from twofold.training import runs
from twofold.training.result import Result

OLD: dict[str, Any] = {
    "recipe": "digits",
    "method": "forward-forward",
    "settings": {"data": "digits", "widths": [20, 16], "rate": 0.02, "neutral_share": 1.0},
    "test_error": {"slow": 0.25, "fast": 0.125, "shortlist": 0.0625, "both": 0.5},
    "validation_error": {},
    "layer_error": [0.75, 0.25],
    "passes_per_image": {"slow": 10, "fast": 1, "shortlist": 4, "both": 11},
    "train_error": 0.375,
    "epochs": 2,
    "seconds": 0.5,
    "seconds_per_epoch": 0.25,
    "parameters": 1700,
    "dataset": "digits",
    "official_data": True,
    "fingerprint": "801e5be8",
    "seed": 0,
    "device": "cpu",
    "precision": "bf16",
    "environment": {"twofold": "0.1.0", "commit": "65bf75a", "cores": 2},
    "run": "runs/digits-seed0",
}
"""What a result.json held when every net was a classifier, and its figures stood beside all others."""


def change(path: Path, **changes: Any) -> None:
    """Write a file of a run as it was when files had no digest and no format."""
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    known = {name: value for name, value in content.items() if name not in ("digest", "format")}
    path.write_text(json.dumps(known), encoding="utf-8")


def with_neutral_share(folder: Path, share: float) -> None:
    """Make a run one of the time when a batch could leave out a part of its neutral passes."""
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))["settings"]
    change(folder / "config.json", settings={**settings, "neutral_share": share})


def test_an_old_result_is_read_and_written_again_as_it_was() -> None:
    """Programs that make tables read both, and must find the same figure under the same name."""
    result = Result.from_json(OLD)
    assert result.metrics == {name: OLD[name] for name in ("layer_error", "passes_per_image", "train_error")}
    assert (result.recipe, result.test_error, result.seconds) == ("digits", OLD["test_error"], 0.5)
    assert result.to_json() == OLD
    assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_a_result_that_lacks_a_figure_is_no_result() -> None:
    for name in OLD.keys() - {"layer_error", "passes_per_image", "train_error"}:
        with pytest.raises(TypeError):
            Result.from_json({key: value for key, value in OLD.items() if key != name})


def test_an_old_run_is_loaded_with_its_figures(tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path) -> None:
    result = train(recipe, tmp_path, tiny)
    with_neutral_share(tmp_path, 1.0)
    measured = {**OLD, "settings": {**recipe.fields(), "neutral_share": 1.0}, "fingerprint": tiny.fingerprint}
    (tmp_path / "result.json").write_text(json.dumps(measured), encoding="utf-8")
    loaded = runs.load(tmp_path, "cpu")
    assert loaded.recipe == recipe
    assert loaded.form == {"shape": [1, 5, 5], "classes": 4}
    assert loaded.result.to_json() == measured
    assert twofold.evaluate(loaded.net, *tiny.test).error == result.test_error


def test_a_run_with_a_setting_that_is_gone_is_refused_where_it_changed_something(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path
) -> None:
    """Read without it, the run would be shown under settings that it was not trained with."""
    train(recipe, tmp_path, tiny)
    with_neutral_share(tmp_path, 0.25)
    before = hashes(tmp_path)
    for action in (lambda: runs.load(tmp_path, "cpu"), lambda: train(recipe, tmp_path, tiny, resume=True)):
        assert f"{tmp_path}/config.json: neutral_share is 0.25, which this" in refusal(action)
    assert hashes(tmp_path) == before


def test_a_stopped_run_with_a_setting_that_is_gone_goes_on_only_where_that_changed_nothing(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path
) -> None:
    """Its second half would be learned in another way than its first."""
    train(recipe, tmp_path / "whole", tiny)
    for name, share in (("one", 1.0), ("quarter", 0.25)):
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / name, tiny, progress=CtrlC(2))
        with_neutral_share(tmp_path / name, share)
    train(recipe, tmp_path / "one", tiny, resume=True)
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "one")]
    assert weights[0] == weights[1]
    assert "neutral_share is 0.25" in refusal(lambda: train(recipe, tmp_path / "quarter", tiny, resume=True))


OLD_NAMES = {
    "recurrent": (r"(layers\.\d+)\.weights\.(\w+_velocity)", r"\1.\2"),
    "backprop": (r"(layers\.\d+\.(?:weight|bias))_velocity", r"velocity.\1"),
}
"""What checkpoints called smoothed gradients: what to write an old one with."""


@pytest.mark.parametrize("family", OLD_NAMES)
def test_a_run_that_an_older_version_stopped_goes_on_bitwise(
    tiny: Dataset, recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe, tmp_path: Path, family: str
) -> None:
    recurrent = replace(RECIPES["recurrent"], data="tiny", widths=(14, 12), epochs=4, batch=8)
    chosen = {"recurrent": recurrent, "backprop": twin_recipe}[family]
    train(chosen, tmp_path / "whole", tiny)
    with pytest.raises(KeyboardInterrupt):
        train(chosen, tmp_path / "old", tiny, progress=CtrlC(2))
    path = tmp_path / "old" / "checkpoint.safetensors"
    tensors, facts = checkpoint.read(path)
    renamed = {re.sub(*OLD_NAMES[family], name): tensor for name, tensor in tensors.items()}
    assert len(renamed.keys() - tensors.keys()) >= 3
    checkpoint.write(path, renamed, facts)
    train(chosen, tmp_path / "old", tiny, resume=True)
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "old")]
    assert weights[0] == weights[1]
