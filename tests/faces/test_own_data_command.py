"""Data of one's own on the command line: one command trains on them, and the run finds them again.

Oracles: the same pictures given as arrays in Python; exit codes; the documented contract.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import twofold
from support.command_line import SMALL, answer, facts
from support.helpers import refusal
from support.own_files import ROWS, class_folders, digit_pictures, table, two_classes
from twofold.errors import SettingError
from twofold.recipes.own import recipe_for
from twofold.training import runs, sources

pytestmark = pytest.mark.usefixtures("_in_an_empty_folder")

QUICK = [*SMALL, "--no-pictures"]


def said(words: list[str]) -> str:
    """The one line in which a command is refused."""
    code, _, err = answer(words)
    assert (code, len(err)) == (1, 1)
    return err[0]


@pytest.mark.slow
def test_one_command_goes_from_a_folder_of_pictures_to_a_net_as_good_as_through_python(tmp_path: Path) -> None:
    """Ten folders of a hundred PNGs each; the same pictures as arrays, split by the same seed, make the same net."""
    found = facts(["train", "--data", str(class_folders(tmp_path / "mine", 100)), "--precision", "fp32"])
    assert found["test_error"]["slow"] <= 0.03
    loaded = runs.load(Path(found["run"]))
    assert loaded.preparation is not None
    assert loaded.preparation.names == ("eight", "five", "four", "nine", "one", "seven", "six", "three", "two", "zero")
    drawn = sorted(path.name for path in (loaded.folder / "pictures").iterdir())
    assert drawn == ["fields.png", "goodness.png", "learning.png", "mistakes.png"]
    pixels, words = digit_pictures(100)
    data = twofold.as_dataset("mine", pixels.astype(np.float32) / 255, words)
    result = twofold.train(twofold.recipe_for(data), tmp_path / "python", data, device="cpu", precision="fp32")
    assert result.test_error == found["test_error"]
    assert result.fingerprint == found["fingerprint"]


@pytest.fixture(scope="module")
def trained_on_a_table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run and the table that it was trained on."""
    root = tmp_path_factory.mktemp("table")
    path = table(root / "people.csv", ROWS * 3)
    words = ["train", "--data", str(path), "--label", "bought", *QUICK, "--run", str(root / "run")]
    code, out, err = answer(words)
    assert code == 0, err
    assert out[0].startswith("people: 36 rows of 3 columns, 4 features, 2 classes; 28 to train, 8 to test")
    return root / "run", path


def test_a_run_finds_its_data_again_also_where_they_were_moved(trained_on_a_table: tuple[Path, Path]) -> None:
    folder, path = trained_on_a_table
    tested = facts(["eval", str(folder)])
    assert tested["test_error"] == runs.load(folder).result.test_error
    moved = path.with_name("moved.csv")
    path.rename(moved)
    try:
        line = said(["eval", str(folder)])
        assert f"{folder} was trained on {path}, which does not exist" in line
        assert "--data" in line
        assert facts(["eval", str(folder), "--data", str(moved)]) == tested
        moved.write_text(moved.read_text().replace("20,", "21,", 1))
        for command in ("eval", "plot"):
            assert f"{moved} has changed since {folder}" in said([command, str(folder), "--data", str(moved)])
    finally:
        table(path, ROWS * 3)
    assert "was not trained on your own data" in refusal(
        lambda: sources.read_again(None, folder, "", path), SettingError
    )


def test_rows_of_a_table_get_the_class_that_the_net_names(trained_on_a_table: tuple[Path, Path]) -> None:
    folder, path = trained_on_a_table
    loaded = runs.load(folder)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    frame = {name: [row[name] for row in rows] for name in rows[0]}
    named = loaded.net.predict(loaded.preparation.table(frame))  # type: ignore[union-attr]
    expected = [("no", "yes")[label] for label in named]
    code, out, _ = answer(["predict", str(folder), str(path)])
    answers = list(csv.DictReader(out))
    assert code == 0
    assert [each["slow"] for each in answers] == expected
    scores = loaded.net.scores(loaded.preparation.table(frame))  # type: ignore[union-attr]
    temperature = sum(layer.temperature for layer in loaded.net.layers)
    shares = (scores["slow"] / temperature).softmax(1)[range(36), named]
    assert [float(each["probability"]) for each in answers] == pytest.approx(shares.tolist(), abs=1e-4)
    assert [each["row"] for each in answers] == [str(number + 1) for number in range(36)]
    code, out, _ = answer(["predict", str(folder), str(path), "--json"])
    assert [json.loads(line)["slow"] for line in out] == expected
    lacking = table(path.with_name("lacking.csv"), ["1,red"], "age,color")
    assert "has no column 'size'" in said(["predict", str(folder), str(lacking)])
    assert "was trained on a table" in said(["predict", str(folder), "own.png"])


@pytest.mark.parametrize("named", [True, False], ids=["the data are named", "only the run is"])
def test_a_training_that_was_stopped_goes_on_with_its_data(tmp_path: Path, named: bool) -> None:
    path = table(tmp_path / "people.csv", ROWS * 3)
    data = twofold.read_data(path, label="bought")
    settings = dict(zip(["widths", "epochs"], [(20, 16), 2], strict=True))
    usual = recipe_for(data)
    recipe = type(usual)(**{**vars(usual), **settings}).with_scale_of(usual)

    def stop(metrics: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        twofold.train(recipe, tmp_path / "run", data, name="people", device="cpu", precision="fp32", progress=stop)
    line = said(["eval", str(tmp_path / "run")])
    assert f"twofold train --run {tmp_path / 'run'} --resume" in line
    start = ["train", "--data", str(path), "--label", "bought", *SMALL] if named else ["train"]
    found = facts([*start, "--run", str(tmp_path / "run"), "--resume", "--no-pictures"])
    whole = facts(["train", "--data", str(path), "--label", "bought", *QUICK, "--run", str(tmp_path / "whole")])
    assert (found["test_error"], found["train_error"]) == (whole["test_error"], whole["train_error"])
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("run", "whole")]
    assert weights[0] == weights[1]


def test_only_a_run_to_go_on_with_needs_its_data_as_they_were(tmp_path: Path) -> None:
    path = table(tmp_path / "people.csv", ROWS * 3)
    answer(["train", "--data", str(path), "--label", "bought", *QUICK, "--run", "run"])
    table(path, ROWS * 2)
    assert f"{path} has changed since run was trained on it" in said(["train", "--run", "run", "--resume"])


@pytest.mark.slow
@pytest.mark.parametrize("begun", [[], ["--from", "first"], ["--with-twin"], ["--recipe", "digits", "--with-twin"]])
def test_a_run_goes_on_by_its_name_alone_however_it_was_begun_and_wherever_its_data_are(
    tmp_path: Path, begun: list[str]
) -> None:
    for name in ("a", "b"):
        two_classes(tmp_path / "old" / name)
    words = ["train", "--data", str(tmp_path / "old" / "a"), "--test", str(tmp_path / "old" / "b"), *QUICK]
    if "first" in begun:
        answer([*words, "--run", "first"])
    whole = facts([*words, *begun, "--run", "run"])
    again = ["train", "--run", "run", "--resume", "--no-pictures", *(["--with-twin"] if "--with-twin" in begun else [])]
    assert facts(again)["test_error"] == whole["test_error"]
    (tmp_path / "old").rename(tmp_path / "new")
    assert f"{tmp_path / 'old' / 'a'}, which does not exist" in said(again)
    assert facts([*again, "--data", str(tmp_path / "new" / "a")]) == whole


@pytest.mark.slow
def test_what_is_stated_counts_where_a_run_goes_on(tmp_path: Path) -> None:
    answer(["train", "--data", str(table(tmp_path / "a.csv")), "--label", "bought", *QUICK, "--run", "run"])
    again = ["train", "--run", "run", "--resume", "--no-pictures"]
    assert "precision = fp32, not bf16" in said([*again, "--precision", "bf16"])
    assert "none" in said([*again, "--from", "none"])


@pytest.mark.slow
def test_the_folder_with_data_sets_is_heeded_for_a_data_set_that_is_named_as_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    load = twofold.data.load
    monkeypatch.setattr(twofold.data, "load", lambda name, folder=None: (asked.append(folder), load("digits"))[1])
    answer(["train", "--data", "mnist", "--data-dir", str(tmp_path), *QUICK])
    assert asked[:1] == [tmp_path]


@pytest.mark.slow
def test_the_one_file_of_a_run_says_that_it_does_not_know_where_its_data_lie(
    trained_on_a_table: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, path = trained_on_a_table
    answer(["export", str(folder), "--to", "safetensors", "--out", str(tmp_path / "net.safetensors")])
    for more in ([], ["--data", str(path)]):
        line = said(["eval", str(tmp_path / "net.safetensors"), *more])
        assert "net.safetensors does not say where" in line
        assert "use the run folder" in line


@pytest.mark.slow
def test_a_run_made_from_arrays_is_tested_and_drawn_with_arrays(tmp_path: Path) -> None:
    pixels, words = digit_pictures(4)
    data = twofold.as_dataset("arrays", pixels / 255, words)
    recipe = type(usual := twofold.recipe_for(data))(**{**vars(usual), "widths": (12, 12), "epochs": 1})
    twofold.train(recipe, tmp_path / "run", data, device="cpu")
    loaded = twofold.load(tmp_path / "run")
    assert twofold.evaluate(loaded.net, *data.test).error == loaded.result.test_error
    assert all(path.exists() for path in twofold.draw(loaded, data))
    for command in ("eval", "plot"):
        line = said([command, str(tmp_path / "run")])
        assert "was trained on the arrays 'arrays', which are not stored" in line


@pytest.mark.slow
def test_a_recipe_may_be_named_and_is_changed_only_where_the_data_ask_for_it(tmp_path: Path) -> None:
    two_classes(tmp_path / "mine", "L")
    command = ["--data", str(tmp_path / "mine"), *QUICK]
    for words in (["train", "mnist", *command], ["train", *command, "--recipe", "mnist"]):
        found = facts(words)
        assert found["recipe"] == "mine-mnist"
        assert found["run"].startswith("runs/mine-mnist-seed0")
        settings = found["settings"]
        assert (settings["data"], settings["batch"], settings["label_in"]) == ("mine", 6, "prepend")
        assert settings["temperature"] == pytest.approx(50 * (20 / 1000) ** 0.5)
    assert facts(["train", *command, "--temperature", "7"])["settings"]["temperature"] == 7
    many = twofold.as_dataset("many", np.zeros((90, 7, 7)), np.arange(90) % 40)
    assert vars(twofold.recipe_for(many))["label_strength"] == pytest.approx(2)
    margin = np.zeros((8, 6, 6))
    margin[:, 1:] = 0.5
    data = twofold.as_dataset("dark above", margin, [0, 1] * 4)
    assert vars(twofold.recipe_for(data, "mnist"))["label_in"] == "overlay"
    assert vars(twofold.recipe_for(data))["label_in"] == "prepend"


@pytest.mark.slow
def test_color_is_trained_on_and_names_are_in_the_pictures(tmp_path: Path, figures: list[Any]) -> None:
    for name, color in (("crimson", (200, 30, 30)), ("green", (30, 200, 30))):
        for number in range(4):
            (tmp_path / "mine" / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (5, 4), tuple(part + number for part in color)).save(
                tmp_path / "mine" / name / f"{number}.png"
            )
    code, out, _ = answer(["train", "--data", str(tmp_path / "mine"), *SMALL])
    assert code == 0
    assert out[0].startswith("mine: 8 pictures of 5 x 4, 3 channels, 2 classes; 6 to train, 2 to test (20 % of each")
    titles = {ax.get_title() for figure in figures for ax in figure.axes}
    assert {"prefer crimson", "prefer green"} & titles
