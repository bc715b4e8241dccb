"""Line plots and heat maps of claims. Claims import this module in the functions that draw: it imports matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.image import AxesImage

from twofold.plots.canvas import Floats, scale_axis
from twofold.plots.colors import BLANK, INK, POSITIVE

BLUES = ("#FFFFFF", "#8DC3E8", POSITIVE, "#002B45")
"""Colors of a heat map from white to dark blue."""

Line = tuple[Sequence[Any], str, str]
"""Values of a line, its format as for `Axes.plot` (such as ``o-``), and its color."""


def lines(ax: Axes, x: Sequence[float] | None, series: Mapping[str, Line], **style: Any) -> None:
    """Draw lines with markers, and scale the y axis to their values.

    Args:
        ax: the subplot.
        x: positions of the values on the x axis; by default 0, 1, 2 and so on.
        series: name in the legend -> line. A value is a number, or a dictionary of a ``mean`` and the ``std`` that its
            error bar shows.
        style: further options of `Axes.errorbar` for all lines.
    """
    drawn: list[float] = []
    for label, (values, form, color) in series.items():
        pairs = [(value["mean"], value["std"]) if isinstance(value, Mapping) else (value, 0.0) for value in values]
        means, stds = np.array(pairs).T
        bars = stds if stds.any() else None
        positions = range(len(means)) if x is None else x
        ax.errorbar(positions, means, bars, fmt=form, color=color, label=label, **{"ms": 4.5, "lw": 1.8, **style})
        drawn += means.tolist()
    scale_axis(ax, np.array(drawn))


def heat_map(
    ax: Axes, values: Floats, colors: Sequence[str], limits: tuple[float, float], texts: Any = None, **options: Any
) -> AxesImage:
    """Draw a matrix as colored cells on a logarithmic scale.

    Args:
        ax: the subplot.
        values: ``(rows, columns)``.
        colors: colors from the lower limit to the upper one. Values below the lower limit are grey.
        limits: values at which the color scale ends.
        texts: text of each cell, ``(rows, columns)``; by default none.
        options: further options of `Axes.imshow`.
    """
    cmap = LinearSegmentedColormap.from_list("heat", colors).with_extremes(under=BLANK)
    norm = LogNorm(*limits)
    image = ax.imshow(np.maximum(values, limits[0] / 10), cmap=cmap, norm=norm, interpolation="nearest", **options)
    for (row, column), text in np.ndenumerate(np.array(texts if texts is not None else [[]])):
        dark = sum(cmap(norm(values[row, column]))[:3]) < 1.5
        ax.text(column, row, text, ha="center", va="center", fontsize=11, color="white" if dark else INK)
    ax.grid(visible=False)
    return image
