"""Pictures of nets that watch videos: the frames, and how much each surprises the net."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from twofold.errors import DataError
from twofold.plots.canvas import Floats, Values, frame, label_axes, suptitle, to_array, write
from twofold.plots.colors import INK, NEGATIVE, POSITIVE


def surprise(
    frames: Values,
    activity: Values,
    calm: Values,
    kinds: Sequence[str],
    since: int,
    path: Path,
    *,
    first: int = 0,
) -> Path:
    """Draw how much each frame of some broken videos surprises a net, below the frames themselves (talk 21:51, 23:29).

    A video is a row of frames above a plot of the activity that each frame caused: orange for the broken video, blue
    for the same video without the break. A line stands before the frame at which the video breaks; the frames from
    there on have an orange border.

    Args:
        frames: frames of each video, ``(videos, frames, height, width)``, from 0 (black) to 1.
        activity: activity caused by each frame, ``(videos, frames)``.
        calm: the same for the unbroken video, ``(videos, frames)``, or ``(frames,)`` if all share one.
        kinds: a word or two for the break in each video.
        since: number of the first frame after the break.
        path: the PNG to write.
        first: number of the first frame that is drawn.

    Raises:
        DataError: the shapes do not fit together, or the break is not among the frames.
    """
    shown, startled, quiet = to_array(frames), to_array(activity), to_array(calm)
    fit = shown.ndim == 4 and len(shown) == len(kinds) and startled.shape == shown.shape[:2]
    if not fit or quiet.shape not in (startled.shape, startled.shape[1:]) or not first < since < first + shown.shape[1]:
        raise DataError(
            f"frames {shown.shape}, activity {startled.shape}, calm {quiet.shape} for {len(kinds)} kinds that "
            f"break at frame {since}: expected (kinds, frames, height, width), twice (kinds, frames), and a break "
            "after the first frame"
        )
    quiet = np.broadcast_to(quiet, startled.shape)
    videos, count, height, width = shown.shape
    strip = 1.05 * height / width
    figure = Figure(
        figsize=(1.05 * count + 1.0, videos * (strip + 2.0) + 1.2), layout=ConstrainedLayoutEngine(h_pad=0.05)
    )
    axes = figure.subplots(2 * videos, 1, squeeze=False, height_ratios=[strip, 1.45] * videos)[:, 0]
    top = 1.25 * max(startled.max(), quiet.max())
    for row, kind in enumerate(kinds):
        _strip(axes[2 * row], shown[row], since - first, f"{kind} at frame {since}")
        ax = axes[2 * row + 1]
        numbers = first + np.arange(count)
        broken = numbers >= since - 1  # from the last frame that both videos share
        ax.axvline(since - 0.5, color=NEGATIVE, linewidth=1.2, linestyle="--")
        ax.plot(numbers[broken], startled[row][broken], color=NEGATIVE, marker="o", ms=5, lw=1.9, label=kind)
        ax.plot(numbers, quiet[row], color=POSITIVE, marker="o", ms=4, lw=1.9, label="had it gone on")
        label_axes(ax, "", "frame" if row == videos - 1 else "", "activity")
        ax.set_xlim(first - 0.5, first + count - 0.5)
        ax.set_ylim(0, top)
        ax.set_xticks(numbers)
        ax.legend(loc="upper left", ncols=2, fontsize=10.5, frameon=False)
    suptitle(
        figure,
        "Frames that are not as predicted raise the activity",
        "mean square of the first layer's activities at each frame; training lowers it for true motion",
    )
    return write(figure, path)


def _strip(ax: Axes, frames: Floats, broken: int, title: str) -> None:
    """Draw frames side by side; those from number ``broken`` on get an orange border."""
    count = len(frames)
    for number, image in enumerate(frames):
        inset = ax.inset_axes((number / count + 0.02 / count, 0.0, 0.96 / count, 1.0))
        inset.imshow(image, cmap="gray", vmin=0, vmax=1, aspect="auto")
        if number < broken:
            frame(inset)
        else:
            frame(inset, NEGATIVE, 2.2)
    ax.set_axis_off()
    ax.set_title(title, fontsize=13, color=INK, weight="bold")
