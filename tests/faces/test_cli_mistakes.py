"""The command line: every mistake is told in one line, and nothing is written by a mistake.

Oracles: the documented contract (``twofold --help``), exit codes, hashes of every file before and after.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from support.command_line import PROGRAM, SMALL, answer
from support.helpers import hashes
from twofold.cli.commands import COMMANDS
from twofold.data import fetch
from twofold.data.origins import IDX_FILES

pytestmark = pytest.mark.usefixtures("_in_an_empty_folder")

MISTAKES: list[tuple[str, list[str]]] = [
    ("trian digits", ["unknown command 'trian'", "did you mean 'train'?"]),
    ("train", ["needs the name of a recipe"]),
    ("train --epochs 3", ["needs the name of a recipe"]),
    ("train digts", ["unknown recipe 'digts'", "did you mean 'digits'?"]),
    ("train digits --epoch 3", ["--epoch", "did you mean '--epochs'?"]),
    ("train digits --learning-rat=3", ["unknown field '--learning-rat'"]),
    ("train digits more", ["unexpected word 'more'"]),
    ("train digits-twin --with-twin", ["--with-twin: the recipe digits-twin has no twin"]),
    ("train digits --widths 0", ["--widths is 0, expected at least 1"]),
    ("train digits --widths", ["widths"]),
    ("train digits --widths 20,20", ["--widths", "20,20", "as in --widths 20 20"]),
    ("train digits --widths=20,20", ["--widths", "20,20", "as in --widths 20 20"]),
    ("train digits --rate 0,5", ["--rate", "0,5", "--rate 0.5"]),
    ("train digits -- --epochs 3", ["unexpected word '--epochs'"]),
    ("train digits --run=", ["--run is empty"]),
    ("train digits --start RUN", ["unknown field '--start'"]),
    ("train digits --from nowhere", ["nowhere is not a run folder"]),
    ("train digits --from RUN --with-twin", ["give either --with-twin or --from, not both"]),
    ("train digits --epochs 1 --from RUN --widths 5 --run new", ["weights.safetensors", "another architecture"]),
    ("train digits-twin-twin", ["unknown recipe 'digits-twin-twin'"]),
    ("train digits-twin --offload", ["--offload is only for methods that train each layer by itself"]),
    ("train recurrent --data digits --offload", ["--offload is only for methods that train each layer by itself"]),
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
    ("train digits --run other", ["other is not empty and not a run folder"]),
    ("train digits --epochs 1 --widths 5 --no-pictures --run other --resume", ["other"]),
    ("train digits --run RUN", ["add --resume"]),
    (f"train digits {' '.join(SMALL)} --run RUN --resume --seed 7", ["seed = 0, not 7"]),
    ("train mnist --data-dir noise", ["is not an IDX file", "delete it and run `twofold data get mnist`"]),
    ("train --data nowhere/at-all", ["nowhere/at-all does not exist"]),
    ("train --data digit", ["unknown data set or path 'digit'", "did you mean 'digits'?"]),
    ("train --data", ["--data has no value"]),
    ("train --data other", ["other has no folders in it"]),
    ("train --data own.png", ["own.png has an unsupported file type"]),
    ("train --data digits --recipe mnits", ["unknown recipe 'mnits'", "did you mean 'mnist'?"]),
    ("train --data digits --size 3", ["omit --size: it is for your own data, but digits is a built-in data set"]),
    ("train mnist --data ./other --recipe digits", ["give either the recipe mnist or --recipe digits, not both"]),
    ("train --data other --size 3y", ["--size is 3y, expected a width and height"]),
    ("train --data other --test-share 2", ["--test-share is 2, expected more than 0 and less than 1"]),
    ("train --run nowhere --resume", ["nowhere is not a run folder"]),
    ("eval RUN --data other", ["--data is other, but", "was not trained on your own data"]),
    ("export", ["twofold export needs RUN and --to {onnx,safetensors,card}: see twofold export --help"]),
    ("pull", ["twofold pull needs REPO: see"]),
    ("tune", ["needs the name of a recipe"]),
    ("tune digts", ["unknown recipe 'digts'", "did you mean 'digits'?"]),
    ("tune digits --trial 3", ["did you mean '--trials'?"]),
    ("tune digits --trials 0", ["--trials is 0, expected at least 1"]),
    ("tune digits --batch 2000", ["--batch is 2000, more than the 1151 training cases"]),
    ("tune digits --study other", ["other is neither empty nor a study folder"]),
    ("tune digits-twin --twin", ["the recipe digits-twin has no twin"]),
    ("eval", ["RUN"]),
    ("eval nowhere", ["nowhere is not a run folder"]),
    ("eval other", ["other is not a run folder"]),
    ("eval RUN --test quick", ["--test", "quick"]),
    ("eval RUN --tets fast", ["did you mean '--test'?"]),
    ("eval RUN --shortlist 0", ["--shortlist is 0"]),
    ("eval RUN --shortlist -2", ["--shortlist is -2"]),
    ("eval RUN --shortlist 11", ["--shortlist is 11", "expected 1 to 10, the number of labels"]),
    ("eval RUN --test fast --shortlist 2", ["--shortlist is 2", "none of the chosen tests uses a shortlist"]),
    ("eval RUN/twin --shortlist 2", ["--shortlist is 2", "none of the chosen tests uses a shortlist"]),
    ("eval RUN/twin --test slow", ["--test is slow", "expected one of the tests of", "twin: fast, all"]),
    ("predict RUN", ["PICTURE"]),
    ("predict RUN nowhere.png", ["nowhere.png does not exist"]),
    ("predict RUN other", ["other is a folder without images"]),
    ("predict RUN large.png", ["large.png is empty"]),
    ("predict RUN own.png --csv --jsonl", ["give only one of --csv, --jsonl and --json"]),
    ("predict RUN other/thesis.tex", ["cannot be read as a picture"]),
    ("predict RUN cut.png", ["cannot be read as a picture"]),
    ("predict nowhere own.png", ["nowhere is not a run folder"]),
    ("plot nowhere", ["nowhere is not a run folder"]),
    ("data", ["twofold data get NAME"]),
    ("data fetch mnist", ["twofold data get NAME"]),
    ("data get", ["NAME"]),
    ("data get mnits", ["did you mean 'mnist'?"]),
    ("data get mnist --data-dir noise", ["is not an IDX file"]),
    ("data get mnist --data-dir cut", ["t10k-labels-idx1-ubyte", "delete it and run `twofold data get mnist`"]),
    ("claims runn", ["runn"]),
    ("claims --results nowhere", ["--results is nowhere, which is not a folder"]),
    ("claims run layer --results RUN", ["--results needs --size full"]),
    ("bench epoch --folder own.png", ["--folder is own.png, which is not writable"]),
    ("claims run mnits", ["unknown claim 'mnits'", "did you mean 'mnist'?"]),
    ("claims run", ["ID"]),
    ("claims show mnits", ["unknown claim 'mnits'", "did you mean 'mnist'?"]),
    ("claims show", ["ID"]),
    ("claims run layer --size huge", ["--size", "huge"]),
    ("claims draw", ["ID"]),
    ("claims draw mnits", ["unknown claim 'mnits'", "did you mean 'mnist'?"]),
    ("claims draw mnist", ["claim 'mnist' has no plot: choose one of regime, depth, top-down, moving, relax,"]),
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
        for name in IDX_FILES:
            (tmp_path / folder / "mnist" / name).write_bytes(content)
    for name, count in zip(IDX_FILES[:3], (2, 2, 2), strict=True):
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


PATHS = [
    "train digits --widths 5 --epochs 1 --no-pictures --run PATH",
    "train digits --from PATH",
    "train mnist --data-dir PATH",
    "train --data PATH",
    "train --data other --test PATH",
    "eval PATH",
    "eval RUN --data PATH",
    "predict PATH own.png",
    "predict RUN PATH",
    "plot PATH",
    "tune digits --study PATH",
    "data get mnist --data-dir PATH",
    "claims --results PATH",
    "claims run layer --runs PATH",
    "claims draw regime --results PATH --out PATH --runs PATH",
    "bench epoch --folder PATH",
]
"""Every path that a command takes."""

BAD = {
    "empty": "",
    "too long": "x" * 300,
    "below a file": "own.png/more",
    "a zero byte": "run\0",
    "no text": "run\udcff",
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("words", PATHS)
def test_a_path_that_cannot_be_is_told_in_one_line(
    words: str, bad: str, around: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_get", lambda url, limit: b"")
    before = hashes(around), hashes(folder)
    given = {"PATH": BAD[bad], "RUN": str(folder)}
    code, _, err = answer([given.get(word, word) for word in words.split()])
    assert code == 1
    assert len(err) == 1
    assert err[0].startswith("twofold: error: ")
    assert (hashes(around), hashes(folder)) == before


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied", "secret/x"), OSError("broken"), UnicodeError("no")]
)
def test_what_the_system_refuses_is_told_in_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(words: object) -> None:
        raise error

    monkeypatch.setitem(COMMANDS, "plot", refuse)
    code, _, err = answer(["plot"])
    assert (code, len(err)) == (1, 1)
    assert err[0].startswith(f"twofold: error: {getattr(error, 'filename', None) or error}")


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "plot", lambda words: {}["never"])
    with pytest.raises(KeyError):
        answer(["plot"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, so that asking for it is no mistake")
def test_a_gpu_that_is_not_there_is_told(tmp_path: Path) -> None:
    code, _, err = answer(["train", "digits", "--device", "cuda"])
    assert (code, err) == (
        1,
        ["twofold: error: --device is cuda, but torch finds no CUDA device: use --device cpu"],
    )
    assert hashes(tmp_path) == {}


def test_data_that_cannot_be_downloaded_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(url: str, limit: int) -> bytes:
        raise OSError("network is unreachable")

    monkeypatch.setattr(fetch, "_get", offline)
    code, _, err = answer(["data", "get", "mnist", "--data-dir", "here"])
    assert code == 1
    assert len(err) == 1
    assert "mnist cannot be downloaded" in err[0]
    assert hashes(tmp_path) == {}


@pytest.mark.slow
def test_a_mistake_ends_a_process_with_one_line_and_without_a_traceback(tmp_path: Path) -> None:
    ended = subprocess.run([*PROGRAM, "train", "digits", "--epochs", "x"], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("twofold: error: ")
    assert hashes(tmp_path) == {}
