"""Measure the differences between the scores of onnxruntime and PyTorch, for a net of each family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from twofold import recipes
from twofold.cli.text import format_table, machine_line
from twofold.exporting import export
from twofold.machine.extras import needed
from twofold.training import sources
from twofold.training.runs import Run, load
from twofold.training.train import train
from twofold_lab.benchmarks.bench import Benchmark, Workbench
from twofold_lab.benchmarks.timing import one_thread
from twofold_lab.tables import table

CASES = 1000
NETS: dict[str, dict[str, Any]] = {
    "digits": {},
    "digits-twin": {},
    "recurrent": {"widths": (100, 80), "epochs": 4},
    "mnist-hybrid": {"widths": (200, 200), "epochs": 4},
    "mnist-hybrid-local": {
        **{"widths": (200, 72), "field_sizes": (4, 3), "strides": (1, 1), "margins": (0, 0), "epochs": 4}
    },
}
"""Recipe -> fields that are changed for the digits, in addition to those in `ON_DIGITS`."""
ON_DIGITS: dict[str, Any] = {"data": "digits", "batch": 50, "validation": 0, "jitter": 0}


@dataclass(frozen=True)
class Onnx(Benchmark):
    """Differences between the scores of onnxruntime and of PyTorch, for exported nets of every family.

    Small nets are trained on the digits and exported. Their scores are compared for up to 1000 test and training cases,
    always on one thread of the CPU, in fp32. The benchmark takes about three minutes.

    Attributes:
        runs: folders of complete runs whose nets are also compared.
    """

    runs: tuple[str, ...] = ()

    def measure(self, bench: Workbench) -> dict[str, Any]:
        onnx, onnxruntime = (needed(name, "export", "twofold bench onnx") for name in ("onnx", "onnxruntime"))
        nets = []
        with TemporaryDirectory() as folder, one_thread() as facts:
            for run in (*trained(Path(folder), bench), *(load(Path(path), "cpu", "fp32") for path in self.runs)):
                bench.say(f"{run.result.recipe}: {CASES} cases")
                nets.append(compare(run, Path(folder) / "net.onnx", bench, onnx, onnxruntime))
        return {"nets": nets, "versions": {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}, **facts}

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        return f"onnx: {machine_line(record)}\n\n{format_table(documented(record))}"


def trained(folder: Path, bench: Workbench) -> Iterator[Run]:
    """Train the nets of `NETS` on the digits in ``folder``, and yield their runs."""
    for name, changes in NETS.items():
        recipe = replace(recipes.find(name), **(ON_DIGITS | changes))
        train(recipe, folder / name, bench.load(recipe.data), name=name, device="cpu", precision="fp32")
        yield load(folder / name, "cpu", "fp32")


def compare(run: Run, path: Path, bench: Workbench, onnx: Any, onnxruntime: Any) -> dict[str, Any]:
    """Export the net of a run to ``path``, and compare the scores of the file with those of the net.

    Args:
        run: the run.
        path: the ONNX file to write.
        bench: provides the data folder.
        onnx: the imported package.
        onnxruntime: the imported package.

    Returns:
        The facts about the run and the largest differences of its scores, as in the record.
    """
    data = sources.held_out(run, bench.data_dir)
    images = torch.cat([data.test[0], data.train[0]])[:CASES]
    export(run, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, map(torch.from_numpy, session.run(None, {"images": images.numpy()})), strict=True))
    scores: dict[str, Tensor] = run.net.scores(images)
    differences = [difference(outputs[test], score) for test, score in scores.items()]
    labels = [(outputs[test].argmax(1) != score.argmax(1)).sum().item() for test, score in scores.items()]
    return {
        "recipe": run.result.recipe,
        "dataset": run.result.dataset,
        "fingerprint": run.result.fingerprint,
        "seed": run.recipe.seed,
        "widths": list(run.recipe.widths),
        "cases": len(images),
        "tests": list(scores),
        "largest difference": max(absolute for absolute, _ in differences),
        "relative to 1 + size": max(relative for _, relative in differences),
        "other labels": sum(map(int, labels)),
        "nodes": len(onnx.load(path).graph.node),
        "bytes": path.stat().st_size,
    }


def difference(output: Tensor, score: Tensor) -> tuple[float, float]:
    """Return the largest absolute difference of two score tensors, and the largest difference relative to 1 + |score|.

    Both are infinite if the tensors have infinite values at different positions.
    """
    finite = score.isfinite()
    if not finite.equal(output.isfinite()):
        return float("inf"), float("inf")
    absolute = (output - score)[finite].abs()
    return absolute.max().item(), (absolute / (1 + score[finite].abs())).max().item()


@table("onnx", "export/onnx.json")
def documented(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the differences between onnxruntime and PyTorch, with a row for each net."""
    rows = [
        [
            f"{net['recipe']}, {net['dataset']}",
            " x ".join(map(str, net["widths"])),
            ", ".join(net["tests"]),
            f"{net['largest difference']:.1e}",
            f"{net['relative to 1 + size']:.1e}",
            f"{net['other labels']} of {net['cases'] * len(net['tests'])}",
            f"{net['bytes'] / 1e6:.1f}",
        ]
        for net in record["nets"]
    ]
    heads = ["net", "units", "tests", "largest difference", "relative to 1 + score", "other labels", "file, MB"]
    return [heads, *rows]
