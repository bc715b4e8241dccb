"""Settings, memory and metrics of nets with black boxes: unknown transformations between layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from twofold.layers.black_box import BlackBox
from twofold.layers.boxes import BOXES, Box, boxes_behind
from twofold.methods.metrics import Metric, number
from twofold.methods.recipe import ImageRecipe, setting

BOX_METRICS = {"box_reads": Metric(int, number("box reads"))}
"""Metrics of nets with black boxes, by name."""


@dataclass(frozen=True, kw_only=True)
class BoxedRecipe(ImageRecipe):
    """Base class of recipes for nets that may have black boxes between their layers."""

    box: str = setting("none", names={"none": None, **BOXES}, of_net=True, added="none")
    """Black box, an unknown transformation: none, random_relu, one_bit, sampled or saturating.
    There is a box after every second layer except the last layer. It has as many outputs as inputs.
    Its random parameters are drawn from --seed."""
    box_drift: float = setting(0.0, least=0, most=1, of_net=True, added=0.0)
    """Change of the boxes after each batch, from 0 (no change) to 1 (a new random box)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.box == "none":
            self._expect(self.box_drift == 0, "box_drift", self.box_drift, "0 if --box is none")
        else:
            self._expect(
                len(self.widths) > 2,
                "box",
                self.box,
                "none for a net with fewer than 3 layers",
            )


def bytes_of_boxes(recipe: BoxedRecipe) -> int:
    """Return the total memory of all boxes of a net, in bytes. Each box stores a square matrix."""
    return sum(4 * recipe.widths[number - 1] ** 2 for number in boxes_behind(recipe.box, recipe.widths))


def with_boxes(layers: Iterable[Any], boxes: Mapping[int, Box]) -> Iterator[Any]:
    """Yield the layers, with each box after the layer that it follows.

    Args:
        layers: layers of the net, from the bottom up.
        boxes: number of a layer, counted from 1 -> box that follows this layer.
    """
    for position, layer in enumerate(layers, 1):
        yield layer
        if position in boxes:
            yield BlackBox(boxes[position], units=len(boxes[position].matrix))


class BoxReads:
    """Context manager for a training batch. It counts the rows that pass through black boxes.

    When the context exits, all boxes drift once.

    Args:
        boxes: boxes of the net.
        drift: change of a box after each batch, from 0 to 1; see `Box.drift`.
    """

    def __init__(self, boxes: Iterable[Box], drift: float) -> None:
        self._boxes = list(boxes)
        self._drift = drift
        self._rows = 0
        self._before = 0

    def __enter__(self) -> None:
        self._before = self._read()

    def __exit__(self, *_: object) -> None:
        self._rows += self._read() - self._before
        for box in self._boxes:
            box.drift(self._drift)

    def _read(self) -> int:
        return sum(box.rows_read for box in self._boxes)

    def metrics(self) -> dict[str, int]:
        """Return ``box_reads``, the number of rows that passed through boxes since the last call.

        Return an empty dict if the net has no boxes.
        """
        rows, self._rows = self._rows, 0
        return {"box_reads": rows} if self._boxes else {}
