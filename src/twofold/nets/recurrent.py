"""The recurrent net: pixels at the bottom, a label at the top, layers in between that settle (talk 19:31, 24:03)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat

import torch
from torch import Tensor, nn

from twofold import defaults
from twofold.checks import typed
from twofold.checks.bounds import as_widths, counts, floating, not_negative, positive, shaped, share
from twofold.errors import DataError, SettingError, unknown
from twofold.labels import LABEL_TO, checked_labels, neutral, one_hot
from twofold.layers.connectivity import Connectivity
from twofold.layers.inputs import CachedInput
from twofold.layers.readout import Softmax
from twofold.layers.recurrent import LayerState, RecurrentLayer, Source
from twofold.learning import Rule
from twofold.negatives import Negatives, draw_wrong_labels, hard_wrong_labels
from twofold.nets.classifier import GoodnessClassifier, NetResult, default_softmax_rate
from twofold.nets.stack import to_features
from twofold.nets.unrolled import unrolled
from twofold.nets.video import State, VideoResult, Watched, fits, rows_of
from twofold.normalize import centered, normalize


class Recurrent(GoodnessClassifier):
    """Layers that see the layer below, the layer above and, if asked for, themselves, all of one iteration ago.

    A still image is a dull video: the same frame at every iteration. The label, clamped at the top, is right in
    positive and wrong in negative data. A bottom-up pass starts the hidden layers; then all change at the same time,
    s ← damping · s + (1 - damping) · relu(W_below n(s_below) + W_above n(s_above) + W_beside n(s) + b).

    Args:
        inputs: numbers in a frame.
        widths: units of the hidden layers; a number for a single one.
        classes: number of labels.
        rule: how the layers learn.
        damping: share of a layer's state that it keeps at each iteration, in [0, 1).
        iterations: how often a still image is looked at.
        judged: first and last iteration, from 1, whose goodness the slow test averages.
        label_strength: the number at the label's place at the top.
        label_to: top (the last hidden layer alone sees the label, which is the layer above it) or all (all see it).
        top_down: whether layers see the layer above; without it the top layer still sees the label.
        top_down_start: size of the first weights to a layer above, relative to those of the other sources. Where it
            is 0, top-down input is learned from nothing; in deep nets it drowns the image as long as it says nothing.
        lateral: whether layers see themselves.
        center: whether the mean of a frame's numbers is subtracted.
        connectivity: for each layer, by source, which of its inputs each unit sees; all where it is not given.
        softmax_decay: weight decay of the two softmaxes, which read the normalized states of all layers: after the
            bottom-up pass (fast test), and after settling under a neutral label.
        generator: draws the first weights.

    Raises:
        SettingError: no layer, no iteration, damping outside [0, 1), no such place for the label, or no such iterations
            for the slow test.
    """

    method = "recurrent"
    at_once = 500

    @typed
    def __init__(
        self,
        inputs: int,
        widths: int | Sequence[int],
        classes: int,
        rule: Rule | None = None,
        *,
        damping: float = defaults.DAMPING,
        iterations: int = defaults.ITERATIONS,
        judged: tuple[int, int] = defaults.JUDGED,
        label_strength: float = defaults.TOP_STRENGTH,
        label_to: str = "top",
        top_down: bool = True,
        top_down_start: float = defaults.TOP_DOWN_START,
        lateral: bool = False,
        center: bool = False,
        connectivity: Sequence[Mapping[str, Connectivity]] = (),
        softmax_decay: float = defaults.SOFTMAX_DECAY,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(classes)
        counts(inputs=inputs, iterations=iterations)
        widths = as_widths(widths)
        share(damping=damping)
        positive(label_strength=label_strength)
        not_negative(softmax_decay=softmax_decay, top_down_start=top_down_start)
        if label_to not in LABEL_TO:
            raise unknown("label_to", label_to, LABEL_TO)
        if not 1 <= judged[0] <= judged[1]:
            raise SettingError(f"judged is {judged}, expected a first and a last iteration, from 1")
        if len(connectivity) > len(widths):
            found = f"connectivity has {len(connectivity)} entries"
            raise SettingError(f"{found}, expected one for each of {len(widths)} layers")
        chain = (inputs, *widths, classes)
        layers = []
        for index, units in enumerate(widths):
            sources = {"below": chain[index]}
            if top_down or index == len(widths) - 1:
                sources["above"] = chain[index + 2]
            if label_to == "all" and index < len(widths) - 1:
                sources["label"] = classes
            if lateral:
                sources["beside"] = units
            seen = connectivity[index] if index < len(connectivity) else None
            start = {"above": top_down_start} if index < len(widths) - 1 else None
            layers.append(RecurrentLayer(sources, units, rule, generator, seen, start))
        self.inputs = inputs
        self.layers = nn.ModuleList(layers)
        self.read = range(len(layers))
        self.prepare = centered if center else normalize
        self.damping, self.iterations, self.judged = damping, iterations, judged
        self.label_strength = label_strength
        self.softmax = Softmax(sum(widths), classes, softmax_decay)
        self.settled_softmax = Softmax(sum(widths), classes, softmax_decay)

    @property
    def pixels(self) -> int:
        return self.inputs

    # ---- what is seen ------------------------------------------------------------------------------------------

    @typed
    def images(self, images: Tensor | CachedInput) -> CachedInput:
        """Images ``(batch, ...)`` as frames: flat, at fixed length. What is ready stays the same."""
        if isinstance(images, CachedInput):
            return images
        return CachedInput(self.prepare(self._enter(images).flatten(1)).to(self._kind))

    @typed
    def top(self, labels: Tensor) -> CachedInput:
        """Labels ``(batch,)`` clamped at the top: one-hot times the strength."""
        labels = checked_labels("labels", labels, self.classes, "batch", on=self.device)
        return CachedInput(one_hot(labels, self.classes, self.label_strength).to(self._kind))

    @typed
    def neutral_top(self, count: int) -> CachedInput:
        """No label at the top of ``count`` cases: the mean of all."""
        counts(0, count=count)
        return CachedInput(neutral(count, self.classes, self.label_strength, self.device).to(self._kind))

    @property
    def _kind(self) -> torch.dtype:
        kind: torch.dtype = self.stack[0].compute or self.stack[0].bias.dtype
        return kind

    # ---- activity ----------------------------------------------------------------------------------------------

    @typed
    def start(self, frame: Source) -> State:
        """The bottom-up pass: every layer sees the new activity below it, and nothing else."""
        floating("frame", rows_of(frame), "batch", self.inputs, on=self.device)
        state: list[LayerState] = []
        for layer in self.stack:
            state.append(layer.respond({"below": state[-1].output if state else frame}, None, self.damping))
        return tuple(state)

    @typed
    def sources(self, frame: Source, top: Source, state: State) -> list[dict[str, Source]]:
        """The sources of each layer at an iteration: its neighbors and itself, one iteration ago."""
        if len(state) != len(self.layers):
            raise DataError(f"state has {len(state)} layers, expected {len(self.layers)}")
        cases = state[0].state.shape[0]
        fits("frame", frame, cases, self.inputs, self.device)
        fits("top", top, cases, self.classes, self.device)
        known: list[Source] = [frame, *(each.output for each in state), top]
        found = []
        for index, layer in enumerate(self.stack):
            around = {"below": known[index], "beside": known[index + 1], "above": known[index + 2], "label": top}
            found.append({name: around[name] for name in layer.weights})
        return found

    @typed
    def step(self, frame: Source, top: Source, state: State) -> State:
        """One iteration of all layers at the same time: a pure function of frame, label and state."""
        return self._respond(self.sources(frame, top, state), state)

    def _respond(self, sources: list[dict[str, Source]], state: State) -> State:
        each = zip(self.stack, sources, state, strict=True)
        return tuple(layer.respond(seen, before.state, self.damping) for layer, seen, before in each)

    @typed
    def watch(self, video: Iterable[Source], top: Source, state: State) -> Iterator[State]:
        """The state after each frame of a video."""
        for frame in video:
            state = self.step(frame, top, state)
            yield state

    @typed
    def look(self, frame: Source, top: CachedInput, iterations: int | None = None) -> Iterator[State]:
        """The state after each iteration in front of a still image, after a bottom-up pass."""
        counts(iterations=iterations)
        shaped("top", top.rows, "cases", self.classes, on=self.device)
        fits("frame", frame, len(top.rows), self.inputs, self.device)
        copies = len(top.rows) // len(rows_of(frame))
        start = tuple(each.repeat(copies) for each in self.start(frame))
        return self.watch(repeat(frame, self.iterations if iterations is None else iterations), top, start)

    # ---- learning ----------------------------------------------------------------------------------------------

    @typed
    @torch.no_grad()
    def learn(
        self,
        images: Tensor | CachedInput,
        labels: Tensor,
        *,
        rate: float,
        softmax_rate: float | None = None,
        negatives: Negatives | Tensor = hard_wrong_labels,
        weight: Tensor | None = None,
        first: int = 1,
        window: int = defaults.ITERATIONS,
        settle: bool = True,
        generator: torch.Generator | None = None,
    ) -> NetResult:
        """Learn from one batch of still images, under their labels and under wrong ones.

        The bottom-up pass that starts the layers also gives the logits from which wrong labels are drawn.

        Args:
            images: ``(batch, ...)``.
            labels: the true ones, ``(batch,)``.
            rate: learning rate of the layers.
            softmax_rate: that of the softmaxes; by default in the proportion of `defaults` to ``rate``.
            negatives: draws the wrong labels from the softmax's logits; or these labels, ``(batch,)``.
            weight: how much each case counts, ``(batch,)``; all count 1 where it is not given.
            first, window: see `learn_video`.
            settle: whether the images also settle under a neutral label, for the softmax that reads settled layers.
            generator: draws the wrong labels, on the device of the images.
        """
        not_negative(rate=rate, softmax_rate=softmax_rate)
        counts(first=first, window=window)
        frame, reading_rate = self.images(images), default_softmax_rate(softmax_rate, rate)
        labels = self._enter_labels(labels, weight, len(frame.rows))
        start = self.start(frame)
        logits = self.softmax.learn(self.read_state(start), labels, reading_rate, weight)
        wrong = draw_wrong_labels(negatives, labels, logits, generator)
        if settle:
            copies = tuple(layer.repeat(1) for layer in start)  # row by row in memory, as `look` has them
            *_, settled = self.watch(repeat(frame, self.iterations), self.neutral_top(len(labels)), copies)
            self.settled_softmax.learn(self.read_state(settled), labels, reading_rate, weight)

        found = self.learn_video(
            repeat(frame, self.iterations),
            self.top(torch.cat([labels, wrong])),
            tuple(layer.repeat(2) for layer in start),
            rate,
            weight,
            first=first,
            window=window,
        )
        return NetResult(logits, [*found.goodness], found.difficulty)

    @typed
    @torch.no_grad()
    def learn_video(
        self,
        video: Iterable[Source],
        top: CachedInput,
        state: State,
        rate: float,
        weight: Tensor | None = None,
        *,
        first: int = 1,
        window: int = defaults.ITERATIONS,
    ) -> VideoResult:
        """Watch positive and negative videos and learn from every frame; one update at the end (talk 25:51).

        Memory is that of a window of frames, however long the video is.

        Args:
            video: frame after frame, ``(2 batch, inputs)``, positive cases first, at fixed length; or a `CachedInput`
                of ``batch`` rows that both share.
            top: labels of all cases, ``(2 batch, classes)``.
            state: the layers before the first frame.
            rate: the learning rate.
            weight: how much each pair of cases counts, ``(batch,)``; all count 1 where it is not given.
            first: the frame, from 1, from which gradients are gathered.
            window: frames whose weight gradients are one product.

        Raises:
            DataError: the video is empty, ends before ``first``, or its frames change their size. Nothing is learned.
        """
        not_negative(rate=rate)
        counts(first=first, window=window)
        watched = Watched(self.stack, window, weight)
        memories = [layer.memory() for layer in self.stack]
        try:
            state = self._gather(video, top, state, watched, first)
        except BaseException:
            for layer, memory in zip(self.stack, memories, strict=True):
                layer.drop(memory)
            raise
        for layer in self.stack:
            layer.apply_gradient(rate)
        return VideoResult(*watched.means(), state)

    def _gather(self, video: Iterable[Source], top: CachedInput, state: State, watched: Watched, first: int) -> State:
        """Watch the video and gather gradients, window by window; returns the layers after the last frame."""
        number = 0
        for number, frame in enumerate(video, 1):
            fits(f"frame {number} of the video", frame, len(state[0].state), self.inputs, self.device)
            sources = self.sources(frame, top, state)
            state = self._respond(sources, state)
            if number >= first:
                watched.add(sources, state)
        if number < first:
            raise DataError(f"the video has {number} frames, expected at least {first}: give frames to learn from")
        watched.gather()
        return state

    # ---- tests -------------------------------------------------------------------------------------------------

    @typed
    def read_state(self, state: State) -> Tensor:
        """Normalized states of all layers side by side, ``(rows, features)``, float32: what the softmaxes see."""
        return to_features([each.output for each in state])

    @typed
    @torch.no_grad()
    def features(self, images: Tensor | CachedInput) -> Tensor:
        """Normalized states after the bottom-up pass, ``(batch, features)``, float32: what the fast test reads."""
        return self.read_state(self.start(self.images(images)))

    def _traced(self, images: Tensor) -> dict[str, Tensor]:
        return self._answers(*unrolled(self, self.images(images).rows))

    @typed
    @torch.no_grad()
    def settled(self, images: Tensor | CachedInput) -> Tensor:
        """Logits ``(batch, classes)`` after all iterations under a neutral label."""
        if isinstance(images, Tensor):
            return torch.cat([self.settled(self.images(part)) for part in self._parts(images)])
        *_, state = self.look(images, self.neutral_top(len(images.rows)))
        logits: Tensor = self.settled_softmax(self.read_state(state))
        return logits

    @typed
    def readings(self, images: Tensor | CachedInput) -> dict[str, Tensor]:
        return {**super().readings(images), "settled": self.settled(images)}

    @typed
    @torch.no_grad()
    def goodness(self, images: Tensor | CachedInput, labels: Tensor) -> Tensor:
        """Goodness of every layer, averaged over the iterations of the slow test, ``(batch, candidates, layers)``.

        Args:
            images: ``(batch, ...)``.
            labels: candidates of each image, ``(batch, candidates)``, which share the bottom-up pass.
        """
        if isinstance(images, CachedInput):
            first, last = self.judged
            return self.trace(images, labels, last)[..., first - 1 :, :].mean(2)
        given = self._parts(images)
        labels = self._candidates(labels, sum(map(len, given)))
        parts = zip(given, torch.split(labels, self.at_once), strict=True)
        return torch.cat([self.goodness(self.images(part), candidates) for part, candidates in parts])

    @typed
    @torch.no_grad()
    def trace(self, frame: CachedInput, labels: Tensor, iterations: int) -> Tensor:
        """Goodness at every iteration, ``(batch, candidates, iterations, layers)``."""
        return self._trace(frame, labels, iterations, lambda settled: settled.goodness)

    @typed
    @torch.no_grad()
    def mean_squares(self, frame: CachedInput, labels: Tensor, iterations: int) -> Tensor:
        """Mean squared activity of a unit at every iteration, ``(batch, candidates, iterations, layers)``."""
        return self._trace(frame, labels, iterations, lambda settled: settled.active.float().square().mean(1))

    def _trace(
        self, frame: CachedInput, labels: Tensor, iterations: int, read: Callable[[LayerState], Tensor]
    ) -> Tensor:
        counts(iterations=iterations)
        start = self.start(frame)
        labels = self._candidates(labels, len(frame.rows))
        columns = []
        for column in labels.T:
            states = self.watch(repeat(frame, iterations), self.top(column), start)
            each = [torch.stack([read(settled) for settled in state], 1) for state in states]
            columns.append(torch.stack(each, 1))
        return torch.stack(columns, 1)

    @typed
    def passes(self, shortlist: int = defaults.SHORTLIST) -> dict[str, int]:
        """Test -> passes for an image: the bottom-up one, and one for each iteration under each label."""
        counts(shortlist=shortlist)
        last = self.judged[1]
        return {
            "slow": 1 + self.classes * last,
            "fast": 1,
            "settled": 1 + self.iterations,
            "shortlist": 1 + min(shortlist, self.classes) * last,
            "both": 1 + self.classes * last,
        }
