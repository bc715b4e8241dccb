"""A recurrent net can treat a still image as a dull video and learn greedily in time (talk 19:31).

Greedy in time means that the net learns from every frame, and that no derivative goes through time. First, the error on
held-out images is measured for a net that learns in this way (smoke: digits, 2 x 100; full: MNIST, 2 x 1000, ten
epochs, eight for the twin, the last 10,000 training images held out).

Then the cost of greediness is measured. Small nets (full: 2 x 200, 10,000 images, four epochs; smoke: 2 x 50, two
epochs; two seeds) learn with the greedy rule and with the derivative of the same objective,

    ½ · mean over pairs and iterations of Σ over layers of loss(goodness⁺ - θ, goodness⁻ - θ),

carried through all iterations by autograd, from the bottom-up pass on. This derivative crosses layers as well, since
the state of a layer is input of the neighboring layers at the next iteration. Everything else is the same for both
rules: initial weights, order of the images, negatives, peer normalization, rate and updates, products in float32.

Reported for both rules are the slow error, the seconds of training, and the bytes of memory that a batch needs for
learning. The memory is the size of the tensors that autograd keeps for all iterations, or for one iteration with the
greedy rule. (With the recipe's ``window``, the greedy rule computes several iterations together, which is faster and
needs more memory.) For a trained net, the loss of a single iteration is differentiated by both rules, and the cosine
between the two gradients is reported by layer and iteration.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import repeat
from statistics import fmean
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import cosine_similarity

from twofold.data import Dataset
from twofold.layers.inputs import CachedInput
from twofold.layers.recurrent import LayerState, RecurrentLayer, SourceInput, TimeStep, recurrent_step
from twofold.learning import Rule, count_of, peer_gradient
from twofold.methods import RecurrentRecipe, RecurrentTraining
from twofold.nets.net import evaluate
from twofold.nets.recurrent import Recurrent
from twofold.nets.video import State, VideoResult
from twofold.training.trainer import Trainer
from twofold_lab import recurrent
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.figures import errors, mean_and_std, percent
from twofold_lab.lab import Lab
from twofold_lab.verdict import limited

SEEDS = [0, 1]


CLAIM = Claim(
    "video",
    time="19:31",
    says="A recurrent net can treat a still image as a dull video and learn greedily in time.",
    headline=Headline("slow error %", "possible"),
    clauses=(limited("learns greedily in time", "slow error %", smoke=8, full=4),),
)


@CLAIM.measure
def video(lab: Lab) -> Finding:
    recipe, twin_recipe = recurrent.short(lab)
    run, twin = lab.train(recipe, "video"), lab.train(twin_recipe, "video-twin")
    small, dataset = settings(lab)
    nets = {
        name: [learned(lab, net_type, replace(small, seed=seed), dataset) for seed in SEEDS]
        for name, net_type in (("greedy", Recurrent), ("through time", ThroughTime))
    }
    net = nets["greedy"][0][0]
    measured = {
        **errors(run),
        "seconds": round(run.result.seconds, 1),
        **{f"small net, {name}": _describe(trained, dataset) for name, trained in nets.items()},
        "memory of a batch (MB) by iterations": {
            str(count): {
                name: round(memory(net, dataset, small, count, through_time=name == "through time") / 1e6, 3)
                for name in nets
            }
            for count in (small.iterations, 4 * small.iterations)
        },
        "cosine of the gradients by layer and iteration": cosines(net, dataset, small),
    }
    return Finding(measured, errors(twin), [recipe.seed])


def settings(lab: Lab) -> tuple[RecurrentRecipe, Dataset]:
    """Return the recipe of the small nets and their data set. The nets see all images in every epoch."""
    recipe, _ = recurrent.short(lab)
    units, count, epochs = lab.pick(smoke=(50, 800, 2), full=(200, 10_000, 4))
    temperature = recipe.temperature * units / recipe.widths[0]
    small = replace(recipe, widths=(units, units), temperature=temperature, epochs=epochs, tolerance=0.0, revisit=1.0)
    return small, lab.data(recipe.data).hold_out(recipe.validation).take(count)


def learned(lab: Lab, net_type: type[Recurrent], recipe: RecurrentRecipe, dataset: Dataset) -> tuple[Recurrent, float]:
    """Train a small net of class ``net_type`` in float32; return the net and the seconds of the training."""
    plain = RecurrentTraining.build(recipe, dataset.form)
    names = ("damping", "iterations", "label_strength", "top_down", "lateral", "softmax_decay")
    options = {"judged": (recipe.judge_from, recipe.judge_to), **{name: getattr(recipe, name) for name in names}}
    net = net_type(dataset.pixels, recipe.widths, dataset.classes, plain.stack[0].rule, **options)
    net.load_state_dict(plain.state_dict())
    title, exact = f"video-{net_type.__name__.lower()}", replace(lab, precision="fp32", trainings={})
    identity = {"name": title, **recipe.fields()}
    net = exact.train_net(net, title, dataset, identity, lambda net: Trainer(net, recipe, dataset.train).run())
    lab.trainings |= exact.trainings
    return net, exact.facts()["seconds"]


# ---- the derivative through time -----------------------------------------------------------------------------------


class Unrolled(NamedTuple):
    """Results of running a net through a video, with the graph that autograd needs.

    Attributes:
        losses: loss at each iteration, ``(iterations,)``: ½ · mean over pairs of Σ over layers of the loss of the
            layer.
        steps: for each iteration, a list with the inputs, activity and goodness of each layer.
        state: state of all layers after the last frame.
    """

    losses: Tensor
    steps: list[list[TimeStep]]
    state: State


def unroll(net: Recurrent, video: Iterable[SourceInput], top: CachedInput, *, through_time: bool) -> Unrolled:
    """Run a net through a video with weights that require gradients.

    Args:
        net: the net; the parameters of the layers must require gradients.
        video: the frames in order; the bottom-up pass is computed from the first frame.
        top: labels, ``(2 batch, classes)``: those of the positive cases, then those of the negative cases.
        through_time: let derivatives go through the states to earlier iterations; otherwise, the states are detached,
            and the derivatives of the losses are those of the greedy rule.
    """
    cases = len(top.rows)
    frames = [_rows(frame).repeat(cases // len(_rows(frame)), 1) for frame in video]
    state: list[LayerState] = []
    for layer in net.stack:
        state.append(_respond(layer, {"below": state[-1].output if state else frames[0]}, None, net.damping))
    losses, steps = [], []
    for frame in frames:
        if not through_time:
            state = [LayerState(*(tensor.detach() for tensor in layer)) for layer in state]
        seen = net.sources(frame, top, tuple(state))
        state = [
            _respond(layer, sources, before.state, net.damping)
            for layer, sources, before in zip(net.stack, seen, state, strict=True)
        ]
        losses.append(torch.stack([_loss(*pair) for pair in zip(net.stack, state, strict=True)]).sum())
        steps.append([TimeStep(sources, now.active, now.goodness) for sources, now in zip(seen, state, strict=True)])
    return Unrolled(torch.stack(losses), steps, tuple(state))


def _respond(
    layer: RecurrentLayer, sources: dict[str, SourceInput], before: Tensor | None, damping: float
) -> LayerState:
    """Compute ``layer.respond`` without the cached products of the layer, because these have no autograd graph."""
    total: Tensor = layer.bias
    for name, source in sources.items():
        total = layer.connectivity[name].matmul(layer.weights[name], _rows(source), total)
    return recurrent_step(total, before, damping, layer.rule)


def _loss(layer: RecurrentLayer, settled: LayerState) -> Tensor:
    """Return ½ · mean over pairs of loss(g⁺ - θ, g⁻ - θ), g = goodness; the greedy rule has this ½ too."""
    positive, negative = (settled.goodness - layer.threshold).chunk(2)
    return 0.5 * layer.rule.objective.loss(positive, negative, layer.temperature).mean()


def _rows(source: SourceInput) -> Tensor:
    return source.rows if isinstance(source, CachedInput) else source


class ThroughTime(Recurrent):
    """A recurrent net that learns with the derivative through all iterations, and therefore through all layers."""

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
        """Learn from all frames with one update, in which all pairs have equal weights; see `Recurrent.learn_video`.

        ``state``, ``first`` and ``window`` are not used. The bottom-up pass that led to ``state`` is computed again,
        since derivatives go through the bottom-up pass as well. Memory grows with the number of frames.
        """
        with torch.enable_grad():
            unrolled = unroll(self, video, top, through_time=True)
            gradients = torch.autograd.grad(-unrolled.losses.mean(), list(self.layers.parameters()))
        gradient = dict(zip(self.layers.parameters(), gradients, strict=True))
        batch = len(top.rows) // 2
        for index, layer in enumerate(self.stack):
            steps = [layers[index] for layers in unrolled.steps]
            total = torch.stack([step.active.detach()[:batch].sum(0) for step in steps]).mean(0)
            peers = peer_gradient(total, count_of(torch.ones(batch)), layer.mean_activity, layer.rule)
            for name, weights in layer.learned.items():
                seen = torch.stack([_rows(step.sources[name]).detach()[:batch].mean(0) for step in steps]).mean(0)
                weights.gather(gradient[weights.value] + torch.outer(peers, seen))
            layer.biases.gather(gradient[layer.bias] + peers)
            layer.apply_gradient(rate)
        goodness = [
            torch.stack([step.goodness.detach() for step in steps]) for steps in zip(*unrolled.steps, strict=True)
        ]
        pairs = [(positive, negative) for positive, negative in (layer.mean(0).chunk(2) for layer in goodness)]
        return VideoResult(pairs, torch.ones(batch), unrolled.state)


# ---- memory and gradients --------------------------------------------------------------------------------------------


def memory(net: Recurrent, dataset: Dataset, recipe: RecurrentRecipe, iterations: int, *, through_time: bool) -> int:
    """Return the bytes of all tensors that autograd keeps for the gradients of a batch, without the weights.

    With ``through_time``, the tensors of all iterations are counted, otherwise those of one iteration.
    """
    net.layers.requires_grad_()
    frame, top = _batch(net, dataset, recipe.batch)
    known = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        unroll(net, repeat(frame, iterations if through_time else 1), top, through_time=through_time)
    return sum(kept.values())


def cosines(net: Recurrent, dataset: Dataset, recipe: RecurrentRecipe) -> list[list[float]]:
    """Return the cosines between gradients by the greedy rule and through time, as lists of iterations for each layer.

    Both gradients are those of the loss of one iteration alone, for a batch of held-out images.
    """
    net.layers.requires_grad_()
    frame, top = _batch(net, dataset, recipe.batch)
    greedy, exact = (
        unroll(net, repeat(frame, recipe.iterations), top, through_time=through_time).losses
        for through_time in (False, True)
    )
    return [
        [
            round(float(cosine_similarity(_gradient(a, layer), _gradient(b, layer), dim=0)), 3)
            for a, b in zip(greedy, exact, strict=True)
        ]
        for layer in net.stack
    ]


def _gradient(loss: Tensor, layer: RecurrentLayer) -> Tensor:
    gradients = torch.autograd.grad(loss, list(layer.parameters()), retain_graph=True)
    return torch.cat([gradient.flatten() for gradient in gradients])


def _batch(net: Recurrent, dataset: Dataset, size: int) -> tuple[CachedInput, CachedInput]:
    """Return ``size`` held-out images, and the input at the top: all right labels, then all wrong ones (next class)."""
    images, labels = (tensor[:size].to(net.device) for tensor in dataset.test)
    return net.images(images), net.top(torch.cat([labels, (labels + 1) % net.classes]))


def _describe(trained: Sequence[tuple[Recurrent, float]], dataset: Dataset) -> dict[str, Any]:
    tests = [evaluate(net, *dataset.test).error for net, _ in trained]
    return {
        **{f"{name} error %": mean_and_std(percent(test[name]) for test in tests) for name in ("slow", "fast")},
        "seconds": round(fmean(seconds for _, seconds in trained), 2),
    }
