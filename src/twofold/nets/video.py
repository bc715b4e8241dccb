"""Helpers of `Recurrent.learn_video`: input checks, the window of stored iterations, and the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from twofold.checks import convert
from twofold.checks.bounds import floating
from twofold.errors import DataError
from twofold.layers.inputs import CachedInput
from twofold.layers.recurrent import LayerState, RecurrentLayer, SourceInput, TimeStep

State = tuple[LayerState, ...]
"""The states of all layers after an iteration, from the first layer upwards."""


def rows_of(source: SourceInput) -> Tensor:
    """Return the input from a source as a tensor, ``(rows, inputs)``."""
    return source.rows if isinstance(source, CachedInput) else source


def fits(name: str, source: SourceInput, cases: int, numbers: int, on: torch.device) -> None:
    """Check the shape of a frame or of label vectors.

    The number of rows of a `CachedInput` may also be a divisor of ``cases``. The rows are then repeated.

    Args:
        name: Name of the argument, for error messages.
        source: Frame or label vectors, ``(cases, numbers)``.
        cases: Expected number of cases.
        numbers: Expected number of inputs per case.
        on: Expected device.

    Raises:
        ArgumentError: ``source`` has the wrong type.
        DataError: ``source`` has the wrong shape or is on the wrong device.
    """
    rows = rows_of(convert(name, source, SourceInput))
    floating(name, rows, "cases", numbers, on=on)
    count = rows.shape[0]
    if not count or (cases % count if isinstance(source, CachedInput) else cases != count):
        raise DataError(f"{name}: the shape is {tuple(rows.shape)}, expected ({cases}, {numbers}): give {cases} cases")


class VideoResult(NamedTuple):
    """The result of training on a video. Means are over the frames that contributed to the gradient.

    Attributes:
        goodness: For each layer, a pair: mean goodness of the positive and of the negative cases, both ``(batch,)``.
        difficulty: Mean difficulty of each pair of cases, in the layer where it is largest, ``(batch,)``.
        state: States of all layers after the last frame.
    """

    goodness: list[tuple[Tensor, Tensor]]
    difficulty: Tensor
    state: State


class Watched:
    """A buffer of iterations. When the buffer is full, the gradients of all its iterations are accumulated together.

    Args:
        layers: Layers of the net.
        window: Number of iterations in the full buffer.
        case_weight: Weight of each pair of cases, ``(batch,)``; ``None`` means 1.
    """

    def __init__(self, layers: Sequence[RecurrentLayer], window: int, case_weight: Tensor | None) -> None:
        self._layers = layers
        self._window = window
        self._weight = case_weight
        self._kept: list[list[TimeStep]] = [[] for _ in layers]
        self._goodness = [torch.zeros(())] * len(layers)
        self._difficulty = [torch.zeros(())] * len(layers)
        self._steps = 0

    def add(self, sources: list[dict[str, SourceInput]], state: State) -> None:
        """Add an iteration to the buffer. If the buffer is full, accumulate the gradients and empty the buffer.

        Args:
            sources: For each layer, name of a source -> input from this source.
            state: States of all layers after the iteration.
        """
        for steps, seen, after in zip(self._kept, sources, state, strict=True):
            steps.append(TimeStep(seen, after.active, after.goodness))
        if len(self._kept[0]) == self._window:
            self.gather()

    def gather(self) -> None:
        """Accumulate the gradients of the iterations in the buffer, if any, and empty the buffer."""
        count = len(self._kept[0])
        if not count:
            return
        self._steps += count
        share = count / self._steps
        for index, (layer, steps) in enumerate(zip(self._layers, self._kept, strict=True)):
            goodness = torch.stack([step.goodness for step in steps]).mean(0)
            difficulty = layer.gather(steps, "both", self._weight)
            self._goodness[index] = self._goodness[index] * (1 - share) + goodness * share
            self._difficulty[index] = self._difficulty[index] * (1 - share) + difficulty * share
            steps.clear()

    def means(self) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """Return ``goodness`` and ``difficulty`` of `VideoResult`, averaged over all iterations so far."""
        halves = [goodness.chunk(2) for goodness in self._goodness]
        return [(positive, negative) for positive, negative in halves], torch.stack(self._difficulty).amax(0)
