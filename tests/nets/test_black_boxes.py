"""Black boxes between layers, and what backpropagation makes of them.

Oracles: boxes written out and differentiated by autograd, in float64; Jacobians applied by hand; nets cut off above a
block; the mean over many draws. A baseline with a wrong derivative would make Forward-Forward look good.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from support.helpers import refusal
from support.small_layers import seeded
from twofold.errors import SettingError
from twofold.layers.boxes import BOXES, Box, boxes_behind, boxes_for
from twofold.nets import crossings
from twofold.nets.backprop import Backprop
from twofold.nets.crossings import GRADIENTS
from twofold.nets.feedforward import FeedForward
from twofold.normalize import normalize

PIXELS, CLASSES, UNITS, CASES = 12, 3, 7, 9
WIDTHS = (UNITS,) * 5


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=seeded(seed), dtype=torch.float64)


IMAGES, LABELS = rand(CASES, PIXELS), torch.arange(CASES) % CLASSES


def net_of(gradient: str, box: str = "saturating", widths: tuple[int, ...] = WIDTHS) -> Backprop:
    way = {"readout": "block"} if gradient == "local" else {"gradient": gradient}
    net = Backprop(PIXELS, widths, CLASSES, seeded(), boxes=boxes_for(box, widths, 0), **way).double()  # type: ignore[arg-type]
    for number, softmax in enumerate([net.stack[-1], *net.softmaxes]):
        softmax.weight.data = rand(*softmax.weight.shape, seed=number + 1) - 0.5
    return net


def weights(net: Backprop) -> list[Tensor]:
    return [layer.weight.detach().clone() for layer in net.stack]


def gradients(net: Backprop, images: Tensor = IMAGES, labels: Tensor = LABELS) -> list[Tensor]:
    """The step of each layer at a rate of 1, without momentum or decay: the negative gradient of the mean loss."""
    from twofold.learning import Rule

    before = weights(net)
    net.learn(images, labels, rate=1.0, rule=Rule(smoothing=0.0, decay=0.0), generator=seeded())
    return [old - new for old, new in zip(before, weights(net), strict=True)]


def by_hand(net: Backprop, jacobian: Callable[[Box, Tensor], Tensor]) -> list[Tensor]:
    """The gradients of the weights, block after block from the top, with J at each box, ``(cases, units, units)``."""
    activity, starts, sent, ends = normalize(IMAGES), [], [], []
    parameters: list[list[Tensor]] = [[]]
    for number, layer in enumerate(net.stack, 1):
        weight = layer.weight.detach().requires_grad_()
        parameters[-1].append(weight)
        total = activity @ weight.T + layer.bias
        activity = total.relu()
        if str(number) in net.crossings:
            ends.append(normalize(activity))
            sent.append(ends[-1].detach())
            answer = net.crossings[str(number)].box(sent[-1]).detach().requires_grad_()
            starts.append(answer)
            activity = normalize(answer)
            parameters.append([])
    found: list[Tensor] = []
    upward = cross_entropy(total, LABELS)
    for block in reversed(range(len(parameters))):
        below = [starts[block - 1]] if block else []
        given = torch.autograd.grad(upward, [*parameters[block], *below], allow_unused=True)
        found = [*given[: len(parameters[block])], *found]
        if block:
            box = net.crossings[str(2 * block)].box
            coming = torch.einsum("cu,cuv->cv", given[-1], jacobian(box, sent[block - 1]))
            upward = (coming * ends[block - 1]).sum()
    return found


def of_the_box(box: Box, sent: Tensor) -> Tensor:
    """The derivative of the box by autograd; of the expectation where it draws; a usual substitute where it is 0."""
    smooth = {
        "RandomReLU": torch.relu,
        "Saturating": lambda z: torch.tanh(8 * z),
        "Sampled": torch.sigmoid,
        "OneBit": lambda z: z.clamp(-1, 1) / 2,
    }[type(box).__name__]
    whole = torch.autograd.functional.jacobian(lambda x: smooth(x @ box.matrix.T).sum(0), sent)
    return whole.transpose(0, 1)  # a row of the answer depends on that row alone


def identity(box: Box, sent: Tensor) -> Tensor:
    return torch.eye(UNITS, dtype=sent.dtype).expand(len(sent), -1, -1)


@pytest.mark.parametrize("box", [name for name in BOXES if name != "sampled"])
@pytest.mark.parametrize(
    ("gradient", "jacobian"), [("known", of_the_box), ("chip_in_the_loop", of_the_box), ("straight_through", identity)]
)
def test_layers_learn_what_the_derivative_of_the_box_gives_by_hand(
    gradient: str, jacobian: Callable[[Box, Tensor], Tensor], box: str
) -> None:
    net = net_of(gradient, box)
    wanted = by_hand(net, jacobian)
    torch.testing.assert_close(gradients(net), wanted)
    assert all(each.abs().sum() > 0 for each in wanted)


def test_the_slope_of_a_drawn_answer_is_that_of_its_expectation() -> None:
    box = BOXES["sampled"](UNITS).double()
    total = (rand(4, UNITS) - 0.5).requires_grad_()
    mean = torch.stack([box.response(total.detach()) for _ in range(4000)]).mean(0)
    torch.testing.assert_close(mean, total.detach().sigmoid(), atol=0.04, rtol=0)
    wanted = torch.autograd.grad(total.sigmoid().sum(), total)[0]
    torch.testing.assert_close(box.slope(total.detach()), wanted)


def test_the_model_of_a_chip_stays_as_it_was_while_the_oracle_follows_the_drift() -> None:
    before = {name: net_of(name) for name in ("known", "chip_in_the_loop")}
    matrices = [crossing.box.matrix.clone() for crossing in before["known"].crossings.values()]
    for net in before.values():
        for crossing in net.crossings.values():
            crossing.box.drift(0.5)
    for number, matrix in zip((2, 4), matrices, strict=True):
        chip, oracle = (before[name].crossings[str(number)] for name in ("chip_in_the_loop", "known"))
        assert torch.equal(chip.matrix(), matrix)
        assert torch.equal(oracle.matrix(), oracle.box.matrix)
        assert not torch.equal(oracle.matrix(), matrix)


def test_feedback_goes_through_one_random_matrix_that_is_not_the_boxs() -> None:
    net = net_of("feedback_alignment")
    feedback = {id(crossing.box): crossing.feedback for crossing in net.crossings.values()}
    wanted = by_hand(net, lambda box, sent: feedback[id(box)].T.expand(len(sent), -1, -1))
    torch.testing.assert_close(gradients(net), wanted)
    assert all(
        not torch.equal(matrix, crossing.box.matrix)
        for matrix, crossing in zip(feedback.values(), net.crossings.values(), strict=True)
    )


def test_direct_feedback_teaches_what_goes_into_a_box_the_error_at_the_top() -> None:
    net = net_of("direct_feedback_alignment")
    logits = net(IMAGES).detach()
    wrong = (logits.softmax(1) - torch.eye(CLASSES, dtype=logits.dtype)[LABELS]) / CASES
    below = [layer.weight.detach().requires_grad_() for layer in net.stack[:2]]
    activity = normalize(IMAGES)
    for weight in below:
        activity = (activity @ weight.T).relu()
    wanted = torch.autograd.grad((normalize(activity) * (wrong @ net.crossings["2"].feedback)).sum(), below)
    torch.testing.assert_close(gradients(net)[:2], list(wanted))


def test_where_the_gradient_stops_layers_below_the_last_box_stay_as_they_were_drawn() -> None:
    net = net_of("stop")
    before = weights(net)
    for _ in range(3):
        net.learn(IMAGES, LABELS, rate=0.1)
    same = [torch.equal(old, new) for old, new in zip(before, weights(net), strict=True)]
    assert same == [True] * 4 + [False] * 2
    assert all(not layer.bias.any() for layer in net.stack[:4])


def test_a_block_with_its_own_softmax_learns_the_same_whatever_is_above_it() -> None:
    """Bitwise: else something would come down through the box."""
    nets = [net_of("local", "one_bit", (UNITS,) * count) for count in (3, 5)]
    nets[0].softmaxes[0].load_state_dict(nets[1].softmaxes[0].state_dict())
    first = weights(nets[0])
    for net in nets:
        for _ in range(3):
            net.learn(IMAGES, LABELS, rate=0.1)
    small, large = (weights(net) for net in nets)
    assert all(torch.equal(small[layer], large[layer]) for layer in (0, 1))
    assert not torch.equal(small[0], first[0])
    assert [*nets[1].scores(IMAGES)] == [*nets[1].passes()] == ["fast", "mean"]
    every = [logits.softmax(1) for logits in nets[1]._pass(IMAGES)[0]]
    torch.testing.assert_close(nets[1].scores(IMAGES)["mean"].exp(), torch.stack(every).mean(0))


def test_simultaneous_perturbation_gives_the_gradient_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    """One image in many rows, each with signs of its own: their mean is the expectation. A nudge that is small enough
    crosses no kink."""
    monkeypatch.setattr(crossings, "NUDGE", 1e-4)
    rows = 20_000
    images, labels = IMAGES[:1].expand(rows, -1), LABELS[:1].expand(rows)
    found, wanted = (
        torch.cat([each.flatten() for each in gradients(net_of(name, "random_relu"), images, labels)[:4]])
        for name in ("spsa", "known")
    )
    assert float(found @ wanted / found.norm() / wanted.norm()) > 0.97
    assert 0.9 < float(found.norm() / wanted.norm()) < 1.1


@pytest.mark.parametrize("kind", ["random_relu", "one_bit"])
def test_a_surrogate_comes_to_have_the_derivative_of_the_box(kind: str) -> None:
    """Of those that stand for the box as it is at one place; it sees what the layers below happen to send."""
    net = net_of("surrogate", kind)
    crossing = net.crossings["2"]

    def likeness() -> float:
        sent = net._pass(IMAGES)[1][0].sent.detach()
        with torch.no_grad():
            own = torch.stack([crossing.assumed(torch.eye(UNITS).double(), row.expand(UNITS, -1)).T for row in sent])
        moved = sent - sent.mean(0)
        found, wanted = (torch.einsum("cuv,cv->cu", each, moved) for each in (own, of_the_box(crossing.box, sent)))
        return float((found * wanted).sum() / found.norm() / wanted.norm())

    before = likeness()
    for number in range(100):
        net.learn(rand(50, PIXELS, seed=number), torch.arange(50) % CLASSES, rate=0.01)
    assert likeness() > max(0.5, before + 0.3)


@pytest.mark.parametrize("box", BOXES)
def test_a_net_without_boxes_is_the_twin_and_a_box_is_asked_once_for_each_row(box: str) -> None:
    twin, plain = Backprop(PIXELS, WIDTHS, CLASSES, seeded()).double(), net_of("stop", "none")
    twin.load_state_dict(plain.state_dict())
    for net in (twin, plain):
        net.learn(IMAGES, LABELS, rate=0.1)
    assert all(torch.equal(one.weight, other.weight) for one, other in zip(twin.stack, plain.stack, strict=True))
    for gradient in (*GRADIENTS, "local"):
        net = net_of(gradient, box)
        net.learn(IMAGES, LABELS, rate=0.1, generator=seeded())
        read = [crossing.box.rows_read for crossing in net.crossings.values()]
        assert read == [CASES * (3 if gradient == "spsa" else 1)] * 2, gradient


@pytest.mark.parametrize("kind", BOXES)
def test_a_box_drifts_without_growing_and_forgets_at_the_rate_that_is_said(kind: str) -> None:
    box = BOXES[kind](200, seed=3)
    first = box.matrix.clone()
    for _ in range(20):
        box.drift(0.2)
    assert box.matrix.var().item() * 200 == pytest.approx(1, abs=0.03)
    correlation = (first * box.matrix).mean() * 200
    assert correlation.item() == pytest.approx((1 - 0.2**2) ** 10, abs=0.03)


@pytest.mark.parametrize("kind", BOXES)
def test_the_state_of_a_box_is_in_its_buffers(kind: str) -> None:
    box, other = BOXES[kind](20, seed=3), BOXES[kind](20, seed=4)
    assert not torch.equal(box.matrix, other.matrix)
    rows = torch.randn(5, 20, generator=seeded())
    box.drift(0.1)
    box(rows)
    other.load_state_dict(box.state_dict())
    for each in (box, other):
        each.drift(0.1)
    assert torch.equal(box(rows), other(rows))
    still = BOXES[kind](20, seed=3)
    drawn = int(still.draws)
    still.drift(0.0)
    assert int(still.draws) == drawn
    assert torch.equal(still.matrix, BOXES[kind](20, seed=3).matrix)


def test_a_box_answers_as_its_name_says() -> None:
    rows = normalize(torch.randn(50, 100, generator=seeded()))
    answers = {name: BOXES[name](100)(rows) for name in BOXES}
    total = rows @ BOXES["one_bit"](100).matrix.T
    assert torch.equal(answers["random_relu"], total.relu())
    assert torch.equal(answers["one_bit"], (total > 0).float())
    assert set(answers["sampled"].unique().tolist()) == {0.0, 1.0}
    assert (answers["saturating"].abs() > 0.5).float().mean() > 0.9


@pytest.mark.parametrize(("count", "wanted"), [(2, []), (3, [2]), (4, [2]), (5, [2, 4]), (6, [2, 4]), (7, [2, 4, 6])])
def test_a_box_stands_behind_each_pair_of_layers_but_the_last(count: int, wanted: list[int]) -> None:
    assert [*boxes_behind("one_bit", (UNITS,) * count)] == [*boxes_for("one_bit", (UNITS,) * count, 0)] == wanted
    assert not boxes_behind("none", (UNITS,) * count)


def test_boxes_of_a_net_are_all_different_and_the_same_for_the_same_seed() -> None:
    found = [box.matrix for seed in (0, 1) for box in boxes_for("one_bit", WIDTHS, seed).values()]
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(found, 2))
    assert torch.equal(found[0], boxes_for("random_relu", WIDTHS, 0)[2].matrix)


def test_what_does_not_fit_is_told_in_one_line() -> None:
    box = BOXES["one_bit"](5)
    assert "amount is 1.5" in refusal(lambda: box.drift(1.5), SettingError)
    said = refusal(lambda: net_of("straight"), SettingError)
    assert said == "unknown gradient 'straight': did you mean 'straight_through'?"
    for number in (2, 6):
        said = refusal(
            lambda number=number: Backprop(PIXELS, WIDTHS, CLASSES, boxes={number: box}),
            SettingError,
        )
        assert said.startswith(f"boxes: got a box of 5 units after layer {number}, expected")


def test_forward_forward_asks_a_box_without_a_graph_and_once_for_both_passes() -> None:
    from twofold.layers.black_box import BlackBox
    from twofold.layers.dense import dense

    asked: list[int] = []

    class Watched(Box):
        def response(self, total: Tensor) -> Tensor:
            assert not torch.is_grad_enabled()
            assert not total.requires_grad
            asked.append(len(total))
            return total.relu()

        def slope(self, total: Tensor) -> Tensor:
            raise AssertionError("nobody may ask")

    below, above, top = dense(PIXELS + CLASSES, (UNITS,) * 3, generator=seeded())
    net = FeedForward([below, above, BlackBox(Watched(UNITS)), top], CLASSES)
    asked.clear()
    images = IMAGES.float()
    with torch.enable_grad():
        net.learn(images, LABELS, rate=0.1, generator=seeded())
    assert asked == [CASES, 2 * CASES]  # the neutral label, and then positive and negative data together
