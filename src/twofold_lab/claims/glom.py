"""Each layer may get bottom-up, top-down and lateral input, all from the time step before (talk 20:09, 21:32).

The same recurrent net is trained with and without lateral weights, and with and without top-down weights. Without
top-down weights, the label reaches only the top layer. Smoke: digits, one seed. Full: MNIST, 20,000 images, 2 x 500,
five epochs, the last 10,000 training images held out, two seeds.

For the net of the first seed with all three inputs, two figures describe each source k (bottom-up, top-down, lateral)
of the pre-activation z = Σ zₖ + b of a layer in the last iteration, for held-out images under their right labels:

* share: cov(zₖ, z) / var(z), with numerator and denominator each summed over units. The shares of a layer add up to 1;
  a source with a negative share reduces the variance that comes from the other sources.
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
from twofold_lab.tables import markdown, table
from twofold_lab.verdict import limited

NAMES = {"below": "bottom-up", "above": "top-down", "beside": "lateral"}
ALL = "all three"
INPUTS: dict[str, dict[str, Any]] = {
    ALL: {"lateral": True},
    "no lateral": {},
    "no top-down": {"lateral": True, "top_down": False},
    "neither": {"top_down": False},
}


CLAIM = Claim(
    "glom",
    time="20:09",
    says="Each layer may get bottom-up, top-down and lateral input from the time step before.",
    headline=Headline("slow error %", "possible", ours=(ALL, "slow error %")),
    clauses=(limited("learns with all three inputs", ALL, "slow error %", smoke=8, full=4),),
)


@CLAIM.measure
def glom(lab: Lab) -> Finding:
    recipe, twin = recurrent.short(lab)
    dataset = lab.data(recipe.data)
    if lab.size == "full":
        # The held-out images are the last training images.
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
    """Attribute the variance of the pre-activations of each layer to the inputs of the layer, in the last iteration.

    Args:
        net: the net.
        images: ``(batch, ...)``.
        labels: labels at the top of the net, ``(batch,)``.

    Returns:
        For each layer, from the lowest upwards: name of the source -> ``share`` and ``size``, as defined in the module.
    """
    frame, top = net.images(images), net.top(labels)
    *_, state = net.look(frame, top, net.iterations - 1)
    layers = []
    for layer, sources in zip(net.stack, net.sources(frame, top, state), strict=True):
        inputs = {NAMES[name]: _input(layer, name, source) for name, source in sources.items()}
        total = torch.stack(list(inputs.values())).sum(0)
        variance = total.square().sum()

        def relative(values: Tensor, variance: Tensor = variance) -> float:
            return round(float(values.sum() / variance), 3)

        layers.append(
            {name: {"share": relative(term * total), "size": relative(term.square())} for name, term in inputs.items()}
        )
    return layers


def _input(layer: RecurrentLayer, name: str, source: SourceInput) -> Tensor:
    """Return the weighted input from a source minus the mean over cases, ``(batch, units)``, in double precision."""
    rows = source.rows if isinstance(source, CachedInput) else source
    values: Tensor = rows.cpu().double() @ layer.weights[name].cpu().double().T
    return values - values.mean(0)


@table("recurrent-compared", *(f"claims/{name}.json" for name in ("low-activity", "from-start", "glom")))
def compared(*records: Mapping[str, Any]) -> str:
    """Tabulate the errors of the recurrent nets that three claims compare, with a row for each net."""
    rows = [
        (name, errors, f"`{command(record['id'])}`")
        for record in records
        for name, errors in record["measured"].items()
        if isinstance(errors, dict) and "slow error %" in errors
    ]
    names = [f"{test} error %" for test in ("slow", "fast", "settled", "shortlist", "both")]
    tests = [name for name in names if any(name in errors for _, errors, _ in rows)]
    cells = [[net, *(text(errors.get(test, "-")) for test in tests), source] for net, errors, source in rows]
    return markdown(["error in %", *(test.removesuffix(" error %") for test in tests), "command"], cells)
