"""Damage and edits: no bit of a run changes unnoticed, and no text that was edited by hand is resumed from.

Oracles: files with one bit, one figure or one type changed; the same files untouched.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from support.helpers import hashes, refusal
from support.runs import CtrlC, outcome, train
from twofold import checkpoint
from twofold.data import Dataset
from twofold.errors import Interrupted, Remark, RunError, TwofoldError
from twofold.files import check_signature, read_signed, sign, write_signed
from twofold.methods import FeedForwardRecipe
from twofold.training import runs
from twofold.training.config import FORMAT
from twofold.training.run_folder import RunFolder

TEXTS = ("config.json", "result.json", "metrics.jsonl")


@pytest.fixture(scope="module")
def complete(tiny: Dataset, recipe: FeedForwardRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage") / "complete"
    train(recipe, folder, tiny)
    return folder


@pytest.fixture(scope="module")
def stopped(tiny: Dataset, recipe: FeedForwardRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage") / "stopped"
    with pytest.raises(Interrupted):
        train(recipe, folder, tiny, progress=CtrlC(2))
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Path], Path]:
    return lambda folder: Path(shutil.copytree(folder, tmp_path / "copy"))


def said_by(action: Callable[[], object]) -> list[str]:
    """The remarks that an action makes, and the line with which it is refused where it is."""
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        try:
            action()
            refused = []
        except TwofoldError as error:
            refused = [str(error)]
    lines = [str(each.message) for each in remarks if issubclass(each.category, Remark)] + refused
    assert not any("\n" in line for line in lines)
    return lines


def flips(content: bytes, some: int) -> Iterator[bytes]:
    """The content with one bit flipped: bits of the first 100 bytes, of the last 100, and of some others."""
    drawn = random.Random(0)
    places = [*range(100), *range(len(content) - 100, len(content)), *drawn.sample(range(len(content)), some)]
    for place in drawn.sample(places, min(len(places), some)):
        yield content[:place] + bytes([content[place] ^ (1 << drawn.randrange(8))]) + content[place + 1 :]


@pytest.mark.parametrize("name", [*TEXTS, "weights.safetensors"])
def test_one_flipped_bit_is_noticed_when_a_run_is_read(complete: Path, copy: Callable[[Path], Path], name: str) -> None:
    folder = copy(complete)
    for content in flips((complete / name).read_bytes(), 60):
        (folder / name).write_bytes(content)
        assert name in " ".join(said_by(lambda: runs.load(folder, "cpu"))), content


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "checkpoint.safetensors"])
def test_one_flipped_bit_stops_a_resume_before_anything_is_written(
    tiny: Dataset, recipe: FeedForwardRecipe, stopped: Path, copy: Callable[[Path], Path], name: str
) -> None:
    folder = copy(stopped)
    for content in flips((stopped / name).read_bytes(), 40):
        (folder / name).write_bytes(content)
        before = hashes(folder)
        assert name in refusal(lambda: train(recipe, folder, tiny, resume=True))
        assert hashes(folder) == before
    shutil.copy(stopped / name, folder / name)
    train(recipe, folder, tiny, resume=True)


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_was_edited_is_named_when_it_is_read_and_refused_when_it_is_resumed(
    tiny: Dataset, recipe: FeedForwardRecipe, complete: Path, copy: Callable[[Path], Path], name: str
) -> None:
    """Its figures still make sense: who edits a file may know why, but a reader has to know that it was done."""
    folder = copy(complete)
    path = folder / name
    edited = path.read_text().replace('"train_error": 0.', '"train_error": 0.9').replace('"commit"', '"kommit"')
    path.write_text(edited)
    with pytest.warns(Remark, match=f"{name} was edited after it was written"):
        runs.load(folder, "cpu")
    if name != "metrics.jsonl":  # the metrics of a complete run are not what its result is taken from
        said = refusal(lambda: train(recipe, folder, tiny, resume=True))
        assert f"{name} was edited after it was written" in said


@pytest.mark.parametrize("name", ["weights.safetensors", "checkpoint.safetensors"])
def test_tensors_without_a_digest_are_those_of_an_older_version_only(
    tiny: Dataset,
    recipe: FeedForwardRecipe,
    complete: Path,
    stopped: Path,
    copy: Callable[[Path], Path],
    name: str,
) -> None:
    folder = copy(complete if name.startswith("weights") else stopped)
    tensors, facts = checkpoint.read(folder / name)
    save_file(tensors, folder / name, {"twofold": json.dumps(facts)})

    def use() -> None:
        if name.startswith("weights"):
            runs.load(folder, "cpu")
        else:
            train(recipe, folder, tiny, resume=True)

    assert f"{name} is damaged (its content does not match its digest" in refusal(use)
    content, _ = read_signed(folder / "config.json")
    write_signed(folder / "config.json", {**content, "format": 1})
    use()


def test_lines_that_are_gone_or_in_another_order_are_noticed(complete: Path, copy: Callable[[Path], Path]) -> None:
    folder = copy(complete)
    path = folder / "metrics.jsonl"
    first, second, *others = path.read_text().splitlines(keepends=True)
    for lines in ([second, first, *others], [first, *others], [first, second], [first, first, *others]):
        path.write_text("".join(lines))
        assert "metrics.jsonl" in refusal(lambda: runs.load(folder, "cpu"))


WRONG: dict[str, Any] = {"nothing": None, "text": "x", "list": [1], "object": {"a": 1}, "number": -1.5, "huge": 10**400}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", TEXTS)
def test_every_entry_is_checked_against_its_type(
    complete: Path, copy: Callable[[Path], Path], name: str, wrong: str
) -> None:
    """Also where whoever changed it has made the digest anew: one line, or it makes no difference to what reads it."""
    folder = copy(complete)
    path = folder / name
    if name == "metrics.jsonl":
        lines = path.read_text().splitlines()
        content, _ = check_signature(lines[0], path)
    else:
        content, _ = read_signed(path)
    for key in content:
        changed = {**content, key: WRONG[wrong]}
        if name == "metrics.jsonl":
            path.write_text("\n".join([sign(changed), *lines[1:]]) + "\n")
        else:
            write_signed(path, changed)
        said_by(lambda: runs.load(folder, "cpu"))  # any other exception than a TwofoldError would pass through


def test_metrics_are_checked_against_their_types(complete: Path, copy: Callable[[Path], Path]) -> None:
    folder = copy(complete)
    content, _ = read_signed(folder / "result.json")
    for key, wrong in (("layer_error", "x"), ("train_error", "0.1"), ("passes_per_image", {"slow": "ten"})):
        write_signed(folder / "result.json", {**content, key: wrong})
        assert key in refusal(lambda: runs.load(folder, "cpu"))


JUNK = [
    "",
    "null",
    "[]",
    "3",
    '"text"',
    "{",
    "[" * 100_000,
    '{"epoch": NaN}',
    '{"epoch": Infinity}',
    "\ud800",
    "1" * 5000,
]


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_no_json_object_is_one_line(complete: Path, copy: Callable[[Path], Path], name: str) -> None:
    folder = copy(complete)
    for junk in JUNK:
        (folder / name).write_bytes(junk.encode("utf-8", "surrogatepass"))
        assert name in refusal(lambda: runs.load(folder, "cpu"))


def test_a_signature_covers_every_letter_and_what_came_before() -> None:
    content = {"a": [1, 2.5e-7], "ü": "é", "b": {}}
    for indent in (None, 2):
        text = sign(content, indent, "before")
        assert json.loads(text) | {"digest": 0} == content | {"digest": 0}
        assert check_signature(text, Path(), indent, "before") == (content, True)
        assert check_signature(text, Path(), indent, "after") == (content, False)
        assert check_signature(text.replace('"a":', '"a" :'), Path(), indent, "before") == (content, False)
    assert check_signature(json.dumps(content), Path()) == (content, None)


def test_a_tensor_file_says_that_it_is_damaged_for_each_bit_of_it(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    tensors = {"a": torch.randn(2, 3), "b": torch.ones(2, dtype=torch.bool), "c": torch.tensor(7), "d": torch.zeros(0)}
    checkpoint.write(path, tensors, {"history": [1, 2.5]})
    found, facts = checkpoint.read(path)
    torch.testing.assert_close(found, tensors, rtol=0, atol=0)
    assert facts == {"history": [1, 2.5]}
    content = path.read_bytes()
    for bit in range(0, 8 * len(content), 3):
        path.write_bytes(content[: bit // 8] + bytes([content[bit // 8] ^ (1 << bit % 8)]) + content[bit // 8 + 1 :])
        refusal(lambda: checkpoint.read(path))


# Versions ------------------------------------------------------------------------------------------------------------


def test_a_run_of_a_newer_format_is_named_as_such(complete: Path, copy: Callable[[Path], Path]) -> None:
    folder = copy(complete)
    content, _ = read_signed(folder / "config.json")
    write_signed(folder / "config.json", {**content, "format": FORMAT + 1, "method": "sleeping"})
    assert "was written by a newer version of twofold (format 3, supported up to 2)" in refusal(
        lambda: runs.load(folder, "cpu")
    )


def test_a_setting_of_a_newer_version_is_named(complete: Path, copy: Callable[[Path], Path]) -> None:
    folder = copy(complete)
    content, _ = read_signed(folder / "config.json")
    write_signed(folder / "config.json", {**content, "settings": {**content["settings"], "naps": 3}})
    assert "naps" in refusal(lambda: runs.load(folder, "cpu"))


def test_a_setting_that_came_later_has_the_value_that_changes_nothing(
    recipe: FeedForwardRecipe, complete: Path, copy: Callable[[Path], Path]
) -> None:
    folder = copy(complete)
    content, _ = read_signed(folder / "config.json")
    settings = {name: value for name, value in content["settings"].items() if name not in ("revisit", "mirror")}
    write_signed(folder / "config.json", {**content, "settings": settings})
    assert runs.load(folder, "cpu").recipe == recipe


# Conditions ----------------------------------------------------------------------------------------------------------


def test_what_can_change_the_bits_of_a_training_is_named_when_it_is_resumed(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path
) -> None:
    whole = train(recipe, tmp_path / "whole", tiny)
    with pytest.raises(Interrupted):
        train(recipe, tmp_path / "run", tiny, progress=CtrlC(2))
    torch.set_num_threads(2)
    try:
        with pytest.warns(Remark, match=r"resumed under other conditions \(.*threads 1, now 2.*its weights may differ"):
            result = train(recipe, tmp_path / "run", tiny, resume=True)
    finally:
        torch.set_num_threads(1)
    assert result.environment["threads"] == 2
    assert [each["threads"] for each in result.environment["earlier"]] == [1]
    assert "earlier" not in whole.environment


def test_an_ordinary_resume_says_nothing(tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(recipe, tmp_path / "run", tiny, progress=CtrlC(2))
    result = train(recipe, tmp_path / "run", tiny, resume=True)  # a warning would be an error here
    assert outcome(result) == outcome(train(recipe, tmp_path / "whole", tiny))


# Trained further -----------------------------------------------------------------------------------------------------


def test_a_trained_net_is_trained_further_in_a_run_of_its_own(
    tiny: Dataset, recipe: FeedForwardRecipe, complete: Path, tmp_path: Path
) -> None:
    before = hashes(complete)
    result = train(recipe, tmp_path / "on", tiny, start=complete)
    assert result.started_from == {
        "run": str(complete),
        "weights": checkpoint.digest_of(complete / "weights.safetensors"),
    }
    assert runs.load(tmp_path / "on", "cpu").result.started_from == result.started_from
    assert hashes(complete) == before
    first, fresh = (RunFolder(folder).history()[0] for folder in (tmp_path / "on", complete))
    assert first["rate"] == fresh["rate"], "its schedule begins anew"
    assert first["train_error"] < fresh["train_error"]
    with pytest.raises(Interrupted):
        train(recipe, tmp_path / "twice", tiny, start=complete, progress=CtrlC(2))
    assert "weights to start from" in refusal(lambda: train(recipe, tmp_path / "twice", tiny, resume=True))
    assert outcome(train(recipe, tmp_path / "twice", tiny, start=complete, resume=True)) == outcome(result)


def test_a_net_is_trained_further_only_from_one_like_it(
    tiny: Dataset, recipe: FeedForwardRecipe, complete: Path, stopped: Path, tmp_path: Path
) -> None:
    other = replace(recipe, widths=(14, 12))
    assert "another architecture" in refusal(lambda: train(other, tmp_path / "a", tiny, start=complete))
    assert "is not complete" in refusal(lambda: train(recipe, tmp_path / "b", tiny, start=stopped))
    with pytest.warns(Remark, match="was trained on cases that are now held out"):
        train(replace(recipe, validation=8), tmp_path / "c", tiny, start=complete)


def test_nan_is_never_written_as_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_signed(tmp_path / "x.json", {"error": math.nan})
    assert not list(tmp_path.iterdir())
    with pytest.raises(RunError):
        read_signed(tmp_path / "x.json")
