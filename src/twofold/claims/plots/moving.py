"""Pictures of nets that watch videos: what they see, and how much it surprises them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from twofold.errors import DataError
from twofold.plots.canvas import INK, NEGATIVE, POSITIVE, headline, panel, write


def surprise(
    frames: torch.Tensor | NDArray[Any],
    activity: torch.Tensor | NDArray[Any],
    calm: torch.Tensor | NDArray[Any],
    kinds: Sequence[str],
    since: int,
    path: Path,
    *,
    first: int = 0,
) -> Path:
    """Draw how much each frame of some broken videos surprises a net, below the frames themselves (talk 21:51, 23:29).

    A video is a row of frames, and below it, frame under frame, the activity that they caused: orange for the broken
    video, blue for the same video had it gone on. A line stands before the frame at which the video breaks; the frames
    from there on have an orange border.

    Args:
        frames: of each video, ``(videos, frames, height, width)``, from 0 (black) to 1.
        activity: that each caused, ``(videos, frames)``.
        calm: the same for the unbroken video, ``(videos, frames)`` or ``(frames,)`` for one that they share.
        kinds: what happens in each video, in a word or two.
        since: number of the first frame that is broken.
        path: the PNG to write.
        first: number of the first frame of all.

    Raises:
        DataError: the shapes do not fit together, or the break is not among the frames.
    """
    shown, startled = _array(frames), _array(activity)
    quiet = np.broadcast_to(_array(calm), startled.shape) if _array(calm).shape[-1:] == startled.shape[-1:] else None
    fit = shown.ndim == 4 and startled.shape == shown.shape[:2] == (len(kinds), startled.shape[-1])
    if not fit or quiet is None or not first < since < first + shown.shape[1]:
        raise DataError(
            f"frames {shown.shape}, activity {startled.shape}, calm {_array(calm).shape} for {len(kinds)} kinds that "
            f"break at frame {since}: expected (kinds, frames, height, width), twice (kinds, frames), and a break "
            "after the first frame"
        )
    videos, count, height, width = shown.shape
    wide = 1.05 * count
    strip = wide / count * height / width
    figure = Figure(figsize=(wide + 1.0, videos * (strip + 2.0) + 1.2), layout=ConstrainedLayoutEngine(h_pad=0.05))
    places = figure.subplots(2 * videos, 1, squeeze=False, height_ratios=[strip, 1.45] * videos)[:, 0]
    top = 1.25 * max(startled.max(), quiet.max())
    for row, kind in enumerate(kinds):
        _strip(places[2 * row], shown[row], since - first, f"{kind} at frame {since}")
        place = places[2 * row + 1]
        numbers = first + np.arange(count)
        broken = numbers >= since - 1  # from the last frame that both videos share
        place.axvline(since - 0.5, color=NEGATIVE, linewidth=1.2, linestyle="--")
        place.plot(numbers[broken], startled[row][broken], color=NEGATIVE, marker="o", ms=5, lw=1.9, label=kind)
        place.plot(numbers, quiet[row], color=POSITIVE, marker="o", ms=4, lw=1.9, label="had it gone on")
        panel(place, "", "frame" if row == videos - 1 else "", "activity")
        place.set_xlim(first - 0.5, first + count - 0.5)
        place.set_ylim(0, top)
        place.set_xticks(numbers)
        place.legend(loc="upper left", ncols=2, fontsize=10.5, frameon=False)
    headline(
        figure,
        "What is not as predicted raises the activity",
        "mean square of the first layer's activities at each frame; low activity was asked for true motion",
    )
    return write(figure, path)


def _strip(place: Axes, frames: NDArray[np.float64], broken: int, title: str) -> None:
    """The frames side by side, each above its number on the axis below."""
    count = len(frames)
    for number, frame in enumerate(frames):
        inset = place.inset_axes((number / count + 0.02 / count, 0.0, 0.96 / count, 1.0))
        inset.imshow(frame, cmap="gray", vmin=0, vmax=1, aspect="auto")
        inset.set_xticks([])
        inset.set_yticks([])
        for spine in inset.spines.values():
            spine.set_color(NEGATIVE if number >= broken else "#BBBBBB")
            spine.set_linewidth(2.2 if number >= broken else 0.6)
    place.set_axis_off()
    place.set_title(title, fontsize=13, color=INK, weight="bold")


def _array(values: torch.Tensor | NDArray[Any]) -> NDArray[np.float64]:
    plain = values.detach().cpu().double().numpy() if isinstance(values, torch.Tensor) else values
    return np.asarray(plain, dtype=np.float64)
