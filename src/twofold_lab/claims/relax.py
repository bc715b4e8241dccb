"""Top-down information relaxes into lower layers and is diluted in each, so it gets through only a few (talk 29:14).

Bottom-up input dilutes the top-down information in every layer, so the information does not get through a hundred
layers. Seeing the same image again carries the information further (back-relaxation). Nets of several depths learn for
a few epochs from a subset of the data (full: MNIST, 10,000 images, 300 units a layer, depths 2 to 10; smoke: digits,
depths 2 to 5; one seed). The measurements are made on held-out images, in double precision:

* Influence: a net runs its iterations under the right label, which is then replaced by a wrong one. The influence on a
  layer after t more iterations is ‖n(s changed) - n(s kept)‖ / ‖n(s kept)‖, mean over images. Here s changed is the
  state of the layer under the wrong label, s kept the state under the right label, and n the normalization between
  layers. The influence is a map of layer by time. The ratio of the *settled* influence (after the last iteration) on a
  layer to that on the layer above is one number for a net, fitted as a line through the logarithms. The speed of the
  front, in layers per iteration, is the slope of a line that is fitted to the times at which the influence on each
  layer reaches half of its final value. An untrained net is measured too.
* Presentations: a copy of the deepest net learns from one image repeatedly, as a positive case with the right label and
  as a negative case with a wrong label. Then the influence of the label is measured on this image. The result is a mean
  over several images, with another copy of the net for every image. A presentation is one step of gradient descent at
  the recipe's rate, without smoothing of gradients, weight decay and peer normalization (a mean over many images).
* Trace: copies of the net learn in the same way, but with presentations of 3 iterations, in which activity alone cannot
  get lower than three layers. Of two copies, the first learns with the right label in the positive case and a wrong
  label in the negative case; the second learns with the two labels exchanged. Each copy is then shown the image once
  more, for 3 iterations, under the label of its positive case. The trace in a layer is the distance between the final
  states of the two copies, relative to the norm of the states. A layer learns from the difference within a pair of
  cases, and this difference comes down three layers in a presentation; the weights that it changes then act on three
  more layers. So no number of such presentations can reach more than six layers.
* Twin: nets of the same layers, trained by backprop. The figure is how much the loss changes with a relative change of
  the activity a of a layer, ‖∂loss/∂a‖ ‖a‖, mean over images, relative to the figure of the top hidden layer. Backprop
  needs a single pass to reach all layers.

A layer counts as reached if the influence of the label on the layer is at least 1 %.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from twofold.data import Dataset
from twofold.methods import BackpropRecipe, RecurrentRecipe, build
from twofold.nets.recurrent import Recurrent
from twofold_lab import influence as measures
from twofold_lab import recurrent
from twofold_lab.claim import Claim, Finding, Headline, Record
from twofold_lab.figures import errors, percent
from twofold_lab.influence import BRIEF, THRESHOLD, Depth, Study, influence
from twofold_lab.lab import Lab
from twofold_lab.tables import figures as text
from twofold_lab.tables import markdown, table
from twofold_lab.verdict import Figures, Verdict, exactly

RATIO, SETTLED, HUNDREDTH = "ratio of a layer to the one above", "settled influence %", "hundredth layer"
FEW = 4
"""Largest number of hidden layers with which the label must reach the first layer."""

CLAIM = Claim(
    "relax",
    time="29:14",
    says="Top-down information diffuses to lower layers and is diluted in each, so it gets through a few.",
    headline=Headline(RATIO, "less than 1", ours=("by depth", "10", RATIO), twin=()),
)


def _settled(figures: Figures) -> dict[int, list[float]]:
    """Return depth of the net -> influence of the label on each layer after the last iteration, in percent."""
    return {int(depth): net[SETTLED] for depth, net in figures.measured["by depth"].items()}


@CLAIM.clause("diluted in each layer", "in every net the settled influence falls from layer to layer")
def _falls(figures: Figures) -> Verdict:
    rises = [
        f"{depth} layers: {lower:.4g} % below a layer with {higher:.4g} %"
        for depth, layers in _settled(figures).items()
        for lower, higher in pairwise(layers)
        if higher <= lower
    ]
    falls = figures.measured["falls everywhere"]
    return exactly(falls, f"{'falls in every net' if falls else '; '.join(rises)}, one seed")


@CLAIM.clause("gets through a few layers", "in nets of up to four layers the first layer is reached")
def _few(figures: Figures) -> Verdict:
    first = {depth: layers[0] for depth, layers in _settled(figures).items() if depth <= FEW}
    shown = ", ".join(f"{depth} layers: {value:.3g} %" for depth, value in first.items())
    return exactly(all(value >= 100 * THRESHOLD for value in first.values()), f"{shown}, one seed")


@CLAIM.clause("not through the deepest net", "the first layer of the deepest net is not reached")
def _deepest(figures: Figures) -> Verdict:
    depth, layers = max(_settled(figures).items())
    return exactly(layers[0] < 100 * THRESHOLD, f"{depth} layers: {layers[0]:.3g} % on the first, one seed")


@CLAIM.clause("not through a hundred", "by the fit of the deepest net, a hundredth layer is not reached")
def _hundred(figures: Figures) -> Verdict:
    net = figures.measured["by depth"][str(max(_settled(figures)))]
    share, fit = net[HUNDREDTH], net["R2"]
    return exactly(share < THRESHOLD, f"{100 * share:.2g} % by the fit, R² {fit:.2f}, one seed")


@CLAIM.clause(
    "presentations carry it further",
    "after the last presentation more layers of the deepest net are reached than before the first",
)
def _further(figures: Figures) -> Verdict:
    rows = next(rows for name, rows in figures.measured.items() if name.startswith("after presentations"))
    counts = [row["layers reached"] for row in rows.values()]
    return exactly(counts[-1] > counts[0], f"{counts[-1]} layers after {list(rows)[-1]}, {counts[0]} before, one seed")


@CLAIM.measure
def relax(lab: Lab) -> Finding:
    study = examine(lab)
    deepest, counts = max(study.depths), [str(count) for count in study.presented]
    learned = dict(zip(counts, study.influence, strict=True))
    by_time = study.depths[deepest].influence.T
    traces = zip(counts, study.trace, strict=True)
    measured = {
        "falls everywhere": all(bool((net.influence[:, -1].diff() > 0).all()) for net in study.depths.values()),
        "by depth": {str(depth): _describe(net) for depth, net in study.depths.items()},
        f"influence % by iteration and layer, {deepest} layers": [_percents(column) for column in by_time],
        f"after presentations, {deepest} layers": {
            count: {"layers reached": measures.reached(settled), SETTLED: _percents(settled)}
            for count, settled in learned.items()
        },
        "presentations to reach, by layer": measures.first_reached(study.presented, study.influence),
        f"trace % after presentations of {BRIEF} iterations": {count: _percents(trace) for count, trace in traces},
        "brief presentations to reach, by layer": measures.first_reached(study.presented, study.trace),
    }
    twins = {
        str(depth): {"gradient by layer": [round(size, 4) for size in net.gradient], **net.errors[1]}
        for depth, net in study.depths.items()
    }
    return Finding(measured, twins, [0])


def examine(lab: Lab) -> Study:
    """Train the nets of all depths and their backprop twins; return the measurements."""
    dataset, images, labels = _data(lab)
    depths = {}
    for depth in lab.pick(smoke=(2, 3, 5), full=(2, 4, 6, 8, 10)):
        recipe, twin_recipe = settings(lab, depth)
        run = lab.train(recipe, f"relax-{depth}", dataset)
        twin = lab.train(twin_recipe, f"relax-{depth}-twin", dataset)
        net, untrained = _double(run.net), _double(build(recipe, dataset.form))
        shown = images, labels, (labels + 1) % net.classes, measures.watched(depth)
        depths[depth] = Depth(
            influence(net, *shown),
            influence(untrained, *shown),
            measures.sensitivity(twin.net, images, labels),
            (errors(run), errors(twin)),
        )
    presented = [0, *(2**power for power in range(lab.pick(smoke=4, full=6)))]
    few = lab.pick(smoke=3, full=10)
    influences, traces = (
        [measure(net, recipe, images[[case]], labels[[case]], presented) for case in range(few)]
        for measure in (measures.presentations, measures.brief)
    )
    return Study(depths, presented, torch.stack(influences).mean(0), torch.stack(traces).mean(0))


def settings(lab: Lab, depth: int) -> tuple[RecurrentRecipe, BackpropRecipe]:
    """Return the recipe of a net with ``depth`` hidden layers and that of its backprop twin.

    There are more iterations than layers, so that the label can get to the first layer. The slow test uses the goodness
    of all iterations: the goodness of a layer that the label has not reached is the same under every label. The initial
    top-down weights are smaller than the other weights, since deep nets with large random top-down weights lose the
    image. The initial top-down weights are not 0, so that the label has influence in untrained nets.
    """
    recipe, twin = recurrent.short(lab)
    units, epochs = lab.pick(smoke=(50, 2), full=(300, 6))
    validation = lab.pick(smoke=300, full=1000)
    shared: dict[str, Any] = {"widths": (units,) * depth, "epochs": epochs, "validation": validation}
    temperature, last = recipe.temperature * units / recipe.widths[0], depth + 2
    judged: dict[str, Any] = {"iterations": last, "judge_from": 1, "judge_to": last}
    rate = lab.pick(smoke=twin.rate, full=0.02)  # at the twin's own rate eight layers diverge
    narrow = replace(recipe, **shared, **judged, temperature=temperature, top_down_start=0.3)
    return narrow, replace(twin, **shared, rate=rate)


def _data(lab: Lab) -> tuple[Dataset, Tensor, Tensor]:
    """Return the data set with held-out images, and held-out images in double precision with their labels."""
    recipe, _ = settings(lab, 2)
    count, measured = lab.pick(smoke=(1000, 30), full=(11_000, 200))
    dataset = lab.data(recipe.data).take(count)
    held = dataset.hold_out(recipe.validation)
    return dataset, held.test_images[:measured].double(), held.test_labels[:measured]


def _double(net: Recurrent) -> Recurrent:
    """Return a copy of a net on the CPU in double precision, since influence can be smaller than float32 rounding."""
    copied = copy.deepcopy(net).cpu().double()
    copied.set_precision("fp32")
    return copied


def _describe(net: Depth) -> dict[str, Any]:
    arrived, speed, straight = measures.front(net.influence)
    trained, untrained = (measures.decay(influence[:, -1]) for influence in (net.influence, net.untrained))
    return {
        SETTLED: _percents(net.influence[:, -1]),
        RATIO: round(trained.ratio, 4),
        "R2": round(trained.fit, 3),
        HUNDREDTH: float(f"{trained.hundredth:.1e}"),
        "iterations to half": arrived,
        "layers per iteration": round(speed, 3) if math.isfinite(speed) else None,
        "R2 of the speed": round(straight, 3),
        "untrained influence %": _percents(net.untrained[:, -1]),
        "untrained ratio": round(untrained.ratio, 4),
        **net.errors[0],
    }


def _percents(shares: Tensor) -> list[float]:
    return [percent(float(share)) for share in shares]


# ---- tables and plot -----------------------------------------------------------------------------------------------


@table("relax", "claims/relax.json")
def depths(record: Mapping[str, Any]) -> str:
    """Tabulate the influence of the label by depth of the net, next to the gradient and the error of the twin."""
    titles = [RATIO, "untrained ratio", "layers per iteration", "slow error %", "fast error %"]
    rows = []
    for depth, net in record["measured"]["by depth"].items():
        twin = record["twin"][depth]
        values = [net[SETTLED][0], net["untrained influence %"][0], *(net[title] for title in titles)]
        rows.append([depth, *map(text, (*values, twin["gradient by layer"][0], twin["fast error %"]))])
    heads = ["layers", "influence on the first %", "the same untrained %", *titles]
    return markdown([*heads, "twin's gradient, first / last", "twin's error %"], rows)


@table("presentations", "claims/relax.json")
def after_presentations(record: Mapping[str, Any]) -> str:
    """Tabulate the influence of the label on the layers of the deepest net by number of presentations of an image."""
    rows = []
    for title, values in record["measured"].items():
        if title.startswith("after presentations"):
            rows += [["long", count, *map(text, row[SETTLED])] for count, row in values.items()]
        if title.startswith("trace"):
            rows += [["of 3 iterations", count, *map(text, row)] for count, row in values.items()]
    layers = range(1, len(rows[0]) - 1)
    return markdown(["presentations", "number", *(f"layer {layer}" for layer in layers)], rows)


TESTED = ("slow error %", "fast error %")
"""Names of the errors that are plotted: the slow test of the nets, and the fast test of the twins."""
AGAIN = "presentations of the same image"
LEAST = 0.1
"""Influence in percent at which the color scale begins; a smaller influence has the color of no influence."""


@CLAIM.draw
def picture(record: Record, path: Path, lab: Lab) -> Path:
    """Plot the study. The nets are loaded or trained, since the record has the influence by time for one depth only."""
    return draw(examine(lab), path)


def draw(study: Study, path: Path) -> Path:
    """Plot influence by layer and time, the effect of presentations, errors, and final influence with twin gradients.

    Influence by layer and time is shown for the second-smallest and the largest depth.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    from twofold.plots.canvas import label_axes, legend, subplots, suptitle, write
    from twofold.plots.colors import INK, POSITIVE, TESTS, TWIN
    from twofold_lab.drawing import BLUES, heat_map, lines

    nets = dict(sorted(study.depths.items()))
    deepest = max(nets)
    figure, ((first, second, right), (long, short, below)) = subplots(2, 3, 4.6, 4.2)
    maps = {
        (first, "iterations after the label changed", f"{list(nets)[1]} layers"): nets[list(nets)[1]].influence,
        (second, "iterations after the label changed", f"{deepest} layers"): nets[deepest].influence,
        (long, AGAIN, f"Long presentations, {deepest} layers"): study.influence.T,
        (short, AGAIN, f"Presentations of {BRIEF} iterations, {deepest} layers"): study.trace.T,
    }
    for (ax, across, title), shares in maps.items():  # the lowest layer at the bottom
        label_axes(ax, title, across, "layer")
        start, (layers, columns) = int(across != AGAIN) - 0.5, shares.shape
        box = {"aspect": "auto", "origin": "lower", "extent": (start, start + columns, 0.5, layers + 0.5)}
        image = heat_map(ax, (100 * shares).numpy(), ("#EEF4FA", *BLUES[1:]), (LEAST, 200), **box)
        ax.set_yticks(range(1, layers + 1))
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for ax in (long, short):
        ax.set_xticks(range(len(study.presented)), [str(count) for count in study.presented])
    bar = figure.colorbar(image, ax=[first, second, long, short], pad=0.01, extend="min", aspect=36)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    bar.ax.tick_params(labelsize=11, colors=INK)

    label_axes(right, "Error", "hidden layers", "% of held-out images")
    ours, twins = ([net.errors[side][test] for net in nets.values()] for side, test in enumerate(TESTED))
    lines(right, list(nets), {"Forward-Forward": (ours, "o-", POSITIVE), "twin": (twins, "s--", TWIN)})
    right.set_xticks(list(nets))
    right.legend(fontsize=10, frameon=False)

    title = "Settled influence, and the twin's gradient"
    label_axes(below, title, "layers between it and the label", "% (twin: of its top's)")
    settled = {depth: (100 * net.influence[:, -1].flip(0)).tolist() for depth, net in nets.items()}
    series = {
        f"{depth} layers": (values, "o-", color)
        for color, (depth, values) in zip((*TESTS, POSITIVE), settled.items(), strict=False)
    }
    untrained, twin = (100 * nets[deepest].untrained[:, -1].flip(0)).tolist(), 100 * np.array(nets[deepest].gradient)
    series |= {f"{deepest}, untrained": (untrained, "o:", INK), f"{deepest}, twin": (twin[::-1].tolist(), "s--", TWIN)}
    lines(below, None, series, ms=3.5)
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(below, 3)
    suptitle(
        figure,
        "Back-relaxation: how far down a net the label at its top gets",
        "maps: distance of each layer's state from the one under another label, in % of its norm (grey: less than "
        f"{LEAST:g} %). Top: the label changes after the net has settled. Bottom: the same after learning from one "
        f"image repeatedly; {BRIEF} iterations reach only the top {BRIEF} layers, and the weights that learn there "
        f"act on {BRIEF} more. Bottom right: the influence once settled, and how much a backprop net's loss changes "
        "with each of its layers",
    )
    return write(figure, path)
