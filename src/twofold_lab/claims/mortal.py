"""Weights that fit one piece of hardware cannot be copied to another, but their knowledge can be taught (talk 38:42).

Four devices of one design, each with its own mismatch, learn the same images (smoke: digits; full: MNIST, 3 x 500,
10,000 images; ``devices.py`` has the learners). Designs: gains of devices that differ by 5 % to 100 %, all else ideal;
and *own*, where thresholds, gains and exponents of neurons differ as well, so that each transfer function is another.

* transfer: the weights of each device are written into each. The *diagonal* are originals, the rest copies. Backprop
  with the chip in the loop has the same matrix.
* distillation, between devices with a mismatch of 50 % (``distill.py``): students learn from unlabeled images that no
  device has learned from, with the teacher's soft outputs, over the number of images; the same with 100 true labels;
  from 100 labels alone; and from the true labels of the same images. All have the same number of visits. The share
  recovered is (error with 100 labels alone - error of the student) / (error with 100 labels alone - error of the
  teacher).
* drift: two copies of a trained device drift for several epochs, in each by as much as during a run; one continues to
  learn, at a quarter of its rate, the other is frozen.

The claim was called refuted if copies of the design own err less than twice as often as originals, or students recover
less than half of the gap (smoke: nothing); the record keeps this verdict.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from twofold.errors import DataError
from twofold.substrate import Substrate, drift
from twofold.training.trainer import Trainer
from twofold_lab.claim import Claim, Finding, Headline, Record
from twofold_lab.devices import (
    CHIP,
    OURS,
    Device,
    deployed,
    error_of,
    images,
    mean_error,
    recipe_of,
    trained,
    tuned,
    updates,
)
from twofold_lab.distill import FEW, LABELS, STUDENTS, TEACHER, distillation
from twofold_lab.lab import Lab
from twofold_lab.tables import markdown, table
from twofold_lab.verdict import Clause, Estimate, Figures, Verdict, at_least, at_most, mean_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DEVICES = 4
DESIGNS = {
    **{f"{mismatch:g}": Substrate(mismatch=mismatch) for mismatch in (0.05, 0.1, 0.2, 0.5, 1.0)},
    "own": Substrate(mismatch=1.0, threshold=0.3, neuron_gain=0.5, exponent=0.3),
}
"""Designs by mismatch, and the design in which neurons differ as well."""
TAUGHT_ON = DESIGNS["0.5"]
DRIFTING = Substrate(mismatch=0.2, drift=0.3)
RATIO, IDEAL_ERROR = "copies / originals", "error %, without a device"

Matrix = Sequence[Sequence[float]]
"""Errors in percent: a row for each device that learned the weights, a column for each device they are written into."""


def _copies(matrix: Matrix) -> list[float]:
    """Return the mean error of the copies of each device's weights."""
    return [fmean(error for column, error in enumerate(row) if column != index) for index, row in enumerate(matrix)]


def _originals(matrix: Matrix) -> list[float]:
    return [row[index] for index, row in enumerate(matrix)]


def _learn(figures: Figures) -> Verdict:
    worst = max(mean_of(_originals(matrix)) for matrix in figures.measured["transfer"].values())
    ideal = figures.of(IDEAL_ERROR, seeds=figures.pick(smoke=2, full=3))
    return at_most(worst, ideal._replace(value=ideal.value + figures.pick(smoke=8.0, full=1.0)))


def _cannot_be_copied(figures: Figures) -> Verdict:
    designs, times = figures.measured["by design"], figures.pick(smoke=2.0, full=10.0)
    matrix = figures.measured["transfer"][max(designs, key=lambda name: designs[name][RATIO])]
    originals = mean_of(_originals(matrix))
    return at_least(mean_of(_copies(matrix)), Estimate(times * originals.value, times * originals.error))


def _can_be_taught(figures: Figures) -> Verdict:
    share, count = figures.pick(smoke=0.3, full=0.8), figures.pick(smoke=1, full=3)
    most = list(figures.measured["distillation"][STUDENTS]["no labels"])[-1]
    student = figures.of("distillation", STUDENTS, "no labels", most, seeds=count)
    few, teacher = figures.of("distillation", FEW, seeds=count), figures.of("distillation", TEACHER)
    limit = few.value - share * (few.value - teacher.value)
    return at_most(student, Estimate(limit, math.hypot((1 - share) * few.error, share * teacher.error)))


CLAIM = Claim(
    "mortal",
    time="38:42",
    says="Weights that fit one piece of hardware cannot be copied; what they know can be taught.",
    headline=Headline(
        "copies / originals, design own",
        "weights cannot be copied to other hardware; what they know can be distilled",
        ours=("by design", "own", RATIO),
        twin=("by design", "own", RATIO),
    ),
    clauses=(
        Clause(
            "every design learns",
            "in every design, the mean error of originals is at most 1 point (smoke: 8) above that without a device",
            _learn,
        ),
        Clause(
            "weights cannot be copied",
            "at some mismatch within the sweep, or in the design own, copies err at least 10 times (smoke: 2) as often "
            "as originals",
            _cannot_be_copied,
        ),
        Clause(
            "what they know can be taught",
            f"with the most images, students without labels recover at least 80 % (smoke: 30 %) of the gap between "
            f"{LABELS} labels alone and the teacher",
            _can_be_taught,
        ),
    ),
)


@CLAIM.measure
def mortal(lab: Lab) -> Finding:
    designs = lab.pick(smoke={name: DESIGNS[name] for name in ("0.2", "own")}, full=DESIGNS)
    learners = (OURS, CHIP)
    alone = {
        learner: mean_error(lab, [trained(lab, learner, Device(), seed) for seed in lab.seeds]) for learner in learners
    }
    matrices = {
        learner: {name: transfer(lab, learner, design) for name, design in designs.items()} for learner in learners
    }
    summaries = {
        learner: {name: summary(matrix) for name, matrix in designs.items()} for learner, designs in matrices.items()
    }
    ours, taught = summaries[OURS], distillation(lab, TAUGHT_ON)
    near, times, share, least = lab.pick(smoke=(8.0, 2.0, 0.3, 0.0), full=(1.0, 10.0, 0.8, 0.5))
    originals = max(design["originals"] for design in ours.values()) - alone[OURS]["mean"]
    ratio = max(design[RATIO] for design in ours.values())
    recovered = list(taught["share recovered"]["no labels"].values())[-1]
    verdict = "undecided"
    if ours["own"][RATIO] < 2 or recovered < least:
        verdict = "refuted"
    elif originals <= near and ratio >= times and recovered >= share:
        verdict = "holds"
    sides = {
        learner: {
            IDEAL_ERROR: alone[learner],
            "by design": summaries[learner],
            "mismatch at which copies err ten times as often": crossing(summaries[learner]),
            "transfer": matrices[learner],
        }
        for learner in learners
    }
    measured = {
        "verdict": verdict,
        "points of originals above ideal, at most": round(originals, 3),
        "distillation": taught,
        "drift": drifting(lab),
    }
    return Finding({**sides[OURS], **measured}, sides[CHIP], list(range(DEVICES)))


# ---- copying -------------------------------------------------------------------------------------------------------


def transfer(lab: Lab, learner: str, design: Substrate) -> Matrix:
    """Return the errors of every device's weights in every device."""
    devices = [Device(design, seed) for seed in range(DEVICES)]
    nets = [trained(lab, learner, device, device.seed, TAUGHT_ON) for device in devices]
    return [
        [error_of(net if source == target else deployed(net, lab, learner, target), images(lab)) for target in devices]
        for net, source in zip(nets, devices, strict=True)
    ]


def summary(matrix: Matrix) -> dict[str, float]:
    """Return the mean errors of originals and of copies, and their ratio."""
    originals = fmean(_originals(matrix))
    copies = fmean(error for index, row in enumerate(matrix) for column, error in enumerate(row) if column != index)
    ratio = round(copies / max(originals, 1e-3), 2)
    return {"originals": round(originals, 3), "copies": round(copies, 3), RATIO: ratio}


def crossing(designs: Mapping[str, Mapping[str, float]], times: float = 10.0) -> float | str:
    """Return the mismatch at which copies err ``times`` as often as originals, or state in words that it is outside.

    It is interpolated between neighboring designs, linearly in the logarithms of both.
    """
    points = [(float(name), design[RATIO]) for name, design in designs.items() if name != "own"]
    for (low, before), (high, after) in itertools.pairwise(points):
        if before < times <= after:
            share = math.log(times / before) / math.log(after / before)
            return round(math.exp(math.log(low) + share * math.log(high / low)), 3)
    if points[0][1] >= times:
        return f"below {points[0][0]:g}"
    return "in the design own" if designs["own"][RATIO] >= times else "not within the sweep"


# ---- drift ---------------------------------------------------------------------------------------------------------


def drifting(lab: Lab) -> dict[str, list[float]]:
    """Return the errors of a trained device after each epoch of drift: while it learns, and frozen."""
    epochs, dataset = lab.pick(smoke=2, full=5), images(lab)
    learning = copy.deepcopy(trained(lab, OURS, Device(DRIFTING, 0), 0, TAUGHT_ON))
    frozen = copy.deepcopy(learning)
    recipe = tuned(lab, OURS, TAUGHT_ON, 1)
    recipe = replace(recipe, rate=recipe.rate / 4, epochs=2 * epochs)  # the first half has the full rate
    run, steps = updates(recipe_of(lab, OURS), dataset), updates(replace(recipe, epochs=1), dataset)
    trainer = Trainer(learning, recipe, dataset.train)
    errors = {"learning": [error_of(learning, dataset)], "frozen": [error_of(frozen, dataset)]}
    for number in range(epochs):
        trainer.epoch(number)
        drift(learning, run - steps)  # its own updates have made it drift as well
        drift(frozen, run)
        errors["learning"].append(error_of(learning, dataset))
        errors["frozen"].append(error_of(frozen, dataset))
    return errors


# ---- tables and picture --------------------------------------------------------------------------------------------


@table("mortal", "claims/mortal.json")
def by_design(record: Record) -> str:
    """Tabulate originals and copies by design, of both learners."""
    sides, columns = [record[side]["by design"] for side in ("measured", "twin")], ("originals", "copies", RATIO)
    rows = [[name, *(f"{side[name][column]:.2f}" for side in sides for column in columns)] for name in sides[0]]
    heads = [f"{learner}: {column}" for learner in ("Forward-Forward", CHIP) for column in columns]
    return markdown(["mismatch", *heads], rows)


@table("students", "claims/mortal.json")
def students(record: Record) -> str:
    """Tabulate the errors of students, and the share of the gap that they recover, by the number of images."""
    taught = record["measured"]["distillation"]
    rows = [
        [labels, count, _spread(error), f"{100 * taught['share recovered'][labels][count]:.0f} %"]
        for labels, errors in taught[STUDENTS].items()
        for count, error in errors.items()
    ]
    rows.append([FEW.removeprefix("error % with "), "-", _spread(taught[FEW]), "0 %"])
    rows.append(["the teacher", "-", f"{taught[TEACHER]:.2f}", "100 %"])
    return markdown(["labels of the student", "images", "error, %", "of the gap"], rows)


def _spread(value: Mapping[str, float]) -> str:
    return f"{value['mean']:.2f} ± {value['std']:.2f}"


@CLAIM.draw
def draw_mortal(record: Record, path: Path, lab: Lab) -> Path:
    """Draw the transfer matrices, copies against originals by design, students, and drift."""
    ours, twin = record["measured"], record["twin"]
    transfer, designs = ({OURS: ours[name], CHIP: twin[name]} for name in ("transfer", "by design"))
    return draw_mortality(transfer, designs, ours["distillation"], ours["drift"], path)


def draw_mortality(
    transfer: Mapping[str, Mapping[str, Matrix]],
    designs: Mapping[str, Mapping[str, Mapping[str, float]]],
    distillation: Mapping[str, Any],
    drift: Mapping[str, Sequence[float]],
    path: Path,
) -> Path:
    """Draw the errors of copies, students and devices that drift.

    Args:
        transfer: learner -> design -> matrix; those of the last design are drawn.
        designs: learner -> design -> errors of originals and of copies.
        distillation: errors of the teacher, of 100 labels alone, and of students by the number of images.
        drift: errors after each epoch, of a device that learns and of one that is frozen.
        path: the PNG to write.

    Raises:
        DataError: a matrix is not square, or the learners differ.
    """
    import numpy as np

    from twofold.plots.canvas import label_axes, legend, scale_axis, subplots, suptitle, write
    from twofold.plots.colors import NEGATIVE, POSITIVE

    for by_name in transfer.values():
        for name, matrix in by_name.items():
            if any(len(row) != len(matrix) for row in matrix):
                raise DataError(f"the transfer matrix of the design {name} is not square")
    if list(transfer) != list(designs):
        raise DataError(f"matrices are of {', '.join(transfer)} and designs of {', '.join(designs)}, expected the same")
    figure, axes = subplots(2, 3, 4.6, 4.2)
    for ax, (learner, by_name) in zip(axes[0], transfer.items(), strict=False):
        name = list(by_name)[-1]
        _draw_matrix(ax, by_name[name], f"{learner}, design {name}")
    _draw_designs(axes[0][2], designs)
    _draw_students(axes[1][0], distillation)
    label_axes(axes[1][1], "A device that drifts", "runs' worth of drift", "% of test images")
    for (name, errors), color in zip(drift.items(), (POSITIVE, NEGATIVE), strict=True):
        axes[1][1].plot(range(len(errors)), errors, "o-", ms=4.5, lw=1.8, color=color, label=name)
    scale_axis(axes[1][1], np.concatenate([np.array(errors) for errors in drift.values()]))
    legend(axes[1][1], 2)
    suptitle(
        figure,
        "Mortal computation: weights written into another device, and what students keep",
        "matrices: error in % of the weights of each device (row) in each device (column)",
    )
    return write(figure, path)


def _draw_matrix(ax: Axes, matrix: Matrix, title: str) -> None:
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    from twofold.plots.canvas import label_axes
    from twofold.plots.colors import INK, POSITIVE

    heat = LinearSegmentedColormap.from_list("errors", ["#FFFFFF", "#8DC3E8", POSITIVE, "#002B45"])
    label_axes(ax, title, "written into device", "learned on device")
    ax.grid(visible=False)
    ax.imshow(np.array(matrix).clip(min=0.5), cmap=heat, norm=LogNorm(1, 100, clip=True))
    for (row, column), error in np.ndenumerate(np.array(matrix)):
        color = "white" if error > 12 else INK
        ax.text(column, row, f"{error:.1f}", ha="center", va="center", color=color, fontsize=11)
    numbers = range(len(matrix))
    ax.set_xticks(numbers, [str(number) for number in numbers])
    ax.set_yticks(numbers, [str(number) for number in numbers])


def _draw_designs(ax: Axes, designs: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    import numpy as np

    from twofold.plots.canvas import label_axes, legend, scale_axis
    from twofold.plots.colors import POSITIVE, TWIN

    label_axes(ax, "Originals and copies", "mismatch of gains", "% of test images")
    drawn = []
    for (learner, by_name), color in zip(designs.items(), (POSITIVE, TWIN), strict=True):
        for side, style in (("copies", "o-"), ("originals", "o:")):
            errors = [design[side] for design in by_name.values()]
            ax.plot(range(len(by_name)), errors, style, ms=4.5, lw=1.8, color=color, label=f"{learner}, {side}")
            drawn += errors
        ax.set_xticks(range(len(by_name)), list(by_name))
    scale_axis(ax, np.array(drawn))
    legend(ax, 1)


def _draw_students(ax: Axes, distillation: Mapping[str, Any]) -> None:
    import numpy as np

    from twofold.plots.canvas import label_axes, legend, scale_axis
    from twofold.plots.colors import INK, POSITIVE, TESTS, TWIN

    label_axes(ax, "Students on other devices", "unlabeled images", "% of test images")
    levels = [(distillation[FEW]["mean"], "--", f"{LABELS} labels alone"), (distillation[TEACHER], ":", "teacher")]
    drawn, counts = [level for level, _, _ in levels], list[str]()
    for (name, errors), color in zip(distillation[STUDENTS].items(), (POSITIVE, TESTS[0], TWIN), strict=True):
        counts, means = list(errors), [error["mean"] for error in errors.values()]
        ax.plot([int(count) for count in counts], means, "o-", ms=4.5, lw=1.8, color=color, label=name)
        drawn += means
    for level, style, name in levels:
        ax.axhline(level, color=INK, lw=1.2, ls=style, label=name)
    ax.set_xscale("log")
    ax.set_xticks([int(count) for count in counts], counts)
    ax.minorticks_off()
    scale_axis(ax, np.array(drawn))
    legend(ax, 2)
