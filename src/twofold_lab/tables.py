"""Tables of the documentation, as Markdown, generated from the records in results/."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twofold.errors import TwofoldError
from twofold.files import read_json, read_signed
from twofold_lab.record import read, status

NONE = "No full-size result yet."

TABLES: dict[str, Callable[[Path], str]] = {}
"""Tables by the name of their marker, filled by `table`. Each takes the results folder."""


def table(name: str, *files: str) -> Callable[[Callable[..., str]], Callable[..., str]]:
    """Register a function as the table ``<!-- table: NAME -->`` of the documentation.

    Args:
        name: name of the marker.
        files: the records that the function takes, as paths in results/. A path with an asterisk stands for a mapping
            from file names to records, which may be empty. If one of the others does not exist, the table is replaced
            by a note.
    """

    def register(function: Callable[..., str]) -> Callable[..., str]:
        def make(results: Path) -> str:
            claims = [Path(file).stem for file in files if file.startswith("claims/") and "*" not in file]
            if not all((results / file).is_file() for file in files if "*" not in file):
                return NONE
            arguments = [_records(results, file) if "*" in file else read_json(results / file) for file in files]
            try:
                return "\n".join([function(*arguments), *_stale(results, claims), *_edited(results, files)])
            except (LookupError, TypeError, ValueError, AttributeError, StopIteration) as error:
                raise TwofoldError(
                    f"table {name}: {', '.join(files)} lacks a figure that it shows ({error!r})"
                ) from error

        TABLES[name] = make
        return function

    return register


def _records(results: Path, pattern: str) -> dict[str, Any]:
    return {path.name: read_json(path) for path in sorted(results.glob(pattern))}


def _stale(results: Path, claims: Sequence[str]) -> list[str]:
    """Return a line for every record that is not current."""
    lines = []
    for name in claims:
        record, intact = read(name, results / "claims")
        state = status(record, intact) if record else "current"
        if state != "current":
            lines += ["", f"*The record of `{name}` is {state.partition(':')[0]}: see [the claim](claims/{name}.md).*"]
    return lines


def _edited(results: Path, files: Sequence[str]) -> list[str]:
    """Return a line for every record, other than those of claims, whose content does not match its digest."""
    paths = [path for file in files if not file.startswith("claims/") for path in sorted(results.glob(file))]
    edited = [path.name for path in paths if read_signed(path)[1] is False]
    return ["", f"*Changed by hand since they were written: {', '.join(edited)}.*"] if edited else []


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table as Markdown."""
    lines = [list(heads), ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def spread(value: Mapping[str, float]) -> str:
    """Format a mean with its standard deviation, with two decimals each."""
    return f"{value['mean']:.2f} ± {value['std']:.2f}"


def figures(values: Any) -> str:
    """Format figures of a record in one line: numbers with four digits, means with standard deviations."""
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
    """Return the figures of a record as a table; see `rows`."""
    heads, *cells = rows(record)
    return markdown(heads, cells)


def rows(record: Mapping[str, Any]) -> list[list[str]]:
    """Return a header and the figures of a record, one row each, Forward-Forward next to the twin.

    Groups of figures are split into rows. Maps (lists of lists) are omitted, since pictures show them.
    """
    ours, twin = (_flat(record[side]) for side in ("measured", "twin"))
    names = dict.fromkeys([*ours, *twin])
    cells = [[name, *(figures(side.get(name, "-")) for side in (ours, twin))] for name in names]
    return [["", "Forward-Forward", "backprop twin"], *cells]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return figures by their full names, without maps."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        title = f"{prefix}{name}"
        if _nested(value):
            flat |= _flat(value, f"{title}: ")
        elif not (isinstance(value, list) and value and isinstance(value[0], list)):
            flat[title] = value
    return flat
