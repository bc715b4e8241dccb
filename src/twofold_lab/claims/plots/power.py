"""The picture of energy: estimated ranges on digital and on analog hardware."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from twofold.errors import DataError
from twofold.plots.canvas import label_axes, subplots, suptitle, write
from twofold.plots.colors import INK, POSITIVE, TWIN

Ranges = Mapping[str, Mapping[str, Sequence[float]]]
"""What is done -> hardware -> low and high."""

COLORS = {"digital": TWIN, "analog": POSITIVE}
BRAIN = 30.0


def ranges(watts: Ranges, joules: Ranges, path: Path) -> Path:
    """Draw ranges as bars: watts of a brain-sized net, and joules of the trained nets for each image.

    Args:
        watts: of the brain-sized net, for each thing that it does once a second.
        joules: of the trained nets for an image.
        path: the PNG to write.

    Raises:
        DataError: a range is of other hardware than digital and analog, or not above 0.
    """
    for name, each in [*watts.items(), *joules.items()]:
        if set(each) != set(COLORS) or any(not 0 < low <= high for low, high in each.values()):
            raise DataError(f"{name}: expected a range above 0 for {' and '.join(COLORS)}")
    figure, [axes] = subplots(1, 2, 6.0, 1.2 + 0.6 * max(len(watts), len(joules)))
    _bars(axes[0], watts, "10^14 connections, once a second", "watts")
    axes[0].axvline(BRAIN, color=INK, lw=1.2, ls="--")
    axes[0].text(BRAIN, len(watts) - 0.45, " 30 W", fontsize=11, color=INK)
    _bars(axes[1], joules, "The trained nets, for each image", "joules")
    handles, labels = axes[0].get_legend_handles_labels()
    kept = dict(zip(labels, handles, strict=True))
    axes[1].legend(kept.values(), kept.keys(), fontsize=10.5, frameon=False)
    suptitle(
        figure,
        "ESTIMATED energy, from low to high",
        "an estimate from counts and published constants, not a measurement; each bar is a range",
    )
    return write(figure, path)


def _bars(ax: Axes, found: Ranges, title: str, unit: str) -> None:
    label_axes(ax, title, unit, "")
    ax.grid(visible=False)
    for row, each in enumerate(reversed(list(found.values()))):
        for offset, (hardware, color) in zip((0.18, -0.18), COLORS.items(), strict=True):
            low, high = each[hardware]
            ax.plot([low, high], [row + offset] * 2, lw=8, color=color, solid_capstyle="butt", label=hardware)
    ax.set_xscale("log")
    ax.set_ylim(-0.6, len(found) - 0.2)
    ax.set_yticks(range(len(found)), list(found)[::-1], fontsize=11)
