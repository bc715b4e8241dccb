"""Claim (talk 20:09, 21:32): each layer may get bottom-up, top-down and lateral input, all from the time step before.

The same recurrent net is trained with and without lateral weights, and with and without top-down weights; without these
the label reaches only the top layer (smoke: digits, one seed; full: MNIST, 20,000 images, 2 x 500, five epochs, the
last 10,000 training images held out, two seeds). For the first net with all three inputs, two figures describe the
sources of the total input z = Σ zₖ + b of a layer in its last iteration, for held-out images under their right labels:

* share: cov(zₖ, z) / var(z), with numerator and denominator each summed over units. The shares of a layer add up to 1;
  a source with a negative share takes away from the others.
* size: var(zₖ) / var(z), which need not add up to anything.

Rule: with all three inputs the mean slow error is at most 4 % (smoke: 8 %). The talk does not say that lateral weights
make it better: how much they do is only reported.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from twofold.layers.inputs import CachedInput
from twofold.layers.recurrent import RecurrentLayer, SourceInput
from twofold.nets.recurrent import Recurrent
from twofold_lab.lab import Finding, Lab, error, mean_errors

NAMES = {"below": "bottom-up", "above": "top-down", "beside": "lateral"}


def glom(lab: Lab) -> Finding:
    """Measure the claim ``glom``."""
    recipe, twin_recipe = lab.short_settling()
    whole = lab.data(recipe.data)
    if lab.size == "full":
        # The images to learn from come before those that are held out.
        some = torch.cat([torch.arange(20_000), torch.arange(len(whole.train_labels))[-recipe.validation :]])
        whole = replace(whole, train_images=whole.train_images[some], train_labels=whole.train_labels[some])
        recipe = replace(recipe, widths=(500, 500), temperature=recipe.temperature / 2, epochs=5)
        twin_recipe = replace(twin_recipe, widths=recipe.widths, epochs=5)
    seeds = lab.pick(smoke=[0], full=[0, 1])
    kinds = {
        "all three": (replace(recipe, lateral=True), "settling-lateral"),
        "no lateral": (recipe, "settling"),
        "no top-down": (replace(recipe, lateral=True, top_down=False), "settling-alone-lateral"),
        "neither": (replace(recipe, top_down=False), "settling-alone"),
    }
    runs = {
        kind: [lab.train(replace(settings, seed=seed), name, whole) for seed in seeds]
        for kind, (settings, name) in kinds.items()
    }
    twins = [lab.train(replace(twin_recipe, seed=seed), "settling-twin", whole) for seed in seeds]
    means = {name: fmean(error(run) for run in trained) for name, trained in runs.items()}
    limit = lab.pick(smoke=8.0, full=4.0)
    images, labels = lab.test_set(runs["all three"][0], whole)
    return Finding(
        holds=means["all three"] <= limit,
        rule=f"with bottom-up, top-down and lateral input the mean slow error is at most {limit:g} %",
        talk="each layer may get input from below, from above and from its own level",
        measured={
            **{name: mean_errors(trained) for name, trained in runs.items()},
            "lateral better by (points)": round(means["no lateral"] - means["all three"], 3),
            "top-down better by (points)": round(means["no top-down"] - means["all three"], 3),
            "input by layer": shares(runs["all three"][0].net, images[:2000], labels[:2000]),
        },
        twin=mean_errors(twins),
        seeds=seeds,
    )


@torch.no_grad()
def shares(net: Recurrent, images: Tensor, labels: Tensor) -> list[dict[str, Any]]:
    """Attribute the variance of each layer's total input to its sources, in the last iteration under the labels.

    Args:
        net: the net.
        images: ``(batch, ...)``.
        labels: ``(batch,)``.

    Returns:
        For each layer, from the lowest upwards, ``share`` and ``size`` of each of its sources, as this module's header
        defines them.
    """
    frame, top = net.images(images), net.top(labels)
    *_, state = net.look(frame, top, net.iterations - 1)
    found = []
    for layer, sources in zip(net.stack, net.sources(frame, top, state), strict=True):
        parts = {name: _input(layer, name, source) for name, source in sources.items()}
        total = torch.stack(list(parts.values())).sum(0)
        variance = total.square().sum()
        found.append(
            {
                NAMES[name]: {
                    "share": round(float((part * total).sum() / variance), 3),
                    "size": round(float(part.square().sum() / variance), 3),
                }
                for name, part in parts.items()
            }
        )
    return found


def _input(layer: RecurrentLayer, name: str, source: SourceInput) -> Tensor:
    """Return the input from one source, minus its mean over cases, ``(batch, units)``, in double precision."""
    rows = source.rows if isinstance(source, CachedInput) else source
    brought: Tensor = rows.cpu().double() @ layer.weights[name].cpu().double().T
    return brought - brought.mean(0)
