"""The picture of mortal computation: transfer matrices, copies by design of the device, students, and drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm

from twofold.errors import DataError
from twofold.plots.canvas import label_axes, legend, scale_axis, subplots, suptitle, write
from twofold.plots.colors import INK, NEGATIVE, POSITIVE, TESTS, TWIN

HEAT = LinearSegmentedColormap.from_list("errors", ["#FFFFFF", "#8DC3E8", POSITIVE, "#002B45"])
COLORS = (POSITIVE, TWIN)

Matrices = Mapping[str, Mapping[str, Sequence[Sequence[float]]]]
"""Learner -> design -> errors in percent of each device's weights in each device."""


def mortality(
    transfer: Matrices,
    designs: Mapping[str, Mapping[str, Mapping[str, float]]],
    distillation: Mapping[str, Any],
    drift: Mapping[str, Sequence[float]],
    path: Path,
) -> Path:
    """Draw what copies lose and what students keep.

    Args:
        transfer: the matrices; those of the last design are drawn.
        designs: learner -> design -> errors of originals and of copies.
        distillation: errors of the teacher, of 100 labels alone, and of students by the number of images.
        drift: errors after each epoch, of a device that goes on learning and of one that is frozen.
        path: the PNG to write.

    Raises:
        DataError: a matrix is not square, or the learners differ.
    """
    for each in transfer.values():
        for name, matrix in each.items():
            if any(len(row) != len(matrix) for row in matrix):
                raise DataError(f"the transfer matrix of the design {name} is not square")
    if list(transfer) != list(designs):
        raise DataError(f"matrices are of {', '.join(transfer)} and designs of {', '.join(designs)}, expected the same")
    figure, axes = subplots(2, 3, 4.6, 4.2)
    for ax, (learner, each) in zip(axes[0], transfer.items(), strict=False):
        name = list(each)[-1]
        _matrix(ax, np.array(each[name]), f"{learner}, design {name}")
    _designs(axes[0][2], designs)
    _students(axes[1][0], distillation)
    label_axes(axes[1][1], "A device that drifts", "runs' worth of drift", "% of test images")
    for (kind, errors), color in zip(drift.items(), (POSITIVE, NEGATIVE), strict=True):
        axes[1][1].plot(range(len(errors)), errors, "o-", ms=4.5, lw=1.8, color=color, label=kind)
    scale_axis(axes[1][1], np.concatenate([np.array(errors) for errors in drift.values()]))
    legend(axes[1][1], 2)
    suptitle(
        figure,
        "Mortal computation: weights written into another device, and what students keep",
        "matrices: error in % of the weights of each device (row) in each device (column)",
    )
    return write(figure, path)


def _matrix(ax: Axes, errors: np.ndarray[Any, np.dtype[np.float64]], title: str) -> None:
    label_axes(ax, title, "written into device", "learned on device")
    ax.grid(visible=False)
    shown = errors.clip(min=0.5)
    ax.imshow(shown, cmap=HEAT, norm=LogNorm(1, 100, clip=True))
    for (row, column), error in np.ndenumerate(errors):
        ax.text(
            column, row, f"{error:.1f}", ha="center", va="center", color="white" if error > 12 else INK, fontsize=11
        )
    ax.set_xticks(range(len(errors)), [str(number) for number in range(len(errors))])
    ax.set_yticks(range(len(errors)), [str(number) for number in range(len(errors))])


def _designs(ax: Axes, designs: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    label_axes(ax, "Originals and copies", "mismatch of gains", "% of test images")
    values = []
    for (learner, each), color in zip(designs.items(), COLORS, strict=True):
        for kind, style in (("copies", "o-"), ("originals", "o:")):
            errors = [one[kind] for one in each.values()]
            ax.plot(range(len(each)), errors, style, ms=4.5, lw=1.8, color=color, label=f"{learner}, {kind}")
            values += errors
        ax.set_xticks(range(len(each)), list(each))
    scale_axis(ax, np.array(values))
    legend(ax, 1)


def _students(ax: Axes, found: Mapping[str, Any]) -> None:
    label_axes(ax, "Students on other devices", "unlabeled images", "% of test images")
    errors = found["error % of students, by images"]
    values = []
    for (kind, each), color in zip(errors.items(), (POSITIVE, TESTS[0], TWIN), strict=True):
        means = [one["mean"] for one in each.values()]
        ax.plot([int(count) for count in each], means, "o-", ms=4.5, lw=1.8, color=color, label=kind)
        values += means
    few = next(each["mean"] for name, each in found.items() if name.endswith("labels alone"))
    for level, style, name in ((few, "--", "100 labels alone"), (found["error % of the teacher"], ":", "teacher")):
        ax.axhline(level, color=INK, lw=1.2, ls=style, label=name)
        values.append(level)
    ax.set_xscale("log")
    ax.set_xticks([int(count) for count in each], list(each))
    ax.minorticks_off()
    scale_axis(ax, np.array(values))
    legend(ax, 2)
