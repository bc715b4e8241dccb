"""Claim (talk 13:27): with a thousand labels, the fast test gives a shortlist of about five, and the slow test decides.

The task is synthetic, since it needs many labels: each class is a random smooth glyph, each image its glyph with
Gaussian noise on every pixel; the set of images is fixed. smoke: 500 classes of 12 x 12 pixels. full: 1000 classes.

The settings for many labels were found on this task: one layer; a label as strong in the input as the image; pairs of
positive and negative data compared with each other (symba) at a high temperature. The logistic objective on single
cases learns next to nothing here, since hardly any label occurs twice in a batch.

Rule: the shortlist of 5 errs at most 0.3 points more often than the slow test, at under 2 % of its passes, and the
slow error is at most 5 %.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from twofold.data import Dataset, as_dataset
from twofold.recipes.mnist import mnist
from twofold.recipes.mnist import twin as mnist_twin
from twofold_lab.lab import Finding, Lab, errors, percent

SIZE = 5

many = replace(
    mnist,
    widths=(400,),
    epochs=8,
    batch=50,
    rate=0.06,
    label_in="prepend",
    label_strength=4.0,
    objective="symba",
    temperature=100.0,
    tolerance=0.0,
    softmax_rate=0.5,
)
many_twin = replace(mnist_twin, widths=many.widths, epochs=10, batch=50)


def shortlist(lab: Lab) -> Finding:
    """Measure the claim ``shortlist``."""
    classes, train, test = lab.pick(smoke=(500, 5000, 500), full=(1000, 20_000, 2000))
    dataset = glyphs(classes, train, test)
    recipe, twin_recipe = lab.pick(
        smoke=(many, many_twin),
        full=(replace(many, widths=(1000,), epochs=20), replace(many_twin, widths=(1000,))),
    )
    run = lab.train(recipe, "glyphs", dataset)
    tested = lab.test(run, dataset, SIZE)
    found = {name: percent(share) for name, share in tested.error.items()}
    passes = tested.metrics["passes_per_image"]
    share = passes["shortlist"] / passes["slow"]
    return Finding(
        holds=found["shortlist"] <= found["slow"] + 0.3 and share < 0.02 and found["slow"] <= 5,
        rule="the shortlist errs at most 0.3 points more than the slow test, at under 2 % of its passes; slow <= 5 %",
        talk="with 1000 labels, a shortlist of 5 makes the slow test efficient",
        measured={
            **{f"{name} error %": value for name, value in found.items()},
            "passes per image": passes,
            "share of passes %": percent(share),
            "classes": classes,
        },
        twin={**errors(lab.train(twin_recipe, "glyphs-twin", dataset)), "passes per image": {"fast": 1}},
        seeds=[recipe.seed],
    )


def glyphs(classes: int, train: int, test: int, side: int = 12, noise: float = 0.2) -> Dataset:
    """Make noisy images ``(cases, 1, side, side)`` of random smooth glyphs, one per class, the same at every call.

    Args:
        classes: number of classes.
        train, test: numbers of images; their classes are drawn uniformly.
        side: height and width in pixels.
        noise: standard deviation of the noise on each pixel, before values are clamped to 0 ... 1.
    """
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(classes, 1, side // 2, side // 2, generator=generator)
    smooth = interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)

    def part(count: int) -> tuple[Tensor, Tensor]:
        labels = torch.randint(classes, (count,), generator=generator)
        grain = torch.randn(count, 1, side, side, generator=generator)
        return (smooth[labels] + noise * grain).clamp(0, 1), labels

    return as_dataset(f"glyphs-{classes}", *part(train), *part(test), classes=classes)
