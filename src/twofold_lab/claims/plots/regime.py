"""The picture of the regimes: which side has the smaller error, by number of labeled images and width of layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, LogNorm

from twofold.errors import DataError
from twofold.plots.canvas import subplots, suptitle, write
from twofold.plots.colors import INK, POSITIVE, TWIN

Errors = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Mean and standard deviation in percent, by number of images and by width."""

SIDES = LinearSegmentedColormap.from_list("sides", [POSITIVE, "#FFFFFF", TWIN])
MOST = 3.0
"""Ratio of errors at which the color scale ends."""


def regimes(ours: Errors, twins: Errors, path: Path) -> Path:
    """Draw a map with the errors of both sides in each cell, blue where Forward-Forward's is the smaller one.

    Args:
        ours: errors of Forward-Forward's slow test.
        twins: errors of the twin, with the same keys.
        path: the PNG to write.

    Raises:
        DataError: the keys differ, or there are none.
    """
    if not ours or {name: list(row) for name, row in ours.items()} != {name: list(row) for name, row in twins.items()}:
        raise DataError("a map of regimes needs the errors of both sides for the same numbers of images and widths")
    images, widths = list(ours), list(next(iter(ours.values())))
    ratio = np.array([[ours[row][column]["mean"] / twins[row][column]["mean"] for column in widths] for row in images])
    figure, [[ax]] = subplots(1, 1, 7.4, 0.9 * len(images) + 1)
    ax.set_visible(True)
    drawn = ax.imshow(ratio, cmap=SIDES, norm=LogNorm(1 / MOST, MOST), aspect="auto")
    for (row, column), value in np.ndenumerate(ratio):
        mine, theirs = (each[images[row]][widths[column]]["mean"] for each in (ours, twins))
        color = "white" if abs(np.log(value)) > 0.7 * np.log(MOST) else INK
        ax.text(column, row, f"{mine:.2f} : {theirs:.2f}", ha="center", va="center", fontsize=12, color=color)
    ax.set_xticks(range(len(widths)), widths, fontsize=11)
    ax.set_yticks(range(len(images)), images, fontsize=11)
    ax.tick_params(length=0, colors=INK)
    ax.spines[:].set_visible(False)
    bar = figure.colorbar(drawn, ax=ax, ticks=[1 / MOST, 1 / 2, 1, 2, MOST])
    bar.ax.set_yticklabels([f"{tick:.2g}" for tick in (1 / MOST, 1 / 2, 1, 2, MOST)], fontsize=10.5)
    bar.ax.minorticks_off()
    bar.set_label("error / twin's error", fontsize=11, color=INK)
    suptitle(
        figure,
        "Test error in %, Forward-Forward : backprop",
        "blue: Forward-Forward errs less often; grey: backprop does",
    )
    return write(figure, path)
