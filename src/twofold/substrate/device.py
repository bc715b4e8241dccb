"""Functions that put nets on simulated analog devices, let devices drift, and write parameters into devices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

import torch
from torch import nn

from twofold.activations import Activation
from twofold.checks import check_arguments
from twofold.checks.bounds import counts
from twofold.errors import SettingError
from twofold.layers.dense import WeightedLayer
from twofold.layers.layer import Learner
from twofold.layers.recurrent import RecurrentLayer
from twofold.substrate.neurons import Neurons
from twofold.substrate.noise import mixed
from twofold.substrate.parameters import Substrate
from twofold.substrate.weights import AnalogWeights, signal_of

L = TypeVar("L", bound=WeightedLayer | RecurrentLayer)


def install(substrate: Substrate, module: nn.Module, seed: int) -> None:
    """Make all weighted layers of a module analog; see `Substrate.install`."""
    layers = [layer for layer in module.modules() if isinstance(layer, WeightedLayer | RecurrentLayer)]
    if not layers:
        raise SettingError(
            f"module: {type(module).__name__} has no weighted layer, expected a net or a layer such as Dense, "
            "LocallyConnected, Convolution or RecurrentLayer"
        )
    if any(True for _ in arrays(module)):
        raise SettingError("module: its weights are analog already, expected ideal ones: build a new module")
    for _ in installed(substrate, layers, seed):
        pass


def installed(substrate: Substrate, layers: Iterable[L], seed: int) -> Iterator[L]:
    """Make layers analog and yield them one by one, with the same seeds as `Substrate.install`."""
    for number, layer in enumerate(layers):
        _install(substrate, layer, mixed(seed, number))
        yield layer


def _install(substrate: Substrate, layer: WeightedLayer | RecurrentLayer, seed: int) -> None:
    """Replace the weights of a layer and, if the substrate has neurons, its activation function."""
    if isinstance(layer, WeightedLayer):
        holder: nn.Module = layer
        learned = {"weight": layer.weights}
    else:
        holder, learned = layer.weights, layer.learned
    signal = signal_of((weights.value, weights.connectivity) for weights in learned.values())
    neurons = _neurons(substrate, layer, signal, seed) if substrate.has_neurons else None
    for number, (name, ideal) in enumerate(learned.items()):
        first = neurons if number == 0 else None
        analog = AnalogWeights(
            holder, name, ideal.value, ideal.connectivity, substrate, mixed(seed, number), signal, first
        )
        analog.compute = ideal.compute
        if isinstance(layer, WeightedLayer):
            layer.weights = analog
        else:
            layer.learned[name] = analog


def _neurons(substrate: Substrate, layer: WeightedLayer | RecurrentLayer, signal: float, seed: int) -> Neurons:
    """Replace the activation function in the learning rule of a layer by analog neurons; return the neurons."""
    unit, generator = layer.rule.unit, torch.Generator().manual_seed(mixed(seed, len("neurons")))
    neurons = Neurons(layer.units, unit, substrate, signal, generator).to(layer.mean_activity)
    layer.add_module("neurons", neurons)
    layer.rule = replace(layer.rule, unit=Activation(neurons, unit.slope, unit.of_activity))
    return neurons


def arrays(module: nn.Module) -> Iterator[AnalogWeights]:
    """Yield the analog weights of a net or a layer, from the first layer to the last."""
    for layer in module.modules():
        if isinstance(layer, Learner):
            yield from (weights for weights in layer.learnables() if isinstance(weights, AnalogWeights))


def _arrays(name: str, module: nn.Module) -> list[AnalogWeights]:
    analog = list(arrays(module))
    if not analog:
        raise SettingError(f"{name}: it has no analog weights, call Substrate.install first")
    return analog


@check_arguments
def drift(module: nn.Module, updates: int) -> None:
    """Let all weights and neurons on a substrate drift as much as in ``updates`` updates of a run, without learning.

    Args:
        module: Net or layer on a substrate.
        updates: Number of updates. If this is the number of updates in a run, weights drift by `Substrate.drift`.

    Raises:
        SettingError: The module has no analog weights.
    """
    counts(updates=updates)
    for array in _arrays("module", module):
        array.drift(updates)


@check_arguments
def set_run_length(module: nn.Module, updates: int) -> None:
    """Set the number of updates in a run, which determines the drift per update.

    Over one run, weights and neurons drift by the amounts given in the substrate. A `Trainer` calls this function if
    the substrate does not state ``updates``.

    Args:
        module: Net or layer on a substrate.
        updates: Number of updates in a run.

    Raises:
        SettingError: The module has no analog weights.
    """
    for array in _arrays("module", module):
        array.set_run_length(updates)


@check_arguments
@torch.no_grad()
def program(module: nn.Module, net: nn.Module) -> None:
    """Copy all parameters of a net into a net on a substrate.

    Analog weights are written with programming errors; biases and the softmax are copied exactly. If ``net`` is on a
    substrate, too, the written values of ``net`` are copied, not the effective weights.

    Args:
        module: Net or layer on a substrate, which receives the parameters.
        net: Net or layer with the same parameter names and shapes.

    Raises:
        SettingError: The module has no analog weights, or the net has other parameters.
    """
    analog = {id(array.value): array for array in _arrays("module", module)}
    targets, values = dict(module.named_parameters()), dict(net.named_parameters())
    if {name: old.shape for name, old in targets.items()} != {name: new.shape for name, new in values.items()}:
        raise SettingError("net: its parameters differ from those of the device, expected a net of the same form")
    for name, parameter in targets.items():
        if (array := analog.get(id(parameter))) is not None:
            array.program(values[name])
        else:
            parameter.copy_(values[name])
