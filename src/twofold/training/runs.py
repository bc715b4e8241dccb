"""Load complete runs, and plot their results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from twofold import checkpoint, machine
from twofold.checks import check_arguments
from twofold.data import Data
from twofold.data.preparation import Preparation
from twofold.data.source import Source
from twofold.errors import RunError, SettingError, TwofoldError
from twofold.methods import METHODS, build
from twofold.nets.net import Net
from twofold.training import single_file
from twofold.training.config import preparation_of
from twofold.training.result import Result
from twofold.training.run_folder import RunFolder


@dataclass(frozen=True)
class Run:
    """A complete training run.

    Attributes:
        folder: path of the run folder, or of the exported file.
        recipe: settings of the net and its training.
        net: the trained net.
        result: measured results.
        history: metrics of each epoch; empty for an exported file.
        form: description of the data, such as ``shape`` and ``classes``.
        preparation: preprocessing of the data and names of the classes; ``None`` if ``form`` has no ``shape`` or no
            ``classes``.
        source: files that the user's own data were read from; ``None`` for arrays and built-in data sets.
    """

    folder: Path
    recipe: Any
    net: Any
    result: Result
    history: list[dict[str, Any]]
    form: dict[str, Any]
    preparation: Preparation | None = None
    source: Source | None = None


@check_arguments
def load(path: Path, device: str | torch.device = "auto", precision: str | None = None, net: Net | None = None) -> Run:
    """Load a complete run, which may have been trained on another machine.

    Args:
        path: a run folder, or a file written by `twofold export`.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16; by default the precision of the training run, if the device supports it.
        net: a net with the same architecture, into which the weights are loaded. Required only for runs that were
            trained with the ``net`` argument.

    Raises:
        SettingError: ``net`` is missing, or was given for a run that does not need it.
        RunError: the run does not exist or is not complete, or a file is damaged or belongs to another net.
        Diverged: the net has values that are not finite.
    """
    target, history = machine.choose_device(device), []
    if path.is_file():
        config, result, weights = single_file.read(path)
        config_path = weights_path = path
    else:
        run_folder = RunFolder(path)
        config, result, history = run_folder.config(), run_folder.result(), run_folder.history()
        weights, _ = checkpoint.read(run_folder.weights, signed=config.format > 1)
        config_path, weights_path = run_folder.path / "config.json", run_folder.weights
    saved = "auto" if config.precision == "bf16" else config.precision  # bf16 if the device supports it
    precision = machine.choose_precision(precision or saved, target)
    if config.own_net != (net is not None):
        raise SettingError(
            f"{path} has a custom net: give a net of the same architecture, as twofold.load(..., net=net)"
            if config.own_net
            else f"{path} has the net of its recipe, not a custom net: omit net"
        )
    try:
        if net is None:
            needed = METHODS[config.method].needed_memory(config.recipe, config.form, precision, False)
            machine.require_memory(needed, target)
            net = build(config.recipe, config.form)
    except TwofoldError as error:
        raise RunError(f"{config_path} describes a net that cannot be built ({error})") from error
    checkpoint.fill(net.state_dict(), weights, weights_path)
    net.to(target).eval()
    net.set_precision(precision)
    prepared = preparation_of(config)
    return Run(path, config.recipe, net, result, history, config.form, prepared, config.source)


@check_arguments
def draw(run: Run, data: Data | None = None, twin: Run | None = None) -> list[Path]:
    """Plot the results of a run: the learning curves, and the plots of its method.

    Args:
        run: the run.
        data: the data of the run. The test set in ``data`` must consist of the cases that the run was tested on. By
            default, the data are loaded again. Required for a run that was trained on arrays.
        twin: the run of the backprop twin, which is added to the learning curves.

    Returns:
        The paths of the image files, in the folder ``pictures`` of the run folder.

    Raises:
        RunError: the run is an exported file, which does not contain the metrics of the epochs.
    """
    if not run.history:
        raise RunError(f"{run.folder} is an exported file, which has no metrics of epochs: give the run folder")
    from twofold.plots.panels import learning_curves
    from twofold.training.sources import held_out

    data = held_out(run) if data is None else data
    folder, test = run.folder / "pictures", tuple(part.to(run.net.device) for part in data.test)
    names = run.preparation.names if run.preparation else ()
    curves = learning_curves(run.history, folder / "learning.png", twin.history if twin else None)
    return [curves, *METHODS[run.recipe.method].draw(run.net, run.recipe, test, folder, names)]
