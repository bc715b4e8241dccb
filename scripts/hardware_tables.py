"""Tables of claims about hardware, from the kept records and results/hardware/."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from markdown_table import NONE, ROOT, markdown

from twofold.files import read_json
from twofold.nets.crossings import WHITE_BOX
from twofold_lab.claims.black_box import CONTENDERS

HARDWARE = ROOT / "results" / "hardware"
FULL = "full"

Records = Mapping[str, Mapping[str, Any]]


def black_box(records: Records) -> str:
    """The error of every contender with every box; the least of a row that is told nothing of the box in bold."""
    found = records.get("black-box")
    if not found or found["size"] != FULL:
        return NONE
    ours, theirs = found["measured"]["error %"], found["twin"]["error %"]
    names = list(CONTENDERS)
    rows = [["none", spread(ours["none"]), spread(theirs["none"]["twin"]), *["-"] * (len(names) - 1)]]
    for row in [row for row in ours if row != "none"]:
        each = {"forward-forward": ours[row], **{name: theirs[row][name] for name in names}}
        least = min(value["mean"] for name, value in each.items() if name not in WHITE_BOX)
        cells = [
            f"**{spread(value)}**" if name not in WHITE_BOX and value["mean"] == least else spread(value)
            for name, value in each.items()
        ]
        rows.append([row.replace("_", " "), *cells])
    return markdown(["box", "Forward-Forward", *(name.replace("_", " ") for name in names)], rows)


def black_box_goal(records: Records) -> str:
    """In which rows Forward-Forward errs at most half as often as the best that is told nothing of the box."""
    found = records.get("black-box")
    if not found or found["size"] != FULL:
        return NONE
    measured = found["measured"]
    half, less, ratios = (
        measured[name] for name in ("at most half of it in", "less in", "error / best that is told nothing of the box")
    )
    rows = f"{len(ratios)} rows"
    said = (
        f"In {len(half)} of {rows} Forward-Forward errs at most half as often as the best contender that is told "
        f"nothing of the box: {', '.join(half)}."
        if half
        else f"In none of {rows} does Forward-Forward err at most half as often as the best contender that is told "
        "nothing of the box."
    )
    more = len(ratios) - len(half) - len(less)
    return (
        f"{said} It errs less often in {len(half) + len(less)} of them and as often or more in {more}; its error is "
        f"{min(ratios.values()):.2f} to {max(ratios.values()):.2f} times that of the best of the others.\n"
    )


def black_box_cost(records: Records) -> str:
    """What a still box costs Forward-Forward and the oracle, in error and in epochs."""
    found = records.get("black-box")
    if not found or found["size"] != FULL:
        return NONE
    measured = found["measured"]
    epochs, slower = measured["epochs to"], measured["times the epochs"]
    rows = [
        [
            box.replace("_", " "),
            f"{lost:.2f}",
            f"{measured['lost by the oracle (points)'][box]:.2f}",
            ", ".join(str(each or "never") for each in epochs[box]),
            "-" if slower[box] is None else f"{slower[box]:.2f}",
        ]
        for box, lost in measured["lost by a still box (points)"].items()
    ]
    without = ", ".join(str(each or "never") for each in epochs["none"])
    head = f"epochs to {epochs['held-out error %']:.2f} % held-out error (without a box: {without})"
    return markdown(["still box", "lost, points", "lost by the oracle, points", head, "times the epochs"], rows)


def black_box_layers(records: Records) -> str:
    """The error of Forward-Forward by the goodness of each layer alone."""
    found = records.get("black-box")
    if not found or found["size"] != FULL:
        return NONE
    alone = found["measured"]["layer error %"]
    rows = [[row.replace("_", " "), *(f"{error:.1f}" for error in errors)] for row, errors in alone.items()]
    return markdown(["box", *(f"layer {number}, %" for number in range(1, len(rows[0])))], rows)


def black_box_prototypes() -> str:
    """What was tried for Forward-Forward on few held-out images, in the order in which it was tried."""
    path = HARDWARE / "black-box-prototypes.json"
    if not path.exists():
        return NONE
    tried = read_json(path)["tried"]
    shown = ("data", "box", "drift", "contender", "label again", "rate", "temperature per unit", "epochs")
    rows = [
        [
            *(str(each[name]).replace("_", " ") for name in shown),
            " / ".join(f"{test} {error:.1f}" for test, error in each["held-out error %"].items()),
            " / ".join(f"{error:.0f}" for error in each["layer error %"]) or "-",
        ]
        for each in tried
    ]
    return markdown([*shown, "held-out error, %", "each layer alone, %"], rows)


def black_box_rates() -> str:
    """Held-out errors of every contender at every rate that was tried; * marks means over three seeds."""
    path = HARDWARE / "black-box-rates.json"
    if not path.exists():
        return NONE
    tried = read_json(path)["tried"]
    rows = []
    for contender, box in dict.fromkeys((each["contender"], each["box"]) for each in tried):
        same = [each for each in tried if (each["contender"], each["box"]) == (contender, box)]
        errors: dict[float, list[float]] = {}
        for each in same:
            errors.setdefault(each["rate"], []).append(min(each["held-out error %"].values()))
        found = ", ".join(
            f"{fmean(some):.1f} at {rate:g}{' *' if len(some) > 1 else ''}" for rate, some in sorted(errors.items())
        )
        rows.append([contender.replace("_", " "), box.replace("_", " "), found])
    return markdown(["contender", "box", "held-out error, %, at the rate"], rows)


def spread(value: Mapping[str, float]) -> str:
    """Mean and standard deviation."""
    return f"{value['mean']:.2f} ± {value['std']:.2f}"


TABLES = {"black-box-rates": black_box_rates, "black-box-prototypes": black_box_prototypes}
OF_RECORDS = {
    "black-box": black_box,
    "black-box-goal": black_box_goal,
    "black-box-cost": black_box_cost,
    "black-box-layers": black_box_layers,
}
