"""Results as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twofold.benchmarks.report import format_percent, format_table
from twofold.training.result import Result


def tests(errors: Mapping[str, float], metrics: Mapping[str, Any]) -> str:
    """The tests of one net, and each of its layers alone where it has such errors."""
    rows = [["test", "error", "forward passes per image"]]
    rows += [[name, format_percent(error), _passes(metrics, name)] for name, error in errors.items()]
    rows += [[name, error, ""] for name, error in _layers(metrics)]
    return format_table(rows)


def of_tests(metrics: Mapping[str, Any], chosen: Mapping[str, float]) -> dict[str, Any]:
    """The metrics, those that have a value for each test with the chosen tests alone."""
    return {
        key: {name: value[name] for name in chosen if name in value} if isinstance(value, Mapping) else value
        for key, value in metrics.items()
    }


def _passes(metrics: Mapping[str, Any], test: str) -> str:
    return str(metrics.get("passes_per_image", {}).get(test, ""))


def _layers(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The error of each layer alone, in words."""
    each = enumerate(metrics.get("layer_error", ()), 1)
    return [(f"layer {number} alone", format_percent(error)) for number, error in each]


def comparison(results: Sequence[Result]) -> str:
    """Trained nets side by side: a line for each test of each."""
    held = "validation" if results[0].validation_error else "test"
    rows = [["", "test", f"{held} error", "passes per image", "epochs", "seconds", "s/epoch"]]
    for result in results:
        last = [str(result.epochs), f"{result.seconds:.1f}", f"{result.seconds_per_epoch:.2f}"]
        for name, error in result.error.items():
            rows.append([result.method, name, format_percent(error), _passes(result.metrics, name), *last])
            last = ["", "", ""]
        rows += [["", name, error, "", "", "", ""] for name, error in _layers(result.metrics)]
    first = results[0]
    widths = " x ".join(str(width) for width in first.settings["widths"])
    official = "official" if first.official_data else "not the official bytes"
    return (
        f"\n{first.recipe}: {widths}, {first.dataset} ({official}), seed {first.seed}, {first.precision} on "
        f"{first.device}\n\n{format_table(rows)}\n\nrun: {first.run}"
    )


def answer(named: dict[str, Any]) -> str:
    """What the tests say of one picture."""
    rows = [["label", "goodness", "softmax"]]
    goodness = named["goodness"] or [None] * len(named["softmax"])
    for label, (liked, share) in enumerate(zip(goodness, named["softmax"], strict=True)):
        rows.append([str(label), "" if liked is None else f"{liked:.1f}", format_percent(share)])
    said = ", ".join(f"{test} test: {label}" for test, label in named["label"].items())
    return f"{said}\n\n{format_table(rows)}"


def nested(value: Any) -> bool:
    """Whether a value of a record holds figures with names of their own."""
    return isinstance(value, dict) and value.keys() != {"mean", "std"}


def figures(values: Any) -> str:
    """Figures of a record in one line."""
    if isinstance(values, dict) and values.keys() == {"mean", "std"}:
        return f"{values['mean']:.2f} ± {values['std']:.2f}"
    if isinstance(values, dict):
        parts = {name: f"({figures(value)})" if nested(value) else figures(value) for name, value in values.items()}
        return ", ".join(f"{name} {part}" for name, part in parts.items())
    if isinstance(values, list):
        return "[" + ", ".join(figures(value) for value in values) + "]"
    return f"{values:.4g}" if isinstance(values, float) else str(values)


def claim(record: dict[str, Any]) -> str:
    """One claim: what the talk says, what was measured, what the twin does, and whether it holds."""
    verdict = "holds" if record["holds"] else "DOES NOT HOLD"
    lines = [
        f"{record['id']} ({record['time']}): {record['says']}",
        f"  rule      {record['rule']}",
        f"  talk      {figures(record['talk'])}",
        f"  measured  {figures(record['measured'])}",
        f"  twin      {figures(record['twin']) or 'none: the claim is about Forward-Forward alone'}",
        f"  {verdict} at size {record['size']}, seeds {figures(record['seeds'])}, {record['seconds']:.0f} s",
    ]
    return "\n".join(lines)


def ledger(listing: Sequence[dict[str, Any]]) -> str:
    """All claims, a line each."""
    rows = [["id", "time", "holds", "command"]]
    for entry in listing:
        holds = {True: "yes", False: "no", None: "-"}[entry["holds"]]
        rows.append([entry["id"], entry["time"], holds, entry["command"] or "not built yet"])
    return format_table(rows, left=range(4))
