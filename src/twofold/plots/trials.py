"""The picture of a study: the error of every trial against each field that was tuned, ours and the twin's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from twofold.errors import DataError
from twofold.plots.canvas import label_axes, scale_axis, subplots, suptitle, write
from twofold.plots.colors import INK, NEGATIVE, POSITIVE, TWIN


def trials(record: Mapping[str, Any], path: Path) -> Path:
    """Draw the trials of a study, a row for each side and a panel for each field.

    Values stand in their order, at equal distances, errors on the same axis in all panels. Each trial is a dot, and a
    line joins the least error at each value. A ring is around what was chosen, a square around the recipe as it stands.
    Trials that diverged lie on top, as crosses.

    Args:
        record: of a study, with ``sides``.
        path: the PNG to write.

    Raises:
        DataError: there is no trial.
    """
    sides = record["sides"]
    found = np.array([100 * each["error"] for side in sides for each in side["trials"] if each["error"] is not None])
    if not found.size:
        raise DataError("no trial to draw: all of them diverged")
    columns = max(len(side["values"]) for side in sides)
    figure, grid = subplots(len(sides), columns, 3.4, 3.1, 0.1)
    for row, (side, color) in enumerate(zip(sides, (POSITIVE, TWIN), strict=False)):
        for column, field in enumerate(side["values"]):
            ax = grid[row][column]
            test = next(iter(side["chosen"]["errors"]))
            label_axes(ax, side["recipe"], field.replace("_", " "), f"{test} test, error (%)" if column == 0 else "")
            scale_axis(ax, found)
            _panel(ax, side, field, color)
    held = record["held_out"]
    suptitle(
        figure,
        f"{record['recipe']} and what else was tuned with it: {len(found)} trials",
        f"error on {held} held-out training images; line: the least error at each value; ring: chosen; "
        "square: the recipe as it stands; cross: diverged",
    )
    return write(figure, path)


def _panel(ax: Axes, side: Mapping[str, Any], field: str, color: str) -> None:
    """Draw the trials of a side against one field."""
    tried = [each["settings"][field] for each in side["trials"]]
    values = sorted(set(tried)) if not any(isinstance(each, str) for each in tried) else list(dict.fromkeys(tried))
    places = {value: place for place, value in enumerate(values)}
    ax.xaxis.set_major_locator(FixedLocator(list(places.values())))
    ax.xaxis.set_major_formatter(
        FixedFormatter([f"{each:g}" if isinstance(each, float) else str(each) for each in values])
    )
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(-0.5, len(values) - 0.5)
    top = ax.get_ylim()[1]
    for each in side["trials"]:
        place = places[each["settings"][field]]
        if each["error"] is None:
            ax.plot(place, top, "x", color=NEGATIVE, ms=7, mew=1.8, clip_on=False)
            continue
        error = 100 * each["error"]
        ax.plot(place, error, "o", color=color, ms=4.5, alpha=0.6, mew=0)
        if each["settings"] == side["chosen"]["settings"]:
            ax.plot(place, error, "o", mfc="none", mec=INK, ms=10, mew=1.6)
        if each["settings"] == side["stands"]:
            ax.plot(place, error, "s", mfc="none", mec=INK, ms=8, mew=1)
    least = {
        place: min(errors)
        for value, place in places.items()
        if (
            errors := [
                100 * each["error"]
                for each in side["trials"]
                if each["settings"][field] == value and each["error"] is not None
            ]
        )
    }
    ax.plot(list(least), list(least.values()), "-", color=color, lw=1.5)
