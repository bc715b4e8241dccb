"""Train the nets of examples/own_layer.py and keep what they reach in results/layers/.

    python scripts/measure_layers.py EPOCHS DATA LAYERS [SEED]

The arguments are those of the example. CPU seconds are those of the whole process, one thread.
"""

from __future__ import annotations

import runpy
import sys
import time

import torch
from markdown_table import ROOT

import twofold
from twofold.files import write_json
from twofold.machine.description import describe

FOLDER = ROOT / "results" / "layers"


def main() -> None:
    """Train one net and write its record."""
    epochs, name, kind, seed = (*sys.argv[1:], "0")[:4]
    torch.set_num_threads(1)
    torch.manual_seed(int(seed))
    page = runpy.run_path(str(ROOT / "examples" / "own_layer.py"), run_name="a page")
    data, start = twofold.load_data(name), time.process_time()
    error = (
        page["learn_by_backprop"](data, int(epochs)) if kind == "backprop" else page["learn"](data, kind, int(epochs))
    )
    record = {
        **{"data": name, "official_data": data.official, "layers": kind, "epochs": int(epochs), "seed": int(seed)},
        "error %": {test: round(100 * share, 2) for test, share in error.items()},
        "cpu seconds": round(time.process_time() - start),
        "environment": describe(torch.device("cpu")),
    }
    FOLDER.mkdir(exist_ok=True)
    write_json(FOLDER / f"{name}-{kind}-seed{seed}.json", record)
    print(record)


if __name__ == "__main__":
    main()
