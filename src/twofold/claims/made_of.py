"""What decides the figures of a claim, so that a record can be told whether it speaks of the code of today."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

from twofold.claims import lab
from twofold.defaults import LEARNING_VERSION
from twofold.methods import METHODS, Recipe
from twofold.training.config import REMOVED

ASKED = r'\blab\.(recipe|short|settling|short_settling)\((?:"([\w-]+)")?\)'
"""How an experiment asks the laboratory for a recipe and its twin."""

MadeOf = dict[str, Any]
"""``learning_version``; ``code``: module -> SHA-256 of its source; ``settings``: name -> the fields of a recipe."""


def made_of(experiment: Callable[..., Any]) -> MadeOf:
    """What the figures of an experiment at full size depend on: found from its source, without training anything.

    It is the version of the learning code, the experiment's own module and the modules of other claims that it uses,
    the functions with which the laboratory makes figures of runs, and the values of every recipe that the modules name
    (those called ``small...`` are for smoke size) or get from the laboratory.
    """
    modules = list(_modules(sys.modules[experiment.__module__]))
    settings = {name: recipe.fields() for module in modules for name, recipe in _recipes(module)}
    code = {module.__name__.removeprefix("twofold.claims."): _sha(inspect.getsource(module)) for module in modules}
    code |= {f"lab.{name}": _sha(inspect.getsource(function)) for name, function in _measures()}
    found: MadeOf = {"learning_version": LEARNING_VERSION, "code": code, "settings": settings}
    return dict(json.loads(json.dumps(found)))


def changes(then: MadeOf, now: MadeOf) -> Iterator[str]:
    """Why a record made of one is not a record made of the other, in words."""
    if then.get("learning_version") != now["learning_version"]:
        yield f"learning version {then.get('learning_version')}, now {now['learning_version']}"
    for kind, what in (("code", "the code of"), ("settings", "the recipe")):
        old, new = then.get(kind, {}), now[kind]
        for name in sorted(old.keys() | new.keys()):
            before, after = old.get(name), new.get(name)
            if before == after:
                continue
            if isinstance(before, dict) and isinstance(after, dict):
                if fields := _differ(before, after):
                    yield f"{what} {name}: {', '.join(fields)}"
            else:
                yield f"{what} {name} {'is new' if before is None else 'is gone' if after is None else 'has changed'}"


def _differ(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The fields of a recipe that differ. One that it got or lost in between counts where it changes anything."""
    neutral = dict.fromkeys(before.keys() | after.keys()) | REMOVED
    for method in METHODS.values():
        neutral |= json.loads(json.dumps(method.recipe_type.fields_with("added")))
    old, new = ({**neutral, **each} for each in (before, after))
    return [f"{name} {old[name]} -> {new[name]}" for name in sorted(neutral) if old[name] != new[name]]


def _measures() -> Iterator[tuple[str, FunctionType]]:
    """The functions with which the laboratory makes figures of runs."""
    for name, value in vars(lab).items():
        if isinstance(value, FunctionType) and value.__module__ == lab.__name__ and not name.startswith("_"):
            yield name, value


def _modules(module: ModuleType, found: dict[str, ModuleType] | None = None) -> Iterator[ModuleType]:
    """The module of a claim, and those of other claims that it uses, each once."""
    found = {} if found is None else found
    if module.__name__ in found or not module.__name__.startswith("twofold.claims.") or module is lab:
        return
    found[module.__name__] = module
    yield module
    for value in list(vars(module).values()):
        home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(home, str) and home in sys.modules and ".plots" not in home:
            yield from _modules(sys.modules[home], found)


def _recipes(module: ModuleType) -> Iterator[tuple[str, Recipe]]:
    """The recipes in the namespace of a module, and those that its source asks the laboratory for."""
    for name, value in vars(module).items():
        if isinstance(value, Recipe) and not name.startswith("small"):
            yield f"{module.__name__.rpartition('.')[2]}.{name}", value
    full = lab.Lab("full")
    for method, argument in re.findall(ASKED, inspect.getsource(module)):
        given = getattr(full, method)(*filter(None, [argument]))
        for number, recipe in enumerate(each for each in given if isinstance(each, Recipe)):
            yield f"lab.{method}({argument}){' twin' * number}", recipe


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
