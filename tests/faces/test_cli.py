"""The command line: every command answers, every mistake is told in one line, and nothing is written by a mistake.

Oracles: the documented contract (``twofold --help``), JSON, exit codes, hashes of every file before and after.
"""

from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import hashes
from twofold.cli.main import COMMANDS, main
from twofold.data import Dataset, fetch
from twofold.recipes import RECIPES
from twofold.training import run

SMALL = ["--widths", "20", "16", "--epochs", "2", "--device", "cpu", "--precision", "fp32"]

PROGRAM = [
    *(sys.executable, "-c"),
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a parent may have it ignored
    "from twofold.cli.main import main; sys.exit(main())",
]


def answer(words: list[str]) -> tuple[int, list[str], list[str]]:
    """Exit code, lines of stdout and lines of stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    return code, out.getvalue().splitlines(), err.getvalue().splitlines()


def facts(words: list[str]) -> Any:
    """The JSON on the last line of a command that succeeds."""
    code, out, _ = answer([*words, "--json"])
    assert code == 0
    return json.loads(out[-1])


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TWOFOLD_DATA", str(tmp_path / "no-data"))
    monkeypatch.setattr(fetch.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "no-cache"))
    monkeypatch.setattr(fetch, "_get", lambda url: pytest.fail(f"a test asked for {url}"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """A run with its twin and pictures, its JSON, and all that was said on the way."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    code, out, err = answer(["train", "digits", *SMALL, "--run", str(folder), "--with-twin", "--json"])
    assert code == 0, err
    return folder, json.loads(out[-1]), "\n".join(out + err)


@pytest.fixture(scope="module")
def folder(trained: tuple[Path, dict[str, Any], str]) -> Path:
    return trained[0]


# Every command answers -----------------------------------------------------------------------------------------------


def test_training_prints_the_net_beside_its_twin_and_ends_with_the_result(
    trained: tuple[Path, dict[str, Any], str],
) -> None:
    """What a program reads, what a person reads and what the run folder holds must be the same figures."""
    folder, found, said = trained
    twin = found.pop("twin")
    assert found == asdict(run.load(folder).result)
    assert twin == asdict(run.load(folder / "twin").result)
    assert (found["recipe"], twin["recipe"], found["settings"]["widths"]) == ("digits", "digits-twin", [20, 16])
    assert twin["settings"]["widths"] == [20, 16]
    for error in [*found["test_error"].values(), *twin["test_error"].values()]:
        assert f"{100 * error:.2f} %" in said
    assert "digits 1/2" in said  # progress where there is no terminal: a line an epoch


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
    result = run.load(folder).result
    chosen = {name: error for name, error in result.test_error.items() if test in (name, "all")}
    found = facts(["eval", str(folder), "--test", test])
    assert found["test_error"] == chosen
    assert found["passes_per_image"] == {name: result.passes_per_image[name] for name in chosen}
    assert (found["dataset"], found["official_data"], found["run"]) == ("digits", True, str(folder))


def test_a_longer_shortlist_is_what_was_asked_for(folder: Path) -> None:
    found = facts(["eval", str(folder), "--shortlist", "10"])
    assert found["passes_per_image"]["shortlist"] == 11
    assert found["test_error"]["shortlist"] == found["test_error"]["slow"]


def test_a_picture_of_ones_own_gets_the_label_that_the_net_gives_its_pixels(
    folder: Path, digits: Dataset, tmp_path: Path
) -> None:
    pixels = (255 * digits.test_images[0, 0]).round().byte()
    Image.fromarray(pixels.numpy()).save(tmp_path / "own.png")
    Image.fromarray(pixels.numpy()).convert("RGB").save(tmp_path / "colors.png")
    net = run.load(folder).net
    expected = run.name_picture(net, (pixels / 255)[None, None])
    assert facts(["predict", str(folder), "own.png"]) == expected
    assert facts(["predict", str(folder), "colors.png"])["label"] == expected["label"]
    twin = facts(["predict", str(folder / "twin"), "own.png"])
    assert twin["label"].keys() == {"fast"}
    assert twin["goodness"] is None


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


def test_a_picture_of_a_claim_goes_where_the_pictures_are_and_a_small_one_never_does(tmp_path: Path) -> None:
    """A picture of small nets in the place of a documented one would tell a reader of the documents what is not so."""
    errors = {"10": {"60 units": {"mean": 3.0, "std": 0.1}}}
    sides = {"measured": {"slow error %": errors}, "twin": {"fast error %": errors}}
    for results, size in (("results", "full"), ("small", "smoke")):
        folder = tmp_path / results / "claims"
        folder.mkdir(parents=True)
        (folder / "regime.json").write_text(json.dumps({"id": "regime", "size": size, **sides}))
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
        ("predict", ["RUN", "IMAGE", "--json"]),
        ("plot", ["RUN", "--data-dir", "--json"]),
        ("data", ["get NAME", "--data-dir", "--json"]),
        ("data get", ["NAME", "--data-dir", "--json"]),
        ("claims", ["--results", "--json", "twofold claims run ID", "twofold claims draw ID"]),
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


# Every mistake is told in one line -----------------------------------------------------------------------------------

MISTAKES: list[tuple[str, list[str]]] = [
    ("trian digits", ["unknown command 'trian'", "did you mean 'train'?"]),
    ("train", ["needs the name of a recipe"]),
    ("train --epochs 3", ["needs the name of a recipe"]),
    ("train digts", ["unknown recipe 'digts'", "did you mean 'digits'?"]),
    ("train digits --epoch 3", ["--epoch", "did you mean '--epochs'?"]),
    ("train digits --learning-rat=3", ["unknown field '--learning-rat'"]),
    ("train digits more", ["unexpected word 'more'"]),
    ("train digits --widths 0", ["--widths is 0, expected at least 1"]),
    ("train digits --widths", ["widths"]),
    ("train digits --rate -0.1", ["--rate is -0.1, expected a number above 0"]),
    ("train digits --rate nan", ["--rate is nan"]),
    ("train digits --temperature inf", ["--temperature is inf"]),
    ("train digits --epochs x", ["--epochs", "x"]),
    ("train digits --epochs 1.5", ["--epochs", "1.5"]),
    ("train digits --negatives hrad", ["unknown negatives 'hrad'", "did you mean 'hard'?"]),
    ("train digits --data digit", ["did you mean 'digits'?"]),
    ("train digits --data mnist --data-dir noise", ["mnist", "twofold data get mnist"]),
    ("train digits --device tpu", ["--device", "tpu"]),
    ("train digits --precision fp16", ["--precision", "fp16"]),
    ("train digits --batch 100000", ["--batch is 100000"]),
    ("train digits --validation 100000", ["hold out 100000"]),
    ("train digits --seed 99999999999999999999999", ["--seed"]),
    ("train digits --run own.png", ["own.png"]),
    ("train digits --run other", ["other exists and is not empty"]),
    ("train digits --epochs 1 --widths 5 --no-pictures --run other --resume", ["other"]),
    ("train digits --run RUN", ["add --resume"]),
    (f"train digits {' '.join(SMALL)} --run RUN --resume --seed 7", ["seed = 0, asked for is 7"]),
    ("train mnist --data-dir noise", ["is no IDX file", "delete it and run `twofold data get mnist`"]),
    ("eval", ["RUN"]),
    ("eval nowhere", ["nowhere is no run folder"]),
    ("eval other", ["other is no run folder"]),
    ("eval RUN --test quick", ["--test", "quick"]),
    ("eval RUN --tets fast", ["did you mean '--test'?"]),
    ("eval RUN --shortlist 0", ["--shortlist is 0"]),
    ("eval RUN --shortlist -2", ["--shortlist is -2"]),
    ("eval RUN/twin --test slow", ["--test is slow", "only: fast"]),
    ("predict RUN", ["IMAGE"]),
    ("predict RUN nowhere.png", ["nowhere.png does not exist"]),
    ("predict RUN other", ["other cannot be read as a picture"]),
    ("predict RUN large.png", ["large.png is 9 x 8 pixels, the net was trained on 8 x 8"]),
    ("predict RUN other/thesis.tex", ["cannot be read as a picture"]),
    ("predict RUN cut.png", ["cannot be read as a picture"]),
    ("predict nowhere own.png", ["nowhere is no run folder"]),
    ("plot nowhere", ["nowhere is no run folder"]),
    ("data", ["twofold data get NAME"]),
    ("data fetch mnist", ["twofold data get NAME"]),
    ("data get", ["NAME"]),
    ("data get mnits", ["did you mean 'mnist'?"]),
    ("data get mnist --data-dir noise", ["is no IDX file"]),
    ("data get mnist --data-dir cut", ["t10k-labels-idx1-ubyte", "delete it and run `twofold data get mnist`"]),
    ("claims runn", ["runn"]),
    ("claims run mnits", ["unknown claim 'mnits'", "did you mean 'mnist'?"]),
    ("claims run", ["ID"]),
    ("claims run layer --size huge", ["--size", "huge"]),
    ("claims draw", ["ID"]),
    ("claims draw mnits", ["unknown claim 'mnits'", "did you mean 'mnist'?"]),
    ("claims draw mnist", ["claim 'mnist' has no picture: choose one of top-down, moving, relax, regime"]),
    ("claims draw relax --size huge", ["--size", "huge"]),
]


@pytest.fixture
def around(tmp_path: Path) -> Path:
    """Pictures, folders and damaged data that mistakes are made with."""
    picture = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    picture.save(tmp_path / "own.png")
    picture.resize((9, 8)).save(tmp_path / "large.png")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8))
    noise.save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:60])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("ten years of work")
    for folder, content in (("noise", bytes(range(1, 200))), ("cut", b"\0\0\x08\x01\0\0\0\x05\1\2")):
        (tmp_path / folder / "mnist").mkdir(parents=True)
        for name in fetch.IDX_FILES:
            (tmp_path / folder / "mnist" / name).write_bytes(content)
    for name, count in zip(fetch.IDX_FILES[:3], (2, 2, 2), strict=True):
        shape = (count, 28, 28) if "images" in name else (count,)
        header = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
        (tmp_path / "cut" / "mnist" / name).write_bytes(header + bytes(int(np.prod(shape))))
    return tmp_path


@pytest.mark.parametrize(("words", "named"), MISTAKES, ids=[words for words, _ in MISTAKES])
def test_a_mistake_is_told_in_one_line_and_nothing_is_written(
    around: Path, folder: Path, words: str, named: list[str]
) -> None:
    """Ten pages of traceback hide the one word that was mistyped, and half-written folders hide the next mistake."""
    before = hashes(around), hashes(folder)
    code, _, err = answer([word.replace("RUN", str(folder)) for word in words.split()])
    assert code not in (0, 130)
    assert len(err) == 1
    assert err[0].startswith("twofold: error: ")
    for word in named:
        assert word in err[0]
    assert (hashes(around), hashes(folder)) == before
    assert not (around / "runs").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, so that asking for it is no mistake")
def test_a_gpu_that_is_not_there_is_told(tmp_path: Path) -> None:
    code, _, err = answer(["train", "digits", "--device", "cuda"])
    assert (code, err) == (
        1,
        ["twofold: error: --device is cuda, but torch finds no CUDA device here: use --device cpu"],
    )
    assert hashes(tmp_path) == {}


def test_data_that_cannot_be_downloaded_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(url: str) -> bytes:
        raise OSError("network is unreachable")

    monkeypatch.setattr(fetch, "_get", offline)
    code, _, err = answer(["data", "get", "mnist", "--data-dir", "here"])
    assert code == 1
    assert len(err) == 1
    assert "mnist cannot be downloaded" in err[0]
    assert hashes(tmp_path) == {}


# Real processes ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_mistake_ends_a_process_with_one_line_and_without_a_traceback(tmp_path: Path) -> None:
    ended = subprocess.run([*PROGRAM, "train", "digits", "--epochs", "x"], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("twofold: error: ")
    assert hashes(tmp_path) == {}


@pytest.mark.slow
def test_ctrl_c_ends_a_training_cleanly_and_resume_completes_it(tmp_path: Path) -> None:
    """The child cannot get to its end before it is interrupted: its small pipe is full long before that."""
    words = ["train", "digits", *SMALL, "--epochs", "70", "--batch", "200", "--run", "run", "--no-pictures"]
    with subprocess.Popen(
        [*PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, pipesize=4096
    ) as child:
        assert child.stderr is not None
        said = [child.stderr.readline() for _ in range(3)]
        child.send_signal(signal.SIGINT)
        out, rest = child.communicate()
    assert said[2].startswith(b"digits 3/70 ")
    assert child.returncode == 130
    assert out == b""
    assert b"Traceback" not in rest
    assert rest.decode().splitlines()[-1].startswith("twofold: interrupted; every finished epoch is saved")
    history = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert 3 <= len(history) < 70
    found = facts([*words, "--resume"])
    assert found["epochs"] == 70
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert lines[: len(history)] == history
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, 71))


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
