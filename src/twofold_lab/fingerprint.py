"""Fingerprint of the code behind a record. A record is stale if the fingerprint of today's code differs.

The fingerprint covers the file of the claim or benchmark and the modules that it imports, directly or through others,
if they affect figures: recipes, nets, layers, learning rules, substrates, black boxes, presets, the trainer. Comments,
docstrings and blank lines are not covered. Modules of a family of nets are covered if a net of the record belongs to
that family.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import sys
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from twofold.defaults import LEARNING_VERSION
from twofold.methods import METHODS

COMPUTES = (
    *("defaults", "schedules", "goodness", "activations", "objectives", "normalize", "labels", "negatives", "learning"),
    *("data.transforms", "layers", "substrate", "instrument", "nets", "methods", "recipes", "training.trainer"),
    *("training.prediction", "data.pictures", "data.ink", "data.look", "estimators", "exporting"),
)
"""Modules and packages of the library that affect figures. Data sets have fingerprints of their own."""

FRAME = ("lab", "ledger", "record", "fingerprint", "claim", "verdict", "tables", "cli", "drawing", "benchmarks.drawing")
"""Modules of the laboratory that do not affect figures."""

ALWAYS = ("twofold.training.trainer", "twofold_lab.contest", "twofold_lab.figures")
"""Modules behind all figures."""

OPTIONAL = {
    "twofold.layers.boxes": "box",
    "twofold.nets.crossings": "box",
    "twofold.substrate": "substrate",
}
"""Module -> field of recipes. The module is covered only if a net of the record sets this field, or if a module of the
laboratory imports it."""

NEUTRAL = ("none", "ideal", None)
"""Values with which a recipe field in `OPTIONAL` counts as not set."""

Origin = dict[str, Any]
"""``learning_version``, and ``code``: module -> beginning of the SHA-256 of its code."""


def origin_of(module: str, settings: Iterable[Mapping[str, Any]] = ()) -> Origin:
    """Return the fingerprint of the code behind the figures of a claim or benchmark.

    Args:
        module: name of the module of the claim or benchmark.
        settings: ``settings`` of a record, see `Lab.facts`.
    """
    trainings = [{**group["shared"], **own} for group in settings for own in group["own"].values()]
    families = {METHODS[training["method"]].__module__ for training in trainings if training.get("method") in METHODS}
    used = {name for training in trainings for name in OPTIONAL.values() if training.get(name) not in NEUTRAL}
    options = {name for name, setting in OPTIONAL.items() if setting in used}
    covered = set[str]().union(*(_closure(name, options) for name in (module, *ALWAYS, *families)))
    return {"learning_version": LEARNING_VERSION, "code": {name: _digest(name) for name in sorted(covered)}}


def changes(origin: Origin) -> Iterator[str]:
    """Yield a line of text for each difference between the code of a record and today's code."""
    if origin["learning_version"] != LEARNING_VERSION:
        yield f"learning version {origin['learning_version']}, now {LEARNING_VERSION}"
    for name, digest in origin["code"].items():
        if not _exists(name):
            yield f"{name} no longer exists"
        elif _digest(name) != digest:
            yield f"{name} has changed"


def code_of(source: str) -> str:
    """Return Python source without comments, docstrings and blank lines."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _closure(module: str, options: set[str]) -> set[str]:
    """Return ``module`` and all modules that it imports, directly or through others, and that affect figures.

    Args:
        module: name of the module.
        options: modules in `OPTIONAL` that are covered.
    """
    covered, waiting = set[str](), [module]
    while waiting:
        name = waiting.pop()
        if name in covered:
            continue
        covered.add(name)
        for target in _imports(name):
            option = next((key for key in OPTIONAL if target == key or target.startswith(f"{key}.")), None)
            of_lab = name.startswith("twofold_lab.")
            if _decides(target) and (option is None or option in options or of_lab):
                waiting.append(target)
    return covered


def _decides(name: str) -> bool:
    """Return True if the code of a module can change measured values.

    An ``__init__.py`` cannot, since it only imports from its modules.
    """
    package, _, rest = name.partition(".")
    listed = COMPUTES if package == "twofold" else FRAME
    inside = any(rest == prefix or rest.startswith(f"{prefix}.") for prefix in listed)
    return inside == (package == "twofold") and _path(name).name != "__init__.py"


@cache
def _imports(name: str) -> tuple[str, ...]:
    """Return the modules of the library and the laboratory from which a module imports.

    For a name that is imported from a package, this is the module that defines the name.
    """
    targets: list[str] = []
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.Import):
            targets += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            targets += [_home(node.module, alias.name) for alias in node.names]
    return tuple(dict.fromkeys(target for target in targets if target.startswith("twofold")))


def _home(module: str, name: str) -> str:
    """Return the module that defines ``name``, which another module imports from ``module``."""
    if not module.startswith("twofold") or _exists(f"{module}.{name}"):
        return f"{module}.{name}"
    for node in _tree(module).body:
        if isinstance(node, ast.ImportFrom) and name in [alias.asname or alias.name for alias in node.names]:
            return _home(str(node.module), name)
    return module


@cache
def _tree(name: str) -> ast.Module:
    return ast.parse(_path(name).read_text(encoding="utf-8"))


@cache
def _exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _path(name: str) -> Path:
    module = sys.modules.get(name)
    origin = module.__file__ if module else importlib.util.find_spec(name).origin  # type: ignore[union-attr]
    return Path(str(origin))


@cache
def _digest(name: str) -> str:
    return hashlib.sha256(code_of(_path(name).read_text(encoding="utf-8")).encode()).hexdigest()[:16]
