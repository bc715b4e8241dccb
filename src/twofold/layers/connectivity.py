"""Connectivity: which inputs each unit sees, and the matrix products with the weights that exist."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from twofold.errors import SettingError


class Connectivity(nn.Module, ABC):
    """The connections from a source to a layer: which inputs each unit sees, and how the weights are stored.

    A connectivity holds no weights; those are in `layers.weights.Weights`.

    Attributes:
        units: number of units of the layer.
        inputs: number of inputs.
        shape_above: shape of the units, as the next layer receives them.
        shape_below: shape of the inputs, as the layer receives them.
        biases: number of biases of the layer.
        whole: True if the weights are stored as a matrix ``(units, inputs)``.
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
        """Return the number of inputs that each unit sees, ``(units,)``."""

    @abstractmethod
    def draw(self, scale: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw the initial weights, in the shape in which they are stored: N(0, 1) times ``scale``, ``(units,)``."""

    @abstractmethod
    def matmul(self, weight: Tensor, rows: Tensor, total: Tensor) -> Tensor:
        """Return ``total`` + rows · Wᵀ, ``(rows, units)``, in the type of the weights.

        Args:
            weight: the weights as stored.
            rows: ``(rows, inputs)``.
            total: ``(rows, units)``, or biases ``(biases,)``, in the type of the weights.
        """

    @abstractmethod
    def gather(self, gradient: Tensor, wanted: Tensor, seen: Tensor) -> None:
        """Compute gradient ← wanted · seen in place; the old content of ``gradient`` is not read.

        Args:
            gradient: the gradient of the weights, as stored.
            wanted: ``(units, rows)``.
            seen: ``(rows, inputs)``, in the type of ``wanted``.
        """

    @abstractmethod
    def reduce_inputs(self, rows: Tensor) -> Tensor:
        """Return the sum of the inputs that each unit sees.

        Args:
            rows: ``(rows, inputs)``.

        Returns:
            ``(rows, units)``, or ``(rows, 1)`` if all units see the same inputs.
        """

    def bias_gradient(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the biases, ``(biases,)``, given that of each unit's total input, ``(units,)``."""
        return gradient

    def mask(self, gradient: Tensor) -> Tensor:
        """Set the gradient to zero where no weights exist, in place, and return it."""
        return gradient

    @abstractmethod
    def to_matrix(self, weight: Tensor) -> Tensor:
        """Return the weights as a matrix ``(units, inputs)``, with zeros where no weights exist."""


class Full(Connectivity):
    """Connections from all inputs to every unit."""

    whole = True

    def fan_in(self) -> Tensor:
        return torch.full((self.units,), self.inputs)

    def draw(self, scale: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(self.units, self.inputs, generator=generator) * scale[:, None]

    def matmul(self, weight: Tensor, rows: Tensor, total: Tensor) -> Tensor:
        return torch.addmm(total, rows.to(weight.dtype), weight.T)

    def gather(self, gradient: Tensor, wanted: Tensor, seen: Tensor) -> None:
        torch.addmm(gradient, wanted, seen, beta=0, out=gradient)

    def reduce_inputs(self, rows: Tensor) -> Tensor:
        return rows.sum(1, keepdim=True)

    def to_matrix(self, weight: Tensor) -> Tensor:
        return weight.detach()


class Masked(Full):
    """Connections that a mask selects. All weights are stored; those that the mask excludes are zero and stay zero.

    Args:
        mask: ``(units, inputs)``, booleans.

    Raises:
        SettingError: the mask is not a boolean matrix.
    """

    _mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        if mask.dim() != 2 or mask.dtype != torch.bool:
            raise SettingError(
                f"mask has the type {mask.dtype} and the shape {tuple(mask.shape)}, expected booleans (units, inputs)"
            )
        super().__init__(*mask.shape)
        self.register_buffer("_mask", mask, persistent=False)

    def fan_in(self) -> Tensor:
        return self._mask.sum(1)

    def draw(self, scale: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return super().draw(scale, generator) * self._mask

    def mask(self, gradient: Tensor) -> Tensor:
        return gradient.mul_(self._mask)

    def reduce_inputs(self, rows: Tensor) -> Tensor:
        return rows @ self._mask.T.to(rows.dtype)
