"""A run folder belongs to one training at a time, and names of folders are given out once.

Oracles: a second process that holds the lock, or has been killed; the same training in a folder of its own.
"""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from support.helpers import hashes, refusal
from support.runs import CtrlC, outcome, train
from twofold.data import Dataset
from twofold.errors import Interrupted, Remark, RunError
from twofold.methods import FeedForwardRecipe
from twofold.training import runs
from twofold.training import train as training
from twofold.training.run_folder import RunFolder

HOLD = """
import sys, time
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


@contextmanager
def held_by_another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    folder.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder / ".lock")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start(recipe: FeedForwardRecipe, data: Dataset, **options: Any) -> Path:
    """Train without naming a folder; return the one that was taken."""
    return Path(training.train(recipe, None, data, name="tiny", device="cpu", precision="fp32", **options).run)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("state", ["new", "begun", "stopped", "complete"])
def test_a_named_folder_in_use_is_one_line_and_stays_as_it_is(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path, state: str, resume: bool
) -> None:
    if state == "complete":
        train(recipe, tmp_path / "run", tiny)
    elif state == "stopped":
        with pytest.raises(Interrupted):
            train(recipe, tmp_path / "run", tiny, progress=CtrlC(2))
    with held_by_another_process(tmp_path / "run") as other:
        if state == "begun":  # at this moment it writes its first file
            (tmp_path / "run" / ".config.json.0badcafe.part").write_text("{")
        before = hashes(tmp_path)
        said = refusal(lambda: train(recipe, tmp_path / "run", tiny, resume=resume))
        assert said == f"{tmp_path}/run is in use by another training run: wait until it ends, or choose another --run"
        assert hashes(tmp_path) == before
        other.kill()
        other.wait()
        if resume or state in ("new", "begun"):
            train(recipe, tmp_path / "run", tiny, resume=resume)  # a lock whose process is gone does not count
    assert not (tmp_path / "run" / ".lock").exists() or state != "new"


def test_a_training_is_locked_from_its_beginning_to_its_end(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path
) -> None:
    said = []

    def another(metrics: dict[str, Any]) -> None:
        said.append(refusal(lambda: train(recipe, tmp_path, tiny, resume=True)))

    train(recipe, tmp_path, tiny, progress=another)
    assert len(said) == recipe.epochs
    assert all("in use" in line for line in said)
    assert not (tmp_path / ".lock").exists()


def test_trainings_that_name_no_folder_get_one_each(tiny: Dataset, recipe: FeedForwardRecipe, here: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        rates = (0.01, 0.02, 0.03, 0.04)
        taken = list(pool.map(lambda rate: start(replace(recipe, rate=rate), tiny), rates))
    assert sorted(map(str, taken)) == ["runs/tiny-seed0", *(f"runs/tiny-seed0-{number}" for number in (2, 3, 4))]
    for rate, folder in zip(rates, taken, strict=True):
        assert runs.load(folder, "cpu").recipe.rate == rate
        assert outcome(runs.load(folder, "cpu").result) == outcome(
            train(replace(recipe, rate=rate), here / f"alone {rate}", tiny, name="tiny")
        )


def test_to_resume_without_a_folder_takes_the_last_run_that_is_this_training(
    tiny: Dataset, recipe: FeedForwardRecipe, here: Path
) -> None:
    for rate in (0.01, 0.02):
        with pytest.raises(Interrupted, match="epoch 2 is saved in runs/tiny-seed0"):
            start(replace(recipe, rate=rate), tiny, progress=CtrlC(2))
    assert str(start(replace(recipe, rate=0.01), tiny, resume=True)) == "runs/tiny-seed0"
    assert str(start(replace(recipe, rate=0.02), tiny, resume=True)) == "runs/tiny-seed0-2"
    said = refusal(lambda: start(replace(recipe, rate=0.03), tiny, resume=True))
    assert "runs/tiny-seed0-2 contains a run with rate = 0.02, not 0.03" in said


def test_a_name_whose_training_never_got_to_a_checkpoint_is_given_out_again(
    tiny: Dataset, recipe: FeedForwardRecipe, here: Path, progress_at_every_batch: None
) -> None:
    with pytest.raises(Interrupted, match="start again"):
        start(recipe, tiny, progress=CtrlC(0.5))
    assert str(start(replace(recipe, rate=0.02), tiny)) == "runs/tiny-seed0"
    assert str(start(replace(recipe, rate=0.02), tiny)) == "runs/tiny-seed0-2"


def test_a_training_that_cannot_begin_leaves_no_folder(tiny: Dataset, recipe: FeedForwardRecipe, here: Path) -> None:
    with pytest.raises(RunError, match="is not a run folder"):
        start(recipe, tiny, start=here / "nothing")
    with pytest.raises(Exception, match="memory"):
        start(replace(recipe, widths=(10**6, 10**6)), tiny)
    assert list(here.rglob("*")) in ([], [here / "runs"])


def test_what_killed_trainings_have_left_unfinished_is_removed(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path
) -> None:
    """Half-written files and layers at rest: each kill would leave one more."""
    with pytest.raises(Interrupted):
        train(recipe, tmp_path, tiny, progress=CtrlC(2), offload=True)
    assert not RunFolder(tmp_path).at_rest.exists()
    (tmp_path / ".checkpoint.safetensors.0badcafe.part").write_bytes(b"half")
    RunFolder(tmp_path).at_rest.mkdir()
    (RunFolder(tmp_path).at_rest / "layer-1.bin").write_bytes(b"killed")
    train(recipe, tmp_path, tiny, resume=True, offload=True)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("config.json", "metrics.jsonl", "weights.safetensors", "result.json")
    }


@pytest.mark.parametrize("left", [".config.json.0badcafe.part", "at-rest/layer-1.bin", ".lock"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_training_that_was_killed_before_it_wrote_its_settings_does_not_block_its_folder(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path, left: str, resume: bool
) -> None:
    (tmp_path / left).parent.mkdir(exist_ok=True)
    (tmp_path / left).write_bytes(b"killed")
    train(recipe, tmp_path, tiny, resume=resume)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("config.json", "metrics.jsonl", "weights.safetensors", "result.json")
    }


@pytest.mark.usefixtures("progress_at_every_batch")
@pytest.mark.parametrize("left", ["weights.safetensors", "result.json", "checkpoint.safetensors"])
def test_a_folder_with_anything_trained_in_it_is_not_begun_anew(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path, left: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path, tiny, progress=CtrlC(after=0.5))
    (tmp_path / left).write_bytes(b"trained")
    with pytest.raises(RunError, match="exists and is not empty: add --resume"):
        train(recipe, tmp_path, tiny)
    assert (tmp_path / left).read_bytes() == b"trained"


def test_where_locks_do_not_exist_a_training_goes_on_as_before(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: FileLock) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "_acquire", refuse)
    with pytest.warns(Remark, match="without locks .No locks available.: do not start a second training run in it"):
        train(recipe, tmp_path / "run", tiny)
    assert runs.load(tmp_path / "run", "cpu").recipe == recipe
