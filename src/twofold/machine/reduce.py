"""The single function that sums over cases pass through, so that several processes can train one net together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

Reduce = Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]
"""A function from the sums of this process to the sums over all processes, in the same shapes and types."""

_reduce: ContextVar[Reduce | None] = ContextVar("reduce", default=None)


def reduce(*sums: Tensor) -> tuple[Tensor, ...]:
    """Add up sums over cases over all processes that train a net together.

    Every statistic of a batch or an epoch that affects learning is computed from such sums: gradients, counts and
    weights of cases, mean activities, and the difficulty of each case. In a single process they are returned unchanged.
    """
    function = _reduce.get()
    return sums if function is None else function(sums)


@contextmanager
def reduced_by(function: Reduce) -> Iterator[None]:
    """Make `reduce` call ``function``, such as an all-reduce over processes, in this thread."""
    token = _reduce.set(function)
    try:
        yield
    finally:
        _reduce.reset(token)


def mean_over_cases(values: Tensor) -> Tensor:
    """Return the mean of numbers ``(cases,)`` over the cases of all processes, ``()``."""
    total, cases = reduce(values.sum(), values.new_full((), len(values)))
    return total / cases
