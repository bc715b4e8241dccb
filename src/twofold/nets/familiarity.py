"""How much a case looks like what a net was trained on, told by its goodness."""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Tensor

from twofold.nets.classifier import Classifier, GoodnessClassifier


@singledispatch
def familiarity(net: Classifier, images: Tensor) -> Tensor:
    """How much each image looks like the training data, ``(images,)``: the higher, the more; at most 0.

    With goodness g of label l, summed over all layers, and T the sum of their temperatures, it is
    log max over l of softmax(g / T): what looks like no class raises the goodness of no label much above that of the
    others. A net without goodness answers with the same of the logits of its softmax.

    Args:
        net: was trained.
        images: ``(images, ...)``, on its device.

    Raises:
        DataError: images that the net was not built for.
    """
    return net.scores(images)["fast"].log_softmax(1).amax(1)


@familiarity.register
@torch.no_grad()
def _by_goodness(net: GoodnessClassifier, images: Tensor) -> Tensor:
    goodness = net.goodness(images, net.every_label(images)).sum(2)
    temperature: float = sum(layer.temperature for layer in net.stack)
    return (goodness / temperature).log_softmax(1).amax(1)


@torch.no_grad()
def evidence(net: GoodnessClassifier, images: Tensor) -> Tensor:
    """Total goodness of each label in the slow test, in units of the temperature, ``(images, classes)``: its softmax
    gives probabilities."""
    temperature: float = sum(layer.temperature for layer in net.stack[net.read.start :])
    return net.slow(images) / temperature
