"""Plot of a tuning study: the error of all trials of a recipe and of its twin against each tuned field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes

from twofold.plots.canvas import label_axes, subplots, suptitle, write
from twofold.plots.colors import INK, NEGATIVE, POSITIVE, TWIN

SEEN = 2.5
"""Upper end of the error axis, as a multiple of the largest error of the chosen settings."""


def trials(record: Mapping[str, Any], path: Path) -> Path:
    """Plot the trials of a tuning study: a row for the recipe, a row for its twin, a panel for each tuned field.

    The values of a field are sorted and equally spaced. All panels have the same error axis. Each trial is a dot. A
    line connects the lowest error of each value. A ring marks the mean error of the chosen settings, a square the mean
    error of the settings in the recipe. Trials with an error beyond the axis are triangles at the top of the axis,
    diverged trials are crosses.

    Args:
        record: Record of a study, as returned by `twofold.tuning.record.described`.
        path: Path of the PNG to write.

    Returns:
        The path of the PNG.
    """
    sides = record["sides"]
    columns = max(len(side["values"]) for side in sides)
    errors = [error for side in sides for error in _errors(side["trials"])]
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
        f"Trials of {' and '.join(side['recipe'] for side in sides)}",
        f"error on {record['held_out']} held-out training images of {record['dataset']}; line: lowest error at each "
        "value; ring: chosen settings, square: settings of the recipe, means over seeds; triangle: above the axis; "
        "cross: diverged",
    )
    return write(figure, path)


def _panel(ax: Axes, side: Mapping[str, Any], field: str, color: str) -> None:
    """Plot the trials of one recipe (an entry of ``sides`` in the record) against one field."""
    tried = dict.fromkeys(trial["settings"][field] for trial in side["trials"])
    values = list(tried) if any(isinstance(value, str) for value in tried) else sorted(tried)
    ax.set_xticks(range(len(values)), [f"{value:g}" if isinstance(value, float) else str(value) for value in values])
    ax.set_xlim(-0.5, len(values) - 0.5)
    top = ax.get_ylim()[1]
    lowest: dict[int, float] = {}
    for position, value in enumerate(values):
        group = [trial for trial in side["trials"] if trial["settings"][field] == value]
        errors = _errors(group)
        above = [error for error in errors if error > top]
        ax.plot([position] * len(errors), errors, "o", color=color, ms=4.5, alpha=0.55, mew=0)
        for _ in above:
            ax.plot(position, top, "^", color=color, ms=7, alpha=0.55, mew=0, clip_on=False)
        if len(errors) < len(group):
            ax.plot(position, top, "x", color=NEGATIVE, ms=7, mew=1.8, clip_on=False)
        if errors and min(errors) <= top:
            lowest[position] = min(errors)
    ax.plot(list(lowest), list(lowest.values()), "-", color=color, lw=1.5)
    for settings, mark, size in ((side["chosen"]["settings"], "o", 10), (side["stands"], "s", 14)):
        errors = _errors([trial for trial in side["trials"] if trial["settings"] == settings])
        if errors:
            ax.plot(values.index(settings[field]), fmean(errors), mark, mfc="none", mec=INK, ms=size, mew=1.4)


def _errors(trials: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the errors of the trials that did not diverge, in percent."""
    return [100 * trial["error"] for trial in trials if trial["error"] is not None]
