"""One small net of each kind for images of any shape, and what is done with it in several tests."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from support.small_layers import seeded
from twofold.labels import inputs_with_label
from twofold.layers.dense import Dense, dense
from twofold.layers.module import CustomLayer
from twofold.nets.backprop import Backprop
from twofold.nets.feedforward import FeedForward
from twofold.nets.label_free import LabelFree
from twofold.nets.recurrent import Recurrent
from twofold.nets.unsupervised import Unsupervised

PIXELS, CLASSES, WIDTHS = 64, 10, (40, 30)
SHAPE = (1, 8, 8)


def of_modules() -> FeedForward:
    """A net whose first layer is any module."""
    linear = nn.Linear(inputs_with_label("prepend", PIXELS, CLASSES), WIDTHS[0])
    nn.init.normal_(linear.weight, std=0.1, generator=seeded())
    nn.init.zeros_(linear.bias)
    layers = [CustomLayer(nn.Sequential(linear, nn.ReLU()), WIDTHS[0]), Dense(*WIDTHS, generator=seeded(1))]
    return FeedForward(layers, CLASSES)


def drawn(net: Any, seed: int) -> dict[str, Any]:
    """The generator of what a net draws while it learns, if it draws anything, for the arguments of ``learn``."""
    return {"generator": seeded(seed)} if "generator" in inspect.signature(net.learn).parameters else {}


NETS: dict[str, Callable[[], Any]] = {
    "feedforward": lambda: FeedForward.dense(SHAPE, WIDTHS, CLASSES, generator=seeded()),
    "feedforward, any module": of_modules,
    "label-free": lambda: LabelFree.dense(SHAPE, WIDTHS, CLASSES, generator=seeded()),
    "label-free, blocks": lambda: LabelFree.dense(SHAPE, (*WIDTHS, 20), CLASSES, block_size=2, generator=seeded()),
    "unsupervised": lambda: Unsupervised(dense(PIXELS, WIDTHS, generator=seeded()), CLASSES, counted_from=1),
    "recurrent": lambda: Recurrent(PIXELS, WIDTHS, CLASSES, generator=seeded()),
    "backprop": lambda: Backprop(PIXELS, WIDTHS, CLASSES, seeded()),
}
