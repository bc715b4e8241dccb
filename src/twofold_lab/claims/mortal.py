"""Weights that fit one piece of hardware cannot be copied to another, but their knowledge can be taught (talk 38:42).

Four devices of one design, each with another random mismatch of gains, learn the same images (smoke: digits; full:
MNIST, 3 x 500, 10,000 images; the learning rules are in ``devices.py``). In most designs, the gains of devices differ
by 5 % to 100 %, and all else is ideal. In the design *own*, thresholds, gains and exponents of neurons differ as well,
so that each neuron has another transfer function.

* Transfer: the weights of each device are written into every device, and a matrix has the errors that result. The
  *diagonal* of the matrix has the originals (weights in the device that learned them); the other entries are copies.
  The same matrix is measured for backprop with the chip in the loop.
* Distillation, between devices with a mismatch of 50 % (``distill.py``): students learn the soft outputs of a teacher
  for several numbers of unlabeled images that no device has learned from. Some students also learn from 100 images with
  true labels. For comparison, other students learn from 100 labeled images alone, or learn from the true labels of the
  same images as the first students. All students see the same number of images in training, repetitions included. The
  share recovered is (error with 100 labels alone - error of the student) / (error with 100 labels alone - error of the
  teacher).
* Drift: two copies of a trained device drift for several epochs, in every epoch by as much as during a complete
  training. One copy continues to learn, at a quarter of the learning rate; the weights of the other are changed by
  drift only.

Besides the verdict of each rule, the record has a verdict on the claim as a whole. It is ``refuted`` if the error of
copies in the design *own* is less than twice that of the originals, or if the share recovered by students is less than
a half (smoke: 0).
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from twofold.substrate import Substrate, drift
from twofold.training.trainer import Trainer
from twofold_lab import devices
from twofold_lab.claim import Claim, Finding, Headline, Record
from twofold_lab.devices import CHIP, OURS, Device, error_of, images, mean_error, trained
from twofold_lab.distill import FEW, LABELS, STUDENTS, TEACHER, distillation
from twofold_lab.lab import Lab
from twofold_lab.tables import markdown, spread, table
from twofold_lab.verdict import Estimate, Figures, Verdict, at_least, at_most, mean_of

DEVICES = 4
DESIGNS = {
    **{f"{mismatch:g}": Substrate(mismatch=mismatch) for mismatch in (0.05, 0.1, 0.2, 0.5, 1.0)},
    "own": Substrate(mismatch=1.0, threshold=0.3, neuron_gain=0.5, exponent=0.3),
}
"""Name -> design: a design for each mismatch, and ``own``, in which neurons differ as well."""
TAUGHT_ON = DESIGNS["0.5"]
DRIFTING = Substrate(mismatch=0.2, drift=0.3)
RATIO, IDEAL_ERROR = "copies / originals", "error %, without a device"

Matrix = Sequence[Sequence[float]]
"""Errors in percent: a row for each device that learns the weights, a column for each device that is given them."""

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
)


def _copies(matrix: Matrix) -> list[float]:
    """Return, for each device, the mean error in percent of its weights in the other devices."""
    return [fmean(error for column, error in enumerate(row) if column != index) for index, row in enumerate(matrix)]


def _originals(matrix: Matrix) -> list[float]:
    return [row[index] for index, row in enumerate(matrix)]


@CLAIM.clause(
    "every design learns",
    "in every design, the mean error of originals is at most 1 point (smoke: 8) above that without a device",
)
def _learn(figures: Figures) -> Verdict:
    worst = max(mean_of(_originals(matrix)) for matrix in figures.measured["transfer"].values())
    ideal = figures.of(IDEAL_ERROR, seeds=figures.pick(smoke=2, full=3))
    return at_most(worst, ideal.plus(figures.pick(smoke=8.0, full=1.0)))


@CLAIM.clause(
    "weights cannot be copied",
    "at some mismatch within the sweep, or in the design own, copies err at least 10 times (smoke: 2) as often as "
    "originals",
)
def _cannot_be_copied(figures: Figures) -> Verdict:
    designs = figures.measured["by design"]
    matrix = figures.measured["transfer"][max(designs, key=lambda name: designs[name][RATIO])]
    return at_least(mean_of(_copies(matrix)), mean_of(_originals(matrix)).times(figures.pick(smoke=2.0, full=10.0)))


@CLAIM.clause(
    "what they know can be taught",
    f"with the most images, students without labels recover at least 80 % (smoke: 30 %) of the gap between {LABELS} "
    "labels alone and the teacher",
)
def _can_be_taught(figures: Figures) -> Verdict:
    share, count = figures.pick(smoke=0.3, full=0.8), figures.pick(smoke=1, full=3)
    most = list(figures.measured["distillation"][STUDENTS]["no labels"])[-1]
    student = figures.of("distillation", STUDENTS, "no labels", most, seeds=count)
    few, teacher = figures.of("distillation", FEW, seeds=count), figures.of("distillation", TEACHER)
    limit = few.value - share * (few.value - teacher.value)
    return at_most(student, Estimate(limit, math.hypot((1 - share) * few.error, share * teacher.error)))


@CLAIM.measure
def mortal(lab: Lab) -> Finding:
    designs = lab.pick(smoke={name: DESIGNS[name] for name in ("0.2", "own")}, full=DESIGNS)
    sides: dict[str, dict[str, Any]] = {}
    for learner in (OURS, CHIP):
        alone = mean_error(lab, [trained(lab, learner, Device(), seed) for seed in lab.seeds])
        matrices = {name: transfer(lab, learner, design) for name, design in designs.items()}
        summaries = {name: summary(matrix) for name, matrix in matrices.items()}
        sides[learner] = {
            IDEAL_ERROR: alone,
            "by design": summaries,
            "mismatch at which copies err ten times as often": crossing(summaries),
            "transfer": matrices,
        }
    ours, taught = sides[OURS]["by design"], distillation(lab, TAUGHT_ON)
    near, times, share, least = lab.pick(smoke=(8.0, 2.0, 0.3, 0.0), full=(1.0, 10.0, 0.8, 0.5))
    originals = max(design["originals"] for design in ours.values()) - sides[OURS][IDEAL_ERROR]["mean"]
    ratio = max(design[RATIO] for design in ours.values())
    recovered = list(taught["share recovered"]["no labels"].values())[-1]
    holds = originals <= near and ratio >= times and recovered >= share
    refuted = ours["own"][RATIO] < 2 or recovered < least
    measured = {
        "verdict": "refuted" if refuted else "holds" if holds else "undecided",
        "points of originals above ideal, at most": round(originals, 3),
        "distillation": taught,
        "drift": drifting(lab),
    }
    return Finding({**sides[OURS], **measured}, sides[CHIP], list(range(DEVICES)))


def transfer(lab: Lab, learner: str, design: Substrate) -> Matrix:
    """Train devices of a design with a learning rule; return the errors of their weights in all devices."""
    chips = [Device(design, seed) for seed in range(DEVICES)]
    nets = [trained(lab, learner, chip, chip.seed, TAUGHT_ON) for chip in chips]

    def written(source: int, target: int) -> devices.Net:
        return nets[source] if source == target else devices.deployed(nets[source], lab, learner, chips[target])

    numbers = range(DEVICES)
    return [[error_of(written(source, target), images(lab)) for target in numbers] for source in numbers]


def summary(matrix: Matrix) -> dict[str, float]:
    """Return the mean errors of originals and of copies in percent, and the error of copies / that of originals."""
    originals = fmean(_originals(matrix))
    copies = fmean(error for index, row in enumerate(matrix) for column, error in enumerate(row) if column != index)
    ratio = round(copies / max(originals, 1e-3), 2)
    return {"originals": round(originals, 3), "copies": round(copies, 3), RATIO: ratio}


def crossing(designs: Mapping[str, Mapping[str, float]], times: float = 10.0) -> float | str:
    """Return the mismatch at which the error of copies is ``times`` that of originals.

    The mismatch is interpolated between neighboring designs, linearly in the logarithms of mismatch and error ratio. If
    the mismatch is outside the range of the designs, the return value states so in words.
    """
    points = [(float(name), design[RATIO]) for name, design in designs.items() if name != "own"]
    for (low, before), (high, after) in itertools.pairwise(points):
        if before < times <= after:
            share = math.log(times / before) / math.log(after / before)
            return round(math.exp(math.log(low) + share * math.log(high / low)), 3)
    if points[0][1] >= times:
        return f"below {points[0][0]:g}"
    return "in the design own" if designs["own"][RATIO] >= times else "not within the sweep"


def drifting(lab: Lab) -> dict[str, list[float]]:
    """Return the errors in percent after each epoch of drift of a device that learns meanwhile, and of a frozen one."""
    epochs, dataset = lab.pick(smoke=2, full=5), images(lab)
    learning = copy.deepcopy(trained(lab, OURS, Device(DRIFTING, 0), 0, TAUGHT_ON))
    frozen = copy.deepcopy(learning)
    recipe = devices.tuned(lab, OURS, TAUGHT_ON, 1)
    recipe = replace(recipe, rate=recipe.rate / 4, epochs=2 * epochs)  # the first half has the full rate
    run = devices.updates(devices.recipe_of(lab, OURS), dataset)
    steps = devices.updates(replace(recipe, epochs=1), dataset)
    trainer = Trainer(learning, recipe, dataset.train)
    errors = {"learning": [error_of(learning, dataset)], "frozen": [error_of(frozen, dataset)]}
    for number in range(epochs):
        trainer.epoch(number)
        drift(learning, run - steps)  # its own updates have made it drift as well
        drift(frozen, run)
        errors["learning"].append(error_of(learning, dataset))
        errors["frozen"].append(error_of(frozen, dataset))
    return errors


# ---- tables and plot -----------------------------------------------------------------------------------------------


@table("mortal", "claims/mortal.json")
def by_design(record: Record) -> str:
    """Tabulate the errors of originals and copies by design, for Forward-Forward and backprop."""
    sides, columns = [record[side]["by design"] for side in ("measured", "twin")], ("originals", "copies", RATIO)
    rows = [[name, *(f"{side[name][column]:.2f}" for side in sides for column in columns)] for name in sides[0]]
    heads = [f"{learner}: {column}" for learner in ("Forward-Forward", CHIP) for column in columns]
    return markdown(["mismatch", *heads], rows)


@table("students", "claims/mortal.json")
def students(record: Record) -> str:
    """Tabulate the errors of students and the share that they recover by the number of unlabeled images."""
    taught = record["measured"]["distillation"]
    rows = [
        [labels, count, spread(error), f"{100 * taught['share recovered'][labels][count]:.0f} %"]
        for labels, errors in taught[STUDENTS].items()
        for count, error in errors.items()
    ]
    rows.append([FEW.removeprefix("error % with "), "-", spread(taught[FEW]), "0 %"])
    rows.append(["the teacher", "-", f"{taught[TEACHER]:.2f}", "100 %"])
    return markdown(["labels of the student", "images", "error, %", "of the gap"], rows)


@CLAIM.draw
def draw_mortal(record: Record, path: Path, lab: Lab) -> Path:
    """Plot the matrices of the design ``own``, and errors by design, by number of images of students, and by drift."""
    import numpy as np

    from twofold.plots.canvas import label_axes, legend, subplots, suptitle, write
    from twofold.plots.colors import INK, NEGATIVE, POSITIVE, TESTS, TWIN
    from twofold_lab.drawing import BLUES, heat_map, lines

    sides, ours = {OURS: record["measured"], CHIP: record["twin"]}, record["measured"]
    figure, axes = subplots(2, 3, 4.6, 4.2)
    for ax, (learner, side) in zip(axes[0], sides.items(), strict=False):
        design, matrix = list(side["transfer"].items())[-1]
        label_axes(ax, f"{learner}, design {design}", "written into device", "learned on device")
        heat_map(ax, np.array(matrix), BLUES, (1, 100), [[f"{error:.1f}" for error in row] for row in matrix])
        ax.set(xticks=range(len(matrix)), yticks=range(len(matrix)))

    ax, designs = axes[0][2], list(ours["by design"])
    label_axes(ax, "Originals and copies", "mismatch of gains", "% of test images")
    errors = {
        f"{learner}, {name}": ([errors[name] for errors in side["by design"].values()], form, color)
        for (learner, side), color in zip(sides.items(), (POSITIVE, TWIN), strict=True)
        for name, form in (("copies", "o-"), ("originals", "o:"))
    }
    lines(ax, None, errors)
    ax.set_xticks(range(len(designs)), designs)
    legend(ax, 1)

    ax, taught = axes[1][0], ours["distillation"]
    label_axes(ax, "Students on other devices", "unlabeled images", "% of test images")
    counts = [int(count) for count in taught[STUDENTS]["no labels"]]
    by_labels = zip(taught[STUDENTS].items(), (POSITIVE, TESTS[0], TWIN), strict=True)
    levels = {f"{LABELS} labels alone": (taught[FEW]["mean"], "--"), "teacher": (taught[TEACHER], ":")}
    means = {name: ([error["mean"] for error in errors.values()], "o-", color) for (name, errors), color in by_labels}
    lines(ax, counts, {**means, **{name: ([level] * len(counts), form, INK) for name, (level, form) in levels.items()}})
    ax.set_xscale("log")
    ax.set_xticks(counts, [str(count) for count in counts])
    ax.minorticks_off()
    legend(ax, 2)

    label_axes(axes[1][1], "A device that drifts", "runs' worth of drift", "% of test images")
    by_name = zip(ours["drift"].items(), (POSITIVE, NEGATIVE), strict=True)
    lines(axes[1][1], None, {name: (errors, "o-", color) for (name, errors), color in by_name})
    legend(axes[1][1], 2)
    suptitle(
        figure,
        "Mortal computation: weights written into another device, and what students keep",
        "matrices: error in % of the weights of each device (row) in each device (column)",
    )
    return write(figure, path)
