"""The recurrent net: its closed form is the gradient of the written-out loss, and all layers change at the same time.

Oracles: autograd in float64 of the formulas, which are written out once more here; exact zeros where nothing can have
arrived yet; a profiler's record of memory; invariances by hypothesis. What is refused is refused in one line.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from twofold.goodness import GOODNESS
from twofold.layers.connectivity import Masked
from twofold.layers.inputs import CachedInput
from twofold.layers.recurrent import RecurrentLayer, recurrent_step
from twofold.learning import Rule, momentum_step
from twofold.nets.recurrent import Recurrent
from twofold.nets.video import State, VideoResult
from twofold.normalize import normalize
from twofold.objectives import OBJECTIVES
from twofold_lab.benchmarks.peak_memory import peak

CASES, INPUTS, WIDTHS, CLASSES, STRENGTH, RATE = 3, 40, (6, 5), 4, 2.0, 0.3
BOTH = [*((goodness, objective) for goodness in GOODNESS if "squares" in goodness for objective in OBJECTIVES)]
RULE = Rule(GOODNESS["minus_sum_of_squares"], OBJECTIVES["swish_symba"], 3.0, smoothing=0.7, decay=0.05, peer=0.2)
PLAIN = replace(RULE, smoothing=0.0, decay=0.0, peer=0.0)
RIGHT, WRONG = torch.tensor([0, 1, 2]), torch.tensor([3, 2, 0])
LABELS = torch.cat([RIGHT, WRONG])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=seeded(seed), dtype=torch.float64)


def a_net(rule: Rule = RULE, widths: tuple[int, ...] = WIDTHS, inputs: int = INPUTS, **options: Any) -> Recurrent:
    """In double, with biases that are not zero."""
    options = {"damping": 0.3, "iterations": 6, "judged": (2, 4), "label_strength": STRENGTH, **options}
    net = Recurrent(inputs, widths, CLASSES, rule, generator=seeded(), **options).double()
    for number, layer in enumerate(net.stack):
        layer.bias += 0.4 * (rand(layer.units, seed=number) - 0.3)
    return net


VIDEOS: dict[str, Callable[[int, int], list[Tensor | CachedInput]]] = {
    "a still image that both share": lambda inputs, count: [CachedInput(normalize(rand(CASES, inputs)))] * count,
    "frames that both share": lambda inputs, count: [
        CachedInput(normalize(rand(CASES, inputs, seed=number))) for number in range(count)
    ],
    "frames that all differ": lambda inputs, count: [
        normalize(rand(2 * CASES, inputs, seed=number)) for number in range(count)
    ],
    "frames that last for two iterations": lambda inputs, count: [
        frame for frame in VIDEOS["frames that all differ"](inputs, (count + 1) // 2) for _ in range(2)
    ][:count],
}


def started(net: Recurrent, frame: Tensor | CachedInput) -> State:
    """The state after the bottom-up pass, of positive and negative cases."""
    return tuple(each.repeat(2 * CASES // len(each.state)) for each in net.start(frame))


def learn(net: Recurrent, video: list[Tensor | CachedInput], **options: Any) -> VideoResult:
    return net.learn_video(iter(video), net.top(LABELS), started(net, video[0]), RATE, **options)


class WrittenOut:
    """The net once more, from the formulas alone: by autograd, one layer and iteration at a time."""

    def __init__(self, net: Recurrent) -> None:
        self.rule, self.damping = net.stack[0].rule, net.damping
        self.layers = [
            {**{name: weight.detach().clone() for name, weight in layer.weights.items()}, "bias": layer.bias.clone()}
            for layer in net.stack
        ]
        self.velocities = [{name: torch.zeros_like(each) for name, each in layer.items()} for layer in self.layers]
        self.means = [torch.full_like(layer["bias"], 0.5) for layer in self.layers]

    def active(self, index: int, frame: Tensor, top: Tensor | None, states: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Total input and activity of a layer; without a label it sees what is below alone."""
        layer, seen = self.layers[index], [frame, *(normalize(state) for state in states)]
        total = seen[index] @ layer["below"].T + layer["bias"]
        if top is not None and "beside" in layer:
            total = total + seen[index + 1] @ layer["beside"].T
        if top is not None and "above" in layer:
            total = total + [*seen, top][index + 2] @ layer["above"].T
        return total, total.relu()

    def start(self, frame: Tensor) -> list[Tensor]:
        states: list[Tensor] = []
        for index in range(len(self.layers)):
            states.append(self.active(index, frame, None, states)[1].detach())
        return states

    def step(
        self, frame: Tensor, top: Tensor, states: list[Tensor]
    ) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
        """Total inputs and activities of all layers, and their next states, which autograd does not look through."""
        found = [self.active(index, frame, top, states) for index in range(len(self.layers))]
        mixed = [self.damping * old + (1 - self.damping) * new for old, (_, new) in zip(states, found, strict=True)]
        return found, [state.detach() for state in mixed]

    def learn(self, frames: list[Tensor], labels: Tensor, weight: Tensor, first: int = 1) -> tuple[Any, Tensor, Any]:
        rule, top, states = self.rule, STRENGTH * torch.eye(CLASSES, dtype=torch.float64)[labels], self.start(frames[0])
        for layer in self.layers:
            for parameter in layer.values():
                parameter.requires_grad_()
        moments = []
        for number, frame in enumerate(frames, 1):
            found, states = self.step(frame, top, states)
            if number >= first:
                moments.append(found)
        goodness, needs = [], []
        for index, layer in enumerate(self.layers):
            total, active = (torch.stack([moment[index][part] for moment in moments]) for part in (0, 1))
            value = torch.stack([rule.goodness.value(each) for each in active])
            excess = (value - rule.goodness.threshold(active.shape[2])).chunk(2, dim=1)
            mean = (active[:, :CASES] * weight[:, None]).mean((0, 1)).detach() / weight.mean()
            self.means[index] += 0.1 * weight.mean() * (mean - self.means[index])
            pull = rule.peer * (max(float(self.means[index].mean()), rule.floor) - self.means[index])
            losses = rule.objective.loss(*excess, rule.temperature)
            signals = torch.autograd.grad(losses.sum(), excess, retain_graph=True)
            goodness.append(value.detach().mean(0).chunk(2))
            needs.append(torch.stack(signals).abs().amax(0).mean(0))
            wanted = weight * ((pull * total[:, :CASES]).sum(2) - 0.5 * losses)
            names = list(layer)
            for name, gradient in zip(names, torch.autograd.grad(wanted.mean(), list(layer.values())), strict=True):
                velocity = rule.smoothing * self.velocities[index][name] + (1 - rule.smoothing) * gradient
                old, decay = layer[name].detach(), rule.decay * weight.mean() * (gradient.dim() > 1)
                self.velocities[index][name], layer[name] = velocity, old + RATE * (velocity - decay * old)
        return goodness, torch.stack(needs).amax(0), states


def to_tensor(frame: Tensor | CachedInput) -> Tensor:
    return frame.rows.repeat(2, 1) if isinstance(frame, CachedInput) else frame


def assert_the_same_weights(net: Recurrent, oracle: WrittenOut) -> None:
    for layer, expected, mean in zip(net.stack, oracle.layers, oracle.means, strict=True):
        found = {**dict(layer.weights.items()), "bias": layer.bias}
        torch.testing.assert_close({name: each.data for name, each in found.items()}, expected, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(layer.mean_activity, mean, rtol=1e-9, atol=1e-11)


# Oracle: autograd ----------------------------------------------------------------------------------------------------


def assert_the_closed_form(
    net: Recurrent, video: list[Tensor | CachedInput], weight: Tensor | None, first: int
) -> None:
    """Several updates, so that smoothing, decay and running means are in it; and what was noticed on the way."""
    oracle, before = WrittenOut(net), copy.deepcopy(net.state_dict())
    for _ in range(3):
        lesson = learn(net, video, case_weight=weight, first=first, window=len(video))
        counts = torch.ones(CASES, dtype=torch.float64) if weight is None else weight
        goodness, need, states = oracle.learn([to_tensor(frame) for frame in video], LABELS, counts, first)
        assert_the_same_weights(net, oracle)
        torch.testing.assert_close(lesson.goodness, goodness)
        torch.testing.assert_close(lesson.difficulty, need)
        torch.testing.assert_close([each.state for each in lesson.state], states)
    assert all(not torch.equal(each, before[name]) for name, each in net.state_dict().items() if "layers" in name)


@pytest.mark.parametrize("lateral", [False, True])
@pytest.mark.parametrize(("goodness", "objective"), BOTH)
def test_the_closed_form_climbs_the_written_out_objective_and_is_greedy_in_time(
    goodness: str, objective: str, lateral: bool
) -> None:
    """Were a derivative to cross a layer or an iteration, it would be backpropagation through time."""
    rule = replace(RULE, goodness=GOODNESS[goodness], objective=OBJECTIVES[objective])
    assert_the_closed_form(
        a_net(rule, lateral=lateral), VIDEOS["a still image that both share"](INPUTS, 5), None, first=1
    )


@pytest.mark.parametrize(("inputs", "count"), [(INPUTS, 6), (4, 1), (4, 5)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("video", VIDEOS)
def test_what_is_learned_from_a_video_is_the_same_however_its_frames_are_given(
    video: str, weighted: bool, inputs: int, count: int
) -> None:
    """Rows that several moments share are added up before the product, or not, as it is less work."""
    weight = torch.tensor([0.3, 1.0, 0.6], dtype=torch.float64) if weighted else None
    assert_the_closed_form(a_net(inputs=inputs), VIDEOS[video](inputs, count), weight, first=1)


@pytest.mark.parametrize("floor", [0.0, 2.0])
@pytest.mark.parametrize("first", [1, 3, 6])
def test_frames_before_the_first_are_watched_and_teach_nothing(first: int, floor: float) -> None:
    net = a_net(replace(RULE, floor=floor), lateral=True)
    assert_the_closed_form(net, VIDEOS["frames that all differ"](INPUTS, 6), None, first)


BUSY = {
    "none": ([0, 0, 0], [0, 0, 0]),
    "one": ([0, 0, 0], [0, 1, 0]),
    "as many as images": ([1, 0, 0], [1, 1, 0]),
    "most": ([1, 1, 0], [1, 1, 1]),
}
"""Which of the positive and of the negative cases have a signal."""


@pytest.mark.parametrize("count", [6, 1])
@pytest.mark.parametrize("busy", BUSY)
@pytest.mark.parametrize("video", VIDEOS)
def test_cases_without_a_signal_are_left_out_of_the_product_and_of_nothing_else(
    video: str, busy: str, count: int
) -> None:
    """That is where a tolerance saves time; a signal that is next to nothing keeps all in, and says the same."""

    def learned(least: float) -> Recurrent:
        def signal(good: Tensor, bad: Tensor, _: float) -> tuple[Tensor, Tensor]:
            more, less = (torch.tensor(part, dtype=good.dtype).repeat(len(good) // CASES) for part in BUSY[busy])
            return more.clamp(min=least), less.clamp(min=least)

        net = a_net(replace(RULE, objective=replace(OBJECTIVES["logistic"], signal=signal)))
        learn(net, VIDEOS[video](INPUTS, count))
        return net

    torch.testing.assert_close(learned(0.0).state_dict(), learned(1e-30).state_dict(), rtol=1e-9, atol=1e-12)


# A window of iterations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("video", VIDEOS)
@pytest.mark.parametrize("window", [3, 1])
def test_how_many_iterations_are_one_product_changes_nothing(video: str, window: int) -> None:
    nets = [a_net(replace(RULE, peer=0.0), lateral=True) for _ in range(2)]
    found = []
    for net, size in zip(nets, (8, window), strict=True):
        for _ in range(2):
            weight = torch.tensor([0.3, 1.0, 0.6], dtype=torch.float64)
            lesson = learn(net, VIDEOS[video](INPUTS, 8), window=size, case_weight=weight)
        velocities = {name: buffer for name, buffer in net.named_buffers() if "velocity" in name}
        found.append([lesson.goodness, lesson.difficulty, dict(net.state_dict()), velocities])
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-12)


def test_there_is_one_update_a_batch_and_it_is_of_the_weights_that_all_iterations_saw(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, updates = a_net(), list[int]()
    monkeypatch.setattr(
        "twofold.layers.weights.momentum_step",
        lambda weight, *rest: (updates.append(id(weight)), momentum_step(weight, *rest))[1],  # type: ignore[func-returns-value]
    )
    learn(net, VIDEOS["frames that all differ"](INPUTS, 7), window=2)
    parameters = [id(each) for layer in net.stack for each in layer.parameters()]
    assert sorted(updates) == sorted(parameters)


def film(count: int, rows: int, inputs: int) -> Iterator[Tensor]:
    for number in range(count):
        yield torch.rand(rows, inputs, generator=seeded(number))


@pytest.mark.slow
def test_the_memory_of_learning_does_not_grow_with_the_length_of_the_video() -> None:
    """Talk 25:51: learning on line, from a video that need not be stored."""
    net = Recurrent(50, (40, 30), CLASSES, PLAIN, generator=seeded())
    labels = torch.arange(200) % CLASSES

    def work(frames: int) -> Callable[[], object]:
        state = net.start(torch.rand(200, 50, generator=seeded()))
        return lambda: net.learn_video(film(frames, 200, 50), net.top(labels), state, 0.01, window=8)

    work(8)()  # what is made once
    held = [peak(work(frames), list(net.parameters()), torch.device("cpu")) for frames in (8, 16, 64)]
    assert held[0] > 4 * 8 * 200 * (40 + 30), "a window is held, or nothing was measured"
    assert held[2] <= 1.05 * held[0]
    assert held[2] <= 1.005 * held[1], "a second window adds its part of the gradient, a third one nothing"


def test_a_video_is_looked_at_frame_by_frame_and_no_frame_is_kept_beyond_the_window() -> None:
    net, events, alive = a_net(widths=(6,)), list[str](), list[weakref.ref[Tensor]]()

    def frames() -> Iterator[Tensor]:
        for frame in film(20, 2 * CASES, INPUTS):
            assert sum(reference() is not None for reference in alive) <= 4 + 1
            events.append("frame")
            alive.append(weakref.ref(frame))
            yield frame

    state = net.start(rand(2 * CASES, INPUTS))
    respond = net.stack[0].respond
    net.stack[0].respond = lambda *seen: (events.append("settle"), respond(*seen))[1]  # type: ignore[method-assign]
    net.learn_video(frames(), net.top(LABELS), state, RATE, window=4)
    assert events == ["frame", "settle"] * 20


# How layers settle ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damping", [0.0, 0.3, 0.9])
def test_a_state_keeps_a_share_of_itself_and_the_goodness_is_of_the_new_activity(damping: float) -> None:
    total, before = rand(4, 5) - 0.5, rand(4, 5, seed=1)
    found = recurrent_step(total, before, damping, PLAIN)
    active = torch.where(total > 0, total, 0.0)
    expected = damping * before + (1 - damping) * active
    torch.testing.assert_close(found.state, expected)
    torch.testing.assert_close(found.output, expected / (1e-5 + expected.square().mean(1, keepdim=True).sqrt()))
    torch.testing.assert_close(found.active, active)
    torch.testing.assert_close(found.goodness, -active.square().sum(1))
    assert torch.equal(recurrent_step(total, before, 0.0, PLAIN).state, active), "nothing of the old state is left"


@pytest.mark.parametrize("damping", [0.0, 0.9])
def test_at_the_first_look_the_new_activity_is_the_state(damping: float) -> None:
    found = recurrent_step(rand(4, 5) - 0.5, None, damping, PLAIN)
    assert torch.equal(found.state, found.active)
    assert found.active.any()


@pytest.mark.parametrize("damping", [0.0, 0.3])
@pytest.mark.parametrize("lateral", [False, True])
def test_the_label_comes_down_one_layer_an_iteration_and_not_a_bit_of_it_earlier(lateral: bool, damping: float) -> None:
    """All layers change at the same time. Layer after layer would be another algorithm, and a faster one."""
    net = a_net(widths=(8, 7, 6, 5), lateral=lateral, damping=damping)
    frame = net.images(rand(CASES, INPUTS))
    pairs = zip(net.look(frame, net.top(RIGHT), 6), net.look(frame, net.top(WRONG), 6), strict=True)
    for iteration, (right, wrong) in enumerate(pairs, 1):
        differs = [not torch.equal(one.state, other.state) for one, other in zip(right, wrong, strict=True)]
        assert differs == [4 - index <= iteration for index in range(4)]


def test_without_top_down_weights_the_layers_below_the_top_know_nothing_of_the_label() -> None:
    net = a_net(widths=(8, 7, 6), top_down=False, lateral=True)
    assert [set(layer.weights) for layer in net.stack] == [{"below", "beside"}] * 2 + [{"below", "beside", "above"}]
    for _ in range(3):
        lesson = learn(net, VIDEOS["a still image that both share"](INPUTS, 6))
    for state, (positive, negative) in zip(lesson.state[:2], lesson.goodness[:2], strict=True):
        torch.testing.assert_close(state.state[:CASES], state.state[CASES:])  # a product may round each row its own way
        torch.testing.assert_close(positive, negative)
    assert not torch.allclose(lesson.state[2].state[:CASES], lesson.state[2].state[CASES:])


# Weights -------------------------------------------------------------------------------------------------------------


def test_the_first_weights_are_as_large_as_all_that_a_unit_sees_asks_for() -> None:
    layer = RecurrentLayer({"below": 300, "above": 60, "beside": 40}, 500, RULE, seeded())
    for weight in layer.weights.values():
        assert weight.std().item() == pytest.approx(1 / 20, rel=0.02)
    assert layer.bias.count_nonzero() == 0


def test_top_down_weights_start_as_large_as_asked_for_and_all_others_as_they_would() -> None:
    """The label above the top layer is no layer: it stays as strong as it is."""
    plain, small = (
        a_net(widths=(8, 7, 6), lateral=True, label_to="all", **start) for start in ({}, {"top_down_start": 0.25})
    )
    expected = {
        name: 0.25 * each if name.endswith(("0.weights.above", "1.weights.above")) else each
        for name, each in plain.state_dict().items()
    }
    torch.testing.assert_close(small.state_dict(), expected, rtol=0, atol=0)


def test_top_down_input_can_be_learned_from_nothing_where_the_label_is_at_the_top_alone() -> None:
    """Its first gradient is that of how the layer above differs between the two cases; so the label gets down."""
    net = a_net(replace(PLAIN, temperature=0.1), widths=(8, 7, 6), top_down_start=0.0)
    assert not any(layer.weights["above"].any() for layer in net.stack[:-1])
    for _ in range(3):
        lesson = learn(net, VIDEOS["a still image that both share"](INPUTS, 6))
    for layer, state in zip(net.stack, lesson.state, strict=True):
        assert layer.weights["above"].any()
        assert not torch.allclose(state.state[:CASES], state.state[CASES:])


def test_units_see_their_fields_alone_before_and_after_learning() -> None:
    fields = torch.zeros(400, 300, dtype=torch.bool)
    fields[:200, :39] = fields[200:, 20:215] = True
    seen = [{"below": Masked(fields)}]
    net = Recurrent(300, (400, 61), CLASSES, RULE, connectivity=seen, label_strength=STRENGTH, generator=seeded())
    first = {name: weight.clone() for name, weight in net.stack[0].weights.items()}
    for rows, columns, seen in ((slice(0, 200), slice(0, 39), 39 + 61), (slice(200, 400), slice(20, 215), 195 + 61)):
        assert first["below"][rows, columns].std().item() == pytest.approx(seen**-0.5, rel=0.03)
        assert first["above"][rows].std().item() == pytest.approx(seen**-0.5, rel=0.03)
    assert not first["below"][~fields].any()
    for _ in range(3):
        video = [normalize(torch.rand(2 * CASES, 300, generator=seeded(number))) for number in range(3)]
        learn(net, [*video])
    assert not net.stack[0].weights["below"][~fields].any()
    assert (net.stack[0].weights["below"] != first["below"])[fields].float().mean() > 0.9
