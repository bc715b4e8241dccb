"""The picture of a study: the error of every trial against each field that was tuned, ours and the twin's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes

from twofold.plots.canvas import label_axes, subplots, suptitle, write
from twofold.plots.colors import INK, NEGATIVE, POSITIVE, TWIN

SEEN = 2.5
"""The error axis ends at so many times the error of what was chosen; what lies beyond is not worth its place."""


def trials(record: Mapping[str, Any], path: Path) -> Path:
    """Draw the trials of a study, a row for each side and a panel for each field.

    Values stand in their order, at equal distances, errors on the same axis in all panels. Each trial is a dot, and a
    line joins the least error at each value. A ring is around the mean of what was chosen, a square around that of the
    recipe as it stands. Trials beyond the axis are triangles at its top, and those that diverged crosses.

    Args:
        record: of a study, with ``sides`` as `twofold.tuning.record.described` makes them.
        path: the PNG to write.
    """
    sides = record["sides"]
    columns = max(len(side["values"]) for side in sides)
    errors = [100 * each["error"] for side in sides for each in side["trials"] if each["error"] is not None]
    top = max(SEEN * max(100 * side["chosen"]["error"] for side in sides), 0.1)
    figure, grid = subplots(len(sides), columns, 3.4, 3.1, 0.1)
    for row, (side, color) in enumerate(zip(sides, (POSITIVE, TWIN), strict=False)):
        for column, field in enumerate(side["values"]):
            ax = grid[row][column]
            test = next(iter(side["chosen"]["errors"]))
            label_axes(ax, side["recipe"], field.replace("_", " "), f"{test} test, error (%)" if column == 0 else "")
            ax.set_ylim(min(0.9 * min(errors), 0.8 * top), top)
            _panel(ax, side, field, color)
    suptitle(
        figure,
        f"What was tried of {' and '.join(side['recipe'] for side in sides)}",
        f"error on {record['held_out']} held-out training images of {record['dataset']}; line: the least at each "
        "value; ring: chosen, square: the recipe as it stands, means over their seeds; triangle: beyond the axis; "
        "cross: diverged",
    )
    return write(figure, path)


def _panel(ax: Axes, side: Mapping[str, Any], field: str, color: str) -> None:
    """Draw the trials of a side against one field."""
    tried = dict.fromkeys(each["settings"][field] for each in side["trials"])
    values = list(tried) if any(isinstance(each, str) for each in tried) else sorted(tried)
    ax.set_xticks(range(len(values)), [f"{each:g}" if isinstance(each, float) else str(each) for each in values])
    ax.set_xlim(-0.5, len(values) - 0.5)
    top = ax.get_ylim()[1]
    least: dict[int, float] = {}
    for place, value in enumerate(values):
        here = [each for each in side["trials"] if each["settings"][field] == value]
        found = _errors(here)
        beyond = [error for error in found if error > top]
        ax.plot([place] * len(found), found, "o", color=color, ms=4.5, alpha=0.55, mew=0)
        for _ in beyond:
            ax.plot(place, top, "^", color=color, ms=7, alpha=0.55, mew=0, clip_on=False)
        if len(found) < len(here):
            ax.plot(place, top, "x", color=NEGATIVE, ms=7, mew=1.8, clip_on=False)
        if found and min(found) <= top:
            least[place] = min(found)
    ax.plot(list(least), list(least.values()), "-", color=color, lw=1.5)
    for settings, mark, size in ((side["chosen"]["settings"], "o", 10), (side["stands"], "s", 14)):
        found = _errors([each for each in side["trials"] if each["settings"] == settings])
        if found:
            ax.plot(values.index(settings[field]), fmean(found), mark, mfc="none", mec=INK, ms=size, mew=1.4)


def _errors(trials: Sequence[Mapping[str, Any]]) -> list[float]:
    """The errors in percent of the trials that did not diverge."""
    return [100 * each["error"] for each in trials if each["error"] is not None]
