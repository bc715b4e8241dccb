"""Learning by goodness: what all such recipes and methods share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from twofold import defaults
from twofold.errors import Diverged, SettingError, remark
from twofold.goodness import GOODNESS
from twofold.layers.layer import Layer
from twofold.learning import Rule
from twofold.machine.reduce import mean_over_cases
from twofold.methods.cases import Cases
from twofold.methods.method import Batch, ImageMethod, Names
from twofold.methods.recipe import ImageRecipe, setting
from twofold.negatives import NEGATIVES, Negatives, hard_wrong_labels
from twofold.nets.classifier import GoodnessClassifier, NetResult, SoftmaxClassifier
from twofold.objectives import OBJECTIVES

TIME_TO_LEARN = 500
"""Batches after which a layer that says the same of everything counts as collapsed."""
CHANCE = 0.6
"""The largest share of pairs in which the positive case has more goodness that counts as chance, which is a half."""
STORED = "stored"
"""The name of negatives that are drawn from the logits of an image's last visit."""
STRONGEST = 1e15
"""The largest label strength: that of squares of larger ones single precision can hold no sum."""


@dataclass(frozen=True, kw_only=True)
class GoodnessRecipe(ImageRecipe):
    """A recipe for learning by goodness."""

    smoothing: float = setting(defaults.SMOOTHING, of_net=True)
    decay: float = setting(defaults.DECAY, of_net=True)
    goodness: str = setting("sum_of_squares", names=GOODNESS, of_net=True)
    """Goodness function."""
    objective: str = setting("swish_symba", names=OBJECTIVES, of_net=True)
    """Loss on the goodness of positive and negative data."""
    temperature: float = setting(above=0, of_net=True)
    """Temperature of the objective, in units of goodness.
    With other widths and no stated temperature, it grows with the root of the units of the widest layer."""
    peer: float = setting(defaults.PEER, least=0, of_net=True, usual=1.0)
    """Strength of peer normalization."""
    floor: float = setting(0.0, least=0, of_net=True, usual=10.0)
    """Mean activity below which peer normalization raises a whole layer, so that it does not fall silent."""
    softmax_rate: float = setting(defaults.SOFTMAX_RATE, above=0, usual=10.0)
    """Learning rate of the softmax that the fast test reads."""
    softmax_decay: float = setting(defaults.SOFTMAX_DECAY, least=0, of_net=True, usual=1.0)
    """Weight decay of the softmax that the fast test reads."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._expect_decay("softmax_rate", "softmax_decay", self.softmax_rate)

    def rule(self) -> Rule:
        """The rule by which the layers learn. It has every field that a rule and the recipe share."""
        names, shared = self.having("names"), self.properties().keys() & Rule.__dataclass_fields__.keys()
        values = {name: getattr(self, name) for name in shared}
        return Rule(**{name: names[name][value] if name in names else value for name, value in values.items()})


@dataclass(frozen=True, kw_only=True)
class LabelRecipe(GoodnessRecipe):
    """A recipe for learning from images with right and with wrong labels."""

    negatives: str = setting("hard", names={**NEGATIVES, STORED: hard_wrong_labels})
    """Source of wrong labels.
    hard: the likeliest mistakes of the softmax; stored: those at the image's last visit; random: all alike."""
    label_strength: float = setting(defaults.LABEL_STRENGTH, above=0, most=STRONGEST, of_net=True, usual=100.0)
    """Number at the label's place in the input."""


R = TypeVar("R", bound=GoodnessRecipe)
N = TypeVar("N", bound=SoftmaxClassifier)
L = TypeVar("L", bound=LabelRecipe)
G = TypeVar("G", bound=GoodnessClassifier)


class GoodnessMethod(ImageMethod[R, N]):
    """Every layer raises its goodness for positive data and lowers it for negative data."""

    def __init__(self, net: N, recipe: R, data: Cases) -> None:
        super().__init__(net, recipe, data)
        self._goodness: list[list[tuple[Tensor, Tensor]]] = [[] for _ in net.layers]
        self._said = False

    @classmethod
    def defaults(cls, net: N) -> dict[str, Any]:
        return {**super().defaults(net), "temperature": defaults.TEMPERATURE}

    def _record(self, batch: Batch, result: NetResult) -> NetResult:
        """Keep for the metrics what the net measured while it learned from a batch; return it."""
        for kept, newest in zip(self._goodness, result.goodness, strict=True):
            if newest is not None:
                kept.append(newest)
        self._note(batch, result.logits)
        return result

    def check(self) -> None:
        for number, kept in enumerate(self._goodness, 1):
            if kept and not all(part.isfinite().all() for part in kept[-1]):
                raise self.diverged(f"layer {number}'s goodness")

    def metrics(self) -> dict[str, Any]:
        """Add ``layers``: for each that learned, the mean goodness of ``positive`` and ``negative`` cases divided by
        the threshold, and the mean probability that they are positive, ``p_positive`` and ``p_negative``."""
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
        """Say it once where a net had time to learn and no layer tells positive from negative data.

        Args:
            ordered: of each layer the share of pairs in which the positive case has more goodness.
        """
        if self._said or not ordered or self.batches_seen < TIME_TO_LEARN or max(ordered) > CHANCE:
            return
        self._said = True
        remark(
            f"after {self.batches_seen} batches no layer tells positive from negative data well: at best the positive "
            f"one has more goodness in {100 * max(ordered):.0f} % of all pairs; change --rate (it is "
            f"{self.recipe.rate:g}), and let every place of a map see the label, as label_in='planes' does"
        )

    def _raise_if_dead(self, summaries: list[dict[str, float]]) -> None:
        """Layers that no case of an epoch has made active have nothing to learn from, unless a floor raises them."""
        if summaries and not self.recipe.floor and not any(s["positive"] or s["negative"] for s in summaries):
            raise Diverged(
                f"the net is dead after {self.batches_seen} batches: no unit of any layer was active in a whole epoch, "
                f"so that nothing can be learned; {self.advice()}, or raise --floor, which raises a silent layer"
            )

    def _raise_if_collapsed(self, number: int, summary: dict[str, float]) -> None:
        """A layer that has had time to learn and is silent, or says the same of everything, will not recover."""
        if self.batches_seen < TIME_TO_LEARN:
            return
        where = f"layer {number} has collapsed after {self.batches_seen} batches"
        if max(abs(summary["positive"]), abs(summary["negative"])) < 1e-4:
            raise Diverged(
                f"{where}: all its activity is near zero; lower --rate (it is {self.recipe.rate:g}), or raise "
                "--peer, which revives silent units, or --floor, below which it raises a whole layer"
            )
        low, high = sorted((summary["p_positive"], summary["p_negative"]))
        if not self.net.stack[number - 1].rule.objective.paired and (high < 1e-3 or low > 1 - 1e-3):
            raise Diverged(
                f"{where}: it takes all data for {'negative' if high < 1e-3 else 'positive'} "
                f"(p = {summary['p_positive']:.4f} and {summary['p_negative']:.4f}); change --rate (it is "
                f"{self.recipe.rate:g}), lower --decay, or raise --temperature or --label-strength"
            )


class LabelMethod(GoodnessMethod[L, G]):
    """Positive data: images with their labels. Negative data: the same images with wrong labels.

    Attributes:
        logits: of each image, the newest that the softmax read from its hidden activities, ``(cases, classes)``; in the
            checkpoint, since stored negatives are drawn from them.
    """

    def __init__(self, net: G, recipe: L, data: Cases) -> None:
        super().__init__(net, recipe, data)
        if recipe.negatives == STORED and not data.numbered:
            raise SettingError(
                "--negatives is stored, but a DataLoader does not say which image is which: use hard, or give tensors "
                "or a dataset"
            )
        self.logits = torch.zeros(len(data), net.classes, device=net.device)

    def _negatives(self, batch: Batch) -> Negatives | Tensor:
        """What draws the wrong labels of a batch, or, where they depend on nothing that the net does now, these labels
        themselves, so that each layer can learn as soon as it has its input."""
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
        """Goodness by layer and the worst mistakes.

        Where the objective compares pairs, goodness is drawn relative to that of the other label of the pair.
        """
        from twofold.plots.panels import goodness_by_layer, worst_mistakes

        images, labels = data
        found = net.evaluate(images, labels).goodness
        assert found is not None
        total, rows = net.total(found), torch.arange(len(labels), device=labels.device)
        named, wrong = total.argmax(1), hardest(total, labels)
        positive, negative = found[rows, labels], found[rows, wrong]
        thresholds, across = [float(layer.threshold) for layer in net.stack], "goodness"
        if all(layer.rule.objective.paired for layer in net.stack):
            positive, negative = positive - negative, negative - positive
            thresholds, across = [0.0] * len(thresholds), "goodness, less that of the other label"
        margin = total[rows, named] - total[rows, labels]
        path = folder / "goodness.png"
        return [
            goodness_by_layer(list(positive.T), list(negative.T), thresholds, path, across=across),
            worst_mistakes(images, labels, named, margin, folder / "mistakes.png", names=names),
        ]


def hardest(total: Tensor, labels: Tensor) -> Tensor:
    """The wrong label that a net likes best, ``(cases,)``: the hardest negative there is.

    Args:
        total: goodness of each label, ``(cases, classes)``.
        labels: the true ones, ``(cases,)``.
    """
    return total.scatter(1, labels[:, None], -torch.inf).argmax(1)
