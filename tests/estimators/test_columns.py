"""Tables with texts, categories, booleans and missing values, and tables unlike the training data.

Oracles: the same table prepared by `twofold.as_dataset`; scikit-learn's encoders; the documented contract.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_iris

import twofold
from twofold import ForwardForwardClassifier, ForwardForwardFeatures
from twofold.errors import Remark

X, Y = load_iris(return_X_y=True)
SMALL: dict[str, Any] = {"widths": (20,), "epochs": 15, "random_state": 0}
COUNT = 200


def mixed() -> tuple[pd.DataFrame, np.ndarray]:
    """A table with a column of each kind, whose labels depend on the texts and booleans."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "city": rng.choice(["Rome", "Oslo", "Bern"], COUNT).astype(object),
            "size": pd.Categorical(rng.choice(["small", "large"], COUNT)),
            "paid": rng.random(COUNT) < 0.5,
            "visits": pd.array(rng.integers(0, 9, COUNT), dtype="Int64"),
            "age": rng.normal(40, 10, COUNT),
        }
    )
    labels = np.where((frame["city"] == "Rome") ^ frame["paid"], "yes", "no")
    frame.loc[3, "city"], frame.loc[5, "visits"] = None, pd.NA
    frame.loc[::9, "age"] = np.nan
    return frame, labels


FORMS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "frame": lambda frame: frame,
    "objects": lambda frame: frame.to_numpy(dtype=object),
    "lists": lambda frame: frame.astype(object).where(frame.notna(), None).to_numpy().tolist(),
    "strings": lambda frame: frame.astype({"city": "string", "size": str}),
}


@pytest.mark.filterwarnings("ignore:.*missing training values")
@pytest.mark.parametrize("form", FORMS)
def test_columns_of_all_kinds_are_prepared_as_the_command_prepares_them(form: str) -> None:
    frame, labels = mixed()
    table = FORMS[form](frame)
    fitted = ForwardForwardClassifier(random_state=0).fit(table, labels)
    assert fitted.score(table, labels) > 0.9
    assert fitted.n_features_in_ == 5
    assert hasattr(fitted, "feature_names_in_") == (form in ("frame", "strings"))
    assert (pickle.loads(pickle.dumps(fitted)).predict_proba(table) == fitted.predict_proba(table)).all()
    prepared = twofold.as_dataset("mixed", frame, labels, frame, labels, table=True).preparation
    assert prepared is not None
    assert fitted._preparation is not None
    assert fitted._preparation.shape == prepared.shape
    ours, theirs = (
        one.table(dict(zip(one.columns, map(frame.get, frame), strict=True))) for one in (fitted._preparation, prepared)
    )
    torch.testing.assert_close(ours, theirs)


@pytest.mark.filterwarnings("ignore:.*missing training values")
@pytest.mark.parametrize("estimator", [ForwardForwardClassifier(**SMALL), ForwardForwardFeatures(**SMALL)])
def test_numbers_are_learned_from_as_before_and_missing_ones_are_their_median(estimator: Any) -> None:
    method = "predict_proba" if isinstance(estimator, ForwardForwardClassifier) else "transform"
    fitted = clone(estimator).fit(X, Y)
    hole = np.where(np.arange(4) == 2, np.nan, X)
    assert (
        getattr(fitted, method)(hole) == getattr(fitted, method)(np.where(np.isnan(hole), np.median(X[:, 2]), X))
    ).all()
    with pytest.warns(Remark, match=r"'x2' \(10 of 150 rows\): a missing number is replaced by the median"):
        marked = clone(estimator).fit(np.where((np.arange(150) % 15 == 0)[:, None] & (np.arange(4) == 2), np.nan, X), Y)
    assert marked._scaling.scaler.n_features_in_ == 5
    assert np.isfinite(getattr(marked, method)(hole)).all()


def test_a_text_that_is_new_is_said_and_encoded_as_zeros() -> None:
    table = np.array([["a", 1.0], ["b", 2.0], ["a", 1.5], ["b", 2.5]] * 20, dtype=object)
    fitted = ForwardForwardClassifier(**SMALL).fit(table, (table[:, 0] == "a").astype(int))
    with pytest.warns(Remark, match="column 'x0' has values that did not occur in training: c"):
        assert np.isfinite(fitted.predict_proba(np.array([["c", 1.0]], dtype=object))).all()


def swap(table: Any) -> Any:
    return table[:, [1, 0, 2, 3]]


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda table: table * [1, 1, 1000, 1], "150 of 150 rows .*column 'x2' is 1400, .* range from 1 to 6.9"),
        (swap, "rows do not look like the training data, such as row .*: column 'x1' is .* range from 2 to 4.4"),
        (lambda table: table[:1] - 100, "1 of 1 rows .* row 1: column 'x0' is -94.9"),
    ],
)
def test_rows_unlike_the_training_data_are_said(change: Callable[[Any], Any], reason: str, method: str) -> None:
    table = change(X)
    given = (table, Y[: len(table)]) if method == "score" else (table,)
    with pytest.warns(Remark, match=reason) as said:
        getattr(ForwardForwardClassifier(**SMALL).fit(X, Y), method)(*given)
    assert len(said) == 1


def test_usual_rows_and_few_odd_ones_are_not_said_nor_is_what_was_learned_later() -> None:
    fitted = ForwardForwardClassifier(**SMALL).fit(X[::2], Y[::2])
    fitted.predict(X)
    odd = X.copy()
    odd[:10] *= 1000
    fitted.predict(odd)
    fitted.partial_fit(X * 1000, Y).predict(X * 1000)
    ForwardForwardClassifier(**SMALL).fit(csr_matrix(X), Y).predict(X * 1000)  # of a sparse matrix, no ranges are kept
