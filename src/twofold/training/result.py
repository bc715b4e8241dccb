"""Results of training runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from twofold.checks import check_fields, convert
from twofold.methods import reported


def check_metrics(metrics: Mapping[str, Any]) -> None:
    """Check the types of metrics that were read from a file; see `Method.reported`.

    Raises:
        ArgumentError: a metric has the wrong type.
    """
    known = reported()
    for name, value in metrics.items():
        if name in known:
            convert(name, value, known[name].type)


@dataclass(frozen=True)
class Result:
    """The result of a training run. Errors are fractions of the cases. Times are in seconds.

    Attributes:
        recipe: name of the recipe.
        method: name of the learning method.
        settings: all fields of the recipe.
        test_error: name of a test -> error on the test set; empty if training cases were held out.
        validation_error: name of a test -> error on the held-out training cases; empty if none were held out.
        epochs: number of epochs.
        seconds: training time, without tests.
        seconds_per_epoch: mean training time of an epoch.
        parameters: number of weights and biases.
        dataset: name of the data set.
        official_data: True if the files of the data set are the official ones.
        fingerprint: SHA-256 of the data.
        seed: random seed.
        device: cpu, cuda or mps.
        precision: precision of the matrix products.
        environment: software versions, commit and machine.
        run: path of the run folder.
        started_from: path and weights digest of the run whose net was trained further; ``None`` if training started
            from random weights.
        familiar: familiarity threshold, which 99 % of the test cases exceed; see `Classifier.familiarity`. ``None`` for
            data without labels and in runs of older versions.
        metrics: other metrics of the method and the tests. For classifiers: ``layer_error`` (error of predictions by
            the goodness of each layer alone), ``passes_per_image`` (test -> forward passes per image) and
            ``train_error`` (error of the softmax classifier on the training images during the last epoch).
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
        """Name of a test -> error on the test set or, if training cases were held out, on the held-out cases."""
        return self.test_error or self.validation_error

    def to_json(self) -> dict[str, Any]:
        """Return the result as one flat dict, as stored in ``result.json``."""
        content = asdict(self)
        for name in ("started_from", "familiar"):
            if content[name] is None:
                del content[name]
        return {**content.pop("metrics"), **content}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Create a result from the content of ``result.json``.

        Raises:
            TypeError: an entry is missing or has the wrong type.
        """
        names = {entry.name for entry in fields(cls)} - {"metrics"}
        known = {name: value for name, value in content.items() if name in names}
        return cls(**known, metrics={name: value for name, value in content.items() if name not in names})
