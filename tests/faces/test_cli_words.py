"""Whatever words a command is given, it ends with an exit code that is documented, and with one line where it fails.

Oracle: the documented contract, over words that hypothesis draws from real names, near misses and odd values. Whatever
is accepted stops where the training, the experiment or the measurement would begin.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.command_line import answer
from twofold.cli import arguments
from twofold.cli.commands import COMMANDS
from twofold.data import DATASETS, fetch
from twofold.errors import RunError
from twofold.recipes import RECIPES
from twofold.training import train as training
from twofold.tuning import tune
from twofold_lab import benchmarks, ledger
from twofold_lab import cli as lab_cli

KINDS = [
    *(arguments.Training, arguments.Tuning, arguments.Eval, arguments.Predict, arguments.Plot, arguments.DataGet),
    *(
        lab_cli.ClaimsRun,
        lab_cli.ClaimsDraw,
        lab_cli.Bench,
        *map(type, RECIPES.values()),
        *benchmarks.benchmarks().values(),
    ),
]
OPTIONS = sorted({f"--{field.name.replace('_', '-')}" for kind in KINDS for field in dataclasses.fields(kind)})
SWITCHES = ["--from", "--no-resume", "--no-pictures", "--help", "--json", "--", "-", "-h", "--epoch", "--WIDTHS", "---"]

NUMBERS = [
    "0",
    "-1",
    "1",
    "3",
    "007",
    "1_000",
    "1e3",
    "1e400",
    "-0.0",
    "nan",
    "inf",
    "-inf",
    "0x10",
    "٣",
    "²",
    "½",
    "1,5",
]
NUMBERS += [
    "20,20",
    "1" * 30,
    "1" * 5000,
    "9223372036854775808",
    "1.5",
    ".5",
    "5.",
    "+2",
    "--2",
    "1e-400",
    "True",
    "None",
]
TEXTS = [
    "",
    " ",
    "\t",
    "ü",
    "\U0001f600",
    "\udcff",
    "\0",
    "a\nb",
    "x" * 300,
    "*",
    "~",
    "%s",
    "{}",
    "'",
    "=",
    "[1]",
    "/",
]
PATHS = ["RUN", "RUN/twin", "nowhere", "a/b", ".", "..", "/dev/null", "own.txt", "own.txt/x"]
NAMES = [
    *RECIPES,
    *DATASETS,
    *ledger.ledger(),
    *benchmarks.benchmarks(),
    *COMMANDS,
    "run",
    "draw",
    "get",
    "all",
    "slow",
    "fast",
    "full",
    "cuda",
]

values = st.one_of(
    *(st.sampled_from(each) for each in (NUMBERS, NUMBERS, TEXTS, PATHS, NAMES)),
    st.text(max_size=3),
    st.floats().map(str),
)
options = st.sampled_from([*OPTIONS, *SWITCHES])
pairs = st.one_of(
    st.tuples(options, values),
    st.tuples(options),
    st.tuples(values),
    st.builds(lambda option, value: (f"{option}={value}",), options, values),
    st.tuples(options, values, values),
)
starts = st.one_of(
    st.sampled_from(["digits", "digits-twin", "recurrent", "cifar-local"]).map(lambda name: ["train", name]),
    st.sampled_from(["digits", "digits-twin", "recurrent"]).map(lambda name: ["tune", name]),
    st.sampled_from([["eval", "RUN"], ["predict", "RUN"], ["plot", "RUN"], ["data", "get"], ["claims"]]),
    st.sampled_from(sorted(ledger.ledger())).map(lambda name: ["claims", "run", name]),
    st.sampled_from(sorted(ledger.ledger())).map(lambda name: ["claims", "draw", name]),
    st.sampled_from(sorted(benchmarks.benchmarks())).map(lambda name: ["bench", name]),
    st.sampled_from([*COMMANDS, "help", "--version", "trian", ""]).map(lambda name: [name]),
)
commands = st.builds(
    lambda start, rest: [*start, *(word for each in rest for word in each)], starts, st.lists(pairs, max_size=3)
)


@pytest.fixture
def _nothing_long_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(*given: Any, **named: Any) -> None:
        raise RunError("now it would begin")

    def offline(url: str, limit: int) -> bytes:
        raise OSError("network is unreachable")

    monkeypatch.setattr(training, "_train", begin)
    monkeypatch.setattr(tune.Study, "run", begin)
    monkeypatch.setattr(ledger, "Lab", begin)
    monkeypatch.setattr(benchmarks, "run", begin)
    monkeypatch.setattr(fetch, "_get", offline)


@pytest.mark.slow
@pytest.mark.usefixtures("_in_an_empty_folder", "_nothing_long_begins")
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(words=commands)
def test_whatever_words_are_given_the_answer_is_there_or_one_line_says_why_not(words: list[str], folder: Path) -> None:
    Path("own.txt").touch()
    words = [word.replace("RUN", str(folder)) for word in words]
    code, out, err = answer(words)
    wrong = [line for line in err if not line.startswith("twofold: note: ")]
    assert code in (0, 1, 2)
    assert len(wrong) == (code != 0), err
    assert all(line.startswith("twofold: error: ") for line in wrong)
    if code == 0 and "--json" in words and not {"--help", "-h", "help", "--version"} & set(words):
        json.loads(out[-1])
