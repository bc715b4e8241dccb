"""Complete runs: read back, and drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from twofold import checkpoint, machine
from twofold.checks import typed
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
    from twofold.training.sources import held_out

    data = held_out(run) if data is None else data
    folder, test = run.folder / "pictures", tuple(part.to(run.net.device) for part in data.test)
    names = run.preparation.names if run.preparation else ()
    curves = learning_curves(run.history, folder / "learning.png", twin.history if twin else None)
    return [curves, *METHODS[run.recipe.method].draw(run.net, run.recipe, test, folder, names)]
