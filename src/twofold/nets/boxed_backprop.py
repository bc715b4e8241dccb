"""Backpropagation on a net with black boxes between its layers: the baselines that Forward-Forward is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from twofold import defaults
from twofold.checks import typed
from twofold.checks.bounds import as_widths, counts, not_negative
from twofold.errors import SettingError, unknown
from twofold.layers.boxes import Box
from twofold.layers.connectivity import Connectivity, Full
from twofold.learning import Rule
from twofold.nets.backprop import Affine, Backprop
from twofold.nets.classifier import NetResult
from twofold.nets.crossings import GRADIENTS, BoxedPass, Crossed, Crossing


class BoxedBackprop(Backprop):
    """The twin with boxes between its layers, which sees them as the net that learns by goodness does.

    What goes into a box has a fixed length, and so has what comes out of it. Without boxes it is the twin.

    Args:
        pixels: number of pixels of an image.
        widths: units of the hidden layers.
        classes: number of labels.
        generator: draws the first weights.
        boxes: number of a layer, from 1 -> the box behind it; see `boxes_for`.
        gradient: what comes back through a box; see `GRADIENTS`.
        connectivity, center: as of the twin.

    Raises:
        SettingError: there is no such gradient, or a box stands behind no hidden layer or is not as wide as it.
    """

    method = "boxed-backprop"

    @typed
    def __init__(
        self,
        pixels: int,
        widths: int | Sequence[int],
        classes: int,
        generator: torch.Generator | None = None,
        *,
        boxes: Mapping[int, Box],
        gradient: str,
        connectivity: Sequence[Connectivity] = (),
        center: bool = False,
    ) -> None:
        super().__init__(pixels, widths, classes, generator, connectivity=connectivity, center=center)
        widths = as_widths(widths)
        if gradient not in GRADIENTS:
            raise unknown("gradient", gradient, GRADIENTS)
        for number, box in boxes.items():
            if not 1 <= number <= len(widths) or len(box.matrix) != widths[number - 1]:
                raise SettingError(
                    f"boxes: one of {len(box.matrix)} units stands behind layer {number}, expected as many units as a "
                    f"hidden layer has, of the widths {widths}"
                )
        kind = GRADIENTS[gradient]
        self.crossings = nn.ModuleDict({str(n): kind(box, classes, generator) for n, box in sorted(boxes.items())})
        own = sorted(boxes) if kind.own_softmax else []
        self.softmaxes = nn.ModuleList(Affine(Full(classes, widths[number - 1]), 0.0) for number in own)
        self._lessons = kind.lessons

    def set_precision(self, precision: str) -> None:
        super().set_precision(precision)
        for softmax in self.softmaxes:
            softmax.compute = self.stack[0].compute

    def _learners(self) -> list[Affine]:
        """All layers that learn."""
        beside = [layer for crossing in self._crossings() for layer in crossing.learners()]
        return [*self.stack, *self.softmaxes, *beside]

    def _crossings(self) -> list[Crossing]:
        return list(self.crossings.values())  # type: ignore[arg-type]

    def _pass(self, images: Tensor, nudges: Sequence[Tensor] = ()) -> tuple[list[Tensor], list[Crossed]]:
        """The logits of each softmax, the last one's at the end, and what happened at each box."""
        activity = self.prepare(images.flatten(1))
        given, ends, crossed = list(nudges), [], []
        for number, layer in enumerate(self.stack, 1):
            total = layer(activity)
            activity = total.relu()
            if str(number) in self.crossings:
                ends.append(activity)
                crossed.append(self.crossings[str(number)](activity, given.pop(0) if given else None))
                activity = crossed[-1].output
        logits = [softmax(end) for softmax, end in zip(self.softmaxes, ends, strict=False)]
        return [each.to(images.dtype) for each in (*logits, total)], crossed

    @typed
    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(batch, classes)`` of the last softmax for images ``(batch, ...)`` with pixels in [0, 1]."""
        return self._pass(self._enter(images))[0][-1]

    @typed
    def learn(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        rate: float,
        weight: Tensor | None = None,
        rule: Rule | None = None,
        generator: torch.Generator | None = None,
    ) -> NetResult:
        """Learn from one batch; as for `Backprop.learn`.

        Args:
            images, labels, rate, weight, rule: see there.
            generator: draws perturbations, on the device of the images.
        """
        not_negative(rate=rate)
        images, labels = self._enter_to_learn(images, labels, weight)

        def losses(nudges: Sequence[Tensor]) -> Tensor:
            return cross_entropy(self._pass(images, nudges)[0][-1], labels, reduction="none")

        with torch.enable_grad():
            every, crossed = self._pass(images)
            each = [cross_entropy(logits, labels, reduction="none") for logits in every]
            passed = BoxedPass(self._crossings(), crossed, every[-1], labels, losses, generator)
            self._descend(self._learners(), torch.stack(each).sum(0) + self._lessons(passed), weight, rate, rule)
        return NetResult(every[-1].detach(), [], 1 - (-each[-1].detach()).exp())

    @typed
    @torch.no_grad()
    def scores(self, images: Tensor, shortlist: int = defaults.SHORTLIST) -> dict[str, Tensor]:
        """The last softmax decides; where each block has one, ``mean`` is the logarithm of the mean of all."""
        counts(shortlist=shortlist)
        parts = [self._pass(part)[0] for part in self._parts(images)]
        every = [torch.cat(logits) for logits in zip(*parts, strict=True)]
        found = {"fast": every[-1]}
        if len(every) > 1:
            found["mean"] = torch.stack([logits.softmax(1) for logits in every]).mean(0).log()
        return self._checked(found, images)

    @typed
    def passes(self, shortlist: int = defaults.SHORTLIST) -> dict[str, int]:
        return super().passes(shortlist) | ({"mean": 1} if len(self.softmaxes) else {})
