"""Forward-Forward on a stack of dense layers, with labels in the input.

The algorithm of one batch is `nets.feedforward.FeedForward.learn`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from twofold import defaults
from twofold.activations import ACTIVATIONS
from twofold.labels import FLAT, has_margin, inputs_with_label
from twofold.layers.boxes import boxes_for, boxes_in
from twofold.layers.dense import Dense, dense
from twofold.methods.boxes import BOX_METRICS, BoxedRecipe, BoxReads, bytes_of_boxes, with_boxes
from twofold.methods.cases import Cases
from twofold.methods.goodness import LabelMethod, LabelRecipe
from twofold.methods.memory import Sizes
from twofold.methods.method import Batch, Form, Names, StoreLayers, image_form, image_shape
from twofold.methods.recipe import setting
from twofold.methods.sampler import Sampler
from twofold.nets.classifier import NetResult
from twofold.nets.feedforward import FeedForward
from twofold.normalize import NORMALIZE
from twofold.substrate import PRESETS, installed


@dataclass(frozen=True, kw_only=True)
class FeedForwardRecipe(LabelRecipe, BoxedRecipe):
    """Forward-Forward on a stack of dense layers."""

    label_in: str = setting(defaults.LABEL_IN, names=FLAT, of_net=True)
    """Position of the label (one-hot) in the input: overlay (in place of the first pixels) or prepend (before them)."""
    counted_from: int = setting(defaults.READ_FROM, of_net=True)
    """First layer whose goodness and activations the tests use, counted from 1. All layers above it are also used.
    In a net with a single layer, that layer is always used."""
    layer_by_layer: bool = setting(False)
    """Train the layers one after another, each for an equal share of the epochs, instead of together."""
    normalize: str = setting("length", names=NORMALIZE, of_net=True)
    """Normalization of the output of a layer: length (divide by its root mean square) or none (for an ablation)."""
    substrate: str = setting("ideal", names=PRESETS, of_net=True, added="ideal")
    """Hardware that stores the weights: ideal (digital), or a simulated analog device: bench, reram, pcm, ecram,
    capacitor or rpu."""
    device_seed: int = setting(0, of_net=True, added=0)
    """Random seed of the analog devices and their noise. Each seed is a different piece of hardware."""
    unit: str = setting("relu", names=ACTIVATIONS, of_net=True, added="relu")
    """Activation function: relu, leaky_relu, gelu, tanh or threshold."""
    input_start: float = setting(1.0, least=0, of_net=True, usual=10.0, added=1.0)
    """Size of the initial weights of the first layer, relative to 1 / √inputs."""

    method: ClassVar[str] = "forward-forward"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._expect_layer("counted_from", self.counted_from)

    def for_cases(self, images: Tensor, classes: int) -> Self:
        """Return a copy of the recipe that inserts the label before the pixels if an image has nonzero first pixels.

        If the first pixels of all images are 0, the label can replace these pixels.
        """
        recipe = super().for_cases(images, classes)
        return recipe if has_margin(images.flatten(1), classes) else replace(recipe, label_in="prepend")


def _started(layers: Iterable[Dense], start: float) -> Iterator[Dense]:
    """Multiply the initial weights of the first layer by ``start``, and yield all layers."""
    for number, layer in enumerate(layers):
        if number == 0:
            with torch.no_grad():
                layer.weight.mul_(start)
        yield layer


class ForwardForward(LabelMethod[FeedForwardRecipe, FeedForward]):
    """Forward-Forward training of a stack of dense layers."""

    recipe_type = FeedForwardRecipe
    offloads = True
    reported = BOX_METRICS

    def __init__(self, net: FeedForward, recipe: FeedForwardRecipe, data: Cases) -> None:
        super().__init__(net, recipe, data)
        self._box_reads = BoxReads(boxes_in(net), recipe.box_drift)

    @classmethod
    def build(cls, recipe: FeedForwardRecipe, form: Form, store: StoreLayers = list) -> FeedForward:
        shape, classes = image_form(form)
        generator = torch.Generator().manual_seed(recipe.seed)
        inputs = inputs_with_label(recipe.label_in, math.prod(shape), classes)
        layers = _started(dense(inputs, recipe.widths, recipe.rule(), generator), recipe.input_start)
        if recipe.substrate != "ideal":
            layers = installed(PRESETS[recipe.substrate], layers, recipe.device_seed)
        boxes = boxes_for(recipe.box, recipe.widths, recipe.seed)
        return FeedForward(
            with_boxes(store(layers), boxes),
            classes,
            label_in=recipe.label_in,
            label_strength=recipe.label_strength,
            counted_from=recipe.counted_from,
            softmax_decay=recipe.softmax_decay,
        )

    @classmethod
    def needed_memory(cls, recipe: FeedForwardRecipe, form: Form, precision: str, offload: bool) -> int:
        shape, classes = image_form(form)
        sizes = (math.prod(shape) + classes, *recipe.widths)
        analog = recipe.substrate != "ideal"
        memory = Sizes(sizes, (), recipe.batch, precision, analog=analog).of_a_stack(offload)
        return memory + bytes_of_boxes(recipe)

    @classmethod
    def draw(
        cls, net: FeedForward, recipe: FeedForwardRecipe, data: tuple[Tensor, ...], folder: Path, names: Names = ()
    ) -> list[Path]:
        """Plot what `LabelMethod.draw` plots, and the receptive fields of the first layer."""
        from twofold.plots.panels import receptive_fields

        shape, path = image_shape(data[0]), folder / "fields.png"
        labels = torch.arange(net.classes)
        return [
            *super().draw(net, recipe, data, folder, names),
            receptive_fields(net.stack[0].weights.to_matrix(), shape, labels, path, net.classes, names=names),
        ]

    def make_sampler(self, cases: int) -> Sampler:
        """Return a sampler with the settings of the recipe.

        If layers are trained one after another, every image is used in every epoch, since an image that is easy for one
        layer may be difficult for the next.
        """
        return Sampler(cases, self.generator) if self.recipe.layer_by_layer else super().make_sampler(cases)

    def step(self, batch: Batch, progress: float) -> NetResult:
        learning, progress = self._turn(progress)
        factor = self.set_rate(progress)
        with self._box_reads:
            return self._learn(batch, factor, negatives=self._negatives(batch), learning=learning)

    def metrics(self) -> dict[str, Any]:
        """Add the metric ``box_reads`` if the net has boxes."""
        return {**super().metrics(), **self._box_reads.metrics()}

    def _turn(self, progress: float) -> tuple[range, float]:
        """Return the indices of the layers to train, and the completed fraction of the training of these layers.

        Args:
            progress: completed fraction of the whole training run, in [0, 1].
        """
        count = len(self.net.layers)
        if not self.recipe.layer_by_layer:
            return range(count), progress
        turn = min(int(progress * count), count - 1)
        return range(turn, turn + 1), progress * count - turn
