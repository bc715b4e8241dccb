"""Measure the memory that a piece of work holds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psutil
import torch
from torch import Tensor
from torch._C._profiler import _EventType

from twofold.benchmarks.operations import profiler
from twofold.training.trainer import synchronize


def peak(work: Callable[[], object], weights: Sequence[Tensor], device: torch.device) -> int:
    """Return the peak number of bytes that ``work`` holds in torch's allocator, not counting what was held before.

    It is read from the profiler's record of every allocation, so it is exact, and the same at every call. Copies of
    ``weights`` in another dtype that ``work`` makes are not counted. Memory that was held before and that ``work``
    frees is not subtracted.
    """
    with profiler(device, memory=True) as seen:
        work()
        synchronize(device)
    assert seen.profiler is not None
    places = {weight.untyped_storage().data_ptr() for weight in weights}
    changes: list[tuple[int, int, int]] = []

    def look(events: Any, in_copy: bool) -> None:
        for event in events:
            facts = event.extra_fields
            if event.tag == _EventType.Allocation and facts.device.type == device.type:
                # A copy of a weight is tracked with 0 bytes, since its address may be used again for something else.
                size = 0 if in_copy and facts.alloc_size > 0 else facts.alloc_size
                changes.append((event.start_time_ns, facts.ptr, size))
            copies = event.tag == _EventType.TorchOp and event.name == "aten::_to_copy"
            source = getattr(facts.inputs[0], "storage_data_ptr", None) if copies else None
            look(event.children, in_copy or source in places)

    look(seen.profiler.kineto_results.experimental_event_tree(), False)
    return running_peak((place, size) for _, place, size in sorted(changes, key=lambda change: change[0]))


def running_peak(changes: Iterator[tuple[int, int]]) -> int:
    """Return the most bytes held at a time.

    Args:
        changes: address and size of each block, in order of time; the size is negative if the block is freed, which
            counts only if it was allocated within ``changes``.
    """
    held: dict[int, int] = {}
    now = most = 0
    for place, size in changes:
        now -= held.pop(place, 0)
        if size > 0:
            held[place] = size
            now += size
            most = max(most, now)
    return most


@contextmanager
def process_growth(device: torch.device) -> Iterator[list[int]]:
    """Measure how far this process's memory rises in the context, in bytes: resident, or on a GPU in torch's allocator.

    Resident memory is read every millisecond. The single number in the list is final when the context ends.
    """
    found = [0]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield found
        found[0] = torch.cuda.max_memory_allocated() - before
        return
    process, stop = psutil.Process(), threading.Event()
    resident = process.memory_info().rss

    def watch() -> None:
        while not stop.wait(0.001):
            found[0] = max(found[0], process.memory_info().rss - resident)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()
