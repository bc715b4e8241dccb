"""Tables of the nets of examples/own_layer.py, measured by running the example, and of their prototypes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twofold_lab.tables import table

TESTS = ("slow", "fast", "both")
DATA = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}
LAYERS = {"convolution": "`Convolution`", "module": "`CustomLayer`", "backprop": "backprop"}
SETTINGS = (
    *("layers", "label", "label strength", "goodness of", "length of", "objective", "temperature factor", "rate"),
    *("rate factor of convolutions", "images"),
)


@table("own-layers", "layers/*-seed*.json")
def own_layers(records: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Return the test errors of the nets of the example, by data set and type of layer."""
    rows = [["data", "layers", *(f"{test}, %" for test in (*TESTS, "backprop")), "epochs", "CPU minutes"]]
    for record in sorted(records.values(), key=lambda r: ([*DATA].index(r["data"]), [*LAYERS].index(r["layers"]))):
        errors = record["error %"]
        cells = (f"{errors[test]:.2f}" if test in errors else "-" for test in (*TESTS, "backprop"))
        minutes = f"{record['cpu seconds'] / 60:.1f}"
        rows.append([DATA[record["data"]], LAYERS[record["layers"]], *cells, str(record["epochs"]), minutes])
    return rows


@table("map-prototypes", "layers/prototypes.json")
def map_prototypes(record: Mapping[str, Any]) -> list[list[str]]:
    """Return the errors of the prototypes, which were written in plain PyTorch and trained on few images."""
    rows = []
    for training in record["trainings"]:
        settings = (str(training["settings"][name]) for name in SETTINGS)
        errors = (f"{training['error %'][test]:.1f}" for test in TESTS)
        rows.append([*settings, *errors, " / ".join(f"{error:.0f}" for error in training["layer error %"])])
    rows.sort(key=lambda row: (row[SETTINGS.index("images")], row[0]))
    return [[*SETTINGS, *(f"{test}, %" for test in TESTS), "each layer alone, %"], *rows]
