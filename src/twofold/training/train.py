"""Trainings in a run folder, from beginning to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from twofold import checkpoint, machine
from twofold.checks import typed
from twofold.data import Data
from twofold.data import load as load_data
from twofold.errors import DeviceError, Interrupted, SettingError, remark
from twofold.methods import METHODS, Recipe, build
from twofold.nets.classifier import Classifier
from twofold.nets.net import Net
from twofold.training.config import Config, preparation_of
from twofold.training.offload import keep_on_disk
from twofold.training.prediction import familiar_from, with_look
from twofold.training.result import Result
from twofold.training.run_folder import RunFolder, claimed
from twofold.training.trainer import CHECK_EVERY, Trainer


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
    watch, finished = (progress.batch, progress.epoch) if isinstance(progress, Progress) else (None, progress)

    def on_batch(trainer: Trainer, *_: Any) -> None:
        if watch is not None and trainer.method.batches_seen % CHECK_EVERY == 0:
            watch(trainer.progress)

    trainer = Trainer(net, recipe, METHODS[recipe.method].check_data(net, data.train), on_batch=on_batch)
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

    held = tuple(part.to(net.device) for part in data.test)
    for metrics in trainer.epochs():
        if recipe.validation:
            metrics["validation_error"] = net.evaluate(*held).error
        home.save(trainer, environments)
        if finished is not None:
            finished(metrics)

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
        familiar=familiar_from(net, held[0]) if config.preparation and isinstance(net, Classifier) else None,
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
    names = method.recipe_type.having("of_net").keys() & usual.keys() - {"data", "validation"}
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
