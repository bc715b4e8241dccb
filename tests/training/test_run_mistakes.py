"""Run folders: what goes wrong is told in one line, and costs nothing that was there.

Oracles: hashes of every file before and after, a disk that is really full.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from support.helpers import hashes, refusal
from support.runs import CtrlC, outcome, train
from twofold import checkpoint
from twofold.data import Dataset
from twofold.errors import DataError, Interrupted
from twofold.methods import BackpropRecipe, FeedForwardRecipe
from twofold.recipes import RECIPES
from twofold.training import runs, sources
from twofold.training import train as training

pytestmark = pytest.mark.usefixtures("progress_at_every_batch")


@pytest.fixture(scope="module")
def stopped(tiny: Dataset, recipe: FeedForwardRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that was interrupted after two of its four epochs."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.raises(KeyboardInterrupt):
        train(recipe, folder, tiny, progress=CtrlC(2))
    return folder


@pytest.fixture(scope="module")
def complete(tiny: Dataset, recipe: FeedForwardRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("complete") / "run"
    train(recipe, folder, tiny)
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Path], Path]:
    return lambda folder: Path(shutil.copytree(folder, tmp_path / "copy"))


OTHER_SETTINGS: dict[str, dict[str, Any]] = {
    "seed = 0, not 1": {"seed": 1},
    "epochs = 4, not 5": {"epochs": 5},
    "widths = [14, 12, 10], not [14, 12]": {"widths": (14, 12)},
    "rate = 0.01, not 0.02": {"rate": 0.02},
    "tolerance = 0.0, not 0.3": {"tolerance": 0.3},
}


@pytest.mark.parametrize("words", OTHER_SETTINGS)
@pytest.mark.parametrize("state", ["stopped", "complete"])
def test_a_run_is_not_resumed_with_other_settings(
    tiny: Dataset, recipe: FeedForwardRecipe, request: pytest.FixtureRequest, state: str, words: str
) -> None:
    """A run of two settings would be reported under the second."""
    folder: Path = request.getfixturevalue(state)
    before = hashes(folder)
    said = refusal(lambda: train(replace(recipe, **OTHER_SETTINGS[words]), folder, tiny, resume=True))
    assert words in said
    assert "choose another --run" in said
    assert hashes(folder) == before


def test_a_run_is_not_resumed_with_other_data_another_method_or_another_precision(
    tiny: Dataset, recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe, stopped: Path
) -> None:
    before = hashes(stopped)
    other = replace(tiny, train_images=1 - tiny.train_images)
    assert "fingerprint" in refusal(lambda: train(recipe, stopped, other, resume=True))
    assert "contains a run with" in refusal(lambda: train(twin_recipe, stopped, tiny, resume=True))
    assert "precision" in refusal(lambda: train(recipe, stopped, tiny, resume=True, precision="bf16"))
    assert hashes(stopped) == before


@pytest.mark.parametrize("resume", [False, True])
def test_a_start_that_never_got_to_a_checkpoint_does_not_block_its_folder(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path, resume: bool
) -> None:
    """Nothing is lost by beginning anew, with whatever settings; what is left over belongs to the new training."""
    with pytest.raises(Interrupted, match="nothing is saved"):
        train(recipe, tmp_path / "run", tiny, progress=CtrlC(0.5))
    other = replace(recipe, seed=1, epochs=2)
    assert outcome(train(other, tmp_path / "run", tiny, resume=resume)) == outcome(train(other, tmp_path / "new", tiny))
    assert runs.load(tmp_path / "run", "cpu").recipe == other


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_with_other_things_in_it_is_left_alone(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path, resume: bool
) -> None:
    (tmp_path / "thesis.tex").write_text("ten years of work")
    said = refusal(lambda: train(recipe, tmp_path, tiny, resume=resume))
    assert str(tmp_path) in said
    assert "--run" in said
    assert hashes(tmp_path).keys() == {"thesis.tex"}


def test_a_folder_in_use_is_not_trained_into_again(
    tiny: Dataset, recipe: FeedForwardRecipe, stopped: Path, complete: Path
) -> None:
    for folder in (stopped, complete):
        before = hashes(folder)
        assert "add --resume to continue it" in refusal(lambda folder=folder: train(recipe, folder, tiny))  # type: ignore[misc]
        assert hashes(folder) == before


@dataclass
class Bytes:
    """Data of the user's own, whose images were never divided by 255."""

    train: tuple[Tensor, ...]
    test: tuple[Tensor, ...]
    form: dict[str, Any]
    name: str = "bytes"
    official: bool = False
    fingerprint: str = "0"

    def hold_out(self, count: int) -> Bytes:
        return self


def test_own_data_that_a_net_cannot_learn_from_are_told(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path
) -> None:
    images, labels = tiny.train
    data = Bytes(((255 * images).byte(), labels), tiny.test, tiny.form)
    said = refusal(lambda: training.train(recipe, tmp_path / "run", data, device="cpu"), DataError)
    assert "expected 0 to 1: rescale them (divide bytes by 255), or" in said


def test_a_run_folder_that_cannot_be_made_is_told(tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        assert "file" in refusal(lambda folder=folder: train(recipe, folder, tiny))  # type: ignore[misc]
    assert (tmp_path / "file").read_text() == "no folder"


def damage(how: str) -> Callable[[bytes], bytes]:
    return {
        "empty": lambda content: b"",
        "cut in its header": lambda content: content[:50],
        "cut at its end": lambda content: content[:-1],
        "cut in the middle": lambda content: content[: len(content) // 2],
        "noise": lambda content: bytes(range(256)) * 20,
        "text": lambda content: b"{}",
        "list": lambda content: b"[1, 2]",
    }[how]


DAMAGES = ["empty", "cut in its header", "cut at its end", "cut in the middle", "noise", "text"]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_checkpoint_is_told_and_nothing_is_trained(
    tiny: Dataset, recipe: FeedForwardRecipe, stopped: Path, copy: Callable[[Path], Path], how: str
) -> None:
    folder = copy(stopped)
    path = folder / "checkpoint.safetensors"
    path.write_bytes(damage(how)(path.read_bytes()))
    before = hashes(folder)
    said = refusal(lambda: train(recipe, folder, tiny, resume=True))
    assert "checkpoint.safetensors is damaged" in said
    assert hashes(folder) == before


def test_a_checkpoint_of_another_architecture_is_told(
    tiny: Dataset, recipe: FeedForwardRecipe, stopped: Path, copy: Callable[[Path], Path]
) -> None:
    """Its header says the right settings, its tensors are others': not one of them may be copied."""
    folder = copy(stopped)
    path = folder / "checkpoint.safetensors"
    tensors, facts = checkpoint.read(path)
    checkpoint.write(path, {**tensors, "layers.1.weight": torch.zeros(3, 3)}, facts)
    before = hashes(folder)
    said = refusal(lambda: train(recipe, folder, tiny, resume=True))
    assert "the shape of layers.1.weight is (3, 3) in the file and (12, 14) in this net" in said
    assert hashes(folder) == before


def test_a_tensor_file_that_is_no_checkpoint_is_told(
    tiny: Dataset, recipe: FeedForwardRecipe, stopped: Path, complete: Path, copy: Callable[[Path], Path]
) -> None:
    folder = copy(stopped)
    shutil.copy(complete / "weights.safetensors", folder / "checkpoint.safetensors")
    before = hashes(folder)
    assert "checkpoint.safetensors" in refusal(lambda: train(recipe, folder, tiny, resume=True))
    assert hashes(folder) == before


def test_filling_copies_all_tensors_or_none(tmp_path: Path) -> None:
    targets = {"a": torch.zeros(2), "b": torch.zeros(3)}
    for given in ({"a": torch.ones(2)}, {"a": torch.ones(2), "b": torch.ones(4)}, {**targets, "c": torch.ones(1)}):
        refusal(lambda given=given: checkpoint.fill(targets, given, tmp_path))  # type: ignore[misc]
        assert not any(tensor.any() for tensor in targets.values())
    checkpoint.fill(targets, {"a": torch.ones(2), "b": torch.ones(3)}, tmp_path)
    assert all(tensor.all() for tensor in targets.values())


@pytest.mark.parametrize(
    ("name", "how"),
    [
        *(("weights.safetensors", how) for how in DAMAGES),
        *((name, how) for name in ("config.json", "result.json") for how in (*DAMAGES, "list")),
        *(("metrics.jsonl", how) for how in ("cut in its header", "cut in the middle", "noise")),
    ],
)
def test_a_run_with_a_damaged_file_is_not_loaded(
    complete: Path, copy: Callable[[Path], Path], name: str, how: str
) -> None:
    folder = copy(complete)
    path = folder / name
    path.write_bytes(damage(how)(path.read_bytes().rstrip()))
    before = hashes(folder)
    assert name in refusal(lambda: runs.load(folder, "cpu"))
    assert hashes(folder) == before


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json", "result.json", "metrics.jsonl"])
def test_a_run_that_lacks_a_file_is_not_loaded(complete: Path, copy: Callable[[Path], Path], name: str) -> None:
    folder = copy(complete)
    (folder / name).unlink()
    before = hashes(folder)
    assert str(folder) in refusal(lambda: runs.load(folder, "cpu"))
    assert hashes(folder) == before


def test_weights_of_another_net_are_not_loaded(
    tiny: Dataset, recipe: FeedForwardRecipe, complete: Path, copy: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder = copy(complete)
    train(replace(recipe, widths=(9, 8), epochs=1), tmp_path / "other", tiny)
    shutil.copy(tmp_path / "other" / "weights.safetensors", folder / "weights.safetensors")
    assert "another architecture: the shape of layers.0.bias is (9,)" in refusal(lambda: runs.load(folder, "cpu"))


def test_a_run_that_is_not_complete_and_a_folder_that_is_none_say_what_to_do(stopped: Path, tmp_path: Path) -> None:
    assert f"twofold train custom --run {stopped} --resume" in refusal(lambda: runs.load(stopped, "cpu"))
    assert "is not a run folder" in refusal(lambda: runs.load(tmp_path, "cpu"))
    assert "is not a run folder" in refusal(lambda: runs.load(tmp_path / "nowhere", "cpu"))


def test_a_run_is_not_tested_on_other_data_than_its_own(
    complete: Path, monkeypatch: pytest.MonkeyPatch, tiny: Dataset
) -> None:
    other = replace(tiny, test_images=1 - tiny.test_images)
    loaded = runs.load(complete, "cpu")
    monkeypatch.setattr(sources, "load_data", lambda name, data_dir: other)
    assert "was trained on other data" in refusal(lambda: sources.held_out(loaded))
    monkeypatch.setattr(sources, "load_data", lambda name, data_dir: tiny)
    assert torch.equal(sources.held_out(loaded).test_images, tiny.test_images)


FULL_DISK = """
import json, resource, signal, sys
from dataclasses import replace
from pathlib import Path
import torch
from twofold.training import runs, sources
from twofold.training import train as training
from twofold.data import load
from twofold.errors import RunError
from twofold.recipes import RECIPES

class FillTheDisk:
    def batch(self, done):
        pass

    def epoch(self, metrics):
        if metrics["epoch"] == 2:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

torch.set_num_threads(1)
recipe = replace(RECIPES["digits"], widths=(20, 20), epochs=4)
try:
    training.train(recipe, Path(sys.argv[1]), load("digits"), device="cpu", precision="fp32", progress=FillTheDisk())
except RunError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_full_disk_is_told_in_one_line_and_costs_no_checkpoint(digits: Dataset, tmp_path: Path) -> None:
    """A night of training is worth more than the file that did not fit."""
    folder = tmp_path / "run"
    ended = subprocess.run([sys.executable, "-c", FULL_DISK, folder], capture_output=True, text=True, check=True)
    assert ended.stdout.startswith(f"cannot write {folder / 'checkpoint.safetensors'}: ")
    assert len(ended.stdout.splitlines()) == 1
    assert ended.stderr == ""
    assert {path.name for path in folder.iterdir()} == {"config.json", "metrics.jsonl", "checkpoint.safetensors"}
    assert len(checkpoint.read(folder / "checkpoint.safetensors")[1]["history"]) == 2
    recipe = replace(RECIPES["digits"], widths=(20, 20), epochs=4)
    resumed, whole = (train(recipe, at, digits, resume=at == folder) for at in (folder, tmp_path / "whole"))
    assert outcome(resumed) == outcome(whole)
