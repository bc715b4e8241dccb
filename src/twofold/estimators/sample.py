"""A uniform sample of the cases of all tables so far."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse, vstack


class Sample:
    """A uniform random sample of cases that arrive in parts.

    Each case gets a random number, and the cases with the smallest numbers are kept.

    Args:
        size: Maximum number of cases.
        seed: Random seed.

    Attributes:
        columns: The data of the cases, such as their rows and labels, each ``(cases, ...)``.
    """

    columns: tuple[Any, ...]

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self._random = np.random.default_rng(seed)
        self._numbers = np.empty(0)

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, *columns: Any) -> None:
        """Add cases, given as arrays or sparse matrices of scipy, each ``(cases, ...)``."""
        numbers = np.concatenate([self._numbers, self._random.random(columns[0].shape[0])])
        kept = np.argsort(numbers)[: self.size]
        old, new = kept[kept < len(self)], kept[kept >= len(self)] - len(self)
        if len(new):
            added = tuple(column[new] for column in columns)
            pairs = zip(self.columns, added, strict=True) if len(self) else ()
            self.columns = tuple(_stacked(column[old], more) for column, more in pairs) or added
            self._numbers = np.concatenate([self._numbers[old], numbers[len(self) :][new]])

    def draw(self, count: int) -> tuple[Any, ...]:
        """Return the data of ``count`` random cases, or of all if there are fewer, each ``(cases, ...)``."""
        chosen = self._random.choice(len(self), min(count, len(self)), replace=False)
        return tuple(column[chosen] for column in self.columns)


def _stacked(kept: Any, added: Any) -> Any:
    """Return the kept rows followed by the added ones; sparse if the kept rows are."""
    if issparse(kept):
        return vstack([kept, added], format="csr")
    return np.concatenate([kept, added.toarray() if issparse(added) else added])
