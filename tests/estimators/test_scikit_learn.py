"""The estimators are what scikit-learn asks of an estimator.

Oracle: scikit-learn's own checks, and its pipelines, searches and tools.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import twofold
from twofold import ForwardForwardClassifier, ForwardForwardFeatures

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])
SMALL: dict[str, Any] = {"widths": (20,), "epochs": 15, "random_state": 0}


def small(**changes: Any) -> ForwardForwardClassifier:
    return ForwardForwardClassifier(**{**SMALL, **changes})


REPEATED = "check_sample_weight_equivalence"
"""Checks that demand the net of repeated cases for weighted cases. Wrong labels are drawn for each case, so it differs,
as do the nets of `MLPClassifier`, for which scikit-learn expects these checks to fail, too."""
CHECKS = [
    pytest.param(
        estimator,
        check,
        id=f"{type(estimator).__name__}-{check.func.__name__}",
        marks=pytest.mark.xfail(strict=True) if check.func.__name__.startswith(REPEATED) else (),
    )
    for made in (ForwardForwardClassifier(), ForwardForwardFeatures())
    for estimator, check in estimator_checks_generator(made)
    if check.func.__name__ != "check_array_api_input"
]
"""All that scikit-learn checks, but for what is for estimators that say they know its array API, and skips itself."""


@pytest.mark.slow
@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_scikit_learns_own_checks_pass_but_for_repeated_cases(estimator: Any, check: Callable[..., Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own tables are such that it warns
        check(estimator)


@pytest.mark.slow
def test_a_pipeline_and_a_search_over_it_classify() -> None:
    pipeline = make_pipeline(StandardScaler(), small())
    assert is_classifier(pipeline)
    search = GridSearchCV(pipeline, {"forwardforwardclassifier__widths": [(10,), (20,)]}, cv=2).fit(X, Y)
    assert search.best_score_ > 0.85
    assert search.best_params_["forwardforwardclassifier__widths"] in [(10,), (20,)]


@pytest.mark.slow
def test_features_in_front_of_another_classifier_serve_it() -> None:
    pipeline = make_pipeline(ForwardForwardFeatures(**SMALL), CalibratedClassifierCV(small(), cv=2))
    assert cross_val_score(pipeline, X, Y, cv=2).mean() > 0.85


def test_a_clone_has_the_parameters_and_nothing_that_was_learned() -> None:
    fitted = small(rate=0.25).fit(X, Y)
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "net_")
    assert not hasattr(copy, "n_iter_")


def test_columns_of_a_frame_are_known_by_their_names() -> None:
    frame = pd.DataFrame(X, columns=list("abcd"))
    fitted = small().fit(frame, NAMES[Y])
    assert list(fitted.feature_names_in_) == list("abcd")
    assert fitted.score(frame, NAMES[Y]) > 0.85
    with pytest.raises(twofold.errors.DataError, match="feature names"):
        fitted.predict(frame[list("dcba")])


def test_features_have_names_and_become_a_frame() -> None:
    features = ForwardForwardFeatures(widths=(3, 2), epochs=1, random_state=0).set_output(transform="pandas")
    frame = features.fit_transform(X, Y)
    assert list(frame.columns) == [f"forwardforwardfeatures{number}" for number in range(5)]
    assert frame.to_numpy().dtype == np.float32


@pytest.mark.parametrize("labels", [NAMES[Y], Y - 7, Y.astype(float), NAMES[Y].astype(object), Y == 1])
def test_labels_of_any_kind_come_back_as_they_were(labels: Any) -> None:
    fitted = small(epochs=20).fit(X, labels)
    assert fitted.predict(X).dtype == labels.dtype
    assert list(fitted.classes_) == sorted(set(labels))
    assert fitted.score(X, labels) > 0.85
    named = fitted.classes_[fitted.predict_proba(X).argmax(1)]
    assert (named == fitted.predict(X)).all()


@pytest.mark.parametrize("estimator", [small(), small(test="slow"), ForwardForwardFeatures(**SMALL)])
def test_a_pickle_answers_and_learns_on_as_what_was_pickled(estimator: Any) -> None:
    fitted = clone(estimator).fit(X, Y)
    back = pickle.loads(pickle.dumps(fitted))
    answer = "predict_proba" if is_classifier(estimator) else "transform"
    assert (getattr(back, answer)(X) == getattr(fitted, answer)(X)).all()
    if is_classifier(estimator):
        for one in (fitted, back):
            one.partial_fit(X, Y)
        assert (back.predict_proba(X) == fitted.predict_proba(X)).all()


def test_a_pickle_holds_no_tensor_so_that_it_goes_on_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = small().fit(X, Y)
    fitted.set_params(device="cuda:0", precision="bf16")
    state = pickle.dumps(fitted)
    assert b"torch" not in state.replace(b"torch_", b"")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("twofold.machine.has_fast_bf16", lambda device: False)
    with pytest.warns(twofold.errors.Remark, match="is not available") as said:
        back = pickle.loads(state)
    assert len(said) == 2
    assert (back.predict(X) == fitted.predict(X)).all()


def test_partial_fit_learns_from_batches_the_first_of_which_lacks_a_class() -> None:
    learner, order = small(widths=(50,)), np.random.default_rng(0).permutation(len(Y))
    learner.partial_fit(X[Y < 2], Y[Y < 2], classes=[0, 1, 2])
    for _ in range(10):
        for part in np.array_split(order, 3):
            learner.partial_fit(X[part], Y[part])
    assert learner.score(X, Y) > 0.85
    assert learner.n_iter_ == 31


def test_the_same_random_state_gives_the_same_net_and_another_one_another() -> None:
    first, again, other = (small(random_state=seed).fit(X, Y).predict_proba(X) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_ensembles_and_pipelines_pass_weights_on() -> None:
    for ensemble in (AdaBoostClassifier(small(), n_estimators=2), BaggingClassifier(small(), n_estimators=2)):
        assert ensemble.fit(X, Y).score(X, Y) > 0.8
    pipeline = make_pipeline(StandardScaler(), small())
    weights = np.where(Y == 2, 0.0, 1.0)
    assert set(pipeline.fit(X, Y, forwardforwardclassifier__sample_weight=weights).predict(X)) <= {0, 1}
