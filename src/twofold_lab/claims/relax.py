"""Claim (talk 29:14): top-down information relaxes into lower layers, diluted in each by bottom-up input. So it gets
through a few layers and not through a hundred; seeing the same image again carries it further (back-relaxation).

Nets of several depths learn for a few epochs from a part of the data (full: MNIST, 10,000 images, 300 units a layer,
depths 2 to 10; smoke: digits, depths 2 to 5). The measurements are made on held-out images, in double precision:

* influence: a net settles under the right label, which is then replaced by a wrong one. The influence on a layer after
  t more iterations is the distance of its state from where it would have been, relative to its length, mean over
  images: ‖n(s changed) - n(s kept)‖ / ‖n(s kept)‖, a map of layer by time. The ratio of the settled influence on a
  layer to that on the layer above is fitted as one number for a net (a line through the logarithms). So is the speed of
  the front: the layers per iteration at which half of each layer's final influence arrives. An untrained net is
  measured too.
* presentations: a copy of the deepest net learns from one image again and again, as a positive case with its label and
  as a negative case with the wrong one; then the same influence is measured on this image. The result is a mean over
  several images, each with a copy of its own. Each presentation is one plain step at the recipe's rate: no smoothing,
  no decay and no peer normalization, whose term is a mean over many images.
* trace: the same with presentations of 3 iterations, in which activity alone cannot get lower than three layers. Two
  copies learn, one with the label right and another wrong, one with the two exchanged; each then looks at the image
  once more, for 3 iterations, under the label that is right for it. The trace is the distance between their final
  states, relative to their length. A layer learns from the difference within a pair of cases, which comes down three
  layers in each presentation; the weights that it changes then act on three more. So six layers are the most that any
  number of such presentations can reach.
* twin: nets of the same layers, trained by backprop. The figure is how much the loss changes with a relative change of
  a layer's activity, ‖∂loss/∂a‖ ‖a‖, mean over images, relative to the top hidden layer: this reaches each layer at
  once.

A layer is reached where the influence is at least 1 % of its state's length.

Rule: the settled influence falls from every layer to the one below, in every net; the first layer of nets of up to four
layers is reached, and that of the deepest is not; nor is, by its fit, a layer a hundred below the label; and after the
last presentation more layers of the deepest are reached than before the first.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from twofold.data import Dataset
from twofold.methods import BackpropRecipe, RecurrentRecipe, build
from twofold.nets.backprop import Backprop
from twofold.nets.recurrent import Recurrent
from twofold.normalize import normalize
from twofold_lab.influence import (
    BRIEF,
    THRESHOLD,
    brief,
    decay,
    first_reached,
    front,
    influence,
    presentations,
    reached,
    watched,
)
from twofold_lab.lab import Finding, Lab, errors, percent


@dataclass(frozen=True)
class Depth:
    """Measurements on the nets of one depth, with layers from the lowest upwards.

    Attributes:
        influence: influence of the label on each layer at each iteration, ``(layers, iterations)``.
        untrained: the same influence before learning.
        gradient: sensitivity of the twin's loss by hidden layer, relative to the top one.
        errors: errors of the trained net and of its twin, in percent.
    """

    influence: Tensor
    untrained: Tensor
    gradient: list[float]
    errors: tuple[dict[str, float], dict[str, float]]


@dataclass(frozen=True)
class Study:
    """All measurements that the claim and its picture need.

    Attributes:
        depths: measurements by number of hidden layers.
        presented: numbers of presentations.
        influence: settled influence in the deepest net after each of these numbers, ``(numbers, layers)``.
        trace: trace of the label in the deepest net after as many brief presentations, ``(numbers, layers)``.
    """

    depths: dict[int, Depth]
    presented: list[int]
    influence: Tensor
    trace: Tensor


def relax(lab: Lab) -> Finding:
    """Measure the claim ``relax``."""
    study = examine(lab)
    deepest = max(study.depths)
    settled = {depth: found.influence[:, -1] for depth, found in study.depths.items()}
    reach = [reached(influence) for influence in study.influence]
    far = decay(settled[deepest]).hundredth
    falls = all(bool((influence.diff() > 0).all()) for influence in settled.values())
    few = all(influence[0] >= THRESHOLD for depth, influence in settled.items() if depth <= 4)
    many = float(settled[deepest][0]) < THRESHOLD and far < THRESHOLD
    return Finding(
        holds=falls and few and many and reach[-1] > reach[0],
        rule="the influence falls from layer to layer; it reaches (1 %) the first of up to four layers, not that of "
        "the deepest net, nor by the fit a hundredth layer; presentations carry it to more layers",
        talk="diluted at each layer: a few layers, not a hundred; repeated presentations carry it further",
        measured={
            "falls everywhere": falls,
            "by depth": {str(depth): _describe(found) for depth, found in study.depths.items()},
            f"influence % by iteration and layer, {deepest} layers": [
                _percents(moment) for moment in study.depths[deepest].influence.T
            ],
            f"after presentations, {deepest} layers": {
                str(count): {"layers reached": layers, "settled influence %": _percents(influence)}
                for count, layers, influence in zip(study.presented, reach, study.influence, strict=True)
            },
            "presentations to reach, by layer": first_reached(study.presented, study.influence),
            f"trace % after presentations of {BRIEF} iterations": {
                str(count): _percents(trace) for count, trace in zip(study.presented, study.trace, strict=True)
            },
            "brief presentations to reach, by layer": first_reached(study.presented, study.trace),
        },
        twin={
            str(depth): {"gradient by layer": [round(one, 4) for one in found.gradient], **found.errors[1]}
            for depth, found in study.depths.items()
        },
        seeds=[0],
    )


def examine(lab: Lab) -> Study:
    """Train the nets of all depths and their twins, and measure them."""
    dataset, images, labels = _data(lab)
    depths = {}
    for depth in lab.pick(smoke=(2, 3, 5), full=(2, 4, 6, 8, 10)):
        recipe, twin_recipe = settings(lab, depth)
        run = lab.train(recipe, f"relax-{depth}", dataset)
        twin = lab.train(twin_recipe, f"relax-{depth}-twin", dataset)
        net, fresh = _double(run.net), _double(build(recipe, dataset.form))
        other = (labels + 1) % net.classes
        depths[depth] = Depth(
            influence(net, images, labels, other, watched(depth)),
            influence(fresh, images, labels, other, watched(depth)),
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

    There are more iterations than layers, so that the label can get to the first layer. All of them are judged: a layer
    that the label has not reached says the same of every label. Top-down weights start smaller than the others, since
    deep nets whose random ones are as large lose sight of the image; not at 0, so that untrained nets have influence.
    """
    recipe, twin = lab.short_settling()
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
    whole = lab.data(recipe.data)
    count, measured = lab.pick(smoke=(1000, 30), full=(11_000, 200))
    part = replace(whole, train_images=whole.train_images[:count], train_labels=whole.train_labels[:count])
    held = part.hold_out(recipe.validation)
    return part, held.test_images[:measured].double(), held.test_labels[:measured]


def _double(net: Recurrent) -> Recurrent:
    """Copy a net to the CPU in double precision, since influence can be smaller than the rounding of other types."""
    copied = copy.deepcopy(net).cpu().double()
    copied.set_precision("fp32")
    return copied


# ---- the twin ------------------------------------------------------------------------------------------------------


def sensitivity(twin: Backprop, images: Tensor, labels: Tensor) -> list[float]:
    """Return ‖∂loss/∂a‖ ‖a‖ for each hidden layer's activity a, mean over images, relative to the top layer.

    Args:
        twin: the net.
        images: ``(batch, ...)``.
        labels: ``(batch,)``.

    Returns:
        One number for each layer, from the lowest upwards.
    """
    weights = [(layer.weight.detach().cpu().double(), layer.bias.detach().cpu().double()) for layer in twin.stack]
    activities = [normalize(images.double().flatten(1))]
    for weight, bias in weights[:-1]:
        activities.append(linear(activities[-1], weight, bias).relu().requires_grad_())
    loss = cross_entropy(linear(activities[-1], *weights[-1]), labels, reduction="sum")
    hidden = activities[1:]
    gradients = torch.autograd.grad(loss, hidden)
    each = [(one.norm(dim=1) * a.detach().norm(dim=1)).mean() for one, a in zip(gradients, hidden, strict=True)]
    return [float(one / each[-1]) for one in each]


# ---- figures -------------------------------------------------------------------------------------------------------


def _describe(found: Depth) -> dict[str, Any]:
    arrived, speed, straight = front(found.influence)
    trained, untrained = (decay(influence[:, -1]) for influence in (found.influence, found.untrained))
    return {
        "settled influence %": _percents(found.influence[:, -1]),
        "ratio of a layer to the one above": round(trained.ratio, 4),
        "R2": round(trained.fit, 3),
        "hundredth layer": float(f"{trained.hundredth:.1e}"),
        "iterations to half": arrived,
        "layers per iteration": round(speed, 3) if math.isfinite(speed) else None,
        "R2 of the speed": round(straight, 3),
        "untrained influence %": _percents(found.untrained[:, -1]),
        "untrained ratio": round(untrained.ratio, 4),
        **found.errors[0],
    }


def _percents(shares: Tensor) -> list[float]:
    return [percent(float(share)) for share in shares]


# ---- the picture ---------------------------------------------------------------------------------------------------


def draw_relax(lab: Lab, path: Path, record: Mapping[str, Any] | None = None) -> Path:
    """Draw how far the label gets: by iterations, by presentations, by depth, beside the twin's error and gradient.

    Args:
        lab: the laboratory that has the nets, or trains them.
        path: the PNG to write.
        record: the record of the claim; not used, since it has the map of one depth only.
    """
    from twofold_lab.claims.plots import relax as plots

    study = examine(lab)
    depths = sorted(study.depths)
    return plots.relaxation(
        {depth: 100 * found.influence.numpy() for depth, found in study.depths.items()},
        100 * study.depths[depths[-1]].untrained[:, -1].numpy(),
        {depth: found.gradient for depth, found in study.depths.items()},
        {
            depth: (found.errors[0]["slow error %"], found.errors[1]["fast error %"])
            for depth, found in study.depths.items()
        },
        study.presented,
        100 * study.influence.numpy(),
        100 * study.trace.numpy(),
        path,
        shown=(depths[1], depths[-1]),
        brief=BRIEF,
    )
