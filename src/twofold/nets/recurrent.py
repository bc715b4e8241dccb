"""The recurrent net: pixels at the bottom, a label at the top, layers that settle in between (talk 19:31, 24:03)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat

import torch
from torch import Tensor, nn

from twofold import defaults
from twofold.checks import check_arguments
from twofold.checks.bounds import as_widths, counts, not_negative, positive, share
from twofold.errors import DataError, SettingError, unknown
from twofold.labels import LABEL_TO, checked_labels, neutral, one_hot
from twofold.layers.connectivity import Connectivity
from twofold.layers.inputs import CachedInput
from twofold.layers.readout import Softmax
from twofold.layers.recurrent import LayerState, RecurrentLayer, SourceInput
from twofold.learning import Rule
from twofold.negatives import Negatives, draw_wrong_labels, hard_wrong_labels
from twofold.nets.classifier import GoodnessClassifier, NetResult, default_softmax_rate
from twofold.nets.stack import to_features
from twofold.nets.unrolled import unrolled
from twofold.nets.video import State, VideoResult, Watched, fits, rows_of
from twofold.normalize import centered, normalize


class Recurrent(GoodnessClassifier):
    """A net whose layers see the layer below, the layer above and optionally themselves, one iteration earlier.

    A still image is treated as a video with the same frame at every iteration. The label, clamped at the top, is the
    true label in positive data and a wrong one in negative data. A bottom-up pass initializes the hidden layers. Then
    all layers are updated at the same time,
    s ← damping · s + (1 - damping) · relu(W_below n(s_below) + W_above n(s_above) + W_beside n(s) + b).

    Args:
        inputs: The number of pixels of a frame.
        widths: The number of units of each hidden layer; one number for a single layer.
        classes: The number of labels.
        rule: The learning rule of the layers.
        damping: The share of its state that a layer keeps at each iteration, in [0, 1).
        iterations: The number of iterations for a still image.
        judged: The first and the last iteration, from 1, whose goodness the slow test averages.
        label_strength: The value that encodes the label at the top.
        label_to: ``top`` (only the last hidden layer sees the label) or ``all`` (all layers see it).
        top_down: If True, layers see the layer above. The last hidden layer always sees the label.
        top_down_start: The size of the initial weights to a layer above, relative to those of the other sources. Deep
            nets learn better with 0, since untrained top-down input drowns the image.
        lateral: If True, layers see themselves.
        center: If True, subtract the mean of each frame's pixels.
        connectivity: For each layer, source -> which inputs each unit sees; by default all.
        softmax_decay: The weight decay of the two softmaxes. They read the normalized states of all layers, one after
            the bottom-up pass (fast test), the other after settling under the neutral label.
        generator: Draws the initial weights.

    Raises:
        SettingError: An argument is outside its range.
    """

    method = "recurrent"
    at_once = 500

    @check_arguments
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
            raise SettingError(
                f"connectivity has {len(connectivity)} entries, expected one for each of {len(widths)} layers"
            )
        chain = (inputs, *widths, classes)
        layers = []
        for index, units in enumerate(widths):
            sources = {"below": chain[index]}
            if top_down or index == len(widths) - 1:
                sources["above"] = chain[index + 2]
            if label_to == "all" and index < len(widths) - 1:
                sources["label"] = classes
            sources |= {"beside": units} if lateral else {}
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

    def _prepare(self, images: Tensor) -> CachedInput:
        """Flatten images and normalize their length."""
        return CachedInput(self.prepare(images.flatten(1)).to(self._kind))

    @check_arguments
    def top(self, labels: Tensor) -> CachedInput:
        """Return labels ``(batch,)`` as input at the top: one-hot times the strength."""
        labels = checked_labels("labels", labels, self.classes, "batch", on=self.device)
        return CachedInput(one_hot(labels, self.classes, self.label_strength).to(self._kind))

    def neutral_top(self, count: int) -> CachedInput:
        """Return the neutral label as input at the top of ``count`` cases: the mean of all labels."""
        return CachedInput(neutral(count, self.classes, self.label_strength, self.device).to(self._kind))

    @property
    def _kind(self) -> torch.dtype:
        kind: torch.dtype = self.stack[0].compute or self.stack[0].bias.dtype
        return kind

    def start(self, frame: SourceInput) -> State:
        """Run the bottom-up pass, in which every layer sees only the new activity of the layer below."""
        state: list[LayerState] = []
        for layer in self.stack:
            state.append(layer.respond({"below": state[-1].output if state else frame}, None, self.damping))
        return tuple(state)

    def sources(self, frame: SourceInput, top: SourceInput, state: State) -> list[dict[str, SourceInput]]:
        """Return the sources of each layer at an iteration: its neighbors and itself, one iteration earlier."""
        outputs: list[SourceInput] = [frame, *(layer.output for layer in state), top]
        sources = []
        for index, layer in enumerate(self.stack):
            below, beside, above = outputs[index : index + 3]
            available = {"below": below, "beside": beside, "above": above, "label": top}
            sources.append({name: available[name] for name in layer.weights})
        return sources

    def step(self, frame: SourceInput, top: SourceInput, state: State) -> State:
        """Run one iteration of all layers at the same time, as a pure function of frame, label and state."""
        return self._respond(self.sources(frame, top, state), state)

    def _respond(self, sources: list[dict[str, SourceInput]], state: State) -> State:
        layers = zip(self.stack, sources, state, strict=True)
        return tuple(layer.respond(seen, before.state, self.damping) for layer, seen, before in layers)

    def watch(self, video: Iterable[SourceInput], top: SourceInput, state: State) -> Iterator[State]:
        """Yield the state after each frame of a video."""
        for frame in video:
            state = self.step(frame, top, state)
            yield state

    def look(self, frame: SourceInput, top: CachedInput, iterations: int | None = None) -> Iterator[State]:
        """Yield the state after each iteration for a still image, after a bottom-up pass."""
        copies = len(top.rows) // len(rows_of(frame))
        start = tuple(layer.repeat(copies) for layer in self.start(frame))
        return self.watch(repeat(frame, self.iterations if iterations is None else iterations), top, start)

    # ---- learning ----------------------------------------------------------------------------------------------

    @check_arguments
    @torch.no_grad()
    def learn(
        self,
        images: Tensor | CachedInput,
        labels: Tensor,
        *,
        rate: float,
        softmax_rate: float | None = None,
        negatives: Negatives | Tensor = hard_wrong_labels,
        case_weight: Tensor | None = None,
        first: int = 1,
        window: int = defaults.ITERATIONS,
        settle: bool = True,
        generator: torch.Generator | None = None,
    ) -> NetResult:
        """Learn from one batch of still images, under their true labels and under wrong ones.

        The bottom-up pass that initializes the layers also gives the logits from which wrong labels are drawn.

        Args:
            images: ``(batch, ...)``.
            labels: The true labels, ``(batch,)``.
            rate: The learning rate of the layers.
            softmax_rate: The learning rate of the softmaxes; by default in the proportion of `defaults` to ``rate``.
            negatives: A function that draws wrong labels from logits, or the wrong labels themselves, ``(batch,)``.
            case_weight: The weight of each case, ``(batch,)``; 1 by default.
            first, window: See `learn_video`.
            settle: If True, also settle under the neutral label, to train the softmax that reads settled layers.
            generator: Draws the wrong labels, on the device of the images.
        """
        not_negative(rate=rate, softmax_rate=softmax_rate)
        counts(first=first, window=window)
        frame, reading_rate = self.images(images), default_softmax_rate(softmax_rate, rate)
        labels = self._enter_labels(labels, case_weight, frame.rows)
        start = self.start(frame)
        logits = self.softmax.learn(self.read_state(start), labels, reading_rate, case_weight)
        wrong = draw_wrong_labels(negatives, labels, logits, generator)
        if settle:
            copies = tuple(layer.repeat(1) for layer in start)  # contiguous, as in `look`
            *_, settled = self.watch(repeat(frame, self.iterations), self.neutral_top(len(labels)), copies)
            self.settled_softmax.learn(self.read_state(settled), labels, reading_rate, case_weight)

        result = self.learn_video(
            repeat(frame, self.iterations),
            self.top(torch.cat([labels, wrong])),
            tuple(layer.repeat(2) for layer in start),
            rate,
            case_weight,
            first=first,
            window=window,
        )
        return NetResult(logits, [*result.goodness], result.difficulty)

    @check_arguments
    @torch.no_grad()
    def learn_video(
        self,
        video: Iterable[SourceInput],
        top: CachedInput,
        state: State,
        rate: float,
        case_weight: Tensor | None = None,
        *,
        first: int = 1,
        window: int = defaults.ITERATIONS,
    ) -> VideoResult:
        """Learn from every frame of positive and negative videos, with one update at the end (talk 25:51).

        Memory is that of a window of frames and does not grow with the length of the video.

        Args:
            video: Frames ``(2 batch, inputs)`` of fixed length, positive cases first; or a `CachedInput` of ``batch``
                rows that positive and negative cases share.
            top: The labels of all cases, ``(2 batch, classes)``.
            state: The state of the layers before the first frame.
            rate: The learning rate.
            case_weight: The weight of each pair of cases, ``(batch,)``; 1 by default.
            first: The first frame, from 1, whose gradient is gathered.
            window: The number of frames whose weight gradients are computed as one product.

        Raises:
            DataError: The video is empty, ends before ``first``, or its frames change their size. Nothing is learned.
        """
        not_negative(rate=rate)
        counts(first=first, window=window)
        watched = Watched(self.stack, window, case_weight)
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

    def _gather(
        self, video: Iterable[SourceInput], top: CachedInput, state: State, watched: Watched, first: int
    ) -> State:
        """Run the video, gather gradients window by window, and return the state after the last frame."""
        number, cases = 0, len(state[0].state)
        fits("top", top, cases, self.classes, self.device)
        for number, frame in enumerate(video, 1):
            fits(f"frame {number} of the video", frame, cases, self.inputs, self.device)
            sources = self.sources(frame, top, state)
            state = self._respond(sources, state)
            if number >= first:
                watched.add(sources, state)
        if number < first:
            raise DataError(f"the video has {number} frames, expected at least {first}: give frames to learn from")
        watched.gather()
        return state

    # ---- tests -------------------------------------------------------------------------------------------------

    def read_state(self, state: State) -> Tensor:
        """Return the input of the softmaxes: normalized states of all layers, ``(rows, features)``, float32."""
        return to_features([layer.output for layer in state])

    @check_arguments
    @torch.no_grad()
    def features(self, images: Tensor | CachedInput) -> Tensor:
        """Return normalized states after the bottom-up pass, ``(batch, features)``, float32, for the fast test."""
        return self.read_state(self.start(self.images(images)))

    def _traced(self, images: Tensor) -> dict[str, Tensor]:
        return self._answers(*unrolled(self, self._prepare(images).rows))

    @check_arguments
    @torch.no_grad()
    def settled(self, images: Tensor | CachedInput) -> Tensor:
        """Return the logits ``(batch, classes)`` after all iterations under the neutral label."""
        if isinstance(images, Tensor):
            return torch.cat([self.settled(self._prepare(part)) for part in self._parts(images)])
        *_, state = self.look(images, self.neutral_top(len(images.rows)))
        logits: Tensor = self.settled_softmax(self.read_state(state))
        return logits

    def readings(self, images: Tensor | CachedInput) -> dict[str, Tensor]:
        return {**super().readings(images), "settled": self.settled(images)}

    @check_arguments
    @torch.no_grad()
    def goodness(self, images: Tensor | CachedInput, labels: Tensor) -> Tensor:
        """Return the goodness of every layer, averaged over the judged iterations, ``(batch, candidates, layers)``.

        Args:
            images: ``(batch, ...)``.
            labels: The candidate labels of each image, ``(batch, candidates)``. They share the bottom-up pass.
        """
        if isinstance(images, CachedInput):
            first, last = self.judged
            return self.trace(images, labels, last)[..., first - 1 :, :].mean(2)
        batches = self._parts(images)
        labels = self._candidates(labels, sum(map(len, batches)))
        pairs = zip(batches, torch.split(labels, self.at_once), strict=True)
        return torch.cat([self.goodness(self._prepare(batch), candidates) for batch, candidates in pairs])

    @torch.no_grad()
    def trace(self, frame: CachedInput, labels: Tensor, iterations: int) -> Tensor:
        """Return the goodness at every iteration, ``(batch, candidates, iterations, layers)``."""
        return self._trace(frame, labels, iterations, lambda settled: settled.goodness)

    @torch.no_grad()
    def mean_squares(self, frame: CachedInput, labels: Tensor, iterations: int) -> Tensor:
        """Return the mean squared activity at every iteration, ``(batch, candidates, iterations, layers)``."""
        return self._trace(frame, labels, iterations, lambda settled: settled.active.float().square().mean(1))

    def _trace(
        self, frame: CachedInput, labels: Tensor, iterations: int, read: Callable[[LayerState], Tensor]
    ) -> Tensor:
        start = self.start(frame)
        columns = []
        for column in labels.T:
            states = self.watch(repeat(frame, iterations), self.top(column), start)
            iterates = [torch.stack([read(layer) for layer in state], 1) for state in states]
            columns.append(torch.stack(iterates, 1))
        return torch.stack(columns, 1)

    def passes(self, shortlist: int = defaults.SHORTLIST) -> dict[str, int]:
        """Return test -> passes per image: the bottom-up pass, and one per iteration and label."""
        last = self.judged[1]
        return {
            "slow": 1 + self.classes * last,
            "fast": 1,
            "settled": 1 + self.iterations,
            "shortlist": 1 + min(shortlist, self.classes) * last,
            "both": 1 + self.classes * last,
        }
