"""One small layer of each kind, in float64, and batches for it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from twofold.layers.dense import Dense
from twofold.layers.layer import FeedForwardLayer
from twofold.layers.module import LocalModule
from twofold.learning import Rule
from twofold.normalize import normalize

CASES, INPUTS, UNITS, RATE = 7, 6, 5, 0.3


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(seed: int, inputs: int = INPUTS) -> tuple[Tensor, Tensor]:
    """A positive and a negative batch in float64."""
    both = torch.randn(2, CASES, inputs, generator=seeded(seed), dtype=torch.float64)
    return normalize(both[0] + 0.5), normalize(both[1])


def dense_layer(rule: Rule, seed: int = 0) -> Dense:
    layer = Dense(INPUTS, UNITS, rule, seeded(seed)).double()
    layer.bias += 0.1 * torch.randn(UNITS, generator=seeded(seed + 1), dtype=torch.float64)
    return layer


def the_same_as_a_module(layer: Dense, rule: Rule) -> LocalModule:
    linear = nn.Linear(INPUTS, UNITS).double()
    linear.load_state_dict(layer.state_dict())
    return LocalModule(nn.Sequential(linear, nn.ReLU()), UNITS, rule).double()


LAYERS: dict[str, Callable[[Rule], FeedForwardLayer]] = {
    "dense": dense_layer,
    "module": lambda rule: the_same_as_a_module(dense_layer(rule), rule),
}
