"""How far the answers of onnxruntime are from PyTorch's, for a net of each family: results/export/onnx.json.

    python scripts/measure_onnx.py [RUN ...]     small nets of every family on the digits, and whatever runs are given

Each net is trained, exported and asked for 1000 cases that it was tested on or trained on, in single precision and with
one thread. Takes three minutes of one core.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
from torch import Tensor

import twofold
from twofold import machine
from twofold.files import write_json
from twofold.training import runs, sources
from twofold.training.runs import Run

RECORD = Path(__file__).resolve().parents[1] / "results" / "export" / "onnx.json"
CASES = 1000
SMALL: dict[str, dict[str, Any]] = {
    "digits": {},
    "digits-twin": {},
    "recurrent": {"widths": (100, 80), "epochs": 4},
    "mnist-hybrid": {"widths": (200, 200), "epochs": 4},
    "mnist-hybrid-local": {
        "widths": (200, 72),
        "field_sizes": (4, 3),
        "strides": (1, 1),
        "margins": (0, 0),
        "epochs": 4,
    },
}
"""Recipe -> what is other than in it, so that it takes the digits."""
ON_DIGITS = {"data": "digits", "batch": 50, "validation": 0, "jitter": 0}


def trained(folder: Path) -> Iterator[Run]:
    """A trained net of each family."""
    for name, changes in SMALL.items():
        recipe = replace(twofold.RECIPES[name], **ON_DIGITS, **changes)
        twofold.train(recipe, folder / name, name=name, device="cpu", precision="fp32")
        yield runs.load(folder / name, "cpu", "fp32")


def measured(loaded: Run, path: Path) -> dict[str, Any]:
    """What the file of a net gives, beside what the net gives."""
    data = sources.held_out(loaded)
    images = torch.cat([data.test[0], data.train[0]])[:CASES]
    twofold.export(loaded, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    found = dict(zip(names, map(torch.from_numpy, session.run(None, {"images": images.numpy()})), strict=True))
    wanted: dict[str, Tensor] = loaded.net.scores(images)
    apart = {test: difference(found[test], score) for test, score in wanted.items()}
    return {
        "recipe": loaded.result.recipe,
        "dataset": loaded.result.dataset,
        "widths": list(loaded.recipe.widths),
        "cases": len(images),
        "tests": list(wanted),
        "largest difference": max(each for each, _ in apart.values()),
        "relative to 1 + size": max(each for _, each in apart.values()),
        "other labels": sum(int((found[test].argmax(1) != score.argmax(1)).sum()) for test, score in wanted.items()),
        "nodes": len(onnx.load(path).graph.node),
        "bytes": path.stat().st_size,
    }


def difference(found: Tensor, wanted: Tensor) -> tuple[float, float]:
    """The largest difference of two scores, absolute and relative to 1 + size; infinite ones have to be the same."""
    finite = wanted.isfinite()
    if not finite.equal(found.isfinite()):
        return float("inf"), float("inf")
    apart = (found - wanted)[finite].abs()
    return apart.max().item(), (apart / (1 + wanted[finite].abs())).max().item()


def main(words: list[str]) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        nets = [*trained(Path(place)), *(runs.load(Path(word), "cpu", "fp32") for word in words)]
        rows = [measured(each, Path(place) / "net.onnx") for each in nets]
    for row in rows:
        print(*row.values())
    versions = {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
    write_json(RECORD, {"nets": rows, "versions": versions, "environment": machine.describe(torch.device("cpu"))})


if __name__ == "__main__":
    main(sys.argv[1:])
