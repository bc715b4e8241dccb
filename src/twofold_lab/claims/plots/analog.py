"""The picture of learning on analog devices: error against mismatch, and recovery after a jump of the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twofold.errors import DataError
from twofold.plots.canvas import label_axes, legend, scale_axis, subplots, suptitle, write
from twofold.plots.colors import INK, NEGATIVE, POSITIVE, TESTS, TWIN

Errors = Mapping[str, Mapping[str, float]]
"""Learner -> mean and standard deviation in percent."""

LEARNERS = (
    ("o-", POSITIVE),
    ("s-", INK),
    ("^-", NEGATIVE),
    ("v:", TESTS[0]),
    ("D:", TESTS[1]),
    ("o:", TESTS[2]),
    ("s:", TWIN),
)


def devices(
    sweep: Mapping[str, Errors],
    alone: Mapping[str, float],
    recovery: Mapping[str, Mapping[str, Mapping[str, Any]]],
    path: Path,
) -> Path:
    """Draw errors of all learners by mismatch (left), and errors after each jump by batches of learning (right).

    Args:
        sweep: mismatch -> the errors of each learner; at least one mismatch.
        alone: errors without a device, by learner.
        recovery: learner -> jump -> ``before``, ``after`` and ``batches``.
        path: the PNG to write.

    Raises:
        DataError: there is no mismatch, or the learners are not the same at each.
    """
    names: Sequence[str] = list(next(iter(sweep.values()), {}))
    if not names or any(list(each) != names for each in sweep.values()):
        raise DataError(
            "a picture of devices needs the errors of the same learners for each mismatch, and at least one"
        )
    figure, [axes] = subplots(1, 2, 6.0, 4.6, 0.15)
    label_axes(axes[0], "Error", "mismatch of gains, %", "% of test images")
    mismatches = [100 * float(mismatch) for mismatch in sweep]
    for name, (style, color) in zip(names, LEARNERS, strict=False):
        means = [each[name]["mean"] for each in sweep.values()]
        spread = [each[name]["std"] for each in sweep.values()]
        axes[0].errorbar(mismatches, means, spread, fmt=style, ms=4.5, lw=1.7, color=color, label=name)
    for (name, error), color in zip(alone.items(), (POSITIVE, TWIN), strict=True):
        axes[0].axhline(error, color=color, lw=1, ls="--", label=f"{name}, no device")
    axes[0].set_xscale("symlog", linthresh=5)
    axes[0].set_xlim(-1, 1.3 * max(mismatches))
    axes[0].set_xticks(mismatches, [f"{mismatch:g}" for mismatch in mismatches])
    scale_axis(axes[0], np.array([each[name]["mean"] for each in sweep.values() for name in names]))
    legend(axes[0], 2)
    label_axes(axes[1], "After a jump of the device", "batches of learning", "% of test images")
    shown = []
    for (learner, jumps), color in zip(recovery.items(), (POSITIVE, TWIN), strict=True):
        for (jump, found), style in zip(jumps.items(), ("o-", "s--"), strict=True):
            axes[1].plot(
                found["batches"], found["after"], style, ms=4.5, lw=1.7, color=color, label=f"{learner}, {jump}"
            )
            axes[1].plot(found["batches"], [found["before"]] * len(found["batches"]), ":", lw=1, color=color)
            shown += [*found["after"], found["before"]]
    axes[1].set_xscale("symlog", linthresh=1)
    scale_axis(axes[1], np.array(shown))
    legend(axes[1], 1)
    suptitle(
        figure,
        "Learning on analog devices: mismatch, read noise, spread thresholds, drift, 6-bit pulses",
        "left: bars are standard deviations over devices. Right: dotted, the error before the jump",
    )
    return write(figure, path)
