"""Claim (paper section 3.2): without labels, with hybrid images as negative data, the error on MNIST is 1.37 %.

A stack of layers learns to tell images from hybrids of two; a linear softmax learns labels from the normalized
activities and does not train the layers (smoke: digits, 3 x 150, two seeds; full: the recipe mnist-hybrid, one seed).

To show what the layers have learned, another softmax learns in the same way from the same layers with their initial
weights. The twin has the same layers, and is given the labels.

Rule: the error is at most 1.40 % (smoke: 6 %), and that of untrained layers is larger.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from twofold.claims.lab import Finding, Lab, mean_errors, percent
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


def hybrid(lab: Lab) -> Finding:
    """Measure the claim ``hybrid``."""
    recipe, twin_recipe = settings(lab)
    seeds = lab.pick(smoke=[0, 1], full=[0])
    found = mean_errors(lab.train(replace(recipe, seed=seed), "mnist-hybrid") for seed in seeds)
    drawn = untaught(lab, recipe)
    limit = lab.pick(smoke=6.0, full=1.4)
    mean = found["fast error %"]["mean"]
    return Finding(
        holds=mean <= limit and mean < drawn["fast error %"],
        rule=f"the error is at most {limit:.2f} %, and that of untrained layers is larger",
        talk={"fast error %": 1.37},
        measured={**found, "untrained layers": drawn},
        twin=dict(mean_errors(lab.train(replace(twin_recipe, seed=seed), "mnist-hybrid-twin") for seed in seeds)),
        seeds=seeds,
    )


def settings(lab: Lab) -> tuple[UnsupervisedRecipe, BackpropRecipe]:
    """Return the recipe of this size and its twin."""
    if lab.size == "full":
        return mnist_hybrid, twin
    small: dict[str, Any] = {"data": "digits", "widths": (150, 150, 150), "epochs": 15, "batch": 40}
    return replace(mnist_hybrid, **small, blurs=2, rate=0.03), replace(digits_twin, widths=small["widths"], epochs=10)


class EveryImage(Sampler):
    """Draw every image once in an epoch."""

    def epoch(self, batch: int) -> Iterator[SampledBatch]:
        count, device = len(self.difficulty), self.difficulty.device
        order = torch.randperm(count, generator=self._generator, device=device)
        for number, cases in enumerate(torch.split(order, batch)):
            yield SampledBatch(number * batch / count, cases, torch.ones(len(cases), device=device))


class SoftmaxAlone(Hybrids):
    """Train only the softmax; the layers stay as they were drawn."""

    def make_sampler(self, cases: int) -> Sampler:
        return EveryImage(cases, self.generator)

    def step(self, batch: Batch, progress: float) -> NetResult:
        rate = self.recipe.softmax_rate * self.set_rate(progress)
        features = self.net.features(self.net.images(batch.images))
        logits = self.net.softmax.learn(features, batch.labels, rate)
        self._note(batch, logits)
        return NetResult(logits, [], torch.ones_like(batch.case_weight))


def untaught(lab: Lab, recipe: UnsupervisedRecipe) -> dict[str, float]:
    """Return the error of a softmax on the same layers with their initial weights, after a sixth of the epochs."""
    dataset, epochs = lab.data(recipe.data), max(2, recipe.epochs // 6)
    short = replace(recipe, epochs=epochs, jitter=0, mirror=False)

    def by_epoch(progress: float) -> float:
        return constant_then_linear(int(progress * epochs) / epochs)

    def learn(net: Unsupervised) -> None:
        Trainer(net, short, dataset.train, method=SoftmaxAlone, schedule=by_epoch).run()

    drawn, settings = Hybrids.build(recipe, dataset.form), {**recipe.fields(), "softmax alone": epochs}
    net = lab.train_net(drawn, "hybrid-untaught", dataset, settings, learn)
    return {f"{name} error %": percent(error) for name, error in evaluate(net, *dataset.test).error.items()}
