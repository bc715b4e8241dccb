"""The tests of a net on a set of images: errors, and what each costs in forward passes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from twofold.nets.backprop import Backprop
from twofold.nets.classifier import ReadBySoftmax, TaughtByGoodness, joint

SHORTLIST = 3
"""Labels that the fast test hands to the slow one, where there are about ten."""


@dataclass(frozen=True)
class Tested:
    """What the tests say of every image, and how often they are wrong.

    Attributes:
        error: test -> share of images named wrongly.
        passes_per_image: test -> forward passes for one image.
        layer_error: the error of each single layer's goodness, from the first layer upwards.
        named: test -> the label that it names, ``(images,)``.
        goodness: of each label and layer, ``(images, classes, layers)``; ``None`` where no label has one.
    """

    error: dict[str, float]
    passes_per_image: dict[str, int]
    layer_error: list[float]
    named: dict[str, Tensor]
    goodness: Tensor | None


def test(net: ReadBySoftmax | Backprop, images: Tensor, labels: Tensor, shortlist: int = SHORTLIST) -> Tested:
    """What the softmaxes of a net read, and where goodness judges labels, the slow test, the shortlist and both.

    Args:
        net: the network, on the device of the images.
        images: ``(images, ...)``.
        labels: the true ones, ``(images,)``.
        shortlist: labels that the fast test hands to the slow one.
    """

    def share_wrong(named: Tensor) -> float:
        return (named != labels).float().mean().item()

    readings = {"fast": net.fast(images)} if isinstance(net, Backprop) else net.readings(images)
    read = {name: logits.argmax(1) for name, logits in readings.items()}
    if not isinstance(net, TaughtByGoodness):
        return Tested({name: share_wrong(answer) for name, answer in read.items()}, {"fast": 1}, [], read, None)

    goodness = net.goodness(images, net.every_label(images))
    total = net.total(goodness)
    candidates = readings["fast"].topk(min(shortlist, net.classes), dim=1).indices
    best = total.gather(1, candidates).argmax(1, keepdim=True)
    named = {"slow": total.argmax(1), **read, "shortlist": candidates.gather(1, best)[:, 0]}
    named["both"] = joint(total, readings["fast"]).argmax(1)
    return Tested(
        error={name: share_wrong(answer) for name, answer in named.items()},
        passes_per_image=net.passes(shortlist),
        layer_error=[share_wrong(goodness[:, :, index].argmax(1)) for index in range(goodness.shape[2])],
        named=named,
        goodness=goodness,
    )
