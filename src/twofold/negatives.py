"""Negative data: wrong labels or, without labels, hybrids of two images.

A wrong label is never the true one; labels shuffled within a batch would be true in one of ten cases. A hybrid has the
short-range structure of both images but the long-range structure of neither: it consists of large patches of both,
selected by a mask of random bits that are blurred and then thresholded (paper section 3.1).
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
    """Draw uniformly from the wrong labels; only the number of classes of ``logits`` ``(batch, classes)`` is used."""
    classes = logits.shape[1]
    offset = torch.randint(1, classes, labels.shape, generator=generator, device=labels.device)
    return (labels + offset) % classes


def hard_wrong_labels(labels: Tensor, logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw from softmax(logits) with the true label excluded: the net's own likeliest mistakes (talk 14:05).

    The draw is the argmax of logits + Gumbel noise, which is exact, and safe even if the probability of every wrong
    label rounds to zero.

    Args:
        labels: ``(batch,)`` true labels.
        logits: logits of the fast test, ``(batch, classes)``.
    """
    uniform = torch.rand(logits.shape, generator=generator, device=logits.device)
    gumbel = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
    return (logits.float() + gumbel).scatter(1, labels[:, None], -torch.inf).argmax(1)


Negatives = Callable[[Tensor, Tensor, torch.Generator | None], Tensor]
"""True labels ``(batch,)``, logits ``(batch, classes)`` and a generator -> wrong labels ``(batch,)``."""

NEGATIVES: dict[str, Negatives] = {
    "hard": hard_wrong_labels,
    "random": random_wrong_labels,
}
BY_NAME[Negatives] = BY_NAME[Negatives | Tensor] = NEGATIVES


def draw_wrong_labels(
    negatives: Negatives | Tensor, labels: Tensor, logits: Tensor, generator: torch.Generator | None
) -> Tensor:
    """Draw wrong labels from a function, or use a tensor of them; check labels that come from a user.

    Raises:
        ArgumentError: the function does not return a tensor.
        DataError: the result is not labels, has the wrong length, or contains true labels.
    """
    if isinstance(negatives, Tensor):
        return checked_wrong_labels("negatives", negatives, labels, logits.shape[1])
    wrong = negatives(labels, logits, generator)
    if any(negatives is known for known in NEGATIVES.values()):
        return wrong
    return checked_wrong_labels("the output of negatives", wrong, labels, logits.shape[1])


def checked_wrong_labels(name: str, wrong: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Check wrong labels ``(batch,)`` from a user, for cases with the true labels ``labels`` ``(batch,)``.

    Raises:
        DataError: they are not labels, have the wrong length or, on the CPU, contain true labels.
    """
    wrong = checked_labels(name, convert(name, wrong, Tensor), classes, len(labels), on=labels.device)
    if wrong.device.type == "cpu" and (true := int((wrong == labels).sum())):
        raise DataError(f"{name} has the true label for {true} of {len(labels)} images, expected wrong labels only")
    return wrong


def masks(count: int, height: int, width: int, blurs: int, generator: torch.Generator) -> Tensor:
    """Draw masks that consist of patches of zeros and ones, ``(count, 1, height, width)``, on the generator's device.

    Random bits are blurred ``blurs`` times with [¼, ½, ¼] in both directions, mirrored at the edges, and then set to 1
    where the blurred value exceeds ½. All blurs in one direction form one matrix, so that a batch takes two small
    products.

    Args:
        count: number of masks.
        height, width: size of a mask, in pixels.
        blurs: number of blurs: the more, the larger the patches; 0 leaves single pixels.
        generator: draws the bits.

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
    """Return the matrix that applies ``times`` blurs in one direction, ``(size, size)``."""
    once = 0.5 * torch.eye(size, dtype=torch.float64)
    for offset in (-1, 1):
        for row in range(size):
            once[row, min(max(row + offset, 0), size - 1)] += 0.25
    power: Tensor = torch.linalg.matrix_power(once, times)
    return power.float().to(device)


def hybrids(images: Tensor, blurs: int, generator: torch.Generator) -> Tensor:
    """Mix each image with its neighbor in the batch: image · mask + neighbor · (1 - mask).

    Args:
        images: ``(batch, channels, height, width)``, in random order.
        blurs: number of blurs of each mask.
        generator: draws the masks; on the device of the images.

    Raises:
        DataError: there are fewer than two images.
    """
    if len(images) < 2:
        raise DataError(f"images has the length {len(images)}, expected at least 2: a hybrid combines two images")
    height, width = images.shape[-2:]
    mask = masks(len(images), height, width, blurs, generator).to(images)
    return torch.lerp(images.roll(1, 0), images, mask)
