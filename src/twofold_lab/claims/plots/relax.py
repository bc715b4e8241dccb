"""The picture of back-relaxation: how far and how fast the label's influence gets down a net, and how it fades (talk
29:14).
"""

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
"""Influence in percent at which the color scale begins; less than this is drawn as none."""

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
    """Draw influence by layer and time, the effect of presentations, errors, and settled influence beside the twin.

    The maps of influence by layer and time are for the depths in ``shown``, the errors and the settled influence, with
    the twin's gradient, for all depths.

    Args:
        influence: by depth, the influence of the label on each layer at each iteration, in percent,
            ``(layers, iterations)``, layers from the lowest upwards.
        untrained: settled influence in percent in the deepest net before it learns, ``(layers,)``.
        gradient: by depth, the sensitivity of the twin's loss to each hidden layer, relative to the top one.
        error: by depth, the errors of the net's slow test and of its twin, in percent.
        presented: numbers of presentations, ascending.
        learned: settled influence in percent after each of these numbers, ``(numbers, layers)``.
        trace: trace in percent that as many brief presentations leave, ``(numbers, layers)``.
        path: the PNG to write.
        shown: the depths whose maps are drawn, one or two.
        brief: number of iterations of a brief presentation.

    Raises:
        DataError: the shapes do not fit together, or a depth in ``shown`` is missing.
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
        raise DataError(f"the depths to show are {list(shown)}, expected one or two of {sorted(influence)}")
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
        "maps: distance of each layer's state from the one under another label, in % of its length (grey: less than "
        f"{LEAST:g} %). Top: the label changes after the net has settled. Bottom: the same after learning from one "
        f"image repeatedly; {brief} iterations reach only the top {brief} layers, and the weights that learn there "
        f"act on {brief} more. Bottom right: the influence once settled, and how much a backprop net's loss changes "
        "with each of its layers",
    )
    return write(figure, path)


def _map(ax: Axes, values: Floats, title: str, across: str, first: int) -> AxesImage:
    """Draw layers by time or presentations, counted from ``first``; the label is above the top row, the image below."""
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
    """Draw settled influence by the number of layers between a layer and the label, and the twin's gradient."""
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
