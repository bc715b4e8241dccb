"""Cases that come in parts, rejection of unlike cases, and classes of unequal weight.

Oracle: tables whose labels are known; scikit-learn's classifiers on the same tables.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.neural_network import MLPClassifier

from support.table_rows import digits
from twofold import ForwardForwardClassifier
from twofold.estimators.sample import Sample

X, Y = load_iris(return_X_y=True)


def clusters(seed: int, rows: int, spread: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    centers, labels = 1.5 * random.normal(size=(4, 8)), random.integers(4, size=rows)
    return centers[labels] + spread * random.normal(size=(rows, 8)), labels


def fitted_in_parts(
    table: NDArray[np.float64], labels: NDArray[np.int64], part: int, at_once: int
) -> ForwardForwardClassifier:
    """Fit the first ``at_once`` cases together, and the others in parts."""
    learner = ForwardForwardClassifier(widths=50, reject=0.02, random_state=0)
    if at_once:
        learner.fit(table[:at_once], labels[:at_once])
    for first in range(at_once, len(table), part):
        some = slice(first, first + part)
        learner.partial_fit(table[some], labels[some], None if at_once else range(4))
    return learner


@pytest.mark.slow
@pytest.mark.parametrize("spread", [1.0, 2.0])
@pytest.mark.parametrize(("part", "at_once"), [(1, 500), (10, 490), (10, 0), (1, 0)])
def test_the_stated_share_of_new_cases_is_rejected_however_the_others_came(
    part: int, at_once: int, spread: float
) -> None:
    table, labels = clusters(0, 2500, spread)
    learner = fitted_in_parts(table[:500], labels[:500], part, at_once)
    assert 0.005 < (learner.predict(table[500:]) == -1).mean() < 0.045


def test_a_rare_class_with_balanced_weights_is_found_as_by_a_linear_classifier() -> None:
    random = np.random.default_rng(0)
    table = random.normal(size=(4000, 10))
    total = table.sum(1) + random.normal(size=4000)
    labels = (total > np.quantile(total, 0.98)).astype(int)
    ours, linear = (
        make(class_weight="balanced", **more).fit(table[:2000], labels[:2000]).predict(table[2000:])
        for make, more in ((ForwardForwardClassifier, {"random_state": 0}), (LogisticRegression, {}))
    )
    found, wanted = (balanced_accuracy_score(labels[2000:], predicted) for predicted in (ours, linear))
    assert found >= wanted - 0.03


@pytest.mark.parametrize("test", ["fast", "slow"])
def test_a_class_of_weight_zero_is_not_predicted(test: str) -> None:
    fitted = ForwardForwardClassifier(widths=20, class_weight={0: 0.0}, test=test, epochs=20, random_state=0).fit(X, Y)
    assert not (fitted.predict(X) == 0).any()
    assert fitted.score(X[50:], Y[50:]) > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("part", [20, 50])
def test_a_stream_sorted_by_class_is_learned_as_well_as_by_an_ordinary_network(part: int) -> None:
    table, labels = digits(1500)
    order = np.argsort(labels[:1000], kind="stable")
    ours, other = ForwardForwardClassifier(random_state=0), MLPClassifier(random_state=0)
    for _ in range(3):
        for first in range(0, 1000, part):
            some = order[first : first + part]
            for learner, rows in ((ours, table[some]), (other, table[some] / 16)):
                learner.partial_fit(rows, labels[some], classes=range(10))
    assert ours.score(table[1000:], labels[1000:]) >= other.score(table[1000:] / 16, labels[1000:])


@pytest.mark.parametrize("form", [np.asarray, csr_matrix])
def test_a_sample_keeps_cases_of_all_parts_with_equal_probability(form: Any) -> None:
    sample, numbers = Sample(300, 0), np.arange(3000)
    for part in np.array_split(numbers, 40):
        sample.add(form(np.stack([part, 2 * part], 1)), part)
    rows, labels = sample.draw(1000)
    rows = np.asarray(rows.todense()) if form is csr_matrix else rows
    assert (rows == np.stack([labels, 2 * labels], 1)).all()
    assert len(set(labels.tolist())) == 300
    assert labels.mean() == pytest.approx(1500, abs=4 * 3000 / np.sqrt(12 * 300))
    assert sample.draw(7)[0].shape == (7, 2)


@pytest.mark.parametrize("epochs", [16, 64])
def test_the_default_rate_times_the_epochs_does_not_grow_with_the_epochs(epochs: int) -> None:
    fitted = ForwardForwardClassifier(widths=5, epochs=epochs, random_state=0).fit(*digits(200))
    shorter = ForwardForwardClassifier(widths=5, epochs=1, random_state=0).fit(*digits(200))
    assert fitted.recipe_.rate * epochs == pytest.approx(16 * shorter.recipe_.rate)
    assert ForwardForwardClassifier(widths=5, epochs=epochs, rate=0.1).fit(*digits(200)).recipe_.rate == 0.1
