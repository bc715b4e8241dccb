"""Nets as devices: their layers put on a substrate, aged, and programmed with the weights of others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

import torch
from torch import nn

from twofold.checks import typed
from twofold.checks.bounds import counts
from twofold.errors import SettingError
from twofold.layers.dense import WeightedLayer
from twofold.layers.layer import Learner
from twofold.layers.recurrent import RecurrentLayer
from twofold.substrate.neurons import Neurons
from twofold.substrate.noise import mixed
from twofold.substrate.parameters import Substrate
from twofold.substrate.weights import AnalogWeights, signal_of
from twofold.units import Unit

L = TypeVar("L", bound=WeightedLayer | RecurrentLayer)


def install(substrate: Substrate, module: nn.Module, seed: int) -> None:
    """See `Substrate.install`."""
    layers = [part for part in module.modules() if isinstance(part, WeightedLayer | RecurrentLayer)]
    if not layers:
        raise SettingError(
            f"module: {type(module).__name__} has no layer of weights, expected a net or a layer such as Dense, Local, "
            "Convolution or RecurrentLayer"
        )
    if any(True for _ in arrays(module)):
        raise SettingError("module: it has analog weights already, expected ideal ones: build it anew")
    for _ in installed(substrate, layers, seed):
        pass


def installed(substrate: Substrate, layers: Iterable[L], seed: int) -> Iterator[L]:
    """Layers of a net, each put on the substrate as it is made; from the same seed as those of `Substrate.install`."""
    for number, layer in enumerate(layers):
        _install(substrate, layer, mixed(seed, number))
        yield layer


def _install(substrate: Substrate, layer: WeightedLayer | RecurrentLayer, seed: int) -> None:
    """Turn one layer into an analog one."""
    if isinstance(layer, WeightedLayer):
        holder: nn.Module = layer
        found = {"weight": layer.weights}
    else:
        holder, found = layer.weights, layer.learned
    signal = signal_of((each.value, each.connectivity) for each in found.values())
    neurons = _neurons(substrate, layer, signal, seed) if substrate.has_neurons else None
    for number, (name, ideal) in enumerate(found.items()):
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
    """Give a layer neurons of its own, which stand in for the unit of its rule."""
    unit, generator = layer.rule.unit, torch.Generator().manual_seed(mixed(seed, len("neurons")))
    neurons = Neurons(layer.units, unit, substrate, signal, generator).to(layer.mean_activity)
    layer.add_module("neurons", neurons)
    layer.rule = replace(layer.rule, unit=Unit(neurons, unit.slope, unit.of_activity))
    return neurons


def arrays(module: nn.Module) -> Iterator[AnalogWeights]:
    """The analog weights of a net or a layer, from the input upwards."""
    for part in module.modules():
        if isinstance(part, Learner):
            yield from (each for each in part.learnables() if isinstance(each, AnalogWeights))


def _arrays(name: str, module: nn.Module) -> list[AnalogWeights]:
    found = list(arrays(module))
    if not found:
        raise SettingError(f"{name}: it has no analog weights, expected a device: call Substrate.install first")
    return found


@typed
def age(device: nn.Module, updates: int) -> None:
    """Let a device drift as far as it does during so many updates, without learning: a device at rest, or a jump.

    Args:
        device: a net or a layer on a substrate.
        updates: how many; as many as a run has take each weight as far as `Substrate.drift` says.

    Raises:
        SettingError: it has no analog weights.
    """
    counts(updates=updates)
    for each in _arrays("device", device):
        each.age(updates)


@typed
def last(device: nn.Module, updates: int) -> None:
    """Set how many updates a run of a device has, over which its drift sums up.

    A trainer does that for devices of which it is not known.

    Raises:
        SettingError: it has no analog weights.
    """
    for each in _arrays("device", device):
        each.last(updates)


@typed
@torch.no_grad()
def program(device: nn.Module, net: nn.Module) -> None:
    """Write all parameters of a net into a device of the same form: weights with the errors of programming, biases and
    softmax as they are.

    Of a net that is a device itself, that is what was written into its devices, not what they give: nobody measures
    each of them.

    Raises:
        SettingError: the device has no analog weights, or the net has other parameters.
    """
    analog = {id(each.value): each for each in _arrays("device", device)}
    there, given = dict(device.named_parameters()), dict(net.named_parameters())
    if {name: one.shape for name, one in there.items()} != {name: one.shape for name, one in given.items()}:
        raise SettingError("net: it has other parameters than the device, expected a net of the same form")
    for name, parameter in there.items():
        if (array := analog.get(id(parameter))) is not None:
            array.program(given[name])
        else:
            parameter.copy_(given[name])
