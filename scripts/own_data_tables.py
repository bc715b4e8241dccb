"""Tables of what data of one's own reach, from results/own_data.json."""

from __future__ import annotations

from typing import Any

from markdown_table import NONE, ROOT, markdown

from twofold.files import read_json

PATH = ROOT / "results" / "own_data.json"
TITLES = {"digits": "8 x 8 digits", "mnist": "MNIST, 28 x 28"}


def _part(name: str) -> dict[str, Any]:
    found: dict[str, Any] = read_json(PATH).get(name, {}) if PATH.exists() else {}
    return found


def folders() -> str:
    """Test errors by the command and through Python."""
    rows = [
        [TITLES[name], str(each["trained on"]), str(each["tested on"])]
        + [f"{each[way][test]:.2f}" for way in ("command", "Python") for test in ("slow", "fast")]
        for name, each in _part("folders").items()
    ]
    heads = ["ten folders of a hundred PNGs", "trained on", "tested on", "slow %", "fast %", "Python, slow %", "fast %"]
    return markdown(heads, rows) if rows else NONE


def hundred() -> str:
    """Test errors on a hundred classes beside the twin's."""
    found = _part("hundred")
    if not found:
        return NONE
    twin = found["twin"]["fast"]
    rows = [[test, f"{error:.2f}", f"{error / twin:.2f}"] for test, error in found["Forward-Forward"].items()]
    return markdown(["test", "error %", "beside the twin's"], [*rows, ["backprop twin", f"{twin:.2f}", "1"]])


TABLES = {"own-folders": folders, "own-hundred": hundred}
