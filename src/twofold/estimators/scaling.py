"""Columns of any real numbers, brought to the size in which a net learns well."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from twofold import defaults
from twofold.errors import DataError

FARTHEST = 10.0
"""A number that lies more standard deviations than this from its column's mean counts as if it lay there."""


class Scaling:
    """Brings the columns of a table to mean 0 and standard deviation 1, as they are in what was learned from.

    Attributes:
        scaler: scikit-learn's, with what it has seen so far.
    """

    def __init__(self) -> None:
        self.scaler = StandardScaler()

    def see(self, table: NDArray[Any]) -> None:
        """Take a table ``(cases, features)`` into means and deviations, beside what was seen before.

        Raises:
            DataError: a column's numbers are too large to have a variance.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            variance = table.var(0, dtype=np.float64)
        if not np.isfinite(variance).all():
            column = int(np.flatnonzero(~np.isfinite(variance))[0])
            raise DataError(f"X: the numbers of column {column} are too large to have a variance: divide them")
        self.scaler.partial_fit(table.astype(np.float64))

    def standardized(self, table: NDArray[Any]) -> Tensor:
        """A table ``(cases, features)``, float32."""
        with np.errstate(over="ignore"):
            standard = self.scaler.transform(table.astype(np.float64))
        return torch.from_numpy(np.clip(standard, -FARTHEST, FARTHEST).astype(np.float32))

    def cases(self, table: NDArray[Any]) -> Tensor:
        """A table ``(cases, features)`` as cases for a net, ``(cases, 1, 1, features + 1)``, float32.

        A net sees each case at a fixed length. The number behind the others is the same for all cases, so that how
        long a case was can still be told from its direction.
        """
        standard = self.standardized(table)
        constant = torch.full((len(standard), 1), defaults.TABLE_CONSTANT * math.sqrt(standard.shape[1]))
        return torch.cat([standard, constant], 1)[:, None, None]
