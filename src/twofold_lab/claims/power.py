"""Claim (talk 41:38): a hundred trillion connections can run on thirty watts.

An ESTIMATE: counts of multiply-adds, bytes, conversions, reads and updates of devices, times published energies, each a
range from low to high (``claims/energy.py``, with sources and what is left out). Nothing in it is random, and the
constants decide the outcome: the record says what published hardware could do, not what any machine did.

* A net as large as the talk's brain, 10^14 connections with 10^4 inputs for each unit, on digital and on analog
  hardware, one pass a second (so many times a second a cortical neuron is active, about), and learning from one case a
  second. Beside it how many passes a second thirty watts pay for.
* The recipe's net and its twin (smoke: small nets on digits; full: the recipe ``mnist``): joules of a training step and
  of a test for each image, and of the whole training. Softmaxes are left out on both sides. All cases are counted
  whole: that Forward-Forward leaves cases out of its gradients, and shares the first product between passes, saves more
  on a digital machine; the program's own multiply-adds are beside the counted ones.
* What the machine's energy counters say of up to a hundred steps, where it has any; else the record says that there are
  none.

Rule: on analog hardware the low end of one pass a second is at most 30 W, so that it is within reach of published
devices, and on digital hardware even the low end is above 30 W. It is refuted if the low end on analog hardware is
above 30 W. The same verdict on learning is reported beside it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from twofold.training.runs import Run
from twofold.training.trainer import Trainer
from twofold_lab.energy import (
    BRAIN_CONNECTIONS,
    BRAIN_WATTS,
    HARDWARE,
    LEARNERS,
    Passes,
    Range,
    analog,
    brain_joules,
    digital,
    inference,
    joules,
    measured,
    step,
)
from twofold_lab.lab import Finding, Lab, errors

FAN_IN = 10_000
"""Inputs of each unit of the brain-sized net."""
BLOCK = (FAN_IN, FAN_IN)
"""A layer of so many inputs and units; `BRAIN_CONNECTIONS` / FAN_IN² of them make the net."""
STEPS = 100
"""Steps that the counters measure, at most."""


def power(lab: Lab) -> Finding:
    """Measure the claim ``power``."""
    name, recipe, twin_name, twin_recipe = lab.recipe()
    runs = dict(zip(LEARNERS, (lab.train(recipe, name), lab.train(twin_recipe, twin_name)), strict=True))
    sides = {learner: _costs(lab, learner, run) for learner, run in runs.items()}
    brain: dict[str, Any] = {
        "joules for each connection and second": brain_joules(),
        "watts, one pass a second": {where: watts(where, inference(1)) for where in HARDWARE},
        "watts, learning from one case a second": {
            learner: {where: watts(where, step(learner)) for where in HARDWARE} for learner in LEARNERS
        },
    }
    passes = brain["watts, one pass a second"]
    brain["passes a second for 30 W"] = {
        where: [_short(BRAIN_WATTS / each) for each in reversed(passes[where])] for where in HARDWARE
    }
    brain["verdict"] = verdict(passes)
    brain["verdict on learning"] = verdict(brain["watts, learning from one case a second"][LEARNERS[0]])
    return Finding(
        holds=brain["verdict"] == "holds",
        rule="ESTIMATE from published constants: 1e14 connections, one pass a second, on analog hardware take at most "
        "30 W at the low end, on digital hardware more than 30 W even at the low end",
        talk="a hundred trillion connections at 30 W",
        measured={"estimate": True, "brain-sized net": brain, LEARNERS[0]: sides[LEARNERS[0]]},
        twin={LEARNERS[1]: sides[LEARNERS[1]]},
        seeds=[recipe.seed],
    )


def watts(where: str, passes: Passes) -> list[float]:
    """The ESTIMATED watts, low and high, of a brain-sized net that does this once a second."""
    blocks = BRAIN_CONNECTIONS / FAN_IN**2
    return _listed(joules(counts(where, BLOCK, passes, batch=1)).times(blocks))


def counts(where: str, widths: tuple[int, ...], passes: Passes, batch: int) -> dict[str, Range]:
    """What is counted on that hardware for one case."""
    return digital(widths, passes, batch) if where == "digital" else analog(widths, passes)


def verdict(watts: Mapping[str, list[float]]) -> str:
    """``holds``, ``refuted`` or ``undecided`` of watts, low and high, by hardware, as the rule says."""
    if watts["analog"][0] > BRAIN_WATTS:
        return "refuted"
    return "holds" if watts["digital"][0] > BRAIN_WATTS else "undecided"


def _costs(lab: Lab, learner: str, run: Run) -> dict[str, Any]:
    """What a trained net costs for each image, ESTIMATED, and what the counters of the machine say."""
    from twofold_lab.benchmarks.operations import operations  # here, since benchmarks draw, and the laboratory does not

    dataset, recipe = lab.data(run.recipe.data), run.recipe
    widths = (run.net.stack[0].inputs, *recipe.widths)
    tests = {test: inference(passes) for test, passes in run.net.passes().items() if test in ("slow", "fast")}
    work = {"training step": step(learner), **{f"{test} test": passes for test, passes in tests.items()}}
    images = sum(metrics["visits"] for metrics in run.history) * len(dataset.train_labels)
    each = {
        name: {where: joules(counts(where, widths, passes, recipe.batch)) for where in HARDWARE}
        for name, passes in work.items()
    }
    first = slice(STEPS * recipe.batch)
    trainer = Trainer(copy.deepcopy(run.net), recipe, (dataset.train_images[first], dataset.train_labels[first]))
    found = measured(lambda: trainer.epoch(0))
    seen = trainer.method.sampler.visits * len(dataset.train_labels[first])
    cases = torch.arange(recipe.batch, device=run.net.device)
    batch = trainer.method.batch(cases, torch.ones(recipe.batch, device=run.net.device))
    own = operations(lambda: trainer.method.step(batch, 0.0)) / 2 / recipe.batch
    return {
        **{
            f"joules for an image, {name}": {where: _listed(one[where]) for where in HARDWARE}
            for name, one in each.items()
        },
        "joules of the whole training": {
            where: _listed(each["training step"][where].times(images)) for where in HARDWARE
        },
        "images seen": round(images),
        "multiply-adds for an image of a step, counted": round(
            counts("digital", widths, work["training step"], recipe.batch)["multiply-adds"].low
        ),
        "multiply-adds for an image of a step, in the program": round(own),
        "measured joules for an image of a step": {counter: _short(total / seen) for counter, total in found.items()}
        or "this machine has no energy counter that can be read",
        **errors(run),
    }


def _listed(found: Range) -> list[float]:
    return [_short(found.low), _short(found.high)]


def _short(value: float) -> float:
    return float(f"{value:.3g}")


# ---- the picture ---------------------------------------------------------------------------------------------------


def draw_power(lab: Lab, path: Path, record: Mapping[str, Any] | None = None) -> Path:
    """Draw the ranges of energy, the talk's brain beside them.

    Args:
        lab: the laboratory that has the nets, or trains them, if there is no record.
        path: the PNG to write.
        record: the kept record of the claim.
    """
    from twofold_lab.claims.plots import power as plots

    found = record or asdict(power(lab))
    brain = found["measured"]["brain-sized net"]
    sides = dict(zip(LEARNERS, (found["measured"][LEARNERS[0]], found["twin"][LEARNERS[1]]), strict=True))
    return plots.ranges(
        {
            "a pass": brain["watts, one pass a second"],
            **{f"learning, {name}": each for name, each in brain["watts, learning from one case a second"].items()},
        },
        {
            f"{name}, {work}": each[f"joules for an image, {work}"]
            for name, each in sides.items()
            for work in ("training step", "slow test", "fast test")
            if f"joules for an image, {work}" in each
        },
        path,
    )
