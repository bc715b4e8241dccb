"""The recurrent net, whose hidden layers receive the image from below and the label from above (talk 19:31, 24:03)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from operator import attrgetter

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
from twofold.nets.classifier import NetResult, default_softmax_rate
from twofold.nets.goodness_classifier import GoodnessClassifier
from twofold.nets.stack import to_features
from twofold.nets.unrolled import unrolled
from twofold.nets.video import State, VideoResult, Watched, fits, rows_of
from twofold.normalize import centered, normalize


class Recurrent(GoodnessClassifier):
    """A net with bottom-up, top-down and optional lateral connections, which is iterated over time.

    The image is a constant input at the bottom (for a video, a new frame at each iteration). The label is a constant
    input at the top: the true label for positive data, a wrong label for negative data. A bottom-up pass initializes
    the states s of the hidden layers. Then the layers "settle": each iteration updates all layers in parallel,

        s ← damping · s + (1 - damping) · relu(W_below n(s_below) + W_above n(s_above) + W_beside n(s) + b)

    where n normalizes. The fast test is a softmax classifier of the states after the bottom-up pass. The test
    ``settled`` is a softmax classifier of the states after settling with the neutral label. The slow test predicts the
    label with the highest goodness while the layers settle with this label.

    Args:
        inputs: Number of pixels of a frame.
        widths: Number of units of each hidden layer; an integer for a single layer.
        classes: Number of classes.
        rule: Learning rule of the layers.
        damping: Fraction of the old state that a layer keeps at each iteration, in [0, 1).
        iterations: Number of iterations for a still image.
        judged: First and last iteration, counted from 1, over which the slow test averages the goodness.
        label_strength: Value of the nonzero entry of the one-hot label at the top.
        label_to: Layers that receive the label: ``top`` (only the last hidden layer) or ``all``.
        top_down: If True, each layer receives input from the layer above. The last layer always receives the label.
        top_down_start: Size of the initial top-down weights relative to other weights; 0 is better for deep nets.
        lateral: If True, each layer also receives the output of the same layer at the previous iteration.
        center: If True, subtract the mean of each frame's pixels.
        connectivity: For each layer, name of a source (see `RecurrentLayer`) -> connections to this source; fully
            connected by default.
        softmax_decay: Weight decay of the two softmax classifiers, which use the normalized states of all layers.
        generator: Random generator of the initial weights.

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
            raise SettingError(f"judged is {judged}, expected (first, last) with 1 <= first <= last")
        if len(connectivity) > len(widths):
            raise SettingError(
                f"connectivity has {len(connectivity)} entries, expected one for each layer, at most {len(widths)}"
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
        """Flatten and normalize images ``(batch, ...)``."""
        return CachedInput(self.prepare(images.flatten(1)).to(self._kind))

    @check_arguments
    def top(self, labels: Tensor) -> CachedInput:
        """Return the top-down input for labels ``(batch,)``: one-hot vectors times the label strength."""
        labels = checked_labels("labels", labels, self.classes, "batch", on=self.device)
        return CachedInput(one_hot(labels, self.classes, self.label_strength).to(self._kind))

    def neutral_top(self, count: int) -> CachedInput:
        """Return the top-down input for ``count`` cases with the neutral label, which is the mean of all labels."""
        return CachedInput(neutral(count, self.classes, self.label_strength, self.device).to(self._kind))

    @property
    def _kind(self) -> torch.dtype:
        kind: torch.dtype = self.stack[0].compute or self.stack[0].bias.dtype
        return kind

    def start(self, frame: SourceInput) -> State:
        """Run the bottom-up pass, in which the only input of a layer is the new output of the layer below.

        Args:
            frame: Normalized images, ``(batch, inputs)``.

        Returns:
            The initial state of each layer.
        """
        state: list[LayerState] = []
        for layer in self.stack:
            state.append(layer.respond({"below": state[-1].output if state else frame}, None, self.damping))
        return tuple(state)

    def sources(self, frame: SourceInput, top: SourceInput, state: State) -> list[dict[str, SourceInput]]:
        """Return, for each layer, the inputs at an iteration, as a dict: name of a source -> input from this source.

        Args:
            frame: Normalized images, ``(batch, inputs)``.
            top: Label vectors, ``(batch, classes)``.
            state: States of all layers before the iteration.
        """
        outputs: list[SourceInput] = [frame, *(layer.output for layer in state), top]
        sources = []
        for index, layer in enumerate(self.stack):
            below, beside, above = outputs[index : index + 3]
            available = {"below": below, "beside": beside, "above": above, "label": top}
            sources.append({name: available[name] for name in layer.weights})
        return sources

    def step(self, frame: SourceInput, top: SourceInput, state: State) -> State:
        """Run one iteration of all layers in parallel and return the new states; for the arguments see `sources`."""
        return self._respond(self.sources(frame, top, state), state)

    def _respond(self, sources: list[dict[str, SourceInput]], state: State) -> State:
        layers = zip(self.stack, sources, state, strict=True)
        return tuple(layer.respond(seen, before.state, self.damping) for layer, seen, before in layers)

    def watch(self, video: Iterable[SourceInput], top: SourceInput, state: State) -> Iterator[State]:
        """Run one iteration for each frame of a video, and yield the states of all layers after each iteration.

        Args:
            video: Normalized frames, each ``(batch, inputs)``.
            top: Label vectors, ``(batch, classes)``.
            state: States of all layers before the first frame.
        """
        for frame in video:
            state = self.step(frame, top, state)
            yield state

    def look(self, frame: SourceInput, top: CachedInput, iterations: int | None = None) -> Iterator[State]:
        """Run a bottom-up pass and then iterations for still images; yield the states after each iteration.

        Args:
            frame: Normalized images, ``(batch, inputs)``.
            top: Label vectors, ``(batch, classes)``. For several label vectors per image: ``(copies · batch,
                classes)``, first a label vector of each image, then a second label vector of each image, and so on.
            iterations: Number of iterations; ``self.iterations`` by default.
        """
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
        """Train the net on one batch of still images, with true labels and with wrong labels.

        Args:
            images: ``(batch, ...)``.
            labels: True labels, ``(batch,)``.
            rate: Learning rate of the layers.
            softmax_rate: Learning rate of the softmax classifiers; by default proportional to ``rate``.
            negatives: Function that draws wrong labels from logits, or a tensor of wrong labels, ``(batch,)``.
            case_weight: Weight of each case, ``(batch,)``; 1 by default.
            first, window: See `learn_video`.
            settle: If True, also settle with the neutral label, to train the classifier of the test ``settled``.
            generator: Random generator of the wrong labels, on the device of the images.
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

        video, top = repeat(frame, self.iterations), self.top(torch.cat([labels, wrong]))
        pairs = tuple(layer.repeat(2) for layer in start)
        result = self.learn_video(video, top, pairs, rate, case_weight, first=first, window=window)
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
        """Train the layers on positive and negative videos, with one update after the last frame (talk 25:51).

        The gradient is accumulated over the frames. Memory use depends on ``window`` and not on the number of frames.

        Args:
            video: Normalized frames, ``(2 batch, inputs)``, positive cases first, or shared, ``(batch, inputs)``.
            top: Label vectors of all cases, ``(2 batch, classes)``.
            state: States of all layers before the first frame.
            rate: Learning rate.
            case_weight: Weight of each pair of cases, ``(batch,)``; 1 by default.
            first: First frame, counted from 1, that contributes to the gradient.
            window: Number of frames whose weight gradients are computed as one matrix product.

        Raises:
            DataError: The video is empty, ends before ``first``, or a frame has the wrong size.
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
        """Run the video, accumulate gradients in ``watched``, and return the states after the last frame."""
        number, cases = 0, len(state[0].state)
        fits("top", top, cases, self.classes, self.device)
        for number, frame in enumerate(video, 1):
            fits(f"frame {number} of the video", frame, cases, self.inputs, self.device)
            sources = self.sources(frame, top, state)
            state = self._respond(sources, state)
            if number >= first:
                watched.add(sources, state)
        if number < first:
            raise DataError(f"the video has {number} frames, expected at least {first}: give more frames")
        watched.gather()
        return state

    # ---- tests -------------------------------------------------------------------------------------------------

    def read_state(self, state: State) -> Tensor:
        """Return the input of the classifiers: the normalized states of all layers, ``(rows, features)``, float32."""
        return to_features([layer.output for layer in state])

    @check_arguments
    @torch.no_grad()
    def features(self, images: Tensor | CachedInput) -> Tensor:
        """Return the normalized states of all layers after the bottom-up pass, ``(batch, features)``, float32."""
        return self.read_state(self.start(self.images(images)))

    def _traced(self, images: Tensor) -> dict[str, Tensor]:
        return self._answers(*unrolled(self, self._prepare(images).rows))

    @check_arguments
    @torch.no_grad()
    def settled(self, images: Tensor | CachedInput) -> Tensor:
        """Return the logits ``(batch, classes)`` after all iterations with the neutral label."""
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
        """Return the goodness of every layer, averaged over the iterations ``judged``, ``(batch, candidates, layers)``.

        Args:
            images: ``(batch, ...)``.
            labels: Candidate labels of each image, ``(batch, candidates)``.
        """
        if isinstance(images, CachedInput):
            first, last = self.judged
            return self.trace(images, labels, last)[..., first - 1 :, :].mean(2)
        batches = self._parts(images)
        labels = self._candidates(labels, sum(map(len, batches)))
        pairs = zip(batches, torch.split(labels, self.at_once), strict=True)
        return torch.cat([self.goodness(self._prepare(batch), candidates) for batch, candidates in pairs])

    @torch.no_grad()
    def trace(
        self,
        frame: CachedInput,
        labels: Tensor,
        iterations: int,
        read: Callable[[LayerState], Tensor] = attrgetter("goodness"),
    ) -> Tensor:
        """Return a number per layer and iteration, such as the goodness, ``(batch, candidates, iterations, layers)``.

        Args:
            frame: Normalized images, ``(batch, inputs)``.
            labels: Candidate labels of each image, ``(batch, candidates)``.
            iterations: Number of iterations.
            read: Function: state of a layer -> number of each case, ``(rows,)``; by default the goodness.
        """
        start, columns = self.start(frame), []
        for column in labels.T:
            states = self.watch(repeat(frame, iterations), self.top(column), start)
            columns.append(torch.stack([torch.stack([read(layer) for layer in state], 1) for state in states], 1))
        return torch.stack(columns, 1)

    def passes(self, shortlist: int = defaults.SHORTLIST) -> dict[str, int]:
        """Return the number of passes per image that each test needs: name of the test -> number.

        The bottom-up pass counts as one pass, and so does each iteration with each label.
        """
        last = self.judged[1]
        return {
            "slow": 1 + self.classes * last,
            "fast": 1,
            "settled": 1 + self.iterations,
            "shortlist": 1 + min(shortlist, self.classes) * last,
            "both": 1 + self.classes * last,
        }
