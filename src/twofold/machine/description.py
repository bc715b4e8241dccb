"""What a result says about the code and the machine that made it, and which of it can change the bits of a training."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGE = Path(__file__).parents[1]

PATIENCE = 10.0  # seconds that git may take to answer

VARIABLES = (
    *("ATEN_CPU_CAPABILITY", "TORCH_MKLDNN_MATMUL_MIN_DIM", "KMP_DETERMINISTIC_REDUCTION", "GLIBC_TUNABLES"),
    *("MKL_CBWR", "MKL_DEBUG_CPU_TYPE", "MKL_DYNAMIC", "MKL_ENABLE_INSTRUCTIONS"),
    *("ONEDNN_CPU_ISA_HINTS", "ONEDNN_DEFAULT_FPMATH_MODE", "ONEDNN_MAX_CPU_ISA"),
    *("DNNL_CPU_ISA_HINTS", "DNNL_DEFAULT_FPMATH_MODE", "DNNL_MAX_CPU_ISA"),
    *("OPENBLAS_CORETYPE", "OMP_DYNAMIC", "OMP_SCHEDULE"),
    *("CUBLAS_WORKSPACE_CONFIG", "CUBLASLT_WORKSPACE_SIZE", "DISABLE_ADDMM_CUDA_LT"),
    *("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TORCH_CUDNN_V8_API_DISABLED"),
)
"""Environment variables that choose instructions, kernels or the order of sums."""

SWITCHES = {
    "mkldnn": "backends.mkldnn.enabled",
    "mkldnn deterministic": "backends.mkldnn.deterministic",
    "precision of fp32 products": "backends.fp32_precision",
    "precision of fp32 products in mkldnn": "backends.mkldnn.matmul.fp32_precision",
    "precision of fp32 convolutions in mkldnn": "backends.mkldnn.conv.fp32_precision",
}
"""Switches of torch, and where it has them. Older versions lack some."""

CUDA_SWITCHES = {
    "tf32 products": "backends.cuda.matmul.allow_tf32",
    "tf32 convolutions": "backends.cudnn.allow_tf32",
    "precision of fp32 products on the GPU": "backends.cuda.matmul.fp32_precision",
    "precision of fp32 convolutions on the GPU": "backends.cudnn.conv.fp32_precision",
    "sums in fp16": "backends.cuda.matmul.allow_fp16_reduced_precision_reduction",
    "sums in bf16": "backends.cuda.matmul.allow_bf16_reduced_precision_reduction",
    "cudnn enabled": "backends.cudnn.enabled",
    "cudnn benchmark": "backends.cudnn.benchmark",
    "cudnn deterministic": "backends.cudnn.deterministic",
    "cuda": "version.cuda",
}


def describe(device: torch.device) -> dict[str, Any]:
    """Return versions, commit and machine as values that JSON can hold; see `arithmetic` for the entry of that name."""
    known = arithmetic(device)
    return {
        "twofold": known.get("twofold"),
        "commit": known.get("commit"),
        "torch": known["torch"],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": known.get("gpu", known["processor"]),
        "cores": os.cpu_count(),
        "threads": known["threads"],
        "arithmetic": known,
    }


def arithmetic(device: torch.device) -> dict[str, Any]:
    """Return all that is known to change the bits of a training, as values that JSON can hold. What is not known or not
    set is left out: an environment variable, the commit, and everything about a GPU where ``device`` is none."""
    known = {
        "twofold": installed(),
        "commit": _commit(),
        "source": _source(),
        "torch": torch.__version__,
        "python": ".".join(platform.python_version_tuple()[:2]),  # the way it adds floats has changed once
        "libc": " ".join(platform.libc_ver()).strip(),  # its exponential and logarithm
        "processor": _cpu(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "avx512_bf16": bool(torch.cpu._is_avx512_bf16_supported()),
        "amx": bool(torch.cpu._is_amx_tile_supported()),
        "threads": torch.get_num_threads(),
        "default type": str(torch.get_default_dtype()).removeprefix("torch."),
        "float32 matmul precision": _read("get_float32_matmul_precision"),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "flush denormal": (torch.tensor(1e-310, dtype=torch.float64) * 1).item() == 0,  # torch tells nobody
        "autocast": _autocast(device),
        **{name: _read(place) for name, place in SWITCHES.items()},
        **(_gpu(device) if device.type == "cuda" else {}),
        **{name: os.environ.get(name) for name in VARIABLES},
    }
    return {name: value for name, value in known.items() if value not in (None, "")}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What can change the bits of a training and is not the same in two descriptions, in words.

    What only one of them knows is passed over: an older version did not look. An environment variable that only one of
    them has was not set in the other.
    """
    old, new = ({name: value for name, value in each.items() if value is not None} for each in (before, now))
    asked: Iterable[str] = ("torch", "processor", "threads", "commit")
    if isinstance(old.get("arithmetic"), dict) and "arithmetic" in new:
        old, new = old["arithmetic"], new["arithmetic"]
        asked = {*old, *new}
    compared = {name for name in asked if (name in old and name in new) or name in VARIABLES}
    return [
        f"{name} {old.get(name, 'not set')}, now {new.get(name, 'not set')}"
        for name in sorted(compared)
        if old.get(name) != new.get(name)
    ]


def _gpu(device: torch.device) -> dict[str, Any]:
    return {
        "gpu": torch.cuda.get_device_name(device),
        "compute capability": ".".join(map(str, torch.cuda.get_device_capability(device))),
        "cudnn": _read("backends.cudnn.version"),
        **{name: _read(place) for name, place in CUDA_SWITCHES.items()},
    }


def _read(place: str) -> Any:
    """What torch has or answers at a place; None where it does not, as after two ways of setting were mixed."""
    value: Any = torch
    try:
        for name in place.split("."):
            value = getattr(value, name)
        return value() if callable(value) else value
    except (AttributeError, RuntimeError):
        return None


def _autocast(device: torch.device) -> str:
    if not torch.is_autocast_enabled(device.type):
        return "off"
    return str(torch.get_autocast_dtype(device.type)).removeprefix("torch.")


def installed() -> str | None:
    """The version of twofold that is installed."""
    try:
        return version("twofold")
    except PackageNotFoundError:
        return None


def _source() -> str:
    """The first digits of the SHA-256 of all files of this package: two changed checkouts may be of one commit."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _commit() -> str | None:
    """The commit of the checkout that holds this code, with a + if the code has been changed since.

    None where there is no such checkout: a repository around an installed package is somebody else's, which does not
    track it.
    """
    try:
        _git("ls-files", "--error-unmatch", "--", str(PACKAGE / "__init__.py"))
        commit = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", str(PACKAGE))
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed else "")


def _git(*words: str) -> str:
    """What git says of the repository around this package, whichever one the environment may speak of.

    Raises:
        OSError: there is no git.
        SubprocessError: git fails, refuses the repository, or does not answer.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "--no-optional-locks", "-C", str(PACKAGE), *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=PATIENCE,
        check=True,
    )
    return done.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
