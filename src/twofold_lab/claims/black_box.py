"""An unknown transformation between layers does not slow Forward-Forward down (talk 36:43).

A net of six layers has a black box behind the second and the fourth: a random matrix, followed by a ReLU, a step
function, a random sample of bits, or a saturating function. The random matrix of a box is constant, or it drifts from
batch to batch at one of three rates.
Forward-Forward is compared with backpropagation through the same layers and boxes. As the derivative of a box,
backpropagation uses the true one (an oracle), the one that the box had before any drift (chip in the loop), the
identity (straight through), or zero (stop). Other contenders are backpropagation with a softmax for each block between
boxes (local), simultaneous perturbation (spsa), a surrogate that learns to imitate the box, and feedback alignment,
from layer to layer or direct.

All contenders learn from the same number of images (full: 10,000 of MNIST) for the same number of epochs. Rates are
tuned on held-out images, without a box and with a random matrix with ReLU that does not drift
(``benchmarks/boxes.py``). If a contender has several tests, the test with the smallest error on the held-out images is
used, chosen separately for each box and drift. Errors are those on the test set, mean over the seeds. A run that
diverges is given the error of chance. The training is then repeated with the rate divided by 3, until it does not
diverge. The error at that lower rate is reported but not judged.

smoke: digits, one type of box, one rate of drift, one seed.

The record also names the boxes and drifts with which the error of Forward-Forward is at most half of the error of the
best contender without knowledge of the box, and those with which it is between half and all of the error of that
contender.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from twofold.data import Dataset
from twofold.layers.boxes import BOXES, boxes_in
from twofold.methods import Recipe
from twofold.nets.crossings import WHITE_BOX
from twofold.nets.net import Evaluation, evaluate
from twofold.recipes.black_box import black_box as boxed
from twofold.recipes.black_box import twin as boxed_twin
from twofold.training.runs import Run
from twofold_lab.claim import Claim, Finding, Headline, Record
from twofold_lab.contest import Contender
from twofold_lab.figures import mean_and_std, percent
from twofold_lab.lab import Lab
from twofold_lab.tables import markdown, spread, table
from twofold_lab.verdict import FAILS, UNDECIDED, Figures, Verdict, at_most, difference, mean_of

OURS, ORACLE, LOCAL, TWIN = "forward-forward", "known", "local", "twin"
CONTENDERS = (
    *(ORACLE, "chip_in_the_loop", "straight_through", "stop", LOCAL, "spsa", "surrogate"),
    *("feedback_alignment", "direct_feedback_alignment"),
)
"""Names of the contenders of Forward-Forward: a softmax for each block, and the estimators of a box's gradient."""
IMAGES, HELD, EPOCHS = 10_000, 1_000, 10
DRIFTS = (0.0, 0.003, 0.03, 0.1)
ALLOWED, SLOWER = 0.5, 1.2
"""Limits of the rules, without drift.

Points by which boxes may raise the error of Forward-Forward more than that of the oracle; ratio of the epochs that
Forward-Forward may need with a box to those without boxes.
"""

TUNED: dict[str, tuple[float, float]] = {
    **{OURS: (0.2, 0.4), **dict.fromkeys(CONTENDERS, (0.05, 0.025)), LOCAL: (0.05, 0.1)},
    **{"direct_feedback_alignment": (0.05, 0.1), "spsa": (0.05, 0.0005), "surrogate": (0.05, 0.05)},
}
"""Contender -> learning rate without boxes and learning rate with boxes, chosen by ``twofold bench boxes``."""

RATIO, BEST = "error / best that is told nothing of the box", "best that is told nothing of the box"
LOWER, READS = "diverged, and at a lower rate (error %)", "reads of a box for an image"
LOST, LOST_ORACLE = "lost by a still box (points)", "lost by the oracle (points)"

small = replace(boxed, data="digits", label_in="prepend", widths=(60,) * 6, epochs=5, batch=50, temperature=12.0)
small_twin = replace(boxed_twin, data="digits", widths=small.widths, epochs=small.epochs, batch=small.batch)

CLAIM = Claim(
    "black-box",
    time="36:43",
    says="An unknown transformation between layers does not slow it down.",
    headline=Headline(
        "error %, one-bit box",
        "an unknown transformation between layers does not slow it down",
        ours=("error %", "one_bit, still"),
        twin=("error %", "one_bit, still", ORACLE),
    ),
)


def _loses_little(box: str, figures: Figures) -> Verdict:
    row = f"{box}, still"
    if row not in figures.measured["error %"]:
        return Verdict(UNDECIDED, "not measured at this size")
    ours = difference(figures.of("error %", "none"), figures.of("error %", row))
    oracle = difference(figures.of_twin("error %", "none", TWIN), figures.of_twin("error %", row, ORACLE))
    return at_most(ours, oracle.plus(ALLOWED))


def _is_as_fast(box: str, figures: Figures) -> Verdict:
    epochs = figures.measured["epochs to"]
    if box not in epochs:
        return Verdict(UNDECIDED, "not measured at this size")
    missed = sum(number is None for number in epochs[box])
    if missed:
        return Verdict(FAILS, f"the error is not reached by {missed} of {len(epochs[box])} trainings")
    return at_most(mean_of(epochs[box]), mean_of(epochs["none"]).times(SLOWER))


for _box in BOXES:
    CLAIM.clause(
        f"{_box.replace('_', ' ')}: costs little",
        "without drift, it costs at most 0.5 points more than it costs an oracle that knows its derivative",
    )(partial(_loses_little, _box))
    CLAIM.clause(
        f"{_box.replace('_', ' ')}: learns as fast",
        "without drift, the epochs until the held-out error is at most the final one without boxes + 0.5 points are at "
        "most 1.2 times those without boxes",
    )(partial(_is_as_fast, _box))


@dataclass(frozen=True)
class Cell:
    """Results of a contender with one type of box at one drift. Lists have an item for each seed, unless stated
    otherwise.

    Attributes:
        test: the test with the smallest error on held-out images.
        error: error of ``test`` on the test set, in percent.
        held: error of ``test`` on held-out images after each epoch, in percent, as a list for each seed.
        seconds: seconds of training, for each run that did not diverge.
        reads: number of rows that went through a box in the last epoch, divided by the number of training images.
        layers: an item for each layer: error by the goodness of this layer alone, in percent, mean over the runs that
            did not diverge; empty if the layers have no goodness.
        lower: an item for each run that diverged: error in percent of a repeated run at a lower rate, or of chance if
            all rates diverged.
    """

    test: str
    error: list[float]
    held: list[list[float]]
    seconds: list[float]
    reads: float
    layers: list[float]
    lower: list[float]

    def epochs_to(self, limit: float) -> list[int | None]:
        """Return the first epoch with a held-out error of at most ``limit`` percent, or ``None``, for each seed."""
        return [next((n for n, error in enumerate(errors, 1) if error <= limit), None) for errors in self.held]


Rows = Mapping[str, Mapping[str, Cell]]
"""Name of the box and its drift -> name of the contender -> its results."""


@CLAIM.measure
def black_box(lab: Lab) -> Finding:
    boxes, drifts = lab.pick(smoke=("one_bit",), full=tuple(BOXES)), lab.pick(smoke=(0.0, 0.03), full=DRIFTS)
    seeds: list[int] = lab.pick(smoke=[0], full=lab.seeds)
    none = cells(lab, "none", 0.0, (OURS, ORACLE))
    rows = {
        f"{box}, {f'drift {drift:g}' if drift else 'still'}": cells(lab, box, drift, (OURS, *CONTENDERS))
        for box, drift in itertools.product(boxes, drifts)
    }
    still = {box: rows[f"{box}, still"] for box in boxes}
    loss, oracle = (
        {box: round(fmean(row[name].error) - fmean(none[name].error), 3) for box, row in still.items()}
        for name in (OURS, ORACLE)
    )
    target = fmean(errors[-1] for errors in none[OURS].held) + ALLOWED
    epochs = {box: row[OURS].epochs_to(target) for box, row in {"none": none, **still}.items()}
    ratios = {row: fmean(by_name[OURS].error) / best(by_name)[1] for row, by_name in rows.items()}
    first = still[boxes[0]]
    ours = {"none": none[OURS], **{row: by_name[OURS] for row, by_name in rows.items()}}
    measured = {
        "error %": {row: mean_and_std(cell.error) for row, cell in ours.items()},
        "test": {row: cell.test for row, cell in ours.items() if row != "none"},
        "layer error %": {row: cell.layers for row, cell in ours.items()},
        LOST: loss,
        LOST_ORACLE: oracle,
        LOWER: lower(rows, [OURS]),
        "epochs to": {"held-out error %": round(target, 3), **epochs},
        "times the epochs": {box: times(epochs[box], epochs["none"]) for box in boxes},
        RATIO: {row: round(ratio, 3) for row, ratio in ratios.items()},
        "at most half of it in": [row for row, ratio in ratios.items() if ratio <= 0.5],
        "less in": [row for row, ratio in ratios.items() if 0.5 < ratio < 1],
        READS: first[OURS].reads,
        "seconds": round(fmean(first[OURS].seconds), 1),
    }
    errors = {row: {name: mean_and_std(by_name[name].error) for name in CONTENDERS} for row, by_name in rows.items()}
    twin = {
        "error %": {"none": {TWIN: mean_and_std(none[ORACLE].error)}, **errors},
        LOWER: lower(rows, CONTENDERS),
        BEST: {row: best(by_name)[0] for row, by_name in rows.items()},
        READS: {name: first[name].reads for name in CONTENDERS},
        "seconds": {name: round(fmean(first[name].seconds), 1) for name in CONTENDERS},
    }
    return Finding(measured, twin, seeds)


def images(lab: Lab) -> Dataset:
    """Return the data set with the training images of this size, including the held-out images at the end."""
    dataset = lab.sized(f"mnist[:{IMAGES + HELD}]")
    return replace(dataset, name=f"{dataset.name}, {len(dataset.train_labels)} images")


def recipe(lab: Lab, contender: str, box: str, drift: float) -> Recipe:
    """Return the recipe of a contender for one type of box at one drift."""
    ours, twin = lab.pick(smoke=(small, small_twin), full=(boxed, boxed_twin))
    settings: dict[str, Any] = {"box": box, "box_drift": drift, "validation": lab.pick(smoke=200, full=HELD)}
    if lab.size == "full":
        settings |= {"epochs": EPOCHS, "rate": TUNED[contender][box != "none"]}
    if contender == OURS:
        return replace(ours, **settings)
    settings |= {"readout": "block"} if contender == LOCAL else {"gradient": contender}
    return replace(twin, **settings)


def cells(lab: Lab, box: str, drift: float, names: tuple[str, ...]) -> dict[str, Cell]:
    """Train contenders with one type of box at one drift from each seed; return the results by contender."""
    data, recipes = images(lab), {name: recipe(lab, name, box, drift) for name in names}
    contenders = {f"black-box-{name}": Contender(recipe=recipes[name]) for name in names}
    contest = lab.contest(
        contenders,
        lab.pick(smoke=(small, small_twin), full=(boxed, boxed_twin)),
        data,
        lab.pick(smoke=[0], full=lab.seeds),
    )
    return {name: cell(contest.attempts(f"black-box-{name}"), recipes[name], data) for name in names}


def cell(runs: list[Run | None], recipe: Recipe, data: Dataset) -> Cell:
    """Return the results of a contender.

    Args:
        runs: the run of each seed, possibly at a lower rate than that of ``recipe``; ``None`` if all rates diverged.
        recipe: the recipe with the original rate.
        data: the data set.
    """
    learned = [run if run is not None and run.recipe.rate == recipe.rate else None for run in runs]
    complete = [run for run in learned if run is not None]
    test, chance = best_test(complete), 100 * (1 - 1 / data.classes)
    tests = [None if run is None else tested(run, data) for run in learned]
    layers = [test.metrics["layer_error"] for test in tests if test and "layer_error" in test.metrics]
    return Cell(
        test,
        [percent(result.error[test]) if result else chance for result in tests],
        [
            [percent(epoch["validation_error"][test]) for epoch in run.history] if run else [chance] * recipe.epochs
            for run in learned
        ],
        [run.result.seconds for run in complete],
        round(reads(complete[0], data), 3) if complete else 0.0,
        [percent(fmean(errors)) for errors in zip(*layers, strict=True)],
        [
            percent(tested(run, data).error[best_test([run])]) if run else chance
            for run, original in zip(runs, learned, strict=True)
            if original is None
        ],
    )


def best_test(runs: list[Run]) -> str:
    """Return the name of the test with the smallest mean error on held-out images; ``none`` if there are no runs."""
    tests = runs[0].result.error if runs else ()
    return min(tests, key=lambda test: fmean(run.result.error[test] for run in runs), default="none")


def tested(run: Run, data: Dataset) -> Evaluation:
    """Evaluate the trained net of a run on the test set."""
    return evaluate(run.net, *(tensor.to(run.net.device) for tensor in data.test))


def reads(run: Run, data: Dataset) -> float:
    """Return the number of rows that went through each box in the last epoch, per training image; 0 without boxes."""
    boxes = sum(1 for _ in boxes_in(run.net))
    cases: int = len(data.train_labels) - run.recipe.validation
    rows: int = run.history[-1].get("box_reads", 0)
    return rows / cases / max(1, boxes)


def best(row: Mapping[str, Cell]) -> tuple[str, float]:
    """Return the contender with the smallest error among those that do not know the box, and its error in percent."""
    errors = {name: fmean(row[name].error) for name in CONTENDERS if name not in WHITE_BOX}
    name = min(errors, key=errors.__getitem__)
    return name, max(errors[name], 1e-9)


def lower(rows: Rows, names: Iterable[str]) -> dict[str, dict[str, list[float]]]:
    """Return, by box and drift and by contender, the errors at lower rates of the runs that diverged (`Cell.lower`)."""
    errors = {row: {name: cells[name].lower for name in names if cells[name].lower} for row, cells in rows.items()}
    return {row: by_name for row, by_name in errors.items() if by_name}


def times(epochs: list[int | None], without: list[int | None]) -> float | None:
    """Return the mean epochs with a box divided by those without; ``None`` if a run did not reach the error."""
    reached, base = ([number for number in numbers if number is not None] for numbers in (epochs, without))
    complete = len(reached) == len(epochs) and len(base) == len(without)
    return round(fmean(reached) / fmean(base), 3) if complete else None


# ---- tables and plot -----------------------------------------------------------------------------------------------


def _plain(name: str) -> str:
    return name.replace("_", " ")


@table("black-box", "claims/black-box.json")
def by_box(record: Record) -> str:
    """Tabulate errors by box, drift and contender, the smallest by a contender that does not know the box in bold."""
    ours, theirs = record["measured"]["error %"], record["twin"]["error %"]
    rows = [["none", spread(ours["none"]), spread(theirs["none"][TWIN]), *["-"] * (len(CONTENDERS) - 1)]]
    for row in [row for row in ours if row != "none"]:
        errors = {OURS: ours[row], **{name: theirs[row][name] for name in CONTENDERS}}
        least = min(error["mean"] for name, error in errors.items() if name not in WHITE_BOX)
        bold = {name for name, error in errors.items() if name not in WHITE_BOX and error["mean"] == least}
        texts = {name: spread(error) for name, error in errors.items()}
        rows.append([_plain(row), *(f"**{text}**" if name in bold else text for name, text in texts.items())])
    return markdown(["box", "Forward-Forward", *map(_plain, CONTENDERS)], rows)


@table("black-box-goal", "claims/black-box.json")
def goal(record: Record) -> str:
    """State with which boxes and drifts the error is at most half of that of the best contender without knowledge."""
    half, less, ratios = (record["measured"][name] for name in ("at most half of it in", "less in", RATIO))
    rows, fewer, rest = (
        f"{len(ratios)} rows",
        len(half) + len(less),
        "the best contender that is told nothing of the box",
    )
    text = (
        f"In {len(half)} of {rows} Forward-Forward errs at most half as often as {rest}: {', '.join(half)}."
        if half
        else f"In none of {rows} does Forward-Forward err at most half as often as {rest}."
    )
    return (
        f"{text} It errs less often in {fewer} of them and as often or more in {len(ratios) - fewer}; its error is "
        f"{min(ratios.values()):.2f} to {max(ratios.values()):.2f} times that of the best of the others.\n"
    )


@table("black-box-cost", "claims/black-box.json")
def cost(record: Record) -> str:
    """Tabulate how much a box without drift raises the error of Forward-Forward and the oracle, and the epochs."""
    measured = record["measured"]
    epochs, ratios, oracle = (measured[name] for name in ("epochs to", "times the epochs", LOST_ORACLE))
    numbers = {row: ", ".join(str(count or "never") for count in epochs[row]) for row in ("none", *ratios)}
    rows = [
        [_plain(box), f"{lost:.2f}", f"{oracle[box]:.2f}", numbers[box], f"{ratios[box]:.2f}" if ratios[box] else "-"]
        for box, lost in measured[LOST].items()
    ]
    head = f"epochs to {epochs['held-out error %']:.2f} % held-out error (without a box: {numbers['none']})"
    return markdown(["still box", "lost, points", "lost by the oracle, points", head, "times the epochs"], rows)


@table("black-box-layers", "claims/black-box.json")
def by_layer(record: Record) -> str:
    """Tabulate the error of Forward-Forward by the goodness of each layer alone."""
    layers = record["measured"]["layer error %"]
    rows = [[_plain(row), *(f"{error:.1f}" for error in errors)] for row, errors in layers.items()]
    return markdown(["box", *(f"layer {number}, %" for number in range(1, len(rows[0])))], rows)


@CLAIM.draw
def draw_black_box(record: Record, path: Path, lab: Lab) -> Path:
    """Plot the error of every contender against the drift, with a panel for each type of box."""
    from twofold.plots.canvas import label_axes, legend, subplots, suptitle, write
    from twofold.plots.colors import NEGATIVE, POSITIVE, TESTS
    from twofold.plots.colors import TWIN as GREY
    from twofold_lab.drawing import lines

    ours, theirs = record["measured"]["error %"], record["twin"]["error %"]
    looks = [(form, color) for form in ("s-", "^--") for color in (*TESTS, NEGATIVE)]
    styles = dict(zip([name for name in CONTENDERS if name not in WHITE_BOX], looks, strict=False))
    styles |= dict(zip(WHITE_BOX, [("o-", GREY), ("o:", GREY)], strict=True))
    rows = [row.split(", ") for row in ours if row != "none"]
    boxes, drifts = (list(dict.fromkeys(names)) for names in zip(*rows, strict=True))
    figure, [axes] = subplots(1, len(boxes), 4.4, 4.8)
    for ax, box in zip(axes, boxes, strict=True):
        label_axes(ax, _plain(box), "by batch", "error, % of test images" if ax is axes[0] else "")
        own, twins = ([side[f"{box}, {drift}"] for drift in drifts] for side in (ours, theirs))
        series = {_plain(name): ([row[name] for row in twins], *style) for name, style in styles.items()}
        lines(ax, None, {**series, "Forward-Forward": (own, "o-", POSITIVE)}, lw=1.2, ms=4)
        ax.plot(range(len(drifts)), [error["mean"] for error in own], color=POSITIVE, lw=2.6)
        ax.axhline(ours["none"]["mean"], color=POSITIVE, linestyle=":", linewidth=1.2)
        ax.set_xticks(range(len(drifts)), drifts)
    legend(axes[0], 2)
    suptitle(
        figure,
        "Black boxes behind the second and the fourth of six layers",
        "dotted: Forward-Forward without boxes; grey: contenders that know the box",
    )
    return write(figure, path)
