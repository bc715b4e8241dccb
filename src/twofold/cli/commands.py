"""The commands. They call the library and print the results; they compute nothing themselves.

A module that only some commands need is imported inside them, so that each command starts quickly.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from twofold import data, machine, recipes
from twofold.cli import report
from twofold.cli.arguments import Bench, Claims, ClaimsDraw, ClaimsRun, DataGet, Eval, Plot, Predict, Training, parse
from twofold.errors import SettingError
from twofold.nets.net import evaluate as test
from twofold.training import run
from twofold.training.result import Result


def train(words: Sequence[str]) -> None:
    """Train a recipe, test it and draw its pictures."""
    if not words or words[0].startswith("-"):
        print(f"usage: twofold train RECIPE [--field value ...]\n\nRecipes\n{report.recipes()}")
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
    from twofold.cli.progress import Bar

    dataset = data.load(recipe.data, options.data_dir)
    folder = options.run or _free_folder(f"{name}-seed{recipe.seed}", options.resume)
    twin_name, twin = recipes.twin_of(name), None
    if options.with_twin and twin_name is None:
        raise SettingError(f"--with-twin: the recipe {name} has no twin; leave it away")

    def go(name: str, recipe: Any, folder: Path) -> Result:
        with Bar(name, recipe.epochs) as bar:
            return run.train(
                recipe,
                folder,
                dataset,
                name=name,
                device=options.device,
                precision=options.precision,
                resume=options.resume,
                offload=options.offload and name != twin_name,  # a twin needs all layers at once
                progress=bar,
            )

    results = [go(name, recipe, folder)]
    if options.with_twin and twin_name:
        results.append(go(twin_name, recipes.as_twin(recipes.find(twin_name), recipe), folder / "twin"))
        twin = run.load(folder / "twin", options.device)
    print(report.comparison(results))
    if options.pictures:
        held = dataset.hold_out(recipe.validation) if recipe.validation else dataset
        print("pictures: " + ", ".join(str(path) for path in run.draw(run.load(folder, options.device), held, twin)))
    if options.json:
        answer = results[0].to_json() | ({"twin": results[1].to_json()} if twin else {})
        print(json.dumps(answer))


def _free_folder(name: str, resume: bool) -> Path:
    """Return ``runs/name``, or with a number appended: the first free folder or, to resume, the last used one."""
    number, folder = 1, Path("runs") / name
    while (following := folder if number == 1 else Path("runs") / f"{name}-{number}").exists():
        number += 1
        last = following
    return last if resume and number > 1 else following


def evaluate(words: Sequence[str]) -> None:
    """Test a run."""
    options = parse(Eval, words, "eval")
    if options.shortlist < 1:
        raise SettingError(f"--shortlist is {options.shortlist}, expected at least 1")
    loaded = run.load(options.run, options.device, None if options.precision == "auto" else options.precision)
    dataset = run.held_out(loaded, options.data_dir)
    tested = test(loaded.net, *dataset.test, shortlist=options.shortlist)
    if options.test not in (*tested.error, "all"):
        had = ", ".join(tested.error)
        raise SettingError(f"--test is {options.test}, but the net of {options.run} has only: {had}")
    chosen = {name: error for name, error in tested.error.items() if options.test in (name, "all")}
    print(report.tests(chosen, tested.metrics))
    if options.json:
        key = "validation_error" if loaded.recipe.validation else "test_error"
        facts = {key: chosen, **report.of_tests(tested.metrics, chosen), "dataset": dataset.name}
        print(json.dumps({**facts, "official_data": dataset.official, "run": str(options.run)}))


def predict(words: Sequence[str]) -> None:
    """Classify one picture with every test."""
    from twofold.cli.image_file import read_picture

    options = parse(Predict, words, "predict")
    loaded = run.load(options.run)
    if "shape" not in loaded.form:
        raise SettingError(
            f"{options.run} was trained on {loaded.result.dataset}, which has no pictures: choose another run"
        )
    answer = loaded.net.explain(read_picture(options.image, tuple(loaded.form["shape"])))
    print(report.answer(answer))
    if options.json:
        print(json.dumps(answer))


def plot(words: Sequence[str]) -> None:
    """Draw the pictures of a run."""
    options = parse(Plot, words, "plot")
    loaded = run.load(options.run)
    twin = run.load(options.run / "twin") if (options.run / "twin" / "result.json").exists() else None
    drawn = [str(path) for path in run.draw(loaded, run.held_out(loaded, options.data_dir), twin)]
    print("\n".join(drawn))
    if options.json:
        print(json.dumps({"pictures": drawn}))


def data_get(words: Sequence[str]) -> None:
    """Find or download a data set."""
    if words[:1] != ["get"]:
        if words[:1] in (["--help"], ["-h"]):
            print(f"usage: twofold data get NAME [--data-dir DIR] [--json]\n\nnames: {', '.join(data.DATASETS)}")
            return
        raise SettingError("twofold data has one command: twofold data get NAME")
    options = parse(DataGet, words[1:], "data get")
    dataset = data.get(options.name, options.data_dir)
    facts = {
        "dataset": dataset.name,
        "train": len(dataset.train[0]),
        "test": len(dataset.test[0]),
        **dataset.form,
        "official_data": dataset.official,
        "fingerprint": dataset.fingerprint,
    }
    print("\n".join(f"{name:14} {value}" for name, value in facts.items()))
    if options.json:
        print(json.dumps(facts))


def claims(words: Sequence[str]) -> None:
    """List the ledger, run a claim or draw it."""
    from twofold import claims as ledger

    if words[:1] == ["run"]:
        _run_claim(parse(ClaimsRun, words[1:], "claims run"))
    elif words[:1] == ["draw"]:
        _draw_claim(parse(ClaimsDraw, words[1:], "claims draw"))
    else:
        options = parse(Claims, words, "claims")
        listing = ledger.listing(options.results / "claims")
        print(json.dumps(listing) if options.json else report.ledger(listing))


def _run_claim(wanted: ClaimsRun) -> None:
    from twofold import claims as ledger
    from twofold.cli.progress import Bar

    record = ledger.run(
        wanted.id,
        wanted.size,
        runs=wanted.runs,
        device=wanted.device,
        precision=wanted.precision,
        data_dir=wanted.data_dir,
        progress=Bar,
    )
    if wanted.size == "full":
        ledger.write(record, wanted.results / "claims")
    print(report.claim(record))
    if wanted.json:
        print(json.dumps(record))


def _draw_claim(wanted: ClaimsDraw) -> None:
    from twofold import claims as ledger
    from twofold.cli.progress import Bar

    pictures = Path("docs/pictures")
    folder = pictures if wanted.size == "full" and pictures.is_dir() else wanted.runs
    path = ledger.draw(
        wanted.id,
        wanted.size,
        wanted.out or folder / f"{wanted.id}.png",
        results=wanted.results / "claims",
        runs=wanted.runs,
        device=wanted.device,
        precision=wanted.precision,
        data_dir=wanted.data_dir,
        progress=Bar,
    )
    print(path)
    if wanted.json:
        print(json.dumps({"id": wanted.id, "size": wanted.size, "picture": str(path)}))


def bench(words: Sequence[str]) -> None:
    """Run a benchmark, write its record and draw it."""
    from twofold import benchmarks

    if not words or words[0].startswith("-"):
        print(f"usage: twofold bench NAME [--field value ...]\n\nBenchmarks\n{report.benchmarks()}")
        if words[:1] in (["--help"], ["-h"]):
            return
        raise SettingError("twofold bench needs the name of a benchmark: try `twofold bench epoch`")
    name, words = words[0], words[1:]
    kind = benchmarks.find(name)
    command = dataclasses.make_dataclass(
        "Bench", [("benchmark", kind), ("options", Bench)], frozen=True, namespace={"__doc__": f"Run {name}."}
    )
    parsed: Any = parse(command, words, f"bench {name}", command(kind(), Bench()))
    options = parsed.options
    device = machine.choose_device(options.device)
    precision = machine.choose_precision(options.precision, device)
    place = benchmarks.Workbench(device, precision, options.data_dir, partial(print, file=sys.stderr, flush=True))
    record = benchmarks.run(name, parsed.benchmark, place, options.folder)
    print(f"{parsed.benchmark.table(record)}\n\nrecord: {options.folder / name}.json, picture: {name}.png")
    if options.json:
        print(json.dumps(record))


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "train": train,
    "eval": evaluate,
    "predict": predict,
    "plot": plot,
    "data": data_get,
    "claims": claims,
    "bench": bench,
}
