"""A uniform random sample of the rows of tables that arrive in parts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse


class Sample:
    """A uniform random sample of the rows of tables that arrive in parts.

    Each row gets a random number. The ``size`` rows with the smallest random numbers are kept.

    Args:
        size: Maximum number of rows.
        seed: Random seed.

    Attributes:
        rows: The rows in the sample, ``(rows, features)``.
    """

    rows: NDArray[Any]

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self._random = np.random.default_rng(seed)
        self._numbers = np.empty(0)

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, table: Any) -> None:
        """Add the rows of a table ``(rows, features)``, an array or a sparse matrix of scipy."""
        numbers = self._random.random(table.shape[0])
        if len(self) == self.size:
            chosen = numbers < self._numbers.max()
            table, numbers = table[chosen], numbers[chosen]
        if not len(numbers):
            return
        order = np.argsort(np.concatenate([self._numbers, numbers]))[: self.size]
        new = order[order >= len(self)] - len(self)
        added = table[new].toarray() if issparse(table) else table[new]
        kept = order[order < len(self)]
        self.rows = np.concatenate([self.rows[kept], added]) if len(kept) else added
        self._numbers = np.concatenate([self._numbers[kept], numbers[new]])
