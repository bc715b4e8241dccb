"""Claim (talk 21:51): goodness is high where the top-down prediction and the bottom-up input agree.

Net, videos and breaks are those of the claim ``moving``. The goodness is low activity, so agreement means that top-down
and lateral input cancel the bottom-up input. Three figures are measured at the first layer, which sees the frames, for
predicted frames and for surprising ones (reversed, swapped, jumped; at the trained speeds):

* ``activity``: per unit, under the right label;
* ``cancellation``: minus the cosine between W_below · frame and the sum of the top-down and lateral inputs;
* ``separation``: how well activity separates surprising from predicted frames (see ``moving``): as it is; with the
  top-down and lateral input of another video, which shows another digit at another place; with neither; and with only
  one of the two. The input of the layer is changed at that one frame only.

The twin tells from three frames in a row whether the last is broken, as in ``moving``; it is also tested with the first
two frames of another video.

Rule: activity is lower and cancellation stronger for predicted frames than for each kind of surprising ones; and
without top-down and lateral input, or with another video's, the separation is at most 0.6, while with them it is at
least 0.9 (smoke: at least 0.65).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from twofold.data import Dataset
from twofold.layers.recurrent import SourceInput
from twofold.nets.backprop import Backprop
from twofold.nets.recurrent import Recurrent
from twofold_lab.claims.moving import KINDS, before_break, breaks, doubt, parts_of, separation
from twofold_lab.data.moving import Broken, Moving, launch
from twofold_lab.lab import Finding, Lab
from twofold_lab.moving_training import FULL, SEED, SMOKE, Film, film_data, see, taught, twins

HEARD = ("as it is", "of another video", "neither", "top-down alone", "lateral alone")
"""The top-down and lateral input of the first layer at the frame of the break."""


def agree(lab: Lab) -> Finding:
    """Measure the claim ``agree``."""
    film, dataset = lab.pick(smoke=SMOKE, full=FULL), film_data(lab)
    net, (_, judge) = taught(lab), twins(lab)
    found = listen(net, film, dataset)
    activity = {kind: float(found[kind, HEARD[0]].mean()) for kind in ("predicted", *KINDS)}
    cancellation = {kind: float(found[kind, "cancellation"].mean()) for kind in ("predicted", *KINDS)}
    apart = {heard: _apart(found, heard) for heard in HEARD}
    least = lab.pick(smoke=0.65, full=0.9)
    return Finding(
        holds=all(activity["predicted"] < activity[kind] for kind in KINDS)
        and all(cancellation["predicted"] > cancellation[kind] for kind in KINDS)
        and max(apart["of another video"], apart["neither"]) <= 0.6
        and apart["as it is"] >= least,
        rule="predicted frames cause less activity and more cancellation than each kind of surprising ones, and "
        f"separation >= {least:g} falls to <= 0.6 with another video's top-down and lateral input, or with neither",
        talk="goodness is high where top-down and bottom-up agree",
        measured={
            "activity": {kind: round(value, 4) for kind, value in activity.items()},
            "cancellation": {kind: round(value, 4) for kind, value in cancellation.items()},
            "separation": apart,
        },
        twin={"separation": twin_apart(judge, film, dataset)},
        seeds=[SEED],
    )


@torch.no_grad()
def listen(net: Recurrent, film: Film, dataset: Dataset) -> dict[tuple[str, str], Tensor]:
    """Measure the first layer's activity per unit at the break, and how much its inputs cancel.

    Returns:
        (kind of frame, one of `HEARD` or ``cancellation``) -> the value for each test video, ``(videos,)``.
    """
    layer, parts = net.stack[0], dict[tuple[str, str], list[Tensor]]()
    for video, labels in _videos(film, dataset):
        top = net.top(labels)
        state = before_break(net, film, video, top)
        for kind, shown in _shown(film, video).items():
            frame = see(net, shown.frame(film.since))
            sources = net.sources(frame, top, state)[0]
            for heard, seen in _ways(sources).items():
                settled = layer.respond(seen, state[0].state, net.damping)
                parts.setdefault((kind, heard), []).append(-settled.goodness / layer.bias.numel())
            below, above, beside = (_product(net, sources, name) for name in ("below", "above", "beside"))
            parts.setdefault((kind, "cancellation"), []).append(-cosine_similarity(below, above + beside))
    return {key: torch.cat(values) for key, values in parts.items()}


def _ways(sources: dict[str, SourceInput]) -> dict[str, dict[str, SourceInput]]:
    """Return the sources of the layer's input for each of `HEARD`."""
    below, above, beside = (_tensor(sources, name) for name in ("below", "above", "beside"))
    each: Sequence[dict[str, SourceInput]] = (
        {"below": below, "above": above, "beside": beside},
        {"below": below, "above": above.roll(1, 0), "beside": beside.roll(1, 0)},
        {"below": below},
        {"below": below, "above": above},
        {"below": below, "beside": beside},
    )
    return dict(zip(HEARD, each, strict=True))


def _tensor(sources: dict[str, SourceInput], name: str) -> Tensor:
    source = sources[name]
    assert isinstance(source, Tensor)
    return source


def _product(net: Recurrent, sources: dict[str, SourceInput], name: str) -> Tensor:
    weight: Tensor = net.stack[0].learned[name].effective()
    return (_tensor(sources, name).to(weight.dtype) @ weight.T).float()


def _videos(film: Film, dataset: Dataset) -> list[tuple[Moving, Tensor]]:
    """Return test videos at the trained speeds, with no wall at the break, and their labels, in parts."""
    generator = torch.Generator(dataset.test_images.device).manual_seed(SEED + 4)
    return [
        (launch(images, film.speeds, film.canvas, generator, free=film.since), labels)
        for images, labels in parts_of(dataset)
    ]


def _shown(film: Film, video: Moving) -> dict[str, Moving | Broken]:
    generator = torch.Generator(video.images.device).manual_seed(SEED + 5)
    broken = breaks(film, video, generator)
    return {"predicted": video, **{kind: broken[kind] for kind in KINDS}}


def _apart(found: dict[tuple[str, str], Tensor], heard: str) -> float:
    startled = torch.cat([found[kind, heard] for kind in KINDS])
    return round(separation(found["predicted", heard], startled), 4)


@torch.no_grad()
def twin_apart(net: Backprop, film: Film, dataset: Dataset) -> dict[str, Any]:
    """Return the twin's separation with the past of the same video and with that of another video."""
    found: dict[tuple[str, str], list[Tensor]] = {}
    for video, _ in _videos(film, dataset):
        others = video.of(torch.arange(len(video.start), device=video.start.device).roll(1))
        for kind, shown in _shown(film, video).items():
            for heard, past in zip(HEARD[:2], (video, others), strict=True):
                found.setdefault((kind, heard), []).append(doubt(net, film, shown, past))
    joined = {key: torch.cat(values) for key, values in found.items()}
    return {heard: _apart(joined, heard) for heard in HEARD[:2]}
