"""The settings of a training. A recipe is data: its fields are options of the command line."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, ClassVar, TypedDict, Unpack

from twofold import defaults
from twofold.checks import check_fields
from twofold.errors import ArgumentError, SettingError, unknown
from twofold.layers.fields import Fields, Map, fields_for
from twofold.schedules import SCHEDULES

SMALLEST, LARGEST = 1e-30, 1e30
"""The range of all real settings but 0: beyond it their products with activities leave single precision."""


BOUNDS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "least": (operator.ge, "at least {:g}"),
    "above": (operator.gt, "a number above {:g}"),
    "below": (operator.lt, "below {:g}"),
    "most": (operator.le, "at most {:g}"),
}
"""The bounds of a field: how each is checked, and how it is said in an error."""


class Properties(TypedDict, total=False):
    """The properties of a field of a recipe, beside its type and its default.

    Attributes:
        least: the smallest value, of a sequence that of each number.
        above: a number that the value exceeds.
        below: a number that exceeds the value.
        most: the largest value.
        names: the names among which the value is.
        of_net: whether the field describes the net or its data, so that `fit` refuses it.
        usual: the largest value in use, for a field of which too much makes numbers grow without bound.
        added: the value at which the field changes nothing, for a field that recipes of older runs lack.
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
    """Declare a field of a recipe; the string below the declaration is its help text.

    A subclass that declares the field again may give it another default and other properties. All else is inherited.

    Args:
        default: the value of the field in a recipe that does not state it; without a default it has to be stated.
        properties: see `Properties`.
    """
    return field(default=default, metadata=properties)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings that all methods share.

    Raises:
        ArgumentError: a field is of the wrong type.
        SettingError: a field is out of its range, or does not go with another one.
    """

    method: ClassVar[str]
    """Name of the way of learning."""

    data: str = setting(of_net=True)
    """Name of the data set."""
    widths: tuple[int, ...] = setting(least=1, of_net=True)
    """Units of each hidden layer."""
    epochs: int = setting(1, least=1)
    """Passes through the training cases."""
    batch: int = setting(defaults.BATCH, least=1)
    """Cases per update."""
    rate: float = setting(defaults.RATE, above=0, usual=1.0)
    """Learning rate at the beginning."""
    smoothing: float = setting(defaults.SMOOTHING, least=0, below=1)
    """Share of the old gradient that is kept at each batch."""
    decay: float = setting(defaults.DECAY, least=0, usual=1.0)
    """Weight decay."""
    validation: int = setting(0, least=0, of_net=True)
    """Number of training cases, the last ones, that are held out and tested after each epoch.
    The test set is then not used. With 0, the net trains on all cases and is tested once, at the end."""
    tolerance: float = setting(0.0, least=0, below=1)
    """Signal strength below which a case is sampled.
    A weaker signal enters the gradient with a probability, at this strength, so that the mean stays the same.
    Cases with weak signals are also visited less often. 0 uses all cases."""
    revisit: float = setting(1.0, above=0, most=1, added=1.0)
    """Smallest probability that a case is seen in an epoch."""
    seed: int = setting(0)
    """Seed of the first weights, the order of the cases, distortions and negative data."""
    schedule: str = setting(defaults.SCHEDULE, names=SCHEDULES, added="constant_then_linear")
    """Schedule of all learning rates: constant, or constant_then_linear.
    The latter is constant for the first half of the training, then linear to zero."""

    def __post_init__(self) -> None:
        for name, known in self.having("names").items():
            self._expect_name(name, known)
        if isinstance(self.widths, int):
            object.__setattr__(self, "widths", (self.widths,))
        check_fields(self)
        for name, value in asdict(self).items():
            self._expect_size(name, value)
        if not self.widths:
            raise SettingError("--widths is empty, expected at least one layer: give the units of each, as 1000 1000")
        for name, properties in self.properties().items():
            self._expect_bounds(name, {bound: properties[bound] for bound in BOUNDS if bound in properties})
        self._expect_decay("rate", "decay", self._step())

    @classmethod
    def properties(cls) -> dict[str, dict[str, Any]]:
        """The `Properties` of each field, from this class and its bases."""
        properties: dict[str, dict[str, Any]] = {item.name: {} for item in fields(cls)}
        for kind in reversed(cls.__mro__):
            for name in inspect.get_annotations(kind).keys() & properties.keys():
                properties[name] |= vars(kind)["__dataclass_fields__"][name].metadata
        return properties

    @classmethod
    def having(cls, kind: str) -> dict[str, Any]:
        """The fields that have a property of this kind, with its value."""
        return {name: properties[kind] for name, properties in cls.properties().items() if kind in properties}

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

    def _expect_name(self, field: str, known: Mapping[str, object]) -> None:
        if not isinstance(name := getattr(self, field), str):
            raise ArgumentError(
                f"{field} is of the type {type(name).__name__}, expected a name in a recipe: to use one of your own, "
                "build the net with it and call twofold.fit"
            )
        if name not in known:
            raise unknown(_dashed(field), name, known)

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

    def _expect_bounds(self, name: str, bounds: Mapping[str, float]) -> None:
        value, share = getattr(self, name), ""
        if bounds.get("least") == 0 and 1 in (bounds.get("below"), bounds.get("most")):
            share = f"a share in [0, 1{')' if 'below' in bounds else ']'}"
        for bound, limit in bounds.items():
            holds, words = BOUNDS[bound]
            for number in value if isinstance(value, tuple) else (value,):
                self._expect(holds(number, limit), name, number, share or words.format(limit))

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
    """The settings that all methods share which learn from images."""

    jitter: int = setting(0, least=0)
    """Largest shift of an image in pixels, each way, drawn anew at every visit."""
    mirror: bool = setting(False, added=False)
    """Flip images horizontally with probability 1/2, anew at every visit."""


@dataclass(frozen=True, kw_only=True)
class PictureRecipe(ImageRecipe):
    """The settings of nets that see images alone, with no label among the pixels."""

    center: bool = setting(False, of_net=True, added=False)
    """Subtract the mean of an image's numbers before it is brought to its length."""
    field_sizes: tuple[int, ...] = setting((), least=1, of_net=True, added=())
    """Side of the square that each unit of a layer sees, for each layer. Without it all units see all inputs.
    Units share no weights; those of a layer lie on a grid, as many at each point."""
    strides: tuple[int, ...] = setting((), least=1, of_net=True, added=())
    """Distance of neighboring grid points in the map below, for each layer with fields."""
    margins: tuple[int, ...] = setting((), least=0, of_net=True, added=())
    """Extent of the outermost squares beyond the edge, where they are cut off, for each layer with fields."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("field_sizes", "strides", "margins"):
            numbers: tuple[int, ...] = getattr(self, name)
            said, expected = " ".join(map(str, numbers)), f"none or one for each of {len(self.widths)} layers"
            fit = len(numbers) == (len(self.widths) if self.field_sizes else 0)
            self._expect(fit, name, said or "empty", expected)

    def maps(self, shape: Map) -> list[Fields]:
        """The local fields of each layer, for images of that shape; empty where all units see all inputs."""
        maps: list[Fields] = []
        if self.field_sizes:
            for width, *field in zip(self.widths, self.field_sizes, self.strides, self.margins, strict=True):
                maps.append(fields_for(width, maps[-1].above if maps else shape, *field))
        return maps
