"""An ESTIMATE of the energy that a net needs, from counted operations and published constants, as a range.

`measure` reads the energy counters of the machine, if it has any.

Each constant has a low and a high value from published hardware. In sums, low values are added to low ones and high
values to high ones. Control, clocks, leakage, cooling and wires between chips are omitted. Apart from products, each
unit counts as ten operations.

Sources:

* digital: Horowitz, ISSCC 2014 (45 nm), and Jouppi et al., ISCA 2021, table 2 (7 nm): a multiply and an add of 8-bit
  integers 0.23 and 0.077 pJ, of 32-bit floats 4.6 and 1.69 pJ; 8 bytes from 8 KB of SRAM 10 and 7.5 pJ, from 1 MB 100
  and 14 pJ; 8 bytes from DRAM 1300 to 2600 pJ, from HBM2 250 to 450 pJ.
* ADC: Murmann's survey of converters (ISSCC and VLSI, 1997 to 2024): Walden's figure of merit is about 1 fJ per step at
  best, and 50 fJ is common at higher speeds; 8 bits are 256 steps. ISAAC (Shafiee et al., ISCA 2016) takes 1.6 pJ.
* DAC: charging 50 fF to 1 V takes 0.05 pJ, an estimate of the lowest value; ISAAC's row drivers, 4 mW for 1024 of 1 bit
  at 10 MHz, take 0.4 pJ a bit, 3.1 pJ for 8 bits.
* analog read, V² G t of one device: from 0.1 V, 1 µS, 10 ns (0.1 fJ) to 0.2 V, 25 µS, 100 ns (100 fJ). Marinella et
  al., IEEE JETCAS 2018, find 11 fJ for a multiply and add of a training array including its periphery.
* pulse that changes one device: from 1 fJ (electrochemical cells) to 10 pJ (phase change and filamentary devices, of
  which Wong et al., Proc. IEEE 2010 and 2012, report below 1 pJ to above 10 pJ); from 1 to 10 pulses for each update.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from twofold.checks.bounds import counts, sizes

PICO = 1e-12
BRAIN_WATTS, BRAIN_CONNECTIONS = 30.0, 1e14
"""Power of the brain in watts, and number of connections in the brain, as stated in the talk at 41:38."""
POWERCAP = Path("/sys/class/powercap")


class Range(NamedTuple):
    """A quantity that is known only within bounds.

    Attributes:
        low: lower bound.
        high: upper bound.
    """

    low: float
    high: float

    def times(self, factor: float) -> Range:
        """Return the range multiplied by a factor."""
        return Range(factor * self.low, factor * self.high)

    def plus(self, other: Range) -> Range:
        """Return the sum of two ranges: the sum of the low values, and the sum of the high values."""
        return Range(self.low + other.low, self.high + other.high)


JOULES = {
    "multiply-adds": Range(0.077 * PICO, 4.6 * PICO),
    "bytes": Range(7.5 / 8 * PICO, 2600 / 8 * PICO),
    "ADC conversions": Range(0.256 * PICO, 12.8 * PICO),
    "DAC conversions": Range(0.05 * PICO, 3.1 * PICO),
    "device reads": Range(1e-4 * PICO, 0.1 * PICO),
    "device updates": Range(1e-3 * PICO, 10 * 10 * PICO),
}
"""Operation -> energy of one operation in joules, from 8-bit integers in SRAM (low) to 32-bit floats in DRAM (high)."""
NUMBER = Range(1, 4)
"""Number of bytes of a stored value."""
HARDWARE = ("digital", "analog")
LEARNERS = ("forward-forward", "backprop")
OWN = 10
"""Operations of a unit in each pass in addition to products: activation function, normalization, learning signal."""


@dataclass(frozen=True)
class Passes:
    """The work of a training step or a test for one case.

    Attributes:
        forward: number of forward passes through all layers.
        backward: number of backward passes through all layers but the first.
        outer: number of outer products for the gradients of all weights.
        transfers: number of times that the activity of each unit is written to or read from memory.
        weight_reads: number of times that all weights are read for the products of a batch.
    """

    forward: int
    backward: int
    outer: int
    transfers: int
    weight_reads: int


STEPS = dict(
    zip(
        LEARNERS,
        (
            Passes(forward=3, backward=0, outer=2, transfers=8, weight_reads=2),
            Passes(forward=1, backward=1, outer=1, transfers=5, weight_reads=2),
        ),
        strict=True,
    )
)
"""Learner -> work of a training step.

Forward-Forward: activities are written and read in the neutral, the positive and the negative pass. The activities of
the positive and the negative pass are read again for the gradient. The weights are read twice: for the neutral pass,
and for the other two passes together.

Backprop: activities are written, read by the next layer, and read for the gradient; errors are written and read. The
weights are read in the forward and in the backward pass.
"""
UPDATE_TRANSFERS = 6
"""Reads and writes of each weight at an update: gradient, smoothed gradient and weight, each read and written."""


def inference(passes: int) -> Passes:
    """Return the work of a test that takes the given number of forward passes."""
    return Passes(forward=passes, backward=0, outer=0, transfers=2 * passes, weight_reads=passes)


def step(learner: str) -> Passes:
    """Return the work of a training step of one of the `LEARNERS`."""
    return STEPS[learner]


def digital(widths: Sequence[int], passes: Passes, batch: int) -> dict[str, Range]:
    """Return the numbers of ``multiply-adds`` and transferred ``bytes`` of a digital machine for one case.

    Args:
        widths: number of inputs, and number of units in each layer.
        passes: numbers of forward passes, backward passes and updates for each case.
        batch: number of cases in a batch. The cases of a batch share the reads and updates of the weights.
    """
    connections, above, units = _sizes(widths, batch)
    products = (passes.forward + passes.outer) * connections + passes.backward * above
    own = OWN * units * (passes.forward + passes.backward)
    moved = passes.weight_reads * connections + (UPDATE_TRANSFERS * connections if passes.outer else 0)
    numbers = moved / batch + passes.transfers * units
    return {"multiply-adds": Range(products + own, products + own), "bytes": NUMBER.times(numbers)}


def analog(widths: Sequence[int], passes: Passes) -> dict[str, Range]:
    """Return the number of each operation of an analog machine for one case.

    The machine stores each weight in a device and has converters at every layer. Backprop reads the same devices
    backwards. Each outer product updates all devices for every case.

    Args:
        widths: number of inputs, and number of units in each layer.
        passes: numbers of forward passes, backward passes and updates for each case.
    """
    connections, above, units = _sizes(widths, 1)
    entering, hidden = sum(widths[:-1]), sum(widths[1:-1])
    reads = passes.forward * connections + passes.backward * above
    operations = {
        "device reads": reads,
        "DAC conversions": passes.forward * entering
        + passes.backward * (units - widths[1])
        + passes.outer * (entering + units),
        "ADC conversions": passes.forward * units + passes.backward * hidden,
        "device updates": passes.outer * connections,
        "multiply-adds": OWN * units * (passes.forward + passes.backward),
    }
    exact = {name: Range(count, count) for name, count in operations.items()}
    return {**exact, "bytes": NUMBER.times(passes.transfers * units)}


def joules(counted: dict[str, Range]) -> Range:
    """Return the ESTIMATED energy of counted operations, in joules."""
    total = Range(0.0, 0.0)
    for name, count in counted.items():
        total = total.plus(Range(count.low * JOULES[name].low, count.high * JOULES[name].high))
    return total


def brain_joules() -> float:
    """Return the power of the brain per connection in watts, with the talk's figures: 30 W, 10^14 connections."""
    return BRAIN_WATTS / BRAIN_CONNECTIONS


def _sizes(widths: Sequence[int], batch: int) -> tuple[int, int, int]:
    """Return the number of connections, of connections above the first layer, and of units."""
    sizes(widths=tuple(widths))
    counts(batch=batch)
    connections = [below * units for below, units in itertools.pairwise(widths)]
    return sum(connections), sum(connections[1:]), sum(widths[1:])


# ---- measurement ---------------------------------------------------------------------------------------------------


def counters(powercap: Path = POWERCAP) -> dict[str, Callable[[], float]]:
    """Return the readable energy counters of the machine by name: functions that return joules since a fixed time.

    The counters are those of the CPU packages (RAPL) and, if pynvml is installed, of the GPUs (NVML).
    """
    readings: dict[str, Callable[[], float]] = {}
    for path in sorted(powercap.glob("*/energy_uj")):
        if path.parent.name.count(":") == 1:  # a package; its domains have another colon
            with suppress(OSError):  # usually only root may read it
                path.read_text()
                name = f"RAPL {(path.parent / 'name').read_text().strip()}"
                readings[name] = lambda path=path: int(path.read_text()) * 1e-6  # type: ignore[misc]
    if importlib.util.find_spec("pynvml"):
        readings |= _gpus()
    return readings


def _gpus() -> dict[str, Callable[[], float]]:
    nvml = importlib.import_module("pynvml")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return {}
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]

    def reading(handle: object) -> Callable[[], float]:
        return lambda: float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) * 1e-3

    return {f"NVML {index}": reading(handle) for index, handle in enumerate(handles)}


def measure(work: Callable[[], object], powercap: Path = POWERCAP) -> dict[str, float]:
    """Call ``work`` and return the joules that each counter of the machine measured during the call.

    The result is empty if the machine has no readable counter. Counters include the energy of other processes.
    """
    readings = counters(powercap)
    before = {name: reading() for name, reading in readings.items()}
    work()
    after = {name: reading() for name, reading in readings.items()}
    return {name: after[name] - before[name] for name in readings if after[name] >= before[name]}  # it wraps around
