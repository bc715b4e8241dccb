"""Outputs of a stack of layers, and the features that a softmax reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from twofold.errors import DataError, SettingError
from twofold.layers.black_box import BlackBox
from twofold.layers.inputs import LayerInput
from twofold.layers.layer import FeedForwardLayer
from twofold.nets.net import testing
from twofold.normalize import normalize


def outputs(layers: Iterable[FeedForwardLayer], below: LayerInput) -> Iterator[tuple[FeedForwardLayer, Tensor, Tensor]]:
    """Yield each layer with its raw activity and its output, both ``(batch, ...)``, from the first layer upwards.

    Args:
        layers: The stack.
        below: The normalized input of the first layer.
    """
    for layer in layers:
        activity = layer(below)
        below = layer.output(activity)
        yield layer, activity, below


def normalized_outputs(layers: Iterable[FeedForwardLayer], below: LayerInput, read: range) -> Iterator[Tensor | None]:
    """Yield the normalized activity of each layer in a test, ``(batch, features)``, from the first layer upwards.

    Each is computed when it is requested. It is ``None`` for layers whose number is not in ``read``.
    """
    for number, layer in enumerate(layers):
        with testing(layer):
            activity = layer(below)
            below, features = layer.output(activity), None
            if number in read:
                normalized = below if layer.rule.normalize is normalize else normalize(layer.fixed(activity))
                features = normalized.flatten(1)
        yield features


def to_features(outputs: Iterable[Tensor | None]) -> Tensor:
    """Concatenate the outputs of layers, each ``(batch, units)``, in at least float32. Skip those that are ``None``."""
    features = torch.cat([output for output in outputs if output is not None], 1)
    return features.to(torch.promote_types(features.dtype, torch.float32))


def output_size(number: int, layer: FeedForwardLayer) -> int:
    """Return the number of outputs per case of a layer, the ``number``-th of a stack.

    Raises:
        SettingError: a `Fixed` part behind the layer does not take its activity.
    """
    if not len(layer.fixed):
        return layer.units
    if isinstance(layer.fixed[-1], BlackBox) and layer.fixed[-1].units:
        return layer.fixed[-1].units
    try:
        with testing(layer):
            return layer.output(torch.zeros(2, *layer.shape).to(layer.mean_activity))[0].numel()
    except (RuntimeError, ValueError, IndexError, DataError) as error:
        raise SettingError(
            f"layers: what is Fixed behind layer {number} does not take its activity, {layer.shape} "
            f"({str(error).strip().splitlines()[0]}): pass the output shape of a CustomLayer as its units"
        ) from error
