"""Train MNIST's recipe on every preset of twofold.substrate, and with each parameter of `bench` alone; small trainings.

    python scripts/measure_substrates.py [SEED]

Learns from the first 10,000 training images for 10 epochs and tests on the last 10,000, which are held out; 3 x 500
units. Writes results/substrate/parameters-seedSEED.json. CPU seconds are those of the whole process, one thread.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from markdown_table import ROOT

import twofold
from twofold.files import write_json
from twofold.machine.description import describe
from twofold.methods import build
from twofold.substrate import PRESETS, Substrate, arrays, set_run_length
from twofold.training.trainer import Trainer

FOLDER = ROOT / "results" / "substrate"
IMAGES, HELD_OUT, EPOCHS, WIDTHS = 10_000, 10_000, 10, (500, 500, 500)


def contenders() -> Iterator[tuple[str, Substrate]]:
    """Every preset, and `bench` with all but one of its parameters ideal."""
    yield from PRESETS.items()
    bench = PRESETS["bench"]
    yield "full_scale", Substrate(full_scale=bench.full_scale)
    for name in ("mismatch", "threshold", "drift"):
        yield name, Substrate(**{name: getattr(bench, name)})
    for name in ("read_noise", "bits"):
        yield name, Substrate(full_scale=bench.full_scale, **{name: getattr(bench, name)})


def measure(substrate: Substrate, data: Any, seed: int) -> dict[str, Any]:
    """Train once; errors in percent, CPU seconds, and how much larger than at first weights have become."""
    images, labels = data.train
    recipe = replace(twofold.RECIPES["mnist"], widths=WIDTHS, epochs=EPOCHS, seed=seed)
    net, start = substrate.install(build(recipe, data.form), seed), time.process_time()
    set_run_length(net, EPOCHS * IMAGES // recipe.batch)
    first = [each.spread for each in arrays(net)]
    Trainer(net, recipe, (images[:IMAGES], labels[:IMAGES])).run()
    seconds = time.process_time() - start
    error = twofold.evaluate(net, images[-HELD_OUT:], labels[-HELD_OUT:]).error
    grown = [each.value.square().mean().sqrt().item() / one for each, one in zip(arrays(net), first, strict=True)]
    return {
        "error %": {test: round(100 * share, 2) for test, share in error.items()},
        "cpu seconds": round(seconds, 1),
        "spread in the end": [round(one, 2) for one in grown],
    }


def main() -> None:
    """Train them all and write the record."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    torch.set_num_threads(1)
    data, found = twofold.load_data("mnist"), {}
    for name, substrate in contenders():
        found[name] = measure(substrate, data, seed)
        print(name, found[name], flush=True)
    record = {
        **{"images": IMAGES, "held out": HELD_OUT, "epochs": EPOCHS, "widths": list(WIDTHS), "seed": seed},
        "official_data": data.official,
        "trainings": found,
        "environment": describe(torch.device("cpu")),
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_json(FOLDER / f"parameters-seed{seed}.json", record)


if __name__ == "__main__":
    main()
