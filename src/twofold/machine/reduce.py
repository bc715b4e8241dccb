"""Sums over the cases of a batch in data-parallel training, where several processes train one net together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

Reduce = Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]
"""Function that receives sums over the cases of this process, and returns the sums over the cases of all processes, in
the same order and shapes.
"""

_reduce: ContextVar[Reduce | None] = ContextVar("reduce", default=None)


def reduce(*sums: Tensor) -> tuple[Tensor, ...]:
    """Add up tensors over all processes that train a net together.

    Each tensor is a sum over the cases of this process. All statistics of a batch or an epoch that affect learning are
    computed from such sums: gradients, numbers and weights of cases, mean activities, and difficulties. In a single
    process, the tensors are returned unchanged.
    """
    function = _reduce.get()
    return sums if function is None else function(sums)


@contextmanager
def reduced_by(function: Reduce) -> Iterator[None]:
    """Make `reduce` call ``function``, such as an all-reduce over processes, in this thread and this ``with`` block."""
    token = _reduce.set(function)
    try:
        yield
    finally:
        _reduce.reset(token)


def mean_over_cases(values: Tensor) -> Tensor:
    """Return the mean of ``values``, ``(cases,)``, over the cases of all processes, as a tensor of shape ``()``."""
    total, cases = reduce(values.sum(), values.new_full((), len(values)))
    return total / cases
