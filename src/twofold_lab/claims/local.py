"""With local receptive fields and no weight sharing, the error without labels is 1.16 % (paper section 3.2).

Each unit sees a square of the map below through weights of its own. The layers learn from hybrid images as in the claim
``hybrid`` (smoke: digits, two layers; full: the recipe ``mnist-hybrid-local``, one seed). The paper's net has peer
normalization. The recipe has no peer normalization, since the error on held-out images is smaller without it. The nets
with and without peer normalization are reported, with the percentage of units that no test image activates. The twin
has the same units and receptive fields and learns from the labels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from twofold.methods import BackpropRecipe, UnsupervisedRecipe
from twofold.nets.stack import outputs
from twofold.recipes.mnist_hybrid_local import mnist_hybrid_local, twin
from twofold.training.runs import Run
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.claims.hybrid import settings as hybrid_settings
from twofold_lab.figures import errors, percent
from twofold_lab.lab import Lab
from twofold_lab.verdict import limited

PEER = 0.03
"""Strength of peer normalization in the net with peer normalization."""


CLAIM = Claim(
    "local",
    time="paper section 3.2",
    says="The same with local receptive fields and peer normalization reaches 1.16 %.",
    headline=Headline("fast error %", "1.16", ours=("with peers", "fast error %")),
    clauses=(
        limited("about 1.16 % with peer normalization", "with peers", "fast error %", smoke=8, full=1.4),
        limited("about 1.16 % without it", "fast error %", smoke=8, full=1.4),
    ),
)


@CLAIM.measure
def local(lab: Lab) -> Finding:
    recipe, twin_recipe = settings(lab)
    without, with_peers = (
        {**errors(run), "silent units % by layer": silent(lab, run)}
        for run in (lab.train(recipe, "local"), lab.train(replace(recipe, peer=PEER), "local-with-peers"))
    )
    twins = errors(lab.train(twin_recipe, "local-twin"))
    return Finding({**without, "with peers": with_peers}, twins, [recipe.seed])


def settings(lab: Lab) -> tuple[UnsupervisedRecipe, BackpropRecipe]:
    """Return the recipe of this size and the recipe of the twin."""
    if lab.size == "full":
        return mnist_hybrid_local, twin
    small, small_twin = hybrid_settings(lab)
    fields: dict[str, Any] = {"widths": (25 * 12, 16 * 16), "field_sizes": (4, 2), "strides": (1, 1), "margins": (0, 0)}
    return replace(small, **fields), replace(small_twin, **fields)


@torch.no_grad()
def silent(lab: Lab, run: Run) -> list[float]:
    """Return, for each layer, the percentage of units that no test image activates."""
    images, _ = lab.test_set(run)
    layers = outputs(run.net.stack, run.net.images(images).rows)
    return [percent(float((activity <= 0).all(0).float().mean())) for _, activity, _ in layers]
