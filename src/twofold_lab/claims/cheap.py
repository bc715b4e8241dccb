"""Claim (talk 48:34): basic research of this kind needs little computing.

The experiment measures how long this machine takes to train from scratch on the embedded digits to a small error on 300
training images that are held out (smoke: a small net, to 5 %; full: the recipe digits, to 3 %). Every experiment of the
ledger has a smoke size that needs no more than that.

Rule: it gets there within 60 s (smoke) or 300 s (full).
"""

from __future__ import annotations

import os
from dataclasses import replace

import torch

from twofold.recipes.digits import digits
from twofold.recipes.digits import twin as digits_twin
from twofold_lab.lab import Finding, Lab, errors, reached


def cheap(lab: Lab) -> Finding:
    """Measure the claim ``cheap``."""
    whole = replace(digits, validation=300), replace(digits_twin, validation=300)
    recipe, twin_recipe = lab.pick(smoke=lab.short(), full=whole)
    name, target, limit = lab.pick(smoke=("short", 0.05, 60), full=("digits-held", 0.03, 300))
    run, twin = lab.train(recipe, name), lab.train(twin_recipe, f"{name}-twin")
    found = reached(run, target)
    return Finding(
        holds=found["seconds"] is not None and found["seconds"] <= limit,
        rule=f"training to a slow error of {100 * target:g} % takes at most {limit} s",
        talk="needs little computing",
        measured={**found, **errors(run), "cores": os.cpu_count(), "threads": torch.get_num_threads()},
        twin={**reached(twin, target), **errors(twin)},
        seeds=[recipe.seed],
    )
