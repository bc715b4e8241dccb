"""Trainable parameters with their smoothed gradient and the gradient accumulated for the next update."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from twofold.layers.connectivity import Connectivity
from twofold.learning import Rule, momentum_step
from twofold.machine.reduce import reduce


class Learnable:
    """A parameter of a module with its learning state.

    `gather` accumulates gradients, and `apply` updates the parameter with the accumulated gradient. The parameter is
    registered with the module as NAME, the smoothed gradient as the non-persistent buffer NAME_velocity. Between
    `gather` and `apply`, the attribute ``gradient`` can be summed over processes.

    Args:
        module: module that contains the parameter, or to which the parameter is added.
        name: name of the parameter in the module.
        value: initial value.

    Attributes:
        gradient: gradient accumulated since the last update, in the direction in which the parameter should change;
            ``None`` if no gradient was accumulated.
        compute: dtype of the matrix products; ``None`` means the dtype of the parameter.
    """

    def __init__(self, module: nn.Module, name: str, value: Tensor) -> None:
        self._module = module
        self._name = name
        self._copy = LowPrecisionCopy()
        self.gradient: Tensor | None = None
        self.compute: torch.dtype | None = None
        if name not in dict(module.named_parameters(recurse=False)):
            module.register_parameter(name, nn.Parameter(value, requires_grad=False))
        module.register_buffer(f"{name}_velocity", torch.zeros_like(value), persistent=False)

    @property
    def value(self) -> nn.Parameter:
        """The parameter."""
        parameter: nn.Parameter = getattr(self._module, self._name)
        return parameter

    @property
    def velocity(self) -> Tensor:
        """The smoothed gradient."""
        buffer: Tensor = getattr(self._module, f"{self._name}_velocity")
        return buffer

    def effective(self) -> Tensor:
        """Return the parameter in the dtype of the matrix products, ``compute``."""
        return self._copy.of(self.value, self.compute)

    def gather(self, gradient: Tensor, keep: float = 0.0, share: float = 1.0) -> None:
        """Accumulate a gradient: self.gradient ← keep · self.gradient + share · ``gradient``.

        A sum of several gradients has the dtype of the parameter, because small summands would be lost in bfloat16.
        """
        if not keep:
            self.gradient = gradient if share == 1 else gradient * share
        else:
            assert self.gradient is not None
            # Not in place: autograd may return the same tensor for several parameters.
            self.gradient = torch.add(self.gradient.to(self.value.dtype) * keep, gradient, alpha=share)

    def apply(self, rate: float, rule: Rule, counted: Tensor | float) -> None:
        """Update the parameter with the accumulated gradient, if any, and clear this gradient.

        Args:
            rate, rule, counted: see `learning.momentum_step`.
        """
        if self.gradient is None:
            return
        copy = self._copy.kept(self.value)
        momentum_step(self.value, self.velocity, self.gradient, rate, rule, copy, counted)
        if copy is not None:
            self._copy.is_of(self.value)
        self.gradient = None

    def forget(self) -> None:
        """Clear the cached low-precision copy of the parameter."""
        self._copy = LowPrecisionCopy()


def apply_gathered(learnables: Sequence[Learnable], rate: float, rule: Rule, counted: Tensor | float) -> None:
    """Update parameters with their accumulated gradients, summed over all processes that train the net.

    Args:
        learnables: the parameters. A parameter without an accumulated gradient does not change.
        rate, rule, counted: see `learning.momentum_step`.
    """
    gathered = [learnable for learnable in learnables if learnable.gradient is not None]
    gradients = reduce(*(learnable.gradient for learnable in gathered if learnable.gradient is not None))
    for learnable, gradient in zip(gathered, gradients, strict=True):
        learnable.gradient = gradient
        learnable.apply(rate, rule, counted)


class Weights(Learnable):
    """The weights from a source, such as the layer below, to a layer.

    All layers compute products, gradients and updates with this class. For weights that are stored in hardware, a
    subclass overrides `product`, which reads the device, and `apply`, which sends programming pulses.

    Args:
        module, name, value: see `Learnable`.
        connectivity: connections from the source. The connectivity also defines the shape in which weights are stored.
    """

    linear: bool = True
    """True if products with the weights are deterministic and may be cached. False for hardware with read noise."""

    def __init__(self, module: nn.Module, name: str, value: Tensor, connectivity: Connectivity) -> None:
        super().__init__(module, name, value)
        self.connectivity = connectivity

    def product(self, rows: Tensor, total: Tensor) -> Tensor:
        """Return ``total`` + rows · Wᵀ, ``(rows, units)``, in the dtype of ``total``.

        Args:
            rows: inputs, ``(rows, inputs)``.
            total: addend: pre-activations ``(rows, units)`` or biases ``(units,)``, in the dtype of the matrix
                products.
        """
        return self.connectivity.matmul(self.effective(), rows, total)

    def gather_product(self, wanted: Tensor, seen: Tensor, keep: float = 0.0, share: float = 1.0) -> None:
        """Accumulate a weight gradient: self.gradient ← keep · self.gradient + share · wanted · seen.

        Args:
            wanted: desired changes of the pre-activations, ``(units, rows)``.
            seen: inputs, ``(rows, inputs)``, in the dtype of ``wanted``.
            keep, share: factors of the old and of the new gradient.
        """
        new = torch.empty_like(self.value, dtype=self.compute or self.value.dtype)
        self.connectivity.gather(new, wanted, seen)
        self.gather(new, keep, share)

    def apply(self, rate: float, rule: Rule, counted: Tensor | float) -> None:
        if self.gradient is not None:
            self.connectivity.mask(self.gradient)
        super().apply(rate, rule, counted)

    def to_matrix(self) -> Tensor:
        """Return the weights as a matrix ``(units, inputs)``, with zeros where there is no connection."""
        return self.connectivity.to_matrix(self.value)


class LowPrecisionCopy:
    """A cached copy of a parameter in the dtype of the matrix products, such as bfloat16."""

    def __init__(self) -> None:
        self._copy: Tensor | None = None
        self._state: tuple[int, int] | None = None

    def of(self, value: Tensor, dtype: torch.dtype | None) -> Tensor:
        """Return ``value`` if ``dtype`` is ``None`` or is the dtype of ``value``, else the cached copy in ``dtype``."""
        if dtype is None or dtype == value.dtype:
            return value
        copy = self.kept(value)
        if copy is None or copy.dtype != dtype:
            copy = self._copy = value.detach().to(dtype)
            self.is_of(value)
        return copy

    def kept(self, value: Tensor) -> Tensor | None:
        """Return the cached copy of ``value`` if ``value`` has not changed since it was copied, else ``None``."""
        return self._copy if self._copy is not None and self._state == self._state_of(value) else None

    def is_of(self, value: Tensor) -> None:
        """Record that the cached copy matches the current ``value``."""
        self._state = self._state_of(value)

    def __getstate__(self) -> dict[str, None]:
        """Return the attributes for pickling and copying, without the cached copy."""
        return dict.fromkeys(vars(self))

    @staticmethod
    def _state_of(value: Tensor) -> tuple[int, int]:
        return value.data_ptr(), value._version
