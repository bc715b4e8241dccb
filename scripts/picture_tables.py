"""The table of docs/predict.md, from the record that scripts/measure_pictures.py leaves."""

from __future__ import annotations

from collections.abc import Callable

from markdown_table import NONE, ROOT, markdown

from twofold.files import read_json


def pictures() -> str:
    """What `predict` named rightly and what it warned of, by the form of the pictures."""
    path = ROOT / "results" / "pictures.json"
    if not path.exists():
        return NONE
    record = read_json(path)
    rows: list[list[str]] = []

    def row(name: str, found: dict[str, int]) -> None:
        share = 100 * found["right"] / found["pictures"]
        rows.append([name, f"{found['right']} of {found['pictures']}", f"{share:.1f}", str(found["warned"])])

    for name, found in record["forms"].items():
        row(name, found)
    every = record["forms"].values()
    row("**all ten**", {key: sum(found[key] for found in every) for key in ("right", "pictures", "warned")})
    for name, found in record["more"].items():
        row(f"added later: {name}", found)
    for name, found in record["no digits"].items():
        rows.append([f"no digit: {name}", "-", "-", f"{found['warned']} of {found['pictures']}"])
    recipe = record["recipe"]
    net = " x ".join(str(width) for width in recipe["widths"])
    errors = ", ".join(f"{test} {100 * error:.2f} %" for test, error in record["error"].items())
    held = f"{recipe['epochs']} epochs, seed {recipe['seed']}, with {recipe['validation']} training images held out"
    said = f"The net has layers of {net} and was trained for {held}; its errors on these: {errors}."
    return f"{markdown(['form', 'right', '%', 'warned'], rows)}\n\n{said}"


TABLES: dict[str, Callable[[], str]] = {"pictures": pictures}
