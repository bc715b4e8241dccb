"""Top-down information relaxes into lower layers and is diluted in each, so it gets through only a few (talk 29:14).

It is diluted by bottom-up input, so it does not get through a hundred layers; seeing the same image again carries it
further (back-relaxation). Nets of several depths learn for a few epochs from a part of the data (full:
MNIST, 10,000 images, 300 units a layer, depths 2 to 10; smoke: digits, depths 2 to 5; one seed). The measurements are
made on held-out images, in double precision:

* influence: a net settles under the right label, which is then replaced by a wrong one. The influence on a layer after
  t more iterations is the distance of its state from the state under the right label, relative to its length, mean over
  images: ‖n(s changed) - n(s kept)‖ / ‖n(s kept)‖, a map of layer by time. The ratio of the settled influence on a
  layer to that on the layer above is fitted as one number for a net (a line through the logarithms). So is the speed of
  the front: the layers per iteration at which half of each layer's final influence arrives. An untrained net is
  measured too.
* presentations: a copy of the deepest net learns from one image repeatedly, as a positive case with its label and as a
  negative case with the wrong one; then the same influence is measured on this image. The result is a mean over several
  images, each with its own copy. Each presentation is one plain step at the recipe's rate: no smoothing, no decay and
  no peer normalization, whose term is a mean over many images.
* trace: the same with presentations of 3 iterations, in which activity alone cannot get lower than three layers. Two
  copies learn, one with the label right and another wrong, one with the two exchanged; each then settles on the image
  once more, for 3 iterations, under the label that is right for it. The trace is the distance between their final
  states, relative to their length. A layer learns from the difference within a pair of cases, which comes down three
  layers in each presentation; the weights that it changes then act on three more. So no number of such presentations
  can reach more than six layers.
* twin: nets of the same layers, trained by backprop. The figure is how much the loss changes with a relative change of
  a layer's activity, ‖∂loss/∂a‖ ‖a‖, mean over images, relative to the top hidden layer: this reaches each layer at
  once.

A layer is reached if the influence is at least 1 % of its state's length.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from twofold.data import Dataset
from twofold.methods import BackpropRecipe, RecurrentRecipe, build
from twofold.nets.recurrent import Recurrent
from twofold_lab import recurrent
from twofold_lab.claim import Claim, Finding, Headline, Record
from twofold_lab.figures import errors, percent
from twofold_lab.influence import (
    BRIEF,
    THRESHOLD,
    Depth,
    Study,
    brief,
    decay,
    first_reached,
    front,
    influence,
    presentations,
    reached,
    sensitivity,
    watched,
)
from twofold_lab.lab import Lab
from twofold_lab.tables import figures as text
from twofold_lab.tables import markdown, table
from twofold_lab.verdict import Clause, Figures, Verdict, exactly

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from twofold.plots.canvas import Floats

RATIO, SETTLED, HUNDREDTH = "ratio of a layer to the one above", "settled influence %", "hundredth layer"
FEW = 4
"""Largest depth of a net whose first layer the label must reach."""


def _settled(figures: Figures) -> dict[int, list[float]]:
    """Return the settled influence on each layer in percent, by depth."""
    return {int(depth): net[SETTLED] for depth, net in figures.measured["by depth"].items()}


def _falls(figures: Figures) -> Verdict:
    rises = [
        f"{depth} layers: {lower:.4g} % below a layer with {higher:.4g} %"
        for depth, layers in _settled(figures).items()
        for lower, higher in pairwise(layers)
        if higher <= lower
    ]
    falls = figures.measured["falls everywhere"]
    return exactly(falls, f"{'falls in every net' if falls else '; '.join(rises)}, one seed")


def _few(figures: Figures) -> Verdict:
    first = {depth: layers[0] for depth, layers in _settled(figures).items() if depth <= FEW}
    shown = ", ".join(f"{depth} layers: {value:.3g} %" for depth, value in first.items())
    return exactly(all(value >= 100 * THRESHOLD for value in first.values()), f"{shown}, one seed")


def _deepest(figures: Figures) -> Verdict:
    depth, layers = max(_settled(figures).items())
    return exactly(layers[0] < 100 * THRESHOLD, f"{depth} layers: {layers[0]:.3g} % on the first, one seed")


def _hundred(figures: Figures) -> Verdict:
    net = figures.measured["by depth"][str(max(_settled(figures)))]
    share, fit = net[HUNDREDTH], net["R2"]
    return exactly(share < THRESHOLD, f"{100 * share:.2g} % by the fit, R² {fit:.2f}, one seed")


def _further(figures: Figures) -> Verdict:
    rows = next(rows for name, rows in figures.measured.items() if name.startswith("after presentations"))
    counts = [row["layers reached"] for row in rows.values()]
    return exactly(counts[-1] > counts[0], f"{counts[-1]} layers after {list(rows)[-1]}, {counts[0]} before, one seed")


CLAIM = Claim(
    "relax",
    time="29:14",
    says="Top-down information diffuses to lower layers and is diluted in each, so it gets through a few.",
    headline=Headline(RATIO, "less than 1", ours=("by depth", "10", RATIO), twin=()),
    clauses=(
        Clause("diluted in each layer", "in every net the settled influence falls from layer to layer", _falls),
        Clause("gets through a few layers", "in nets of up to four layers the first layer is reached", _few),
        Clause("not through the deepest net", "the first layer of the deepest net is not reached", _deepest),
        Clause("not through a hundred", "by the fit of the deepest net, a hundredth layer is not reached", _hundred),
        Clause(
            "presentations carry it further",
            "after the last presentation more layers of the deepest net are reached than before the first",
            _further,
        ),
    ),
)


@CLAIM.measure
def relax(lab: Lab) -> Finding:
    study = examine(lab)
    deepest = max(study.depths)
    by_count = [
        (str(count), learned, trace)
        for count, learned, trace in zip(study.presented, study.influence, study.trace, strict=True)
    ]
    measured = {
        "falls everywhere": all(bool((net.influence[:, -1].diff() > 0).all()) for net in study.depths.values()),
        "by depth": {str(depth): _describe(net) for depth, net in study.depths.items()},
        f"influence % by iteration and layer, {deepest} layers": [
            _percents(moment) for moment in study.depths[deepest].influence.T
        ],
        f"after presentations, {deepest} layers": {
            count: {"layers reached": reached(learned), SETTLED: _percents(learned)} for count, learned, _ in by_count
        },
        "presentations to reach, by layer": first_reached(study.presented, study.influence),
        f"trace % after presentations of {BRIEF} iterations": {count: _percents(trace) for count, _, trace in by_count},
        "brief presentations to reach, by layer": first_reached(study.presented, study.trace),
    }
    twins = {
        str(depth): {"gradient by layer": [round(size, 4) for size in net.gradient], **net.errors[1]}
        for depth, net in study.depths.items()
    }
    return Finding(measured, twins, [0])


def examine(lab: Lab) -> Study:
    """Train the nets of all depths and their twins, and measure them."""
    dataset, images, labels = _data(lab)
    depths = {}
    for depth in lab.pick(smoke=(2, 3, 5), full=(2, 4, 6, 8, 10)):
        recipe, twin_recipe = settings(lab, depth)
        run = lab.train(recipe, f"relax-{depth}", dataset)
        twin = lab.train(twin_recipe, f"relax-{depth}-twin", dataset)
        net, untrained = _double(run.net), _double(build(recipe, dataset.form))
        wrong = (labels + 1) % net.classes
        depths[depth] = Depth(
            influence(net, images, labels, wrong, watched(depth)),
            influence(untrained, images, labels, wrong, watched(depth)),
            sensitivity(twin.net, images, labels),
            (errors(run), errors(twin)),
        )
    presented = [0, *(2**power for power in range(lab.pick(smoke=4, full=6)))]
    few = lab.pick(smoke=3, full=10)
    cases = [(image[None], label[None]) for image, label in zip(images[:few], labels[:few], strict=True)]
    influences = [presentations(net, recipe, image, label, presented) for image, label in cases]
    traces = [brief(net, recipe, image, label, presented) for image, label in cases]
    return Study(depths, presented, torch.stack(influences).mean(0), torch.stack(traces).mean(0))


def settings(lab: Lab, depth: int) -> tuple[RecurrentRecipe, BackpropRecipe]:
    """Return the recipe of a depth and its twin.

    There are more iterations than layers, so that the label can get to the first layer. All of them are judged: the
    goodness of a layer that the label has not reached is the same under every label. Top-down weights start smaller
    than the others, since deep nets whose random ones are as large lose the image; not at 0, so that untrained nets
    have influence.
    """
    recipe, twin = recurrent.short(lab)
    units, epochs = lab.pick(smoke=(50, 2), full=(300, 6))
    narrow = replace(
        recipe,
        widths=(units,) * depth,
        temperature=recipe.temperature * units / recipe.widths[0],
        epochs=epochs,
        validation=lab.pick(smoke=300, full=1000),
        iterations=depth + 2,
        judge_from=1,
        judge_to=depth + 2,
        top_down_start=0.3,
    )
    rate = lab.pick(smoke=twin.rate, full=0.02)  # at the twin's own rate eight layers diverge
    return narrow, replace(twin, widths=narrow.widths, epochs=epochs, validation=narrow.validation, rate=rate)


def _data(lab: Lab) -> tuple[Dataset, Tensor, Tensor]:
    """Return the data of the nets, including held-out images, and the images to measure on, in double precision."""
    recipe, _ = settings(lab, 2)
    count, measured = lab.pick(smoke=(1000, 30), full=(11_000, 200))
    dataset = lab.data(recipe.data).take(count)
    held = dataset.hold_out(recipe.validation)
    return dataset, held.test_images[:measured].double(), held.test_labels[:measured]


def _double(net: Recurrent) -> Recurrent:
    """Copy a net to the CPU in double precision, since influence can be smaller than the rounding of other types."""
    copied = copy.deepcopy(net).cpu().double()
    copied.set_precision("fp32")
    return copied


# ---- figures -------------------------------------------------------------------------------------------------------


def _describe(net: Depth) -> dict[str, Any]:
    arrived, speed, straight = front(net.influence)
    trained, untrained = (decay(influence[:, -1]) for influence in (net.influence, net.untrained))
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


@table("relax", "claims/relax.json")
def depths(record: Mapping[str, Any]) -> str:
    """Return the influence of the label in nets of each depth, next to the twin's gradient and error."""
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
    """Return the influence on each layer of the deepest net after presentations of one image."""
    rows = []
    for title, values in record["measured"].items():
        if title.startswith("after presentations"):
            rows += [["long", count, *map(text, row[SETTLED])] for count, row in values.items()]
        if title.startswith("trace"):
            rows += [["of 3 iterations", count, *map(text, row)] for count, row in values.items()]
    layers = range(1, len(rows[0]) - 1)
    return markdown(["presentations", "number", *(f"layer {layer}" for layer in layers)], rows)


# ---- the picture ---------------------------------------------------------------------------------------------------

LEAST = 0.1
"""Influence in percent at which the color scale begins; less than this is drawn as none."""


@CLAIM.draw
def picture(record: Record, path: Path, lab: Lab) -> Path:
    """Draw the study; the record has the map of one depth only, so the nets are read or trained."""
    return draw(examine(lab), path)


def draw(study: Study, path: Path) -> Path:
    """Draw influence by layer and time, the effect of presentations, errors, and settled influence next to the twin's.

    The maps of influence by layer and time are for the second and the largest depth.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    from twofold.plots.canvas import subplots, suptitle, write
    from twofold.plots.colors import INK

    by_depth, deepest = sorted(study.depths), max(study.depths)
    figure, axes = subplots(2, 3, 4.6, 4.2)
    for ax, depth in zip(axes[0], (by_depth[1], deepest), strict=False):
        values = 100 * study.depths[depth].influence.numpy()
        image = _map(ax, values, f"{depth} layers", "iterations after the label changed", 1)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for ax, tensor, title in (
        (axes[1][0], study.influence, f"Long presentations, {deepest} layers"),
        (axes[1][1], study.trace, f"Presentations of {BRIEF} iterations, {deepest} layers"),
    ):
        image = _map(ax, 100 * tensor.T.numpy(), title, "presentations of the same image", 0)
        ax.set_xticks(range(len(study.presented)), [str(count) for count in study.presented])
    bar = figure.colorbar(image, ax=[ax for row in axes for ax in row[:2]], pad=0.01, extend="min", aspect=36)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    bar.ax.tick_params(labelsize=11, colors=INK)
    _draw_errors(axes[0][2], study.depths)
    _draw_profile(axes[1][2], study.depths)
    suptitle(
        figure,
        "Back-relaxation: how far down a net the label at its top gets",
        "maps: distance of each layer's state from the one under another label, in % of its length (grey: less than "
        f"{LEAST:g} %). Top: the label changes after the net has settled. Bottom: the same after learning from one "
        f"image repeatedly; {BRIEF} iterations reach only the top {BRIEF} layers, and the weights that learn there "
        f"act on {BRIEF} more. Bottom right: the influence once settled, and how much a backprop net's loss changes "
        "with each of its layers",
    )
    return write(figure, path)


def _map(ax: Axes, values: Floats, title: str, across: str, first: int) -> AxesImage:
    """Draw layers by time or presentations, counted from ``first``; the label is above the top row, the image below."""
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    from twofold.plots.canvas import label_axes
    from twofold.plots.colors import BLANK, POSITIVE

    heat = LinearSegmentedColormap.from_list("heat", ["#EEF4FA", "#8DC3E8", POSITIVE, "#002B45"])
    label_axes(ax, title, across, "layer")
    ax.grid(visible=False)
    layers, columns = values.shape
    image = ax.imshow(
        np.clip(values, LEAST / 10, None),
        cmap=heat.with_extremes(under=BLANK),
        norm=LogNorm(LEAST, 200),
        aspect="auto",
        origin="lower",
        extent=(first - 0.5, first + columns - 0.5, 0.5, layers + 0.5),
        interpolation="nearest",
    )
    ax.set_yticks(range(1, layers + 1))
    return image


def _draw_errors(ax: Axes, nets: Mapping[int, Depth]) -> None:
    from twofold.plots.canvas import label_axes, scale_axis
    from twofold.plots.colors import POSITIVE, TWIN

    label_axes(ax, "Error", "hidden layers", "% of held-out images")
    depths = sorted(nets)
    ours = [nets[depth].errors[0]["slow error %"] for depth in depths]
    twins = [nets[depth].errors[1]["fast error %"] for depth in depths]
    ax.plot(depths, ours, "o-", ms=4.5, lw=1.9, color=POSITIVE, label="Forward-Forward")
    ax.plot(depths, twins, "s--", ms=4.5, lw=1.9, color=TWIN, label="twin")
    ax.set_xticks(depths)
    scale_axis(ax, np.array([*ours, *twins]))
    ax.legend(fontsize=10, frameon=False)


def _draw_profile(ax: Axes, nets: Mapping[int, Depth]) -> None:
    """Draw settled influence by the number of layers between a layer and the label, and the twin's gradient."""
    from matplotlib.ticker import MaxNLocator

    from twofold.plots.canvas import label_axes, legend, scale_axis
    from twofold.plots.colors import INK, POSITIVE, TESTS, TWIN

    label_axes(
        ax, "Settled influence, and the twin's gradient", "layers between it and the label", "% (twin: of its top's)"
    )
    deepest = max(nets)
    style: dict[str, Any] = {"ms": 3.5, "lw": 1.9}
    lines = {depth: 100 * net.influence[:, -1].flip(0).numpy() for depth, net in sorted(nets.items())}
    for color, (depth, values) in zip((*TESTS, POSITIVE), lines.items(), strict=False):
        ax.plot(range(depth), values, "o-", color=color, label=f"{depth} layers", **style)
    untrained = 100 * nets[deepest].untrained[:, -1].flip(0).numpy()
    twin = 100 * np.array(nets[deepest].gradient)[::-1]
    ax.plot(range(deepest), untrained, "o:", color=INK, label=f"{deepest}, untrained", **style)
    ax.plot(range(deepest), twin, "s--", color=TWIN, label=f"{deepest}, twin", **style)
    scale_axis(ax, np.concatenate([twin, untrained, *lines.values()]))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(ax, 3)
