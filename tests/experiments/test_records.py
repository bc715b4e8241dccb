"""Records of claims: which of them today's code may not reproduce, and what they state.

Oracles: changes that are planted in modules, recipes, rules and records; the commit before.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from support.helpers import refusal
from twofold import defaults, machine
from twofold.data import Dataset
from twofold.defaults import LEARNING_VERSION
from twofold.errors import Remark, RunError
from twofold.files import read_json, read_signed, write_json, write_signed
from twofold.methods import FeedForwardRecipe, build
from twofold.training.runs import load as load_run
from twofold_lab import fingerprint, ledger, record
from twofold_lab.fingerprint import changes, code_of, origin_of
from twofold_lab.lab import Lab, _identity
from twofold_lab.record import NOT_RECORDED

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"
BUILT = [name for name, claim in ledger.ledger().items() if claim.measurement]


def status(name: str, folder: Path) -> str:
    """The status of the record of a claim in a folder."""
    kept, intact = record.read(name, folder)
    assert kept
    return record.status(kept, intact)


def renewed(name: str, folder: Path) -> dict[str, Any]:
    """Write the committed record of a claim to a folder as if it had been measured today, and return it."""
    kept = read_json(RESULTS / "claims" / f"{name}.json")
    content = {key: kept[key] for key in (*record.RECORD, "settings") if key in kept}
    content["origin"] = origin_of(ledger.module_of(ledger.find(name)), content.get("settings") or [])
    write_signed(folder / f"{name}.json", content)
    return content


# What a record depends on --------------------------------------------------------------------------------------------


def test_comments_docstrings_and_blank_lines_do_not_count() -> None:
    source = '"""A module."""\n\nX = 1  # one\n\n\ndef f() -> int:\n    """Return 1."""\n    return X\n'
    same = "X = 1\ndef f() -> int:\n    return X  # more\n"
    assert code_of(source) == code_of(same) == "X = 1\ndef f() -> int:\n    return X"
    assert code_of(source.replace("X = 1", "X = 2")) != code_of(source)
    assert "# not a comment" in code_of('X = "# not a comment"\n')


@pytest.mark.parametrize("name", BUILT)
def test_the_fingerprint_covers_the_claim_and_everything_that_it_computes_with(name: str) -> None:
    module = ledger.module_of(ledger.find(name))
    origin = origin_of(module, [{"shared": {"method": "forward-forward"}, "own": {"net": {}}}])
    assert origin["learning_version"] == LEARNING_VERSION
    needed = {module, "twofold.learning", "twofold.layers.weights", "twofold.nets.feedforward", "twofold.goodness"}
    assert origin["code"].keys() >= {*needed, "twofold.training.trainer", "twofold_lab.contest", "twofold_lab.figures"}
    assert not [covered for covered in origin["code"] if covered.startswith(("twofold.cli", "twofold.plots"))]
    assert not list(changes(origin))


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Modules whose code is to be another than that which the records were made of."""
    modules: set[str] = set()
    digest = fingerprint._digest
    monkeypatch.setattr(fingerprint, "_digest", lambda name: "changed" if name in modules else digest(name))
    return modules


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        pytest.param("twofold.nets.crossings", {"black-box", "cancel"}, id="a baseline"),
        pytest.param("twofold.substrate.presets", {"analog", "mortal"}, id="a preset"),
        pytest.param("twofold.layers.boxes", {"black-box"}, id="a box"),
        pytest.param("twofold.layers.weights", set(BUILT), id="the precision of products"),
        pytest.param("twofold.recipes.mnist_jitter", {"jitter"}, id="a recipe"),
        pytest.param("twofold_lab.claims.cifar", {"cifar"}, id="a claim"),
    ],
)
def test_a_change_makes_exactly_the_records_stale_that_depend_on_it(
    tmp_path: Path, planted: set[str], module: str, expected: set[str]
) -> None:
    for name in BUILT:
        renewed(name, tmp_path)
    assert {status(name, tmp_path) for name in BUILT} == {"current"}
    planted.add(module)
    assert {name for name in BUILT if status(name, tmp_path) == f"stale: {module} has changed"} == expected


def test_a_record_is_stale_when_learning_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renewed("goodness", tmp_path)
    monkeypatch.setattr(fingerprint, "LEARNING_VERSION", LEARNING_VERSION + 1)
    assert status("goodness", tmp_path) == f"stale: learning version {LEARNING_VERSION}, now {LEARNING_VERSION + 1}"


def test_a_record_without_its_digest_or_with_another_content_is_edited(tmp_path: Path) -> None:
    content = renewed("norm", tmp_path)
    path = tmp_path / "norm.json"
    text = path.read_text()
    path.write_text(text.replace('"undecided"', '"holds"', 1))
    assert status("norm", tmp_path) == "edited"
    write_json(path, content)
    assert status("norm", tmp_path) == "edited"
    write_signed(path, {**content, "superseded": "rate 1 -> 2"})
    assert status("norm", tmp_path) == "stale: rate 1 -> 2"
    del content["origin"]
    write_signed(path, content)
    assert status("norm", tmp_path) == "stale: its code is not recorded"


@pytest.mark.slow
def test_planted_lies_are_reported_by_the_command_line(tmp_path: Path) -> None:
    """An edited recipe, an edited rule and an edited record."""
    for name in BUILT:
        renewed(name, tmp_path / "results" / "claims")
    source = shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))

    def lie(path: Path, pattern: str, instead: str) -> None:
        text = path.read_text(encoding="utf-8")
        assert len(re.findall(pattern, text)) == 1, path
        path.write_text(re.sub(pattern, instead, text), encoding="utf-8")

    lie(source / "twofold" / "recipes" / "mnist_jitter.py", "jitter=2, epochs=100", "jitter=1, epochs=100")
    lie(source / "twofold_lab" / "claims" / "cifar.py", "<= 4|4 points above|, 4", "5")
    lie(tmp_path / "results" / "claims" / "norm.json", '"seeds": \\[\\s+0,', '"seeds": [7,')
    command = [sys.executable, "-m", "twofold", "claims", "--json", "--results", str(tmp_path / "results")]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    states = {entry["id"]: entry["status"] for entry in json.loads(done.stdout.splitlines()[-1])}
    changed = {name: state for name, state in states.items() if state not in (None, "current")}
    assert changed == {
        "norm": "edited",
        "jitter": "stale: twofold.recipes.mnist_jitter has changed",
        "cifar": "stale: twofold_lab.claims.cifar has changed",
    }


# The committed records -----------------------------------------------------------------------------------------------


def test_every_committed_record_is_current_or_stale_and_states_how_it_was_measured() -> None:
    """So none of them can be changed by hand without being called edited."""
    kept = ledger.records()
    assert kept.keys() == set(BUILT)
    for entry in ledger.listing():
        if entry["status"]:
            assert entry["status"] == "current" or entry["status"].startswith("stale: ")
    for content in kept.values():
        assert content["precision"] in ("fp32", "bf16", NOT_RECORDED)
        assert content["seeds"]
        assert content["test"]
        assert content["tested"] == NOT_RECORDED or all(count > 0 for _, count in content["tested"])


@pytest.mark.parametrize("name", BUILT)
def test_the_verdicts_of_a_committed_record_follow_from_its_figures(name: str) -> None:
    """A verdict cannot be typed by hand, and a rule cannot change without its record."""
    content = ledger.records()[name]
    claim = ledger.find(name)
    assert [clause["rule"] for clause in content["clauses"]] == [clause.rule for clause in claim.clauses]
    assert {clause["verdict"] for clause in content["clauses"]} <= {"holds", "undecided", "does not hold", "estimate"}


def test_trainings_of_committed_records_are_found_by_their_digests() -> None:
    """Kept run folders of earlier versions must be reused."""
    lab, found = Lab("full"), 0
    for content in ledger.records().values():
        digests = [digest for names in (content.get("data") or {}).values() for digest in names]
        for group in content.get("settings") or ():
            for name, own in group["own"].items():
                settings = {**group["shared"], **own}
                if content["precision"] == NOT_RECORDED or not re.search(r"-seed\d+-", name):
                    continue
                method = settings.pop("method")
                made = [[method, _identity(settings), data, "cpu", content["precision"], 2] for data in digests]
                hashes = [hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest()[:8] for one in made]
                assert name.rpartition("-")[2] in hashes, name
                found += 1
    assert found > 100
    assert lab.size == "full"


# Writing and reading -------------------------------------------------------------------------------------------------


def test_earlier_verdicts_stay_in_the_history_with_their_rules(tmp_path: Path) -> None:
    first = renewed("norm", tmp_path)
    clause = first["clauses"][0]
    second = {**first, "clauses": [{**clause, "rule": "another one", "verdict": "holds"}]}
    third = {**first, "clauses": [{**clause, "rule": "a third", "verdict": "undecided"}]}
    record.write(second, tmp_path)
    record.write(third, tmp_path)
    kept, intact = read_signed(tmp_path / "norm.json")
    assert intact
    assert [(entry["rules"], entry["verdicts"]) for entry in kept["history"]] == [
        ([clause["rule"] for clause in first["clauses"]], [clause["verdict"] for clause in first["clauses"]]),
        (["another one"], ["holds"]),
    ]
    assert kept["history"][0]["commit"] == first["environment"]["commit"]
    assert record.overturned(kept) == kept["history"]
    assert record.overturned({**kept, "clauses": second["clauses"]}) == kept["history"][:1]


def test_a_record_replaces_one_that_cannot_be_read_which_is_kept(tmp_path: Path) -> None:
    """The new one has taken hours."""
    content = renewed("norm", tmp_path)
    for number in ("", "-2"):
        (tmp_path / "norm.json").write_text("{")
        with pytest.warns(Remark, match=f"it is kept as .*norm.damaged{number}, and its verdicts are missing"):
            record.write(content, tmp_path)
        assert (tmp_path / f"norm.damaged{number}").read_text() == "{"
        assert read_signed(tmp_path / "norm.json") == (content, True)


def test_a_picture_is_not_drawn_from_an_edited_record_and_a_stale_one_is_pointed_out(tmp_path: Path) -> None:
    content = renewed("regime", tmp_path / "claims")
    path = tmp_path / "claims" / "regime.json"

    def draw() -> Path:
        return ledger.draw("regime", "full", tmp_path / "drawn.png", results=tmp_path, runs=tmp_path / "runs")

    assert draw().exists()
    write_signed(path, {**content, "superseded": "rate 1 -> 2"})
    with pytest.warns(Remark, match="the record of regime is stale: rate 1 -> 2"):
        draw()
    for text in (path.read_text().replace("slow error %", "slow"), json.dumps({**content, "twin": {}})):
        path.write_text(text)
        assert "was edited by hand" in refusal(draw)


WRONG: dict[str, Any] = {"nothing": None, "list": [None], "text": "x", "number": 1.5}


@pytest.mark.parametrize("wrong", WRONG)
def test_every_entry_of_a_record_is_checked_against_its_type(tmp_path: Path, wrong: str) -> None:
    """Whatever was done to it by hand: one line, or a listing."""
    content = renewed("norm", tmp_path / "claims")
    for key in content:
        write_signed(tmp_path / "claims" / "norm.json", {**content, key: WRONG[wrong]})
        with suppress(RunError):
            assert ledger.listing(tmp_path)
            continue
        message = refusal(lambda: ledger.listing(tmp_path))
        assert "norm.json" in message


@pytest.mark.parametrize("key", record.RECORD)
def test_a_missing_entry_of_a_record_is_named(tmp_path: Path, key: str) -> None:
    content = renewed("norm", tmp_path / "claims")
    del content[key]
    write_signed(tmp_path / "claims" / "norm.json", content)
    assert f"is not a record of claim 'norm' ({key} is None" in refusal(lambda: ledger.listing(tmp_path))


# New records ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_new_record_states_code_data_settings_precision_and_test_cases(tmp_path: Path, digits: Dataset) -> None:
    content = ledger.run("layer", "smoke", runs=tmp_path, precision="fp32")
    assert content["data"] == {"digits": [digits.fingerprint]}
    assert content["precision"] == "fp32"
    assert content["tested"] == [("held-out training cases", 300), ("test set", len(digits.test_labels))]
    assert len(content["trainings"]) >= 2
    assert set(content["trainings"].values()) == {content["environment"]["commit"]}
    stated = {name: group["shared"] | own for group in content["settings"] for name, own in group["own"].items()}
    assert stated.keys() == content["trainings"].keys()
    for name, settings in stated.items():
        ran = load_run(tmp_path / name).recipe
        assert settings == {"method": ran.method, **ran.fields()}


def test_nets_that_an_experiment_trains_itself_are_stated_like_runs(
    tmp_path: Path, recipe: FeedForwardRecipe, digits: Dataset
) -> None:
    lab, part = Lab(runs=tmp_path), digits.take(100)
    for rate, data in ((1, digits), (2, digits), (2, part), (2, part)):
        lab.train_net(build(recipe, digits.form), "own", data, {"kind": "mine", "rate": (rate,)}, lambda net: None)
    facts = lab.facts()
    assert facts["data"] == {"digits": sorted([digits.fingerprint, part.fingerprint])}
    (group,) = facts["settings"]
    assert group["shared"] == {"kind": "mine"}
    assert [own["rate"] for own in group["own"].values()] == [[1], [2], [2]]
    assert group["own"].keys() == facts["trainings"].keys()
    assert set(facts["trainings"].values()) == {machine.describe(torch.device("cpu"))["commit"]}


def test_trainings_of_another_learning_version_are_repeated(
    tmp_path: Path, recipe: FeedForwardRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a new record would have figures of older code."""
    lab, small = Lab(runs=tmp_path), replace(recipe, data="digits", epochs=1, batch=50)
    first = lab.train(small, "small").folder
    assert lab.train(small, "another title").folder == first
    monkeypatch.setattr(defaults, "LEARNING_VERSION", LEARNING_VERSION + 1)
    assert lab.train(small, "small").folder != first
    assert len(lab.trainings) == 2


def test_trainings_that_differ_in_anything_have_folders_of_their_own(
    tmp_path: Path, recipe: FeedForwardRecipe, digits: Dataset
) -> None:
    lab, quick = Lab(runs=tmp_path), replace(recipe, data="digits", epochs=1, batch=50)
    turned = replace(digits, train_images=digits.train_images.flip(2))
    runs = [
        lab.train(quick, "quick"),
        lab.train(replace(quick, seed=1), "quick"),
        lab.train(replace(quick, decay=0.01), "quick"),
        lab.train(quick, "quick", turned),
    ]
    assert len({run.folder for run in runs}) == 4
    assert runs[1].folder.name.startswith("quick-seed1-")
    assert lab.facts()["seconds"] == pytest.approx(sum(run.result.seconds for run in runs), abs=0.001)
    lab.train(quick, "quick")
    assert len(lab.trainings) == 4


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
    here = Path(fingerprint.__file__).parents[1]
    for family, (old, old_error), (new, new_error) in zip(
        TRAININGS, trained(before, tmp_path / "old"), trained(here, tmp_path / "new"), strict=True
    ):
        same = old.keys() == new.keys() and all(torch.equal(old[name], new[name]) for name in new)
        same = same and old_error == new_error
        assert same or version_of(before) < LEARNING_VERSION, f"{family}: raise LEARNING_VERSION in defaults.py"
