"""Tables of the documentation, as Markdown, generated from the records in results/."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from twofold.errors import TwofoldError
from twofold.files import read_json, read_signed
from twofold_lab.record import read, status

NONE = "No full-size result yet."

TABLES: dict[str, Callable[[Path], str]] = {}
"""Name of a marker -> function that formats the table from a results folder. `table` adds the functions."""

F = TypeVar("F", bound=Callable[..., str | list[list[str]]])


def table(name: str, *files: str) -> Callable[[F], F]:
    """Register a function as the table ``<!-- table: NAME -->`` of the documentation.

    The function takes the records ``files`` and returns the rows of a table, the first of them the header, or Markdown.

    Args:
        name: name of the marker.
        files: paths of the records in results/. For a path with an asterisk, the function gets a mapping from file
            names to records, which may be empty. If a file without an asterisk does not exist, the table is replaced by
            a note.
    """

    def register(function: F) -> F:
        def make(results: Path) -> str:
            if not all((results / file).is_file() for file in files if "*" not in file):
                return NONE
            arguments = [
                {path.name: read_json(path) for path in sorted(results.glob(file))}
                if "*" in file
                else read_json(results / file)
                for file in files
            ]
            try:
                content = function(*arguments)
                text = content if isinstance(content, str) else markdown(content[0], content[1:])
                return "\n".join([text, *_stale(results, files), *_edited(results, files)])
            except (LookupError, TypeError, ValueError, AttributeError, StopIteration) as error:
                message = f"table {name}: a figure is missing in {', '.join(files)} ({error!r}): measure it again"
                raise TwofoldError(message) from error

        TABLES[name] = make
        return function

    return register


def _stale(results: Path, files: Sequence[str]) -> list[str]:
    """Return a note for every record of a claim that is not current."""
    lines = []
    for name in [Path(file).stem for file in files if file.startswith("claims/") and "*" not in file]:
        record, intact = read(name, results / "claims")
        state = status(record, intact) if record else "current"
        if state != "current":
            lines += ["", f"*The record of `{name}` is {state.partition(':')[0]}: see [the claim](claims/{name}.md).*"]
    return lines


def _edited(results: Path, files: Sequence[str]) -> list[str]:
    """Return a note that lists the records, except of claims, with a wrong digest; no lines if there are none."""
    paths = [path for file in files if not file.startswith("claims/") for path in sorted(results.glob(file))]
    edited = [path.name for path in paths if read_signed(path)[1] is False]
    return ["", f"*Changed by hand since they were written: {', '.join(edited)}.*"] if edited else []


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a header and rows of cells as a Markdown table."""
    lines = [list(heads), ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def spread(value: Mapping[str, float]) -> str:
    """Format a mean with its standard deviation, with two decimals each."""
    return f"{value['mean']:.2f} ± {value['std']:.2f}"


def figures(values: Any) -> str:
    """Format figures of a record as one line of text.

    Numbers have four significant digits, and ``{"mean": ..., "std": ...}`` becomes ``mean ± std``. Other dictionaries
    and lists are formatted item by item.
    """
    if isinstance(values, dict) and values.keys() == {"mean", "std"}:
        return spread(values) if values["std"] else f"{values['mean']:.2f}"
    if isinstance(values, dict):
        texts = {name: f"({figures(value)})" if _nested(value) else figures(value) for name, value in values.items()}
        return ", ".join(f"{name} {text}" for name, text in texts.items())
    if isinstance(values, list):
        return "[" + ", ".join(figures(value) for value in values) + "]"
    return f"{values:.4g}" if isinstance(values, float) else str(values)


def _nested(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() != {"mean", "std"}


def sides(record: Mapping[str, Any]) -> str:
    """Return the figures of a record of a claim as a Markdown table; see `rows`."""
    heads, *cells = rows(record)
    return markdown(heads, cells)


def rows(record: Mapping[str, Any]) -> list[list[str]]:
    """Return a header and one row for each figure of a record: its name, its value, and the value of the twin.

    Nested dictionaries are split into rows. Lists of lists are omitted; the plots of claims show them.
    """
    ours, twin = (_flat(record[side]) for side in ("measured", "twin"))
    names = dict.fromkeys([*ours, *twin])
    cells = [[name, *(figures(side.get(name, "-")) for side in (ours, twin))] for name in names]
    return [["", "Forward-Forward", "backprop twin"], *cells]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dictionaries to ``"outer: inner" -> figure``, and omit lists of lists."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        title = f"{prefix}{name}"
        if _nested(value):
            flat |= _flat(value, f"{title}: ")
        elif not (isinstance(value, list) and value and isinstance(value[0], list)):
            flat[title] = value
    return flat
