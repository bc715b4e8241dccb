"""What a run says of pictures of any kind."""

from __future__ import annotations

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
"""Share of the cases which a net was tested on that look familiar to it."""

ASKED = 1000
"""Cases that are asked for that at most, evenly over all."""

AT_ONCE = 100
"""Pictures that are decoded before the net sees them."""

STRANGE = "does not look like the training data"
"""What is said of a picture that is less familiar than nearly all that the net was tested on."""


@dataclass(frozen=True)
class Prediction:
    """What a run says of one picture.

    Attributes:
        label: of the class that the main test names.
        name: of this class.
        probability: that the softmax gives to it.
        familiarity: see `Classifier.familiarity`.
        warning: `STRANGE`, and why, where that is lower than for 99 of 100 cases that the net was tested on, or where
            there is more or less ink than on any training image, or strokes are wider or thinner.
        done: what was done to the picture, in plain words.
        case: the picture as the net sees it, (1, channels, height, width).
    """

    label: int
    name: str
    probability: float
    familiarity: float
    warning: str | None
    done: tuple[str, ...]
    case: Tensor

    def row(self, picture: Path) -> dict[str, Any]:
        """The prediction for a picture as a line of a table can hold it."""
        facts = {"picture": str(picture), "label": self.name, "class": self.label}
        figures = {"probability": round(self.probability, 4), "familiarity": round(self.familiarity, 4)}
        return {**facts, **figures, "warning": self.warning, "done": "; ".join(self.done), "error": None}


def sure(scores: Mapping[str, Tensor]) -> list[tuple[int, float]]:
    """The class that the main test names for each case, and the probability that the softmax gives to it.

    Args:
        scores: of each test, the main one first, ``(cases, classes)``; see `Classifier.scores`.
    """
    labels = next(iter(scores.values())).argmax(1)
    shares = scores["fast"].float().softmax(1).gather(1, labels[:, None])[:, 0]
    return list(zip(labels.tolist(), shares.tolist(), strict=True))


def with_look(preparation: Preparation | None, images: Tensor) -> Preparation | None:
    """The preparation of labeled training images, with what they have in common."""
    if preparation is None or preparation.kind != "pictures" or preparation.look:
        return preparation
    return replace(preparation, look=look_of(images))


def familiar_from(net: Any, cases: Tensor) -> float:
    """The familiarity that nearly all of the cases have that a net was tested on, which may be in order of classes."""
    return float(net.familiarity(cases[:: -(-len(cases) // ASKED)]).float().quantile(1 - FAMILIAR))


def acquainted(run: Run, data_dir: Path | None = None) -> Run:
    """The run, with what older versions did not keep: how its training images look, and how familiar others are.

    That is read from its data; where these are not here, a `Remark` says so and the run is as it was.
    """
    from twofold.training.sources import held_out

    if run.result.familiar is not None:
        return run
    try:
        data = held_out(run, data_dir)
    except TwofoldError as error:
        remark(
            f"an older run without its data: pictures are only scaled, and nothing is said of strange ones ({error})"
        )
        return run
    familiar = familiar_from(run.net, data.test[0].to(run.net.device))
    return replace(
        run,
        preparation=with_look(run.preparation, data.train[0]),
        result=replace(run.result, familiar=familiar),
    )


def pictures_at(paths: Sequence[Path]) -> list[Path]:
    """The pictures that are meant: files as they are, and of folders what `pictures_below` finds.

    Raises:
        DataError: there is no picture in a folder.
    """
    from twofold.data.pictures import pictures_below

    found = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = pictures_below(path)
        if not inside:
            raise DataError(f"{path} is a folder without a picture in it: name pictures, or a folder that has some")
        found += inside
    return found


def predictions(run: Run, pictures: Iterable[Path]) -> Iterator[tuple[Path, Prediction | TwofoldError]]:
    """What a run says of each picture, or why it can say nothing."""
    waiting: list[Path] = []
    for picture in pictures:
        waiting.append(picture)
        if len(waiting) == AT_ONCE:
            yield from _answered(run, waiting)
            waiting = []
    yield from _answered(run, waiting)


def _answered(run: Run, pictures: Sequence[Path]) -> Iterator[tuple[Path, Prediction | TwofoldError]]:
    from twofold.data.pictures import prepare

    assert run.preparation is not None
    prepared: list[tuple[Tensor, tuple[str, ...]] | TwofoldError] = []
    for picture in pictures:
        try:
            prepared.append(prepare(picture, run.preparation))
        except TwofoldError as error:
            prepared.append(error)
    ready = [each for each in prepared if isinstance(each, tuple)]
    said = iter(_named(run, ready) if ready else [])
    for picture, each in zip(pictures, prepared, strict=True):
        yield picture, next(said) if isinstance(each, tuple) else each


@torch.no_grad()
def _named(run: Run, ready: Sequence[tuple[Tensor, tuple[str, ...]]]) -> list[Prediction]:
    assert run.preparation is not None
    names, look, least = run.preparation.names, run.preparation.look, run.result.familiar
    cases = torch.cat([case for case, _ in ready]).to(run.net.device)
    scores, like = run.net.scores(cases), run.net.familiarity(cases)
    found = []
    for (case, done), (label, share), known in zip(ready, sure(scores), like.tolist(), strict=True):
        odd = look.oddity(case[0, 0].numpy()) if look else None
        strange = least is not None and known < least
        warning = f"{STRANGE}{f': {odd}' if odd else ''}" if strange or odd else None
        found.append(Prediction(label, names[label], share, known, warning, done, case))
    return found
