"""What an ambiguous shape is taken for depends on its context, by way of top-down input (talk 17:56).

A recurrent net learns three-letter words with Forward-Forward. Its input is the pixels at the bottom and the word at
the top, which is right in positive data and wrong in negative data. Each third of its first-layer units sees one
letter. A first-layer unit receives information about the other two letters only as top-down input from the second
layer, which sees all letters; no layer has lateral input. The middle letter of a training word is often faint, so that
context is useful. In this net, positive data are to have high activity, so that top-down input adds to the activity
that it predicts. A net whose positive data are to have low activity is also reported. In the latter, top-down input
subtracts from the activity that it predicts, so the remaining activity says less about the letter.

In the test, the net sees T?E and C?T. The middle letter is the same shape in both, between H and A, pixel for pixel. A
logistic regression classifies it as H or A from the normalized first-layer units that see it. The regression is fitted
once, to the states after the bottom-up pass alone, on renderings of the 18 words with an H or an A in the middle other
than THE and CAT. The same regression classifies the states after the last iteration (the settled states). For each
font, the lean of the stems of the shape is chosen such that the median output of the regression after the bottom-up
pass is 0, on renderings that are not used otherwise. The test renderings are new, and not faint.

No word is given in the test: the net's own belief, softmax · strength, is fed to the top after the bottom-up pass and
after every iteration. Also reported are the results with the neutral label at the top, with a regression fitted to
settled states, and for renderings of TAE and CHT, in which the middle letter is clear but does not fit its context.
There are two twins. One is the same net without top-down input, which trains and settles in the same way. The other is
a feedforward net with the same layers and receptive fields, trained by backprop; it has no iterations.

smoke: 30 words, 60 renderings of each, 3 x 60 + 180 units, 8 epochs. full: 600 renderings of each word, 3 x 100 + 300
units, 20 epochs; 300 test renderings of each context.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from twofold.data import Dataset
from twofold.layers.connectivity import Full, Masked
from twofold.layers.inputs import CachedInput
from twofold.methods import RecurrentRecipe
from twofold.nets.backprop import Backprop
from twofold.nets.recurrent import Recurrent
from twofold.nets.video import State
from twofold.normalize import normalize
from twofold.recipes.mnist import twin as mnist_twin
from twofold.recipes.recurrent import recurrent
from twofold.training.trainer import Trainer
from twofold_lab import tables
from twofold_lab.claim import Claim, Finding, Headline, Record
from twofold_lab.data import letters
from twofold_lab.figures import percent
from twofold_lab.lab import Lab
from twofold_lab.verdict import Estimate, Figures, Verdict, at_least, every, positive

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

READOUT_WORDS = tuple(word for word in (*letters.H_WORDS, *letters.A_WORDS) if word not in ("THE", "CAT"))
"""The words that the logistic regression is fitted to."""

CONTEXTS, ANSWERS = ("T?E", "C?T"), ("H", "A")
"""The two contexts, and the middle letters that they suggest, in the same order."""
SHARES = tuple(f"{answer} in {context} %" for answer, context in zip(ANSWERS, CONTEXTS, strict=True))

RENDERINGS = {"smoke": 100, "full": 300}
"""Number of test renderings of each context, by size."""
READ_SEED, TEST_SEED = 1000, 2000
"""Seeds of the renderings to which the logistic regression is fitted, and of the test renderings."""

LEAST, UNSURE = 90.0, (35.0, 65.0)
"""Limits of the percentage of renderings that are classified as their context suggests.

The least percentage with top-down input, and the range of the percentage if the context has no influence.
"""

LETTERS = replace(recurrent, data="letters", batch=50, softmax_rate=0.3, softmax_decay=0.0003, neutral_every=1)
ACTIVE = replace(LETTERS, goodness="sum_of_squares", tolerance=0.0, floor=0.0)
FULL = replace(ACTIVE, widths=(300, 300), epochs=20, temperature=15.0)
SMOKE = replace(ACTIVE, widths=(180, 180), epochs=8, temperature=9.0)
TWIN = replace(mnist_twin, data="letters", batch=50, tolerance=0.0)

CLAIM = Claim(
    "top-down",
    time="17:56",
    says="Context decides what an ambiguous shape is taken for.",
    headline=Headline(
        SHARES[0],
        "context decides whether the shape in the middle is an H or an A",
        ours=("settled", SHARES[0]),
        twin=("without top-down", "settled", SHARES[0]),
    ),
)


@CLAIM.clause(
    "context decides once the net has settled",
    "after 8 iterations, H is read in T?E and A in C?T, each in at least 90 % of the renderings",
)
def _decided(figures: Figures) -> Verdict:
    counted = replace(figures, cases=RENDERINGS[figures.size])
    return every([at_least(counted.of("settled", share), LEAST) for share in SHARES])


def undecided(figures: Figures, shares: Mapping[str, float]) -> Verdict:
    """Judge whether all percentages in ``shares`` are in the range `UNSURE`, with their binomial standard errors."""
    counted, (lowest, highest) = replace(figures, measured=shares, cases=RENDERINGS[figures.size]), UNSURE
    verdicts = []
    for value in (counted.of(share) for share in SHARES):
        margin = Estimate(min(value.value - lowest, highest - value.value), value.error)
        verdicts.append(positive(margin, f"{value} against {lowest:g} to {highest:g}"))
    return every(verdicts)


@CLAIM.clause(
    "the shape is ambiguous before",
    "after the bottom-up pass alone, H is read in T?E and A in C?T, each in 35 to 65 % of the renderings",
)
def _ambiguous_before(figures: Figures) -> Verdict:
    return undecided(figures, figures.measured["before"])


@CLAIM.clause(
    "top-down input is what decides",
    "without top-down input, each is read in 35 to 65 % of the renderings after 8 iterations, too",
)
def _undecided_without(figures: Figures) -> Verdict:
    return undecided(figures, figures.twin["without top-down"]["settled"])


@CLAIM.measure
def top_down(lab: Lab) -> Finding:
    recipe, dataset = settings(lab)

    def shares(**changes: Any) -> dict[str, dict[str, float]]:
        return read(trained(lab, replace(recipe, **changes), dataset), RENDERINGS[lab.size])

    return Finding(
        measured={**shares(), "low activity": shares(goodness="minus_sum_of_squares")},
        twin={"without top-down": shares(top_down=False), "backprop": read_twin(lab, recipe, dataset)},
        seeds=[recipe.seed],
    )


def settings(lab: Lab) -> tuple[RecurrentRecipe, Dataset]:
    """Return the recipe of this size, and the data set of rendered words for its net."""
    recipe, renderings = lab.pick(smoke=(SMOKE, 60), full=(FULL, 600))
    return recipe, letters.load(renderings, 20, recipe.seed)


def trained(lab: Lab, recipe: RecurrentRecipe, dataset: Dataset) -> Recurrent:
    """Train the recurrent net of a recipe, or load it, and return it with matrix products in float32."""
    names = ("damping", "iterations", "label_strength", "top_down", "softmax_decay")
    net = Recurrent(
        dataset.pixels,
        recipe.widths,
        dataset.classes,
        recipe.rule(),
        connectivity=[{"below": Masked(fields(recipe.widths[0]))}],
        generator=torch.Generator().manual_seed(recipe.seed),
        **{name: getattr(recipe, name) for name in names},
    )
    identity = {"method": recipe.method, **recipe.fields()}
    lab.train_net(net, "letters", dataset, identity, lambda net: Trainer(net, recipe, dataset.train).run())
    net.set_precision("fp32")
    return net


def fields(units: int) -> Tensor:
    """Return the mask ``(units, pixels)`` of first-layer weights: each third of the units sees another letter."""
    cell = (torch.arange(3 * letters.CELL) // letters.CELL).repeat(letters.CELL)
    return (3 * torch.arange(units) // units)[:, None] == cell


def middle(activity: Tensor) -> Tensor:
    """Return the normalized activity ``(rows, units / 3)`` of the units that see the middle letter.

    Args:
        activity: activity of all first-layer units, ``(rows, units)``.
    """
    return normalize(activity.float().chunk(3, 1)[1])


def read(net: Recurrent, renderings: int) -> dict[str, dict[str, float]]:
    """Return the percentages of test renderings classified as their context suggests, by condition and context."""
    images, truth = clear_words()
    bottom_up, *_, settled = settle(net, images)
    readout = fit_readout(bottom_up, truth)
    shown = ambiguous(net, readout, renderings)
    believed = [list(settle(net, images)) for images in shown]
    neutral = [list(settle(net, images, belief=False)) for images in shown]
    clear = [list(settle(net, letters.render([text] * renderings, TEST_SEED)[0])) for text in ("TAE", "CHT")]
    return {
        "before": shares(readout, believed, 0),
        "settled": shares(readout, believed, -1),
        "settled under a neutral top": shares(readout, neutral, -1),
        "settled, read-out of settled states": shares(fit_readout(settled, truth), believed, -1),
        "settled, clear A in T.E and clear H in C.T": shares(readout, clear, -1),
    }


@torch.no_grad()
def settle(net: Recurrent, images: Tensor, belief: bool = True) -> Iterator[Tensor]:
    """Yield the activity for the middle letter, ``(cases, units / 3)``, after the bottom-up pass and each iteration.

    Args:
        net: the net.
        images: ``(cases, 1, 16, 48)``.
        belief: feed the softmax of the net to the top, times the label strength; otherwise the neutral label.
    """
    frame = net.images(images.to(net.stack[0].bias.device))
    state: State = net.start(frame)
    yield middle(state[0].state).cpu()
    logits: Tensor = net.softmax(net.read_state(state))
    for _ in range(net.iterations):
        top = CachedInput(logits.softmax(1) * net.label_strength) if belief else net.neutral_top(len(images))
        state = net.step(frame, top, state)
        yield middle(state[0].state).cpu()
        logits = net.settled_softmax(net.read_state(state))


def clear_words() -> tuple[Tensor, NDArray[np.int64]]:
    """Return the renderings for fitting the logistic regression, and for each one 1 for a middle H or 0 for an A."""
    texts = READOUT_WORDS * 30
    return letters.render(texts, READ_SEED)[0], np.array([text in letters.H_WORDS for text in texts], dtype=np.int64)


def fit_readout(activity: Tensor, truth: NDArray[np.int64]) -> LogisticRegression:
    """Fit a logistic regression to ``activity``; its decision function is above 0 for H and below 0 for A."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=0.1, max_iter=2000).fit(activity.numpy(), truth)


def ambiguous(net: Recurrent, readout: LogisticRegression, renderings: int) -> list[Tensor]:
    """Render T?E and C?T with the same ambiguous shapes in the middle: two tensors ``(renderings, 1, 16, 48)``."""
    openings = calibrate(lambda images: next(settle(net, images)), readout)
    return [letters.render([text] * renderings, TEST_SEED, openings)[0] for text in CONTEXTS]


def calibrate(states: Callable[[Tensor], Tensor], readout: LogisticRegression) -> list[float]:
    """Find, for each font, the gap at the top of the middle letter at which ``readout`` is undecided between H and A.

    The median output of ``readout`` after the bottom-up pass is 0 at this gap.

    Args:
        states: maps images to the activity of the units that see the middle letter, after the bottom-up pass.
        readout: logistic regression with a decision function above 0 for H and below 0 for A.
    """
    grid = np.linspace(0, 1, 21)
    medians = []
    for opening in grid:
        images, fonts = letters.render(CONTEXTS * 120, READ_SEED + 1, [float(opening)] * len(letters.FONTS))
        read = readout.decision_function(states(images).numpy())
        medians.append([np.median(read[fonts.numpy() == font]) for font in range(len(letters.FONTS))])
    openings = []
    for by_opening in np.array(medians).T:
        crosses = by_opening[0] < 0 < by_opening[-1]
        openings.append(float(np.interp(0, by_opening, grid) if crosses else grid[np.abs(by_opening).argmin()]))
    return openings


def shares(readout: LogisticRegression, states: Sequence[Sequence[Tensor]], iteration: int) -> dict[str, float]:
    """Return how often an ambiguous middle letter is classified as H in T?E, and as A in C?T, in percent.

    Args:
        readout: logistic regression for H and A.
        states: activity of the units that see the middle letter, by context and iteration.
        iteration: index into the states of a context; 0 is the bottom-up pass.
    """
    first, second = (readout.decision_function(context[iteration].numpy()) > 0 for context in states)
    return dict(zip(SHARES, (percent(float(first.mean())), percent(1 - float(second.mean()))), strict=True))


def read_twin(lab: Lab, recipe: RecurrentRecipe, dataset: Dataset) -> dict[str, float]:
    """Train the backprop twin; return the percentages of test renderings that it classifies as the context suggests."""
    twin = replace(TWIN, widths=recipe.widths, epochs=min(10, recipe.epochs))
    above = [Full(upper, lower) for lower, upper in itertools.pairwise(twin.widths)]
    connectivity = [Masked(fields(twin.widths[0])), *above]
    generator = torch.Generator().manual_seed(twin.seed)
    net = Backprop(dataset.pixels, twin.widths, dataset.classes, generator, connectivity=connectivity)
    identity = {"method": twin.method, **twin.fields()}
    lab.train_net(net, "letters-twin", dataset, identity, lambda net: Trainer(net, twin, dataset.train).run())
    net.set_precision("fp32")
    first = net.stack[0]

    @torch.no_grad()
    def states(images: Tensor) -> Tensor:
        return middle(first(normalize(images.flatten(1).to(first.weight))).relu()).cpu()

    images, truth = clear_words()
    readout = fit_readout(states(images), truth)
    openings = calibrate(states, readout)
    shown = [[states(letters.render([text] * RENDERINGS[lab.size], TEST_SEED, openings)[0])] for text in CONTEXTS]
    return shares(readout, shown, 0)


# ---- table and plot ------------------------------------------------------------------------------------------------


@tables.table("top-down", "claims/top-down.json")
def shares_table(record: Record) -> str:
    """Tabulate the percentages of renderings that each net classifies as their context suggests."""
    measured, twin = record["measured"], record["twin"]
    nets = {
        "high activity": {name: shares for name, shares in measured.items() if name != "low activity"},
        "low activity": measured["low activity"],
        "without top-down": twin["without top-down"],
        "backprop": {"before": twin["backprop"]},
    }
    rows = [
        [net, name, *(tables.figures(shares[share]) for share in SHARES)]
        for net, by_name in nets.items()
        for name, shares in by_name.items()
    ]
    return tables.markdown(["net", "read", *SHARES], rows)


@CLAIM.draw
def picture(_: Record, path: Path, lab: Lab) -> Path:
    """Plot how nets with and without top-down input classify the ambiguous shape at each iteration."""
    recipe, dataset = settings(lab)
    shown, readings = {}, {}
    for name, above in (("", True), ("without top-down", False)):
        net = trained(lab, replace(recipe, top_down=above), dataset)
        images, truth = clear_words()
        readout = fit_readout(next(settle(net, images)), truth)
        shown[name] = ambiguous(net, readout, RENDERINGS[lab.size])
        states = [[readout.decision_function(state.numpy()) for state in settle(net, images)] for images in shown[name]]
        readings[name] = np.array(states)
    return draw_readings(shown[""], readings, path)


def draw_readings(shown: Sequence[Tensor], readings: Mapping[str, NDArray[Any]], path: Path) -> Path:
    """Plot how context decides what a shape is classified as.

    Left: renderings in the two contexts, with the same shapes. Middle: the share of renderings that are classified as
    their context suggests, at each iteration; lines of all nets but the first are pale. Right: the decision function
    for the first net and each rendering, after the bottom-up pass and after the last iteration.

    Args:
        shown: for each of `CONTEXTS`, images ``(renderings, 1, height, width)``.
        readings: name of a net -> outputs of the logistic regression, ``(contexts, 1 + iterations, renderings)``, above
            0 for H and below 0 for A. The first is that of the bottom-up pass.
        path: the PNG to write.
    """
    from matplotlib.ticker import MaxNLocator

    from twofold.plots.canvas import label_axes, legend, subplots, suptitle, write
    from twofold.plots.colors import INK, NEGATIVE, POSITIVE, TWIN

    figure, [[left, center, right]] = subplots(1, 3, 4.9, 4.1, 0.12)
    first, second = (np.concatenate([image[0].numpy() for image in images[:6]], 0) for images in shown)
    left.set_visible(True)
    left.imshow(np.concatenate([first, np.ones((len(first), 3)), second], 1), cmap="gray_r", vmin=0, vmax=1)
    left.set_title(f"Shown: {' and '.join(CONTEXTS)}, the same shapes", fontsize=13, color=INK)
    left.set_axis_off()
    style: dict[str, Any] = {"lw": 2.0, "ls": "-"}
    for net, reading in readings.items():
        as_suggested = 100 * np.stack([(reading[0] > 0).mean(-1), (reading[1] <= 0).mean(-1)])
        for shares, color, name in zip(as_suggested, (POSITIVE, NEGATIVE), SHARES, strict=True):
            label = name.removesuffix(" %") + (f", {net}" if net else "")
            center.plot(shares, color=color, marker="o", ms=4, label=label, **style)
        style = {"lw": 1.2, "ls": "--", "alpha": 0.4}
    center.axhspan(*UNSURE, color="#EEEEEE", zorder=0, label="undecided")
    center.axhline(LEAST, color=TWIN, lw=1, ls=":", label=f"{LEAST:g} %")
    label_axes(center, "Read from the middle letter's units", "iteration", "% of renderings")
    center.set_ylim(0, 103)
    center.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(center, 2)
    reading = next(iter(readings.values()))
    bins = np.linspace(reading.min(), reading.max(), 41).tolist()
    for (before, *_, settled), color, context in zip(reading, (POSITIVE, NEGATIVE), CONTEXTS, strict=True):
        right.hist(before, bins, color=color, histtype="step", ls="--", label=f"{context} before")
        right.hist(settled, bins, color=color, alpha=0.6, label=f"{context} settled")
    right.axvline(0, color=INK, lw=1)
    label_axes(right, "The two readings of the shape", "read-out: A below 0, H above", "renderings")
    legend(right, 2)
    suptitle(
        figure,
        "Context decides what the shape in the middle is",
        "the units see only the middle letter; its neighbors reach them as top-down input. The read-out was fitted on "
        "other words, before settling",
    )
    return write(figure, path)
