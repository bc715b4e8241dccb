"""Trainings from beginning to end in a run folder, and trained nets read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from twofold import checkpoint, machine
from twofold.checks import typed
from twofold.data import Data
from twofold.data import load as load_data
from twofold.data.preparation import Preparation
from twofold.data.source import Source
from twofold.errors import DeviceError, Interrupted, RunError, SettingError, TwofoldError, remark
from twofold.methods import METHODS, Recipe, build
from twofold.nets.net import Net
from twofold.training import single_file
from twofold.training.config import Config, preparation_of
from twofold.training.offload import keep_on_disk
from twofold.training.prediction import familiar_from, with_look
from twofold.training.result import Result
from twofold.training.run_folder import RunFolder, claimed
from twofold.training.trainer import Trainer


@runtime_checkable
class Progress(Protocol):
    """An object that is called while a training goes on."""

    def batch(self, done: float) -> None:
        """``done`` epochs are finished, with a fraction for the one at work."""

    def epoch(self, metrics: dict[str, Any]) -> None:
        """An epoch is finished and saved."""


@typed
def train(
    recipe: Recipe,
    folder: Path | None = None,
    data: Data | None = None,
    *,
    name: str = "custom",
    device: str | torch.device = "auto",
    precision: str = "auto",
    resume: bool = False,
    offload: bool = False,
    start: Path | None = None,
    net: Net | None = None,
    progress: Progress | Callable[[dict[str, Any]], None] | None = None,
) -> Result:
    """Train, with a checkpoint after each epoch, and test once at the end.

    An interrupted training that is resumed ends with bitwise the same weights as one that was not, on the same machine
    with the same software; a `Remark` says what is different where something is. Resuming a training that is complete
    returns its result.

    Args:
        recipe: the settings.
        folder: the run folder, new or, to resume, an older one; by default the first free one of ``runs/NAME-seedN``,
            ``runs/NAME-seedN-2``, ... and, to resume, the last of them that holds this training.
        data: the data set; by default the one that the recipe names.
        name: the recipe's name.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16.
        resume: go on from the folder's checkpoint where it has one.
        offload: layers at rest lie on disk, in the run folder: one layer has to fit into memory and not the net.
        start: a complete run, whose trained net is trained further by a schedule of its own. Its folder stays as it is.
        net: a net of your own, such as one with an instrument in it, which learns in the place of the one that the
            recipe describes; what the recipe says of a net is then not heeded. To resume, and to `load` the run, give
            one that is built alike.
        progress: called while the training goes on, or a function that is called with the metrics of each epoch.

    Raises:
        RunError: the folder is in use or belongs to another training, or the disk is full.
        Diverged: a layer's numbers are not finite, or it has collapsed.
        DeviceError: a black box or an instrument failed; the message says how to go on.
        SettingError: the device, the precision, the batch or the memory is not there, or the net learns by another
            method than the recipe's.
        Interrupted: Ctrl-C, or a signal that does the same; the message says how to go on.
    """
    where = machine.choose_device(device)
    precision = machine.choose_precision(precision, where)
    data = load_data(recipe.data) if data is None else data
    if net is not None:
        recipe = _without_a_net(recipe, net)
    config = Config(
        name=name,
        method=recipe.method,
        settings=recipe.fields(),
        fingerprint=data.fingerprint,
        device=where.type,
        precision=precision,
        dataset=data.name,
        environment=machine.describe(where),
        form=data.form,
        started_from=_origin(start) if start else None,
        preparation=getattr(data, "preparation", None),
        source=getattr(data, "source", None),
        own_net=net is not None,
    )
    config = replace(config, preparation=with_look(preparation_of(config), data.train[0]))
    if recipe.validation:
        data = data.hold_out(recipe.validation)
    cases = len(data.train[0])
    if recipe.batch > cases:
        raise SettingError(f"--batch is {recipe.batch}, more than the {cases} training cases: lower it")
    method = METHODS[recipe.method]
    if offload and (where.type != "cpu" or not method.offloads):
        raise SettingError("--offload is for layers that learn by themselves, on the CPU: leave it away for others")
    if offload and net is not None:
        raise SettingError("offload is for the layers of a recipe's net, as they are made: leave it away for your own")
    with claimed(folder, config, resume) as home:
        if home.complete:
            return home.result(strict=True)
        if net is None:
            machine.require_memory(method.needed_memory(recipe, data.form, precision, offload), where, offload)
        try:
            if net is None:
                net = build(recipe, data.form, partial(keep_on_disk, folder=home.at_rest) if offload else list)
            return _train(recipe, home, config, net.to(where), data, progress)
        except KeyboardInterrupt as stop:
            raise Interrupted(home.how_to_go_on()) from stop
        except DeviceError as failure:
            raise DeviceError(f"{failure}; {home.how_to_go_on()}") from failure
        finally:
            home.clear()


def _train(
    recipe: Recipe,
    home: RunFolder,
    config: Config,
    net: Net,
    data: Data,
    progress: Progress | Callable[[dict[str, Any]], None] | None,
) -> Result:
    net.set_precision(config.precision)
    if config.started_from:
        _start_from(net, recipe, Path(config.started_from["run"]))
    trainer = Trainer(net, recipe, METHODS[recipe.method].check_data(net, data.train))
    environments = home.restore(trainer)
    if environments is None:
        home.begin(config)
        environments = [config.environment]
    elif changed := machine.differences(environments[-1], config.environment):
        remark(
            f"{home.path} goes on under other conditions ({'; '.join(changed)}): its weights may differ in their last "
            "bits from those of a training that was never interrupted"
        )
        environments.append(config.environment)

    watch, told = (progress.batch, progress.epoch) if isinstance(progress, Progress) else (None, progress)
    held = tuple(part.to(net.device) for part in data.test)
    for metrics in trainer.epochs(watch):
        if recipe.validation:
            metrics["validation_error"] = net.evaluate(*held).error
        home.save(trainer, environments)
        if told:
            told(metrics)

    found, history = net.evaluate(*held), trainer.history
    seconds = sum(metrics["seconds"] for metrics in history)
    measured = {key: value for key, value in history[-1].items() if key.startswith("train_")}
    result = Result(
        recipe=config.name,
        method=recipe.method,
        settings=config.settings,
        test_error={} if recipe.validation else found.error,
        validation_error=found.error if recipe.validation else {},
        epochs=recipe.epochs,
        seconds=seconds,
        seconds_per_epoch=seconds / recipe.epochs,
        parameters=sum(parameter.numel() for parameter in net.parameters()),
        dataset=data.name,
        official_data=data.official,
        fingerprint=config.fingerprint,
        seed=recipe.seed,
        device=net.device.type,
        precision=config.precision,
        environment=environments[-1] | ({"earlier": environments[:-1]} if len(environments) > 1 else {}),
        run=str(home.path),
        started_from=config.started_from,
        familiar=familiar_from(net, held[0]) if config.preparation else None,
        metrics={**found.metrics, **measured},
    )
    home.finish(result, net.state_dict())
    return result


def _without_a_net(recipe: Recipe, net: Net) -> Recipe:
    """A recipe that says nothing of a net, for one that is there already.

    Raises:
        SettingError: the net learns by another method than the recipe's.
    """
    if net.method != recipe.method:
        raise SettingError(
            f"net learns by {net.method} and the recipe is one of {recipe.method}: give a net or a recipe of the other"
        )
    method = METHODS[recipe.method]
    usual = method.defaults(net)
    names = method.of_the_net & usual.keys() - {"data", "validation"}
    return replace(recipe, **{name: usual[name] for name in names})


def _origin(start: Path) -> dict[str, str]:
    """The run whose net is trained further, and the digest of its weights.

    Raises:
        RunError: it is no complete run.
    """
    home = RunFolder(start)
    home.result()
    return {"run": str(start), "weights": checkpoint.digest_of(home.weights)}


def _start_from(net: Net, recipe: Recipe, folder: Path) -> None:
    """Give a net the weights of a complete run."""
    before = RunFolder(folder)
    weights, _ = checkpoint.read(before.weights)
    checkpoint.fill(net.state_dict(), weights, before.weights)
    if recipe.validation > before.config().recipe.validation:
        remark(f"{folder} has learned from cases that are held out now: the validation error will be too low")


@dataclass(frozen=True)
class Run:
    """A complete run, read back.

    Attributes:
        folder: where it lies: its folder, or the file that it was brought into.
        recipe: its settings.
        net: the trained net.
        result: what was measured.
        history: the metrics of each epoch; empty where it is a file.
        form: of its data, such as ``shape`` and ``classes``.
        preparation: what was done to its data, and the names of their classes; ``None`` where they are not labeled.
        source: where its data were read from; ``None`` for arrays and for the data sets that have a name.
    """

    folder: Path
    recipe: Any
    net: Any
    result: Result
    history: list[dict[str, Any]]
    form: dict[str, Any]
    preparation: Preparation | None = None
    source: Source | None = None


@typed
def load(path: Path, device: str | torch.device = "auto", precision: str | None = None, net: Net | None = None) -> Run:
    """Read a complete run, wherever it was trained.

    Args:
        path: a run folder, or the one file that `twofold export` makes of it.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16; by default that of the training, where the device has it.
        net: gets the weights of a run that was trained on a net of your own; built like that one.

    Raises:
        SettingError: a net is missing, or given for a run that needs none.
        RunError: there is no run, it is not complete, or a file of it is damaged or belongs to another net.
        Diverged: its net has numbers that are not finite.
    """
    where, history = machine.choose_device(device), []
    if path.is_file():
        config, result, weights = single_file.read(path)
        described = weighed = path
    else:
        home = RunFolder(path)
        config, result, history = home.config(), home.result(), home.history()
        weights, _ = checkpoint.read(home.weights, signed=config.format > 1)
        described, weighed = home.path / "config.json", home.weights
    usual = "auto" if config.precision == "bf16" else config.precision  # bf16 where there is such a thing
    precision = machine.choose_precision(precision or usual, where)
    if config.own_net != (net is not None):
        raise SettingError(
            f"{path} was trained on a net of your own: give one that is built alike, as twofold.load(..., net=net)"
            if config.own_net
            else f"{path} was trained on the net of its recipe: leave net= away"
        )
    try:
        if net is None:
            needed = METHODS[config.method].needed_memory(config.recipe, config.form, precision, False)
            machine.require_memory(needed, where)
            net = build(config.recipe, config.form)
    except TwofoldError as error:
        raise RunError(f"{described} describes a net that cannot be built ({error})") from error
    checkpoint.fill(net.state_dict(), weights, weighed)
    net.to(where).eval()
    net.set_precision(precision)
    prepared = preparation_of(config)
    return Run(path, config.recipe, net, result, history, config.form, prepared, config.source)


@typed
def held_out(run: Run, data_dir: Path | None = None, place: Path | None = None) -> Data:
    """The data a run was trained on, its test part being what the run was tested on.

    Args:
        run: the run.
        data_dir: a folder with data sets, looked in first.
        place: where data of one's own lie now, if no longer where they were read from.

    Raises:
        RunError: the data on this machine are not the ones of the run, or are gone, or were arrays.
        DataError: they cannot be read.
    """
    data = read_again(run.source, run.folder, run.result.fingerprint, place) or _named(run, data_dir)
    return data.hold_out(run.recipe.validation) if run.recipe.validation else data


_ELSE = "use the run folder that it was made of, or twofold.evaluate(run.net, ...) in Python"
"""What to do with the one file of a run, which does not say where data of one's own lie on somebody's machine."""


def read_again(source: Source | None, folder: Path, fingerprint: str, place: Path | None = None) -> Data | None:
    """Read the data of a run from where they came from; ``None`` where that is no place of one's own.

    Raises:
        RunError: they are gone, or have changed.
        DataError: they cannot be read.
        SettingError: a place is given for data that came from none.
    """
    if source is None:
        if place is not None:
            why = "does not say how its data were read" if folder.is_file() else "was not trained on data of your own"
            raise SettingError(
                f"--data is {place}, but {folder} {why}: {_ELSE if folder.is_file() else 'leave it away'}"
            )
        return None
    there = source.at(place) if place else source
    for path, done in ((there.path, "trained"), (there.test, "tested")):
        if path and not Path(path).exists():
            raise RunError(f"{folder} was {done} on {path}, which is not there: say where the data are with --data")
    data = replace(there.read(), name=source.name)
    if data.fingerprint != fingerprint:
        raise RunError(
            f"{there.path} has changed since {folder} was trained on it: put back what was there, or train anew"
        )
    return data


def _named(run: Run, data_dir: Path | None) -> Data:
    """The data set that the recipe of a run names."""
    try:
        data = load_data(run.result.dataset, data_dir)
    except SettingError as error:
        if run.folder.is_file():
            raise RunError(f"{run.folder} does not say where its data {run.result.dataset!r} lay: {_ELSE}") from error
        raise RunError(
            f"{run.folder} was trained on the arrays {run.result.dataset!r}, which lie in no file: in Python, give "
            "them to twofold.evaluate(run.net, ...) and twofold.draw(run, data)"
        ) from error
    if data.fingerprint != run.result.fingerprint:
        raise RunError(f"{run.folder} was trained on other data than the {data.name} found here: check --data-dir")
    return data


@typed
def draw(run: Run, data: Data | None = None, twin: Run | None = None) -> list[Path]:
    """Draw the pictures of a run into its folder: learning curves, and what its method has to show.

    Args:
        run: the run.
        data: the data it was trained on, its test part being what the run was tested on; by default they are read
            again. A run that was trained on arrays needs them.
        twin: the backprop twin's run, drawn beside the learning curves.

    Returns:
        The files, in ``pictures/`` of the run folder.

    Raises:
        RunError: the run is one file, which has no metrics of its epochs.
    """
    if not run.history:
        raise RunError(f"{run.folder} is one file without the metrics of its epochs: give the run folder to draw from")
    from twofold.plots.panels import learning_curves

    data = held_out(run) if data is None else data
    folder, test = run.folder / "pictures", tuple(part.to(run.net.device) for part in data.test)
    names = run.preparation.names if run.preparation else ()
    curves = learning_curves(run.history, folder / "learning.png", twin.history if twin else None)
    return [curves, *METHODS[run.recipe.method].draw(run.net, run.recipe, test, folder, names)]
