"""Goodness is high where the top-down prediction and the bottom-up input agree (talk 21:51).

The net, the videos and the breaks in their motion are those of the claim ``moving``. The goodness is low activity, so
the inputs agree if top-down and lateral input cancel the bottom-up input. Three figures are measured at the first
layer, which sees the frames, for predicted frames and for surprising ones (reversed, swapped, jumped; at the trained
speeds):

* ``activity``: the mean square of the layer's activities, under the right label;
* ``cancellation``: minus the cosine between W_below · frame and the sum of the top-down and lateral inputs;
* ``separation``: how well activity separates surprising from predicted frames (see ``moving``). The separation is
  measured with the layer's own top-down and lateral input; with the top-down and lateral input of another video, which
  shows another digit at another place; with neither of the two; and with only one of the two. The input of the layer is
  changed only at the frame that is measured.

The twin classifies, from three frames in a row, whether the last frame comes right after a break, as in ``moving``. The
separation of the twin is also measured with the first two frames taken from another video.
"""

from __future__ import annotations

from collections import defaultdict
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
from twofold_lab.claims import moving
from twofold_lab.claims.moving import TRAINED
from twofold_lab.data.moving import Broken, Moving
from twofold_lab.lab import Lab
from twofold_lab.moving_training import SEED, Film, settings, trained_net, twins, view
from twofold_lab.verdict import Figures, Verdict, at_least, at_most, every, less, one_seed

PREDICTED = "predicted"
INTACT, SWITCHED, NEITHER = "as it is", "of another video", "neither"
"""Names of variants of the top-down and lateral input of the first layer at the frame of the break."""
CANCELLATION, FIGURE = "cancellation", ("separation", INTACT)

Values = dict[tuple[str, str], Tensor]
"""Type of frame and name of the measured quantity -> the quantity for each video, ``(videos,)``."""

CLAIM = Claim(
    "agree",
    time="21:51",
    says="Goodness is high where top-down prediction and bottom-up input agree.",
    headline=Headline("separation", "goodness is high where top-down and bottom-up agree", FIGURE, FIGURE),
)


@CLAIM.clause(
    "predicted frames cause less activity",
    "activity is lower for predicted frames than for each kind of surprising frames",
)
def _less_active(figures: Figures) -> Verdict:
    predicted = figures.of("activity", PREDICTED)
    return one_seed(every([less(predicted, figures.of("activity", kind)) for kind in TRAINED]))


@CLAIM.clause(
    "inputs cancel at predicted frames",
    "cancellation is stronger for predicted frames than for each kind of surprising frames",
)
def _cancels_more(figures: Figures) -> Verdict:
    predicted = figures.of(CANCELLATION, PREDICTED)
    return one_seed(every([less(figures.of(CANCELLATION, kind), predicted) for kind in TRAINED]))


@CLAIM.clause(
    "activity tells surprising frames from predicted ones",
    "with top-down and lateral input the separation is at least 0.9 (smoke: 0.65)",
)
def _separates(figures: Figures) -> Verdict:
    return one_seed(at_least(figures.of("separation", INTACT), figures.pick(smoke=0.65, full=0.9)))


@CLAIM.clause(
    "it does so only with the right prediction",
    "with another video's top-down and lateral input, and with neither, the separation is at most 0.6",
)
def _needs_prediction(figures: Figures) -> Verdict:
    return one_seed(every([at_most(figures.of("separation", source), 0.6) for source in (SWITCHED, NEITHER)]))


@CLAIM.measure
def agree(lab: Lab) -> Finding:
    film, dataset = settings(lab)
    values = measure_net(trained_net(lab), film, dataset)
    twin = separations(measure_twin(twins(lab)[1], film, dataset))
    activity, cancelled = (
        {kind: round(float(values[kind, quantity].mean()), 4) for kind in (PREDICTED, *TRAINED)}
        for quantity in (INTACT, CANCELLATION)
    )
    measured = {"activity": activity, CANCELLATION: cancelled, "separation": separations(values)}
    return Finding(measured, {"separation": twin}, [SEED])


@torch.no_grad()
def measure_net(net: Recurrent, film: Film, dataset: Dataset) -> Values:
    """Measure the first layer at the break: mean square activity for each of `input_variants`, and `cancellation`."""
    layer, chunks = net.stack[0], defaultdict[tuple[str, str], list[Tensor]](list)
    for video, labels, shown in videos(film, dataset):
        top = net.top(labels)
        state = moving.before_break(net, film, video, top)
        for kind, broken in shown.items():
            sources = net.sources(view(net, broken.frame(film.since)), top, state)[0]
            for variant, inputs in input_variants(sources).items():
                response = layer.respond(inputs, state[0].state, net.damping)
                chunks[kind, variant].append(-response.goodness / layer.bias.numel())
            chunks[kind, CANCELLATION].append(cancellation(net, sources))
    return {key: torch.cat(values) for key, values in chunks.items()}


def input_variants(sources: Mapping[str, SourceInput]) -> dict[str, dict[str, SourceInput]]:
    """Return name of a variant -> inputs of the first layer with changed top-down and lateral input.

    ``sources`` has the original inputs.
    """
    below, above, beside = (rows_of(sources[name]) for name in ("below", "above", "beside"))
    return {
        INTACT: {"below": below, "above": above, "beside": beside},
        SWITCHED: {"below": below, "above": above.roll(1, 0), "beside": beside.roll(1, 0)},
        NEITHER: {"below": below},
        "top-down alone": {"below": below, "above": above},
        "lateral alone": {"below": below, "beside": beside},
    }


def cancellation(net: Recurrent, sources: Mapping[str, SourceInput]) -> Tensor:
    """Return minus the cosine of bottom-up input and summed other input of the first layer, ``(batch,)``."""

    def weighted(name: str) -> Tensor:
        weight: Tensor = net.stack[0].learned[name].effective()
        return (rows_of(sources[name]).to(weight.dtype) @ weight.T).float()

    return -cosine_similarity(weighted("below"), weighted("above") + weighted("beside"))


def videos(film: Film, dataset: Dataset) -> Iterator[tuple[Moving, Tensor, dict[str, Moving | Broken]]]:
    """Yield chunks of unbroken test videos at the trained speeds, labels, and type of frame -> videos.

    No digit is near a wall of the canvas at the break.
    """
    generator = torch.Generator(dataset.test_images.device).manual_seed(SEED + 4)
    for video, labels in moving.videos_of_test_set(dataset, film, film.speeds, generator, free=film.since):
        broken = moving.breaks(film, video, torch.Generator(video.images.device).manual_seed(SEED + 5))
        yield video, labels, {PREDICTED: video, **{kind: broken[kind] for kind in TRAINED}}


def separations(values: Values) -> dict[str, float]:
    """Return variant of the input -> separation of all surprising frames from predicted frames."""
    variants = [quantity for kind, quantity in values if kind == PREDICTED and quantity != CANCELLATION]
    return {
        variant: moving.separation(values[PREDICTED, variant], torch.cat([values[kind, variant] for kind in TRAINED]))
        for variant in variants
    }


@torch.no_grad()
def measure_twin(twin: Backprop, film: Film, dataset: Dataset) -> Values:
    """Measure the twin's log odds of a break, with the first two frames of the same video and of another video."""
    chunks = defaultdict[tuple[str, str], list[Tensor]](list)
    for video, _, shown in videos(film, dataset):
        other = video.select(torch.arange(len(video.start), device=video.start.device).roll(1))
        for kind, broken in shown.items():
            for variant, past in ((INTACT, video), (SWITCHED, other)):
                chunks[kind, variant].append(moving.log_odds(twin, film, broken, past))
    return {key: torch.cat(values) for key, values in chunks.items()}
