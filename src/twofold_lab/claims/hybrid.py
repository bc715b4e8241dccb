"""Without labels, with hybrid images as negative data, the error on MNIST is 1.37 % (paper section 3.2).

The layers learn without labels to distinguish images from hybrids of two images. A linear softmax learns labels from
the normalized activities and does not train the layers (smoke: digits, 3 x 150, two seeds; full: the recipe
``mnist-hybrid``, one seed). To show what the layers have learned, another softmax learns in the same way from the same
layers with their initial weights. The twin has the same layers and learns from the labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from twofold.methods import BackpropRecipe, Hybrids, UnsupervisedRecipe
from twofold.methods.method import Batch
from twofold.methods.sampler import SampledBatch, Sampler
from twofold.nets.classifier import NetResult
from twofold.nets.net import evaluate
from twofold.nets.unsupervised import Unsupervised
from twofold.recipes.digits import twin as digits_twin
from twofold.recipes.mnist_hybrid import mnist_hybrid, twin
from twofold.schedules import constant_then_linear
from twofold.training.trainer import Trainer
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.contest import TWIN
from twofold_lab.figures import mean_errors, percent
from twofold_lab.lab import Lab
from twofold_lab.verdict import Figures, Verdict, less, limited

CLAIM = Claim(
    "hybrid",
    time="paper section 3.2",
    says="Without labels, with hybrid images as negatives, the error on MNIST is 1.37 %.",
    headline=Headline("fast error %", "1.37"),
    clauses=(limited("about 1.37 % without labels", "fast error %", smoke=6, full=1.4),),
)


@CLAIM.clause("the layers learn", "the error of untrained layers is larger")
def _learned(figures: Figures) -> Verdict:
    return less(figures.of("fast error %"), figures.of("untrained layers", "fast error %"))


@CLAIM.measure
def hybrid(lab: Lab) -> Finding:
    recipe, twin_recipe = settings(lab)
    contest = lab.contest({"hybrid": {}}, (recipe, twin_recipe), seeds=lab.pick(smoke=[0, 1], full=[0]))
    measured = {**mean_errors(contest.runs["hybrid"]), "untrained layers": untrained(lab, recipe)}
    return Finding(measured, mean_errors(contest.runs[TWIN]), contest.seeds)


def settings(lab: Lab) -> tuple[UnsupervisedRecipe, BackpropRecipe]:
    """Return the recipe of this size and the recipe of the twin."""
    if lab.size == "full":
        return mnist_hybrid, twin
    small: dict[str, Any] = {"data": "digits", "widths": (150, 150, 150), "epochs": 15, "batch": 40}
    return replace(mnist_hybrid, **small, blurs=2, rate=0.03), replace(digits_twin, widths=small["widths"], epochs=10)


class EveryImage(Sampler):
    """Sampler that draws every image once in an epoch."""

    def epoch(self, batch: int) -> Iterator[SampledBatch]:
        count, device = len(self.difficulty), self.difficulty.device
        order = torch.randperm(count, generator=self._generator, device=device)
        for number, cases in enumerate(torch.split(order, batch)):
            yield SampledBatch(number * batch / count, cases, torch.ones(len(cases), device=device))


class SoftmaxAlone(Hybrids):
    """Training of the softmax only; the layers keep their initial weights."""

    def make_sampler(self, cases: int) -> Sampler:
        return EveryImage(cases, self.generator)

    def step(self, batch: Batch, progress: float) -> NetResult:
        rate = self.recipe.softmax_rate * self.set_rate(progress)
        features = self.net.features(self.net.images(batch.images))
        logits = self.net.softmax.learn(features, batch.labels, rate)
        self._note(batch, logits)
        return NetResult(logits, [], torch.ones_like(batch.case_weight))


def untrained(lab: Lab, recipe: UnsupervisedRecipe) -> dict[str, float]:
    """Return the errors of a softmax trained for a sixth of the epochs, on layers that keep their initial weights."""
    dataset, epochs = lab.data(recipe.data), max(2, recipe.epochs // 6)
    short = replace(recipe, epochs=epochs, jitter=0, mirror=False)

    def by_epoch(progress: float) -> float:
        return constant_then_linear(int(progress * epochs) / epochs)

    def learn(net: Unsupervised) -> None:
        Trainer(net, short, dataset.train, method=SoftmaxAlone, schedule=by_epoch).run()

    drawn, identity = Hybrids.build(recipe, dataset.form), {**recipe.fields(), "softmax alone": epochs}
    net = lab.train_net(drawn, "hybrid-untaught", dataset, identity, learn)
    return {f"{name} error %": percent(share) for name, share in evaluate(net, *dataset.test).error.items()}
