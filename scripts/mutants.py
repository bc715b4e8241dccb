"""Mutants of a module: its source with one small change, such as a typing error."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div},
    **{ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In},
}
"""Replacement for each operator."""


class Mutant(NamedTuple):
    """A change of ``before`` to ``after`` in line ``line`` of ``path``.

    ``text`` is the changed source. ``function`` is the first line of the changed function, or ``None``.
    """

    path: Path
    line: int
    before: str
    after: str
    text: str
    function: int | None


def mutants(path: Path) -> Iterator[Mutant]:
    """Yield the mutants of a module. Docstrings, annotations, decorators, error texts and ``__all__`` are unchanged."""
    text = path.read_text(encoding="utf-8")
    starts = [0]
    for line in text.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node, after, function in changes(ast.parse(text), None):
        first = starts[node.lineno - 1] + node.col_offset
        last = starts[node.end_lineno - 1] + node.end_col_offset
        before = text.encode()[first:last].decode()
        changed = (text.encode()[:first] + after.encode() + text.encode()[last:]).decode()
        yield Mutant(path, node.lineno, before, after, changed, function)


def changes(node: ast.AST, function: int | None) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Yield each node that can be changed, its replacement, and the first line of the enclosing function."""
    if isinstance(node, ast.FunctionDef):
        function = min(part.lineno for part in (node, *node.decorator_list))
    for after in replacements(node):
        yield node, after, function
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        yield node.test, f"(not ({ast.unparse(node.test)}))", function
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
        return
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns", "decorator_list", "bases"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from changes(child, function)


def replacements(node: ast.AST) -> Iterator[str]:
    """Yield the replacements of a statement or an expression."""

    def changed(**fields: object) -> str:
        code = ast.unparse(type(node)(**{**dict(ast.iter_fields(node)), **fields}))
        return code if isinstance(node, ast.stmt) else f"({code})"

    if can_be_dropped(node):
        yield "pass"
    match node:
        case ast.BinOp(left=left, right=right) if is_text(left) or is_text(right):
            return
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op) if type(op) in OPERATORS:
            yield changed(op=OPERATORS[type(op)]())
        case ast.Compare(ops=[op]):
            yield changed(ops=[OPERATORS[type(op)]()])
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            yield f"({ast.unparse(operand)})"
        case ast.Constant(value=bool(value)):
            yield str(not value)
        case ast.Constant(value=int(value)):
            yield from (str(value + 1), f"({value - 1})")
        case ast.Constant(value=float(value)) if value not in (0.0, float("inf")):
            yield repr(2 * value)
        case ast.Call(keywords=keywords):
            named = [keyword for keyword in keywords if keyword.arg]
            yield from (changed(keywords=[other for other in keywords if other is not keyword]) for keyword in named)


def can_be_dropped(node: ast.AST) -> bool:
    """Return True for a statement without which code may still run, such as a call or an assignment to an attribute."""
    match node:
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Continue() | ast.Break() | ast.Delete() | ast.AugAssign():
            return True
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            return True
    return False


def is_text(node: ast.AST) -> bool:
    """Return True if an expression is a string. Changed arithmetic with a string fails at once."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
