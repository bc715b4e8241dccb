"""What a training is made of. A recipe is data: its fields are the command line's, its values are in its own file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from twofold.errors import SettingError, unknown
from twofold.goodness import GOODNESS
from twofold.labels import LABEL_IN, LABEL_TO
from twofold.negatives import NEGATIVES
from twofold.normalize import NORMALIZE
from twofold.objectives import OBJECTIVES


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What both ways of learning share.

    Attributes:
        data: name of the data set.
        widths: units of each hidden layer.
        epochs: how often every training image is seen.
        batch: images per update.
        rate: learning rate, constant for the first half of the epochs, then linear to zero.
        smoothing: share of the old gradient kept at each batch.
        decay: weight decay.
        jitter: images are shifted by up to this many pixels each way, anew at every visit.
        mirror: images are turned over, left to right, at every other visit, by chance.
        validation: the last so many training images are held out and tested after each epoch; the test set is then
            not touched. 0 trains on all and tests once, at the end.
        tolerance: a signal weaker than this goes into the gradient only with a probability, and is then as strong as
            this: the same on average for less work. Images with little to teach are visited less often, likewise.
            0 takes all.
        revisit: the smallest probability with which an image is seen in an epoch.
        seed: of the first weights, the order of the images, jitter and negative labels.
    """

    method: ClassVar[str]

    data: str
    widths: tuple[int, ...]
    epochs: int
    batch: int
    rate: float
    smoothing: float
    decay: float
    jitter: int
    mirror: bool
    validation: int
    tolerance: float
    revisit: float
    seed: int

    def __post_init__(self) -> None:
        if not self.widths:
            raise SettingError("--widths is empty, expected at least one layer: give the units of each, as 1000 1000")
        for width in self.widths:
            self._expect(width >= 1, "widths", width, "at least 1 unit a layer")
        self._expect(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        self._expect(self.batch >= 1, "batch", self.batch, "at least 1")
        self._expect_positive("rate", self.rate)
        self._expect(0 <= self.smoothing < 1, "smoothing", self.smoothing, "a share in [0, 1)")
        self._expect_not_negative("decay", self.decay)
        self._expect_not_negative("jitter", self.jitter)
        self._expect_not_negative("validation", self.validation)
        self._expect(0 <= self.tolerance < 1, "tolerance", self.tolerance, "a share in [0, 1)")
        self._expect(0 < self.revisit <= 1, "revisit", self.revisit, "a probability above 0 and at most 1")
        self._expect(abs(self.seed) < 2**63 - 1, "seed", self.seed, "a whole number of 64 bits")

    @staticmethod
    def _expect(holds: bool, field: str, value: object, expected: str) -> None:
        if not holds:
            raise SettingError(f"--{field.replace('_', '-')} is {value}, expected {expected}")

    def _expect_positive(self, field: str, value: float) -> None:
        self._expect(0 < value < math.inf, field, value, "a number above 0")

    def _expect_not_negative(self, field: str, value: float) -> None:
        self._expect(0 <= value < math.inf, field, value, "0 or more")

    def fields(self) -> dict[str, Any]:
        """The fields as JSON can hold them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class PictureRecipe(Recipe):
    """What all nets share that see images as they are, with no label among the pixels.

    Attributes:
        center: the mean of an image's numbers is taken off before it is brought to its length.
        field_sizes: side of the square that each unit of a layer sees, for each layer; where none is given all units
            see all. Units share no weights; those of a layer lie on a grid, as many at each point.
        strides: distance of neighboring grid points in the map below, for each layer with fields.
        margins: how far the outermost squares reach beyond the edge, where they are cut off, likewise.
    """

    center: bool
    field_sizes: tuple[int, ...]
    strides: tuple[int, ...]
    margins: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, each in (("field_sizes", self.field_sizes), ("strides", self.strides), ("margins", self.margins)):
            said, expected = " ".join(map(str, each)), f"none or one for each of {len(self.widths)} layers"
            fit = len(each) == (len(self.widths) if self.field_sizes else 0)
            self._expect(fit, name, said or "empty", expected)


@dataclass(frozen=True, kw_only=True)
class GoodnessRecipe(Recipe):
    """What all nets share that are taught by goodness.

    Attributes:
        goodness: the goodness function.
        objective: what is asked of the goodness.
        temperature: of the objective, in units of goodness.
        peer: strength of peer normalization.
        floor: mean activity below which the peers of a layer pull it up, against silence.
        softmax_rate: learning rate of the softmax that the fast test reads.
        softmax_decay: its weight decay.
    """

    goodness: str
    objective: str
    temperature: float
    peer: float
    floor: float
    softmax_rate: float
    softmax_decay: float

    def __post_init__(self) -> None:
        super().__post_init__()
        self._expect_known("goodness", self.goodness, GOODNESS)
        self._expect_known("objective", self.objective, OBJECTIVES)
        self._expect_positive("temperature", self.temperature)
        self._expect_not_negative("peer", self.peer)
        self._expect_not_negative("floor", self.floor)
        self._expect_positive("softmax_rate", self.softmax_rate)
        self._expect_not_negative("softmax_decay", self.softmax_decay)

    @staticmethod
    def _expect_known(kind: str, name: str, known: Mapping[str, object]) -> None:
        if name not in known:
            raise unknown(kind, name, known)


@dataclass(frozen=True, kw_only=True)
class LabelRecipe(GoodnessRecipe):
    """What all nets share whose negative data are images with wrong labels.

    Attributes:
        negatives: where wrong labels come from: hard (the softmax's own likeliest mistakes) or random.
        label_strength: the number at the label's place in the input.
    """

    negatives: str
    label_strength: float

    def __post_init__(self) -> None:
        super().__post_init__()
        self._expect_known("negatives", self.negatives, NEGATIVES)
        self._expect_positive("label_strength", self.label_strength)


@dataclass(frozen=True, kw_only=True)
class UnsupervisedRecipe(GoodnessRecipe, PictureRecipe):
    """Forward-Forward without labels, on hybrids of two images as negative data.

    Attributes:
        blurs: how often the masks of hybrids are blurred.
        counted_from: first layer, from 1, that the softmax reads.
    """

    blurs: int
    counted_from: int

    method: ClassVar[str] = "unsupervised"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._expect(self.batch >= 2, "batch", self.batch, "at least 2: a hybrid is made of two images")
        self._expect(self.blurs >= 0, "blurs", self.blurs, "0 or more")
        self._expect(self.counted_from >= 1, "counted_from", self.counted_from, "1 (the first layer) or more")


@dataclass(frozen=True, kw_only=True)
class FeedForwardRecipe(LabelRecipe):
    """Forward-Forward on a stack of dense layers.

    Attributes:
        label_in: overlay (the label replaces the first pixels) or prepend (it comes in front of them).
        neutral_share: share of each batch that makes a third pass, with a neutral label, from which the softmax learns
            and hard negatives are drawn; the others' are drawn from their last one. 1 is the author's.
        counted_from: first layer, from 1, whose goodness and activities the tests use.
        layer_by_layer: train one layer after the other, each for its share of the epochs, not all at every batch.
        normalize: what a layer passes on: length (its activity at a fixed length) or none (as it is, an ablation).
    """

    label_in: str
    neutral_share: float
    counted_from: int
    layer_by_layer: bool
    normalize: str

    method: ClassVar[str] = "forward-forward"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._expect_known("label-in", self.label_in, LABEL_IN)
        self._expect_known("normalize", self.normalize, NORMALIZE)
        self._expect(0 < self.neutral_share <= 1, "neutral_share", self.neutral_share, "a share above 0 and at most 1")
        self._expect(self.counted_from >= 1, "counted_from", self.counted_from, "1 (the first layer) or more")


@dataclass(frozen=True, kw_only=True)
class RecurrentRecipe(LabelRecipe, PictureRecipe):
    """Forward-Forward on layers that settle, with the label at the top. Hard negatives are drawn from the bottom-up
    pass that starts them.

    Attributes:
        damping: share of its old state that a layer keeps at an iteration.
        iterations: how often an image is looked at.
        learn_from: the iteration, from 1, from which gradients are gathered.
        judge_from: first iteration whose goodness the slow test averages.
        judge_to: the last one.
        neutral_every: each so many batches, one also settles under a neutral label, for the softmax that reads settled
            layers.
        window: iterations whose weight gradients are one product. It bounds memory and changes rounding alone.
        top_down: layers see the layer above, where units have fields those units that see them. Without it only the
            top layer sees the label.
        lateral: layers see themselves.
        label_to: top (the last hidden layer alone sees the label) or all (all of them see it).
    """

    damping: float
    iterations: int
    learn_from: int
    judge_from: int
    judge_to: int
    neutral_every: int
    window: int
    top_down: bool
    lateral: bool
    label_to: str

    method: ClassVar[str] = "recurrent"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._expect_known("label-to", self.label_to, LABEL_TO)
        self._expect(0 <= self.damping < 1, "damping", self.damping, "a share in [0, 1)")
        self._expect(self.iterations >= 1, "iterations", self.iterations, "at least 1")
        held = 1 <= self.learn_from <= self.iterations
        self._expect(held, "learn_from", self.learn_from, f"an iteration from 1 to {self.iterations}")
        self._expect(self.judge_from >= 1, "judge_from", self.judge_from, "an iteration, 1 or later")
        self._expect(self.judge_to >= self.judge_from, "judge_to", self.judge_to, f"{self.judge_from} or later")
        self._expect(self.neutral_every >= 1, "neutral_every", self.neutral_every, "at least 1")
        self._expect(self.window >= 1, "window", self.window, "at least 1 iteration")


@dataclass(frozen=True, kw_only=True)
class BackpropRecipe(PictureRecipe):
    """The twin: the same layers and a softmax on top, trained by backpropagation."""

    method: ClassVar[str] = "backprop"
