"""The picture of noise that cancels: cosine of the update to the noise-free one and error, against the noise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from twofold.errors import DataError
from twofold.plots.canvas import label_axes, legend, scale_axis, subplots, suptitle, write
from twofold.plots.colors import NEGATIVE, POSITIVE, TESTS, TWIN

STYLES = {"shared": "o-", "anew": "s:", "one pass": "^--"}


def noises(cosines: Mapping[str, Any], errors: Mapping[str, Any], path: Path) -> Path:
    """Draw cosine (left) and error (right) of every learner, noise shared by all passes or drawn anew for each.

    Args:
        cosines: learner -> side -> noise -> cosine of the update to the noise-free one; the twin last.
        errors: learner -> side -> noise -> the errors of its tests, and without noise.
        path: the PNG to write.

    Raises:
        DataError: the learners differ.
    """
    if list(cosines) != list(errors):
        raise DataError(f"cosines are of {', '.join(cosines)} and errors of {', '.join(errors)}, expected the same")
    figure, [axes] = subplots(1, 2, 5.2, 4.4)
    label_axes(axes[0], "Update", "noise relative to total inputs", "cosine to the noise-free update")
    label_axes(axes[1], "Error", "noise relative to total inputs", "% of test images, fast test")
    colors = (POSITIVE, TESTS[0], NEGATIVE, TESTS[1])
    drawn = []
    for (learner, found), color in zip(cosines.items(), (*colors[: len(cosines) - 1], TWIN), strict=True):
        none = errors[learner]["no noise"]["fast"]["mean"]
        for side, values in found.items():
            _line(axes[0], {"0": 1.0, **values}, STYLES[side], color, f"{learner}, {side}")
            each = {"0": none, **{noise: one["fast"]["mean"] for noise, one in errors[learner][side].items()}}
            _line(axes[1], each, STYLES[side], color, None)
            drawn += list(each.values())
    axes[0].axhline(0, color="#BBBBBB", lw=0.8)
    scale_axis(axes[1], np.array(drawn))
    legend(axes[0], 2)
    suptitle(
        figure,
        "Noise on total inputs: shared by the passes over a case, or drawn anew for each",
        "left: after training without noise; right: trained and tested with it. Backprop has one pass",
    )
    return write(figure, path)


def _line(ax: Axes, values: Mapping[str, float], style: str, color: str, label: str | None) -> None:
    ax.plot([float(noise) for noise in values], list(values.values()), style, ms=4.5, lw=1.8, color=color, label=label)
