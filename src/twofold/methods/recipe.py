"""Recipes: the settings of a net and its training. The fields of a recipe are also options of the command line."""

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
"""Range of the absolute value of all float settings other than 0. Outside this range, products with activations may
overflow or underflow in single precision."""


BOUNDS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "least": (operator.ge, "at least {:g}"),
    "above": (operator.gt, "a number above {:g}"),
    "below": (operator.lt, "below {:g}"),
    "most": (operator.le, "at most {:g}"),
}
"""Bounds that a field may have: the comparison with the bound, and its text in error messages."""


class Properties(TypedDict, total=False):
    """Properties of a recipe field in addition to the type and the default of the field.

    Attributes:
        least: lower bound (inclusive). For a tuple, each number must satisfy all bounds.
        above: lower bound (exclusive).
        below: upper bound (exclusive).
        most: upper bound (inclusive).
        names: permitted values of a field of strings.
        of_net: True if the field describes the net or its data. `fit` does not accept such fields, since it receives
            a net that is already built.
        usual: largest usual value of the field. With a larger value, activations or weights may diverge.
        added: value of the field for runs of older versions, which do not contain the field.
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
    """Declare a field of a recipe. The string below the declaration is the help text of the field.

    A subclass may redeclare the field with another default or other properties. The subclass inherits all other
    properties.

    Args:
        default: default value. Without it, the field is required.
        properties: properties of the field; see `Properties`.
    """
    return field(default=default, metadata=properties)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Base class of recipes, with the settings that all methods share.

    Raises:
        ArgumentError: a field has the wrong type.
        SettingError: a field is out of range, or incompatible with another field.
    """

    method: ClassVar[str]
    """Name of the method."""
    former_methods: ClassVar[tuple[str, ...]] = ()
    """Earlier names of the method, in runs of older versions."""
    removed: ClassVar[Mapping[str, object]] = {}
    """Field that no longer exists -> the only value of this field with which a run of an older version can be read."""

    data: str = setting(of_net=True)
    """Name of the data set: digits, mnist, fashion-mnist or cifar10.
    On the command line, also the path of your own data."""
    widths: tuple[int, ...] = setting(least=1, of_net=True)
    """Number of units of each hidden layer."""
    epochs: int = setting(1, least=1)
    """Number of epochs."""
    batch: int = setting(defaults.BATCH, least=1)
    """Batch size."""
    rate: float = setting(defaults.RATE, above=0, usual=1.0)
    """Initial learning rate."""
    smoothing: float = setting(defaults.SMOOTHING, least=0, below=1)
    """Momentum coefficient, in [0, 1): share of the previous gradients that is kept at each batch."""
    decay: float = setting(defaults.DECAY, least=0, usual=1.0)
    """Weight decay."""
    validation: int = setting(0, least=0, of_net=True)
    """Number of training cases to hold out, taken from the end of the training set.
    The net is tested on them after each epoch, and the test set is not used.
    With 0, the net is trained on all cases and tested once on the test set, at the end."""
    tolerance: float = setting(0.0, least=0, below=1)
    """Importance sampling, for speed. Let s be the learning signal of a case, and T this value.
    If s < T, the case is used with probability s/T, and its signal is set to T. 0 uses all cases.
    The expected gradient does not change. With --revisit below 1, easy cases are not even read in some epochs."""
    revisit: float = setting(1.0, above=0, most=1, added=1.0)
    """Importance sampling: smallest probability that a case is used in an epoch; 1 uses every case in every epoch."""
    seed: int = setting(0)
    """Random seed of the initial weights, the order of the cases, the distortions and the negative data."""
    schedule: str = setting(defaults.SCHEDULE, names=SCHEDULES, added="constant_then_linear")
    """Learning-rate schedule: constant or constant_then_linear.
    With constant_then_linear, rates are constant for the first half of training, then decay linearly to zero."""

    def __post_init__(self) -> None:
        for name, known in self.fields_with("names").items():
            self._expect_name(name, known)
        if isinstance(self.widths, int):
            object.__setattr__(self, "widths", (self.widths,))
        check_fields(self)
        for name, value in asdict(self).items():
            self._expect_size(name, value)
        if not self.widths:
            raise SettingError("--widths is empty, expected the number of units of each layer, such as 1000 1000")
        for name, properties in self.properties().items():
            self._expect_bounds(name, {bound: properties[bound] for bound in BOUNDS if bound in properties})
        self._expect_decay("rate", "decay", self._step())

    @classmethod
    def properties(cls) -> dict[str, dict[str, Any]]:
        """Return the `Properties` of each field by name, from this class and its base classes."""
        properties: dict[str, dict[str, Any]] = {item.name: {} for item in fields(cls)}
        for base in reversed(cls.__mro__):
            for name in inspect.get_annotations(base).keys() & properties.keys():
                properties[name] |= vars(base)["__dataclass_fields__"][name].metadata
        return properties

    @classmethod
    def fields_with(cls, kind: str) -> dict[str, Any]:
        """Return a dict: name of a field -> value of the property ``kind``, for all fields that have this property.

        Args:
            kind: name of the property; see `Properties`.
        """
        return {name: properties[kind] for name, properties in cls.properties().items() if kind in properties}

    @classmethod
    def upgraded(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Convert the settings of an older run, whose method is one of `former_methods`, to current settings."""
        return settings

    def for_cases(self, images: Tensor, classes: int) -> Self:
        """Return a copy of the recipe that is adapted to the user's own training images.

        Args:
            images: training images, ``(cases, channels, height, width)``.
            classes: number of classes.
        """
        return self

    def with_scale_of(self, recipe: Self) -> Self:
        """Return a copy in which the settings that depend on the layer widths, such as the temperature, are replaced.

        The new settings are those of ``recipe``, scaled from the widths of ``recipe`` to the widths of the copy.
        """
        return self

    def _step(self) -> float:
        """Return the factor of the weight decay in an update: w ← (1 - factor · decay) w."""
        return self.rate

    def _expect_decay(self, rate: str, decay: str, step: float) -> None:
        """Raise an error unless step · decay < 1, where an update is w ← (1 - step · decay) w.

        Otherwise weight decay would change the signs of weights. The arguments ``rate`` and ``decay`` are the names of
        the fields for the error message.
        """
        high, low = (rate, decay) if getattr(self, rate) > 1 else (decay, rate)
        if step * getattr(self, decay) >= 1:
            most = getattr(self, high) / (step * getattr(self, decay))
            expected = f"less than {most:g} with --{_dashed(low)} {getattr(self, low):g}: weights would flip signs"
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
        """Check that floats suit single precision, integers fit into 32 bits, and the seed fits into 64 bits."""
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
        """Check that ``number`` is the number of a layer, from 1.

        For a net with a single layer, the default of the field is also valid.
        """
        last = max(len(self.widths), defaults.READ_FROM)
        self._expect(number >= 1, field, number, "1 (the first layer) or more")
        self._expect(number <= last, field, number, f"at most {last}: there are no layers above")

    def fields(self) -> dict[str, Any]:
        """Return a dict: name of a field -> value that can be written as JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def _dashed(field: str) -> str:
    """Return the command-line name of a field, without the leading dashes."""
    return field.replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class ImageRecipe(Recipe):
    """Base class of recipes for images."""

    jitter: int = setting(0, least=0)
    """Largest shift in pixels. Each image is shifted at random, in x and y, each time it is used; 0 turns this off."""
    mirror: bool = setting(False, added=False)
    """Flip each image horizontally with probability 1/2, each time it is used."""


@dataclass(frozen=True, kw_only=True)
class PictureRecipe(ImageRecipe):
    """Base class of recipes for nets whose first layer receives the image without a label."""

    center: bool = setting(False, of_net=True, added=False)
    """Subtract from each image its mean before the image is normalized."""
    field_sizes: tuple[int, ...] = setting((), least=1, of_net=True, added=())
    """Width of the square receptive field of a unit, for each layer. By default, layers are fully connected.
    The units of a layer form a grid, with the same number of units at each point. Units do not share weights."""
    strides: tuple[int, ...] = setting((), least=1, of_net=True, added=())
    """Distance between neighboring receptive fields, for each layer; used with --field-sizes."""
    margins: tuple[int, ...] = setting((), least=0, of_net=True, added=())
    """Distance by which the outermost receptive fields extend beyond the edge of the input, for each layer.
    Receptive fields are cropped at the edge. Used with --field-sizes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("field_sizes", "strides", "margins"):
            numbers: tuple[int, ...] = getattr(self, name)
            text, expected = " ".join(map(str, numbers)), f"none, or one number for each of {len(self.widths)} layers"
            fit = len(numbers) == (len(self.widths) if self.field_sizes else 0)
            self._expect(fit, name, text or "empty", expected)

    def maps(self, shape: Map) -> list[Fields]:
        """Return the receptive fields of each layer, or an empty list if layers are fully connected.

        Args:
            shape: channels, height and width of an image.
        """
        maps: list[Fields] = []
        if self.field_sizes:
            for width, *field in zip(self.widths, self.field_sizes, self.strides, self.margins, strict=True):
                maps.append(fields_for(width, maps[-1].above if maps else shape, *field))
        return maps
