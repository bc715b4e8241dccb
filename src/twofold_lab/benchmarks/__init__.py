"""Benchmarks and other measurements. Each file defines one of them, with its record, its tables and its plot.

record = benchmarks.run("epoch", benchmarks.find("epoch")(), Workbench(device, precision), Path("runs/bench"))
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from twofold import machine
from twofold.errors import unknown
from twofold.files import write_signed
from twofold_lab.benchmarks.bench import Benchmark, Workbench
from twofold_lab.fingerprint import origin_of

__all__ = ["Benchmark", "Workbench", "benchmarks", "find", "run"]


@cache
def benchmarks() -> Mapping[str, type[Benchmark]]:
    """Return the benchmark classes by name. The name is that of the file in this package that defines the class."""
    classes = {}
    for info in pkgutil.iter_modules(__path__):
        for value in vars(importlib.import_module(f"{__name__}.{info.name}")).values():
            own = isinstance(value, type) and value.__module__ == f"{__name__}.{info.name}"
            if own and issubclass(value, Benchmark) and value is not Benchmark:
                classes[info.name.replace("_", "-")] = value
    return classes


def find(name: str) -> type[Benchmark]:
    """Return the benchmark class with the given name.

    Raises:
        SettingError: the name is unknown; the message suggests the most similar one.
    """
    if name not in benchmarks():
        raise unknown("benchmark", name, benchmarks())
    return benchmarks()[name]


def run(name: str, benchmark: Benchmark, bench: Workbench, folder: Path) -> dict[str, Any]:
    """Run a benchmark, write its record to ``folder/NAME.json`` and plot it, if it has a plot, to ``folder/NAME.png``.

    Returns:
        The record, as JSON values: ``benchmark``, ``settings``, ``device``, ``precision``, ``environment``, ``date``,
        ``data`` (fingerprints of the data sets by name), ``origin`` (fingerprint of the code), and the figures.
    """
    bench = replace(bench, loaded={}, recipes=[])
    figures = benchmark.measure(bench)
    settings = {str(number): {"method": net.method, **net.fields()} for number, net in enumerate(bench.recipes)}
    record = {
        "benchmark": name,
        "settings": asdict(benchmark),
        "device": bench.device.type,
        "precision": bench.precision,
        "environment": machine.describe(bench.device),
        "date": datetime.now(UTC).date().isoformat(),
        "data": {name: dataset.fingerprint for name, dataset in bench.loaded.items()},
        "origin": origin_of(type(benchmark).__module__, [{"shared": {}, "own": settings}]),
        **figures,
    }
    write_signed(folder / f"{name}.json", record)
    benchmark.draw(record, folder / f"{name}.png")
    return record
