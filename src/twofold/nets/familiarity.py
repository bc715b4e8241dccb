"""How much a case looks like what a net was trained on, told by its goodness."""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Tensor

from twofold.nets.classifier import Classifier, GoodnessClassifier


@singledispatch
def familiarity(net: Classifier, images: Tensor) -> Tensor:
    """How much each image looks like the training data, ``(images,)``: the higher, the more.

    A net whose layers have a goodness for each label answers with the share that its best label has of all: what looks
    like no class raises the goodness of no label above that of the others. The share is the logarithm of a softmax of
    total goodness at the layers' temperature. Any other net answers with the same of its softmax.

    Raises:
        DataError: images that the net was not built for.
    """
    return net.scores(images)["fast"].log_softmax(1).amax(1)


@familiarity.register
def _by_goodness(net: GoodnessClassifier, images: Tensor) -> Tensor:
    return evidence(net, images).log_softmax(1).amax(1)


@torch.no_grad()
def evidence(net: GoodnessClassifier, images: Tensor) -> Tensor:
    """Total goodness of the layers that are read, for each label, in units of their temperature, ``(images, classes)``:
    what the softmax of which is a probability."""
    return net.slow(images) / sum(layer.temperature for layer in net.stack[net.read.start :])
