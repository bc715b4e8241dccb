"""Claim (talk 38:42): weights that fit one piece of hardware cannot be copied to another; what they know can be taught.

Four devices of one design, each with a mismatch of its own (smoke: digits; full: MNIST, 3 x 500, 10,000 images;
``devices.py`` has the learners). Designs: gains of devices that differ by 5 % to 100 %, all else ideal; and *own*,
where neurons have thresholds, gains and exponents of their own besides, so that each transfer function is another.

* transfer: each device learns from the same images; the weights of each are then written into each. The *diagonal* are
  originals, the rest copies. Backprop with the chip in the loop has the same matrix.
* distillation, between devices with a mismatch of 50 % (``distill.py``): students learn from unlabeled images that
  nobody has learned from, with the teacher's soft outputs, over the number of images; the same with 100 labels beside;
  from 100 labels alone; and from the true labels of the same images. All have as many visits. The share recovered is
  (error with 100 labels alone - error of the student) / (error with 100 labels alone - error of the teacher).
* drift: two copies of a trained device drift on by as much as a run would take them, at each of several epochs; one
  goes on learning, at a quarter of its rate, the other is frozen.

Rule: in every design the mean of Forward-Forward's diagonal is within 1 point (smoke: 8) of its error without a device;
at some mismatch within the sweep, or in the design own, copies err ten times (smoke: twice) as often as originals; and
students without any label recover at least 80 % (smoke: 30 %) with the most images. Refuted if copies of the design own
err less than twice as often as originals, or students recover less than half (smoke: nothing).
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import torch

from twofold.nets.feedforward import FeedForward
from twofold.substrate import Substrate, drift
from twofold.training.trainer import Trainer
from twofold_lab.devices import (
    CHIP,
    OURS,
    Device,
    data_of,
    deployed,
    error_of,
    factor,
    recipe_of,
    taught,
    trained,
    updates,
)
from twofold_lab.distill import FromTeacher, soft_outputs, without_labels
from twofold_lab.lab import Finding, Lab, mean_and_std

DEVICES = 4
DESIGNS = {
    **{f"{mismatch:g}": Substrate(mismatch=mismatch) for mismatch in (0.05, 0.1, 0.2, 0.5, 1.0)},
    "own": Substrate(mismatch=1.0, threshold=0.3, neuron_gain=0.5, exponent=0.3),
}
"""Designs by mismatch; in the last one transfer functions are each device's own altogether."""
TAUGHT_ON = DESIGNS["0.5"]
LABELS = 100
DRIFTING = Substrate(mismatch=0.2, drift=0.3)

Matrix = list[list[float]]
"""Errors in percent: a row for each device whose weights they are, a column for each that they are written into."""


def mortal(lab: Lab) -> Finding:
    """Measure the claim ``mortal``."""
    designs = lab.pick(smoke={name: DESIGNS[name] for name in ("0.2", "own")}, full=DESIGNS)
    alone = {
        learner: mean_and_std(error_of(trained(lab, learner, Device(), seed), data_of(lab)) for seed in lab.seeds)
        for learner in (OURS, CHIP)
    }
    matrices = {
        learner: {name: transfer(lab, learner, design) for name, design in designs.items()} for learner in (OURS, CHIP)
    }
    summaries = {learner: {name: summary(one) for name, one in each.items()} for learner, each in matrices.items()}
    found, kept = summaries[OURS], distillation(lab)
    near, times, share, least = lab.pick(smoke=(8.0, 2.0, 0.3, 0.0), full=(1.0, 10.0, 0.8, 0.5))
    originals = max(one["originals"] for one in found.values()) - alone[OURS]["mean"]
    ratio = max(one["copies / originals"] for one in found.values())
    recovered = list(kept["share recovered"]["no labels"].values())[-1]
    verdict = "undecided"
    if found["own"]["copies / originals"] < 2 or recovered < least:
        verdict = "refuted"
    elif originals <= near and ratio >= times and recovered >= share:
        verdict = "holds"
    return Finding(
        holds=verdict == "holds",
        rule=f"originals err within {near:g} points of ideal in every design, copies {times:g} times as often in some, "
        f"and students without labels recover {100 * share:g} % of the gap between {LABELS} labels and the teacher",
        talk="weights cannot be copied to other hardware; what they know can be distilled",
        measured={
            "verdict": verdict,
            "error %, without a device": alone[OURS],
            "by design": found,
            "points of originals above ideal, at most": round(originals, 3),
            "mismatch at which copies err ten times as often": crossing(found),
            "transfer": matrices[OURS],
            "distillation": kept,
            "drift": drifting(lab),
        },
        twin={
            "error %, without a device": alone[CHIP],
            "by design": summaries[CHIP],
            "mismatch at which copies err ten times as often": crossing(summaries[CHIP]),
            "transfer": matrices[CHIP],
        },
        seeds=list(range(DEVICES)),
    )


# ---- copying -------------------------------------------------------------------------------------------------------


def transfer(lab: Lab, learner: str, design: Substrate) -> Matrix:
    """The errors of every device's weights in every device."""
    devices, dataset = [Device(design, seed) for seed in range(DEVICES)], data_of(lab)
    nets = [trained(lab, learner, device, device.seed, TAUGHT_ON) for device in devices]
    return [
        [error_of(net if here == there else deployed(net, lab, learner, there), dataset) for there in devices]
        for net, here in zip(nets, devices, strict=True)
    ]


def summary(matrix: Matrix) -> dict[str, float]:
    """Mean error of originals and of copies, and how many times as often copies err."""
    originals = fmean(row[index] for index, row in enumerate(matrix))
    copies = fmean(one for index, row in enumerate(matrix) for other, one in enumerate(row) if other != index)
    return {
        "originals": round(originals, 3),
        "copies": round(copies, 3),
        "copies / originals": round(copies / max(originals, 1e-3), 2),
    }


def crossing(found: Mapping[str, Mapping[str, float]], times: float = 10.0) -> float | str:
    """The mismatch at which copies err so many times as often as originals: between the designs on either side of it,
    on a line through logarithms of both; in words where it lies beyond them."""
    points = [(float(name), one["copies / originals"]) for name, one in found.items() if name != "own"]
    for (low, before), (high, after) in itertools.pairwise(points):
        if before < times <= after:
            share = math.log(times / before) / math.log(after / before)
            return round(math.exp(math.log(low) + share * math.log(high / low)), 3)
    if points[0][1] >= times:
        return f"below {points[0][0]:g}"
    return "in the design own" if found["own"]["copies / originals"] >= times else "not within the sweep"


# ---- teaching ------------------------------------------------------------------------------------------------------


def distillation(lab: Lab) -> dict[str, Any]:
    """The errors of a teacher and of students on other devices, and the share of the gap that each kind recovers."""
    numbers = lab.pick(smoke=(100, 700), full=(100, 1000, 10_000))
    learned = lab.pick(smoke=700, full=10_000)
    teacher = trained_teacher(lab, learned)
    unseen, rate = data_of(lab, learned, max(numbers)), factor(lab, OURS, TAUGHT_ON)
    soft = soft_outputs(teacher, unseen.train_images)
    students = range(1, 1 + lab.pick(smoke=1, full=3))

    def taught_by(outputs: torch.Tensor, count: int, labels: int, kind: str) -> dict[str, float]:
        found = []
        for seed in students:
            part = replace(unseen, train_images=unseen.train_images[:count], train_labels=unseen.train_labels[:count])
            shown, soft = without_labels(part, outputs[:count], labels, max(numbers))
            recipe = recipe_of(lab, OURS, seed)
            net = taught(
                lab,
                OURS,
                Device(TAUGHT_ON, seed),
                replace(recipe, rate=rate * recipe.rate),
                shown,
                lambda net, recipe, data, soft=soft: FromTeacher(net, recipe, data, soft),
                f"student-{kind}",
                {"images": count, "labels": labels, "taught": kind},
            )
            found.append(error_of(net, unseen))
        return mean_and_std(found)

    true = torch.nn.functional.one_hot(unseen.train_labels, unseen.classes).float()
    few = taught_by(true, LABELS, LABELS, "labels")
    errors = {
        "no labels": {str(count): taught_by(soft, count, 0, "outputs") for count in numbers},
        f"{LABELS} labels": {str(count): taught_by(soft, count, LABELS, "outputs") for count in numbers},
        "all labels": {str(count): taught_by(true, count, count, "labels") for count in numbers},
    }
    best = error_of(teacher, unseen)
    gap = max(few["mean"] - best, 1e-3)
    return {
        "error % of the teacher": best,
        f"error % with {LABELS} labels alone": few,
        "error % of students, by images": errors,
        "share recovered": {
            kind: {count: round((few["mean"] - one["mean"]) / gap, 3) for count, one in each.items()}
            for kind, each in errors.items()
        },
    }


def trained_teacher(lab: Lab, count: int) -> FeedForward:
    """A device that has learned from the first so many images with their labels."""
    recipe = recipe_of(lab, OURS, 0)
    recipe = replace(recipe, rate=recipe.rate * factor(lab, OURS, TAUGHT_ON))
    return cast(FeedForward, taught(lab, OURS, Device(TAUGHT_ON, 0), recipe, data_of(lab, 0, count), name="teacher"))


# ---- drift ---------------------------------------------------------------------------------------------------------


def drifting(lab: Lab) -> dict[str, list[float]]:
    """Errors of a trained device after each epoch of drift: one that goes on learning, and one that is frozen."""
    epochs, dataset, design = lab.pick(smoke=2, full=5), data_of(lab), DRIFTING
    learning = copy.deepcopy(trained(lab, OURS, Device(design, 0), 0, TAUGHT_ON))
    frozen = copy.deepcopy(learning)
    recipe = recipe_of(lab, OURS, 1)
    rate = recipe.rate * factor(lab, OURS, TAUGHT_ON) / 4
    recipe = replace(recipe, rate=rate, epochs=2 * epochs)  # of which the first half has the whole rate
    run = updates(recipe_of(lab, OURS), dataset)
    trainer = Trainer(learning, recipe, (dataset.train_images, dataset.train_labels))
    found = {"learning": [error_of(learning, dataset)], "frozen": [error_of(frozen, dataset)]}
    for number in range(epochs):
        steps = updates(replace(recipe, epochs=1), dataset)
        trainer.epoch(number)
        drift(learning, run - steps)  # its own updates have made it drift as well
        drift(frozen, run)
        found["learning"].append(error_of(learning, dataset))
        found["frozen"].append(error_of(frozen, dataset))
    return found


# ---- the picture ---------------------------------------------------------------------------------------------------


def draw_mortal(lab: Lab, path: Path, record: Mapping[str, Any] | None = None) -> Path:
    """Draw the transfer matrices, copies against originals by design, students, and drift.

    Args:
        lab: the laboratory that has the nets, or trains them, if there is no record.
        path: the PNG to write.
        record: the kept record of the claim.
    """
    from twofold_lab.claims.plots import mortal as plots

    found = record or asdict(mortal(lab))
    ours, twin = found["measured"], found["twin"]
    return plots.mortality(
        {OURS: ours["transfer"], CHIP: twin["transfer"]},
        {OURS: ours["by design"], CHIP: twin["by design"]},
        ours["distillation"],
        ours["drift"],
        path,
    )
