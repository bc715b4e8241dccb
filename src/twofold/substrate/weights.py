"""Weights that analog devices hold: they are read in products, and written with pulses."""

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
"""Parts of an array that take turns: at each update one of them drifts and decays, for as many updates at once."""


class AnalogWeights(Weights):
    """Weights as the devices of a `Substrate` hold them.

    The parameter is what was written, as the weight that it stands for on a nominal device. What a device gives is
    gain · written + offset, and nothing else comes out of it: `in_use` is that, `product` is that with read noise and
    converters, and `to_matrix` is that as a matrix. A stuck device has a gain of 0, and its weight for an offset.

    An update asks for a change of rate · velocity: the smoothed gradient is digital memory beside the array. Where
    updates are pulses, each is a number of whole pulses, and decay asks for a change of -rate · decay · w, where w is
    read from the devices, with their noise. Without pulses an update lands as it is wanted, decay with it.

    Gains, offsets, sizes of pulses and the counts of reads and updates are buffers of the module in ``state_dict``,
    NAME_gain, NAME_offset, NAME_pulse and NAME_counts, each only where the substrate has it: they are the device. Where
    a connectivity has no device the gain is 0.

    Args:
        module, name, value, connectivity: as those of `Weights`; the value is programmed.
        substrate: the physics.
        seed: of this array.
        signal: root mean square of the layer's total inputs, the unit of the converters' range; that of these weights
            alone where it is not given.
        neurons: of the layer, where they drift with these weights.

    Attributes:
        spread: root mean square of the weights when they were programmed first.
        scale: the largest weight; infinite where there is no limit.
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
        self.shares_products = not substrate.read_noise and substrate.dac_bits is None and substrate.adc_bits is None
        self.spread = spread_of(value, connectivity)
        self.signal = signal_of([(value, connectivity)]) if signal is None else signal
        self.scale = math.inf if substrate.full_scale is None else substrate.full_scale * self.spread
        self._noise = Noise(module, name, seed)
        self._made: tuple[list[object], Tensor] | None = None
        self._make_devices(torch.Generator().manual_seed(mixed(seed, len("devices"))))
        self.program(value)

    def _make_devices(self, generator: torch.Generator) -> None:
        """Draw the devices, on the CPU, where a seed always gives the same ones."""
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
            self._keep("gain", gain)
        if offset.any():
            self._keep("offset", offset)
        if substrate.pulse_spread:
            self._keep("pulse", log_normal(substrate.pulse_spread, shape, generator))

    def _keep(self, what: str, tensor: Tensor) -> None:
        self._module.register_buffer(f"{self._name}_{what}", tensor.to(self.value))

    def _part(self, what: str) -> Tensor | None:
        found: Tensor | None = getattr(self._module, f"{self._name}_{what}", None)
        return found

    @property
    def gain(self) -> Tensor | None:
        """Of each device, 0 where it is stuck or missing; ``None`` where all have the nominal one."""
        return self._part("gain")

    @property
    def offset(self) -> Tensor | None:
        """What each device gives at a nominal weight of 0; ``None`` where that is 0."""
        return self._part("offset")

    @property
    def pulse(self) -> float:
        """The nominal change of a weight by one pulse."""
        assert self.substrate.bits is not None
        return 2 * self.scale / float(2**self.substrate.bits - 1)

    # ---- reading -----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def in_use(self) -> Tensor:
        """What the devices give without noise, as weights in the type of the products."""
        gain, offset, kind = self.gain, self.offset, self.compute or self.value.dtype
        if gain is None and offset is None:
            return super().in_use()
        parts = [part for part in (self.value, gain, offset) if part is not None]
        state: list[object] = [kind, *((part.data_ptr(), part._version) for part in parts)]
        if self._made is not None and self._made[0] == state:
            return self._made[1]
        made = None if self._made is None else self._made[1]  # what is kept of products knows it by its version
        if made is None or (made.dtype, made.device) != (kind, self.value.device):
            made = torch.empty(self.value.shape, dtype=kind, device=self.value.device)
        given = made.view(-1)
        for first in range(0, len(given), BLOCK):
            block = slice(first, first + BLOCK)
            given[block] = self._given(block)
        self._made = state, made
        return made

    def _given(self, block: slice) -> Tensor:
        """What some devices, counted as they are stored, give without noise."""
        written, gain, offset = self.value.detach().view(-1)[block], self.gain, self.offset
        given = written if gain is None else written * gain.view(-1)[block]
        return given if offset is None else given + offset.view(-1)[block]

    def product(self, rows: Tensor, total: Tensor) -> Tensor:
        """``total`` + rows · Wᵀ as the devices give it, ``(rows, units)``; one read, with noise of its own.

        The total, such as biases, is added after the converters.
        """
        substrate, weight = self.substrate, self.in_use()
        if substrate.dac_bits is not None:
            rows = quantized(rows, substrate.dac_range, substrate.dac_bits)
        if substrate.adc_bits is None:
            return self._noisy(self.connectivity.times(weight, rows, total), rows)
        product = self.connectivity.times(weight, rows, weight.new_zeros(self.connectivity.units))
        product = quantized(self._noisy(product, rows), substrate.adc_range * self.signal, substrate.adc_bits)
        if total.dim() == 1:
            total = total.repeat_interleave(self.connectivity.units // len(total))
        return product + total

    def _noisy(self, product: Tensor, rows: Tensor) -> Tensor:
        """The product, in place, with the noise of one read: Σ over devices of independent noise · x, which is Gaussian
        with a variance of Σx², is drawn as that."""
        if not self.substrate.read_noise:
            return product
        noise = torch.empty_like(product)  # in the same order in memory, whose numbers are drawn one after the other
        noise.as_strided((noise.numel(),), (1,)).normal_(generator=self._noise.next("read"))
        size = self.connectivity.sum_seen(rows.square()).sqrt_().to(product.dtype)
        return product.addcmul_(noise, size, value=self.substrate.read_noise * self.scale)

    def to_matrix(self) -> Tensor:
        """What the devices give without noise, as a matrix, ``(units, inputs)``, zero where there are none."""
        return self.connectivity.to_matrix(self._given(slice(None)).view(self.value.shape))

    def conductances(self) -> tuple[Tensor, Tensor]:
        """g⁺ and g⁻ of each weight as it was written, in microsiemens, as weights are stored: one of them carries the
        weight, the other one is at its smallest.

        Raises:
            SettingError: the substrate has no full scale, so that a weight is no conductance.
        """
        substrate = self.substrate
        if substrate.full_scale is None:
            raise SettingError("full_scale is None, expected a number: what a weight is in microsiemens is open")
        carried = self.value.detach() * ((substrate.g_max - substrate.g_min) / self.scale)
        return substrate.g_min + carried.clamp(min=0), substrate.g_min - carried.clamp(max=0)

    def forget(self) -> None:
        super().forget()
        self._made = None

    def __getstate__(self) -> dict[str, object]:
        """Without what can be made again."""
        return {**vars(self), "_made": None}

    # ---- writing -----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def program(self, weights: Tensor) -> None:
        """Write weights, as they are stored, into the devices: cut off at the full scale, each with an error."""
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
        """The devices whose turn it is."""
        size = -(-self.value.numel() // SLICES)
        return slice(number % SLICES * size, (number % SLICES + 1) * size)

    def _send_pulses(self, rate: float, rule: Rule, counted: Tensor | float, generator: torch.Generator) -> None:
        """v ← smoothing · v + (1 - smoothing) · gradient; pulses for a change of rate · (v - counted · decay · w)."""
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
        """What some devices give when they are read one by one."""
        given = self._given(block)
        if not self.substrate.read_noise:
            return given
        return torch.empty_like(given).normal_(0, self.substrate.read_noise * self.scale, generator=generator) + given

    def _write(self, block: slice, wanted: Tensor, generator: torch.Generator) -> None:
        """Send pulses to some devices.

        n = ⌊wanted / pulse + u⌋ pulses, with u from [0, 1), move a weight w by

            pulse · size · (n (1 + asymmetry · s) (1 - softness · s · w / scale) + √|n| · pulse_noise · N(0, 1)),

        where s is the sign of n, and size is that of the device relative to nominal.

        Args:
            block: which devices.
            wanted: the change that is wanted of each; changed in place.
            generator: draws the rounding.
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
        sizes = self._part("pulse")
        if sizes is None:
            written.add_(moved, alpha=self.pulse)
        else:
            written.addcmul_(moved, sizes.view(-1)[block], value=self.pulse)
        written.clamp_(-self.scale, self.scale)

    # ---- aging -------------------------------------------------------------------------------------------------

    def last(self, updates: int) -> None:
        """Set how many updates a run has, for these devices and for the neurons that drift with them."""
        self.substrate = replace(self.substrate, updates=updates)
        if self.neurons is not None:
            self.neurons.substrate = self.substrate

    @torch.no_grad()
    def age(self, updates: int) -> None:
        """Let all devices, and the neurons that drift with them, drift as far as they do in so many updates."""
        generator = self._noise.next("update")
        if self.substrate.drift:
            self._wander(slice(None), updates, generator)
        if self.neurons is not None:
            self.neurons.wander(updates, generator)

    def _wander(self, block: slice, updates: int, generator: torch.Generator) -> None:
        """A step of a random walk of some devices, as far as so many updates lead. Stuck devices stay."""
        written, gain = self.value.detach().view(-1)[block], self.gain
        moves = torch.ones_like(written) if gain is None else (gain.view(-1)[block] != 0).to(written.dtype)
        mean_square = (written.square() * moves).sum() / moves.sum().clamp(min=1)
        step = self.substrate.drift * math.sqrt(updates / self.substrate.run_length)
        noise = torch.empty_like(written).normal_(0, step, generator=generator)
        written.addcmul_(noise, moves * mean_square.sqrt()).clamp_(-self.scale, self.scale)


def spread_of(weights: Tensor, connectivity: Connectivity) -> float:
    """Root mean square of the weights that there are; where all are 0, 1 / √(inputs of a unit)."""
    exist = connectivity.mask(torch.ones_like(weights)).sum()
    found = (weights.detach().square().sum() / exist).sqrt().item()
    return found or connectivity.fan_in().float().mean().clamp(min=1).rsqrt().item()


def signal_of(sources: Iterable[tuple[Tensor, Connectivity]]) -> float:
    """Root mean square of a layer's total inputs, for independent inputs with a mean square of 1."""
    squares = (spread_of(weights, one) ** 2 * one.fan_in().float().mean().item() for weights, one in sources)
    return math.sqrt(sum(squares))


def quantized(values: Tensor, full_scale: float, bits: int) -> Tensor:
    """Values as a converter gives them: the nearest of 2^bits - 1 levels, evenly around 0 up to ± full scale."""
    most = max(2 ** (bits - 1) - 1, 1)
    levels: Tensor = (values * (most / full_scale)).round_().clamp_(-most, most)
    levels *= full_scale / most
    return levels
