"""Train a net in a run folder, with checkpoints and a final test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from twofold import checkpoint, machine
from twofold.checks import check_arguments
from twofold.data import Data
from twofold.data import load as load_data
from twofold.data.dataset import Dataset
from twofold.errors import DeviceError, Interrupted, SettingError, remark, unknown
from twofold.methods import METHODS, Recipe, build
from twofold.nets.classifier import Classifier
from twofold.nets.net import Net
from twofold.training.config import Config, preparation_of
from twofold.training.offload import keep_on_disk
from twofold.training.prediction import familiar_from, with_look
from twofold.training.result import Result
from twofold.training.run_folder import RunFolder, claimed
from twofold.training.trainer import CHECK_EVERY, Trainer
from twofold.training.weights import case_weights


@runtime_checkable
class Progress(Protocol):
    """Callbacks during training."""

    def batch(self, done: float) -> None:
        """Called repeatedly during an epoch. ``done`` is the number of completed epochs, including a fraction."""

    def epoch(self, metrics: dict[str, Any]) -> None:
        """Called with the metrics of an epoch after its checkpoint was saved."""


@check_arguments
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
    class_weight: str | None = None,
    progress: Progress | Callable[[dict[str, Any]], None] | None = None,
) -> Result:
    """Train a net, with a checkpoint after each epoch, and test it once at the end.

    On the same machine with the same software, a run that was interrupted and resumed ends with bitwise the same
    weights as an uninterrupted run. Otherwise, a `Remark` lists the differences of machine and software. Resuming a
    complete run returns its result.

    Args:
        recipe: settings of the net and its training.
        folder: the run folder, which must be new unless the run is resumed. By default, it is selected from
            ``runs/NAME-seedN``, ``runs/NAME-seedN-2``, ...: the first free one or, to resume, the last one that
            contains this run.
        data: the data set; by default the built-in data set that ``recipe.data`` names.
        name: name of the recipe, for the run folder and the result.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16.
        resume: resume from the checkpoint in the folder, if there is one.
        offload: keep layers on disk, in the run folder, so that only one layer at a time has to fit into memory.
        start: folder of a complete run whose net is trained further, with a new schedule. That folder does not change.
        net: a custom net to train, for example one that uses an instrument. Recipe fields that describe the net are
            then ignored. To resume or to `load` the run, pass a net of the same architecture.
        class_weight: "balanced" for case weights that are inversely proportional to the numbers of training cases of
            the classes; ``None`` for equal weights.
        progress: callbacks during training, or a function that receives the metrics of each epoch.

    Raises:
        RunError: the folder is in use or contains another run, or the disk is full.
        Diverged: values of the net are not finite, or a layer has collapsed.
        DeviceError: a black box or an instrument failed. The message explains how to resume.
        SettingError: the device or the precision is not available, the batch is larger than the training set, the net
            does not fit into memory, or the net has another method than the recipe.
        Interrupted: training was stopped by Ctrl-C or another signal. The message explains how to resume.
    """
    target = machine.choose_device(device)
    precision = machine.choose_precision(precision, target)
    data = load_data(recipe.data) if data is None else data
    if net is not None:
        recipe = _without_a_net(recipe, net)
    if class_weight is not None:
        _check_class_weight(class_weight, data)
    config = Config(
        name=name,
        method=recipe.method,
        settings=recipe.fields(),
        fingerprint=data.fingerprint,
        device=target.type,
        precision=precision,
        dataset=data.name,
        environment=machine.describe(target),
        form=data.form,
        started_from=_origin(start) if start else None,
        preparation=data.preparation if isinstance(data, Dataset) else None,
        source=data.source if isinstance(data, Dataset) else None,
        own_net=net is not None,
        class_weight=class_weight,
    )
    config = replace(config, preparation=with_look(preparation_of(config), data.train[0]))
    if recipe.validation:
        data = data.hold_out(recipe.validation)
    cases = len(data.train[0])
    if recipe.batch > cases:
        raise SettingError(f"--batch is {recipe.batch}, more than the {cases} training cases: lower it")
    method = METHODS[recipe.method]
    if offload and (target.type != "cpu" or not method.offloads):
        raise SettingError("--offload is only for methods that train each layer by itself, on the CPU: omit it")
    if offload and net is not None:
        raise SettingError("offload is only for the net of a recipe, not for a custom net: omit it")
    with claimed(folder, config, resume) as run_folder:
        if run_folder.complete:
            return run_folder.result(strict=True)
        if net is None:
            machine.require_memory(method.needed_memory(recipe, data.form, precision, offload), target, offload)
        try:
            if net is None:
                net = build(recipe, data.form, partial(keep_on_disk, folder=run_folder.at_rest) if offload else list)
            return _train(recipe, run_folder, config, net.to(target), data, progress)
        except KeyboardInterrupt as stop:
            raise Interrupted(run_folder.how_to_resume()) from stop
        except DeviceError as failure:
            raise DeviceError(f"{failure}; {run_folder.how_to_resume()}") from failure
        finally:
            run_folder.clear()


def _train(
    recipe: Recipe,
    run_folder: RunFolder,
    config: Config,
    net: Net,
    data: Data,
    progress: Progress | Callable[[dict[str, Any]], None] | None,
) -> Result:
    net.set_precision(config.precision)
    if config.started_from:
        _start_from(net, recipe, Path(config.started_from["run"]))
    on_progress, on_epoch = (progress.batch, progress.epoch) if isinstance(progress, Progress) else (None, progress)

    def on_batch(trainer: Trainer, *_: Any) -> None:
        if on_progress is not None and trainer.method.batches_seen % CHECK_EVERY == 0:
            on_progress(trainer.progress)

    weights = None
    if config.class_weight:
        labels = data.train[1].cpu().numpy()
        weights = case_weights(None, config.class_weight, labels, labels)
    cases = METHODS[recipe.method].check_data(net, data.train)
    trainer = Trainer(net, recipe, cases, case_weight=weights, on_batch=on_batch)
    environments = run_folder.restore(trainer)
    if environments is None:
        run_folder.begin(config)
        environments = [config.environment]
    elif changed := machine.differences(environments[-1], config.environment):
        remark(
            f"{run_folder.path} is resumed under other conditions ({'; '.join(changed)}): its weights may differ "
            "in their last bits from those of an uninterrupted run"
        )
        environments.append(config.environment)

    test_cases = tuple(part.to(net.device) for part in data.test)
    for metrics in trainer.epochs():
        if recipe.validation:
            metrics["validation_error"] = net.evaluate(*test_cases).error
        run_folder.save(trainer, environments)
        if on_epoch is not None:
            on_epoch(metrics)

    tested, history = net.evaluate(*test_cases), trainer.history
    seconds = sum(metrics["seconds"] for metrics in history)
    measured = {key: value for key, value in history[-1].items() if key.startswith("train_")}
    result = Result(
        recipe=config.name,
        method=recipe.method,
        settings=config.settings,
        test_error={} if recipe.validation else tested.error,
        validation_error=tested.error if recipe.validation else {},
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
        run=str(run_folder.path),
        started_from=config.started_from,
        familiar=familiar_from(net, test_cases[0]) if config.preparation and isinstance(net, Classifier) else None,
        metrics={**tested.metrics, **measured},
    )
    run_folder.finish(result, net.state_dict())
    return result


def _check_class_weight(class_weight: str, data: Data) -> None:
    """Raise a `SettingError` if the name of the class weights is unknown, or the data have no classes."""
    if class_weight != "balanced":
        raise unknown("class_weight", class_weight, ("balanced",))
    if not isinstance(data, Dataset):
        raise SettingError(f"class_weight is {class_weight}, but {data.name} has no classes: omit it")


def _without_a_net(recipe: Recipe, net: Net) -> Recipe:
    """Return a copy of a recipe for a custom net. The fields that describe the net are set to their defaults.

    Raises:
        SettingError: the net has another method than the recipe.
    """
    if net.method != recipe.method:
        raise SettingError(
            f"the net has the method {net.method}, but the recipe has the method {recipe.method}: use the same method"
        )
    method = METHODS[recipe.method]
    defaults = method.defaults(net)
    names = method.recipe_type.fields_with("of_net").keys() & defaults.keys() - {"data", "validation"}
    return replace(recipe, **{name: defaults[name] for name in names})


def _origin(start: Path) -> dict[str, str]:
    """Return ``Config.started_from`` for a run: the path of its folder and the digest of its weights.

    Raises:
        RunError: the folder does not contain a complete run.
    """
    run_folder = RunFolder(start)
    run_folder.result()
    return {"run": str(start), "weights": checkpoint.digest_of(run_folder.weights)}


def _start_from(net: Net, recipe: Recipe, folder: Path) -> None:
    """Load the weights of the complete run in ``folder`` into a net, which is then trained with ``recipe``."""
    run_folder = RunFolder(folder)
    weights, _ = checkpoint.read(run_folder.weights)
    checkpoint.fill(net.state_dict(), weights, run_folder.weights)
    if recipe.validation > run_folder.config().recipe.validation:
        remark(f"{folder} was trained on cases that are now held out: the validation error will be too low")
