"""Nets with black boxes between their layers: the settings, and what is counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from twofold.layers.boxes import BOXES, Box, boxes_behind
from twofold.methods.recipe import ImageRecipe


@dataclass(frozen=True, kw_only=True)
class BoxedRecipe(ImageRecipe):
    """The settings of nets that may have black boxes between their layers.

    Attributes:
        box: what stands behind each pair of layers but not behind the last layer: none, random_relu, one_bit, sampled
            or saturating. Each is as wide as the layer before it, and is drawn from the seed.
        box_drift: by how much boxes change after each batch: 0 keeps them, 1 draws them anew.
    """

    named: ClassVar[dict[str, Mapping[str, object]]] = ImageRecipe.named | {"box": {"none": None, **BOXES}}

    box: str = "none"
    box_drift: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._expect(0 <= self.box_drift <= 1, "box_drift", self.box_drift, "a share in [0, 1]")
        if self.box == "none":
            self._expect(self.box_drift == 0, "box_drift", self.box_drift, "0 where --box is none")
        else:
            self._expect(len(self.widths) > 2, "box", self.box, "none: the second layer of so few is the last")


def bytes_of_boxes(recipe: BoxedRecipe) -> int:
    """The memory that the boxes of a net take: a square matrix each."""
    return sum(4 * recipe.widths[number - 1] ** 2 for number in boxes_behind(recipe.box, recipe.widths))


class Reads:
    """Counts the rows that went through boxes while a net learned, and drifts them after each batch.

    Args:
        boxes: of the net.
        drift: after each batch; see `Box.drift`.
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
        """``box_reads``: rows since the last call, added up over all boxes; nothing where there are none."""
        rows, self._rows = self._rows, 0
        return {"box_reads": rows} if self._boxes else {}
