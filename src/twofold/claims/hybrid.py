"""Claim (paper section 3.2): without labels, with hybrid images as negative data, the error on MNIST is 1.37 %.

A stack of layers learns to tell images from hybrids of two; a linear softmax learns labels from the normalized
activities and teaches the layers nothing (smoke: digits, 3 x 150, two seeds; full: the recipe mnist-hybrid, one seed).

What learning is worth is seen beside a softmax that learns in the same way from the same layers as they were drawn.
The twin has the same layers, and the labels.

Rule: the error is at most 1.40 % (smoke: 6 %), and that of untrained layers is larger.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from twofold.claims.lab import Finding, Lab, mean_errors, percent
from twofold.learning import half_constant_half_linear
from twofold.nets.unsupervised import Unsupervised
from twofold.recipes import RECIPES, BackpropRecipe, UnsupervisedRecipe
from twofold.recipes.digits import twin as digits_twin
from twofold.training.evaluate import test
from twofold.training.run import build


def hybrid(lab: Lab) -> Finding:
    """Measure the claim ``hybrid``."""
    recipe, twin = settings(lab)
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
        twin=dict(mean_errors(lab.train(replace(twin, seed=seed), "mnist-hybrid-twin") for seed in seeds)),
        seeds=seeds,
    )


def settings(lab: Lab) -> tuple[UnsupervisedRecipe, BackpropRecipe]:
    """The recipe of this size and its twin."""
    recipe, twin = RECIPES["mnist-hybrid"], RECIPES["mnist-hybrid-twin"]
    assert isinstance(recipe, UnsupervisedRecipe)
    assert isinstance(twin, BackpropRecipe)
    if lab.size == "full":
        return recipe, twin
    small: dict[str, Any] = {"data": "digits", "widths": (150, 150, 150), "epochs": 15, "batch": 40}
    return replace(recipe, **small, blurs=2, rate=0.03), replace(digits_twin, widths=small["widths"], epochs=10)


def untaught(lab: Lab, recipe: UnsupervisedRecipe) -> dict[str, float]:
    """The error of a softmax that reads the same layers as they were drawn, after a sixth of the epochs."""
    dataset, epochs = lab.data(recipe.data), max(2, recipe.epochs // 6)
    drawn = build(recipe, dataset.shape, dataset.classes)
    assert isinstance(drawn, Unsupervised)

    @torch.no_grad()
    def learn(net: Unsupervised) -> None:
        device = net.softmax.weight.device
        images, labels = dataset.train_images.to(device), dataset.train_labels.to(device)
        generator = torch.Generator(device).manual_seed(recipe.seed + 1)
        for epoch in range(epochs):
            order = torch.randperm(len(labels), generator=generator, device=device)
            rate = recipe.softmax_rate * half_constant_half_linear(epoch / epochs)
            for cases in torch.split(order, recipe.batch):
                net.softmax.learn(net.features(net.images(images[cases])), labels[cases], rate)

    net = lab.teach(drawn, "hybrid-untaught", dataset, {**recipe.fields(), "softmax alone": epochs}, learn)
    device = net.softmax.weight.device
    found = test(net, dataset.test_images.to(device), dataset.test_labels.to(device)).error
    return {f"{name} error %": percent(error) for name, error in found.items()}
