"""Settings of a training. The fields of a recipe are also the options of the command line."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, ClassVar, Self, TypedDict, Unpack

from torch import Tensor

from twofold import defaults
from twofold.checks import check_fields
from twofold.errors import ArgumentError, SettingError, unknown
from twofold.layers.fields import Fields, Map, fields_for
from twofold.schedules import SCHEDULES

SMALLEST, LARGEST = 1e-30, 1e30
"""Range of all real settings other than 0. Outside it, products with activities may exceed single precision."""


BOUNDS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "least": (operator.ge, "at least {:g}"),
    "above": (operator.gt, "a number above {:g}"),
    "below": (operator.lt, "below {:g}"),
    "most": (operator.le, "at most {:g}"),
}
"""Bounds of a field: the comparison, and its text in error messages."""


class Properties(TypedDict, total=False):
    """Properties of a recipe field in addition to its type and default.

    Attributes:
        least: smallest value (inclusive); for a sequence, of each number.
        above: lower bound (exclusive).
        below: upper bound (exclusive).
        most: largest value (inclusive).
        names: permitted names.
        of_net: True if the field describes the net or its data, so that `fit` does not accept it.
        usual: largest usual value, for a field whose large values let activations or weights diverge.
        added: neutral value, for a field that is missing in recipes of older runs.
    """

    least: float
    above: float
    below: float
    most: float
    names: Mapping[str, object]
    of_net: bool
    usual: float
    added: object


def setting(default: Any = MISSING, **properties: Unpack[Properties]) -> Any:
    """Declare a field of a recipe. The string below the declaration is its help text.

    A subclass may declare the field again with another default or other properties, and inherits the rest.

    Args:
        default: default value; a field without one is required.
        properties: properties of the field; see `Properties`.
    """
    return field(default=default, metadata=properties)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings shared by all methods.

    Raises:
        ArgumentError: a field has the wrong type.
        SettingError: a field is out of range, or incompatible with another field.
    """

    method: ClassVar[str]
    """Name of the method."""
    former_methods: ClassVar[tuple[str, ...]] = ()
    """Names of the method in older runs."""
    removed: ClassVar[Mapping[str, object]] = {}
    """Fields of older runs that no longer exist, with their neutral values."""

    data: str = setting(of_net=True)
    """Name of the data set. On the command line, it may be the path of your own data."""
    widths: tuple[int, ...] = setting(least=1, of_net=True)
    """Number of units of each hidden layer."""
    epochs: int = setting(1, least=1)
    """Number of passes over the training cases."""
    batch: int = setting(defaults.BATCH, least=1)
    """Batch size."""
    rate: float = setting(defaults.RATE, above=0, usual=1.0)
    """Initial learning rate."""
    smoothing: float = setting(defaults.SMOOTHING, least=0, below=1)
    """Momentum: share of the previous gradient that is kept at each batch."""
    decay: float = setting(defaults.DECAY, least=0, usual=1.0)
    """Weight decay."""
    validation: int = setting(0, least=0, of_net=True)
    """Number of training cases at the end that are held out and tested after each epoch, in place of the test set.
    With 0, the net is trained on all cases and tested once on the test set, at the end."""
    tolerance: float = setting(0.0, least=0, below=1)
    """Learning signal below which cases are sampled at random, for speed; 0 uses all cases.
    Sampled signals are raised to this value, so the expected gradient stays the same.
    Cases with weak signals are also visited less often."""
    revisit: float = setting(1.0, above=0, most=1, added=1.0)
    """Smallest probability that a case is visited in an epoch."""
    seed: int = setting(0)
    """Random seed of the initial weights, the order of the cases, distortions and negative data."""
    schedule: str = setting(defaults.SCHEDULE, names=SCHEDULES, added="constant_then_linear")
    """Schedule of all learning rates: constant or constant_then_linear.
    The latter is constant for the first half of the training, then decays linearly to zero."""

    def __post_init__(self) -> None:
        for name, known in self.fields_with("names").items():
            self._expect_name(name, known)
        if isinstance(self.widths, int):
            object.__setattr__(self, "widths", (self.widths,))
        check_fields(self)
        for name, value in asdict(self).items():
            self._expect_size(name, value)
        if not self.widths:
            raise SettingError("--widths is empty, expected the units of at least one layer, such as 1000 1000")
        for name, properties in self.properties().items():
            self._expect_bounds(name, {bound: properties[bound] for bound in BOUNDS if bound in properties})
        self._expect_decay("rate", "decay", self._step())

    @classmethod
    def properties(cls) -> dict[str, dict[str, Any]]:
        """Return the `Properties` of each field, from this class and its bases."""
        properties: dict[str, dict[str, Any]] = {item.name: {} for item in fields(cls)}
        for base in reversed(cls.__mro__):
            for name in inspect.get_annotations(base).keys() & properties.keys():
                properties[name] |= vars(base)["__dataclass_fields__"][name].metadata
        return properties

    @classmethod
    def fields_with(cls, kind: str) -> dict[str, Any]:
        """Return the fields that have the property ``kind``, with its value."""
        return {name: properties[kind] for name, properties in cls.properties().items() if kind in properties}

    @classmethod
    def upgraded(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Return the current settings for those of a run of one of the `former_methods`."""
        return settings

    def for_cases(self, images: Tensor, classes: int) -> Self:
        """Return the recipe for a user's own training images ``(cases, ...)`` of so many classes."""
        return self

    def with_scale_of(self, recipe: Self) -> Self:
        """Return a copy with the settings of ``recipe`` that depend on the widths, scaled to the widths of this one."""
        return self

    def _step(self) -> float:
        """Return the rate by which weights decay at a batch."""
        return self.rate

    def _expect_decay(self, rate: str, decay: str, step: float) -> None:
        """Require step · decay < 1, so that w ← (1 - step · decay) w shrinks weights without changing their signs."""
        high, low = (rate, decay) if getattr(self, rate) > 1 else (decay, rate)
        if step * getattr(self, decay) >= 1:
            most = getattr(self, high) / (step * getattr(self, decay))
            expected = f"less than {most:g} with --{_dashed(low)} {getattr(self, low):g}: weight decay would flip signs"
            self._expect(False, high, f"{getattr(self, high):g}", expected)

    def _expect_name(self, field: str, known: Mapping[str, object]) -> None:
        if not isinstance(name := getattr(self, field), str):
            raise ArgumentError(
                f"{field} has the type {type(name).__name__}, expected a name: to use your own object, build the net "
                "with it and call twofold.fit"
            )
        if name not in known:
            raise unknown(_dashed(field), name, known)

    def _expect_size(self, name: str, value: Any) -> None:
        """Check the range of numbers: floats of single precision, integers of 32 bits, seeds of 64 bits."""
        for number in value if isinstance(value, tuple) else [value]:
            if isinstance(number, float):
                fits = number == 0 or SMALLEST <= abs(number) <= LARGEST
                self._expect(fits, name, number, f"a number from {SMALLEST:g} to {LARGEST:g}")
            elif isinstance(number, int):
                bits = 64 if name == "seed" else 32
                fits, size = abs(number) < 2 ** (bits - 1) - 1, number.bit_length() + 1
                self._expect(fits, name, f"an integer of {size} bits", f"at most {bits} bits")

    @staticmethod
    def _expect(holds: bool, field: str, value: object, expected: str) -> None:
        if not holds:
            raise SettingError(f"--{_dashed(field)} is {value}, expected {expected}")

    def _expect_bounds(self, name: str, bounds: Mapping[str, float]) -> None:
        value, share = getattr(self, name), ""
        if bounds.get("least") == 0 and 1 in (bounds.get("below"), bounds.get("most")):
            share = f"a share in [0, 1{')' if 'below' in bounds else ']'}"
        for bound, limit in bounds.items():
            holds, words = BOUNDS[bound]
            for number in value if isinstance(value, tuple) else (value,):
                self._expect(holds(number, limit), name, number, share or words.format(limit))

    def _expect_layer(self, field: str, number: int) -> None:
        """Raise an error if a value is not the index of a layer, or the default in a net with a single layer."""
        last = max(len(self.widths), defaults.READ_FROM)
        self._expect(number >= 1, field, number, "1 (the first layer) or more")
        self._expect(number <= last, field, number, f"at most {last}: there are no layers above")

    def fields(self) -> dict[str, Any]:
        """Return the fields with values that JSON supports."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def _dashed(field: str) -> str:
    """Return the command-line name of a field, without the leading dashes."""
    return field.replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class ImageRecipe(Recipe):
    """Settings shared by all methods that learn from images."""

    jitter: int = setting(0, least=0)
    """Largest random shift of an image at each visit, in pixels."""
    mirror: bool = setting(False, added=False)
    """Flip each image horizontally with probability 1/2 at each visit."""


@dataclass(frozen=True, kw_only=True)
class PictureRecipe(ImageRecipe):
    """Settings of nets whose input is the image without a label."""

    center: bool = setting(False, of_net=True, added=False)
    """Subtract the mean of each image before it is normalized."""
    field_sizes: tuple[int, ...] = setting((), least=1, of_net=True, added=())
    """Side of the square receptive field of each layer; by default layers are fully connected.
    The units of a layer form a grid, with the same number of units at each point and without weight sharing."""
    strides: tuple[int, ...] = setting((), least=1, of_net=True, added=())
    """Distance between neighboring receptive fields of each layer."""
    margins: tuple[int, ...] = setting((), least=0, of_net=True, added=())
    """Distance by which the outermost receptive fields of each layer extend beyond the edge, where they are cropped."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("field_sizes", "strides", "margins"):
            numbers: tuple[int, ...] = getattr(self, name)
            text, expected = " ".join(map(str, numbers)), f"none or one for each of {len(self.widths)} layers"
            fit = len(numbers) == (len(self.widths) if self.field_sizes else 0)
            self._expect(fit, name, text or "empty", expected)

    def maps(self, shape: Map) -> list[Fields]:
        """Return the local fields of each layer for images of a shape; empty if layers are fully connected."""
        maps: list[Fields] = []
        if self.field_sizes:
            for width, *field in zip(self.widths, self.field_sizes, self.strides, self.margins, strict=True):
                maps.append(fields_for(width, maps[-1].above if maps else shape, *field))
        return maps
