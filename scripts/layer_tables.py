"""Tables of layers of one's own, from the records in results/layers/."""

from __future__ import annotations

from typing import Any

from markdown_table import NONE, ROOT, markdown

from twofold.files import read_json

FOLDER = ROOT / "results" / "layers"
TITLES = {"convolution": "`Convolution`", "module": "`CustomLayer`", "backprop": "backprop"}
TESTS = ("slow", "fast", "both")


def own_layers() -> str:
    """What the nets of examples/own_layer.py reach."""
    rows = []
    for data, title in (("mnist", "MNIST"), ("fashion-mnist", "Fashion-MNIST")):
        for kind, layers in TITLES.items():
            for path in sorted(FOLDER.glob(f"{data}-{kind}-seed*.json")):
                record: dict[str, Any] = read_json(path)
                error = record["error %"]
                rows.append(
                    [
                        title,
                        layers,
                        *(f"{error[test]:.2f}" if test in error else "-" for test in TESTS),
                        f"{error['backprop']:.2f}" if "backprop" in error else "-",
                        str(record["epochs"]),
                        f"{record['cpu seconds'] / 60:.1f}",
                    ]
                )
    heads = ["data", "layers", *(f"{test}, %" for test in TESTS), "backprop, %", "epochs", "CPU minutes"]
    return markdown(heads, rows) if rows else NONE


def prototypes() -> str:
    """What was tried on few images, in plain PyTorch."""
    shown = (
        *("layers", "label", "label strength", "goodness of", "length of", "objective", "temperature factor", "rate"),
        *("rate factor of convolutions", "images"),
    )
    rows = []
    for training in read_json(FOLDER / "prototypes.json")["trainings"]:
        error, alone = training["error %"], training["layer error %"]
        rows.append(
            [
                *(str(training["settings"][name]) for name in shown),
                *(f"{error[test]:.1f}" for test in TESTS),
                " / ".join(f"{layer:.0f}" for layer in alone),
            ]
        )
    rows.sort(key=lambda row: (row[9], row[0]))
    return markdown([*shown, *(f"{test}, %" for test in TESTS), "each layer alone, %"], rows)


TABLES = {"own-layers": own_layers, "map-prototypes": prototypes}
