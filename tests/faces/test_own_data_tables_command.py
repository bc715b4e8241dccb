"""Tables on the command line: what is passed over, what gets a warning, and what the end of a training says.

Oracles: the rows from which the files were made; the documented contract.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_wine

from support.command_line import answer, facts
from support.own_files import class_folders, digit_pictures, table
from twofold.cli import report
from twofold.training import runs

pytestmark = pytest.mark.usefixtures("_in_an_empty_folder")

QUICK = ["--device", "cpu", "--precision", "fp32", "--no-pictures"]
WINE = load_wine()


def wine(path: Path, change: Any = None, label: bool = False) -> Path:
    """Some wines as a table, with their columns changed."""
    columns = {name: WINE.data[:, number].astype(object) for number, name in enumerate(WINE.feature_names)}
    if change:
        change(columns)
    if label:
        columns["kind"] = WINE.target_names[WINE.target]
    rows = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    return table(path, rows if label else rows[::6], ",".join(columns))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the wines."""
    root = tmp_path_factory.mktemp("wine")
    words = ["train", "--data", str(wine(root / "wine.csv", label=True)), "--label", "kind", *QUICK]
    code, out, err = answer([*words, "--run", str(root / "run")])
    assert code == 0, err
    assert out[-1] == f"next: twofold predict {root / 'run'} new.csv"
    return root / "run"


def predicted(run: Path, path: Path, *words: str) -> tuple[int, list[dict[str, str]], list[str]]:
    code, out, err = answer(["predict", str(run), str(path), *words])
    return code, list(csv.DictReader(out)), err


def test_rows_that_cannot_be_used_are_passed_over_and_named(trained: Path, tmp_path: Path) -> None:
    def spoil(columns: dict[str, Any]) -> None:
        columns["alcohol"][6], columns["ash"][12], columns["hue"][18] = "strong", "inf", ""

    path = wine(tmp_path / "new.csv", spoil)
    path.write_text(path.read_text() + "1,2\n")
    code, rows, err = predicted(trained, path)
    assert code == 1
    errors = {int(row["row"]): row["error"] for row in rows if row["error"]}
    assert errors == {
        2: "column 'alcohol' has 'strong', expected a number",
        3: "column 'ash' has an infinite number",
        31: "line 32 is malformed: it has 2 values, expected 13 as in the first line",
    }
    assert all(bool(row["slow"]) != bool(row["error"]) for row in rows)
    assert [sum(f"row {number}: {error}" in line for line in err) for number, error in errors.items()] == [1, 1, 1]
    assert err[-1] == f"twofold: error: 3 of 31 rows of {path} could not be used: repair or remove them"
    whole = predicted(trained, wine(tmp_path / "whole.csv"))[1]
    usable = [number for number in range(30) if number + 1 not in errors and number != 3]
    assert [rows[number]["slow"] for number in usable] == [whole[number]["slow"] for number in usable]
    assert [json.loads(line)["error"] for line in answer(["predict", str(trained), str(path), "--jsonl"])[1]] == [
        row["error"] or None for row in rows
    ]


def test_all_missing_columns_are_named_at_once(trained: Path, tmp_path: Path) -> None:
    def drop(columns: dict[str, Any]) -> None:
        del columns["ash"], columns["hue"]

    code, _, (line,) = predicted(trained, wine(tmp_path / "new.csv", drop))
    assert code == 1
    assert "has no columns 'ash', 'hue'" in line


def times_1000(name: str) -> Any:
    return lambda columns: columns.update({name: columns[name] * 1000})


def swapped(first: str, second: str) -> Any:
    return lambda columns: columns.update({first: columns[second], second: columns[first]})


@pytest.mark.parametrize(
    ("change", "share"),
    [
        (None, (0.0, 0.1)),
        *((times_1000(name), (0.95, 1.0)) for name in WINE.feature_names),
        (swapped("alcohol", "proline"), (0.95, 1.0)),
        (swapped("alcohol", "alcalinity_of_ash"), (0.6, 1.0)),
        (swapped("magnesium", "hue"), (0.95, 1.0)),
    ],
)
def test_rows_unlike_the_training_data_get_a_warning(
    trained: Path, tmp_path: Path, change: Any, share: tuple[float, float]
) -> None:
    code, rows, err = predicted(trained, wine(tmp_path / "new.csv", change))
    assert code == 0
    warned = [row["warning"] for row in rows if row["warning"]]
    assert share[0] <= len(warned) / len(rows) <= share[1]
    assert all(warning.startswith("does not look like the training data") for warning in warned)
    if change:
        assert f"note: {len(warned)} of 30 rows have a warning" in err[-1]
        assert "the training values range from" in err[-1]


def test_the_probability_is_that_of_the_test_that_names_the_label(trained: Path, tmp_path: Path) -> None:
    loaded = runs.load(trained, "cpu")
    path = wine(tmp_path / "new.csv")
    cases = loaded.preparation.table(WINE.data[::6])  # type: ignore[union-attr]
    evidence = loaded.net.slow(cases) / sum(layer.temperature for layer in loaded.net.layers)
    found = [float(row["probability"]) for row in predicted(trained, path)[1]]
    assert found == pytest.approx(evidence.softmax(1).amax(1).tolist(), abs=1e-4)


@pytest.mark.parametrize("kind", ["table", "pictures"])
def test_a_net_at_chance_is_named_with_advice_that_fits(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    if kind == "table":
        rows = [f"{x:.3f},{y:.3f},{'yes' if n % 5 < 2 else 'no'}" for n, (x, y) in enumerate(rng.normal(size=(300, 2)))]
        words, advice = (
            ["--data", str(table(tmp_path / "a.csv", rows, "x,y,z")), "--label", "z"],
            "--label z is the right",
        )
    else:
        np.savez(tmp_path / "a.npz", x=rng.random((300, 6, 6)), y=np.arange(300) % 2)
        words, advice = ["--data", str(tmp_path / "a.npz")], "check that the labels belong to the cases"
    _, out, _ = answer(["train", *words, *QUICK, "--epochs", "2", "--widths", "20"])
    (warning,) = [line for line in out if line.startswith("warning: ")]
    assert "the net is at chance: always predicting" in warning
    assert advice in warning
    assert "another --epochs than 2" in warning


def test_a_net_above_chance_is_not_said_to_be_at_chance(tmp_path: Path) -> None:
    words = ["train", "--data", str(class_folders(tmp_path / "mine", 20)), *QUICK, "--epochs", "8", "--widths", "100"]
    code, out, _ = answer([*words, "--run", "run"])
    assert code == 0
    assert not any("at chance" in line for line in out)
    assert out[-1] == "next: twofold predict run PICTURE..."


def test_a_net_trained_on_pixels_in_columns_predicts_picture_files(tmp_path: Path) -> None:
    pixels, words = digit_pictures(10)
    rows = [",".join([word, *map(str, picture.ravel())]) for picture, word in zip(pixels, words, strict=True)]
    path = table(tmp_path / "own.csv", rows, ",".join(["label", *(f"pixel{number}" for number in range(64))]))
    train = ["train", "--data", str(path), "--label", "label", "--as", "pictures", "--size", "8x8", *QUICK]
    found = facts([*train, "--epochs", "2", "--widths", "20", "--run", "run"])
    Image.fromarray(pixels[0]).save(tmp_path / "own.png")
    assert facts(["predict", "run", "own.png"])["label"]
    code, lines, err = predicted(Path("run"), path)
    assert code == 0, err
    run = runs.load(Path("run"))
    pictures = torch.from_numpy(pixels / np.float32(255))[:, None]
    assert [line["slow"] for line in lines] == [run.preparation.names[label] for label in run.net.predict(pictures)]
    table(
        path,
        [row.partition(",")[2] for row in rows[:2]] + ["300" + ",1" * 63],
        ",".join(f"pixel{n}" for n in range(64)),
    )
    code, fewer, _ = predicted(Path("run"), path)
    assert (code, fewer[:2]) == (1, lines[:2])
    assert fewer[2]["error"] == "column 'pixel0' has 300, expected 0 to 255"
    table(path, ["1,2"], "a,b")
    assert "has 2 columns besides the label, expected 64" in predicted(Path("run"), path)[2][-1]
    table(path, rows, ",".join(["label", *(f"pixel{number}" for number in range(64))]))
    assert facts(["eval", "run"])["test_error"] == found["test_error"]


def test_settings_of_a_run_that_is_resumed_by_its_name_cannot_change(trained: Path) -> None:
    for words in (["--epochs", "100"], ["--epochs=100"], ["--rate", "3"]):
        code, _, (line,) = answer(["train", "--run", str(trained), "--resume", *words])
        assert code == 1
        assert f"cannot be changed when {trained} is resumed, whose {words[0][2:].split('=')[0]} is" in line
        assert f"--from {trained}" in line


@pytest.mark.parametrize(("classes", "ordered"), [(3, True), (10, True), (11, False), (40, False)])
def test_many_classes_are_listed_by_their_probability(classes: int, ordered: bool) -> None:
    shares = [number / 1000 for number in range(classes)]
    results = {"label": {"fast": 0}, "probability": shares, "goodness": None, "softmax": shares}
    lines = report.answer(results, [f"n{number}" for number in range(classes)]).splitlines()[4:]
    numbers = [int(line.split()[0][1:]) for line in lines]
    assert numbers == sorted(range(classes), reverse=not ordered)


def rare(path: Path) -> Path:
    """Two overlapping classes, one of which has a tenth of the cases."""
    rng = np.random.default_rng(0)
    seldom = np.arange(600) % 10 == 0
    rows = [
        f"{x:.3f},{y:.3f},{word}"
        for (x, y), word in zip(
            rng.normal(size=(600, 2)) + 1.5 * seldom[:, None], np.where(seldom, "rare", "usual"), strict=True
        )
    ]
    return table(path, rows, "x,y,z")


def test_balanced_classes_find_the_rare_class_and_stay_balanced_when_resumed(tmp_path: Path) -> None:
    train = ["train", "--data", str(rare(tmp_path / "a.csv")), "--label", "z", *QUICK]
    recalls = {}
    for name, words in (("plain", []), ("balanced", ["--class-weight", "balanced"])):
        code, out, err = answer([*train, *words, "--run", name])
        assert code == 0, err
        at_chance = [line for line in out if "at chance" in line]
        assert len(at_chance) == (name == "plain")
        assert all("for a rare class add --class-weight balanced" in line for line in at_chance)
        run = runs.load(Path(name))
        data = run.source.read()
        (class_,) = [number for number, word in enumerate(data.names) if word == "rare"]
        found = run.net.predict(data.test_images[data.test_labels == class_])
        recalls[name] = (found == class_).float().mean().item()
    assert recalls["balanced"] > recalls["plain"] + 0.2
    assert json.loads(Path("balanced/config.json").read_text())["class_weight"] == "balanced"
    assert "class_weight" not in json.loads(Path("plain/config.json").read_text())
    code, _, (line,) = answer([*train, "--run", "balanced", "--resume"])
    assert code == 1
    assert "class_weight = balanced, not None" in line
    assert answer(["train", "--run", "balanced", "--resume", *QUICK])[0] == 0
