"""What an analog substrate is: its physical parameters, each with its unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

from twofold.checks import check_fields, convert, typed
from twofold.checks.bounds import counts, floating, not_negative, positive, share
from twofold.errors import SettingError
from twofold.layers.connectivity import Full
from twofold.substrate.weights import AnalogWeights

M = TypeVar("M", bound=nn.Module)

OF_FULL_SCALE = ("programming_noise", "read_noise", "offset", "stuck", "bits")
"""Parameters that are stated relative to the full scale, so that there has to be one."""
UPDATES = 10_000
"""Updates of a run whose length is not known."""
MOST_BITS = 24
"""Of converters and pulses: more than single precision can tell apart."""


@dataclass(frozen=True, kw_only=True)
class Substrate:
    """An analog substrate: arrays of devices that hold weights, and the neurons at their edges.

    A weight is the difference of two conductances, w = scale · (g⁺ - g⁻). Two units are used beside it, both found when
    the substrate is installed: the *spread* of an array is the root mean square of its weights at that moment, and the
    *signal* of a layer is the root mean square of its total inputs then, for inputs with a mean square of 1 (1 for a
    dense layer with its first weights). What is ``None`` or 0 has no effect, and a substrate of which all is so is
    ideal.

    Attributes:
        g_min: smallest conductance of a device, in microsiemens.
        g_max: largest conductance of a device, in microsiemens.
        full_scale: the weight that g⁺ - g⁻ = g_max - g_min stands for, in units of the spread; larger weights are cut
            off there. ``None`` is no limit.
        mismatch: standard deviation of the gains of devices relative to the nominal gain; log-normal, fixed for a
            device.
        offset: standard deviation of what a device gives at a nominal weight of 0, relative to the full scale; fixed.
        stuck: share of the devices that are stuck at a random weight, anywhere in the range, whatever is written.
        programming_noise: standard deviation of the error with which a programmed weight lands, relative to the full
            scale. It acts where an array is programmed, not at the pulses of learning.
        read_noise: standard deviation of the noise of each device at each read, relative to the full scale, independent
            between devices and reads. Where the inputs are x, its sum is Gaussian with a standard deviation of
            read_noise · √Σx², which is what is drawn.
        bits: a pulse moves a weight by 1 / (2^bits - 1) of the range from -full scale to + full scale, and an update is
            a number of whole pulses, rounded up or down at random so that it is right on average. ``None``: an update
            lands exactly as it is wanted.
        asymmetry: relative amount by which a pulse upwards is larger, and one downwards smaller, than nominal, in
            (-1, 1).
        softness: how far the size of a pulse falls on the way to the bound that it moves to, from 0 (constant) to 1
            (soft bounds: it is proportional to the distance from the bound, and twice the nominal at the other one).
        pulse_spread: standard deviation of the mean size of a device's pulses relative to nominal; log-normal, fixed.
        pulse_noise: standard deviation of the size of a single pulse relative to nominal, drawn anew for each.
        drift: root mean square by which each weight wanders off during a run, relative to the root mean square of the
            weights at the time, in a random walk.
        updates: how many updates a run has, over which drift and neuron_drift sum up. ``None``: as many as the first
            training has, and 10,000 where layers learn without a trainer.
        dac_bits: resolution of the inputs of an array. ``None``: inputs are analog.
        dac_range: the full scale of the inputs, in their own units (activities have a mean square of 1): they are cut
            off at ± this.
        adc_bits: resolution at which the products of an array are read. ``None``: products stay analog.
        adc_range: full scale of the products, in units of the signal: they are cut off at ± this.
        threshold: standard deviation of the thresholds of neurons, in units of the signal.
        neuron_gain: standard deviation of the gains of neurons relative to nominal; log-normal.
        saturation: total input beyond which neurons no longer respond, in units of the signal. ``None``: none.
        saturation_spread: standard deviation of that, relative to it; log-normal.
        exponent: standard deviation of the exponents p of neurons, which respond to z as sign(z) |z|^p, in units of the
            signal, where an ideal one has p = 1; log-normal.
        neuron_drift: root mean square by which the threshold of each neuron wanders off during a run, in units of the
            signal, and its gain, relative to it.

    Raises:
        ArgumentError: a parameter is of the wrong type.
        SettingError: a parameter is outside its physical range, or needs another one.
    """

    g_min: float = 0.0
    g_max: float = 25.0
    full_scale: float | None = None
    mismatch: float = 0.0
    offset: float = 0.0
    stuck: float = 0.0
    programming_noise: float = 0.0
    read_noise: float = 0.0
    bits: int | None = None
    asymmetry: float = 0.0
    softness: float = 0.0
    pulse_spread: float = 0.0
    pulse_noise: float = 0.0
    drift: float = 0.0
    updates: int | None = None
    dac_bits: int | None = None
    dac_range: float = 10.0
    adc_bits: int | None = None
    adc_range: float = 10.0
    threshold: float = 0.0
    neuron_gain: float = 0.0
    saturation: float | None = None
    saturation_spread: float = 0.0
    exponent: float = 0.0
    neuron_drift: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self)
        not_negative(g_min=self.g_min, mismatch=self.mismatch, offset=self.offset, drift=self.drift)
        not_negative(programming_noise=self.programming_noise, read_noise=self.read_noise)
        not_negative(pulse_spread=self.pulse_spread, pulse_noise=self.pulse_noise)
        not_negative(threshold=self.threshold, neuron_gain=self.neuron_gain, exponent=self.exponent)
        not_negative(saturation_spread=self.saturation_spread, neuron_drift=self.neuron_drift)
        positive(full_scale=self.full_scale, saturation=self.saturation)
        positive(dac_range=self.dac_range, adc_range=self.adc_range, g_max=self.g_max)
        share(stuck=self.stuck)
        counts(updates=self.updates)
        for name in ("bits", "dac_bits", "adc_bits"):
            number = getattr(self, name)
            if number is not None and not 1 <= number <= MOST_BITS:
                raise SettingError(f"{name} is {number}, expected 1 to {MOST_BITS} bits, or None for no such limit")
        if self.g_max <= self.g_min:
            raise SettingError(f"g_max is {self.g_max}, expected more than g_min, which is {self.g_min} microsiemens")
        if not -1 < self.asymmetry < 1:
            raise SettingError(f"asymmetry is {self.asymmetry}, expected more than -1 and less than 1")
        if not 0 <= self.softness <= 1:
            raise SettingError(f"softness is {self.softness}, expected 0 (constant pulses) to 1 (soft bounds)")
        self._expect("full_scale", OF_FULL_SCALE, "a number, such as 4: it is relative to that")
        self._expect("bits", ("asymmetry", "softness", "pulse_spread", "pulse_noise"), "a number: there are no pulses")
        self._expect("saturation", ("saturation_spread",), "a number: nothing saturates")

    def _expect(self, needed: str, by: tuple[str, ...], expected: str) -> None:
        """Refuse parameters that say nothing without another one."""
        used = next((name for name in by if getattr(self, name)), None)
        if used is not None and getattr(self, needed) is None:
            raise SettingError(
                f"{used} is {getattr(self, used)} and {needed} is None, expected {needed} to be {expected}"
            )

    @property
    def run_length(self) -> int:
        """How many updates a run has."""
        return UPDATES if self.updates is None else self.updates

    @property
    def has_neurons(self) -> bool:
        """Whether neurons are other than ideal."""
        numbers = (self.threshold, self.neuron_gain, self.exponent, self.neuron_drift)
        return any(numbers) or self.saturation is not None

    @typed
    def install(self, module: M, seed: int) -> M:
        """Turn every weighted layer of a net, or a single one, into an analog one, in place.

        Its weights are programmed into devices that are drawn from the seed: one substrate and one seed are one device.
        A softmax that reads the net, biases and smoothed gradients stay digital.

        Args:
            module: a net, or a layer: `Dense`, `Local`, `Convolution`, `RecurrentLayer`, or another one of weights.
            seed: of the devices and of their noise.

        Returns:
            The module.

        Raises:
            SettingError: it has no weighted layer, or one that is analog already.
        """
        from twofold.substrate.device import install

        install(self, convert("module", module, nn.Module), seed)
        return module

    @typed
    def array(self, weight: Tensor, seed: int) -> AnalogWeights:
        """An array of devices with a plain matrix of weights, ``(units, inputs)``, in a module of its own.

        ``array.product(rows, total)`` is total + rows · Wᵀ as the device gives it, for ``(rows, inputs)``.
        """
        floating("weight", weight, "units", "inputs")
        units, inputs = weight.shape
        return AnalogWeights(nn.Module(), "weight", weight.detach().clone(), Full(units, inputs), self, seed)
