"""The net and its tests: what is called slow, fast and shortlist is that, and costs the passes that are reported.

Oracles: brute force over images and labels, permutations, a plain ``nn.Sequential`` for the twin.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from twofold.errors import SettingError
from twofold.layers.dense import Dense, dense
from twofold.layers.module import CustomLayer
from twofold.learning import Rule
from twofold.nets.backprop import Backprop
from twofold.nets.feedforward import FeedForward
from twofold.nets.joint import joint, standardized
from twofold.nets.net import evaluate
from twofold.nets.stack import normalized_outputs, to_features
from twofold.normalize import EPS, identity

PIXELS, CLASSES, WIDTHS, IMAGES = 12, 5, (9, 8, 7), 11


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def net_with(label_in: str = "overlay", counted_from: int = 2, rule: Rule | None = None) -> FeedForward:
    """A net in float64 whose softmax and biases are not zero."""
    inputs = PIXELS + (CLASSES if label_in == "prepend" else 0)
    layers = dense(inputs, WIDTHS, rule or Rule(), seeded())
    net = FeedForward(layers, CLASSES, label_in=label_in, label_strength=2.5, counted_from=counted_from).double()
    generator = seeded(1)
    for parameter in net.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64), alpha=0.3)
    return net


def images(count: int = IMAGES) -> Tensor:
    return torch.rand(count, 1, 3, PIXELS // 3, generator=seeded(2), dtype=torch.float64)


def by_hand(
    net: FeedForward, image: Tensor, label_pixels: list[float], passed_on_at_length_one: bool = True
) -> list[Tensor]:
    """Raw activities of every layer for one image, by the formulas alone."""

    def at_length_one(vector: Tensor) -> Tensor:
        return vector / (EPS + vector.square().mean().sqrt())

    pixels = image.flatten().tolist()
    below = torch.tensor(
        label_pixels + (pixels if net.label_in == "prepend" else pixels[CLASSES:]), dtype=torch.float64
    )
    below = at_length_one(below)
    found = []
    for layer in net.layers:
        found.append((layer.weight @ below + layer.bias).clamp(min=0))
        below = at_length_one(found[-1]) if passed_on_at_length_one else found[-1]
    return found


def stated(label: int) -> list[float]:
    return [2.5 * (label == other) for other in range(CLASSES)]


# Oracle: brute force -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label_in", ["overlay", "prepend"])
@pytest.mark.parametrize("counted_from", [1, 2, 3])
def test_the_slow_test_is_the_goodness_of_the_counted_layers_under_every_label(
    label_in: str, counted_from: int
) -> None:
    """With the first layer among them the talk's slow test would be another one, and worse."""
    net = net_with(label_in, counted_from)
    slow = net.slow(images())
    for image, scores in zip(images(), slow, strict=True):
        for label, score in enumerate(scores):
            activities = by_hand(net, image, stated(label))[counted_from - 1 :]
            torch.testing.assert_close(score, torch.cat(activities).square().sum())


@pytest.mark.parametrize("label_in", ["overlay", "prepend"])
@pytest.mark.parametrize("counted_from", [1, 2, 3])
def test_the_fast_test_reads_the_counted_layers_under_the_neutral_label(label_in: str, counted_from: int) -> None:
    net = net_with(label_in, counted_from)
    fast = net.fast(images())
    for image, logits in zip(images(), fast, strict=True):
        activities = by_hand(net, image, [2.5 / CLASSES] * CLASSES)[counted_from - 1 :]
        features = torch.cat([a / (EPS + a.square().mean().sqrt()) for a in activities])
        torch.testing.assert_close(logits, net.softmax.weight @ features)


def test_without_normalization_the_length_goes_up_and_the_softmax_still_sees_directions() -> None:
    net = net_with(rule=Rule(normalize=identity))
    activities = by_hand(net, images()[0], stated(3), passed_on_at_length_one=False)
    goodness = net.goodness(images()[:1], torch.tensor([[3]]))[0, 0]
    torch.testing.assert_close(goodness, torch.stack([a.square().sum() for a in activities]))
    seen = normalized_outputs(net.stack, net.with_label(images()[:1], torch.tensor([3])), net.read)
    features = to_features(seen)[0].split(WIDTHS[1:])
    torch.testing.assert_close(
        torch.stack([part.square().mean() for part in features]), torch.ones(2).double(), rtol=1e-3, atol=0
    )


def test_the_goodness_of_candidates_is_that_of_all_labels_at_their_places() -> None:
    net, candidates = net_with(), torch.stack([torch.randperm(CLASSES, generator=seeded(n))[:3] for n in range(IMAGES)])
    every = net.goodness(images(), net.every_label(images()))
    assert every.shape == (IMAGES, CLASSES, len(WIDTHS))
    some = net.goodness(images(), candidates)
    torch.testing.assert_close(some, every[torch.arange(IMAGES)[:, None], candidates])


def test_many_images_are_tested_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    net, many = net_with(), images()
    whole = net.fast(many), net.slow(many)
    monkeypatch.setattr(FeedForward, "at_once", 4)
    torch.testing.assert_close((net.fast(many), net.slow(many)), whole)


# The shortlist, and what tests cost ----------------------------------------------------------------------------------


def test_a_shortlist_of_all_labels_is_the_slow_test_and_of_one_the_fast_test() -> None:
    net = net_with()
    slow, fast = net.slow(images(200)).argmax(1), net.fast(images(200)).argmax(1)
    assert not torch.equal(slow, fast)
    assert torch.equal(net.shortlist(images(200), CLASSES), slow)
    assert torch.equal(net.shortlist(images(200), CLASSES + 3), slow)
    assert torch.equal(net.shortlist(images(200), 1), fast)


def test_a_shortlist_is_the_slow_test_among_the_fast_tests_best() -> None:
    net = net_with()
    slow, fast = net.slow(images(200)), net.fast(images(200))
    best = [
        max(logits.argsort(descending=True)[:2].tolist(), key=scores.__getitem__)
        for scores, logits in zip(slow, fast, strict=True)
    ]
    assert net.shortlist(images(200), 2).tolist() == best


def test_where_both_tests_have_a_say_it_is_the_same() -> None:
    net = net_with()
    slow, fast = net.slow(images(200)), net.fast(images(200)).to(net.slow(images(2)).dtype)
    each = [(one - one.mean(1, keepdim=True)) / one.std(1, keepdim=True) for one in (slow, fast)]
    torch.testing.assert_close(net.both(images(200)), each[0] + each[1])
    assert 0 < (net.both(images(200)).argmax(1) == slow.argmax(1)).double().mean() < 1
    torch.testing.assert_close(standardized(torch.full((2, 3), 7.0)), torch.zeros(2, 3))
    slow, fast = torch.tensor([[1.0, 9], [9, 1], [1, 9], [9, 1]]), torch.tensor([[3.0, 2], [2, 3], [2, 3], [3, 2]])
    assert torch.equal(joint(slow, fast).argmax(1), fast.argmax(1))  # of two classes there is no middle


@pytest.mark.parametrize("size", [1, 2, 3, CLASSES, CLASSES + 1])
def test_evaluation_names_what_the_net_names_and_counts_the_errors(size: int) -> None:
    net, labels = net_with(), torch.arange(200) % CLASSES
    tested = evaluate(net, images(200), labels, shortlist=size)
    named = {
        "slow": net.slow(images(200)).argmax(1),
        "fast": net.fast(images(200)).argmax(1),
        "shortlist": net.shortlist(images(200), size),
        "both": net.both(images(200)).argmax(1),
    }
    for test, answer in named.items():
        assert torch.equal(tested.named[test], answer)
        assert tested.error[test] == pytest.approx(sum((answer != labels).tolist()) / 200)
    layers = net.goodness(images(200), net.every_label(images(200)))
    for index, error in enumerate(tested.metrics["layer_error"]):
        assert error == pytest.approx((layers[:, :, index].argmax(1) != labels).double().mean().item())


def test_the_passes_reported_for_a_test_are_the_passes_it_makes() -> None:
    """Speed claims are made in passes: a test that quietly makes more would be sold below its price."""
    net, seen = net_with(), [0]
    net.layers[0].register_forward_pre_hook(lambda _, given: seen.__setitem__(0, seen[0] + len(given[0])))
    passes = evaluate(net, images(), torch.zeros(IMAGES, dtype=torch.int64), shortlist=3).metrics["passes_per_image"]
    tests: dict[str, Callable[[], Tensor]] = {
        "slow": lambda: net.slow(images()),
        "fast": lambda: net.fast(images()),
        "shortlist": lambda: net.shortlist(images(), 3),
        "both": lambda: net.both(images()),
    }
    assert passes.keys() == tests.keys()
    for name, run in tests.items():
        seen[0] = 0
        run()
        assert seen[0] == passes[name] * IMAGES


def multiply_adds(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops()) // 2


@pytest.mark.parametrize("label_in", ["overlay", "prepend"])
def test_a_test_under_many_labels_multiplies_with_each_picture_once(label_in: str) -> None:
    """Hand count: what a pass costs apart from that is the label's part of the first layer, and the layers above."""
    net = net_with(label_in)
    inputs, above = net.layers[0].weight.shape[1], WIDTHS[0] * WIDTHS[1] + WIDTHS[1] * WIDTHS[2]
    picture, label = inputs * WIDTHS[0], CLASSES * WIDTHS[0]
    softmax = CLASSES * sum(WIDTHS[1:])
    assert multiply_adds(lambda: net.slow(images())) == IMAGES * (picture + CLASSES * (label + above))
    assert multiply_adds(lambda: net.fast(images())) == IMAGES * (picture + label + above + softmax)
    assert multiply_adds(lambda: net.shortlist(images(), 3)) == IMAGES * (picture + 4 * (label + above) + softmax)


# Invariances and contracts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label_in", ["overlay", "prepend"])
def test_renaming_the_labels_renames_the_scores_and_changes_nothing_else(label_in: str) -> None:
    """No label may be special: not the first, as in an argmax over ties, nor the last."""
    net, renamed, order = net_with(label_in), net_with(label_in), torch.randperm(CLASSES, generator=seeded(3))
    first = renamed.layers[0]
    assert isinstance(first, Dense)
    first.weight[:, :CLASSES] = first.weight[:, order].clone()
    renamed.softmax.weight.copy_(renamed.softmax.weight[order].clone())
    torch.testing.assert_close(renamed.slow(images()), net.slow(images())[:, order])
    torch.testing.assert_close(renamed.fast(images()), net.fast(images())[:, order])


def test_permuting_the_units_of_a_layer_changes_no_score() -> None:
    net, permuted, order = net_with(), net_with(), torch.randperm(WIDTHS[1], generator=seeded(3))
    middle, above = permuted.layers[1], permuted.layers[2]
    middle.weight.copy_(middle.weight[order].clone())
    middle.bias.copy_(middle.bias[order].clone())
    above.weight.copy_(above.weight[:, order].clone())
    permuted.softmax.weight[:, : WIDTHS[1]] = permuted.softmax.weight[:, order].clone()
    torch.testing.assert_close(permuted.slow(images()), net.slow(images()))
    torch.testing.assert_close(permuted.fast(images()), net.fast(images()))


@pytest.mark.parametrize("weight", [None, [0.0, 0.5, 1.0, 5.0]])
def test_the_softmax_climbs_the_log_likelihood_and_gives_the_logits_from_before(weight: list[float] | None) -> None:
    net, labels = net_with(), torch.arange(IMAGES) % CLASSES
    counts = None if weight is None else torch.tensor(weight).repeat(IMAGES)[:IMAGES]
    features = net.features(images())
    before = net.softmax.weight.detach().clone().requires_grad_()
    losses = nn.functional.cross_entropy(features @ before.T, labels, reduction="none")
    likelihood = -(losses if counts is None else counts * losses).mean()
    (gradient,) = torch.autograd.grad(likelihood, before)
    logits = net.softmax.learn(features, labels, 0.5, counts)
    torch.testing.assert_close(logits, (features @ before.T).detach())
    decay = 0.003 * (1.0 if counts is None else counts.mean())  # that of so many images
    expected = before + 0.5 * (0.1 * gradient - decay * before)  # smoothing 0.9
    torch.testing.assert_close(net.softmax.weight.data, expected.detach())


def test_the_layers_of_a_net_are_in_its_state_dict_and_every_name_comes_back() -> None:
    net = net_with()
    layers = dense(PIXELS, WIDTHS, Rule(), seeded(9))
    other = FeedForward(layers, CLASSES, label_in="overlay", label_strength=2.5).double()
    assert set(net.state_dict()) == {f"layers.{n}.{kind}" for n in range(3) for kind in ("weight", "bias")} | {
        "softmax.weight"
    }
    other.load_state_dict(net.state_dict())
    assert torch.equal(other.slow(images()), net.slow(images()))
    assert torch.equal(other.fast(images()), net.fast(images()))


def test_a_net_may_hold_modules_of_any_kind() -> None:
    module = nn.Sequential(nn.Unflatten(1, (1, 3, 4)), nn.Conv2d(1, 2, 2), nn.ReLU(), nn.Flatten())
    net = FeedForward([CustomLayer(module, 12, Rule()), Dense(12, 6, Rule())], CLASSES, label_in="overlay")
    tested = evaluate(net, images().float(), torch.zeros(IMAGES, dtype=torch.int64))
    assert tested.goodness is not None
    assert tested.goodness.shape == (IMAGES, CLASSES, 2)
    assert not tested.goodness.requires_grad


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: FeedForward([], CLASSES), "at least one layer"),
        (lambda: Backprop(PIXELS, (), CLASSES), "widths is empty"),
        (lambda: FeedForward(dense(4, (3,), Rule()), 2, label_in="overlayed"), "did you mean 'overlay'"),
    ],
)
def test_a_net_that_cannot_be_is_refused_in_one_line(make: Callable[[], object], words: str) -> None:
    with pytest.raises(SettingError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)
