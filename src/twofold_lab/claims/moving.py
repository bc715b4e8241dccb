"""Claim (talk 23:29): it works for videos that move too, if the motion is simple.

Videos, net and twins are those of ``moving_training.py`` (smoke: 8x8 digits; full: MNIST), tested on test digits.

Surprise is the activity (minus goodness) of the layer that sees the frames, at the frame right after the break, under
the right label. ``separation`` is the probability that it is larger there than at the same frame of an unbroken video:
the area under the ROC curve. No wall is near at that frame. Motion is *reversed*, or another digit is *swapped* in, or
the digit has *jumped* elsewhere: these three kinds were among the negatives in training, with training digits at the
trained speeds. Generalization is reported outside the rule: to motion *turned* by a right angle or *stopped*, neither
of which was ever shown as a negative, and to speeds that were never shown at all.

To name the digit, the net picks the label whose goodness, summed over layers and frames, is the highest; in that test
no video breaks.

Rule: over all three kinds and all trained speeds the separation is at least 0.95, and less than 5 % of the digits are
named wrongly (smoke: 0.65, and 50 %).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from twofold.data import Dataset
from twofold.layers.inputs import CachedInput
from twofold.nets.backprop import Backprop
from twofold.nets.recurrent import Recurrent
from twofold.nets.video import State
from twofold_lab.data.moving import Broken, Moving, jump, launch, reverse, stop, swap, turn
from twofold_lab.lab import Finding, Lab, percent
from twofold_lab.moving_training import FULL, SEED, SMOKE, Film, film_data, see, taught, twins

KINDS = ("reversed", "swapped", "jumped")
UNTRAINED = ("turned", "stopped")
"""Kinds of breaks that were never among the negatives."""
ROWS = 1000
"""Number of videos that a test processes at once."""
DRAWN = 20
"""Number of test digits that move for the picture. The first is drawn; another one replaces it where it is swapped."""

Measure = Callable[[Moving | Broken, Tensor], Tensor]
"""A video and its labels ``(batch,)`` -> the surprise at its frame of the break, ``(batch,)``."""


def moving(lab: Lab) -> Finding:
    """Measure the claim ``moving``."""
    film, dataset = lab.pick(smoke=SMOKE, full=FULL), film_data(lab)
    net = taught(lab)
    namer, judge = twins(lab)
    limits = lab.pick(smoke=(0.65, 50.0), full=(0.95, 5.0))
    found = separations(film, dataset, lambda video, labels: surprise(net, film, video, labels))
    name_error = percent(naming_error(net, film, dataset))
    return Finding(
        holds=found["all"] >= limits[0] and name_error < limits[1],
        rule=f"separation over all kinds and trained speeds >= {limits[0]:g}, and naming error < {limits[1]:g} %",
        talk="works for moving video, too, if the motion is simple",
        measured={
            "separation": found,
            "naming error %": name_error,
            "trained negatives": f"wrong label, {', '.join(KINDS)}; not {' or '.join(UNTRAINED)}",
        },
        twin={
            "separation": separations(film, dataset, lambda video, _: doubt(judge, film, video)),
            **twin_naming_errors(namer, film, dataset),
        },
        seeds=[SEED],
    )


def separation(calm: Tensor, startled: Tensor) -> float:
    """Return the area under the ROC curve: P(startled > calm) + ½ P(startled = calm) over all pairs.

    Args:
        calm: values for predicted frames, ``(calm,)``.
        startled: values for surprising frames, ``(startled,)``.
    """
    calm, startled = calm.cpu(), startled.cpu()
    ordered = calm.double().sort().values
    below = torch.searchsorted(ordered, startled.double())
    not_above = torch.searchsorted(ordered, startled.double(), right=True)
    return float((below + not_above).double().mean() / (2 * len(calm)))


def parts_of(dataset: Dataset) -> Iterator[tuple[Tensor, Tensor]]:
    """Give the test pictures and their labels in parts that fit into any memory."""
    return zip(torch.split(dataset.test_images, ROWS), torch.split(dataset.test_labels, ROWS), strict=True)


def breaks(film: Film, video: Moving, generator: Generator) -> dict[str, Broken]:
    """Return the video broken in each possible way, by kind."""
    since = film.since
    swapped, jumped = swap(video, since, video.images.roll(1, 0)), jump(video, since, generator)
    each = reverse(video, since), swapped, jumped, turn(video, since), stop(video, since)
    return dict(zip((*KINDS, *UNTRAINED), each, strict=True))


def separations(film: Film, dataset: Dataset, measure: Measure) -> dict[str, Any]:
    """Measure how well surprise separates frames after a break from the same frames of unbroken videos.

    Args:
        film: the settings.
        dataset: the data set whose test pictures move.
        measure: the measure of surprise at the frame ``film.since``.

    Returns:
        The separation of ``all`` trained kinds together at the trained speeds; and that of each kind at the trained
        speeds together, at each of them, and at each unseen speed.
    """
    calm: dict[float, Tensor] = {}
    startled: dict[tuple[str, float], Tensor] = {}
    for speed in (*film.speeds, *film.unseen):
        generator = torch.Generator(dataset.test_images.device).manual_seed(SEED + 2)
        parts: dict[str, list[Tensor]] = {kind: [] for kind in ("unbroken", *KINDS, *UNTRAINED)}
        for images, labels in parts_of(dataset):
            video = launch(images, (speed,), film.canvas, generator, free=film.since)
            each: dict[str, Moving | Broken] = {"unbroken": video, **breaks(film, video, generator)}
            for kind, shown in each.items():
                parts[kind].append(measure(shown, labels).float().cpu())
        calm[speed] = torch.cat(parts["unbroken"])
        startled |= {(kind, speed): torch.cat(parts[kind]) for kind in (*KINDS, *UNTRAINED)}

    def over(kinds: tuple[str, ...], speeds: tuple[float, ...]) -> float:
        quiet = torch.cat([calm[speed] for speed in speeds])
        return round(separation(quiet, torch.cat([startled[kind, speed] for kind in kinds for speed in speeds])), 4)

    found: dict[str, Any] = {"all": over(KINDS, film.speeds)}
    for kind in (*KINDS, *UNTRAINED):
        single = {f"speed {speed:g}": over((kind,), (speed,)) for speed in film.speeds}
        unseen = {f"unseen speed {speed:g}": over((kind,), (speed,)) for speed in film.unseen}
        found[kind] = {"all": over((kind,), film.speeds), **single, **unseen}
    return found


@torch.no_grad()
def before_break(net: Recurrent, film: Film, video: Moving | Broken, top: CachedInput) -> State:
    """Return the state of the net after the last frame before the break."""
    state = net.start(see(net, video.frame(0)))
    for frame in video.frames(1, film.since - 1):
        state = net.step(see(net, frame), top, state)
    return state


@torch.no_grad()
def surprise(net: Recurrent, film: Film, video: Moving | Broken, labels: Tensor) -> Tensor:
    """Return the activity of the first layer at the frame ``film.since``, ``(batch,)``."""
    top = net.top(labels)
    state = before_break(net, film, video, top)
    return -net.step(see(net, video.frame(film.since)), top, state)[0].goodness


@torch.no_grad()
def naming_error(net: Recurrent, film: Film, dataset: Dataset) -> float:
    """Return the fraction of test digits for which a wrong label has the highest goodness.

    Goodness is summed over layers and over the frames that the net also learns from in training.
    """
    generator = torch.Generator(dataset.test_images.device).manual_seed(SEED + 3)
    wrong = 0
    for images, labels in parts_of(dataset):
        video = launch(images, film.speeds, film.canvas, generator)
        frames = [see(net, frame) for frame in video.frames(0, film.frames)]
        totals = []
        for label in range(dataset.classes):
            states = net.watch(frames[1:], net.top(torch.full_like(labels, label)), net.start(frames[0]))
            heard = [torch.stack([layer.goodness for layer in state]).sum(0) for state in states]
            totals.append(torch.stack(heard[film.watched :]).sum(0))
        wrong += int((torch.stack(totals, 1).argmax(1) != labels).sum())
    return wrong / len(dataset.test_labels)


def doubt(net: Backprop, film: Film, video: Moving | Broken, past: Moving | Broken | None = None) -> Tensor:
    """Return the twin's log odds that the frame ``film.since`` is broken, ``(batch,)``.

    Args:
        net: the twin that sees three frames.
        film: the settings.
        video: the video of the last of these frames.
        past: the video of the first two; the same video if ``None``.
    """
    before = [(past or video).frame(film.since - back) for back in (2, 1)]
    logits = net.fast(torch.cat([*before, video.frame(film.since)], 1))
    return logits[:, 1] - logits[:, 0]


def twin_naming_errors(net: Backprop, film: Film, dataset: Dataset) -> dict[str, float]:
    """Return how often the twin names a test digit wrongly: from one frame, and from all frames that the net uses."""
    generator = torch.Generator(dataset.test_images.device).manual_seed(SEED + 3)
    single = whole = 0.0
    for images, labels in parts_of(dataset):
        video = launch(images, film.speeds, film.canvas, generator)
        logits = [net.fast(frame).log_softmax(1) for frame in video.frames(film.watched + 1, film.frames)]
        votes = torch.stack(logits)
        single += float((votes.argmax(2) != labels).float().mean(0).sum())
        whole += float((votes.sum(0).argmax(1) != labels).sum())
    count = len(dataset.test_labels)
    return {"naming error % (one frame)": percent(single / count), "naming error % (video)": percent(whole / count)}


# ---- the picture ---------------------------------------------------------------------------------------------------


def draw_moving(lab: Lab, path: Path, record: Mapping[str, Any] | None = None) -> Path:
    """Draw how a break in the motion of the first test digit, at the fastest trained speed, surprises the net.

    Args:
        lab: the laboratory that has the net, or trains it.
        path: the PNG to write.
        record: the record of the claim; not used, since it does not hold single videos.
    """
    from twofold_lab.claims.plots import moving as plots

    film, dataset, net = lab.pick(smoke=SMOKE, full=FULL), film_data(lab), taught(lab)
    images, labels = dataset.test_images[:DRAWN], dataset.test_labels[:DRAWN]
    generator = torch.Generator(images.device).manual_seed(SEED + 6)
    video = launch(images, (max(film.speeds),), film.canvas, generator, free=film.since)
    broken = breaks(film, video, generator)
    watched = [activity_of_first(net, film, broken[kind], labels) for kind in KINDS]
    frames, activity = (torch.stack(parts) for parts in zip(*watched, strict=True))
    _, calm = activity_of_first(net, film, video, labels)
    return plots.surprise(frames, activity, calm, KINDS, film.since, path, first=film.watched + 1)


@torch.no_grad()
def activity_of_first(net: Recurrent, film: Film, video: Moving | Broken, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first video's frames, from the first that a net learns from, and the first layer's activity at each.

    Returns:
        The frames ``(frames, height, width)``, and the mean square of the layer's activities, ``(frames,)``.
    """
    top, units = net.top(labels), net.stack[0].bias.numel()
    state, shown, activity = net.start(see(net, video.frame(0))), [], []
    for frame in video.frames(1, film.frames):
        state = net.step(see(net, frame), top, state)
        shown.append(frame[0, 0])
        activity.append(-state[0].goodness[0] / units)
    return torch.stack(shown[film.watched :]), torch.stack(activity[film.watched :])
