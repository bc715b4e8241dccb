"""The picture of back-relaxation: how far, how fast and how thin the label gets down a net (talk 29:14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, MaxNLocator

from twofold.errors import DataError
from twofold.plots.canvas import Floats, label_axes, legend, scale_axis, subplots, suptitle, write
from twofold.plots.colors import BLANK, INK, POSITIVE, TESTS, TWIN

LEAST = 0.1
"""Influence in percent at which the colors begin; what is less is drawn as if there were none."""

HEAT = LinearSegmentedColormap.from_list("heat", ["#EEF4FA", "#8DC3E8", POSITIVE, "#002B45"]).with_extremes(under=BLANK)


def relaxation(
    influence: Mapping[int, Floats],
    untrained: Floats,
    gradient: Mapping[int, Sequence[float]],
    error: Mapping[int, tuple[float, float]],
    presented: Sequence[int],
    learned: Floats,
    trace: Floats,
    path: Path,
    *,
    shown: Sequence[int],
    brief: int,
) -> Path:
    """Draw the maps of layer by time for some depths, the error of all, their settled influence beside the twin's
    gradient, and what presentations do.

    Args:
        influence: by depth, of the label on each layer at each iteration, in percent, ``(layers, iterations)``, layers
            from the lowest upwards.
        untrained: settled influence in percent in the deepest net before it learns, ``(layers,)``.
        gradient: by depth, of the twin by hidden layer, the top one's being 1.
        error: by depth, of the net's slow test and of its twin, in percent.
        presented: numbers of presentations, ascending.
        learned: settled influence in percent after each of them, ``(numbers, layers)``.
        trace: the same that brief ones leave.
        path: the PNG to write.
        shown: the depths whose maps are drawn, one or two.
        brief: iterations of a brief presentation.

    Raises:
        DataError: the shapes do not fit together, or a depth is asked for that is not there.
    """
    deepest = max(influence)
    expected = (len(presented), deepest)
    if learned.shape != expected or trace.shape != expected:
        raise DataError(
            f"presentations have the shapes {learned.shape} and {trace.shape}, expected {expected} for both"
        )
    if (
        not 1 <= len(shown) <= 2
        or not set(shown) <= set(influence)
        or not set(influence) == set(gradient) == set(error)
    ):
        raise DataError(f"depths {list(shown)} are to be shown, expected one or two of {sorted(influence)}")
    figure, axes = subplots(2, 3, 4.6, 4.2)
    for ax, depth in zip(axes[0], shown, strict=False):
        drawn = _map(ax, influence[depth], f"{depth} layers", "iterations after the label changed", 1)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for ax, values, title in (
        (axes[1][0], learned, f"Long presentations, {deepest} layers"),
        (axes[1][1], trace, f"Presentations of {brief} iterations, {deepest} layers"),
    ):
        drawn = _map(ax, values.T, title, "presentations of the same image", 0)
        ax.set_xticks(range(len(presented)), [str(count) for count in presented])
    bar = figure.colorbar(drawn, ax=[ax for row in axes for ax in row[:2]], pad=0.01, extend="min", aspect=36)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    bar.ax.tick_params(labelsize=11, colors=INK)
    _errors(axes[0][2], error)
    _profile(axes[1][2], influence, untrained, gradient)
    suptitle(
        figure,
        "Back-relaxation: how far down a net the label at its top gets",
        "maps: how far each layer's state is from where another label would have it, in % of its length (grey: less "
        f"than {LEAST:g} %). Above, the label changes in front of a net that has settled; below, this after learning "
        f"from one image again and again. {brief} iterations reach the top {brief} layers and no more, weights that "
        f"learn there {brief} more. Below right: the same once settled, and how much a backprop net's loss changes "
        "with each of its layers",
    )
    return write(figure, path)


def _map(ax: Axes, values: Floats, title: str, across: str, first: int) -> AxesImage:
    """Layers by time or presentations, counted from ``first``; the label is above the top row, the image below all."""
    label_axes(ax, title, across, "layer")
    ax.grid(visible=False)
    layers, columns = values.shape
    drawn = ax.imshow(
        np.clip(values, LEAST / 10, None),
        cmap=HEAT,
        norm=LogNorm(LEAST, 200),
        aspect="auto",
        origin="lower",
        extent=(first - 0.5, first + columns - 0.5, 0.5, layers + 0.5),
        interpolation="nearest",
    )
    ax.set_yticks(range(1, layers + 1))
    return drawn


def _errors(ax: Axes, error: Mapping[int, tuple[float, float]]) -> None:
    label_axes(ax, "Error", "hidden layers", "% of held-out images")
    depths = sorted(error)
    for which, (name, color, style) in enumerate((("Forward-Forward", POSITIVE, "o-"), ("twin", TWIN, "s--"))):
        ax.plot(depths, [error[depth][which] for depth in depths], style, ms=4.5, lw=1.9, color=color, label=name)
    ax.set_xticks(depths)
    scale_axis(ax, np.array([error[depth] for depth in depths]))
    ax.legend(fontsize=10, frameon=False)


def _profile(
    ax: Axes, influence: Mapping[int, Floats], untrained: Floats, gradient: Mapping[int, Sequence[float]]
) -> None:
    """Settled influence by the layers between a layer and the label, and the twin's gradient."""
    label_axes(
        ax, "Settled influence, and the twin's gradient", "layers between it and the label", "% (twin: of its top's)"
    )
    deepest = max(influence)
    for color, (depth, values) in zip((*TESTS, POSITIVE), sorted(influence.items()), strict=False):
        ax.plot(range(depth), values[::-1, -1], "o-", ms=3.5, lw=1.9, color=color, label=f"{depth} layers")
    twin = 100 * np.array(gradient[deepest])[::-1]
    ax.plot(range(deepest), untrained[::-1], "o:", ms=3.5, lw=1.9, color=INK, label=f"{deepest}, untrained")
    ax.plot(range(deepest), twin, "s--", ms=3.5, lw=1.9, color=TWIN, label=f"{deepest}, twin")
    scale_axis(ax, np.concatenate([twin, untrained, *(values[:, -1] for values in influence.values())]))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(ax, 3)
