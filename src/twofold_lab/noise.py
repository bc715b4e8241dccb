"""Learners with noise on the total inputs of their units, which the claim ``cancel`` compares.

The noise is Gaussian, its standard deviation relative to the root mean square of the layer's total inputs. It is drawn
for each unit and each case of a batch, and is either *shared*, frozen for all passes over the batch, or drawn *anew*
for each pass. Passes over a batch are: of Forward-Forward those with the right, the wrong and no label; of InfoNCE
those of the two views. Backpropagation has a single one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from twofold.checks import check_arguments
from twofold.data.transforms import jitter
from twofold.labels import inputs_with_label
from twofold.layers.connectivity import Full
from twofold.layers.dense import Dense
from twofold.layers.inputs import CachedInput, Images, LayerInput, join
from twofold.layers.weights import Weights
from twofold.learning import Phase, Rule
from twofold.nets.affine import Affine
from twofold.nets.backprop import Backprop
from twofold.nets.classifier import NetResult
from twofold.nets.crossings import Crossed
from twofold.nets.feedforward import FeedForward

FOLLOWS = 0.1
"""Share of each batch in the running mean of goodness that a threshold follows."""


class Noise:
    """Gaussian noise on total inputs.

    Args:
        strength: its standard deviation relative to the root mean square of a layer's total inputs.
        shared: whether it is frozen for all passes over a batch; else each pass gets its own.
        seed: of its generator.
    """

    def __init__(self, strength: float, shared: bool, seed: int = 0) -> None:
        self.strength = strength
        self.shared = shared
        self._seed = seed
        self._generator: torch.Generator | None = None
        self._frozen: dict[nn.Module, Tensor] = {}
        self._cases = 0

    def new_batch(self, cases: int) -> None:
        """The passes to come are over another batch, of so many cases."""
        self._frozen, self._cases = {}, cases

    def on(self, layer: nn.Module, total: Tensor) -> Tensor:
        """Total inputs ``(passes · cases, units)`` of a layer, pass after pass, with noise."""
        if not self.strength:
            return total
        if not self.shared:
            return total + self._draw(total.detach(), len(total))
        if layer not in self._frozen:
            self._frozen[layer] = self._draw(total.detach(), self._cases)
        return total + self._frozen[layer].repeat(len(total) // self._cases, 1)

    def _draw(self, total: Tensor, rows: int) -> Tensor:
        if self._generator is None or self._generator.device != total.device:
            self._generator = torch.Generator(total.device).manual_seed(self._seed)
        scale = self.strength * total.float().square().mean().sqrt()
        drawn = torch.randn(rows, total.shape[1], generator=self._generator, device=total.device)
        return (scale * drawn).to(total.dtype)


# ---- Forward-Forward -----------------------------------------------------------------------------------------------


class NoisyDense(Dense):
    """A dense layer with noise on its total inputs, whose threshold may follow the running mean of goodness.

    Args:
        noise: on its total inputs.
        follows: whether its threshold follows the mean goodness of positive and negative cases together.
    """

    def __init__(
        self, inputs: int, units: int, rule: Rule, generator: torch.Generator, noise: Noise, follows: bool
    ) -> None:
        super().__init__(inputs, units, rule, generator)
        self.noise = noise
        self.follows = follows

    @check_arguments
    def forward(self, below: LayerInput, activate: bool = True) -> Tensor:
        total = self.noise.on(self, super().forward(below, activate=False))
        return self.rule.unit.value(total) if activate else total

    def _signals(self, goodness: Tensor, phase: Phase, case_weight: Tensor) -> tuple[Tensor, Tensor]:
        if self.follows:
            self.threshold += FOLLOWS * (float(goodness.mean()) - self.threshold)
        return super()._signals(goodness, phase, case_weight)


class NoisyFeedForward(FeedForward):
    """A feedforward net of `NoisyDense` layers; a batch of images begins where they are made ready."""

    noise: Noise

    @classmethod
    def of(
        cls, shape: tuple[int, ...], widths: tuple[int, ...], rule: Rule, follows: bool, **options: Any
    ) -> NoisyFeedForward:
        """Return a net without noise; ``options`` are ``classes``, ``label_in`` and ``seed``."""
        noise = Noise(0.0, shared=True)
        generator = torch.Generator().manual_seed(options["seed"])
        inputs = inputs_with_label(options["label_in"], torch.Size(shape).numel(), options["classes"])
        pairs = itertools.pairwise((inputs, *widths))
        layers = [NoisyDense(below, units, rule, generator, noise, follows) for below, units in pairs]
        net = cls(layers, options["classes"], label_in=options["label_in"])
        net.noise = noise
        return net

    def set_noise(self, noise: Noise) -> None:
        """Give all layers this noise."""
        self.noise = noise
        for layer in self.stack:
            layer.noise = noise

    @property
    def settles(self) -> bool:
        """Whether something other than weights adapts to the noise."""
        return any(layer.follows for layer in self.stack)

    @contextmanager
    def measured(self, noise: Noise) -> Iterator[None]:
        """Have this noise for a while, and no peers and no tolerance, which would blur what the noise does."""
        before, kept = self.noise, [(layer.rule, layer.threshold) for layer in self.stack]
        self.set_noise(noise)
        for layer in self.stack:
            layer.rule = replace(layer.rule, peer=0.0, tolerance=0.0)
        yield
        self.set_noise(before)
        for layer, (rule, threshold) in zip(self.stack, kept, strict=True):
            layer.rule, layer.threshold = rule, threshold

    @check_arguments
    def images(self, images: Tensor | CachedInput) -> Images:
        ready = super().images(images)
        if ready is not images:
            self.noise.new_batch(len(ready.rows))
        return ready

    @torch.no_grad()
    def gradients(self, images: Tensor, labels: Tensor, wrong: Tensor) -> list[Tensor]:
        """The weight gradient of each layer for one batch; nothing is changed but thresholds that follow."""
        ready = self.images(images)
        below, found = join(self.with_label(ready, labels), self.with_label(ready, wrong)), []
        for layer in self.stack:
            memory = layer.memory()
            seen = layer.respond(below)
            layer.gather(seen)
            found.append(layer.weights.gradient.clone())
            layer.drop(memory)
            below = seen.output
        return found


# ---- learners with a loss ------------------------------------------------------------------------------------------


class NoisyWeights(Weights):
    """Weights whose products have noise.

    Attributes:
        noise: on the products.
    """

    noise: Noise

    def product(self, rows: Tensor, total: Tensor) -> Tensor:
        return self.noise.on(self._module, super().product(rows, total))


class NoisyBackprop(Backprop):
    """The twin, with noise on the total inputs of its hidden layers."""

    settles = False

    def __init__(self, *shape: Any, **options: Any) -> None:
        super().__init__(*shape, **options)
        for layer in self.stack[:-1]:
            layer.weights = NoisyWeights(layer, "weight", layer.weight, layer.connectivity)
        self.set_noise(Noise(0.0, shared=True))

    def set_noise(self, noise: Noise) -> None:
        """Give all hidden layers this noise."""
        self.noise = noise
        for layer in self.stack[:-1]:
            layer.weights.noise = noise

    @contextmanager
    def measured(self, noise: Noise) -> Iterator[None]:
        """Have this noise for a while."""
        before = self.noise
        self.set_noise(noise)
        yield
        self.set_noise(before)

    def _pass(self, images: Tensor, nudges: Sequence[Tensor] = ()) -> tuple[list[Tensor], list[Crossed]]:
        self.noise.new_batch(len(images))
        return super()._pass(images, nudges)

    def learn(self, images: Tensor, labels: Tensor, **options: Any) -> NetResult:
        """Learn from one batch, in which all cases count the same; see `Backprop.learn`."""
        return super().learn(images, labels, **options | {"case_weight": None})

    def gradients(self, images: Tensor, labels: Tensor, wrong: Tensor) -> list[Tensor]:
        """The weight gradient of each hidden layer for one batch; ``wrong`` labels are of no use here."""
        with torch.enable_grad():
            losses, _ = self._losses(images, labels)
            return list(torch.autograd.grad(losses.mean(), [layer.weights.effective() for layer in self.stack[:-1]]))


class GreedyInfoNCE(NoisyBackprop):
    """Layers that each learn by themselves to tell an image's other view from the views of other images.

    The views are the image shifted by up to ``reach`` pixels, drawn anew at every visit. With normalized activities u,
    v of the two views of n images, each layer has the loss

        -1/2n · Σᵢ (log softmaxⱼ(uᵢ · vⱼ / τ)ᵢ + log softmaxⱼ(vᵢ · uⱼ / τ)ᵢ),

    where lengths are 1, and hands on its normalized activity without a derivative (Löwe et al., arXiv 1905.11786; the
    loss of van den Oord et al., arXiv 1807.03748). A softmax on the layers from the second upwards learns the labels,
    and teaches the layers nothing.

    Args:
        pixels, widths, classes, generator: as for `Backprop`.
        reach: of the shifts.
        temperature: τ.
    """

    def __init__(
        self,
        pixels: int,
        widths: tuple[int, ...],
        classes: int,
        generator: torch.Generator,
        reach: int,
        temperature: float,
    ) -> None:
        super().__init__(pixels, widths, classes, generator, readout="layer")
        self.heads = nn.ModuleList()  # the softmax on top reads several layers
        self.layers[-1] = Affine(Full(classes, sum(widths[1:])), 0.0)
        self.reach = reach
        self.temperature = temperature
        self.views = torch.Generator().manual_seed(0)

    @contextmanager
    def measured(self, noise: Noise) -> Iterator[None]:
        """Have this noise for a while, and the same views whenever it begins."""
        self.views.manual_seed(1)
        with super().measured(noise):
            yield

    def _logits(self, read: Sequence[Tensor]) -> list[Tensor]:
        return [self.stack[-1](torch.cat([activity.detach() for activity in read[1:]], 1)).float()]

    def _losses(
        self, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, NetResult]:
        self.noise.new_batch(len(images))
        activities, _ = self._activities(torch.cat([jitter(images, self.reach, self.views) for _ in range(2)]))
        pairs = (activity.float().chunk(2) for activity in activities)
        contrast = torch.stack([info_nce(one, other, self.temperature) for one, other in pairs]).sum(0)
        (logits,) = self._logits(activities)
        named = cross_entropy(logits, labels.repeat(2), reduction="none").view(2, -1).sum(0) / 2
        return contrast + named, NetResult(logits[: len(labels)].detach(), [], torch.ones_like(named))


def info_nce(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """The loss of `GreedyInfoNCE` for each image, ``(images,)``, by the activities of both views, each ``(images,
    units)``."""
    similar = nn.functional.normalize(one) @ nn.functional.normalize(other).T / temperature
    same = torch.arange(len(one), device=one.device)
    there, back = (cross_entropy(each, same, reduction="none") for each in (similar, similar.T))
    return (there + back) / 2
