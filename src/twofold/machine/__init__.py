"""Choose the device and the precision of the computations, check the free memory, and describe the machine."""

from __future__ import annotations

import os

import psutil
import torch

from twofold.errors import SettingError, unknown
from twofold.machine import limits
from twofold.machine.description import arithmetic, describe, differences, installed

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16")

__all__ = [
    "DEVICES",
    "PRECISIONS",
    "arithmetic",
    "choose_device",
    "choose_precision",
    "compute_type",
    "describe",
    "differences",
    "free_memory",
    "has_doubles",
    "has_fast_bf16",
    "installed",
    "limit_threads",
    "limits",
    "require_memory",
]


def choose_device(name: str | torch.device) -> torch.device:
    """Return the device called ``name``.

    Args:
        name: ``auto`` (a GPU if there is one, else the CPU), or a device of PyTorch, such as ``cpu``, ``cuda``,
            ``cuda:1`` (the second GPU) or ``mps`` (the GPU of an Apple computer).

    Raises:
        SettingError: the requested GPU does not exist, or the name is unknown.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise unknown("device", str(name), DEVICES) from error
    if device.type not in DEVICES:
        raise unknown("device", str(name), DEVICES)
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type == "mps":
        if not torch.backends.mps.is_available():
            raise SettingError(f"--device is {name}, but torch finds no Apple GPU: use --device cpu")
        return torch.device("mps")  # there is never more than one
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise SettingError(f"--device is {name}, but torch finds no CUDA device: use --device cpu")
    if (device.index or 0) >= count:
        raise SettingError(f"--device is {name}, but the last CUDA device is cuda:{count - 1}: use that or cuda")
    return device


def has_doubles(device: torch.device) -> bool:
    """Return True if the device supports double precision. GPUs of Apple computers do not."""
    return device.type != "mps"


def has_fast_bf16(device: torch.device) -> bool:
    """Return True if matrix products in bf16 are faster than in fp32 on the device.

    This holds for CPUs with AVX512-BF16 or AMX and for GPUs with compute capability 8 or higher.
    """
    if device.type == "mps":
        return False
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def choose_precision(name: str, device: torch.device) -> str:
    """Return the precision of matrix products, ``fp32`` or ``bf16``.

    Weights and their smoothed gradients are stored in fp32 in both cases.

    Args:
        name: ``fp32``, ``bf16`` or ``auto``, which means bf16 if `has_fast_bf16`, else fp32.
        device: device of the computations.

    Raises:
        SettingError: bf16 was requested but the device does not support it, or the name is unknown.
    """
    if name not in PRECISIONS:
        raise unknown("precision", name, PRECISIONS)
    if name == "auto":
        return "bf16" if has_fast_bf16(device) else "fp32"
    if name == "bf16" and not has_fast_bf16(device):
        raise SettingError(
            "--precision is bf16, but this processor has no instructions for bf16 products (AVX512-BF16, AMX, or "
            "compute capability 8): use --precision fp32 or auto"
        )
    return name


def compute_type(precision: str) -> torch.dtype | None:
    """Return the dtype of matrix products for ``fp32`` or ``bf16``; ``None`` means the dtype of the weights."""
    return torch.bfloat16 if precision == "bf16" else None


def free_memory(device: torch.device) -> int:
    """Return the number of bytes of free memory on the device; on the CPU, within the memory limits of this process."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min([int(psutil.virtual_memory().available), *limits.memory()])


def limit_threads() -> None:
    """Limit the number of PyTorch threads to the number of processors that this process may use.

    Nothing is changed if the environment variable OMP_NUM_THREADS or MKL_NUM_THREADS is set. The setting affects the
    whole process. Only the command line calls this function; users of the library can call it themselves.
    """
    stated = {"OMP_NUM_THREADS", "MKL_NUM_THREADS"} & os.environ.keys()
    if not stated and (processors := limits.processors()) < torch.get_num_threads():
        torch.set_num_threads(processors)


def require_memory(needed: int, device: torch.device, offload: bool = True) -> None:
    """Check, before training starts, that the training run fits into the free memory of the device.

    Args:
        needed: number of bytes that the training run needs.
        device: device of the computations.
        offload: True if the error message should not suggest --offload, because --offload is already used or not
            available.

    Raises:
        SettingError: fewer than ``needed`` bytes are free.
    """
    free = free_memory(device)
    if needed > free:
        raise SettingError(
            f"training needs about {needed / 1e9:.1f} GB of memory in addition to the data, but {free / 1e9:.1f} GB "
            f"are free: lower --widths or --batch{'' if offload else ', or keep layers on disk with --offload'}"
        )
