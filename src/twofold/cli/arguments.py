"""Arguments of the commands as dataclasses, and the command-line parser."""

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
"""Advice in error messages about values such as `--widths 20,20` and `--rate 0,5`."""

RunPath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
"""Type of the positional argument RUN, which is a run folder."""

Maybe = Annotated[T | None, tyro.conf.DisallowNone, tyro.conf.arg(help_behavior_hint="(optional)")]
"""Type of an option without a default value."""

FROM = "from"
"""Name of the option for the field `Training.start`, which cannot be called ``from``, a Python keyword."""

KEYWORDS = {"start": FROM, "read_as": "as"}
"""Field -> name of its option, for options whose names are keywords of Python."""


@dataclass(frozen=True)
class CommonOptions:
    """Options for the device, the precision, data folders and output.

    Attributes:
        device: device to use; auto selects the GPU if there is one.
        precision: precision of matrix products; auto selects bf16 if the device has fast instructions for it.
        data_dir: folder that is searched first for data sets.
        json: print the result as one JSON object in the last line of the output.
    """

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    data_dir: Maybe[Path] = None
    json: bool = False


@dataclass(frozen=True)
class Training(CommonOptions):
    """Options of the training run.

    Attributes:
        run: folder for the results; by default runs/RECIPE-seedN, with a number appended if that folder exists.
        resume: resume from the last checkpoint. Without --run, the newest run folder with these settings is used.
        start: folder of a complete run whose net is trained further, in a new run folder and with a new schedule.
        with_twin: also train the backprop twin, in RUN/twin, with the same data, layers, batch size, distortions and
            seed.
        offload: keep layers on disk, so that only one layer at a time has to fit into memory.
        pictures: after training, plot the results in RUN/pictures.
    """

    run: Maybe[Path] = None
    resume: bool = False
    start: Annotated[Maybe[Path], tyro.conf.arg(name=FROM, metavar="RUN", help_behavior_hint="(optional)")] = None
    offload: bool = False
    with_twin: bool = False
    pictures: bool = True


@dataclass(frozen=True)
class OwnData:
    """Options for your own data, with --data PATH: a folder of class folders, an .npz file, a table, or an IDX file.

    Attributes:
        recipe: recipe to use; by default selected for the type and size of the data.
        label: name of the column with the label, for tables.
        read_as: pictures if the columns of a table are the pixels of images, which are square unless --size is given.
        size: width and height in pixels to which images are scaled, such as 28 or 32x24; required if image sizes
            differ.
        test: test set, as a folder or file of the same type as --data.
        test_share: fraction of each class to split off as the test set if there is no test set; by default 0.2.
        split_seed: random seed of the split and of the order of the training cases.
        skip_unreadable: skip image files that cannot be read; without this option, they are an error.
        class_weight: balanced for weights of the cases that are inversely proportional to the sizes of their classes.
        missing: fill missing values of a table (numbers with the median and a feature that marks them), or refuse them.
    """

    recipe: Maybe[str] = None
    label: Maybe[str] = None
    read_as: Annotated[Maybe[Literal["pictures"]], tyro.conf.arg(name="as", help_behavior_hint="(optional)")] = None
    size: Maybe[str] = None
    test: Maybe[Path] = None
    test_share: Maybe[float] = None
    split_seed: int = 0
    skip_unreadable: bool = False
    class_weight: Maybe[Literal["balanced"]] = None
    missing: Literal["fill", "refuse"] = "fill"


@dataclass(frozen=True)
class Tuning(CommonOptions):
    """Options of the study, which tries several settings of a recipe and its twin on held-out images.

    Attributes:
        trials: number of settings to try for the recipe, and the same number for its twin.
        workers: number of training processes, with one thread each; by default one per processor.
        study: folder for the trials; by default runs/tune/RECIPE. An interrupted study in it is resumed.
        twin: also tune the backprop twin.
        record: write the result to results/tuning, and its plot to docs/pictures if that folder exists.
    """

    trials: int = 16
    workers: Maybe[int] = None
    study: Maybe[Path] = None
    twin: bool = True
    record: bool = False


@dataclass(frozen=True)
class Eval(CommonOptions):
    """Test a trained net again, on the test set or the held-out cases of its run.

    Attributes:
        run: run folder, or a file written by twofold export or pull.
        test: test to run: slow (the label with the highest goodness, from a pass for each label); fast (softmax
            classifier, from one pass with a neutral label); settled (softmax classifier after the iterations of a
            recurrent net); shortlist (slow test of the best labels of the fast test); both (slow and fast with equal
            weight); or all.
        shortlist: number of labels on the shortlist; by default 3.
        data: new location of your own data, if they were moved after training.
    """

    run: RunPath = dataclasses.field(kw_only=True)
    test: str = "all"
    shortlist: Maybe[int] = None
    data: Maybe[Path] = None


@dataclass(frozen=True)
class Predict:
    """Classify images, or the rows of a table.

    Images may have any size, pixel format, transparency, orientation and polarity. They are preprocessed to match the
    training data, and the preprocessing steps are printed. A table must have the columns of the training table. For
    each row, the class predicted by each test is printed, as CSV or, with --jsonl, as JSON.

    Attributes:
        run: run folder, or a file written by twofold export or pull.
        pictures: image files or folders of images; or a table as a .csv, .tsv or .parquet file.
        csv: print one line of CSV for each image.
        jsonl: print one JSON object, in a line of its own, for each image or row.
        data_dir: folder that is searched first for data sets; used only for runs of older versions.
        json: print the result as one JSON object in the last line of the output; for a table, like --jsonl.
    """

    run: RunPath
    pictures: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PICTURE...")]
    csv: bool = False
    jsonl: bool = False
    data_dir: Maybe[Path] = None
    json: bool = False


@dataclass(frozen=True)
class Plot:
    """Plot the results of a run again, in RUN/pictures.

    Attributes:
        run: run folder.
        data: new location of your own data, if they were moved after training.
        data_dir: folder that is searched first for data sets.
        json: print the result as one JSON object in the last line of the output.
    """

    run: RunPath
    data: Maybe[Path] = None
    data_dir: Maybe[Path] = None
    json: bool = False


@dataclass(frozen=True)
class DataGet:
    """Find or download a data set, verify its files and print its size.

    Attributes:
        name: name of the data set: digits, mnist, fashion-mnist or cifar10.
        data_dir: folder of the files; missing files are downloaded to it.
        json: print the result as one JSON object in the last line of the output.
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    data_dir: Maybe[Path] = None
    json: bool = False


@dataclass(frozen=True)
class InstrumentServe:
    """Simulate an analog device, until Ctrl-C, as an instrument for training processes on this machine.

    Attributes:
        device: device to simulate: random-relu (a random matrix followed by a ReLU) or one-bit (a random matrix
            followed by the sign).
        port: TCP port on the loopback interface; 0 selects a free port.
        pipes: communicate over stdin and stdout instead of a port; for a child process of the training run.
        inputs: number of inputs.
        units: number of outputs.
        noise: standard deviation of the noise of each read; the signal has a standard deviation of about 1.
        drift: the gains of the outputs drift over time; this is their largest deviation from 1.
        seed: random seed of the matrix, the noise and the drift.
    """

    device: Annotated[str, tyro.conf.arg(metavar="{random-relu,one-bit}")] = "random-relu"
    port: int = 5555
    pipes: bool = False
    inputs: int = 500
    units: int = 500
    noise: float = 0.05
    drift: float = 0.0
    seed: int = 0


def group(title: str, kind: type) -> Any:
    """Return a type annotation for the dataclass ``kind``, whose options the help lists as ``TITLE options``."""
    return Annotated[kind, tyro.conf.arg(name=title)]


def stated(words: Sequence[str]) -> frozenset[str]:
    """Return the names of the options in the words of a command line, with underscores.

    For the word ``--no-x``, the result contains both ``no_x`` and ``x``.
    """
    names = (word.partition("=")[0].removeprefix("--").replace("-", "_") for word in words if word.startswith("--"))
    return frozenset(field for name in names for field in (name, name.removeprefix("no_")))


def value_of(option: str, words: Sequence[str]) -> str | None:
    """Return the value of an option, such as ``--data``, on a command line.

    The result is the last value if the option is repeated, and ``None`` if the option is absent.
    """
    result = None
    for word, following in itertools.pairwise([*words, ""]):
        name, equals, value = word.partition("=")
        if name == option:
            result = value if equals else following
    return result


def parse(
    kind: Callable[..., T], words: Sequence[str], command: str, default: Any = None, ignore_unknown: bool = False
) -> T:
    """Parse the words of a command line into a dataclass.

    Args:
        kind: the dataclass.
        words: words of the command line.
        command: name of the command, for error messages.
        default: object of the dataclass, with the default values.
        ignore_unknown: ignore words that are not options of the dataclass.

    Raises:
        SettingError: an option is unknown (the message suggests a similar one), or a value has the wrong type.
    """
    options: dict[str, Any] = {"default": default} if default is not None else {}
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
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
            print(output.getvalue(), end="")
            raise
        if missing := _missing(output.getvalue()):
            raise SettingError(f"twofold {command} needs {missing}: see twofold {command} --help") from None
        advice = COMMAS if any(re.fullmatch(r"[\d.]*,[\d.,]*", word.rpartition("=")[2]) for word in words) else ""
        raise SettingError(f"{_first_paragraph(output.getvalue())}: {advice}see twofold {command} --help") from None
    if rest and not ignore_unknown:
        wrong = next((word for word in rest if word.startswith("--")), rest[0]).split("=")[0]
        names = option_names(parsed)
        if not wrong.startswith("--") or wrong in names:
            raise SettingError(f"unexpected word {wrong!r} after `twofold {command}`: see twofold {command} --help")
        raise unknown("field", wrong, names)
    return parsed


def _first_paragraph(box: str) -> str:
    """Return the first paragraph of an error message of tyro as one line, without the frame around it."""
    lines = [line.strip("│ ") for line in box.splitlines()[1:]]  # the first line is a title

    def is_rule(line: str) -> bool:
        return not line.strip("─-╰╯")

    paragraph = itertools.takewhile(lambda line: not is_rule(line), itertools.dropwhile(is_rule, lines))
    text = " ".join(" ".join(paragraph).split()).rstrip(".")
    return text.removeprefix("Error parsing recipe: ").removeprefix("Error parsing ")


def _missing(box: str) -> str:
    """Return the missing arguments that an error message of tyro lists, joined by "and"; "" if there are none."""
    lines = iter(line.strip("│").rstrip() for line in box.splitlines())
    if not any(line.strip().startswith("Missing from ") for line in lines):
        return ""
    block = list(itertools.takewhile(lambda line: line.startswith("   "), lines))
    edge = min((len(line) - len(line.lstrip()) for line in block), default=0)
    return " and ".join(line.strip() for line in block if not line[edge:].startswith(" "))


def option_names(options: Any) -> list[str]:
    """Return the command-line options, such as ``--data-dir``, for the fields of a dataclass object.

    Fields of nested dataclasses are included.
    """
    names = []
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        name = KEYWORDS.get(field.name, field.name)
        names += option_names(value) if dataclasses.is_dataclass(value) else [f"--{name.replace('_', '-')}"]
    return names
