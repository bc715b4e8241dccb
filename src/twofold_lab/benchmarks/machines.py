"""Table of the machines on which the benchmark records were measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twofold_lab.tables import table

RECORDS = {
    "epoch": "bench/epoch.json",
    "epoch --recipe mnist-wide": "bench/mnist-wide/epoch.json",
    "roofline": "bench/roofline.json",
    "memory": "bench/memory.json",
    "time-to-error": "bench/time-to-error.json",
    "inference": "bench/inference.json",
    "local": "bench/local.json",
    "local --precision fp32": "bench/fp32/local.json",
    "recurrent": "bench/recurrent.json",
    "recurrent --precision fp32": "bench/fp32/recurrent.json",
}
"""Arguments of `twofold bench` -> path of the record in results/."""


@table("machines", *RECORDS.values())
def machines(*records: Mapping[str, Any]) -> list[list[str]]:
    """Return the precision, processor, threads and commit of each record."""
    rows = [["command", "precision", "processor", "threads", "commit"]]
    for words, record in zip(RECORDS, records, strict=True):
        environment = record["environment"]
        facts = environment["processor"], str(environment["threads"]), environment["commit"] or "-"
        rows.append([f"`twofold bench {words}`", record["precision"], *facts])
    return rows
