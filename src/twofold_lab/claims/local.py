"""Claim (paper section 3.2): with local receptive fields and no weight sharing the error without labels is 1.16 %.

Layers whose units see a square of the map below, each with weights of its own, learn from hybrid images as in the claim
``hybrid`` (smoke: digits, two layers; full: the recipe mnist-hybrid-local, one seed). The paper's net has peer
normalization; the recipe has none, since it does better without it on held-out images. Both are reported, with the
share of units that no test image activates. The twin has the same units and fields, and is given the labels.

Rule: the error is at most 1.40 % (smoke: 8 %), with peer normalization and without it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from twofold.methods import BackpropRecipe, UnsupervisedRecipe
from twofold.nets.stack import outputs
from twofold.recipes.mnist_hybrid_local import mnist_hybrid_local, twin
from twofold.training.runs import Run
from twofold_lab.claims.hybrid import settings as hybrid_settings
from twofold_lab.lab import Finding, Lab, errors, percent

PEER = 0.03
"""Strength of peer normalization in the net that has it."""


def local(lab: Lab) -> Finding:
    """Measure the claim ``local``."""
    recipe, twin_recipe = settings(lab)
    run = lab.train(recipe, "mnist-hybrid-local")
    pulled = lab.train(replace(recipe, peer=PEER), "hybrid-local-peers")
    limit = lab.pick(smoke=8.0, full=1.4)
    alone, with_peers = (errors(each)["fast error %"] for each in (run, pulled))
    return Finding(
        holds=max(alone, with_peers) <= limit,
        rule=f"the error is at most {limit:.2f} %, with peer normalization and without it",
        talk={"fast error %": 1.16},
        measured={
            **errors(run),
            "silent units % by layer": silent(lab, run),
            "with peers": {**errors(pulled), "silent units % by layer": silent(lab, pulled)},
        },
        twin=errors(lab.train(twin_recipe, "mnist-hybrid-local-twin")),
        seeds=[recipe.seed],
    )


def settings(lab: Lab) -> tuple[UnsupervisedRecipe, BackpropRecipe]:
    """Return the recipe of this size and its twin."""
    if lab.size == "full":
        return mnist_hybrid_local, twin
    small, small_twin = hybrid_settings(lab)
    fields: dict[str, Any] = {"widths": (25 * 12, 16 * 16), "field_sizes": (4, 2), "strides": (1, 1), "margins": (0, 0)}
    return replace(small, **fields), replace(small_twin, **fields)


@torch.no_grad()
def silent(lab: Lab, run: Run) -> list[float]:
    """Return the share of each layer's units that no held-out image activates, in percent."""
    net, (images, _) = run.net, lab.test_set(run)
    found = outputs(net.stack, net.images(images).rows)
    return [percent(float((activity <= 0).all(0).float().mean())) for _, activity, _ in found]
