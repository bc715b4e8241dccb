"""The twin: the same net, trained by backpropagation. Every comparison uses it."""

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
"""How the twin learns where nobody states it."""

READOUTS = ("top", "layer", "block")
"""Where softmaxes read: ``top``, the last layer; ``layer``, every hidden layer, which learns from its own softmax
alone; ``block``, the last layer in front of each box and of the top, likewise."""


class Backprop(Classifier):
    """Rectified layers of the given widths and a linear softmax on top, for a normalized image.

    Weights start as N(0, 2 / inputs of the unit), the softmax at 0, biases at 0.

    With a softmax for each layer this is local backpropagation: a layer hands on its activity at fixed length, and no
    derivative crosses it. The logits of the net are then the mean over the softmaxes.

    Args:
        pixels: number of pixels of an image.
        widths: units of the hidden layers; a number for a single one.
        classes: number of labels.
        generator: draws the first weights.
        connectivity: which units of each hidden layer see which inputs; all see all where it is not given.
        center: whether the mean of an image's pixels is subtracted.
        readout: ``top``, ``layer`` or ``block``; see `READOUTS`.
        boxes: number of a layer, from 1 -> the box behind it; see `boxes_for`. Activity enters a box at fixed length,
            and its answer is brought to fixed length.
        gradient: what comes back through a box, see `GRADIENTS`; nothing where blocks or layers have softmaxes.
        substrate: the analog devices that hold the weights of the hidden layers. The forward pass is then measured on
            them, and the softmax stays digital.
        device_seed: of the devices.
        derivative: the weights of the backward pass on devices: ``ideal``, ``known`` or ``feedback``; see
            `DERIVATIVES`.

    Raises:
        SettingError: there is no such readout, gradient or derivative; a box stands behind no hidden layer or is not as
            wide as it; or connectivity does not fit the widths or the substrate.
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
        for name, value, known in (
            ("readout", readout, READOUTS),
            ("gradient", gradient, GRADIENTS),
            ("derivative", derivative, DERIVATIVES),
        ):
            if value not in known:
                raise unknown(name, value, known)
        pairs = list(itertools.pairwise((pixels, *widths)))
        if connectivity and [(each.inputs, each.units) for each in connectivity] != pairs:
            raise SettingError(
                f"connectivity: expected one for each layer, and for {pixels} pixels and widths {widths}"
            )
        if substrate is not None and not all(each.whole for each in connectivity):
            raise SettingError(
                "connectivity: a layer stores no matrix of weights, expected Full or Masked on a substrate"
            )
        boxes = boxes or {}
        for number, box in boxes.items():
            if not 1 <= number <= len(widths) or len(box.matrix) != widths[number - 1]:
                raise SettingError(
                    f"boxes: one of {len(box.matrix)} units stands behind layer {number}, expected as many units as a "
                    f"hidden layer has, of the widths {widths}"
                )
        self.layers = nn.ModuleList()
        for number, each in enumerate(connectivity or [Full(above, below) for below, above in pairs]):
            self.layers.append(
                Affine(each, math.sqrt(2), generator)
                if substrate is None
                else MeasuredLayer(each, math.sqrt(2), generator, substrate, mixed(device_seed, number), derivative)
            )
        self.layers.append(Affine(Full(classes, widths[-1]), 0.0))
        crossing = GRADIENTS[gradient] if readout == "top" else Stop
        self.crossings = nn.ModuleDict({str(n): crossing(box, classes, generator) for n, box in sorted(boxes.items())})
        ends = [widths[number - 1] for number in sorted(boxes)] if readout == "block" else []
        self.softmaxes = nn.ModuleList(Affine(Full(classes, units), 0.0) for units in ends)
        self.heads = nn.ModuleList(Affine(Full(classes, units), 0.0) for units in widths if readout == "layer")
        self.classes = classes
        self.readout = readout
        self.prepare = centered if center else normalize
        self._lessons = crossing.lessons
        self._measured = substrate is not None

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(layer.connectivity.units for layer in self.stack[:-1])

    @check_arguments
    def set_precision(self, precision: str) -> None:
        super().set_precision(precision)
        for softmax in self.softmaxes:
            softmax.compute = self.stack[0].compute

    def _crossings(self) -> list[Crossing]:
        return list(self.crossings.values())  # type: ignore[arg-type]

    def _activities(self, images: Tensor, nudges: Sequence[Tensor] = ()) -> tuple[list[Tensor], list[Crossed]]:
        """The activity that each softmax reads, ``(batch, units)``, and what happened at each box."""
        activity = self.prepare(images.flatten(1))
        given, read, crossed = list(nudges), [], []
        for number, layer in enumerate(self.stack[:-1], 1):
            activity = layer.respond(activity)
            if self.readout == "layer":
                activity = normalize(activity)
                read.append(activity)
                activity = activity.detach()
            if str(number) in self.crossings:
                if self.readout == "block":
                    read.append(activity)
                crossed.append(self.crossings[str(number)](activity, given.pop(0) if given else None))
                activity = crossed[-1].output
        return read if self.readout == "layer" else [*read, activity], crossed

    def _pass(self, images: Tensor, nudges: Sequence[Tensor] = ()) -> tuple[list[Tensor], list[Crossed]]:
        """The logits of each softmax, the last one's at the end, and what happened at each box."""
        read, crossed = self._activities(images, nudges)
        every = self._logits(read)
        # Logits above devices stay in the type of the products.
        return every if self._measured else [logits.to(images.dtype) for logits in every], crossed

    def _logits(self, read: Sequence[Tensor]) -> list[Tensor]:
        """The logits of each softmax for what it reads."""
        softmaxes = self.heads if self.readout == "layer" else [*self.softmaxes, self.stack[-1]]
        return [softmax(activity) for softmax, activity in zip(softmaxes, read, strict=True)]

    def _decided(self, every: Sequence[Tensor]) -> Tensor:
        """The mean over the softmaxes that decide: those of all layers, or the last one alone."""
        return torch.stack(list(every) if self.readout == "layer" else [every[-1]]).mean(0)

    @check_arguments
    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(batch, classes)`` for images ``(batch, ...)`` with pixels in [0, 1]."""
        return self._decided(self._pass(self._enter(images))[0])

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
        """Learn from one batch: cross-entropy, stochastic gradient descent with momentum.

        Args:
            images: ``(batch, ...)``.
            labels: the true ones, ``(batch,)``.
            rate: the learning rate.
            case_weight: how much each case counts, ``(batch,)``; all count 1 where it is not given.
            rule: its smoothing and decay are used.
            generator: draws perturbations of what goes into boxes, on the device of the images.

        Raises:
            DataError: images or labels that the net was not built for.
            SettingError: a rate below 0.
        """
        not_negative(rate=rate)
        images, labels = self._enter_to_learn(images, labels, case_weight)
        rule = rule or TWIN_RULE
        with torch.enable_grad():
            losses, result = self._losses(images, labels, generator)
            case_weight = torch.ones_like(losses) if case_weight is None else case_weight.to(losses.dtype)
            count = count_of(case_weight)
            (-(case_weight * losses).sum() / count.cases).backward()  # type: ignore[no-untyped-call]
        beside = [layer for crossing in self._crossings() for layer in crossing.learners()]
        for layer in (*self.stack, *self.softmaxes, *self.heads, *beside):
            layer.apply_gradient(rate / (1 - rule.smoothing), rule, count.weight / count.cases)
        return result

    def _losses(
        self, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, NetResult]:
        """The loss of each case, ``(batch,)``, which autograd can differentiate, and the result of the batch."""
        every, crossed = self._pass(images)
        losses = [cross_entropy(logits, labels, reduction="none") for logits in every]
        total = torch.stack(losses).sum(0)
        if crossed:

            def measured(nudges: Sequence[Tensor]) -> Tensor:
                return cross_entropy(self._pass(images, nudges)[0][-1], labels, reduction="none")

            passed = BoxedPass(self._crossings(), crossed, every[-1], labels, measured, generator)
            total = total + self._lessons(passed)
        difficulty = 1 - self._decided([(-loss.detach()).exp() for loss in losses])
        return total, NetResult(self._decided(every).detach(), [], difficulty)

    @check_arguments
    @torch.no_grad()
    def fast(self, images: Tensor) -> Tensor:
        """Logits of all images, in parts that fit any memory."""
        return torch.cat([self(part) for part in self._parts(images)])

    def _traced(self, images: Tensor) -> dict[str, Tensor]:
        """The logits of the net; where blocks have softmaxes, ``mean`` is the logarithm of the mean of all."""
        every = self._pass(images)[0]
        mean = {"mean": torch.stack([each.softmax(1) for each in every]).mean(0).log()} if len(self.softmaxes) else {}
        return {"fast": self._decided(every), **mean}

    @check_arguments
    @torch.no_grad()
    def scores(self, images: Tensor, shortlist: int = defaults.SHORTLIST) -> dict[str, Tensor]:
        counts(shortlist=shortlist)
        parts = [self._traced(part) for part in self._parts(images)]
        return self._checked({test: torch.cat([part[test] for part in parts]) for test in parts[0]}, images)

    @check_arguments
    def passes(self, shortlist: int = defaults.SHORTLIST) -> dict[str, int]:
        return super().passes(shortlist) | ({"mean": 1} if len(self.softmaxes) else {})
