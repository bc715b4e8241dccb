"""The settings of a training. A recipe is data: its fields are options of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from twofold import defaults
from twofold.checks import check_fields
from twofold.errors import ArgumentError, SettingError, unknown
from twofold.layers.fields import Fields, Map, fields_for
from twofold.schedules import SCHEDULES

SMALLEST, LARGEST = 1e-30, 1e30
"""The range of all real settings but 0: beyond it their products with activities leave single precision."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings that all methods share.

    Attributes:
        method: name of the way of learning.
        named: field -> the things that it may name.
        data: name of the data set.
        widths: units of each hidden layer; a number for a single one.
        epochs: how often every training case is seen.
        batch: cases per update.
        rate: learning rate, at first.
        smoothing: share of the old gradient kept at each batch.
        decay: weight decay.
        validation: the last so many training cases are held out and tested after each epoch; the test set is then
            not touched. 0 trains on all and tests once, at the end.
        tolerance: a signal weaker than this goes into the gradient only with a probability, and is then as strong as
            this: the same on average for less work. Cases with little to teach are visited less often, likewise.
            0 takes all.
        revisit: the smallest probability with which a case is seen in an epoch.
        seed: of the first weights, the order of the cases, distortions and negative data.
        schedule: how all learning rates change: constant_then_linear (constant for the first half of the training, then
            linear to zero) or constant.

    Raises:
        ArgumentError: a field is of the wrong type.
        SettingError: a field is out of its range, or does not go with another one.
    """

    method: ClassVar[str]
    named: ClassVar[dict[str, Mapping[str, object]]] = {"schedule": SCHEDULES}

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
    schedule: str = defaults.SCHEDULE

    def __post_init__(self) -> None:
        self._expect_names()
        if isinstance(self.widths, int):
            object.__setattr__(self, "widths", (self.widths,))
        check_fields(self)
        for name, value in asdict(self).items():
            self._expect_size(name, value)
        for name, known in self.named.items():
            if getattr(self, name) not in known:
                raise unknown(_dashed(name), getattr(self, name), known)
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
        self._expect_decay("rate", "decay", self._step())

    def _step(self) -> float:
        """The rate by which weights decay at a batch."""
        return self.rate

    def _expect_decay(self, rate: str, decay: str, step: float) -> None:
        """w ← (1 - step · decay) w makes weights smaller: beyond 1 they change their signs, and beyond 2 they grow."""
        high, low = (rate, decay) if getattr(self, rate) > 1 else (decay, rate)
        if step * getattr(self, decay) >= 1:
            most = getattr(self, high) / (step * getattr(self, decay))
            expected = f"less than {most:g} with --{_dashed(low)} {getattr(self, low):g}: a batch would take away more "
            self._expect(False, high, f"{getattr(self, high):g}", expected + "than there is of each weight")

    def _expect_names(self) -> None:
        for name in self.named:
            if not isinstance(getattr(self, name), str):
                raise ArgumentError(
                    f"{name} is of the type {type(getattr(self, name)).__name__}, expected a name in a recipe: to use "
                    "one of your own, build the net with it and call twofold.fit"
                )

    def _expect_size(self, name: str, value: Any) -> None:
        """Numbers that a machine computes with: reals of single precision, whole ones of 32 bits, seeds of 64."""
        for number in value if isinstance(value, tuple) else [value]:
            if isinstance(number, float):
                fits = number == 0 or SMALLEST <= abs(number) <= LARGEST
                self._expect(fits, name, number, f"a number from {SMALLEST:g} to {LARGEST:g}")
            elif isinstance(number, int):
                bits = 64 if name == "seed" else 32
                held, size = abs(number) < 2 ** (bits - 1) - 1, number.bit_length() + 1
                self._expect(held, name, f"a whole number of {size} bits", f"at most {bits}")

    @staticmethod
    def _expect(holds: bool, field: str, value: object, expected: str) -> None:
        if not holds:
            raise SettingError(f"--{_dashed(field)} is {value}, expected {expected}")

    def _expect_positive(self, field: str, value: float) -> None:
        self._expect(value > 0, field, value, "a number above 0")

    def _expect_not_negative(self, field: str, value: float) -> None:
        self._expect(value >= 0, field, value, "0 or more")

    def _expect_layer(self, field: str, number: int) -> None:
        """A layer that the net has; of a net with a single one, which leaves no choice, the default is its own."""
        last = max(len(self.widths), defaults.READ_FROM)
        self._expect(number >= 1, field, number, "1 (the first layer) or more")
        self._expect(number <= last, field, number, f"at most {last}: there are no layers above")

    def fields(self) -> dict[str, Any]:
        """The fields as JSON can hold them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def _dashed(field: str) -> str:
    """A field as the command line writes it, without the dashes in front."""
    return field.replace("_", "-")


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
        for name, least in (("field_sizes", 1), ("strides", 1), ("margins", 0)):
            each: tuple[int, ...] = getattr(self, name)
            self._expect(min(each, default=least) >= least, name, min(each, default=least), f"at least {least}")
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
