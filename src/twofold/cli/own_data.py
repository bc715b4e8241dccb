"""Trainings on data of one's own: what the words of the command line ask for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from twofold import data, recipes
from twofold.cli.arguments import FROM, OwnData, Training, parse, stated, value_of
from twofold.data.dataset import Dataset
from twofold.data.own import description, source_of
from twofold.errors import RunError, SettingError, unknown
from twofold.methods import Recipe
from twofold.recipes import own
from twofold.training.run_folder import RunFolder
from twofold.training.sources import read_again

USAGE = "[--field value ...]\n       twofold train --data PATH [--label COLUMN] [--recipe RECIPE] [--field value ...]"


@dataclass(frozen=True)
class Task:
    """A training that is asked for.

    Attributes:
        name: of the recipe in results, and in the name of the run folder.
        recipe: the settings.
        options: of the training.
        dataset: the data.
        based_on: the recipe whose twin is its twin.
    """

    name: str
    recipe: Any
    options: Training
    dataset: Any
    based_on: str


def task(words: Sequence[str]) -> Task | None:
    """What a command line asks for that names data of one's own, or only a run to go on with; ``None`` for others.

    Raises:
        SettingError: a wrong word.
        DataError: the data are not there, or not as they should be.
        RunError: there is no such run, or its data are gone or have changed.
    """
    place, named = value_of("--data", words), words[0] if words and not words[0].startswith("-") else None
    folder = value_of("--run", words) if named is None and "resume" in stated(words) else None
    if folder and (place is None or _were_moved(words, Path(folder))):
        return _going_on(words, place)
    if place is not None and (not place or place.startswith("--")):
        raise SettingError("--data has no value: name a folder, a file or a data set")
    if place is None or (named and place in data.DATASETS):
        return None
    return _on_own_data(place, named, words[1:] if named else words)


def _on_own_data(place: str, named: str | None, words: Sequence[str]) -> Task:
    asked = [word for word in words if word not in ("--help", "-h")]
    wanted = parse(OwnData, asked, "train", others=True)
    if named and wanted.recipe not in (None, named):
        raise SettingError(f"--recipe is {wanted.recipe}, but the recipe {named} is named already: leave one away")
    if asked != list(words):  # only the help is wanted, for which no data need be there
        _parsed(words, recipes.find(named or wanted.recipe or "digits"))
    dataset = _read(place, wanted, parse(Training, asked, "train", others=True).data_dir)
    print(description(dataset), flush=True)
    usual = own.recipe_for(dataset, named or wanted.recipe)
    based_on = named or wanted.recipe or own.fitting(dataset)
    parsed = _parsed(words, usual)
    recipe = dataclasses.replace(with_temperature(parsed.settings, usual, words), data=dataset.name)
    name = f"{dataset.name}-{based_on}" if named or wanted.recipe else dataset.name
    return Task(name, recipe, parsed.options, dataset, based_on)


def with_temperature(recipe: Recipe, usual: Recipe, words: Sequence[str]) -> Recipe:
    """The recipe that the words make of the usual one; where they state no temperature, it is scaled to the widths."""
    return recipe if "temperature" in stated(words) else own.scaled(recipe, usual)


def _parsed(words: Sequence[str], usual: Recipe) -> Any:
    """The words as ``settings``, where the recipe has what they do not state, ``options`` and ``own``."""
    fields = [("settings", type(usual)), ("options", Training), ("own", OwnData)]
    doc = {"__doc__": "Train on data of your own: a folder of class folders, an .npz, a table, or an IDX file."}
    kind = dataclasses.make_dataclass("Train", fields, frozen=True, namespace=doc)
    return parse(kind, words, "train --data PATH", kind(usual, Training(), OwnData()))


def _read(place: str, wanted: OwnData, data_dir: Path | None) -> Dataset:
    if place in data.DATASETS:
        usual = OwnData(wanted.recipe)
        for each in dataclasses.fields(wanted):
            if getattr(wanted, each.name) != getattr(usual, each.name):
                option = each.name.replace("_", "-")
                raise SettingError(f"--{option} is for data of your own, but {place} is a data set: leave it away")
        return data.load(place, data_dir)
    if not Path(place).exists() and Path(place).name == place:
        raise unknown("data set or path", place, data.DATASETS)
    return source_of(
        place,
        wanted.label,
        _size(wanted.size) if wanted.size else None,
        wanted.test,
        wanted.test_share,
        wanted.split_seed,
        wanted.skip_unreadable,
    ).read()


def _size(said: str) -> tuple[int, int]:
    """The width and height of pictures in words as 28 or 32x24."""
    sides = said.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and 0 < int(side) < 2**15 for side in sides):
        raise SettingError(f"--size is {said}, expected a width and a height in pixels: as 28 or 32x24")
    return int(sides[0]), int(sides[-1])


def _were_moved(words: Sequence[str], folder: Path) -> bool:
    """Whether all that the words state beside options is where the data of a run lie now."""
    options = {"data", FROM, *(each.name for each in dataclasses.fields(Training))}
    own_run = (folder / "config.json").exists() and RunFolder(folder).config().source is not None
    return own_run and all(name.removeprefix("no_") in options for name in stated(words))


def _going_on(words: Sequence[str], place: str | None) -> Task:
    """The training of a run folder, with its own settings and data, and with its own options where none are stated."""
    options = parse(Training, words, "train", others=place is not None)
    assert options.run is not None
    config = RunFolder(options.run).config(strict=True)
    dataset = read_again(config.source, options.run, config.fingerprint, Path(place) if place else None)
    if dataset is None:
        try:
            dataset = data.load(config.dataset, options.data_dir)
        except SettingError as error:
            raise RunError(f"{options.run} was trained on the arrays {config.dataset!r}: go on in Python") from error
    same: dict[str, Any] = {"device": config.device, "precision": config.precision}
    if config.started_from:
        same["start"] = Path(config.started_from["run"])
    known = stated(words) | ({"start"} if FROM in stated(words) else set())
    options = dataclasses.replace(options, **{name: value for name, value in same.items() if name not in known})
    based_on = config.name
    if config.source or based_on not in recipes.RECIPES:
        based_on = based_on.removeprefix(f"{config.dataset}-") if based_on != config.dataset else ""
    if based_on not in recipes.RECIPES:
        based_on = own.fitting(cast("Dataset", dataset))
    return Task(config.name, config.recipe, options, dataset, based_on)
