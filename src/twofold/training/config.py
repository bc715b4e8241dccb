"""Which training a run folder holds, as its config.json says, also where an older version wrote it."""

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
"""Raised when older versions can no longer read what is written. Runs that state no format are of the first, which had
no digests."""

REMOVED = {"neutral_share": 1.0}
"""Fields that recipes of older runs have, and the value at which they changed nothing."""


RENAMED = {"boxed-backprop": "backprop"}
"""Methods of older runs that have another name today."""


@dataclass(frozen=True)
class Config:
    """Which training a folder holds.

    Attributes:
        name: of the recipe.
        method: of learning.
        settings: every field of the recipe.
        fingerprint: of the data.
        device: cpu, cuda or mps.
        precision: of the products.
        dataset: name of the data.
        environment: versions, commit, machine, at the beginning.
        form: of the data that the net was built for, such as ``shape`` and ``classes``.
        started_from: see `Result`.
        preparation: of the data, and the names of their classes, where the data have one.
        source: where data of one's own were read from.
        own_net: whether the net was given to the training, and is another than the one that the settings describe.
        format: see `FORMAT`.

    Raises:
        ArgumentError: an entry is of the wrong type.
        RunError: the preparation is of other data than the form.
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
    format: int = FORMAT

    def __post_init__(self) -> None:
        check_fields(self)
        form, prepared = (self.form.get("shape"), self.form.get("classes")), self.preparation
        if prepared and ([*prepared.shape], len(prepared.names)) != form:
            raise RunError(
                f"cases have the shape {form[0]} and one of {form[1]} classes, but their preparation says "
                f"{[*prepared.shape]} and {len(prepared.names)} names: one of them is damaged"
            )

    @property
    def identity(self) -> dict[str, Any]:
        """What makes a training this one, and what must be the same to go on with it."""
        names = ("name", "method", "fingerprint", "device", "precision", "own_net")
        start = (self.started_from or {}).get("weights")
        return {**{name: getattr(self, name) for name in names}, **self.recipe.fields(), "weights to start from": start}

    @cached_property
    def recipe(self) -> Recipe:
        """The settings as a recipe.

        Raises:
            RunError: they are none, or hold a setting that is gone and was not at the value that changes nothing.
        """
        if self.method not in METHODS:
            raise RunError(f"the method is {self.method}, which this version of twofold does not have: update twofold")
        kind = METHODS[self.method].recipe_type
        for name, neutral in REMOVED.items():
            if self.settings.get(name, neutral) != neutral:
                raise RunError(
                    f"{name} is {self.settings[name]}, which this version of twofold no longer has: use the run with "
                    "the version that trained it"
                )
        settings = kind.having("added") | {name: value for name, value in self.settings.items() if name not in REMOVED}
        try:
            if missing := kind.properties().keys() - settings.keys():
                raise TypeError(f"{', '.join(sorted(missing))} not stated")
            return kind(**settings)
        except TypeError as error:
            raise RunError(f"the settings are no recipe ({reason(error)}): they are damaged") from error
        except SettingError as error:
            raise RunError(
                f"this version of twofold refuses its settings ({error}): use the one that trained it"
            ) from error

    def to_json(self) -> dict[str, Any]:
        """All of it side by side, as ``config.json`` has it."""
        content = asdict(self)
        for name, part in (("preparation", self.preparation), ("source", self.source)):
            content[name] = part and part.to_json()
        for name in ("started_from", "preparation", "source"):
            if content[name] is None:
                del content[name]
        if not self.own_net:
            del content["own_net"]
        return {"format": content.pop("format"), **content.pop("form"), **content}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """The config in the content of a ``config.json``; what it does not know is the form of the data.

        Raises:
            TypeError: an entry is missing, or of another type.
            RunError: what was done to the data, or where they came from, cannot be.
        """
        named = {each.name for each in fields(cls)} - {"form"}
        known = {name: value for name, value in content.items() if name in named}
        if known.get("method") in RENAMED:
            known["method"] = RENAMED[known["method"]]
            if known["settings"].get("gradient") == "local":  # before readouts had names
                known["settings"] = {**known["settings"], "gradient": "straight_through", "readout": "block"}
        for name, part in (("preparation", Preparation), ("source", Source)):
            if name in known:
                try:
                    known[name] = part.from_json(known[name])
                except SettingError as error:
                    raise RunError(f"the {name} of its data cannot be used ({error}): it is damaged") from error
        return cls(**{"format": 1, **known}, form={name: value for name, value in content.items() if name not in named})


def preparation_of(config: Config) -> Preparation | None:
    """What was done to the data of a run; ``None`` where they are no labeled images.

    A data set that has a name, and arrays that are as a net takes them, are described by their form.
    """
    if config.preparation or not {"shape", "classes"} <= config.form.keys():
        return config.preparation
    names = CLASS_NAMES.get(config.dataset, numbered(config.form["classes"]))
    return Preparation("pictures", tuple(config.form["shape"]), names)


def reason(error: BaseException) -> str:
    """The message of an error about a call, without the name of the function."""
    return str(error).split("__init__() ")[-1]


def current_name(name: str) -> str:
    """The name of a tensor of a checkpoint, which an older version may have called otherwise."""
    name = re.sub(r"^velocity\.(layers\.\d+\.(?:weight|bias))$", r"\1_velocity", name)
    return re.sub(r"^(layers\.\d+)\.((?:below|above|beside|label)_velocity)$", r"\1.weights.\2", name)
