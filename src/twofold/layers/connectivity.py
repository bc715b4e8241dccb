"""Which units see which inputs, and the products of the weights that there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from twofold.errors import SettingError


class Connectivity(nn.Module, ABC):
    """Between a source and a layer: which of its inputs each unit sees, and how their weights are stored.

    It holds no weights; `layers.weights.Weights` does.

    Attributes:
        units: units of the layer.
        inputs: number of inputs.
        shape_above: of the units, as the next layer gets them.
        shape_below: of the inputs, as the layer takes them.
        biases: number of biases of the layer.
        whole: whether the weights are stored as a matrix, ``(units, inputs)``.
    """

    whole: ClassVar[bool] = False

    def __init__(self, units: int, inputs: int) -> None:
        super().__init__()
        self.units = units
        self.inputs = inputs
        self.shape_above: tuple[int, ...] = (units,)
        self.shape_below: tuple[int, ...] = (inputs,)
        self.biases = units

    @abstractmethod
    def fan_in(self) -> Tensor:
        """The number of inputs that each unit sees, ``(units,)``."""

    @abstractmethod
    def draw(self, scale: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """First weights, N(0, 1) times the scale of each unit, ``(units,)``, as they are stored."""

    @abstractmethod
    def times(self, weight: Tensor, rows: Tensor, total: Tensor) -> Tensor:
        """``total`` + rows · Wᵀ, ``(rows, units)``, in the type of the weights.

        Args:
            weight: as stored.
            rows: ``(rows, inputs)``.
            total: ``(rows, units)`` or, as biases, ``(biases,)``, in the type of the weights.
        """

    @abstractmethod
    def gather(self, gradient: Tensor, wanted: Tensor, seen: Tensor) -> None:
        """gradient ← wanted · seen, in place; what stood there is not read.

        Args:
            gradient: of the weights, as stored.
            wanted: ``(units, some)``.
            seen: ``(some, inputs)``, in the type of ``wanted``.
        """

    @abstractmethod
    def sum_seen(self, rows: Tensor) -> Tensor:
        """The sum of all that each unit sees of ``(rows, inputs)``, ``(rows, units)``, or ``(rows, 1)`` where each sees
        the same."""

    def bias_gradient(self, gradient: Tensor) -> Tensor:
        """The gradient of the biases, ``(biases,)``, from that of the total input of each unit, ``(units,)``."""
        return gradient

    def mask(self, gradient: Tensor) -> Tensor:
        """The gradient, in place, with zeros where there are no weights."""
        return gradient

    @abstractmethod
    def to_matrix(self, weight: Tensor) -> Tensor:
        """The weights as a matrix, ``(units, inputs)``, zero where there are none."""


class Full(Connectivity):
    """Every unit sees all inputs."""

    whole = True

    def fan_in(self) -> Tensor:
        return torch.full((self.units,), self.inputs)

    def draw(self, scale: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(self.units, self.inputs, generator=generator) * scale[:, None]

    def times(self, weight: Tensor, rows: Tensor, total: Tensor) -> Tensor:
        return torch.addmm(total, rows.to(weight.dtype), weight.T)

    def gather(self, gradient: Tensor, wanted: Tensor, seen: Tensor) -> None:
        torch.addmm(gradient, wanted, seen, beta=0, out=gradient)

    def sum_seen(self, rows: Tensor) -> Tensor:
        return rows.sum(1, keepdim=True)

    def to_matrix(self, weight: Tensor) -> Tensor:
        return weight.detach()


class Masked(Full):
    """Each unit sees what a mask says. All weights are stored; those that do not exist are zero, and stay so.

    Args:
        mask: ``(units, inputs)``, booleans.

    Raises:
        SettingError: the mask is no such matrix.
    """

    _mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        if mask.dim() != 2 or mask.dtype != torch.bool:
            raise SettingError(
                f"a mask of {mask.dtype} with the shape {tuple(mask.shape)}, expected booleans, (units, inputs)"
            )
        super().__init__(*mask.shape)
        self.register_buffer("_mask", mask, persistent=False)

    def fan_in(self) -> Tensor:
        return self._mask.sum(1)

    def draw(self, scale: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return super().draw(scale, generator) * self._mask

    def mask(self, gradient: Tensor) -> Tensor:
        return gradient.mul_(self._mask)

    def sum_seen(self, rows: Tensor) -> Tensor:
        return rows @ self._mask.T.to(rows.dtype)
