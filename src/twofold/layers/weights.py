"""Trainable parameters: the value, its smoothed gradient, and the gradient gathered for the next step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from twofold.layers.connectivity import Connectivity
from twofold.learning import Rule, momentum_step
from twofold.machine.reduce import reduce


class Learnable:
    """A parameter of a module with its learning state: gradients are gathered, then one step is applied.

    Value and smoothed gradient are registered with the module as NAME and, outside ``state_dict``, NAME_velocity, so
    that ``.to()``, saved nets and checkpoints handle them as usual. Between `gather` and `apply` the gradient is in
    ``gradient``, where it can be summed over processes.

    Args:
        module: the module that has the parameter or receives it.
        name: name of the parameter in the module.
        value: initial value.

    Attributes:
        gradient: gathered since the last step, pointing uphill; ``None`` if there is none.
        compute: dtype of the products; ``None`` means that of the value.
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
        """Return the value in the type of the products."""
        return self._copy.of(self.value, self.compute)

    def gather(self, gradient: Tensor, keep: float = 0.0, share: float = 1.0) -> None:
        """Update gradient ← keep · gathered gradient + share · ``gradient``.

        If several gradients are gathered, the sum has the type of the value: in a shorter type, small additions would
        be lost.
        """
        if not keep:
            self.gradient = gradient if share == 1 else gradient * share
        else:
            assert self.gradient is not None
            # Not in place: autograd may return the same tensor to several parameters.
            self.gradient = torch.add(self.gradient.to(self.value.dtype) * keep, gradient, alpha=share)

    def apply(self, rate: float, rule: Rule, counted: Tensor | float) -> None:
        """Make one step with the gathered gradient and clear it; do nothing if there is none.

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
        """Drop caches."""
        self._copy = LowPrecisionCopy()


def apply_gathered(learnables: Sequence[Learnable], rate: float, rule: Rule, counted: Tensor | float) -> None:
    """Make one step of each parameter with its gathered gradient, summed over all processes that train the net.

    Args:
        learnables: the parameters; those without a gathered gradient do not change.
        rate, rule, counted: see `learning.momentum_step`.
    """
    gathered = [learnable for learnable in learnables if learnable.gradient is not None]
    gradients = reduce(*(learnable.gradient for learnable in gathered if learnable.gradient is not None))
    for learnable, gradient in zip(gathered, gradients, strict=True):
        learnable.gradient = gradient
        learnable.apply(rate, rule, counted)


class Weights(Learnable):
    """The weights between a source and a layer, as their connectivity stores them.

    Products, gradients and steps of all layers use this class. Hardware that stores weights in its own way replaces it:
    `product` reads the device, and `apply` sends the pulses.

    Args:
        module, name, value: as above.
        connectivity: which inputs each unit sees, and how their weights are stored.
    """

    linear: bool = True
    """True if one product may be used for several passes, as on a digital machine, where equal weights give equal
    products.

    False if each read has noise of its own.
    """

    def __init__(self, module: nn.Module, name: str, value: Tensor, connectivity: Connectivity) -> None:
        super().__init__(module, name, value)
        self.connectivity = connectivity

    def product(self, rows: Tensor, total: Tensor) -> Tensor:
        """Return ``total`` + rows · Wᵀ, ``(rows, units)``, in the type of the products.

        Args:
            rows: ``(rows, inputs)``.
            total: ``(rows, units)``, or biases ``(units,)``, in the type of the products.
        """
        return self.connectivity.matmul(self.effective(), rows, total)

    def gather_product(self, wanted: Tensor, seen: Tensor, keep: float = 0.0, share: float = 1.0) -> None:
        """Update gradient ← keep · gathered gradient + share · wanted · seen.

        Args:
            wanted: desired change of the total inputs, ``(units, rows)``.
            seen: the inputs, ``(rows, inputs)``, in the type of ``wanted``.
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
        """Return the weights as a matrix ``(units, inputs)``, with zeros where no weights exist."""
        return self.connectivity.to_matrix(self.value)


class LowPrecisionCopy:
    """A copy of a parameter in the type of the products, updated after each change of the parameter."""

    def __init__(self) -> None:
        self._copy: Tensor | None = None
        self._state: tuple[int, int] | None = None

    def of(self, value: Tensor, dtype: torch.dtype | None) -> Tensor:
        """Return ``value`` in the type ``dtype``, without a copy if it has that type or ``dtype`` is ``None``."""
        if dtype is None or dtype == value.dtype:
            return value
        copy = self.kept(value)
        if copy is None or copy.dtype != dtype:
            copy = self._copy = value.detach().to(dtype)
            self.is_of(value)
        return copy

    def kept(self, value: Tensor) -> Tensor | None:
        """Return the copy if it matches the current ``value``, else ``None``."""
        return self._copy if self._copy is not None and self._state == self._state_of(value) else None

    def is_of(self, value: Tensor) -> None:
        """Record that the copy was changed together with ``value``."""
        self._state = self._state_of(value)

    def __getstate__(self) -> dict[str, None]:
        """Return an empty state: the copy is recreated after copying or unpickling."""
        return dict.fromkeys(vars(self))

    @staticmethod
    def _state_of(value: Tensor) -> tuple[int, int]:
        return value.data_ptr(), value._version
