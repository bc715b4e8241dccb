"""A hundred trillion connections can run on thirty watts (talk 41:38).

This is an ESTIMATE. Multiply-adds, bytes, conversions, and reads and updates of devices are counted and multiplied by
published energies, which are ranges from low to high (``twofold_lab/energy.py`` has the sources and states what is
omitted). Nothing in the estimate is random, and the published energies decide the outcome: the record states what
published hardware could do, not what a machine did.

* A net as large as the talk's brain, 10^14 connections with 10^4 inputs for each unit, on digital and on analog
  hardware, at one pass a second (about as often as a cortical neuron is active), and learning from one case a second.
  Also reported is the number of passes a second that take thirty watts.
* The recipe's net and its twin (smoke: small nets on digits; full: the recipe ``mnist``): joules of a training step and
  of a test for each image, and of the complete training. The softmax is omitted for both nets. The work of all cases is
  counted in full, although the program saves work with Forward-Forward: it leaves cases out of gradients, and computes
  the product of the first layer with the pixels once for several passes. The multiply-adds that the program computes
  are reported next to the counted ones.
* The readings of the machine's energy counters over up to a hundred training steps; the record states if the machine
  has no counters.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from twofold.recipes.mnist import mnist
from twofold.recipes.mnist import twin as mnist_twin
from twofold.training.runs import Run
from twofold.training.trainer import Trainer
from twofold_lab import energy, feedforward
from twofold_lab.claim import Claim, Finding, Headline, Record
from twofold_lab.energy import BRAIN_CONNECTIONS, BRAIN_WATTS, HARDWARE, LEARNERS, Passes, Range
from twofold_lab.figures import errors
from twofold_lab.lab import Lab
from twofold_lab.tables import markdown, table
from twofold_lab.verdict import ESTIMATE, Figures, Verdict

FAN_IN = 10_000
"""Inputs of each unit of the brain-sized net."""
BLOCK = (FAN_IN, FAN_IN)
"""Numbers of inputs and units of a block; `BRAIN_CONNECTIONS` / `FAN_IN`² blocks make the brain-sized net."""
STEPS = 100
"""Largest number of training steps that the energy counters measure."""
BRAIN, PASS, LEARNING = "brain-sized net", "watts, one pass a second", "watts, learning from one case a second"
WORK = ("training step", "slow test", "fast test")

Ranges = Mapping[str, Sequence[float]]
"""Hardware -> low and high end of an estimated range."""


CLAIM = Claim(
    "power",
    time="41:38",
    says="A hundred trillion connections can run on thirty watts.",
    headline=Headline("watts, analog", "a hundred trillion connections at 30 W", (BRAIN, PASS, "analog"), ()),
)


def estimate(watts: Ranges, hardware: str) -> Verdict:
    """State the range of the watts of ``hardware``, and how much of the range is within the watts of the brain."""
    low, high = watts[hardware]
    where = "all of it" if high <= BRAIN_WATTS else "the low end" if low <= BRAIN_WATTS else "none of it"
    return Verdict(ESTIMATE, f"{low:.3g} to {high:.3g} W: {where} is within {BRAIN_WATTS:g} W")


@CLAIM.clause(
    "analog hardware can",
    "1e14 connections at one pass a second take at most 30 W on analog hardware, at the low end",
)
def _on_analog(figures: Figures) -> Verdict:
    return estimate(figures.measured[BRAIN][PASS], "analog")


@CLAIM.clause("digital hardware cannot", "they take more than 30 W on digital hardware, even at the low end")
def _on_digital(figures: Figures) -> Verdict:
    return estimate(figures.measured[BRAIN][PASS], "digital")


@CLAIM.clause(
    "analog hardware can learn, too",
    "Forward-Forward from one case a second takes at most 30 W on analog hardware, at the low end",
)
def _learning(figures: Figures) -> Verdict:
    return estimate(figures.measured[BRAIN][LEARNING][LEARNERS[0]], "analog")


@CLAIM.measure
def power(lab: Lab) -> Finding:
    recipes = zip(LEARNERS, feedforward.pair(lab, mnist, mnist_twin), strict=True)
    ours, twin = ({learner: costs(lab, learner, lab.train(recipe, "power"))} for learner, recipe in recipes)
    return Finding({"estimate": True, BRAIN: brain(), **ours}, twin, [0])


def brain() -> dict[str, Any]:
    """Return the ESTIMATED watts of a brain-sized net, and the verdicts on these watts."""
    one_pass = {hardware: watts(hardware, energy.inference(1)) for hardware in HARDWARE}
    learning = {
        learner: {hardware: watts(hardware, energy.step(learner)) for hardware in HARDWARE} for learner in LEARNERS
    }
    return {
        "joules for each connection and second": energy.brain_joules(),
        PASS: one_pass,
        LEARNING: learning,
        "passes a second for 30 W": {
            hardware: [short(BRAIN_WATTS / end) for end in reversed(ends)] for hardware, ends in one_pass.items()
        },
        "verdict": verdict(one_pass),
        "verdict on learning": verdict(learning[LEARNERS[0]]),
    }


def watts(hardware: str, passes: Passes) -> list[float]:
    """Return the ESTIMATED watts, low and high, of a brain-sized net that does ``passes`` once a second."""
    blocks = BRAIN_CONNECTIONS / FAN_IN**2
    return ends_of(energy.joules(counts(hardware, BLOCK, passes, batch=1)).times(blocks))


def counts(hardware: str, widths: tuple[int, ...], passes: Passes, batch: int) -> dict[str, Range]:
    return energy.digital(widths, passes, batch) if hardware == "digital" else energy.analog(widths, passes)


def verdict(watts: Ranges) -> str:
    """Return the verdict on the low ends of the watts.

    The verdict is ``refuted`` if analog hardware needs more than 30 W, ``holds`` if only digital hardware does, and
    ``undecided`` if neither does.
    """
    if watts["analog"][0] > BRAIN_WATTS:
        return "refuted"
    return "holds" if watts["digital"][0] > BRAIN_WATTS else "undecided"


def costs(lab: Lab, learner: str, run: Run) -> dict[str, Any]:
    """Return the ESTIMATED joules of a trained net, and the counted multiply-adds, energy readings and errors."""
    recipe, dataset = run.recipe, lab.data(run.recipe.data)
    widths, passes, step = (run.net.stack[0].inputs, *recipe.widths), run.net.passes(), energy.step(learner)
    tests = {f"{test} test": energy.inference(passes[test]) for test in passes if test in ("slow", "fast")}
    joules = {
        work: {hardware: energy.joules(counts(hardware, widths, done, recipe.batch)) for hardware in HARDWARE}
        for work, done in {"training step": step, **tests}.items()
    }
    images = sum(metrics["visits"] for metrics in run.history) * len(dataset.train_labels)
    counted = counts("digital", widths, step, recipe.batch)["multiply-adds"].low
    computed, readings = run_steps(run, lab)
    return {
        **{
            f"joules for an image, {work}": {hardware: ends_of(ends) for hardware, ends in by_hardware.items()}
            for work, by_hardware in joules.items()
        },
        "joules of the whole training": {
            hardware: ends_of(ends.times(images)) for hardware, ends in joules["training step"].items()
        },
        "images seen": round(images),
        "multiply-adds for an image of a step, counted": round(counted),
        "multiply-adds for an image of a step, in the program": round(computed),
        "measured joules for an image of a step": readings or "this machine has no energy counter that can be read",
        **errors(run),
    }


def run_steps(run: Run, lab: Lab) -> tuple[float, dict[str, float]]:
    """Train a copy of a net for up to `STEPS` more steps.

    Returns:
        The multiply-adds that the program computes per image, and energy counter -> measured joules per image.
    """
    from twofold_lab.benchmarks.operations import operations  # benchmarks import matplotlib

    recipe, dataset = run.recipe, lab.data(run.recipe.data)
    images, labels = (tensor[: STEPS * recipe.batch] for tensor in dataset.train)
    trainer = Trainer(copy.deepcopy(run.net), recipe, (images, labels))
    readings = energy.measure(lambda: trainer.epoch(0))
    seen = trainer.method.sampler.visits * len(labels)
    device = run.net.device
    batch = trainer.method.batch(torch.arange(recipe.batch, device=device), torch.ones(recipe.batch, device=device))
    computed = operations(lambda: trainer.method.step(batch, 0.0)) / 2 / recipe.batch
    return computed, {counter: short(total / seen) for counter, total in readings.items()}


def ends_of(quantity: Range) -> list[float]:
    return [short(quantity.low), short(quantity.high)]


def short(value: float) -> float:
    return float(f"{value:.3g}")


# ---- table and plot ------------------------------------------------------------------------------------------------


@table("power", "claims/power.json")
def ranges_table(record: Record) -> str:
    """Tabulate the estimated ranges of watts and joules, from low to high."""
    figures = record["measured"][BRAIN]
    rows = [["10^14 connections, one pass a second", "W", *texts(figures[PASS])]]
    for learner, ends in figures[LEARNING].items():
        rows.append([f"the same, learning by {learner} from one case a second", "W", *texts(ends)])
    rows += [[f"{work}, an image", "J", *texts(ends)] for work, ends in of_images(record).items()]
    return markdown(["ESTIMATE", "", "digital, low to high", "analog, low to high"], rows)


def texts(ends: Ranges) -> list[str]:
    return [f"{low:.2g} to {high:.2g}" for low, high in (ends[hardware] for hardware in HARDWARE)]


def of_images(record: Record) -> dict[str, Ranges]:
    """Return learning rule and type of work -> ranges of joules per image."""
    sides = dict(zip(LEARNERS, (record["measured"], record["twin"]), strict=True))
    names = [(learner, work) for learner in LEARNERS for work in WORK]
    joules = {f"{name}, {work}": sides[name][name].get(f"joules for an image, {work}") for name, work in names}
    return {name: ends for name, ends in joules.items() if ends}


@CLAIM.draw
def picture(record: Record, path: Path, _: Lab) -> Path:
    """Plot the ranges of energy as bars, with the brain's watts."""
    from twofold.plots.canvas import label_axes, subplots, suptitle, write
    from twofold.plots.colors import INK, POSITIVE, TWIN

    figures, joules = record["measured"][BRAIN], of_images(record)
    watts = {"a pass": figures[PASS], **{f"learning, {name}": ends for name, ends in figures[LEARNING].items()}}
    figure, [[left, right]] = subplots(1, 2, 6.0, 1.2 + 0.6 * max(len(watts), len(joules)))
    for ax, ranges, title, unit in (
        (left, watts, "10^14 connections, once a second", "watts"),
        (right, joules, "The trained nets, for each image", "joules"),
    ):
        label_axes(ax, title, unit, "")
        ax.grid(visible=False)
        for row, ends in enumerate(reversed(list(ranges.values()))):
            for hardware, offset, color in zip(HARDWARE, (0.18, -0.18), (TWIN, POSITIVE), strict=True):
                ax.plot(ends[hardware], [row + offset] * 2, lw=8, color=color, solid_capstyle="butt", label=hardware)
        ax.set(xscale="log", ylim=(-0.6, len(ranges) - 0.2))
        ax.set_yticks(range(len(ranges)), list(ranges)[::-1], fontsize=11)
    left.axvline(BRAIN_WATTS, color=INK, lw=1.2, ls="--")
    left.text(BRAIN_WATTS, len(watts) - 0.45, f" {BRAIN_WATTS:g} W", fontsize=11, color=INK)
    handles, labels = left.get_legend_handles_labels()
    right.legend(handles[: len(HARDWARE)], labels[: len(HARDWARE)], fontsize=10.5, frameon=False)
    suptitle(
        figure,
        "ESTIMATED energy, from low to high",
        "an estimate from counts and published constants, not a measurement; each bar is a range",
    )
    return write(figure, path)
