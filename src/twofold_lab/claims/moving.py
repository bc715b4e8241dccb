"""Forward-Forward also learns from moving video, if the motion is simple (talk 23:29).

The motion is simple: a digit moves at constant velocity over a black canvas. A net that watches such videos should be
surprised when the motion breaks, and should name the digit. The videos, the net and its two backprop twins are those of
``moving_training.py`` (smoke: 8x8 digits; full: MNIST). The test uses test digits.

The surprise is the activity (minus the goodness) of the layer that sees the frames, at the frame right after the break,
under the right label. The ``separation`` is the probability that the surprise is larger at this frame of a broken video
than at the same frame of an unbroken video (the area under the ROC curve). The digit is not near a wall of the canvas
at that frame. There are five types of breaks. In three of them the motion is *reversed*, another digit is *swapped* in,
or the digit has *jumped* elsewhere. These three types were among the negative data in training, with training digits at
the trained speeds. In the other two types, the motion is *turned* by a right angle or *stopped*; neither was in
training. Some tested speeds were not in training either. The results for untrained breaks and speeds measure
generalization; no rule depends on them.

The net names the digit by the label with the highest goodness, summed over layers and frames, in videos that do not
break. One twin classifies, from three frames in a row, whether the last frame comes right after a break; the log odds
of a break are the surprise of this twin. The other twin names the digit from one frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Generator, Tensor

from twofold.data import Dataset
from twofold.layers.inputs import CachedInput
from twofold.nets.backprop import Backprop
from twofold.nets.recurrent import Recurrent
from twofold.nets.video import State
from twofold_lab import tables
from twofold_lab.claim import Claim, Finding, Headline, Record
from twofold_lab.data.moving import Broken, Moving, jump, launch, reverse, stop, swap, turn
from twofold_lab.figures import percent
from twofold_lab.lab import Lab
from twofold_lab.moving_training import SEED, Film, settings, trained_net, twins, view
from twofold_lab.verdict import Estimate, Figures, Verdict, at_least, less, one_seed

if TYPE_CHECKING:
    from twofold.plots.canvas import Floats

TRAINED = ("reversed", "swapped", "jumped")
"""Types of breaks that were among the negative data in training."""
UNTRAINED = ("turned", "stopped")
KINDS, FIGURE = (*TRAINED, *UNTRAINED), ("separation", "all")
ROWS = 1000
"""Number of videos that a test processes at once."""
DRAWN = 20
"""Number of test digits in the videos of the plot, which shows the first digit and the one swapped in for it."""

Surprise = Callable[[Moving | Broken, Tensor], Tensor]
"""Function of videos and labels ``(batch,)`` that returns the surprise at the frame of the break, ``(batch,)``."""

CLAIM = Claim(
    "moving",
    time="23:29",
    says="Forward-Forward also learns from moving video, if the motion is simple.",
    headline=Headline("separation", "works for moving video, too, if the motion is simple", FIGURE, FIGURE),
)


@CLAIM.clause(
    "frames that break the motion surprise the net",
    "over all three trained kinds and all trained speeds the separation is at least 0.95 (smoke: 0.65)",
)
def _separates(figures: Figures) -> Verdict:
    return one_seed(at_least(figures.of("separation", "all"), figures.pick(smoke=0.65, full=0.95)))


@CLAIM.clause("the net names the digit", "less than 5 % of the digits are named wrongly (smoke: 50 %)")
def _names(figures: Figures) -> Verdict:
    return less(figures.of("naming error %"), Estimate(figures.pick(smoke=50.0, full=5.0)))


@CLAIM.measure
def moving(lab: Lab) -> Finding:
    film, dataset = settings(lab)
    net, (namer, judge) = trained_net(lab), twins(lab)
    return Finding(
        measured={
            "separation": separations(film, dataset, lambda video, labels: surprise(net, film, video, labels)),
            "naming error %": percent(naming_error(net, film, dataset)),
            "trained negatives": f"wrong label, {', '.join(TRAINED)}; not {' or '.join(UNTRAINED)}",
        },
        twin={
            "separation": separations(film, dataset, lambda video, _: log_odds(judge, film, video)),
            **twin_naming_errors(namer, film, dataset),
        },
        seeds=[SEED],
    )


def separations(film: Film, dataset: Dataset, measure: Surprise) -> dict[str, Any]:
    """Measure how well surprise separates the frame after a break from the same frame of unbroken videos.

    Args:
        film: settings of the videos.
        dataset: the data set whose test images move.
        measure: returns the surprise at the frame ``film.since``, the first after the break.

    Returns:
        Under ``all``, the separation for all trained types of breaks together, at the trained speeds together. Under
        the name of a type of break, a mapping with the separation for this type at the trained speeds together
        (``all``), at each trained speed, and at each unseen speed.
    """
    surprises: dict[tuple[str, float], Tensor] = {}
    for speed in (*film.speeds, *film.unseen):
        generator = torch.Generator(dataset.test_images.device).manual_seed(SEED + 2)
        chunks: dict[str, list[Tensor]] = {}
        for video, labels in videos_of_test_set(dataset, film, (speed,), generator, free=film.since):
            videos: dict[str, Moving | Broken] = {"unbroken": video, **breaks(film, video, generator)}
            for kind, shown in videos.items():
                chunks.setdefault(kind, []).append(measure(shown, labels).float().cpu())
        surprises |= {(kind, speed): torch.cat(values) for kind, values in chunks.items()}

    def over(kinds: Sequence[str], speeds: Sequence[float]) -> float:
        calm = torch.cat([surprises["unbroken", speed] for speed in speeds])
        return separation(calm, torch.cat([surprises[kind, speed] for kind in kinds for speed in speeds]))

    names = {speed: f"speed {speed:g}" for speed in film.speeds}
    names |= {speed: f"unseen speed {speed:g}" for speed in film.unseen}
    return {
        "all": over(TRAINED, film.speeds),
        **{
            kind: {
                "all": over((kind,), film.speeds),
                **{name: over((kind,), (speed,)) for speed, name in names.items()},
            }
            for kind in KINDS
        },
    }


def separation(calm: Tensor, startled: Tensor) -> float:
    """Return the area under the ROC curve, P(startled > calm) + ½ P(startled = calm) over all pairs, to four digits.

    Args:
        calm: surprise at predicted frames, ``(calm,)``.
        startled: surprise at frames after a break, ``(startled,)``.
    """
    ordered, startled = calm.cpu().double().sort().values, startled.cpu().double()
    below, not_above = (torch.searchsorted(ordered, startled, right=right) for right in (False, True))
    return round(float((below + not_above).double().mean() / (2 * len(ordered))), 4)


def videos_of_test_set(
    dataset: Dataset, film: Film, speeds: Sequence[float], generator: Generator, free: int | None = None
) -> Iterator[tuple[Moving, Tensor]]:
    """Yield videos of the test images and their labels in chunks of `ROWS`, to limit memory.

    Args:
        dataset: the data set whose test images move.
        film: settings of the videos.
        speeds: speeds in pixels per frame, all equally likely.
        generator: random generator on the device of the images.
        free: number of a frame in which no image is near a wall of the canvas; ``None`` for no such frame.
    """
    for images, labels in zip(*(torch.split(tensor, ROWS) for tensor in dataset.test), strict=True):
        yield launch(images, speeds, film.canvas, generator, free=free), labels


def breaks(film: Film, video: Moving, generator: Generator) -> dict[str, Broken]:
    """Return type of break -> the videos with the motion broken right before the frame ``film.since``."""
    since = film.since
    return {
        "reversed": reverse(video, since),
        "swapped": swap(video, since, video.images.roll(1, 0)),
        "jumped": jump(video, since, generator),
        "turned": turn(video, since),
        "stopped": stop(video, since),
    }


@torch.no_grad()
def before_break(net: Recurrent, film: Film, video: Moving | Broken, top: CachedInput) -> State:
    """Return the state of the net after it has seen all frames before ``film.since``.

    ``top`` is the input at the top of the net, from the labels.
    """
    state = net.start(view(net, video.frame(0)))
    for frame in video.frames(1, film.since - 1):
        state = net.step(view(net, frame), top, state)
    return state


@torch.no_grad()
def surprise(net: Recurrent, film: Film, video: Moving | Broken, labels: Tensor) -> Tensor:
    """Return the sum of squared activities of the first layer at the frame ``film.since``, ``(batch,)``."""
    top = net.top(labels)
    state = before_break(net, film, video, top)
    return -net.step(view(net, video.frame(film.since)), top, state)[0].goodness


def log_odds(twin: Backprop, film: Film, video: Moving | Broken, past: Moving | None = None) -> Tensor:
    """Return the twin's log odds that the motion breaks right before the frame ``film.since``, ``(batch,)``.

    Args:
        twin: the twin that sees three frames.
        film: settings of the videos.
        video: the videos from which the third frame is taken.
        past: the videos from which the first two frames are taken; by default ``video``.
    """
    frames = [(past or video).frame(film.since - 2), (past or video).frame(film.since - 1), video.frame(film.since)]
    logits = twin.fast(torch.cat(frames, 1))
    return logits[:, 1] - logits[:, 0]


@torch.no_grad()
def naming_error(net: Recurrent, film: Film, dataset: Dataset) -> float:
    """Return the fraction of the videos of test digits for which a wrong label has the highest goodness.

    Goodness is summed over layers and over the frames with the numbers from which the net learns in training.
    """
    generator = torch.Generator(dataset.test_images.device).manual_seed(SEED + 3)
    wrong = 0
    for video, labels in videos_of_test_set(dataset, film, film.speeds, generator):
        first, *frames = (view(net, frame) for frame in video.frames(0, film.frames))
        totals = []
        for label in range(dataset.classes):
            states = net.watch(frames, net.top(torch.full_like(labels, label)), net.start(first))
            goodness = [torch.stack([layer.goodness for layer in state]).sum(0) for state in states]
            totals.append(torch.stack(goodness[film.watched :]).sum(0))
        wrong += int((torch.stack(totals, 1).argmax(1) != labels).sum())
    return wrong / len(dataset.test_labels)


def twin_naming_errors(twin: Backprop, film: Film, dataset: Dataset) -> dict[str, float]:
    """Return the twin's errors in percent in naming test digits: from one frame, and from all frames of a video."""
    generator = torch.Generator(dataset.test_images.device).manual_seed(SEED + 3)
    by_frame = by_video = 0.0
    for video, labels in videos_of_test_set(dataset, film, film.speeds, generator):
        logits = [twin.fast(frame).log_softmax(1) for frame in video.frames(film.watched + 1, film.frames)]
        votes = torch.stack(logits)
        by_frame += float((votes.argmax(2) != labels).float().mean(0).sum())
        by_video += float((votes.sum(0).argmax(1) != labels).sum())
    wrong = {"one frame": by_frame, "video": by_video}
    return {f"naming error % ({name})": percent(count / len(dataset.test_labels)) for name, count in wrong.items()}


# ---- table and plot ------------------------------------------------------------------------------------------------


@tables.table("moving", "claims/moving.json")
def separation_table(record: Record) -> str:
    """Tabulate the separation by type of break and speed, for the net and the twin."""
    ours, twin = record["measured"], record["twin"]
    separation, twins = ours["separation"], twin["separation"]
    speeds = list(separation[TRAINED[0]])
    values = [["all", separation["all"], *["-"] * (len(speeds) - 1), twins["all"]]]
    values += [[kind, *separation[kind].values(), twins[kind]["all"]] for kind in KINDS]
    errors = ", ".join(f"{name} {tables.figures(error)}" for name, error in twin.items() if name.startswith("naming"))
    rows = [[tables.figures(value) for value in row] for row in values]
    named = f"naming error % {tables.figures(ours['naming error %'])}; twin: {errors}"
    return f"{tables.markdown(['separation', *speeds, 'twin, all'], rows)}\n\n{named}"


@CLAIM.draw
def picture(_: Record, path: Path, lab: Lab) -> Path:
    """Plot how a break in the motion of the first test digit, at the fastest trained speed, surprises the net."""
    (film, dataset), net = settings(lab), trained_net(lab)
    images, labels = dataset.test_images[:DRAWN], dataset.test_labels[:DRAWN]
    generator = torch.Generator(images.device).manual_seed(SEED + 6)
    video = launch(images, (max(film.speeds),), film.canvas, generator, free=film.since)
    broken = breaks(film, video, generator)
    shown = {kind: activity_by_frame(net, film, broken[kind], labels) for kind in TRAINED}
    calm = activity_by_frame(net, film, video, labels)[1]
    return draw_surprise(shown, calm, film.since, film.watched + 1, path)


@torch.no_grad()
def activity_by_frame(net: Recurrent, film: Film, video: Moving | Broken, labels: Tensor) -> tuple[Floats, Floats]:
    """Return frames of the first video, and the activity of the first layer at each frame.

    Returns:
        The frames that the net would learn from in training, ``(frames, height, width)``, and the mean square of the
        activities of the first layer, ``(frames,)``.
    """
    top, units = net.top(labels), net.stack[0].bias.numel()
    state, shown, activity = net.start(view(net, video.frame(0))), [], []
    for frame in video.frames(1, film.frames):
        state = net.step(view(net, frame), top, state)
        shown.append(frame[0, 0].cpu())
        activity.append(-state[0].goodness[0].cpu() / units)
    return torch.stack(shown[film.watched :]).numpy(), torch.stack(activity[film.watched :]).float().numpy()


def draw_surprise(
    broken: Mapping[str, tuple[Floats, Floats]], calm: Floats, since: int, first: int, path: Path
) -> Path:
    """Plot frames of broken videos and, below them, how much each frame surprises the net.

    The activity at each frame is orange for the broken video, and blue for the same video without the break. A vertical
    line marks the break; the frames after the break have an orange border.

    Args:
        broken: type of break -> the frames ``(frames, height, width)``, and the activity at each frame, ``(frames,)``.
        calm: the activity at each frame of the unbroken video, ``(frames,)``.
        since: number, in the video, of the first frame after the break.
        first: number, in the video, of the first frame that is given.
        path: the PNG to write.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    from twofold.plots.canvas import frame, label_axes, suptitle, write
    from twofold.plots.colors import INK, NEGATIVE, POSITIVE

    count, height, width = next(iter(broken.values()))[0].shape
    numbers = first + np.arange(count)
    strip = 1.05 * height / width
    size = 1.05 * count + 1.0, len(broken) * (strip + 2.0) + 1.2
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.05))
    axes = figure.subplots(2 * len(broken), 1, squeeze=False, height_ratios=[strip, 1.45] * len(broken))[:, 0]
    top = 1.25 * max(calm.max(), *(activity.max() for _, activity in broken.values()))
    shared = max(since - 1 - first, 0)  # the last frame that a broken and an unbroken video share
    for upper, ax, (kind, (frames, activity)) in zip(axes[::2], axes[1::2], broken.items(), strict=True):
        upper.set_axis_off()
        upper.set_title(f"{kind} at frame {since}", fontsize=13, color=INK, weight="bold")
        for number, image in enumerate(frames):
            inset = upper.inset_axes(((number + 0.02) / count, 0.0, 0.96 / count, 1.0))
            inset.imshow(image, cmap="gray", vmin=0, vmax=1, aspect="auto")
            frame(inset, *((NEGATIVE, 2.2) if number >= since - first else ()))
        ax.axvline(since - 0.5, color=NEGATIVE, linewidth=1.2, linestyle="--")
        ax.plot(numbers[shared:], activity[shared:], color=NEGATIVE, marker="o", ms=5, lw=1.9, label=kind)
        ax.plot(numbers, calm, color=POSITIVE, marker="o", ms=4, lw=1.9, label="without the break")
        label_axes(ax, "", "frame" if ax is axes[-1] else "", "activity")
        ax.set(xlim=(first - 0.5, first + count - 0.5), ylim=(0, top), xticks=numbers)
        ax.legend(loc="upper left", ncols=2, fontsize=10.5, frameon=False)
    suptitle(
        figure,
        "Frames that are not as predicted raise the activity",
        "mean square of the first layer's activities at each frame; training lowers it for true motion",
    )
    return write(figure, path)
