"""Write the tables of README.md and docs/ from the records in results/. Nobody types a figure.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. With --check nothing is written and the exit code is 1
where a file is not up to date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import choice_tables
import device_tables
import estimator_tables
import export_tables
import layer_tables
import own_data_tables
import picture_tables
import recurrent_tables
import reliability_table
import speed_tables
import substrate_tables
import tuning_tables
from kept_records import Kept
from markdown_table import NONE, ROOT, markdown

from twofold.cli.report import figures, state
from twofold_lab.claims import listing

RECORDS = Kept()
OTHERS = (
    choice_tables,
    estimator_tables,
    export_tables,
    layer_tables,
    own_data_tables,
    picture_tables,
    recurrent_tables,
    reliability_table,
    speed_tables,
    substrate_tables,
    tuning_tables,
)


def spread(value: Any) -> str:
    """A figure, or a mean with its standard deviation where there are several seeds."""
    if isinstance(value, dict) and value.get("std") == 0:
        value = value["mean"]
    return f"{value:.2f}" if isinstance(value, float) else figures(value)


def errors() -> str:
    """The test errors of the recipes beside the twin's and the talk's."""
    rows = []

    def row(title: str, claim: str, part: str | None, talk: str, seeds: int) -> None:
        if claim not in RECORDS or (part and part not in RECORDS[claim]["measured"]):
            return
        ours, twin = (RECORDS[claim][side] for side in ("measured", "twin"))
        ours, twin = (ours[part], twin.get(part, twin)) if part else (ours, twin)
        rows.append(
            [
                title,
                *(spread(ours.get(f"{test} error %", "-")) for test in ("slow", "fast")),
                spread(twin["fast error %"]),
                talk,
                str(seeds),
                f"`{record_command(claim)}`",
            ]
        )

    row(
        "MNIST, the author's method, 3 x 1000", "paper", None, "1.3-1.4", len(RECORDS.get("paper", {}).get("seeds", []))
    )
    row("MNIST, the author's method, 4 x 2000", "paper", "wide", "1.36", 1)
    row("MNIST, 3 x 1000", "mnist", None, "1.3-1.4", len(RECORDS.get("mnist", {}).get("seeds", [])))
    row("MNIST, 3 x 1000, nothing left out", "mnist", "nothing left out", "1.3-1.4", 3)
    row("MNIST, 4 x 2000", "mnist", "wide", "1.36", 1)
    row("MNIST, recurrent, 2 x 2000", "recurrent", None, "1.31", len(RECORDS.get("recurrent", {}).get("seeds", [])))
    row("CIFAR-10, local fields, 2 x 3072", "cifar", None, "41", len(RECORDS.get("cifar", {}).get("seeds", [])))
    row("MNIST without labels, 4 x 2000", "hybrid", None, "1.37", len(RECORDS.get("hybrid", {}).get("seeds", [])))
    row("MNIST without labels, local fields", "local", None, "1.16", len(RECORDS.get("local", {}).get("seeds", [])))
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
        sides = ("measured", "twin")
        rows = [[name, *(figures(brief(found[side].get(name, "-"))) for side in sides)] for name in names]
        return markdown(["", "Forward-Forward", "backprop twin"], rows)

    return table


def brief(value: Any) -> Any:
    """A measured value without its maps, which pictures show better than tables."""
    if isinstance(value, dict):
        return {name: brief(each) for name, each in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], list):
        return f"{len(value)} x {len(value[0])} map"
    return value


def compared(*claims: str) -> Callable[[], str]:
    """The contenders of some claims, one row each, with the errors of every test."""

    def table() -> str:
        every = [found for claim in claims for found in RECORDS.get(claim, {}).get("measured", {}).values()]
        known = {name for found in every if isinstance(found, dict) for name in found}
        tests = [test for test in ("slow", "fast", "settled", "shortlist", "both") if f"{test} error %" in known]
        rows = []
        for claim in claims:
            for name, found in RECORDS.get(claim, {}).get("measured", {}).items():
                if isinstance(found, dict) and "slow error %" in found:
                    cells = [figures(found.get(f"{test} error %", "-")) for test in tests]
                    rows.append([name, *cells, f"`{record_command(claim)}`"])
        return markdown(["error in %", *tests, "command"], rows) if rows else NONE

    return table


def separations() -> str:
    """How well surprise tells each kind of broken video from unbroken ones, by speed, and the twin's figure."""
    if "moving" not in RECORDS:
        return NONE
    ours, twin = (RECORDS["moving"][side] for side in ("measured", "twin"))
    speeds = list(next(each for each in ours["separation"].values() if isinstance(each, dict)))
    rows = []
    for kind, each in ours["separation"].items():
        cells = (
            [each.get(speed, "-") for speed in speeds] if isinstance(each, dict) else [each, *["-"] * (len(speeds) - 1)]
        )
        theirs = twin["separation"][kind]
        rows.append([kind, *map(figures, cells), figures(theirs["all"] if isinstance(theirs, dict) else theirs)])
    named = [f"naming error % {figures(ours['naming error %'])}; twin: "]
    named += [", ".join(f"{name} {figures(value)}" for name, value in twin.items() if name.startswith("naming"))]
    return markdown(["separation", *speeds, "twin, all"], rows) + "\n\n" + "".join(named)


def contexts() -> str:
    """In what share of the renderings each net reads the shape as its context asks for."""
    if "top-down" not in RECORDS:
        return NONE
    ours, twin = (dict(RECORDS["top-down"][side]) for side in ("measured", "twin"))
    low, alone, backprop = ours.pop("low activity"), twin["without top-down"], twin["backprop"]
    nets = {"high activity": ours, "low activity": low, "without top-down": alone, "backprop": {"before": backprop}}
    heads = list(backprop)
    rows = [
        [net, reading, *(figures(shares[head]) for head in heads)]
        for net, readings in nets.items()
        for reading, shares in readings.items()
    ]
    return markdown(["net", "read", *heads], rows)


def relaxation() -> str:
    """How far the label's influence gets in nets of each depth, beside the twin's gradient and error."""
    if "relax" not in RECORDS:
        return NONE
    ours, twin = (RECORDS["relax"][side] for side in ("measured", "twin"))
    heads = [
        "ratio of a layer to the one above",
        "untrained ratio",
        "layers per iteration",
        "slow error %",
        "fast error %",
    ]
    rows = [
        [
            depth,
            *(figures(found[name][0]) for name in ("settled influence %", "untrained influence %")),
            *(figures(found[head]) for head in heads),
            figures(twin[depth]["gradient by layer"][0]),
            figures(twin[depth]["fast error %"]),
        ]
        for depth, found in ours["by depth"].items()
    ]
    first = ["layers", "influence on the first %", "the same untrained %"]
    return markdown([*first, *heads, "twin's gradient, first / last", "twin's error %"], rows)


def presentations() -> str:
    """What the label moves in each layer of the deepest net after presentations of one image."""
    if "relax" not in RECORDS:
        return NONE
    found = RECORDS["relax"]["measured"]
    key = next(name for name in found if name.startswith("after presentations"))
    brief = next(name for name in found if name.startswith("trace"))
    rows = [["long", count, *map(figures, each["settled influence %"])] for count, each in found[key].items()]
    rows += [["of 3 iterations", count, *map(figures, each)] for count, each in found[brief].items()]
    layers = len(rows[0]) - 2
    return markdown(["presentations", "number", *(f"layer {layer + 1}" for layer in range(layers))], rows)


def cifar() -> str:
    """The paper's table of CIFAR-10, training and test errors, beside ours."""
    if "cifar" not in RECORDS:
        return NONE
    record = RECORDS["cifar"]
    paper, ours, twins = record["talk"]["table"], record["measured"]["table"], record["twin"]["table"]

    def told(found: dict[str, Any] | None) -> str:
        return "-" if found is None else f"{found['train']:.0f} / {found['test']:.0f}"

    rows = [["backprop", *(cell for depth in twins for cell in (told(twins[depth]), told(paper["backprop"][depth])))]]
    for activity in ours:
        for test in ("slow", "fast", "settled", "shortlist", "both"):
            cells = [
                cell
                for depth, found in ours[activity].items()
                for cell in (told(found[test]), told(paper[activity][depth].get(test)))
            ]
            rows.append([f"{activity}, {test} test", *cells])
    heads = [f"{depth}, {whose}" for depth in twins for whose in ("ours", "paper")]
    return markdown(["train / test error %", *heads], rows)


def cifar_tests() -> str:
    """Every test of the net that learned from all of CIFAR-10, and how far above its twin each is."""
    if "cifar" not in RECORDS:
        return NONE
    ours, twin = RECORDS["cifar"]["measured"], RECORDS["cifar"]["twin"]["fast error %"]
    names = [name for name in ours if name.endswith("error %")]
    rows = [[name.removesuffix(" error %"), f"{ours[name]:.2f}", f"{ours[name] - twin:+.2f}"] for name in names]
    return markdown(["test", "error %", "above the twin's"], [*rows, ["backprop twin", f"{twin:.2f}", "-"]])


def regime() -> str:
    """Errors of both sides by number of images and width."""
    if "regime" not in RECORDS:
        return NONE
    ours, twins = RECORDS["regime"]["measured"]["slow error %"], RECORDS["regime"]["twin"]["fast error %"]
    widths = list(next(iter(ours.values())))
    rows = [
        [images, *(cell for width in widths for cell in (spread(ours[images][width]), spread(twins[images][width])))]
        for images in ours
    ]
    return markdown(["", *(f"{width}, {side}" for width in widths for side in ("FF", "backprop"))], rows)


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


def units() -> str:
    """The errors of nets of each kind of unit, as the claim `layer` measures them."""
    found = RECORDS.get("layer", {}).get("measured", {}).get("units")
    if not found:
        return NONE
    tests = ("slow", "fast", "both")
    rows = [[f"`{unit}`", *(figures(error[f"{test} error %"]) for test in tests)] for unit, error in found.items()]
    return markdown(["unit", *(f"{test}, %" for test in tests)], rows)


def shortened(text: str, most: int = 400) -> str:
    """As much of a long list as fits; all of it stands in the record."""
    return text if len(text) <= most else text[:most].rsplit(", ", 1)[0] + ", ..."


def ledger() -> str:
    """Every claim: what was said, what was measured, whether it holds."""
    rows = []
    for entry in listing(ROOT / "results" / "claims"):
        verdict = {True: "holds", False: "**does not hold**", None: "-"}[entry["holds"]]
        if before := entry["overturned"]:
            rule = "" if before[-1]["rule"] == entry["rule"] else ", by another rule"
            verdict += f" ({'held' if before[-1]['holds'] else 'did not hold'} before{rule})"
        measured, twin = (
            shortened(figures(brief(entry[side]))) if entry[side] else "-" for side in ("measured", "twin")
        )
        rows.append([f"`{entry['id']}`", entry["time"], entry["says"], verdict, state(entry["status"]), measured, twin])
    return markdown(["id", "talk", "says", "", "record", "measured", "twin"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "errors": errors,
    "tests": record("shortlist"),
    "hard-neg": to_an_error,
    "units": units,
    "ledger": ledger,
    "recurrent": record("recurrent"),
    "recurrent-compared": compared("low-activity", "from-start", "glom"),
    "cifar": cifar,
    "cifar-tests": cifar_tests,
    "regime": regime,
    "moving": separations,
    "top-down": contexts,
    "relax": relaxation,
    "presentations": presentations,
    **{name: record(name) for name in ("cost", "agree", "no-later", "video", "glom", "hybrid", "local")},
    **{name: partial(table, RECORDS) for name, table in device_tables.OF_RECORDS.items()},
    **{name: table for module in OTHERS for name, table in module.TABLES.items()},
}


def filled(text: str) -> str:
    """The text with each of its tables made anew."""
    pattern = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda found: f"{found[1]}{RECORDS.table(found[2], TABLES[found[2]])}{found[3]}", text)


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
