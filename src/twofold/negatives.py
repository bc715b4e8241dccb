"""Where negative data come from when the label is part of the input: the same image with a wrong label.

A negative never carries the true label: a label "shuffled" over the batch would be true once in ten cases.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def random_wrong_labels(labels: Tensor, logits: Tensor, generator: torch.Generator) -> Tensor:
    """Uniform over the wrong labels: only the number of classes is taken from the logits ``(batch, classes)``."""
    classes = logits.shape[1]
    offset = torch.randint(1, classes, labels.shape, generator=generator, device=labels.device)
    return (labels + offset) % classes


def hard_wrong_labels(labels: Tensor, logits: Tensor, generator: torch.Generator) -> Tensor:
    """Drawn from softmax(logits) with the true label excluded: the net's own likeliest mistakes (talk 14:05).

    Drawn as the argmax of logits + Gumbel noise, which is exact and also safe where every wrong label has a probability
    that rounds to zero.

    Args:
        labels: ``(batch,)`` true labels.
        logits: ``(batch, classes)``, the fast test's.
    """
    uniform = torch.rand(logits.shape, generator=generator, device=logits.device)
    gumbel = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
    return (logits.float() + gumbel).scatter(1, labels[:, None], -torch.inf).argmax(1)


NEGATIVES: dict[str, Callable[[Tensor, Tensor, torch.Generator], Tensor]] = {
    "hard": hard_wrong_labels,
    "random": random_wrong_labels,
}
