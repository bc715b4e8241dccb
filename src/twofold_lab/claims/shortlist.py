"""With a thousand labels, the fast test selects a few, and the slow test decides between them (talk 13:27).

The task needs many labels, so it is synthetic: each class is a random smooth glyph, and each image is the glyph of its
class with Gaussian noise on every pixel. The set of images is fixed. smoke: 500 classes of 12 x 12 pixels. full: 1000
classes. The shortlist has 5 labels.

The settings for many labels were found on this task: one layer; a label as strong in the input as the image; positive
and negative data compared in pairs (symba) at a high temperature. With the logistic objective on single cases, the net
learns almost nothing, since hardly any label occurs twice in a batch.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from twofold.data import Dataset, as_dataset
from twofold.recipes import mnist
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.figures import errors, percent
from twofold_lab.lab import Lab
from twofold_lab.tables import sides, table
from twofold_lab.verdict import Figures, Verdict, at_most, exactly

SIZE = 5
SLOW, LIST, SHARE = "slow error %", "shortlist error %", "share of passes %"
PREPENDED = replace(mnist.mnist, label_in="prepend", label_strength=4.0, objective="symba", temperature=100.0)
MANY = replace(PREPENDED, widths=(400,), epochs=8, batch=50, rate=0.06, tolerance=0.0, softmax_rate=0.5)
MANY_TWIN = replace(mnist.twin, widths=MANY.widths, epochs=10, batch=50)


CLAIM = Claim(
    "shortlist",
    time="13:27",
    says="With a thousand labels, the fast test selects a few, and the slow test decides between them.",
    headline=Headline(LIST, "a shortlist of 5 of 1000 labels"),
)


@CLAIM.clause("as good as the slow test", "the shortlist errs at most 0.3 points more than the slow test")
def _as_good(figures: Figures) -> Verdict:
    return at_most(figures.of(LIST), figures.of(SLOW).plus(0.3))


@CLAIM.clause("few passes", "the shortlist takes less than 2 % of the slow test's passes")
def _few_passes(figures: Figures) -> Verdict:
    return exactly(figures.measured[SHARE] < 2, f"{figures.measured[SHARE]:g} % of the passes")


@CLAIM.clause("many labels are learned", "the slow error is at most 5 %")
def _learned(figures: Figures) -> Verdict:
    return at_most(figures.of(SLOW), 5)


@CLAIM.measure
def shortlist(lab: Lab) -> Finding:
    dataset = glyphs(*lab.pick(smoke=(500, 5000, 500), full=(1000, 20_000, 2000)))
    large = replace(MANY, widths=(1000,), epochs=20), replace(MANY_TWIN, widths=(1000,))
    recipe, twin = lab.pick(smoke=(MANY, MANY_TWIN), full=large)
    tests = lab.test(lab.train(recipe, "glyphs", dataset), dataset, SIZE)
    passes = tests.metrics["passes_per_image"]
    measured = {
        **{f"{test} error %": percent(share) for test, share in tests.error.items()},
        "passes per image": passes,
        SHARE: percent(passes["shortlist"] / passes["slow"]),
        "classes": dataset.classes,
    }
    twin_errors = errors(lab.train(twin, "glyphs-twin", dataset))
    return Finding(measured, {**twin_errors, "passes per image": {"fast": 1}}, [recipe.seed])


def glyphs(classes: int, train: int, test: int, side: int = 12, noise: float = 0.2) -> Dataset:
    """Make noisy images ``(cases, 1, side, side)`` of random smooth glyphs, with a glyph for each class.

    Every call with the same arguments returns the same data set.

    Args:
        classes: number of classes.
        train, test: numbers of training and test images; the classes of images are drawn uniformly.
        side: height and width of an image in pixels.
        noise: standard deviation of the noise on each pixel, before pixels are clamped to 0 ... 1.
    """
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(classes, 1, side // 2, side // 2, generator=generator)
    smooth = interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)

    def draw(count: int) -> tuple[Tensor, Tensor]:
        labels = torch.randint(classes, (count,), generator=generator)
        grain = torch.randn(count, 1, side, side, generator=generator)
        return (smooth[labels] + noise * grain).clamp(0, 1), labels

    return as_dataset(f"glyphs-{classes}", *draw(train), *draw(test), classes=classes)


table("tests", "claims/shortlist.json")(sides)
