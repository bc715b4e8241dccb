"""Weights of cases and of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import compute_sample_weight
from sklearn.utils.validation import _check_sample_weight
from torch import Tensor

from twofold.errors import DataError, SettingError


def case_weights(sample_weight: Any, table: Any) -> Tensor:
    """Return the weight of each case, ``(cases,)``, float32.

    Args:
        sample_weight: Weight of each case, ``(cases,)``; ``None`` for 1.
        table: The cases.

    Raises:
        DataError: A weight is negative or not finite, all are 0, or their number is not that of the cases.
    """
    try:
        weights = _check_sample_weight(sample_weight, table, dtype=np.float64, ensure_non_negative=True)
    except ValueError as error:
        raise DataError(" ".join(str(error).split())) from None
    if not weights.any():
        raise DataError("all weights are 0, expected at least one case with a weight above 0")
    return torch.from_numpy(weights.astype(np.float32))


def class_weights(class_weight: Any, y: NDArray[Any], labels: Tensor, classes: int) -> Tensor:
    """Return the weight of each class, ``(classes,)``, float32; 1 for classes without cases.

    Args:
        class_weight: Class -> weight, ``"balanced"``, or ``None`` for 1.
        y: The labels, ``(cases,)``.
        labels: Their indices, ``(cases,)``.
        classes: Number of classes.

    Raises:
        SettingError: ``class_weight`` is invalid.
    """
    try:
        weights = torch.from_numpy(compute_sample_weight(class_weight, y).astype(np.float32))
    except ValueError as error:
        raise SettingError(f"class_weight: {' '.join(str(error).split())}") from None
    return torch.ones(classes).index_put((labels,), weights)
