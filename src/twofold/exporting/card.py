"""A model card: what a trained net is, what it was trained on and how well it did, as the hub shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import PurePath

from twofold.errors import SettingError
from twofold.training.runs import Run

LICENSE = "unknown"
"""What the card says where nobody states a licence: whose data and pictures are in a net is not ours to know."""

TASKS = {"pictures": "image-classification", "table": "tabular-classification"}
"""What the hub calls what a net does with each kind of data; it has no word for data without labels."""


def card(run: Run, license: str = LICENSE) -> str:
    """The card of a run, as Markdown with the hub's metadata in front.

    Args:
        run: a complete run.
        license: of the net, by the hub's identifier, such as apache-2.0.

    Raises:
        SettingError: that is no identifier.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", license):
        raise SettingError(f"--license is {license!r}, expected an identifier of the hub, as apache-2.0 or cc-by-4.0")
    return "\n".join([*_front(run, license), *_text(run)]) + "\n"


def _front(run: Run, license: str) -> Iterator[str]:
    """The metadata in YAML, of which JSON is a part."""
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
                "dataset": {"name": result.dataset, "type": result.dataset, "split": _part(run)},
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


def _part(run: Run) -> str:
    """What the run was tested on, in a word."""
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
    yield f"\n## Errors on the {_part(run)} part\n"
    yield "| test | error | forward passes for a case |\n|---|---|---|"
    passes = result.metrics.get("passes_per_image", {})
    for test, error in result.error.items():
        yield f"| {_plain(test)} | {100 * error:.2f} % | {_plain(passes.get(test, ''))} |"
    if result.validation_error:
        yield "\nThese cases were held out of the training; the test part was not used."
    yield "\nOne training, one seed: no spread is known. Not tried on anything else than the data above."
    yield "\n## Training\n"
    made_with = result.environment
    yield (
        f"{result.epochs} epochs of {result.seconds_per_epoch:.2f} s on {_plain(result.device)} in "
        f"{_plain(result.precision)}, seed {result.seed}, "
        f"twofold {_plain(made_with.get('twofold') or '(not installed)')}, PyTorch {_plain(made_with.get('torch'))}."
    )
    if result.started_from:
        before = PurePath(result.started_from["run"]).name
        yield f"It began with the weights of {_plain(before)} ({_code(result.started_from['weights'])})."
    yield "\n| setting | value |\n|---|---|"
    for name, value in result.settings.items():
        shown = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
        yield f"| {_plain(name)} | {_plain(shown)} |"


def _inputs(kind: str, shape: tuple[int, int, int], names: tuple[str, ...], columns: tuple[str, ...]) -> Iterator[str]:
    """What goes in and what comes out."""
    if kind == "table":
        yield f"\nIt takes rows of {len(columns)} raw columns, as `run.preparation.table(frame)` makes cases of them:"
        yield f"{', '.join(map(_code, columns))}."
    else:
        yield f"\nIt takes images `(batch, {', '.join(map(str, shape))})` with pixels from 0 to 1."
    yield f"\nThe classes, in the order of their numbers: {', '.join(map(_code, names))}."


def _code(name: str) -> str:
    """A name of the user's own as code of one line, whatever is in it."""
    return f"`{' '.join(name.split()).replace('`', chr(39))}`"


def _plain(value: object) -> str:
    """A value in Markdown as the words that it is, of one line, also in a table."""
    return re.sub(r"([\\`*\[\]<>|#&~!])", r"\\\1", " ".join(str(value).split()))
