"""Choose the device and the precision of the computations, and describe the machine for every result."""

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

    ``auto`` is the GPU if there is one. ``cuda:1`` is the second GPU, and ``mps`` the GPU of an Apple computer.

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
    """Return True if the device computes in double precision; Apple's GPUs do not."""
    return device.type != "mps"


def has_fast_bf16(device: torch.device) -> bool:
    """Return True if bf16 products are faster than fp32 products.

    This holds for CPUs with AVX512-BF16 or AMX and for GPUs with compute capability 8 or higher.
    """
    if device.type == "mps":
        return False
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def choose_precision(name: str, device: torch.device) -> str:
    """Return ``fp32`` or ``bf16``; ``auto`` is bf16 if its products are fast.

    Weights and their smoothed gradients are fp32 either way.

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
    """Return the dtype of the matrix products; ``None`` means that of the weights, fp32."""
    return torch.bfloat16 if precision == "bf16" else None


def free_memory(device: torch.device) -> int:
    """Return the number of free bytes on the device; on a CPU, within the limits of this process."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min([int(psutil.virtual_memory().available), *limits.memory()])


def limit_threads() -> None:
    """Limit torch's threads to the number of processors that this process may use; more would wait for each other.

    The command line does so unless the environment sets a number. The setting affects the whole process, so the library
    leaves it to its caller.
    """
    stated = {"OMP_NUM_THREADS", "MKL_NUM_THREADS"} & os.environ.keys()
    if not stated and (processors := limits.processors()) < torch.get_num_threads():
        torch.set_num_threads(processors)


def require_memory(needed: int, device: torch.device, offload: bool = True) -> None:
    """Check, before a training starts, that it fits into memory.

    Raises:
        SettingError: fewer than ``needed`` bytes are free on the device.
    """
    free = free_memory(device)
    if needed > free:
        raise SettingError(
            f"the training needs about {needed / 1e9:.1f} GB of memory plus its data, but {free / 1e9:.1f} GB are "
            f"free: lower --widths or --batch{'' if offload else ', or keep layers on disk with --offload'}"
        )
