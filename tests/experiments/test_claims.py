"""The ledger of claims: nothing of the talk is left out, what is built runs in seconds, and says what it found.

Were one of these to fail, a claim would be missing from the tables, or a figure stand there that no command gives.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from twofold.cli.arguments import Claims, ClaimsDraw
from twofold.data import load
from twofold.errors import RunError, SettingError
from twofold_lab import claims
from twofold_lab.claims import cifar, lab
from twofold_lab.lab import Lab, mean_and_std, reached, small

ROOT = Path(__file__).resolve().parents[2]

TALK = [
    "layer", "goodness", "norm", "label-in", "irrelevant", "fast-test", "slow-test", "shortlist", "paper", "mnist",
    "hard-neg", "jitter", "fields", "no-later", "top-down", "video", "glom", "agree", "moving", "recurrent",
    "low-activity", "from-start", "cost", "cifar", "relax", "gan", "no-collapse", "own-negatives", "analog",
    "black-box", "cancel", "mortal", "digital", "power", "regime", "cheap",
]  # fmt: skip
PAPER = ["hybrid", "local", "aesop", "sleep"]
DRAWN = ["top-down", "moving", "relax", "analog", "black-box", "cancel", "mortal", "power", "regime"]
BUILT = [*TALK[:25], "analog", "black-box", "cancel", "mortal", "power", "regime", "cheap", "hybrid", "local"]

FIELDS = {
    *("id", "time", "says", "size", "holds", "rule", "talk", "measured", "twin", "seconds", "seeds"),
    *("dataset", "official_data", "data", "environment", "trainings", "settings", "date"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of trainings for all tests here, so that each net is trained once."""
    return tmp_path_factory.mktemp("claims")


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Nets as small as these are slower on two threads than on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def refusal(name: str, size: str = "smoke") -> str:
    """The line with which a claim is refused."""
    with pytest.raises(SettingError) as caught:
        claims.run(name, size)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_ledger_lists_every_claim_of_the_talk_and_then_of_the_paper_in_order() -> None:
    assert list(claims.LEDGER) == TALK + PAPER


def test_claims_carry_the_time_of_the_talk_and_those_of_the_paper_alone_say_so() -> None:
    for name in TALK:
        minutes, seconds = claims.LEDGER[name].time.split(":")
        assert 0 <= int(minutes) < 49
        assert 0 <= int(seconds) < 60
    assert all("paper" in claims.LEDGER[name].time for name in PAPER)


def test_every_claim_is_one_sentence() -> None:
    for claim in claims.LEDGER.values():
        assert claim.says.endswith(".")
        assert "\n" not in claim.says


def test_these_experiments_are_built() -> None:
    assert [name for name, claim in claims.LEDGER.items() if claim.experiment] == BUILT


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT)
def test_a_built_claim_runs_at_smoke_size_and_gives_a_whole_record(name: str, runs: Path) -> None:
    start = time.process_time()  # of this process, whatever else the machine does
    record = claims.run(name, "smoke", runs=runs)
    assert time.process_time() - start < 60
    assert set(record) == FIELDS
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert (record["id"], record["size"]) == (name, "smoke")
    assert isinstance(record["holds"], bool)
    assert record["measured"]
    assert record["twin"]
    assert record["seconds"] > 0
    assert record["dataset"]


@pytest.mark.slow
def test_a_second_call_trains_nothing(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = claims.run("mnist", "smoke", runs=runs)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(lab, "train", refuse)
    assert claims.run("mnist", "smoke", runs=runs) == first
    claims.run("fast-test", "smoke", runs=runs)


def test_trainings_that_differ_in_anything_have_folders_of_their_own(tmp_path: Path) -> None:
    here, quick = Lab(runs=tmp_path), dataclasses.replace(small, widths=(8,), epochs=1)
    digits = load("digits")
    turned = dataclasses.replace(digits, train_images=digits.train_images.flip(2))
    trained = [
        here.train(quick, "quick"),
        here.train(dataclasses.replace(quick, seed=1), "quick"),
        here.train(dataclasses.replace(quick, decay=0.0), "quick"),
        here.train(quick, "quick", turned),
    ]
    assert len({run.folder for run in trained}) == 4
    assert trained[1].folder.name.startswith("quick-seed1-")
    assert here.seconds() == pytest.approx(sum(run.result.seconds for run in trained))
    here.train(quick, "quick")
    assert len(here.used) == 4


# Pictures ------------------------------------------------------------------------------------------------------------


def test_these_claims_have_a_picture_and_the_help_names_them() -> None:
    assert [name for name, claim in claims.LEDGER.items() if claim.draw] == DRAWN
    for options in (Claims, ClaimsDraw):
        said = " ".join(str(options.__doc__).split())
        assert f"{', '.join(DRAWN[:-1])} or {DRAWN[-1]}" in said


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_the_picture_of_a_claim_is_drawn_at_smoke_size(name: str, runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"{name}.png"
    assert claims.draw(name, "smoke", path, runs=runs, results=tmp_path) == path
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert len(picture.convert("RGB").getcolors(maxcolors=1 << 24) or []) > 10
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_claim_without_a_picture_is_refused_with_those_that_have_one(tmp_path: Path) -> None:
    for name, says in (("mnist", ", ".join(DRAWN)), ("gan", ", ".join(DRAWN)), ("relaks", "did you mean 'relax'?")):
        with pytest.raises(SettingError) as caught:
            claims.draw(name, "smoke", tmp_path / "no.png", runs=tmp_path)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_laboratory_loads_nothing_that_draws() -> None:
    """Else every command would wait for it."""
    code = "import sys, twofold_lab.claims; sys.exit(bool({'matplotlib', 'twofold.plots'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_claim_or_size_is_refused_with_the_nearest_name() -> None:
    assert "'hard-neg'" in refusal("hard-negs")
    assert "'full'" in refusal("mnist", "fulll")


def test_a_claim_that_is_not_built_is_refused_in_one_line() -> None:
    assert "not built yet" in refusal("gan")


def test_a_listing_without_results_has_every_claim_and_no_figures(tmp_path: Path) -> None:
    listing = claims.listing(tmp_path / "nowhere")
    assert [entry["id"] for entry in listing] == TALK + PAPER
    for entry in listing:
        figures = ("size", "holds", "talk", "measured", "twin", "seconds", "seeds")
        assert [entry[key] for key in figures] == [None] * len(figures)
        wanted = f"twofold claims run {entry['id']} --size full" if entry["id"] in BUILT else None
        assert entry["command"] == wanted


@pytest.mark.slow
def test_what_is_written_is_read_and_listed(tmp_path: Path, runs: Path) -> None:
    record = claims.run("fast-test", "smoke", runs=runs)
    claims.write(record, tmp_path)
    assert claims.read_results(tmp_path) == {"fast-test": record}
    (entry,) = (entry for entry in claims.listing(tmp_path) if entry["size"])
    assert {key: entry[key] for key in ("holds", "measured", "seconds")} == {
        key: record[key] for key in ("holds", "measured", "seconds")
    }


def test_a_damaged_result_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "mnist.json").write_text("[]")
    with pytest.raises(RunError, match="mnist"):
        claims.listing(tmp_path)


@pytest.mark.slow
def test_an_error_that_is_never_reached_is_none(runs: Path) -> None:
    run = Lab(runs=runs).train(dataclasses.replace(small, validation=300), "short")
    assert set(reached(run, 0.0).values()) == {None}
    assert reached(run, 1.0)["epochs"] == 1


def test_the_spread_of_seeds_is_the_sample_standard_deviation() -> None:
    assert mean_and_std([1.0, 2.0, 3.0]) == {"mean": 2.0, "std": 1.0}
    assert mean_and_std([1.5]) == {"mean": 1.5, "std": 0.0}


def test_the_table_of_cifar_is_made_without_the_test_set() -> None:
    here = Lab()
    recipe, twin = cifar.settings(here)
    made, whole = cifar.first_images(here, recipe), here.data("digits")
    assert torch.equal(made.test_images, whole.train_images[-300:])
    assert torch.equal(made.train_images, whole.train_images[:1000])
    assert len(whole.train_images) - 300 >= 1000
    for each in (recipe, twin):
        deep = cifar.deepened(each, 3)
        assert (deep.widths, deep.field_sizes, deep.strides, deep.margins) == ((192,) * 3, (5,) * 3, (1,) * 3, (2,) * 3)
