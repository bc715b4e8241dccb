"""The tests of the recurrent net as a function of tensors alone, its iterations written out one after the other."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from twofold.nets.video import State

if TYPE_CHECKING:
    from twofold.nets.recurrent import Recurrent


def unrolled(net: Recurrent, frame: Tensor) -> tuple[dict[str, Tensor], list[Tensor]]:
    """What the softmaxes read, and what the slow test judges; for `Recurrent._traced`.

    Args:
        net: the net.
        frame: images as rows at fixed length, ``(batch, inputs)``.

    Returns:
        Test -> logits, ``(batch, classes)``; and for each layer its goodness under each label, on average over the
        iterations that count, ``(classes · batch,)``: all images under the first label come first.
    """
    start = net.start(frame)

    def settling(labels: Tensor, iterations: int) -> list[State]:
        """The states of all images under each of some label vectors, ``(labels, classes)``."""
        copies = len(labels)
        top = labels[:, None].expand(-1, frame.shape[0], -1).flatten(0, 1)
        shown = repeat(frame.repeat(copies, 1), iterations)
        return list(net.watch(shown, top, tuple(each.repeat(copies) for each in start)))

    every = net.label_strength * torch.eye(net.classes, device=frame.device)
    first, last = net.judged
    judged = settling(every, last)[first - 1 :]
    goodness = [torch.stack([state[index].goodness for state in judged]).mean(0) for index in range(len(start))]
    settled = settling(every.mean(0, keepdim=True), net.iterations)[-1]
    read = {"fast": net.softmax(net.read_state(start)), "settled": net.settled_softmax(net.read_state(settled))}
    return read, goodness
