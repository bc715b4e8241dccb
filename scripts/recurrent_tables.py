"""Tables of deep recurrent nets, from results/recurrent/."""

from __future__ import annotations

from typing import Any

from markdown_table import NONE, ROOT, markdown

from twofold.files import read_json

RECURRENT = ROOT / "results" / "recurrent"
TESTS = ("slow", "fast", "settled", "both")


def depth() -> str:
    """Test errors by depth, with top-down input, without it, and the twin's; and the slow error over the twin's."""
    path = RECURRENT / "depth.json"
    if not path.exists():
        return NONE
    nets = read_json(path)["nets"]
    twins = {(each["layers"], each["seed"]): each["error %"]["fast"] for each in nets if each["net"] == "twin"}
    rows = []
    for each in nets:
        slow, twin = each["error %"].get("slow"), twins.get((each["layers"], each["seed"]))
        rows.append(
            [
                *(str(each[name]) for name in ("layers", "net", "seed", "epochs", "rate")),
                *_errors(each["error %"], each["layer error %"], 2),
                f"{slow / twin:.2f}" if slow and twin else "-",
            ]
        )
    return markdown(["layers", "net", "seed", "epochs", "rate", *HEADS, "slow / twin's"], rows)


def choices() -> str:
    """What was tried for deep nets on held-out training images, in the order in which it was tried."""
    path = RECURRENT / "depth-choices.json"
    if not path.exists():
        return NONE
    heads = ["data", "net", "layers", "label", "top-down start", "goodness", "iterations", "judged", "rate", "other"]
    return markdown([*heads, *HEADS], [_tried(one) for one in read_json(path)["tried"]])


def _tried(one: dict[str, Any]) -> list[str]:
    if one["net"] == "twin":
        settles = ["-"] * 5
    else:
        start = "none" if one["top_down_start"] is None else str(one["top_down_start"])
        judged = f"{one['judge_from']} to {one['judge_to']}"
        settles = [one["label_to"], start, one["goodness"].replace("_", " "), str(one["iterations"]), judged]
    other = ", ".join([f"{one['epochs']} epochs", *(f"{name} {value}" for name, value in one["other"].items())])
    shown = [one["data"], one["net"], str(one["layers"]), *settles, str(one["rate"]), other]
    return [*shown, *_errors(one["held-out error %"], one["layer error %"], 1)]


HEADS = [*(f"{test} %" for test in TESTS), "each layer alone, slow %"]


def _errors(errors: dict[str, float], layers: list[float], digits: int) -> list[str]:
    each = " / ".join(f"{error:.{digits}f}" for error in layers)
    return [*(f"{errors[test]:.2f}" if test in errors else "-" for test in TESTS), each or "-"]


TABLES = {"recurrent-depth": depth, "recurrent-depth-choices": choices}
