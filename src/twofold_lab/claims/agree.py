"""Goodness is high where the top-down prediction and the bottom-up input agree (talk 21:51).

Net, videos and breaks are those of the claim ``moving``. The goodness is low activity, so agreement means that top-down
and lateral input cancel the bottom-up input. Three figures are measured at the first layer, which sees the frames, for
predicted frames and for surprising ones (reversed, swapped, jumped; at the trained speeds):

* ``activity``: the mean square of its units' activities, under the right label;
* ``cancellation``: minus the cosine between W_below · frame and the sum of the top-down and lateral inputs;
* ``separation``: how well activity separates surprising from predicted frames (see ``moving``): as it is; with the
  top-down and lateral input of another video, which shows another digit at another place; with neither; and with only
  one of the two. The input of the layer is changed at that one frame only.

The twin judges from three frames in a row whether the last is broken, as in ``moving``. Its separation is also measured
with the first two frames of another video.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from twofold.data import Dataset
from twofold.layers.recurrent import SourceInput
from twofold.nets.backprop import Backprop
from twofold.nets.recurrent import Recurrent
from twofold.nets.video import rows_of
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.claims.moving import (
    TRAINED,
    before_break,
    breaks,
    log_odds,
    of_one_seed,
    parts_of_test_set,
    separation,
)
from twofold_lab.data.moving import Broken, Moving, launch
from twofold_lab.lab import Lab
from twofold_lab.moving_training import SEED, Film, settings, trained_net, twins, view
from twofold_lab.tables import sides, table
from twofold_lab.verdict import Clause, Figures, Verdict, at_least, at_most, every, less

PREDICTED = "predicted"
INTACT, SWITCHED, NEITHER = "as it is", "of another video", "neither"
"""Top-down and lateral input of the first layer at the frame of the break."""
CANCELLATION = "cancellation"

Values = dict[tuple[str, str], Tensor]
"""Kind of frame and measured quantity -> its value for each video, ``(videos,)``."""


def less_active(figures: Figures) -> Verdict:
    predicted = figures.of("activity", PREDICTED)
    return of_one_seed(every([less(predicted, figures.of("activity", kind)) for kind in TRAINED]))


def cancels_more(figures: Figures) -> Verdict:
    predicted = figures.of(CANCELLATION, PREDICTED)
    return of_one_seed(every([less(figures.of(CANCELLATION, kind), predicted) for kind in TRAINED]))


def separates(figures: Figures) -> Verdict:
    return of_one_seed(at_least(figures.of("separation", INTACT), figures.pick(smoke=0.65, full=0.9)))


def needs_prediction(figures: Figures) -> Verdict:
    return of_one_seed(every([at_most(figures.of("separation", source), 0.6) for source in (SWITCHED, NEITHER)]))


CLAIM = Claim(
    "agree",
    time="21:51",
    says="Goodness is high where top-down prediction and bottom-up input agree.",
    headline=Headline(
        "separation",
        "goodness is high where top-down and bottom-up agree",
        ours=("separation", INTACT),
        twin=("separation", INTACT),
    ),
    clauses=(
        Clause(
            "predicted frames cause less activity",
            "activity is lower for predicted frames than for each kind of surprising frames",
            less_active,
        ),
        Clause(
            "inputs cancel at predicted frames",
            "cancellation is stronger for predicted frames than for each kind of surprising frames",
            cancels_more,
        ),
        Clause(
            "activity tells surprising frames from predicted ones",
            "with top-down and lateral input the separation is at least 0.9 (smoke: 0.65)",
            separates,
        ),
        Clause(
            "it does so only with the right prediction",
            "with another video's top-down and lateral input, and with neither, the separation is at most 0.6",
            needs_prediction,
        ),
    ),
)
agree_table = table("agree", "claims/agree.json")(sides)


@CLAIM.measure
def agree(lab: Lab) -> Finding:
    film, dataset = settings(lab)
    net, (_, judge) = trained_net(lab), twins(lab)
    values = measure_net(net, film, dataset)

    def means(quantity: str) -> dict[str, float]:
        return {kind: round(float(values[kind, quantity].mean()), 4) for kind in (PREDICTED, *TRAINED)}

    return Finding(
        measured={
            "activity": means(INTACT),
            CANCELLATION: means(CANCELLATION),
            "separation": separations(values),
        },
        twin={"separation": separations(measure_twin(judge, film, dataset))},
        seeds=[SEED],
    )


@torch.no_grad()
def measure_net(net: Recurrent, film: Film, dataset: Dataset) -> Values:
    """Measure the first layer's activity per unit at the break, for each `input_variants`, and the cancellation."""
    layer, parts = net.stack[0], dict[tuple[str, str], list[Tensor]]()
    for video, labels in videos_of_test_set(film, dataset):
        top = net.top(labels)
        state = before_break(net, film, video, top)
        for kind, shown in predicted_and_broken(film, video).items():
            sources = net.sources(view(net, shown.frame(film.since)), top, state)[0]
            for variant, inputs in input_variants(sources).items():
                response = layer.respond(inputs, state[0].state, net.damping)
                parts.setdefault((kind, variant), []).append(-response.goodness / layer.bias.numel())
            parts.setdefault((kind, CANCELLATION), []).append(cancellation(net, sources))
    return {key: torch.cat(values) for key, values in parts.items()}


def input_variants(sources: Mapping[str, SourceInput]) -> dict[str, dict[str, SourceInput]]:
    """Return the first layer's input with its own top-down and lateral input, another video's, and without."""
    below, above, beside = (rows_of(sources[name]) for name in ("below", "above", "beside"))
    return {
        INTACT: {"below": below, "above": above, "beside": beside},
        SWITCHED: {"below": below, "above": above.roll(1, 0), "beside": beside.roll(1, 0)},
        NEITHER: {"below": below},
        "top-down alone": {"below": below, "above": above},
        "lateral alone": {"below": below, "beside": beside},
    }


def cancellation(net: Recurrent, sources: Mapping[str, SourceInput]) -> Tensor:
    """Return minus the cosine between the bottom-up input and the sum of the two others, ``(batch,)``."""

    def total(name: str) -> Tensor:
        weight: Tensor = net.stack[0].learned[name].effective()
        return (rows_of(sources[name]).to(weight.dtype) @ weight.T).float()

    return -cosine_similarity(total("below"), total("above") + total("beside"))


def videos_of_test_set(film: Film, dataset: Dataset) -> Iterator[tuple[Moving, Tensor]]:
    """Yield test videos at the trained speeds, with no wall at the break, and their labels, in parts."""
    generator = torch.Generator(dataset.test_images.device).manual_seed(SEED + 4)
    for images, labels in parts_of_test_set(dataset):
        yield launch(images, film.speeds, film.canvas, generator, free=film.since), labels


def predicted_and_broken(film: Film, video: Moving) -> dict[str, Moving | Broken]:
    generator = torch.Generator(video.images.device).manual_seed(SEED + 5)
    broken = breaks(film, video, generator)
    return {PREDICTED: video, **{kind: broken[kind] for kind in TRAINED}}


def separations(values: Values) -> dict[str, float]:
    """Return the separation of all surprising frames from predicted ones, by the input of the layer."""
    variants = [quantity for kind, quantity in values if kind == PREDICTED and quantity != CANCELLATION]
    return {
        variant: separation(values[PREDICTED, variant], torch.cat([values[kind, variant] for kind in TRAINED]))
        for variant in variants
    }


@torch.no_grad()
def measure_twin(twin: Backprop, film: Film, dataset: Dataset) -> Values:
    """Measure the twin's log odds of a break with the past of the same video and with that of another video."""
    parts: dict[tuple[str, str], list[Tensor]] = {}
    for video, _ in videos_of_test_set(film, dataset):
        other = video.select(torch.arange(len(video.start), device=video.start.device).roll(1))
        for kind, shown in predicted_and_broken(film, video).items():
            for variant, past in ((INTACT, video), (SWITCHED, other)):
                parts.setdefault((kind, variant), []).append(log_odds(twin, film, shown, past))
    return {key: torch.cat(values) for key, values in parts.items()}
