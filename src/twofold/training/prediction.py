"""Predictions of a trained net for image files of any format."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from twofold.data.look import look_of
from twofold.data.preparation import Preparation
from twofold.errors import DataError, TwofoldError, remark

if TYPE_CHECKING:
    from twofold.training.runs import Run

FAMILIAR = 0.99
"""Fraction of the test cases whose familiarity is above the familiarity threshold of a net."""

CALIBRATION_CASES = 1000
"""Maximum number of test cases from which the familiarity threshold is computed, evenly spaced in the test set."""

AT_ONCE = 100
"""Number of images that are decoded and classified in one batch."""

OUT_OF_DISTRIBUTION = "does not look like the training data"
"""Warning for an image, or a row of a table, that is unlike the training data."""


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    Attributes:
        label: index of the class predicted by the main test, the first test of the net.
        name: name of the predicted class.
        probability: probability of the predicted class by the main test; see `Classifier.probabilities`.
        familiarity: similarity of the image to the training data; see `Classifier.familiarity`.
        warning: `OUT_OF_DISTRIBUTION`, with a reason if known, if the image is unusual; otherwise ``None``. An image is
            unusual if its familiarity is lower than that of 99 % of the test cases, or if it has more or less ink, or
            thinner or wider strokes, than all training images.
        done: descriptions of the preprocessing steps that were applied.
        case: the preprocessed image, ``(1, channels, height, width)``.
    """

    label: int
    name: str
    probability: float
    familiarity: float
    warning: str | None
    done: tuple[str, ...]
    case: Tensor

    def row(self, picture: Path) -> dict[str, Any]:
        """Return the prediction as a row of a table: column -> value.

        Args:
            picture: path of the image file.
        """
        facts = {"picture": str(picture), "label": self.name, "class": self.label}
        figures = {"probability": round(self.probability, 4), "familiarity": round(self.familiarity, 4)}
        return {**facts, **figures, "warning": self.warning, "done": "; ".join(self.done), "error": None}


def combine_scores(net: Any, scores: Mapping[str, Tensor]) -> list[tuple[int, float]]:
    """Return, for each case, the class predicted by the main test and the probability of this class by the same test.

    Args:
        net: the `Classifier`.
        scores: name of a test -> scores, ``(cases, classes)``. The main test is the first; see `Classifier.scores`.
    """
    labels = next(iter(scores.values())).argmax(1)
    shares = net.probabilities(scores).gather(1, labels[:, None])[:, 0]
    return list(zip(labels.tolist(), shares.tolist(), strict=True))


def with_look(preparation: Preparation | None, images: Tensor) -> Preparation | None:
    """Return ``preparation`` with statistics of the training images ``(cases, channels, height, width)`` added.

    `predict` compares new images with these statistics. ``preparation`` is returned unchanged if it is ``None``, is for
    tables, or already has statistics.
    """
    if preparation is None or preparation.kind != "pictures" or preparation.look:
        return preparation
    return replace(preparation, look=look_of(images))


def familiar_from(net: Any, cases: Tensor) -> float:
    """Return the familiarity threshold of a net, which a fraction `FAMILIAR` of the test cases exceeds.

    Args:
        net: the net, a `Classifier`.
        cases: test cases, ``(cases, channels, height, width)``, which may be sorted by class.
    """
    return float(net.familiarity(cases[:: -(-len(cases) // CALIBRATION_CASES)]).float().quantile(1 - FAMILIAR))


def with_familiarity(run: Run, data_dir: Path | None = None) -> Run:
    """Add the statistics of the training images and the familiarity threshold to a run that was saved without them.

    Older versions did not save them. They are computed from the data of the run. If the data are not available, a
    `Remark` is issued and the run is returned unchanged.

    Args:
        run: the run.
        data_dir: folder that is searched first for data sets.
    """
    from twofold.training.sources import held_out

    if run.result.familiar is not None:
        return run
    try:
        data = held_out(run, data_dir)
    except TwofoldError as error:
        remark(
            f"data of an older run are missing: images are only scaled, not compared with the training data ({error})"
        )
        return run
    familiar = familiar_from(run.net, data.test[0].to(run.net.device))
    return replace(
        run,
        preparation=with_look(run.preparation, data.train[0]),
        result=replace(run.result, familiar=familiar),
    )


def table_warnings(run: Run, cases: Tensor, unusual: Mapping[int, str]) -> list[str | None]:
    """Return the warning for each row of a table, or ``None``.

    A row gets a warning if its familiarity is below the familiarity threshold of the run, or if it has an unusual
    value.

    Args:
        run: a run that was trained on a table.
        cases: the prepared rows, ``(rows, 1, 1, features)``.
        unusual: row index -> description of an unusual value; see `Preparation.table_with_problems`.
    """
    threshold = -math.inf if run.result.familiar is None else run.result.familiar
    unfamiliar = run.net.familiarity(cases) < threshold
    return [_warning(strange, unusual.get(row)) for row, strange in enumerate(unfamiliar.tolist())]


def _warning(unfamiliar: bool, reason: str | None) -> str | None:
    return f"{OUT_OF_DISTRIBUTION}{f': {reason}' if reason else ''}" if unfamiliar or reason else None


def pictures_at(paths: Sequence[Path]) -> list[Path]:
    """Return the paths of image files. Folders are replaced by the image files in them and in their subfolders.

    Raises:
        DataError: a folder contains no image file.
    """
    from twofold.data.pictures import pictures_below

    pictures = []
    for path in paths:
        if not path.is_dir():
            pictures.append(path)
            continue
        inside = pictures_below(path)
        if not inside:
            raise DataError(f"{path} is a folder without images: give image files or a folder of images")
        pictures += inside
    return pictures


def predictions(run: Run, pictures: Iterable[Path]) -> Iterator[tuple[Path, Prediction | TwofoldError]]:
    """Yield the path of each image file with its prediction, or with the error if the image cannot be classified."""
    paths = list(pictures)
    for start in range(0, len(paths), AT_ONCE):
        yield from _predict_batch(run, paths[start : start + AT_ONCE])


def _predict_batch(run: Run, pictures: Sequence[Path]) -> Iterator[tuple[Path, Prediction | TwofoldError]]:
    from twofold.data.pictures import prepare

    assert run.preparation is not None
    prepared: list[tuple[Tensor, tuple[str, ...]] | TwofoldError] = []
    for picture in pictures:
        try:
            prepared.append(prepare(picture, run.preparation))
        except TwofoldError as error:
            prepared.append(error)
    ready = [result for result in prepared if isinstance(result, tuple)]
    results = iter(_classify(run, ready) if ready else [])
    for picture, result in zip(pictures, prepared, strict=True):
        yield picture, next(results) if isinstance(result, tuple) else result


@torch.no_grad()
def _classify(run: Run, ready: Sequence[tuple[Tensor, tuple[str, ...]]]) -> list[Prediction]:
    assert run.preparation is not None
    names, look, threshold = run.preparation.names, run.preparation.look, run.result.familiar
    cases = torch.cat([case for case, _ in ready]).to(run.net.device)
    scores, familiarities = run.net.scores(cases), run.net.familiarity(cases)
    results = []
    for (case, done), (label, share), value in zip(
        ready, combine_scores(run.net, scores), familiarities.tolist(), strict=True
    ):
        reason = look.oddity(case[0, 0].numpy()) if look else None
        unfamiliar = threshold is not None and value < threshold
        results.append(Prediction(label, names[label], share, value, _warning(unfamiliar, reason), done, case))
    return results
