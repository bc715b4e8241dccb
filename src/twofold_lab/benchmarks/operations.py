"""Count floating point operations, profile operators, and measure the best rate of matrix products."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from twofold.machine import compute_type
from twofold_lab.benchmarks.timing import seconds_of

PRODUCTS = {f"aten::{name}" for name in ("mm", "addmm", "bmm", "baddbmm", "_addmm_activation", "linear")}
"""Names of the PyTorch operators that compute matrix products."""


def operations(work: Callable[[], object]) -> int:
    """Return the number of floating point operations of the matrix products in ``work``: 2 for a multiply and add."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def profiler(device: torch.device, memory: bool = False) -> profile:
    """Return a PyTorch profiler, which also records memory if ``memory`` is True."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # the profiler must not write to stderr
    on_device = [ProfilerActivity.CUDA] if device.type == "cuda" else []
    return profile(activities=[ProfilerActivity.CPU, *on_device], profile_memory=memory, record_shapes=memory)


def shares(work: Callable[[], object], device: torch.device, most: int = 4) -> dict[str, float]:
    """Profile ``work`` and return the share of the time of each type of operator; the shares add up to 1.

    The keys are ``matrix products``, the names of the ``most`` slowest other operators, and ``the rest``. The time of
    an operator excludes that of the operators it calls; on a GPU it is the time of its kernels. The profiler slightly
    overestimates the time of small operators.
    """
    on_device = device.type == "cuda"
    with profiler(device) as trace:
        work()
    own: Counter[str] = Counter()
    for event in trace.key_averages():
        if event.device_type == DeviceType.CPU:  # operators only, without their kernels on a GPU
            name = "matrix products" if event.key in PRODUCTS else event.key.removeprefix("aten::")
            own[name] += event.self_device_time_total if on_device else event.self_cpu_time_total
    total = own.total()
    times = {"matrix products": own.pop("matrix products", 0)}
    times |= {name: own.pop(name) for name, _ in own.most_common(most)}
    return {name: time / total for name, time in {**times, "the rest": own.total()}.items()}


def square_products(sizes: Sequence[int], device: torch.device, precision: str) -> dict[int, Callable[[int], float]]:
    """Return a contender for `interleave` for each n in ``sizes``: it measures the rate of products of n x n matrices.

    The rate is in floating point operations per second.
    """
    dtype = compute_type(precision) or torch.float32

    def rate(size: int) -> Callable[[int], float]:
        left, right, out = (torch.rand(size, size, device=device).to(dtype) for _ in range(3))
        times = (max(sizes) // size) ** 3

        def work() -> None:
            for _ in range(times):
                torch.mm(left, right, out=out)

        return lambda _: times * 2 * size**3 / seconds_of(work, device)

    return {size: rate(size) for size in sizes}
