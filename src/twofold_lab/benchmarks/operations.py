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
"""Operators that compute matrix products."""


def operations(work: Callable[[], object]) -> int:
    """Count the floating point operations of the matrix products in ``work``: 2 for each multiply and add."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def profiler(device: torch.device, memory: bool = False) -> profile:
    """Return a PyTorch profiler, which also records memory if ``memory`` is True."""
    # Otherwise the profiler writes messages to stderr.
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    on_device = [ProfilerActivity.CUDA] if device.type == "cuda" else []
    return profile(activities=[ProfilerActivity.CPU, *on_device], profile_memory=memory, record_shapes=memory)


def shares(work: Callable[[], object], device: torch.device, most: int = 4) -> dict[str, float]:
    """Return the shares of time of ``matrix products``, the ``most`` largest other operators, and ``the rest``.

    They are shares of the operators' own time, on a GPU that of their kernels. The profiler overestimates the time of
    small operators somewhat.
    """
    on_device = device.type == "cuda"
    with profiler(device) as trace:
        work()
    own: Counter[str] = Counter()
    for event in trace.key_averages():
        if event.device_type == DeviceType.CPU:  # operators only, without their kernels on a GPU
            own[_category(event.key)] += event.self_device_time_total if on_device else event.self_cpu_time_total
    total = own.total()
    times = {"matrix products": own.pop("matrix products", 0)}
    times |= {name: own.pop(name) for name, _ in own.most_common(most)}
    return {name: time / total for name, time in {**times, "the rest": own.total()}.items()}


def _category(operator: str) -> str:
    return "matrix products" if operator in PRODUCTS else operator.removeprefix("aten::")


def square_products(sizes: Sequence[int], device: torch.device, precision: str) -> dict[int, Callable[[int], float]]:
    """Return functions that measure the rate of n x n products in operations per second, for each size n."""
    dtype = compute_type(precision) or torch.float32

    def rate(size: int) -> Callable[[int], float]:
        left, right, out = (torch.rand(size, size, device=device).to(dtype) for _ in range(3))
        times = (max(sizes) // size) ** 3

        def work() -> None:
            for _ in range(times):
                torch.mm(left, right, out=out)

        return lambda _: times * 2 * size**3 / seconds_of(work, device)

    return {size: rate(size) for size in sizes}
