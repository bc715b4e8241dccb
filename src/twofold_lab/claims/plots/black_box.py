"""The picture of black boxes between layers: the error of every contender against the drift, for each kind of box (talk
36:43).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from twofold.nets.crossings import WHITE_BOX
from twofold.plots.canvas import label_axes, legend, scale_axis, subplots, suptitle, write
from twofold.plots.colors import NEGATIVE, POSITIVE, TESTS, TWIN
from twofold_lab.claims.black_box import CONTENDERS

Spread = Mapping[str, float]

STYLES = dict(
    zip(
        [name for name in CONTENDERS if name not in WHITE_BOX],
        [(color, style) for style in ("s-", "^--") for color in (*TESTS, NEGATIVE)],
        strict=False,
    )
) | dict(zip(WHITE_BOX, [(TWIN, "o-"), (TWIN, "o:")], strict=True))
"""Color and style of each contender: grey for those that know the box."""


def boxes(ours: Mapping[str, Spread], theirs: Mapping[str, Mapping[str, Spread]], path: Path) -> Path:
    """Draw a panel for each kind of box.

    Args:
        ours: row, such as ``one_bit, still`` -> mean and standard deviation of the error in percent; ``none`` is
            without boxes.
        theirs: row -> contender -> likewise.
        path: the PNG to write.
    """
    rows = [row.split(", ") for row in ours if row != "none"]
    kinds, drifts = list(dict.fromkeys(kind for kind, _ in rows)), list(dict.fromkeys(drift for _, drift in rows))
    figure, grid = subplots(1, len(kinds), 4.4, 4.8)
    for ax, kind in zip(grid[0], kinds, strict=True):
        label_axes(ax, kind.replace("_", " "), "by batch", "error, % of test images" if ax is grid[0][0] else "")
        ax.set_xticks(range(len(drifts)), drifts)
        named = [f"{kind}, {drift}" for drift in drifts]
        for name, (color, style) in STYLES.items():
            _line(ax, [theirs[row][name] for row in named], name.replace("_", " "), color, style, 1.2)
        _line(ax, [ours[row] for row in named], "Forward-Forward", POSITIVE, "o-", 2.6)
        scale_axis(ax, np.array([each["mean"] for row in named for each in (ours[row], *theirs[row].values())]))
        ax.axhline(ours["none"]["mean"], color=POSITIVE, linestyle=":", linewidth=1.2)
    legend(grid[0][0], 2)
    suptitle(
        figure,
        "Black boxes behind the second and the fourth of six layers",
        "dotted: Forward-Forward without boxes; grey: contenders that know the box",
    )
    return write(figure, path)


def _line(ax: Axes, values: list[Spread], label: str, color: str, style: str, width: float) -> None:
    means, spreads = [each["mean"] for each in values], [each["std"] for each in values]
    ax.errorbar(range(len(values)), means, spreads, fmt=style, color=color, label=label, linewidth=width, markersize=4)
