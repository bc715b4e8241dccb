"""Forward-Forward on layers that settle: every layer learns from every iteration, one update a batch.

The algorithm of one batch is `nets.recurrent.Recurrent.learn`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from twofold import defaults
from twofold.labels import LABEL_TO
from twofold.layers.connectivity import Connectivity
from twofold.layers.fields import Fields
from twofold.layers.tiles import Tiled, top_down
from twofold.methods.goodness import LabelMethod, LabelRecipe, hardest
from twofold.methods.local_fields import draw_local_fields
from twofold.methods.memory import Sizes
from twofold.methods.method import Batch, Form, Names, StoreLayers, image_form, image_shape
from twofold.methods.recipe import PictureRecipe, setting
from twofold.nets.classifier import NetResult
from twofold.nets.recurrent import Recurrent

SETTLING = 500
"""Images over which the picture of settling takes its median."""


@dataclass(frozen=True, kw_only=True)
class RecurrentRecipe(LabelRecipe, PictureRecipe):
    """Forward-Forward on layers that settle, with the label at the top. Hard negatives are drawn from the bottom-up
    pass that starts them."""

    method: ClassVar[str] = "recurrent"

    damping: float = setting(defaults.DAMPING, least=0, below=1, of_net=True)
    """Share of its old state that a layer keeps at an iteration."""
    iterations: int = setting(defaults.ITERATIONS, least=1, of_net=True)
    """Iterations for each image."""
    learn_from: int = setting(1)
    """First iteration, from 1, from which gradients are gathered."""
    judge_from: int = setting(defaults.JUDGED[0], least=1, of_net=True)
    """First iteration whose goodness the slow test averages."""
    judge_to: int = setting(defaults.JUDGED[1], of_net=True)
    """Last iteration whose goodness the slow test averages."""
    neutral_every: int = setting(10, least=1)
    """Batches for each one that also settles under a neutral label, for the softmax that reads settled layers."""
    window: int = setting(defaults.ITERATIONS, least=1)
    """Iterations whose weight gradients are one product. It bounds memory and changes rounding alone."""
    top_down: bool = setting(True, of_net=True)
    """Connect layers to the layer above; units with fields see the units that see them.
    Without it only the top layer sees the label."""
    top_down_start: float = setting(defaults.TOP_DOWN_START, least=0, of_net=True, usual=10.0, added=1.0)
    """Size of the first weights to a layer above, relative to those of the other sources.
    With 0, top-down input is learned from nothing."""
    lateral: bool = setting(False, of_net=True)
    """Connect layers to themselves."""
    label_to: str = setting("top", names=LABEL_TO, of_net=True, added="top")
    """Layers that see the label: top (the last hidden layer) or all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        held = 1 <= self.learn_from <= self.iterations
        self._expect(held, "learn_from", self.learn_from, f"an iteration from 1 to {self.iterations}")
        held = self.judge_from <= self.judge_to <= self.iterations
        expected = f"an iteration from --judge-from, {self.judge_from}, to the last of --iterations, {self.iterations}"
        self._expect(held, "judge_to", self.judge_to, expected)


class RecurrentTraining(LabelMethod[RecurrentRecipe, Recurrent]):
    """All layers at the same time, iteration after iteration (talk 19:31, 24:03).

    No derivative crosses a layer or an iteration. Now and then a batch also settles under a neutral label, for the
    softmax that reads settled layers.
    """

    recipe_type = RecurrentRecipe

    @classmethod
    def build(cls, recipe: RecurrentRecipe, form: Form, store: StoreLayers = list) -> Recurrent:
        shape, classes = image_form(form)
        return Recurrent(
            math.prod(shape),
            recipe.widths,
            classes,
            recipe.rule(),
            damping=recipe.damping,
            iterations=recipe.iterations,
            judged=(recipe.judge_from, recipe.judge_to),
            label_strength=recipe.label_strength,
            top_down=recipe.top_down,
            top_down_start=recipe.top_down_start,
            lateral=recipe.lateral,
            label_to=recipe.label_to,
            center=recipe.center,
            connectivity=_both_ways(recipe.maps(shape)),
            softmax_decay=recipe.softmax_decay,
            generator=torch.Generator().manual_seed(recipe.seed),
        )

    @classmethod
    def needed_memory(cls, recipe: RecurrentRecipe, form: Form, precision: str, offload: bool) -> int:
        shape, classes = image_form(form)
        sizes = Sizes((math.prod(shape) + classes, *recipe.widths), recipe.maps(shape), recipe.batch, precision)
        steps = 4 * min(recipe.window, recipe.iterations) + 8
        return int(2 * sum(sizes.weights) * (1 + 2 * sizes.copied) + steps * sum(sizes.rows))

    @classmethod
    def draw(
        cls, net: Recurrent, recipe: RecurrentRecipe, data: tuple[Tensor, ...], folder: Path, names: Names = ()
    ) -> list[Path]:
        """Draw also how layers settle under right and wrong labels, and local fields of the first layer."""
        from twofold.plots.settling import settling

        images, labels = (part[:SETTLING] for part in data)
        pairs = torch.stack([labels, hardest(net.slow(images), labels)], 1)
        activity = net.mean_squares(net.images(images), pairs, net.iterations)
        return [
            *draw_local_fields(net.stack[0].bottom_up, image_shape(images), folder),
            *super().draw(net, recipe, data, folder, names),
            settling(activity[:, 0], activity[:, 1], net.judged, folder / "settling.png"),
        ]

    def step(self, batch: Batch, progress: float) -> NetResult:
        recipe, factor = self.recipe, self.set_rate(progress)
        result = self.net.learn(
            batch.images,
            batch.labels,
            rate=self.rate,
            softmax_rate=recipe.softmax_rate * factor,
            negatives=self._negatives(batch),
            case_weight=batch.case_weight,
            first=recipe.learn_from,
            window=recipe.window,
            settle=self.batches_seen % recipe.neutral_every == 0,
            generator=self.generator,
        )
        return self._record(batch, result)


def _both_ways(maps: list[Fields]) -> list[dict[str, Connectivity]]:
    """The connectivity of each layer to its neighbors: a unit sees its field below, and above the units in whose fields
    it lies."""
    above = [{"above": top_down(fields)} for fields in maps[1:]]
    return [{"below": Tiled(fields), **other} for fields, other in zip(maps, [*above, {}], strict=False)]
