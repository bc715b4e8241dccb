"""Functions that run a stack of layers and collect the features for a softmax classifier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from twofold import defaults
from twofold.checks import convert
from twofold.checks.bounds import counts
from twofold.errors import DataError, SettingError
from twofold.layers.black_box import BlackBox
from twofold.layers.fixed import Fixed
from twofold.layers.inputs import LayerInput
from twofold.layers.layer import FeedForwardLayer
from twofold.nets.net import testing
from twofold.normalize import normalize


def outputs(layers: Iterable[FeedForwardLayer], below: LayerInput) -> Iterator[tuple[FeedForwardLayer, Tensor, Tensor]]:
    """Run a stack of layers; yield each layer with its activity and its normalized output, both ``(batch, ...)``.

    Args:
        layers: Layers, from the input upwards.
        below: Normalized input of the first layer.
    """
    for layer in layers:
        activity = layer(below)
        below = layer.output(activity)
        yield layer, activity, below


def normalized_outputs(layers: Iterable[FeedForwardLayer], below: LayerInput, read: range) -> Iterator[Tensor | None]:
    """Run a stack of layers in evaluation mode; yield the normalized activity of each layer, ``(batch, features)``.

    The layers run one by one, when the next item is requested.

    Args:
        layers: Layers, from the input upwards.
        below: Normalized input of the first layer.
        read: Numbers, counted from 0, of the layers whose activity is needed. For other layers, ``None`` is yielded.
    """
    for number, layer in enumerate(layers):
        with testing(layer):
            activity = layer(below)
            below, features = layer.output(activity), None
            if number in read:
                normalized = below if layer.rule.normalize is normalize else normalize(layer.fixed(activity))
                features = normalized.flatten(1)
        yield features


def stacked(layers: Iterable[FeedForwardLayer | Fixed | BlackBox]) -> tuple[list[FeedForwardLayer], list[int]]:
    """Return the layers of a net, and the number of outputs per case of each layer; see `output_size`.

    Args:
        layers: Layers, from the input upwards. A `Fixed` or `BlackBox` object is added to the layer before it.

    Raises:
        SettingError: There are no layers, or the number of inputs of a layer is not the number of outputs of the layer
            below.
    """
    stack: list[FeedForwardLayer] = []
    for member in convert("layers", list(layers), list[FeedForwardLayer | Fixed | BlackBox]):
        member._join(stack)
    if not stack:
        raise SettingError("layers is empty, expected at least one layer: give at least one width")
    handed_on = [output_size(number, layer) for number, layer in enumerate(stack, 1)]
    for number, (below, layer) in enumerate(zip(handed_on, stack[1:], strict=False), 2):
        if layer.inputs not in (None, below):
            raise SettingError(f"layers: layer {number} has {layer.inputs} inputs, but the layer below has {below}")
    return stack, handed_on


def counted(counted_from: int, layers: int) -> range:
    """Return the numbers, from 0, of the layers that a test uses: all from number ``counted_from``, counted from 1.

    Args:
        counted_from: Number of the first layer. In a net with a single layer, that layer is always used.
        layers: Number of layers.

    Raises:
        SettingError: There is no layer from ``counted_from`` upwards.
    """
    counts(counted_from=counted_from)
    last = max(layers, defaults.READ_FROM)  # the default is valid for a net with one layer, too
    if counted_from > last:
        raise SettingError(f"counted_from is {counted_from}, expected at most {last}: choose a lower layer")
    return range(min(counted_from, layers) - 1, layers)


def to_features(outputs: Iterable[Tensor | None]) -> Tensor:
    """Concatenate the outputs of layers, each ``(batch, units)``, in at least float32, skipping ``None``."""
    features = torch.cat([output for output in outputs if output is not None], 1)
    return features.to(torch.promote_types(features.dtype, torch.float32))


def output_size(number: int, layer: FeedForwardLayer) -> int:
    """Return the number of outputs per case of a layer, after all `Fixed` modules and black boxes behind the layer.

    Args:
        number: number of the layer, counted from 1, for error messages.
        layer: the layer.

    Raises:
        SettingError: a `Fixed` module does not accept the activity of the layer.
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
            f"layers: a Fixed module after layer {number} does not accept its activity of shape {layer.shape} "
            f"({str(error).strip().splitlines()[0]}): if it is a CustomLayer, give its output shape as units"
        ) from error
