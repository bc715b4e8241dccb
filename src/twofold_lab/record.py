"""Records of claims: JSON files with the figures, how and by which code they were measured, and earlier verdicts.

A record is *current* if today's code is the code that made it, and *stale* if not. It is *edited* if its content does
not match its digest, that is if it was changed by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twofold.checks import convert
from twofold.errors import ArgumentError, RunError, remark
from twofold.files import read_signed, write_signed
from twofold_lab.fingerprint import changes

NOT_RECORDED = "not recorded"
"""Text for a fact that is missing in a record of an older format."""

RECORD: dict[str, Any] = {
    **{"id": str, "time": str, "says": str, "size": str, "clauses": list[dict[str, str]]},
    **{"talk": dict[str, Any] | str, "measured": dict[str, Any], "twin": dict[str, Any], "seeds": list[int]},
    **{"seconds": float, "dataset": str, "official_data": bool, "precision": str, "test": str},
    **{"tested": list[tuple[str, int]] | str, "tunings": dict[str, Any], "environment": dict[str, Any]},
}
"""Facts of every record, with their types."""

LATER: dict[str, Any] = {
    **{"data": dict[str, list[str]], "trainings": dict[str, str | None], "settings": list[dict[str, Any]], "date": str},
    **{"origin": dict[str, Any], "history": list[dict[str, Any]], "superseded": str, "renewed": list[dict[str, Any]]},
}
"""Facts that may be missing in records of an older format, with their types.

The fact ``superseded`` is a reason why the record is stale.
"""

VERDICT: dict[str, Any] = {"verdicts": list[str], "rules": list[str], "commit": str | None}
"""Facts of each entry in the history of a record, with their types."""


def write(record: Mapping[str, Any], folder: Path) -> Path:
    """Write a record to ``folder/ID.json``, and add the verdicts of the record that it replaces to its history.

    A damaged record is renamed and not deleted.

    Returns:
        The path of the record.
    """
    path = folder / f"{record['id']}.json"
    try:
        older, intact = read(record["id"], folder)
    except RunError as error:
        older, intact, copy = None, None, free(path.with_suffix(".damaged"))
        path.replace(copy)
        remark(f"{error}; it is kept as {copy}, and its verdicts are missing in the history of the new record")
    if older:
        entry = {
            "verdicts": [clause["verdict"] for clause in older["clauses"]],
            "rules": [clause["rule"] for clause in older["clauses"]],
            "measured": older["measured"],
            "seeds": older["seeds"],
            "commit": older["environment"].get("commit"),
            "date": older.get("date"),
            **({"edited": True} if intact is False else {}),
        }
        record = {**record, "history": [*older.get("history", []), entry]}
    write_signed(path, record)
    return path


def free(path: Path) -> Path:
    """Return a path that does not exist yet: ``path``, or ``path`` with the smallest number appended, from -2."""
    number, candidate = 1, path
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate


def overturned(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of the history of a record whose verdicts differ from those of the record, newest last."""
    verdicts = [clause["verdict"] for clause in record.get("clauses", ())]
    return [entry for entry in record.get("history", ()) if entry["verdicts"] != verdicts]


def read(name: str, folder: Path) -> tuple[dict[str, Any] | None, bool | None]:
    """Read the record of a claim.

    Returns:
        The record (``None`` if it does not exist), and True if its content matches its digest (``None``: no digest).

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
        for entry in record.get("history") or []:
            for key, hint in VERDICT.items():
                convert(f"{key} in the history", entry.get(key), hint)
    except ArgumentError as error:
        raise RunError(f"{path} is not a record of claim {name!r} ({error}): run `{command(name)}` again") from error
    if record["id"] != name:
        raise RunError(f"{path} is not a record of claim {name!r}: run `{command(name)}` again")
    return record, intact


def command(name: str) -> str:
    """Return the command that measures a claim at full size."""
    return f"twofold claims run {name} --size full"


def status(record: Mapping[str, Any], intact: bool | None) -> str:
    """Return ``current``, ``stale: REASON`` or ``edited``.

    Args:
        record: the record.
        intact: True if the content of the record matches its digest, see `read`.
    """
    if not intact:
        return "edited"
    if superseded := record.get("superseded"):
        return f"stale: {superseded}"
    if not record.get("origin"):
        return f"stale: its code is {NOT_RECORDED}"
    reasons = list(changes(record["origin"]))
    return f"stale: {'; '.join(reasons)}" if reasons else "current"
