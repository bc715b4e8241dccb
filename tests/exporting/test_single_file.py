"""One file that `twofold.load` reads alone: the same net, the same settings, and nothing of this machine.

Oracles: the run folder that it is made from; the safetensors library's own reader.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import twofold
from support.command_line import answer, facts
from support.helpers import refusal
from support.runs import train
from twofold import checkpoint, machine
from twofold.data import Dataset
from twofold.errors import SettingError
from twofold.exporting.card import card
from twofold.files import read_signed, write_signed
from twofold.methods import FeedForwardRecipe
from twofold.training import runs
from twofold.training.run_folder import RunFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, recipe: FeedForwardRecipe, tiny: Dataset) -> Path:
    """A run, and one that was trained further from it."""
    place = tmp_path_factory.mktemp("private-place")
    train(recipe, place / "first", tiny, name="tiny")
    train(recipe, place / "second", tiny, name="tiny", start=place / "first")
    return place / "second"


@pytest.fixture
def file(folder: Path, tmp_path: Path) -> Path:
    return twofold.export(folder, tmp_path / "net.safetensors")


def test_the_file_is_the_run(file: Path, folder: Path, tiny: Dataset) -> None:
    here, there = runs.load(folder, "cpu"), runs.load(file, "cpu")
    for test, score in here.net.scores(tiny.test_images).items():
        assert score.equal(there.net.scores(tiny.test_images)[test])
    assert there.recipe == here.recipe
    assert there.form == here.form
    assert there.preparation == here.preparation
    assert there.result.test_error == here.result.test_error
    assert there.history == []
    assert there.folder == file
    assert checkpoint.digest_of(file) == checkpoint.digest_of(RunFolder(folder).weights)
    assert twofold.evaluate(there.net, *tiny.test).error == here.result.test_error


def test_others_read_the_weights_and_the_header(file: Path, folder: Path) -> None:
    with safe_open(file, "pt") as opened:
        assert opened.get_tensor("softmax.weight").equal(runs.load(folder, "cpu").net.softmax.weight)
        said = json.loads(opened.metadata()["twofold"])
    assert said["config"]["settings"]["widths"] == [14, 12, 10]
    assert said["result"]["dataset"] == "tiny"


def test_nothing_that_leaves_says_where_it_was_made(file: Path, folder: Path) -> None:
    for content in (file.read_bytes(), card(runs.load(folder, "cpu")).encode()):
        assert b"first" in content
        assert str(folder.parent).encode() not in content
        assert b"private-place" not in content
    assert runs.load(file, "cpu").result.started_from == {
        "run": "first",
        "weights": checkpoint.digest_of(folder.parent / "first" / "weights.safetensors"),
    }


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a bit of the weights": lambda path: path.write_bytes(flipped(path.read_bytes(), -7)),
    "a bit of the settings": lambda path: path.write_bytes(path.read_bytes().replace(b'batch\\": 8', b'batch\\": 9')),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "empty": lambda path: path.write_bytes(b""),
    "a page": lambda path: path.write_bytes(b"<!doctype html>" * 9),
    "another's": lambda path: save_file({"weight": torch.ones(2)}, path, {"format": "pt"}),
    "tensors alone": lambda path: save_file({"weight": torch.ones(2)}, path),
    "weights of a run": lambda path: checkpoint.write(path, {"weight": torch.ones(2)}, {"name": "tiny"}),
    "no settings": lambda path: checkpoint.write(path, {"weight": torch.ones(2)}, {"config": 3, "result": {}}),
    "no result": lambda path: rewritten(path, result={}),
    "another net": lambda path: rewritten(path, widths=[3, 3]),
    "a net that would fill any memory": lambda path: rewritten(path, widths=[2**30, 2**30]),
    "an unknown method": lambda path: rewritten(path, method="alchemy"),
    "fewer names than classes": lambda path: prepared_as(path, names=["a", "b"]),
    "cases of another shape": lambda path: prepared_as(path, shape=[1, 5, 4]),
    "a kind that is none": lambda path: prepared_as(path, kind="sounds"),
    "names that are none": lambda path: prepared_as(path, names=3),
    "a scale of 0": lambda path: prepared_as(path, **TABLE | {"scale": [0.0] * 25}),
    "a scale below 0": lambda path: prepared_as(path, **TABLE | {"scale": [-1.0] * 25}),
    "columns that make other features": lambda path: prepared_as(path, **TABLE | {"categories": {"0": ["a", "b"]}}),
    "a preparation of cases without a form": lambda path: rewritten(path, shape=None),
    "a newer version": lambda path: rewritten(path, format=99),
}


TABLE: dict[str, Any] = {
    **{"kind": "table", "shape": [1, 1, 25], "columns": [str(number) for number in range(25)]},
    **{"mean": [0.0] * 25, "scale": [1.0] * 25, "categories": {}, "look": None},
}


def prepared_as(path: Path, **changes: Any) -> None:
    """The same file with another preparation; of a table, with the form of one, which the same net could be for."""
    tensors, facts = checkpoint.read(path)
    facts["config"]["preparation"] |= changes
    facts["config"] |= {"shape": [1, 1, 25]} if "columns" in changes else {}
    checkpoint.write(path, tensors, facts)


def flipped(content: bytes, place: int) -> bytes:
    array = bytearray(content)
    array[place] ^= 1
    return bytes(array)


def rewritten(path: Path, **changes: Any) -> None:
    """The same file with other settings, signed anew: as a newer or a malicious program would write it."""
    tensors, facts = checkpoint.read(path)
    if "result" in changes:
        facts["result"] = changes.pop("result")
    widths = changes.pop("widths", None)
    facts["config"] |= changes
    if widths:
        facts["config"]["settings"] |= {"widths": widths}
    checkpoint.write(path, tensors, facts)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told_in_one_line(damage: str, file: Path) -> None:
    before = file.read_bytes()
    DAMAGES[damage](file)
    assert file.read_bytes() != before
    assert str(file) in refusal(lambda: runs.load(file, "cpu"))


def test_what_is_not_trained_to_the_end_cannot_be_one_file(folder: Path, tmp_path: Path, file: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "result.json").unlink()
    target = tmp_path / "new.safetensors"
    assert "is not complete" in refusal(lambda: twofold.export(copy, target))
    assert "is a single file already" in refusal(lambda: twofold.export(file, target))
    assert not target.exists()


def test_a_run_that_was_trained_on_other_hardware_loads_here(
    folder: Path, tmp_path: Path, tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained on a GPU in bfloat16; here there is neither."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "has_fast_bf16", lambda device: False)
    copy = shutil.copytree(folder, tmp_path / "copy")
    content, _ = read_signed(copy / "config.json")
    write_signed(copy / "config.json", {**content, "device": "cuda", "precision": "bf16"})
    made = twofold.export(copy, tmp_path / "new.safetensors")
    for path in (copy, made):
        loaded = runs.load(path)
        assert loaded.net.device == torch.device("cpu")
        assert loaded.net.stack[0].compute is None
        assert loaded.net.predict(tiny.test_images).equal(runs.load(folder, "cpu").net.predict(tiny.test_images))
    assert "--precision is bf16" in refusal(lambda: runs.load(copy, precision="bf16"), SettingError)


def test_pictures_need_the_metrics_that_only_the_folder_has(file: Path, tiny: Dataset) -> None:
    said = refusal(lambda: runs.draw(runs.load(file, "cpu"), tiny))
    assert said == f"{file} is an exported file, which has no metrics of epochs: give the run folder"


def test_the_commands_take_the_file_for_the_run(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = facts(["export", str(folder), "--to", "safetensors", "--out", "net.safetensors"])
    assert made == {"file": "net.safetensors"}
    assert facts(["export", str(folder), "--to", "safetensors"]) == {"file": str(folder / "model.safetensors")}
    code, _, error = answer(["plot", "net.safetensors"])
    assert (code, len(error)) == (1, 1)
    code, _, error = answer(["export", str(folder), "--to", "onnx", "--out", "net.safetensors"])
    assert error == ["twofold: error: --out is net.safetensors, expected a file name ending in .onnx for --to onnx"]
    assert code == 1


@pytest.mark.parametrize(
    ("kind", "name"), [("card", "net.md"), pytest.param("onnx", "net.onnx", marks=pytest.mark.slow)]
)
def test_what_lies_beside_one_file_is_only_replaced_where_it_is_named(kind: str, name: str, file: Path) -> None:
    for other in ("README.md", "model.onnx"):
        (file.parent / other).write_text("somebody's")
    words = ["export", str(file), "--to", kind]
    made = file.parent / name
    assert facts(words) == {"file": str(made)}
    made.write_text("mine")
    code, _, error = answer(words)
    assert (code, error) == (
        1,
        [f"twofold: error: {made} already exists: give --out {made} to replace it, or another --out"],
    )
    assert made.read_text() == "mine"
    assert facts([*words, "--out", str(made)]) == {"file": str(made)}
    assert made.read_bytes() != b"mine"
    assert {(file.parent / other).read_text() for other in ("README.md", "model.onnx")} == {"somebody's"}


@pytest.mark.parametrize("source", [{"path": "/etc/passwd", "kind": "table", "label": "x"}, {"kind": "sound"}, 3])
def test_where_data_came_from_is_not_for_a_file_to_say(source: Any, file: Path) -> None:
    rewritten(file, source=source)
    assert runs.load(file, "cpu").source is None
