"""One small layer of each kind, in float64, batches for it, and weights whose reads are counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from twofold.layers.connectivity import Connectivity
from twofold.layers.dense import Dense
from twofold.layers.layer import FeedForwardLayer
from twofold.layers.module import CustomLayer
from twofold.layers.weights import Weights
from twofold.learning import Rule
from twofold.normalize import normalize
from twofold.objectives import OBJECTIVES

CASES, INPUTS, UNITS, RATE = 7, 6, 5, 0.3


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def authors_rule(**changes: Any) -> Rule:
    """The author's rule, written out, so that defaults may be tuned without touching a test."""
    return Rule(**{"objective": OBJECTIVES["logistic"], "temperature": 1.0, "decay": 0.001, **changes})


def batch(seed: int, inputs: int = INPUTS) -> tuple[Tensor, Tensor]:
    """A positive and a negative batch in float64."""
    both = torch.randn(2, CASES, inputs, generator=seeded(seed), dtype=torch.float64)
    return normalize(both[0] + 0.5), normalize(both[1])


def dense_layer(rule: Rule, seed: int = 0) -> Dense:
    layer = Dense(INPUTS, UNITS, rule, seeded(seed)).double()
    layer.bias += 0.1 * torch.randn(UNITS, generator=seeded(seed + 1), dtype=torch.float64)
    return layer


def the_same_as_a_module(layer: Dense, rule: Rule) -> CustomLayer:
    linear = nn.Linear(INPUTS, UNITS).double()
    linear.load_state_dict(layer.state_dict())
    return CustomLayer(nn.Sequential(linear, nn.ReLU()), UNITS, rule).double()


LAYERS: dict[str, Callable[[Rule], FeedForwardLayer]] = {
    "dense": dense_layer,
    "module": lambda rule: the_same_as_a_module(dense_layer(rule), rule),
}


class Read(Weights):
    """Weights whose reads are counted, each with noise of its own."""

    def __init__(self, module: nn.Module, name: str, connectivity: Connectivity, noise: float = 0.0) -> None:
        super().__init__(module, name, module.get_parameter(name), connectivity)
        self.noise, self.generator, self.rows = noise, seeded(7), list[int]()

    def product(self, rows: Tensor, total: Tensor) -> Tensor:
        self.rows.append(len(rows))
        exact = super().product(rows, total)
        return exact + self.noise * torch.randn(exact.shape, generator=self.generator, dtype=exact.dtype)


class SeparateRead(Read):
    linear = False
