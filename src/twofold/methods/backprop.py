"""The twin: the same layers and a softmax on top, trained by backpropagation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from twofold import defaults
from twofold.layers.tiles import Tiled
from twofold.learning import Rule
from twofold.machine.reduce import mean_over_cases
from twofold.methods.cases import Cases
from twofold.methods.local_fields import draw_local_fields
from twofold.methods.memory import Sizes
from twofold.methods.method import Batch, Form, ImageMethod, Names, Place, image_form, image_shape
from twofold.methods.recipe import PictureRecipe
from twofold.nets.backprop import Backprop
from twofold.nets.classifier import NetResult


@dataclass(frozen=True, kw_only=True)
class BackpropRecipe(PictureRecipe):
    """The twin: the same layers and a softmax on top, trained by backpropagation."""

    method: ClassVar[str] = "backprop"

    rate: float = defaults.TWIN_RATE
    decay: float = defaults.TWIN_DECAY

    def _step(self) -> float:
        return self.rate / (1 - self.smoothing)


class Backpropagation(ImageMethod[BackpropRecipe, Backprop]):
    """Cross-entropy, stochastic gradient descent with momentum."""

    recipe_type: ClassVar[type[BackpropRecipe]] = BackpropRecipe

    def __init__(self, net: Backprop, recipe: BackpropRecipe, data: Cases) -> None:
        super().__init__(net, recipe, data)
        self._losses: list[Tensor] = []
        self._rule = Rule(smoothing=recipe.smoothing, decay=recipe.decay)

    @classmethod
    def build(cls, recipe: BackpropRecipe, form: Form, place: Place = list) -> Backprop:
        shape, classes = image_form(form)
        generator = torch.Generator().manual_seed(recipe.seed)
        connectivity = [Tiled(fields) for fields in recipe.maps(shape)]
        pixels, center = math.prod(shape), recipe.center
        return Backprop(pixels, recipe.widths, classes, generator, connectivity=connectivity, center=center)

    @classmethod
    def needed_memory(cls, recipe: BackpropRecipe, form: Form, precision: str, offload: bool) -> int:
        shape, classes = image_form(form)
        sizes = Sizes((math.prod(shape) + classes, *recipe.widths), recipe.maps(shape), recipe.batch, precision)
        return int(sum(sizes.weights) * (1 + 2 * sizes.copied) + 2 * sum(sizes.rows))

    @classmethod
    def draw(
        cls, net: Backprop, recipe: BackpropRecipe, data: tuple[Tensor, ...], folder: Path, names: Names = ()
    ) -> list[Path]:
        """Local fields of the first layer, where there are some."""
        return draw_local_fields(net.stack[0].bottom_up, image_shape(data[0]), folder)

    def step(self, batch: Batch, progress: float) -> NetResult:
        self.set_rate(progress)
        result = self._learn(batch)
        self._losses.append(cross_entropy(result.logits, batch.labels))
        self._note(batch, result.logits)
        return result

    def _learn(self, batch: Batch) -> NetResult:
        return self.net.learn(batch.images, batch.labels, rate=self.rate, weight=batch.weight, rule=self._rule)

    def check(self) -> None:
        if self._losses and not self._losses[-1].isfinite():
            raise self.diverged("the loss")

    def metrics(self) -> dict[str, Any]:
        """Add ``loss``: the mean cross-entropy."""
        loss = mean_over_cases(torch.stack(self._losses)).item() if self._losses else None
        self._losses.clear()
        return {**super().metrics(), "loss": loss}
