"""Contrasting positive with negative data cancels the noise that both passes share (talk 37:52).

Contrasting two internal representations does not cancel such noise. Nets with the same hidden layers learn by different
rules, with noise on their pre-activations (``noise.py``). The noise is shared by all passes over a batch, or
independent for each pass. The strength of the noise is from 0.1 to 1, relative to the pre-activations (smoke: digits;
full: MNIST, 3 x 500, 10,000 images). The learning rules are:

* Forward-Forward with the paired objective symba; with the logistic and its fixed threshold, which is the objective of
  the talk; and with the logistic and a threshold that follows the running mean of goodness;
* greedy InfoNCE of two views, which contrasts two internal representations;
* backpropagation, the twin, which has a single pass and so no noise that passes share.

Two figures are measured. *Cosine* is the cosine between the gradient of the weights with noise and the gradient without
noise, for the same batch, negatives and views. It is a mean over layers, batches and seeds, for nets trained without
noise, with peer normalization and tolerance off. *Error* is the error on the test images of nets that are trained and
tested with the noise: the error of the fast test for all nets, and that of the slow test for Forward-Forward. The rate
of each rule is that of its recipe times the best of 1/3, 1 and 3, chosen without noise, with one seed, on a fifth of
the images that is held out (smoke: the rate of the recipe). The temperature of InfoNCE is chosen together with the
rate; cosines are reported for all temperatures.

The *share that cancels* is 1 - (1 - cosine with shared noise) / (1 - cosine with independent noise). The limits of the
rules apply at noise 0.3. Besides the verdict of each rule, the record has a verdict on the claim as a whole for each
objective. It is ``refuted`` if less than a quarter of the noise cancels with this objective, or if the cosine of
InfoNCE with shared noise is at least as large as that of the objective.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from twofold.data import Dataset
from twofold.methods import BackpropRecipe, FeedForwardRecipe
from twofold.nets.net import evaluate
from twofold_lab import feedforward
from twofold_lab.claim import Claim, Finding, Headline, Record
from twofold_lab.contest import CustomTraining, tune
from twofold_lab.figures import mean_and_std, percent
from twofold_lab.lab import Lab
from twofold_lab.noise import GreedyInfoNCE, Net, Noise, NoisyBackprop, NoisyFeedForward, cosines_of_updates
from twofold_lab.tables import markdown, spread, table
from twofold_lab.verdict import Estimate, Figures, Verdict, at_least, at_most, less

SIDES = ("shared", "anew")
"""Names of the noise that all passes over a batch share, and of the noise that is independent for each pass."""
LIMITS_AT = "0.3"
"""Strength of the noise at which the limits of the rules apply, as a key of the record."""
PAIRED, INFONCE, TWIN = "paired", "InfoNCE", "backprop"
FACTORS = (1 / 3, 1.0, 3.0)
"""Factors of the recipe's learning rate, from which one is chosen for each learning rule."""
SHARE = "share that cancels"


@dataclass(frozen=True)
class Learner:
    """Settings of a learning rule.

    Attributes:
        objective: name of the objective of Forward-Forward; empty for InfoNCE and backpropagation.
        follows: let the threshold of a layer follow the running mean of the layer's goodness.
        temperatures: temperatures of InfoNCE from which one is chosen; unused by the other learning rules.
    """

    objective: str = ""
    follows: bool = False
    temperatures: tuple[float, ...] = (1.0,)


LEARNERS = {
    PAIRED: Learner("symba"),
    "logistic, threshold follows": Learner("logistic", True),
    "logistic": Learner("logistic"),
    INFONCE: Learner(temperatures=(0.1, 0.3, 1.0)),
    TWIN: Learner(),
}

CLAIM = Claim(
    "cancel",
    time="37:52",
    says="Contrasting positive with negative data cancels the noise that both passes share.",
    headline=Headline(
        "cosine with shared noise",
        "noise common to both passes cancels; contrasting two representations does not cancel it",
        ours=("cosine", PAIRED, "shared", LIMITS_AT),
        twin=("cosine", "one pass", LIMITS_AT),
    ),
)


def _single(verdict: Verdict) -> Verdict:
    return verdict._replace(statistic=f"{verdict.statistic}, mean over seeds without a standard error")


def _cosine(figures: Figures, name: str) -> Estimate:
    return figures.of("cosine", name, "shared", LIMITS_AT)


def _hardly_changes(name: str, figures: Figures) -> Verdict:
    return _single(at_least(_cosine(figures, name), 0.95))


def _half_cancels(name: str, figures: Figures) -> Verdict:
    return _single(at_least(figures.of(SHARE, name), 0.5))


def _costs_little(name: str, figures: Figures) -> Verdict:
    clean, noisy = (figures.of("error %", name, *keys, "fast") for keys in (["no noise"], ["shared", LIMITS_AT]))
    return at_most(noisy, clean.plus(figures.pick(smoke=3.0, full=0.5)))


_RULES = {
    "the update hardly changes": ("at noise 0.3, the cosine with shared noise is at least 0.95", _hardly_changes),
    "half of the noise cancels": ("at noise 0.3, at least half of the shared noise cancels", _half_cancels),
    "shared noise costs little": (
        "shared noise of 0.3 costs at most 0.5 points of error in the fast test (smoke: 3)",
        _costs_little,
    ),
}
for _name, _says in itertools.product((PAIRED, "logistic"), _RULES):
    CLAIM.clause(f"{_name} objective: {_says}", _RULES[_says][0])(partial(_RULES[_says][1], _name))


@CLAIM.clause(
    "noise of InfoNCE does not cancel", "at noise 0.3, less than a quarter of the shared noise of InfoNCE cancels"
)
def _not_by_infonce(figures: Figures) -> Verdict:
    return _single(at_most(figures.of(SHARE, INFONCE), 0.25))


@CLAIM.clause(
    "the paired objective is less disturbed than InfoNCE",
    "at noise 0.3, the cosine of InfoNCE with shared noise is smaller than that of the paired objective",
)
def _less_disturbed(figures: Figures) -> Verdict:
    return _single(less(_cosine(figures, INFONCE), _cosine(figures, PAIRED)))


@CLAIM.measure
def cancel(lab: Lab) -> Finding:
    noises = lab.pick(smoke=(LIMITS_AT,), full=("0.1", LIMITS_AT, "1"))
    errors: dict[str, dict[str, Any]] = {}
    layers: dict[str, dict[str, dict[str, list[float]]]] = {}
    for name in LEARNERS:
        clean = [trained(lab, name, Noise(seed=seed), seed) for seed in lab.seeds]
        errors[name], layers[name] = {"no noise": _errors(lab, clean)}, {}
        for side in SIDES if name != TWIN else ("one pass",):
            shared = side != "anew"
            layers[name][side] = {noise: _cosines(lab, clean, float(noise), shared) for noise in noises}
            errors[name][side] = {
                noise: _errors(lab, [trained(lab, name, Noise(float(noise), shared, seed), seed) for seed in lab.seeds])
                for noise in noises
            }
    means = {
        name: {
            side: {noise: round(fmean(values), 4) for noise, values in by_noise.items()}
            for side, by_noise in sides.items()
        }
        for name, sides in layers.items()
    }
    twin = {"cosine": means.pop(TWIN), "cosine by layer": layers.pop(TWIN), "error %": errors.pop(TWIN)}
    allowed, verdicts = lab.pick(smoke=3.0, full=0.5), {}
    for name in [name for name in means if name != INFONCE]:
        cost = errors[name]["shared"][LIMITS_AT]["fast"]["mean"] - errors[name]["no noise"]["fast"]["mean"]
        verdicts[name] = verdict(means[name], means[INFONCE], cost, allowed)
    measured = {
        "verdict": verdicts,
        "cosine": means,
        "cosine by layer": layers,
        SHARE: {name: round(cancels(cosines), 3) for name, cosines in means.items()},
        "cosine of InfoNCE by temperature": _by_temperature(lab),
        "error %": errors,
    }
    return Finding(measured, twin, lab.seeds)


def cancels(cosines: Mapping[str, Mapping[str, float]]) -> float:
    """Return the share of the noise that cancels if it is shared, given cosines by type and strength of the noise."""
    shared, independent = (1 - cosines[side][LIMITS_AT] for side in SIDES)
    return 1 - shared / max(independent, 1e-9)


def verdict(
    ours: Mapping[str, Mapping[str, float]], infonce: Mapping[str, Mapping[str, float]], cost: float, allowed: float
) -> str:
    """Return ``holds``, ``refuted`` or ``undecided`` for the claim as a whole, judged for one objective.

    Args:
        ours: cosines with the objective of Forward-Forward: one of `SIDES` -> strength of the noise -> cosine.
        infonce: cosines of InfoNCE, in the same form.
        cost: points by which shared noise raises the error with the objective.
        allowed: largest allowed ``cost``.
    """
    shared, contrasted = (cosines["shared"][LIMITS_AT] for cosines in (ours, infonce))
    if cancels(ours) < 0.25 or contrasted >= shared:
        return "refuted"
    holds = shared >= 0.95 and cancels(ours) >= 0.5 and cost <= allowed and cancels(infonce) < 0.25
    return "holds" if holds else "undecided"


# ---- nets ----------------------------------------------------------------------------------------------------------


def trained(lab: Lab, name: str, noise: Noise, seed: int, temperature: float | None = None) -> Net:
    """Train a net with noise, or load it, and return it with the noise switched on.

    The learning rate is the chosen one, or a lower one if the run diverges. If all rates diverge, the net is untrained.

    Args:
        lab: the laboratory.
        name: the learning rule, one of `LEARNERS`.
        noise: the noise.
        seed: seed of the initial weights.
        temperature: temperature of InfoNCE; by default the chosen one.
    """
    factor, chosen = _chosen(lab, name)
    recipe = _recipe(lab, name, seed)
    recipe = replace(recipe, rate=recipe.rate * factor)
    training = _training(lab, name, recipe, _images(lab), noise, temperature or chosen)
    return training.train_or_lower(
        f"{name}, {'shared' if noise.shared else 'anew'} noise {noise.strength:g}, seed {seed}"
    )


def _chosen(lab: Lab, name: str) -> tuple[float, float]:
    """Return the pair of rate factor and temperature with the smallest fast error on held-out images, without noise."""
    temperatures = LEARNERS[name].temperatures
    if lab.size == "smoke":
        return 1.0, temperatures[0]
    images, recipe = _images(lab), _recipe(lab, name, 0)
    dataset = images.hold_out(len(images.train_labels) // 5)

    def error(choice: tuple[float, float]) -> float:
        factor, temperature = choice
        net = _training(lab, name, recipe, dataset, Noise(), temperature).train(recipe.rate * factor)
        return evaluate(net, *dataset.test).error["fast"]

    return tune(lab, f"{name}: factor of the rate, temperature", itertools.product(FACTORS, temperatures), error)


def _recipe(lab: Lab, name: str, seed: int) -> FeedForwardRecipe | BackpropRecipe:
    """Return the recipe of a learning rule; InfoNCE has the recipe of the backpropagation twin."""
    recipe, twin = feedforward.short(lab)
    settings: dict[str, Any] = {"epochs": lab.pick(smoke=3, full=10), "seed": seed, "validation": 0}
    if objective := LEARNERS[name].objective:
        return replace(recipe, objective=objective, tolerance=0.0, revisit=1.0, **settings)
    return replace(twin, **settings)


def _training(
    lab: Lab, name: str, recipe: FeedForwardRecipe | BackpropRecipe, dataset: Dataset, noise: Noise, temperature: float
) -> CustomTraining[Net]:
    learner, reach = LEARNERS[name], lab.pick(smoke=1, full=2)
    settings = {
        **{"learner": name, "noise": noise.strength, "shared": noise.shared, "follows": learner.follows},
        "temperature of InfoNCE": temperature,
    }

    def build(recipe: Any) -> Net:
        form = dataset.train_images[0].numel(), recipe.widths, dataset.classes
        generator = torch.Generator().manual_seed(recipe.seed)
        net: Net
        if learner.objective:
            net = NoisyFeedForward.of(recipe, dataset.form, learner.follows)
        elif name == INFONCE:
            net = GreedyInfoNCE(*form, generator, reach, temperature)
        else:
            net = NoisyBackprop(*form, generator)
        net.set_noise(noise)
        return net

    return CustomTraining(lab, f"cancel-{name.replace(',', '').replace(' ', '-')}", build, recipe, dataset, settings)


def _images(lab: Lab) -> Dataset:
    return lab.sized("mnist[:10000]")


# ---- measures ------------------------------------------------------------------------------------------------------


def _by_temperature(lab: Lab) -> dict[str, dict[str, list[float]]]:
    """Return the cosines of InfoNCE: temperature -> one of `SIDES` -> a cosine for each layer, for the first seed."""
    cosines = {}
    for temperature in LEARNERS[INFONCE].temperatures:
        net = trained(lab, INFONCE, Noise(seed=lab.seeds[0]), lab.seeds[0], temperature)
        cosines[f"{temperature:g}"] = {side: _cosines(lab, [net], float(LIMITS_AT), side == "shared") for side in SIDES}
    return cosines


def _errors(lab: Lab, nets: list[Net]) -> dict[str, dict[str, float]]:
    by_net = [evaluate(net, *_images(lab).test).error for net in nets]
    return {test: mean_and_std(percent(net[test]) for net in by_net) for test in ("fast", "slow") if test in by_net[0]}


def _cosines(lab: Lab, nets: list[Net], noise: float, shared: bool) -> list[float]:
    batches, size = lab.pick(smoke=(5, 50), full=(20, 100))
    by_net = [cosines_of_updates(net, _images(lab), Noise(noise, shared, 7), batches, size) for net in nets]
    return [round(cosine, 4) for cosine in torch.tensor(by_net).mean(0).tolist()]


# ---- table and plot ------------------------------------------------------------------------------------------------


def _sides(record: Record, figure: str) -> dict[str, Any]:
    """Return ``figure`` of the record by learning rule, with the twin as the last one."""
    return {**record["measured"][figure], TWIN: record["twin"][figure]}


@table("cancel", "claims/cancel.json")
def by_noise(record: Record) -> str:
    """Tabulate cosines and errors by learning rule and strength of the noise."""
    cosines, errors = _sides(record, "cosine"), _sides(record, "error %")
    noises, rows = list(cosines[PAIRED]["shared"]), []
    for learner, sides in cosines.items():
        none = spread(errors[learner]["no noise"]["fast"])
        for side, by_noise in sides.items():
            noisy = (spread(errors[learner][side][noise]["fast"]) for noise in noises)
            rows.append([learner, side, *(f"{by_noise[noise]:.3f}" for noise in noises), none, *noisy])
    heads = [*(f"cosine, noise {noise}" for noise in noises), "error, %, no noise"]
    return markdown(["learner", "noise is", *heads, *(f"noise {noise}" for noise in noises)], rows)


@CLAIM.draw
def draw_cancel(record: Record, path: Path, lab: Lab) -> Path:
    """Plot cosines (left) and errors (right) by learning rule, against the strength of shared or independent noise."""
    from twofold.plots.canvas import label_axes, legend, subplots, suptitle, write
    from twofold.plots.colors import NEGATIVE, POSITIVE, TESTS
    from twofold.plots.colors import TWIN as GREY
    from twofold_lab.drawing import lines

    errors, forms = _sides(record, "error %"), {"shared": "o-", "anew": "s:", "one pass": "^--"}
    colors = dict(zip(errors, (POSITIVE, TESTS[0], NEGATIVE, TESTS[1], GREY), strict=True))
    figure, [[left, right]] = subplots(1, 2, 5.2, 4.4)
    label_axes(left, "Update", "noise relative to pre-activations", "cosine to the noise-free update")
    label_axes(right, "Error", "noise relative to pre-activations", "% of test images, fast test")
    cosines, fast, noises = {}, {}, [0.0]
    for learner, sides in _sides(record, "cosine").items():
        for side, by_noise in sides.items():
            noises, look = [0.0, *map(float, by_noise)], (forms[side], colors[learner])
            tests = errors[learner]["no noise"], *errors[learner][side].values()
            cosines[f"{learner}, {side}"] = [1.0, *by_noise.values()], *look
            fast[f"{learner}, {side}"] = [test["fast"]["mean"] for test in tests], *look
    lines(left, noises, cosines)
    left.set_yscale("linear")
    left.autoscale(axis="y")
    left.axhline(0, color="#BBBBBB", lw=0.8)
    lines(right, noises, fast)
    legend(left, 2)
    suptitle(
        figure,
        "Noise on pre-activations: shared by the passes over a case, or independent for each",
        "left: after training without noise; right: trained and tested with it. Backprop has one pass",
    )
    return write(figure, path)
