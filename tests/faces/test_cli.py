"""The command line: every command answers, and Ctrl-C costs nothing.

Oracles: the documented contract (``twofold --help``), JSON, exit codes, hashes of every file before and after.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from support.command_line import PROGRAM, SMALL, answer, facts
from support.helpers import hashes
from twofold.cli import commands
from twofold.cli.commands import COMMANDS
from twofold.data import Dataset
from twofold.files import read_signed, write_signed
from twofold.recipes import RECIPES
from twofold.training import runs
from twofold.training import train as training

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.usefixtures("_in_an_empty_folder")


@pytest.mark.slow
def test_training_prints_the_net_beside_its_twin_and_ends_with_the_result(
    trained: tuple[Path, dict[str, Any], str],
) -> None:
    """What a program reads, what a person reads and what the run folder holds must be the same figures."""
    folder, found, said = trained
    twin = found.pop("twin")
    assert found == runs.load(folder).result.to_json()
    assert twin == runs.load(folder / "twin").result.to_json()
    assert (found["recipe"], twin["recipe"], found["settings"]["widths"]) == ("digits", "digits-twin", [20, 16])
    assert twin["settings"]["widths"] == [20, 16]
    for error in [*found["test_error"].values(), *twin["test_error"].values()]:
        assert f"{100 * error:.2f} %" in said
    assert "digits 1/2" in said  # progress where there is no terminal
    assert "digits 2/2" in said


def test_training_draws_pictures_that_are_pictures(folder: Path) -> None:
    drawn = sorted(path.name for path in (folder / "pictures").iterdir())
    assert drawn == ["fields.png", "goodness.png", "learning.png", "mistakes.png"]
    for name in drawn:
        with Image.open(folder / "pictures" / name) as picture:
            assert len(picture.convert("RGB").getcolors(maxcolors=1 << 24) or []) > 10


def test_trainings_without_a_name_do_not_share_a_folder(tmp_path: Path) -> None:
    words = ["train", "digits", *SMALL, "--epochs", "1", "--no-pictures", "--seed", "4"]
    runs = [facts(words)["run"] for _ in range(2)]
    assert runs == ["runs/digits-seed4", "runs/digits-seed4-2"]
    before = hashes(tmp_path)
    assert facts([*words, "--resume"])["run"] == runs[-1]
    assert hashes(tmp_path) == before


@pytest.mark.parametrize("test", ["slow", "fast", "shortlist", "both", "all"])
def test_evaluation_repeats_the_errors_of_the_training(folder: Path, test: str) -> None:
    result = runs.load(folder).result
    chosen = {name: error for name, error in result.test_error.items() if test in (name, "all")}
    found = facts(["eval", str(folder), "--test", test])
    assert found["test_error"] == chosen
    assert found["passes_per_image"] == {name: result.metrics["passes_per_image"][name] for name in chosen}
    assert found["layer_error"] == result.metrics["layer_error"]
    assert (found["dataset"], found["official_data"], found["run"]) == ("digits", True, str(folder))


def test_a_longer_shortlist_is_what_was_asked_for(folder: Path) -> None:
    found = facts(["eval", str(folder), "--shortlist", "10"])
    assert found["passes_per_image"]["shortlist"] == 11
    assert found["test_error"]["shortlist"] == found["test_error"]["slow"]


@pytest.mark.slow
def test_plot_draws_what_training_draws(folder: Path) -> None:
    before = hashes(folder)
    for path in (folder / "pictures").iterdir():
        path.unlink()
    drawn = facts(["plot", str(folder)])["pictures"]
    assert {Path(path).name for path in drawn} == {path.name for path in (folder / "pictures").iterdir()}
    assert hashes(folder).keys() == before.keys()


def test_data_get_says_what_the_data_are(digits: Dataset) -> None:
    assert facts(["data", "get", "digits"]) == {
        "dataset": "digits",
        "train": len(digits.train_labels),
        "test": len(digits.test_labels),
        "shape": [1, 8, 8],
        "classes": 10,
        "official_data": True,
        "fingerprint": digits.fingerprint,
    }


def test_mnist_is_found_where_data_dir_says(mnist_folder: Path) -> None:
    found = facts(["data", "get", "mnist", "--data-dir", str(mnist_folder)])
    assert (found["train"], found["test"], found["shape"]) == (60_000, 10_000, [1, 28, 28])


def test_the_ledger_lists_every_claim_once(tmp_path: Path) -> None:
    listing = facts(["claims"])
    assert len({claim["id"] for claim in listing}) == len(listing) > 30
    _, out, _ = answer(["claims"])
    for claim in listing:
        assert any(line.startswith(claim["id"]) for line in out)
    said = "\n".join(answer(["claims", "show", "mnist"])[1])
    for clause in next(claim for claim in listing if claim["id"] == "mnist")["clauses"]:
        assert f"{clause['verdict']:<13} {clause['says']}" in said
    assert "not built yet" in "\n".join(answer(["claims", "show", "gan"])[1])


def test_a_picture_of_a_claim_goes_where_the_pictures_are_and_a_small_one_never_does(tmp_path: Path) -> None:
    """A picture of small nets in the place of a documented one would tell a reader of the documents what is not so."""
    errors = {"10": {"60 units": {"mean": 3.0, "std": 0.1}}}
    sides = {"measured": {"slow error %": errors}, "twin": {"fast error %": errors}}
    for results, size in (("results", "full"), ("small", "smoke")):
        folder = tmp_path / results / "claims"
        folder.mkdir(parents=True)
        kept, _ = read_signed(ROOT / "results" / "claims" / "regime.json")
        write_signed(folder / "regime.json", {**kept, "size": size, **sides})
    draw = ["claims", "draw", "regime"]
    assert facts([*draw, "--size", "full"]) == {"id": "regime", "size": "full", "picture": "runs/claims/regime.png"}
    (tmp_path / "docs" / "pictures").mkdir(parents=True)
    assert facts([*draw, "--size", "full"])["picture"] == "docs/pictures/regime.png"
    assert facts([*draw, "--results", "small", "--runs", "other"])["picture"] == "other/regime.png"
    assert facts([*draw, "--results", "small", "--out", "own.png"])["picture"] == "own.png"
    drawn = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")}
    assert drawn == {"runs/claims/regime.png", "docs/pictures/regime.png", "other/regime.png", "own.png"}


def test_help_names_every_command_recipe_and_data_set() -> None:
    _, out, _ = answer(["--help"])
    said = "\n".join(out)
    for word in [*(f"twofold {command}" for command in COMMANDS), *(n for n in RECIPES if "twin" not in n), "mnist"]:
        assert word in said
    assert answer([]) == answer(["help"]) == answer(["-h"]) == (0, out, [])
    assert answer(["--version"])[1] == ["0.1.0"]


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("train", ["RECIPE", "digits", "mnist-wide"]),
        ("train digits", ["--widths", "--rate", "--negatives", "--run", "--resume", "--with-twin", "--json"]),
        ("train digits-twin", ["--widths", "--rate", "--decay", "--run", "--resume", "--json"]),
        ("eval", ["RUN", "--test", "--shortlist", "--device", "--data-dir", "--json"]),
        ("predict", ["RUN", "PICTURE...", "--csv", "--jsonl", "--data-dir", "--json"]),
        ("plot", ["RUN", "--data-dir", "--json"]),
        ("data", ["get NAME", "--data-dir", "--json"]),
        ("data get", ["NAME", "--data-dir", "--json"]),
        (
            "claims",
            ["--results", "--json", "twofold claims show ID", "twofold claims run ID", "twofold claims draw ID"],
        ),
        ("claims show", ["ID", "--results", "--json"]),
        ("claims run", ["ID", "--size", "--runs", "--results", "--device", "--json"]),
        (
            "claims draw",
            ["ID", "--size", "--runs", "--results", "--out", "--device", "--precision", "--data-dir", "--json"],
        ),
    ],
)
def test_the_help_of_a_command_names_its_arguments(command: str, named: list[str]) -> None:
    code, out, err = answer([*command.split(), "--help"])
    assert (code, err) == (0, [])
    for word in named:
        assert word in "\n".join(out)


@pytest.mark.slow
def test_the_twin_sees_the_same_data_in_the_same_batches_as_the_net_it_is_compared_with(tmp_path: Path) -> None:
    """Otherwise a table would compare two tasks."""
    changed = {"widths": [20, 10], "batch": 40, "jitter": 1, "validation": 300, "seed": 3}
    words = [
        f"--{name} {' '.join(map(str, value)) if isinstance(value, list) else value}" for name, value in changed.items()
    ]
    command = ["train", "digits", *" ".join(words).split(), "--epochs", "1", "--no-pictures", "--with-twin"]
    both = facts([*command, "--run", str(tmp_path / "run")])
    for result in (both, both["twin"]):
        assert {name: result["settings"][name] for name in changed} == changed
        assert result["settings"]["data"] == "digits"


@pytest.mark.parametrize(
    ("words", "temperature"),
    [("digits", 25.0), ("digits --widths 20 5", 5.0), ("digits --widths 20 5 --temperature 7", 7.0)],
)
def test_the_temperature_of_a_recipe_follows_its_widest_layer_where_none_is_stated(
    monkeypatch: pytest.MonkeyPatch, words: str, temperature: float
) -> None:
    """The recipe has 25 for 500 units, and the root of the ratio is a fifth."""
    trained: list[Any] = []
    monkeypatch.setattr("twofold.cli.commands._train", trained.append)
    commands.train(words.split())
    assert trained[0].recipe.temperature == pytest.approx(temperature)
    commands.train(["digits-twin", "--widths", "20", "5"])
    assert trained[1].recipe.widths == (20, 5)


@pytest.mark.slow
def test_layers_rest_on_disk_where_the_command_says_so_and_those_of_a_twin_never_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, bool]] = []
    train = training.train
    monkeypatch.setattr(
        training,
        "train",
        lambda *given, **options: (asked.append((options["name"], options["offload"])), train(*given, **options))[1],
    )
    for folder, words in (("memory", []), ("disk", ["--offload"])):
        facts(["train", "digits", *SMALL, "--epochs", "1", "--no-pictures", "--with-twin", "--run", folder, *words])
    assert asked == [("digits", False), ("digits-twin", False), ("digits", True), ("digits-twin", False)]


@pytest.mark.slow
def test_what_is_heavy_and_seldom_needed_is_not_loaded_for_a_first_look() -> None:
    """Else whoever imports the library, or asks for help, would wait for what others need."""
    heavy = {"sklearn", "scipy", "matplotlib", "PIL", "tyro", "twofold_lab.claims"}
    code = f"import sys, twofold, twofold.cli; twofold.cli.main(['--help']); print(*({heavy} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == ""


@pytest.mark.slow
def test_the_package_run_as_a_program_is_the_command() -> None:
    ended = subprocess.run([sys.executable, "-m", "twofold", "--help"], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == answer(["--help"])[1]
    wrong = subprocess.run([sys.executable, "-m", "twofold", "trian"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr.splitlines()) == (1, answer(["trian"])[2])


@pytest.mark.slow
def test_ctrl_c_ends_a_training_cleanly_and_resume_completes_it(tmp_path: Path) -> None:
    """The child cannot get to its end before it is interrupted: its small pipe is full long before that."""
    words = ["train", "digits", *SMALL, "--epochs", "70", "--batch", "200", "--run", "run", "--no-pictures"]
    with subprocess.Popen(
        [*PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, pipesize=4096
    ) as child:
        assert child.stderr is not None
        said = [child.stderr.readline() for _ in range(4)]
        child.send_signal(signal.SIGINT)
        out, rest = child.communicate()
    assert said[3].startswith(b"digits 3/70 ")
    assert child.returncode == 130
    assert out == b""
    assert b"Traceback" not in rest
    assert rest.decode().splitlines()[-1].startswith("twofold: interrupted; epoch ")
    history = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert 3 <= len(history) < 70
    found = facts([*words, "--resume"])
    assert found["epochs"] == 70
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert lines[: len(history)] == history
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, 71))
