"""Layers of your own: a small convolutional net, made of closed-form layers or of any PyTorch modules.

    python examples/own_layer.py [EPOCHS [DATA [LAYERS]]]

DATA is digits, mnist or fashion-mnist; LAYERS is convolution, module (the same layers, from torch.nn), or backprop (the
same net, trained by cross-entropy).
"""

import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import twofold

CHANNELS, UNITS, BATCH = (32, 64), 500, 50


def convolutions(shape: tuple[int, int, int], classes: int) -> list[twofold.Convolution | twofold.Dense]:
    """The label comes in as planes: one more channel for each class, constant over the whole picture."""
    channels, height, width = shape
    first = twofold.Convolution((classes + channels, height, width), CHANNELS[0], 5, stride=2, padding=2)
    second = twofold.Convolution(first.shape, CHANNELS[1], 3, stride=2, padding=1)
    return [first, second, twofold.Dense(second.units, UNITS)]


def modules(shape: tuple[int, int, int], classes: int) -> list[twofold.LocalModule]:
    """The same layers from modules. Each has a step of its own; no derivative leaves it."""
    sizes = [layer.shape for layer in convolutions(shape, classes)]
    first = nn.Conv2d(classes + shape[0], CHANNELS[0], 5, stride=2, padding=2)
    second = nn.Conv2d(CHANNELS[0], CHANNELS[1], 3, stride=2, padding=1)
    third = nn.Sequential(nn.Flatten(), nn.LazyLinear(UNITS))
    third(torch.zeros(1, *sizes[1]))  # a lazy layer finds its inputs
    for weight in (first.weight, second.weight, third[1].weight):
        nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
    return [
        twofold.LocalModule(nn.Sequential(part, nn.ReLU()), size)
        for part, size in zip((first, second, third), sizes, strict=True)
    ]


def learn(data: twofold.data.Dataset, kind: str, epochs: int) -> None:
    layers = convolutions(data.shape, data.classes) if kind == "convolution" else modules(data.shape, data.classes)
    # The tests read the last layer alone, which sees the whole picture.
    net = twofold.FeedForward(layers, data.classes, label_in="planes", label_strength=0.1, counted_from=3)
    for metrics in twofold.fit(net, *data.train, epochs=epochs, batch=BATCH, rate=0.03):
        print(f"epoch {metrics['epoch']}: train error {100 * metrics['train_error']:.2f} %")
    print("test error", twofold.evaluate(net, *data.test).error)


def learn_by_backprop(data: twofold.data.Dataset, epochs: int) -> None:
    net = nn.Sequential(
        nn.Conv2d(data.shape[0], CHANNELS[0], 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(CHANNELS[0], CHANNELS[1], 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(UNITS),
        nn.ReLU(),
        nn.Linear(UNITS, data.classes),
    )
    images, labels = data.train
    net(images[:1])
    steps = epochs * len(labels) / BATCH
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    fall = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, 2 * (1 - step / steps)))
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            cross_entropy(net(images[batch]), labels[batch]).backward()
            optimizer.step()
            fall.step()
    with torch.no_grad():
        named = torch.cat([net(part).argmax(1) for part in data.test[0].split(1000)])
    print("test error", {"backprop": (named != data.test[1]).float().mean().item()})


if __name__ == "__main__":
    torch.manual_seed(0)
    epochs, name, kind = (*sys.argv[1:], *("5", "digits", "convolution")[len(sys.argv) - 1 :])
    data = twofold.load_data(name)
    learn_by_backprop(data, int(epochs)) if kind == "backprop" else learn(data, kind, int(epochs))
