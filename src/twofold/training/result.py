"""The result of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from twofold.checks import check_fields, convert

METRICS: dict[str, Any] = {
    "epoch": int,
    "seconds": float,
    "rate": float,
    "visits": float,
    "importance_sampling": bool,
    "loss": float | None,
    "train_error": float | None,
    "validation_error": dict[str, float],
    "layers": list[dict[str, float] | None],
    "layer_error": list[float],
    "passes_per_image": dict[str, int],
}
"""The types of the metrics that reports and pictures know; a method may measure others besides."""


def check_metrics(metrics: Mapping[str, Any]) -> None:
    """Make sure that metrics that were read from a file are of the types that reports and pictures expect.

    Raises:
        ArgumentError: one is not.
    """
    for name, value in metrics.items():
        convert(name, value, METRICS.get(name, Any))


@dataclass(frozen=True)
class Result:
    """The result of a training. Errors are shares of the cases, times are in seconds.

    Attributes:
        recipe: its name.
        method: name of the way of learning.
        settings: every field of the recipe.
        test_error: test -> error on the test set; empty where a validation set was held out.
        validation_error: the same on held-out training cases; empty where none were held out.
        epochs: number of epochs.
        seconds: of the whole training, without tests.
        seconds_per_epoch: the mean.
        parameters: number of weights and biases.
        dataset: name of the data set.
        official_data: whether its bytes are the official ones.
        fingerprint: sha256 of the data.
        seed: of everything random.
        device: cpu, cuda or mps.
        precision: of the products.
        environment: versions, commit, machine.
        run: the folder.
        started_from: the run whose trained net was trained further, and the digest of its weights; ``None`` where
            the first weights were drawn.
        familiar: the `Classifier.familiarity` that nearly all test cases reach; ``None`` for data without labels and in
            older runs.
        metrics: whatever else the method and the tests measured. For classifiers ``layer_error`` (of each layer's
            goodness alone), ``passes_per_image`` (test -> forward passes for one image) and ``train_error`` (of the
            softmax, on the training images of the last epoch as it saw them).
    """

    recipe: str
    method: str
    settings: dict[str, Any]
    test_error: dict[str, float]
    validation_error: dict[str, float]
    epochs: int
    seconds: float
    seconds_per_epoch: float
    parameters: int
    dataset: str
    official_data: bool
    fingerprint: str
    seed: int
    device: str
    precision: str
    environment: dict[str, Any]
    run: str
    started_from: dict[str, str] | None = None
    familiar: float | None = None
    metrics: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)
        check_metrics(self.metrics)

    @property
    def error(self) -> dict[str, float]:
        """Test -> error: on the test set, or on the cases that were held out."""
        return self.test_error or self.validation_error

    def to_json(self) -> dict[str, Any]:
        """All figures side by side, as ``result.json`` has them."""
        content = asdict(self)
        for name in ("started_from", "familiar"):
            if content[name] is None:
                del content[name]
        return {**content.pop("metrics"), **content}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """The result in the content of a ``result.json``.

        Raises:
            TypeError: a figure is missing, or of another type.
        """
        named = {each.name for each in fields(cls)} - {"metrics"}
        known = {name: value for name, value in content.items() if name in named}
        return cls(**known, metrics={name: value for name, value in content.items() if name not in named})
