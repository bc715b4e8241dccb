"""Forward-Forward runs on analog hardware that is noisy, unknown and never the same twice (talk 35:54).

Nets learn on simulated devices of the preset ``bench``: mismatch 20 %, read noise 5 %, thresholds that spread by 10 %,
drift of 10 % over the run, updates in 6-bit pulses (smoke: digits; full: MNIST, 3 x 500, 10,000 images). The compared
learning rules are those of ``devices.py``, all tuned by the same grid on these devices. Every seed makes another
device.

* Error: the error of the fast test is measured for every learning rule on the device; for nets that learned without a
  device (*ideal*), by Forward-Forward and by backprop; for these ideal nets programmed into the device (*deployed*);
  and for a softmax on layers that keep their initial weights. The error of the slow test of Forward-Forward is reported
  too; there, the compared reads have independent noise.
* Sweep: the same errors with mismatches from 0 to 100 %. All other properties are those of the preset.
* Recovery: the error of a trained device after a jump, and while the device learns for another epoch. A *drift* jump
  changes each weight as far as the drift during 25 trainings would, by about half of the root mean square of the
  weights. A *swap* jump programs the weights into another device. The learning rate is the tuned one, with the schedule
  of a training of one epoch. Backprop with the chip in the loop is measured in the same way.

Besides the verdict of each rule, the record has a verdict on the claim as a whole. It is ``refuted`` if the error of
Forward-Forward is more than 2 points (smoke: 20) above the ideal error. No rule compares Forward-Forward with other
learning rules; the record names the learning rule with the smallest error at each mismatch.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from twofold.substrate import PRESETS, Substrate, drift
from twofold.training.trainer import Trainer
from twofold_lab import devices
from twofold_lab.claim import Claim, Finding, Headline, Record
from twofold_lab.devices import CHIP, LEARNERS, OURS, Device, Net, error_of, images, mean_error, trained
from twofold_lab.lab import Lab
from twofold_lab.tables import markdown, spread, table
from twofold_lab.verdict import Figures, Verdict, at_most

BENCH = PRESETS["bench"]
RUNS = 25
"""Number of trainings with as much drift as a jump."""
TESTED_AFTER = (1, 3, 10, 30)
"""Numbers of batches of learning after which a device is tested."""
JUMPS = ("drift", "swap")
IDEAL_ERROR, BENCH_ERROR, BY_MISMATCH = "error %, without a device", "error %, preset bench", "error % by mismatch"

CLAIM = Claim(
    "analog",
    time="35:54",
    says="It runs on analog hardware that is noisy, unknown and never the same twice.",
    headline=Headline(
        BENCH_ERROR,
        "runs on hardware that is noisy, unknown and never the same twice",
        twin=(BY_MISMATCH, f"{BENCH.mismatch:g}", CHIP),
    ),
)


@CLAIM.clause(
    "learns on devices almost as well as without",
    "at the preset bench, the mean error is at most 0.5 points (smoke: 8) above that without a device",
)
def _near_ideal(figures: Figures) -> Verdict:
    return at_most(figures.of(BENCH_ERROR), figures.of(IDEAL_ERROR).plus(figures.pick(smoke=8.0, full=0.5)))


def _recovers(jump: str, figures: Figures) -> Verdict:
    recovery = figures.measured["recovery"][jump]
    percents = {"before %": recovery["before"], "after %": recovery["after"][-1]}
    before, after = (replace(figures, measured=percents).of(name) for name in percents)
    return at_most(after, before.plus(figures.pick(smoke=8.0, full=0.5)))


for _jump in JUMPS:
    CLAIM.clause(
        f"recovers from a {_jump}",
        f"one epoch after a {_jump}, the mean error is at most 0.5 points (smoke: 8) above that before it",
    )(partial(_recovers, _jump))


@CLAIM.measure
def analog(lab: Lab) -> Finding:
    mismatches = lab.pick(smoke=(0.2,), full=(0.0, 0.05, 0.1, 0.2, 0.5, 1.0))
    ideal = {learner: [trained(lab, learner, Device(), seed) for seed in lab.seeds] for learner in (OURS, CHIP)}
    alone = {learner: mean_error(lab, nets) for learner, nets in ideal.items()}
    sweep = {f"{mismatch:g}": compare(lab, ideal, replace(BENCH, mismatch=mismatch)) for mismatch in mismatches}
    recovery = {learner: {jump: recover(lab, learner, jump) for jump in JUMPS} for learner in (OURS, CHIP)}
    on_bench = [trained(lab, OURS, Device(BENCH, seed), seed, BENCH) for seed in lab.seeds]
    preset = sweep[f"{BENCH.mismatch:g}"][OURS]
    worse = preset["mean"] - alone[OURS]["mean"]
    allowed, refuting = lab.pick(smoke=(8.0, 20.0), full=(0.5, 2.0))
    left = {jump: figures["after"][-1] - figures["before"] for jump, figures in recovery[OURS].items()}
    holds = worse <= allowed and all(points <= allowed for points in left.values())
    ours, others = (
        {
            mismatch: {name: error for name, error in errors.items() if name.startswith(OURS) == wanted}
            for mismatch, errors in sweep.items()
        }
        for wanted in (True, False)
    )
    measured = {
        "verdict": "holds" if holds else "refuted" if worse > refuting else "undecided",
        IDEAL_ERROR: alone[OURS],
        BENCH_ERROR: preset,
        "points above ideal": round(worse, 3),
        "slow error %": {
            "without a device": mean_error(lab, ideal[OURS], "slow"),
            "preset bench": mean_error(lab, on_bench, "slow"),
        },
        "error %, softmax on layers as drawn": mean_error(lab, (as_drawn(lab, seed) for seed in lab.seeds)),
        BY_MISMATCH: ours,
        "best by mismatch": {mismatch: best(errors) for mismatch, errors in sweep.items()},
        "recovery": recovery[OURS],
        "points left one epoch after the jump": {jump: round(points, 3) for jump, points in left.items()},
    }
    return Finding(measured, {IDEAL_ERROR: alone[CHIP], BY_MISMATCH: others, "recovery": recovery[CHIP]}, lab.seeds)


def compare(lab: Lab, ideal: Mapping[str, list[Net]], substrate: Substrate) -> dict[str, dict[str, float]]:
    """Return the errors of every learning rule on devices of a design, and of ideal nets on the same devices."""
    chips = [Device(substrate, seed) for seed in lab.seeds]
    errors = {
        learner: mean_error(lab, [trained(lab, learner, chip, chip.seed, BENCH) for chip in chips])
        for learner in LEARNERS
    }
    for learner, nets in ideal.items():
        copies = [devices.deployed(net, lab, learner, chip) for net, chip in zip(nets, chips, strict=True)]
        errors[f"{OURS if learner == OURS else 'backprop'}, deployed"] = mean_error(lab, copies)
    return errors


def best(errors: Mapping[str, Mapping[str, float]]) -> str:
    """Return the learning rule with the smallest mean error, except the oracle, since no device can provide it."""
    return min((name for name in errors if name != "known derivative"), key=lambda name: errors[name]["mean"])


def as_drawn(lab: Lab, seed: int) -> Net:
    """Return a net on a device of the preset whose layers keep their initial weights and whose softmax has learned."""
    recipe = devices.recipe_of(lab, OURS, seed)
    return devices.training(lab, OURS, Device(BENCH, seed), recipe, images(lab), "as-drawn").train(1e-9)


def recover(lab: Lab, learner: str, jump: str) -> dict[str, Any]:
    """Make the weights of trained devices jump, and train the devices for another epoch.

    Returns:
        Errors in percent, mean over devices: ``before`` the jump, and ``after`` the jump, as a list for the numbers of
        batches learned since the jump. These numbers are ``batches``.
    """
    before, after, batches = [], [], list[int]()
    for seed in lab.seeds:
        net = copy.deepcopy(trained(lab, learner, Device(BENCH, seed), seed, BENCH))
        before.append(error_of(net, images(lab)))
        if jump == "swap":
            net = devices.deployed(net, lab, learner, Device(BENCH, seed + 100))
        else:
            drift(net, RUNS * devices.updates(devices.recipe_of(lab, learner), images(lab)))
        errors = learn_on(lab, learner, net, seed)
        after.append(errors.values())
        batches = list(errors)
    means = [round(fmean(errors), 3) for errors in zip(*after, strict=True)]
    return {"before": round(fmean(before), 3), "after": means, "batches": batches}


def learn_on(lab: Lab, learner: str, net: Net, seed: int) -> dict[int, float]:
    """Train a device for another epoch; return number of batches learned -> error of the device in percent."""
    dataset, recipe = images(lab), replace(devices.tuned(lab, learner, BENCH, seed + 1), epochs=1)
    errors = {0: error_of(net, dataset)}

    def test(trainer: Trainer, *_: Any) -> None:
        if trainer.method.batches_seen in TESTED_AFTER:
            errors[trainer.method.batches_seen] = error_of(net, dataset)

    trainer = Trainer(net, recipe, dataset.train, on_batch=test)
    trainer.run()
    errors[trainer.method.batches_seen] = error_of(net, dataset)
    return errors


# ---- tables and plot -----------------------------------------------------------------------------------------------


def _sweep(record: Record) -> dict[str, dict[str, Any]]:
    """Return mismatch -> learning rule -> error, of both sides of the record."""
    ours, twin = (record[side][BY_MISMATCH] for side in ("measured", "twin"))
    return {mismatch: {**ours[mismatch], **twin[mismatch]} for mismatch in ours}


@table("analog", "claims/analog.json")
def by_mismatch(record: Record) -> str:
    """Tabulate errors by learning rule and mismatch, with the smallest error without an oracle in bold."""
    best, sweep, rows = record["measured"]["best by mismatch"], _sweep(record), []
    for learner in next(iter(sweep.values())):
        texts = {mismatch: spread(errors[learner]) for mismatch, errors in sweep.items()}
        rows.append([learner, *(f"**{text}**" if best[name] == learner else text for name, text in texts.items())])
    for name, side in (("forward-forward", "measured"), ("backprop", "twin")):
        rows.append([f"{name}, without a device", *[spread(record[side][IDEAL_ERROR])] * len(sweep)])
    return markdown(["learner", *(f"mismatch {100 * float(mismatch):g} %" for mismatch in sweep)], rows)


@table("recovery", "claims/analog.json")
def after_jumps(record: Record) -> str:
    """Tabulate the errors before and after each jump by the number of batches learned since the jump."""
    rows, batches = [], []
    for learner, side in ((OURS, "measured"), (CHIP, "twin")):
        for jump, recovery in record[side]["recovery"].items():
            batches = recovery["batches"]
            rows.append([learner, jump, *(f"{error:.2f}" for error in (recovery["before"], *recovery["after"]))])
    return markdown(["learner", "jump", "before", *(f"after {number} batches" for number in batches)], rows)


@CLAIM.draw
def draw_analog(record: Record, path: Path, lab: Lab) -> Path:
    """Plot the error by mismatch for every learning rule (left), and the error after each jump (right)."""
    from twofold.plots.canvas import label_axes, legend, subplots, suptitle, write
    from twofold.plots.colors import INK, NEGATIVE, POSITIVE, TESTS, TWIN
    from twofold_lab.drawing import lines

    ours, twin, sweep = record["measured"], record["twin"], _sweep(record)
    looks = zip(("o-", "s-", "^-", "v:", "D:", "o:", "s:"), (POSITIVE, INK, NEGATIVE, *TESTS[:3], TWIN), strict=True)
    names, mismatches = next(iter(sweep.values())), [100 * float(mismatch) for mismatch in sweep]
    figure, [[left, right]] = subplots(1, 2, 6.0, 4.6, 0.15)
    label_axes(left, "Error", "mismatch of gains, %", "% of test images")
    by_name = {name: [errors[name] for errors in sweep.values()] for name in names}
    lines(left, mismatches, {name: (by_name[name], *look) for name, look in zip(names, looks, strict=True)})
    for name, side, color in ((OURS, ours, POSITIVE), ("backprop", twin, TWIN)):
        left.axhline(side[IDEAL_ERROR]["mean"], color=color, lw=1, ls="--", label=f"{name}, no device")
    left.set_xscale("symlog", linthresh=5)
    left.set_xlim(-1, 1.3 * max(mismatches))
    left.set_xticks(mismatches, [f"{mismatch:g}" for mismatch in mismatches])
    legend(left, 2)
    label_axes(right, "After a jump of the device", "batches of learning", "% of test images")
    after, batches = {}, ours["recovery"][JUMPS[0]]["batches"]
    for learner, side, color in ((OURS, ours, POSITIVE), (CHIP, twin, TWIN)):
        for jump, form in zip(JUMPS, ("o-", "s--"), strict=True):
            after[f"{learner}, {jump}"] = side["recovery"][jump]["after"], form, color
            right.axhline(side["recovery"][jump]["before"], color=color, lw=1, ls=":")
    lines(right, batches, after)
    right.set_xscale("symlog", linthresh=1)
    right.set_xlim(-0.1, 1.3 * batches[-1])
    legend(right, 1)
    suptitle(
        figure,
        "Learning on analog devices: mismatch, read noise, spread thresholds, drift, 6-bit pulses",
        "left: bars are standard deviations over devices. Right: dotted, the error before the jump",
    )
    return write(figure, path)
