"""The Forward-Forward algorithm on one page, in plain PyTorch: two forward passes, and no derivative crosses a layer.

    python examples/forward_forward.py [EPOCHS]

Trains three layers on the 8x8 digits in half a minute on any machine. Only the data are loaded with twofold.
"""

import math
import sys
from itertools import pairwise

import torch
from torch.nn.functional import one_hot

import twofold

UNITS, LAYERS, BATCH, RATE, SMOOTHING, DECAY, PEER = 500, 3, 50, 0.02, 0.9, 0.002, 0.03
TEMPERATURE = 1.5 * math.sqrt(UNITS)  # goodness is a sum over units; its variation grows with the root of their number


def normalize(activity):
    """Scale activity to a mean square of 1. Its L2 norm determines the goodness, so the next layer must not see it."""
    return activity / (1e-5 + activity.square().mean(1, keepdim=True).sqrt())


def with_label(images, label):
    """Return the input of the net: ten numbers for the label, followed by the pixels."""
    return normalize(torch.cat([label, images], 1))


class Layer:
    """A layer that learns high goodness (sum of squares) for positive data and low goodness for negative data."""

    def __init__(self, inputs, units):
        self.weight, self.bias = torch.randn(units, inputs) / math.sqrt(inputs), torch.zeros(units)
        self.weight_velocity, self.bias_velocity = torch.zeros(units, inputs), torch.zeros(units)
        self.mean_activity = torch.full((units,), 0.5)

    def __call__(self, below):
        return (below @ self.weight.T + self.bias).relu()

    def learn(self, positive, negative, rate):
        y_positive, y_negative = self(positive), self(negative)
        # The loss of a pair is swish(x), where x is the goodness of the negative minus that of the positive case.
        x = (y_negative.square().sum(1) - y_positive.square().sum(1)) / TEMPERATURE
        signal = x.sigmoid() * (1 + x * (1 - x.sigmoid()))  # derivative of the loss
        # Peer normalization: on positive data, move the mean activity of every unit towards that of the layer.
        self.mean_activity = 0.9 * self.mean_activity + 0.1 * y_positive.mean(0)
        peers = PEER * (self.mean_activity.mean() - self.mean_activity)
        wanted_positive, wanted_negative = signal[:, None] * y_positive + peers, -signal[:, None] * y_negative
        gradient = (wanted_positive.T @ positive + wanted_negative.T @ negative) / len(x)
        self.weight_velocity = SMOOTHING * self.weight_velocity + (1 - SMOOTHING) * gradient
        self.bias_velocity = SMOOTHING * self.bias_velocity + (1 - SMOOTHING) * (
            wanted_positive + wanted_negative
        ).mean(0)
        self.weight += rate * (self.weight_velocity - DECAY * self.weight)
        self.bias += rate * self.bias_velocity
        return normalize(y_positive), normalize(y_negative)


def goodness(layers, below):
    """Return the goodness of each case, summed over all layers except the first."""
    total = 0
    for number, layer in enumerate(layers):
        activity = layer(below)
        total = total + activity.square().sum(1) * (number > 0)
        below = normalize(activity)
    return total


def classify(layers, images):
    """Return the label with the highest goodness for each image."""
    labels = torch.eye(10).repeat_interleave(len(images), 0)
    return goodness(layers, with_label(images.repeat(10, 1), labels)).view(10, -1).argmax(0)


if __name__ == "__main__":
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    torch.manual_seed(0)
    digits = twofold.load_data("digits")
    images, test_images = digits.train_images.flatten(1), digits.test_images.flatten(1)
    sizes = [10 + digits.pixels, *[UNITS] * LAYERS]
    layers = [Layer(below, units) for below, units in pairwise(sizes)]
    for epoch in range(epochs):
        rate = RATE * min(1, 2 * (1 - epoch / epochs))
        for batch in torch.randperm(len(images)).split(BATCH):
            true = digits.train_labels[batch]
            wrong = (true + torch.randint(1, 10, true.shape)) % 10  # never the true label
            positive, negative = (with_label(images[batch], one_hot(labels, 10).float()) for labels in (true, wrong))
            for layer in layers:
                positive, negative = layer.learn(positive, negative, rate)
        error = (classify(layers, test_images) != digits.test_labels).float().mean().item()
        print(f"epoch {epoch + 1:2}: {100 * error:.2f} % of the test images misclassified")
