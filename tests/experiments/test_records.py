"""Records of claims: which of them speak of the code of today, and what they say of the code before.

Oracles: lies that are planted in a recipe, in a rule and in a record; the commit before.
"""

from __future__ import annotations

import io
import json
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

from support.helpers import refusal
from twofold_lab import claims, defaults, machine
from twofold_lab.claims import LEDGER, hard_neg, lab, made_of, records, regime
from twofold.cli import report
from twofold.data import Dataset
from twofold.defaults import LEARNING_VERSION
from twofold.errors import Remark
from twofold.files import read_json, read_signed, write_json, write_signed
from twofold.methods import FeedForwardRecipe, build
from twofold.training.runs import load as load_run

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "results" / "claims"
BUILT = [name for name, claim in LEDGER.items() if claim.experiment]


def dated(name: str, folder: Path) -> dict[str, Any]:
    """The committed record of a claim, as it would be if it had been measured today; written to a folder."""
    kept = read_json(KEPT / f"{name}.json")
    record = {key: kept[key] for key in records.RECORD}
    record["made_of"] = made_of.made_of(LEDGER[name].experiment)  # type: ignore[arg-type]
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
    with monkeypatch.context() as patch:
        patch.setattr(lab, "mnist", replace(lab.mnist, batch=10))
        assert "the recipe lab.short(): batch" in str(claims.read_status("goodness", tmp_path))
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
    write_signed(path, {**record, "superseded": "rate 1 -> 2"})
    assert claims.read_status("norm", tmp_path) == "stale: rate 1 -> 2"


def test_a_record_that_has_lost_the_digest_of_its_content_is_edited(tmp_path: Path) -> None:
    write_json(tmp_path / "norm.json", dated("norm", tmp_path))
    assert claims.read_status("norm", tmp_path) == "edited"


def test_a_field_that_recipes_have_got_or_lost_since_makes_no_record_stale_where_it_changes_nothing() -> None:
    now = made_of.made_of(hard_neg.hard_neg)
    fields = {**now["settings"]["hard_neg.mnist"], "neutral_share": 1.0}
    del fields["mirror"]
    then = {**now, "settings": {**now["settings"], "hard_neg.mnist": fields}}
    assert not list(made_of.changes(then, now))
    fields["neutral_share"] = 0.25
    assert list(made_of.changes(then, now)) == ["the recipe hard_neg.mnist: neutral_share 0.25 -> 1.0"]


def test_what_the_laboratory_makes_of_runs_decides_figures_and_settings_of_smoke_size_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = made_of.made_of(regime.regime)
    monkeypatch.setattr(regime, "small", replace(lab.small, rate=1.0))
    assert made_of.made_of(regime.regime) == before

    def percent(share: float) -> float:
        return share

    percent.__module__ = lab.__name__
    monkeypatch.setattr(lab, "percent", percent)
    assert list(made_of.changes(before, made_of.made_of(regime.regime))) == ["the code of lab.percent has changed"]


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


def test_every_committed_record_carries_a_digest_of_its_content_and_the_one_that_is_known_to_be_old_is_stale() -> None:
    """So none of them can be changed by hand without being called edited."""
    assert {path.stem for path in KEPT.glob("*.json") if read_signed(path)[1]} == set(BUILT)
    assert "rate 0.01 -> 0.02" in str(claims.read_status("hard-neg", KEPT))


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
    (entry,) = (entry for entry in claims.listing(tmp_path) if entry["status"])
    assert report.earlier(entry) == [
        f"norm did not hold before, at commit {first['environment']['commit']}, by another rule: {first['rule']}"
    ]


def test_a_record_takes_the_place_of_one_that_cannot_be_read_which_is_kept(tmp_path: Path) -> None:
    """The new one has taken hours."""
    record = dated("norm", tmp_path)
    for number in ("", "-2"):
        (tmp_path / "norm.json").write_text("{")
        with pytest.warns(Remark, match=f"it is kept as .*norm.damaged{number}, and its verdict is missing"):
            records.write(record, tmp_path)
        assert (tmp_path / f"norm.damaged{number}").read_text() == "{"
        assert read_signed(tmp_path / "norm.json") == (record, True)


def test_a_picture_is_not_drawn_from_a_record_that_was_edited_and_says_when_it_is_stale(tmp_path: Path) -> None:
    record = dated("regime", tmp_path)
    path = tmp_path / "regime.json"

    def draw() -> Path:
        return claims.draw("regime", "full", tmp_path / "drawn.png", results=tmp_path, runs=tmp_path / "runs")

    assert draw().exists()
    write_signed(path, {**record, "superseded": "rate 1 -> 2"})
    with pytest.warns(Remark, match="the record of regime is stale: rate 1 -> 2"):
        draw()
    for text in (path.read_text().replace("slow error %", "slow"), json.dumps({**record, "twin": {}})):
        path.write_text(text)
        assert "is not as it was written" in refusal(draw)


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
def test_a_new_record_says_which_code_which_data_and_which_settings_made_it(tmp_path: Path, digits: Dataset) -> None:
    record = claims.run("layer", "smoke", runs=tmp_path)
    assert record["data"] == {"digits": [digits.fingerprint]}
    assert len(record["trainings"]) >= 2
    assert set(record["trainings"].values()) == {record["environment"]["commit"]}
    told = {name: group["shared"] | own for group in record["settings"] for name, own in group["own"].items()}
    assert told.keys() == record["trainings"].keys()
    for name, settings in told.items():
        ran = load_run(tmp_path / name).recipe
        assert settings == {"method": ran.method, **ran.fields()}


def test_nets_that_an_experiment_teaches_itself_are_told_like_runs(
    tmp_path: Path, recipe: FeedForwardRecipe, digits: Dataset
) -> None:
    here = lab.Lab(runs=tmp_path)
    part = replace(digits, train_images=digits.train_images[:100], train_labels=digits.train_labels[:100])
    for rate, data in ((1, digits), (2, digits), (2, part), (2, part)):
        here.train_net(build(recipe, digits.form), "own", data, {"kind": "mine", "rate": (rate,)}, lambda net: None)
    assert here.fingerprints() == {"digits": sorted([digits.fingerprint, part.fingerprint])}
    (group,) = here.settings()
    assert group["shared"] == {"kind": "mine"}
    assert [own["rate"] for own in group["own"].values()] == [[1], [2], [2]]
    assert group["own"].keys() == here.commits().keys()
    assert set(here.commits().values()) == {machine.describe(torch.device("cpu"))["commit"]}


def test_trainings_of_another_learning_version_are_done_anew(
    tmp_path: Path, recipe: FeedForwardRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a new record would speak of older code."""
    here, small = lab.Lab(runs=tmp_path), replace(recipe, data="digits", epochs=1, batch=50)
    first = here.train(small, "small").folder
    monkeypatch.setattr(defaults, "LEARNING_VERSION", LEARNING_VERSION + 1)
    assert here.train(small, "small").folder != first
    assert len(here.commits()) == 2


def test_a_training_that_other_code_resumed_names_all_code_that_made_it() -> None:
    assert lab._commits({"commit": "b", "earlier": [{"commit": "a"}]}) == "a, b"
    assert lab._commits({"commit": "b", "earlier": [{}]}) is None


# The fingerprint -----------------------------------------------------------------------------------------------------

TRAININGS = {
    "feedforward": "digits --widths 60 50 --temperature 25",
    "unsupervised": "mnist-hybrid --data digits --widths 60 50 --temperature 1 --blurs 2",
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


def trained(source: Path, folder: Path) -> list[tuple[dict[str, torch.Tensor], dict[str, float]]]:
    """The weights of each family and the errors of its tests, by the code of ``source``."""
    command = [sys.executable, "-c", TRAIN, str(folder), *TRAININGS.values()]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True, check=True)
    runs = [folder / str(number) for number in range(len(TRAININGS))]
    return [(load_file(run / "weights.safetensors"), read_json(run / "result.json")["test_error"]) for run in runs]


@pytest.mark.slow
def test_who_changes_what_is_learned_raises_the_learning_version(before: Path, tmp_path: Path) -> None:
    """Otherwise records would be called current whose figures today's code does not give."""
    here = Path(made_of.__file__).parents[2]
    for family, (old, old_error), (new, new_error) in zip(
        TRAININGS, trained(before, tmp_path / "old"), trained(here, tmp_path / "new"), strict=True
    ):
        same = old.keys() == new.keys() and all(torch.equal(old[name], new[name]) for name in new)
        same = same and old_error == new_error
        assert same or version_of(before) < LEARNING_VERSION, f"{family}: raise LEARNING_VERSION in defaults.py"
