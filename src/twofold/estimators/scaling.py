"""Scaling of the columns of a table: dense columns are standardized, sparse columns are divided by a typical value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from twofold import defaults
from twofold.errors import DataError
from twofold.recipes.own import sparse_columns

FARTHEST = 10.0
"""Scaled values are clipped to ± this number of standard deviations or, in sparse columns, of typical values."""

Table = Any
"""An array or a sparse matrix of scipy, ``(cases, features)``."""


class Scaling:
    """Scales columns by statistics of the training data.

    Dense columns are standardized to mean 0 and standard deviation 1. Sparse columns, most of whose values are 0, are
    divided by the root mean square of their nonzero values, so zeros remain zeros. Standardization would multiply a
    column that is nonzero in a share p of the cases by about 1 / √p. A text column with many one-hot
    columns would then have the weight of many numeric columns. If there are sparse columns, the whole table is finally
    multiplied by one factor. It makes the mean squared length of a case equal to the number of columns, as for
    standardized columns.

    Attributes:
        scaler: The `sklearn.preprocessing.StandardScaler` with the means and deviations of all columns.
        nonzeros: Number of nonzero values of each column, ``(features,)``.
    """

    nonzeros: NDArray[np.float64]

    def __init__(self) -> None:
        self.scaler = StandardScaler(with_mean=False)  # so that it takes sparse matrices, too

    def see(self, table: Table) -> None:
        """Update the statistics with a table ``(cases, features)``.

        Raises:
            DataError: The variance of a column overflows.
        """
        if not issparse(table):
            with np.errstate(over="ignore", invalid="ignore"):
                variance = table.var(0, dtype=np.float64)
            if not np.isfinite(variance).all():
                column = int(np.flatnonzero(~np.isfinite(variance))[0])
                raise DataError(
                    f"X: the values of column {column} are too large, their variance overflows: rescale them"
                )
        nonzeros = np.diff(table.tocsc().indptr) if issparse(table) else np.count_nonzero(table, 0)
        self.nonzeros = getattr(self, "nonzeros", 0.0) + nonzeros.astype(np.float64)
        self.scaler.partial_fit(table.astype(np.float64))

    @property
    def share(self) -> float:
        """Share of the columns that are sparse."""
        return float(self._sparse.mean())

    @property
    def _sparse(self) -> NDArray[np.bool_]:
        return sparse_columns(self.nonzeros, int(np.max(self.scaler.n_samples_seen_)))

    def _squares(self) -> NDArray[np.float64]:
        """Return the mean square of each scaled column, ``(features,)``, before the factor of the whole table."""
        dense = (self.scaler.var_ > 0).astype(np.float64)
        squares: NDArray[np.float64] = np.where(
            self._sparse, self.nonzeros / np.max(self.scaler.n_samples_seen_), dense
        )
        return squares

    def _shift_and_divisor(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the number to subtract from each column and the number to divide it by, each ``(features,)``."""
        scaler, sparse = self.scaler, self._sparse
        squares = (scaler.var_ + scaler.mean_**2) * np.max(scaler.n_samples_seen_)
        typical = np.sqrt(squares / np.maximum(self.nonzeros, 1))
        return np.where(sparse, 0.0, scaler.mean_), np.where(sparse & (typical > 0), typical, scaler.scale_)

    def standardized(self, table: Table) -> Tensor:
        """Return the scaled and clipped table, ``(cases, features)``, float32."""
        shift, divisor = self._shift_and_divisor()
        table = table.toarray() if issparse(table) else table
        with np.errstate(over="ignore"):
            scaled = (table.astype(np.float64) - shift) / divisor
        scaled = np.clip(scaled, -FARTHEST, FARTHEST).astype(np.float32)
        if self._sparse.any():
            scaled *= np.float32(math.sqrt(len(shift) / max(self._squares().sum(), 1.0)))
        return torch.from_numpy(scaled)

    def cases(self, table: Table) -> Tensor:
        """Convert a table ``(cases, features)`` to inputs of a net, ``(cases, 1, 1, features + 1)``, float32.

        The last column is a constant. A net normalizes the length of each input; with the constant, the direction of
        the input still tells the original length.
        """
        standard = self.standardized(table)
        constant = torch.full((len(standard), 1), defaults.TABLE_CONSTANT * math.sqrt(standard.shape[1]))
        return torch.cat([standard, constant], 1)[:, None, None]
