"""Tables of deep recurrent nets, from results/recurrent/."""

from __future__ import annotations

from typing import Any

from markdown_table import NONE, ROOT, markdown

from twofold.files import read_json

RECURRENT = ROOT / "results" / "recurrent"


def depth() -> str:
    """Test errors by depth: with top-down input, without, and the twin's; and how far above the twin the slow test is."""
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
                *(str(each[name]) for name in ("layers", "net", "seed", "epochs")),
                *(f"{each['error %'][test]:.2f}" if test in each["error %"] else "-" for test in TESTS),
                f"{slow / twin:.2f}" if slow and twin else "-",
                " / ".join(f"{error:.2f}" for error in each["layer error %"]) or "-",
            ]
        )
    heads = ["layers", "net", "seed", "epochs", *(f"{test} %" for test in TESTS)]
    return markdown([*heads, "slow / twin's", "each layer alone, slow %"], rows)


def depth_choices() -> str:
    """What was tried for deep nets on held-out training images, in the order of the study."""
    path = RECURRENT / "depth-choices.json"
    if not path.exists():
        return NONE
    return markdown(
        ["study", "net", "changed", *(f"{test} %" for test in TESTS), "each layer alone, slow %"],
        [_tried(one) for one in read_json(path)["tried"]],
    )


def _tried(one: dict[str, Any]) -> list[str]:
    return [
        one["study"],
        one["net"],
        ", ".join(f"{name} {value}" for name, value in one["changed"].items()) or "as the study's base",
        *(f"{one['held-out error %'][test]:.2f}" if test in one["held-out error %"] else "-" for test in TESTS),
        " / ".join(f"{error:.1f}" for error in one["layer error %"]) or "-",
    ]


TESTS = ("slow", "fast", "settled", "both")

TABLES = {"recurrent-depth": depth, "recurrent-depth-choices": depth_choices}
