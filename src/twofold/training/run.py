"""Trainings from beginning to end in a run folder, and trained nets read back."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from twofold import checkpoint, machine
from twofold.data import Data
from twofold.data import load as load_data
from twofold.errors import RunError, SettingError
from twofold.methods import METHODS, Place, Recipe, build
from twofold.nets.net import Net
from twofold.training.offload import keep_on_disk
from twofold.training.result import Result
from twofold.training.run_folder import RunFolder, without_removed
from twofold.training.trainer import Trainer


class Progress(Protocol):
    """An object that is called while a training goes on."""

    def batch(self, done: float) -> None:
        """``done`` epochs are finished, with a fraction for the one at work."""

    def epoch(self, metrics: dict[str, Any]) -> None:
        """An epoch is finished and saved."""


def train(
    recipe: Recipe,
    folder: Path | str,
    data: Data | None = None,
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
        data: the data set; by default the one that the recipe names.
        name: the recipe's name.
        device: auto, cpu or cuda.
        precision: auto, fp32 or bf16.
        resume: go on from the folder's checkpoint where it has one.
        offload: layers at rest lie on disk, beside the run folder: one layer has to fit into memory and not the net.
        progress: called while the training goes on.

    Raises:
        RunError: the folder is in use or belongs to another training, or the disk is full.
        Diverged: a layer's numbers are not finite, or it has collapsed.
        SettingError: the device, the precision, the batch or the memory is not there.
    """
    where = machine.choose_device(device)
    precision = machine.choose_precision(precision, where)
    home, data = RunFolder(Path(folder)), data or load_data(recipe.data)
    identity: dict[str, Any] = {
        "name": name,
        "method": recipe.method,
        "settings": recipe.fields(),
        "fingerprint": data.fingerprint,
        "device": where.type,
        "precision": precision,
    }
    if recipe.validation:
        data = data.hold_out(recipe.validation)
    cases = len(data.train[0])
    if recipe.batch > cases:
        raise SettingError(f"--batch is {recipe.batch}, more than the {cases} training cases: lower it")
    method = METHODS[recipe.method]
    if offload and (where.type != "cpu" or not method.offloads):
        raise SettingError("--offload is for layers that learn by themselves, on the CPU: leave it away for others")
    home.open(identity, resume)
    if home.complete:
        return home.result()
    machine.require_memory(method.needed_memory(recipe, data.form, precision, offload), where, offload)
    if not offload:
        return _train(recipe, home, identity, data, list, progress)
    home.path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{home.path.name}-at-rest-", dir=home.path.parent) as at_rest:
        return _train(recipe, home, identity, data, lambda layers: keep_on_disk(layers, Path(at_rest)), progress)


def _train(
    recipe: Recipe,
    home: RunFolder,
    identity: dict[str, Any],
    data: Data,
    place: Place,
    progress: Progress | None,
) -> Result:
    net: Net = build(recipe, data.form, place).to(identity["device"])
    net.set_precision(identity["precision"])
    environment = machine.describe(net.device)
    trainer = Trainer(net, recipe, data.train)
    if not home.restore(trainer):
        home.begin({**identity, "dataset": data.name, **data.form, "environment": environment})

    held = tuple(part.to(net.device) for part in data.test)
    for metrics in trainer.epochs(progress.batch if progress else None):
        if recipe.validation:
            metrics["validation_error"] = net.evaluate(*held).error
        home.save(trainer)
        if progress:
            progress.epoch(metrics)

    found, history = net.evaluate(*held), trainer.history
    seconds = sum(metrics["seconds"] for metrics in history)
    measured = {key: value for key, value in history[-1].items() if key.startswith("train_")}
    result = Result(
        recipe=identity["name"],
        method=recipe.method,
        settings=recipe.fields(),
        test_error={} if recipe.validation else found.error,
        validation_error=found.error if recipe.validation else {},
        epochs=recipe.epochs,
        seconds=seconds,
        seconds_per_epoch=seconds / recipe.epochs,
        parameters=sum(parameter.numel() for parameter in net.parameters()),
        dataset=data.name,
        official_data=data.official,
        fingerprint=identity["fingerprint"],
        seed=recipe.seed,
        device=net.device.type,
        precision=identity["precision"],
        environment=environment,
        run=str(home.path),
        metrics={**found.metrics, **measured},
    )
    home.finish(result, net.state_dict())
    return result


@dataclass(frozen=True)
class Run:
    """A complete run, read back.

    Attributes:
        folder: where it lies.
        recipe: its settings.
        net: the trained net.
        result: what was measured.
        history: the metrics of each epoch.
        form: of its data, such as ``shape`` and ``classes``.
    """

    folder: Path
    recipe: Any
    net: Any
    result: Result
    history: list[dict[str, Any]]
    form: dict[str, Any]


def load(folder: Path | str, device: str = "auto", precision: str | None = None) -> Run:
    """Read a complete run.

    Raises:
        RunError: the folder is no run, is not complete, or a file in it is damaged or belongs to another net.
    """
    home = RunFolder(Path(folder))
    config, result, history = home.config(), home.result(), home.history()
    recipe, form = recipe_from(config["method"], config["settings"], home.path), home.form()
    where = machine.choose_device(device)
    net = build(recipe, form)
    weights, _ = checkpoint.read(home.weights)
    checkpoint.fill(net.state_dict(), weights, home.weights)
    net.to(where).eval()
    net.set_precision(machine.choose_precision(precision or config["precision"], where))
    return Run(home.path, recipe, net, result, history, form)


def recipe_from(method: str, settings: dict[str, Any], folder: Path) -> Recipe:
    """The recipe whose fields were written to a run folder.

    Raises:
        RunError: they are no recipe, or hold a setting that is gone and was not at the value that changes nothing.
    """
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in without_removed(settings, folder).items()
    }
    try:
        return METHODS[method].recipe_type(**values)
    except (KeyError, TypeError) as error:
        raise RunError(f"{folder}/config.json does not describe a recipe ({error}): it is damaged") from error


def held_out(run: Run, data_dir: Path | None = None) -> Data:
    """The data a run was trained on, its test part being what the run was tested on.

    Raises:
        RunError: the data on this machine are not the ones of the run.
    """
    data = load_data(run.recipe.data, data_dir)
    if data.fingerprint != run.result.fingerprint:
        raise RunError(f"{run.folder} was trained on other data than the {data.name} found here: check --data-dir")
    return data.hold_out(run.recipe.validation) if run.recipe.validation else data


def draw(run: Run, data: Data, twin: Run | None = None) -> list[Path]:
    """Draw the pictures of a run into its folder: learning curves, and what its method has to show.

    Args:
        run: the run.
        data: the data it was trained on, its test part being what the run was tested on.
        twin: the backprop twin's run, drawn beside the learning curves.

    Returns:
        The files, in ``pictures/`` of the run folder.
    """
    from twofold.plots.panels import learning_curves

    folder, test = run.folder / "pictures", tuple(part.to(run.net.device) for part in data.test)
    curves = learning_curves(run.history, folder / "learning.png", twin.history if twin else None)
    return [curves, *METHODS[run.recipe.method].draw(run.net, run.recipe, test, folder)]
