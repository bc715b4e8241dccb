"""Train with a custom goodness, a custom objective and custom negative data, each a plain function.

python examples/own_goodness.py [EPOCHS]
"""

import sys

import torch
from torch.nn.functional import relu

import twofold

# Goodness: its value for each case, the threshold for a number of units, and half the derivative of the value. If
# ``slope`` is omitted, autograd computes it.
cubes = twofold.Goodness(
    value=lambda activity: activity.pow(3).sum(1),
    threshold=float,
    slope=lambda activity: 1.5 * activity.square(),
)

# Objective: the loss of a pair of cases, as a function of goodness minus threshold of both. Autograd differentiates it.
hinge = twofold.Objective(
    loss=lambda positive, negative, T: relu(T - positive) + relu(T + negative),
    paired=False,
)


# Negatives: true labels and logits of the fast test -> wrong labels. This one returns the most likely wrong label.
def likeliest_wrong_labels(labels, logits, generator):
    return logits.scatter(1, labels[:, None], -torch.inf).argmax(1)


if __name__ == "__main__":
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    torch.manual_seed(0)
    digits = twofold.load_data("digits")
    data = digits.train_images, digits.train_labels
    nets = {
        "sum of squares": twofold.FeedForward.dense(digits.shape, (200, 200), digits.classes),
        "sum of cubes": twofold.FeedForward.dense(digits.shape, (200, 200), digits.classes, twofold.Rule(cubes)),
        "hinge": twofold.FeedForward.dense(digits.shape, (200, 200), digits.classes, twofold.Rule(objective=hinge)),
    }
    for name, net in nets.items():
        twofold.fit(net, *data, epochs=epochs)
        print(f"{name:16} test error {twofold.evaluate(net, digits.test_images, digits.test_labels).error}")

    net = twofold.FeedForward.dense(digits.shape, (200, 200), digits.classes)
    for _ in range(epochs):
        for batch in torch.randperm(len(data[0])).split(50):
            net.learn(*(part[batch] for part in data), rate=0.02, negatives=likeliest_wrong_labels)
    print(f"likeliest wrong  test error {twofold.evaluate(net, digits.test_images, digits.test_labels).error}")
