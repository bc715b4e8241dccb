"""Forward-Forward on a stack of dense layers, with labels in the input.

The algorithm of one batch is `nets.feedforward.FeedForward.learn`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from twofold import defaults
from twofold.labels import FLAT, inputs_with_label
from twofold.layers.black_box import BlackBox
from twofold.layers.boxes import Box, boxes_for, boxes_in
from twofold.layers.dense import dense
from twofold.methods.boxes import BoxedRecipe, Reads, bytes_of_boxes
from twofold.methods.cases import Cases
from twofold.methods.goodness import LabelMethod, LabelRecipe
from twofold.methods.memory import Sizes
from twofold.methods.method import Batch, Form, Names, Place, image_form, image_shape
from twofold.methods.sampler import Sampler
from twofold.nets.classifier import NetResult
from twofold.nets.feedforward import FeedForward
from twofold.normalize import NORMALIZE
from twofold.substrate import PRESETS, installed
from twofold.units import UNITS


@dataclass(frozen=True, kw_only=True)
class FeedForwardRecipe(LabelRecipe, BoxedRecipe):
    """Forward-Forward on a stack of dense layers.

    Attributes:
        label_in: overlay (the label replaces the first pixels) or prepend (it comes in front of them).
        counted_from: first layer, from 1, whose goodness and activities the tests use. A single layer is used in any
            case.
        layer_by_layer: train one layer after the other, each for its share of the epochs, not all at every batch.
        normalize: what a layer passes on: length (activity at a fixed length) or none (raw activity, an ablation).
        substrate: the analog devices that hold the weights: the name of a preset, or ideal for the machine's numbers.
        device_seed: of the devices and their noise: one seed, one piece of hardware.
        unit: what becomes of a total input: relu, leaky_relu, gelu, tanh or threshold.
    """

    named: ClassVar[dict[str, Mapping[str, object]]] = (
        LabelRecipe.named
        | BoxedRecipe.named
        | {"label_in": FLAT, "normalize": NORMALIZE, "substrate": PRESETS, "unit": UNITS}
    )

    label_in: str
    counted_from: int
    layer_by_layer: bool
    normalize: str
    substrate: str
    device_seed: int
    unit: str

    method: ClassVar[str] = "forward-forward"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._expect_layer("counted_from", self.counted_from)


def _with_boxes(layers: Iterable[Any], boxes: Mapping[int, Box]) -> Iterator[Any]:
    """Layers, each with the box that stands behind it."""
    for number, layer in enumerate(layers, 1):
        yield layer
        if number in boxes:
            yield BlackBox(boxes[number], units=len(boxes[number].matrix))


class ForwardForward(LabelMethod[FeedForwardRecipe, FeedForward]):
    """Layer after layer, from the bottom up."""

    recipe_type = FeedForwardRecipe
    offloads = True
    of_the_net = LabelMethod.of_the_net | {
        *("label_in", "normalize", "substrate", "device_seed", "unit", "box", "box_drift"),
    }

    def __init__(self, net: FeedForward, recipe: FeedForwardRecipe, data: Cases) -> None:
        super().__init__(net, recipe, data)
        self._reads = Reads(boxes_in(net), recipe.box_drift)

    @classmethod
    def build(cls, recipe: FeedForwardRecipe, form: Form, place: Place = list) -> FeedForward:
        shape, classes = image_form(form)
        generator = torch.Generator().manual_seed(recipe.seed)
        inputs = inputs_with_label(recipe.label_in, math.prod(shape), classes)
        rule = replace(recipe.rule(), normalize=NORMALIZE[recipe.normalize], unit=UNITS[recipe.unit])
        layers = dense(inputs, recipe.widths, rule, generator)
        if recipe.substrate != "ideal":
            layers = installed(PRESETS[recipe.substrate], layers, recipe.device_seed)
        boxes = boxes_for(recipe.box, recipe.widths, recipe.seed)
        return FeedForward(
            _with_boxes(place(layers), boxes),
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
    def defaults(cls, net: FeedForward) -> dict[str, Any]:
        return {
            **super().defaults(net),
            "label_in": defaults.LABEL_IN,
            "counted_from": defaults.READ_FROM,
            "layer_by_layer": False,
            "normalize": "length",
            "substrate": "ideal",
            "device_seed": 0,
            "unit": "relu",
        }

    @classmethod
    def draw(
        cls, net: FeedForward, recipe: FeedForwardRecipe, data: tuple[Tensor, ...], folder: Path, names: Names = ()
    ) -> list[Path]:
        """Draw also the receptive fields of the first layer."""
        from twofold.plots.panels import receptive_fields

        shape, path = image_shape(data[0]), folder / "fields.png"
        labels = torch.arange(net.classes)
        return [
            *super().draw(net, recipe, data, folder, names),
            receptive_fields(net.stack[0].weights.to_matrix(), shape, labels, path, net.classes, names=names),
        ]

    def make_sampler(self, cases: int) -> Sampler:
        """Make a sampler; where layers learn one after the other it leaves no image out, since an image that was easy
        for one layer may be difficult for the next."""
        return Sampler(cases, self.generator) if self.recipe.layer_by_layer else super().make_sampler(cases)

    def step(self, batch: Batch, progress: float) -> NetResult:
        recipe = self.recipe
        learning, progress = self._turn(progress)
        factor = self.set_rate(progress)
        with self._reads:
            result = self.net.learn(
                batch.images,
                batch.labels,
                rate=self.rate,
                softmax_rate=recipe.softmax_rate * factor,
                negatives=self._negatives(batch),
                weight=batch.weight,
                learning=learning,
                generator=self.generator,
            )
        return self._record(batch, result)

    def metrics(self) -> dict[str, Any]:
        """Add ``box_reads`` where there are boxes."""
        return {**super().metrics(), **self._reads.metrics()}

    def _turn(self, progress: float) -> tuple[range, float]:
        """The layers that learn now, and the progress of their training."""
        count = len(self.net.layers)
        if not self.recipe.layer_by_layer:
            return range(count), progress
        turn = min(int(progress * count), count - 1)
        return range(turn, turn + 1), progress * count - turn
