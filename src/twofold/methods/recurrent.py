"""Forward-Forward on recurrent layers that settle over several iterations.

Every layer learns from every iteration, with one weight update per batch.

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
"""Number of images for the plot of settling, which shows the median over the images."""


@dataclass(frozen=True, kw_only=True)
class RecurrentRecipe(LabelRecipe, PictureRecipe):
    """Forward-Forward on recurrent layers that settle, with the label at the top.

    Hard negatives are drawn from the bottom-up pass that initializes the states.
    """

    method: ClassVar[str] = "recurrent"

    damping: float = setting(defaults.DAMPING, least=0, below=1, of_net=True)
    """Damping of the states: a layer keeps this share of its previous state at each iteration, in [0, 1)."""
    iterations: int = setting(defaults.ITERATIONS, least=1, of_net=True)
    """Number of iterations per image."""
    learn_from: int = setting(1)
    """First iteration that contributes to the weight gradients, counted from 1."""
    judge_from: int = setting(defaults.JUDGED[0], least=1, of_net=True)
    """First of the iterations over which the slow test averages the goodness, counted from 1."""
    judge_to: int = setting(defaults.JUDGED[1], of_net=True)
    """Last of the iterations over which the slow test averages the goodness."""
    neutral_every: int = setting(10, least=1)
    """Interval, in batches, at which the layers also settle under a neutral label (all classes equal).
    The softmax classifier is then trained on the settled layers, for the settled test."""
    window: int = setting(defaults.ITERATIONS, least=1)
    """Number of iterations whose weight gradients are computed in one matrix product. Smaller values save memory.
    Results differ only by rounding."""
    top_down: bool = setting(True, of_net=True)
    """Top-down connections: each layer also receives the activity of the layer above.
    With --no-top-down and --label-to top, only the last layer depends on the label.
    With receptive fields, a unit receives input from those units above whose fields contain it."""
    top_down_start: float = setting(defaults.TOP_DOWN_START, least=0, of_net=True, usual=10.0, added=1.0)
    """Scale of the initial top-down weights relative to the other initial weights; with 0, they start at 0."""
    lateral: bool = setting(False, of_net=True)
    """Lateral connections: each layer also receives its own previous activity."""
    label_to: str = setting("top", names=LABEL_TO, of_net=True, added="top")
    """Layers that receive the label: top (the last hidden layer) or all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        valid = 1 <= self.learn_from <= self.iterations
        self._expect(valid, "learn_from", self.learn_from, f"an iteration from 1 to {self.iterations}")
        valid = self.judge_from <= self.judge_to <= self.iterations
        expected = f"an iteration from {self.judge_from} (--judge-from) to {self.iterations} (--iterations)"
        self._expect(valid, "judge_to", self.judge_to, expected)


class RecurrentTraining(LabelMethod[RecurrentRecipe, Recurrent]):
    """Forward-Forward training of recurrent layers, at each iteration (talk 19:31, 24:03).

    Gradients are not propagated through layers or iterations. Every `RecurrentRecipe.neutral_every` batches, the layers
    also settle under a neutral label, to train the softmax on settled layers.
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
        """Plot what `LabelMethod.draw` plots, the activity of each layer by iteration, and local receptive fields.

        The activity is plotted for the true label and for the best wrong label. Receptive fields are
        plotted for the first layer only.
        """
        from twofold.plots.settling import settling

        images, labels = (tensor[:SETTLING] for tensor in data)
        pairs = torch.stack([labels, hardest(net.slow(images), labels)], 1)
        frame, iterations = net.images(images), net.iterations
        activity = net.trace(frame, pairs, iterations, lambda layer: layer.active.float().square().mean(1))
        return [
            *draw_local_fields(net.stack[0].bottom_up, image_shape(images), folder),
            *super().draw(net, recipe, data, folder, names),
            settling(activity[:, 0], activity[:, 1], net.judged, folder / "settling.png"),
        ]

    def step(self, batch: Batch, progress: float) -> NetResult:
        recipe = self.recipe
        return self._learn(
            batch,
            self.set_rate(progress),
            negatives=self._negatives(batch),
            first=recipe.learn_from,
            window=recipe.window,
            settle=self.batches_seen % recipe.neutral_every == 0,
        )


def _both_ways(maps: list[Fields]) -> list[dict[str, Connectivity]]:
    """Return the connectivity of each layer, as a dict with ``below`` and, except for the last layer, ``above``.

    A unit is connected to its receptive field in the layer below, and to the units above whose fields contain it.

    Args:
        maps: receptive fields of each layer, from the bottom up.
    """
    above = [{"above": top_down(fields)} for fields in maps[1:]]
    return [{"below": Tiled(fields), **upper} for fields, upper in zip(maps, [*above, {}], strict=False)]
