"""The pictures of a complete run, drawn into its folder."""

from __future__ import annotations

from pathlib import Path

import torch

from twofold.data.dataset import Dataset
from twofold.hybrids import hybrids, masks
from twofold.layers.layer import Dense, Learner
from twofold.layers.local import Tiled
from twofold.layers.recurrent import RecurrentLayer
from twofold.nets.classifier import TaughtByGoodness
from twofold.nets.recurrent import Recurrent
from twofold.plots import panels as plots
from twofold.plots.hybrids import hybrids_shown
from twofold.plots.local_fields import local_fields
from twofold.plots.settling import settling
from twofold.recipes import UnsupervisedRecipe
from twofold.training.evaluate import test
from twofold.training.run import Net, Run

HYBRIDS = 8
"""Hybrids that are drawn."""
SETTLING = 500
"""Images over which the picture of settling takes its median."""


def draw(run: Run, data: Dataset, twin: Run | None = None) -> list[Path]:
    """Draw learning curves and, for a net that is taught by goodness, goodness by layer and worst mistakes; of a
    feedforward net its receptive fields, of a recurrent one how it settles; of one without labels its negative data;
    of one whose units have local fields some of them.

    Where the objective compares pairs, goodness is drawn relative to that of the other label of the pair.

    Args:
        run: the run.
        data: the data it was trained on, as loaded.
        twin: the backprop twin's run, drawn beside the learning curves.

    Returns:
        The files, in ``pictures/`` of the run folder.
    """
    folder = run.folder / "pictures"
    drawn = [plots.learning_curves(run.history, folder / "learning.png", twin.history if twin else None)]
    net = run.net
    if isinstance(run.recipe, UnsupervisedRecipe):
        drawn.append(_hybrids(run.recipe, data.test_images[:HYBRIDS], folder / "hybrids.png"))
    if (tiled := _first_fields(net)) and run.shape[0] in (1, 3):
        seen, weight = tiled
        shown = seen.written_out(weight), seen.fields.mask(), run.shape, seen.fields.channels
        drawn.append(local_fields(*shown, folder / "fields.png"))
    if not isinstance(net, TaughtByGoodness):
        return drawn

    device = next(net.parameters()).device
    images, labels = data.test_images.to(device), data.test_labels.to(device)
    tested = test(net, images, labels)
    assert tested.goodness is not None
    total, rows = net.total(tested.goodness), torch.arange(len(labels), device=device)
    named = tested.named["slow"]
    # The wrong label that the net likes best is the hardest negative there is.
    wrong = total.scatter(1, labels[:, None], -torch.inf).argmax(1)
    positive, negative = tested.goodness[rows, labels], tested.goodness[rows, wrong]
    thresholds, across = [float(layer.threshold) for layer in net.layers], "goodness"  # type: ignore[arg-type]
    if all(isinstance(layer, Learner) and layer.rule.objective.paired for layer in net.layers):
        positive, negative = positive - negative, negative - positive
        thresholds, across = [0.0] * len(thresholds), "goodness, less that of the other label"
    path = folder / "goodness.png"
    drawn.append(plots.goodness_by_layer(list(positive.T), list(negative.T), thresholds, path, across=across))
    margin = total[rows, named] - total[rows, labels]
    drawn.append(plots.worst_mistakes(images, labels, named, margin, folder / "mistakes.png"))
    if isinstance(net, Recurrent):
        some = slice(SETTLING)
        pairs = torch.stack([labels[some], wrong[some]], 1)
        activity = net.mean_squares(net.images(images[some]), pairs, net.iterations)
        drawn.append(settling(activity[:, 0], activity[:, 1], net.judged, folder / "settling.png"))
    elif isinstance(first := net.layers[0], Dense):
        fields = folder / "fields.png"
        drawn.append(plots.receptive_fields(first.weight, run.shape, torch.arange(net.classes), fields, net.classes))
    return drawn


def _first_fields(net: Net) -> tuple[Tiled, torch.Tensor] | None:
    """What the units of the first layer see, where they have fields, and their weights."""
    first = net.layers[0]
    seen = first.seen["below"] if isinstance(first, RecurrentLayer) else getattr(first, "seen", None)
    if not isinstance(seen, Tiled):
        return None
    weight = first.weights["below"] if isinstance(first, RecurrentLayer) else first.get_parameter("weight")
    return seen, weight


def _hybrids(recipe: UnsupervisedRecipe, images: torch.Tensor, path: Path) -> Path:
    """Some images and their hybrids, as the recipe makes them."""

    def drawn() -> torch.Generator:
        return torch.Generator(images.device).manual_seed(recipe.seed)

    height, width = images.shape[-2:]
    patches = masks(len(images), height, width, recipe.blurs, drawn())
    return hybrids_shown(images, images.roll(1, 0), patches, hybrids(images, recipe.blurs, drawn()), path)
