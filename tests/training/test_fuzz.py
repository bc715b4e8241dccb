"""Run files and command lines at random: every answer is a result, or one line.

Oracle: the documented contract of exit codes and lines; ``fuzz.fault`` judges each answer by it. scripts/torture.py
tries 2000 such cases.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from support import fuzz
from support.command_line import answer
from support.runs import CtrlC
from twofold.errors import Interrupted
from twofold.training import train as training
from twofold.training.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run, a stopped one, and records of claims."""
    folder = tmp_path_factory.mktemp("fuzz")
    assert answer(["train", *fuzz.TRAIN, "--run", str(folder / "complete")])[0] == 0
    config = RunFolder(folder / "complete").config()
    with pytest.raises(Interrupted):
        training.train(
            config.recipe,
            folder / "stopped",
            name=config.name,
            device=config.device,
            precision=config.precision,
            progress=CtrlC(1),
        )
    shutil.copytree(ROOT / "results" / "claims", folder / "results" / "claims")
    return folder


@pytest.fixture
def _one_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with a picture; trainings that stop after a batch."""
    monkeypatch.chdir(tmp_path)
    Image.new("L", (8, 8)).save("own.png")
    with fuzz.one_batch_only():
        yield


def check(case: fuzz.Case, runs: Path) -> None:
    words = fuzz.placed(case, runs, Path("run"))
    try:
        code, _, err = fuzz.call(words)
    except fuzz.Hung:
        pytest.fail(f"{words} hangs")
    assert not fuzz.fault(case, code, err), err


def some(number: int) -> settings:
    health = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=number, suppress_health_check=health)


@pytest.mark.usefixtures("_one_batch")
@some(25)
@given(data=st.data())
def test_a_run_with_another_file_is_read_or_refused_in_one_line(runs: Path, data: st.DataObject) -> None:
    drawn = fuzz.files(runs).filter(lambda case: case.words[0] != "plot")  # which takes a second
    check(data.draw(drawn), runs)


@pytest.mark.usefixtures("_one_batch")
@some(35)
@given(case=fuzz.commands())
def test_words_at_random_are_a_command_or_one_line(runs: Path, case: fuzz.Case) -> None:
    check(case, runs)


@pytest.mark.slow
@pytest.mark.usefixtures("_one_batch")
@some(200)
@given(data=st.data())
def test_many_words_and_files_at_random_are_answered_or_refused_in_one_line(runs: Path, data: st.DataObject) -> None:
    cases = st.one_of(fuzz.files(runs), fuzz.commands(), fuzz.records(runs / "results"))
    check(data.draw(cases), runs)
