"""Benchmark the throughput and the latency of each test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from twofold.cli.text import format_3, format_spread, format_table, machine_line
from twofold.defaults import SHORTLIST
from twofold.errors import SettingError
from twofold.methods import build
from twofold.plots.colors import TESTS, TWIN
from twofold_lab.benchmarks.bench import Benchmark, Workbench, interleave, quartiles, seconds_of, spread
from twofold_lab.benchmarks.trainer import layers_of, pair
from twofold_lab.tables import markdown, table

SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "fashion-mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
CLASSES = 10
"""Number of classes in all these data sets."""
IMAGES, ROUNDS = 10_000, 7
ALONE = 20
"""Number of images in a burst of single images."""


@dataclass(frozen=True)
class Inference(Benchmark):
    """Images per second of the fast, slow and shortlist test of a Forward-Forward net, and of the twin's one test.

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
        passes = {"fast": 1, "shortlist": 1 + SHORTLIST, "slow": CLASSES, "twin": 1}

        def all_at_once(test: Callable[[Tensor], Tensor]) -> Callable[[int], float]:
            return lambda _: seconds_of(lambda: test(images), bench.device)

        def one_by_one(test: Callable[[Tensor], Tensor]) -> Callable[[int], float]:
            few = torch.split(images[:ALONE], 1)
            return lambda _: seconds_of(lambda: [test(image) for image in few], bench.device) / len(few)

        figures = {}
        for mode, contender in (("many", all_at_once), ("one", one_by_one)):
            bench.say(f"{'10,000 images' if mode == 'many' else 'one image'} at a time")
            contenders = {name: contender(test) for name, test in tests.items()}
            interleave(contenders, 1)
            figures[mode] = interleave(contenders, ROUNDS)
        seconds = {name: spread(times) for name, times in figures["many"].items()}
        return {
            "slow_over_fast": seconds["slow"]["median"] / seconds["fast"]["median"],
            "shortlist_over_fast": seconds["shortlist"]["median"] / seconds["fast"]["median"],
            "twin_over_fast": seconds["twin"]["median"] / seconds["fast"]["median"],
            "seconds": seconds,
            "images_per_second": {name: spread([IMAGES / time for time in figures["many"][name]]) for name in tests},
            "latency_ms": {name: spread([1000 * time for time in figures["one"][name]]) for name in tests},
            "passes_per_image": passes,
            "images": IMAGES,
            "shortlist": SHORTLIST,
            "widths": list(recipe.widths),
            "random": "weights and images",
        }

    @staticmethod
    def table(record: Mapping[str, Any]) -> str:
        rows = [["test", "passes per image", "images/s", "time / fast", "one image, ms"]]
        for name, passes in record["passes_per_image"].items():
            relative = record["seconds"][name]["median"] / record["seconds"]["fast"]["median"]
            rate, latency = format_spread(record["images_per_second"][name]), format_spread(record["latency_ms"][name])
            rows.append([TITLES[name], str(passes), rate, format_3(relative), latency])
        net = f"{record['settings']['recipe']}: {layers_of(record['widths'])}, untrained, random images"
        return f"inference: {net}, {machine_line(record)}\n\n{format_table(rows)}"

    @staticmethod
    def draw(record: Mapping[str, Any], path: Path) -> Path:
        from twofold.plots import canvas
        from twofold_lab.benchmarks.drawing import bars

        figure, [[left, right]] = canvas.subplots(1, 2, 5.4, 3.4, 0.15)
        names = list(record["passes_per_image"])
        rows, colors = [TITLES[name] for name in names], [*TESTS[:3], TWIN]
        rates = [{key: rate / 1000 for key, rate in record["images_per_second"][name].items()} for name in names]
        bars(left, "10,000 images at a time", "thousand images per second", rows, {"": (colors, rates)})
        bars(
            right, "One image at a time", "milliseconds", rows, {"": (colors, [record["latency_ms"][n] for n in names])}
        )
        canvas.suptitle(figure, f"What a test costs: {layers_of(record['widths'])}, {record['precision']}")
        return canvas.write(figure, path)


TITLES = {"fast": "FF fast", "shortlist": "FF shortlist of 3", "slow": "FF slow", "twin": "twin"}


@table("inference", "bench/inference.json")
def inference(record: Mapping[str, Any]) -> str:
    """Return the throughput and the latency of each test."""
    rows = []
    for name, passes in record["passes_per_image"].items():
        relative = record["seconds"][name]["median"] / record["seconds"]["fast"]["median"]
        rate = f"{record['images_per_second'][name]['median']:,.0f}"
        rows.append([name, str(passes), rate, f"{relative:.2f}", quartiles(record["latency_ms"][name])])
    return markdown(["test", "passes per image", "images per second", "time / fast", "one image, ms"], rows)
