"""The ledger of claims: no claim of the talk is missing, each is one file, and each built one runs in seconds.

Oracle: the list of claims of the talk; a toy claim that is one file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from support.helpers import refusal
from twofold.errors import Remark, RunError, SettingError
from twofold.files import read_json
from twofold_lab import claims, docs, lab, ledger
from twofold_lab.lab import Lab
from twofold_lab.record import write

ROOT = Path(__file__).resolve().parents[2]

TALK = [
    *("regime", "layer", "goodness", "norm", "label-in", "irrelevant", "fast-test", "slow-test", "shortlist", "mnist"),
    *("paper", "hard-neg", "jitter", "fields", "depth", "no-later", "top-down", "video", "glom", "agree", "moving"),
    *(
        "recurrent",
        "low-activity",
        "from-start",
        "cost",
        "cifar",
        "relax",
        "gan",
        "no-collapse",
        "own-negatives",
        "analog",
    ),
    *("black-box", "cancel", "mortal", "power", "digital", "cheap"),
]
PAPER = ["hybrid", "local", "aesop", "sleep"]
NOT_BUILT = ["gan", "no-collapse", "own-negatives", "digital", "aesop", "sleep"]
BUILT = [name for name in TALK + PAPER if name not in NOT_BUILT]
DRAWN = ["regime", "depth", "top-down", "moving", "relax", "analog", "black-box", "cancel", "mortal", "power"]

FACTS = {
    *("id", "time", "says", "size", "clauses", "talk", "measured", "twin", "seeds", "test", "seconds", "dataset"),
    *("official_data", "data", "precision", "device", "tested", "trainings", "settings", "tunings", "environment"),
    *("date", "origin"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of trainings for all tests of this module, so that each net is trained once."""
    return tmp_path_factory.mktemp("claims")


class Records(dict[str, dict[str, Any]]):
    """Records of claims at smoke size, each measured when a test first asks for it."""

    def __init__(self, runs: Path) -> None:
        super().__init__()
        self.runs = runs

    def __missing__(self, name: str) -> dict[str, Any]:
        self[name] = ledger.run(name, "smoke", runs=self.runs)
        return self[name]


@pytest.fixture(scope="module")
def records(runs: Path) -> Records:
    return Records(runs)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Nets as small as these are slower on two threads than on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# The list ------------------------------------------------------------------------------------------------------------


def test_the_ledger_has_every_claim_of_the_talk_in_its_order_and_then_those_of_the_paper() -> None:
    assert list(ledger.ledger()) == TALK + PAPER
    assert [name for name, claim in ledger.ledger().items() if claim.measurement is None] == NOT_BUILT
    assert [name for name, claim in ledger.ledger().items() if claim.picture] == DRAWN


def test_every_claim_is_one_sentence_with_its_place_in_the_talk_or_the_paper() -> None:
    for name, claim in ledger.ledger().items():
        assert claim.says.endswith(".")
        assert "\n" not in claim.says
        if name in PAPER:
            assert "paper" in claim.time
        else:
            minutes, seconds = claim.time.split(":")
            assert (0 <= int(minutes) < 49, 0 <= int(seconds) < 60) == (True, True)


def test_every_built_claim_has_rules_and_a_headline() -> None:
    for name in BUILT:
        claim = ledger.find(name)
        assert claim.clauses, name
        assert claim.headline, name
        assert all(clause.says and clause.rule for clause in claim.clauses)


# Measurements --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT)
def test_a_built_claim_runs_at_smoke_size_and_its_record_is_complete(name: str, records: Records) -> None:
    start = time.process_time()  # of this process, whatever else the machine does
    record = records[name]
    assert time.process_time() - start < 60
    assert set(record) == FACTS
    assert json.loads(json.dumps(record, allow_nan=False))["measured"] == record["measured"]
    assert (record["id"], record["size"]) == (name, "smoke")
    assert {clause["verdict"] for clause in record["clauses"]} <= {"holds", "undecided", "does not hold", "estimate"}
    assert record["measured"]
    assert record["twin"]
    assert record["seconds"] > 0
    assert record["dataset"]
    assert record["tested"]


@pytest.mark.slow
def test_no_layer_depends_on_the_layers_above_it_but_the_twin_does(records: Records) -> None:
    record = records["layer"]
    assert record["measured"]["change without the layers above"] == [0.0, 0.0]
    assert all(change > 0 for change in record["twin"]["change without the layers above"])


@pytest.mark.slow
def test_a_second_call_trains_nothing(runs: Path, records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    first = records["mnist"]
    monkeypatch.setattr(lab, "train", lambda *_, **__: pytest.fail("trained again"))
    assert ledger.run("mnist", "smoke", runs=runs) == first
    ledger.run("fast-test", "smoke", runs=runs)


# A new claim ---------------------------------------------------------------------------------------------------------

TOY = '''
"""Wider nets err less (talk 12:34).

A net of 20 units and one of 40 learn the embedded digits for one epoch.
"""

from dataclasses import replace
from pathlib import Path

from twofold_lab import feedforward
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.lab import Lab
from twofold_lab.tables import sides, table
from twofold_lab.verdict import Clause, above_zero

GAIN = "wide better by (points)"

CLAIM = Claim(
    "toy",
    time="12:34",
    says="Wider nets err less.",
    headline=Headline("slow error %", "less", ours=("wide", "slow error %")),
    clauses=(Clause("wider is better", "the difference is above 0", lambda figures: above_zero(figures.of(GAIN))),),
)


@CLAIM.measure
def toy(lab: Lab) -> Finding:
    recipe, twin = (replace(recipe, widths=(20,), epochs=1) for recipe in (feedforward.SMALL, feedforward.SMALL_TWIN))
    contest = lab.contest({"narrow": {}, "wide": {"widths": (40,)}}, (recipe, twin), seeds=[0, 1])
    measured = {name: contest.errors(name) for name in ("narrow", "wide")}
    return contest.finding({**measured, GAIN: contest.difference("narrow", "wide")})


@CLAIM.draw
def picture(record: object, path: Path, lab: Lab) -> Path:
    path.write_bytes(b"a picture")
    return path


table("toy", "claims/toy.json")(sides)
'''


@pytest.mark.slow
def test_a_new_claim_is_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is measured, recorded, drawn, listed and tabulated without an edit elsewhere."""
    from twofold.cli import main

    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "toy.py").write_text(TOY, encoding="utf-8")
    monkeypatch.setattr(claims, "__path__", [*claims.__path__, str(folder)])
    monkeypatch.chdir(tmp_path)
    ledger.ledger.cache_clear()
    try:
        assert main(["claims", "draw", "toy", "--precision", "fp32"]) == 0
        assert (tmp_path / "runs" / "claims" / "toy.png").read_bytes() == b"a picture"
        assert main(["claims", "run", "toy", "--size", "full", "--precision", "fp32"]) == 0
        assert main(["claims", "draw", "toy", "--size", "full", "--precision", "fp32"]) == 0
        assert (tmp_path / "runs" / "claims" / "toy.png").read_bytes() == b"a picture"
        record = read_json(tmp_path / "results" / "claims" / "toy.json")
        assert record["measured"]["wide"]["slow error %"]["mean"] > 0
        assert record["twin"]["fast error %"]["std"] >= 0
        assert "twofold_lab.claims.toy" in record["origin"]["code"]
        (entry,) = (entry for entry in ledger.listing(tmp_path / "results") if entry["id"] == "toy")
        assert (entry["status"], entry["time"]) == ("current", "12:34")
        capsys.readouterr()
        assert main(["claims"]) == 0
        assert "Wider nets err less." in capsys.readouterr().out
        docs.load_tables()
        table = docs.TABLES["toy"](tmp_path / "results")
        assert "| wide: slow error % |" in table
        monkeypatch.setattr(docs, "RESULTS", tmp_path / "results")
        assert "wider is better" in docs.page(ledger.find("toy"))
    finally:
        ledger.ledger.cache_clear()
        docs.TABLES.pop("toy", None)
        sys.modules.pop("twofold_lab.claims.toy", None)


# Pictures ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_the_picture_of_a_claim_is_drawn_at_smoke_size(name: str, runs: Path, records: Records, tmp_path: Path) -> None:
    write(records[name], tmp_path / "claims")
    path = tmp_path / "new" / f"{name}.png"
    assert ledger.draw(name, "smoke", path, runs=runs, results=tmp_path) == path
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert len(picture.convert("RGB").getcolors(maxcolors=1 << 24) or []) > 10
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_picture_is_drawn_from_the_record_of_its_size_without_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = {"10 images a class": {"60 units": {"mean": 3.0, "std": 0.1}}}
    record = ledger.records()["regime"]
    sides = {"measured": {"slow error %": errors}, "twin": {"fast error %": errors}}
    write({**record, "size": "full", **sides}, tmp_path / "claims")
    monkeypatch.setattr(lab, "train", lambda *_, **__: pytest.fail("a net was trained"))
    path = tmp_path / "drawn.png"
    with pytest.warns(Remark, match="the record of regime is stale"):
        assert ledger.draw("regime", "full", path, runs=tmp_path / "runs", results=tmp_path) == path
    with pytest.raises(pytest.fail.Exception, match="a net was trained"):
        ledger.draw("regime", "smoke", tmp_path / "other.png", runs=tmp_path / "runs", results=tmp_path)


def test_a_claim_without_a_picture_is_refused_with_those_that_have_one(tmp_path: Path) -> None:
    for name, expected in (("mnist", ", ".join(DRAWN)), ("gan", ", ".join(DRAWN)), ("relaks", "did you mean 'relax'?")):
        path = tmp_path / "no.png"
        draw = partial(ledger.draw, name, "smoke", path, runs=tmp_path)
        assert expected in refusal(draw, SettingError)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_importing_the_laboratory_loads_nothing_that_draws() -> None:
    """Otherwise every command would wait for it."""
    code = (
        "import sys; from twofold_lab import ledger; ledger.ledger(); "
        "sys.exit(bool({'matplotlib', 'twofold.plots'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Refusals and listings -----------------------------------------------------------------------------------------------


def test_an_unknown_claim_or_size_is_refused_with_the_nearest_name() -> None:
    assert "'hard-neg'" in refusal(lambda: ledger.run("hard-negs", "smoke"), SettingError)
    assert "'full'" in refusal(lambda: ledger.run("mnist", "fulll"), SettingError)
    assert "not built yet" in refusal(lambda: ledger.run("gan", "smoke"), SettingError)


def test_a_listing_without_records_has_every_claim_and_no_figures(tmp_path: Path) -> None:
    listing = ledger.listing(tmp_path)
    assert [entry["id"] for entry in listing] == TALK + PAPER
    for entry in listing:
        assert [entry[key] for key in ("ours", "twin", "status", "date")] == [None] * 4
        assert entry["clauses"] == entry["overturned"] == []
        built = entry["id"] in BUILT
        assert entry["command"] == (f"twofold claims run {entry['id']} --size full" if built else None)


def test_a_damaged_record_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "mnist.json").write_text("[]")
    with pytest.raises(RunError, match="mnist"):
        ledger.listing(tmp_path)


@pytest.mark.slow
def test_the_records_are_listed_from_any_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "twofold", "claims", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    entries = {entry["id"]: entry for entry in json.loads(done.stdout.splitlines()[-1])}
    assert entries["mnist"]["ours"].startswith("1.23")


# The laboratory ------------------------------------------------------------------------------------------------------


def test_a_part_of_a_data_set_is_named_by_its_size() -> None:
    digits, first = Lab().data("digits"), Lab().data("digits[:100]")
    assert len(first.train_labels) == 100
    assert torch.equal(first.train_images, digits.train_images[:100])
    assert torch.equal(first.test_images, digits.test_images)
    assert "choose at most" in refusal(lambda: Lab().data("digits[:100000]"), SettingError)
    assert Lab("smoke").sized("mnist[:10000]").fingerprint == digits.fingerprint
