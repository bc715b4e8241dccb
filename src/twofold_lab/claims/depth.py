"""Greedy learning, layer by layer, cannot build features over several layers as backpropagation does (talk 17:24).

The task is the last digit of the sum of two digits side by side, which a single hidden layer learns badly. Each way to
learn trains a net of four layers (smoke: 4 x 50 on the embedded digits, full: 4 x 500 on MNIST digits):

* Forward-Forward with the label in the input, as in the talk;
* label-free Forward-Forward in single layers, in blocks of two layers, and in one block of four;
* a softmax for each layer, and for each block of two layers (local backpropagation);
* backpropagation, the twin; also with two layers, and with one layer of twice the width, as a control that the task
  needs depth.

Rate and weight decay of each are chosen on held-out digits, from a grid of the same size for all: three rates and three
decays. All are trained for the same number of epochs. Each net is then trained with each seed on all training cases,
and tested once on the test set. Blocks are compared by their last block alone.

On MNIST with 10,000 images (smoke: the embedded digits), a net of twelve single layers shows whether depth is kept, and
six layers in blocks of two are compared with a softmax for each block of two, tuned in the same way.

Limits: label-free nets normalize the activity between all layers, the twin between none, and nets with a softmax per
block between blocks. In ten epochs no net has finished learning. At smoke size the sums are hardly learned: it only
tests the code.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from twofold import defaults
from twofold.data import Dataset
from twofold.data.digit_sums import sums_of
from twofold.errors import Diverged
from twofold.learning import scaled_temperature
from twofold.methods import BackpropRecipe, FeedForwardRecipe, LabelFreeRecipe, Recipe
from twofold.training.runs import Run
from twofold_lab.claim import Claim, Finding, Headline, Record
from twofold_lab.contest import at_lower_rates, tune
from twofold_lab.figures import error, mean_and_std, percent
from twofold_lab.lab import Lab
from twofold_lab.tables import markdown, spread, table
from twofold_lab.verdict import Estimate, Figures, Verdict, above_zero, at_least, at_most, difference, less

SUMS, MNIST = "digit sums", "MNIST, 10,000 images"
BLOCKS, ONE_BLOCK, SINGLE = "blocks of two", "one block of four", "single layers"
SOFTMAX_BLOCK = "a softmax per block of two"
ONE_LAYER, TWO_LAYERS, TWELVE = "backprop, one wide layer", "backprop, two layers", "twelve single layers"
INPUT, FREE, LOCAL, TWIN = "label in the input", "label-free nets", "local backprop", "the twin"
GRIDS = {
    INPUT: ((0.02, 0.05, 0.1), (0.001, 0.002, 0.004)),
    FREE: ((0.05, 0.1, 0.2), (0.002, 0.005, 0.01)),
    LOCAL: ((0.01, 0.02, 0.04), (0.0005, 0.002, 0.005)),
    TWIN: ((0.025, 0.05, 0.1), (0.001, 0.002, 0.004)),
}
"""Way to learn -> grid of rates and of weight decays."""
LAST, GAIN = "error of the last block %", "first block less last block, points"

CLAIM = Claim(
    "depth",
    time="17:24",
    says="Layers that learn greedily cannot build on each other as in backpropagation.",
    headline=Headline("error %", "a weakness", ours=(SUMS, BLOCKS, "error %"), twin=("error %",)),
)


def _error(figures: Figures, task: str, name: str) -> Estimate:
    return figures.of(task, name, "error %")


@CLAIM.clause(
    "the task needs depth", "backprop with one wide layer errs at least 5 points more than with four layers (smoke: 2)"
)
def _needs_depth(figures: Figures) -> Verdict:
    margin = difference(figures.of_twin("error %"), figures.of_twin(ONE_LAYER, "error %"))
    return at_least(margin, figures.pick(smoke=2.0, full=5.0))


@CLAIM.clause("single layers stay behind", "single layers err at least 5 points more than backprop (smoke: 2)")
def _single(figures: Figures) -> Verdict:
    margin = difference(figures.of_twin("error %"), _error(figures, SUMS, SINGLE))
    return at_least(margin, figures.pick(smoke=2.0, full=5.0))


@CLAIM.clause("blocks of two reach backprop", "blocks of two err at most 1.1 times as often as backprop")
def _reach(figures: Figures) -> Verdict:
    twin = figures.of_twin("error %")
    return at_most(_error(figures, SUMS, BLOCKS), Estimate(1.1 * twin.value, 1.1 * twin.error))


@CLAIM.clause("later blocks add", "the second block of two layers errs less than the first")
def _add(figures: Figures) -> Verdict:
    return above_zero(figures.of(SUMS, BLOCKS, GAIN))


@CLAIM.clause("better than a softmax per block", "the last block errs less on digit sums than with a softmax per block")
def _softmax(figures: Figures) -> Verdict:
    return less(figures.of(SUMS, BLOCKS, LAST), figures.of(SUMS, SOFTMAX_BLOCK, LAST))


@CLAIM.clause("not worse on MNIST", "the last block errs at most .2 points more on MNIST than with a softmax per block")
def _level(figures: Figures) -> Verdict:
    return at_most(figures.of(MNIST, BLOCKS, LAST), figures.of(MNIST, SOFTMAX_BLOCK, LAST).plus(0.2))


@CLAIM.clause("depth is kept", "of twelve single layers, the last alone errs at most 1.3 times as often as the first")
def _kept(figures: Figures) -> Verdict:
    first, last = (figures.of(MNIST, TWELVE, "error of each block %", number) for number in (0, 11))
    return at_most(last, Estimate(1.3 * first.value, 1.3 * first.error))


@CLAIM.measure
def depth(lab: Lab) -> Finding:
    width, epochs = lab.pick(smoke=50, full=500), lab.pick(smoke=8, full=10)
    common: dict[str, Any] = {"data": "digit-sums-2", "widths": (width,) * 4, "epochs": epochs, "batch": 100}
    temperature = scaled_temperature(defaults.TEMPERATURE, width)
    bottom = FeedForwardRecipe(**common, temperature=temperature)
    free, twin = LabelFreeRecipe(**common, temperature=temperature), BackpropRecipe(**common)
    blocks, local = replace(free, block_size=2), replace(twin, readout="block", block_size=2)

    sums, held = _sums(lab), lab.pick(smoke=300, full=10_000)
    contest = partial(_measure, lab, tuned_on=sums, dataset=sums, held=held)
    ours = {
        INPUT: contest(bottom.for_cases(sums.train_images, sums.classes), INPUT, "input"),
        SINGLE: contest(free, FREE, "single"),
        BLOCKS: contest(blocks, FREE, "blocks"),
        ONE_BLOCK: contest(replace(free, block_size=4), FREE, "one-block"),
        "a softmax per layer": contest(replace(twin, readout="layer"), LOCAL, "softmax-layer"),
        SOFTMAX_BLOCK: contest(local, LOCAL, "softmax-block"),
    }
    twins = {
        **contest(twin, TWIN, "twin"),
        TWO_LAYERS: contest(replace(twin, widths=(width,) * 2), TWIN, "twin-of-two"),
        ONE_LAYER: contest(replace(twin, widths=(2 * width,)), TWIN, "twin-of-one"),
    }

    tuned_on, digits = (lab.sized(name) for name in ("mnist[:20000]", "mnist[:10000]"))
    contest = partial(_measure, lab, tuned_on=tuned_on, dataset=digits, held=held)
    six: dict[str, Any] = {"data": lab.pick(smoke="digits", full="mnist"), "widths": (width,) * 6}
    deep = {
        TWELVE: contest(replace(free, **{**six, "widths": six["widths"] * 2}), FREE, "twelve"),
        BLOCKS: contest(replace(blocks, **six), FREE, "six-blocks"),
        SOFTMAX_BLOCK: contest(replace(local, **six), LOCAL, "six-softmax-block"),
    }
    return Finding({SUMS: ours, MNIST: deep}, twins, lab.seeds)


def _sums(lab: Lab) -> Dataset:
    """Return the sums of two digits of this size: of the embedded digits, or of MNIST."""
    return sums_of(lab.data("digits"), 2, 300) if lab.size == "smoke" else lab.data("digit-sums-2")


def _measure(
    lab: Lab, recipe: Recipe, way: str, name: str, *, tuned_on: Dataset, dataset: Dataset, held: int
) -> dict[str, Any]:
    """Choose the rate and the decay of a recipe, and return the test errors of its nets, one for each seed.

    Args:
        lab: the laboratory.
        recipe: the recipe.
        way: way to learn, a key of `GRIDS`.
        name: name in the names of the runs and in the record of the choice.
        tuned_on: data whose last ``held`` training cases are held out for the choice.
        dataset: data of the final nets.
        held: number of cases that are held out.
    """

    def held_out_error(values: tuple[float, float]) -> float:
        tried = replace(recipe, rate=values[0], decay=values[1], validation=held)
        return error(lab.train(tried, f"depth-tuning-{name}", tuned_on))

    def learn(rate: float) -> list[Run]:
        recipes = (replace(recipe, rate=rate, decay=decay, seed=seed) for seed in lab.seeds)
        return [lab.train(chosen, f"depth-{name}", dataset) for chosen in recipes]

    rate, decay = tune(lab, name, itertools.product(*GRIDS[way]), held_out_error)
    runs = at_lower_rates(lab, name, rate, learn)
    if runs is None:
        raise Diverged(f"{name}: diverges at every rate: extend its grid of rates downwards")
    by_seed = [run.result.metrics["layer_error"] or [run.result.error["fast"]] for run in runs]
    return {
        "error %": mean_and_std(error(run) for run in runs),
        "error by the mean of all blocks %": mean_and_std(percent(run.result.error["mean"]) for run in runs)
        if "mean" in runs[0].result.error
        else None,
        "error of each block %": [mean_and_std(map(percent, shares)) for shares in zip(*by_seed, strict=True)],
        LAST: mean_and_std(percent(shares[-1]) for shares in by_seed),
        GAIN: mean_and_std(percent(shares[0] - shares[-1]) for shares in by_seed),
        "rate": rate,
        "decay": decay,
        "parameters": sum(parameter.numel() for parameter in runs[0].net.parameters()),
        "seconds": mean_and_std(run.result.seconds for run in runs),
    }


@table("depth", "claims/depth.json")
def errors_by_way(record: Mapping[str, Any]) -> str:
    twin, measured = record["twin"], record["measured"]
    rows = [(SUMS, name, figures) for name, figures in measured[SUMS].items()]
    rows += [(SUMS, "backprop, four layers", twin)]
    rows += [(SUMS, name, twin[name]) for name in (TWO_LAYERS, ONE_LAYER)]
    rows += [(MNIST, name, figures) for name, figures in measured[MNIST].items()]
    cells = [
        [
            task,
            name,
            spread(figures["error %"]),
            " ".join(f"{block['mean']:.1f}" for block in figures["error of each block %"]),
            f"{figures['parameters'] / 1e6:.2f} million",
        ]
        for task, name, figures in rows
    ]
    return markdown(["task", "way to learn", "error, %", "each block alone, %", "parameters"], cells)


@CLAIM.draw
def draw_depth(record: Record, path: Path, lab: Lab) -> Path:
    """Plot the errors on digit sums as bars (left), and the error of each of twelve single layers (right)."""
    from twofold.plots.canvas import label_axes, subplots, suptitle, write
    from twofold.plots.colors import POSITIVE
    from twofold.plots.colors import TWIN as GREY
    from twofold_lab.drawing import lines

    ours, twin = record["measured"], record["twin"]
    nets = {**ours[SUMS], "backprop, four layers": twin, **{name: twin[name] for name in (TWO_LAYERS, ONE_LAYER)}}
    figure, [[left, right]] = subplots(1, 2, 6.4, 4.4, 0.15)
    label_axes(left, "Sum of two digits", "error, % of test images", "")
    colors = [POSITIVE if name in (INPUT, SINGLE, BLOCKS, ONE_BLOCK) else GREY for name in nets]
    errors = [figures["error %"] for figures in nets.values()]
    left.barh(range(len(nets)), [e["mean"] for e in errors], xerr=[e["std"] for e in errors], color=colors)
    left.set_yticks(range(len(nets)), nets)
    left.invert_yaxis()
    label_axes(right, "MNIST, twelve single layers", "layer", "error alone, % of test images")
    blocks = ours[MNIST][TWELVE]["error of each block %"]
    lines(right, range(1, len(blocks) + 1), {FREE: (blocks, "o-", POSITIVE)})
    right.set_yscale("linear")
    right.set_ylim(0)
    suptitle(figure, "What depth adds")
    return write(figure, path)
