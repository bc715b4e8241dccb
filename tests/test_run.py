"""Run folders: an interrupted training ends as one that was not, and nothing that goes wrong costs what was there.

Oracles: bitwise equality with an undisturbed run, hashes of every file before and after, a disk that is really full.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers import SHORTCUTS, hashes, refusal
from twofold import checkpoint
from twofold.data import Dataset
from twofold.methods.method import Method
from twofold.recipes import RECIPES, BackpropRecipe, FeedForwardRecipe, Recipe
from twofold.training import evaluate, run, run_folder
from twofold.training.run import Result, Silent


def train(recipe: Recipe, folder: Path, data: Dataset, **options: Any) -> Result:
    return run.train(recipe, folder, data, **{"device": "cpu", "precision": "fp32", **options})


class CtrlC(Silent):
    """Stops the training after ``after`` epochs; with a fraction, in the middle of one."""

    def __init__(self, after: float) -> None:
        self.after = after

    def batch(self, done: float) -> None:
        if done >= self.after and self.after % 1:
            raise KeyboardInterrupt

    def epoch(self, metrics: dict[str, Any]) -> None:
        if metrics["epoch"] >= self.after:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _progress_is_told_at_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[Method.__module__], "CHECK_EVERY", 1)


def metrics(folder: Path) -> list[dict[str, Any]]:
    """The epochs, without what depends on the clock."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def outcome(result: Result) -> dict[str, Any]:
    """A result, without what depends on the clock and the folder."""
    return {key: value for key, value in asdict(result).items() if key not in ("seconds", "seconds_per_epoch", "run")}


# Interrupted and resumed ---------------------------------------------------------------------------------------------

WIDE = {**SHORTCUTS, "tolerance": 0.9, "objective": "swish_symba", "rate": 0.1}
"""All that twofold leaves out, and so that on tiny data some is."""

KINDS: dict[str, dict[str, Any]] = {
    "forward-forward": {},
    "random negatives": {"negatives": "random", "revisit": 1.0},
    "layer by layer": {"layer_by_layer": True},
    "jitter": {"jitter": 1},
    "validation": {"validation": 8},
    "shortcuts": WIDE,
    "shortcuts, jitter": {**WIDE, "jitter": 1},
    "twin": {"twin": True},
    "twin, jitter": {"twin": True, "jitter": 1},
    "twin, shortcuts": {"twin": True, "rate": 0.5, "tolerance": 0.6, "revisit": 0.2},
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_training_ends_bitwise_as_one_that_was_not(
    tiny: Dataset, recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe, tmp_path: Path, kind: str
) -> None:
    """Otherwise a figure depends on how often somebody's machine was switched off, and cannot be repeated."""
    changes = dict(KINDS[kind])
    asked = replace(twin_recipe if changes.pop("twin", False) else recipe, **changes)
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
    assert result.passes_per_image == {"slow": 4, "fast": 1, "shortlist": 4, "both": 5}
    assert (result.recipe, result.method, result.seed, result.epochs) == ("mine", "forward-forward", 3, 4)
    assert (result.dataset, result.official_data, result.fingerprint) == ("tiny", False, tiny.fingerprint)
    assert (result.device, result.precision, result.run) == ("cpu", "fp32", str(tmp_path / "run"))
    assert result.settings == replace(recipe, seed=3).fields()
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert result.seconds == pytest.approx(sum(line["seconds"] for line in lines))
    assert result.seconds_per_epoch == pytest.approx(result.seconds / 4)
    assert result.train_error == lines[-1]["train_error"]
    sizes = zip((25 + 4, 14, 12), (14, 12, 10), strict=True)
    assert result.parameters == sum(below * above + above for below, above in sizes) + 4 * (12 + 10)
    assert len(result.layer_error) == 3
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == asdict(result)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("config.json", "metrics.jsonl", "weights.safetensors", "result.json")
    }


@pytest.mark.parametrize(("kind", "validation"), [("digits", 0), ("digits", 8), ("digits-twin", 0), ("digits-twin", 8)])
def test_a_run_that_is_loaded_makes_the_errors_that_its_result_says(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path, kind: str, validation: int
) -> None:
    asked = replace(RECIPES[kind], data="tiny", widths=recipe.widths, batch=8, validation=validation, epochs=1)
    result = train(asked, tmp_path, tiny)
    loaded = run.load(tmp_path, "cpu")
    held = tiny.hold_out(validation) if validation else tiny
    tested = evaluate.test(loaded.net, held.test_images, held.test_labels)
    assert tested.error == (result.validation_error or result.test_error)
    assert tested.layer_error == result.layer_error
    assert (loaded.result, loaded.recipe, loaded.shape) == (result, asked, (1, 5, 5))
    assert len(loaded.history) == 1
    assert not loaded.net.training
    assert sum(result.test_error.values()) > 0 or validation, "an untrained net that errs is the better witness"


def test_a_picture_is_named_as_every_test_names_it(tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path) -> None:
    train(recipe, tmp_path, tiny)
    net = run.load(tmp_path, "cpu").net
    tested = evaluate.test(net, tiny.test_images, tiny.test_labels)
    for index, image in enumerate(tiny.test_images):
        answer = run.name_picture(net, image[None])
        assert answer["label"] == {name: int(named[index]) for name, named in tested.named.items()}
        assert sum(answer["softmax"]) == pytest.approx(1)
        assert int(torch.tensor(answer["goodness"]).argmax()) == answer["label"]["slow"]


# What goes wrong is told in one line, and costs nothing that was there -----------------------------------------------


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
    "seed = 0, asked for is 1": {"seed": 1},
    "epochs = 4, asked for is 5": {"epochs": 5},
    "widths = [14, 12, 10], asked for is [14, 12]": {"widths": (14, 12)},
    "rate = 0.01, asked for is 0.02": {"rate": 0.02},
    "tolerance = 0.0, asked for is 0.3": {"tolerance": 0.3},
    "neutral_share = 1.0, asked for is 0.5": {"neutral_share": 0.5},
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
    assert "holds a training with" in refusal(lambda: train(twin_recipe, stopped, tiny, resume=True))
    assert "precision" in refusal(lambda: train(recipe, stopped, tiny, resume=True, precision="bf16"))
    assert hashes(stopped) == before


def test_other_settings_are_refused_also_before_the_first_epoch_is_saved(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path, tiny, progress=CtrlC(0.5))
    before = hashes(tmp_path)
    assert "seed = 0" in refusal(lambda: train(replace(recipe, seed=1), tmp_path, tiny, resume=True))
    assert hashes(tmp_path) == before


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
        assert "add --resume to go on with it" in refusal(lambda folder=folder: train(recipe, folder, tiny))  # type: ignore[misc]
        assert hashes(folder) == before


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
    assert "another architecture: layers.1.weight has shape (3, 3), this net expects (12, 14)" in said
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
    assert name in refusal(lambda: run.load(folder, "cpu"))
    assert hashes(folder) == before


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json", "result.json", "metrics.jsonl"])
def test_a_run_that_lacks_a_file_is_not_loaded(complete: Path, copy: Callable[[Path], Path], name: str) -> None:
    folder = copy(complete)
    (folder / name).unlink()
    before = hashes(folder)
    assert str(folder) in refusal(lambda: run.load(folder, "cpu"))
    assert hashes(folder) == before


def test_weights_of_another_net_are_not_loaded(
    tiny: Dataset, recipe: FeedForwardRecipe, complete: Path, copy: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder = copy(complete)
    train(replace(recipe, widths=(9, 8), epochs=1), tmp_path / "other", tiny)
    shutil.copy(tmp_path / "other" / "weights.safetensors", folder / "weights.safetensors")
    assert "belongs to another architecture: layers.0.bias has shape (9,)" in refusal(lambda: run.load(folder, "cpu"))


def test_a_run_that_is_not_complete_and_a_folder_that_is_none_say_what_to_do(stopped: Path, tmp_path: Path) -> None:
    assert f"twofold train custom --run {stopped} --resume" in refusal(lambda: run.load(stopped, "cpu"))
    assert "is no run folder" in refusal(lambda: run.load(tmp_path, "cpu"))
    assert "is no run folder" in refusal(lambda: run.load(tmp_path / "nowhere", "cpu"))


def test_a_run_is_not_tested_on_other_data_than_its_own(
    complete: Path, monkeypatch: pytest.MonkeyPatch, tiny: Dataset
) -> None:
    other = replace(tiny, test_images=1 - tiny.test_images)
    loaded = run.load(complete, "cpu")
    monkeypatch.setattr(run, "load_data", lambda name, data_dir: other)
    assert "was trained on other data" in refusal(lambda: run.held_out(loaded))
    monkeypatch.setattr(run, "load_data", lambda name, data_dir: tiny)
    assert torch.equal(run.held_out(loaded).test_images, tiny.test_images)


FULL_DISK = """
import json, resource, signal, sys
from dataclasses import replace
from pathlib import Path
import torch
from twofold.training import run
from twofold.data import load
from twofold.errors import RunError
from twofold.recipes import RECIPES

class FillTheDisk(run.Silent):
    def epoch(self, metrics):
        if metrics["epoch"] == 2:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

torch.set_num_threads(1)
recipe = replace(RECIPES["digits"], widths=(20, 20), epochs=4)
try:
    run.train(recipe, Path(sys.argv[1]), load("digits"), device="cpu", precision="fp32", progress=FillTheDisk())
except RunError as error:
    print(error)
"""


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
