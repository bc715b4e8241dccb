"""Claim (talk 36:43): an unknown transformation between layers does not slow Forward-Forward down.

Six layers, with a black box behind the second and the fourth: a random matrix with ReLU, with one bit, with a sample,
or saturating; each still, or drifting at one of three rates by batch. Forward-Forward is beside every way to
backpropagate through a box that is known, on the same layers with the same boxes: the derivative that is known (an
oracle), the derivative of the box as it was at first (chip in the loop), straight through, backpropagation that stops
at the box, local backpropagation with a softmax for each block between boxes, simultaneous perturbation, a surrogate
that learns to be the box, and feedback alignment, from layer to layer or direct.

All learn from as many images (full: 10,000 of MNIST) for as many epochs. Rates are tuned by four values for each, which
are moved until the best lies within them, on held-out images, without a box and with a still random matrix with ReLU;
values that one seed does not tell apart by three seeds (results/hardware/black-box-rates.json). Of a contender with
several tests it is the one that errs least on the held-out images, in each row anew; figures are of the test set, the
mean over the seeds. A training that diverges counts as one that has learned nothing; what the same learns at a third of
its rate, or at the first of further thirds at which it does not diverge, is reported beside it, not part of the rule.

smoke: digits, one kind of box and one rate of drift, one seed.

Rule, for every kind of box while it stands still: what Forward-Forward loses by the boxes (its error with them less
that without) is at most what the oracle loses + 0.5 points, and the epochs until its error on held-out images is at
most the final one of the net without boxes + 0.5 points are at most 1.2 times those that the net without boxes takes.

Reported beside it, not part of the rule: the rows in which Forward-Forward errs at most half as often as the best
contender that is told nothing of the box, and those in which it errs less often, or more.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from twofold.data import Dataset
from twofold.errors import Diverged
from twofold.layers.boxes import BOXES, boxes_in
from twofold.methods import BackpropRecipe, FeedForwardRecipe, Recipe
from twofold.nets.crossings import WHITE_BOX
from twofold.nets.net import Evaluation, evaluate
from twofold.recipes.black_box import black_box as boxed
from twofold.recipes.black_box import twin as boxed_twin
from twofold.training.runs import Run
from twofold_lab.lab import Finding, Lab, mean_and_std, percent
from twofold_lab.rates import lowered

OURS, ORACLE, LOCAL, TWIN = "forward-forward", "known", "local", "twin"
CONTENDERS = (
    *(ORACLE, "chip_in_the_loop", "straight_through", "stop", LOCAL, "spsa", "surrogate"),
    *("feedback_alignment", "direct_feedback_alignment"),
)
"""What backpropagation makes of a box: blocks that learn locally, and the gradients that come back through a box."""
IMAGES, HELD, EPOCHS = 10_000, 1_000, 10
DRIFTS = (0.0, 0.003, 0.03, 0.1)
ALLOWED, SLOWER = 0.5, 1.2
"""Points of error that boxes may cost more than they cost the oracle, and how many times the epochs they may cost."""

TUNED: dict[str, tuple[float, float]] = {
    OURS: (0.2, 0.4),
    **dict.fromkeys(CONTENDERS, (0.05, 0.025)),
    LOCAL: (0.05, 0.1),
    "direct_feedback_alignment": (0.05, 0.1),
    "spsa": (0.05, 0.0005),
    "surrogate": (0.05, 0.05),
}
"""The rate of each contender without a box and with boxes, by scripts/measure_boxes.py."""

small = replace(boxed, data="digits", label_in="prepend", widths=(60,) * 6, epochs=5, batch=50, temperature=12.0)
small_twin = replace(boxed_twin, data="digits", widths=small.widths, epochs=small.epochs, batch=small.batch)


@dataclass(frozen=True)
class Cell:
    """The figures of a contender with one kind of box, one of each seed.

    Attributes:
        test: the one that errs least on held-out images.
        error: of the test set, in percent.
        held: on held-out images after each epoch, in percent.
        seconds: of training.
        reads: rows that went through boxes for each training image and box.
        layers: of the test set, by the goodness of each layer alone, in percent, mean over the seeds that learned;
            empty where no layer has one.
        lower: the error of each training that diverged, in percent, at a rate at which it does not.
    """

    test: str
    error: list[float]
    held: list[list[float]]
    seconds: list[float]
    reads: float
    layers: list[float]
    lower: list[float]

    def epochs_to(self, most: float) -> list[int | None]:
        """The first epoch after which the error on held-out images is at most so many percent."""
        return [next((n for n, held in enumerate(each, 1) if held <= most), None) for each in self.held]


def black_box(lab: Lab) -> Finding:
    """Measure the claim ``black-box``."""
    data = part(lab)
    kinds, drifts = lab.pick(smoke=("one_bit",), full=tuple(BOXES)), lab.pick(smoke=(0.0, 0.03), full=DRIFTS)
    none = {OURS: cell(lab, OURS, "none", 0.0, data), TWIN: cell(lab, ORACLE, "none", 0.0, data)}
    rows = {
        named(box, drift): {name: cell(lab, name, box, drift, data) for name in (OURS, *CONTENDERS)}
        for box, drift in itertools.product(kinds, drifts)
    }
    still = {box: rows[named(box, 0.0)] for box in kinds}
    loss = {box: fmean(row[OURS].error) - fmean(none[OURS].error) for box, row in still.items()}
    oracle = {box: fmean(row[ORACLE].error) - fmean(none[TWIN].error) for box, row in still.items()}
    target = fmean(each[-1] for each in none[OURS].held) + ALLOWED
    without = none[OURS].epochs_to(target)
    taken = {box: row[OURS].epochs_to(target) for box, row in still.items()}
    slower = {box: times(epochs, without) for box, epochs in taken.items()}
    told_nothing = {row: fmean(cells[OURS].error) / best(cells)[1] for row, cells in rows.items()}
    return Finding(
        holds=all(loss[box] <= oracle[box] + ALLOWED for box in kinds)
        and all(ratio is not None and ratio <= SLOWER for ratio in slower.values()),
        rule=f"a still box costs at most {ALLOWED:g} points more than it costs an oracle that knows its derivative, "
        f"and at most {SLOWER:g} times the epochs to the error without boxes + {ALLOWED:g} points",
        talk="an unknown transformation between layers does not slow it down",
        measured={
            "error %": {"none": mean_and_std(none[OURS].error)}
            | {row: mean_and_std(cells[OURS].error) for row, cells in rows.items()},
            "test": {row: cells[OURS].test for row, cells in rows.items()},
            "layer error %": {"none": none[OURS].layers} | {row: cells[OURS].layers for row, cells in rows.items()},
            "lost by a still box (points)": rounded(loss),
            "lost by the oracle (points)": rounded(oracle),
            "diverged, and at a lower rate (error %)": lower({row: {OURS: cells[OURS]} for row, cells in rows.items()}),
            "epochs to": {"held-out error %": round(target, 3), "none": without, **taken},
            "times the epochs": slower,
            "error / best that is told nothing of the box": rounded(told_nothing),
            "at most half of it in": [row for row, ratio in told_nothing.items() if ratio <= 0.5],
            "less in": [row for row, ratio in told_nothing.items() if 0.5 < ratio < 1],
            "reads of a box for an image": rows[named(kinds[0], 0.0)][OURS].reads,
            "seconds": round(fmean(rows[named(kinds[0], 0.0)][OURS].seconds), 1),
        },
        twin={
            "error %": {"none": {TWIN: mean_and_std(none[TWIN].error)}}
            | {row: {name: mean_and_std(cells[name].error) for name in CONTENDERS} for row, cells in rows.items()},
            "diverged, and at a lower rate (error %)": lower(
                {row: {name: cells[name] for name in CONTENDERS} for row, cells in rows.items()}
            ),
            "best that is told nothing of the box": {row: best(cells)[0] for row, cells in rows.items()},
            "reads of a box for an image": {name: rows[named(kinds[0], 0.0)][name].reads for name in CONTENDERS},
            "seconds": {name: round(fmean(rows[named(kinds[0], 0.0)][name].seconds), 1) for name in CONTENDERS},
        },
        seeds=seeds(lab),
    )


def seeds(lab: Lab) -> list[int]:
    """The seeds of all trainings."""
    return lab.pick(smoke=[0], full=lab.seeds)


def part(lab: Lab) -> Dataset:
    """The images to learn from, with those that are held out behind them; and the test set."""
    whole = lab.data(lab.pick(smoke="digits", full="mnist"))
    count = lab.pick(smoke=len(whole.train_labels), full=IMAGES + HELD)
    name = f"{whole.name}, {count} images"
    return replace(whole, name=name, train_images=whole.train_images[:count], train_labels=whole.train_labels[:count])


def recipe(lab: Lab, contender: str, box: str, drift: float) -> Recipe:
    """The settings of a contender with one kind of box."""
    ours: FeedForwardRecipe = lab.pick(smoke=small, full=replace(boxed, epochs=EPOCHS))
    twin: BackpropRecipe = lab.pick(smoke=small_twin, full=replace(boxed_twin, epochs=EPOCHS))
    same: dict[str, Any] = {"box": box, "box_drift": drift, "validation": lab.pick(smoke=200, full=HELD)}
    if lab.size == "full":
        same["rate"] = TUNED[contender][box != "none"]
    if contender == OURS:
        return replace(ours, **same)
    same["readout" if contender == LOCAL else "gradient"] = "block" if contender == LOCAL else contender
    return replace(twin, **same)


def cell(lab: Lab, contender: str, box: str, drift: float, data: Dataset) -> Cell:
    """Train a contender with one kind of box from each seed, and test it."""
    settings, name = recipe(lab, contender, box, drift), f"black-box-{contender}"
    each = [replace(settings, seed=seed) for seed in seeds(lab)]
    runs = [trained(lab, one, name, data) for one in each]
    learned = [run for run in runs if run is not None]
    test, nothing = best_test(learned), 100 * (1 - 1 / data.classes)
    found = [None if run is None else tested(run, data) for run in runs]
    layers = zip(*(one.metrics["layer_error"] for one in found if one and "layer_error" in one.metrics), strict=True)
    again = [slower(lab, one, name, data) for one, run in zip(each, runs, strict=True) if run is None]
    return Cell(
        test,
        [percent(one.error[test]) if one else nothing for one in found],
        [
            [percent(epoch["validation_error"][test]) for epoch in run.history] if run else [nothing] * settings.epochs
            for run in runs
        ],
        [run.result.seconds for run in learned],
        round(reads(learned[0], data), 3) if learned else 0.0,
        [percent(fmean(one)) for one in layers],
        [percent(tested(run, data).error[best_test([run])]) if run else nothing for run in again],
    )


def trained(lab: Lab, settings: Recipe, name: str, data: Dataset) -> Run | None:
    """A training; ``None`` if it diverges."""
    with suppress(Diverged):
        return lab.train(settings, name, data)
    return None


def slower(lab: Lab, settings: Recipe, name: str, data: Dataset) -> Run | None:
    """A training that diverges, at a lower rate; ``None`` if it diverges there, too."""
    return lowered(settings.rate / 3, lambda rate: lab.train(replace(settings, rate=rate), name, data))


def best_test(runs: list[Run]) -> str:
    """The test that errs least on held-out images, in the mean over trainings; none where there is no training."""
    tests = runs[0].result.error if runs else ()
    return min(tests, key=lambda test: fmean(run.result.error[test] for run in runs), default="none")


def tested(run: Run, data: Dataset) -> Evaluation:
    """A training on the test set."""
    return evaluate(run.net, *(each.to(run.net.device) for each in data.test))


def reads(run: Run, data: Dataset) -> float:
    """Rows that went through each box in an epoch, for each image; 0 where there is none."""
    images: int = len(data.train_labels) - run.recipe.validation
    count = sum(1 for _ in boxes_in(run.net))
    rows: int = run.history[-1].get("box_reads", 0)
    return rows / images / max(1, count)


def named(box: str, drift: float) -> str:
    """A row of the table."""
    return f"{box}, {f'drift {drift:g}' if drift else 'still'}"


def best(cells: Mapping[str, Cell]) -> tuple[str, float]:
    """The contender with the least error that is told nothing of the box, and that error."""
    each = {name: fmean(cells[name].error) for name in CONTENDERS if name not in WHITE_BOX}
    name = min(each, key=each.__getitem__)
    return name, max(each[name], 1e-9)


def lower(rows: Mapping[str, Mapping[str, Cell]]) -> dict[str, dict[str, list[float]]]:
    """Row -> contender -> the error of each training that diverged, at a rate at which it does not."""
    found = {row: {name: cell.lower for name, cell in cells.items() if cell.lower} for row, cells in rows.items()}
    return {row: cells for row, cells in found.items() if cells}


def times(epochs: list[int | None], without: list[int | None]) -> float | None:
    """How many times the epochs; ``None`` where an error was not reached."""
    counted, base = ([each for each in some if each is not None] for some in (epochs, without))
    complete = len(counted) == len(epochs) and len(base) == len(without)
    return round(fmean(counted) / fmean(base), 3) if complete else None


def rounded(each: Mapping[str, float]) -> dict[str, float]:
    """Figures to a thousandth."""
    return {name: round(value, 3) for name, value in each.items()}


def draw_black_box(lab: Lab, path: Path, record: Mapping[str, Any] | None = None) -> Path:
    """Draw the error of every contender against the drift, for each kind of box.

    Args:
        lab: the laboratory that has the nets, or trains them, if there is no record.
        path: the PNG to write.
        record: the kept record of the claim.
    """
    from twofold_lab.claims.plots import black_box as plots

    found = record or asdict(black_box(lab))
    ours, theirs = found["measured"]["error %"], found["twin"]["error %"]
    return plots.boxes(ours, theirs, path)
