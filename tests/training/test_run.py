"""Run folders: an interrupted training ends as one that was not, and what a run leaves behind is what was measured.

Oracles: bitwise equality with an undisturbed run, hashes of every file before and after.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import twofold
from support.helpers import SHORTCUTS, hashes
from support.runs import CtrlC, outcome, train
from twofold.checkpoint import module_tensors
from twofold.data import Dataset
from twofold.methods import BackpropRecipe, FeedForwardRecipe, build
from twofold.recipes import RECIPES
from twofold.training import run_folder, runs
from twofold.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("progress_at_every_batch")


def metrics(folder: Path) -> list[dict[str, Any]]:
    """The epochs, without what depends on the clock."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("seconds", "digest")} for line in lines]


# Interrupted and resumed ---------------------------------------------------------------------------------------------

WIDE = {**SHORTCUTS, "tolerance": 0.9, "objective": "swish_symba", "rate": 0.1}
"""All that twofold leaves out, and so that on tiny data some is."""

KINDS: dict[str, dict[str, Any]] = {
    "forward-forward": {},
    "random negatives": {"negatives": "random", "revisit": 1.0},
    "layer by layer": {"layer_by_layer": True},
    "jitter": {"jitter": 1},
    "validation": {"validation": 8},
    "on a device": {"substrate": "bench", "device_seed": 3},
    "shortcuts": WIDE,
    "shortcuts, jitter": {**WIDE, "jitter": 1},
    "label-free": {"recipe": "digits-blocks", "widths": (14, 12, 10), "tolerance": 0.5},
    "twin": {"twin": True},
    "twin, jitter": {"twin": True, "jitter": 1},
    "twin, shortcuts": {"twin": True, "rate": 0.5, "tolerance": 0.6, "revisit": 0.2},
}
QUICK = {"shortcuts, jitter", "twin"}
"""Kinds in the quick loop."""


@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_an_interrupted_training_ends_bitwise_as_one_that_was_not(
    tiny: Dataset, recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe, tmp_path: Path, kind: str
) -> None:
    """Otherwise a figure depends on how often somebody's machine was switched off, and cannot be repeated."""
    changes = dict(KINDS[kind])
    start = RECIPES[changes.pop("recipe")] if "recipe" in changes else recipe
    common = {"data": "tiny", "epochs": recipe.epochs, "batch": recipe.batch}
    asked = replace(twin_recipe if changes.pop("twin", False) else start, **common, **changes)
    whole = train(asked, tmp_path / "whole", tiny)
    for moments in ([1], [2.5], [0.5], [3, 3.3], [1, 2, 3]):
        folder = tmp_path / "-".join(map(str, moments))
        for number, moment in enumerate(moments):
            with pytest.raises(KeyboardInterrupt):
                train(asked, folder, tiny, resume=number > 0, progress=CtrlC(moment))
        resumed = train(asked, folder, tiny, resume=True)
        assert outcome(resumed) == outcome(whole)
        assert metrics(folder) == metrics(tmp_path / "whole")
        assert [line["epoch"] for line in metrics(folder)] == [1, 2, 3, 4]
        name = "weights.safetensors"
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
        assert not (folder / "checkpoint.safetensors").exists()
    if "shortcuts" in kind:
        assert metrics(tmp_path / "whole")[-1]["visits"] < 1, "this case is to leave out some images"


def test_a_training_interrupted_while_it_saves_loses_no_epoch(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint of the last epoch is written, its line in metrics.jsonl is not yet."""
    whole = train(recipe, tmp_path / "whole", tiny)
    write = run_folder.write_bytes

    def stopped(path: Path, content: bytes) -> None:
        if path.name == "metrics.jsonl" and len(content.splitlines()) == recipe.epochs:
            raise KeyboardInterrupt
        write(path, content)

    monkeypatch.setattr(run_folder, "write_bytes", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "stopped", tiny)
    monkeypatch.setattr(run_folder, "write_bytes", write)
    assert outcome(train(recipe, tmp_path / "stopped", tiny, resume=True)) == outcome(whole)
    assert metrics(tmp_path / "stopped") == metrics(tmp_path / "whole")


def tensors_of(trainer: Trainer) -> dict[str, Tensor]:
    """All tensors that a training goes on with."""
    method = trainer.method
    kept = {**vars(method), **vars(method.sampler), "generator": method.generator.get_state()}
    return {**module_tensors(method.net), **{name: each for name, each in kept.items() if isinstance(each, Tensor)}}


def test_a_training_that_is_brought_back_knows_all_that_it_knew(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path
) -> None:
    """Also what the rest of this training makes no use of, as another one may."""
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path, tiny, progress=CtrlC(after=0.5))  # it has written its settings, and nothing more
    first, second = (Trainer(build(recipe, tiny.form), recipe, tiny.train) for _ in range(2))
    assert [metrics["epoch"] for _, metrics in zip(range(2), first.epochs(), strict=False)] == [1, 2]
    home = run_folder.RunFolder(tmp_path)
    home.save(first, [{"torch": "2.13.0"}])
    assert home.restore(second) == [{"torch": "2.13.0"}]
    assert (second.history, second.method.batches_seen) == (first.history, first.method.batches_seen)
    assert tensors_of(first).keys() >= {"softmax.weight_velocity", "difficulty", "mistaken", "logits", "generator"}
    torch.testing.assert_close(tensors_of(second), tensors_of(first), rtol=0, atol=0)


def test_resuming_a_complete_run_returns_its_result_and_changes_nothing(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path
) -> None:
    result = train(recipe, tmp_path, tiny)
    before = hashes(tmp_path)
    assert train(recipe, tmp_path, tiny, resume=True) == result
    assert hashes(tmp_path) == before


# What a run leaves behind --------------------------------------------------------------------------------------------


def test_a_result_says_what_was_measured_on_what_and_how(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path
) -> None:
    """These fields are read by programs that make tables: a field that lies makes a table that lies."""
    result = train(replace(recipe, seed=3), tmp_path / "run", tiny, name="mine")
    assert result.test_error.keys() == {"slow", "fast", "shortlist", "both"}
    assert result.metrics["passes_per_image"] == {"slow": 4, "fast": 1, "shortlist": 4, "both": 5}
    assert (result.recipe, result.method, result.seed, result.epochs) == ("mine", "forward-forward", 3, 4)
    assert (result.dataset, result.official_data, result.fingerprint) == ("tiny", False, tiny.fingerprint)
    assert (result.device, result.precision, result.run) == ("cpu", "fp32", str(tmp_path / "run"))
    assert result.settings == replace(recipe, seed=3).fields()
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert result.seconds == pytest.approx(sum(line["seconds"] for line in lines))
    assert result.seconds_per_epoch == pytest.approx(result.seconds / 4)
    assert result.metrics["train_error"] == lines[-1]["train_error"]
    sizes = zip((25 + 4, 14, 12), (14, 12, 10), strict=True)
    assert result.parameters == sum(below * above + above for below, above in sizes) + 4 * (12 + 10)
    assert len(result.metrics["layer_error"]) == 3
    written = json.loads((tmp_path / "run" / "result.json").read_text())
    assert {key: value for key, value in written.items() if key != "digest"} == result.to_json()
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("config.json", "metrics.jsonl", "weights.safetensors", "result.json")
    }


@pytest.mark.parametrize(("kind", "validation"), [("digits", 0), ("digits", 8), ("digits-twin", 0), ("digits-twin", 8)])
def test_a_run_that_is_loaded_makes_the_errors_that_its_result_says(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path, kind: str, validation: int
) -> None:
    asked = replace(RECIPES[kind], data="tiny", widths=recipe.widths, batch=8, validation=validation, epochs=1)
    result = train(asked, tmp_path, tiny)
    loaded = runs.load(tmp_path, "cpu")
    held = tiny.hold_out(validation) if validation else tiny
    tested = twofold.evaluate(loaded.net, *held.test)
    assert tested.error == (result.validation_error or result.test_error) == result.error
    assert tested.metrics["layer_error"] == result.metrics["layer_error"]
    assert (loaded.result, loaded.recipe) == (result, asked)
    assert loaded.form == {"shape": [1, 5, 5], "classes": 4}
    assert len(loaded.history) == 1
    assert not loaded.net.training
    assert sum(result.test_error.values()) > 0 or validation, "an untrained net that errs is the better witness"


def test_a_picture_is_named_as_every_test_names_it(tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path) -> None:
    train(recipe, tmp_path, tiny)
    net = runs.load(tmp_path, "cpu").net
    tested = twofold.evaluate(net, *tiny.test)
    for index, image in enumerate(tiny.test_images):
        answer = net.explain(image[None])
        assert answer["label"] == {name: int(named[index]) for name, named in tested.named.items()}
        assert sum(answer["softmax"]) == pytest.approx(1)
        assert int(torch.tensor(answer["goodness"]).argmax()) == answer["label"]["slow"]
