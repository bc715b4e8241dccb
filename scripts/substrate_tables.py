"""Tables of substrates and instruments: parameters, presets, what small trainings reach, and what it all costs."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from typing import Any

from markdown_table import NONE, ROOT, markdown

from twofold.cli.text import format_spread
from twofold.files import read_json
from twofold.substrate import PRESETS, Substrate
from twofold_lab.benchmarks.trainer import layers_of
from twofold_lab.benchmarks.wire import TITLES

FOLDER = ROOT / "results" / "substrate"
TESTS = ("slow", "fast", "both")


def parameters() -> str:
    """Every parameter with its meaning and unit, as `Substrate` documents them, and its value where none is given."""
    said = inspect.getdoc(Substrate) or ""
    described = said.split("Attributes:\n")[1].split("\n\n")[0]
    meanings = dict(re.findall(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", described, re.DOTALL | re.MULTILINE))
    rows = [
        [
            f"`{each.name}`",
            " ".join(meanings[each.name].replace("``", "`").replace("|", r"\|").split()),
            f"{each.default}",
        ]
        for each in fields(Substrate)
    ]
    return markdown(["parameter", "meaning and unit", "default"], rows)


def presets() -> str:
    """What each preset states, apart from what is ideal."""
    names = [
        each.name
        for each in fields(Substrate)
        if any(getattr(one, each.name) != each.default for one in PRESETS.values())
    ]
    ideal = PRESETS["ideal"]
    rows = [
        [
            f"`{name}`",
            *(
                "" if getattr(one, name) == getattr(ideal, name) else f"{getattr(one, name):g}"
                for one in PRESETS.values()
            ),
        ]
        for name in names
    ]
    return markdown(["", *(f"`{name}`" for name in PRESETS)], rows)


def trainings() -> str:
    """Errors of small trainings on each preset, and with one parameter of `bench` at a time."""
    records: list[dict[str, Any]] = [read_json(path) for path in sorted(FOLDER.glob("parameters-seed*.json"))]
    if not records:
        return NONE
    rows = []
    for name in records[0]["trainings"]:
        each = [record["trainings"][name] for record in records]
        title = f"`{name}`" if name in PRESETS else f"`{name}` of `bench` alone"
        errors = (sum(one["error %"][test] for one in each) / len(each) for test in TESTS)
        seconds = sum(one["cpu seconds"] for one in each) / len(each)
        rows.append([title, *(f"{error:.2f}" for error in errors), f"{seconds:.0f}"])
    one = records[0]
    heads = ["substrate", *(f"{test}, %" for test in TESTS), "CPU seconds"]
    seeds = f"{len(records)} seed{'s' if len(records) > 1 else ''}"
    said = (
        f"{layers_of(one['widths'])} units, {one['images']:,} images, {one['epochs']} epochs, tested on "
        f"{one['held out']:,} held-out training images, {seeds}."
    )
    return f"{markdown(heads, rows)}\n\n{said}"


def cost() -> str:
    """What `twofold bench substrate` measured."""
    rows = []
    for path in (ROOT / "results" / "bench" / "substrate.json", ROOT / "results" / "bench" / "bf16" / "substrate.json"):
        if not path.exists():
            continue
        record = read_json(path)
        for kind, one in record["nets"].items():
            times = (format_spread({k: 1000 * v for k, v in one[name].items()}) for name in ("ideal", "analog"))
            rows.append(
                [f"{kind}, {layers_of(one['widths'])}", record["precision"], *times, format_spread(one["ratio"])]
            )
    return markdown(["layers", "precision", "ideal, ms", "analog, ms", "analog / ideal"], rows) if rows else NONE


def wire() -> str:
    """What `twofold bench wire` measured."""
    path = ROOT / "results" / "bench" / "wire.json"
    if not path.exists():
        return NONE
    record, rows = read_json(path), []
    for name, title in TITLES.items():
        step = {key: 1000 * value for key, value in record["step"][name].items()}
        rows.append([title, format_spread(step), format_spread(record["ratio"][name])])
    settings = record["settings"]
    net = f"{settings['layers']} x {settings['width']}, batch {settings['batch']}"
    return markdown([f"the box ({net})", "a step, ms", "times that in this process"], rows)


TABLES = {
    "substrate-parameters": parameters,
    "substrate-presets": presets,
    "substrate-trainings": trainings,
    "substrate-cost": cost,
    "wire": wire,
}
