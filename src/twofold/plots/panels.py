"""Plots of a run: receptive fields, goodness by layer, learning curves and the worst mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from twofold.errors import DataError
from twofold.plots.canvas import (
    Floats,
    Values,
    frame,
    label_axes,
    legend,
    scale_axis,
    subplots,
    suptitle,
    to_array,
    write,
)
from twofold.plots.colors import INK, NEGATIVE, POSITIVE, TESTS, TWIN
from twofold.plots.weights import label_strip, weight_image

Metrics: TypeAlias = Sequence[Mapping[str, Any]]


def receptive_fields(
    weight: Values,
    shape: tuple[int, int, int],
    label_columns: Values,
    path: Path,
    classes: int,
    *,
    units: int = 40,
    names: Sequence[str] = (),
) -> Path:
    """Plot the weights of first-layer units: from the pixels as an image, from the label as a strip (talk 16:07).

    The strip is below the image and has one block per class, with the number of the class. Blue weights excite, orange
    ones inhibit. Image and strip each have their own color scale, symmetric about zero. For images of three channels,
    weights are shown as RGB colors, with mid-grey for zero. If the label is in some of the pixels, these pixels are
    blank (light grey; white in RGB).

    The plot shows the units that prefer each class most clearly. A unit prefers the class of its largest label weight.
    Units are ranked by the difference between this weight and the mean of their label weights. Subplots stay empty if
    too few units prefer a class.

    Args:
        weight: Incoming weights, ``(units, inputs)``.
        shape: ``(channels, height, width)`` of an image, with 1 or 3 channels.
        label_columns: Columns of ``weight`` that belong to the label, ``(classes,)``, in the order of the classes. The
            columns are either pixels of the image (inputs = pixels) or additional inputs (inputs = classes + pixels).
        path: Path of the PNG to write.
        classes: Number of classes.
        units: Number of units to show, divided evenly among the classes; at least one per class is selected.
        names: Names of the classes, in their order; by default their numbers.

    Returns:
        The path of the PNG.

    Raises:
        DataError: The shapes are inconsistent.
    """
    weights, columns = to_array(weight), to_array(label_columns).astype(np.int64)
    pixels = int(np.prod(shape))
    if columns.shape != (classes,):
        raise DataError(f"label_columns has shape {columns.shape}: expected one column per class, ({classes},)")
    fit = weights.ndim == 2 and weights.size and weights.shape[1] in (pixels, pixels + classes)
    if not fit or shape[0] not in (1, 3):
        raise DataError(
            f"weight of shape {weights.shape} does not fit images of shape {shape}: expected (units, {pixels}) "
            f"with the label inside the image or (units, {pixels + classes}) with extra label inputs, "
            "and 1 or 3 channels"
        )
    if len(np.unique(columns)) < classes or columns.min() < 0 or columns.max() >= weights.shape[1]:
        raise DataError(f"label_columns: expected {classes} different inputs from 0 to {weights.shape[1] - 1}")

    labels = weights[:, columns]
    inside = weights.shape[1] == pixels
    images = weights if inside else np.delete(weights, columns, axis=1)
    blank = np.zeros(shape[1] * shape[2], dtype=bool)
    if inside:
        blank[columns % blank.size] = True
    chosen = _clearest(labels, max(1, units // classes))
    by_class = 8 <= classes <= 12  # each column of the figure is a class
    cells = {(row, column): unit for column, column_units in enumerate(chosen) for row, unit in enumerate(column_units)}
    if not by_class:
        cells = {divmod(number, 10): unit for number, unit in enumerate(list(chain(*chosen))[:units])}
    rows, per_row = 1 + max(row for row, _ in cells), classes if by_class else min(10, 1 + max(c for _, c in cells))
    figure, axes = subplots(rows, per_row, 1.22, 1.22 * shape[1] / shape[2] + (0.3 if by_class else 0.45))
    for (row, column), unit in cells.items():
        ax = axes[row][column]
        weight_image(ax, images[unit], shape, blank.reshape(shape[1:]))
        label_strip(ax, labels[unit])
        if row == 0 or not by_class:
            title = f"prefer {_called(int(np.argmax(labels[unit])), names)}"
            ax.set_title(title, fontsize=min(12, 130 / len(title)), color=INK, weight="bold", pad=5)
    suptitle(
        figure,
        f"Weights of {len(cells)} of {len(weights)} first-layer units, and the label they prefer",
        f"image: weights from the picture{' (grey is zero)' if shape[0] == 3 else ''}; strip: weights from the label "
        "(blue excites, orange inhibits); each on its own scale",
    )
    return write(figure, path)


def goodness_by_layer(
    positive: Sequence[Values],
    negative: Sequence[Values],
    threshold: Sequence[float] | torch.Tensor,
    path: Path,
    *,
    across: str = "goodness",
) -> Path:
    """Plot histograms of the goodness of positive and negative cases, one panel per layer (talk 07:12, 08:11).

    A panel shows two overlapping histograms, in percent of the cases, and the threshold of the layer as a line. The
    legend has the share of the cases on the correct side of the threshold: positive above, negative at or below.

    Args:
        positive: Goodness of the positive cases, one array ``(cases,)`` per layer.
        negative: Goodness of the negative cases, one array ``(cases,)`` per layer. The numbers of negative and of
            positive cases may differ.
        threshold: Goodness at which p(positive) = 1/2, one per layer.
        path: Path of the PNG to write.
        across: Label of the horizontal axis.

    Returns:
        The path of the PNG.

    Raises:
        DataError: There are no layers, the numbers of layers differ, there are no cases, or the goodness is not finite.
    """
    limits = [float(value) for value in threshold]
    if not len(limits) == len(positive) == len(negative) or not limits:
        raise DataError(
            f"{len(positive)} layers of positive and {len(negative)} of negative goodness, {len(limits)} thresholds: "
            "expected the same number of each, at least one"
        )
    per_row = 2 if len(limits) == 4 else min(3, len(limits))
    rows = -(-len(limits) // per_row)
    figure, axes = subplots(rows, per_row, 4.4, 3.5)
    for layer, (yes, no, limit) in enumerate(zip(positive, negative, limits, strict=True)):
        ax = axes[layer // per_row][layer % per_row]
        high, low = to_array(yes).ravel(), to_array(no).ravel()
        both = np.concatenate([high, low, [limit]])
        if not high.size or not low.size or not np.isfinite(both).all():
            raise DataError(f"layer {layer + 1}: the goodness of positive and negative cases must be finite numbers")
        first, last = float(both.min()), float(both.max())
        if last - first <= 1e-9 * max(abs(first), abs(last), 1.0):  # all values are equal: one bar in the middle
            first, last = first - 0.5, last + 0.5
        step = (last - first) / 60  # a bin ends at the threshold, so no bar mixes the two sides of it
        edges = np.nextafter(limit, np.inf) + step * np.arange(
            np.floor((first - limit) / step - 0.01), (last - limit) / step + 1.01
        )
        share = {True: 100 * np.mean(high > limit), False: 100 * np.mean(low <= limit)}
        for values, color, name in (
            (low, NEGATIVE, f"negative: {share[False]:.1f} % below"),
            (high, POSITIVE, f"positive: {share[True]:.1f} % above"),
        ):
            height = np.full(values.size, 100 / values.size)
            style: dict[str, Any] = {"histtype": "stepfilled", "fc": (*to_rgb(color), 0.45), "ec": color, "lw": 1.5}
            ax.hist(values, edges.tolist(), weights=height, label=name, **style)
        ax.axvline(limit, color=INK, linewidth=1.5, linestyle="--", label=f"threshold {limit:.4g}")
        label_axes(ax, f"Layer {layer + 1}", across, "cases (%)" if layer % per_row == 0 else "")
        legend(ax, 1)
    suptitle(figure, "Goodness of positive and negative cases, layer by layer")
    return write(figure, path)


def learning_curves(metrics: Metrics, path: Path, twin: Metrics | None = None) -> Path:
    """Plot the error, the mean goodness of each layer and the learning rate of a run over its epochs.

    The error is in percent. The axis of the error is logarithmic if the errors span more than a decade; errors of zero
    are then not visible. Goodness is divided by the threshold of the layer. The curves of goodness are solid for
    positive and dashed for negative data, and darker for higher layers. If the metrics have no layers, the loss is
    plotted instead of goodness. The learning rate is in percent of its maximum.

    Args:
        metrics: One dict per epoch with ``epoch``, ``train_error`` (a fraction) and, optionally, ``validation_error``
            (name of the test -> fraction), ``rate``, ``loss`` and ``layers``. ``layers`` has one dict per layer with
            ``positive`` and ``negative``, the mean goodness divided by the threshold.
        path: Path of the PNG to write.
        twin: Metrics of the backprop twin, the same net trained by backpropagation. The error and the learning rate of
            the twin are plotted in grey. The loss of the twin is not plotted, since it is not comparable.

    Returns:
        The path of the PNG.

    Raises:
        DataError: There are no epochs.
    """
    if not metrics:
        raise DataError("metrics is empty, expected at least one epoch")
    figure, grid = subplots(1, 3, 4.6, 4.3, 0.15)
    error, middle, rate = grid[0]
    spread: list[Floats] = []
    styles: tuple[Any, ...] = ("-", "-.", (0, (6, 1)), (0, (1, 1)))
    for run, prefix, ink, colors in ((metrics, "", INK, TESTS), (twin or (), "twin, ", TWIN, (TWIN,))):
        epochs, errors = _series(run, "train_error")
        spread.append(_curve(error, epochs, 100 * errors, f"{prefix}training", (ink, ":"), last=": {:.2f} %"))
        tests = dict.fromkeys(name for epoch in run for name in epoch.get("validation_error") or {})
        for number, name in enumerate(tests):
            epochs, errors = _series([{**(e.get("validation_error") or {}), "epoch": e["epoch"]} for e in run], name)
            look: tuple[Any, Any] = colors[number % len(colors)], styles[number % len(styles)]
            spread.append(_curve(error, epochs, 100 * errors, f"{prefix}{name}", look, last=": {:.2f} %"))
    label_axes(error, "Error, with its last value", "epoch", "error (%)")
    scale_axis(error, np.concatenate(spread))

    layers = max(len(epoch.get("layers") or ()) for epoch in metrics)
    for data, color, style in (("positive", POSITIVE, "-"), ("negative", NEGATIVE, "--")):
        for layer in range(layers):
            learned = [e for e in metrics if e.get("layers") and e["layers"][layer]]
            rows = [{**e["layers"][layer], "epoch": e["epoch"]} for e in learned]
            look = _tint(color, (layer + 1) / layers), style
            _curve(middle, *_series(rows, data), f"layer {layer + 1} {data}", look)
    if layers:
        middle.axhline(1, color=INK, linewidth=1, zorder=1)
        label_axes(middle, "Mean goodness by layer (threshold = 1)", "epoch", "goodness / threshold")
    else:
        _curve(middle, *_series(metrics, "loss"), "loss", (TWIN, "-"), last=": {:.3g}")
        label_axes(middle, "Loss", "epoch", "loss")
    middle.set_ylim(0, 1.05 * middle.get_ylim()[1])

    for run, name, color in ((metrics, "peak", INK), (twin or (), "twin, peak", TWIN)):
        epochs, rates = _series(run, "rate")
        if rates.size and rates.max() > 0:
            _curve(rate, epochs, 100 * rates / rates.max(), f"{name} {rates.max():.3g}", (color, "-"))
    rate.set_ylim(0, 108)
    label_axes(rate, "Learning rate", "epoch", "rate (% of its peak)")
    for ax in grid[0]:
        ax.set_visible(bool(ax.lines))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7, min_n_ticks=1))
        legend(ax, 2)
    return write(figure, path)


def worst_mistakes(
    images: Values,
    labels: Values,
    predicted: Values,
    margin: Values,
    path: Path,
    *,
    most: int = 40,
    names: Sequence[str] = (),
) -> Path:
    """Plot the images that the slow test misclassified by the largest margin (talk 13:14).

    Each image has the title 'true → predicted'.

    Args:
        images: All tested cases, ``(cases, channels, height, width)`` or ``(cases, height, width)``, with 1 or 3
            channels. The minimum of all images is shown as black and the maximum as white.
        labels: True classes, ``(cases,)``.
        predicted: Predicted classes, ``(cases,)``.
        margin: Goodness of the predicted label minus goodness of the true label, ``(cases,)``.
        path: Path of the PNG to write. Without mistakes, it contains only a text that says so.
        most: Maximum number of images to show.
        names: Names of the classes, in their order; by default their numbers.

    Returns:
        The path of the PNG.

    Raises:
        DataError: The shapes are inconsistent.
    """
    pictures, margins = to_array(images), to_array(margin)
    truth, guess = to_array(labels).astype(np.int64), to_array(predicted).astype(np.int64)
    if pictures.ndim == 3:
        pictures = pictures[:, None]
    fit = truth.shape == guess.shape == margins.shape == (len(pictures),)
    if not fit or pictures.ndim != 4 or pictures.shape[1] not in (1, 3):
        raise DataError(
            f"images {pictures.shape}, labels {truth.shape}, predicted {guess.shape}, margin {margins.shape}: expected "
            "(cases, 1 or 3, height, width) and (cases,) for the others"
        )
    wrong = np.flatnonzero(truth != guess)
    if not wrong.size:
        figure = Figure(figsize=(7, 2.2))
        figure.text(0.5, 0.5, f"No mistakes in {len(truth)} cases", ha="center", va="center", fontsize=18, color=INK)
        return write(figure, path)
    worst = wrong[np.argsort(-margins[wrong], kind="stable")][:most]
    per_row = min(10, len(worst))
    figure, axes = subplots(
        -(-len(worst) // per_row), per_row, 1.22, 1.22 * pictures.shape[2] / pictures.shape[3] + 0.47
    )
    low, high = float(pictures.min()), float(pictures.max())
    for number, case in enumerate(worst):
        ax = axes[number // per_row][number % per_row]
        frame(ax)
        shown = ((pictures[case] - low) / max(high - low, 1e-12)).transpose(1, 2, 0)
        ax.imshow(shown if shown.shape[2] == 3 else shown[..., 0], cmap="gray", vmin=0, vmax=1)
        title = " → ".join(_called(int(label), names) for label in (truth[case], guess[case]))
        ax.set_title(title, fontsize=min(12, 150 / len(title)), color=INK, pad=4)
        margin = f"{margins[case]:#.3g}".rstrip(".") if margins[case] < 1000 else f"{margins[case]:.0f}"
        ax.set_xlabel(f"by {margin}", fontsize=10, color=INK, labelpad=3)
    which = "all of them" if len(worst) == wrong.size else f"the {len(worst)} with the largest margin"
    count = f"{wrong.size} mistake{'s' if wrong.size > 1 else ''} in {len(truth)} cases"
    suptitle(
        figure,
        f"{count} ({100 * wrong.size / len(truth):.2f} %), {which}",
        "true → predicted, and by how much the goodness of the predicted label is larger",
    )
    return write(figure, path)


def _called(label: int, names: Sequence[str]) -> str:
    """Return the name of a class, shortened for a title; its number if ``names`` is empty."""
    name = names[label] if names else str(label)
    return name if len(name) <= 12 else f"{name[:11]}…"


def _tint(color: str, strength: float) -> tuple[float, float, float]:
    """Mix ``color`` with white: 40 % color at strength 0, 100 % at strength 1."""
    red, green, blue = (1 - (0.4 + 0.6 * strength) * (1 - part) for part in to_rgb(color))
    return red, green, blue


def _series(metrics: Metrics, key: str) -> tuple[Floats, Floats]:
    """Return the numbers of the epochs whose metrics contain ``key``, and the values of ``key``."""
    points = [(epoch["epoch"], epoch[key]) for epoch in metrics if epoch.get(key) is not None]
    return to_array([epoch for epoch, _ in points]), to_array([value for _, value in points])


def _curve(ax: Axes, epochs: Floats, values: Floats, name: str, look: tuple[Any, Any], *, last: str = "") -> Floats:
    """Plot a curve in the color and line style ``look``. ``last`` is a format for the last value in the legend."""
    if values.size:
        marker = "o" if len(values) <= 15 else None
        color, style = look
        label = name + last.format(values[-1])
        ax.plot(epochs, values, color=color, ls=style, marker=marker, ms=3.5, lw=1.9, label=label)
    return values


def _clearest(labels: Floats, count: int) -> list[list[int]]:
    """Return up to ``count`` units per class that prefer the class most clearly; ``labels`` is ``(units, classes)``."""
    favorite = labels.argmax(axis=1)
    order = np.argsort(-(labels.max(axis=1) - labels.mean(axis=1)), kind="stable")
    return [[int(unit) for unit in order if favorite[unit] == label][:count] for label in range(labels.shape[1])]
