"""Layers at rest on disk: a net that learns needs one layer in memory at a time.

A layer learns from what it sees and from nothing above it, so between two visits its weights and smoothed gradients may
lie in a file. Here the file is mapped into memory: the layer works on it as on any tensor, the system reads and writes
its pages, and takes them back where memory is short. The next layer's pages are asked for while this one works.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Iterable
from io import BufferedRandom
from pathlib import Path

import torch
from torch import Tensor, nn

from twofold.errors import RunError
from twofold.layers.layer import FeedForwardLayer

ADVICE = hasattr(mmap.mmap, "madvise")
"""Whether the system takes advice on what will be needed and what will not."""


class OnDisk:
    """The parameters and the learning state of one layer in one memory-mapped file.

    Args:
        layer: all of it is moved, in place: its tensors keep their names, types and values.
        path: of the file, which is written anew.

    Raises:
        RunError: the file cannot be written, for instance because the disk is full.
    """

    def __init__(self, layer: FeedForwardLayer, path: Path) -> None:
        tensors = [*layer.parameters(), *(buffer for buffer in layer.buffers() if buffer.dim())]
        sizes = [-(-tensor.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE for tensor in tensors]
        self.layer = layer
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb+") as file:
                _reserve(file, sum(sizes))
                self.map = mmap.mmap(file.fileno(), sum(sizes))
        except OSError as error:
            raise RunError(
                f"cannot write {path}, which a layer of {sum(sizes) / 1e6:.0f} MB is to lie in: "
                f"{error.strerror or error}; free some space or choose another --run"
            ) from error
        start = 0
        for tensor, size in zip(tensors, sizes, strict=True):
            place = torch.frombuffer(self.map, dtype=tensor.dtype, count=tensor.numel(), offset=start)
            place.copy_(tensor.detach().flatten())
            tensor.data = place.view(tensor.shape)
            start += size
        self.rest()

    def wake(self) -> None:
        """The layer will be needed soon: its pages may be read ahead."""
        if ADVICE:
            self.map.madvise(mmap.MADV_WILLNEED)

    def rest(self) -> None:
        """The layer has been used: its pages go to the file and may be taken from memory."""
        self.layer.forget()
        if ADVICE:
            self.map.madvise(mmap.MADV_DONTNEED)  # the mapping is shared: what is in them is kept and goes to the file


def _reserve(file: BufferedRandom, size: int) -> None:
    """Make room on the disk now: a mapped file that finds it full later would end the program."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


def _free_at_once() -> None:
    """Let the C library give every larger tensor pages of its own (glibc's M_MMAP_THRESHOLD), which go back to the
    system when it is freed: in a common heap the holes that layers leave behind are too small for the next ones."""
    if sys.platform.startswith("linux"):
        getattr(ctypes.CDLL(None), "mallopt", lambda *_: 0)(-3, 1 << 16)


def keep_on_disk(layers: Iterable[FeedForwardLayer], folder: Path) -> list[FeedForwardLayer]:
    """Let layers that are used in their order rest on disk, each from the moment that it is made."""
    _free_at_once()
    resting = [OnDisk(layer, folder / f"layer-{number}.bin") for number, layer in enumerate(layers, 1)]
    for index, at_work in enumerate(resting):
        before, after = resting[index - 1], resting[(index + 1) % len(resting)]

        def turn(module: nn.Module, inputs: tuple[Tensor, ...], before: OnDisk = before, after: OnDisk = after) -> None:
            before.rest()
            after.wake()

        at_work.layer.register_forward_pre_hook(turn)
    return [each.layer for each in resting]
