"""Model cards for the Hugging Face hub: the architecture, training data, errors and settings of a trained net."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import PurePath

from twofold.errors import SettingError
from twofold.training.runs import Run

LICENSE = "unknown"
"""Default licence in a model card. The licence of the training data is unknown to the package."""

TASKS = {"pictures": "image-classification", "table": "tabular-classification"}
"""Kind of data -> task identifier of the hub. Data without labels have no task identifier."""


def card(run: Run, license: str = LICENSE) -> str:
    """Return the model card of a run: Markdown that begins with metadata for the hub.

    Args:
        run: A complete run.
        license: Licence of the net, as an identifier of the hub, such as apache-2.0.

    Raises:
        SettingError: The licence does not have the form of an identifier.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", license):
        raise SettingError(f"--license is {license!r}, expected a hub identifier such as apache-2.0 or cc-by-4.0")
    return "\n".join([*_front(run, license), *_text(run)]) + "\n"


def _front(run: Run, license: str) -> Iterator[str]:
    """Yield the lines of the metadata, in YAML. The values are JSON, which is valid YAML."""
    result, prepared = run.result, run.preparation
    task = TASKS[prepared.kind] if prepared else None
    figures = [
        {"type": "accuracy", "name": f"accuracy, {test} test", "value": round(1 - error, 6)}
        for test, error in result.error.items()
    ]
    entry = {
        "name": result.recipe,
        "results": [
            {
                "task": {"type": task or "other"},
                "dataset": {"name": result.dataset, "type": result.dataset, "split": _split(run)},
                "metrics": figures,
            }
        ],
    }
    yield "---"
    for name, value in {
        "license": license,
        "library_name": "twofold",
        **({"pipeline_tag": task} if task else {}),
        "tags": ["forward-forward", result.method, "twofold"],
        "model-index": [entry],
    }.items():
        yield f"{name}: {json.dumps(value)}"
    yield "---"


def _split(run: Run) -> str:
    """Return the name of the data split on which the run was tested."""
    return "validation" if run.result.validation_error else "test"


def _text(run: Run) -> Iterator[str]:
    result, prepared = run.result, run.preparation
    widths = _plain(" x ".join(map(str, result.settings["widths"])))
    yield f"\n# {_plain(result.recipe)}\n"
    yield (
        f"A net of {widths} units with {result.parameters} parameters, trained by the method {_plain(result.method)} "
        "of twofold, software for the Forward-Forward algorithm."
    )
    yield "\n## Use\n"
    yield '```python\nimport twofold\n\nrun = twofold.load("model.safetensors")'
    yield "print(run.net.predict(images))  # numbers of the classes below\n```"
    if prepared:
        yield from _inputs(prepared.kind, prepared.shape, prepared.names, prepared.columns)
    yield "\n## Data\n"
    bytes_of = "the official files" if result.official_data else "not verified to be official files"
    yield f"{_plain(result.dataset)} ({bytes_of}). SHA-256 of all images and labels: {_code(result.fingerprint)}."
    yield f"\n## Errors on the {_split(run)} set\n"
    yield "| test | error | forward passes per case |\n|---|---|---|"
    passes = result.metrics.get("passes_per_image", {})
    for test, error in result.error.items():
        yield f"| {_plain(test)} | {100 * error:.2f} % | {_plain(passes.get(test, ''))} |"
    if result.validation_error:
        yield "\nThese cases were held out of training; the test set was not used."
    yield "\nThe errors are those of one training run with one seed. The net was not tested on any other data."
    yield "\n## Training\n"
    made_with = result.environment
    yield (
        f"{result.epochs} epochs of {result.seconds_per_epoch:.2f} s on {_plain(result.device)} in "
        f"{_plain(result.precision)}, seed {result.seed}, "
        f"twofold {_plain(made_with.get('twofold') or '(not installed)')}, PyTorch {_plain(made_with.get('torch'))}."
    )
    if result.started_from:
        before = PurePath(result.started_from["run"]).name
        yield f"Its initial weights are those of {_plain(before)} ({_code(result.started_from['weights'])})."
    yield "\n| setting | value |\n|---|---|"
    for name, value in result.settings.items():
        shown = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
        yield f"| {_plain(name)} | {_plain(shown)} |"


def _inputs(kind: str, shape: tuple[int, int, int], names: tuple[str, ...], columns: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines that describe the inputs and the classes."""
    if kind == "table":
        yield f"\nThe inputs are rows of {len(columns)} columns, converted by `run.preparation.table(frame)`:"
        yield f"{', '.join(map(_code, columns))}."
    else:
        yield f"\nThe inputs are images `(batch, {', '.join(map(str, shape))})` with pixels from 0 to 1."
    yield f"\nThe classes, in the order of their numbers: {', '.join(map(_code, names))}."


def _code(name: str) -> str:
    """Format a user-defined name as inline code on one line."""
    return f"`{' '.join(name.split()).replace('`', chr(39))}`"


def _plain(value: object) -> str:
    """Escape a value for Markdown text and tables, on one line."""
    return re.sub(r"([\\`*\[\]<>|#&~!])", r"\\\1", " ".join(str(value).split()))
