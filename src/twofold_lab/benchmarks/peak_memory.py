"""Measure the peak memory of a function, in torch's allocator and of the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psutil
import torch
from torch import Tensor
from torch._C._profiler import _EventType

from twofold.training.trainer import synchronize
from twofold_lab.benchmarks.operations import profiler


def peak(work: Callable[[], object], weights: Sequence[Tensor], device: torch.device) -> int:
    """Return the peak of the memory that ``work`` allocates in torch's allocator, in bytes.

    The value is exact and reproducible, since the profiler records every allocation. Copies of ``weights`` in another
    dtype are not counted. Memory that was allocated before ``work`` is neither counted nor subtracted when it is freed.
    """
    with profiler(device, memory=True) as trace:
        work()
        synchronize(device)
    assert trace.profiler is not None
    addresses = {weight.untyped_storage().data_ptr() for weight in weights}
    changes: list[tuple[int, int, int]] = []

    def visit(events: Any, in_copy: bool) -> None:
        for event in events:
            facts = event.extra_fields
            if event.tag == _EventType.Allocation and facts.device.type == device.type:
                # Track a copy of a weight with 0 bytes, since its address may be reused.
                size = 0 if in_copy and facts.alloc_size > 0 else facts.alloc_size
                changes.append((event.start_time_ns, facts.ptr, size))
            copies = event.tag == _EventType.TorchOp and event.name == "aten::_to_copy"
            source = getattr(facts.inputs[0], "storage_data_ptr", None) if copies else None
            visit(event.children, in_copy or source in addresses)

    visit(trace.profiler.kineto_results.experimental_event_tree(), False)
    return running_peak((address, size) for _, address, size in sorted(changes, key=lambda change: change[0]))


def running_peak(changes: Iterator[tuple[int, int]]) -> int:
    """Return the peak memory of a sequence of allocations, in bytes.

    Args:
        changes: address and size of each block that is allocated or freed, in order of time. The size of a freed block
            is negative. Blocks that are freed but were not allocated in the sequence are ignored.
    """
    sizes: dict[int, int] = {}
    current = highest = 0
    for address, size in changes:
        current -= sizes.pop(address, 0)
        if size > 0:
            sizes[address] = size
            current += size
            highest = max(highest, current)
    return highest


@contextmanager
def process_growth(device: torch.device) -> Iterator[list[int]]:
    """Measure the largest growth of the memory of this process within the context, in bytes.

    On the CPU, the resident memory of the process is read every millisecond. On a GPU, the memory of torch's allocator
    is measured. The context yields a list with one number, which has its final value at the end of the context.
    """
    growth = [0]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield growth
        growth[0] = torch.cuda.max_memory_allocated() - before
        return
    process, stop = psutil.Process(), threading.Event()
    resident = process.memory_info().rss

    def watch() -> None:
        while not stop.wait(0.001):
            growth[0] = max(growth[0], process.memory_info().rss - resident)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield growth
    finally:
        stop.set()
        thread.join()
