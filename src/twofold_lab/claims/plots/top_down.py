"""Pictures of how an ambiguous letter is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from twofold.errors import DataError
from twofold.plots.canvas import label_axes, legend, subplots, suptitle, write
from twofold.plots.colors import INK, NEGATIVE, POSITIVE, TWIN


def in_context(
    shown: Sequence[torch.Tensor],
    readings: Mapping[str, NDArray[Any]],
    texts: Sequence[str],
    answers: Sequence[str],
    path: Path,
) -> Path:
    """Draw how context decides what a shape is read as (talk 17:56).

    Left: the renderings in the two contexts, side by side, with the same shapes. Middle: the share of renderings that
    are read as each context suggests, at each iteration, in full color for the first net and pale for the others.
    Right: the first net's read-out of each rendering, before settling and after.

    Args:
        shown: for each of two contexts, images ``(renderings, 1, height, width)``.
        readings: net -> its read-out, ``(contexts, iterations from 0, renderings)``; values above 0 are the first
            context's answer, values below 0 the second's.
        texts: names of the contexts.
        answers: the letter that each context suggests.
        path: the PNG to write.

    Raises:
        DataError: there are not two contexts everywhere, or nothing to draw.
    """
    fit = len(shown) == len(texts) == len(answers) == 2 and readings
    if not fit or any(each.ndim != 3 or len(each) != 2 or not each.size for each in readings.values()):
        shapes = [each.shape for each in readings.values()]
        raise DataError(
            f"{len(shown)} contexts and readings of shape {shapes}: expected two contexts, and for each net "
            "(2, iterations, renderings)"
        )
    figure, [[left, middle, right]] = subplots(1, 3, 4.9, 4.1, 0.12)
    left.set_visible(True)
    columns = [np.concatenate([image[0].numpy() for image in each[:6]], 0) for each in shown]
    left.imshow(
        np.concatenate([columns[0], np.ones((len(columns[0]), 3)), columns[1]], 1), cmap="gray_r", vmin=0, vmax=1
    )
    left.set_title(f"Shown: {texts[0]} and {texts[1]}, the same shapes", fontsize=13, color=INK)
    left.set_axis_off()

    colors = (POSITIVE, NEGATIVE)
    for number, (net, reading) in enumerate(readings.items()):
        right_way = 100 * np.stack([(reading[0] > 0).mean(-1), (reading[1] <= 0).mean(-1)])
        for context in range(2):
            middle.plot(
                np.arange(right_way.shape[1]),
                right_way[context],
                color=colors[context],
                marker="o",
                ms=4,
                lw=2 if not number else 1.2,
                alpha=1 if not number else 0.4,
                ls="-" if not number else "--",
                label=f"{answers[context]} in {texts[context]}" + (f", {net}" if number else ""),
            )
    middle.axhspan(35, 65, color="#EEEEEE", zorder=0, label="it does not know")
    middle.axhline(90, color=TWIN, lw=1, ls=":", label="90 %")
    label_axes(middle, "Read from the middle letter's units", "iteration", "% of renderings")
    middle.set_ylim(0, 103)
    middle.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(middle, 2)

    first = next(iter(readings.values()))
    bins = np.linspace(first.min(), first.max(), 41).tolist()
    for context in range(2):
        right.hist(
            first[context, 0], bins, color=colors[context], histtype="step", ls="--", label=f"{texts[context]} before"
        )
        right.hist(first[context, -1], bins, color=colors[context], alpha=0.6, label=f"{texts[context]} settled")
    right.axvline(0, color=INK, lw=1)
    label_axes(
        right, "The two readings of the shape", f"read-out: {answers[1]} below 0, {answers[0]} above", "renderings"
    )
    legend(right, 2)
    suptitle(
        figure,
        "Context decides what the shape in the middle is",
        "the units see only the middle letter; its neighbors reach them as top-down input. The read-out was fitted on "
        "other words, before settling",
    )
    return write(figure, path)
