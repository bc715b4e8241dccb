"""Claims about feedforward nets: their data, comparisons, verdicts and pictures."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from twofold.activations import ACTIVATIONS
from twofold.data import load
from twofold.methods import build
from twofold.nets.feedforward import FeedForward
from twofold_lab import feedforward
from twofold_lab.claim import Claim
from twofold_lab.claims import cheap, hard_neg, layer, mnist, norm, regime, shortlist
from twofold_lab.claims.fields import agreement
from twofold_lab.claims.goodness import settings
from twofold_lab.lab import Lab
from twofold_lab.tables import NONE
from twofold_lab.verdict import FAILS, HOLDS, UNDECIDED, Figures

RESULTS = Path(__file__).resolve().parents[2] / "results" / "claims"


def verdicts(claim: Claim, measured: dict[str, Any], twin: dict[str, Any] | None = None, seeds: int = 1) -> list[str]:
    """Return the verdicts of a claim on figures at full size."""
    judged = claim.judge(Figures(measured, twin or {}, "full", list(range(seeds)), 10_000))
    return [clause["verdict"] for clause in judged]


def test_units_that_do_not_learn_leave_the_other_verdicts_on_layers_alone() -> None:
    measured: dict[str, Any] = {
        "goodness of positive data": [1.2, 1.1],
        "goodness of negative data": [0.9, 1.0],
        "change without the layers above": [0.0, 0.0],
        "units": {unit: {"slow error %": 9.0, "fast error %": 2.0} for unit in ACTIVATIONS},
    }
    measured["units"]["threshold"] = {"slow error %": 13.0, "fast error %": 19.0}
    assert verdicts(layer.CLAIM, measured) == [HOLDS] * 6 + [FAILS]
    assert verdicts(layer.CLAIM, {**measured, "change without the layers above": [0.0, 1e-9]})[0] == FAILS
    assert verdicts(layer.CLAIM, {**measured, "goodness of negative data": [0.9, 1.1]})[1] == FAILS


def test_the_mean_of_squares_changes_weights_as_the_sum_does_with_scaled_settings(tmp_path: Path) -> None:
    """Otherwise the comparison would be one of rates, not of goodness."""
    lab, short = Lab(runs=tmp_path, precision="fp32"), dataclasses.replace(feedforward.SMALL, widths=(64, 64), epochs=1)
    scaled = settings(short)["mean_of_squares"]
    total, mean = lab.train(short, "sum"), lab.train(dataclasses.replace(short, **scaled), "mean")
    for name, tensor in total.net.state_dict().items():
        torch.testing.assert_close(mean.net.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)


def test_what_layers_learn_without_normalization_is_decided_by_the_best_layer_above_the_first() -> None:
    def judged(normalized: list[float], free: list[float]) -> list[str]:
        measured = {"normalized": {"layer error %": normalized}, "as it is": {"layer error %": free}}
        return verdicts(norm.CLAIM, measured, seeds=2)

    assert judged([3.0, 2.9, 2.0], [2.0, 3.0, 4.0]) == [HOLDS, HOLDS]
    assert judged([3.0, 3.9, 4.0], [3.0, 4.0, 2.0]) == [FAILS, FAILS]
    assert judged([3.0, 2.9, 2.9], [3.0, 2.9, 3.2]) == [UNDECIDED, UNDECIDED]


def test_an_error_that_is_not_reached_is_no_success() -> None:
    never, late, soon = ({"epochs": epochs} for epochs in (None, 9, 3))
    assert verdicts(hard_neg.CLAIM, {"hard": soon, "random": never}) == [HOLDS, HOLDS]
    assert verdicts(hard_neg.CLAIM, {"hard": late, "random": soon}) == [HOLDS, FAILS]
    assert verdicts(hard_neg.CLAIM, {"hard": never, "random": never}) == [FAILS, FAILS]
    assert verdicts(cheap.CLAIM, {"seconds": None}) == [FAILS]


def test_fields_agree_fully_with_labels_that_excite_as_their_images_do() -> None:
    digits = load("digits")
    net = build(feedforward.SMALL, digits.form)
    assert isinstance(net, FeedForward)
    pixels = net.with_neutral_label(digits.test_images).to_tensor()[:, 10:]
    means = torch.stack([pixels[digits.test_labels == label].mean(0) for label in range(10)])
    weight = net.layers[0].get_parameter("weight")
    weight[:, :10] = 3 * weight[:, 10:] @ means.T + 1
    torch.testing.assert_close(agreement(net, digits.test_images, digits.test_labels), torch.ones(100))
    weight[:, :10] *= -1
    torch.testing.assert_close(agreement(net, digits.test_images, digits.test_labels), -torch.ones(100))


def test_glyphs_are_the_same_at_every_call_and_each_class_has_its_own() -> None:
    first, second = (shortlist.glyphs(20, 100, 50) for _ in range(2))
    assert first.fingerprint == second.fingerprint
    assert first.classes == 20


def test_the_table_of_errors_leaves_out_claims_without_a_record() -> None:
    assert mnist.errors({}) == NONE
    record = {"measured": {"slow error %": {"mean": 1.2, "std": 0.04}}, "twin": {"fast error %": 1.2}, "seeds": [0, 1]}
    (row,) = mnist.errors({"mnist.json": record, "other.json": {}}).splitlines()[2:]
    command = "`twofold claims run mnist --size full`"
    assert row == f"| MNIST, 3 x 1000 | 1.20 ± 0.04 | - | 1.20 | 1.3-1.4 | 2 | {command} |"


def test_few_images_are_drawn_by_the_seed_from_each_class_and_repeated_to_fill_an_epoch() -> None:
    digits = load("digits")
    amount = regime.Amount(5, 1, 0.1, 0.2, 2)
    first, again, second = (regime.sample(digits, amount, seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != second.fingerprint
    complete = {image.numpy().tobytes() for image in digits.train_images}
    for sample in (first, second):
        images = {image.numpy().tobytes() for image in sample.train_images}
        assert len(images) == 50
        assert images <= complete
        repeats = len(sample.train_labels) // 50
        assert sample.train_labels.bincount().tolist() == [5 * repeats] * 10
        assert len(digits.train_labels) - 50 < len(sample.train_labels) <= len(digits.train_labels)
        assert torch.equal(sample.test_images, digits.test_images)
    assert regime.sample(digits, dataclasses.replace(amount, per_class=None), 0) is digits
    ours, twin = regime.settings(Lab("full"), amount, 4000, 3)
    assert (ours.widths, ours.temperature, ours.decay, ours.seed) == ((4000, 4000), 200.0, 0.1, 3)
    assert (twin.widths, twin.rate, twin.decay, twin.seed) == ((4000, 4000), 0.025, 0.2, 3)


def test_regimes_are_judged_by_the_corners_of_the_map_with_the_seeds_of_each() -> None:
    def side(few: float, many: float, std: float = 0.1) -> dict[str, Any]:
        middle = {"mean": 50.0, "std": 9.0}
        return {
            "10": {"narrow": middle, "wide": {"mean": few, "std": std}},
            "all": {"narrow": {"mean": many, "std": 0.0}, "wide": middle},
        }

    def judged(ours: dict[str, Any], twins: dict[str, Any]) -> list[str]:
        return verdicts(regime.CLAIM, {"slow error %": ours}, {"fast error %": twins}, seeds=3)

    assert judged(side(20.0, 4.0), side(22.0, 2.0)) == [HOLDS, HOLDS]
    assert judged(side(23.0, 2.0), side(22.0, 4.0)) == [FAILS, FAILS]
    assert judged(side(20.0, 2.1, std=3.0), side(22.0, 2.1)) == [UNDECIDED, UNDECIDED]


@pytest.mark.slow
def test_the_picture_of_regimes_is_drawn_from_the_record_alone(tmp_path: Path) -> None:
    record = json.loads((RESULTS / "regime.json").read_text())
    assert regime.picture(record, tmp_path / "regime.png", Lab(runs=tmp_path / "runs")).exists()
    assert [path.name for path in tmp_path.iterdir()] == ["regime.png"]
