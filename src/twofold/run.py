"""A training as a product: the run folder with its settings, metrics, checkpoints and result.

config.json              recipe, settings, data, device, precision, machine
metrics.jsonl            one line an epoch
checkpoint.safetensors   everything needed to go on, after each epoch; gone when the run is complete
weights.safetensors      the trained net (its ``state_dict``)
result.json              what was measured
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from twofold import checkpoint, machine
from twofold.data import load as load_data
from twofold.data.dataset import Dataset
from twofold.errors import RunError, SettingError
from twofold.evaluate import SHORTLIST, test
from twofold.files import read_json, write_bytes, write_json
from twofold.goodness import GOODNESS
from twofold.layers import dense
from twofold.learning import Rule
from twofold.nets.backprop import Backprop
from twofold.nets.feedforward import FeedForward
from twofold.normalize import NORMALIZE
from twofold.objectives import OBJECTIVES
from twofold.recipes.recipe import BackpropRecipe, FeedForwardRecipe, Recipe
from twofold.train import Backpropagation, ForwardForward, Method

METHODS: dict[str, type[Recipe]] = {kind.method: kind for kind in (FeedForwardRecipe, BackpropRecipe)}


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


@dataclass(frozen=True)
class Result:
    """What a training measured. Errors are shares of the images, times are in seconds.

    Attributes:
        recipe: its name.
        method: forward-forward or backprop.
        settings: every field of the recipe.
        test_error: test -> error on the test set; empty where a validation set was held out.
        validation_error: the same on held-out training images; empty where none were held out.
        layer_error: the error of each layer's goodness alone.
        passes_per_image: test -> forward passes for one image.
        train_error: of the softmax, on the training images of the last epoch as it saw them.
        epochs: number of epochs.
        seconds: of the whole training, without tests.
        seconds_per_epoch: the mean.
        parameters: number of weights and biases.
        dataset: name of the data set.
        official_data: whether its bytes are the official ones.
        fingerprint: sha256 of the data.
        seed: of everything random.
        device: cpu or cuda.
        precision: of the products.
        environment: versions, commit, machine.
        run: the folder.
    """

    recipe: str
    method: str
    settings: dict[str, Any]
    test_error: dict[str, float]
    validation_error: dict[str, float]
    layer_error: list[float]
    passes_per_image: dict[str, int]
    train_error: float
    epochs: int
    seconds: float
    seconds_per_epoch: float
    parameters: int
    dataset: str
    official_data: bool
    fingerprint: str
    seed: int
    device: str
    precision: str
    environment: dict[str, Any]
    run: str


def build(recipe: Recipe, pixels: int, classes: int) -> FeedForward | Backprop:
    """The untrained net of a recipe, its first weights drawn from the recipe's seed on the CPU."""
    generator = torch.Generator().manual_seed(recipe.seed)
    if not isinstance(recipe, FeedForwardRecipe):
        return Backprop(pixels, recipe.widths, classes, generator)
    rule = Rule(
        goodness=GOODNESS[recipe.goodness],
        objective=OBJECTIVES[recipe.objective],
        temperature=recipe.temperature,
        smoothing=recipe.smoothing,
        decay=recipe.decay,
        peer=recipe.peer,
        tolerance=recipe.tolerance,
        normalize=NORMALIZE[recipe.normalize],
    )
    if recipe.label_in == "overlay" and pixels <= classes:
        raise SettingError(
            f"--label-in is overlay, but an image has {pixels} pixels for {classes} labels: use --label-in prepend"
        )
    inputs = pixels + (classes if recipe.label_in == "prepend" else 0)
    return FeedForward(
        dense(inputs, recipe.widths, rule, generator),
        classes,
        label_in=recipe.label_in,
        label_strength=recipe.label_strength,
        counted_from=recipe.counted_from,
        softmax_decay=recipe.softmax_decay,
    )


def set_precision(net: FeedForward | Backprop, precision: str) -> None:
    """The type in which the net computes its products."""
    for part in (net, *net.layers):
        if hasattr(part, "compute"):
            part.compute = machine.compute_type(precision)


def method_for(net: FeedForward | Backprop, recipe: Recipe, device: torch.device, cases: int) -> Method:
    """The way of learning that the recipe asks for."""
    generator = torch.Generator(device).manual_seed(recipe.seed + 1)
    if isinstance(recipe, FeedForwardRecipe) and isinstance(net, FeedForward):
        return ForwardForward(net, recipe, generator, cases)
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
        progress: who is told.

    Raises:
        RunError: the folder is in use or belongs to another training, or the disk is full.
        Diverged: a layer's numbers are not finite, or it has collapsed.
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

    net = build(recipe, data.pixels, data.classes).to(where)
    set_precision(net, precision)
    method = method_for(net, recipe, where, len(data.train_labels))
    history = _open(folder, identity, method, resume)
    if (folder / "result.json").exists():
        return Result(**read_json(folder / "result.json"))
    if not history:
        described = {"dataset": data.name, "shape": list(data.shape), "classes": data.classes}
        write_json(folder / "config.json", {**identity, **described, "environment": machine.describe(where)})

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
        _save(folder, identity, method, history)
        progress.epoch(metrics)

    tested = test(net, held_images, held_labels)
    seconds = sum(metrics["seconds"] for metrics in history)
    result = Result(
        recipe=name,
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
        precision=precision,
        environment=machine.describe(where),
        run=str(folder),
    )
    checkpoint.write(folder / "weights.safetensors", net.state_dict(), {"name": name})
    write_json(folder / "result.json", asdict(result))
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    return result


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _resumable(method: Method) -> dict[str, Tensor]:
    return {**method.tensors(), "mistaken": method.mistaken, "idle": method.idle}


def _save(folder: Path, identity: dict[str, Any], method: Method, history: list[dict[str, Any]]) -> None:
    """The checkpoint holds the history too, so that the two can never disagree."""
    tensors = {**_resumable(method), "generator": method.generator.get_state()}
    facts = {"identity": identity, "history": history, "batches_seen": method.batches_seen}
    checkpoint.write(folder / "checkpoint.safetensors", tensors, facts)
    _write_metrics(folder, history)


def _write_metrics(folder: Path, history: list[dict[str, Any]]) -> None:
    write_bytes(folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in history).encode())


def _read(folder: Path) -> tuple[dict[str, Any], Result, list[dict[str, Any]]]:
    name = "config.json"
    try:
        config = read_json(folder / name)
        for key in ("name", "method", "settings", "shape", "classes", "precision"):
            config[key]
        name = "result.json"
        if not (folder / name).exists():
            raise RunError(
                f"{folder} is not complete: go on with `twofold train {config['name']} --run {folder} --resume`"
            )
        result = Result(**read_json(folder / name))
        name = "metrics.jsonl"
        history = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder / name} is damaged ({type(error).__name__}): train again") from error
    return config, result, history


def _open(folder: Path, identity: dict[str, Any], method: Method, resume: bool) -> list[dict[str, Any]]:
    """Make the folder, or restore what its checkpoint holds; returns the epochs done."""
    if not resume:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(f"{folder} exists and is not empty: add --resume to go on with it, or choose another --run")
        return []
    if (folder / "result.json").exists():
        _same(read_json(folder / "config.json"), identity, folder)
        return []
    if not (folder / "checkpoint.safetensors").exists():
        if (folder / "config.json").exists():
            _same(read_json(folder / "config.json"), identity, folder)
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(f"{folder} is not empty and no run folder: choose another --run")
        return []
    tensors, facts = checkpoint.read(folder / "checkpoint.safetensors")
    if not {"identity", "history", "batches_seen"} <= facts.keys() or "generator" not in tensors:
        raise RunError(f"{folder / 'checkpoint.safetensors'} is no checkpoint: delete it and train again")
    _same(facts["identity"], identity, folder)
    generator = tensors.pop("generator")
    checkpoint.fill(_resumable(method), tensors, folder / "checkpoint.safetensors")
    method.generator.set_state(generator)
    method.batches_seen = facts["batches_seen"]
    history: list[dict[str, Any]] = facts["history"]
    _write_metrics(folder, history)
    return history


def _same(found: dict[str, Any], wanted: dict[str, Any], folder: Path) -> None:
    """Raise unless the folder's training is the one that is asked for."""
    flat_found, flat_wanted = ({**facts, **facts["settings"]} for facts in (found, wanted))
    for key in wanted.keys() | wanted["settings"].keys():
        if key != "settings" and flat_found.get(key) != flat_wanted[key]:
            raise RunError(
                f"{folder} holds a training with {key} = {flat_found.get(key)}, asked for is {flat_wanted[key]}: "
                "resume with the settings it was started with, or choose another --run"
            )


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
    net: FeedForward | Backprop
    result: Result
    history: list[dict[str, Any]]
    shape: tuple[int, int, int]


def load(folder: Path, device: str = "auto", precision: str | None = None) -> Run:
    """Read a complete run.

    Raises:
        RunError: the folder is no run, is not complete, or a file in it is damaged or belongs to another net.
    """
    if not (folder / "config.json").exists():
        raise RunError(f"{folder} is no run folder (it has no config.json): give a folder made by `twofold train`")
    config, result, history = _read(folder)
    recipe = recipe_from(config["method"], config["settings"], folder)
    channels, height, width = config["shape"]
    where = machine.choose_device(device)
    net = build(recipe, channels * height * width, config["classes"])
    weights, _ = checkpoint.read(folder / "weights.safetensors")
    checkpoint.fill(net.state_dict(), weights, folder / "weights.safetensors")
    net.to(where).eval()
    set_precision(net, machine.choose_precision(precision or config["precision"], where))
    return Run(folder, recipe, net, result, history, (channels, height, width))


def recipe_from(method: str, settings: dict[str, Any], folder: Path) -> Recipe:
    """The recipe whose fields were written to a run folder."""
    try:
        return METHODS[method](**{**settings, "widths": tuple(settings["widths"])})
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


def name_picture(net: FeedForward | Backprop, image: Tensor) -> dict[str, Any]:
    """What each test says of one image ``(1, channels, height, width)``, as JSON can hold it.

    Returns:
        ``label``: test -> label; ``softmax``: of the fast test, per label; ``goodness``: total, per label, of the slow
        test, ``None`` for the twin.
    """
    image = image.to(next(net.parameters()).device)
    logits = net.fast(image)
    label = {"fast": int(logits.argmax())}
    goodness = None
    if isinstance(net, FeedForward):
        total = net.slow(image)
        label = {"slow": int(total.argmax()), **label, "shortlist": int(net.shortlist(image, SHORTLIST))}
        goodness = total[0].tolist()
    return {"label": label, "softmax": logits.softmax(1)[0].tolist(), "goodness": goodness}
