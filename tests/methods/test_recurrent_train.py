"""Recurrent nets in use: the tests of a net, its training, run folders, the command line, and what is refused.

Oracles: a slow loop over labels and iterations, counted passes, bitwise equality with an undisturbed run, thresholds on
tasks that are learned in seconds.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import twofold
from support.helpers import first, refusal
from support.runs import CtrlC
from twofold.data import Dataset
from twofold.errors import DataError, Diverged, SettingError, TwofoldError
from twofold.goodness import GOODNESS
from twofold.layers.inputs import CachedInput
from twofold.learning import Rule
from twofold.methods import RecurrentRecipe, build
from twofold.methods.method import Batch
from twofold.nets.recurrent import Recurrent
from twofold.normalize import normalize
from twofold.objectives import OBJECTIVES
from twofold.training import train as training
from twofold.training.trainer import Trainer

RULE = Rule(GOODNESS["minus_sum_of_squares"], OBJECTIVES["swish_symba"], 5.0, smoothing=0.0, decay=0.0, peer=0.0)
PIXELS, CLASSES = 25, 4

RECIPE = RecurrentRecipe(
    **{"data": "tiny", "widths": (14, 12), "epochs": 4, "batch": 8, "jitter": 0, "validation": 0, "seed": 0},
    **{"rate": 0.02, "smoothing": 0.9, "decay": 0.001, "peer": 0.03, "floor": 0.0, "tolerance": 0.0, "revisit": 1.0},
    **{"negatives": "hard", "label_strength": 5.0, "goodness": "minus_sum_of_squares", "objective": "swish_symba"},
    **{"temperature": 5.0, "softmax_rate": 0.1, "softmax_decay": 0.003, "damping": 0.3, "iterations": 5},
    **{"learn_from": 2, "judge_from": 2, "judge_to": 4, "neutral_every": 3, "window": 3},
    **{"top_down": True, "top_down_start": 1.0, "lateral": True, "label_to": "top"},
    **{"mirror": False, "center": False, "field_sizes": (), "strides": (), "margins": ()},
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def a_net(rule: Rule = RULE, **options: Any) -> Recurrent:
    """In double, with weights of the softmaxes and biases that are not zero."""
    options = {"damping": 0.3, "iterations": 6, "judged": (2, 4), "label_strength": 5.0, "lateral": True, **options}
    net = Recurrent(PIXELS, (7, 6), CLASSES, rule, generator=seeded(), **options).double()
    for name, parameter in net.named_parameters():
        if "softmax" in name or "bias" in name:
            parameter.add_(0.5 * torch.rand(parameter.shape, generator=seeded(), dtype=torch.float64) - 0.1)
    return net


def pictures(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 1, 5, 5, generator=seeded(seed), dtype=torch.float64)


def states_by_hand(net: Recurrent, image: Tensor, top: Tensor, iterations: int) -> list[list[tuple[Tensor, Tensor]]]:
    """Of one image, after the bottom-up pass and after each iteration: each layer's new activity and its state."""
    weights, below = [dict(layer.weights.items()) for layer in net.stack], normalize(image.flatten()[None])[0]
    found, seen = [list[tuple[Tensor, Tensor]]()], below
    for layer, weight in zip(net.stack, weights, strict=True):
        activity = (weight["below"] @ seen + layer.bias).clamp(min=0)
        found[0].append((activity, activity))
        seen = normalize(activity[None])[0]
    for _ in range(iterations):
        known = [below, *(normalize(state[None])[0] for _, state in found[-1]), top]
        found.append([])
        for index, (layer, weight) in enumerate(zip(net.stack, weights, strict=True)):
            total = weight["below"] @ known[index] + weight["above"] @ known[index + 2] + layer.bias
            activity = (total + weight["beside"] @ known[index + 1]).clamp(min=0)
            found[-1].append((activity, net.damping * found[-2][index][1] + (1 - net.damping) * activity))
    return found


def read_by(weight: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    return weight @ torch.cat([normalize(state[None])[0] for _, state in layers])


# The tests of a net --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [2, 500])
def test_the_slow_test_is_the_goodness_under_every_label_averaged_over_the_judged_iterations(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many images settle at once."""
    monkeypatch.setattr(Recurrent, "at_once", rows)
    net, images = a_net(), pictures(5)
    expected = torch.zeros(5, CLASSES, 2, dtype=torch.float64)
    for number, image in enumerate(images):
        for label in range(CLASSES):
            top = 5.0 * torch.eye(CLASSES, dtype=torch.float64)[label]
            for layers in states_by_hand(net, image, top, 4)[2:]:
                expected[number, label] -= torch.stack([active.square().sum() for active, _ in layers]) / 3
    torch.testing.assert_close(net.goodness(images, net.every_label(images)), expected)
    torch.testing.assert_close(net.slow(images), expected.sum(2))
    assert len(net.slow(images).argmax(1).unique()) > 1


def test_the_fast_test_reads_the_bottom_up_pass_and_the_settled_one_what_it_is_after_all_iterations() -> None:
    net, images = a_net(), pictures(5)
    neutral = torch.full((CLASSES,), 5.0 / CLASSES, dtype=torch.float64)
    states = [states_by_hand(net, image, neutral, 6) for image in images]
    fast = torch.stack([read_by(net.softmax.weight, each[0]) for each in states])
    settled = torch.stack([read_by(net.settled_softmax.weight, each[6]) for each in states])
    torch.testing.assert_close(net.readings(images), {"fast": fast, "settled": settled})
    tested = twofold.evaluate(net, images, torch.zeros(5, dtype=torch.int64))
    assert tested.named["fast"].tolist() == fast.argmax(1).tolist()
    assert tested.named["settled"].tolist() == settled.argmax(1).tolist()


@settings(max_examples=20)
@given(order=st.permutations(range(CLASSES)), size=st.integers(1, CLASSES))
def test_in_another_order_candidate_labels_have_the_same_goodness(order: list[int], size: int) -> None:
    net, images = a_net(), pictures(3)
    asked = torch.stack([torch.tensor(order).roll(shift)[:size] for shift in range(3)])
    found = net.goodness(images, net.every_label(images))
    torch.testing.assert_close(net.goodness(images, asked), found[torch.arange(3)[:, None], asked])


def test_the_passes_of_a_test_are_those_that_it_makes() -> None:
    """They are printed as the price of each test."""
    net, images, passes = a_net(), pictures(2), list[int]()
    lowest = net.stack[0]
    respond = lowest.respond
    lowest.respond = lambda *seen: (passes.append(1), respond(*seen))[1]  # type: ignore[method-assign]
    stated = net.passes(3)
    assert stated == {"slow": 1 + 4 * 4, "fast": 1, "settled": 1 + 6, "shortlist": 1 + 3 * 4, "both": 1 + 4 * 4}
    assert net.passes(9)["shortlist"] == stated["slow"]
    for name, test in {"slow": net.slow, "fast": net.fast, "settled": net.settled}.items():
        passes.clear()
        test(images)
        assert len(passes) == stated[name]


CHANGES: dict[str, Callable[[Recurrent], object]] = {
    "learn": lambda net: net.learn_video(
        repeat(net.images(pictures(2)), 2),
        net.top(torch.arange(4)),
        (*(s.repeat(2) for s in net.start(frame_of(net))),),
        1,
    ),
    "load": lambda net: net.load_state_dict(a_net(lateral=True).requires_grad_(False).state_dict()),
    "edit": lambda net: net.stack[0].weights["below"][0].add_(1.0),
    "edit a bias": lambda net: net.stack[1].bias.add_(1.0),
    "move": lambda net: (net.double(), net.stack[0].weights["below"].mul_(1.5), net.float()),
}


def frame_of(net: Recurrent) -> CachedInput:
    return net.images(pictures(2).to(net.stack[0].bias.dtype))


@pytest.mark.parametrize("kind", [None, torch.bfloat16])
@pytest.mark.parametrize("change", CHANGES)
def test_nothing_that_is_computed_once_for_all_iterations_is_ever_stale(change: str, kind: torch.dtype | None) -> None:
    """The narrow weights, and the total input from what stays the same."""
    net = a_net().float()
    net.stack[0].weights["above"].mul_(2)
    fresh = a_net().float()
    for layer in (*net.stack, *fresh.stack):
        layer.compute = kind
    frame, top = frame_of(net), net.top(torch.tensor([1, 3]))
    *_, before = net.look(frame, top)
    CHANGES[change](net)
    *_, found = net.look(frame, top)
    fresh.load_state_dict(net.state_dict())
    *_, expected = fresh.look(CachedInput(frame.rows), CachedInput(top.rows))
    assert all(torch.equal(one.state, other.state) for one, other in zip(found, expected, strict=True))
    assert not torch.equal(found[1].state, before[1].state)


# What is refused -----------------------------------------------------------------------------------------------------


def video_of(*shapes: tuple[int, ...], first: int = 1) -> Callable[[], object]:
    net = a_net()
    start = tuple(each.repeat(2) for each in net.start(net.images(pictures(2))))
    frames = (normalize(torch.ones(shape, dtype=torch.float64)) for shape in shapes)
    return lambda: net.learn_video(frames, net.top(torch.arange(4)), start, 0.1, first=first)


def built(widths: tuple[int, ...] = (5, 4), **options: Any) -> Callable[[], object]:
    return lambda: Recurrent(PIXELS, widths, CLASSES, RULE, **options)


def asked(**options: Any) -> Callable[[], object]:
    return lambda: replace(RECIPE, **options)


REFUSED: dict[str, tuple[Callable[[], object], type[TwofoldError], str]] = {
    "frames with more pixels": (video_of((4, 25), (4, 26)), DataError, "frame 2 of the video: the shape is (4, 26)"),
    "frames with more cases": (video_of((4, 25), (8, 25)), DataError, "frame 2 of the video: the shape is (8, 25)"),
    "frames with fewer cases": (video_of((4, 25), (3, 25)), DataError, "frame 2 of the video: the shape is (3, 25)"),
    "frames with half the cases": (video_of((4, 25), (2, 25)), DataError, "frame 2 of the video: the shape is (2, 25)"),
    "frames without cases": (video_of((4, 25), (0, 25)), DataError, "frame 2 of the video: the shape is (0, 25)"),
    "frames as pictures": (video_of((4, 5, 5)), DataError, "frame 1 of the video: the shape is (4, 5, 5)"),
    "an empty video": (video_of(), DataError, "has 0 frames, expected at least 1"),
    "a short video": (video_of((4, 25), (4, 25), first=3), DataError, "has 2 frames, expected at least 3"),
    "images of another size": (lambda: a_net().fast(torch.rand(2, 1, 4, 4)), DataError, "16 numbers"),
    "labels beyond the top": (lambda: a_net().top(torch.tensor([0, 4])), DataError, "expected 0 to 3"),
    "labels below zero": (lambda: a_net().top(torch.tensor([-1, 2])), DataError, "expected 0 to 3"),
    "candidates": (lambda: a_net().goodness(pictures(1), torch.tensor([[4]])), DataError, "expected 0 to 3"),
    "no layers": (built(()), SettingError, "widths is empty"),
    "damping of 1": (built(damping=1.0), SettingError, "damping is 1.0"),
    "damping below 0": (built(damping=-0.1), SettingError, "damping is -0.1"),
    "damping that is no number": (built(damping=float("nan")), SettingError, "damping is nan"),
    "no iterations": (built(iterations=0), SettingError, "iterations is 0"),
    "judged out of order": (built(judged=(5, 3)), SettingError, "(5, 3)"),
    "judged before the first": (built(judged=(0, 3)), SettingError, "(0, 3)"),
    "a recipe without layers": (asked(widths=()), SettingError, "--widths"),
    "a recipe that keeps all": (asked(damping=1.0), SettingError, "--damping is 1.0"),
    "a recipe that keeps no number": (asked(damping=float("nan")), SettingError, "--damping is nan"),
    "a recipe that does not look": (asked(iterations=0, learn_from=0), SettingError, "--iterations is 0"),
    "a recipe that does not learn": (asked(learn_from=6), SettingError, "--learn-from is 6"),
    "a recipe judged out of order": (asked(judge_from=5, judge_to=3), SettingError, "--judge-to is 3"),
    "a recipe judged before the first": (asked(judge_from=0), SettingError, "--judge-from is 0"),
    "a recipe without a window": (asked(window=0), SettingError, "--window is 0"),
    "a recipe that never settles": (asked(neutral_every=0), SettingError, "--neutral-every is 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(case: str) -> None:
    action, kind, words = REFUSED[case]
    assert words in refusal(action, kind)


def test_a_video_that_was_refused_leaves_nothing_behind() -> None:
    """Half of a gradient would go into the next batch."""
    net, frames = a_net(), [normalize(pictures(4, seed).flatten(1)) for seed in range(3)]
    other, start = copy.deepcopy(net), net.start(frames[0])
    with pytest.raises(DataError):
        net.learn_video([frames[1], frames[0][:3]], net.top(torch.arange(4)), start, 0.1, window=1)
    for each in (net, other):
        each.learn_video([frames[2]], each.top(torch.arange(4)), start, 0.1, window=1)
    torch.testing.assert_close(net.state_dict(), other.state_dict(), rtol=0, atol=0)


# Training ------------------------------------------------------------------------------------------------------------


def settling(recipe: RecurrentRecipe, data: Dataset) -> Trainer:
    return Trainer(build(recipe, data.form), recipe, data.train)


@pytest.mark.parametrize("batches", [0, 1, 3])
def test_a_step_is_a_bottom_up_pass_and_one_lesson_under_right_and_wrong_labels(tiny: Dataset, batches: int) -> None:
    """Written out: the softmax learns from the pass, wrong labels are drawn from it, now and then all settles."""
    method: Any = settling(replace(RECIPE, negatives="random"), tiny).method
    net, (images, labels, cases, weight) = copy.deepcopy(method.net), first(tiny, 8)
    method.batches_seen, weight = batches, weight.index_fill(0, torch.tensor([1]), 0.5)
    wrong = (labels + torch.randint(1, 4, (8,), generator=seeded(RECIPE.seed + 1))) % 4
    difficulty = method.step(Batch(images, labels, cases, weight), progress=0.75).difficulty

    frame = net.images(images)
    start = net.start(frame)
    logits = net.softmax.learn(net.read_state(start), labels, 0.05, weight)
    if batches in (0, 3):
        *_, settled = net.look(frame, net.neutral_top(8))
        net.settled_softmax.learn(net.read_state(settled), labels, 0.05, weight)
    both = tuple(layer.repeat(2) for layer in start)
    top = net.top(torch.cat([labels, wrong]))
    lesson = net.learn_video([frame] * 5, top, both, 0.01, weight, first=2, window=3)
    assert all(torch.equal(tensor, net.state_dict()[name]) for name, tensor in method.net.state_dict().items())
    assert bool(net.settled_softmax.weight.any()) == (batches in (0, 3))
    assert torch.equal(method.logits[cases], logits)
    assert torch.equal(difficulty, lesson.difficulty)
    assert (method.rate, method.mistaken[cases].tolist()) == (0.01, (logits.argmax(1) != labels).tolist())


@pytest.mark.slow
def test_what_is_learned_under_a_tolerance_is_on_average_what_is_learned_without() -> None:
    """Over iterations as over cases: a weak moment that was simply left out would end in other weights."""
    frame = CachedInput(normalize(pictures(3).flatten(1)))
    labels, found = torch.tensor([0, 1, 2, 3, 0, 1]), []
    for tolerance, batches in ((0.0, 1), (0.8, 1000)):
        net = a_net(replace(RULE, objective=OBJECTIVES["logistic"], tolerance=tolerance))
        start, top = tuple(each.repeat(2) for each in net.start(frame)), net.top(labels)
        velocities = [buffer for name, buffer in net.named_buffers() if "velocity" in name and "softmax" not in name]
        total = [torch.zeros_like(velocity) for velocity in velocities]
        for _ in range(batches):
            net.learn_video([frame] * 4, top, start, 0.0)
            total = [sum_ + velocity / batches for sum_, velocity in zip(total, velocities, strict=True)]
        found.append(total)
    scale = max(tensor.abs().max().item() for tensor in found[0])
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0.01 * scale)


def silenced(recipe: RecurrentRecipe, data: Dataset) -> Trainer:
    trainer = settling(recipe, data)
    for layer in trainer.method.net.stack:
        layer.bias.fill_(-1.0)
        for weight in layer.weights.values():
            weight.zero_()
    return trainer


def test_a_net_that_has_fallen_silent_is_told(tiny: Dataset) -> None:
    """Where low activity is wanted silence is an end from which nothing leads back, and looks like a running job."""
    trainer = silenced(replace(RECIPE, epochs=13, iterations=2, judge_from=1, judge_to=2), tiny)
    told = refusal(lambda: next(trainer.epochs()), Diverged)
    assert told.startswith("the net is dead after 5 batches: no unit of any layer was active in a whole epoch")
    assert "raise --floor" in told
    assert not trainer.history


@pytest.mark.parametrize(("floor", "revived"), [(0.3, True), (0.0, False)])
def test_a_floor_wakes_a_silent_net_and_nothing_else_does(tiny: Dataset, floor: float, revived: bool) -> None:
    trainer = silenced(replace(RECIPE, floor=floor, peer=0.5, rate=0.3, epochs=20), tiny)
    for epoch in range(20):
        trainer.epoch(epoch)
    net: Any = trainer.method.net
    *_, state = net.look(net.images(tiny.train_images), net.top(tiny.train_labels))
    assert [bool(each.active.any()) for each in state] == [revived] * 2


def test_numbers_that_are_not_finite_are_told(tiny: Dataset) -> None:
    trainer = settling(replace(RECIPE, rate=1e30, decay=0.0, goodness="sum_of_squares"), tiny)
    told = refusal(lambda: trainer.epoch(0), Diverged)
    assert "goodness is no longer finite after 5 batches" in told


@pytest.mark.slow
@pytest.mark.parametrize("goodness", ["minus_sum_of_squares", "sum_of_squares"])
def test_digits_are_learned_by_low_and_by_high_activity(digits: Dataset, goodness: str) -> None:
    settings = {"widths": (100, 100), "batch": 40, "rate": 0.06, "temperature": 20.0, "decay": 0.002, "epochs": 8}
    more = {"learn_from": 1, "iterations": 8, "judge_from": 3, "judge_to": 5, "window": 8, "lateral": False}
    recipe = replace(RECIPE, **settings, **more, goodness=goodness, neutral_every=10, floor=0.1)
    net = build(recipe, digits.form)
    trainer = Trainer(net, recipe, digits.train)
    for epoch in range(8):
        trainer.epoch(epoch)
    error = twofold.evaluate(net, *digits.test).error
    assert error["slow"] < 0.07
    assert error["fast"] < 0.12
    assert error["shortlist"] < 0.08


# Run folders and the command line ------------------------------------------------------------------------------------


def train(folder: Path, data: Dataset, recipe: RecurrentRecipe = RECIPE, **options: Any) -> bytes:
    training.train(recipe, folder, data, device="cpu", precision="fp32", **options)
    return (folder / "weights.safetensors").read_bytes()


@pytest.mark.usefixtures("progress_at_every_batch")
@pytest.mark.parametrize(
    "options",
    [pytest.param({}, marks=pytest.mark.slow), {"tolerance": 0.3, "revisit": 0.2, "floor": 0.1, "jitter": 1}],
)
def test_an_interrupted_training_of_a_recurrent_net_ends_bitwise_as_one_that_was_not(
    tiny: Dataset, tmp_path: Path, options: dict[str, Any]
) -> None:
    recipe = replace(RECIPE, **options)
    whole = train(tmp_path / "whole", tiny, recipe)
    for moment in (1, 2.5):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / str(moment), tiny, recipe, progress=CtrlC(moment))
        assert train(tmp_path / str(moment), tiny, recipe, resume=True) == whole
    assert train(tmp_path / "again", tiny, recipe) == whole, "the same seed, the same net"
    assert train(tmp_path / "other", tiny, replace(recipe, seed=1)) != whole
