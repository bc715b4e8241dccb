"""Draw bar charts of benchmarks: medians, with error bars from the first to the third quartile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from twofold.cli.text import format_3
from twofold.plots.canvas import label_axes
from twofold.plots.colors import INK, POSITIVE

GREYS = ("#777777", "#9C9C9C", "#BDBDBD", "#D3D3D3", "#E8E8E8")


def bars(
    ax: Axes,
    title: str,
    xlabel: str,
    rows: Sequence[str],
    series: Mapping[str, tuple[str | list[str], Sequence[Mapping[str, float] | None]]],
) -> None:
    """Draw a group of horizontal bars for each row, labeled with their medians.

    Missing figures leave a gap.

    Args:
        ax: the subplot.
        title: title of the subplot.
        xlabel: quantity and unit of the bars.
        rows: names of the groups, from the top.
        series: name -> color (or one color for each row) and figures, one for each row.
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
    ax.set_yticks(range(len(rows)), rows)
    ax.invert_yaxis()
    ax.margins(x=0.16)
    ax.set_xlim(left=0)
    ax.grid(visible=False, axis="y")
    ax.grid(axis="x", color="#E6E6E6", linewidth=0.8)
    ax.tick_params(axis="y", length=0)


def stack(ax: Axes, title: str, across: str, parts: Mapping[str, Mapping[str, float]]) -> None:
    """Draw stacked bars of shares, from dark to light; large shares are labeled.

    Args:
        ax: the subplot.
        title: title of the subplot.
        across: name of the total quantity.
        parts: name of the bar -> name of the share -> share.
    """
    label_axes(ax, title, f"share of {across} (%)", "")
    for row, shares in enumerate(parts.values()):
        start = 0.0
        for number, (name, share) in enumerate(shares.items()):
            color = (POSITIVE, *GREYS)[min(number, len(GREYS))]
            ax.barh(row, 100 * share, 0.62, left=start, color=color, edgecolor="white")
            if share >= 0.1:
                ink = INK if number > 1 else "white"
                text = "\n".join([*name.split(), f"{100 * share:.0f} %"])
                ax.text(start + 50 * share, row, text, ha="center", va="center", fontsize=9.5, color=ink)
            start += 100 * share
    ax.set_yticks(range(len(parts)), list(parts))
    ax.invert_yaxis()
    ax.set_xlim(0, 100)
    ax.grid(visible=False)
    ax.tick_params(axis="y", length=0)
