"""Weights stored in analog devices. Matrix products read the devices, and pulses write them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from twofold.errors import SettingError
from twofold.layers.connectivity import Connectivity
from twofold.layers.weights import Weights
from twofold.learning import BLOCK, Rule
from twofold.substrate.noise import Noise, log_normal, mixed

if TYPE_CHECKING:
    from twofold.substrate.neurons import Neurons
    from twofold.substrate.parameters import Substrate

SLICES = 16
"""Number of slices of an array. An update applies drift and decay to one slice only, as much as for 16 updates."""


class AnalogWeights(Weights):
    """Weights stored in the devices of a `Substrate`.

    The parameter stores the written values: the weights that nominal devices would have. The effective weight of a
    device is gain · written + offset. `effective` and `to_matrix` return effective weights; `product` uses them with
    read noise and converters. A stuck device has a gain of 0, and an offset equal to the fixed weight.

    An update requests a change of rate · velocity. The velocity is the smoothed gradient, which is stored digitally.
    With pulses (``bits``), the change is rounded to whole pulses. Decay requests a change of -rate · decay · w, where w
    is read from the devices, with read noise. Without pulses, updates and decay are exact.

    Gains, offsets, pulse sizes, and the numbers of past reads and updates are buffers of the module in ``state_dict``:
    NAME_gain, NAME_offset, NAME_pulse and NAME_counts. Buffers that the substrate does not need are omitted. Together,
    the buffers define the device. The gain is 0 where the connectivity has no weight.

    Args:
        module, name, value, connectivity: See `Weights`. The value is programmed into the devices.
        substrate: Physical parameters.
        seed: Seed of this array.
        signal: Root mean square of the layer's pre-activations, the unit of ``adc_range``. By default, the signal is
            computed from these weights alone.
        neurons: Neurons of the layer, which drift together with these weights.

    Attributes:
        spread: Root mean square of the weights when they were first programmed.
        scale: Largest possible weight; infinite if the substrate has no full scale.
    """

    def __init__(
        self,
        module: nn.Module,
        name: str,
        value: Tensor,
        connectivity: Connectivity,
        substrate: Substrate,
        seed: int,
        signal: float | None = None,
        neurons: Neurons | None = None,
    ) -> None:
        super().__init__(module, name, value, connectivity)
        self.substrate = substrate
        self.neurons = neurons
        self.linear = not substrate.read_noise and substrate.dac_bits is None and substrate.adc_bits is None
        self.spread = spread_of(value, connectivity)
        self.signal = signal_of([(value, connectivity)]) if signal is None else signal
        self.scale = math.inf if substrate.full_scale is None else substrate.full_scale * self.spread
        self._noise = Noise(module, name, seed)
        self._cached: tuple[list[object], Tensor] | None = None
        self._make_devices(torch.Generator().manual_seed(mixed(seed, len("devices"))))
        self.program(value)

    def _make_devices(self, generator: torch.Generator) -> None:
        """Draw the properties of the devices on the CPU, so that a seed gives the same devices on any machine."""
        substrate, shape = self.substrate, self.value.shape
        exists = self.connectivity.mask(torch.ones_like(self.value)).cpu()
        gain, offset = exists, torch.zeros(shape)
        if substrate.mismatch:
            gain = gain * log_normal(substrate.mismatch, shape, generator)
        if substrate.offset:
            offset = exists * substrate.offset * self.scale * torch.randn(shape, generator=generator)
        if substrate.stuck:
            stuck = torch.rand(shape, generator=generator) < substrate.stuck
            anywhere = exists * self.scale * (2 * torch.rand(shape, generator=generator) - 1)
            gain, offset = gain.masked_fill(stuck, 0.0), anywhere.where(stuck, offset)
        if (gain != 1).any():
            self._register("gain", gain)
        if offset.any():
            self._register("offset", offset)
        if substrate.pulse_spread:
            self._register("pulse", log_normal(substrate.pulse_spread, shape, generator))

    def _register(self, name: str, tensor: Tensor) -> None:
        self._module.register_buffer(f"{self._name}_{name}", tensor.to(self.value))

    def _buffer(self, name: str) -> Tensor | None:
        buffer: Tensor | None = getattr(self._module, f"{self._name}_{name}", None)
        return buffer

    @property
    def gain(self) -> Tensor | None:
        """Gain of each device, 0 for stuck and missing devices; ``None`` if all devices have the nominal gain."""
        return self._buffer("gain")

    @property
    def offset(self) -> Tensor | None:
        """Effective weight of each device at a written weight of 0; ``None`` if all offsets are 0."""
        return self._buffer("offset")

    @property
    def pulse(self) -> float:
        """Nominal change of a weight by one pulse."""
        assert self.substrate.bits is not None
        return 2 * self.scale / float(2**self.substrate.bits - 1)

    # ---- reading -----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def effective(self) -> Tensor:
        """Return the effective weights, without read noise, in the data type of the matrix products."""
        gain, offset, dtype = self.gain, self.offset, self.compute or self.value.dtype
        if gain is None and offset is None:
            return super().effective()
        tensors = [tensor for tensor in (self.value, gain, offset) if tensor is not None]
        state: list[object] = [dtype, *((tensor.data_ptr(), tensor._version) for tensor in tensors)]
        if self._cached is not None and self._cached[0] == state:
            return self._cached[1]
        effective = None if self._cached is None else self._cached[1]  # reused: caches of products check its version
        if effective is None or (effective.dtype, effective.device) != (dtype, self.value.device):
            effective = torch.empty(self.value.shape, dtype=dtype, device=self.value.device)
        flat = effective.view(-1)
        for first in range(0, len(flat), BLOCK):
            block = slice(first, first + BLOCK)
            flat[block] = self._effective(block)
        self._cached = state, effective
        return effective

    def _effective(self, block: slice) -> Tensor:
        """Return the effective weights of the devices in ``block``, in memory order, without read noise."""
        written, gain, offset = self.value.detach().view(-1)[block], self.gain, self.offset
        scaled = written if gain is None else written * gain.view(-1)[block]
        return scaled if offset is None else scaled + offset.view(-1)[block]

    def product(self, rows: Tensor, total: Tensor) -> Tensor:
        """Return ``total`` + rows · Wᵀ as computed by the devices in one read, ``(rows, units)``.

        Each read has independent noise. ``total``, such as biases, is digital and is added after the converters.
        """
        substrate, weight = self.substrate, self.effective()
        if substrate.dac_bits is not None:
            rows = quantized(rows, substrate.dac_range, substrate.dac_bits)
        if substrate.adc_bits is None:
            return self._noisy(self.connectivity.matmul(weight, rows, total), rows)
        product = self.connectivity.matmul(weight, rows, weight.new_zeros(self.connectivity.units))
        product = quantized(self._noisy(product, rows), substrate.adc_range * self.signal, substrate.adc_bits)
        if total.dim() == 1:
            total = total.repeat_interleave(self.connectivity.units // len(total))
        return product + total

    def _noisy(self, product: Tensor, rows: Tensor) -> Tensor:
        """Add the noise of one read to a product, in place.

        The independent noise of all devices of a unit adds up to Gaussian noise with a variance proportional to Σx².
        This sum is drawn as a single random number.
        """
        if not self.substrate.read_noise:
            return product
        noise = torch.empty_like(product)  # with the same strides, filled in the order of memory
        noise.as_strided((noise.numel(),), (1,)).normal_(generator=self._noise.next("read"))
        size = self.connectivity.reduce_inputs(rows.square()).sqrt_().to(product.dtype)
        return product.addcmul_(noise, size, value=self.substrate.read_noise * self.scale)

    def to_matrix(self) -> Tensor:
        """Return the effective weights without read noise, ``(units, inputs)``, 0 where there is no connection."""
        return self.connectivity.to_matrix(self._effective(slice(None)).view(self.value.shape))

    def conductances(self) -> tuple[Tensor, Tensor]:
        """Return the conductances g⁺ and g⁻ of the written weights, in microsiemens, each in the shape of the weights.

        One of the two conductances represents the weight; the other conductance is ``g_min``.

        Raises:
            SettingError: The substrate has no full scale, so the weights do not correspond to conductances.
        """
        substrate = self.substrate
        if substrate.full_scale is None:
            raise SettingError("full_scale is None, expected a number, which relates weights to microsiemens")
        carried = self.value.detach() * ((substrate.g_max - substrate.g_min) / self.scale)
        return substrate.g_min + carried.clamp(min=0), substrate.g_min - carried.clamp(max=0)

    def forget(self) -> None:
        super().forget()
        self._cached = None

    def __getstate__(self) -> dict[str, object]:
        """Return the attributes for pickling and copying, without the cache."""
        return {**vars(self), "_cached": None}

    # ---- writing -----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def program(self, weights: Tensor) -> None:
        """Write ``weights``, in the shape of the parameter, into the devices, with programming errors and clipping."""
        written = weights.to(self.value)
        if self.substrate.programming_noise:
            error = torch.empty_like(written).normal_(generator=self._noise.next("update"))
            written = written + self.connectivity.mask(error) * self.substrate.programming_noise * self.scale
        self.value.copy_(written.clamp(-self.scale, self.scale))

    @torch.no_grad()
    def apply(self, rate: float, rule: Rule, counted: Tensor | float) -> None:
        if self.gradient is None:
            return
        generator = self._noise.next("update")
        if self.substrate.bits is None:
            super().apply(rate, rule, counted)
            if self.scale < math.inf:
                self.value.clamp_(-self.scale, self.scale)
        else:
            self._send_pulses(rate, rule, counted, generator)
        turn = self._turn(self._noise.count("update"))
        if self.substrate.drift:
            self._wander(turn, SLICES, generator)
        if self.neurons is not None:
            self.neurons.wander(1, generator)

    def _turn(self, number: int) -> slice:
        """Return the slice of the devices to which update ``number`` applies drift and decay."""
        size = -(-self.value.numel() // SLICES)
        return slice(number % SLICES * size, (number % SLICES + 1) * size)

    def _send_pulses(self, rate: float, rule: Rule, counted: Tensor | float, generator: torch.Generator) -> None:
        """Update the smoothed gradient v, and send pulses to change the weights w.

        v ← smoothing · v + (1 - smoothing) · gradient,     change of w = rate · (v - counted · decay · w)
        """
        assert self.gradient is not None
        gradients = self.connectivity.mask(self.gradient).reshape(-1)
        velocities = self.velocity.view(-1)
        for first in range(0, len(velocities), BLOCK):
            block = slice(first, first + BLOCK)
            v = velocities[block].lerp_(gradients[block].to(velocities.dtype), 1 - rule.smoothing)
            self._write(block, v * rate, generator)
        if rule.decay:
            turn = self._turn(self._noise.count("update"))
            self._write(turn, self._read(turn, generator) * (-SLICES * rate * rule.decay * counted), generator)
        self.gradient = None

    def _read(self, block: slice, generator: torch.Generator) -> Tensor:
        """Return the effective weights of the devices in ``block``, with read noise."""
        weights = self._effective(block)
        if not self.substrate.read_noise:
            return weights
        noise = torch.empty_like(weights).normal_(0, self.substrate.read_noise * self.scale, generator=generator)
        return noise + weights

    def _write(self, block: slice, wanted: Tensor, generator: torch.Generator) -> None:
        """Send pulses to a block of devices.

        n = ⌊wanted / pulse + u⌋ pulses, with u uniform in [0, 1), change a weight w by

            pulse · size · (n (1 + asymmetry · s) (1 - softness · s · w / scale) + √|n| · pulse_noise · N(0, 1)),

        where s is the sign of n, and size is the pulse size of the device relative to nominal.

        Args:
            block: Slice of the devices.
            wanted: Requested change of each device's weight.
            generator: Random number generator for the rounding and the pulse noise.
        """
        substrate, written = self.substrate, self.value.detach().view(-1)[block]
        random = torch.empty_like(wanted).uniform_(generator=generator)
        pulses = torch.add(random, wanted, alpha=1 / self.pulse, out=random).floor_()
        moved = pulses
        if substrate.asymmetry or substrate.softness or substrate.pulse_noise:
            count = pulses.abs()
            moved = torch.add(pulses, count, alpha=substrate.asymmetry)
            if substrate.softness:  # upwards by 1 - softness · w / scale, downwards by 1 + softness · w / scale
                against = torch.add(count, pulses, alpha=substrate.asymmetry)
                moved = torch.addcmul(moved, written, against, value=-substrate.softness / self.scale)
            if substrate.pulse_noise:
                noise = torch.empty_like(moved).normal_(generator=generator)
                moved = moved.addcmul_(noise, count.sqrt_(), value=substrate.pulse_noise)
        sizes = self._buffer("pulse")
        if sizes is None:
            written.add_(moved, alpha=self.pulse)
        else:
            written.addcmul_(moved, sizes.view(-1)[block], value=self.pulse)
        written.clamp_(-self.scale, self.scale)

    # ---- aging -------------------------------------------------------------------------------------------------

    def set_run_length(self, updates: int) -> None:
        """Set the number of updates in a run, for these devices and for the neurons that drift with them."""
        self.substrate = replace(self.substrate, updates=updates)
        if self.neurons is not None:
            self.neurons.substrate = self.substrate

    @torch.no_grad()
    def drift(self, updates: int) -> None:
        """Let all devices, and the neurons of the layer, drift as much as in ``updates`` updates, without learning."""
        generator = self._noise.next("update")
        if self.substrate.drift:
            self._wander(slice(None), updates, generator)
        if self.neurons is not None:
            self.neurons.wander(updates, generator)

    def _wander(self, block: slice, updates: int, generator: torch.Generator) -> None:
        """Let the devices in ``block``, except stuck devices, drift as much as in ``updates`` updates."""
        written, gain = self.value.detach().view(-1)[block], self.gain
        moves = torch.ones_like(written) if gain is None else (gain.view(-1)[block] != 0).to(written.dtype)
        mean_square = (written.square() * moves).sum() / moves.sum().clamp(min=1)
        step = self.substrate.drift * math.sqrt(updates / self.substrate.run_length)
        noise = torch.empty_like(written).normal_(0, step, generator=generator)
        written.addcmul_(noise, moves * mean_square.sqrt()).clamp_(-self.scale, self.scale)


def spread_of(weights: Tensor, connectivity: Connectivity) -> float:
    """Return the root mean square of the weights of connections, or 1 / √(mean fan-in) if all weights are 0."""
    exist = connectivity.mask(torch.ones_like(weights)).sum()
    spread = (weights.detach().square().sum() / exist).sqrt().item()
    return spread or connectivity.fan_in().float().mean().clamp(min=1).rsqrt().item()


def signal_of(sources: Iterable[tuple[Tensor, Connectivity]]) -> float:
    """Return the root mean square of pre-activations ΣWx, for independent inputs x with a mean square of 1."""
    squares = (spread_of(weights, links) ** 2 * links.fan_in().float().mean().item() for weights, links in sources)
    return math.sqrt(sum(squares))


def quantized(values: Tensor, full_scale: float, bits: int) -> Tensor:
    """Round values to the nearest of 2^bits - 1 levels, evenly spaced from -full scale to + full scale."""
    most = max(2 ** (bits - 1) - 1, 1)
    levels: Tensor = (values * (most / full_scale)).round_().clamp_(-most, most)
    levels *= full_scale / most
    return levels
