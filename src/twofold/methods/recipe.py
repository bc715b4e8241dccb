"""The settings of a training. A recipe is data: its fields are options of the command line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from twofold.checks import check_fields
from twofold.errors import SettingError, unknown
from twofold.layers.fields import Fields, Map, fields_for


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings that all methods share.

    Attributes:
        method: name of the way of learning.
        data: name of the data set.
        widths: units of each hidden layer.
        epochs: how often every training case is seen.
        batch: cases per update.
        rate: learning rate, constant for the first half of the epochs, then linear to zero.
        smoothing: share of the old gradient kept at each batch.
        decay: weight decay.
        validation: the last so many training cases are held out and tested after each epoch; the test set is then
            not touched. 0 trains on all and tests once, at the end.
        tolerance: a signal weaker than this goes into the gradient only with a probability, and is then as strong as
            this: the same on average for less work. Cases with little to teach are visited less often, likewise.
            0 takes all.
        revisit: the smallest probability with which a case is seen in an epoch.
        seed: of the first weights, the order of the cases, distortions and negative data.
    """

    method: ClassVar[str]

    data: str
    widths: tuple[int, ...]
    epochs: int
    batch: int
    rate: float
    smoothing: float
    decay: float
    validation: int
    tolerance: float
    revisit: float
    seed: int

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.widths:
            raise SettingError("--widths is empty, expected at least one layer: give the units of each, as 1000 1000")
        for width in self.widths:
            self._expect(width >= 1, "widths", width, "at least 1 unit a layer")
        self._expect(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        self._expect(self.batch >= 1, "batch", self.batch, "at least 1")
        self._expect_positive("rate", self.rate)
        self._expect(0 <= self.smoothing < 1, "smoothing", self.smoothing, "a share in [0, 1)")
        self._expect_not_negative("decay", self.decay)
        self._expect_not_negative("validation", self.validation)
        self._expect(0 <= self.tolerance < 1, "tolerance", self.tolerance, "a share in [0, 1)")
        self._expect(0 < self.revisit <= 1, "revisit", self.revisit, "a probability above 0 and at most 1")
        self._expect(abs(self.seed) < 2**63 - 1, "seed", self.seed, "a whole number of 64 bits")

    @staticmethod
    def _expect(holds: bool, field: str, value: object, expected: str) -> None:
        if not holds:
            raise SettingError(f"--{field.replace('_', '-')} is {value}, expected {expected}")

    def _expect_positive(self, field: str, value: float) -> None:
        self._expect(0 < value < math.inf, field, value, "a number above 0")

    def _expect_not_negative(self, field: str, value: float) -> None:
        self._expect(0 <= value < math.inf, field, value, "0 or more")

    @staticmethod
    def _expect_known(kind: str, name: str, known: Mapping[str, object]) -> None:
        if name not in known:
            raise unknown(kind, name, known)

    def fields(self) -> dict[str, Any]:
        """The fields as JSON can hold them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class ImageRecipe(Recipe):
    """The settings that all methods share which learn from images.

    Attributes:
        jitter: images are shifted by up to this many pixels each way, anew at every visit.
        mirror: images are flipped horizontally with probability 1/2, anew at every visit.
    """

    jitter: int
    mirror: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        self._expect_not_negative("jitter", self.jitter)


@dataclass(frozen=True, kw_only=True)
class PictureRecipe(ImageRecipe):
    """The settings of nets that see images alone, with no label among the pixels.

    Attributes:
        center: whether the mean of an image's numbers is subtracted before it is brought to its length.
        field_sizes: side of the square that each unit of a layer sees, for each layer; where none is given all units
            see all. Units share no weights; those of a layer lie on a grid, as many at each point.
        strides: distance of neighboring grid points in the map below, for each layer with fields.
        margins: how far the outermost squares reach beyond the edge, where they are cut off, likewise.
    """

    center: bool
    field_sizes: tuple[int, ...]
    strides: tuple[int, ...]
    margins: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, each in (("field_sizes", self.field_sizes), ("strides", self.strides), ("margins", self.margins)):
            said, expected = " ".join(map(str, each)), f"none or one for each of {len(self.widths)} layers"
            fit = len(each) == (len(self.widths) if self.field_sizes else 0)
            self._expect(fit, name, said or "empty", expected)

    def maps(self, shape: Map) -> list[Fields]:
        """The local fields of each layer, for images of that shape; empty where all units see all inputs."""
        maps: list[Fields] = []
        if self.field_sizes:
            for width, *field in zip(self.widths, self.field_sizes, self.strides, self.margins, strict=True):
                maps.append(fields_for(width, maps[-1].above if maps else shape, *field))
        return maps


ALL_SEE_ALL: dict[str, Any] = {"center": False, "field_sizes": (), "strides": (), "margins": ()}
"""The fields of a `PictureRecipe` in which all units see all inputs, as they are."""
