"""Measurements of the estimators, of pictures, of exported nets and of a user's own data, at a size of seconds.

Oracles: hand-calculated scores, the documented promise of the same files for the same seed, and the records' contract.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from support.command_line import answer
from twofold_lab.benchmarks import estimators, onnx, substrate_errors
from twofold_lab.data.picture_forms import FORMS, LATER


def test_scores_of_probabilities_are_those_calculated_by_hand() -> None:
    scores = estimators.quality(torch.tensor([[0.75, 0.25], [0.75, 0.25]]), np.array([0, 1]))
    assert scores["error %"] == 50
    assert scores["log-loss"] == pytest.approx(-np.log(0.75 * 0.25) / 2, abs=1e-4)
    assert scores["Brier"] == pytest.approx((2 * 0.25**2 + 2 * 0.75**2) / 2, abs=1e-4)
    assert scores["calibration error"] == pytest.approx(0.25)  # confidence 0.75, accuracy 0.5


def test_a_split_without_a_class_numbers_the_others_anew() -> None:
    columns, labels = np.arange(4.0)[:, None], np.array([0, 1, 2, 1])
    split, unknown = estimators.without(estimators.Split(columns, labels, columns, labels, ""), 1)
    assert split.labels.tolist() == split.test_labels.tolist() == [0, 1]
    assert unknown.tolist() == [[1.0], [3.0]]


@pytest.mark.parametrize("form", {**FORMS, **LATER})
def test_the_same_seed_makes_the_same_file(form: str) -> None:
    digit = np.zeros((28, 28), np.uint8)
    digit[6:22, 12:16] = 255
    first, second = ({**FORMS, **LATER}[form](digit, np.random.default_rng(3)) for _ in range(2))
    assert first == second


@pytest.mark.slow
def test_a_record_states_seeds_data_and_cases(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Else a figure in a table could not be traced to what was trained on what."""
    monkeypatch.setattr(estimators, "SETS", {"iris": estimators.SETS["iris"]})
    monkeypatch.setattr(onnx, "NETS", {"digits": {"widths": (20, 20), "epochs": 1}})
    monkeypatch.setattr(substrate_errors, "contenders", lambda: [("ideal", substrate_errors.PRESETS["ideal"])])
    monkeypatch.setattr(substrate_errors, "WIDTHS", (20, 20))
    monkeypatch.setattr(substrate_errors, "EPOCHS", 1)
    records = {}
    for name, words in (("estimators", ["--parts", "defaults"]), ("onnx", []), ("substrate-errors", [])):
        code, _, err = answer(["bench", name, *words, "--folder", str(tmp_path)])
        assert code == 0, err
        records[name] = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
        assert records[name]["precision"] == "fp32"
        assert records[name]["environment"]["threads"] == 1
    (training,) = records["estimators"]["defaults"]["trainings"].values()
    assert training["seeds"] == list(range(10))
    assert (training["trained on"], training["tested on"]) == (75, 75)
    (net,) = records["onnx"]["nets"]
    assert net["other labels"] == 0
    assert len(net["fingerprint"]) == len(records["substrate-errors"]["fingerprint"]) == 64
    assert records["substrate-errors"]["held out"] == 10_000
