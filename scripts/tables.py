"""Write the tables of README.md and docs/ from the records in results/. Nobody types a figure.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. With --check nothing is written and the exit code is 1
where a file is not up to date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twofold.claims import listing, read_results
from twofold.files import read_json
from twofold.report import figures

ROOT = Path(__file__).parent.parent
RECORDS = read_results(ROOT / "results" / "claims")
NONE = "No full-size result yet."


def markdown(heads: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows)]
    return "\n".join(lines)


def spread(value: Any) -> str:
    """A figure, or a mean with its standard deviation."""
    return figures(value) if isinstance(value, dict) else f"{value:.2f}"


def errors() -> str:
    """The test errors of the recipes beside the twin's and the talk's."""
    rows = []

    def row(title: str, claim: str, part: str | None, talk: str, seeds: int) -> None:
        if claim not in RECORDS:
            return
        record = RECORDS[claim]
        ours, twin = (record[side][part] if part else record[side] for side in ("measured", "twin"))
        rows.append(
            [
                title,
                *(spread(ours[f"{test} error %"]) for test in ("slow", "fast")),
                spread(twin["fast error %"]),
                talk,
                str(seeds),
                f"`{record_command(claim)}`",
            ]
        )

    row("MNIST, 3 x 1000", "mnist", None, "1.3-1.4", len(RECORDS.get("mnist", {}).get("seeds", [])))
    row("MNIST, 4 x 2000", "mnist", "wide", "1.36", 1)
    row("MNIST with jitter, 3 x 1000", "jitter", None, "0.64", len(RECORDS.get("jitter", {}).get("seeds", [])))
    heads = ["test error in %", "slow test", "fast test", "backprop twin", "talk or paper", "seeds", "command"]
    return markdown(heads, rows) if rows else NONE


def record_command(claim: str) -> str:
    """The command that measures a claim at full size."""
    return f"twofold claims run {claim} --size full"


def record(claim: str) -> Callable[[], str]:
    """The table of one claim: each measured figure beside the twin's."""

    def table() -> str:
        if claim not in RECORDS:
            return NONE
        found = RECORDS[claim]
        names = list(dict.fromkeys([*found["measured"], *found["twin"]]))
        rows = [[name, *(figures(found[side].get(name, "-")) for side in ("measured", "twin"))] for name in names]
        return markdown(["", "Forward-Forward", "backprop twin"], rows)

    return table


def to_an_error() -> str:
    """How soon hard negatives, random negatives and the twin get to an error."""
    if "hard-neg" not in RECORDS:
        return NONE
    found = RECORDS["hard-neg"]
    names = ("epochs", "visits", "seconds", "slow error %", "fast error %")
    rows = [
        [title, *("-" if figures_of.get(name) is None else figures(figures_of[name]) for name in names)]
        for title, figures_of in (*found["measured"].items(), ("backprop twin", found["twin"]))
    ]
    return markdown(["", *(f"{name} to 2 %" for name in names[:3]), *names[3:]], rows)


def ledger() -> str:
    """Every claim: what was said, what was measured, whether it holds."""
    rows = []
    for entry in listing(ROOT / "results" / "claims"):
        verdict = {True: "holds", False: "**does not hold**", None: "-"}[entry["holds"]]
        measured = figures(entry["measured"]) if entry["measured"] else "-"
        twin = figures(entry["twin"]) if entry["twin"] else "-"
        rows.append([f"`{entry['id']}`", entry["time"], entry["says"], verdict, measured, twin])
    return markdown(["id", "talk", "says", "", "measured", "twin"], rows)


def choices() -> str:
    """What was tried, on held-out training images unless the row says otherwise."""
    rows = []
    names = ("objective", "temperature", "decay", "rate", "tolerance", "epochs")
    for path in sorted((ROOT / "results" / "choices").glob("*.json")):
        result = read_json(path)
        settings, found = result["settings"], result["validation_error"] or result["test_error"]
        tested = "held out" if result["validation_error"] else "test set"
        errors = [f"{100 * found[test]:.2f}" if test in found else "-" for test in ("slow", "fast")]
        layers = " / ".join(f"{100 * error:.2f}" for error in result["layer_error"]) or "-"
        chosen = [str(settings.get(name, "-")) for name in names]
        rows.append([result["method"], *chosen, tested, *errors, layers])
    return markdown(["method", *names, "tested on", "slow %", "fast %", "each layer alone %"], rows) if rows else NONE


def speed() -> str:
    """Seconds per epoch, both methods in the same run on the same machine."""
    rows = []
    for path in sorted((ROOT / "results" / "speed").glob("*.json")):
        result = read_json(path)
        ours, twin = result["seconds_per_epoch"], result["twin"]["seconds_per_epoch"]
        settings, machine = result["settings"], result["environment"]
        rows.append(
            [
                result["recipe"],
                str(result["epochs"]),
                f"{settings['tolerance']:g} / {settings['revisit']:g}",
                result["precision"],
                f"{machine['processor']}, {machine['threads']} threads",
                f"{ours:.1f}",
                f"{twin:.1f}",
                f"{ours / twin:.2f}",
            ]
        )
    heads = ["recipe", "epochs", "tolerance / revisit", "precision", "machine", "Forward-Forward", "twin", "ratio"]
    return markdown(heads, rows) if rows else NONE


TABLES: dict[str, Callable[[], str]] = {
    "errors": errors,
    "tests": record("shortlist"),
    "hard-neg": to_an_error,
    "ledger": ledger,
    "choices": choices,
    "speed": speed,
}


def filled(text: str) -> str:
    """The text with each of its tables made anew."""
    pattern = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


def main() -> int:
    """Write or check every file that has tables."""
    stale = []
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        old = path.read_text(encoding="utf-8")
        new = filled(old)
        if new != old:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(new, encoding="utf-8")
    print(f"{'stale' if '--check' in sys.argv else 'written'}: {', '.join(stale) or 'none'}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
