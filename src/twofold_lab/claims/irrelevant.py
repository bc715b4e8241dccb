"""Features unrelated to the label are ignored, such as noise in the margin (talk 11:53).

The same net is trained on images whose last two rows are black, and on images whose last two rows are filled with
noise, uniform over 0 to 1 and drawn once for each image (smoke: digits with two rows added below; full: MNIST's own
last two rows, 8 epochs, the last 10,000 training images held out). Two means are taken over the first layer's weights
to the noise: that of the absolute values of the weights, and that of the absolute changes of the weights since
initialization. Both means are divided by the mean of the same quantity over the weights to all other pixels that are on
in some image. The changes show what was learned: weights without a signal keep their initial values except for weight
decay, which takes 1 / (rate · decay) batches. The images are also tested with other noise, to count how many images are
then classified differently.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from twofold.data import Dataset
from twofold.methods import Recipe, build
from twofold_lab import feedforward
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.figures import error, percent
from twofold_lab.lab import Lab
from twofold_lab.verdict import Figures, Verdict, at_most, one_seed

ROWS = 2
BLACK, NOISE, CHANGE = "error % without", "error % with noise", "change, noise / rest"


CLAIM = Claim(
    "irrelevant",
    time="11:53",
    says="Features unrelated to the label are ignored, such as noise in the margin.",
    headline=Headline(CHANGE, "noise in the margin is ignored", twin=(CHANGE,)),
)


@CLAIM.clause("weights to noise learn little", "they change at most half as much as the weights to the other pixels")
def _learn_little(figures: Figures) -> Verdict:
    return one_seed(at_most(figures.of(CHANGE), 0.5))


@CLAIM.clause("noise costs little", "the error with noise is at most 0.3 points (smoke: 2) above that without")
def _costs_little(figures: Figures) -> Verdict:
    return at_most(figures.of(NOISE), figures.of(BLACK).plus(figures.pick(smoke=2.0, full=0.3)))


@CLAIM.measure
def irrelevant(lab: Lab) -> Finding:
    recipe, twin = feedforward.short(lab)
    rows = lab.pick(smoke=ROWS, full=0)
    black, noisy = (_with_margin(lab.data(recipe.data), rows, noise) for noise in (False, True))
    ours, twins = (_compare(lab, settings, black, noisy) for settings in (recipe, twin))
    return Finding(ours, twins, [recipe.seed])


def _with_margin(dataset: Dataset, added: int, noise: bool, seed: int = 0) -> Dataset:
    """Return the data set with the last rows of the images black or filled with noise.

    If ``added`` is not 0, so many rows are added below for this.
    """
    generator = torch.Generator().manual_seed(seed)

    def fill(images: Tensor) -> Tensor:
        images = pad(images, (0, 0, 0, added)).clone()
        margin = images[:, :, -ROWS:]
        images[:, :, -ROWS:] = torch.rand(margin.shape, generator=generator) if noise else 0.0
        return images

    name = f"{dataset.name}-{'noise' if noise else 'black'}"
    return replace(dataset, name=name, train_images=fill(dataset.train_images), test_images=fill(dataset.test_images))


def _compare(lab: Lab, recipe: Recipe, black: Dataset, noisy: Dataset) -> dict[str, float]:
    without, run = lab.train(recipe, "margin-black", black), lab.train(recipe, "margin-noise", noisy)
    test = next(iter(run.result.error))
    labels, others = (lab.test(run, data).named[test] for data in (noisy, _with_margin(noisy, 0, True, seed=1)))
    label_in = recipe.fields().get("label_in")
    in_front, covered = (noisy.classes if label_in == place else 0 for place in ("prepend", "overlay"))
    on = noisy.train_images.flatten(1).amax(0) > 0
    on[:covered] = False
    margin = torch.zeros(noisy.shape, dtype=torch.bool)
    margin[:, -ROWS:] = True
    rest, noise = on & ~margin.flatten(), on & margin.flatten()

    def ratio(weights: Tensor) -> float:
        size = weights[:, in_front:].abs()
        return round((size[:, noise].mean() / size[:, rest].mean()).item(), 4)

    first, last = (net.stack[0].bottom_up.value.detach().cpu() for net in (build(run.recipe, noisy.form), run.net))
    return {
        "weights at first, noise / rest": ratio(first),
        "weights at last, noise / rest": ratio(last),
        CHANGE: ratio(last - first),
        BLACK: error(without),
        NOISE: error(run),
        "named otherwise with other noise %": percent((labels != others).float().mean().item()),
    }
