"""The base class of all nets, whatever they learn from, and the result of testing one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from twofold import defaults, machine
from twofold.checks import typed
from twofold.checks.bounds import counts
from twofold.errors import Diverged, SettingError, unknown
from twofold.nets.door import on_device


@dataclass(frozen=True)
class Evaluation:
    """The result of testing a net: its errors, and whatever else was measured.

    Attributes:
        error: test -> its error as a share, the main test first; for classifiers that of cases named wrongly.
        metrics: what else was measured, as JSON can hold it: for classifiers ``passes_per_image`` (test -> forward
            passes for one image) and ``layer_error`` (of each layer's goodness alone, from the first layer upwards).
        named: test -> the label that it names, ``(cases,)``; empty where nothing is named.
        goodness: of each label and layer, ``(cases, classes, layers)``; ``None`` where no label has one.
    """

    error: dict[str, float]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    named: Mapping[str, Tensor] = field(default_factory=dict)
    goodness: Tensor | None = None


@contextmanager
def testing(module: nn.Module) -> Iterator[None]:
    """Have all parts of a module compute as in ``eval()``, with running statistics, and then as before."""
    learning = [part for part in module.modules() if part.training]
    for part in learning:
        part.training = False
    try:
        yield
    finally:
        for part in learning:
            part.training = True


class Net(nn.Module, ABC):
    """A stack of layers that knows how it is tested.

    Attributes:
        method: the name of the method that trains it.
        layers: from the input upwards.
    """

    method: ClassVar[str]
    layers: nn.ModuleList

    @abstractmethod
    def evaluate(self, *data: Tensor, shortlist: int = defaults.SHORTLIST) -> Evaluation:
        """Test the net.

        Args:
            data: the parts of a data set, such as images and labels, on the net's device.
            shortlist: labels that a fast test passes on to a slow one, where the net has such tests.
        """

    @abstractmethod
    def explain(self, case: Tensor) -> dict[str, Any]:
        """Say what each test makes of one case ``(1, ...)``, as JSON can hold it."""

    def _traced(self, images: Tensor) -> dict[str, Tensor]:
        """What all tests make of a batch ``(batch, ...)`` that is taken as it is: a pure function of tensors, which
        `torch.export` can follow for a batch of any size. It takes sizes from ``shape``: ``len`` would fix them.

        Raises:
            SettingError: no test of such a net can be written so.
        """
        raise SettingError(f"a net of the method {self.method} has no tests that can be exported: export another net")

    def require_finite(self) -> None:
        """Refuse to answer where numbers that the net computes with are NaN or infinite.

        Raises:
            Diverged: there are some; the first parameter or buffer that has them is named.
        """
        if name := first_not_finite(self.state_dict()):
            raise Diverged(
                f"{name} of this net has NaN or infinite values, so that no test of it means anything: its training "
                "diverged; train it anew at a lower rate"
            )

    @property
    def device(self) -> torch.device:
        """The device of its parameters."""
        return next(self.parameters()).device

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each hidden layer."""
        return tuple(layer.units for layer in self.stack)

    @property
    def stack(self) -> list[Any]:
        """The layers, from the input upwards, as a list."""
        return list(self.layers)

    @typed
    def set_precision(self, precision: str) -> None:
        """Compute the products of all layers in this precision, fp32 or bf16; parameters stay float32.

        Raises:
            SettingError: there is no such precision.
        """
        if precision not in machine.PRECISIONS[1:]:
            raise unknown("precision", precision, machine.PRECISIONS[1:])
        for layer in self.stack:
            layer.compute = machine.compute_type(precision)


class Nets(Net):
    """Several nets that one method trains, as a generator beside a discriminator.

    They are trained together and share one checkpoint, one file of weights and one result, which is that of the first
    net. A subclass names its ``method``, and may test the nets together.

    Args:
        nets: by name, the one that is tested first.
    """

    def __init__(self, **nets: Net) -> None:
        super().__init__()
        if not nets:
            raise SettingError("nets is empty, expected at least one net by name")
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
        found: Evaluation = self.main.evaluate(*data, shortlist=shortlist)
        return found

    def explain(self, case: Tensor) -> dict[str, Any]:
        found: dict[str, Any] = self.main.explain(case)
        return found


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor with a value that is NaN or infinite; each is read once where all are finite."""
    for name, tensor in tensors.items():
        suspect = tensor.is_floating_point() and not tensor.detach().sum().isfinite()
        if suspect and not tensor.isfinite().all():  # the sum alone may be too large
            return name
    return None


@typed
def evaluate(net: Net, *data: Tensor, shortlist: int = defaults.SHORTLIST) -> Evaluation:
    """Test a net.

    Args:
        net: the net.
        data: images ``(cases, ...)`` and labels ``(cases,)``, or whatever the net was trained on, on any device.
        shortlist: labels that the fast test hands to the slow one, where the net has these tests.

    Raises:
        DataError: data that the net was not built for.
        Diverged: the net has NaN or infinite values.
    """
    counts(shortlist=shortlist)
    net.require_finite()
    return net.evaluate(*(on_device("data", part, net.device) for part in data), shortlist=shortlist)
