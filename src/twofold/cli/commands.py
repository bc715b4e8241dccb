"""Commands of the command line, which call the library and print the results.

Modules that only some commands need are imported inside these commands, so that all commands start quickly.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from twofold import data, defaults, recipes
from twofold.cli import own_data, report
from twofold.cli.arguments import (
    DataGet,
    Eval,
    InstrumentServe,
    Plot,
    Training,
    Tuning,
    group,
    option_names,
    parse,
    stated,
)
from twofold.cli.export import export, pull, push
from twofold.cli.output import print_json
from twofold.cli.predict import predict
from twofold.errors import Interrupted, SettingError
from twofold.nets.net import evaluate as test
from twofold.training import runs, sources
from twofold.training import train as training
from twofold.training.result import Result

GROUPS = {"train": "training", "tune": "study"}
"""Command -> title in the help for those options of the command that are not fields of the recipe."""


def train(words: Sequence[str]) -> None:
    """Train a recipe, or a net for the user's own data, test it and plot the results."""
    if task := own_data.task(words):
        _train(task)
    elif parsed := _with_recipe("train", Training(), words, own_data.USAGE):
        options = parsed.command
        _train(
            own_data.Task(words[0], parsed.recipe, options, data.load(parsed.recipe.data, options.data_dir), words[0])
        )


def _with_recipe(command: str, options: Any, words: Sequence[str], usage: str) -> Any:
    """Parse the words of a command whose first word is the name of a recipe.

    Args:
        command: name of the command.
        options: default values of the options that are not fields of the recipe.
        words: words of the command line after the command.
        usage: usage text after ``twofold COMMAND RECIPE``.

    Returns:
        An object with the fields ``recipe`` and ``command`` (the other options), or ``None`` after printing the help.

    Raises:
        SettingError: the name of the recipe is missing, or a word is invalid.
    """
    if not words or words[0].startswith("-"):
        print(f"usage: twofold {command} RECIPE {usage}\n\nRecipes\n{report.recipes()}")
        if words[:1] in (["--help"], ["-h"]):
            groups = report.options({GROUPS[command]: option_names(options), **report.recipe_fields()})
            print(f"\nOptions, by group (the fields of a recipe are also options)\n{groups}\n")
            print(f"twofold {command} RECIPE --help explains the options of a recipe.")
            return None
        raise SettingError(f"twofold {command} needs the name of a recipe, for example `twofold {command} digits`")
    name, title = words[0], command.capitalize()
    recipe = recipes.find(name)
    fields = [("recipe", type(recipe)), ("command", group(GROUPS[command], type(options)))]
    spec = dataclasses.make_dataclass(title, fields, frozen=True, namespace={"__doc__": f"{title} the recipe {name}."})
    parsed: Any = parse(spec, words[1:], f"{command} {name}", spec(recipe, options))
    return dataclasses.replace(parsed, recipe=own_data.with_temperature(parsed.recipe, recipe, words))


def _train(task: own_data.Task) -> None:
    from twofold.cli.progress import Bar

    name, recipe, options, dataset = task.name, task.recipe, task.options, task.dataset
    twin_name, twin = recipes.twin_of(task.based_on) if options.with_twin else None, None
    if options.with_twin and twin_name is None:
        raise SettingError(f"--with-twin: the recipe {task.based_on} has no twin; omit it")
    if options.with_twin and options.start:
        raise SettingError("give either --with-twin or --from, not both (train the twin in a run of its own)")

    def go(name: str, recipe: Any, folder: Path | None) -> Result:
        with Bar(name, recipe.epochs) as bar:
            return training.train(
                recipe,
                folder,
                dataset,
                name=name,
                device=options.device,
                precision=options.precision,
                resume=options.resume,
                offload=options.offload and name != twin_name,  # a twin needs all layers at once
                start=options.start,
                class_weight=task.class_weight,
                progress=bar,
            )

    results = [go(name, recipe, options.run)]
    folder = Path(results[0].run)
    try:
        if twin_name:
            results.append(go(twin_name, recipes.as_twin(recipes.find(twin_name), recipe), folder / "twin"))
            twin = runs.load(folder / "twin", options.device)
        print(report.comparison(results), flush=True)
        held = dataset.hold_out(recipe.validation) if recipe.validation else dataset
        labeled = isinstance(held, data.Dataset) and results[0].familiar is not None
        if labeled and not task.class_weight and (warning := report.at_chance(results[0], held)):
            print(f"\nwarning: {warning}\n", flush=True)
        if options.pictures:
            drawn = runs.draw(runs.load(folder, options.device), held, twin)
            print("pictures: " + ", ".join(str(path) for path in drawn))
        if labeled:
            print(report.next_step(results[0], held), flush=True)
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"interrupted; {name} is trained and saved in {folder}: to continue, repeat the command with "
            f"--run {folder} --resume"
        ) from stop
    if options.json:
        print_json(results[0].to_json() | ({"twin": results[1].to_json()} if twin else {}))


def tune(words: Sequence[str]) -> None:
    """Tune a recipe and its twin, then print and plot the trials."""
    parsed = _with_recipe("tune", Tuning(), words, "[--trials N] [--workers K] [--field value ...]")
    if parsed is None:
        return
    name, words, options = words[0], words[1:], parsed.command
    from twofold.tuning import record as records
    from twofold.tuning import tune as tuning

    if recipes.twin_of(name) is None and "twin" not in stated(words):
        options = dataclasses.replace(options, twin=False)  # the recipe is itself a twin
    folder = options.study or tuning.STUDIES / name
    record = tuning.tune(
        name,
        parsed.recipe,
        stated=stated(words) & parsed.recipe.properties().keys(),
        twin=options.twin,
        trials=options.trials,
        workers=options.workers,
        folder=folder,
        data_dir=options.data_dir,
        device=options.device,
        precision=options.precision,
        report=partial(print, file=sys.stderr, flush=True),
    )
    picture = records.draw(record, folder / "trials.png")
    print(f"{report.study(record)}\n\nstudy: {folder}, plot: {picture.name}")
    if options.record:
        print(f"record: {records.write(record, Path('results'), Path('docs'))}")
    if options.json:
        print_json(record)


def evaluate(words: Sequence[str]) -> None:
    """Test the net of a run."""
    options = parse(Eval, words, "eval")
    loaded = runs.load(options.run, options.device, None if options.precision == "auto" else options.precision)
    length, labels = options.shortlist, loaded.form.get("classes", math.inf)
    if length is not None and not 1 <= length <= labels:
        raise SettingError(f"--shortlist is {length}, expected 1 to {labels}, the number of labels")
    dataset = sources.held_out(loaded, options.data_dir, options.data)
    tested = test(loaded.net, *dataset.test, shortlist=length or defaults.SHORTLIST)
    if options.test not in (*tested.error, "all"):
        names = ", ".join((*tested.error, "all"))
        raise SettingError(f"--test is {options.test}, expected one of the tests of {options.run}: {names}")
    chosen = {name: error for name, error in tested.error.items() if options.test in (name, "all")}
    if length is not None and "shortlist" not in chosen:
        raise SettingError(f"--shortlist is {length}, but none of the chosen tests uses a shortlist: omit it")
    print(report.tests(chosen, tested.metrics))
    if options.json:
        key = "validation_error" if loaded.recipe.validation else "test_error"
        facts = {key: chosen, **report.of_tests(tested.metrics, chosen), "dataset": dataset.name}
        print_json({**facts, "official_data": dataset.official, "run": str(options.run)})


def plot(words: Sequence[str]) -> None:
    """Plot the results of a run."""
    options = parse(Plot, words, "plot")
    loaded = runs.load(options.run)
    twin = runs.load(options.run / "twin") if (options.run / "twin" / "result.json").exists() else None
    drawn = [str(path) for path in runs.draw(loaded, sources.held_out(loaded, options.data_dir, options.data), twin)]
    print("\n".join(drawn))
    if options.json:
        print_json({"pictures": drawn})


def data_get(words: Sequence[str]) -> None:
    """Find or download a data set."""
    if words[:1] != ["get"]:
        if words[:1] in (["--help"], ["-h"]):
            print(f"usage: twofold data get NAME [--data-dir DIR] [--json]\n\ndata sets: {', '.join(data.DATASETS)}")
            return
        raise SettingError("twofold data needs a subcommand: use twofold data get NAME")
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
        print_json(facts)


def instrument(words: Sequence[str]) -> None:
    """Run a simulated instrument."""
    from twofold import instrument as lab

    if words[:1] != ["serve"]:
        if words[:1] in (["--help"], ["-h"]):
            print("usage: twofold instrument serve [--device NAME] [--field value ...]\n")
            print(f"devices: {', '.join(lab.DEVICES)}\n\ntwofold instrument serve --help explains the options.")
            return
        raise SettingError("twofold instrument needs a subcommand: use twofold instrument serve")
    options = parse(InstrumentServe, words[1:], "instrument serve")
    if not 0 <= options.port < 2**16:
        raise SettingError(f"--port is {options.port}, expected 0 to 65535")
    torch.set_num_threads(1)  # leave the processors to the training, as real hardware would
    device = lab.Simulated(options.device, options.inputs, options.units, options.noise, options.drift, options.seed)
    lab.serve(
        device,
        options.inputs,
        options.units,
        lab.PIPES if options.pipes else f"tcp://127.0.0.1:{options.port}",
        name=options.device,
        repeatable=True,
        announce=lambda address: print(f"{options.device} serving at {address} (press Ctrl-C to stop)", flush=True),
    )


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "train": train,
    "tune": tune,
    "eval": evaluate,
    "predict": predict,
    "plot": plot,
    "data": data_get,
    "instrument": instrument,
    "export": export,
    "push": push,
    "pull": pull,
}
