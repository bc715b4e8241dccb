"""Records of claims: which of them speak of the code of today, and what they say of the code before.

Oracles: lies that are planted in a recipe, in a rule and in a record; the commit before.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from helpers import refusal
from twofold import claims
from twofold.claims import LEDGER, hard_neg, lab, made_of, records
from twofold.cli import report
from twofold.defaults import LEARNING_VERSION
from twofold.files import read_json, read_signed, write_json, write_signed

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "results" / "claims"
BUILT = [name for name, claim in LEDGER.items() if claim.experiment]


def dated(name: str, folder: Path) -> dict[str, Any]:
    """The committed record of a claim, as it would be if it had been measured today; written to a folder."""
    record = {**read_json(KEPT / f"{name}.json"), "made_of": made_of.made_of(LEDGER[name].experiment)}  # type: ignore[arg-type]
    record.pop("digest", None)
    write_signed(folder / f"{name}.json", record)
    return record


@pytest.mark.parametrize("name", BUILT)
def test_what_decides_the_figures_of_a_claim_is_found_without_training(name: str) -> None:
    experiment = LEDGER[name].experiment
    assert experiment is not None
    made = made_of.made_of(experiment)
    assert made["learning_version"] == LEARNING_VERSION
    assert experiment.__module__.rpartition(".")[2] in made["code"]
    assert made["settings"], "it trains nothing that has a recipe"
    assert made == made_of.made_of(experiment)


def test_a_record_is_current_until_something_that_decides_its_figures_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dated("hard-neg", tmp_path)
    assert claims.read_status("hard-neg", tmp_path) == "current"
    monkeypatch.setattr(hard_neg, "mnist", replace(hard_neg.mnist, rate=0.01, tolerance=0.03))
    assert claims.read_status("hard-neg", tmp_path) == (
        "stale: the recipe hard_neg.mnist: rate 0.02 -> 0.01, tolerance 0.3 -> 0.03"
    )


def test_a_record_is_stale_when_the_laboratory_gives_another_recipe_or_learning_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dated("goodness", tmp_path)
    monkeypatch.setattr(lab, "mnist", replace(lab.mnist, batch=10))
    assert "the recipe lab.short(): batch" in str(claims.read_status("goodness", tmp_path))
    monkeypatch.undo()
    monkeypatch.setattr(made_of, "LEARNING_VERSION", LEARNING_VERSION + 1)
    assert claims.read_status("goodness", tmp_path) == (
        f"stale: learning version {LEARNING_VERSION}, now {LEARNING_VERSION + 1}"
    )


def test_a_record_that_does_not_say_what_it_was_made_of_is_undated_and_one_that_was_changed_is_edited(
    tmp_path: Path,
) -> None:
    record = dated("norm", tmp_path)
    path = tmp_path / "norm.json"
    path.write_text(path.read_text().replace('"holds": false', '"holds": true'))
    assert claims.read_status("norm", tmp_path) == "edited"
    del record["made_of"]
    write_signed(path, record)
    assert claims.read_status("norm", tmp_path) == "undated"
    write_json(path, record)
    assert claims.read_status("norm", tmp_path) == "undated"


@pytest.mark.slow
def test_planted_lies_are_called_what_they_are(tmp_path: Path) -> None:
    """An edited recipe, an edited rule and an edited record, by the command that a reader would use."""
    for name in BUILT:
        dated(name, tmp_path / "results" / "claims")
    source = shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))

    def lie(path: Path, pattern: str, instead: str) -> None:
        text = path.read_text(encoding="utf-8")
        assert len(re.findall(pattern, text)) == 1, path
        path.write_text(re.sub(pattern, instead, text), encoding="utf-8")

    assert {entry["status"] for entry in claims.listing(tmp_path / "results" / "claims")} == {None, "current"}
    lie(source / "twofold" / "recipes" / "mnist_jitter.py", "jitter=2, epochs=100", "jitter=1, epochs=100")
    lie(source / "twofold" / "claims" / "cifar.py", r"\bRule: ", "Rule, softened: ")
    lie(tmp_path / "results" / "claims" / "norm.json", '"holds": false', '"holds": true')
    command = [sys.executable, "-m", "twofold", "claims", "--results", str(tmp_path / "results")]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    states = {words[0]: words for words in map(str.split, said) if words and words[0] in LEDGER}
    assert {name for name, words in states.items() if "edited" in words} == {"norm"}
    stale = {line.split()[0]: line for line in said if " is stale: " in line}
    assert stale.keys() == {"jitter", "cifar"}
    assert "jitter 2 -> 1" in stale["jitter"]
    assert "the code of cifar has changed" in stale["cifar"]


def test_the_listing_says_of_every_committed_record_what_it_is() -> None:
    listed = claims.listing(KEPT)
    text = report.ledger(listed)
    for entry in listed:
        assert (entry["status"] is None) == (entry["measured"] is None)
        if entry["status"]:
            row = next(line for line in text.splitlines() if line.split()[:1] == [entry["id"]])
            assert report.state(entry["status"]) in row.split()
    assert {report.state(entry["status"]) for entry in listed} <= {"-", "current", *report.MEANING}
    assert not [entry["id"] for entry in listed if entry["status"] == "edited"]


def test_an_earlier_verdict_stays_in_the_history_with_its_rule(tmp_path: Path) -> None:
    first = dated("norm", tmp_path)
    second = {**first, "rule": "another one", "holds": True}
    records.write(second, tmp_path)
    records.write({**second, "rule": "a third"}, tmp_path)
    found, intact = read_signed(tmp_path / "norm.json")
    assert intact
    assert found["rule"] == "a third"
    assert [(each["rule"], each["holds"]) for each in found["history"]] == [
        (first["rule"], first["holds"]),
        ("another one", True),
    ]
    assert found["history"][0]["commit"] == first["environment"]["commit"]


WRONG: dict[str, Any] = {"nothing": None, "list": [None], "text": "x", "number": 1.5}


@pytest.mark.parametrize("wrong", WRONG)
def test_every_entry_of_a_record_is_checked_against_its_type(tmp_path: Path, wrong: str) -> None:
    """Whatever was done to it by hand: one line, or a listing."""
    record = dated("norm", tmp_path)
    for key in record:
        write_signed(tmp_path / "norm.json", {**record, key: WRONG[wrong]})
        try:
            assert report.ledger(claims.listing(tmp_path))
        except claims.records.RunError as error:
            said = str(error)
            assert "norm.json" in said
            assert "\n" not in said


@pytest.mark.parametrize("key", records.RECORD)
def test_a_record_that_lacks_something_is_named(tmp_path: Path, key: str) -> None:
    record = dated("norm", tmp_path)
    del record[key]
    write_signed(tmp_path / "norm.json", record)
    assert f"is not a record of claim 'norm' ({key} is None" in refusal(lambda: claims.listing(tmp_path))


@pytest.mark.slow
def test_a_new_record_says_which_code_and_which_data_made_it(tmp_path: Path, digits: Any) -> None:
    record = claims.run("layer", "smoke", runs=tmp_path)
    assert record["data"] == {"digits": digits.fingerprint}
    assert len(record["trainings"]) >= 2
    assert set(record["trainings"].values()) == {record["environment"]["commit"]}


# The fingerprint -----------------------------------------------------------------------------------------------------

TRAININGS = {
    "feedforward": "digits --widths 60 50",
    "unsupervised": "mnist-hybrid --data digits --widths 60 50 --blurs 2",
    "recurrent": "recurrent --data digits --widths 60 50 --temperature 9",
    "twin": "digits-twin --widths 60 50",
}


def git(*words: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, check=True).stdout


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The source of the commit before: of the last one, if there are changes since, else of the one before that."""
    try:
        changed = git("status", "--porcelain", "--", "src")
        archive = git("archive", "HEAD" if changed else "HEAD~1", "src")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the commit before is not here: this is no checkout, or one without a history")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(tmp_path / "before", filter="data")
    return tmp_path / "before" / "src"


def version_of(source: Path) -> int:
    found = re.search(r"^LEARNING_VERSION = (\d+)", (source / "twofold" / "defaults.py").read_text(), re.MULTILINE)
    return int(found[1]) if found else 1


TRAIN = """
import sys
from twofold.cli import main
folder, *trainings = sys.argv[1:]
for number, words in enumerate(trainings):
    options = "--epochs 1 --batch 40 --precision fp32 --no-pictures --run".split()
    assert main(["train", *words.split(), *options, f"{folder}/{number}"]) == 0
"""


def trained(source: Path, folder: Path) -> list[dict[str, torch.Tensor]]:
    """The weights of each family, by the code of ``source``."""
    command = [sys.executable, "-c", TRAIN, str(folder), *TRAININGS.values()]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True, check=True)
    return [load_file(folder / str(number) / "weights.safetensors") for number in range(len(TRAININGS))]


@pytest.mark.slow
def test_who_changes_what_is_learned_raises_the_learning_version(before: Path, tmp_path: Path) -> None:
    """Otherwise records would be called current whose figures today's code does not give."""
    for family, old, new in zip(
        TRAININGS, trained(before, tmp_path / "old"), trained(ROOT / "src", tmp_path / "new"), strict=True
    ):
        same = old.keys() == new.keys() and all(torch.equal(old[name], new[name]) for name in new)
        assert same or version_of(before) < LEARNING_VERSION, f"{family}: raise LEARNING_VERSION in defaults.py"
