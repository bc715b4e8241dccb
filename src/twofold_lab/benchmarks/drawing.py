"""Bar charts of benchmarks: medians, with error bars from the first to the third quartile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from twofold.cli.text import format_3
from twofold.plots.canvas import label_axes, legend, subplots, suptitle, write
from twofold.plots.colors import INK, POSITIVE

GREYS = ("#777777", "#9C9C9C", "#BDBDBD", "#D3D3D3", "#E8E8E8")

Series = Mapping[str, tuple[str | list[str], Sequence[Mapping[str, float] | None]]]
"""Name in the legend -> color (or one color for each row), and for each row a spread, or ``None`` for a gap."""


def bar_charts(path: Path, title: str, rows: Sequence[str], charts: Mapping[tuple[str, str], Series]) -> Path:
    """Plot charts with the same rows side by side into a PNG file, and return its path.

    Args:
        path: the file.
        title: title above all charts.
        rows: names of the rows, see `bars`.
        charts: (title of a chart, quantity and unit of its bars) -> series.
    """
    figure, [panels] = subplots(1, len(charts), 5.6, 3.4, 0.15)
    for ax, ((heading, unit), series) in zip(panels, charts.items(), strict=True):
        bars(ax, heading, unit, rows, series)
        legend(ax, 2)
    suptitle(figure, title)
    return write(figure, path)


def bars(ax: Axes, title: str, xlabel: str, rows: Sequence[str], series: Series) -> None:
    """Draw a group of horizontal bars for each row, labeled with their medians.

    Args:
        ax: the subplot.
        title: title of the subplot.
        xlabel: quantity and unit of the bars.
        rows: names of the groups, from the top.
        series: the bars of all groups, see `Series`.
    """
    label_axes(ax, title, xlabel, "")
    thickness = 0.8 / len(series)
    for number, (name, (color, figures)) in enumerate(series.items()):
        present = [(row, figure) for row, figure in enumerate(figures) if figure is not None]
        heights = [row + (number - (len(series) - 1) / 2) * thickness for row, _ in present]
        medians = [figure["median"] for _, figure in present]
        below = [figure["median"] - figure["low"] for _, figure in present]
        above = [figure["high"] - figure["median"] for _, figure in present]
        ax.barh(heights, medians, 0.9 * thickness, color=color, label=name)
        ax.errorbar(medians, heights, xerr=[below, above], fmt="none", ecolor=INK, elinewidth=1.2, capsize=2.5)
        for height, (_, figure) in zip(heights, present, strict=True):
            position = (figure["high"], height)
            text = format_3(figure["median"])
            ax.annotate(text, position, (5, 0), textcoords="offset points", va="center", fontsize=10, color=INK)
    _label_rows(ax, rows)
    ax.margins(x=0.16)
    ax.set_xlim(left=0)
    ax.grid(axis="x", color="#E6E6E6", linewidth=0.8)


def stack(ax: Axes, title: str, quantity: str, bars: Mapping[str, Mapping[str, float]]) -> None:
    """Draw a horizontal bar for each name, divided into shares from dark to light; shares from 10 % are labeled.

    Args:
        ax: the subplot.
        title: title of the subplot.
        quantity: name of the quantity that a bar divides.
        bars: name of the bar -> name of the share -> fraction of the quantity.
    """
    label_axes(ax, title, f"share of {quantity} (%)", "")
    for row, shares in enumerate(bars.values()):
        start = 0.0
        for number, (name, share) in enumerate(shares.items()):
            color = (POSITIVE, *GREYS)[min(number, len(GREYS))]
            ax.barh(row, 100 * share, 0.62, left=start, color=color, edgecolor="white")
            if share >= 0.1:
                ink = INK if number > 1 else "white"
                text = "\n".join([*name.split(), f"{100 * share:.0f} %"])
                ax.text(start + 50 * share, row, text, ha="center", va="center", fontsize=9.5, color=ink)
            start += 100 * share
    _label_rows(ax, list(bars))
    ax.set_xlim(0, 100)


def _label_rows(ax: Axes, rows: Sequence[str]) -> None:
    """Label the rows of a horizontal bar chart, the first one at the top, without a grid."""
    ax.set_yticks(range(len(rows)), rows)
    ax.invert_yaxis()
    ax.grid(visible=False)
    ax.tick_params(axis="y", length=0)
