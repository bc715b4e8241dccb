"""Measure the errors of nets on simulated analog hardware: on each preset, and with a single non-ideal parameter."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from twofold.cli.text import machine_line
from twofold.data import Dataset
from twofold.methods import build
from twofold.nets.net import evaluate
from twofold.recipes.mnist import mnist
from twofold.substrate import PRESETS, Substrate, arrays, set_run_length
from twofold.training.trainer import Trainer
from twofold_lab.benchmarks.bench import Benchmark, Workbench, expect
from twofold_lab.benchmarks.timing import one_thread
from twofold_lab.benchmarks.trainer import layers_of
from twofold_lab.tables import NONE, markdown, table

Record = Mapping[str, Any]
IMAGES, HELD_OUT, EPOCHS, WIDTHS = 10_000, 10_000, 10, (500, 500, 500)
TESTS = ("slow", "fast", "both")


@dataclass(frozen=True)
class SubstrateErrors(Benchmark):
    """Errors of small nets on each substrate preset, and with each single parameter of the preset `bench`.

    Nets of 3 x 500 units are trained with the recipe mnist on the first 10,000 training images of MNIST for 10 epochs,
    and tested on the last 10,000 training images. They always use one thread of the CPU, in fp32. Seconds are processor
    time.

    Attributes:
        seed: seed of the nets, of their training and of their devices.
    """

    seed: int = 0

    def measure(self, bench: Workbench) -> dict[str, Any]:
        expect(self.seed >= 0, "seed", self.seed, "at least 0")
        data, trainings = bench.load("mnist"), {}
        with one_thread() as facts:
            for name, substrate in contenders():
                trainings[name] = self._train(substrate, data)
                bench.say(f"{name}: {trainings[name]['error %']}")
        return {
            **{"images": IMAGES, "held out": HELD_OUT, "epochs": EPOCHS, "widths": list(WIDTHS), "seed": self.seed},
            **{"dataset": data.name, "official_data": data.official, "fingerprint": data.fingerprint},
            "trainings": trainings,
            **facts,
        }

    def _train(self, substrate: Substrate, data: Dataset) -> dict[str, Any]:
        """Train a net on a substrate.

        Returns:
            The errors in percent by test, the CPU seconds, and for each weight array the root mean square of the
            weights after training, divided by the ``spread`` of the array before training.
        """
        images, labels = data.train
        recipe = replace(mnist, widths=WIDTHS, epochs=EPOCHS, seed=self.seed)
        net, start = substrate.install(build(recipe, data.form), self.seed), time.process_time()
        set_run_length(net, EPOCHS * IMAGES // recipe.batch)
        initial = [array.spread for array in arrays(net)]
        Trainer(net, recipe, (images[:IMAGES], labels[:IMAGES])).run()
        seconds = time.process_time() - start
        errors = evaluate(net, images[-HELD_OUT:], labels[-HELD_OUT:]).error
        spreads = [array.value.square().mean().sqrt().item() for array in arrays(net)]
        return {
            "error %": {test: round(100 * share, 2) for test, share in errors.items()},
            "cpu seconds": round(seconds, 1),
            "spread in the end": [round(final / first, 2) for final, first in zip(spreads, initial, strict=True)],
        }

    @staticmethod
    def table(record: Record) -> str:
        return f"substrate-errors: {machine_line(record)}\n\n{trainings({'': record})}"


def contenders() -> Iterator[tuple[str, Substrate]]:
    """Yield the name and substrate of each preset, and of `bench` with all but one of its parameters ideal.

    Read noise and bits are relative to the full scale, which these substrates share with `bench`.
    """
    yield from PRESETS.items()
    bench = PRESETS["bench"]
    yield "full_scale", Substrate(full_scale=bench.full_scale)
    for name in ("mismatch", "threshold", "drift"):
        yield name, Substrate(**{name: getattr(bench, name)})
    for name in ("read_noise", "bits"):
        yield name, Substrate(full_scale=bench.full_scale, **{name: getattr(bench, name)})


@table("substrate-trainings", "substrate/*.json")
def trainings(records: Mapping[str, Record]) -> str:
    """Return the errors on each substrate, mean over records with different seeds."""
    if not records:
        return NONE
    first, count = next(iter(records.values())), len(records)
    rows = []
    for name in first["trainings"]:
        figures = [record["trainings"][name] for record in records.values()]
        errors = (sum(training["error %"][test] for training in figures) / count for test in TESTS)
        seconds = sum(training["cpu seconds"] for training in figures) / count
        title = f"`{name}`" if name in PRESETS else f"`{name}` of `bench` alone"
        rows.append([title, *(f"{error:.2f}" for error in errors), f"{seconds:.0f}"])
    note = (
        f"{layers_of(first['widths'])} units, {first['images']:,} images, {first['epochs']} epochs, tested on "
        f"{first['held out']:,} held-out training images, {count} seed{'s' if count > 1 else ''}."
    )
    return f"{markdown(['substrate', *(f'{test}, %' for test in TESTS), 'CPU seconds'], rows)}\n\n{note}"


@table("substrate-parameters")
def parameters() -> list[list[str]]:
    """Return the parameters of `Substrate`, their descriptions from its docstring, and their defaults."""
    attributes = (inspect.getdoc(Substrate) or "").split("Attributes:\n")[1].split("\n\n")[0]
    entries = re.findall(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", attributes, re.DOTALL | re.MULTILINE)
    meanings = {name: " ".join(text.replace("``", "`").replace("|", r"\|").split()) for name, text in entries}
    rows = [[f"`{field.name}`", meanings[field.name], f"{field.default}"] for field in fields(Substrate)]
    return [["parameter", "meaning and unit", "default"], *rows]


@table("substrate-presets")
def presets() -> list[list[str]]:
    """Return the non-ideal parameters of each preset."""
    names = [field.name for field in fields(Substrate) if any(_cells(field.name))]
    return [["", *(f"`{name}`" for name in PRESETS)], *([f"`{name}`", *_cells(name)] for name in names)]


def _cells(name: str) -> list[str]:
    """Return the value of a parameter in each preset; empty for ideal values."""
    values, ideal = [getattr(preset, name) for preset in PRESETS.values()], getattr(PRESETS["ideal"], name)
    return ["" if value == ideal else f"{value:g}" for value in values]
