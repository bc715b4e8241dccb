"""Rejection of cases unlike the training data: its threshold, and the label of rejected cases."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from twofold.errors import Remark, SettingError
from twofold.estimators import calibration

MOST = 1000
"""Maximum number of cases whose familiarity determines the threshold."""
PARTS = 3
"""Number of parts of the training cases; the familiarity of each is measured by a net trained on the others."""
DEFAULTS = {"b": -1, "u": -1, "i": -1, "f": -1.0, "U": "rejected", "O": "rejected"}
"""Kind of the dtype of the classes -> default label of rejected cases."""


class Rejection:
    """The familiarity of cases, measured by nets that were not trained on them.

    Args:
        scores: Familiarity of cases, ``(cases,)``.
    """

    def __init__(self, scores: NDArray[Any]) -> None:
        self._scores, self._seen = scores, 2 * len(scores)

    def add(self, scores: NDArray[Any]) -> None:
        """Add the familiarity of new cases. The scores of the later half of all cases are kept, at most `MOST`."""
        self._seen += len(scores)
        self._scores = np.concatenate([self._scores, scores])[-min(MOST, max(1, self._seen // 2)) :]

    def threshold(self, share: float) -> float:
        """Return the score below which a ``share`` of the cases is; -∞ without cases, or if the share is 0."""
        return float(np.quantile(self._scores, share)) if share and len(self._scores) else -math.inf


def scores_of_parts(
    estimator: Any,
    table: Any,
    y: NDArray[Any],
    weights: NDArray[Any],
    labels: NDArray[np.int64],
    random: np.random.RandomState,
) -> NDArray[Any]:
    """Return the familiarity of training cases, each measured by a net that was not trained on it, ``(cases,)``.

    A copy of the estimator is trained for each part of the cases on all others, until there are `MOST` scores.

    Args:
        estimator: The estimator.
        table: The training cases, ``(cases, features)``.
        y: Labels, ``(cases,)``.
        weights: Weight of each case, ``(cases,)``.
        labels: Index of the label of each case, ``(cases,)``.
        random: Random generator.
    """
    scores: list[float] = []
    for part in calibration.parts(labels, PARTS, random):
        if part.any() and len(scores) < MOST:
            seed = int(random.randint(2**31 - 1))
            other = clone(estimator).set_params(reject=0.0, class_weight=None, warm_start=False, random_state=seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Remark)
                other.fit(table[~part], y[~part], weights[~part])
            scores.extend(other.score_samples(table[part]))
    return np.array(scores[:MOST])


def rejected_label(label: Any, classes: NDArray[Any]) -> Any:
    """Return the label of rejected cases: ``label`` or, if it is ``None``, the default for the type of ``classes``.

    Raises:
        SettingError: The label is a class or has another type than the classes, or it is ``None`` and the type of the
            classes has no default.
    """
    chosen: Any = DEFAULTS.get(classes.dtype.kind) if label is None else label
    kinds = [np.asarray(labels).dtype.kind for labels in (chosen, classes.tolist())]
    if (kinds[0] != kinds[1] and kinds not in (["i", "f"], ["i", "b"])) or np.ndim(chosen) or chosen in classes:
        raise SettingError(
            f"reject_label is {label!r}, expected a label that is not a class, of the same type as the classes, such "
            f"as {classes.tolist()[0]!r}"
        )
    return chosen
