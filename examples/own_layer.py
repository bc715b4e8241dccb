"""Train a small convolutional net made of `twofold.Convolution` layers or of PyTorch modules.

    python examples/own_layer.py [EPOCHS [DATA [LAYERS]]]

DATA is digits, mnist or fashion-mnist. LAYERS is convolution, module (the same layers from torch.nn) or backprop (the
same net trained by backpropagation). docs/layers.md has the errors of all three.
"""

import sys
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import twofold
from twofold.data import jitter

CHANNELS, UNITS, BATCH = (32, 64), 500, 50


def convolutions(shape: tuple[int, int, int], classes: int) -> list[twofold.Convolution | twofold.Dense]:
    """Return layers whose input has one more channel for each class, constant over the image: the label."""
    channels, height, width = shape
    first = twofold.Convolution((classes + channels, height, width), CHANNELS[0], 5, stride=2, padding=2)
    second = twofold.Convolution(first.shape, CHANNELS[1], 3, stride=2, padding=1)
    return [first, second, twofold.Dense(second.units, UNITS)]


def modules(shape: tuple[int, int, int], classes: int) -> list[twofold.CustomLayer]:
    """Return the same layers made of modules. Each computes its own gradients; no derivative crosses a layer."""
    shapes = [layer.shape for layer in convolutions(shape, classes)]
    first = nn.Conv2d(classes + shape[0], CHANNELS[0], 5, stride=2, padding=2)
    second = nn.Conv2d(CHANNELS[0], CHANNELS[1], 3, stride=2, padding=1)
    third = nn.Linear(torch.Size(shapes[1]).numel(), UNITS)
    for module in (first, second, third):
        nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
        nn.init.zeros_(module.bias)
    stack = [nn.Sequential(first, nn.ReLU()), nn.Sequential(second, nn.ReLU())]
    stack.append(nn.Sequential(nn.Flatten(), third, nn.ReLU()))
    return [twofold.CustomLayer(module, size) for module, size in zip(stack, shapes, strict=True)]


def show(metrics: dict[str, Any]) -> None:
    print(f"epoch {metrics['epoch']}: train error {100 * metrics['train_error']:.2f} %", flush=True)


def learn(data: twofold.Dataset, kind: str, epochs: int) -> dict[str, float]:
    """Train a net with Forward-Forward, and return its test errors."""
    layers = convolutions(data.shape, data.classes) if kind == "convolution" else modules(data.shape, data.classes)
    # The tests use only the last layer, which sees the whole image. Labels are weak, since all positions see them.
    net = twofold.FeedForward(layers, data.classes, label_in="planes", label_strength=0.1, counted_from=3)
    twofold.fit(net, *data.train, epochs=epochs, batch=BATCH, rate=0.03, jitter=1, on_epoch=show)
    return twofold.evaluate(net, *data.test).error


def learn_by_backprop(data: twofold.Dataset, epochs: int, rate: float = 0.05) -> dict[str, float]:
    """Train the same net by backpropagation, and return its test error."""
    images, labels = data.train
    net = nn.Sequential(
        *(nn.Conv2d(data.shape[0], CHANNELS[0], 5, stride=2, padding=2), nn.ReLU()),
        *(nn.Conv2d(CHANNELS[0], CHANNELS[1], 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.LazyLinear(UNITS), nn.ReLU(), nn.Linear(UNITS, data.classes)),
    )
    net(images[:1])  # initializes the lazy layer
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9, weight_decay=2e-4)
    batches, generator = epochs * -(-len(labels) // BATCH), torch.Generator().manual_seed(0)
    factor = twofold.SCHEDULES["constant_then_linear"]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor(step / batches))
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            cross_entropy(net(jitter(images[batch], 1, generator)), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        predicted = torch.cat([net(batch).argmax(1) for batch in data.test[0].split(1000)])
    return {"backprop": (predicted != data.test[1]).float().mean().item()}


if __name__ == "__main__":
    torch.manual_seed(0)
    epochs, name, kind = (*sys.argv[1:], *("5", "digits", "convolution")[len(sys.argv) - 1 :])
    data = twofold.load_data(name)
    error = learn_by_backprop(data, int(epochs)) if kind == "backprop" else learn(data, kind, int(epochs))
    print("test error", error)
