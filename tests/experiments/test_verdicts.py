"""Verdicts and contests.

Oracles: standard errors by hand; contests of stub trainings whose errors are known.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from twofold.errors import Diverged
from twofold.recipes.digits import digits, twin
from twofold_lab import contest
from twofold_lab.contest import Contender, at_lower_rates, tune
from twofold_lab.lab import Lab
from twofold_lab.verdict import (
    Estimate,
    Figures,
    Verdict,
    above_zero,
    at_least,
    at_most,
    every,
    exactly,
    less,
)


@pytest.mark.parametrize(
    ("value", "error", "limit", "expected"),
    [
        (1.0, 0.1, 1.25, "holds"),
        (1.0, 0.1, 1.21, "holds"),
        (1.0, 0.1, 1.15, "undecided"),
        (1.0, 0.1, 1.0, "undecided"),
        (1.0, 0.1, 0.85, "undecided"),
        (1.0, 0.1, 0.75, "does not hold"),
        (1.0, 0.0, 1.0, "holds"),
        (1.0, 0.0, 0.999, "does not hold"),
    ],
)
def test_a_difference_below_two_standard_errors_is_undecided(
    value: float, error: float, limit: float, expected: str
) -> None:
    assert at_most(Estimate(value, error), limit).verdict == expected
    assert at_least(Estimate(-value, error), -limit).verdict == expected


def test_standard_errors_of_independent_figures_add_in_quadrature() -> None:
    assert less(Estimate(1.0, 0.3), Estimate(1.9, 0.4)).verdict == "undecided"
    assert less(Estimate(1.0, 0.3), Estimate(2.1, 0.4)).verdict == "holds"
    assert less(Estimate(1.0), Estimate(1.0)).verdict == "does not hold"


def test_a_paired_difference_is_judged_against_zero() -> None:
    assert above_zero(Estimate(0.3, 0.1)).verdict == "holds"
    assert above_zero(Estimate(0.1, 0.1)).verdict == "undecided"
    assert above_zero(Estimate(-0.3, 0.1)).verdict == "does not hold"
    assert above_zero(Estimate(0.0)).verdict == "does not hold"


def test_the_standard_error_is_over_seeds_or_binomial() -> None:
    measured = {"error %": {"mean": 2.0, "std": 0.3}, "alone": {"error %": 2.0}, "ratio": 1.5}
    figures = Figures(measured, {"error %": 1.0}, "full", [0, 1, 2], 10_000)
    assert figures.of("error %") == (2.0, pytest.approx(0.3 / math.sqrt(3)))
    assert figures.of("alone", "error %") == (2.0, pytest.approx(0.14))
    assert figures.of("ratio") == (1.5, 0.0)
    assert figures.of_twin("error %").error == pytest.approx(0.0995, abs=1e-4)


def test_a_combined_verdict_is_the_worst() -> None:
    holds, undecided, fails = (Verdict(verdict, verdict) for verdict in ("holds", "undecided", "does not hold"))
    assert every([holds, holds]).verdict == "holds"
    assert every([holds, undecided]).verdict == "undecided"
    assert every([fails, undecided, holds]).verdict == "does not hold"
    assert exactly(True, "0 of 3 differ") == ("holds", "0 of 3 differ")


def test_the_best_value_of_a_grid_is_chosen_and_the_edge_is_recorded(tmp_path: Path) -> None:
    lab = Lab(runs=tmp_path)
    errors = {0.1: 3.0, 0.3: 2.0, 1.0: 2.5, 3.0: math.nan}

    def held_out_error(value: float) -> float:
        if value == 3.0:
            raise Diverged("not finite")
        return errors[value]

    assert tune(lab, "inside", errors, held_out_error) == 0.3
    assert tune(lab, "edge", (0.3, 1.0), held_out_error) == 0.3
    assert lab.tunings["inside"] == {
        "held-out errors": {"0.1": 3.0, "0.3": 2.0, "1.0": 2.5, "3.0": "diverged"},
        "chosen": 0.3,
        "on the edge": False,
    }
    assert lab.tunings["edge"]["on the edge"]
    with pytest.raises(Diverged, match="not finite"):
        tune(lab, "hopeless", (3.0,), held_out_error)


def test_a_training_that_diverges_is_repeated_at_a_third_of_its_rate(tmp_path: Path) -> None:
    lab, tried = Lab(runs=tmp_path), []

    def learn(rate: float) -> float:
        tried.append(rate)
        if rate > 0.2:
            raise Diverged("not finite")
        return rate

    assert at_lower_rates(lab, "net", 0.9, learn) == pytest.approx(0.1)
    assert tried == pytest.approx([0.9, 0.3, 0.1])
    assert lab.tunings == {"net, retried": {"diverged at": 0.9, "chosen": pytest.approx(0.1)}}
    assert at_lower_rates(lab, "never", 1e6, learn) is None
    assert at_lower_rates(lab, "at once", 0.1, learn) == 0.1
    assert "at once, retried" not in lab.tunings


def test_a_contest_tunes_each_contender_trains_each_seed_and_pairs_by_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def train(self: Lab, recipe: object, title: str, dataset: object = None) -> object:
        trained.append((title, recipe.rate, recipe.seed, recipe.validation))  # type: ignore[attr-defined]
        return recipe

    monkeypatch.setattr(Lab, "train", train)
    monkeypatch.setattr(contest, "error", lambda recipe: 10 * abs(recipe.rate - 0.3) + recipe.seed)
    lab = Lab(runs=tmp_path)
    ways = {"plain": {"rate": 0.5}, "tuned way": Contender(rates=(0.1, 0.3, 1.0))}
    compared = lab.contest(ways, (digits, twin), seeds=[0, 1], held=300)
    assert compared.difference("plain", "tuned way") == {"mean": 2.0, "std": 0.0}
    assert [title for title, *_ in trained] == [
        *["plain"] * 2,
        *["tuned-way-tuning"] * 3,
        *["tuned-way"] * 2,
        *["twin"] * 2,
    ]
    assert {(rate, validation) for title, rate, _, validation in trained if title == "tuned-way"} == {(0.3, 0)}
    assert {validation for title, _, _, validation in trained if title == "tuned-way-tuning"} == {300}
    assert lab.tunings["tuned way"]["chosen"] == 0.3
