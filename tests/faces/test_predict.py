"""`twofold predict`: what a run says of pictures of one's own, one or many, and of those that are none.

Oracles: what the net says of the pixels that were written into a file, and the documented contract.
"""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from support.command_line import answer, facts
from twofold.data import Dataset
from twofold.files import read_signed, write_signed
from twofold.training import prediction, runs
from twofold.training.prediction import with_familiarity

pytestmark = pytest.mark.usefixtures("_in_an_empty_folder")


def pixels_of(digits: Dataset, number: int) -> torch.Tensor:
    """The bytes of a test image."""
    return (255 * digits.test_images[number, 0]).round().byte()


@pytest.fixture
def pictures(digits: Dataset, tmp_path: Path) -> Path:
    """A folder with two digits as they are, one as a person has it, and files that are none."""
    place = tmp_path / "pictures"
    (place / "more").mkdir(parents=True)
    for number in range(2):
        Image.fromarray(pixels_of(digits, number).numpy()).save(place / f"{number}.png")
    large = Image.fromarray(255 - pixels_of(digits, 3).numpy()).resize((80, 80), Image.Resampling.BICUBIC)
    sheet = Image.new("L", (300, 200), 255)
    sheet.paste(large, (150, 60))
    sheet.save(place / "more" / "drawn.PNG")
    (place / "notes.txt").write_text("no picture")
    return place


def test_a_picture_of_ones_own_gets_the_label_that_the_net_gives_its_pixels(
    folder: Path, digits: Dataset, tmp_path: Path
) -> None:
    pixels = pixels_of(digits, 0)
    Image.fromarray(pixels.numpy()).save(tmp_path / "own.png")
    Image.fromarray(pixels.numpy()).convert("RGB").save(tmp_path / "colors.png")
    net = runs.load(folder).net
    expected = net.explain((pixels / 255)[None, None])
    found = facts(["predict", str(folder), "own.png"])
    assert {name: found[name] for name in expected} == expected
    assert found["name"] == {test: str(label) for test, label in expected["label"].items()}
    assert found["done"] == []
    assert found["familiarity"] == net.familiarity((pixels / 255)[None, None]).item()
    assert facts(["predict", str(folder), "colors.png"]) == found
    twin = facts(["predict", str(folder / "twin"), "own.png"])
    assert twin["label"].keys() == {"fast"}
    assert twin["goodness"] is None


def test_a_folder_is_answered_with_a_line_for_each_picture(folder: Path, digits: Dataset, pictures: Path) -> None:
    net = runs.load(folder).net
    labels = net.predict(digits.test_images[:2])
    evidence = net.slow(digits.test_images[:2]) / sum(layer.temperature for layer in list(net.layers)[net.read.start :])
    shares = evidence.softmax(1).gather(1, labels[:, None])[:, 0]
    code, out, _ = answer(["predict", str(folder), str(pictures), "--jsonl"])
    assert code == 0
    rows = [json.loads(line) for line in out]
    assert [Path(row["picture"]).name for row in rows] == ["0.png", "1.png", "drawn.PNG"]
    assert [row["class"] for row in rows[:2]] == labels.tolist()
    assert [row["probability"] for row in rows[:2]] == pytest.approx(shares.tolist(), abs=1e-4)
    assert rows[0]["done"] == ""
    assert rows[2]["done"] == "inverted; centered; 300 x 200 -> 8 x 8"
    code, out, _ = answer(["predict", str(folder), str(pictures), "--csv"])
    assert code == 0
    for row, said in zip(csv.DictReader(out), rows, strict=True):
        assert row == {name: "" if value is None else str(value) for name, value in said.items()}
    code, out, _ = answer(["predict", str(folder), str(pictures)])
    assert code == 0
    assert [line.split()[:2] for line in out[2:]] == [[row["picture"], row["label"]] for row in rows]
    assert facts(["predict", str(folder), str(pictures)])["pictures"] == rows


def test_of_several_pictures_those_that_can_be_read_are_answered_and_the_others_named(
    folder: Path, pictures: Path
) -> None:
    (pictures / "cut.png").write_bytes((pictures / "0.png").read_bytes()[:50])
    code, out, (line,) = answer(["predict", str(folder), str(pictures)])
    assert code == 1
    assert "cut.png cannot be read as a picture" in line
    (pictures / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    Image.new("L", (60, 40), 255).save(pictures / "blank.png")
    for words in ([], ["--csv"], ["--jsonl"]):
        code, out, err = answer(["predict", str(folder), str(pictures), *words])
        assert code == 1
        assert [sum(name in line for line in err) for name in ("cut.png", "phone.heic", "blank.png")] == [1, 1, 1]
        assert all(line.startswith("twofold: error: ") for line in err)
        assert err[-1].startswith("twofold: error: 3 of 6 images could not be classified")
        assert [sum(name in line for line in out) for name in ("0.png", "1.png", "drawn.PNG")] == [1, 1, 1]
    rows = [json.loads(line) for line in answer(["predict", str(folder), str(pictures), "--jsonl"])[1]]
    assert {Path(row["picture"]).name: row["label"] is None for row in rows if row["error"]} == {
        "cut.png": True,
        "phone.heic": True,
        "blank.png": True,
    }


def test_a_picture_that_looks_like_no_training_image_is_warned_of(
    folder: Path, digits: Dataset, pictures: Path
) -> None:
    block = Image.new("L", (8, 8))
    block.paste(255, (1, 0, 7, 8))
    block.save(pictures / "block.png")
    code, out, _ = answer(["predict", str(folder), str(pictures / "0.png"), str(pictures / "block.png"), "--jsonl"])
    assert code == 0
    known, strange = (json.loads(line) for line in out)
    assert known["warning"] is None
    assert strange["warning"] == "does not look like the training data: more ink than the training images"
    assert "warning: the image does not look" in "\n".join(
        answer(["predict", str(folder), str(pictures / "block.png")])[1]
    )


def test_of_a_hundred_cases_that_a_net_was_tested_on_one_is_strange_to_it(folder: Path, digits: Dataset) -> None:
    loaded = runs.load(folder)
    like = loaded.net.familiarity(digits.test_images)
    assert (like < loaded.result.familiar).float().mean().item() == pytest.approx(0.01, abs=1 / len(like))


@pytest.mark.parametrize("count", [100, 1000, 1001, 2500])
def test_what_is_familiar_is_told_from_all_cases_also_where_they_are_in_order(
    count: int,
) -> None:
    net = SimpleNamespace(familiarity=lambda cases: cases)
    for cases in (torch.arange(count), -torch.arange(count)):
        assert (cases < prediction.familiar_from(net, cases)).float().mean().item() == pytest.approx(0.01, abs=0.01)


def test_an_older_run_learns_from_its_data_how_pictures_look(folder: Path, pictures: Path, tmp_path: Path) -> None:
    older = tmp_path / "older"
    shutil.copytree(folder, older)
    for file, name in (("config.json", "preparation"), ("result.json", "familiar")):
        content, _ = read_signed(older / file)
        del content[name]
        write_signed(older / file, content)
    loaded, found = runs.load(folder), with_familiarity(runs.load(older))
    assert found.preparation == loaded.preparation
    assert found.result.familiar == pytest.approx(loaded.result.familiar)
    assert answer(["predict", str(older), str(pictures)])[1] == answer(["predict", str(folder), str(pictures)])[1]
    content, _ = read_signed(older / "result.json")
    write_signed(older / "result.json", {**content, "fingerprint": "0" * 64})
    code, out, err = answer(["predict", str(older), str(pictures)])
    assert code == 0
    assert "data of an older run are missing: images are only scaled" in err[0]
    assert "300 x 200 -> 8 x 8" in out[-1]
