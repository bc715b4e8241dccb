"""Forward-Forward without labels: images are positive data, hybrids of two images negative data (paper section 3.1).

The algorithm of one batch is `nets.unsupervised.Unsupervised.learn`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from twofold import defaults
from twofold.activations import ACTIVATIONS
from twofold.errors import DataError, SettingError
from twofold.layers.dense import dense
from twofold.layers.local import local
from twofold.methods.cases import Cases
from twofold.methods.goodness import PairMethod, PairRecipe
from twofold.methods.local_fields import draw_local_fields
from twofold.methods.memory import Sizes
from twofold.methods.method import Batch, Form, Names, StoreLayers, image_form, image_shape
from twofold.methods.recipe import PictureRecipe, setting
from twofold.negatives import hybrids, masks
from twofold.nets.classifier import NetResult
from twofold.nets.unsupervised import Unsupervised

HYBRIDS = 8
"""Number of hybrids in the plot."""


@dataclass(frozen=True, kw_only=True)
class UnsupervisedRecipe(PairRecipe, PictureRecipe):
    """Forward-Forward without labels, with hybrids of two images as negative data."""

    method: ClassVar[str] = "unsupervised"

    blurs: int = setting(defaults.BLURS, least=0)
    """Number of times that the random mask of a hybrid image is blurred. More blurs make larger patches."""
    counted_from: int = setting(defaults.READ_FROM, of_net=True)
    """First layer whose activations the softmax classifier uses, counted from 1. All layers above it are also used.
    In a net with a single layer, that layer is always used."""
    unit: str = setting("relu", names=ACTIVATIONS, of_net=True, added="relu")
    """Activation function: relu, leaky_relu, gelu, tanh or threshold."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._expect(self.batch >= 2, "batch", self.batch, "at least 2: a hybrid is made of two images")
        self._expect_layer("counted_from", self.counted_from)


class Hybrids(PairMethod[UnsupervisedRecipe, Unsupervised]):
    """Training without labels, with images as positive data and hybrids of two images as negative data."""

    recipe_type = UnsupervisedRecipe
    offloads = True

    def __init__(self, net: Unsupervised, recipe: UnsupervisedRecipe, data: Cases) -> None:
        super().__init__(net, recipe, data)
        if len(data) < 2:
            raise DataError("got 1 training image, expected at least 2: a hybrid is made of two images")
        side = max(image_shape(data.example[0])[1:])
        if recipe.blurs >= 2 * side**2:  # the standard deviation of the blurs is √(blurs / 2) pixels
            raise SettingError(
                f"--blurs is {recipe.blurs}, expected less than {2 * side**2}: patches would be larger than the images"
            )

    @classmethod
    def build(cls, recipe: UnsupervisedRecipe, form: Form, store: StoreLayers = list) -> Unsupervised:
        shape, classes = image_form(form)
        generator = torch.Generator().manual_seed(recipe.seed)
        maps, rule = recipe.maps(shape), recipe.rule()
        layers = local(maps, rule, generator) if maps else dense(math.prod(shape), recipe.widths, rule, generator)
        return Unsupervised(
            store(layers),
            classes,
            counted_from=recipe.counted_from,
            center=recipe.center,
            softmax_decay=recipe.softmax_decay,
        )

    @classmethod
    def needed_memory(cls, recipe: UnsupervisedRecipe, form: Form, precision: str, offload: bool) -> int:
        shape, classes = image_form(form)
        sizes = (math.prod(shape) + classes, *recipe.widths)
        return Sizes(sizes, recipe.maps(shape), recipe.batch, precision).of_a_stack(offload)

    @classmethod
    def draw(
        cls, net: Unsupervised, recipe: UnsupervisedRecipe, data: tuple[Tensor, ...], folder: Path, names: Names = ()
    ) -> list[Path]:
        """Plot some images with their hybrids, and the receptive fields of the first layer."""
        from twofold.plots.hybrids import hybrids_shown

        images = data[0][:HYBRIDS]
        seeds = (torch.Generator(images.device).manual_seed(recipe.seed) for _ in range(2))
        _, height, width = image_shape(images)
        patches = masks(len(images), height, width, recipe.blurs, next(seeds))
        shown = images, images.roll(1, 0), patches, hybrids(images, recipe.blurs, next(seeds))
        return [
            hybrids_shown(*shown, folder / "hybrids.png"),
            *draw_local_fields(net.stack[0].bottom_up, image_shape(data[0]), folder),
        ]

    def batch(self, cases: Tensor, case_weight: Tensor) -> Batch:
        """Return a batch for `step`; see `Method.batch`.

        If the batch has only one image, a second image with weight 0 is added, since a hybrid is made of two images.
        """
        if len(cases) == 1:
            count = len(self.data)
            offset = torch.randint(1, count, (1,), generator=self.generator, device=cases.device)
            cases, case_weight = (
                torch.cat([cases, (cases + offset) % count]),
                torch.cat([2 * case_weight, 0 * case_weight]),
            )
        return super().batch(cases, case_weight)

    def step(self, batch: Batch, progress: float) -> NetResult:
        return self._learn(batch, self.set_rate(progress), blurs=self.recipe.blurs)
