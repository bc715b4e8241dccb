"""Tables of docs/reliability.md, from the records of scripts/torture.py and of the cost of checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twofold_lab.tables import markdown, table

CHECKS = {
    "kills": "trainings of all families killed at random moments and resumed, some of them with `--offload`",
    "folders": "two processes want one run folder at once",
    "disks": "the disk is full, from the beginning or from some moment on",
    "bits": "one bit of one file is flipped, and the run is read or resumed",
    "words": "run files and command lines at random",
}


@table("reliability", "reliability.json")
def faults(record: Mapping[str, Any]) -> str:
    """Return the number of trials of each check, and the faults that were found."""
    rows = []
    for name, check in record["checks"].items():
        tried, wrong = (", ".join(f"{n} {noun}" for noun, n in check[key].items()) for key in ("tried", "faults"))
        rows.append([CHECKS[name], tried, wrong or "none"])
    environment = record["environment"]
    note = (
        f"Measured in {record['minutes']} minutes ({record['minutes allowed']:g} are allowed) on "
        f"{environment['processor']}, {environment['cores']} cores, with the code of commit "
        f"{environment.get('commit', 'unknown')}; full disks are {record['full disks are']}."
    )
    return f"{markdown(['what was done', 'how often', 'faults'], rows)}\n\n{note}"


@table("reliability-cost", "reliability-cost.json")
def cost(record: Mapping[str, Any]) -> str:
    """Return the time of locks, digests and checks as a percentage of the time of an epoch."""
    shares = {**record["share of an epoch %"], "together": record["together %"]}
    rows = [[item, f"{share:.3f}"] for item, share in shares.items()]
    environment = record["environment"]
    note = (
        f"An epoch of `{record['recipe']}` took {record['seconds an epoch']:.2f} s on {environment['processor']}, "
        f"{environment['threads']} threads."
    )
    return f"{markdown(['what is timed', '% of an epoch'], rows)}\n\n{note}"
