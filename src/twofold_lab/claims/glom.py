"""Each layer may get bottom-up, top-down and lateral input, all from the time step before (talk 20:09, 21:32).

The same recurrent net is trained with and without lateral weights, and with and without top-down weights; without these
the label reaches only the top layer (smoke: digits, one seed; full: MNIST, 20,000 images, 2 x 500, five epochs, the
last 10,000 training images held out, two seeds). For the first net with all three inputs, two figures describe the
sources of the total input z = Σ zₖ + b of a layer in its last iteration, for held-out images under their right labels:

* share: cov(zₖ, z) / var(z), with numerator and denominator each summed over units. The shares of a layer add up to 1;
  a source with a negative share reduces the variance of the others.
* size: var(zₖ) / var(z). The sizes of a layer need not add up to 1.

The talk does not say that lateral weights reduce the error, so no rule depends on their effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from twofold.layers.inputs import CachedInput
from twofold.layers.recurrent import RecurrentLayer, SourceInput
from twofold.nets.recurrent import Recurrent
from twofold_lab import recurrent
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.contest import TWIN
from twofold_lab.figures import mean_errors
from twofold_lab.lab import Lab
from twofold_lab.record import command
from twofold_lab.tables import figures as text
from twofold_lab.tables import markdown, sides, table
from twofold_lab.verdict import Clause, Figures, Verdict, at_most

NAMES = {"below": "bottom-up", "above": "top-down", "beside": "lateral"}
ALL = "all three"
INPUTS: dict[str, dict[str, Any]] = {
    ALL: {"lateral": True},
    "no lateral": {},
    "no top-down": {"lateral": True, "top_down": False},
    "neither": {"top_down": False},
}


def _accuracy(figures: Figures) -> Verdict:
    return at_most(figures.of(ALL, "slow error %"), figures.pick(smoke=8.0, full=4.0))


CLAIM = Claim(
    "glom",
    time="20:09",
    says="Each layer may get bottom-up, top-down and lateral input from the time step before.",
    headline=Headline("slow error %", "possible", ours=(ALL, "slow error %")),
    clauses=(Clause("learns with all three inputs", "the mean slow error is at most 4 % (smoke: 8 %)", _accuracy),),
)


@CLAIM.measure
def glom(lab: Lab) -> Finding:
    recipe, twin = recurrent.short(lab)
    dataset = lab.data(recipe.data)
    if lab.size == "full":
        # Held-out images are the last ones of the training part.
        kept = torch.cat([torch.arange(20_000), torch.arange(len(dataset.train_labels))[-recipe.validation :]])
        dataset = replace(dataset, train_images=dataset.train_images[kept], train_labels=dataset.train_labels[kept])
        recipe = replace(recipe, widths=(500, 500), temperature=recipe.temperature / 2, epochs=5)
        twin = replace(twin, widths=recipe.widths, epochs=5)
    contest = lab.contest(INPUTS, (recipe, twin), dataset, lab.pick(smoke=[0], full=[0, 1]))
    first = contest.runs[ALL][0]
    images, labels = lab.test_set(first, dataset)
    measured = {
        **{name: mean_errors(contest.runs[name]) for name in INPUTS},
        "lateral better by (points)": contest.difference("no lateral", ALL)["mean"],
        "top-down better by (points)": contest.difference("no top-down", ALL)["mean"],
        "input by layer": shares(first.net, images[:2000], labels[:2000]),
    }
    return Finding(measured, mean_errors(contest.runs[TWIN]), contest.seeds)


@torch.no_grad()
def shares(net: Recurrent, images: Tensor, labels: Tensor) -> list[dict[str, Any]]:
    """Attribute the variance of each layer's total input to its sources, in the last iteration under the labels.

    Args:
        net: the net.
        images: ``(batch, ...)``.
        labels: ``(batch,)``.

    Returns:
        For each layer, from the lowest upwards, ``share`` and ``size`` of each of its sources (see the module).
    """
    frame, top = net.images(images), net.top(labels)
    *_, state = net.look(frame, top, net.iterations - 1)
    layers = []
    for layer, sources in zip(net.stack, net.sources(frame, top, state), strict=True):
        inputs = {NAMES[name]: _input(layer, name, source) for name, source in sources.items()}
        total = torch.stack(list(inputs.values())).sum(0)
        terms = {name: {"share": term * total, "size": term.square()} for name, term in inputs.items()}
        variance = total.square().sum()
        layers.append(
            {
                name: {figure: round(float(values.sum() / variance), 3) for figure, values in term.items()}
                for name, term in terms.items()
            }
        )
    return layers


def _input(layer: RecurrentLayer, name: str, source: SourceInput) -> Tensor:
    """Return the input from a source, minus its mean over cases, ``(batch, units)``, in double precision."""
    rows = source.rows if isinstance(source, CachedInput) else source
    values: Tensor = rows.cpu().double() @ layer.weights[name].cpu().double().T
    return values - values.mean(0)


table("glom", "claims/glom.json")(sides)


@table("recurrent-compared", *(f"claims/{name}.json" for name in ("low-activity", "from-start", "glom")))
def compared(*records: Mapping[str, Any]) -> str:
    """Return the errors of the recurrent nets that three claims compare, one row each."""
    rows = [
        (name, errors, f"`{command(record['id'])}`")
        for record in records
        for name, errors in record["measured"].items()
        if isinstance(errors, dict) and "slow error %" in errors
    ]
    tests = [
        test
        for test in ("slow", "fast", "settled", "shortlist", "both")
        if any(f"{test} error %" in errors for _, errors, _ in rows)
    ]
    return markdown(
        ["error in %", *tests, "command"],
        [
            [name, *(text(errors.get(f"{test} error %", "-")) for test in tests), measured_by]
            for name, errors, measured_by in rows
        ],
    )
