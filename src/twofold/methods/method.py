"""A way of learning: how it builds a net, what a batch is, what one step does, and what it measures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from twofold.checkpoint import module_tensors
from twofold.checks import convert
from twofold.data.dataset import labeled_images
from twofold.data.transforms import jitter, mirror
from twofold.errors import DataError, Diverged, SettingError, unknown
from twofold.layers.fields import Map
from twofold.methods.cases import Cases, LoaderCases
from twofold.methods.recipe import ImageRecipe, Recipe
from twofold.methods.sampler import LoaderOrder, Sampler
from twofold.nets.classifier import Classifier
from twofold.nets.net import Net, first_not_finite
from twofold.schedules import SCHEDULES, Schedule

R = TypeVar("R", bound=Recipe)
N = TypeVar("N", bound=Net)

Form = Mapping[str, Any]
"""The form of the data, which a net has to know to be built: for images ``shape`` and ``classes``."""

Names = Sequence[str]
"""What the classes are called, in the order of their numbers; empty where they are called by their numbers."""

StoreLayers = Callable[[Iterable[Any]], Iterable[Any]]
"""Takes layers as they are made, one after the other, and says where they are kept: in memory, or on disk."""


class StepResult(Protocol):
    """The result of a step, with whatever else the family measures in it."""

    @property
    def difficulty(self) -> Tensor:
        """How much each case had to teach, from 0 to 1, ``(batch,)``."""


class Method(ABC, Generic[R, N]):
    """A family of nets. One subclass, and its entry in `METHODS`, is all that the rest of the program asks for.

    Args:
        net: learns; on the device that it will learn on. A family of several nets has them as parts of one `Nets`.
        recipe: the settings.
        data: the training cases.

    Attributes:
        recipe_type: the class of the recipes.
        offloads: whether layers that are not at work may lie on disk.
        generator: draws order, distortions and negative data; on the net's device.
        schedule: how the rate changes; that of the recipe, unless the trainer is given another one.
        sampler: which cases are seen, and how much each counts.
        batches_seen: since the training began.
        rate: the learning rate of the newest step.
    """

    recipe_type: ClassVar[type[Recipe]]
    offloads: ClassVar[bool] = False

    def __init__(self, net: N, recipe: R, data: Cases) -> None:
        self.net = net
        self.recipe = recipe
        self.data = data
        self.generator = torch.Generator(net.device).manual_seed(recipe.seed + 1)
        self.schedule: Schedule = SCHEDULES[recipe.schedule]
        self.sampler = (
            LoaderOrder(data, self.generator) if isinstance(data, LoaderCases) else self.make_sampler(len(data))
        )
        self.batches_seen = 0
        self.rate = recipe.rate

    @classmethod
    @abstractmethod
    def build(cls, recipe: R, form: Form, store: StoreLayers = list) -> N:
        """The untrained net of a recipe, its first weights drawn from the recipe's seed on the CPU.

        Args:
            recipe: the settings.
            form: of the data.
            store: Stores each layer when it is made.

        Raises:
            SettingError: such a net cannot learn from data of that form.
        """

    @classmethod
    @abstractmethod
    def needed_memory(cls, recipe: R, form: Form, precision: str, offload: bool) -> int:
        """About how many bytes a training takes beside its data: weights, smoothed gradients, copies, activities."""

    @classmethod
    def default_recipe(cls, net: N, settings: dict[str, Any]) -> R:
        """The recipe of a training with these settings, and with `defaults` for the others.

        Raises:
            SettingError: a setting is no field of the recipe, or describes the net, which is built already.
        """
        known, of_net = cls.recipe_type.properties().keys(), cls.recipe_type.having("of_net")
        for name in settings:
            if name not in known:
                raise unknown("setting", name, known - of_net.keys())
            if name in of_net:
                raise SettingError(
                    f"{name} is a setting of the net or its data, not of the training: state it where they are made"
                )
        recipe: R = cls.recipe_type(**{**cls.defaults(net), **settings})  # type: ignore[assignment]
        return recipe

    @classmethod
    def defaults(cls, net: N) -> dict[str, Any]:
        """The value of each field of a recipe for a net, where none is stated."""
        stated = {item.name: item.default for item in fields(cls.recipe_type) if item.default is not MISSING}
        return {**stated, "data": "custom", "widths": net.widths}

    @classmethod
    def draw(cls, net: N, recipe: R, data: tuple[Tensor, ...], folder: Path, names: Names = ()) -> list[Path]:
        """Draw what is to be seen of a trained net into a folder.

        Args:
            net: the net.
            recipe: its settings.
            data: what it was tested on.
            folder: gets the pictures.
            names: of the classes, where they have some.
        """
        return []

    def make_sampler(self, cases: int) -> Sampler:
        """The sampler that the recipe asks for."""
        return Sampler(cases, self.generator, self.recipe.tolerance, self.recipe.revisit)

    @classmethod
    def as_cases(cls, net: N, data: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Check and convert tensors of the user's own, all cases or some of them, without running the net.

        Raises:
            DataError: the net cannot learn from them.
        """
        return data

    @classmethod
    def check_fit(cls, net: N, example: tuple[Tensor, ...]) -> None:
        """Run the net on one case, as `as_cases` returns it.

        Raises:
            DataError: the net was not built for it.
        """

    @classmethod
    def check_data(cls, net: N, data: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Check and convert all cases, and run the net on the first.

        Raises:
            DataError: the net cannot learn from them.
        """
        cases = cls.as_cases(net, data)
        cls.check_fit(net, tuple(part[:1] for part in cases))
        return cases

    @abstractmethod
    def batch(self, cases: Tensor, case_weight: Tensor) -> Any:
        """Make the batch for `step` of some training cases ``(batch,)``; each counts ``weight``, ``(batch,)``. Behind
        them there may be others that count nothing."""

    @abstractmethod
    def step(self, batch: Any, progress: float) -> StepResult:
        """Learn from one batch.

        Args:
            batch: as `batch` makes it.
            progress: share of the training done, in [0, 1]: the schedule's argument.
        """

    def set_rate(self, progress: float) -> float:
        """Set the rate of the layers by the schedule; return the schedule's factor, for all other rates."""
        factor = self.schedule(progress)
        self.rate = self.recipe.rate * factor
        return factor

    def per_case(self) -> list[Tensor]:
        """What is noted of each case when it is learned from, ``(cases, ...)``."""
        return [self.sampler.difficulty]

    def share(self) -> None:
        """Bring to all processes, after an epoch, what each of them noted of its cases."""
        self.sampler.share(*self.per_case())

    def check(self) -> None:
        """Raise `Diverged` if the newest numbers are not finite. Called often, so that it has to be cheap."""

    def require_finite(self) -> None:
        """Raise `Diverged` if anything that a checkpoint would hold is not finite."""
        if name := first_not_finite(self.tensors()):
            raise self.diverged(f"a value of {name}")

    def diverged(self, what: str) -> Diverged:
        """The error for a number that is not finite, with advice."""
        now = f"is not a finite number any more after {self.batches_seen} batches"
        return Diverged(f"{what} {now}: {self.advice(what)}")

    def advice(self, what: str = "") -> str:
        """Which setting to lower where ``what`` grew too large: of those that bear on it the one that is most out of
        proportion, or else the rate. The settings of a softmax bear on a softmax, and on nothing else."""
        usual = self.recipe.having("usual")
        prefix = "softmax_" if "softmax" in what and "softmax_rate" in usual else ""
        bearing = [name for name in usual if name.startswith("softmax_") == bool(prefix)]
        blamed = max(bearing, key=lambda name: float(getattr(self.recipe, name)) / usual[name])
        if getattr(self.recipe, blamed) <= usual[blamed]:
            blamed = f"{prefix}rate"
        return f"lower --{blamed.replace('_', '-')} (it is {getattr(self.recipe, blamed):g})"

    def metrics(self) -> dict[str, Any]:
        """The metrics of the last epoch, as JSON can hold them: ``rate``, the newest; ``visits``, the share of the
        cases that were seen; ``importance_sampling``, whether cases with little to teach were seen less often; and
        whatever else the method measures. What begins with ``train_`` also stands in the result of a run, with its last
        value."""
        sampler = self.sampler
        return {"rate": self.rate, "visits": sampler.visits, "importance_sampling": sampler.by_importance}

    def tensors(self) -> dict[str, Tensor]:
        """All that the method needs to go on later, by name, apart from the generator."""
        return {**module_tensors(self.net), "need": self.sampler.difficulty}


def image_form(form: Form) -> tuple[Map, int]:
    """Shape of an image and number of classes.

    Raises:
        SettingError: the data are not labeled images.
    """
    if not {"shape", "classes"} <= form.keys():
        raise SettingError(
            f"the data are described by {', '.join(form) or 'nothing'}, expected labeled images, which have a shape "
            "and classes: choose another data set or recipe"
        )
    shape: Map = convert("shape", form["shape"], tuple[int, int, int])
    classes: int = convert("classes", form["classes"], int)
    if min(*shape, classes) < 1:
        raise SettingError(f"the data have the shape {shape} and {classes} classes, expected at least 1 of each")
    return shape, classes


def image_shape(images: Tensor) -> Map:
    """Channels, height and width of images ``(cases, channels, height, width)``."""
    _, channels, height, width = images.shape
    return channels, height, width


class Batch(NamedTuple):
    """Labeled images to learn from.

    Attributes:
        images: ``(batch, channels, height, width)``.
        labels: ``(batch,)``.
        cases: which of the training images they are, ``(batch,)``.
        case_weight: how much each counts, ``(batch,)``.
    """

    images: Tensor
    labels: Tensor
    cases: Tensor
    case_weight: Tensor


I = TypeVar("I", bound=ImageRecipe)  # noqa: E741
C = TypeVar("C", bound=Classifier)


class ImageMethod(Method[I, C]):
    """A way of learning from labeled images ``(cases, channels, height, width)`` and labels ``(cases,)``.

    Attributes:
        mistaken: whether the softmax named an image wrongly at its last visit, ``(cases,)``.
    """

    def __init__(self, net: C, recipe: I, data: Cases) -> None:
        super().__init__(net, recipe, data)
        _, height, width = image_shape(data.example[0])
        if recipe.jitter >= min(height, width):
            raise SettingError(
                f"--jitter is {recipe.jitter}, expected less than {min(height, width)}: images of {height} x {width} "
                "pixels would be shifted out of sight"
            )
        if recipe.mirror and width == 1:
            raise SettingError("--mirror is on, but images are one pixel wide, so that nothing changes: leave it away")
        self.mistaken = torch.ones(len(data), dtype=torch.bool, device=net.device)

    @classmethod
    def as_cases(cls, net: C, data: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if len(data) != 2:
            raise DataError(f"got {len(data)} arrays to learn from, expected two: images and their labels")
        return labeled_images("your data", *data, classes=net.classes)

    @classmethod
    def check_fit(cls, net: C, example: tuple[Tensor, ...]) -> None:
        images, _ = example
        with torch.no_grad():
            try:
                net.scores(images.to(net.device))
            except RuntimeError as error:
                raise DataError(
                    f"images of the shape {image_shape(images)} do not fit the net ({str(error).splitlines()[0]}): "
                    "give images of the size that it was built for"
                ) from error

    def batch(self, cases: Tensor, case_weight: Tensor) -> Batch:
        images, labels = self.data.take(cases)
        images = jitter(images, self.recipe.jitter, self.generator)
        if self.recipe.mirror:
            images = mirror(images, self.generator)
        return Batch(images, labels, cases, case_weight)

    def per_case(self) -> list[Tensor]:
        return [*super().per_case(), self.mistaken]

    def metrics(self) -> dict[str, Any]:
        """Add ``train_error``: the share of the images that the softmax named wrongly at their last visit."""
        return {**super().metrics(), "train_error": self.mistaken.float().mean().item()}

    def tensors(self) -> dict[str, Tensor]:
        return {**super().tensors(), "mistaken": self.mistaken}

    def _note(self, batch: Batch, logits: Tensor) -> None:
        """Keep which images of a batch the logits ``(batch, classes)`` name wrongly."""
        self.mistaken[batch.cases] = logits.argmax(1) != batch.labels
