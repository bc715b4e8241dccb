"""Predictions of a run for pictures of any format."""

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
"""Share of the test cases that count as familiar to a net."""

CALIBRATION_CASES = 1000
"""Maximum number of test cases used for that threshold, evenly spaced."""

AT_ONCE = 100
"""Number of pictures that are decoded and classified in one batch."""

OUT_OF_DISTRIBUTION = "does not look like the training data"
"""Warning for a picture or a row that is less familiar than nearly all test cases."""


@dataclass(frozen=True)
class Prediction:
    """The prediction for one picture.

    Attributes:
        label: index of the class predicted by the main test.
        name: name of this class.
        probability: probability of this class by the main test; see `Classifier.probabilities`.
        familiarity: familiarity of the picture to the net; see `Classifier.familiarity`.
        warning: `OUT_OF_DISTRIBUTION`, with a reason if known, if the familiarity is lower than for 99 % of the test
            cases or the picture has more or less ink, or thinner or wider strokes, than all training images; otherwise
            ``None``.
        done: descriptions of the preprocessing steps.
        case: the preprocessed picture, ``(1, channels, height, width)``.
    """

    label: int
    name: str
    probability: float
    familiarity: float
    warning: str | None
    done: tuple[str, ...]
    case: Tensor

    def row(self, picture: Path) -> dict[str, Any]:
        """Return the prediction as a row of a table."""
        facts = {"picture": str(picture), "label": self.name, "class": self.label}
        figures = {"probability": round(self.probability, 4), "familiarity": round(self.familiarity, 4)}
        return {**facts, **figures, "warning": self.warning, "done": "; ".join(self.done), "error": None}


def combine_scores(net: Any, scores: Mapping[str, Tensor]) -> list[tuple[int, float]]:
    """Return the class predicted by the main test and its probability by the same test, for each case.

    Args:
        net: the `Classifier`.
        scores: its scores ``(cases, classes)`` by each test, the main test first.
    """
    labels = next(iter(scores.values())).argmax(1)
    shares = net.probabilities(scores).gather(1, labels[:, None])[:, 0]
    return list(zip(labels.tolist(), shares.tolist(), strict=True))


def with_look(preparation: Preparation | None, images: Tensor) -> Preparation | None:
    """Return the preparation of labeled images, with statistics of the training images for `predict` to compare."""
    if preparation is None or preparation.kind != "pictures" or preparation.look:
        return preparation
    return replace(preparation, look=look_of(images))


def familiar_from(net: Any, cases: Tensor) -> float:
    """Return the familiarity that a share `FAMILIAR` of the test cases exceeds; they may be sorted by class."""
    return float(net.familiarity(cases[:: -(-len(cases) // CALIBRATION_CASES)]).float().quantile(1 - FAMILIAR))


def with_familiarity(run: Run, data_dir: Path | None = None) -> Run:
    """Return the run, with the look of its training images and the familiarity threshold if an older version saved it.

    They are computed from the data of the run. If these are not available, the run is returned unchanged, with a
    `Remark`.
    """
    from twofold.training.sources import held_out

    if run.result.familiar is not None:
        return run
    try:
        data = held_out(run, data_dir)
    except TwofoldError as error:
        remark(
            f"an older run whose data are missing: pictures are only scaled, without a check for unusual ones ({error})"
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

    A row gets a warning if it is less familiar to the net than `FAMILIAR` of the test cases, or has an unusual value.

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
    """Return the paths of pictures: files unchanged, folders replaced by the pictures below them.

    Raises:
        DataError: a folder has no picture.
    """
    from twofold.data.pictures import pictures_below

    pictures = []
    for path in paths:
        if not path.is_dir():
            pictures.append(path)
            continue
        inside = pictures_below(path)
        if not inside:
            raise DataError(f"{path} is a folder without pictures: give picture files or a folder of pictures")
        pictures += inside
    return pictures


def predictions(run: Run, pictures: Iterable[Path]) -> Iterator[tuple[Path, Prediction | TwofoldError]]:
    """Yield each picture with its prediction, or with the error that prevented it."""
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
