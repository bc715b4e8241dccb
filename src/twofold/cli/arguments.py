"""The arguments of each command as a dataclass, and the parser that fills one from the words of a command line."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro

from twofold.errors import SettingError, unknown

T = TypeVar("T")

COMMAS = "put spaces between numbers and points into decimals, as in --widths 20 20 --rate 0.5, or "
"""What to do about `--widths 20,20`, and about `--rate 0,5`."""

RunPath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
"""A run folder, given as a positional argument."""

FROM = "from"
"""The word for `Training.start`, which as a name is taken by Python."""


@dataclass(frozen=True)
class Where:
    """Options that change where and how fast, not what is computed.

    Attributes:
        device: auto takes the GPU where there is one.
        precision: of the matrix products; auto takes bf16 where the processor has fast instructions for it.
        data_dir: folder with data sets, looked in first.
        json: end with one JSON object on the last line.
    """

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    data_dir: Path | None = None
    json: bool = False


@dataclass(frozen=True)
class Training(Where):
    """Options of a training.

    Attributes:
        run: the run folder; by default runs/RECIPE-seedN, with a number appended if that exists.
        resume: go on from the last checkpoint of the run folder; by default of the newest one of this training.
        start: a complete run whose trained net is trained further, in a run folder and with a schedule of its own.
        with_twin: train the backprop twin too, into RUN/twin: same data, net, batch, jitter and seed, its own rate.
        offload: keep layers that are not in use on disk beside the run folder, for nets too deep for memory.
        pictures: draw the pictures at the end.
    """

    run: Path | None = None
    resume: bool = False
    start: Annotated[Path | None, tyro.conf.arg(name=FROM, metavar="RUN")] = None
    offload: bool = False
    with_twin: bool = False
    pictures: bool = True


@dataclass(frozen=True)
class OwnData:
    """Options of data of your own, which `--data PATH` names: a folder of class folders, an .npz, a table, or an IDX
    file.

    Attributes:
        recipe: whose settings are used; by default those of the recipe that fits the data.
        label: the column with the label, for a table.
        size: width and height to which pictures are scaled, as 28 or 32x24; needed where they differ.
        test: a second folder or file of the same kind, for the test part.
        test_share: share of each class that is split off for testing where no test part is there; by default 0.2.
        split_seed: of that split, and of the order of the training cases.
        skip_unreadable: leave out pictures that cannot be read.
    """

    recipe: str | None = None
    label: str | None = None
    size: str | None = None
    test: Path | None = None
    test_share: float | None = None
    split_seed: int = 0
    skip_unreadable: bool = False


@dataclass(frozen=True)
class Tuning(Where):
    """Options of a study.

    Attributes:
        trials: settings that are tried of the recipe, and as many of its twin.
        workers: processes that train, each of one thread; by default as many as there are processors.
        study: the study folder, in which a study that was stopped goes on; by default runs/tune/RECIPE.
        twin: tune the backprop twin too.
        record: write the record to results/tuning and the picture to docs/pictures.
    """

    trials: int = 16
    workers: int | None = None
    study: Path | None = None
    twin: bool = True
    record: bool = False


@dataclass(frozen=True)
class Eval(Where):
    """Test a trained net again.

    Attributes:
        run: the run folder.
        test: slow (goodness of every label), fast (one pass, softmax), settled (after settling, softmax), shortlist
            (slow among the fast test's best), both (slow and fast with equal weight), or all that the net has.
        shortlist: number of labels that the fast test passes to the slow one; by default 3.
        data: where data of your own lie now, if no longer where they were read from.
    """

    run: RunPath = dataclasses.field(kw_only=True)
    test: str = "all"
    shortlist: int | None = None
    data: Path | None = None


@dataclass(frozen=True)
class Predict:
    """Classify pictures, or the rows of a table.

    Pictures may have any size, kind of pixels, transparency, orientation and polarity: they are brought to what the net
    was trained on, and what was done is said. A table must have the columns of the training table; what each test names
    for a row is printed as CSV, and with --json as a JSON object a line.

    Attributes:
        run: the run folder.
        pictures: picture files, or folders of them; or a .csv, .tsv or .parquet.
        csv: a line of CSV for each picture.
        jsonl: a JSON object on a line for each picture.
        data_dir: folder with data sets, looked in first; for older runs, which do not know how their pictures look.
        json: end with one JSON object on the last line.
    """

    run: RunPath
    pictures: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PICTURE...")]
    csv: bool = False
    jsonl: bool = False
    data_dir: Path | None = None
    json: bool = False


@dataclass(frozen=True)
class Plot:
    """Draw the pictures of a run into its folder.

    Attributes:
        run: the run folder.
        data: where data of your own lie now, if no longer where they were read from.
        data_dir: folder with data sets, looked in first.
        json: end with one JSON object on the last line.
    """

    run: RunPath
    data: Path | None = None
    data_dir: Path | None = None
    json: bool = False


@dataclass(frozen=True)
class DataGet:
    """Find or download a data set, check it and describe it.

    Attributes:
        name: name of the data set.
        data_dir: folder that is to have the files: what is not in it is downloaded to it.
        json: end with one JSON object on the last line.
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    data_dir: Path | None = None
    json: bool = False


@dataclass(frozen=True)
class Claims:
    """The ledger of claims.

    `twofold claims run ID` measures a claim. `twofold claims draw ID` draws the picture of a claim that has one:
    top-down, moving, relax, analog, black-box, cancel, mortal, power or regime.

    Attributes:
        results: folder with the committed results.
        json: print the ledger as one JSON list.
    """

    results: Path = Path("results")
    json: bool = False


@dataclass(frozen=True)
class ClaimsRun(Where):
    """Run one claim's experiment.

    Attributes:
        id: id of the claim, see `twofold claims`.
        size: smoke takes seconds on the embedded data, full is the real thing.
        runs: folder of the trainings, which claims share and which continue where they were interrupted.
        results: folder to which the record is written at full size.
    """

    id: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ID")] = dataclasses.field(kw_only=True)
    size: Literal["smoke", "full"] = "smoke"
    runs: Path = Path("runs/claims")
    results: Path = Path("results")


@dataclass(frozen=True)
class ClaimsDraw(Where):
    """Draw the picture of a claim: top-down, moving, relax, analog, black-box, cancel, mortal, power or regime.

    Attributes:
        id: id of the claim.
        size: smoke draws small nets on the embedded data, full the real thing.
        runs: folder of the trainings; nets that the picture needs and that are not there are trained.
        results: folder of the records, from which regime is drawn at full size.
        out: the PNG to write; by default ID.png, at full size in docs/pictures if that exists, else in --runs.
    """

    id: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ID")] = dataclasses.field(kw_only=True)
    size: Literal["smoke", "full"] = "smoke"
    runs: Path = Path("runs/claims")
    results: Path = Path("results")
    out: Path | None = None


@dataclass(frozen=True)
class Bench(Where):
    """Options of a benchmark.

    Attributes:
        folder: folder for the record NAME.json and the picture NAME.png, which replace older ones.
    """

    folder: Path = Path("runs/bench")


@dataclass(frozen=True)
class InstrumentServe:
    """Simulate an instrument that trainings on this machine can use, until it is ended with Ctrl-C.

    Attributes:
        device: random-relu (a random matrix and a rectifier) or one-bit (a random matrix and the sign).
        port: on the loopback interface; 0 takes a free one.
        pipes: answer on stdin and stdout and no port, as a process that the training starts.
        inputs: numbers in a row that it takes.
        units: numbers in a row that it gives.
        noise: standard deviation of the noise of each read, where the total inputs have about 1.
        drift: the most that the gain of a unit moves away from 1.
        seed: of the matrix, the noise and the drift.
    """

    device: str = "random-relu"
    port: int = 5555
    pipes: bool = False
    inputs: int = 500
    units: int = 500
    noise: float = 0.05
    drift: float = 0.0
    seed: int = 0


def stated(words: Sequence[str]) -> frozenset[str]:
    """The fields that the words of a command line name, whatever their values."""
    names = (word.partition("=")[0].removeprefix("--").replace("-", "_") for word in words if word.startswith("--"))
    return frozenset(each for name in names for each in (name, name.removeprefix("no_")))


def value_of(option: str, words: Sequence[str]) -> str | None:
    """The value that the words of a command line give to an option; the last one, as it counts; ``None`` for none."""
    found = None
    for word, following in itertools.pairwise([*words, ""]):
        name, equals, value = word.partition("=")
        if name == option:
            found = value if equals else following
    return found


def parse(kind: Callable[..., T], words: Sequence[str], command: str, default: Any = None, others: bool = False) -> T:
    """Parse the words of a command line into a dataclass.

    Args:
        kind: the dataclass.
        words: of the command line.
        command: named in errors.
        default: has the values that no word states.
        others: whether there may be words that are no fields.

    Raises:
        SettingError: a word is not a field (the nearest is suggested), or a value is of the wrong kind.
    """
    options: dict[str, Any] = {"default": default} if default is not None else {}
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            parsed, rest = tyro.cli(
                kind,
                prog=f"twofold {command}",
                args=list(words),
                return_unknown_args=True,
                config=(tyro.conf.OmitArgPrefixes,),
                **options,
            )
    except SystemExit as end:
        if not end.code:
            print(said.getvalue(), end="")
            raise
        if missing := _missing(said.getvalue()):
            raise SettingError(f"twofold {command} needs {missing}: see twofold {command} --help") from None
        advice = COMMAS if any(re.fullmatch(r"[\d.]*,[\d.,]*", word.rpartition("=")[2]) for word in words) else ""
        raise SettingError(f"{_first_paragraph(said.getvalue())}: {advice}see twofold {command} --help") from None
    if rest and not others:
        wrong = next((word for word in rest if word.startswith("--")), rest[0]).split("=")[0]
        names = [f"--{name.replace('_', '-')}" for name in _field_names(parsed)]
        if not wrong.startswith("--") or wrong in names:
            raise SettingError(f"unexpected word {wrong!r} after `twofold {command}`: see twofold {command} --help")
        raise unknown("field", wrong, names)
    return parsed


def _first_paragraph(box: str) -> str:
    """Put the first paragraph of an error of tyro's, which is in a box or, in a pipe, under a rule, on one line."""
    lines = [line.strip("│ ") for line in box.splitlines()[1:]]  # the first line is a title

    def is_rule(line: str) -> bool:
        return not line.strip("─-╰╯")

    paragraph = itertools.takewhile(lambda line: not is_rule(line), itertools.dropwhile(is_rule, lines))
    text = " ".join(" ".join(paragraph).split()).rstrip(".")
    return text.removeprefix("Error parsing recipe: ").removeprefix("Error parsing ")


def _missing(box: str) -> str:
    """What is missing by an error of tyro's, which explains each of it in lines that stand further in; or nothing."""
    lines = iter(line.strip("│").rstrip() for line in box.splitlines())
    if not any(line.strip().startswith("Missing from ") for line in lines):
        return ""
    block = list(itertools.takewhile(lambda line: line.startswith("   "), lines))
    edge = min((len(line) - len(line.lstrip()) for line in block), default=0)
    return " and ".join(line.strip() for line in block if not line[edge:].startswith(" "))


def _field_names(parsed: Any) -> list[str]:
    names = []
    for field in dataclasses.fields(parsed):
        value = getattr(parsed, field.name)
        names += (
            _field_names(value) if dataclasses.is_dataclass(value) else [FROM if field.name == "start" else field.name]
        )
    return names
