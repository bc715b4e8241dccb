"""Kept records of claims: written with a history, read with their types checked, and told from today's code.

A record is *current* if what it was made of is what it would be made of today, *stale* if that is another, *undated* if
it does not say, and *edited* if its content was changed since it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twofold.checks import convert
from twofold.claims.made_of import changes, made_of
from twofold.errors import ArgumentError, RunError, remark
from twofold.files import read_signed, write_signed

SHOWN = ("size", "holds", "rule", "talk", "measured", "twin", "seconds", "seeds", "history")
"""What the listing of all claims shows of a record."""

RECORD: dict[str, Any] = {
    **{"id": str, "time": str, "says": str, "size": str, "holds": bool, "rule": str},
    **{"talk": dict[str, Any] | str, "measured": dict[str, Any], "twin": dict[str, Any], "seeds": list[int]},
    **{"seconds": float, "dataset": str, "official_data": bool, "environment": dict[str, Any]},
}
"""What every record has, and of which type."""

LATER: dict[str, Any] = {
    **{"data": dict[str, list[str]], "trainings": dict[str, str | None], "settings": list[dict[str, Any]], "date": str},
    **{"made_of": dict[str, Any], "history": list[dict[str, Any]], "superseded": str, "renewed": list[dict[str, Any]]},
}
"""What the oldest records do not have. ``superseded`` says what is known to have changed since a record was made that
does not say itself what it was made of."""

VERDICT: dict[str, Any] = {"holds": bool, "rule": str, "commit": str | None}
"""What readers need of each verdict in a history."""


def write(record: dict[str, Any], folder: Path) -> Path:
    """Write a record to ``folder/ID.json`` and return the path; the verdict of an older one goes into its history.

    An older one that cannot be read is kept beside it.
    """
    path = folder / f"{record['id']}.json"
    try:
        older, intact = read(record["id"], folder)
    except RunError as error:
        older, intact, aside = None, None, free(path.with_suffix(".damaged"))
        path.replace(aside)
        remark(f"{error}; it is kept as {aside}, and its verdict is missing in the history of the new record")
    if older:
        verdict = {name: older[name] for name in ("holds", "rule", "measured", "seeds")}
        verdict |= {"commit": older["environment"].get("commit"), "date": older.get("date")}
        verdict |= {"edited": True} if intact is False else {}
        record = {**record, "history": [*older.get("history", []), verdict]}
    write_signed(path, record)
    return path


def free(path: Path) -> Path:
    """The path, or the first with a number appended that nothing has yet."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found


def overturned(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The earlier verdicts of a record that were different, the newest last."""
    return [each for each in record.get("history") or [] if each["holds"] != record["holds"]]


def read_result(name: str, folder: Path) -> dict[str, Any] | None:
    """Read the kept record of a claim; ``None`` if there is none.

    Raises:
        RunError: the file is damaged.
    """
    return read(name, folder)[0]


def read(name: str, folder: Path) -> tuple[dict[str, Any] | None, bool | None]:
    """A record, and whether its content is as it was written (``None``: it carries no digest).

    Raises:
        RunError: the file is damaged.
    """
    path = folder / f"{name}.json"
    if not path.exists():
        return None, None
    record, intact = read_signed(path)
    try:
        for key, hint in RECORD.items():
            convert(key, record.get(key), hint)
        for key, hint in LATER.items():
            convert(key, record.get(key), hint | None)
        for verdict in record.get("history") or []:
            for key, hint in VERDICT.items():
                convert(f"{key} in the history", verdict.get(key), hint)
    except ArgumentError as error:
        raise RunError(f"{path} is not a record of claim {name!r} ({error}): run `{command(name)}` again") from error
    if record["id"] != name:
        raise RunError(f"{path} is not a record of claim {name!r}: run `{command(name)}` again")
    return record, intact


def command(name: str) -> str:
    """The command that measures a claim at full size."""
    return f"twofold claims run {name} --size full"


def status(record: dict[str, Any], intact: bool | None, experiment: Callable[..., Any] | None) -> str:
    """``current``, ``stale: WHY``, ``undated`` or ``edited``.

    Args:
        record: as it was read.
        intact: whether its content is as it was written; ``None`` where it carries no digest.
        experiment: the claim's, as it is today; ``None`` where there is none any more.
    """
    then = record.get("made_of")
    if intact is False or (intact is None and then):  # what was made so carried a digest
        return "edited"
    if superseded := record.get("superseded"):
        return f"stale: {superseded}"
    if then is None:
        return "undated"
    if experiment is None:
        return "stale: the experiment is gone"
    now = made_of(experiment)
    changed = list(changes(then, now))
    return f"stale: {'; '.join(changed)}" if changed else "current"
