"""Train a net of each kind of unit and keep their errors on held-out images in results/layers/units.json.

The net is that of the short comparisons in the claims: MNIST, 3 x 500, 8 epochs, the last 10,000 training images held
out, the settings of the rectifier.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from markdown_table import ROOT

import twofold
from twofold.claims.lab import Lab
from twofold.files import write_json
from twofold.machine.description import describe
from twofold.methods import build
from twofold.nets.net import evaluate
from twofold.training.trainer import Trainer
from twofold.units import UNITS


def main() -> None:
    """Train them all and write the record."""
    torch.set_num_threads(1)
    recipe, _ = Lab("full").short()
    data = twofold.load_data(recipe.data)
    images, labels = data.train
    cut = len(labels) - recipe.validation
    errors = {}
    for unit in UNITS:
        net = build(replace(recipe, unit=unit), {"shape": data.shape, "classes": data.classes})
        Trainer(net, replace(recipe, unit=unit), (images[:cut], labels[:cut])).run()
        found = evaluate(net, images[cut:], labels[cut:]).error
        errors[unit] = {test: round(100 * share, 2) for test, share in found.items()}
        print(unit, errors[unit], flush=True)
    record = {"recipe": recipe.fields(), "error %": errors, "environment": describe(torch.device("cpu"))}
    write_json(ROOT / "results" / "layers" / "units.json", record)


if __name__ == "__main__":
    main()
