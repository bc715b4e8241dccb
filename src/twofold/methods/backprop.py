"""Backpropagation, for the backprop twin of a recipe: a net with the same layers and a softmax on top."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from twofold import defaults
from twofold.layers.boxes import boxes_for, boxes_in
from twofold.layers.tiles import Tiled
from twofold.learning import Rule
from twofold.machine.reduce import mean_over_cases
from twofold.methods.boxes import BOX_METRICS, BoxedRecipe, BoxReads, bytes_of_boxes
from twofold.methods.cases import Cases
from twofold.methods.local_fields import draw_local_fields
from twofold.methods.memory import Sizes
from twofold.methods.method import Batch, Form, ImageMethod, Names, StoreLayers, image_form, image_shape
from twofold.methods.metrics import Metric, number
from twofold.methods.recipe import PictureRecipe, setting
from twofold.nets.affine import DERIVATIVES
from twofold.nets.backprop import READOUTS, Backprop
from twofold.nets.classifier import NetResult
from twofold.nets.crossings import GRADIENTS
from twofold.substrate import PRESETS, Substrate


@dataclass(frozen=True, kw_only=True)
class BackpropRecipe(BoxedRecipe, PictureRecipe):
    """The backprop twin of a recipe: a net with the same layers and a softmax on top, trained by backpropagation."""

    method: ClassVar[str] = "backprop"
    former_methods: ClassVar[tuple[str, ...]] = ("boxed-backprop",)

    rate: float = defaults.TWIN_RATE
    decay: float = defaults.TWIN_DECAY
    readout: str = setting("top", names=dict.fromkeys(READOUTS), of_net=True, added="top")
    """Softmax classifiers whose loss trains the net: top (one on the last layer), layer or block (one on each).
    Blocks end at black boxes and after --block-size layers. Between these layers or blocks, no gradient passes."""
    block_size: int = setting(0, least=0, of_net=True, added=0)
    """Number of layers in a block, with --readout block; 0 for blocks that end only at black boxes."""
    gradient: str = setting("straight_through", names=GRADIENTS, of_net=True, added="straight_through")
    """Gradient estimator for black boxes, used with --readout top:
    known, chip_in_the_loop, straight_through, stop, spsa, surrogate, feedback_alignment or
    direct_feedback_alignment."""
    substrate: str = setting("ideal", names=PRESETS, of_net=True, added="ideal")
    """Hardware for the weights of the hidden layers: ideal (digital), or a simulated analog device: bench, reram,
    pcm, ecram, capacitor or rpu."""
    device_seed: int = setting(0, of_net=True, added=0)
    """Random seed of the analog devices and their noise. Each seed is a different piece of hardware."""
    derivative: str = setting("ideal", names=dict.fromkeys(DERIVATIVES), of_net=True, added="ideal")
    """Weights that the backward pass uses, for analog hardware: ideal (the weights that were programmed),
    known (the true weights of the devices, which real hardware does not reveal) or feedback (fixed random weights)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.box == "none":
            blocks = self.readout != "block" or self.block_size
            self._expect(bool(blocks), "readout", self.readout, "top or layer without --box and --block-size")
        for name in ("substrate", "derivative") if self.field_sizes else ():
            self._expect(getattr(self, name) == "ideal", name, getattr(self, name), "ideal if --field-sizes is given")

    @classmethod
    def upgraded(cls, settings: dict[str, Any]) -> dict[str, Any]:
        if settings.get("gradient") == "local":  # before readouts had names
            return {**settings, "gradient": "straight_through", "readout": "block"}
        return settings

    @property
    def devices(self) -> Substrate | None:
        """The simulated analog hardware that stores the weights, or ``None`` for digital weights."""
        plain = self.substrate == self.derivative == "ideal"
        return None if plain else PRESETS[self.substrate]

    def _step(self) -> float:
        return self.rate / (1 - self.smoothing)


class Backpropagation(ImageMethod[BackpropRecipe, Backprop]):
    """Training with cross-entropy and stochastic gradient descent with momentum."""

    recipe_type: ClassVar[type[BackpropRecipe]] = BackpropRecipe
    reported: ClassVar[Mapping[str, Metric]] = {
        "loss": Metric(float | None, number("loss"), "loss: mean cross-entropy"),
        **BOX_METRICS,
    }

    def __init__(self, net: Backprop, recipe: BackpropRecipe, data: Cases) -> None:
        super().__init__(net, recipe, data)
        self._losses: list[Tensor] = []
        self._rule = Rule(smoothing=recipe.smoothing, decay=recipe.decay)
        self._box_reads = BoxReads(boxes_in(net), recipe.box_drift)

    @classmethod
    def build(cls, recipe: BackpropRecipe, form: Form, store: StoreLayers = list) -> Backprop:
        shape, classes = image_form(form)
        return Backprop(
            math.prod(shape),
            recipe.widths,
            classes,
            torch.Generator().manual_seed(recipe.seed),
            connectivity=[Tiled(fields) for fields in recipe.maps(shape)],
            center=recipe.center,
            readout=recipe.readout,
            block_size=recipe.block_size,
            boxes=boxes_for(recipe.box, recipe.widths, recipe.seed),
            gradient=recipe.gradient,
            substrate=recipe.devices,
            device_seed=recipe.device_seed,
            derivative=recipe.derivative,
        )

    @classmethod
    def needed_memory(cls, recipe: BackpropRecipe, form: Form, precision: str, offload: bool) -> int:
        shape, classes = image_form(form)
        units, analog = (math.prod(shape) + classes, *recipe.widths), recipe.devices is not None
        sizes = Sizes(units, recipe.maps(shape), recipe.batch, precision, analog=analog)
        layers = int(sum(sizes.weights) * (1 + 2 * sizes.copied) + 2 * sum(sizes.rows))
        return layers + 8 * bytes_of_boxes(recipe)

    @classmethod
    def draw(
        cls, net: Backprop, recipe: BackpropRecipe, data: tuple[Tensor, ...], folder: Path, names: Names = ()
    ) -> list[Path]:
        """Plot the receptive fields of the first layer, unless the layer is fully connected."""
        return draw_local_fields(net.stack[0].bottom_up, image_shape(data[0]), folder)

    def step(self, batch: Batch, progress: float) -> NetResult:
        self.set_rate(progress)
        with self._box_reads:
            result = self.net.learn(
                batch.images,
                batch.labels,
                rate=self.rate,
                case_weight=batch.case_weight,
                rule=self._rule,
                generator=self.generator,
            )
        self._losses.append(cross_entropy(result.logits, batch.labels))
        self._note(batch, result.logits)
        return result

    def check(self) -> None:
        if self._losses and not self._losses[-1].isfinite():
            raise self.diverged("the loss")

    def metrics(self) -> dict[str, Any]:
        """Add the metrics ``loss``, the mean cross-entropy, and ``box_reads``, if the net has boxes."""
        loss = mean_over_cases(torch.stack(self._losses)).item() if self._losses else None
        self._losses.clear()
        return {**super().metrics(), "loss": loss, **self._box_reads.metrics()}
