"""Functions shared by all plots: subplots, titles, axes, and atomic writing of PNG files.

Figures are rendered by matplotlib's Agg canvas, without pyplot and its global state.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import Any, TypeAlias

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from twofold.files import write_bytes
from twofold.plots.colors import INK

Floats: TypeAlias = NDArray[np.float64]
Values: TypeAlias = torch.Tensor | NDArray[Any] | Sequence[Any]

DPI = 120


def to_array(values: Values) -> Floats:
    """Convert a tensor on any device, an array or a sequence of numbers to a NumPy array of float64."""
    tensor = values.detach().cpu() if isinstance(values, torch.Tensor) else torch.as_tensor(np.asarray(values))
    return np.asarray(tensor.double().numpy(), dtype=np.float64)


def subplots(
    rows: int, columns: int, width: float, height: float, gap: float = 0.06
) -> tuple[Figure, list[list[Axes]]]:
    """Make a figure with a grid of subplots and space for a title.

    All subplots are hidden until `label_axes` or `frame` shows them, so unused cells of the grid stay empty.

    Args:
        rows: Number of rows.
        columns: Number of columns.
        width: Width of each subplot, in inches.
        height: Height of each subplot, in inches.
        gap: Horizontal padding, in inches.

    Returns:
        The figure, and its subplots by row and column.
    """
    layout = ConstrainedLayoutEngine(w_pad=gap, h_pad=0.06)
    figure = Figure(figsize=(max(7.4, columns * width + 0.3), rows * height + 0.9), layout=layout)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.set_visible(False)
    return figure, axes.tolist()


def suptitle(figure: Figure, title: str, explanation: str = "") -> None:
    """Set a title above all subplots and an explanation below them. Both wrap at the width of the figure."""
    inches = figure.get_figwidth()
    figure.suptitle(fill(title, int(8 * inches)), fontsize=14, color=INK, weight="bold")
    if explanation:
        figure.supxlabel(fill(explanation, int(11.5 * inches)), fontsize=11, color=INK)


def label_axes(ax: Axes, title: str, xlabel: str, ylabel: str) -> None:
    """Show a subplot, and set its title and its axis labels (including units)."""
    ax.set_visible(True)
    ax.set_title(title, fontsize=13, color=INK)
    ax.set_xlabel(xlabel, fontsize=12, color=INK)
    ax.set_ylabel(ylabel, fontsize=12, color=INK)
    ax.tick_params(labelsize=11, colors=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    ax.set_axisbelow(True)


def frame(ax: Axes, color: str = "#BBBBBB", width: float = 0.6) -> None:
    """Show a subplot with a border and without ticks, as for an image."""
    ax.set_visible(True)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_color(color)
        spine.set_linewidth(width)


def legend(ax: Axes, columns: int) -> None:
    """Add a legend below a subplot, outside of its axes, unless nothing in the subplot has a label."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=columns, fontsize=10.5, frameon=False)


def scale_axis(ax: Axes, values: Floats) -> None:
    """Make the y axis logarithmic if ``values`` span more than a decade; otherwise let it start at zero."""
    positive = values[values > 0]
    if not positive.size or positive.max() <= 10 * positive.min():
        ax.set_ylim(0, 1.05 * max(positive.max(initial=0), 0.1))
        return
    ax.set_yscale("log", nonpositive="clip")
    ax.set_ylim(positive.min() / 1.25, positive.max() * 1.25)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_locator(NullLocator())


def write(figure: Figure, path: Path) -> Path:
    """Render a figure and write it atomically to a PNG file. Characters missing in the font become boxes."""
    buffer = BytesIO()
    FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())
    return path
