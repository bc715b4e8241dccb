"""Label-free Forward-Forward: blocks of layers that learn from the goodness of every label in one forward pass.

The algorithm of one batch is `nets.label_free.LabelFree.learn`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from twofold import defaults
from twofold.activations import ACTIVATIONS
from twofold.layers.boxes import boxes_behind, boxes_for, boxes_in
from twofold.layers.dense import dense
from twofold.layers.local import local
from twofold.methods.boxes import BOX_METRICS, BoxedRecipe, BoxReads, bytes_of_boxes, with_boxes
from twofold.methods.cases import Cases
from twofold.methods.goodness import GoodnessMethod, GoodnessRecipe, draw_goodness
from twofold.methods.local_fields import draw_local_fields
from twofold.methods.memory import Sizes
from twofold.methods.method import Batch, Form, Names, StoreLayers, image_form, image_shape
from twofold.methods.recipe import PictureRecipe, setting
from twofold.nets.classifier import NetResult
from twofold.nets.label_free import LabelFree
from twofold.substrate import PRESETS, installed


@dataclass(frozen=True, kw_only=True)
class LabelFreeRecipe(GoodnessRecipe, BoxedRecipe, PictureRecipe):
    """Label-free Forward-Forward on a stack of blocks."""

    method: ClassVar[str] = "label-free"

    rate: float = defaults.LABEL_FREE_RATE
    decay: float = defaults.LABEL_FREE_DECAY
    peer: float = 0.0
    block_size: int = setting(1, least=1, of_net=True)
    """Number of layers that learn together, as a block. Derivatives do not leave a block.
    With 1, no derivative crosses a layer. With the number of layers, the whole net is one block."""
    counted_from: int = setting(1, least=1, of_net=True)
    """First block whose goodness the test uses, counted from 1. All blocks above it are also used."""
    label_strength: float = setting(1.0, above=0, of_net=True, usual=2.0)
    """Strength of the label in the top layer of each block, relative to its default."""
    substrate: str = setting("ideal", names=PRESETS, of_net=True)
    """Hardware that stores the weights: ideal (digital), or a simulated analog device: bench, reram, pcm, ecram,
    capacitor or rpu."""
    device_seed: int = setting(0, of_net=True)
    """Random seed of the analog devices and their noise. Each seed is a different piece of hardware."""
    unit: str = setting("relu", names=ACTIVATIONS, of_net=True)
    """Activation function: relu, leaky_relu, gelu, tanh or threshold."""

    def __post_init__(self) -> None:
        super().__post_init__()
        blocks = math.ceil(len(self.widths) / self.block_size)
        self._expect(self.block_size <= len(self.widths), "block_size", self.block_size, f"at most {len(self.widths)}")
        self._expect(self.counted_from <= blocks, "counted_from", self.counted_from, f"at most {blocks} (blocks)")
        if self.substrate != "ideal":
            self._expect(self.block_size == 1, "block_size", self.block_size, "1 on a substrate: no known derivative")
        inside = [number for number in boxes_behind(self.box, self.widths) if number % self.block_size]
        self._expect(not inside, "block_size", self.block_size, "1 or 2 with --box: no box may be inside a block")


class LabelFreeTraining(GoodnessMethod[LabelFreeRecipe, LabelFree]):
    """Training of blocks of layers from the goodness of every label."""

    recipe_type = LabelFreeRecipe
    offloads = True
    reported = BOX_METRICS

    def __init__(self, net: LabelFree, recipe: LabelFreeRecipe, data: Cases) -> None:
        super().__init__(net, recipe, data)
        self._box_reads = BoxReads(boxes_in(net), recipe.box_drift)

    @classmethod
    def build(cls, recipe: LabelFreeRecipe, form: Form, store: StoreLayers = list) -> LabelFree:
        shape, classes = image_form(form)
        generator = torch.Generator().manual_seed(recipe.seed)
        maps, rule = recipe.maps(shape), recipe.rule()
        layers: Any = local(maps, rule, generator) if maps else dense(math.prod(shape), recipe.widths, rule, generator)
        if recipe.substrate != "ideal":
            layers = installed(PRESETS[recipe.substrate], layers, recipe.device_seed)
        return LabelFree(
            with_boxes(store(layers), boxes_for(recipe.box, recipe.widths, recipe.seed)),
            classes,
            block_size=recipe.block_size,
            counted_from=recipe.counted_from,
            label_strength=recipe.label_strength,
            center=recipe.center,
            generator=generator,
        )

    @classmethod
    def needed_memory(cls, recipe: LabelFreeRecipe, form: Form, precision: str, offload: bool) -> int:
        shape, classes = image_form(form)
        sizes = (math.prod(shape), *recipe.widths)
        analog = recipe.substrate != "ideal"
        memory = Sizes(sizes, recipe.maps(shape), recipe.batch, precision, analog=analog).of_a_stack(offload)
        return memory + 12 * classes * sum(recipe.widths) + bytes_of_boxes(recipe)

    @classmethod
    def defaults(cls, net: LabelFree) -> dict[str, Any]:
        return {**super().defaults(net), "block_size": net.block_size}

    @classmethod
    def draw(
        cls, net: LabelFree, recipe: LabelFreeRecipe, data: tuple[Tensor, ...], folder: Path, names: Names = ()
    ) -> list[Path]:
        """Plot the goodness in each block, the worst mistakes, and local receptive fields of the first layer."""
        first: Any = net.stack[0].stack[0]
        return [
            *draw_goodness(net, data, folder, names),
            *draw_local_fields(first.bottom_up, image_shape(data[0]), folder),
        ]

    def step(self, batch: Batch, progress: float) -> NetResult:
        self.set_rate(progress)
        with self._box_reads:
            result = self.net.learn(batch.images, batch.labels, rate=self.rate, case_weight=batch.case_weight)
        return self._record(batch, result)

    def metrics(self) -> dict[str, Any]:
        """Add the metric ``box_reads`` if the net has boxes."""
        return {**super().metrics(), **self._box_reads.metrics()}
