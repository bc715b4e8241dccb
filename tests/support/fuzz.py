"""Run files and command lines at random, and what a command may answer to them."""

from __future__ import annotations

import contextlib
import copy
import json
import re
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest
from hypothesis import strategies as st

from support.command_line import answer
from twofold import checkpoint
from twofold.cli.arguments import DataGet, Eval, Plot, Predict, Training
from twofold.data import fetch
from twofold.errors import TwofoldError
from twofold.files import sign
from twofold.recipes import RECIPES
from twofold.training import trainer
from twofold_lab.cli import Claims

TRAIN = ["digits", "--widths", "6", "5", "--epochs", "2", "--batch", "100", "--no-pictures", "--precision", "fp32"]
"""Of the runs whose files are changed."""

HANG = 30
"""Seconds after which a command is taken to hang."""

TEXTS = ("config.json", "result.json", "metrics.jsonl")


class Case(NamedTuple):
    """A command line over files at random.

    Attributes:
        words: of the command; RUN stands for the run folder.
        run: which run it is about, ``complete`` or ``stopped``; nothing where there is none.
        file: the name of the file in it that is replaced.
        content: by what.
        sealed: whether nobody can see that it was changed: it carries a digest of its own, or is not read.
    """

    words: list[str]
    run: str = ""
    file: str = ""
    content: bytes = b""
    sealed: bool = False


# Files ---------------------------------------------------------------------------------------------------------------

ODD = [*(0, -1, 2, 1.5, -0.0, 2**31, 2**63, 10**30, 10**400, 1e308, 5e-324), *("", "0", "digits", "\0", "ü", "x" * 300)]
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
JUNK = st.sampled_from(ODD) | st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NUMBERS = ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "0x10", "01", "1_0", "-", "9" * 5000, "null"]
BROKEN: list[Callable[[bytes], bytes]] = [
    lambda text: b"",
    lambda text: b"null",
    lambda text: b"[" + text + b"]",
    lambda text: b"[" * 100_000,
    lambda text: b'{"a":' * 50_000,
    lambda text: b"\xff" + text,
    lambda text: text.replace(b"e", b"\xc3", 1),
    lambda text: b"\xef\xbb\xbf" + text,
    lambda text: text.decode(errors="replace").encode("utf-16"),
    lambda text: text + text,
    lambda text: text + b"x",
    lambda text: text.replace(b"\n", b"\r\n"),
    lambda text: text.replace(b"{", b'{"format": 1, "seed": 7, "epoch": 1,', 1),
    lambda text: bytes(len(text)),
]


@st.composite
def edited(draw: st.DrawFn, content: Any) -> Any:
    """JSON content in which one to three entries are gone, added or other."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        holder, keys = content, _keys(content)
        while keys:
            key = draw(st.sampled_from(keys))
            if not _keys(holder[key]) or draw(st.integers(0, 2)) == 0:
                break
            holder, keys = holder[key], _keys(holder[key])
        how = draw(st.sampled_from(["delete", "replace", "replace", "replace", "add"]))
        if how == "add" and isinstance(holder, dict):
            holder[draw(st.text(max_size=9))] = draw(JUNK)
        elif keys and how == "delete":
            del holder[key]
        elif keys:
            holder[key] = draw(JUNK)
    return content


def _keys(holder: Any) -> list[Any]:
    if isinstance(holder, dict):
        return list(holder)
    return list(range(len(holder))) if isinstance(holder, list) else []


@st.composite
def broken(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes that are cut, or changed in a way in which no program writes them."""
    how = draw(st.integers(0, 3))
    if how == 0:
        return content[: draw(st.integers(0, len(content) - 1))]
    numbers = list(re.finditer(rb"\b\d+(\.\d+)?\b", content))
    if how == 1 and numbers:
        found = draw(st.sampled_from(numbers))
        return content[: found.start()] + draw(st.sampled_from(NUMBERS)).encode() + content[found.end() :]
    return draw(st.sampled_from(BROKEN))(content)


@st.composite
def other_text(draw: st.DrawFn, path: Path) -> tuple[bytes, bool]:
    """Other content for a JSON file of a run, and whether it has a digest of its own."""
    content = path.read_bytes()
    if draw(st.integers(0, 3)) == 0:
        return draw(broken(content)), False
    lines = path.suffix == ".jsonl"
    read = [json.loads(line) for line in content.decode().splitlines()] if lines else [json.loads(content)]
    sealed = draw(st.booleans())
    if sealed:
        for each in read:
            each.pop("digest", None)
    changed = draw(edited(read if lines else read[0]))
    each_changed = changed if lines else [changed]
    with contextlib.suppress(ValueError):  # a number that JSON does not have cannot be sealed
        if sealed and all(isinstance(each, dict) for each in each_changed):
            text = ""
            for each in each_changed:
                text += sign(each, None if lines else 2, text) + "\n"
            return text.encode(), True
    parts = [json.dumps(each, indent=None if lines else 2) + "\n" for each in each_changed]
    return "".join(parts).encode("utf-8", "surrogatepass"), False


@st.composite
def other_tensors(draw: st.DrawFn, path: Path) -> tuple[bytes, bool]:
    """Other content for a file of tensors, and whether it has a digest of its own."""
    content = path.read_bytes()
    how, start = draw(st.integers(0, 3)), 8 + int.from_bytes(content[:8], "little")
    if how == 0:
        return draw(broken(content)), False
    if how == 1:  # another header before the same numbers
        header = json.dumps(draw(edited(json.loads(content[8:start])))).encode("utf-8", "surrogatepass")
        return len(header).to_bytes(8, "little") + header + content[start:], False
    tensors, facts = checkpoint.read(path)
    if how == 2 and tensors:
        name = draw(st.sampled_from(sorted(tensors)))
        tensors[draw(st.sampled_from([name, "other"]))] = tensors.pop(name).flatten()[: draw(st.integers(0, 3))]
    else:
        facts = draw(edited(facts))
    other = path.with_name("other.safetensors")
    try:
        checkpoint.write(other, tensors, facts)
        return other.read_bytes(), True
    except (ValueError, UnicodeError):  # a number or a text that JSON does not have
        return content[:start], False
    finally:
        other.unlink(missing_ok=True)


@st.composite
def files(draw: st.DrawFn, runs: Path) -> Case:
    """A command over a run one of whose files is another. In ``runs`` lie a ``complete`` and a ``stopped`` one."""
    run, resume = (
        draw(st.sampled_from(["complete", "complete", "stopped"])),
        ["train", *TRAIN, "--run", "RUN", "--resume"],
    )
    if run == "stopped":
        words = draw(st.sampled_from([resume, resume, ["eval", "RUN"]]))
        file = draw(st.sampled_from(["config.json", "metrics.jsonl", "checkpoint.safetensors"]))
    else:
        words = draw(
            st.sampled_from([["eval", "RUN", "--json"], ["predict", "RUN", "own.png"], ["plot", "RUN"], resume])
        )
        file = draw(st.sampled_from([*TEXTS, *TEXTS, "weights.safetensors"]))
    kind = other_text if file in TEXTS else other_tensors
    content, sealed = draw(kind(runs / run / file))
    unread = file == "weights.safetensors" and words == resume
    return Case(words, run, file, content, sealed or unread or content == (runs / run / file).read_bytes())


@st.composite
def records(draw: st.DrawFn, results: Path) -> Case:
    """The ledger over a record of a claim that is another."""
    path = draw(st.sampled_from(sorted((results / "claims").glob("*.json"))))
    content, sealed = draw(other_text(path))
    words = ["claims", "--results", "RUN", *draw(st.sampled_from([[], ["--json"]]))]
    return Case(words, "results", f"claims/{path.name}", content, sealed)


# Words ---------------------------------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.sampled_from(
        ["", " ", "0", "-1", "1", "3", "2.5", "0.01", "1e3", "1_000", "0x10", "+1", "1.", ".5", "1,5", "20,20"]
    ),
    st.sampled_from(
        ["٣", "½", "nan", "inf", "-inf", "1e999", "1e-400", "9" * 400, "9" * 5000, "None", "True", "False"]
    ),
    st.sampled_from(
        ["[]", "{}", "null", "--", "-", "--help", "\0", "a\0b", "\udcff", "ü", "🙂", "a\nb", "\t", "..", "'"]
    ),
    st.sampled_from(["digits", "digit", "hard", "cpu", "cuda", "fp32", "bf16", "sum_of_squares", "top", "x" * 300]),
    st.integers(-3, 12).map(str),
    st.sampled_from([2**31, 2**63 - 1, 2**64, 10**9, 10**18, -(2**63)]).map(str),
    st.floats(allow_nan=True).map(str),
    st.text(st.characters(exclude_characters="/~"), max_size=6),
)
"""Values of options, few of them meant. None is a path that leads anywhere."""

LONG = {"--iterations", "--judge-to", "--blurs", "--window", "--epochs"}
"""Options that take as long as they say: a huge value is no mistake, and no test either."""

NAMES = [
    "digits",
    "digits-twin",
    "recurrent",
    "mnist-hybrid",
    "mnist-hybrid-local",
    "mnist-jitter",
    "digts",
    "",
    "\0",
    "ü",
]
TINY = ["--data", "digits", "--widths", "3", "2", "--batch", "100", "--no-pictures"]


def _options(*kinds: Any) -> list[str]:
    names = [each.name for kind in kinds for each in fields(kind)]
    return [f"--{name.replace('_', '-')}" for name in names]


@st.composite
def commands(draw: st.DrawFn) -> Case:
    """A command whose words are real, misspelled or nonsense. What it would take long to do cannot be asked for."""
    command = draw(st.sampled_from(["train"] * 6 + ["eval", "predict", "plot", "data", "claims", "run", "nonsense"]))
    options: list[str] = []
    if command == "train":
        name = draw(st.sampled_from(NAMES))
        words, options = ["train", name, *TINY], _options(type(RECIPES.get(name, RECIPES["digits"])), Training)
    elif command == "data":
        words, options = ["data", "get", draw(st.sampled_from(["digits", "digit", "", "mnits"]))], _options(DataGet)
    elif command == "claims":
        words, options = ["claims"], _options(Claims)
    elif command == "run":
        words = ["claims", draw(st.sampled_from(["run", "draw"])), draw(st.sampled_from(["mnits", "", "gan", "\0"]))]
        options = ["--size", "--runs", "--device"]
    elif command == "nonsense":
        words = draw(st.lists(VALUES, max_size=3))
    else:
        kind = {"eval": Eval, "predict": Predict, "plot": Plot}[command]
        named = [draw(st.sampled_from(["RUN", "RUN", "RUN/twin", "", "nowhere", "own.png", "\0", "x" * 300]))]
        picture = (
            [draw(st.sampled_from(["own.png", "RUN", "", "nowhere.png", "\0", "."]))] if command == "predict" else []
        )
        words, options = [command, *named, *picture], _options(kind)
    for _ in range(draw(st.integers(0, 3)) if options else 0):
        option = draw(st.sampled_from([*options, "--nonsense", options[0][:-1]]))
        values = draw(st.lists(VALUES, max_size=2))
        if option in LONG:
            values = [value for value in values if not value.strip("+- ").isdigit() or len(value) < 3]
        words += [f"{option}={values[0]}"] if values and draw(st.booleans()) else [option, *values]
    return Case(words, "complete")


@contextlib.contextmanager
def one_batch_only() -> Iterator[None]:
    """Trainings see one batch, enough for a wrong setting to show, and stop with an error; nothing is downloaded."""

    def one_batch(self: trainer.Trainer, *rest: Any) -> NoReturn:
        for drawn in self.method.sampler.epoch(self.method.recipe.batch):
            self.method.step(self.method.batch(drawn.cases, drawn.case_weight), 0.0)
            self.method.check()
            break
        raise TwofoldError("this is enough of a training")

    def offline(*rest: Any) -> NoReturn:
        raise OSError("network is unreachable")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.Trainer, "epochs", one_batch)
        patch.setattr(fetch, "_get", offline)
        yield


# Answers -------------------------------------------------------------------------------------------------------------


class Hung(BaseException):
    """A command that has not answered in time."""


def call(words: list[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command in this process.

    Raises:
        Hung: it takes longer than `HANG` seconds.
    """

    def stop(*rest: Any) -> NoReturn:
        raise Hung

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(HANG)
    try:
        code, out, err = answer(words)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return code, "\n".join(out), "\n".join(err)


def fault(case: Case, code: int | None, err: str) -> str:
    """What is wrong with the answer to a command; empty where nothing is.

    An error is one line and exit code 1 or 2. Exit code 0 is right where nothing can be seen to be wrong, and where a
    note names the file that was changed.
    """
    lines = err.splitlines()
    errors = [line for line in lines if line.startswith("twofold: error: ")]
    notes = [line for line in lines if line.startswith("twofold: note: ")]
    others = [line for line in lines if line not in errors + notes]
    if "Traceback (most recent call last)" in err:
        return "tracebacks"
    if code is None:
        return "hangs"
    if code not in (0, 1, 2):
        return "exit codes"
    if len(errors) != (code > 0) or (others and "train" not in case.words):  # a training tells its progress
        return "not one line"
    must_be_said = case.file and not case.sealed and case.run != "results"
    if code == 0 and must_be_said and not any(Path(case.file).name in line for line in notes):
        return "unnoticed changes"
    return ""


def placed(case: Case, runs: Path, run: Path) -> list[str]:
    """Put the files of a case at ``run``; the words of its command."""
    shutil.rmtree(run, ignore_errors=True)
    if case.run:
        shutil.copytree(runs / case.run, run)
    if case.file:
        (run / case.file).write_bytes(case.content)
    return [word.replace("RUN", str(run)) for word in case.words]


def summary(case: Case) -> Mapping[str, Any]:
    """A case in a few words, to find out what is wrong with it."""
    return {
        "words": case.words,
        "file": f"{case.run}/{case.file}",
        "content": case.content[:3000],
        "sealed": case.sealed,
    }
