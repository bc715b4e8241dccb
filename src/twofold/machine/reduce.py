"""The one place through which sums over cases pass, so that several processes can train one net together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

Reduce = Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]
"""Takes the sums of this process, and returns the sums over all processes, in the same shapes and types."""

_reduce: ContextVar[Reduce | None] = ContextVar("reduce", default=None)


def reduce(*sums: Tensor) -> tuple[Tensor, ...]:
    """Add up sums over cases over all processes that train a net together.

    Every statistic of a batch or of an epoch that decides what a net learns is computed from such sums: gradients,
    counts and weights of cases, mean activities, and what each case had to teach. In one process they are returned as
    they are.
    """
    function = _reduce.get()
    return sums if function is None else function(sums)


@contextmanager
def reduced_by(function: Reduce) -> Iterator[None]:
    """Have `reduce` call a function in this thread, such as an all-reduce over processes."""
    token = _reduce.set(function)
    try:
        yield
    finally:
        _reduce.reset(token)


def mean_over_cases(values: Tensor) -> Tensor:
    """The mean of numbers ``(cases,)`` over the cases of all processes, ``()``."""
    total, cases = reduce(values.sum(), values.new_full((), len(values)))
    return total / cases
