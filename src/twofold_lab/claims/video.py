"""Claim (talk 19:31): a still image can be treated as a dull video by a recurrent net that is greedy in time: it learns
from every frame, and no derivative goes through time.

First, the error of such a net on held-out images is measured (smoke: digits, 2 x 100; full: MNIST, 2 x 1000, ten
epochs, eight for the twin, the last 10,000 training images held out).

Then the cost of greediness is measured: small nets (full: 2 x 200, 10,000 images, four epochs; smoke: 2 x 50, two
epochs; two seeds) learn with the greedy rule and with the derivative of the same objective,

    ½ · mean over pairs and iterations of Σ over layers of loss(goodness⁺ - θ, goodness⁻ - θ),

carried through all iterations by autograd, from the bottom-up pass on. It crosses layers as well, since a layer's state
is its neighbors' input an iteration later. Everything else is the same: initial weights, order of the images,
negatives, peer normalization, rate and updates, products in float32. Reported for both are the slow error, the seconds
of the training, and the memory that a batch needs for learning: what autograd keeps of all iterations, and what the
greedy rule keeps of one (it can learn from one at a time; the recipe's ``window`` takes several together, which is
faster). For a trained net, the cosine between the two gradients of a layer's weights is reported, for the loss of each
iteration alone.

Rule: the slow error of the greedy net is at most 4 % (smoke: 8 %).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import repeat
from statistics import fmean
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from twofold.data import Dataset
from twofold.layers.inputs import CachedInput
from twofold.layers.recurrent import LayerState, RecurrentLayer, SourceInput, TimeStep, recurrent_step
from twofold.learning import Rule, count_of, peer_gradient
from twofold.methods import RecurrentRecipe, RecurrentTraining
from twofold.nets.net import evaluate
from twofold.nets.recurrent import Recurrent
from twofold.nets.video import State, VideoResult
from twofold.training.trainer import Trainer
from twofold_lab.lab import Finding, Lab, error, errors, mean_and_std, percent

SEEDS = [0, 1]


def video(lab: Lab) -> Finding:
    """Measure the claim ``video``."""
    recipe, twin_recipe = lab.short_settling()
    run, twin = lab.train(recipe, "settling"), lab.train(twin_recipe, "settling-twin")
    limit = lab.pick(smoke=8.0, full=4.0)
    small, part = settings(lab)
    trained = {
        name: [taught(lab, kind, replace(small, seed=seed), part) for seed in SEEDS]
        for name, kind in (("greedy", Recurrent), ("through time", ThroughTime))
    }
    net = trained["greedy"][0][0]
    return Finding(
        holds=error(run) <= limit,
        rule=f"with no derivative through time the slow error is at most {limit:g} %",
        talk="a still image as a dull video, greedy in time",
        measured={
            **errors(run),
            "seconds": round(run.result.seconds, 1),
            **{f"small net, {name}": _describe(each, part, small) for name, each in trained.items()},
            "memory of a batch (MB) by iterations": {
                str(count): {
                    "greedy": round(memory(net, part, small, count, through_time=False) / 1e6, 3),
                    "through time": round(memory(net, part, small, count, through_time=True) / 1e6, 3),
                }
                for count in (small.iterations, 4 * small.iterations)
            },
            "cosine of the gradients by layer and iteration": [
                [round(value, 3) for value in row] for row in cosines(net, part, small).tolist()
            ],
        },
        twin=errors(twin),
        seeds=[recipe.seed],
    )


def settings(lab: Lab) -> tuple[RecurrentRecipe, Dataset]:
    """Return the recipe of the small nets, which see all images in every epoch, and their data."""
    recipe, _ = lab.short_settling()
    units, count, epochs = lab.pick(smoke=(50, 800, 2), full=(200, 10_000, 4))
    temperature = recipe.temperature * units / recipe.widths[0]
    small = replace(recipe, widths=(units, units), temperature=temperature, epochs=epochs, tolerance=0.0, revisit=1.0)
    held = lab.data(recipe.data).hold_out(recipe.validation)
    return small, replace(held, train_images=held.train_images[:count], train_labels=held.train_labels[:count])


def taught(lab: Lab, kind: type[Recurrent], recipe: RecurrentRecipe, part: Dataset) -> tuple[Recurrent, float]:
    """Return a trained small net, and the seconds that its training took."""
    plain = RecurrentTraining.build(recipe, part.form)
    net = kind(part.pixels, recipe.widths, part.classes, plain.stack[0].rule, **_options(recipe))
    net.load_state_dict(plain.state_dict())
    name = f"video-{kind.__name__.lower()}"
    exact, before = replace(lab, precision="fp32"), lab.seconds()
    net = exact.train_net(
        net, name, part, {"name": name, **recipe.fields()}, lambda net: Trainer(net, recipe, part.train).run()
    )
    return net, lab.seconds() - before


def _options(recipe: RecurrentRecipe) -> dict[str, Any]:
    names = ("damping", "iterations", "label_strength", "top_down", "lateral", "softmax_decay")
    return {"judged": (recipe.judge_from, recipe.judge_to), **{name: getattr(recipe, name) for name in names}}


# ---- the derivative through time -----------------------------------------------------------------------------------


class Unrolled(NamedTuple):
    """The course of a net through a video, with the graph that autograd needs.

    Attributes:
        losses: ½ · mean over pairs of Σ over layers of the loss, ``(iterations,)``.
        steps: each step, by iteration and layer.
        state: the state after the last frame.
    """

    losses: Tensor
    steps: list[list[TimeStep]]
    state: State


def unroll(net: Recurrent, video: Iterable[SourceInput], top: CachedInput, *, through_time: bool) -> Unrolled:
    """Run a net through a video with weights that require gradients.

    Args:
        net: the net; its layers' parameters must require gradients.
        video: the frames in order; the first one starts the layers, bottom-up.
        top: labels of all cases, ``(2 batch, classes)``, positive ones first.
        through_time: whether states carry derivatives to the next iteration. If not, the derivatives of the losses are
            those of the greedy rule.
    """
    cases = len(top.rows)
    frames = [_rows(frame).repeat(cases // len(_rows(frame)), 1) for frame in video]
    state: list[LayerState] = []
    for layer in net.stack:
        state.append(_respond(layer, {"below": state[-1].output if state else frames[0]}, None, net.damping))
    losses, steps = [], []
    for frame in frames:
        if not through_time:
            state = [LayerState(*(part.detach() for part in settled)) for settled in state]
        seen = net.sources(frame, top, tuple(state))
        state = [
            _respond(layer, sources, before.state, net.damping)
            for layer, sources, before in zip(net.stack, seen, state, strict=True)
        ]
        losses.append(torch.stack([_loss(layer, one) for layer, one in zip(net.stack, state, strict=True)]).sum())
        steps.append([TimeStep(sources, one.active, one.goodness) for sources, one in zip(seen, state, strict=True)])
    return Unrolled(torch.stack(losses), steps, tuple(state))


def _respond(
    layer: RecurrentLayer, sources: dict[str, SourceInput], before: Tensor | None, damping: float
) -> LayerState:
    """Respond as ``layer.respond`` does, but without the products that it keeps between calls, which have no graph."""
    total: Tensor = layer.bias
    for name, source in sources.items():
        total = layer.connectivity[name].matmul(layer.weights[name], _rows(source), total)
    return recurrent_step(total, before, damping, layer.rule)


def _loss(layer: RecurrentLayer, settled: LayerState) -> Tensor:
    """Return ½ · mean over pairs of loss(g⁺ - θ, g⁻ - θ); the ½ is that in the slope of goodness."""
    positive, negative = (settled.goodness - layer.threshold).chunk(2)
    return 0.5 * layer.rule.objective.loss(positive, negative, layer.temperature).mean()


def _rows(source: SourceInput) -> Tensor:
    return source.rows if isinstance(source, CachedInput) else source


class ThroughTime(Recurrent):
    """A recurrent net that learns with the derivative through all iterations, and so through all layers."""

    def __init__(self, inputs: int, widths: tuple[int, ...], classes: int, rule: Rule, **options: Any) -> None:
        super().__init__(inputs, widths, classes, rule, **options)
        self.layers.requires_grad_()

    @torch.no_grad()
    def learn_video(
        self,
        video: Iterable[SourceInput],
        top: CachedInput,
        state: State,
        rate: float,
        case_weight: Tensor | None = None,
        *,
        first: int = 1,
        window: int = 8,
    ) -> VideoResult:
        """Learn as the greedy net does, from the first frame on, with equal weights for all pairs.

        The bottom-up pass is repeated, since derivatives go through it as well. Memory grows with the length of the
        video.
        """
        with torch.enable_grad():
            unrolled = unroll(self, video, top, through_time=True)
            gradients = torch.autograd.grad(-unrolled.losses.mean(), list(self.layers.parameters()))
        found = dict(zip(self.layers.parameters(), gradients, strict=True))
        batch = len(top.rows) // 2
        for index, layer in enumerate(self.stack):
            steps = [each[index] for each in unrolled.steps]
            total = torch.stack([step.active.detach()[:batch].sum(0) for step in steps]).mean(0)
            peers = peer_gradient(total, count_of(torch.ones(batch)), layer.mean_activity, layer.rule)
            for name, weights in layer.learned.items():
                seen = torch.stack([_rows(step.sources[name]).detach()[:batch].mean(0) for step in steps]).mean(0)
                weights.gather(found[weights.value] + torch.outer(peers, seen))
            layer.biases.gather(found[layer.bias] + peers)
            layer.apply_gradient(rate)
        each = [torch.stack([steps[index].goodness for steps in unrolled.steps]) for index in range(len(self.layers))]
        halves = [goodness.detach().mean(0).chunk(2) for goodness in each]
        return VideoResult([(one, other) for one, other in halves], torch.ones(batch), unrolled.state)


# ---- what it costs -------------------------------------------------------------------------------------------------


def memory(net: Recurrent, part: Dataset, recipe: RecurrentRecipe, iterations: int, *, through_time: bool) -> int:
    """Return the bytes that autograd keeps of a batch, besides the weights: of all iterations, or of a single one."""
    net.layers.requires_grad_()
    frame, top = _batch(net, part, recipe.batch)
    known = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        if through_time:
            unroll(net, repeat(frame, iterations), top, through_time=True)
        else:
            unroll(net, [frame], top, through_time=False)
    return sum(kept.values())


def cosines(net: Recurrent, part: Dataset, recipe: RecurrentRecipe) -> Tensor:
    """Return the cosine between a layer's gradients by the greedy rule and through time, ``(layers, iterations)``.

    Each is for the loss of one iteration alone, over a batch of held-out images.
    """
    net.layers.requires_grad_()
    frame, top = _batch(net, part, recipe.batch)
    each = []
    for through_time in (False, True):
        losses = unroll(net, repeat(frame, recipe.iterations), top, through_time=through_time).losses
        each.append([[_gradient(loss, layer) for layer in net.stack] for loss in losses])
    rows = zip(*each, strict=True)
    cosine = torch.nn.functional.cosine_similarity
    return torch.tensor([[cosine(a, b, dim=0) for a, b in zip(*row, strict=True)] for row in rows]).T


def _gradient(loss: Tensor, layer: RecurrentLayer) -> Tensor:
    gradients = torch.autograd.grad(loss, list(layer.parameters()), retain_graph=True)
    return torch.cat([gradient.flatten() for gradient in gradients])


def _batch(net: Recurrent, part: Dataset, size: int) -> tuple[CachedInput, CachedInput]:
    """Return held-out images and, for the top, their labels followed by as many wrong ones, each the next class."""
    device = net.stack[0].bias.device
    images, labels = part.test_images[:size].to(device), part.test_labels[:size].to(device)
    return net.images(images), net.top(torch.cat([labels, (labels + 1) % net.classes]))


def _describe(each: list[tuple[Recurrent, float]], part: Dataset, recipe: RecurrentRecipe) -> dict[str, Any]:
    device = each[0][0].stack[0].bias.device
    images, labels = part.test_images.to(device), part.test_labels.to(device)
    found = [evaluate(net, images, labels).error for net, _ in each]
    return {
        "slow error %": mean_and_std(percent(one["slow"]) for one in found),
        "fast error %": mean_and_std(percent(one["fast"]) for one in found),
        "seconds": round(fmean(seconds for _, seconds in each), 2),
    }
