"""Standardization of the columns of a table."""

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
"""Standardized values are clipped to ± this number of standard deviations."""


class Scaling:
    """Standardizes columns to mean 0 and standard deviation 1 on the training data.

    Attributes:
        scaler: The underlying `sklearn.preprocessing.StandardScaler`.
    """

    def __init__(self) -> None:
        self.scaler = StandardScaler()

    def see(self, table: NDArray[Any]) -> None:
        """Update means and standard deviations with a table ``(cases, features)``.

        Raises:
            DataError: The variance of a column overflows.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            variance = table.var(0, dtype=np.float64)
        if not np.isfinite(variance).all():
            column = int(np.flatnonzero(~np.isfinite(variance))[0])
            raise DataError(f"X: the values of column {column} are too large, their variance overflows: rescale them")
        self.scaler.partial_fit(table.astype(np.float64))

    def standardized(self, table: NDArray[Any]) -> Tensor:
        """Return the standardized and clipped table, ``(cases, features)``, float32."""
        with np.errstate(over="ignore"):
            standard = self.scaler.transform(table.astype(np.float64))
        return torch.from_numpy(np.clip(standard, -FARTHEST, FARTHEST).astype(np.float32))

    def cases(self, table: NDArray[Any]) -> Tensor:
        """Convert a table ``(cases, features)`` to inputs of a net, ``(cases, 1, 1, features + 1)``, float32.

        A net normalizes the length of each input. The constant in the last column preserves the original length as
        information in the direction of the input.
        """
        standard = self.standardized(table)
        constant = torch.full((len(standard), 1), defaults.TABLE_CONSTANT * math.sqrt(standard.shape[1]))
        return torch.cat([standard, constant], 1)[:, None, None]
