"""Learning methods with noise on the pre-activations of their units, which the claim ``cancel`` compares.

The noise is Gaussian and drawn for each unit and each case of a batch. Its standard deviation is relative to the root
mean square of the pre-activations of the layer. *Shared* noise is frozen for all passes over a batch; otherwise, each
pass has independent noise. Forward-Forward has three passes over a batch: with the true, the wrong and the neutral
label. InfoNCE has two passes, one for each view. Backprop has a single pass.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from twofold.data import Dataset
from twofold.data.transforms import jitter
from twofold.labels import inputs_with_label
from twofold.layers.connectivity import Full
from twofold.layers.dense import Dense
from twofold.layers.inputs import Images, LayerInput, join
from twofold.learning import Phase, Rule
from twofold.methods import FeedForwardRecipe
from twofold.methods.method import Form, image_form
from twofold.negatives import random_wrong_labels
from twofold.nets.affine import Affine
from twofold.nets.backprop import Backprop
from twofold.nets.classifier import Classifier, NetResult
from twofold.nets.crossings import Crossed
from twofold.nets.feedforward import FeedForward

FOLLOWS = 0.1
"""Weight of each batch in the running mean of the goodness that an adaptive threshold tracks."""


class Noise:
    """Gaussian noise on pre-activations.

    Args:
        strength: standard deviation relative to the root mean square of the pre-activations of a layer.
        shared: use the same noise in all passes over a batch.
        seed: seed of the random generator.
    """

    def __init__(self, strength: float = 0.0, shared: bool = True, seed: int = 0) -> None:
        self.strength = strength
        self.shared = shared
        self._seed = seed
        self._generator: torch.Generator | None = None
        self._frozen: dict[nn.Module, Tensor] = {}
        self._cases = 0

    def new_batch(self, cases: int) -> None:
        """Discard the shared noise. The next passes belong to a new batch of ``cases`` cases."""
        self._frozen, self._cases = {}, cases

    def on(self, layer: nn.Module, total: Tensor) -> Tensor:
        """Add noise to the pre-activations ``total`` of a layer, ``(passes · cases, units)``, pass after pass."""
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


class NoisyNet(Classifier):
    """A net with noise on the pre-activations of its hidden layers.

    Attributes:
        noise: noise of all layers.
        settles: True if the thresholds of the layers are adaptive.
    """

    noise: Noise
    settles = False

    def set_noise(self, noise: Noise) -> None:
        """Replace the noise of all layers."""
        self.noise = noise
        for layer in self.stack:
            layer.noise = noise

    @contextmanager
    def measured(self, noise: Noise) -> Iterator[None]:
        """Replace the noise within the context."""
        before = self.noise
        self.set_noise(noise)
        yield
        self.set_noise(before)


# ---- Forward-Forward -----------------------------------------------------------------------------------------------


class NoisyDense(Dense):
    """A dense layer of a `NoisyFeedForward` net.

    Args:
        inputs, units, rule, generator: as for `Dense`.
        follows: if True, the threshold adapts to the running mean of the goodness of all cases, positive and negative.
    """

    noise: Noise

    def __init__(self, inputs: int, units: int, rule: Rule, generator: torch.Generator, follows: bool) -> None:
        super().__init__(inputs, units, rule, generator)
        self.follows = follows

    def total(self, below: LayerInput) -> Tensor:
        return self.noise.on(self, super().total(below))

    def _signals(self, goodness: Tensor, phase: Phase, case_weight: Tensor) -> tuple[Tensor, Tensor]:
        if self.follows:
            self.threshold += FOLLOWS * (float(goodness.mean()) - self.threshold)
        return super()._signals(goodness, phase, case_weight)


class NoisyFeedForward(NoisyNet, FeedForward):
    """A feedforward net of `NoisyDense` layers. Each call of `images` starts a new batch for the noise."""

    @classmethod
    def of(cls, recipe: FeedForwardRecipe, form: Form, follows: bool) -> NoisyFeedForward:
        """Return the untrained net of a recipe, without noise.

        Args:
            recipe: the recipe.
            form: shape of the images and number of classes.
            follows: see `NoisyDense`.
        """
        shape, classes = image_form(form)
        generator = torch.Generator().manual_seed(recipe.seed)
        pairs = itertools.pairwise((inputs_with_label(recipe.label_in, math.prod(shape), classes), *recipe.widths))
        layers = [NoisyDense(below, units, recipe.rule(), generator, follows) for below, units in pairs]
        net = cls(layers, classes, label_in=recipe.label_in)
        net.settles = follows
        net.set_noise(Noise())
        return net

    @contextmanager
    def measured(self, noise: Noise) -> Iterator[None]:
        """Replace the noise within the context, and disable peer normalization and tolerance, which hide its effect.

        Rules and thresholds are restored afterwards.
        """
        kept = [(layer.rule, layer.threshold) for layer in self.stack]
        for layer in self.stack:
            layer.rule = replace(layer.rule, peer=0.0, tolerance=0.0)
        with super().measured(noise):
            yield
        for layer, (rule, threshold) in zip(self.stack, kept, strict=True):
            layer.rule, layer.threshold = rule, threshold

    def _prepare(self, images: Tensor) -> Images:
        ready = super()._prepare(images)
        self.noise.new_batch(len(ready.rows))
        return ready

    @torch.no_grad()
    def gradients(self, images: Tensor, labels: Tensor, wrong: Tensor) -> list[Tensor]:
        """Return the weight gradient of each layer for one batch. No weights change, but adaptive thresholds do.

        Args:
            images: ``(batch, ...)``.
            labels: true labels, ``(batch,)``.
            wrong: labels of the negative cases, ``(batch,)``.
        """
        ready = self.images(images)
        below, gradients = join(self.with_label(ready, labels), self.with_label(ready, wrong)), []
        for layer in self.stack:
            memory = layer.memory()
            response = layer.respond(below)
            layer.gather(response)
            gradients.append(layer.weights.gradient.clone())
            layer.drop(memory)
            below = response.output
        return gradients


# ---- learners with a loss ------------------------------------------------------------------------------------------


class NoisyBackprop(NoisyNet, Backprop):
    """The backprop twin, with noise on the pre-activations of its hidden layers."""

    def __init__(self, *shape: Any, **options: Any) -> None:
        super().__init__(*shape, **options)
        self.set_noise(Noise())
        for layer in self.stack[:-1]:
            layer.register_forward_hook(lambda layer, _, total: layer.noise.on(layer, total))

    def _pass(self, images: Tensor, nudges: Sequence[Tensor] = ()) -> tuple[list[Tensor], list[Crossed]]:
        self.noise.new_batch(len(images))
        return super()._pass(images, nudges)

    def learn(self, images: Tensor, labels: Tensor, **options: Any) -> NetResult:
        """Learn from one batch in which all cases have the same weight; see `Backprop.learn`."""
        return super().learn(images, labels, **options | {"case_weight": None})

    def gradients(self, images: Tensor, labels: Tensor, wrong: Tensor) -> list[Tensor]:
        """Return the weight gradient of each hidden layer for one batch; ``wrong`` labels are not used."""
        with torch.enable_grad():
            losses, _ = self._losses(images, labels)
            return list(torch.autograd.grad(losses.mean(), [layer.weights.effective() for layer in self.stack[:-1]]))


class GreedyInfoNCE(NoisyBackprop):
    """A net whose layers each learn, without labels, to match the two views of an image with the InfoNCE loss.

    A view is the image with a random shift of up to ``reach`` pixels. Let uᵢ and vᵢ be a layer's activities for the two
    views of image i, divided by their L2 norm. For a batch of n images, the loss of the layer is

        -1/2n · Σᵢ (log softmaxⱼ(uᵢ · vⱼ / τ)ᵢ + log softmaxⱼ(vᵢ · uⱼ / τ)ᵢ).

    Layers pass on their normalized activity without a gradient (Löwe et al., arXiv 1905.11786; the loss is that of van
    den Oord et al., arXiv 1807.03748). A softmax on the layers from the second upwards learns the labels; it has no
    effect on the layers.

    Args:
        pixels, widths, classes, generator: as for `Backprop`.
        reach: largest shift of a view, in pixels.
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
        """Replace the noise within the context; all contexts draw the same views."""
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
        contrast = torch.stack([info_nce(first, second, self.temperature) for first, second in pairs]).sum(0)
        (logits,) = self._logits(activities)
        classified = cross_entropy(logits, labels.repeat(2), reduction="none").view(2, -1).sum(0) / 2
        return contrast + classified, NetResult(logits[: len(labels)].detach(), [], torch.ones_like(classified))


def info_nce(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return the loss of a layer of `GreedyInfoNCE` for each image, ``(images,)``.

    Args:
        first: activities for the first view of each image, ``(images, units)``.
        second: activities for the second view, ``(images, units)``.
        temperature: τ.
    """
    similarity = nn.functional.normalize(first) @ nn.functional.normalize(second).T / temperature
    same = torch.arange(len(first), device=first.device)
    forwards, backwards = (cross_entropy(logits, same, reduction="none") for logits in (similarity, similarity.T))
    return (forwards + backwards) / 2


# ---- measure -------------------------------------------------------------------------------------------------------

Net = NoisyFeedForward | NoisyBackprop


def cosines_of_updates(
    net: Net, dataset: Dataset, noise: Noise, batches: int, size: int, settle: int = 30
) -> list[float]:
    """Return the cosine similarity of the weight gradients of each layer with and without noise, mean over batches.

    Args:
        net: a trained net. The noise, rules and thresholds of the net are restored afterwards.
        dataset: data set, whose training images are used.
        noise: the noise.
        batches: number of batches.
        size: number of images in a batch.
        settle: number of batches before the measurement, to which adaptive thresholds adapt.
    """
    kept = net.stack[0].compute
    net.set_precision("fp32")  # rounding would be noise as well
    quiet, noisy = (_gradients(net, dataset, level, batches, size, settle) for level in (Noise(), noise))
    for layer in net.stack:
        layer.compute = kept
    pairs = [zip(*pair, strict=True) for pair in zip(quiet, noisy, strict=True)]
    by_batch = [[float(cosine_similarity(a.flatten(), b.flatten(), dim=0)) for a, b in layers] for layers in pairs]
    return torch.tensor(by_batch).mean(0).tolist()


def _gradients(net: Net, dataset: Dataset, noise: Noise, batches: int, size: int, settle: int) -> list[list[Tensor]]:
    """Return the weight gradients of each batch and layer. All calls use the same cases, negative labels and views."""
    images, labels = dataset.train_images.to(net.device), dataset.train_labels.to(net.device)
    generator = torch.Generator(net.device).manual_seed(1)
    by_batch = []
    with net.measured(noise):
        for number in range(-settle if net.settles else 0, batches):
            cases = torch.randint(len(labels), (size,), generator=generator, device=net.device)
            right = labels[cases]
            wrong = random_wrong_labels(right, torch.zeros(size, dataset.classes, device=net.device), generator)
            gradients = net.gradients(images[cases], right, wrong)
            if number >= 0:
                by_batch.append([gradient.float() for gradient in gradients])
    return by_batch
