"""Noise that is shared, energy that is estimated, and learners on devices: what the claims about hardware rest on.

Oracles: counts by hand and by PyTorch's counter, brute force, and autograd of the ideal model. Were one of these to
fail, the figures of the claims analog, cancel, mortal or power would mean something else.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from twofold.data import load
from twofold.errors import Diverged
from twofold.layers.inputs import join
from twofold.methods import FeedForwardRecipe, build
from twofold.methods.cases import TensorCases
from twofold.methods.feedforward import ForwardForward
from twofold.nets.backprop import Backprop
from twofold.substrate import Substrate
from twofold_lab.benchmarks.operations import operations
from twofold_lab.claims import cancel, mortal, power
from twofold_lab.contest import at_lower_rates, tune
from twofold_lab.devices import OURS, Device, deployed, error_of, recipe_of, training, untrained
from twofold_lab.distill import FromTeacher, without_labels
from twofold_lab.energy import (
    JOULES,
    Range,
    analog,
    brain_joules,
    counters,
    digital,
    inference,
    joules,
    measure,
    step,
)
from twofold_lab.lab import Lab
from twofold_lab.noise import GreedyInfoNCE, Noise, NoisyBackprop, NoisyFeedForward, info_nce
from twofold_lab.verdict import ESTIMATE, Figures

SHAPE, CLASSES, CASES = (1, 3, 3), 4, 6


def cases() -> tuple[Tensor, Tensor, Tensor]:
    """Images, right labels and wrong ones."""
    images = torch.rand(CASES, *SHAPE, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(CASES) % CLASSES
    return images, labels, (labels + 1) % CLASSES


def noisy(objective: str = "symba", follows: bool = False) -> NoisyFeedForward:
    recipe = FeedForwardRecipe(data="digits", widths=(8, 7), objective=objective, temperature=2.0, label_in="prepend")
    return NoisyFeedForward.of(recipe, {"shape": SHAPE, "classes": CLASSES}, follows)


def twin(kind: type[Backprop] = Backprop, **options: Any) -> Any:
    net = kind(9, (8, 7), CLASSES, torch.Generator().manual_seed(0), **options)
    net.stack[-1].weight.data = torch.randn(CLASSES, 7, generator=torch.Generator().manual_seed(3))
    return net


# ---- noise ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False])
def test_both_passes_of_a_pair_meet_the_same_noise_if_it_is_shared_and_another_if_it_is_not(shared: bool) -> None:
    net, (images, labels, wrong) = noisy(), cases()
    layer = net.stack[0]
    ready = net.images(images)
    below = join(net.with_label(ready, labels), net.with_label(ready, wrong))
    quiet = layer.total(below)
    net.set_noise(Noise(0.3, shared))
    ready = net.images(images)
    added = layer.total(join(net.with_label(ready, labels), net.with_label(ready, wrong))) - quiet
    right, other = added.chunk(2)
    assert torch.allclose(right, other, atol=1e-6) == shared
    assert float(added.std()) == pytest.approx(0.3 * float(quiet.square().mean().sqrt()), rel=0.3)
    assert not torch.allclose(right[0], right[1])
    again = net.images(images)
    later = layer.total(join(net.with_label(again, labels), net.with_label(again, wrong))) - quiet
    assert not torch.allclose(later[:CASES], right)


def test_a_net_without_noise_has_the_gradients_of_the_library_and_measuring_leaves_no_trace() -> None:
    net, (images, labels, wrong) = noisy("logistic", follows=True), cases()
    rules, thresholds = [layer.rule for layer in net.stack], [layer.threshold for layer in net.stack]
    with net.measured(Noise(0.3, True)):
        net.gradients(images, labels, wrong)
        assert net.stack[0].rule.peer == 0
        assert net.stack[0].threshold != thresholds[0]
    assert [layer.rule for layer in net.stack] == rules
    assert [layer.threshold for layer in net.stack] == thresholds
    assert net.noise.strength == 0
    assert all(layer.weights.gradient is None for layer in net.stack)


def test_a_threshold_that_follows_becomes_the_mean_goodness() -> None:
    net, (images, labels, wrong) = noisy("logistic", follows=True), cases()
    for _ in range(200):
        net.gradients(images, labels, wrong)
    layer = net.stack[0]
    ready = net.images(images)
    goodness = layer.respond(join(net.with_label(ready, labels), net.with_label(ready, wrong))).goodness
    assert layer.threshold == pytest.approx(float(goodness.mean()), rel=1e-4)


def test_info_nce_is_the_mean_of_what_its_formula_says_of_each_image_and_view() -> None:
    one, other = torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    total = 0.0
    for views in ((one, other), (other, one)):
        for i in range(5):
            likeness = [float(views[0][i] @ v / views[0][i].norm() / v.norm()) / 0.3 for v in views[1]]
            total -= math.log(math.exp(likeness[i]) / sum(map(math.exp, likeness)))
    assert float(info_nce(one, other, 0.3).mean()) == pytest.approx(total / 10)


def test_no_derivative_of_info_nce_crosses_a_layer() -> None:
    net, (images, labels, wrong) = twin(GreedyInfoNCE, reach=0, temperature=0.2), cases()
    before = net.gradients(images, labels, wrong)
    net.stack[1].weight.data.mul_(-1)
    after = net.gradients(images, labels, wrong)
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


def test_the_noisy_twin_without_noise_learns_as_the_twin() -> None:
    images, labels, _ = cases()
    nets = [twin(kind) for kind in (Backprop, NoisyBackprop)]
    for net in nets:
        net.learn(images, labels, rate=0.1)
    for one, other in zip(*(net.stack for net in nets), strict=True):
        torch.testing.assert_close(one.weight, other.weight)


@pytest.mark.parametrize(
    ("ours", "other", "cost", "expected"),
    [
        ((0.98, 0.75), (0.90, 0.91), 0.2, "holds"),
        ((0.98, 0.75), (0.90, 0.91), 0.9, "undecided"),
        ((0.94, 0.75), (0.90, 0.91), 0.2, "undecided"),
        ((0.98, 0.75), (0.95, 0.80), 0.2, "undecided"),
        ((0.98, 0.75), (0.98, 0.98), 0.2, "refuted"),
        ((0.80, 0.75), (0.70, 0.70), 0.2, "refuted"),
    ],
)
def test_the_verdict_on_noise_has_two_sides(ours: Any, other: Any, cost: float, expected: str) -> None:
    found = ({side: {"0.3": one} for side, one in zip(cancel.SIDES, pair, strict=True)} for pair in (ours, other))
    assert cancel.verdict(*found, cost, 0.5) == expected


# ---- energy --------------------------------------------------------------------------------------------------------


def test_what_a_step_counts_is_what_one_counts_by_hand() -> None:
    widths, own = (4, 3, 2), 10 * 5  # 18 connections, 6 of them above the first layer, 5 units
    ours, theirs = (digital(widths, step(learner), batch=2) for learner in ("forward-forward", "backprop"))
    assert ours["multiply-adds"] == Range(5 * 18 + 3 * own, 5 * 18 + 3 * own)
    assert theirs["multiply-adds"] == Range(2 * 18 + 6 + 2 * own, 2 * 18 + 6 + 2 * own)
    assert ours["bytes"] == Range(8 * 18 / 2 + 8 * 5, 4 * (8 * 18 / 2 + 8 * 5))
    on_devices = analog(widths, step("forward-forward"))
    assert on_devices["device reads"].low == 3 * 18
    assert on_devices["device updates"].high == 2 * 18
    assert on_devices["ADC conversions"].low == 3 * 5
    assert on_devices["DAC conversions"].low == 3 * 7 + 2 * (7 + 5)
    back = analog(widths, step("backprop"))
    assert (back["device reads"].low, back["ADC conversions"].low) == (18 + 6, 5 + 3)
    assert digital(widths, inference(10), batch=1)["multiply-adds"].low == 10 * (18 + own)


def test_the_products_counted_for_backprop_are_those_that_pytorch_counts() -> None:
    net, (images, labels, _) = twin(), cases()
    counted = digital((9, 8, 7), step("backprop"), CASES)["multiply-adds"].low - 10 * 15 * 2
    softmax = 3 * 7 * CLASSES  # is left out of the count: forwards, and back to its weights and to its inputs
    assert operations(lambda: net.learn(images, labels, rate=0.1)) / 2 / CASES == counted + softmax


def test_every_constant_is_a_range_and_joules_add_low_with_low_and_high_with_high() -> None:
    assert all(0 < each.low < each.high for each in JOULES.values())
    counted = {"bytes": Range(1, 4), "device reads": Range(3, 3)}
    low, high = (JOULES["bytes"][end] * (1, 4)[end] + JOULES["device reads"][end] * 3 for end in (0, 1))
    assert joules(counted) == pytest.approx((low, high))
    assert brain_joules() == pytest.approx(3e-13)


def test_energy_is_read_from_the_counters_of_packages_and_one_that_wraps_around_says_nothing(tmp_path: Path) -> None:
    for name, start in (("intel-rapl:0", 5_000_000), ("intel-rapl:1", 9_000_000), ("intel-rapl:0:0", 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(f"{start}\n")
        (tmp_path / name / "name").write_text(f"package-{name[-1]}\n")

    def work() -> None:
        (tmp_path / "intel-rapl:0" / "energy_uj").write_text("7500000\n")
        (tmp_path / "intel-rapl:1" / "energy_uj").write_text("100\n")

    assert set(counters(tmp_path)) >= {"RAPL package-0", "RAPL package-1"}
    found = {name: joule for name, joule in measure(work, tmp_path).items() if name.startswith("RAPL")}
    assert found == {"RAPL package-0": pytest.approx(2.5)}
    assert not [name for name in counters(tmp_path / "none") if name.startswith("RAPL")]


@pytest.mark.parametrize(
    ("digital_low", "analog_low", "expected"), [(100, 1, "holds"), (10, 1, "undecided"), (100, 50, "refuted")]
)
def test_the_verdict_on_power_is_about_low_ends(digital_low: float, analog_low: float, expected: str) -> None:
    watts = {"digital": [digital_low, 1e4], "analog": [analog_low, 1e3]}
    assert power.verdict(watts) == expected


def test_each_statement_about_power_is_an_estimate() -> None:
    brain = power.brain()
    clauses = power.CLAIM.judge(Figures({power.BRAIN: brain}, {}, "full", [0], 1))
    assert [clause["verdict"] for clause in clauses] == [ESTIMATE] * 3
    low, high = brain[power.PASS]["analog"]
    assert clauses[0]["statistic"] == f"{low:.3g} to {high:.3g} W: the low end is within 30 W"
    assert clauses[1]["statistic"].endswith("none of it is within 30 W")


# ---- the chip in the loop ------------------------------------------------------------------------------------------


def test_on_an_ideal_device_the_chip_in_the_loop_learns_as_the_twin_does() -> None:
    images, labels, _ = cases()
    ideal, chip = twin(), twin(substrate=Substrate())
    for number in range(3):
        ideal.learn(images, labels, rate=0.1)
        chip.learn(images, labels, rate=0.1)
        for one, other in zip(ideal.stack, chip.stack, strict=True):
            torch.testing.assert_close(one.weight, other.weight, msg=f"step {number}")
            torch.testing.assert_close(one.bias, other.bias)


@pytest.mark.parametrize("model", ["ideal", "known"])
def test_the_derivative_is_that_of_the_written_weights_or_for_the_oracle_of_what_devices_give(model: str) -> None:
    images, labels, _ = cases()
    net = twin(substrate=Substrate(mismatch=0.5), device_seed=1, derivative=model)
    given = [layer.weights.to_matrix() for layer in net.stack[:-1]]
    used = given[1] if model == "known" else net.stack[1].weight.detach().clone()
    net.forward(images)
    inputs = net.prepare(images.flatten(1))
    first = (inputs @ given[0].T).relu()
    second = (first @ given[1].T).relu()
    top = net.stack[-1].weight.detach()
    logits = (second @ top.T).requires_grad_()
    (error,) = torch.autograd.grad(cross_entropy(logits, labels), logits)
    wanted = ((error @ top * (second > 0)) @ used * (first > 0)).T @ inputs
    with torch.enable_grad():
        loss = cross_entropy(net(images), labels)
        (found,) = torch.autograd.grad(loss, [net.stack[0].weight])
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("substrate", [None, Substrate(mismatch=0.5)])
def test_layers_with_a_softmax_of_their_own_get_nothing_from_above(substrate: Substrate | None) -> None:
    images, labels, _ = cases()
    nets = [twin(readout="layer", substrate=substrate, device_seed=1) for _ in range(2)]
    nets[1].stack[1].weight.data.mul_(-1)
    for net in nets:
        for head in (*net.heads, net.stack[-1]):
            head.weight.data = torch.ones_like(head.weight) * torch.arange(CLASSES)[:, None]
        net.learn(images, labels, rate=0.1)
    assert torch.equal(nets[0].stack[0].weight, nets[1].stack[0].weight)
    assert not torch.equal(nets[0].stack[-1].weight, nets[1].stack[-1].weight)


# ---- copying and teaching ------------------------------------------------------------------------------------------


def test_a_copy_has_the_weights_that_were_written_and_gives_another_answer() -> None:
    lab = Lab()
    design, dataset = Substrate(mismatch=0.5), load("digits")
    net = untrained(OURS, Device(design, 0), recipe_of(lab, OURS), dataset)
    copied = deployed(net, lab, OURS, Device(design, 1))
    assert torch.equal(net.stack[0].weight, copied.stack[0].weight)
    assert not torch.equal(net.stack[0].weights.to_matrix(), copied.stack[0].weights.to_matrix())
    before = [error_of(net, dataset) for _ in range(2)]
    assert before[0] == before[1]


def test_a_matrix_is_summed_up_by_its_diagonal_and_the_rest() -> None:
    found = mortal.summary([[1.0, 30.0], [50.0, 3.0]])
    assert found == {"originals": 2.0, "copies": 40.0, "copies / originals": 20.0}


def test_the_mismatch_of_ten_times_lies_on_a_line_through_logarithms() -> None:
    def at(**ratios: float) -> dict[str, dict[str, float]]:
        return {name.replace("_", "."): {"copies / originals": ratio} for name, ratio in ratios.items()}

    law = {f"{mismatch:g}": {"copies / originals": 40 * mismatch**2} for mismatch in (0.1, 0.4, 0.8)}
    assert mortal.crossing({**law, "own": {"copies / originals": 1.0}}) == pytest.approx(0.5, abs=1e-3)
    assert mortal.crossing({"0.1": {"copies / originals": 12.0}, "own": {"copies / originals": 1.0}}) == "below 0.1"
    assert mortal.crossing({"0.1": {"copies / originals": 2.0}, "own": {"copies / originals": 11.0}}) == (
        "in the design own"
    )
    assert mortal.crossing({"0.1": {"copies / originals": 2.0}, "own": {"copies / originals": 2.0}}) == (
        "not within the sweep"
    )


def test_a_transfer_set_has_no_true_label_but_those_that_are_given() -> None:
    dataset = load("digits")
    part = dataclasses.replace(dataset, train_images=dataset.train_images[:50], train_labels=dataset.train_labels[:50])
    wrong = (part.train_labels + 1) % 10
    soft = torch.full((50, 10), 0.01).scatter(1, wrong[:, None], 0.91)
    shown, outputs = without_labels(part, soft, labeled=5, visits=120)
    assert len(shown.train_labels) == len(outputs) == 100
    assert torch.equal(shown.train_labels[:50], torch.cat([part.train_labels[:5], wrong[5:]]))
    assert torch.equal(outputs[5:50], soft[5:])
    assert torch.equal(shown.train_images[50:100], part.train_images)
    assert torch.equal(outputs[:5].argmax(1), part.train_labels[:5])


def test_a_student_sees_labels_as_often_as_its_teacher_says_them(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = load("digits")
    recipe = recipe_of(Lab(), OURS)
    soft = torch.zeros(500, 10)
    soft[:, 3], soft[:, 7] = 0.25, 0.75
    images = dataset.train_images[:500]
    seen: list[Tensor] = []
    monkeypatch.setattr(ForwardForward, "step", lambda self, batch, progress: seen.append(batch.labels))
    cases = TensorCases((images, dataset.train_labels[:500]))
    method = FromTeacher(build(recipe, dataset.form), recipe, cases, soft)  # type: ignore[arg-type]
    method.step(method.batch(torch.arange(500), torch.ones(500)), 0.0)
    assert set(seen[0].tolist()) == {3, 7}
    assert (seen[0] == 7).float().mean() == pytest.approx(0.75, abs=0.06)


def test_a_training_that_diverges_is_tried_at_thirds_of_its_rate_and_given_up_where_none_learns() -> None:
    tried: list[float] = []

    def learn(rate: float, learns_at: float) -> float:
        tried.append(rate)
        if rate > learns_at:
            raise Diverged("too high")
        return rate

    lab = Lab()
    assert at_lower_rates(lab, "devices", 0.9, lambda rate: learn(rate, 0.2)) == pytest.approx(0.1)
    assert lab.tunings["devices, retried"]["chosen"] == pytest.approx(0.1)
    assert tried == pytest.approx([0.9, 0.3, 0.1])
    assert at_lower_rates(lab, "devices", 0.9, lambda rate: learn(rate, 0.0)) is None


def test_a_custom_net_that_diverges_at_every_rate_stays_untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    lab, device, dataset = Lab(), Device(), load("digits")
    rates: list[float] = []

    def diverge(net: Any, title: str, data: Any, settings: Any, learn: Any) -> Any:
        rates.append(settings["rate"])
        raise Diverged("too high")

    monkeypatch.setattr(lab, "train_net", diverge)
    recipe = recipe_of(lab, OURS)
    net = training(lab, OURS, device, recipe, dataset).train_or_lower("ours")
    assert rates == pytest.approx([recipe.rate / 3**number for number in range(5)])
    assert torch.equal(net.stack[0].weight, untrained(OURS, device, recipe, dataset).stack[0].weight)


def test_a_setting_that_diverges_is_not_chosen() -> None:
    def error(rate: float) -> float:
        if rate > 1:
            raise Diverged("too high")
        return abs(rate - 0.4)

    assert tune(Lab(), "rate", (0.1, 0.5, 3.0), error) == 0.5
    with pytest.raises(Diverged):
        tune(Lab(), "rate", (3.0, 9.0), error)
