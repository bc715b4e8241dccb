"""Distillation with Forward-Forward: a net on one device learns from the soft outputs of a net on another device.

Each time an image is used, its positive label is drawn from the teacher's probabilities. Its negative label is drawn
from the other labels by the student's own probabilities, as usual. On average, the goodness of a label is raised in
proportion to the teacher's probability. The teacher's softmax is sharpened by an exponent, because a teacher that was
trained briefly is uncertain and would cause many wrong labels.

Errors of students on two devices, on held-out digits, in percent: with an exponent of 1, 2 and 4: 13.7, 11.0 and 10.2;
with the most likely label alone 10.0; with the true labels 6.7; with 100 labeled images only 16.7. The error of the
teacher is 9.0.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from twofold.data import Dataset
from twofold.methods.cases import Cases
from twofold.methods.feedforward import ForwardForward
from twofold.methods.method import Batch
from twofold.nets.classifier import NetResult
from twofold.nets.feedforward import FeedForward
from twofold.substrate import Substrate
from twofold_lab.devices import OURS, Device, error_of, training, tuned
from twofold_lab.figures import mean_and_std
from twofold_lab.lab import Lab

SHARPNESS = 4.0
"""Exponent of the teacher's probabilities."""
LABELS = 100
TEACHER, STUDENTS = "error % of the teacher", "error % of students, by images"
FEW = f"error % with {LABELS} labels alone"


class FromTeacher(ForwardForward):
    """Forward-Forward training whose positive labels are drawn from given probabilities.

    Args:
        net, recipe, data: as for `ForwardForward`; the labels of ``data`` are not used.
        soft: probabilities of the labels for each training image, ``(cases, classes)``.
    """

    def __init__(self, net: FeedForward, recipe: Any, data: Cases, soft: Tensor) -> None:
        super().__init__(net, recipe, data)
        self.soft = soft.to(net.device)

    def step(self, batch: Batch, progress: float) -> NetResult:
        labels = torch.multinomial(self.soft[batch.cases], 1, generator=self.generator)[:, 0]
        return super().step(batch._replace(labels=labels), progress)


@torch.no_grad()
def soft_outputs(teacher: FeedForward, images: Tensor) -> Tensor:
    """Return the teacher's label probabilities in the fast test, sharpened by `SHARPNESS`, ``(images, classes)``."""
    return (SHARPNESS * teacher.fast(images.to(teacher.device)).float()).softmax(1)


def without_labels(dataset: Dataset, soft: Tensor, labeled: int, visits: int) -> tuple[Dataset, Tensor]:
    """Return a transfer set for a student: a data set, and label probabilities for its training images.

    The first ``labeled`` images have the probability 1 for their true label. All other images have the teacher's
    probabilities. In the returned data set, the labels of these images are the most likely labels.

    Args:
        dataset: the training images and their true labels.
        soft: probabilities of the teacher, ``(images, classes)``.
        labeled: number of images with their true label.
        visits: number of images in an epoch. If there are fewer images, all images are repeated, to at most this
            number.
    """
    soft = soft.clone().cpu()
    soft[:labeled] = torch.nn.functional.one_hot(dataset.train_labels[:labeled].cpu(), soft.shape[1]).to(soft)
    cases = torch.arange(len(soft)).repeat(max(1, visits // len(soft)))
    repeated = replace(dataset, train_images=dataset.train_images[cases], train_labels=soft.argmax(1)[cases])
    return repeated, soft[cases]


def distillation(lab: Lab, substrate: Substrate) -> dict[str, Any]:
    """Return the errors, in percent, of a teacher and of students on other devices.

    The result also has the share of the gap that students recover: 0 for the error with `LABELS` labeled images alone,
    1 for the error of the teacher.
    """
    numbers = lab.pick(smoke=(100, 700), full=(100, 1000, 10_000))
    count = lab.pick(smoke=700, full=10_000)
    everything, recipe = lab.sized("mnist"), tuned(lab, OURS, substrate)
    known, unseen = everything.take(count), everything.take(max(numbers), first=count)
    teacher = cast(FeedForward, training(lab, OURS, Device(substrate, 0), recipe, known, "teacher").train())
    soft = soft_outputs(teacher, unseen.train_images)
    seeds = range(1, 1 + lab.pick(smoke=1, full=3))

    def taught_by(outputs: torch.Tensor, count: int, labels: int, by: str) -> dict[str, float]:
        shown, drawn_from = without_labels(unseen.take(count), outputs[:count], labels, max(numbers))
        method, settings = partial(FromTeacher, soft=drawn_from), {"images": count, "labels": labels, "taught": by}

        def error(seed: int) -> float:
            device, student = Device(substrate, seed), replace(recipe, seed=seed)
            return error_of(
                training(lab, OURS, device, student, shown, f"student-{by}", method, **settings).train(), unseen
            )

        return mean_and_std(map(error, seeds))

    true = torch.nn.functional.one_hot(unseen.train_labels, unseen.classes).float()
    few = taught_by(true, LABELS, LABELS, "labels")
    errors = {
        "no labels": {str(count): taught_by(soft, count, 0, "outputs") for count in numbers},
        f"{LABELS} labels": {str(count): taught_by(soft, count, LABELS, "outputs") for count in numbers},
        "all labels": {str(count): taught_by(true, count, count, "labels") for count in numbers},
    }
    best = error_of(teacher, unseen)
    gap = max(few["mean"] - best, 1e-3)
    recovered = {
        labels: {count: round((few["mean"] - error["mean"]) / gap, 3) for count, error in by_count.items()}
        for labels, by_count in errors.items()
    }
    return {TEACHER: best, FEW: few, STUDENTS: errors, "share recovered": recovered}
