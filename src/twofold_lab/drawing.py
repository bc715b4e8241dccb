"""Line plots of claims. Claims import this module in the functions that draw, since it imports matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from twofold.plots.canvas import scale_axis

Line = tuple[Sequence[Any], str, str]
"""Values of a line, its format as for `Axes.plot` (such as ``o-``), and its color."""


def lines(ax: Axes, x: Sequence[float] | None, series: Mapping[str, Line], **style: Any) -> None:
    """Draw lines with markers, and scale the y axis to their values.

    Args:
        ax: the subplot.
        x: positions of the values on the x axis; by default 0, 1, 2 and so on.
        series: name in the legend -> line. A value is a number, or a ``mean`` that gets an error bar of one ``std``.
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
