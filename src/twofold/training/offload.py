"""Layers on disk, for training with only one layer in memory at a time.

No layer needs gradients from other layers, so the weights and momentum of a layer can stay in a file until the next
batch. The file is mapped into memory, and the tensors of the layer are views of this memory. The operating system reads
and writes the pages of the file, and frees the pages when memory is short. While one layer computes, the pages of the
next layer are prefetched.
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
"""True if the operating system accepts advice about the use of mapped pages, by the system call ``madvise``."""


class OnDisk:
    """The parameters and momentum of one layer in a memory-mapped file.

    Args:
        layer: the layer. Its tensors are moved to the file in place, and keep their names, dtypes and values.
        path: file to write; an existing file is replaced.

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
                f"cannot write {path} for a layer of {sum(sizes) / 1e6:.0f} MB: "
                f"{error.strerror or error}; free some space or choose another --run"
            ) from error
        start = 0
        for tensor, size in zip(tensors, sizes, strict=True):
            values = torch.frombuffer(self.map, dtype=tensor.dtype, count=tensor.numel(), offset=start)
            values.copy_(tensor.detach().flatten())
            tensor.data = values.view(tensor.shape)
            start += size
        self.release()

    def prefetch(self) -> None:
        """Ask the operating system to read the pages of the layer into memory, and return without waiting."""
        if ADVICE:
            self.map.madvise(mmap.MADV_WILLNEED)

    def release(self) -> None:
        """Ask the operating system to write the pages of the layer to the file and free their memory."""
        self.layer.forget()
        if ADVICE:
            self.map.madvise(mmap.MADV_DONTNEED)  # the mapping is shared, so no data are lost


def _reserve(file: BufferedRandom, size: int) -> None:
    """Allocate ``size`` bytes of disk space for a file.

    Without allocated space, a full disk would crash the program when it writes to the mapped memory.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


def _free_at_once() -> None:
    """Make the C library return the memory of tensors above 64 KiB to the operating system when they are freed.

    The function sets the option M_MMAP_THRESHOLD of glibc. Each of these tensors is then allocated in pages of its own,
    which avoids heap fragmentation.
    """
    if sys.platform.startswith("linux"):
        getattr(ctypes.CDLL(None), "mallopt", lambda *_: 0)(-3, 1 << 16)


def keep_on_disk(layers: Iterable[FeedForwardLayer], folder: Path) -> list[FeedForwardLayer]:
    """Move each layer to a file as soon as it is built, and return the layers.

    The forward pass must call the layers in this order.

    Args:
        layers: iterator that builds the layers.
        folder: folder for the files.
    """
    _free_at_once()
    stored = [OnDisk(layer, folder / f"layer-{number}.bin") for number, layer in enumerate(layers, 1)]
    for index, current in enumerate(stored):
        before, after = stored[index - 1], stored[(index + 1) % len(stored)]

        def turn(module: nn.Module, inputs: tuple[Tensor, ...], before: OnDisk = before, after: OnDisk = after) -> None:
            before.release()
            after.prefetch()

        current.layer.register_forward_pre_hook(turn)
    return [entry.layer for entry in stored]
