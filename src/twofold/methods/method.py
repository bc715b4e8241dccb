"""Base classes of learning methods, which build nets, make batches, train nets on batches and report metrics."""

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
from twofold.methods.metrics import Metric, percent, percents
from twofold.methods.recipe import ImageRecipe, Recipe
from twofold.methods.sampler import LoaderOrder, Sampler
from twofold.nets.classifier import Classifier
from twofold.nets.net import Net, first_not_finite
from twofold.schedules import SCHEDULES, Schedule

R = TypeVar("R", bound=Recipe)
N = TypeVar("N", bound=Net)

Form = Mapping[str, Any]
"""Description of the data that a net is built for. For labeled images: ``shape``, the channels, height and width of an
image, and ``classes``, the number of classes."""

Names = Sequence[str]
"""Names of the classes in the order of their indices. If empty, the indices are used as names."""

StoreLayers = Callable[[Iterable[Any]], Iterable[Any]]
"""Function that receives layers as they are built, stores them in memory or on disk, and returns the stored layers."""


class StepResult(Protocol):
    """Result of a training step. Methods may add further fields."""

    @property
    def difficulty(self) -> Tensor:
        """Difficulty of each case, from 0 (easy) to 1 (hard), ``(batch,)``.

        Importance sampling uses easy cases less often.
        """


class Method(ABC, Generic[R, N]):
    """Base class of learning methods. A new method is a subclass with an entry in `METHODS`.

    Args:
        net: net to train, on the device to train on. A method with several nets combines them in one `Nets`.
        recipe: training settings.
        data: training cases.

    Attributes:
        recipe_type: class of the recipes of the method.
        offloads: True if the layers can be trained with only one layer in memory and the other layers on disk.
        reported: metrics of each epoch and of the final result, by name. The metrics of base classes are added.
        generator: random generator for the order of the cases, the distortions and the negative data, on the device
            of the net.
        schedule: learning-rate schedule of the recipe, which the trainer may replace.
        sampler: sampler that selects the cases of each epoch and the weights of these cases.
        batches_seen: number of batches since the start of training.
        rate: learning rate of the most recent step.
    """

    recipe_type: ClassVar[type[Recipe]]
    offloads: ClassVar[bool] = False
    reported: ClassVar[Mapping[str, Metric]] = {
        "epoch": Metric(int),
        "seconds": Metric(float),
        "rate": Metric(float),
        "visits": Metric(float),
        "importance_sampling": Metric(bool),
        "validation_error": Metric(
            dict[str, float], percents, "slow, fast, ...: error of each test on the held-out images"
        ),
    }

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
        """Build the untrained net of a recipe on the CPU, with random initial weights from the seed of the recipe.

        Args:
            recipe: settings of the net.
            form: description of the data, such as the shape of an image and the number of classes.
            store: function that stores each layer as soon as it is built.

        Raises:
            SettingError: the net cannot be built for such data.
        """

    @classmethod
    @abstractmethod
    def needed_memory(cls, recipe: R, form: Form, precision: str, offload: bool) -> int:
        """Estimate the memory of training in bytes: weights, momentum, copies and activations, but not the data."""

    @classmethod
    def default_recipe(cls, net: N, settings: dict[str, Any]) -> R:
        """Return the recipe for training a net with the given ``settings``. All other fields are set to `defaults`.

        Raises:
            SettingError: a setting is not a field of the recipe, or describes the net, which is already built.
        """
        known, of_net = cls.recipe_type.properties().keys(), cls.recipe_type.fields_with("of_net")
        for name in settings:
            if name not in known:
                raise unknown("setting", name, known - of_net.keys())
            if name in of_net:
                raise SettingError(
                    f"{name} is a setting of the net or its data, not of the training: set it when you create the net"
                )
        recipe: R = cls.recipe_type(**{**cls.defaults(net), **settings})  # type: ignore[assignment]
        return recipe

    @classmethod
    def defaults(cls, net: N) -> dict[str, Any]:
        """Return a dict: name of a recipe field -> default value for training ``net``."""
        values = {item.name: item.default for item in fields(cls.recipe_type) if item.default is not MISSING}
        return {**values, "data": "custom", "widths": net.widths}

    @classmethod
    def draw(cls, net: N, recipe: R, data: tuple[Tensor, ...], folder: Path, names: Names = ()) -> list[Path]:
        """Plot the results of a trained net, and return the paths of the image files.

        Args:
            net: trained net.
            recipe: recipe of the net.
            data: test data, such as images and their labels.
            folder: folder for the image files.
            names: names of the classes; if empty, the indices of the classes are used as names.
        """
        return []

    def make_sampler(self, cases: int) -> Sampler:
        """Return a sampler of ``cases`` training cases with the settings of the recipe."""
        return Sampler(cases, self.generator, self.recipe.tolerance, self.recipe.revisit)

    @classmethod
    def as_cases(cls, net: N, data: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Check and convert tensors of the user, such as images and their labels, without running the net.

        The tensors may be a data set or a batch.

        Raises:
            DataError: the net cannot be trained on the tensors.
        """
        return data

    @classmethod
    def check_fit(cls, net: N, example: tuple[Tensor, ...]) -> None:
        """Check that a net can process a case, by running the net on it.

        Args:
            net: the net.
            example: tensors of one case, ``(1, ...)``, as returned by `as_cases`.

        Raises:
            DataError: the case does not match the input of the net.
        """

    @classmethod
    def check_data(cls, net: N, data: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Check and convert a data set with `as_cases`, and run the net on the first case.

        Raises:
            DataError: the net cannot be trained on the data.
        """
        cases = cls.as_cases(net, data)
        cls.check_fit(net, tuple(tensor[:1] for tensor in cases))
        return cases

    @abstractmethod
    def batch(self, cases: Tensor, case_weight: Tensor) -> Any:
        """Return a batch for `step`.

        The batch may have additional cases of weight 0 at its end.

        Args:
            cases: indices of the training cases, ``(batch,)``.
            case_weight: weight of each case in the loss, ``(batch,)``.
        """

    @abstractmethod
    def step(self, batch: Any, progress: float) -> StepResult:
        """Train on one batch.

        Args:
            batch: return value of the method `batch`.
            progress: completed fraction of the training run, in [0, 1]. It is the argument of the learning-rate
                schedule.
        """

    def set_rate(self, progress: float) -> float:
        """Set the learning rate of the layers for ``progress`` in [0, 1], and return the factor of the schedule.

        The learning rates of softmax classifiers are multiplied by this factor, too.
        """
        factor = self.schedule(progress)
        self.rate = self.recipe.rate * factor
        return factor

    def per_case(self) -> list[Tensor]:
        """Return tensors ``(cases, ...)`` with the result of each training case when the case was last used."""
        return [self.sampler.difficulty]

    def share(self) -> None:
        """Exchange the results of `per_case` among all processes of a distributed training run, after an epoch."""
        self.sampler.share(*self.per_case())

    def check(self) -> None:
        """Raise `Diverged` if the loss or goodness of the last batch is not finite. This check must be cheap."""

    def require_finite(self) -> None:
        """Raise `Diverged` if one of the `tensors` of the training state has NaN or infinite values."""
        if name := first_not_finite(self.tensors()):
            raise self.diverged(f"a value of {name}")

    def diverged(self, what: str) -> Diverged:
        """Return an exception whose message says that ``what`` is not finite, and names the setting to lower."""
        return Diverged(f"{what} is no longer finite after {self.batches_seen} batches: {self.advice(what)}")

    def advice(self, what: str = "") -> str:
        """Return advice, for an error message, on which setting to lower if ``what`` grew too large.

        The advice names the setting that exceeds its usual range most, or the learning rate if no setting does. If
        ``what`` names a softmax, only settings of the softmax are considered, otherwise only all other settings.
        """
        usual = self.recipe.fields_with("usual")
        prefix = "softmax_" if "softmax" in what and "softmax_rate" in usual else ""
        candidates = [name for name in usual if name.startswith("softmax_") == bool(prefix)]
        blamed = max(candidates, key=lambda name: float(getattr(self.recipe, name)) / usual[name])
        if getattr(self.recipe, blamed) <= usual[blamed]:
            blamed = f"{prefix}rate"
        return f"lower --{blamed.replace('_', '-')} (it is {getattr(self.recipe, blamed):g})"

    def metrics(self) -> dict[str, Any]:
        """Return the metrics of the last epoch, with values that can be written as JSON.

        * ``rate``: the most recent learning rate;
        * ``visits``: the fraction of the training cases that were used;
        * ``importance_sampling``: True if easy cases were used less often;
        * further metrics of the method. The result of a run also contains all metrics whose names start with
          ``train_``, with the value of the last epoch.
        """
        sampler = self.sampler
        return {"rate": self.rate, "visits": sampler.visits, "importance_sampling": sampler.by_importance}

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors that a checkpoint needs to resume training, by name.

        The random generator is saved separately.
        """
        return {**module_tensors(self.net), "need": self.sampler.difficulty}


def image_form(form: Form) -> tuple[Map, int]:
    """Return the shape of an image (channels, height, width) and the number of classes.

    Args:
        form: description of the data.

    Raises:
        SettingError: the data are not labeled images.
    """
    if not {"shape", "classes"} <= form.keys():
        raise SettingError(
            f"the data have {', '.join(form) or 'no description'}, expected shape and classes, as labeled images have: "
            "choose another data set or recipe"
        )
    shape: Map = convert("shape", form["shape"], tuple[int, int, int])
    classes: int = convert("classes", form["classes"], int)
    if min(*shape, classes) < 1:
        raise SettingError(f"the data have the shape {shape} and {classes} classes, expected numbers of at least 1")
    return shape, classes


def image_shape(images: Tensor) -> Map:
    """Return the shape of an image, ``(channels, height, width)``, for a tensor of shape ``(cases, *shape)``."""
    _, channels, height, width = images.shape
    return channels, height, width


class Batch(NamedTuple):
    """A batch of labeled images.

    Attributes:
        images: images, ``(batch, channels, height, width)``.
        labels: labels, ``(batch,)``.
        cases: indices of the images in the training set, ``(batch,)``.
        case_weight: weight of each image in the loss, ``(batch,)``.
    """

    images: Tensor
    labels: Tensor
    cases: Tensor
    case_weight: Tensor


I = TypeVar("I", bound=ImageRecipe)  # noqa: E741
C = TypeVar("C", bound=Classifier)


class ImageMethod(Method[I, C]):
    """Base class of methods for images ``(cases, channels, height, width)`` with labels ``(cases,)``.

    Attributes:
        mistaken: True for each training image that the softmax misclassified when the image was last used,
            ``(cases,)``.
    """

    reported: ClassVar[Mapping[str, Metric]] = {
        "train_error": Metric(
            float | None,
            percent("train error"),
            "train error: share of the training cases that the fast test misclassified",
        ),
        "layer_error": Metric(list[float]),
        "passes_per_image": Metric(dict[str, int]),
    }

    def __init__(self, net: C, recipe: I, data: Cases) -> None:
        super().__init__(net, recipe, data)
        _, height, width = image_shape(data.example[0])
        if recipe.jitter >= min(height, width):
            raise SettingError(
                f"--jitter is {recipe.jitter}, expected less than {min(height, width)}: images have {height} x {width} "
                "pixels"
            )
        if recipe.mirror and width == 1:
            raise SettingError("--mirror has no effect on images that are one pixel wide: omit it")
        self.mistaken = torch.ones(len(data), dtype=torch.bool, device=net.device)

    @classmethod
    def as_cases(cls, net: C, data: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if len(data) != 2:
            raise DataError(f"got {len(data)} arrays, expected two: images and their labels")
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
                    "give images of the size that the net was built for"
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
        """Add the metric ``train_error``, the fraction of the training images that are `mistaken`."""
        return {**super().metrics(), "train_error": self.mistaken.float().mean().item()}

    def tensors(self) -> dict[str, Tensor]:
        return {**super().tensors(), "mistaken": self.mistaken}

    def _note(self, batch: Batch, logits: Tensor) -> None:
        """Store in `mistaken` which images of a batch the ``logits`` ``(batch, classes)`` misclassify."""
        self.mistaken[batch.cases] = logits.argmax(1) != batch.labels
