"""Analyze a piece of work: floating point operations, kinds of operators, and the best rate there could be."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from twofold.benchmarks.bench import seconds_of
from twofold.machine import compute_type

PRODUCTS = {f"aten::{name}" for name in ("mm", "addmm", "bmm", "baddbmm", "_addmm_activation", "linear")}
"""Operators whose own time is that of matrix products."""


def operations(work: Callable[[], object]) -> int:
    """Count the floating point operations of the matrix products in ``work``: 2 for each multiply and add."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def profiler(device: torch.device, memory: bool = False) -> profile:
    """Return torch's profiler, which records memory too if ``memory`` is true."""
    # Otherwise it writes its own lines to stderr.
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    on_device = [ProfilerActivity.CUDA] if device.type == "cuda" else []
    return profile(activities=[ProfilerActivity.CPU, *on_device], profile_memory=memory, record_shapes=memory)


def shares(work: Callable[[], object], device: torch.device, most: int = 4) -> dict[str, float]:
    """Divide the time of ``work`` into ``matrix products``, the ``most`` largest other operators, and ``the rest``.

    These are shares of the operators' own time, which on a GPU is that of their kernels. They are measured under a
    profiler, which makes small operators look somewhat slower than they are.
    """
    on_device = device.type == "cuda"
    with profiler(device) as seen:
        work()
    own: Counter[str] = Counter()
    for event in seen.key_averages():
        if event.device_type == DeviceType.CPU:  # operators only; on a GPU their kernels are listed as well
            own[_kind(event.key)] += event.self_device_time_total if on_device else event.self_cpu_time_total
    total = own.total()
    found = {"matrix products": own.pop("matrix products", 0)}
    found |= {kind: own.pop(kind) for kind, _ in own.most_common(most)}
    return {kind: time / total for kind, time in {**found, "the rest": own.total()}.items()}


def _kind(operator: str) -> str:
    return "matrix products" if operator in PRODUCTS else operator.removeprefix("aten::")


def square_products(sizes: Sequence[int], device: torch.device, precision: str) -> dict[int, Callable[[int], float]]:
    """Make timers for n x n products of each size n, in operations per second; all do the same amount of work."""
    kind = compute_type(precision) or torch.float32

    def rate(size: int) -> Callable[[int], float]:
        left, right, out = (torch.rand(size, size, device=device).to(kind) for _ in range(3))
        times = (max(sizes) // size) ** 3

        def work() -> None:
            for _ in range(times):
                torch.mm(left, right, out=out)

        return lambda _: times * 2 * size**3 / seconds_of(work, device)

    return {size: rate(size) for size in sizes}
