"""The tables of docs/reliability.md, from the records that scripts/torture.py and scripts/measure_safety.py leave."""

from __future__ import annotations

from collections.abc import Callable

from markdown_table import NONE, ROOT, markdown

from twofold.files import read_json, read_signed

CHECKS = {
    "kills": "trainings of all families killed at random moments and resumed, some of them with `--offload`",
    "folders": "two processes want one run folder at once",
    "disks": "the disk is full, from the beginning or from some moment on",
    "bits": "one bit of one file is flipped, and the run is read or resumed",
    "words": "run files and command lines at random",
}


def reliability() -> str:
    """What was tried how often, and what was found to be wrong."""
    path = ROOT / "results" / "reliability.json"
    if not path.exists():
        return NONE
    record, intact = read_signed(path)
    rows = []
    for name, check in record["checks"].items():
        tried, faults = (
            ", ".join(f"{count} {what}" for what, count in check[part].items()) for part in ("tried", "faults")
        )
        rows.append([CHECKS[name], tried, faults or "none"])
    where = record["environment"]
    said = (
        f"Measured in {record['minutes']} minutes ({record['minutes allowed']:g} are allowed) on {where['processor']}, "
        f"{where['cores']} cores, with the code of commit {where.get('commit', 'unknown')}; "
        f"full disks are {record['full disks are']}."
    )
    changed = "" if intact else "\n\n**The record was changed by hand.**"
    return f"{markdown(['what was done', 'how often', 'faults'], rows)}\n\n{said}{changed}"


def cost() -> str:
    """The time of locks, digests and checks as a share of an epoch."""
    path = ROOT / "results" / "reliability-cost.json"
    if not path.exists():
        return NONE
    record = read_json(path)
    rows = [[part, f"{share:.3f}"] for part, share in record["share of an epoch %"].items()]
    rows.append(["together", f"{record['together %']:.3f}"])
    where = record["environment"]
    epoch = f"An epoch of `{record['recipe']}` took {record['seconds an epoch']:.2f} s"
    said = f"{epoch} on {where['processor']}, {where['threads']} threads."
    return f"{markdown(['what is timed', '% of an epoch'], rows)}\n\n{said}"


TABLES: dict[str, Callable[[], str]] = {"reliability": reliability, "reliability-cost": cost}
