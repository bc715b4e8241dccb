"""Benchmarks of the speed and memory of Forward-Forward and its backprop twin on the same machine.

record = benchmarks.run("epoch", BENCHMARKS["epoch"](), Workbench(device, precision), Path("runs/bench"))
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from twofold import machine
from twofold.benchmarks.bench import Benchmark, Workbench
from twofold.benchmarks.epoch import Epoch
from twofold.benchmarks.gpu import Gpu
from twofold.benchmarks.inference import Inference
from twofold.benchmarks.local import LocalLayer
from twofold.benchmarks.memory import Memory
from twofold.benchmarks.recurrent import RecurrentNet
from twofold.benchmarks.roofline import Roofline
from twofold.benchmarks.substrate import SubstrateCost
from twofold.benchmarks.time_to_error import TimeToError
from twofold.benchmarks.wire import OverTheWire
from twofold.defaults import LEARNING_VERSION
from twofold.errors import unknown
from twofold.files import write_json

__all__ = ["BENCHMARKS", "Benchmark", "Workbench", "find", "run"]

BENCHMARKS: dict[str, type[Benchmark]] = {
    "epoch": Epoch,
    "roofline": Roofline,
    "memory": Memory,
    "time-to-error": TimeToError,
    "inference": Inference,
    "recurrent": RecurrentNet,
    "local": LocalLayer,
    "substrate": SubstrateCost,
    "gpu": Gpu,
    "wire": OverTheWire,
}


def find(name: str) -> type[Benchmark]:
    """Return the benchmark called ``name``.

    Raises:
        SettingError: the name is unknown; the nearest one is suggested.
    """
    if name not in BENCHMARKS:
        raise unknown("benchmark", name, BENCHMARKS)
    return BENCHMARKS[name]


def run(name: str, benchmark: Benchmark, bench: Workbench, folder: Path) -> dict[str, Any]:
    """Run a benchmark, write its record to ``folder/NAME.json`` and draw its picture to ``folder/NAME.png``.

    Returns:
        The record, in JSON values: ``benchmark, settings, device, precision, learning_version, environment`` and the
        figures.
    """
    record = {
        "benchmark": name,
        "settings": asdict(benchmark),
        "device": bench.device.type,
        "precision": bench.precision,
        "learning_version": LEARNING_VERSION,
        "environment": machine.describe(bench.device),
        **benchmark.measure(bench),
    }
    write_json(folder / f"{name}.json", record)
    benchmark.draw(record, folder / f"{name}.png")
    return record
