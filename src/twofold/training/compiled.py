"""The work beside the matrix products in one pass over memory: ``torch.compile``, where it pays.

Smoothing, decay, update and the narrow copy read and write every weight once instead of five times, and a layer's
judgment of a batch is one kernel instead of forty. What is compiled are the readable functions of ``learning.py``
themselves. The first compilation on a machine takes ten seconds or more; torch keeps the result for later runs.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable

import torch
from torch import Tensor, nn

from twofold import learning
from twofold.layers import recurrent as recurrence
from twofold.layers.layer import Layer, Learner
from twofold.layers.recurrent import RecurrentLayer, Settled
from twofold.learning import Judged, Rule
from twofold.nets.backprop import Backprop
from twofold.nets.classifier import Softmax

PAYS_FROM = 2e10
"""Weights times updates from which a training is long enough to wait for the compiler."""


@functools.cache
def _judge_of(threshold: float, rule: Rule) -> Callable[..., Judged]:
    """The compiled judgment for these numbers, which never change, so that torch need not ask for them at each call."""
    return torch.compile(functools.partial(learning.judge, threshold=threshold, rule=rule), dynamic=True)


def judge(
    activity: Tensor, mean_activity: Tensor, batches: Tensor, weight: Tensor | None, threshold: float, rule: Rule
) -> Judged:
    """``learning.judge``, compiled."""
    return _judge_of(threshold, rule)(activity, mean_activity, batches, weight)


@functools.cache
def _settle_with(damping: float, rule: Rule) -> Callable[..., Settled]:
    return torch.compile(functools.partial(recurrence.settle, damping=damping, rule=rule), dynamic=True)


def settle(total: Tensor, before: Tensor | None, damping: float, rule: Rule) -> Settled:
    """``recurrence.settle``, compiled."""
    return _settle_with(damping, rule)(total, before)


@functools.cache
def _weigh_with(rule: Rule) -> Callable[..., Tensor]:
    return torch.compile(functools.partial(recurrence.weigh, rule=rule), dynamic=True)


def weigh(active: Tensor, strength: Tensor, rule: Rule) -> Tensor:
    """``recurrence.weigh``, compiled."""
    return _weigh_with(rule)(active, strength)


@functools.cache
def _one_pass() -> Callable[..., None]:
    return torch.compile(_smooth_and_step, dynamic=True)


def _smooth_and_step(
    weight: Tensor, velocity: Tensor, gradient: Tensor, narrow: Tensor | None, numbers: Tensor
) -> None:
    smoothing, kept, rate = numbers.unbind()
    smoothed = smoothing * velocity + (1 - smoothing) * gradient
    changed = kept * weight + rate * smoothed
    velocity.copy_(smoothed)
    weight.copy_(changed)
    if narrow is not None:
        narrow.copy_(changed)


def smooth_and_step(
    weight: Tensor, velocity: Tensor, gradient: Tensor, rate: float, rule: Rule, narrow: Tensor | None = None
) -> None:
    """``learning.smooth_and_step``, compiled; what is small is not worth the call.

    As rows of numbers, for which one compilation serves, and with the rate in a tensor, since it changes.
    """
    if weight.dim() == 1:
        learning.smooth_and_step(weight, velocity, gradient, rate, rule, narrow)
        return
    numbers = torch.tensor([rule.smoothing, 1 - rate * rule.decay, rate], dtype=weight.dtype, device=weight.device)
    flat = [weight.detach().view(-1), velocity.view(-1), gradient.reshape(-1)]
    copy = narrow.detach().view(-1) if narrow is not None and narrow is not weight else None
    _one_pass()(*flat, copy, numbers)


def available(device: torch.device) -> bool:
    """Whether torch can compile here: on a CPU that takes a C++ compiler, on a GPU Triton."""
    if device.type == "cuda":
        return torch.utils._triton.has_triton()
    return shutil.which(os.environ.get("CXX", "g++")) is not None


def pays(net: nn.Module, updates: float, device: torch.device) -> bool:
    """Whether a training of so many updates of the net is long enough to wait for the compiler, and there is one."""
    weights = sum(parameter.numel() for parameter in net.parameters())
    return weights * updates > PAYS_FROM and available(device)


def fuse(net: nn.Module) -> None:
    """Let every part of the net that learns use the compiled functions."""
    for part in net.modules():
        if isinstance(part, Layer):
            part.judge = judge
        if isinstance(part, RecurrentLayer):
            part.settle, part.weigh = settle, weigh
        if isinstance(part, Learner | Softmax | Backprop):
            part.update = smooth_and_step
