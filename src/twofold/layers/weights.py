"""Parameters that learn: each holds its value, its smoothed gradient and the gradient gathered for the next step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from twofold.layers.connectivity import Connectivity
from twofold.learning import Rule, momentum_step
from twofold.machine.reduce import reduce


class Learnable:
    """A parameter of a module, with all that learning needs: gradients are gathered, then one step is applied.

    Value and smoothed gradient are registered with the module as NAME and, outside ``state_dict``, NAME_velocity, so
    that ``.to()``, saved nets and checkpoints treat them as those of any module. Between `gather` and `apply` the
    gradient lies in ``gradient``: there an all-reduce over machines can stand, or nothing at all for a while.

    Args:
        module: has the parameter, or gets it.
        name: the parameter's, in the module.
        value: its first value.

    Attributes:
        gradient: gathered since the last step, pointing uphill; ``None`` if there is none.
        compute: the type of the products; ``None`` is that of the value.
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
        found: nn.Parameter = getattr(self._module, self._name)
        return found

    @property
    def velocity(self) -> Tensor:
        """The smoothed gradient."""
        found: Tensor = getattr(self._module, f"{self._name}_velocity")
        return found

    def in_use(self) -> Tensor:
        """The value in the type of the products."""
        return self._copy.of(self.value, self.compute)

    def gather(self, gradient: Tensor, keep: float = 0.0, share: float = 1.0) -> None:
        """gradient ← keep · what was gathered + share · ``gradient``, in the type of the value where several are
        gathered: in a shorter one what is new is lost beside what is there."""
        if not keep:
            self.gradient = gradient if share == 1 else gradient * share
        else:
            assert self.gradient is not None
            # Not in place: autograd may hand the same tensor to several parameters.
            self.gradient = torch.add(self.gradient.to(self.value.dtype) * keep, gradient, alpha=share)

    def apply(self, rate: float, rule: Rule, counted: Tensor | float) -> None:
        """One step with what was gathered, which is then gone; nothing if nothing was gathered.

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
        """Free the memory of what can be made again."""
        self._copy = LowPrecisionCopy()


def apply_gathered(learnables: Sequence[Learnable], rate: float, rule: Rule, counted: Tensor | float) -> None:
    """One step of each parameter with what was gathered, added up over all processes that train the net.

    Args:
        learnables: the parameters; those for which nothing was gathered stay as they are.
        rate, rule, counted: see `learning.momentum_step`.
    """
    gathered = [each for each in learnables if each.gradient is not None]
    gradients = reduce(*(each.gradient for each in gathered if each.gradient is not None))
    for each, gradient in zip(gathered, gradients, strict=True):
        each.gradient = gradient
        each.apply(rate, rule, counted)


class Weights(Learnable):
    """The weights between a source and a layer, as their connectivity stores them.

    Products, gradients and steps of all layers go through here. Hardware that holds weights in its own way stands in
    for this class: it reads them in `product`, and its pulses are its `apply`.

    Args:
        module, name, value: as above.
        connectivity: which inputs each unit sees, and how their weights are stored.
    """

    shares_products: bool = True
    """Whether a product may be used for several passes, as on a digital machine, where the same weights always give the
    same product. False where every read has noise of its own."""

    def __init__(self, module: nn.Module, name: str, value: Tensor, connectivity: Connectivity) -> None:
        super().__init__(module, name, value)
        self.connectivity = connectivity

    def product(self, rows: Tensor, total: Tensor) -> Tensor:
        """``total`` + rows · Wᵀ, ``(rows, units)``, in the type of the products.

        Args:
            rows: ``(rows, inputs)``.
            total: ``(rows, units)`` or, as biases, ``(units,)``, in the type of the products.
        """
        return self.connectivity.times(self.in_use(), rows, total)

    def gather_product(self, wanted: Tensor, seen: Tensor, keep: float = 0.0, share: float = 1.0) -> None:
        """gradient ← keep · what was gathered + share · wanted · seen.

        Args:
            wanted: how total inputs are to change, ``(units, some)``.
            seen: the inputs, ``(some, inputs)``, in the type of ``wanted``.
            keep, share: of the old and of the new gradient.
        """
        new = torch.empty_like(self.value, dtype=self.compute or self.value.dtype)
        self.connectivity.gather(new, wanted, seen)
        self.gather(new, keep, share)

    def apply(self, rate: float, rule: Rule, counted: Tensor | float) -> None:
        if self.gradient is not None:
            self.connectivity.mask(self.gradient)
        super().apply(rate, rule, counted)

    def to_matrix(self) -> Tensor:
        """The weights as a matrix, ``(units, inputs)``, zero where there are none."""
        return self.connectivity.to_matrix(self.value)


class LowPrecisionCopy:
    """A copy of a parameter in the type of the products, made once after each change of the parameter."""

    def __init__(self) -> None:
        self._copy: Tensor | None = None
        self._state: tuple[int, int] | None = None

    def of(self, value: Tensor, kind: torch.dtype | None) -> Tensor:
        """``value`` in the type ``kind``: itself where it has that type or ``kind`` is ``None``."""
        if kind is None or kind == value.dtype:
            return value
        copy = self.kept(value)
        if copy is None or copy.dtype != kind:
            copy = self._copy = value.detach().to(kind)
            self.is_of(value)
        return copy

    def kept(self, value: Tensor) -> Tensor | None:
        """The copy, where there is one of ``value`` as it is now."""
        return self._copy if self._copy is not None and self._state == self._state_of(value) else None

    def is_of(self, value: Tensor) -> None:
        """Note that the copy was changed together with ``value``."""
        self._state = self._state_of(value)

    def __getstate__(self) -> dict[str, None]:
        """Nothing: where weights are copied or pickled, it is made again."""
        return dict.fromkeys(vars(self))

    @staticmethod
    def _state_of(value: Tensor) -> tuple[int, int]:
        return value.data_ptr(), value._version
