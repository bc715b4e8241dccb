"""Forward-Forward that learns from a teacher's soft outputs: what one device knows, taught to another.

At every visit of an image the positive label is drawn from the teacher's distribution over the labels, and the negative
one from the student's own likeliest mistakes among the others. So on average the goodness of a label is raised as often
as the teacher would say it. The teacher's softmax is sharpened: drawn from as it is, a young teacher's doubts are many
wrong labels. On held-out digits students of two devices err, at an exponent of 1 / 2 / 4 and with the likeliest label
alone, 13.7 / 11.0 / 10.2 and 10.0 %; with the true labels 6.7, with 100 labels alone 16.7, their teacher 9.0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from twofold.data import Dataset
from twofold.methods.cases import Cases
from twofold.methods.feedforward import ForwardForward
from twofold.methods.method import Batch
from twofold.nets.classifier import NetResult
from twofold.nets.feedforward import FeedForward

SHARPNESS = 4.0
"""Exponent of the teacher's probabilities."""


class FromTeacher(ForwardForward):
    """Forward-Forward with positive labels drawn from given distributions.

    Args:
        net, recipe, data: as for `ForwardForward`; labels are not used.
        soft: probabilities of the labels of each training image, ``(cases, classes)``.
    """

    def __init__(self, net: FeedForward, recipe: Any, data: Cases, soft: Tensor) -> None:
        super().__init__(net, recipe, data)
        self.soft = soft.to(net.device)

    def step(self, batch: Batch, progress: float) -> NetResult:
        labels = torch.multinomial(self.soft[batch.cases], 1, generator=self.generator)[:, 0]
        return super().step(batch._replace(labels=labels), progress)


@torch.no_grad()
def soft_outputs(teacher: FeedForward, images: Tensor) -> Tensor:
    """The softmax of the teacher's fast test, sharpened, ``(images, classes)``, as its device gives it."""
    return (SHARPNESS * teacher.fast(images.to(teacher.device)).float()).softmax(1)


def without_labels(dataset: Dataset, soft: Tensor, labeled: int, visits: int) -> tuple[Dataset, Tensor]:
    """A transfer set: images with the teacher's outputs, of which the first so many have their true label instead.

    Its images are repeated until an epoch has about so many ``visits``, where they are fewer. The labels of all others
    are replaced by the teacher's likeliest, so that no true one is left in it.
    """
    soft = soft.clone().cpu()
    soft[:labeled] = torch.nn.functional.one_hot(dataset.train_labels[:labeled].cpu(), soft.shape[1]).to(soft)
    cases = torch.arange(len(soft)).repeat(max(1, visits // len(soft)))
    shown = replace(dataset, train_images=dataset.train_images[cases], train_labels=soft.argmax(1)[cases])
    return shown, soft[cases]
