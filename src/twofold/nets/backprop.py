"""The backprop twin: a net of the same architecture as a Forward-Forward net, trained by backpropagation as a baseline.

A readout is a linear softmax classifier on a hidden layer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from twofold import defaults
from twofold.checks import check_arguments
from twofold.checks.bounds import as_widths, counts, not_negative
from twofold.errors import SettingError, unknown
from twofold.layers.boxes import Box
from twofold.layers.connectivity import Connectivity, Full
from twofold.learning import Rule, count_of
from twofold.nets.affine import DERIVATIVES, Affine, MeasuredLayer
from twofold.nets.classifier import Classifier, NetResult
from twofold.nets.crossings import GRADIENTS, BoxedPass, Crossed, Crossing, Stop
from twofold.normalize import centered, normalize
from twofold.substrate import Substrate
from twofold.substrate.noise import mixed

TWIN_RULE = Rule(decay=defaults.TWIN_DECAY)
"""Default learning rule of `Backprop`. Only its momentum (``smoothing``) and weight decay are used."""

READOUTS = ("top", "layer", "block")
"""Names of the layers that have a softmax classifier.

``top``: the last hidden layer. ``layer``: every hidden layer. ``block``: the last layer of each block. A block ends
before a black box, after ``block_size`` layers, and at the last hidden layer. With ``layer`` or ``block``, each layer
or block of layers learns from its own classifier only.
"""


class Backprop(Classifier):
    """ReLU layers and a linear softmax classifier, trained by backpropagation. The input is a normalized image.

    Hidden weights start as N(0, 2 / inputs of the unit). Biases and the weights of the classifier start at 0.

    With the readout ``layer``, this is local backpropagation: each hidden layer has its own classifier, passes on its
    normalized activity, and receives no gradient from the layers above. The logits of the net are then the mean of the
    logits of all classifiers.

    Args:
        pixels: number of pixels of an image.
        widths: number of units of each hidden layer; an integer for a single layer.
        classes: number of classes.
        generator: random generator of the initial weights.
        connectivity: connectivity of each hidden layer; fully connected by default.
        center: if True, subtract the mean of the pixels of each image.
        readout: ``top``, ``layer`` or ``block``; see `READOUTS`.
        block_size: number of layers in a block, for the readout ``block``; with 0, blocks end only before boxes.
        boxes: dictionary from the number of a layer, counted from 1, to the black box that follows it; see
            `boxes_for`. The input and the output of a box are normalized.
        gradient: gradient estimator for boxes; see `GRADIENTS`. Only the readout ``top`` uses the estimator: with
            ``layer`` and ``block``, no gradient passes through a box.
        substrate: analog devices that store the weights of the hidden layers. The forward pass of the hidden layers is
            then measured on the devices. The classifier stays digital.
        device_seed: random seed of the devices.
        derivative: weights of the backward pass on devices: ``ideal``, ``known`` or ``feedback``; see `DERIVATIVES`.

    Raises:
        SettingError: readout, gradient or derivative is unknown; a box does not follow a hidden layer or does not have
            the width of that layer; or connectivity does not fit the widths or the substrate.
    """

    method = "backprop"

    @check_arguments
    def __init__(
        self,
        pixels: int,
        widths: int | Sequence[int],
        classes: int,
        generator: torch.Generator | None = None,
        *,
        connectivity: Sequence[Connectivity] = (),
        center: bool = False,
        readout: str = "top",
        block_size: int = 0,
        boxes: Mapping[int, Box] | None = None,
        gradient: str = "straight_through",
        substrate: Substrate | None = None,
        device_seed: int = 0,
        derivative: str = "ideal",
    ) -> None:
        super().__init__()
        counts(pixels=pixels)
        widths = as_widths(widths)
        counts(2, classes=classes)
        not_negative(block_size=block_size)
        for name, value, known in (
            ("readout", readout, READOUTS),
            ("gradient", gradient, GRADIENTS),
            ("derivative", derivative, DERIVATIVES),
        ):
            if value not in known:
                raise unknown(name, value, known)
        pairs = list(itertools.pairwise((pixels, *widths)))
        if connectivity and [(layer.inputs, layer.units) for layer in connectivity] != pairs:
            raise SettingError(
                f"connectivity does not fit {pixels} pixels and widths {widths}: give one for each hidden layer"
            )
        if substrate is not None and not all(layer.whole for layer in connectivity):
            raise SettingError("connectivity: expected Full or Masked, the only ones that a substrate supports")
        boxes = boxes or {}
        for number, box in boxes.items():
            if not 1 <= number <= len(widths) or len(box.matrix) != widths[number - 1]:
                raise SettingError(
                    f"boxes: got a box of {len(box.matrix)} units after layer {number}, expected the width of that "
                    f"hidden layer (the widths are {widths})"
                )
        self.layers = nn.ModuleList()
        for number, layer in enumerate(connectivity or [Full(above, below) for below, above in pairs]):
            self.layers.append(
                Affine(layer, math.sqrt(2), generator)
                if substrate is None
                else MeasuredLayer(layer, math.sqrt(2), generator, substrate, mixed(device_seed, number), derivative)
            )
        self.layers.append(Affine(Full(classes, widths[-1]), 0.0))
        crossing = GRADIENTS[gradient] if readout == "top" else Stop
        self.crossings = nn.ModuleDict({str(n): crossing(box, classes, generator) for n, box in sorted(boxes.items())})
        regular = range(block_size, len(widths), block_size) if block_size else range(0)
        self._ends = sorted({*boxes, *regular}) if readout == "block" else []
        self.softmaxes = nn.ModuleList(Affine(Full(classes, widths[number - 1]), 0.0) for number in self._ends)
        self.heads = nn.ModuleList(Affine(Full(classes, units), 0.0) for units in widths[:-1] if readout == "layer")
        self.classes = classes
        self.readout = readout
        self.prepare = centered if center else normalize
        self._auxiliary_loss = crossing.auxiliary_loss
        self._measured = substrate is not None

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(layer.connectivity.units for layer in self.stack[:-1])

    def set_precision(self, precision: str) -> None:
        super().set_precision(precision)
        for softmax in self.softmaxes:
            softmax.compute = self.stack[0].compute
        if self.readout == "layer":
            self.stack[-1].compute = None  # as in all other heads

    def _crossings(self) -> list[Crossing]:
        return list(self.crossings.values())  # type: ignore[arg-type]

    def _activities(self, images: Tensor, nudges: Sequence[Tensor] = ()) -> tuple[list[Tensor], list[Crossed]]:
        """Return the input of each softmax classifier, ``(batch, units)``, and the input and output of each box.

        Args:
            images: ``(batch, ...)``.
            nudges: perturbation of the input of each box, ``(batch, units)``; none by default.
        """
        activity = self.prepare(images.flatten(1))
        remaining, read, crossed = list(nudges), [], []
        for number, layer in enumerate(self.stack[:-1], 1):
            activity = layer.respond(activity)
            if self.readout == "layer":
                activity = normalize(activity)
                if number < len(self.widths):
                    read.append(activity)
                    activity = activity.detach()
            if number in self._ends and str(number) not in self.crossings:
                activity = normalize(activity)
                read.append(activity)
                activity = activity.detach()
            elif str(number) in self.crossings:
                if self.readout == "block":
                    read.append(activity)
                crossed.append(self.crossings[str(number)](activity, remaining.pop(0) if remaining else None))
                activity = crossed[-1].output
        return [*read, activity], crossed

    def _pass(self, images: Tensor, nudges: Sequence[Tensor] = ()) -> tuple[list[Tensor], list[Crossed]]:
        """Return the logits of each classifier, from the input upwards, and the input and output of each box."""
        read, crossed = self._activities(images, nudges)
        outputs = self._logits(read)
        # Logits on devices keep the data type of the products.
        return outputs if self._measured else [logits.to(images.dtype) for logits in outputs], crossed

    def _logits(self, read: Sequence[Tensor]) -> list[Tensor]:
        """Return the logits of each classifier; ``read`` contains the input of each classifier, ``(batch, units)``."""
        softmaxes = [*self.heads, *self.softmaxes, self.stack[-1]]
        return [softmax(activity) for softmax, activity in zip(softmaxes, read, strict=True)]

    def _combined(self, outputs: Sequence[Tensor]) -> Tensor:
        """Return the mean of the classifiers' outputs for the readout ``layer``, else the last classifier's output."""
        return torch.stack(list(outputs) if self.readout == "layer" else [outputs[-1]]).mean(0)

    @check_arguments
    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``(batch, classes)`` for images ``(batch, ...)`` with pixels in [0, 1]."""
        return self._combined(self._pass(self._enter(images))[0])

    @check_arguments
    def learn(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        rate: float,
        case_weight: Tensor | None = None,
        rule: Rule | None = None,
        generator: torch.Generator | None = None,
    ) -> NetResult:
        """Train on one batch, with cross-entropy and stochastic gradient descent with momentum.

        Args:
            images: images, ``(batch, ...)``.
            labels: true labels, ``(batch,)``.
            rate: learning rate.
            case_weight: weight of each case, ``(batch,)``; 1 by default.
            rule: learning rule, of which only ``smoothing`` (momentum) and ``decay`` are used.
            generator: random generator for the gradient estimator ``spsa``, on the device of the images.

        Raises:
            DataError: images or labels do not fit the net.
            SettingError: the rate is below 0.
        """
        not_negative(rate=rate)
        images, labels = self._enter_to_learn(images, labels, case_weight)
        rule = rule or TWIN_RULE
        with torch.enable_grad():
            losses, result = self._losses(images, labels, generator)
            case_weight = torch.ones_like(losses) if case_weight is None else case_weight.to(losses.dtype)
            count = count_of(case_weight)
            (-(case_weight * losses).sum() / count.cases).backward()  # type: ignore[no-untyped-call]
        surrogates = [layer for crossing in self._crossings() for layer in crossing.learners()]
        for layer in (*self.stack, *self.softmaxes, *self.heads, *surrogates):
            layer.apply_gradient(rate / (1 - rule.smoothing), rule, count.weight / count.cases)
        return result

    def _losses(
        self, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, NetResult]:
        """Return the differentiable loss of each case, ``(batch,)``, and the result of the batch."""
        outputs, crossed = self._pass(images)
        losses = [cross_entropy(logits, labels, reduction="none") for logits in outputs]
        total = torch.stack(losses).sum(0)
        if crossed:

            def measured(nudges: Sequence[Tensor]) -> Tensor:
                return cross_entropy(self._pass(images, nudges)[0][-1], labels, reduction="none")

            passed = BoxedPass(self._crossings(), crossed, outputs[-1], labels, measured, generator)
            total = total + self._auxiliary_loss(passed)
        difficulty = 1 - self._combined([(-loss.detach()).exp() for loss in losses])
        return total, NetResult(self._combined(outputs).detach(), [], difficulty)

    @check_arguments
    @torch.no_grad()
    def fast(self, images: Tensor) -> Tensor:
        """Return the logits ``(images, classes)`` of images ``(images, ...)``, computed in batches to limit memory."""
        return torch.cat([self._combined(self._pass(batch)[0]) for batch in self._parts(images)])

    def _traced(self, images: Tensor) -> dict[str, Tensor]:
        """Return the logits of the net as ``fast``.

        With the readout ``block``, also return, as ``mean``, the logarithm of the mean probabilities of all
        classifiers.
        """
        outputs = self._pass(images)[0]
        mean = {"mean": torch.stack([out.softmax(1) for out in outputs]).mean(0).log()} if len(self.softmaxes) else {}
        return {"fast": self._combined(outputs), **mean}

    @check_arguments
    @torch.no_grad()
    def scores(self, images: Tensor, shortlist: int = defaults.SHORTLIST) -> dict[str, Tensor]:
        counts(shortlist=shortlist)
        batches = [self._traced(batch) for batch in self._parts(images)]
        return self._checked({test: torch.cat([scores[test] for scores in batches]) for test in batches[0]}, images)

    def passes(self, shortlist: int = defaults.SHORTLIST) -> dict[str, int]:
        return super().passes(shortlist) | ({"mean": 1} if len(self.softmaxes) else {})
