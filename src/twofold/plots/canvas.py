"""What all pictures have in common: colors, places, titles, axes, and a file that is written whole or not at all.

An Agg canvas without global state. Forward-Forward and positive data are blue, negative data orange, the backprop twin
grey, everywhere; the colors (Okabe and Ito's) stay apart for color-blind readers.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from twofold.files import write_bytes

POSITIVE, NEGATIVE, TWIN, INK, BLANK = "#0072B2", "#D55E00", "#8A8A8A", "#222222", "#D9D9D9"
TESTS = ("#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#5B3A8C")  # one color per way of testing
DPI = 120


def places(rows: int, columns: int, width: float, height: float, gap: float = 0.06) -> tuple[Figure, list[list[Axes]]]:
    """A figure of ``rows`` x ``columns`` hidden places, each ``width`` x ``height`` inches; with room for a title."""
    layout = ConstrainedLayoutEngine(w_pad=gap, h_pad=0.06)
    figure = Figure(figsize=(max(7.4, columns * width + 0.3), rows * height + 0.9), layout=layout)
    axes = figure.subplots(rows, columns, squeeze=False)
    for place in axes.flat:
        place.set_visible(False)
    return figure, axes.tolist()


def headline(figure: Figure, title: str, explanation: str = "") -> None:
    """A title above and an explanation below the panels, in as many lines as the width of the figure asks for."""
    inches = figure.get_figwidth()
    figure.suptitle(fill(title, int(8 * inches)), fontsize=14, color=INK, weight="bold")
    if explanation:
        figure.supxlabel(fill(explanation, int(11.5 * inches)), fontsize=11, color=INK)


def panel(place: Axes, title: str, across: str, up: str) -> None:
    """What a panel shows, and what runs along its axes, with units."""
    place.set_title(title, fontsize=13, color=INK)
    place.set_xlabel(across, fontsize=12, color=INK)
    place.set_ylabel(up, fontsize=12, color=INK)
    place.tick_params(labelsize=11, colors=INK)
    place.spines[["top", "right"]].set_visible(False)
    place.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    place.set_axisbelow(True)


def legend(place: Axes, columns: int) -> None:
    """A legend below the panel, where it covers no curve."""
    if place.get_legend_handles_labels()[0]:
        place.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=columns, fontsize=10.5, frameon=False)


def scale_axis(place: Axes, values: NDArray[np.float64]) -> None:
    """Start the y axis at zero, or make it logarithmic, with plain numbers, if ``values`` span more than a decade."""
    some = values[values > 0]
    if not some.size or some.max() <= 10 * some.min():
        place.set_ylim(0, 1.05 * max(some.max(initial=0), 0.1))
        return
    place.set_yscale("log", nonpositive="clip")
    place.set_ylim(some.min() / 1.25, some.max() * 1.25)
    place.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    place.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    place.yaxis.set_minor_locator(NullLocator())


def write(figure: Figure, path: Path) -> Path:
    """Render ``figure`` and put it at ``path`` whole or not at all."""
    buffer = BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())
    return path
