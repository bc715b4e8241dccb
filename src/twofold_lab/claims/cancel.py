"""Claim (talk 37:52): contrasting positive with negative data cancels the noise that both passes share; contrasting two
internal representations does not.

Learners of the same hidden layers get noise on their total inputs (``noise.py``), shared by all passes over a batch or
drawn anew for each, of strengths from 0.1 to 1 relative to the total inputs (smoke: digits; full: MNIST, 3 x 500,
10,000 images):

* Forward-Forward with the paired objective symba, with the logistic and its fixed threshold, and with the logistic and
  a threshold that follows the running mean of goodness;
* greedy InfoNCE of two views, as the learner that contrasts two internal representations;
* the twin, trained by backpropagation, which has one pass, so that nothing is shared.

Two things are measured. *Cosine*: of the weight gradient to the noise-free one of the same batch, negatives and views,
mean over layers, batches and seeds, after training without noise; peers and tolerance are off. *Error*: on the test
images, of nets that are trained and tested with that noise, by the fast test, which all learners have, with Forward-
Forward's slow test beside it. The rate of each learner is that of its recipe times the best of 1/3, 1 and 3, without
noise, with one seed, on a fifth of the images that is held out (smoke: the recipe's); so was the temperature of
InfoNCE, whose cosines are reported for every one.

The *share that cancels* is 1 - (1 - cosine with shared noise) / (1 - cosine with noise drawn anew).

Rule, at noise 0.3. The talk's statement *holds* if for the paired objective the cosine with shared noise is at least
0.95, at least half of the noise cancels, and shared noise costs at most 0.5 points of error (smoke: 3); and if of the
noise of InfoNCE less than a quarter cancels. It is *refuted* if for the paired objective less than a quarter cancels,
or if InfoNCE's cosine with shared noise is at least that of the paired objective. Else it is *undecided*. The logistic,
which is the talk's own objective, is judged by the same words beside it; the record holds if the paired objective does.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from twofold.data import Dataset
from twofold.methods import BackpropRecipe, FeedForwardRecipe
from twofold.negatives import random_wrong_labels
from twofold.nets.net import evaluate
from twofold.training.trainer import Trainer
from twofold_lab.lab import Finding, Lab, mean_and_std, percent
from twofold_lab.noise import GreedyInfoNCE, Noise, NoisyBackprop, NoisyFeedForward
from twofold_lab.rates import best, lowered

SIDES = ("shared", "anew")
JUDGED = 0.3
"""The noise at which the rule judges."""


@dataclass(frozen=True)
class Learner:
    """A way of learning that is compared.

    Attributes:
        objective: of Forward-Forward; empty for the others.
        follows: whether the threshold follows the mean goodness.
        temperatures: of InfoNCE, among which one is chosen.
    """

    objective: str = ""
    follows: bool = False
    temperatures: tuple[float, ...] = (1.0,)


PAIRED, INFONCE, TWIN = "paired", "InfoNCE", "backprop"
LEARNERS = {
    PAIRED: Learner("symba"),
    "logistic, threshold follows": Learner("logistic", True),
    "logistic": Learner("logistic"),
    INFONCE: Learner(temperatures=(0.1, 0.3, 1.0)),
    TWIN: Learner(),
}
FACTORS = (1 / 3, 1.0, 3.0)
"""Of the recipe's rate, among which each learner's is chosen."""

Net = NoisyFeedForward | NoisyBackprop


def cancel(lab: Lab) -> Finding:
    """Measure the claim ``cancel``."""
    noises = lab.pick(smoke=(JUDGED,), full=(0.1, JUDGED, 1.0))
    sides = {name: SIDES if name != TWIN else ("one pass",) for name in LEARNERS}
    errors: dict[str, dict[str, Any]] = {}
    layers: dict[str, dict[str, dict[str, list[float]]]] = {}
    for name, learner in LEARNERS.items():
        clean = [trained(lab, name, learner, Noise(0.0, True, seed), seed) for seed in lab.seeds]
        errors[name] = {"no noise": _errors(lab, clean)}
        layers[name] = {}
        for side in sides[name]:
            shared = side != "anew"
            layers[name][side] = {f"{noise:g}": _cosines(lab, clean, noise, shared) for noise in noises}
            errors[name][side] = {
                f"{noise:g}": _errors(
                    lab, [trained(lab, name, learner, Noise(noise, shared, seed), seed) for seed in lab.seeds]
                )
                for noise in noises
            }
    means = {
        name: {side: {noise: round(fmean(each), 4) for noise, each in one.items()} for side, one in sides.items()}
        for name, sides in layers.items()
    }
    twin = {"cosine": means.pop(TWIN), "cosine by layer": layers.pop(TWIN), "error %": errors.pop(TWIN)}
    allowed = lab.pick(smoke=3.0, full=0.5)
    verdicts = {
        name: verdict(means[name], means[INFONCE], _cost(errors[name]), allowed)
        for name in LEARNERS
        if name not in (INFONCE, TWIN)
    }
    return Finding(
        holds=verdicts[PAIRED] == "holds",
        rule=f"at noise {JUDGED}: the paired objective's cosine with shared noise >= 0.95, at least half of its noise "
        f"cancels, which costs at most {allowed:g} points; of InfoNCE's less than a quarter cancels. Refuted if less "
        "than a quarter of the paired objective's cancels or InfoNCE's cosine with shared noise is at least as large",
        talk="noise common to both passes cancels; contrasting two representations does not cancel it",
        measured={
            "verdict": verdicts,
            "cosine": means,
            "cosine by layer": layers,
            "share that cancels": {name: round(cancels(found), 3) for name, found in means.items()},
            "cosine of InfoNCE by temperature": _by_temperature(lab),
            "error %": errors,
        },
        twin=twin,
        seeds=lab.seeds,
    )


def cancels(cosines: Mapping[str, Mapping[str, float]]) -> float:
    """The share of the noise that cancels where it is shared, at the noise that is judged."""
    shared, anew = (1 - cosines[side][f"{JUDGED:g}"] for side in SIDES)
    return 1 - shared / max(anew, 1e-9)


def verdict(
    ours: Mapping[str, Mapping[str, float]],
    other: Mapping[str, Mapping[str, float]],
    cost: float,
    allowed: float,
) -> str:
    """``holds``, ``refuted`` or ``undecided``, as the rule says.

    Args:
        ours: cosines of an objective of Forward-Forward: side -> noise -> cosine.
        other: those of InfoNCE.
        cost: points of error that shared noise costs ours.
        allowed: the most that it may cost.
    """
    shared, theirs = (found["shared"][f"{JUDGED:g}"] for found in (ours, other))
    if cancels(ours) < 0.25 or theirs >= shared:
        return "refuted"
    if shared >= 0.95 and cancels(ours) >= 0.5 and cost <= allowed and cancels(other) < 0.25:
        return "holds"
    return "undecided"


# ---- nets ----------------------------------------------------------------------------------------------------------


def settings(lab: Lab, name: str, learner: Learner, seed: int) -> FeedForwardRecipe | BackpropRecipe:
    """The recipe of a learner; InfoNCE has that of the twin."""
    recipe, twin = lab.short()
    whole: dict[str, Any] = {"epochs": lab.pick(smoke=3, full=10), "seed": seed, "validation": 0}
    if learner.objective:
        return replace(recipe, objective=learner.objective, tolerance=0.0, revisit=1.0, **whole)
    return replace(twin, **whole)


def build(
    lab: Lab,
    learner: Learner,
    name: str,
    recipe: FeedForwardRecipe | BackpropRecipe,
    dataset: Dataset,
    temperature: float = 1.0,
) -> Net:
    """An untrained net without noise."""
    pixels, classes = dataset.train_images[0].numel(), dataset.classes
    if learner.objective:
        recipe = cast(FeedForwardRecipe, recipe)
        return NoisyFeedForward.of(
            tuple(dataset.train_images.shape[1:]),
            recipe.widths,
            recipe.rule(),
            learner.follows,
            classes=classes,
            label_in=recipe.label_in,
            seed=recipe.seed,
        )
    generator = torch.Generator().manual_seed(recipe.seed)
    if name == INFONCE:
        return GreedyInfoNCE(pixels, recipe.widths, classes, generator, lab.pick(smoke=1, full=2), temperature)
    return NoisyBackprop(pixels, recipe.widths, classes, generator)


def trained(lab: Lab, name: str, learner: Learner, noise: Noise, seed: int, temperature: float | None = None) -> Net:
    """A net that has learned with that noise and still has it, at the temperature that was chosen for it or is given,
    and at the rate that was chosen, or the highest of those below it, each a third of the one before, at which it does
    not diverge. A net that diverges at all of them has learned nothing, and is as it was drawn."""
    recipe, dataset = settings(lab, name, learner, seed), part(lab)
    times, chosen = _chosen(lab, name, learner)
    temperature = temperature or chosen

    def learned(rate: float) -> Net:
        return _learned(lab, name, learner, replace(recipe, rate=rate), dataset, noise, temperature)

    net = lowered(recipe.rate * times, learned)
    if net is None:
        net = build(lab, learner, name, recipe, dataset, temperature)
        net.set_noise(noise)
    return net


def _chosen(lab: Lab, name: str, learner: Learner) -> tuple[float, float]:
    """The factor of the rate, and the temperature, with the smallest error of the fast test on held-out images."""
    if lab.size == "smoke":
        return 1.0, learner.temperatures[0]
    whole, recipe = part(lab), settings(lab, name, learner, 0)
    dataset = whole.hold_out(len(whole.train_labels) // 5)

    def error(factor_and_temperature: tuple[float, float]) -> float:
        times, temperature = factor_and_temperature
        tried = replace(recipe, rate=recipe.rate * times)
        net = _learned(lab, name, learner, tried, dataset, Noise(0.0, True), temperature)
        return evaluate(net, dataset.test_images, dataset.test_labels).error["fast"]

    return best(itertools.product(FACTORS, learner.temperatures), error)


def _learned(
    lab: Lab,
    name: str,
    learner: Learner,
    recipe: FeedForwardRecipe | BackpropRecipe,
    dataset: Dataset,
    noise: Noise,
    temperature: float,
) -> Net:
    net = build(lab, learner, name, recipe, dataset, temperature)
    net.set_noise(noise)

    def learn(untrained: Net) -> None:
        Trainer(untrained, recipe, (dataset.train_images, dataset.train_labels)).run()

    told = {
        **{"learner": name, "noise": noise.strength, "shared": noise.shared, "follows": learner.follows},
        **{"temperature of InfoNCE": temperature, **recipe.fields()},
    }
    return lab.train_net(net, f"cancel-{name.replace(', ', '-').replace(' ', '-')}", dataset, told, learn)


def part(lab: Lab) -> Dataset:
    """The data that all learn from (full: the first 10,000 training images)."""
    whole = lab.data(lab.pick(smoke="digits", full="mnist"))
    count = lab.pick(smoke=len(whole.train_labels), full=10_000)
    return replace(whole, train_images=whole.train_images[:count], train_labels=whole.train_labels[:count])


# ---- measures ------------------------------------------------------------------------------------------------------


def _by_temperature(lab: Lab) -> dict[str, dict[str, list[float]]]:
    """InfoNCE's cosines by layer at the noise that is judged, for every temperature, of nets of the first seed."""
    learner, found = LEARNERS[INFONCE], {}
    for temperature in learner.temperatures:
        net = trained(lab, INFONCE, learner, Noise(0.0, True, lab.seeds[0]), lab.seeds[0], temperature)
        found[f"{temperature:g}"] = {side: _cosines(lab, [net], JUDGED, side == "shared") for side in SIDES}
    return found


def _errors(lab: Lab, nets: list[Net]) -> dict[str, dict[str, float]]:
    dataset = part(lab)
    found = [evaluate(net, dataset.test_images, dataset.test_labels).error for net in nets]
    return {test: mean_and_std(percent(one[test]) for one in found) for test in ("fast", "slow") if test in found[0]}


def _cost(errors: Mapping[str, Any]) -> float:
    """Points of error that shared noise costs."""
    with_noise, without = (found["fast"]["mean"] for found in (errors["shared"][f"{JUDGED:g}"], errors["no noise"]))
    return float(with_noise - without)


def _cosines(lab: Lab, nets: list[Net], noise: float, shared: bool) -> list[float]:
    batches = lab.pick(smoke=5, full=20)
    found = [cosines(net, part(lab), Noise(noise, shared, 7), batches, lab.pick(smoke=50, full=100)) for net in nets]
    return [round(one, 4) for one in torch.tensor(found).mean(0).tolist()]


def cosines(net: Net, dataset: Dataset, noise: Noise, batches: int, size: int, settle: int = 30) -> list[float]:
    """Cosine of each layer's weight gradient with noise to that without, mean over batches.

    Args:
        net: a trained net; its noise, thresholds that follow, and peers are as before afterwards.
        dataset: its training images are what the gradients are of.
        noise: the noise.
        batches: number of batches that are measured.
        size: images of each.
        settle: batches before these, from which only thresholds that follow learn.
    """
    kept = net.stack[0].compute
    net.set_precision("fp32")  # else rounding would be noise as well
    quiet, noisy = (_gradients(net, dataset, each, batches, size, settle) for each in (Noise(0.0, True), noise))
    for layer in net.stack:
        layer.compute = kept
    each = [
        [float(cosine_similarity(one.flatten(), other.flatten(), dim=0)) for one, other in zip(*pair, strict=True)]
        for pair in zip(quiet, noisy, strict=True)
    ]
    return torch.tensor(each).mean(0).tolist()


def _gradients(net: Net, dataset: Dataset, noise: Noise, batches: int, size: int, settle: int) -> list[list[Tensor]]:
    """The gradients of each batch and layer, with negatives and views that are the same at every call."""
    images, labels = dataset.train_images.to(net.device), dataset.train_labels.to(net.device)
    generator = torch.Generator(net.device).manual_seed(1)
    found = []
    with net.measured(noise):
        for number in range(-settle if net.settles else 0, batches):
            cases = torch.randint(len(labels), (size,), generator=generator, device=net.device)
            chosen = labels[cases]
            wrong = random_wrong_labels(chosen, torch.zeros(size, dataset.classes, device=net.device), generator)
            gradients = net.gradients(images[cases], chosen, wrong)
            if number >= 0:
                found.append([gradient.float() for gradient in gradients])
    return found


# ---- the picture ---------------------------------------------------------------------------------------------------


def draw_cancel(lab: Lab, path: Path, record: Mapping[str, Any] | None = None) -> Path:
    """Draw cosines and errors against noise.

    Args:
        lab: the laboratory that has the nets, or trains them, if there is no record.
        path: the PNG to write.
        record: the kept record of the claim.
    """
    from twofold_lab.claims.plots import cancel as plots

    found = record or asdict(cancel(lab))
    return plots.noises(
        {**found["measured"]["cosine"], TWIN: found["twin"]["cosine"]},
        {**found["measured"]["error %"], TWIN: found["twin"]["error %"]},
        path,
    )
