"""The author's recipe once more, slowly, in NumPy, from its description (FACTS section 1) and not from twofold's code.

Were the two to differ, no figure made with twofold could be compared with the paper's.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from support.helpers import AUTHORS
from twofold.methods import FeedForwardRecipe, build
from twofold.methods.cases import TensorCases
from twofold.methods.feedforward import ForwardForward
from twofold.methods.method import Batch
from twofold.negatives import NEGATIVES
from twofold.normalize import EPS
from twofold.recipes import RECIPES

Array = NDArray[np.float64]

PIXELS, CLASSES, WIDTHS, CASES, EPOCHS = 20, 8, (11, 9, 7), 6, 30


def normalizer(activity: Array) -> Array:
    """n(a) = a / (tiny + sqrt(mean(a^2))), case by case."""
    return np.stack([a / (EPS + np.sqrt(np.mean(a**2))) for a in activity])


def logistic(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


class Author:
    """Three passes a batch; all gradients are taken with the weights from before the batch."""

    def __init__(self, weights: list[Array]) -> None:
        self.weights = [weight.copy() for weight in weights]
        self.biases = [np.zeros(len(weight)) for weight in weights]
        self.means = [np.full(len(weight), 0.5) for weight in weights]
        self.softmax = np.zeros((CLASSES, sum(len(weight) for weight in weights[1:])))
        self.smoothed_weights = [np.zeros_like(weight) for weight in weights]
        self.smoothed_biases = [np.zeros_like(bias) for bias in self.biases]
        self.smoothed_softmax = np.zeros_like(self.softmax)

    def upwards(self, images: Array, label_pixels: Array) -> tuple[list[Array], list[Array]]:
        """Normalized input of each layer, and raw activity of each layer."""
        inputs, activities = [], []
        below = np.concatenate([label_pixels, images[:, CLASSES:]], axis=1)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            inputs.append(normalizer(below))
            below = np.maximum(inputs[-1] @ weight.T + bias, 0)
            activities.append(below)
        return inputs, activities

    def batch(self, images: Array, labels: NDArray[np.int64], wrong: NDArray[np.int64], epoch: int) -> None:
        schedule = min(1.0, (1 + 2 * (EPOCHS - epoch)) / EPOCHS)
        one_hot = np.eye(CLASSES)
        weight_gradients = [np.zeros_like(weight) for weight in self.weights]
        bias_gradients = [np.zeros_like(bias) for bias in self.biases]

        inputs, activities = self.upwards(images, one_hot[labels])
        for layer, (x, y) in enumerate(zip(inputs, activities, strict=True)):
            p = logistic(np.sum(y**2, axis=1) - y.shape[1])
            self.means[layer] = 0.9 * self.means[layer] + 0.1 * y.mean(0)
            peers = 0.03 * (self.means[layer].mean() - self.means[layer])
            for case in range(CASES):
                signal = (1 - p[case]) * y[case] + peers
                weight_gradients[layer] += np.outer(signal, x[case])
                bias_gradients[layer] += signal

        inputs, activities = self.upwards(images, one_hot[wrong])
        for layer, (x, y) in enumerate(zip(inputs, activities, strict=True)):
            p = logistic(np.sum(y**2, axis=1) - y.shape[1])
            for case in range(CASES):
                signal = -p[case] * y[case]
                weight_gradients[layer] += np.outer(signal, x[case])
                bias_gradients[layer] += signal

        _, activities = self.upwards(images, np.full((CASES, CLASSES), 1 / CLASSES))
        features = np.concatenate([normalizer(y) for y in activities[1:]], axis=1)
        scores = np.exp(features @ self.softmax.T)
        probabilities = scores / scores.sum(1, keepdims=True)
        gradient = (one_hot[labels] - probabilities).T @ features / CASES
        self.smoothed_softmax = 0.9 * self.smoothed_softmax + 0.1 * gradient
        self.softmax = self.softmax + 0.1 * schedule * (self.smoothed_softmax - 0.003 * self.softmax)

        for layer in range(len(self.weights)):
            smoothed = 0.9 * self.smoothed_weights[layer] + 0.1 * weight_gradients[layer] / CASES
            self.smoothed_weights[layer] = smoothed
            self.weights[layer] = self.weights[layer] + 0.01 * schedule * (smoothed - 0.001 * self.weights[layer])
            self.smoothed_biases[layer] = 0.9 * self.smoothed_biases[layer] + 0.1 * bias_gradients[layer] / CASES
            self.biases[layer] = self.biases[layer] + 0.01 * schedule * self.smoothed_biases[layer]


def the_recipe() -> FeedForwardRecipe:
    """The author's settings on a small net."""
    found = RECIPES["mnist"]
    assert isinstance(found, FeedForwardRecipe)
    return replace(found, **AUTHORS, label_in="overlay", widths=WIDTHS, epochs=EPOCHS, batch=CASES)


def test_thirty_batches_leave_the_weights_that_the_authors_recipe_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    drawn: list[NDArray[np.int64]] = []
    monkeypatch.setitem(NEGATIVES, "hard", lambda labels, logits, generator: torch.from_numpy(drawn[-1]))

    recipe = the_recipe()
    net = build(recipe, {"shape": [1, 1, PIXELS], "classes": CLASSES}).double()
    data = TensorCases((torch.zeros(CASES, 1, 1, PIXELS), torch.zeros(CASES, dtype=torch.int64)))
    method = ForwardForward(net, recipe, data)
    first = [layer.weight.numpy().copy() for layer in net.layers]
    author = Author(first)
    for epoch in range(1, EPOCHS + 1):
        images, labels = rng.random((CASES, PIXELS)), rng.integers(0, CLASSES, CASES)
        drawn.append((labels + rng.integers(1, CLASSES, CASES)) % CLASSES)
        author.batch(images, labels, drawn[-1], epoch)
        # The author's rate is a stair with a step an epoch; the middle of an epoch is where ours crosses it.
        batch = Batch(torch.from_numpy(images), torch.from_numpy(labels), torch.arange(CASES), torch.ones(CASES))
        method.step(batch, (epoch - 0.5) / EPOCHS)

    for layer, weight, bias, mean in zip(net.layers, author.weights, author.biases, author.means, strict=True):
        np.testing.assert_allclose(layer.weight.numpy(), weight, rtol=0, atol=1e-10)
        np.testing.assert_allclose(layer.bias.numpy(), bias, rtol=0, atol=1e-10)
        np.testing.assert_allclose(layer.mean_activity.numpy(), mean, rtol=0, atol=1e-10)
    np.testing.assert_allclose(net.softmax.weight.numpy(), author.softmax, rtol=0, atol=1e-10)
    assert all(np.abs(new - old).max() > 1e-2 for new, old in zip(author.weights, first, strict=True))
