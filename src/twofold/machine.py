"""Choose the device and the precision to compute in, and describe the machine for every result."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch

from twofold.errors import SettingError, unknown

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16")


def choose_device(name: str | torch.device) -> torch.device:
    """Return the device called ``name``; ``auto`` is the GPU where there is one.

    Raises:
        SettingError: ``cuda`` was asked for and there is none, or the name is unknown.
    """
    name = str(name)
    if name not in DEVICES:
        raise unknown("device", name, DEVICES)
    if name == "cuda" and not torch.cuda.is_available():
        raise SettingError("--device is cuda, but torch finds no CUDA device here: use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 products are faster than fp32 ones: AVX512-BF16 or AMX on a CPU, compute capability 8 on a GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def choose_precision(name: str, device: torch.device) -> str:
    """Return ``fp32`` or ``bf16``; ``auto`` is bf16 where its products are fast.

    Weights and their smoothed gradients are fp32 either way.

    Raises:
        SettingError: bf16 was asked for and the device lacks it, or the name is unknown.
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
    """Return the dtype of the matrix products; ``None`` stands for that of the weights, fp32."""
    return torch.bfloat16 if precision == "bf16" else None


def free_memory(device: torch.device) -> int:
    """Return the number of bytes that are still free on the device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def require_memory(needed: int, device: torch.device, offload: bool = True) -> None:
    """Refuse a training that would not fit into memory, before it starts.

    Raises:
        SettingError: fewer than ``needed`` bytes are free on the device.
    """
    free = free_memory(device)
    if needed > free:
        raise SettingError(
            f"the training needs about {needed / 1e9:.1f} GB of memory beside its data, and {free / 1e9:.1f} GB are "
            f"free: lower --widths or --batch{'' if offload else ', or keep layers on disk with --offload'}"
        )


def describe(device: torch.device) -> dict[str, Any]:
    """Return versions, commit and machine as values that JSON can hold."""
    return {
        "twofold": version("twofold"),
        "commit": _commit(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What can change the bits of a training and is not the same in two descriptions, in words."""
    old, new = ({**each, **each.get("arithmetic", {})} for each in (before, now))
    names = new.get("arithmetic", {}).keys() | {"torch", "processor", "threads", "commit"}
    return [
        f"{name} {old[name]}, now {new.get(name)}"
        for name in sorted(names)
        if name in old and old[name] != new.get(name)
    ]


def _commit() -> str | None:
    """Return the commit of the checkout that holds this code, with a + if the code has been changed since."""
    folder = Path(__file__).parent
    git = ["git", "-C", str(folder)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--", str(folder)], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.stdout.strip() + ("+" if changed.stdout.strip() else "")


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
