"""The recurrent net: pixels at the bottom, a label at the top, layers in between that settle (talk 19:31, 24:03)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple

import torch
from torch import Tensor, nn

from twofold.errors import DataError, SettingError, unknown
from twofold.labels import LABEL_TO, neutral, one_of_n
from twofold.layers.connectivity import Connectivity
from twofold.layers.inputs import Constant
from twofold.layers.recurrent import Moment, RecurrentLayer, Settled, Source
from twofold.learning import Rule
from twofold.nets.classifier import Softmax, TaughtByGoodness
from twofold.normalize import centered, normalize

ROWS = 500
"""Images that settle at once in a test."""

State = tuple[Settled, ...]
"""All layers after an iteration, from the lowest upwards."""


class Lesson(NamedTuple):
    """What a net noticed while it learned from a video.

    Attributes:
        goodness: of each layer, for the positive and the negative cases, on average over what was gathered: each
            ``(batch,)``.
        need: how much each pair of cases had to teach, on average over what was gathered; of the layer to which it had
            most, ``(batch,)``.
        state: the layers after the last frame.
    """

    goodness: list[tuple[Tensor, Tensor]]
    need: Tensor
    state: State


class Recurrent(TaughtByGoodness):
    """Layers that see the layer below, the layer above and, if asked for, themselves, all of one iteration ago.

    A still image is a dull video: the same frame at every iteration. The label, clamped at the top, is right in
    positive and wrong in negative data. A bottom-up pass starts the hidden layers; then all change at the same time,
    s ← damping · s + (1 - damping) · relu(W_below n(s_below) + W_above n(s_above) + W_beside n(s) + b).

    Args:
        inputs: numbers in a frame.
        widths: units of the hidden layers.
        classes: number of labels.
        rule: how the layers learn.
        damping: share of a layer's state that it keeps at each iteration, in [0, 1).
        iterations: how often a still image is looked at.
        judged: first and last iteration, from 1, whose goodness the slow test averages.
        label_strength: the number at the label's place at the top.
        label_to: top (the last hidden layer alone sees the label, which is the layer above it) or all (all see it).
        top_down: whether layers see the layer above; without it the top layer still sees the label.
        lateral: whether layers see themselves.
        center: the mean of a frame's numbers is taken off.
        seen: for each layer, by source, which of its inputs each unit sees; all where it is not given.
        softmax_decay: weight decay of the two softmaxes, which read the normalized states of all layers: after the
            bottom-up pass (fast test), and after settling under a neutral label.
        generator: draws the first weights.

    Raises:
        SettingError: no layer, no iteration, damping outside [0, 1), no such place for the label, or no such iterations
            to judge by.
    """

    def __init__(
        self,
        inputs: int,
        widths: tuple[int, ...],
        classes: int,
        rule: Rule,
        *,
        damping: float = 0.3,
        iterations: int = 8,
        judged: tuple[int, int] = (3, 5),
        label_strength: float = 5.0,
        label_to: str = "top",
        top_down: bool = True,
        lateral: bool = False,
        center: bool = False,
        seen: Sequence[Mapping[str, Connectivity]] = (),
        softmax_decay: float = 0.003,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(classes)
        if not widths:
            raise SettingError("a net needs at least one layer, got none: give at least one width")
        if not 0 <= damping < 1:
            raise SettingError(f"damping is {damping}, expected a share in [0, 1): 0 keeps nothing of the old state")
        if iterations < 1:
            raise SettingError(f"iterations is {iterations}, expected at least 1")
        if label_to not in LABEL_TO:
            raise unknown("label-to", label_to, LABEL_TO)
        if not 1 <= judged[0] <= judged[1]:
            raise SettingError(f"the slow test is to judge by iterations {judged}, expected 1 <= first <= last")
        sizes = (inputs, *widths, classes)
        layers = []
        for index, units in enumerate(widths):
            sources = {"below": sizes[index]}
            if top_down or index == len(widths) - 1:
                sources["above"] = sizes[index + 2]
            if label_to == "all" and index < len(widths) - 1:
                sources["label"] = classes
            if lateral:
                sources["beside"] = units
            layers.append(RecurrentLayer(sources, units, rule, generator, seen[index] if index < len(seen) else None))
        self.inputs = inputs
        self.layers = nn.ModuleList(layers)
        self.counted = range(len(layers))
        self.prepare = centered if center else normalize
        self.damping = damping
        self.iterations = iterations
        self.judged = judged
        self.label_strength = label_strength
        self.softmax = Softmax(sum(widths), classes, softmax_decay)
        self.settled_softmax = Softmax(sum(widths), classes, softmax_decay)

    @property
    def stack(self) -> list[RecurrentLayer]:
        """The layers, from the lowest upwards."""
        return [layer for layer in self.layers if isinstance(layer, RecurrentLayer)]

    # ---- what is seen ------------------------------------------------------------------------------------------

    def images(self, images: Tensor | Constant) -> Constant:
        """Images ``(batch, ...)`` as frames: flat, at fixed length. What is ready stays as it is.

        Raises:
            DataError: their size is not the net's.
        """
        if isinstance(images, Constant):
            return images
        flat = images.flatten(1)
        if flat.shape[1] != self.inputs:
            raise DataError(
                f"a frame has the shape {tuple(images.shape[1:])}, {flat.shape[1]} numbers, and the net sees "
                f"{self.inputs}: all frames must have the size that it was built for"
            )
        return Constant(self.prepare(flat).to(self.stack[0].compute or flat.dtype))

    def top(self, labels: Tensor) -> Constant:
        """Labels ``(batch,)`` clamped at the top: one-of-N times the strength.

        Raises:
            DataError: a label is beyond the top layer.
        """
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < self.classes:
            raise DataError(
                f"labels go from {int(labels.min())} to {int(labels.max())}, beyond the top layer, which has "
                f"{self.classes} classes: number them from 0 to {self.classes - 1}"
            )
        return Constant(one_of_n(labels, self.classes, self.label_strength))

    def neutral_top(self, count: int) -> Constant:
        """No label at the top of ``count`` cases: the mean of all."""
        return Constant(neutral(count, self.classes, self.label_strength, self.stack[0].bias.device))

    # ---- activity ----------------------------------------------------------------------------------------------

    def start(self, frame: Source) -> State:
        """The bottom-up pass: every layer sees the new activity below it, and nothing else."""
        state: list[Settled] = []
        for layer in self.stack:
            state.append(layer.respond({"below": state[-1].above if state else frame}, None, self.damping))
        return tuple(state)

    def sources(self, frame: Source, top: Constant, state: State) -> list[dict[str, Source]]:
        """What each layer sees at an iteration: its neighbors and itself as they were at the one before."""
        known: list[Source] = [frame, *(each.above for each in state), top]
        found = []
        for index, layer in enumerate(self.stack):
            around = {"below": known[index], "beside": known[index + 1], "above": known[index + 2], "label": top}
            found.append({name: around[name] for name in layer.weights})
        return found

    def step(self, frame: Source, top: Constant, state: State) -> State:
        """One iteration of all layers at the same time: a pure function of frame, label and state."""
        return self._respond(self.sources(frame, top, state), state)

    def _respond(self, sources: list[dict[str, Source]], state: State) -> State:
        each = zip(self.stack, sources, state, strict=True)
        return tuple(layer.respond(seen, before.state, self.damping) for layer, seen, before in each)

    def watch(self, video: Iterable[Source], top: Constant, state: State) -> Iterator[State]:
        """The state after each frame of a video."""
        for frame in video:
            state = self.step(frame, top, state)
            yield state

    def look(self, frame: Source, top: Constant, iterations: int | None = None) -> Iterator[State]:
        """The state after each iteration in front of a still image, after a bottom-up pass."""
        copies = len(top.rows) // len(_rows(frame))
        start = tuple(each.repeat(copies) for each in self.start(frame))
        return self.watch(repeat(frame, iterations or self.iterations), top, start)

    # ---- learning ----------------------------------------------------------------------------------------------

    def learn(
        self,
        video: Iterable[Source],
        top: Constant,
        state: State,
        rate: float,
        weight: Tensor | None = None,
        *,
        first: int = 1,
        window: int = 8,
    ) -> Lesson:
        """Watch positive and negative videos and learn from every frame; one update at the end (talk 25:51).

        Memory is that of a window of frames, however long the video is.

        Args:
            video: frame after frame, ``(2 batch, inputs)``, positive cases first, at fixed length; or a ``Constant`` of
                ``batch`` rows that both share.
            top: labels of all cases, ``(2 batch, classes)``.
            state: the layers before the first frame.
            rate: the learning rate.
            weight: how much each pair of cases counts, ``(batch,)``; all count 1 where it is not given.
            first: the frame, from 1, from which gradients are gathered.
            window: frames whose weight gradients are one product.

        Raises:
            DataError: the video is empty, ends before ``first``, or its frames change their size.
        """
        lessons = [_Running() for _ in self.layers]
        memories = [layer.memory() for layer in self.stack]
        for layer in self.stack:
            layer.prepare()
        try:
            state = self._gather_all(video, top, state, weight, lessons, first, window)
        except BaseException:
            for layer, memory in zip(self.stack, memories, strict=True):
                layer.drop(memory)
            raise
        for layer in self.stack:
            layer.climb(rate)
        halves = [lesson.goodness.chunk(2) for lesson in lessons]
        need = torch.stack([lesson.need for lesson in lessons]).amax(0)
        return Lesson([(positive, negative) for positive, negative in halves], need, state)

    def _gather_all(
        self,
        video: Iterable[Source],
        top: Constant,
        state: State,
        weight: Tensor | None,
        lessons: list[_Running],
        first: int,
        window: int,
    ) -> State:
        """Watch the video and gather gradients, window by window; returns the layers after the last frame."""
        kept: list[list[Moment]] = [[] for _ in self.layers]
        number = 0
        for number, frame in enumerate(video, 1):
            self._check(number, frame, len(state[0].state))
            sources = self.sources(frame, top, state)
            state = self._respond(sources, state)
            if number < first:
                continue
            for moments, seen, settled in zip(kept, sources, state, strict=True):
                moments.append(Moment(seen, settled.active, settled.goodness))
            if len(kept[0]) == window:
                self._gather(kept, weight, lessons)
        if number < first:
            raise DataError(f"the video has {number} frames, expected at least {first}: give frames to learn from")
        if kept[0]:
            self._gather(kept, weight, lessons)
        return state

    def _gather(self, kept: list[list[Moment]], weight: Tensor | None, lessons: list[_Running]) -> None:
        for layer, moments, lesson in zip(self.stack, kept, lessons, strict=True):
            goodness = torch.stack([moment.goodness for moment in moments]).mean(0)
            lesson.add(goodness, layer.gather(moments, weight), len(moments))
            moments.clear()

    def _check(self, number: int, frame: Source, rows: int) -> None:
        size = _rows(frame).shape
        copies = isinstance(frame, Constant) and size[0] and not rows % size[0]
        if size[1] != self.inputs or not (copies or size[0] == rows):
            raise DataError(
                f"frame {number} of the video has the shape {tuple(size)}, expected ({rows}, {self.inputs}): all "
                "frames must have the size that the net was built for, and as many cases"
            )

    # ---- tests -------------------------------------------------------------------------------------------------

    def features(self, state: State) -> Tensor:
        """Normalized states of all layers side by side, ``(rows, features)``: what the softmaxes see."""
        return torch.cat([each.above for each in state], 1)

    @torch.no_grad()
    def fast(self, images: Tensor | Constant) -> Tensor:
        """Logits ``(batch, classes)`` after the bottom-up pass."""
        if isinstance(images, Constant):
            logits: Tensor = self.softmax(self.features(self.start(images)))
            return logits
        return torch.cat([self.fast(self.images(part)) for part in torch.split(images, ROWS)])

    @torch.no_grad()
    def settled(self, images: Tensor | Constant) -> Tensor:
        """Logits ``(batch, classes)`` after all iterations under a neutral label."""
        if isinstance(images, Constant):
            *_, state = self.look(images, self.neutral_top(len(images.rows)))
            logits: Tensor = self.settled_softmax(self.features(state))
            return logits
        return torch.cat([self.settled(self.images(part)) for part in torch.split(images, ROWS)])

    def readings(self, images: Tensor) -> dict[str, Tensor]:
        """Logits of the fast test, and of the same after settling."""
        return {"fast": self.fast(images), "settled": self.settled(images)}

    @torch.no_grad()
    def goodness(self, images: Tensor | Constant, labels: Tensor) -> Tensor:
        """Goodness of every layer, averaged over the judged iterations, ``(batch, candidates, layers)``.

        Args:
            images: ``(batch, ...)``.
            labels: candidates of each image, ``(batch, candidates)``, which share the bottom-up pass.
        """
        if isinstance(images, Constant):
            first, last = self.judged
            return self.trace(images, labels, last)[..., first - 1 :, :].mean(2)
        parts = zip(torch.split(images, ROWS), torch.split(labels, ROWS), strict=True)
        return torch.cat([self.goodness(self.images(part), candidates) for part, candidates in parts])

    @torch.no_grad()
    def trace(self, frame: Constant, labels: Tensor, iterations: int) -> Tensor:
        """Goodness at every iteration, ``(batch, candidates, iterations, layers)``."""
        return self._trace(frame, labels, iterations, lambda settled: settled.goodness)

    @torch.no_grad()
    def mean_squares(self, frame: Constant, labels: Tensor, iterations: int) -> Tensor:
        """Mean squared activity of a unit at every iteration, ``(batch, candidates, iterations, layers)``."""
        return self._trace(frame, labels, iterations, lambda settled: settled.active.float().square().mean(1))

    def _trace(self, frame: Constant, labels: Tensor, iterations: int, read: Callable[[Settled], Tensor]) -> Tensor:
        start = self.start(frame)
        columns = []
        for column in labels.T:
            states = self.watch(repeat(frame, iterations), self.top(column), start)
            each = [torch.stack([read(settled) for settled in state], 1) for state in states]
            columns.append(torch.stack(each, 1))
        return torch.stack(columns, 1)

    def passes(self, shortlist: int) -> dict[str, int]:
        """Test -> passes for an image: the bottom-up one, and one for each iteration under each label."""
        last = self.judged[1]
        return {
            "slow": 1 + self.classes * last,
            "fast": 1,
            "settled": 1 + self.iterations,
            "shortlist": 1 + min(shortlist, self.classes) * last,
            "both": 1 + self.classes * last,
        }


class _Running:
    """Means over the moments of a video."""

    def __init__(self) -> None:
        self.moments = 0
        self.goodness = self.need = torch.zeros(())

    def add(self, goodness: Tensor, need: Tensor, moments: int) -> None:
        self.moments += moments
        share = moments / self.moments
        self.goodness = self.goodness * (1 - share) + goodness * share
        self.need = self.need * (1 - share) + need * share


def _rows(source: Source) -> Tensor:
    return source.rows if isinstance(source, Constant) else source
