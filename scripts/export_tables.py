"""Tables of what nets are outside of this house, from results/export/."""

from __future__ import annotations

from markdown_table import NONE, ROOT, markdown

from twofold.files import read_json

ONNX = ROOT / "results" / "export" / "onnx.json"


def onnx() -> str:
    """How far onnxruntime's answers are from PyTorch's."""
    if not ONNX.exists():
        return NONE
    rows = [
        [
            f"{net['recipe']}, {net['dataset']}",
            " x ".join(map(str, net["widths"])),
            ", ".join(net["tests"]),
            f"{net['largest difference']:.1e}",
            f"{net['relative to 1 + size']:.1e}",
            f"{net['other labels']} of {net['cases'] * len(net['tests'])}",
            f"{net['bytes'] / 1e6:.1f}",
        ]
        for net in read_json(ONNX)["nets"]
    ]
    head = ["net", "units", "tests", "largest difference", "relative to 1 + score", "other labels", "file, MB"]
    return markdown(head, rows)


TABLES = {"onnx": onnx}
