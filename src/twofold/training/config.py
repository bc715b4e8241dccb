"""The file config.json of a run folder, which describes a training run. Files of older versions are supported."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Self

from twofold.checks import check_fields
from twofold.data.origins import CLASS_NAMES
from twofold.data.preparation import Preparation, numbered
from twofold.data.source import Source
from twofold.errors import RunError, SettingError
from twofold.methods import METHODS, Recipe

FORMAT = 2
"""Version of the file format of run folders. It is increased when older versions of twofold cannot read new folders.
If ``config.json`` has no entry ``format``, the format is 1. Files of format 1 have no digests."""

REMOVED = {name: neutral for method in METHODS.values() for name, neutral in method.recipe_type.removed.items()}
"""Removed recipe field -> the only value with which older runs can be loaded, for all methods; see `Recipe.removed`."""


@dataclass(frozen=True)
class Config:
    """Description of a training run, as stored in ``config.json``.

    Attributes:
        name: name of the recipe.
        method: name of the method.
        settings: all fields of the recipe.
        fingerprint: SHA-256 of the data.
        device: cpu, cuda or mps.
        precision: precision of matrix products.
        dataset: name of the data set.
        environment: software versions, commit and machine at the start of training.
        form: description of the data that the net was built for, such as ``shape`` and ``classes``.
        started_from: path and weights digest of the run whose net was trained further; ``None`` if training started
            from random weights.
        preparation: preprocessing of the data and names of the classes; if ``None``, see `preparation_of`.
        source: files that the user's own data were read from; ``None`` for built-in data sets and arrays.
        own_net: True if the user gave the net. It may differ from the net that the settings describe.
        class_weight: "balanced" if cases are weighted by the frequencies of their classes, or ``None``.
        format: version of the file format; see `FORMAT`.

    Raises:
        ArgumentError: an entry has the wrong type.
        RunError: ``preparation`` and ``form`` describe different data.
    """

    name: str
    method: str
    settings: dict[str, Any]
    fingerprint: str
    device: str
    precision: str
    dataset: str
    environment: dict[str, Any]
    form: dict[str, Any]
    started_from: dict[str, str] | None = None
    preparation: Preparation | None = None
    source: Source | None = None
    own_net: bool = False
    class_weight: str | None = None
    format: int = FORMAT

    def __post_init__(self) -> None:
        check_fields(self)
        form, prepared = (self.form.get("shape"), self.form.get("classes")), self.preparation
        if prepared and ([*prepared.shape], len(prepared.names)) != form:
            raise RunError(
                f"the data have the shape {form[0]} and {form[1]} classes, but their preprocessing has the shape "
                f"{[*prepared.shape]} and {len(prepared.names)} class names: the file is damaged"
            )

    @property
    def identity(self) -> dict[str, Any]:
        """The entries that must be equal to resume the training run, by name."""
        names = ("name", "method", "fingerprint", "device", "precision", "own_net", "class_weight")
        start = (self.started_from or {}).get("weights")
        return {**{name: getattr(self, name) for name in names}, **self.recipe.fields(), "weights to start from": start}

    @cached_property
    def recipe(self) -> Recipe:
        """The settings, converted to a recipe.

        Raises:
            RunError: the settings are invalid, or use a feature that this version no longer has.
        """
        if self.method not in METHODS:
            raise RunError(f"the method {self.method} is not supported by this version of twofold: update twofold")
        cls = METHODS[self.method].recipe_type
        for name, neutral in cls.removed.items():
            if self.settings.get(name, neutral) != neutral:
                raise RunError(
                    f"{name} is {self.settings[name]}, which this version of twofold no longer supports: use the "
                    "version that trained the run"
                )
        settings = cls.fields_with("added") | {
            name: value for name, value in self.settings.items() if name not in cls.removed
        }
        try:
            if missing := cls.properties().keys() - settings.keys():
                raise TypeError(f"missing {', '.join(sorted(missing))}")
            return cls(**settings)
        except TypeError as error:
            raise RunError(f"the settings are not a valid recipe ({reason(error)}): they are damaged") from error
        except SettingError as error:
            raise RunError(
                f"this version of twofold does not accept the settings ({error}): use the version that trained the run"
            ) from error

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``config.json``."""
        content = asdict(self)
        for name, entry in (("preparation", self.preparation), ("source", self.source)):
            content[name] = entry and entry.to_json()
        for name in ("started_from", "preparation", "source", "class_weight"):
            if content[name] is None:
                del content[name]
        if not self.own_net:
            del content["own_net"]
        return {"format": content.pop("format"), **content.pop("form"), **content}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Create a config from the content of ``config.json``. Entries that are not attributes are put into ``form``.

        Raises:
            TypeError: an entry is missing or has the wrong type.
            RunError: the file was written by a newer version, or the preprocessing or source of the data is invalid.
        """
        if isinstance(version := content.get("format"), int) and version > FORMAT:
            raise RunError(
                f"it was written by a newer version of twofold (format {version}, supported up to {FORMAT}): update "
                "twofold"
            )
        named = {field.name for field in fields(cls)} - {"form"}
        known = {name: value for name, value in content.items() if name in named}
        for method in METHODS.values():
            if known.get("method") in method.recipe_type.former_methods:
                known |= {
                    "method": method.recipe_type.method,
                    "settings": method.recipe_type.upgraded(known["settings"]),
                }
        for name, entry_type in (("preparation", Preparation), ("source", Source)):
            if name in known:
                try:
                    known[name] = entry_type.from_json(known[name])
                except SettingError as error:
                    raise RunError(f"the {name} of the data is not valid ({error}): it is damaged") from error
        return cls(**{"format": 1, **known}, form={name: value for name, value in content.items() if name not in named})


def preparation_of(config: Config) -> Preparation | None:
    """Return the preprocessing of the data of a run, or ``None`` if the data have no ``shape`` or no ``classes``.

    If ``config.preparation`` is ``None``, as for built-in data sets and arrays, the result is derived from the shape
    and the number of classes in ``config.form``.
    """
    if config.preparation or not {"shape", "classes"} <= config.form.keys():
        return config.preparation
    names = CLASS_NAMES.get(config.dataset, numbered(config.form["classes"]))
    return Preparation("pictures", tuple(config.form["shape"]), names)


def reason(error: BaseException) -> str:
    """Return the message of an exception, without the prefix ``NAME.__init__()`` that Python adds."""
    return str(error).split("__init__() ")[-1]


def current_name(name: str) -> str:
    """Return the current name of a checkpoint tensor, given its name in the current or an older version of twofold."""
    name = re.sub(r"^velocity\.(layers\.\d+\.(?:weight|bias))$", r"\1_velocity", name)
    return re.sub(r"^(layers\.\d+)\.((?:below|above|beside|label)_velocity)$", r"\1.weights.\2", name)
