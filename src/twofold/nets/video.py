"""Learning from a video: the window of iterations that a recurrent net keeps, and the result."""

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
    """Return the input as a tensor, ``(rows, inputs)``."""
    return source.rows if isinstance(source, CachedInput) else source


def fits(name: str, source: SourceInput, cases: int, numbers: int, on: torch.device) -> None:
    """Check the shape of an input.

    A `CachedInput` may have fewer rows than there are cases, if copies of them make up all cases.

    Args:
        name: The argument, for the error message.
        source: The input, ``(cases, numbers)``.
        cases: The expected number of cases.
        numbers: The expected number of inputs per case.
        on: The expected device.

    Raises:
        ArgumentError: ``source`` is of another type.
        DataError: It has another shape or is on another device.
    """
    rows = rows_of(convert(name, source, SourceInput))
    floating(name, rows, "cases", numbers, on=on)
    count = rows.shape[0]
    if not count or (cases % count if isinstance(source, CachedInput) else cases != count):
        raise DataError(f"{name}: the shape is {tuple(rows.shape)}, expected ({cases}, {numbers}): give as many cases")


class VideoResult(NamedTuple):
    """The result of learning from a video.

    Attributes:
        goodness: For each layer, the mean goodness of the positive and of the negative cases over all gathered frames,
            each ``(batch,)``.
        difficulty: The mean signal of each pair of cases over all gathered frames, in the layer where it is strongest,
            ``(batch,)``.
        state: The state of the layers after the last frame.
    """

    goodness: list[tuple[Tensor, Tensor]]
    difficulty: Tensor
    state: State


class Watched:
    """A window of iterations whose gradients are not yet gathered, and means over all earlier iterations."""

    def __init__(self, layers: Sequence[RecurrentLayer], window: int, case_weight: Tensor | None) -> None:
        self._layers = layers
        self._window = window
        self._weight = case_weight
        self._kept: list[list[TimeStep]] = [[] for _ in layers]
        self._goodness = [torch.zeros(())] * len(layers)
        self._difficulty = [torch.zeros(())] * len(layers)
        self._steps = 0

    def add(self, sources: list[dict[str, SourceInput]], state: State) -> None:
        """Add an iteration. Gather the gradients if the window is full."""
        for steps, seen, after in zip(self._kept, sources, state, strict=True):
            steps.append(TimeStep(seen, after.active, after.goodness))
        if len(self._kept[0]) == self._window:
            self.gather()

    def gather(self) -> None:
        """Gather the gradients of the iterations in the window and empty it."""
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
        """Return the mean goodness of each layer, for positive and negative cases, and the difficulty of each pair."""
        halves = [goodness.chunk(2) for goodness in self._goodness]
        return [(positive, negative) for positive, negative in halves], torch.stack(self._difficulty).amax(0)
