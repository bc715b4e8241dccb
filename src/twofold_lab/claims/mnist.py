"""On MNIST, a fully connected net has about the same error as with backprop, 1.3 to 1.4 % (talk 13:48).

smoke: a small net on digits, two seeds. full: the recipe mnist and its twin, three seeds; the recipe with every image
in every epoch, three seeds; and mnist-wide, the 4 x 2000 net of the paper's table (1.36 %), one seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twofold.recipes import mnist, mnist_wide
from twofold_lab import feedforward
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.contest import Contest
from twofold_lab.lab import Lab
from twofold_lab.record import command
from twofold_lab.tables import NONE, figures, markdown, table
from twofold_lab.verdict import limited

CLAIM = Claim(
    "mnist",
    time="13:48",
    says="On MNIST, a fully connected net has about the same error as with backprop.",
    headline=Headline("slow error %", "about 1.3-1.4 (1.36 with 4 x 2000)"),
    clauses=(limited("error of about 1.4 %", "slow error %", smoke=5, full=1.4),),
)


@CLAIM.measure
def measure(lab: Lab) -> Finding:
    contest = trained(lab)
    measured, twin = contest.errors("mnist"), contest.errors()
    if lab.size == "full":
        complete = lab.contest({"mnist-complete": {"tolerance": 0.0, "revisit": 1.0}}, contest.of)
        wide = lab.contest({"mnist-wide": {}}, (mnist_wide.mnist_wide, mnist_wide.twin), seeds=[0])
        measured |= {"nothing left out": complete.errors("mnist-complete"), "wide": wide.errors("mnist-wide")}
        twin |= {"wide": wide.errors()}
    return Finding(measured, twin, lab.seeds)


def trained(lab: Lab) -> Contest:
    """Return the contest of the recipe ``mnist`` and its twin; at smoke size, of small nets on digits."""
    return lab.contest({"mnist": {}}, feedforward.pair(lab, mnist.mnist, mnist.twin))


ROWS = (
    ("MNIST, the author's method, 3 x 1000", "paper", None, "1.3-1.4"),
    ("MNIST, the author's method, 4 x 2000", "paper", "wide", "1.36"),
    ("MNIST, 3 x 1000", "mnist", None, "1.3-1.4"),
    ("MNIST, 3 x 1000, nothing left out", "mnist", "nothing left out", "1.3-1.4"),
    ("MNIST, 4 x 2000", "mnist", "wide", "1.36"),
    ("MNIST, recurrent, 2 x 2000", "recurrent", None, "1.31"),
    ("CIFAR-10, local fields, 2 x 3072", "cifar", None, "41"),
    ("MNIST without labels, 4 x 2000", "hybrid", None, "1.37"),
    ("MNIST without labels, local fields", "local", None, "1.16"),
    ("MNIST with jitter, 3 x 1000", "jitter", None, "0.64"),
)
"""Rows of the table of errors: title, claim, key of the figures in the record, and the talk's or paper's error."""


@table("errors", "claims/*.json")
def errors(records: Mapping[str, Any]) -> str:
    """Tabulate the test errors of the recipes next to those of the twins and of the talk or the paper."""
    rows = []
    for title, claim, group, talk in ROWS:
        record = records.get(f"{claim}.json", {"measured": {}})
        ours = record["measured"].get(group) if group else record["measured"]
        if not ours:
            continue
        twin = record["twin"].get(group, record["twin"])
        cells = (_cell(ours.get("slow error %")), _cell(ours.get("fast error %")), _cell(twin["fast error %"]))
        seeds = 1 if group == "wide" else len(record["seeds"])
        rows.append([title, *cells, talk, str(seeds), f"`{command(claim)}`"])
    heads = ["test error in %", "slow test", "fast test", "backprop twin", "talk or paper", "seeds", "command"]
    return markdown(heads, rows) if rows else NONE


def _cell(error: Any) -> str:
    return "-" if error is None else figures(error if isinstance(error, dict) else {"mean": error, "std": 0})
