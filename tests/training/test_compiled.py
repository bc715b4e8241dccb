"""Compiled judgment and update: the same numbers as the readable functions, whatever a training goes through.

Oracle: the functions of ``learning.py``. Were the compiled ones to differ, a net would depend on how it was computed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

from helpers import SHORTCUTS
from twofold import learning
from twofold.data import Dataset
from twofold.goodness import GOODNESS
from twofold.layers.layer import Dense, Layer, LocalModule
from twofold.learning import Rule
from twofold.nets.backprop import Backprop
from twofold.nets.feedforward import Softmax
from twofold.objectives import OBJECTIVES
from twofold.recipes import BackpropRecipe, FeedForwardRecipe, Recipe
from twofold.training import compiled as fused
from twofold.training.run import build, method_for, set_precision

CPU = torch.device("cpu")
KINDS = [torch.float32, torch.bfloat16]

needs_a_compiler = pytest.mark.skipif(not fused.available(CPU), reason="torch.compile needs a C++ compiler, as g++")
torchs_own = pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:DeprecationWarning")
"""What torch warns of while it compiles is not ours to mend."""


@pytest.fixture
def compiled() -> Iterator[None]:
    """The test compiles anew and finds that something was compiled: readable functions equal themselves, always."""
    torch._dynamo.reset()
    before = counters["stats"]["unique_graphs"]
    yield
    assert counters["stats"]["unique_graphs"] > before
    torch._dynamo.reset()


def compiling(test: Callable[..., None]) -> Callable[..., None]:
    """Marks of a test that compiles."""
    for mark in (pytest.mark.slow, pytest.mark.usefixtures("compiled"), torchs_own, needs_a_compiler):
        test = mark(test)
    return test


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# The judgment --------------------------------------------------------------------------------------------------------


def judged(judge: learning.Judge, kind: torch.dtype, batch: int, units: int, weighted: bool, rule: Rule) -> Any:
    """What is made of three batches, and the running means after them."""
    mean, batches, found = torch.full((units,), 0.5), torch.tensor(3), []
    for seed in range(3):
        activity = torch.randn(2 * batch, units, generator=seeded(seed)).relu().to(kind)
        weight = 5 * torch.rand(batch, generator=seeded(seed + 9)) if weighted else None
        found.append(judge(activity, mean, batches, weight, float(units), rule))
    return found, mean, batches


def assert_judged_the_same(kind: torch.dtype, batch: int, units: int, weighted: bool, rule: Rule) -> None:
    eager, fast = (judged(judge, kind, batch, units, weighted, rule) for judge in (learning.judge, fused.judge))
    for one, other in zip(eager[0], fast[0], strict=True):
        assert [part.dtype for part in one] == [part.dtype for part in other]
        close: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5} if kind == torch.float32 else {"rtol": 0.01, "atol": 1e-4}
        torch.testing.assert_close([part.float() for part in other], [part.float() for part in one], **close)
    torch.testing.assert_close(fast[1:], eager[1:], rtol=1e-5, atol=1e-6)


@compiling
@pytest.mark.parametrize(("kind", "weighted"), [*itertools.product(KINDS, [True]), (torch.float32, False)])
def test_the_compiled_judgment_is_the_readable_one(kind: torch.dtype, weighted: bool) -> None:
    """For any batch, width and setting, also where they change in a process, as at an epoch's last batch."""
    rule = Rule(objective=OBJECTIVES["swish_symba"], temperature=5.0, tolerance=0.3)
    for batch, units in ((8, 40), (9, 40), (8, 30), (100, 200)):
        assert_judged_the_same(kind, batch, units, weighted, rule)
    for temperature in (5.0, 6.5, 50.0):
        assert_judged_the_same(kind, 8, 40, weighted, replace(rule, temperature=temperature, peer=0.2))


@compiling
def test_rules_that_differ_are_not_taken_for_each_other() -> None:
    """Torch compiles a function for so many kinds of arguments and no more: what then is to be right all the same."""
    with torch._dynamo.config.patch(recompile_limit=2):
        for goodness, objective, tolerance in (
            ("sum_of_squares", "logistic", 0.0),
            ("mean_of_squares", "symba", 0.3),
            ("sum_of_activities", "swish_symba", 0.3),
            ("sum_of_squares", "logistic", 0.3),
        ):
            rule = Rule(GOODNESS[goodness], OBJECTIVES[objective], temperature=2.0, tolerance=tolerance)
            assert_judged_the_same(torch.float32, 8, 20, True, rule)


# The update ----------------------------------------------------------------------------------------------------------


def stepped(update: learning.Update, shape: tuple[int, ...], kind: torch.dtype, narrow: str, turned: bool) -> Any:
    """Weights, velocities and narrow copy after some steps at rates that change."""
    rule = Rule(smoothing=0.8, decay=0.05)
    weight, velocity = (torch.randn(shape, generator=seeded(seed)) for seed in range(2))
    copy = {"none": None, "itself": weight, "copy": weight.to(torch.bfloat16)}[narrow]
    for step, rate in enumerate((0.1, 0.1, 0.07, 0.0)):
        gradient = torch.randn(shape, generator=seeded(step + 2)).to(kind)
        update(weight, velocity, gradient.mT.contiguous().mT if turned else gradient, rate, rule, copy)
    return [weight, velocity, *([] if copy is None else [copy])]


def assert_stepped_the_same(*case: Any) -> None:
    eager, fast = (stepped(update, *case) for update in (learning.smooth_and_step, fused.smooth_and_step))
    assert [part.dtype for part in eager] == [part.dtype for part in fast]
    torch.testing.assert_close(fast[:2], eager[:2], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(fast[2:], eager[2:], rtol=0.01, atol=1e-3)  # a last digit of bf16


@compiling
@pytest.mark.parametrize("narrow", ["none", "itself", "copy"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_compiled_update_is_the_readable_one(kind: torch.dtype, narrow: str) -> None:
    """For weights of all shapes, for biases, which do not decay, and at every rate: one frozen would never fall."""
    for shape in ((30, 40), (7, 9), (100, 30), (4, 3, 2, 2), (13,)):
        assert_stepped_the_same(shape, kind, narrow, False)


@compiling
def test_a_gradient_may_lie_in_memory_as_it_likes() -> None:
    """A module's own autograd decides that, not the layer."""
    assert_stepped_the_same((7, 9), torch.float32, "none", True)
    assert_stepped_the_same((4, 3, 2, 5), torch.float32, "none", True)


@compiling
def test_new_rates_and_shapes_compile_nothing_anew() -> None:
    """A compilation takes seconds, and the rate falls at every batch."""
    assert_stepped_the_same((30, 40), torch.float32, "itself", False)
    before = counters["stats"]["unique_graphs"]
    for rows in (31, 50, 77):
        assert_stepped_the_same((rows, 3), torch.float32, "itself", False)
    rule, weight = Rule(), torch.randn(30, 40)
    for step in range(20):
        fused.smooth_and_step(weight, torch.zeros(30, 40), torch.ones(30, 40), 0.1 - step / 200, rule, None)
    assert counters["stats"]["unique_graphs"] == before


# In a net ------------------------------------------------------------------------------------------------------------


def test_every_part_that_learns_is_fused(recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe) -> None:
    net, twin = build(recipe, (1, 5, 5), 4), build(twin_recipe, (1, 5, 5), 4)
    learning_parts = [
        part for part in (*net.modules(), *twin.modules()) if isinstance(part, Layer | Softmax | Backprop)
    ]
    assert len(learning_parts) == 3 + 1 + 1
    for each in (net, twin):
        fused.fuse(each)
    for part in learning_parts:
        assert part.update is fused.smooth_and_step
        assert not isinstance(part, Layer) or part.judge is fused.judge


def trained(recipe: Recipe, data: Dataset, precision: str, fuse: bool) -> tuple[nn.Module, dict[str, Tensor]]:
    net = build(recipe, data.shape, data.classes)
    set_precision(net, precision)
    if fuse:
        fused.fuse(net)
    method = method_for(net, recipe, CPU, len(data.train_labels))
    for epoch in range(recipe.epochs):
        method.epoch(data.train_images, data.train_labels, epoch, lambda _: None)
    return net, {name: tensor.clone() for name, tensor in method.tensors().items()}


@compiling
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["forward-forward", "twin"])
def test_a_fused_net_learns_what_another_one_learns(
    tiny: Dataset, recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe, kind: str, precision: str
) -> None:
    """Random negatives, so that a last digit cannot draw another label; the last batch of an epoch is a smaller one."""
    easy = {"tolerance": SHORTCUTS["tolerance"], "revisit": 1.0, "epochs": 2, "batch": 12}
    asked = (
        replace(recipe, **easy, negatives="random", objective="symba")
        if kind != "twin"
        else replace(twin_recipe, **easy)
    )
    untrained = build(asked, tiny.shape, tiny.classes).state_dict()
    (_, eager), (_, fast) = (trained(asked, tiny, precision, fuse) for fuse in (False, True))
    assert eager.keys() == fast.keys()
    for name, first in untrained.items():
        moved = (eager[name] - first).norm()
        assert (fast[name] - eager[name]).norm() <= (1e-3 if precision == "fp32" else 0.1) * moved


CHANGES: dict[str, Callable[[Dense], object]] = {
    "learn": lambda layer: layer.learn(
        torch.randn(5, 6, generator=seeded(1)), torch.randn(5, 6, generator=seeded(2)), 1.0
    ),
    "edit": lambda layer: layer.weight[0].add_(1.0),
    "load": lambda layer: layer.load_state_dict(Dense(6, 5, Rule(), seeded(7)).state_dict()),
}


@compiling
def test_the_narrow_copy_of_a_fused_layer_is_never_stale() -> None:
    layer, rows = Dense(6, 5, Rule(), seeded()), torch.randn(4, 6, generator=seeded(2))
    layer.compute = torch.bfloat16
    fused.fuse(layer)
    for change in ("learn", "edit", "learn", "load", "learn"):
        before = layer(rows)
        CHANGES[change](layer)
        fresh = Dense(6, 5, Rule())
        fresh.load_state_dict(layer.state_dict())
        fresh.compute = torch.bfloat16
        assert torch.equal(layer(rows), fresh(rows))
        assert not torch.equal(layer(rows), before)


@compiling
def test_a_module_of_any_kind_is_fused_too() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    layers = [
        LocalModule(module, 64, Rule(temperature=5.0))
        for module in (module, nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()))
    ]
    layers[1].load_state_dict(layers[0].state_dict())
    fused.fuse(layers[1])
    for step in range(3):
        positive, negative = torch.rand(2, 5, 1, 6, 6, generator=seeded(step)).unbind()
        for layer in layers:
            layer.learn(positive, negative, 0.1)
    torch.testing.assert_close(layers[1].state_dict(), layers[0].state_dict(), rtol=1e-4, atol=1e-5)


def test_where_there_is_no_compiler_none_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without one must train all the same."""
    net = Dense(1000, 1000, Rule())
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not fused.available(CPU)
    assert not fused.pays(net, 1e9, CPU)
    monkeypatch.setattr(fused, "available", lambda device: True)
    assert fused.pays(net, 1e9, CPU)
    assert not fused.pays(net, 1e3, CPU), "ten seconds of compiling for a second of training"
