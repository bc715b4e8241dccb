"""`twofold tune` as a program: killed at random with all that it started, or alone, it ends as if nothing had happened.

Oracles: a study that nobody disturbed; the processes that the system lists.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.command_line import PROGRAM, answer
from twofold.recipes import RECIPES

pytestmark = pytest.mark.slow

WORDS = [
    *("tune", "digits", "--widths", "16", "12", "--epochs", "4", "--trials", "3"),
    *("--device", "cpu", "--precision", "fp32", "--json"),
]


def finish(folder: Path, workers: int) -> list[Any]:
    """Run a study to its end from this process; see `trials`."""
    code, out, err = answer([*WORDS, "--study", str(folder), "--workers", str(workers)])
    assert code == 0, err
    return trials(out[-1])


def trials(line: str) -> list[Any]:
    """Every trial of a study by number: its settings, its seed, and the error of each test; and the choices."""
    record = json.loads(line)
    return [
        [{key: value for key, value in each.items() if key != "seconds"} for each in side["trials"]] + [side["chosen"]]
        for side in record["sides"]
    ]


def steps(study: Path) -> int:
    """Trials that have begun, and those that are finished."""
    return len(list(study.glob("trials/*/config.json"))) + len(list(study.glob("trials/*/outcome.json")))


def begin(folder: Path, workers: int) -> subprocess.Popen[str]:
    words = [*PROGRAM, *WORDS, "--study", str(folder), "--workers", str(workers)]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=folder.parent
    )


def kill_amid_work(folder: Path, chance: random.Random, alone: bool) -> None:
    """Kill the program, or its whole group, after some more operations; wait until nothing runs."""
    process = begin(folder, 2)
    enough = steps(folder) + chance.randint(1, 4)
    while steps(folder) < enough and process.poll() is None:
        time.sleep(0.01)
    time.sleep(chance.uniform(0, 0.5))
    assert process.poll() is None, process.communicate()
    every = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    assert len(every) >= 2
    (os.kill if alone else os.killpg)(process.pid, signal.SIGKILL)
    process.communicate()
    _, alive = psutil.wait_procs(every, timeout=20)
    assert not alive


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return finish(tmp_path_factory.mktemp("whole") / "study", 1)


def test_a_study_killed_at_random_twice_has_the_trials_of_one_that_was_not(
    tmp_path: Path, undisturbed: list[Any]
) -> None:
    """Studies crash at many more moments in test_tuning.py, within one process."""
    chance = random.Random()
    for alone in (True, False):
        kill_amid_work(tmp_path / "study", chance, alone)
    assert finish(tmp_path / "study", 2) == undisturbed
    assert len(list((tmp_path / "study" / "trials").iterdir())) == sum(len(side) - 1 for side in undisturbed)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_worker_that_is_killed_alone_ends_the_study_in_one_line(tmp_path: Path) -> None:
    process = begin(tmp_path / "study", 1)
    while not list((tmp_path / "study").glob("trials/*/config.json")):
        time.sleep(0.01)
    children = psutil.Process(process.pid).children()
    (worker,) = (each for each in children if "spawn_main" in " ".join(each.cmdline()))
    worker.kill()
    out, err = process.communicate()
    assert (process.returncode, out) == (1, "")
    assert err.splitlines()[-1].startswith("twofold: error: a worker ended unexpectedly (exit code -9), possibly")


def test_ctrl_c_in_a_terminal_ends_all_of_it_in_one_line_and_it_goes_on(tmp_path: Path, undisturbed: list[Any]) -> None:
    process = begin(tmp_path / "study", 2)
    while steps(tmp_path / "study") < 3:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1].startswith("twofold: interrupted; ")
    assert all(line.startswith(("digits", "twofold: ")) for line in err.splitlines())
    assert finish(tmp_path / "study", 1) == undisturbed


def test_the_command_that_is_printed_trains_with_the_settings_that_were_chosen(
    tmp_path: Path, undisturbed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for side, name in zip(undisturbed, ("digits", "digits-twin"), strict=True):
        chosen = side[-1]
        code, out, err = answer([*chosen["command"].split()[1:], "--no-pictures", "--json"])
        assert code == 0, err
        settings = json.loads(out[-1])["settings"]
        stated = {"widths": [16, 12], "epochs": 4}
        assert settings == RECIPES[name].fields() | stated | chosen["settings"]
