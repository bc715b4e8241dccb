"""Claim (talk 17:56): what an ambiguous shape is taken for depends on its context, by way of top-down input.

A recurrent net learns three-letter words with Forward-Forward: pixels at the bottom, the word at the top, right in
positive data, wrong in negative. Each third of its first-layer units sees one letter, and gets information about the
others only through top-down input from the second layer, which sees all; no layer has lateral input. The middle letter
of a training word is often faint, so that context is useful. The goodness is high activity: top-down input then adds to
the activity that it predicts. With low activity (also reported) it subtracts from it, and what is left says less about
the letter.

Then T?E and C?T are shown, both with the same shape between H and A, pixel for pixel. A logistic regression reads H or
A from the first-layer units that see the middle letter, normalized among themselves. It is fitted once, to their states
after the bottom-up pass alone, on renderings of the 18 words with an H or an A in the middle other than THE and CAT;
the same regression reads the settled states. How far the shape's stems lean is set for each font, on renderings with a
seed of their own, so that the median bottom-up reading is neither; the test renderings are fresh, and not faint.

No word is given in the test: the net's own belief, softmax · strength, is fed to the top after the bottom-up pass and
after every iteration. Also reported are the readings with a neutral top, with a read-out fitted to settled states, and
of a clear A in T.E and a clear H in C.T. The twins are the same net without top-down input, which trains and settles in
the same way, and a feedforward net of the same layers and fields, trained by backprop, which has no state after
settling.

Rule: after 8 iterations, H is read in T?E and A in C?T, each in at least 90 % of the renderings, and each in 35 to 65 %
before; without top-down input both stay in 35 to 65 %.

smoke: 30 words, 60 renderings of each, 3 x 60 + 180 units, 8 epochs. full: 600 renderings, 3 x 100 + 300 units, 20
epochs; 300 test renderings.
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

from twofold.data import Dataset, letters
from twofold.layers.connectivity import Full, Masked
from twofold.layers.inputs import CachedInput
from twofold.methods import BackpropRecipe, RecurrentRecipe
from twofold.nets.backprop import Backprop
from twofold.nets.recurrent import Recurrent
from twofold.nets.video import State
from twofold.normalize import normalize
from twofold.recipes.mnist import twin as mnist_twin
from twofold.recipes.recurrent import recurrent
from twofold.training.trainer import Trainer
from twofold_lab.lab import Finding, Lab, percent

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

WORDS = tuple(word for word in (*letters.H_WORDS, *letters.A_WORDS) if word not in ("THE", "CAT"))
"""The words that the read-out is fitted to."""

CONTEXTS = ("T?E", "C?T")
"""In the first the shape in the middle should be read as an H, in the second as an A."""

RENDERINGS = {"smoke": 100, "full": 300}
"""Number of test renderings of each context, by size."""

READ_SEED, TEST_SEED = 1000, 2000

words = replace(
    recurrent,
    data="letters",
    widths=(300, 300),
    epochs=20,
    batch=50,
    tolerance=0.0,
    goodness="sum_of_squares",
    temperature=15.0,
    neutral_every=1,
    floor=0.0,
    softmax_rate=0.3,
    softmax_decay=0.0003,
)
words_twin = replace(mnist_twin, data="letters", widths=words.widths, epochs=10, batch=50, tolerance=0.0)


def top_down(lab: Lab) -> Finding:
    """Measure the claim ``top-down``."""
    recipe, dataset = settings(lab)
    renderings = RENDERINGS[lab.size]
    measured = look(taught(lab, recipe, dataset), renderings)
    found, before = measured["settled"].values(), measured["before"].values()
    alone = look(taught(lab, replace(recipe, top_down=False), dataset), renderings)
    unsure = [*before, *alone["settled"].values()]
    return Finding(
        holds=min(found) >= 90 and all(35 <= share <= 65 for share in unsure),
        rule="H in T?E and A in C?T >= 90 % once settled, 35 to 65 % before; without top-down input 35 to 65 % always",
        talk="context decides whether the shape in the middle is an H or an A",
        measured={
            **measured,
            "low activity": look(taught(lab, replace(recipe, goodness="minus_sum_of_squares"), dataset), renderings),
        },
        twin={"without top-down": alone, "backprop": _look_at_twin(lab, recipe, dataset, renderings)},
        seeds=[recipe.seed],
    )


# ---- nets ----------------------------------------------------------------------------------------------------------


def settings(lab: Lab) -> tuple[RecurrentRecipe, Dataset]:
    """Return the recipe of this size, and the data that it learns from."""
    small = replace(words, widths=(180, 180), epochs=8, temperature=9.0)
    recipe, renderings = lab.pick(smoke=(small, 60), full=(words, 600))
    return recipe, letters.load(renderings, 20, recipe.seed)


def fields(units: int) -> Tensor:
    """Return the pixels that each first-layer unit sees, ``(units, pixels)``: each third of the units sees one cell."""
    cell = (torch.arange(3 * letters.CELL) // letters.CELL).repeat(letters.CELL)
    return (3 * torch.arange(units) // units)[:, None] == cell


def middle(activity: Tensor) -> Tensor:
    """Return those first-layer units, of ``(rows, units)``, that see the middle letter, normalized."""
    return normalize(activity.float().chunk(3, 1)[1])


def taught(lab: Lab, recipe: RecurrentRecipe, dataset: Dataset) -> Recurrent:
    """The trained net of a recipe, with products in float32."""
    net = Recurrent(
        dataset.pixels,
        recipe.widths,
        dataset.classes,
        recipe.rule(),
        damping=recipe.damping,
        iterations=recipe.iterations,
        label_strength=recipe.label_strength,
        top_down=recipe.top_down,
        connectivity=[{"below": Masked(fields(recipe.widths[0]))}],
        softmax_decay=recipe.softmax_decay,
        generator=torch.Generator().manual_seed(recipe.seed),
    )

    settings = {"method": recipe.method, **recipe.fields()}
    lab.train_net(net, "letters", dataset, settings, lambda net: Trainer(net, recipe, dataset.train).run())
    net.set_precision("fp32")
    return net


# ---- reading -------------------------------------------------------------------------------------------------------


def look(net: Recurrent, renderings: int) -> dict[str, Any]:
    """Read the letter from the units that see the middle, in percent of the test renderings."""

    def states(images: Tensor, belief: bool = True) -> list[Tensor]:
        return list(settle(net, images, belief))

    images, truth = _clear()
    bottom_up, *_, settled = states(images)
    readout = _fit(bottom_up, truth)
    shown = ambiguous(net, readout, renderings)
    believed, neutral = ([states(some, belief) for some in shown] for belief in (True, False))
    clear = [letters.render([text] * renderings, TEST_SEED)[0] for text in ("TAE", "CHT")]
    return {
        "before": _shares(readout, believed, 0),
        "settled": _shares(readout, believed, -1),
        "settled under a neutral top": _shares(readout, neutral, -1),
        "settled, read-out of settled states": _shares(_fit(settled, truth), believed, -1),
        "settled, clear A in T.E and clear H in C.T": _shares(readout, [states(some) for some in clear], -1),
    }


def reader(net: Recurrent) -> LogisticRegression:
    """Fit the read-out that tells H (above 0) from A in the middle letter's units after the bottom-up pass alone."""
    images, truth = _clear()
    return _fit(next(settle(net, images)), truth)


def ambiguous(net: Recurrent, readout: LogisticRegression, renderings: int) -> list[Tensor]:
    """Render T?E and C?T, each ``(renderings, 1, 16, 48)``, with the same calibrated shapes in the middle."""
    openings = calibrate(lambda images: next(settle(net, images)), readout)
    return [letters.render([text] * renderings, TEST_SEED, openings)[0] for text in CONTEXTS]


@torch.no_grad()
def settle(net: Recurrent, images: Tensor, belief: bool = True) -> Iterator[Tensor]:
    """Yield the units that see the middle letter, ``(cases, units)``, after the bottom-up pass and each iteration.

    Args:
        net: the net.
        images: ``(cases, 1, 16, 48)``.
        belief: whether the net's own belief is fed to the top; otherwise the neutral label is.
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


def _clear() -> tuple[Tensor, NDArray[np.int64]]:
    """Return renderings for the read-out, and whether their middle letter is an H."""
    texts = WORDS * 30
    return letters.render(texts, READ_SEED)[0], np.array([text in letters.H_WORDS for text in texts], dtype=np.int64)


def _fit(activity: Tensor, truth: NDArray[np.int64]) -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=0.1, max_iter=2000).fit(activity.numpy(), truth)


def calibrate(states: Callable[[Tensor], Tensor], readout: LogisticRegression) -> list[float]:
    """Find for each font the opening at which the median bottom-up reading is neither H nor A.

    The renderings have a seed of their own.

    Args:
        states: images -> the units that see the middle letter after the bottom-up pass.
        readout: tells H (above 0) from A.
    """
    tried = np.linspace(0, 1, 21)
    medians = []
    for opening in tried:
        images, fonts = letters.render(CONTEXTS * 120, READ_SEED + 1, [float(opening)] * len(letters.FONTS))
        read = readout.decision_function(states(images).numpy())
        medians.append([np.median(read[fonts.numpy() == font]) for font in range(len(letters.FONTS))])
    found = []
    for font in np.array(medians).T:
        crossed = font[0] < 0 < font[-1]
        found.append(float(np.interp(0, font, tried)) if crossed else float(tried[np.abs(font).argmin()]))
    return found


def _shares(readout: LogisticRegression, states: Sequence[Sequence[Tensor]], at: int) -> dict[str, float]:
    """Return the percentage of renderings of T?E that are read as H, and of C?T as A, at an iteration."""
    first, second = (readout.decision_function(each[at].numpy()) > 0 for each in states)
    return {"H in T?E %": percent(float(first.mean())), "A in C?T %": percent(1 - float(second.mean()))}


# ---- the backprop twin ---------------------------------------------------------------------------------------------


def _look_at_twin(lab: Lab, recipe: RecurrentRecipe, dataset: Dataset, renderings: int) -> dict[str, float]:
    """Read the letter from the twin's units that see the middle; without top-down input there is nothing to settle."""
    twin: BackpropRecipe = replace(words_twin, widths=recipe.widths, epochs=min(words_twin.epochs, recipe.epochs))
    above = [Full(upper, lower) for lower, upper in itertools.pairwise(twin.widths)]
    connectivity = [Masked(fields(twin.widths[0])), *above]
    generator = torch.Generator().manual_seed(twin.seed)
    net = Backprop(dataset.pixels, twin.widths, dataset.classes, generator, connectivity=connectivity)
    settings_of_twin = {"method": twin.method, **twin.fields()}
    lab.train_net(net, "letters-twin", dataset, settings_of_twin, lambda net: Trainer(net, twin, dataset.train).run())
    net.set_precision("fp32")
    first = net.stack[0]

    @torch.no_grad()
    def states(images: Tensor) -> Tensor:
        total: Tensor = first(normalize(images.flatten(1).to(first.weight)))
        return middle(total.relu()).cpu()

    images, truth = _clear()
    readout = _fit(states(images), truth)
    openings = calibrate(states, readout)
    shown = [[states(letters.render([text] * renderings, TEST_SEED, openings)[0])] for text in CONTEXTS]
    return _shares(readout, shown, 0)


# ---- the picture ---------------------------------------------------------------------------------------------------


def draw_top_down(lab: Lab, path: Path, record: Mapping[str, Any] | None = None) -> Path:
    """Draw what the shape is read as at each iteration, by the net and by the one without top-down input.

    Args:
        lab: the laboratory that has the nets, or trains them.
        path: the PNG to write.
        record: the record of the claim; not used, since it has the first and the last iteration only.
    """
    from twofold_lab.claims.plots import top_down as plots

    recipe, dataset = settings(lab)
    shown, readings = {}, {}
    for name, top_down in (("", True), ("without top-down", False)):
        net = taught(lab, replace(recipe, top_down=top_down), dataset)
        readout = reader(net)
        shown[name] = ambiguous(net, readout, RENDERINGS[lab.size])
        states = [[readout.decision_function(state.numpy()) for state in settle(net, each)] for each in shown[name]]
        readings[name] = np.array(states)
    return plots.in_context(shown[""], readings, CONTEXTS, ("H", "A"), path)
