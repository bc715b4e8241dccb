"""Conversion of tables with numbers, texts and missing values to numbers, as the command prepares them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from twofold.data.columns import Column, Problems, as_columns, cleaned
from twofold.data.preparation import Preparation
from twofold.errors import ArgumentError, DataError


def is_frame(X: Any) -> bool:
    """Return True for a DataFrame, of pandas or another library."""
    return hasattr(X, "columns") and hasattr(X, "dtypes")


def has_texts(X: Any) -> bool:
    """Return True if a table has columns of another type than numbers and booleans."""
    if is_frame(X):
        return any(getattr(dtype, "kind", "O") not in "biuf" for dtype in X.dtypes)
    if issparse(X):
        return False
    try:
        return np.asarray(X).dtype.kind in "OU"
    except (TypeError, ValueError):  # rows of different lengths, which scikit-learn refuses
        return False


def named_columns(X: Any, names: Sequence[str] | None) -> dict[str, Column]:
    """Return the columns of a table by name, in order.

    Args:
        X: a DataFrame or an array, ``(cases, columns)``.
        names: names to use instead of those of the table; by default those of the table, or x0, x1, ...

    Raises:
        DataError: a column name occurs twice, or the table is empty.
        ArgumentError: a value is a list or another container.
    """
    columns = as_columns(X, "X")
    columns = columns if names is None else dict(zip(names, columns.values(), strict=True))
    for name, values in columns.items():
        containers = (value for value in values if isinstance(value, dict | list | set | tuple | np.ndarray))
        if values.dtype == object and (wrong := next(containers, None)) is not None:
            raise ArgumentError(f"X has {wrong!r} in column {name!r}: the argument must be a string or a number")
    return columns


def fitted(columns: dict[str, Column]) -> Preparation:
    """Fit the preparation of a table to training cases.

    Raises:
        DataError: values cannot be used. The message has the problems of all columns.
    """
    problems = Problems("X")
    numbers = cleaned(columns, problems)
    problems.check()
    return Preparation.fitted(numbers, (), "X")


def encoded(preparation: Preparation, columns: dict[str, Column]) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Convert columns to numbers ``(cases, features)``, which are not scaled, and describe unusual values by row.

    Raises:
        DataError: values cannot be used.
    """
    features, problems = preparation.encoded(columns, "X")
    problems.check()
    return features, problems.unusual


def require_numbers(preparation: Preparation) -> None:
    """Raise a `DataError` if a sparse matrix cannot replace the table to which a preparation was fitted."""
    if preparation.shape[2] != len(preparation.columns):
        raise DataError("X is a sparse matrix, but the training data have texts or missing values: give a dense table")
