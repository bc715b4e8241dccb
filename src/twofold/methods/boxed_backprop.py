"""Backpropagation through black boxes: the baselines of the claim that Forward-Forward does not mind them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from twofold.layers.boxes import boxes_for, boxes_in
from twofold.layers.tiles import Tiled
from twofold.methods.backprop import Backpropagation, BackpropRecipe
from twofold.methods.boxes import BoxedRecipe, Reads, bytes_of_boxes
from twofold.methods.cases import Cases
from twofold.methods.method import Batch, Form, Place, image_form
from twofold.methods.recipe import setting
from twofold.nets.boxed_backprop import BoxedBackprop
from twofold.nets.classifier import NetResult
from twofold.nets.crossings import GRADIENTS


@dataclass(frozen=True, kw_only=True)
class BoxedBackpropRecipe(BackpropRecipe, BoxedRecipe):
    """Backpropagation through layers with black boxes between them."""

    gradient: str = setting("stop", names=GRADIENTS, of_net=True)
    """Gradient through a box: known, chip_in_the_loop, straight_through, stop, local, spsa, surrogate,
    feedback_alignment or direct_feedback_alignment."""

    method: ClassVar[str] = "boxed-backprop"


class BoxedBackpropagation(Backpropagation):
    """As the twin learns; a box is crossed as the recipe says."""

    net: BoxedBackprop
    recipe: BoxedBackpropRecipe
    recipe_type = BoxedBackpropRecipe

    def __init__(self, net: BoxedBackprop, recipe: BoxedBackpropRecipe, data: Cases) -> None:
        super().__init__(net, recipe, data)
        self._reads = Reads(boxes_in(net), recipe.box_drift)

    @classmethod
    def build(cls, recipe: Any, form: Form, place: Place = list) -> BoxedBackprop:
        shape, classes = image_form(form)
        return BoxedBackprop(
            math.prod(shape),
            recipe.widths,
            classes,
            torch.Generator().manual_seed(recipe.seed),
            boxes=boxes_for(recipe.box, recipe.widths, recipe.seed),
            gradient=recipe.gradient,
            connectivity=[Tiled(fields) for fields in recipe.maps(shape)],
            center=recipe.center,
        )

    @classmethod
    def needed_memory(cls, recipe: Any, form: Form, precision: str, offload: bool) -> int:
        return super().needed_memory(recipe, form, precision, offload) + 8 * bytes_of_boxes(recipe)

    def _learn(self, batch: Batch) -> NetResult:
        with self._reads:
            return self.net.learn(
                batch.images,
                batch.labels,
                rate=self.rate,
                weight=batch.weight,
                rule=self._rule,
                generator=self.generator,
            )

    def metrics(self) -> dict[str, Any]:
        """Add ``box_reads``."""
        return {**super().metrics(), **self._reads.metrics()}
