"""The recurrent net trains three to five times as long as backprop, with several iterations each time (talk 26:12).

The recurrent net and its twin, a feedforward net with the same hidden layers, are tested after every epoch on training
images that are held out, until they reach an error (smoke: a small net on digits, 6 %; full: MNIST, half of the
recipe's units, ten epochs, 2.5 %). Training time is counted in visits: the number of images seen divided by the number
of training images. An epoch of the recurrent net can be less than one visit, since images that teach nothing are left
out. One seed.
"""

from __future__ import annotations

from twofold_lab import recurrent
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.contest import TWIN
from twofold_lab.lab import Lab
from twofold_lab.verdict import FAILS, Figures, Verdict, at_most

OURS, VISITS = "recurrent", "visits / twin's"

CLAIM = Claim(
    "cost",
    time="26:12",
    says="Training takes three to five times as long as backprop, with several iterations each time.",
    headline=Headline("epochs / twin's", "3 to 5", twin=()),
)


@CLAIM.clause(
    "at most five times the twin's visits",
    "to a slow error of 2.5 % (smoke: 6 %) the net takes at most five times the twin's visits",
)
def _visits(figures: Figures) -> Verdict:
    if VISITS not in figures.measured:
        return Verdict(FAILS, "the error is not reached")
    verdict = at_most(figures.of(VISITS), 5)
    return verdict._replace(statistic=f"{verdict.statistic}, one seed")


@CLAIM.measure
def cost(lab: Lab) -> Finding:
    recipes, target = recurrent.short(lab), lab.pick(smoke=0.06, full=0.025)
    contest = lab.contest({OURS: {}}, recipes, seeds=[0])
    ours, twins = (contest.reached(name, target) for name in (OURS, TWIN))
    pairs = {name: (ours[name], twins[name]) for name in ours}
    ratios = {f"{name} / twin's": round(value / other, 2) for name, (value, other) in pairs.items() if value and other}
    measured = {**ours, **ratios, **contest.errors(OURS), "iterations": recipes[0].iterations}
    return contest.finding(measured, **twins)
