"""Learning from a video: what a recurrent net keeps of it, and what it measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from twofold.checks import convert
from twofold.checks.bounds import floating
from twofold.errors import DataError
from twofold.layers.inputs import CachedInput
from twofold.layers.recurrent import LayerState, RecurrentLayer, Source, TimeStep

State = tuple[LayerState, ...]
"""All layers after an iteration, from the lowest upwards."""


def rows_of(source: Source) -> Tensor:
    """The input itself, ``(rows, inputs)``."""
    return source.rows if isinstance(source, CachedInput) else source


def fits(name: str, source: Source, cases: int, numbers: int, on: torch.device) -> None:
    """Refuse an input that has not so many numbers for each of so many cases, or copies of some that make them up.

    Raises:
        ArgumentError: it is no input.
        DataError: it has others.
    """
    rows = rows_of(convert(name, source, Source))
    floating(name, rows, "cases", numbers, on=on)
    count = rows.shape[0]
    if not count or (cases % count if isinstance(source, CachedInput) else cases != count):
        raise DataError(f"{name}: the shape is {tuple(rows.shape)}, expected ({cases}, {numbers}): give as many cases")


class VideoResult(NamedTuple):
    """The result of learning from a video.

    Attributes:
        goodness: of each layer, for the positive and the negative cases, on average over what was gathered: each
            ``(batch,)``.
        difficulty: how much each pair of cases had to teach, on average over what was gathered; of the layer to which
            it had most, ``(batch,)``.
        state: the layers after the last frame.
    """

    goodness: list[tuple[Tensor, Tensor]]
    difficulty: Tensor
    state: State


class Watched:
    """The iterations since the last gradient was gathered, and means over all that came before."""

    def __init__(self, layers: Sequence[RecurrentLayer], window: int, weight: Tensor | None) -> None:
        self._layers = layers
        self._window = window
        self._weight = weight
        self._kept: list[list[TimeStep]] = [[] for _ in layers]
        self._goodness = [torch.zeros(())] * len(layers)
        self._difficulty = [torch.zeros(())] * len(layers)
        self._steps = 0

    def add(self, sources: list[dict[str, Source]], state: State) -> None:
        """Keep an iteration; where the window is full, gather from it."""
        for steps, seen, after in zip(self._kept, sources, state, strict=True):
            steps.append(TimeStep(seen, after.active, after.goodness))
        if len(self._kept[0]) == self._window:
            self.gather()

    def gather(self) -> None:
        """Let the layers gather the gradient of what is kept, and forget it."""
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
        """The goodness of each layer, for positive and for negative cases, and the difficulty of each pair."""
        halves = [goodness.chunk(2) for goodness in self._goodness]
        return [(positive, negative) for positive, negative in halves], torch.stack(self._difficulty).amax(0)
