"""Trainings from beginning to end, and trained nets read back."""

from __future__ import annotations

import itertools
import math
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from twofold import checkpoint, machine
from twofold.data import load as load_data
from twofold.data.dataset import Dataset
from twofold.errors import RunError, SettingError
from twofold.goodness import GOODNESS
from twofold.layers.connectivity import Connectivity
from twofold.layers.layer import Layer, Learner, dense
from twofold.layers.local import SPARE, Fields, Map, Tiled, local, of_units, seen_from
from twofold.learning import Rule
from twofold.methods.method import Backpropagation, ForwardForward, Hybrids, Method
from twofold.methods.recipe import (
    BackpropRecipe,
    FeedForwardRecipe,
    GoodnessRecipe,
    PictureRecipe,
    Recipe,
    RecurrentRecipe,
    UnsupervisedRecipe,
)
from twofold.methods.recurrent import Settling
from twofold.nets.backprop import Backprop
from twofold.nets.classifier import ReadBySoftmax, TaughtByGoodness, joint
from twofold.nets.feedforward import FeedForward
from twofold.nets.recurrent import Recurrent
from twofold.nets.unsupervised import Unsupervised
from twofold.normalize import NORMALIZE
from twofold.objectives import OBJECTIVES
from twofold.training import compiled as fused
from twofold.training.evaluate import SHORTLIST, test
from twofold.training.offload import keep_on_disk
from twofold.training.run_folder import Result, RunFolder

METHODS: dict[str, type[Recipe]] = {
    kind.method: kind for kind in (FeedForwardRecipe, RecurrentRecipe, UnsupervisedRecipe, BackpropRecipe)
}


class Progress(Protocol):
    """Who wants to know how far a training is."""

    def batch(self, done: float) -> None:
        """``done`` epochs are finished, with a fraction for the one at work."""

    def epoch(self, metrics: dict[str, Any]) -> None:
        """An epoch is finished and saved."""


class Silent:
    """Nobody wants to know."""

    def batch(self, done: float) -> None:
        """Nothing."""

    def epoch(self, metrics: dict[str, Any]) -> None:
        """Nothing."""


Net = FeedForward | Recurrent | Unsupervised | Backprop
"""What a recipe builds."""


def build(recipe: Recipe, shape: Map, classes: int, at_rest: Path | None = None) -> Net:
    """The untrained net of a recipe, its first weights drawn from the recipe's seed on the CPU.

    Args:
        recipe: the settings.
        shape: channels, height and width of an image.
        classes: number of labels.
        at_rest: folder in which layers that are not at work lie; they stay in memory where it is not given.
    """
    generator, pixels = torch.Generator().manual_seed(recipe.seed), math.prod(shape)
    if isinstance(recipe, FeedForwardRecipe):
        return _feedforward(recipe, pixels, classes, at_rest, generator)
    assert isinstance(recipe, PictureRecipe)
    maps = _fields(recipe, shape)
    if isinstance(recipe, RecurrentRecipe):
        return Recurrent(
            pixels,
            recipe.widths,
            classes,
            rule_of(recipe),
            damping=recipe.damping,
            iterations=recipe.iterations,
            judged=(recipe.judge_from, recipe.judge_to),
            label_strength=recipe.label_strength,
            top_down=recipe.top_down,
            lateral=recipe.lateral,
            label_to=recipe.label_to,
            center=recipe.center,
            seen=_both_ways(maps),
            softmax_decay=recipe.softmax_decay,
            generator=generator,
        )
    if isinstance(recipe, UnsupervisedRecipe):
        return Unsupervised(
            _stack(_seeing(recipe, shape, generator), at_rest),
            classes,
            counted_from=recipe.counted_from,
            center=recipe.center,
            softmax_decay=recipe.softmax_decay,
        )
    seen = [Tiled(fields) for fields in maps]
    return Backprop(pixels, recipe.widths, classes, generator, seen=seen, center=recipe.center)


def _seeing(recipe: UnsupervisedRecipe, shape: Map, generator: torch.Generator) -> Iterator[Layer]:
    """Layers that see all of what is below them, or their fields alone."""
    if not recipe.field_sizes:
        return dense(math.prod(shape), recipe.widths, rule_of(recipe), generator)
    return local(_fields(recipe, shape), rule_of(recipe), generator)


def _fields(recipe: PictureRecipe, shape: Map) -> list[Fields]:
    """What the units of each layer see of the map below; nothing where they see all."""
    maps: list[Fields] = []
    if recipe.field_sizes:
        for width, *field in zip(recipe.widths, recipe.field_sizes, recipe.strides, recipe.margins, strict=True):
            maps.append(of_units(width, maps[-1].above if maps else shape, *field))
    return maps


def _both_ways(maps: list[Fields]) -> list[dict[str, Connectivity]]:
    """What the units of each layer see of its neighbors: below their fields, above the units whose fields they are
    in."""
    above = [{"above": seen_from(fields)} for fields in maps[1:]]
    return [{"below": Tiled(fields), **other} for fields, other in zip(maps, [*above, {}], strict=False)]


def _stack(layers: Iterator[Layer], at_rest: Path | None) -> Iterable[Layer]:
    """The layers, which lie in a folder while they are not at work where there is one."""
    return layers if at_rest is None else keep_on_disk(layers, at_rest)


def rule_of(recipe: GoodnessRecipe) -> Rule:
    """How the layers of a recipe learn; what they pass on is left as it is by default."""
    return Rule(
        goodness=GOODNESS[recipe.goodness],
        objective=OBJECTIVES[recipe.objective],
        temperature=recipe.temperature,
        smoothing=recipe.smoothing,
        decay=recipe.decay,
        peer=recipe.peer,
        floor=recipe.floor,
        tolerance=recipe.tolerance,
    )


def _feedforward(
    recipe: FeedForwardRecipe, pixels: int, classes: int, at_rest: Path | None, generator: torch.Generator
) -> FeedForward:
    if recipe.label_in == "overlay" and pixels <= classes:
        raise SettingError(
            f"--label-in is overlay, but an image has {pixels} pixels for {classes} labels: use --label-in prepend"
        )
    inputs = pixels + (classes if recipe.label_in == "prepend" else 0)
    rule = replace(rule_of(recipe), normalize=NORMALIZE[recipe.normalize])
    return FeedForward(
        _stack(dense(inputs, recipe.widths, rule, generator), at_rest),
        classes,
        label_in=recipe.label_in,
        label_strength=recipe.label_strength,
        counted_from=recipe.counted_from,
        softmax_decay=recipe.softmax_decay,
    )


def set_precision(net: nn.Module, precision: str) -> None:
    """The type in which the net computes its products."""
    for part in net.modules():
        if isinstance(part, Learner | Backprop):
            part.compute = machine.compute_type(precision)


def needed_memory(recipe: Recipe, data: Dataset, precision: str, offload: bool) -> int:
    """About how many bytes a training takes beside its data: weights, smoothed gradients, copies, activities."""
    sizes = (data.pixels + data.classes, *recipe.widths)
    weights = [4 * below * above for below, above in itertools.pairwise(sizes)]
    if isinstance(recipe, PictureRecipe) and recipe.field_sizes:
        weights = [4 * int(SPARE * fields.weights) for fields in _fields(recipe, data.shape)]
    copied = 1.5 if precision == "bf16" else 1.0  # a narrow copy and a narrow gradient, or a wide gradient
    rows = 4 * recipe.batch * np.array(sizes)
    if isinstance(recipe, FeedForwardRecipe | UnsupervisedRecipe):
        at_work = max(weights) * (2 + copied) + 8 * rows.max()
        return int(at_work if offload else sum(weights) * (1 + copied) + at_work)
    if isinstance(recipe, RecurrentRecipe):
        moments = 4 * min(recipe.window, recipe.iterations) + 8
        return int(2 * sum(weights) * (1 + 2 * copied) + moments * rows.sum())
    return int(sum(weights) * (1 + 2 * copied) + 2 * rows.sum())


def method_for(net: Net, recipe: Recipe, device: torch.device, cases: int) -> Method:
    """The way of learning that the recipe asks for."""
    generator = torch.Generator(device).manual_seed(recipe.seed + 1)
    if isinstance(recipe, FeedForwardRecipe) and isinstance(net, FeedForward):
        return ForwardForward(net, recipe, generator, cases)
    if isinstance(recipe, RecurrentRecipe) and isinstance(net, Recurrent):
        return Settling(net, recipe, generator, cases)
    if isinstance(recipe, UnsupervisedRecipe) and isinstance(net, Unsupervised):
        return Hybrids(net, recipe, generator, cases)
    assert isinstance(recipe, BackpropRecipe)
    assert isinstance(net, Backprop)
    return Backpropagation(net, recipe, generator, cases)


def train(
    recipe: Recipe,
    folder: Path,
    data: Dataset,
    *,
    name: str = "custom",
    device: str = "auto",
    precision: str = "auto",
    resume: bool = False,
    offload: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Train, with a checkpoint after each epoch, and test once at the end.

    An interrupted training that is resumed ends with bitwise the same weights as one that was not. Resuming one that is
    complete returns its result.

    Args:
        recipe: the settings.
        folder: the run folder, new or, to resume, an older one.
        data: the data set.
        name: the recipe's name.
        device: auto, cpu or cuda.
        precision: auto, fp32 or bf16.
        resume: go on from the folder's checkpoint where it has one.
        offload: layers at rest lie on disk, beside the run folder: one layer has to fit into memory and not the net.
        progress: who is told.

    Raises:
        RunError: the folder is in use or belongs to another training, or the disk is full.
        Diverged: a layer's numbers are not finite, or it has collapsed.
        SettingError: the device, the precision, the batch or the memory is not there.
    """
    where = machine.choose_device(device)
    precision = machine.choose_precision(precision, where)
    progress = progress or Silent()
    identity: dict[str, Any] = {
        "name": name,
        "method": recipe.method,
        "settings": recipe.fields(),
        "fingerprint": data.fingerprint,
    }
    identity |= {"device": where.type, "precision": precision}
    if recipe.validation:
        data = data.hold_out(recipe.validation)

    if recipe.batch > len(data.train_labels):
        raise SettingError(
            f"--batch is {recipe.batch}, more than the {len(data.train_labels)} training images: lower it"
        )

    if offload and (where.type != "cpu" or not isinstance(recipe, FeedForwardRecipe | UnsupervisedRecipe)):
        raise SettingError("--offload is for layers that learn by themselves, on the CPU: leave it away for others")
    home = RunFolder(folder)
    home.open(identity, resume)
    if home.complete:
        return home.result()
    machine.require_memory(needed_memory(recipe, data, precision, offload), where, offload)
    if not offload:
        return _train(recipe, home, identity, data, where, None, progress)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-at-rest-", dir=folder.parent) as at_rest:
        return _train(recipe, home, identity, data, where, Path(at_rest), progress)


def _train(
    recipe: Recipe,
    home: RunFolder,
    identity: dict[str, Any],
    data: Dataset,
    where: torch.device,
    at_rest: Path | None,
    progress: Progress,
) -> Result:
    net = build(recipe, data.shape, data.classes, at_rest).to(where)
    set_precision(net, identity["precision"])
    if fused.pays(net, recipe.epochs * len(data.train_labels) / recipe.batch, where):
        fused.fuse(net)
    method = method_for(net, recipe, where, len(data.train_labels))
    history = home.restore(method)
    if not history:
        described = {"dataset": data.name, "shape": list(data.shape), "classes": data.classes}
        home.begin({**identity, **described, "environment": machine.describe(where)})

    images, labels = data.train_images.to(where), data.train_labels.to(where)
    held_images, held_labels = data.test_images.to(where), data.test_labels.to(where)
    for epoch in range(len(history), recipe.epochs):
        start = time.perf_counter()
        method.epoch(images, labels, epoch, progress.batch)
        _synchronize(where)
        seconds = time.perf_counter() - start
        metrics = {"epoch": epoch + 1, "seconds": seconds, **method.metrics()}
        if recipe.validation:
            metrics["validation_error"] = test(net, held_images, held_labels).error
        history.append(metrics)
        home.save(method, history)
        progress.epoch(metrics)

    tested = test(net, held_images, held_labels)
    seconds = sum(metrics["seconds"] for metrics in history)
    result = Result(
        recipe=identity["name"],
        method=recipe.method,
        settings=recipe.fields(),
        test_error={} if recipe.validation else tested.error,
        validation_error=tested.error if recipe.validation else {},
        layer_error=tested.layer_error,
        passes_per_image=tested.passes_per_image,
        train_error=history[-1]["train_error"],
        epochs=recipe.epochs,
        seconds=seconds,
        seconds_per_epoch=seconds / recipe.epochs,
        parameters=sum(parameter.numel() for parameter in net.parameters()),
        dataset=data.name,
        official_data=data.official,
        fingerprint=identity["fingerprint"],
        seed=recipe.seed,
        device=where.type,
        precision=identity["precision"],
        environment=machine.describe(where),
        run=str(home.path),
    )
    home.finish(result, net.state_dict())
    return result


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Run:
    """A complete run, read back.

    Attributes:
        folder: where it lies.
        recipe: its settings.
        net: the trained net.
        result: what was measured.
        history: the metrics of each epoch.
        shape: (channels, height, width) of its images.
    """

    folder: Path
    recipe: Recipe
    net: Net
    result: Result
    history: list[dict[str, Any]]
    shape: tuple[int, int, int]


def load(folder: Path, device: str = "auto", precision: str | None = None) -> Run:
    """Read a complete run.

    Raises:
        RunError: the folder is no run, is not complete, or a file in it is damaged or belongs to another net.
    """
    home = RunFolder(folder)
    config, result, history = home.config(), home.result(), home.history()
    recipe = recipe_from(config["method"], config["settings"], folder)
    channels, height, width = config["shape"]
    where = machine.choose_device(device)
    net = build(recipe, (channels, height, width), config["classes"])
    weights, _ = checkpoint.read(home.weights)
    checkpoint.fill(net.state_dict(), weights, home.weights)
    net.to(where).eval()
    set_precision(net, machine.choose_precision(precision or config["precision"], where))
    return Run(folder, recipe, net, result, history, (channels, height, width))


def recipe_from(method: str, settings: dict[str, Any], folder: Path) -> Recipe:
    """The recipe whose fields were written to a run folder."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()
    }
    try:
        return METHODS[method](**values)
    except (KeyError, TypeError) as error:
        raise RunError(f"{folder}/config.json does not describe a recipe ({error}): it is damaged") from error


def held_out(run: Run, data_dir: Path | None = None) -> Dataset:
    """The data a run was trained on, its test part being what the run was tested on.

    Raises:
        RunError: the data on this machine are not the ones of the run.
    """
    data = load_data(run.recipe.data, data_dir)
    if data.fingerprint != run.result.fingerprint:
        raise RunError(f"{run.folder} was trained on other data than the {data.name} found here: check --data-dir")
    return data.hold_out(run.recipe.validation) if run.recipe.validation else data


def name_picture(net: Net, image: Tensor) -> dict[str, Any]:
    """What each test says of one image ``(1, channels, height, width)``, as JSON can hold it.

    Returns:
        ``label``: test -> label; ``softmax``: of the fast test, per label; ``goodness``: total, per label, of the slow
        test, ``None`` for the twin.
    """
    image = image.to(next(net.parameters()).device)
    readings = net.readings(image) if isinstance(net, ReadBySoftmax) else {"fast": net.fast(image)}
    label = {test: int(logits.argmax()) for test, logits in readings.items()}
    goodness = None
    if isinstance(net, TaughtByGoodness):
        total = net.slow(image)
        label = {"slow": int(total.argmax()), **label, "shortlist": int(net.shortlist(image, SHORTLIST))}
        label["both"] = int(joint(total, readings["fast"]).argmax())
        goodness = total[0].tolist()
    return {"label": label, "softmax": readings["fast"].softmax(1)[0].tolist(), "goodness": goodness}
