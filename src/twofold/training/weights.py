"""Weights of cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import compute_sample_weight
from sklearn.utils.validation import _check_sample_weight
from torch import Tensor

from twofold.errors import DataError, SettingError


def case_weights(sample_weight: Any, class_weight: Any, table: Any, y: NDArray[Any]) -> Tensor:
    """Return ``sample_weight`` times the weight of the class, for each case, ``(cases,)``, float32.

    Args:
        sample_weight: Weight of each case, ``(cases,)``; ``None`` for 1.
        class_weight: Class -> weight, ``"balanced"``, or ``None`` for 1.
        table: The cases, ``(cases, features)``.
        y: The labels of the cases, ``(cases,)``.

    Raises:
        DataError: A weight is negative or not finite, all weights are 0, or there is not one weight per case.
        SettingError: ``class_weight`` is invalid.
    """
    try:
        weights = _check_sample_weight(sample_weight, table, dtype=np.float64, ensure_non_negative=True)
    except ValueError as error:
        raise DataError(" ".join(str(error).split())) from None
    try:
        weights = weights * compute_sample_weight(class_weight, y)
    except ValueError as error:
        raise SettingError(f"class_weight: {' '.join(str(error).split())}") from None
    if not weights.any():
        raise DataError("all weights are 0, expected at least one case with a weight above 0")
    return torch.from_numpy(weights.astype(np.float32))
