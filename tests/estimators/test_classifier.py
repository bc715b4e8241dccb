"""What a classifier learns, says of its own answers, and refuses.

Oracle: the documented contract; tables whose labels are known.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.datasets import load_iris, make_circles
from sklearn.exceptions import NotFittedError

from support.table_rows import digits
from twofold import ForwardForwardClassifier, ForwardForwardFeatures, defaults
from twofold.errors import ArgumentError, DataError, Remark, SettingError, TwofoldError
from twofold.estimators import calibration
from twofold.estimators.scaling import Scaling
from twofold.normalize import normalize

X, Y = load_iris(return_X_y=True)
SMALL: dict[str, Any] = {"widths": (20,), "epochs": 6, "random_state": 0}


def small(**changes: Any) -> ForwardForwardClassifier:
    return ForwardForwardClassifier(**{**SMALL, **changes})


@pytest.mark.parametrize("test", ["fast", "slow"])
def test_columns_of_any_size_are_learned_from_without_a_scaler(test: str) -> None:
    sizes = np.array([1e-6, 1.0, 1e9, -1e3])
    plain, scaled = (small(epochs=20, test=test).fit(table, Y) for table in (X, X * sizes + sizes))
    assert plain.score(X, Y) > 0.9
    assert scaled.score(X * sizes + sizes, Y) == pytest.approx(plain.score(X, Y), abs=0.02)


def test_how_long_a_case_is_can_be_told_though_a_net_sees_all_at_one_length() -> None:
    scaling, table = Scaling(), np.array([[1.0, 1.0], [2.0, 2.0], [-1.0, -1.0], [-2.0, -2.0]])
    scaling.see(table)
    seen = normalize(scaling.cases(table))
    assert (seen[0] - seen[1]).abs().max() > 0.1
    rings, labels = make_circles(200, noise=0.05, factor=0.5, random_state=0)
    assert ForwardForwardClassifier(random_state=0).fit(rings, labels).score(rings, labels) > 0.95


def test_a_constant_column_and_one_number_far_from_all_others_do_no_harm() -> None:
    table = np.hstack([X, np.full((len(X), 1), 3.0)])
    fitted = small(epochs=20).fit(table, Y)
    far = table.copy()
    far[0, 0] = 1e30
    assert fitted.score(table, Y) > 0.9
    assert np.isfinite(fitted.predict_proba(far)).all()


@pytest.mark.slow
def test_short_tables_are_seen_more_often_than_long_ones() -> None:
    few, many = (ForwardForwardClassifier(random_state=0).fit(*digits(count)) for count in (60, 1000))
    assert many.n_iter_ == defaults.TABLE_EPOCHS
    assert few.n_iter_ * 2 >= defaults.TABLE_STEPS > defaults.TABLE_EPOCHS * 2


@pytest.mark.slow
def test_early_stopping_goes_back_to_the_best_epoch() -> None:
    fitted = ForwardForwardClassifier(epochs=60, early_stopping=True, n_iter_no_change=3, random_state=0)
    fitted.fit(*digits(400))
    scores = fitted.validation_scores_
    assert fitted.n_iter_ == len(scores) < 60
    assert len(scores) - 1 - int(np.argmax(scores)) == 3
    random = np.random.RandomState(0)
    table, labels = digits(400)
    random.randint(2**31 - 1)
    aside = calibration.held_out(labels, 40, random)
    assert fitted.score(table[aside], labels[aside]) == pytest.approx(max(scores))


@pytest.mark.slow
def test_probabilities_are_calibrated_on_cases_that_were_held_out() -> None:
    random = np.random.default_rng(0)
    table = random.normal(size=(1000, 8))
    labels = (table[:, 0] + random.normal(size=1000) > 0).astype(int)  # nobody can be right in more than 75 %
    fitted = ForwardForwardClassifier(random_state=0).fit(table[:500], labels[:500])
    found = fitted.predict_proba(table[500:])
    sure, right = found.max(1).mean(), (found.argmax(1) == labels[500:]).mean()
    assert fitted.temperature_ > 1.2
    assert abs(sure - right) < 0.06
    np.testing.assert_allclose(np.exp(fitted.predict_log_proba(table[500:])), found, rtol=1e-4)


@pytest.mark.parametrize("epochs", [1, 2, 3, 10])
def test_all_cases_are_learned_from_in_the_end(epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    learn = ForwardForwardClassifier._learn

    def watched(self: ForwardForwardClassifier, data: tuple[torch.Tensor, ...], last: int | None = None) -> None:
        before = len(self.history_)
        learn(self, data, last)
        seen.append((len(data[0]), len(self.history_) - before))

    monkeypatch.setattr(ForwardForwardClassifier, "_learn", watched)
    fitted = small(epochs=epochs).fit(X, Y)
    assert sum(learned for cases, learned in seen if cases == len(X)) >= 1
    assert sum(learned for _, learned in seen) == epochs
    assert (fitted.temperature_ == 1) == (epochs == 1)


def test_what_stops_a_training_has_no_say_in_the_scaling_and_a_later_fit_forgets_it() -> None:
    seen = small(early_stopping=True, validation_fraction=0.3).fit(X, Y)
    assert seen._scaling.scaler.n_samples_seen_ == len(X) - int(0.3 * len(X))
    assert len(seen.validation_scores_) == seen.n_iter_
    seen.set_params(early_stopping=False).fit(X, Y)
    assert not hasattr(seen, "validation_scores_")


def test_a_temperature_is_the_likeliest() -> None:
    """Labels drawn at a temperature of 3 ask for 3."""
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(4000, 3, generator=generator)
    labels = torch.multinomial((logits / 3).softmax(1), 1, generator=generator)[:, 0]
    assert calibration.temperature(logits, labels, torch.ones(4000)) == pytest.approx(3, rel=0.1)
    assert calibration.temperature(logits[:0], labels[:0], torch.ones(0)) == pytest.approx(1, abs=0.01)


def test_no_class_is_held_out_whole() -> None:
    labels = np.array([0] * 30 + [1, 2])
    for seed in range(20):
        aside = calibration.held_out(labels, 31, np.random.RandomState(seed))
        assert set(labels[~aside]) == {0, 1, 2}
        assert aside.sum() == 29


@pytest.mark.slow
def test_what_looks_like_nothing_that_was_learned_from_is_less_familiar_and_rejected() -> None:
    table, labels = digits(1000)
    fitted = ForwardForwardClassifier(reject=0.05, random_state=0).fit(table[:800], labels[:800])
    noise = np.random.default_rng(0).permuted(table[800:], axis=1)
    known, strange = fitted.score_samples(table[800:]), fitted.score_samples(noise)
    assert (known[:, None] > strange).mean() > 0.9
    assert (fitted.predict(table[800:]) == -1).mean() < 0.2
    assert (fitted.predict(noise) == -1).mean() > 0.5
    assert set(fitted.predict(noise)) <= {-1, *range(10)}


def test_familiarity_is_the_share_of_the_best_label_in_all_goodness() -> None:
    fitted = small(widths=(7, 5)).fit(X, Y)
    goodness = [0.0] * 3
    for label in range(3):
        below = fitted.net_.with_label(fitted._scaling.cases(X[:1]), torch.tensor([label]))
        for layer in fitted.net_.stack:
            activity = layer(below)
            goodness[label] += float(activity.square().sum())
            below = layer.output(activity)
    powers = np.exp(np.array(goodness) / sum(layer.temperature for layer in fitted.net_.stack))
    assert fitted.score_samples(X[:1])[0] == pytest.approx(np.log(powers.max() / powers.sum()), rel=1e-4)


def test_the_label_of_what_is_rejected_is_as_stated() -> None:
    words = np.array(["a", "b", "c"])[Y]
    usual = small(reject=0.5).fit(X, words).predict(X)
    stated = small(reject=0.5, reject_label="?").fit(X, words).predict(X)
    assert ((usual == "rejected") == (stated == "?")).all()
    assert 0.1 < (stated == "?").mean() < 0.8
    for y, label in ((Y.astype(np.int8), 1000), (Y * 2.0, -1), (Y.astype(np.uint8), -1)):
        named = small(reject=0.5, reject_label=label).fit(X, y).predict(X)
        assert set(named.tolist()) <= {label, *y.tolist()}
        assert 0.1 < (named == label).mean() < 0.8
    with pytest.raises(SettingError, match="reject_label"):
        small(reject=0.5).fit(X, Y - 1)


@pytest.mark.slow
def test_features_without_labels_tell_digits_apart_better_than_chance() -> None:
    table, labels = digits(300)
    for features in (ForwardForwardFeatures(random_state=0), ForwardForwardFeatures(shape=(8, 8), random_state=0)):
        found = features.fit(table[:200]).transform(table)
        assert found.shape == (300, 200)
        assert small(epochs=20).fit(found[:200], labels[:200]).score(found[200:], labels[200:]) > 0.6
    assert features.recipe_.blurs == 1
    assert not np.array_equal(found, features.fit(table, labels).transform(table))


def test_progress_is_told_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    small(verbose=True, epochs=2).fit(X, Y)
    assert capsys.readouterr().out.count(", training error ") == 2
    small(epochs=2).fit(X, Y)
    assert not capsys.readouterr().out


MISTAKES = {
    "a missing number in a sparse matrix": (
        lambda: small().fit(csr_matrix(np.where(X > 7.5, np.nan, X)), Y),
        "contains NaN",
    ),
    "a list in a cell": (lambda: small().fit(np.array([[[1, 2], "a"]] * 4, dtype=object), [0, 1] * 2), "string or a n"),
    "two bad columns": (
        lambda: small().fit(np.array([["a", 1e300], [1, -1e300], [2, 1e300]], dtype=object), [0, 1, 1]),
        "column 'x0' has 'a' in row 1, expected a number.*column 'x1' are too large",
    ),
    "texts where a sparse matrix was learned from": (
        lambda: small().fit(csr_matrix(X), Y).predict(X.astype(str).astype(object) + "cm"),
        "give numbers, as in fit",
    ),
    "a sparse matrix where texts were learned from": (
        lambda: small().fit(np.array([["a"], ["b"]], dtype=object), [0, 1]).predict(csr_matrix([[1.0]])),
        "give a dense table",
    ),
    "an infinite number": (lambda: small().fit(np.where(X > 7.5, np.inf, X), Y), "infinity"),
    **{
        f"{what} among labels": (
            lambda y=y, kind=kind: small().fit(X, np.resize(np.array(y, dtype=kind), len(X))),
            said,
        )
        for what, y, kind, said in (
            ("a missing number", [0, 1, np.nan], float, "y contains NaN: omit cases"),
            ("an infinite number", [0, 1, np.inf], float, "y contains infinity.*: omit cases"),
            ("a missing word", ["a", "b", np.nan], object, "NaN: omit cases"),
            ("None", ["a", "b", None], object, "y: it has NoneType and str, expected labels of one type"),
            ("words and numbers", [1, "b", 2.5], object, "y: it has float and int and str"),
        )
    },
    "one class": (lambda: small().fit(X, np.zeros(len(X))), "y has only one class, 0.0"),
    "numbers to predict": (lambda: small().fit(X, X[:, 0]), "y: .*continuous"),
    "labels of other cases": (lambda: small().fit(X, Y[:-1]), "inconsistent numbers of samples"),
    "another number of columns": (lambda: small().fit(X, Y).predict(X[:, :3]), "3 features.*4 features"),
    "another number of columns to learn from": (
        lambda: small().partial_fit(X, Y, [0, 1, 2]).partial_fit(X[:, :3], Y),
        "3 features.*4 features",
    ),
    "one case": (lambda: small().fit(X, Y).predict(X[0]), "Reshape your data"),
    "numbers too large": (lambda: small().fit(X * [1, 1, 1e200, 1], Y), "column 'x2' are too large"),
    "numbers too large in a later part": (
        lambda: small().partial_fit(X, Y, [0, 1, 2]).partial_fit(X * [1, 1, 1e200, 1], Y),
        "column 2",
    ),
    "no classes at first": (lambda: small().partial_fit(X, Y), "classes is None"),
    "other classes later": (lambda: small().partial_fit(X, Y, [0, 1, 2]).partial_fit(X, Y, [0, 1]), "classes differ"),
    "a label that is no class": (lambda: small().partial_fit(X, Y, [0, 1]), "y has the unknown label 2"),
    "nothing to hold out": (lambda: small(early_stopping=True).fit(X[[0, 60]], Y[[0, 60]]), "none can be held out"),
    "a case without another": (lambda: ForwardForwardFeatures().fit(X[:1]), "needs at least 2"),
    "a shape of other pictures": (lambda: ForwardForwardFeatures(shape=(2, 3)).fit(X), "shape is .*4 columns"),
    "a shape of one number": (lambda: ForwardForwardFeatures(shape=(4,)).fit(X), "shape is .*height"),
    "a test that is none": (lambda: small(test="quick").fit(X, Y), "test 'quick'"),
    "no layer": (lambda: small(widths=()).fit(X, Y), "widths is empty"),
    "a word for a number": (lambda: small(epochs="many").fit(X, Y), "epochs"),
    **{
        f"{label!r} for what is rejected": (
            lambda y=y, label=label: small(reject=0.5, reject_label=label).fit(X, y),
            said,
        )
        for y, label, said in (
            (Y, "other", "reject_label is 'other', .* same type as the classes, such as 0"),
            (Y, -1.5, "reject_label is -1.5"),
            (Y, 2, "reject_label is 2"),
            (Y, [-1], r"reject_label is \[-1\]"),
            (Y * 2.0, "", "reject_label is ''"),
            (np.array(["a", "b", "c"])[Y], -2, "reject_label is -2, .* same type as the classes, such as 'a'"),
            (np.array(["a", "b", "c"], dtype=object)[Y], None.__class__, "reject_label is <class"),
        )
    },
    "a share of one": (lambda: small(reject=1.0).fit(X, Y), "reject is 1"),
    "no part to hold out": (lambda: small(validation_fraction=0.0).fit(X, Y), "validation_fraction is 0"),
    "a device that is none": (lambda: small(device="xyz").fit(X, Y), "device 'xyz'"),
    "a misspelled argument": (lambda: small().fit(X), "y"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_line(mistake: str) -> None:
    make, said = MISTAKES[mistake]
    with pytest.raises(TwofoldError, match=said) as error:
        make()
    assert "\n" not in str(error.value)
    assert isinstance(error.value, ValueError | TypeError)


def test_what_has_learned_nothing_answers_nothing() -> None:
    with pytest.raises(NotFittedError):
        small().predict(X)
    with pytest.raises(ArgumentError):
        small().fit(X, Y).predict()
    with pytest.raises(DataError):
        Scaling().see(np.array([[1e300], [-1e300]]))


def test_equal_weights_train_the_same_net_as_none() -> None:
    plain, weighted = small().fit(X, Y), small().fit(X, Y, np.full(len(Y), 0.3))
    balanced = small(class_weight="balanced").fit(X, Y)
    for other in (weighted, balanced):
        assert (other.predict_proba(X) == plain.predict_proba(X)).all()


def test_a_warm_start_continues_with_the_net() -> None:
    warm = small(warm_start=True, epochs=15).fit(X, Y)
    weight = warm.net_.stack[0].weight.detach().clone()
    warm.set_params(epochs=1, rate=1e-6).fit(X, Y)
    assert (warm.net_.stack[0].weight - weight).abs().max() < 1e-3
    with pytest.raises(SettingError, match="warm_start=False"):
        warm.set_params(widths=30).fit(X, Y)


def test_a_sparse_matrix_trains_the_net_of_the_array() -> None:
    random = np.random.default_rng(0)
    table = np.eye(30)[random.integers(30, size=300)]
    labels = (table @ random.normal(size=30) > 0).astype(int)
    dense, sparse = (small().fit(rows, labels) for rows in (table, csr_matrix(table)))
    assert (dense.predict_proba(table) == sparse.predict_proba(csr_matrix(table))).all()
    assert dense.score(table, labels) > 0.9


def test_a_training_at_chance_says_so_with_names_of_parameters() -> None:
    with pytest.warns(Remark, match=r"most frequent class: change rate \(0.5\)"):
        small(rate=0.5, epochs=20).fit(np.ones((150, 3)), np.resize([0, 1], 150))


@pytest.mark.parametrize("labels", [Y == 1, Y.astype(np.uint8), pd.Series(Y, dtype="Int64")])
def test_rejection_works_with_labels_of_any_type(labels: Any) -> None:
    answer = small(reject=0.5).fit(X, labels).predict(X)
    assert answer.dtype.kind == "i"
    assert 0.1 < (answer == -1).mean() < 0.8
