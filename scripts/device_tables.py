"""Table of the claim power, from the kept record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from markdown_table import NONE, markdown

Records = Mapping[str, Mapping[str, Any]]


def power(records: Records) -> str:
    """The estimated ranges, low to high."""
    record = records["power"]
    brain = record["measured"]["brain-sized net"]
    rows = [["10^14 connections, one pass a second", "W", *ranges(brain["watts, one pass a second"])]]
    for learner, watts in brain["watts, learning from one case a second"].items():
        rows.append([f"the same, learning by {learner} from one case a second", "W", *ranges(watts)])
    for side in ("measured", "twin"):
        for learner, found in record[side].items():
            if learner in ("forward-forward", "backprop"):
                each = {name: one for name, one in found.items() if name.startswith("joules for an image")}
                rows += [
                    [f"{learner}, {name.split(', ')[1]}, an image", "J", *ranges(one)] for name, one in each.items()
                ]
    return markdown(["ESTIMATE", "", "digital, low to high", "analog, low to high"], rows)


def ranges(found: Mapping[str, list[float]]) -> list[str]:
    """Low and high on both kinds of hardware."""
    return [f"{low:.2g} to {high:.2g}" for low, high in (found["digital"], found["analog"])]


def kept(claim: str, table: Callable[[Records], str]) -> Callable[[Records], str]:
    """The table, where there is a record of the claim at full size."""
    return lambda records: table(records) if claim in records and records[claim]["size"] == "full" else NONE


OF_RECORDS = {
    "power": kept("power", power),
}
