"""Claim (talk 11:53): features that do not go with the label are ignored, and so is random noise in the margin.

The same net is trained on images whose last two rows are black, and on images whose last two rows are filled with
noise, uniform over 0 to 1 and drawn anew for each image (smoke: digits with two rows added below; full: MNIST's own
last two rows, 8 epochs, the last 10,000 training images held out). Two means are taken over the first layer's weights
to the noise: of their absolute values, and of their absolute changes since initialization; each is relative to the same
mean over the weights to all other pixels that are ever on. The changes show what was learned: weights that nothing
trains keep their initial values except for weight decay, which takes 1 / (rate · decay) batches. The images are also
shown again with other noise, to count how many are then classified differently.

Rule: weights to noise change at most half as much as the others, and noise costs at most 2 points (full: 0.3).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from twofold.data import Dataset
from twofold.methods import Recipe, build
from twofold_lab.lab import Finding, Lab, error, percent

ROWS = 2


def irrelevant(lab: Lab) -> Finding:
    """Measure the claim ``irrelevant``."""
    recipe, twin_recipe = lab.short()
    added = lab.pick(smoke=ROWS, full=0)
    plain = _with_margin(lab.data(recipe.data), added, noise=False)
    noisy = _with_margin(lab.data(recipe.data), added, noise=True)

    measured, twin = (
        _measure(lab, recipe, "margin", plain, noisy, recipe.label_in),
        _measure(lab, twin_recipe, "margin-twin", plain, noisy),
    )
    margin = lab.pick(smoke=2.0, full=0.3)
    cost = measured["error % with noise"] - measured["error % without"]
    return Finding(
        holds=measured["change, noise / rest"] <= 0.5 and cost <= margin,
        rule=f"weights to noise change at most half as much as the rest, and noise costs at most {margin:g} points",
        talk="noise in the margin is ignored",
        measured=measured,
        twin=twin,
        seeds=[recipe.seed],
    )


def _with_margin(dataset: Dataset, added: int, noise: bool, seed: int = 0) -> Dataset:
    """Return the data set with its last rows, or with ``added`` further rows, black or filled with noise."""
    generator = torch.Generator().manual_seed(seed)

    def fill(images: Tensor) -> Tensor:
        images = pad(images, (0, 0, 0, added)).clone()
        margin = images[:, :, -ROWS:]
        images[:, :, -ROWS:] = torch.rand(margin.shape, generator=generator) if noise else 0.0
        return images

    return replace(
        dataset,
        name=f"{dataset.name}-{'noise' if noise else 'black'}",
        train_images=fill(dataset.train_images),
        test_images=fill(dataset.test_images),
    )


def _measure(
    lab: Lab, recipe: Recipe, name: str, plain: Dataset, noisy: Dataset, label_in: str = ""
) -> dict[str, float]:
    runs = lab.train(recipe, f"{name}-black", plain), lab.train(recipe, f"{name}-noise", noisy)
    run, other = runs[1], _with_margin(noisy, 0, noise=True, seed=1)
    main = next(iter(run.result.error))
    named, otherwise = (lab.test(run, dataset).named[main] for dataset in (noisy, other))
    in_front = noisy.classes if label_in == "prepend" else 0
    covered = noisy.classes if label_in == "overlay" else 0

    on = noisy.train_images.flatten(1).amax(0) > 0
    on[:covered] = False
    noise = torch.zeros(noisy.shape, dtype=torch.bool)
    noise[:, -ROWS:] = True
    rest, noise = on & ~noise.flatten(), on & noise.flatten()

    def ratio(weights: Tensor) -> float:
        size = weights[:, in_front:].abs()
        return round((size[:, noise].mean() / size[:, rest].mean()).item(), 4)

    first, last = (net.stack[0].bottom_up.value.detach().cpu() for net in (build(run.recipe, noisy.form), run.net))
    return {
        "weights at first, noise / rest": ratio(first),
        "weights at last, noise / rest": ratio(last),
        "change, noise / rest": ratio(last - first),
        "error % without": error(runs[0]),
        "error % with noise": error(run),
        "named otherwise with other noise %": percent((named != otherwise).float().mean().item()),
    }
