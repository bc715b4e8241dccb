"""Benchmark the throughput and the latency of each test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from twofold.cli.text import format_table, machine_line
from twofold.defaults import SHORTLIST
from twofold.errors import SettingError
from twofold.methods import build
from twofold.plots.colors import TESTS, TWIN
from twofold_lab.benchmarks.bench import Benchmark, Workbench
from twofold_lab.benchmarks.timing import interleave, quartiles, spread, spreads, timer
from twofold_lab.benchmarks.trainer import layers_of, pair
from twofold_lab.tables import table

SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "fashion-mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
CLASSES = 10
"""Number of classes; it is the same in all data sets of the recipes."""
IMAGES, ROUNDS = 10_000, 7
ALONE = 20
"""Number of images that are tested one by one in each round."""
TITLES = {"fast": "FF fast", "shortlist": "FF shortlist of 3", "slow": "FF slow", "twin": "twin"}


@dataclass(frozen=True)
class Inference(Benchmark):
    """Images per second of the fast, slow and shortlist test of a Forward-Forward net, and of the twin's only test.

    Each test is timed on 10,000 images at a time and on single images. The nets are untrained and the images random,
    which does not affect the time.

    Attributes:
        recipe: name of a Forward-Forward recipe, which determines the layers and the shape of the images.
    """

    recipe: str = "mnist"

    def measure(self, bench: Workbench) -> dict[str, Any]:
        recipe, twin_recipe = pair(self.recipe)
        bench.recipes.extend((recipe, twin_recipe))
        shape = SHAPES[recipe.data]
        images = torch.rand(IMAGES, *shape, generator=torch.Generator().manual_seed(0)).to(bench.device)
        ff, twin = (build(r, {"shape": shape, "classes": CLASSES}).to(bench.device) for r in (recipe, twin_recipe))
        for net in (ff, twin):
            net.set_precision(bench.precision)
        if not {"slow", "shortlist"} <= ff.passes().keys():
            names = ", ".join(ff.passes())
            raise SettingError(f"--recipe is {self.recipe}, whose net has only: {names}; choose one with a slow test")
        tests: dict[str, Callable[[Tensor], Tensor]] = {
            "fast": ff.fast,
            "shortlist": lambda images: ff.shortlist(images, SHORTLIST),
            "slow": ff.slow,
            "twin": twin.fast,
        }
        batches = {"many": [images], "one": list(torch.split(images[:ALONE], 1))}

        def run(test: Callable[[Tensor], Tensor], mode: str) -> None:
            for batch in batches[mode]:
                test(batch)

        figures = {}
        for mode, name in {"many": "10,000 images", "one": "one image"}.items():
            bench.say(f"{name} at a time")
            contenders = {name: timer(partial(run, test, mode), bench.device) for name, test in tests.items()}
            figures[mode] = interleave(contenders, ROUNDS, warm_up=True)
        seconds = spreads(figures["many"])
        ratio = {name: seconds[name]["median"] / seconds["fast"]["median"] for name in ("slow", "shortlist", "twin")}
        return {
            **{f"{name}_over_fast": value for name, value in ratio.items()},
            "seconds": seconds,
            "images_per_second": {name: spread([IMAGES / time for time in figures["many"][name]]) for name in tests},
            "latency_ms": spreads(figures["one"], 1000 / len(batches["one"])),
            "passes_per_image": {"fast": 1, "shortlist": 1 + SHORTLIST, "slow": CLASSES, "twin": 1},
            "images": IMAGES,
            "shortlist": SHORTLIST,
            "widths": list(recipe.widths),
            "random": "weights and images",
        }

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        net = f"{record['settings']['recipe']}: {layers_of(record['widths'])}, untrained, random images"
        return f"inference: {net}, {machine_line(record)}\n\n{format_table(inference(record))}"

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        from twofold_lab.benchmarks.drawing import bar_charts

        names, colors = list(record["passes_per_image"]), [*TESTS[:3], TWIN]
        rates = [{key: rate / 1000 for key, rate in record["images_per_second"][name].items()} for name in names]
        latencies = [record["latency_ms"][name] for name in names]
        title = f"What a test costs: {layers_of(record['widths'])}, {record['precision']}"
        charts = {
            ("10,000 images at a time", "thousand images per second"): {"": (colors, rates)},
            ("One image at a time", "milliseconds"): {"": (colors, latencies)},
        }
        return bar_charts(path, title, [TITLES[name] for name in names], charts)


@table("inference", "bench/inference.json")
def inference(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the throughput and the latency of each test."""
    rows = [["test", "passes per image", "images per second", "time / fast", "one image, ms"]]
    for name, passes in record["passes_per_image"].items():
        relative = record["seconds"][name]["median"] / record["seconds"]["fast"]["median"]
        rate = f"{record['images_per_second'][name]['median']:,.0f}"
        rows.append([name, str(passes), rate, f"{relative:.2f}", quartiles(record["latency_ms"][name])])
    return rows
