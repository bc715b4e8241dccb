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
    """The result of testing a net.

    Attributes:
        error: Test -> error in [0, 1], the main test first; for classifiers the share of misclassified cases.
        metrics: Other measurements, as JSON can hold them. Classifiers have ``passes_per_image`` (test -> forward
            passes per image) and ``layer_error`` (the error by the goodness of each single layer, first layer first).
        named: Test -> predicted labels, ``(cases,)``; empty for nets that predict no labels.
        goodness: The goodness of each label and layer, ``(cases, classes, layers)``; ``None`` for nets without it.
    """

    error: dict[str, float]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    named: Mapping[str, Tensor] = field(default_factory=dict)
    goodness: Tensor | None = None


@contextmanager
def testing(module: nn.Module) -> Iterator[None]:
    """Switch a module and its submodules to evaluation mode, and restore their modes afterwards."""
    in_training = [submodule for submodule in module.modules() if submodule.training]
    for submodule in in_training:
        submodule.training = False
    try:
        yield
    finally:
        for submodule in in_training:
            submodule.training = True


class Net(nn.Module, ABC):
    """A stack of layers with the tests that evaluate it.

    Attributes:
        method: The name of the method that trains the net.
        layers: The layers, from the input upwards.
    """

    method: ClassVar[str]
    layers: nn.ModuleList

    @abstractmethod
    def evaluate(self, *data: Tensor, shortlist: int = defaults.SHORTLIST) -> Evaluation:
        """Test the net.

        Args:
            data: The tensors of a test set, such as images and labels, on the net's device.
            shortlist: The number of labels that the fast test passes on to the slow test, for nets with these tests.
        """

    @abstractmethod
    def explain(self, case: Tensor) -> dict[str, Any]:
        """Return the result of each test for one case ``(1, ...)``, as JSON can hold it."""

    def _traced(self, images: Tensor) -> dict[str, Tensor]:
        """Run all tests on a batch ``(batch, ...)``, without checks, as a pure function that `torch.export` can trace.

        Take sizes from ``shape``, since ``len`` would fix the size of the batch.

        Raises:
            SettingError: The tests of this net cannot be exported.
        """
        raise SettingError(f"a net of the method {self.method} has no tests that can be exported: export another net")

    def require_finite(self) -> None:
        """Check that all parameters and buffers are finite.

        Raises:
            Diverged: One has NaN or infinite values; the message names the first.
        """
        if name := first_not_finite(self.state_dict()):
            raise Diverged(
                f"{name} of this net has NaN or infinite values: its training diverged; train it again at a lower rate"
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
        """Set the precision of the products of all layers, fp32 or bf16. Parameters stay float32.

        Raises:
            SettingError: The precision is another one.
        """
        if precision not in machine.PRECISIONS[1:]:
            raise unknown("precision", precision, machine.PRECISIONS[1:])
        for layer in self.stack:
            layer.compute = machine.compute_type(precision)


class Nets(Net):
    """Several nets that one method trains, such as a generator and a discriminator.

    They share one checkpoint, one file of weights and one result, which is that of the first net. A subclass sets
    ``method``, and may override ``evaluate`` to test the nets together.

    Args:
        nets: The nets by name, the main one first.
    """

    def __init__(self, **nets: Net) -> None:
        super().__init__()
        if not nets:
            raise SettingError("nets is empty, expected a dictionary with at least one net")
        self.nets = nn.ModuleDict(nets)

    @property
    def main(self) -> Any:
        """The first net."""
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
    """Test a net.

    Args:
        net: The net.
        data: Images ``(cases, ...)`` and labels ``(cases,)``, or the kind of data that the net was trained on, on any
            device.
        shortlist: The number of labels that the fast test passes on to the slow test, for nets with these tests.

    Raises:
        DataError: The data do not fit the net.
        Diverged: The net has NaN or infinite values.
    """
    counts(shortlist=shortlist)
    net.require_finite()
    return net.evaluate(*(on_device("data", tensor, net.device) for tensor in data), shortlist=shortlist)
