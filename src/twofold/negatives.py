"""Negative data: images with wrong labels or, for learning without labels, hybrids of two images.

A wrong label always differs from the true label. A hybrid consists of large patches of two images, so that a hybrid
has the short-range structure of images but not the long-range structure. A mask selects the patches: random bits that
are blurred and then thresholded (paper section 3.1).
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from twofold.checks import BY_NAME, convert
from twofold.checks.bounds import not_negative
from twofold.errors import DataError
from twofold.labels import checked_labels


def random_wrong_labels(labels: Tensor, logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw wrong labels uniformly.

    Args:
        labels: true labels, ``(batch,)``.
        logits: ``(batch, classes)``; only the number of classes is used.
        generator: random generator, on the device of the labels.

    Returns:
        Wrong labels, ``(batch,)``.
    """
    classes = logits.shape[1]
    offset = torch.randint(1, classes, labels.shape, generator=generator, device=labels.device)
    return (labels + offset) % classes


def hard_wrong_labels(labels: Tensor, logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw wrong labels ("hard negatives") from softmax(logits) with the true label excluded (talk 14:05).

    The labels that the net itself finds most probable are drawn most often. A draw is the argmax of logits + Gumbel
    noise over the wrong labels, which also works if the probabilities of all wrong labels round to zero.

    Args:
        labels: true labels, ``(batch,)``.
        logits: logits of the fast test, ``(batch, classes)``.
        generator: random generator, on the device of the logits.

    Returns:
        Wrong labels, ``(batch,)``.
    """
    uniform = torch.rand(logits.shape, generator=generator, device=logits.device)
    gumbel = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
    return (logits.float() + gumbel).scatter(1, labels[:, None], -torch.inf).argmax(1)


Negatives = Callable[[Tensor, Tensor, torch.Generator | None], Tensor]
"""Function (true labels ``(batch,)``, logits ``(batch, classes)``, generator) -> wrong labels ``(batch,)``."""

NEGATIVES: dict[str, Negatives] = {
    "hard": hard_wrong_labels,
    "random": random_wrong_labels,
}
BY_NAME[Negatives] = BY_NAME[Negatives | Tensor] = NEGATIVES


def draw_wrong_labels(
    negatives: Negatives | Tensor, labels: Tensor, logits: Tensor, generator: torch.Generator | None
) -> Tensor:
    """Return wrong labels ``(batch,)``: the result of the function ``negatives``, or the tensor ``negatives`` itself.

    Wrong labels that come from the user are checked; see `checked_wrong_labels`.

    Args:
        negatives: function that draws wrong labels, or a tensor of wrong labels, ``(batch,)``.
        labels: true labels, ``(batch,)``.
        logits: logits of the fast test, ``(batch, classes)``.
        generator: random generator, on the device of the labels.

    Raises:
        ArgumentError: the function does not return a tensor.
        DataError: the result has the wrong shape or type, or contains true labels.
    """
    if isinstance(negatives, Tensor):
        return checked_wrong_labels("negatives", negatives, labels, logits.shape[1])
    wrong = negatives(labels, logits, generator)
    if any(negatives is known for known in NEGATIVES.values()):
        return wrong
    return checked_wrong_labels("the output of negatives", wrong, labels, logits.shape[1])


def checked_wrong_labels(name: str, wrong: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Check wrong labels ``wrong`` ``(batch,)`` from a user against the true labels ``labels`` ``(batch,)``.

    Returns:
        The wrong labels, int64.

    Raises:
        DataError: ``wrong`` has the wrong shape or type or, on the CPU, contains true labels.
    """
    wrong = checked_labels(name, convert(name, wrong, Tensor), classes, len(labels), on=labels.device)
    if wrong.device.type == "cpu" and (true := int((wrong == labels).sum())):
        raise DataError(f"{name} has the true label for {true} of {len(labels)} images, expected wrong labels only")
    return wrong


def masks(count: int, height: int, width: int, blurs: int, generator: torch.Generator) -> Tensor:
    """Draw random masks of patches of zeros and ones, for `hybrids`.

    Random bits are blurred ``blurs`` times with [¼, ½, ¼] in both directions; the blur mirrors the bits at the edges. A
    pixel of the mask is 1 where the blurred value exceeds ½.

    Args:
        count: number of masks.
        height, width: size of a mask, in pixels.
        blurs: number of blurs. More blurs give larger patches; 0 gives single pixels.
        generator: random generator of the bits.

    Returns:
        Masks, ``(count, 1, height, width)``, on the device of the generator.

    Raises:
        SettingError: the number of blurs is negative.
    """
    not_negative(blurs=blurs)
    device = generator.device
    bits = torch.randint(2, (count, 1, height, width), generator=generator, device=device).float()
    blurred = _blur(height, blurs, device) @ bits @ _blur(width, blurs, device).T
    return (blurred > 0.5).float()


@functools.cache
def _blur(size: int, times: int, device: torch.device) -> Tensor:
    """Return the matrix ``(size, size)`` that applies ``times`` blurs to a row or column of ``size`` pixels."""
    once = 0.5 * torch.eye(size, dtype=torch.float64)
    for offset in (-1, 1):
        for row in range(size):
            once[row, min(max(row + offset, 0), size - 1)] += 0.25
    power: Tensor = torch.linalg.matrix_power(once, times)
    return power.float().to(device)


def hybrids(images: Tensor, blurs: int, generator: torch.Generator) -> Tensor:
    """Mix each image with the previous image of the batch: image · mask + previous · (1 - mask).

    Args:
        images: ``(batch, channels, height, width)``, in random order.
        blurs: number of blurs of each mask; see `masks`.
        generator: random generator of the masks, on the device of the images.

    Returns:
        Hybrids, in the shape of ``images``.

    Raises:
        DataError: there are fewer than two images.
    """
    if len(images) < 2:
        raise DataError(f"images: got {len(images)} image, expected at least 2: a hybrid combines two images")
    height, width = images.shape[-2:]
    mask = masks(len(images), height, width, blurs, generator).to(images)
    return torch.lerp(images.roll(1, 0), images, mask)
