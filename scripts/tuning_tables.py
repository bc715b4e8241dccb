"""Tables of what was tuned, from the records of `twofold tune` in results/tuning/."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from markdown_table import NONE, ROOT, markdown

from twofold.defaults import LEARNING_VERSION
from twofold.files import read_signed
from twofold.tuning.record import by_settings

TUNED = ROOT / "results" / "tuning"


def read(name: str) -> tuple[dict[str, Any], str] | None:
    """The record of a recipe, and what is to be said of it; ``None`` where there is none."""
    path = TUNED / f"{name}.json"
    if not path.exists():
        return None
    record, intact = read_signed(path)
    then = record["learning_version"]
    said = f"*The record of `{name}` is stale: learning version {then}, now {LEARNING_VERSION}.*"
    notes = [said] if then != LEARNING_VERSION else []
    notes += [] if intact else [f"*The record of `{name}` was changed by hand since it was written.*"]
    return record, "".join(f"\n\n{note}" for note in notes)


def percent(share: float | None) -> str:
    """A share in percent."""
    return "diverged" if share is None else f"{100 * share:.2f}"


def chosen() -> str:
    """What was chosen of each recipe that was tuned and of its twin."""
    rows, said = [], ""
    for path in sorted(TUNED.glob("*.json")):
        found = read(path.stem)
        assert found is not None
        record, note = found
        said += note
        for side in record["sides"]:
            choice = side["chosen"]
            stands = next(each.error for each in by_settings(side) if each.settings == side["stands"])
            rows.append(
                [
                    f"`{choice['command']}`",
                    f"{percent(choice['error'])} ± {percent(choice['standard_error'])}",
                    str(len(choice["seeds"])),
                    percent(stands),
                    f"{record['trials']} + {len(side['trials']) - record['trials']}",
                    ", ".join(f"{field} ({edge})" for field, edge in choice["edges"].items()) or "none",
                ]
            )
    heads = ["chosen", "held-out error %", "seeds", "as it stood %", "trials", "at the edge"]
    return markdown(heads, rows) + said if rows else NONE


def trials(name: str) -> str:
    """All settings of a recipe and its twin that were tried, the best first."""
    found = read(name)
    if found is None:
        return NONE
    record, note = found
    tables = [_of_side(side) for side in record["sides"]]
    return "\n\n".join(tables) + note


def _of_side(side: Mapping[str, Any]) -> str:
    fields = list(side["values"])
    rows = [
        [
            each.mark,
            *(str(each.settings[field]) for field in fields),
            percent(each.error),
            str(each.seeds),
            "" if each.error is None else f"{each.seconds:.0f}",
        ]
        for each in by_settings(side)
    ]
    return markdown([f"`{side['recipe']}`", *fields, "held-out error %", "seeds", "seconds"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "tuned": chosen,
    **{f"tuned-{name}": partial(trials, name) for name in ("digits", "mnist")},
}
