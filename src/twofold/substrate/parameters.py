"""Physical parameters of an analog substrate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

from twofold.checks import check_arguments, check_fields, convert
from twofold.checks.bounds import counts, floating, not_negative, positive, share
from twofold.errors import SettingError
from twofold.layers.connectivity import Full
from twofold.substrate.weights import AnalogWeights

M = TypeVar("M", bound=nn.Module)

OF_FULL_SCALE = ("programming_noise", "read_noise", "offset", "stuck", "bits")
"""Names of the parameters that require ``full_scale``, since their unit is the full scale."""
UPDATES = 10_000
"""Assumed number of updates in a run if the number is not known."""
MOST_BITS = 24
"""Maximum number of bits of converters and pulses: the bits of a significand in single precision."""


@dataclass(frozen=True, kw_only=True)
class Substrate:
    """An analog substrate: arrays of devices that store weights, and the neurons at the outputs of the arrays.

    A weight is the difference of two conductances, w = scale · (g⁺ - g⁻). Many parameters are relative to one of two
    quantities, which are measured when the substrate is installed. The *spread* of an array is the root mean square of
    the weights in the array. The *signal* of a layer is the root mean square of the pre-activations for inputs with a
    mean square of 1; a dense layer with initial weights has the signal 1. A parameter that is ``None`` or 0 has no
    effect. By default the substrate is ideal.

    Attributes:
        g_min: Smallest conductance of a device, in microsiemens.
        g_max: Largest conductance of a device, in microsiemens.
        full_scale: Weight that corresponds to g⁺ - g⁻ = g_max - g_min, in units of the spread. Weights are clipped to
            ± full scale. ``None``: no limit.
        mismatch: Standard deviation of the gains of devices, relative to the nominal gain. Log-normal, fixed for each
            device.
        offset: Standard deviation of the output of a device at a nominal weight of 0, relative to the full scale. Fixed
            for each device.
        stuck: Share of the devices whose weight is fixed at a random value, uniform over the range.
        programming_noise: Standard deviation of the error of a programmed weight, relative to the full scale. It
            applies when an array is programmed, not to the pulses of learning.
        read_noise: Standard deviation of the noise of each device at each read, relative to the full scale. It is
            independent for all devices and reads. The noise of the devices of a unit with inputs x adds up to Gaussian
            noise with a standard deviation of read_noise · √Σx².
        bits: Resolution of pulses: a pulse changes a weight by 1 / (2^bits - 1) of the range from -full scale to + full
            scale. An update is a whole number of pulses, rounded up or down at random so that its mean is exact.
            ``None``: updates are exact.
        asymmetry: Relative amount by which upward pulses are larger, and downward pulses smaller, than nominal, in
            (-1, 1).
        softness: Dependence of the pulse size on the weight, from 0 (constant size) to 1 (soft bounds). With soft
            bounds, a pulse towards a bound is proportional to the distance from this bound: 0 at the bound, and twice
            the nominal size at the opposite bound.
        pulse_spread: Standard deviation of the mean pulse sizes of devices, relative to nominal. Log-normal, fixed for
            each device.
        pulse_noise: Standard deviation of the size of single pulses, relative to nominal, independent for all pulses.
        drift: Root mean square of the change of a weight by a random walk during a run, relative to the current root
            mean square of the weights.
        updates: Number of updates in a run, over which drift and neuron_drift accumulate. ``None``: the number of
            updates of the first training, or 10,000 if layers learn without a trainer.
        dac_bits: Resolution of the inputs of an array. ``None``: analog inputs.
        dac_range: Full scale of the inputs, in the units of the activities, whose mean square is 1. Inputs are
            clipped to ± this value.
        adc_bits: Resolution of the products of an array. ``None``: analog products.
        adc_range: Full scale of the products, in units of the signal. Products are clipped to ± this value.
        threshold: Standard deviation of the thresholds of neurons, in units of the signal.
        neuron_gain: Standard deviation of the gains of neurons, relative to nominal. Log-normal.
        saturation: Pre-activation at which neurons saturate, in units of the signal. ``None``: no saturation.
        saturation_spread: Standard deviation of the saturation of neurons, relative to its mean. Log-normal.
        exponent: Standard deviation of the exponents p of neurons. A neuron replaces its pre-activation z, in units of
            the signal, by sign(z) |z|^p. Log-normal with mean 1, the ideal exponent.
        neuron_drift: Root mean square of the change of a neuron by a random walk during a run: of its threshold, in
            units of the signal, and of its gain, relative to the gain.

    Raises:
        ArgumentError: A parameter has the wrong type.
        SettingError: A parameter is outside its physical range, or requires another parameter.
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
                raise SettingError(f"{name} is {number}, expected 1 to {MOST_BITS} bits, or None for no limit")
        if self.g_max <= self.g_min:
            raise SettingError(f"g_max is {self.g_max}, expected more than g_min, which is {self.g_min} microsiemens")
        if not -1 < self.asymmetry < 1:
            raise SettingError(f"asymmetry is {self.asymmetry}, expected more than -1 and less than 1")
        if not 0 <= self.softness <= 1:
            raise SettingError(f"softness is {self.softness}, expected 0 (constant pulses) to 1 (soft bounds)")
        self._expect("full_scale", OF_FULL_SCALE, "a number, such as 4")
        self._expect("bits", ("asymmetry", "softness", "pulse_spread", "pulse_noise"), "a number")
        self._expect("saturation", ("saturation_spread",), "a number")

    def _expect(self, needed: str, by: tuple[str, ...], expected: str) -> None:
        """Raise an error if a parameter in ``by`` is set although the parameter ``needed`` is ``None``."""
        used = next((name for name in by if getattr(self, name)), None)
        if used is not None and getattr(self, needed) is None:
            raise SettingError(
                f"{used} is {getattr(self, used)} and {needed} is None, expected {needed} to be {expected}"
            )

    @property
    def run_length(self) -> int:
        """Number of updates in a run; `UPDATES` if ``updates`` is ``None``."""
        return UPDATES if self.updates is None else self.updates

    @property
    def has_neurons(self) -> bool:
        """True if the neurons of the substrate are not ideal."""
        numbers = (self.threshold, self.neuron_gain, self.exponent, self.neuron_drift)
        return any(numbers) or self.saturation is not None

    @check_arguments
    def install(self, module: M, seed: int) -> M:
        """Store the weights of a net, or of a single layer, in analog devices, in place.

        The properties of the devices are drawn from the seed, and the weights are programmed into the devices. The same
        substrate and seed always give the same devices. The softmax classifier, biases and smoothed gradients stay
        digital.

        Args:
            module: Net or weighted layer, such as `Dense`, `LocallyConnected`, `Convolution` or `RecurrentLayer`.
            seed: Seed of the properties and the noise of the devices.

        Returns:
            The module.

        Raises:
            SettingError: The module has no weighted layer, or its weights are analog already.
        """
        from twofold.substrate.device import install

        install(self, convert("module", module, nn.Module), seed)
        return module

    @check_arguments
    def array(self, weight: Tensor, seed: int) -> AnalogWeights:
        """Return an array of devices that stores a weight matrix W ``(units, inputs)``.

        ``array.product(rows, total)`` returns total + rows · Wᵀ as computed by the devices, for inputs ``(rows,
        inputs)`` and an addend ``total``, such as biases ``(units,)``.
        """
        floating("weight", weight, "units", "inputs")
        units, inputs = weight.shape
        return AnalogWeights(nn.Module(), "weight", weight.detach().clone(), Full(units, inputs), self, seed)
