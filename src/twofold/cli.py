"""The command line. It calls and prints; it computes nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro

from twofold.errors import SettingError, TwofoldError, unknown

T = TypeVar("T")

HELP = """\
twofold: learning with two forward passes and no backpropagation

usage: twofold COMMAND [ARGUMENTS]      every command has a --help of its own

Train and look
  twofold train RECIPE [--field value ...]   train a net, test it, draw its pictures; all into a run folder
      --with-twin                            train the backprop twin too and print both side by side
      --resume                               go on with an interrupted run, to bitwise the same weights
  twofold eval RUN --test slow|fast|shortlist|all   test a trained net again
  twofold predict RUN IMAGE.png              which label each test gives to a picture of your own
  twofold plot RUN                           draw the pictures again

Recipes
{recipes}
  each has a twin, RECIPE-twin: the same layers trained by backpropagation

The talk, claim by claim
  twofold claims                             the ledger: what was claimed, what was measured
  twofold claims run ID --size smoke|full    run one: seconds on the embedded data, or the real thing

Data
  twofold data get NAME                      find or download a data set, and check it
      names: {datasets}
      looked for in --data-dir, then $TWOFOLD_DATA, then the cache folder of the platform; else downloaded

Most commands take --json: the answer is then one JSON object, the last line of the output.
A first try that needs no download:  twofold train digits --with-twin
"""

Words = Annotated[T, tyro.conf.Positional]
"""An argument without a name in front."""


@dataclass(frozen=True)
class Where:
    """Options that change where and how fast, not what is computed.

    Attributes:
        device: auto takes the GPU where there is one.
        precision: of the matrix products; auto takes bf16 where the processor has fast instructions for it.
        data_dir: folder with data sets, looked into first.
        json: end with one JSON object on the last line.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    data_dir: Path | None = None
    json: bool = False


@dataclass(frozen=True)
class Training(Where):
    """Options of a training.

    Attributes:
        run: the run folder; otherwise runs/RECIPE-seedN, with a number behind it where that exists.
        resume: go on from the last checkpoint of the run folder.
        with_twin: train the backprop twin too, with its own tuned settings and this seed, into RUN/twin.
        pictures: draw the pictures at the end.
    """

    run: Path | None = None
    resume: bool = False
    with_twin: bool = False
    pictures: bool = True


def parse(kind: Callable[..., T], words: Sequence[str], command: str, default: Any = None) -> T:
    """The words of a command line as a dataclass.

    Raises:
        SettingError: a word is no field (the nearest is suggested) or has a value of the wrong kind.
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
        raise SettingError(f"{_first_paragraph(said.getvalue())}: see twofold {command} --help") from None
    if rest:
        wrong = next((word for word in rest if word.startswith("--")), rest[0])
        if not wrong.startswith("--"):
            raise SettingError(f"unexpected word {wrong!r} after `twofold {command}`: see twofold {command} --help")
        raise unknown("field", wrong.split("=")[0], [f"--{name.replace('_', '-')}" for name in _field_names(parsed)])
    return parsed


def _first_paragraph(box: str) -> str:
    """The first paragraph of an error that tyro drew in a box, or under a rule where there is no terminal, in one line."""
    lines = [line.strip("│ ") for line in box.splitlines()[1:]]  # the first line is a title

    def is_rule(line: str) -> bool:
        return not line.strip("─-╰╯")

    paragraph = itertools.takewhile(lambda line: not is_rule(line), itertools.dropwhile(is_rule, lines))
    text = " ".join(" ".join(paragraph).split()).rstrip(".")
    return text.removeprefix("Error parsing recipe: ").removeprefix("Error parsing ")


def _field_names(parsed: Any) -> list[str]:
    names = []
    for field in dataclasses.fields(parsed):
        value = getattr(parsed, field.name)
        names += _field_names(value) if dataclasses.is_dataclass(value) else [field.name]
    return names


def train(words: Sequence[str]) -> None:
    """Train a recipe."""
    from twofold import recipes

    if not words or words[0].startswith("-"):
        print(f"usage: twofold train RECIPE [--field value ...]\n\nRecipes\n{_recipe_lines()}")
        if words[:1] in (["--help"], ["-h"]):
            return
        raise SettingError("twofold train needs the name of a recipe: try `twofold train digits`")
    name, words = words[0], words[1:]
    recipe = recipes.find(name)
    command = dataclasses.make_dataclass(
        "Train", [("recipe", type(recipe)), ("options", Training)], frozen=True, namespace={"__doc__": f"Train {name}."}
    )
    parsed: Any = parse(command, words, f"train {name}", command(recipe, Training()))
    _train(name, parsed.recipe, parsed.options)


def _train(name: str, recipe: Any, options: Training) -> None:
    from twofold import data, pictures, recipes, report, run
    from twofold.progress import Bar

    dataset = data.load(recipe.data, options.data_dir)
    folder = options.run or _free_folder(f"{name}-seed{recipe.seed}", options.resume)

    def go(name: str, recipe: Any, folder: Path) -> run.Result:
        with Bar(name, recipe.epochs) as bar:
            return run.train(
                recipe,
                folder,
                dataset,
                name=name,
                device=options.device,
                precision=options.precision,
                resume=options.resume,
                progress=bar,
            )

    results = [go(name, recipe, folder)]
    twin_name, twin = recipes.twin_of(name), None
    if options.with_twin and twin_name:
        changes = {"seed": recipe.seed, "validation": recipe.validation, "widths": recipe.widths}
        results.append(go(twin_name, dataclasses.replace(recipes.find(twin_name), **changes), folder / "twin"))
        twin = run.load(folder / "twin", options.device)
    print(report.comparison(results))
    if options.pictures:
        held = dataset.hold_out(recipe.validation) if recipe.validation else dataset
        print("pictures: " + ", ".join(str(path) for path in pictures.draw(run.load(folder, options.device), held, twin)))
    if options.json:
        answer = asdict(results[0]) | ({"twin": asdict(results[1])} if twin else {})
        print(json.dumps(answer))


def _free_folder(name: str, resume: bool) -> Path:
    """``runs/name``, or with a number behind it: to resume the last that exists, else the first that does not."""
    number, folder = 1, Path("runs") / name
    while (following := folder if number == 1 else Path("runs") / f"{name}-{number}").exists():
        number += 1
        last = following
    return last if resume and number > 1 else following


@dataclass(frozen=True)
class Eval(Where):
    """Test a trained net again.

    Attributes:
        run: the run folder.
        test: slow (goodness of every label), fast (neutral label, softmax), shortlist (both), or all of them.
        shortlist: labels that the fast test hands to the slow one.
    """

    run: Words[Path] = dataclasses.field(kw_only=True)
    test: Literal["slow", "fast", "shortlist", "all"] = "all"
    shortlist: int = 3


def evaluate(words: Sequence[str]) -> None:
    """Test a run."""
    from twofold import report, run
    from twofold.evaluate import test

    options = parse(Eval, words, "eval")
    loaded = run.load(options.run, options.device, options.precision)
    dataset = run.held_out(loaded, options.data_dir)
    device = next(loaded.net.parameters()).device
    tested = test(loaded.net, dataset.test_images.to(device), dataset.test_labels.to(device), options.shortlist)
    if options.test not in (*tested.error, "all"):
        raise SettingError(f"--test is {options.test}, but {options.run} is a backprop net, which has only: fast")
    chosen = {name: error for name, error in tested.error.items() if options.test in (name, "all")}
    print(report.tests(chosen, tested.passes_per_image, tested.layer_error))
    if options.json:
        key = "validation_error" if loaded.recipe.validation else "test_error"
        passes = {name: tested.passes_per_image[name] for name in chosen}
        facts = {key: chosen, "passes_per_image": passes, "layer_error": tested.layer_error}
        print(json.dumps({**facts, "dataset": dataset.name, "official_data": dataset.official, "run": str(options.run)}))


@dataclass(frozen=True)
class Predict:
    """Name what is in a picture. It must have the size of the training images; colors become grey where those are grey.

    Attributes:
        run: the run folder.
        image: a picture file, light strokes on black as in the training images.
        json: end with one JSON object on the last line.
    """

    run: Words[Path]
    image: Words[Path]
    json: bool = False


def predict(words: Sequence[str]) -> None:
    """Classify one picture with every test."""
    from twofold import report, run
    from twofold.picture_file import read_picture

    options = parse(Predict, words, "predict")
    loaded = run.load(options.run)
    answer = run.name_picture(loaded.net, read_picture(options.image, loaded.shape))
    print(report.answer(answer))
    if options.json:
        print(json.dumps(answer))


@dataclass(frozen=True)
class Plot:
    """Draw the pictures of a run into its folder.

    Attributes:
        run: the run folder.
        data_dir: folder with data sets, looked into first.
        json: end with one JSON object on the last line.
    """

    run: Words[Path]
    data_dir: Path | None = None
    json: bool = False


def plot(words: Sequence[str]) -> None:
    """Draw the pictures of a run."""
    from twofold import pictures, run

    options = parse(Plot, words, "plot")
    loaded = run.load(options.run)
    twin = run.load(options.run / "twin") if (options.run / "twin" / "result.json").exists() else None
    drawn = [str(path) for path in pictures.draw(loaded, run.held_out(loaded, options.data_dir), twin)]
    print("\n".join(drawn))
    if options.json:
        print(json.dumps({"pictures": drawn}))


@dataclass(frozen=True)
class DataGet:
    """Find or download a data set, check it and say what it is.

    Attributes:
        name: of the data set.
        data_dir: folder to look into first, and to download to.
        json: end with one JSON object on the last line.
    """

    name: Words[str]
    data_dir: Path | None = None
    json: bool = False


def data_get(words: Sequence[str]) -> None:
    """Find or download a data set."""
    from twofold import data

    if words[:1] != ["get"]:
        if words[:1] in (["--help"], ["-h"]):
            print(f"usage: twofold data get NAME [--data-dir DIR] [--json]\n\nnames: {', '.join(data.DATASETS)}")
            return
        raise SettingError("twofold data has one command: twofold data get NAME")
    options = parse(DataGet, words[1:], "data get")
    dataset = data.load(options.name, options.data_dir)
    facts = {
        "dataset": dataset.name,
        "train": len(dataset.train_labels),
        "test": len(dataset.test_labels),
        "shape": list(dataset.shape),
        "classes": dataset.classes,
        "official_data": dataset.official,
        "fingerprint": dataset.fingerprint,
    }
    print("\n".join(f"{name:14} {value}" for name, value in facts.items()))
    if options.json:
        print(json.dumps(facts))


@dataclass(frozen=True)
class Claims:
    """The ledger of claims.

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
        id: of the claim, see `twofold claims`.
        size: smoke takes seconds and the embedded data, full is the real thing.
        runs: folder of the trainings, which claims share and which go on where they were interrupted.
        results: folder that the record of a full size goes to.
    """

    id: Words[str] = dataclasses.field(kw_only=True)
    size: Literal["smoke", "full"] = "smoke"
    runs: Path = Path("runs/claims")
    results: Path = Path("results")


def claims(words: Sequence[str]) -> None:
    """List the ledger or run a claim."""
    from twofold import claims as ledger
    from twofold import report

    if words[:1] != ["run"]:
        options = parse(Claims, words, "claims")
        listing = ledger.listing(options.results / "claims")
        print(json.dumps(listing) if options.json else report.ledger(listing))
        return
    run = parse(ClaimsRun, words[1:], "claims run")
    record = ledger.run(run.id, run.size, runs=run.runs, device=run.device, precision=run.precision, data_dir=run.data_dir)
    if run.size == "full":
        ledger.write(record, run.results / "claims")
    print(report.claim(record))
    if run.json:
        print(json.dumps(record))


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "train": train,
    "eval": evaluate,
    "predict": predict,
    "plot": plot,
    "data": data_get,
    "claims": claims,
}


def _recipe_lines() -> str:
    from twofold import recipes

    lines = []
    for name, recipe in recipes.RECIPES.items():
        if recipes.twin_of(name):
            widths = " x ".join(str(width) for width in recipe.widths)
            lines.append(f"  {name:24} {recipe.data}, layers of {widths}, {recipe.epochs} epochs")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit code: 0, 1 after an error of the kind that is told in one line, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if words is None else words)
    try:
        if not words or words[0] in ("--help", "-h", "help"):
            from twofold.data import DATASETS

            print(HELP.format(recipes=_recipe_lines(), datasets=", ".join(DATASETS)))
        elif words[0] == "--version":
            from importlib.metadata import version

            print(version("twofold"))
        elif words[0] not in COMMANDS:
            raise unknown("command", words[0], COMMANDS)
        else:
            COMMANDS[words[0]](words[1:])
    except SystemExit:  # the help of a command was printed
        return 0
    except TwofoldError as error:
        print(f"twofold: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "twofold: interrupted; every finished epoch is saved: repeat the command with --resume to go on",
            file=sys.stderr,
        )
        return 130
    return 0
