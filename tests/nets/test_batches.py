"""Nets by hand: a batch to learn from, a label for each image, and nothing else that has to be known.

Oracles: the formulas of what is said in one line, errors on digits. Defaults that do not learn would be the first thing
that a newcomer sees.
"""

from __future__ import annotations

import pytest
import torch

from support.helpers import refusal
from support.small_layers import seeded
from support.small_nets import CLASSES, NETS, SHAPE, WIDTHS, drawn
from twofold import defaults, evaluate
from twofold.data import Dataset
from twofold.errors import SettingError
from twofold.learning import Rule
from twofold.nets.classifier import SoftmaxClassifier
from twofold.nets.feedforward import FeedForward
from twofold.nets.net import Net

READING = [name for name in NETS if isinstance(NETS[name](), SoftmaxClassifier)]
RATES = dict.fromkeys(NETS, 0.1) | {"unsupervised": 0.02}


def teach(net: Net, digits: Dataset, epochs: int, rate: float) -> None:
    images, labels = digits.train
    for epoch in range(epochs):
        for cases in torch.randperm(len(labels), generator=seeded(epoch)).split(defaults.BATCH):
            net.learn(images[cases], labels[cases], rate=rate, **drawn(net, 5))  # type: ignore[operator]


@pytest.mark.parametrize("name", NETS)
def test_a_few_batches_lower_the_error_of_every_test(name: str, digits: Dataset) -> None:
    net = NETS[name]()
    before = evaluate(net, *digits.test).error
    teach(net, digits, 3, RATES[name])
    after = evaluate(net, *digits.test).error
    assert before.keys() == after.keys()
    assert all(after[test] < before[test] - 0.15 for test in before), after
    assert after.get("fast", after[next(iter(after))]) < 0.5


@pytest.mark.parametrize(("width", "epochs", "most"), [(50, 8, 0.5), (200, 3, 0.2), (1000, 1, 0.3)])
def test_the_defaults_learn_at_any_width(width: int, epochs: int, most: float, digits: Dataset) -> None:
    """The slow test, which only the layers can pass; a softmax would read something from any layers."""
    net = FeedForward.dense(SHAPE, (width, width), CLASSES, Rule(), generator=seeded())
    assert evaluate(net, *digits.test).error["slow"] > 0.8
    teach(net, digits, epochs, defaults.RATE)
    assert evaluate(net, *digits.test).error["slow"] < most


@pytest.mark.parametrize("name", NETS)
def test_the_label_that_is_predicted_is_the_one_with_the_best_score(name: str, digits: Dataset) -> None:
    net, images = NETS[name](), digits.test_images[:50]
    teach(net, digits, 1, RATES[name])
    scores = net.scores(images)
    main = next(iter(evaluate(net, images, digits.test_labels[:50]).error))
    assert next(iter(scores)) == main
    assert torch.equal(net.predict(images), scores[main].argmax(1))
    for test, score in scores.items():
        assert score.shape == (50, CLASSES)
        assert torch.equal(net.predict(images, test), score.argmax(1))
    assert scores.keys() == net.passes().keys()


@pytest.mark.parametrize("name", NETS)
def test_the_slow_test_is_the_main_one_where_there_is_goodness(name: str, digits: Dataset) -> None:
    net, images = NETS[name](), digits.test_images[:5]
    tests = [*net.scores(images)]
    assert tests == [*evaluate(net, images, digits.test_labels[:5]).error]
    assert tests[0] == ("slow" if "slow" in net.passes() else "fast")


@pytest.mark.parametrize("name", NETS)
def test_a_test_that_a_net_does_not_have_is_told(name: str, digits: Dataset) -> None:
    said = refusal(lambda: NETS[name]().predict(digits.test_images[:2], "fats"), SettingError)
    only = "unknown test 'fats': choose one of: slow"
    assert said == (only if name.startswith("label-free") else "unknown test 'fats': did you mean 'fast'?")


@pytest.mark.parametrize("name", NETS)
def test_what_is_said_of_one_image_is_what_its_scores_say(name: str, digits: Dataset) -> None:
    net = NETS[name]()
    teach(net, digits, 1, RATES[name])
    image = digits.test_images[3:4]
    scores, said = net.scores(image), net.explain(image)
    assert said["label"] == {test: int(score.argmax()) for test, score in scores.items()}
    assert (said["softmax"] is None) == ("fast" not in scores)
    if "fast" in scores:
        assert said["softmax"] == pytest.approx(scores["fast"][0].softmax(0).tolist(), abs=1e-5)
    assert (said["goodness"] is None) == ("slow" not in scores)
    if "slow" in scores:
        assert said["goodness"] == pytest.approx(scores["slow"][0].tolist(), rel=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", READING)
def test_what_a_softmax_reads_is_float32_in_every_precision(name: str, precision: str, digits: Dataset) -> None:
    """In narrow numbers a softmax would lose more than the layers save."""
    net, images = NETS[name](), digits.test_images[:50]
    assert isinstance(net, SoftmaxClassifier)
    wide = net.features(images)
    net.set_precision(precision)
    features = net.features(images)
    assert features.dtype == torch.float32
    assert features.shape == (50, sum(WIDTHS[index] for index in net.read))
    torch.testing.assert_close(features, wide, rtol=0.05, atol=0.05)
    assert torch.equal(features, wide) == (precision == "fp32")
    assert torch.equal(net.fast(images), net.softmax(features))
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", READING)
def test_what_a_softmax_reads_has_no_graph(name: str, digits: Dataset) -> None:
    """A graph would keep the activities of all layers for as long as somebody keeps the features."""
    assert not NETS[name]().features(digits.test_images[:2]).requires_grad


@pytest.mark.parametrize("name", NETS)
def test_a_net_learns_in_narrow_products_nearly_what_it_learns_in_wide_ones(name: str, digits: Dataset) -> None:
    net, narrow = NETS[name](), NETS[name]()
    narrow.set_precision("bf16")
    for each in (net, narrow):
        teach(each, digits, 1, RATES[name])
    errors = [min(evaluate(each, *digits.test).error.values()) for each in (net, narrow)]
    assert errors[1] == pytest.approx(errors[0], abs=0.08)
    assert {parameter.dtype for parameter in narrow.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", READING)
def test_the_rate_of_the_softmax_keeps_its_proportion_to_that_of_the_layers(name: str, digits: Dataset) -> None:
    images, labels = digits.train_images[:20], digits.train_labels[:20]
    found = []
    for softmax_rate in (None, 0.04 * defaults.SOFTMAX_RATE / defaults.RATE, 0.0):
        net = NETS[name]()
        net.learn(images, labels, rate=0.04, softmax_rate=softmax_rate, generator=seeded())
        found.append(net.softmax.weight.clone())
    assert torch.equal(found[0], found[1])
    assert found[0].any()
    assert not found[2].any()


@pytest.mark.parametrize("name", NETS)
def test_what_a_net_measures_while_it_learns_is_from_before_the_step(name: str, digits: Dataset) -> None:
    net, (images, labels) = NETS[name](), (digits.train_images[:20], digits.train_labels[:20])
    teach(net, digits, 1, RATES[name])
    logits = net(images).detach()
    result = net.learn(images, labels, rate=0.05)
    torch.testing.assert_close(result.logits, logits, rtol=1e-4, atol=1e-4)
    assert result.difficulty.shape == (20,)
    assert bool(((result.difficulty >= 0) & (result.difficulty <= 1.1)).all())
    assert len(result.goodness) == (0 if name == "backprop" else len(WIDTHS))
    for positive, negative in result.goodness:
        assert positive.shape == negative.shape == (20,)
    assert not result.logits.requires_grad
