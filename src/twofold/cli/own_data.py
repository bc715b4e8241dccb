"""Parse the command line of ``twofold train`` for the user's own data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from twofold import data, recipes
from twofold.cli.arguments import FROM, KEYWORDS, OwnData, Training, group, parse, stated, value_of
from twofold.data.dataset import Dataset
from twofold.data.own import description, read_data
from twofold.errors import RunError, SettingError, unknown
from twofold.methods import Recipe
from twofold.recipes import own
from twofold.training.run_folder import RunFolder
from twofold.training.sources import read_again

USAGE = "[--field value ...]\n       twofold train --data PATH [--label COLUMN] [--recipe RECIPE] [--field value ...]"


@dataclass(frozen=True)
class Task:
    """A training run that a command line requests.

    Attributes:
        name: name of the recipe, for the result and the run folder.
        recipe: settings of the net and its training.
        options: other command-line options.
        dataset: the data set.
        based_on: name of the built-in recipe that ``recipe`` is based on. The twin of the built-in recipe is used for
            --with-twin.
        class_weight: weights of the classes; see `twofold.train`.
    """

    name: str
    recipe: Any
    options: Training
    dataset: Any
    based_on: str
    class_weight: str | None = None


def task(words: Sequence[str]) -> Task | None:
    """Return the training run that a command line of ``twofold train`` requests.

    Returns:
        The training run, if the command line gives the user's own data with ``--data``, or a run folder to resume but
        no recipe. ``None`` otherwise.

    Raises:
        SettingError: a word is invalid.
        DataError: the data are missing or invalid.
        RunError: the run does not exist, or its data are missing or have changed.
    """
    location, recipe = value_of("--data", words), words[0] if words and not words[0].startswith("-") else None
    folder = value_of("--run", words) if recipe is None and "resume" in stated(words) else None
    if folder and (location is None or _only_moves_data(words, Path(folder))):
        return _resumed(words, location)
    if location is not None and (not location or location.startswith("--")):
        raise SettingError("--data has no value: give a folder, a file or the name of a data set")
    if location is None or (recipe and location in data.DATASETS):
        return None
    return _new_task(location, recipe, words[1:] if recipe else words)


def _new_task(location: str, recipe_name: str | None, words: Sequence[str]) -> Task:
    """Return a new training run on the data at ``location``, a path or the name of a data set."""
    without_help = [word for word in words if word not in ("--help", "-h")]
    own_data = parse(OwnData, without_help, "train", ignore_unknown=True)
    if recipe_name and own_data.recipe not in (None, recipe_name):
        raise SettingError(f"give either the recipe {recipe_name} or --recipe {own_data.recipe}, not both")
    if without_help != list(words):  # print the help, which needs no data
        _parse(words, recipes.find(recipe_name or own_data.recipe or "digits"))
    dataset = _read(location, own_data, parse(Training, without_help, "train", ignore_unknown=True).data_dir)
    print(description(dataset), flush=True)
    defaults = own.recipe_for(dataset, recipe_name or own_data.recipe)
    based_on = recipe_name or own_data.recipe or own.recipe_name_for(dataset)
    parsed = _parse(words, defaults)
    recipe = dataclasses.replace(with_temperature(parsed.recipe, defaults, words), data=dataset.name)
    name = f"{dataset.name}-{based_on}" if recipe_name or own_data.recipe else dataset.name
    return Task(name, recipe, parsed.command, dataset, based_on, own_data.class_weight)


def with_temperature(recipe: Recipe, defaults: Recipe, words: Sequence[str]) -> Recipe:
    """Return the recipe with the temperature of ``defaults``, rescaled to the widths of the recipe.

    If the command line ``words`` sets a temperature, the recipe is returned unchanged.
    """
    return recipe if "temperature" in stated(words) else recipe.with_scale_of(defaults)


def _parse(words: Sequence[str], defaults: Recipe) -> Any:
    """Parse the words of a command line into an object with the fields ``recipe``, ``command`` and ``data``.

    ``recipe`` is ``defaults`` with the changes in the words, ``command`` has the other options of training, and
    ``data`` has the options for the user's own data.
    """
    fields = [("recipe", type(defaults)), ("command", group("training", Training)), ("data", OwnData)]
    doc = {"__doc__": "Train on your own data. Without --recipe, some default values below depend on the data."}
    arguments = dataclasses.make_dataclass("Train", fields, frozen=True, namespace=doc)
    return parse(arguments, words, "train --data PATH", arguments(defaults, Training(), OwnData()))


def _read(location: str, options: OwnData, data_dir: Path | None) -> Dataset:
    if location in data.DATASETS:
        defaults = OwnData(options.recipe)
        for field in dataclasses.fields(options):
            if getattr(options, field.name) != getattr(defaults, field.name):
                option = KEYWORDS.get(field.name, field.name).replace("_", "-")
                raise SettingError(f"--{option} is for your own data, but {location} is a built-in data set: omit it")
        return data.load(location, data_dir)
    if not Path(location).exists() and Path(location).name == location:
        raise unknown("data set or path", location, data.DATASETS)
    return read_data(
        Path(location),
        label=options.label,
        size=_size(options.size) if options.size else None,
        test=options.test,
        test_share=options.test_share,
        seed=options.split_seed,
        skip_unreadable=options.skip_unreadable,
        missing=options.missing,
        pixels=options.read_as == "pictures",
    )


def _size(text: str) -> tuple[int, int]:
    """Parse the size of images, such as ``28`` or ``32x24``, and return the width and height."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and 0 < int(side) < 2**15 for side in sides):
        raise SettingError(f"--size is {text}, expected a width and height in pixels, such as 28 or 32x24")
    return int(sides[0]), int(sides[-1])


def _only_moves_data(words: Sequence[str], folder: Path) -> bool:
    """Return True if the run in ``folder`` is on the user's own data and the words do not change its recipe.

    In that case, ``--data`` gives the new location of the same data.
    """
    options = {"data", FROM, *(field.name for field in dataclasses.fields(Training))}
    own_run = (folder / "config.json").exists() and RunFolder(folder).config().source is not None
    return own_run and all(name.removeprefix("no_") in options for name in stated(words))


def _resumed(words: Sequence[str], location: str | None) -> Task:
    """Return the run in a run folder as a task, with its recipe and data.

    Options that the words do not set, such as the device, are those of the run.

    Args:
        words: words of the command line.
        location: new location of the data, or ``None``.
    """
    options = parse(Training, words, "train", ignore_unknown=True)  # first, for --help
    folder = Path(value_of("--run", words) or "")
    config = RunFolder(folder).config(strict=True)
    if location is None and (fixed := sorted(stated(words) & config.recipe.properties().keys())):
        field = fixed[0]
        raise SettingError(
            f"--{field.replace('_', '-')} cannot be changed when {folder} is resumed, whose {field} is "
            f"{getattr(config.recipe, field)}: omit it, or train the net further with --from {folder}"
        )
    if location is None:
        parse(Training, words, "train")
    assert options.run is not None
    dataset = read_again(config.source, options.run, config.fingerprint, Path(location) if location else None)
    if dataset is None:
        try:
            dataset = data.load(config.dataset, options.data_dir)
        except SettingError as error:
            raise RunError(f"{options.run} was trained on arrays ({config.dataset!r}): resume it in Python") from error
    original: dict[str, Any] = {"device": config.device, "precision": config.precision}
    if config.started_from:
        original["start"] = Path(config.started_from["run"])
    names = stated(words) | ({"start"} if FROM in stated(words) else set())
    options = dataclasses.replace(options, **{name: value for name, value in original.items() if name not in names})
    based_on = config.name
    if config.source or based_on not in recipes.RECIPES:
        based_on = based_on.removeprefix(f"{config.dataset}-") if based_on != config.dataset else ""
    if based_on not in recipes.RECIPES:
        based_on = own.recipe_name_for(cast("Dataset", dataset))
    return Task(config.name, config.recipe, options, dataset, based_on, config.class_weight)
