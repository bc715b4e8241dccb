"""The base class of all nets, and the result of testing a net."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from twofold import defaults, machine
from twofold.checks import check_arguments
from twofold.checks.bounds import counts
from twofold.errors import Diverged, SettingError, unknown
from twofold.nets.entry import on_device


@dataclass(frozen=True)
class Evaluation:
    """The result of testing a net. A net has one or several tests, which are different ways to predict labels.

    Attributes:
        error: Name of a test -> error in [0, 1], the main test first. For classifiers, this is the fraction of
            misclassified cases.
        metrics: Other measurements, as JSON-compatible values. Classifiers have ``passes_per_image`` (name of a test ->
            forward passes per image) and ``layer_error`` (for each layer, from the first layer upwards, the error
            if labels are predicted from the goodness of this layer alone).
        named: Name of a test -> predicted labels, ``(cases,)``; empty for nets that predict no labels.
        goodness: Goodness of each label and layer, ``(cases, classes, layers)``; ``None`` for nets without goodness.
    """

    error: dict[str, float]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    named: Mapping[str, Tensor] = field(default_factory=dict)
    goodness: Tensor | None = None


@contextmanager
def testing(module: nn.Module) -> Iterator[None]:
    """Put a module and its submodules in evaluation mode for a ``with`` block, and restore their modes afterwards."""
    in_training = [submodule for submodule in module.modules() if submodule.training]
    for submodule in in_training:
        submodule.training = False
    try:
        yield
    finally:
        for submodule in in_training:
            submodule.training = True


class Net(nn.Module, ABC):
    """Base class of nets: a stack of layers, and the tests that evaluate it.

    Attributes:
        method: Name of the training method of the net.
        layers: Layers, from the input upwards.
    """

    method: ClassVar[str]
    layers: nn.ModuleList

    @abstractmethod
    def evaluate(self, *data: Tensor, shortlist: int = defaults.SHORTLIST) -> Evaluation:
        """Measure the error of each test.

        Args:
            data: Tensors of a test set, such as images and labels, on the device of the net.
            shortlist: Number of labels that the fast test passes on to the slow test, for nets with a shortlist test.
        """

    @abstractmethod
    def explain(self, case: Tensor) -> dict[str, Any]:
        """Return the results of all tests for one case ``(1, ...)``, as JSON-compatible values."""

    def _traced(self, images: Tensor) -> dict[str, Tensor]:
        """Run all tests on images ``(batch, ...)``, in a form that `torch.export` can trace.

        Implementations have no checks and no side effects. Implementations take sizes from ``shape``, because ``len``
        would make the batch size constant.

        Returns:
            Name of a test -> scores, ``(batch, classes)``.

        Raises:
            SettingError: The tests of this net cannot be exported.
        """
        raise SettingError(f"a net of the method {self.method} cannot be exported: export a net of another method")

    def require_finite(self) -> None:
        """Check that all parameters and buffers are finite.

        Raises:
            Diverged: A parameter or buffer has NaN or infinite values; the message names the first such tensor.
        """
        if name := first_not_finite(self.state_dict()):
            raise Diverged(
                f"{name} of this net has NaN or infinite values: training diverged; train again at a lower rate"
            )

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.parameters()).device

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of units of each hidden layer."""
        return tuple(layer.units for layer in self.stack)

    @property
    def stack(self) -> list[Any]:
        """The layers as a list, from the input upwards."""
        return list(self.layers)

    @check_arguments
    def set_precision(self, precision: str) -> None:
        """Set the precision of the matrix products of all layers. Parameters stay float32.

        Args:
            precision: ``fp32`` or ``bf16``.

        Raises:
            SettingError: The precision is unknown.
        """
        if precision not in machine.PRECISIONS[1:]:
            raise unknown("precision", precision, machine.PRECISIONS[1:])
        for layer in self.stack:
            layer.compute = machine.compute_type(precision)


class Nets(Net):
    """Several nets that are trained together by one method, such as a generator and a discriminator.

    All nets are saved together, in one checkpoint and one file of weights. The test result is the result of the first
    net.
    A subclass sets ``method``, and may override ``evaluate`` to test the nets together.

    Args:
        nets: Nets by name, the main net first.
    """

    def __init__(self, **nets: Net) -> None:
        super().__init__()
        if not nets:
            raise SettingError("nets is empty, expected at least one net, as a keyword argument")
        self.nets = nn.ModuleDict(nets)

    @property
    def main(self) -> Any:
        """The main net, which is the first."""
        return next(iter(self.nets.values()))

    @property
    def stack(self) -> list[Any]:
        """The layers of all nets."""
        nets: list[Any] = list(self.nets.values())
        return [layer for net in nets for layer in net.stack]

    @property
    def widths(self) -> tuple[int, ...]:
        widths: tuple[int, ...] = self.main.widths
        return widths

    def evaluate(self, *data: Tensor, shortlist: int = defaults.SHORTLIST) -> Evaluation:
        evaluation: Evaluation = self.main.evaluate(*data, shortlist=shortlist)
        return evaluation

    def explain(self, case: Tensor) -> dict[str, Any]:
        explanation: dict[str, Any] = self.main.explain(case)
        return explanation


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor with a value that is NaN or infinite, or ``None``."""
    for name, tensor in tensors.items():
        suspect = tensor.is_floating_point() and not tensor.detach().sum().isfinite()
        if suspect and not tensor.isfinite().all():  # the sum alone may be too large
            return name
    return None


@check_arguments
def evaluate(net: Net, *data: Tensor, shortlist: int = defaults.SHORTLIST) -> Evaluation:
    """Measure the error of each test of a net.

    Args:
        net: The net.
        data: Images ``(cases, ...)`` and true labels ``(cases,)``, on any device. Nets that do not classify may expect
            other data.
        shortlist: Number of labels that the fast test passes on to the slow test, for nets with a shortlist test.

    Raises:
        DataError: The data do not fit the net.
        Diverged: The net has NaN or infinite values.
    """
    counts(shortlist=shortlist)
    net.require_finite()
    return net.evaluate(*(on_device("data", tensor, net.device) for tensor in data), shortlist=shortlist)
