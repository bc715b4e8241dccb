"""Base classes of recipes and methods that learn by goodness."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor

from twofold import defaults
from twofold.errors import Diverged, SettingError, remark
from twofold.goodness import GOODNESS
from twofold.layers.layer import Layer
from twofold.learning import Rule, scaled_temperature
from twofold.machine.reduce import mean_over_cases
from twofold.methods.cases import Cases
from twofold.methods.method import Batch, ImageMethod, Names
from twofold.methods.metrics import Metric
from twofold.methods.recipe import ImageRecipe, setting
from twofold.negatives import NEGATIVES, Negatives, hard_wrong_labels
from twofold.nets.classifier import Classifier, NetResult, SoftmaxClassifier
from twofold.nets.goodness_classifier import GoodnessClassifier, GoodnessNet
from twofold.objectives import OBJECTIVES

TIME_TO_LEARN = 500
"""Number of batches after which a layer that still responds equally to all data counts as collapsed."""
CHANCE = 0.6
"""A layer is at chance level if the positive case has the higher goodness in at most this fraction of the pairs of a
positive and a negative case; 0.5 is pure chance."""
USUAL_CLASSES = 10
"""Number of classes up to which the default label strength is used unchanged."""
STORED = "stored"
"""Value of ``negatives`` that draws wrong labels from the logits stored when an image was last used."""
STRONGEST = 1e15
"""Largest label strength. Sums of squares of larger label strengths overflow in single precision."""


@dataclass(frozen=True, kw_only=True)
class GoodnessRecipe(ImageRecipe):
    """Base class of recipes that learn by goodness."""

    smoothing: float = setting(defaults.SMOOTHING, of_net=True)
    decay: float = setting(defaults.DECAY, of_net=True)
    goodness: str = setting("sum_of_squares", names=GOODNESS, of_net=True)
    """Goodness of a layer: sum_of_squares, mean_of_squares, sum_of_activities or minus_sum_of_squares."""
    temperature: float = setting(above=0, of_net=True)
    """Temperature of the objective, in units of goodness.
    With --widths and without --temperature, it grows with the square root of the units of the widest layer."""
    peer: float = setting(defaults.PEER, least=0, of_net=True, usual=1.0)
    """Strength of peer normalization, which moves the mean activity of each unit towards that of its layer."""
    floor: float = setting(0.0, least=0, of_net=True, usual=10.0)
    """Lower bound on the mean activity of a layer. Peer normalization raises the activity of layers below it."""

    def with_scale_of(self, recipe: Self) -> Self:
        """Return a copy whose temperature is that of ``recipe``, scaled to the widest layer of the copy; see
        `scaled_temperature`."""
        temperature = scaled_temperature(recipe.temperature, max(self.widths), max(recipe.widths))
        return replace(self, temperature=temperature)

    def rule(self) -> Rule:
        """Return the learning rule of the layers.

        Each field that exists in both the rule and the recipe has the same value in both.
        """
        names, shared = self.fields_with("names"), self.properties().keys() & Rule.__dataclass_fields__.keys()
        values = {name: getattr(self, name) for name in shared}
        return Rule(**{name: names[name][value] if name in names else value for name, value in values.items()})


@dataclass(frozen=True, kw_only=True)
class PairRecipe(GoodnessRecipe):
    """Base class of recipes that learn from pairs of positive and negative data, and have a softmax classifier."""

    removed: ClassVar[Mapping[str, object]] = {"neutral_share": 1.0}

    objective: str = setting("swish_symba", names=OBJECTIVES, of_net=True)
    """Loss on the goodness of positive and negative data: logistic, symba or swish_symba."""
    softmax_rate: float = setting(defaults.SOFTMAX_RATE, above=0, usual=10.0)
    """Learning rate of the softmax classifier, which the fast test uses."""
    softmax_decay: float = setting(defaults.SOFTMAX_DECAY, least=0, of_net=True, usual=1.0)
    """Weight decay of the softmax classifier, which the fast test uses."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._expect_decay("softmax_rate", "softmax_decay", self.softmax_rate)


@dataclass(frozen=True, kw_only=True)
class LabelRecipe(PairRecipe):
    """Base class of recipes that learn from images with right and wrong labels."""

    negatives: str = setting("hard", names={**NEGATIVES, STORED: hard_wrong_labels})
    """Source of the wrong labels of negative data: hard, stored or random.
    With hard, they are drawn from the current output of the softmax classifier for the image.
    With stored, they are drawn from its output when the image was last used.
    With random, all wrong labels are equally likely."""
    label_strength: float = setting(defaults.LABEL_STRENGTH, above=0, most=STRONGEST, of_net=True, usual=100.0)
    """Value used for the true class in the one-hot label, instead of 1."""

    def for_cases(self, images: Tensor, classes: int) -> Self:
        """Return a copy of the recipe with a larger label strength if there are many classes.

        With more than `USUAL_CLASSES` classes, the label strength is multiplied by √(classes / `USUAL_CLASSES`), since
        each class is rarer.
        """
        recipe = super().for_cases(images, classes)
        if classes <= USUAL_CLASSES:
            return recipe
        return replace(recipe, label_strength=recipe.label_strength * math.sqrt(classes / USUAL_CLASSES))


def _goodness_of(layers: list[dict[str, float] | None]) -> str:
    """Format the goodness of positive and negative data in each trained layer, for a progress line."""
    return "goodness +/- " + " ".join(f"{layer['positive']:.2f}/{layer['negative']:.2f}" for layer in layers if layer)


R = TypeVar("R", bound=GoodnessRecipe)
N = TypeVar("N", bound=Classifier)
P = TypeVar("P", bound=PairRecipe)
S = TypeVar("S", bound=SoftmaxClassifier)
L = TypeVar("L", bound=LabelRecipe)
G = TypeVar("G", bound=GoodnessClassifier)


class GoodnessMethod(ImageMethod[R, N]):
    """Base class of methods that raise the goodness of each layer for positive data and lower it for negative data."""

    reported: ClassVar[Mapping[str, Metric]] = {
        "layers": Metric(
            list[dict[str, float] | None],
            _goodness_of,
            "goodness +/-: mean goodness of positive and negative data in each layer, relative to the threshold "
            "(lower for positive data if low activity is good)",
        ),
    }

    def __init__(self, net: N, recipe: R, data: Cases) -> None:
        super().__init__(net, recipe, data)
        self._goodness: list[list[tuple[Tensor, Tensor]]] = [[] for _ in net.layers]
        self._remarked = False

    @classmethod
    def defaults(cls, net: N) -> dict[str, Any]:
        return {**super().defaults(net), "temperature": defaults.TEMPERATURE}

    def _record(self, batch: Batch, result: NetResult) -> NetResult:
        """Store the result of a batch for the metrics, and return the result."""
        for kept, newest in zip(self._goodness, result.goodness, strict=True):
            if newest is not None:
                kept.append(newest)
        self._note(batch, result.logits)
        return result

    def check(self) -> None:
        for number, kept in enumerate(self._goodness, 1):
            if kept and not all(goodness.isfinite().all() for goodness in kept[-1]):
                raise self.diverged(f"layer {number}'s goodness")

    def metrics(self) -> dict[str, Any]:
        """Add the metric ``layers``: a list with a dict for each trained layer, and ``None`` for any other layer.

        In the dict of a layer, ``positive`` and ``negative`` are the mean goodness of positive and of negative cases,
        divided by the threshold. ``p_positive`` and ``p_negative`` are the means over positive and over negative cases
        of p(positive), the probability that a case is positive, which the layer computes from the goodness.
        """
        pairs = [torch.cat([p > n for p, n in kept]).float() for kept in self._goodness if kept]
        ordered = [mean_over_cases(above).item() for above in pairs]
        layers: list[dict[str, float] | None] = []
        for number, (layer, kept) in enumerate(zip(self.net.stack, self._goodness, strict=True), 1):
            layers.append(self._summary(number, layer, kept) if kept else None)
            kept.clear()
        self._raise_if_dead([summary for summary in layers if summary])
        self._remark_if_at_chance(ordered)
        return {**super().metrics(), "layers": layers}

    def _summary(self, number: int, layer: Layer[Any], kept: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
        positive, negative = (torch.cat(side) for side in zip(*kept, strict=True))
        scale, temperature = layer.threshold, layer.temperature
        summary = {
            "positive": (mean_over_cases(positive) / scale).item(),
            "negative": (mean_over_cases(negative) / scale).item(),
            "p_positive": mean_over_cases(torch.sigmoid((positive - scale) / temperature)).item(),
            "p_negative": mean_over_cases(torch.sigmoid((negative - scale) / temperature)).item(),
        }
        self._raise_if_collapsed(number, summary)
        return summary

    def _remark_if_at_chance(self, ordered: list[float]) -> None:
        """Issue a `Remark` once if no layer separates positive from negative data after `TIME_TO_LEARN` batches.

        Args:
            ordered: for each layer, the fraction of the pairs of a positive and a negative case in which the positive
                case has the higher goodness.
        """
        if self._remarked or not ordered or self.batches_seen < TIME_TO_LEARN or max(ordered) > CHANCE:
            return
        self._remarked = True
        remark(
            f"after {self.batches_seen} batches no layer separates positive from negative data: in the best layer the "
            f"positive case has the higher goodness in {100 * max(ordered):.0f} % of all pairs; change --rate (it is "
            f"{self.recipe.rate:g}); for feature maps, show the label at every position, as label_in='planes' does"
        )

    def _raise_if_dead(self, summaries: list[dict[str, float]]) -> None:
        """Raise `Diverged` if no unit was active in an epoch, unless a floor reactivates units."""
        if summaries and not self.recipe.floor and not any(s["positive"] or s["negative"] for s in summaries):
            raise Diverged(
                f"the net is dead after {self.batches_seen} batches: no unit of any layer was active in a whole epoch; "
                f"{self.advice()}, or raise --floor, which reactivates inactive layers"
            )

    def _raise_if_collapsed(self, number: int, summary: dict[str, float]) -> None:
        """Raise `Diverged` if layer ``number`` is inactive or treats all data equally after `TIME_TO_LEARN` batches."""
        if self.batches_seen < TIME_TO_LEARN:
            return
        collapsed = f"layer {number} has collapsed after {self.batches_seen} batches"
        if max(abs(summary["positive"]), abs(summary["negative"])) < 1e-4:
            raise Diverged(
                f"{collapsed}: its activity is near zero; lower --rate (it is {self.recipe.rate:g}), or raise --peer, "
                "which reactivates inactive units, or --floor, which reactivates inactive layers"
            )
        low, high = sorted((summary["p_positive"], summary["p_negative"]))
        if not self.net.stack[number - 1].rule.objective.paired and (high < 1e-3 or low > 1 - 1e-3):
            raise Diverged(
                f"{collapsed}: it classifies all data as {'negative' if high < 1e-3 else 'positive'} "
                f"(p = {summary['p_positive']:.4f} and {summary['p_negative']:.4f}); change --rate (it is "
                f"{self.recipe.rate:g}), lower --decay, or raise --temperature or --label-strength"
            )


class PairMethod(GoodnessMethod[P, S]):
    """Base class of methods that learn from pairs of positive and negative data, and train a softmax classifier."""

    def _learn(self, batch: Batch, factor: float, **options: Any) -> NetResult:
        """Train on a batch, store the result for the metrics, and return the result.

        Args:
            batch: the batch.
            factor: factor of the learning-rate schedule, as returned by `set_rate`.
            options: other arguments of the net's ``learn``.
        """
        net: Any = self.net
        result = net.learn(
            batch.images,
            batch.labels,
            rate=self.rate,
            softmax_rate=self.recipe.softmax_rate * factor,
            case_weight=batch.case_weight,
            generator=self.generator,
            **options,
        )
        return self._record(batch, result)


class LabelMethod(PairMethod[L, G]):
    """Base class of methods whose positive data are images with their labels.

    The negative data are the same images with wrong labels.

    Attributes:
        logits: logits of the softmax classifier for each training image when the image was last used, ``(cases,
            classes)``. Checkpoints contain these logits, since stored negatives are drawn from them.
    """

    def __init__(self, net: G, recipe: L, data: Cases) -> None:
        super().__init__(net, recipe, data)
        if recipe.negatives == STORED and not data.numbered:
            raise SettingError(
                "--negatives is stored, but a DataLoader does not number its images: use hard, or give tensors or a "
                "dataset"
            )
        self.logits = torch.zeros(len(data), net.classes, device=net.device)

    def _negatives(self, batch: Batch) -> Negatives | Tensor:
        """Return the wrong labels of a batch, ``(batch,)``, or for hard negatives a function that draws them.

        Hard negatives depend on the logits of the current forward pass, so they cannot be drawn in advance. All other
        wrong labels are drawn in advance, so that each layer can learn as soon as the layer below has responded.
        """
        draw = NEGATIVES["hard" if self.recipe.negatives == STORED else self.recipe.negatives]
        if self.recipe.negatives == "hard":
            return draw
        return draw(batch.labels, self.logits[batch.cases], self.generator)

    def _record(self, batch: Batch, result: NetResult) -> NetResult:
        self.logits[batch.cases] = result.logits.to(self.logits.dtype)
        return super()._record(batch, result)

    def per_case(self) -> list[Tensor]:
        return [*super().per_case(), self.logits]

    def tensors(self) -> dict[str, Tensor]:
        return {**super().tensors(), "logits": self.logits}

    @classmethod
    def draw(cls, net: G, recipe: L, data: tuple[Tensor, ...], folder: Path, names: Names = ()) -> list[Path]:
        """Plot the goodness in each layer, and the worst mistakes; see `draw_goodness`."""
        return draw_goodness(net, data, folder, names)


def draw_goodness(net: GoodnessNet, data: tuple[Tensor, ...], folder: Path, names: Names = ()) -> list[Path]:
    """Plot the goodness in each layer for the true label and for the best wrong label, and the worst mistakes.

    If the objective compares pairs, plot instead, for each of the two labels, the goodness minus the goodness for the
    other label. For the arguments see `Method.draw`.
    """
    from twofold.plots.panels import goodness_by_layer, worst_mistakes

    images, labels = data
    goodness = net.evaluate(images, labels).goodness
    assert goodness is not None
    total, rows = net.total(goodness), torch.arange(len(labels), device=labels.device)
    predicted, wrong = total.argmax(1), hardest(total, labels)
    positive, negative = goodness[rows, labels], goodness[rows, wrong]
    thresholds, across = [float(layer.threshold) for layer in net.stack], "goodness"
    if all(layer.rule.objective.paired for layer in net.stack):
        positive, negative = positive - negative, negative - positive
        thresholds, across = [0.0] * len(thresholds), "difference of goodness to the other label"
    margin = total[rows, predicted] - total[rows, labels]
    return [
        goodness_by_layer(list(positive.T), list(negative.T), thresholds, folder / "goodness.png", across=across),
        worst_mistakes(images, labels, predicted, margin, folder / "mistakes.png", names=names),
    ]


def hardest(total: Tensor, labels: Tensor) -> Tensor:
    """Return the hardest negative of each case, ``(cases,)``: the wrong label with the highest goodness.

    Args:
        total: goodness of each label, summed over layers, ``(cases, classes)``.
        labels: true labels, ``(cases,)``.
    """
    return total.scatter(1, labels[:, None], -torch.inf).argmax(1)
