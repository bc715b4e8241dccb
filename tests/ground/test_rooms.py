"""Modules import only from earlier packages, the library never imports the laboratory, and each family of nets is
defined in one file.

Oracle: the source itself, read with `ast`; what must be found is planted.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import twofold
import twofold_lab
from twofold.methods import METHODS

HOUSE = Path(twofold.__file__).parent
LABORATORY = Path(twofold_lab.__file__).parent

ROOMS = [
    *("errors", "checks", "files", "machine", "checkpoint"),
    *("defaults", "schedules", "goodness", "activations", "objectives"),
    *("normalize", "labels", "negatives", "learning"),
    *("data", "layers", "substrate", "instrument", "plots", "nets", "methods", "training", "exporting", "recipes"),
    *("estimators", "tuning"),
    *("cli", "api", "__init__", "__main__"),
]
"""From the ground upwards. The last three may import from all."""

FAMILIES = {name for method in METHODS.values() for name in (method.__name__, method.recipe_type.__name__)}
FAMILIES |= {"FeedForward", "Recurrent", "Unsupervised", "Backprop"}
"""Classes that belong to one family of nets."""

METHOD_NAMES = set(METHODS)

FAMILY_HOLDERS = {"net", "recipe", "method", "layer", "run", "loaded"}
"""Names of what belongs to some family."""


def room_of(path: Path) -> str:
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    """The rooms that a module imports from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "twofold":
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("twofold."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (name.name.split(".")[1] for name in node.names if name.name.startswith("twofold."))


def out_of_order(room: str, tree: ast.AST) -> list[str]:
    """The rooms that a module of a room must not import from, and does."""
    return [other for other in imported(tree) if other != room and ROOMS.index(other) > ROOMS.index(room)]


def names_in(node: ast.AST) -> set[str]:
    """The names and attributes in a piece of code."""
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return names | {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}


def strings_in(node: ast.AST) -> set[str]:
    """The strings in a piece of code."""
    return {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def compared_strings(node: ast.Compare) -> set[str]:
    """The strings that something is compared with, alone or as one of several."""
    sides = [node.left, *node.comparators]
    several = [part for side in sides if isinstance(side, ast.Tuple | ast.List | ast.Set) for part in side.elts]
    return {part.value for part in (*sides, *several) if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def family_branches(tree: ast.AST) -> list[int]:
    """The lines that decide by the family of a net: by its class, by a match on it, by its method's name, or by what it
    happens to have."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            asks_class = node.func.id in ("isinstance", "issubclass") and names_in(node) & FAMILIES
            optional = node.func.id == "hasattr" or (node.func.id == "getattr" and len(node.args) == 3)
            asks_parts = optional and names_in(node.args[0]) & FAMILY_HOLDERS
            if asks_class or asks_parts:
                lines.append(node.lineno)
        elif isinstance(node, ast.Compare):
            of_type = any(isinstance(part, ast.Call) and names_in(part.func) & {"type"} for part in ast.walk(node))
            if compared_strings(node) & METHOD_NAMES or (of_type and names_in(node) & FAMILIES):
                lines.append(node.lineno)
        elif isinstance(node, ast.match_case):
            pattern = node.pattern
            if (names_in(pattern) & FAMILIES) or (strings_in(pattern) & METHOD_NAMES):
                lines.append(pattern.lineno)
        elif isinstance(node, ast.Dict):
            keys = {word for key in node.keys if key is not None for word in strings_in(key)}
            if len(keys & METHOD_NAMES) > 1:
                lines.append(node.lineno)
    return sorted(lines)


STEPS = {"learn", "learn_video", "gather", "gather_product", "apply", "apply_gradient"}
"""What a loop over batches calls in order to learn; and ``step``, of a method."""


def training_loops(tree: ast.AST) -> list[int]:
    """The lines of loops outside classes that learn from batch after batch."""
    lines = []

    def search(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                continue
            if isinstance(child, ast.For | ast.While | ast.ListComp | ast.GeneratorExp):
                calls = [part.func for part in ast.walk(child) if isinstance(part, ast.Call)]
                methods = [call for call in calls if isinstance(call, ast.Attribute)]
                if any(call.attr in STEPS or (call.attr == "step" and "method" in names_in(call)) for call in methods):
                    lines.append(child.lineno)
            search(child)

    search(tree)
    return lines


TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(HOUSE.rglob("*.py"))}
"""The modules of the library."""

ALL_TREES = TREES | {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(LABORATORY.rglob("*.py"))}
"""The modules of the library and the laboratory."""

REPOSITORY = HOUSE.parents[1]

LEARNING_ROOMS = {"layers", "nets", "methods"}
"""Packages with loops over batches."""

LEARNING_MODULES = {HOUSE / "training" / "trainer.py", LABORATORY / "moving_training.py"}
"""Other modules with loops over batches: the trainer, and an experiment that learns from videos, frame after frame."""


def places(rule: Callable[[ast.AST], list[int]], paths: Iterable[Path]) -> list[str]:
    """File and line of all that a rule finds in some modules of the package."""
    return [f"{path.relative_to(HOUSE.parent)}:{line}" for path in paths for line in rule(ALL_TREES[path])]


def laboratory_imports(tree: ast.AST) -> list[int]:
    """The lines that import the laboratory."""
    lines = []
    for node in ast.walk(tree):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        lines += [node.lineno for module in modules if module.split(".")[0] == "twofold_lab"]
    return lines


def test_every_file_stands_in_a_room() -> None:
    assert {room_of(path) for path in TREES} == set(ROOMS)
    assert len(list(HOUSE.glob("*.py"))) <= 15


def test_a_room_imports_only_from_rooms_before_it() -> None:
    later = {str(path.relative_to(HOUSE)): out_of_order(room_of(path), tree) for path, tree in TREES.items()}
    assert {path: rooms for path, rooms in later.items() if rooms} == {}


def test_an_import_from_a_later_room_would_be_found() -> None:
    for planted in ("from twofold.nets.net import Net", "from twofold import nets", "import twofold.nets.net as n"):
        assert out_of_order("layers", ast.parse(planted)) == ["nets"]
        assert not out_of_order("training", ast.parse(planted))


def test_the_library_never_imports_the_laboratory() -> None:
    assert places(laboratory_imports, TREES) == []
    for planted in ("from twofold_lab.lab import Lab", "import twofold_lab", "def f():\n    import twofold_lab.ledger"):
        assert laboratory_imports(ast.parse(planted))


def test_nothing_branches_on_the_family_of_a_net() -> None:
    assert places(family_branches, ALL_TREES) == []


def test_a_branch_on_the_family_would_be_found() -> None:
    branches = [
        "if isinstance(net, FeedForward): pass",
        "x = 1 if isinstance(recipe, FeedForwardRecipe | RecurrentRecipe) else 2",
        "assert issubclass(kind, Recurrent)",
        "if type(net) is Backprop: pass",
        "if recipe.method == 'recurrent': pass",
        "if recipe.method in ('forward-forward', 'unsupervised'): pass",
        "if hasattr(net, 'settled_softmax'): pass",
        "match net:\n    case Recurrent(): pass",
        "match recipe.method:\n    case 'backprop': pass",
        "test = {'forward-forward': 'slow', 'backprop': 'fast'}[recipe.method]",
    ]
    assert [planted for planted in branches if not family_branches(ast.parse(planted))] == []


def test_only_the_trainer_the_methods_and_the_nets_loop_over_batches() -> None:
    others = [path for path in ALL_TREES if path not in TREES or room_of(path) not in LEARNING_ROOMS]
    assert places(training_loops, [path for path in others if path not in LEARNING_MODULES]) == []


def test_a_loop_over_batches_would_be_found() -> None:
    loops = [
        "for batch in batches:\n    method.step(batch, 0.1)",
        "while True:\n    layer.learn(positive, negative, 0.1)",
        "def train():\n    for batch in batches:\n        if batch:\n            layer.apply_gradient(0.1)",
        "x = [net.learn(images, labels, rate=0.1) for images, labels in batches]",
    ]
    assert [planted for planted in loops if not training_loops(ast.parse(planted))] == []


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    files = [path for folder in ("src", "tests", "scripts", "examples") for path in (REPOSITORY / folder).rglob("*.py")]
    lengths = {str(path.relative_to(REPOSITORY)): len(path.read_text("utf-8").splitlines()) for path in files}
    assert {path: lines for path, lines in lengths.items() if lines > 400} == {}
