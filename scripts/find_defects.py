"""Read the defects of tests/defects.py, and locate each in the source by the symbol that it names."""

from __future__ import annotations

import ast
import re
import runpy
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"


class Defect(NamedTuple):
    """A planted mistake: ``bad`` replaces ``good`` in the definition of ``symbol``, and then ``test`` must fail.

    ``good`` occurs once in this definition. A symbol is ``name`` or ``Class.name``. If several modules define it, their
    name comes first: ``claims.regime:settings``. A test is its name. If several files have a test of this name, the
    file comes first: ``test_run::test_name``.
    """

    name: str
    symbol: str
    good: str
    bad: str
    test: str


class Definition(NamedTuple):
    """The code of a definition, and the text before and after it in its file. ``path`` is relative to src."""

    path: Path
    before: str
    code: str
    after: str


def definitions() -> dict[str, list[Definition]]:
    """Return all definitions of each symbol of the packages."""
    places = defaultdict(list)
    for file in sorted(SOURCE.rglob("*.py")):
        text, path = file.read_text(encoding="utf-8"), file.relative_to(SOURCE)
        lines, module = text.splitlines(keepends=True), ".".join(path.with_suffix("").parts[1:])
        for name, first, last in names(ast.parse(text).body):
            parts = ("".join(part) for part in (lines[:first], lines[first:last], lines[last:]))
            definition = Definition(path, *parts)
            for symbol in (name, f"{module.removesuffix('.__init__')}:{name}"):
                places[symbol].append(definition)
    return places


def names(body: Iterable[ast.stmt], prefix: str = "") -> Iterator[tuple[str, int, int]]:
    """Yield the names that statements define, with the first and last line of each, including decorators."""
    for node in body:
        named, first = [], min(part.lineno for part in (node, *getattr(node, "decorator_list", ())))
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            named = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            named = [target.id for target in targets if isinstance(target, ast.Name)]
        yield from ((prefix + name, first - 1, node.end_lineno or first) for name in named)
        if isinstance(node, ast.ClassDef):
            yield from names(node.body, f"{prefix}{node.name}.")


def nodes_of_tests() -> dict[str, list[str]]:
    """Return the pytest nodes of each test by its name, and by file and name."""
    nodes = defaultdict(list)
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE):
            for key in (name, f"{file.stem}::{name}"):
                nodes[key].append(f"{file.relative_to(ROOT)}::{name}")
    return nodes


def broken(defect: Defect, places: list[Definition], nodes: list[str]) -> Iterator[str]:
    """Yield one line for each reason why a defect cannot be planted."""
    if len(places) != 1:
        where = "".join(f", {place.path}" for place in places)
        yield f"{defect.name}: {defect.symbol} is defined {len(places)} times, expected once{where}"
    elif (count := places[0].code.count(defect.good)) != 1:
        yield f"{defect.name}: {defect.good!r} occurs {count} times in {defect.symbol}, expected once"
    if len(nodes) != 1:
        yield f"{defect.name}: there are {len(nodes)} tests named {defect.test}, expected one"


def find(words: list[str]) -> list[tuple[Defect, Definition, str]]:
    """Return the defects whose names contain one of the words, or all if there are no words.

    Each defect is returned with its definition and with the pytest node of its test.

    Raises:
        SystemExit: Some defects cannot be planted. The message has one line for each reason.
    """
    defects = [Defect(*entry) for entry in runpy.run_path(str(ROOT / "tests" / "defects.py"))["DEFECTS"]]
    chosen = [defect for defect in defects if not words or any(word in defect.name for word in words)]
    places, nodes = definitions(), nodes_of_tests()
    if why := [line for defect in chosen for line in broken(defect, places[defect.symbol], nodes[defect.test])]:
        raise SystemExit("\n".join(why))
    if not chosen:
        raise SystemExit(f"no name of a defect contains {' or '.join(words)}")
    return [(defect, places[defect.symbol][0], nodes[defect.test][0]) for defect in chosen]
