"""Measure the memory of a training step of one net. `twofold_lab.benchmarks.memory` runs it in a separate process."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear
from torch.utils.checkpoint import checkpoint

from twofold.machine import compute_type
from twofold.methods import BackpropRecipe
from twofold.methods import build as build_net
from twofold.normalize import normalize
from twofold.recipes import as_twin
from twofold.training.trainer import Trainer
from twofold_lab.benchmarks.peak_memory import peak, process_growth
from twofold_lab.benchmarks.trainer import every_case, pair

SHAPE, CLASSES, PARTS = (1, 28, 28), 10, 8


class Case(NamedTuple):
    """A net and the size of its training step.

    Attributes:
        contender: one of ``ff`` (without importance sampling), ``twin``, ``twin-checkpoints`` (stores the activations
            between segments of √layers only, and recomputes the others in the backward pass) and ``twin-parts``
            (accumulates the gradients of 8 parts of the batch).
        depth: number of hidden layers.
        width: number of units in each layer.
        batch: number of images in the step.
        device: cpu or cuda.
        precision: fp32 or bf16.
    """

    contender: str
    depth: int
    width: int
    batch: int
    device: str
    precision: str


def build(case: Case, images: Tensor, labels: Tensor) -> tuple[list[Tensor], Callable[[], object]]:
    """Return the weights of a net and a function that runs a training step on ``images`` and ``labels``.

    The recipe is mnist with the size of ``case``. The inputs of the softmax are the last two layers, because with all
    layers the number of weights of the softmax would grow with depth.
    """
    recipe, twin = pair("mnist")
    changes: dict[str, Any] = {"widths": (case.width,) * case.depth, "counted_from": max(1, case.depth - 1)}
    recipe = replace(every_case(recipe), **changes, batch=case.batch)
    chosen, device = recipe if case.contender == "ff" else as_twin(twin, recipe), torch.device(case.device)
    net = build_net(chosen, {"shape": SHAPE, "classes": CLASSES}).to(device)
    if case.contender not in ("ff", "twin"):
        weights = [parameter.detach() for parameter in net.parameters()]
        step = memory_saving_step(weights, twin, case.contender, compute_type(case.precision) or torch.float32)
        return weights, lambda: step(images, labels)
    net.set_precision(case.precision)
    trainer = Trainer(net, chosen, (images, labels))
    return list(net.parameters()), lambda: trainer.epoch(0)


def memory_saving_step(
    weights: list[Tensor], recipe: BackpropRecipe, contender: str, dtype: torch.dtype
) -> Callable[[Tensor, Tensor], object]:
    """Return a function that runs a training step of the twin in plain autograd, with a standard way to save memory.

    Args:
        weights: weight and bias of each layer, from the first layer.
        recipe: provides the learning rate, momentum (smoothing) and weight decay.
        contender: ``twin-checkpoints`` or ``twin-parts``; see `Case`.
        dtype: dtype of the matrix products.
    """
    velocities = [torch.zeros_like(weight) for weight in weights]
    used = [weight.to(dtype).clone().requires_grad_() for weight in weights]  # kept between steps, as in the twin
    layers = list(zip(used[::2], used[1::2], strict=True))
    parts, size = (1, math.ceil(math.sqrt(len(layers)))) if contender == "twin-checkpoints" else (PARTS, len(layers))

    def segment(activity: Tensor, first: int) -> Tensor:
        for weight, bias in layers[first : first + size]:
            total = linear(activity, weight, bias)
            activity = total if weight is layers[-1][0] else total.relu()
        return activity

    def logits(images: Tensor) -> Tensor:
        activity = normalize(images.flatten(1)).to(dtype)
        for first in range(0, len(layers), size):
            if contender == "twin-checkpoints":
                activity = checkpoint(segment, activity, first, use_reentrant=False, preserve_rng_state=False)
            else:
                activity = segment(activity, first)
        return activity.to(images.dtype)

    def step(images: Tensor, labels: Tensor) -> None:
        for part, targets in zip(images.chunk(parts), labels.chunk(parts), strict=True):
            loss = cross_entropy(logits(part), targets) * (len(part) / len(images))
            loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for weight, velocity, current in zip(weights, velocities, used, strict=True):
                assert current.grad is not None
                velocity.mul_(recipe.smoothing).add_(current.grad).add_(weight, alpha=recipe.decay)
                current.copy_(weight.add_(velocity, alpha=-recipe.rate))
                current.grad = None

    return step


def measure(case: Case) -> dict[str, int]:
    """Measure the memory of the second training step on random images, in bytes.

    Returns:
        ``peak``, the peak in torch's allocator, and ``process``, the growth of the memory of the process.
    """
    device, generator = torch.device(case.device), torch.Generator().manual_seed(0)
    images = torch.rand(case.batch, *SHAPE, generator=generator).to(device)
    labels = torch.randint(CLASSES, (case.batch,), generator=generator).to(device)
    weights, step = build(case, images, labels)
    step()
    with process_growth(device) as process:
        step()
    return {"peak": peak(step, weights, device), "process": process[0]}


def main(words: Sequence[str]) -> None:
    """Measure a case and print the result as JSON; ``words`` are the fields of the case in their order."""
    contender, depth, width, batch, device, precision = words
    print(json.dumps(measure(Case(contender, int(depth), int(width), int(batch), device, precision))))
