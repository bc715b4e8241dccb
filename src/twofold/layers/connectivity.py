"""Connectivity: the inputs to which each unit of a layer is connected, and matrix products with the weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from twofold.errors import SettingError


class Connectivity(nn.Module, ABC):
    """Base class for the connections from a source, such as the layer below, to a layer.

    A connectivity defines to which inputs each unit is connected ("sees") and how the weights are stored. It does not
    contain the weights; see `layers.weights.Weights`.

    Attributes:
        units: number of units of the layer.
        inputs: number of inputs.
        shape_above: shape of the layer's output for one case, ``(units,)`` or (channels, height, width).
        shape_below: shape of the layer's input for one case, ``(inputs,)`` or (channels, height, width).
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
        """Return the number of inputs to which each unit is connected, ``(units,)``."""

    @abstractmethod
    def draw(self, scale: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw initial weights from N(0, scale²), in the shape in which they are stored; ``scale`` is ``(units,)``."""

    @abstractmethod
    def matmul(self, weight: Tensor, rows: Tensor, total: Tensor) -> Tensor:
        """Return ``total`` + rows · Wᵀ, ``(rows, units)``, in the dtype of the weights.

        Args:
            weight: the weights W, in the shape in which weights are stored.
            rows: inputs, ``(rows, inputs)``.
            total: addend: pre-activations ``(rows, units)`` or biases ``(biases,)``, in the dtype of the weights.
        """

    @abstractmethod
    def gather(self, gradient: Tensor, wanted: Tensor, seen: Tensor) -> None:
        """Write the weight gradient wanted · seen into ``gradient``, overwriting its content.

        Args:
            gradient: tensor for the result, in the shape in which the weights are stored.
            wanted: desired changes of the pre-activations, ``(units, rows)``.
            seen: inputs, ``(rows, inputs)``, in the dtype of ``wanted``.
        """

    @abstractmethod
    def reduce_inputs(self, rows: Tensor) -> Tensor:
        """Return, for each unit, the sum of the inputs to which it is connected.

        Args:
            rows: inputs, ``(rows, inputs)``.

        Returns:
            The sums, ``(rows, units)``, or ``(rows, 1)`` if all units are connected to the same inputs.
        """

    def bias_gradient(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the biases, ``(biases,)``, given the gradient of the pre-activations, ``(units,)``."""
        return gradient

    def mask(self, gradient: Tensor) -> Tensor:
        """Set the entries of ``gradient`` that belong to no connection to zero, in place, and return ``gradient``."""
        return gradient

    @abstractmethod
    def to_matrix(self, weight: Tensor) -> Tensor:
        """Return the weights as a matrix ``(units, inputs)``, with zeros where there is no connection."""


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
    """Connections that a boolean mask selects. All weights are stored; weights outside the mask stay zero.

    Args:
        mask: boolean matrix ``(units, inputs)``, True where a unit is connected to an input.

    Raises:
        SettingError: the mask is not a boolean matrix.
    """

    _mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        if mask.dim() != 2 or mask.dtype != torch.bool:
            raise SettingError(
                f"mask: got {mask.dtype} of shape {tuple(mask.shape)}, expected torch.bool of shape (units, inputs)"
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
