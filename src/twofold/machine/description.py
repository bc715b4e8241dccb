"""Describe the software and the machine that produced a result, and compare two such descriptions."""

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
"""Folder of the source files of twofold."""

GIT_TIMEOUT = 10.0  # seconds

VARIABLES = (
    *("ATEN_CPU_CAPABILITY", "TORCH_MKLDNN_MATMUL_MIN_DIM", "KMP_DETERMINISTIC_REDUCTION", "GLIBC_TUNABLES"),
    *("MKL_CBWR", "MKL_DEBUG_CPU_TYPE", "MKL_DYNAMIC", "MKL_ENABLE_INSTRUCTIONS"),
    *("ONEDNN_CPU_ISA_HINTS", "ONEDNN_DEFAULT_FPMATH_MODE", "ONEDNN_MAX_CPU_ISA"),
    *("DNNL_CPU_ISA_HINTS", "DNNL_DEFAULT_FPMATH_MODE", "DNNL_MAX_CPU_ISA"),
    *("OPENBLAS_CORETYPE", "OMP_DYNAMIC", "OMP_SCHEDULE"),
    *("CUBLAS_WORKSPACE_CONFIG", "CUBLASLT_WORKSPACE_SIZE", "DISABLE_ADDMM_CUDA_LT"),
    *("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TORCH_CUDNN_V8_API_DISABLED"),
)
"""Environment variables that can change results bitwise: they select instructions, kernels or the order of sums."""

SWITCHES = {
    "mkldnn": "backends.mkldnn.enabled",
    "mkldnn deterministic": "backends.mkldnn.deterministic",
    "precision of fp32 products": "backends.fp32_precision",
    "precision of fp32 products in mkldnn": "backends.mkldnn.matmul.fp32_precision",
    "precision of fp32 convolutions in mkldnn": "backends.mkldnn.conv.fp32_precision",
}
"""Name of a PyTorch setting -> path of its attribute in ``torch``. Older PyTorch versions do not have all of them."""

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
"""Name of a PyTorch setting or version for GPUs -> path of its attribute in ``torch``."""


def describe(device: torch.device) -> dict[str, Any]:
    """Return software versions, commit and machine as JSON-compatible values, including the result of `arithmetic`."""
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
    """Return all known facts that can affect the trained weights bitwise, as JSON-compatible values.

    Entries without a value are omitted: environment variables that are not set, an unknown commit, and the entries for
    GPUs if ``device`` is not a GPU.
    """
    known = {
        "twofold": installed(),
        "commit": _commit(),
        "source": _source(),
        "torch": torch.__version__,
        "python": ".".join(platform.python_version_tuple()[:2]),  # sum() of floats changed in Python 3.12
        "libc": " ".join(platform.libc_ver()).strip(),  # contains exp and log
        "processor": _cpu(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "avx512_bf16": bool(torch.cpu._is_avx512_bf16_supported()),
        "amx": bool(torch.cpu._is_amx_tile_supported()),
        "threads": torch.get_num_threads(),
        "default type": str(torch.get_default_dtype()).removeprefix("torch."),
        "float32 matmul precision": _torch_value("get_float32_matmul_precision"),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "flush denormal": (torch.tensor(1e-310, dtype=torch.float64) * 1).item() == 0,  # torch has no getter
        "autocast": _autocast(device),
        **{name: _torch_value(path) for name, path in SWITCHES.items()},
        **(_gpu(device) if device.type == "cuda" else {}),
        **{name: os.environ.get(name) for name in VARIABLES},
    }
    return {name: value for name, value in known.items() if value not in (None, "")}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the differences between two results of `describe` that can affect the trained weights bitwise.

    Entries that only one description has are ignored, because older versions did not record them. An environment
    variable that only one description has counts as not set in the other.

    Args:
        before: description of the machine of an earlier run.
        now: description of the current machine.

    Returns:
        One text per difference, such as ``threads 2, now 4``.
    """
    old, new = ({name: value for name, value in info.items() if value is not None} for info in (before, now))
    relevant: Iterable[str] = ("torch", "processor", "threads", "commit")
    if isinstance(old.get("arithmetic"), dict) and "arithmetic" in new:
        old, new = old["arithmetic"], new["arithmetic"]
        relevant = {*old, *new}
    compared = {name for name in relevant if (name in old and name in new) or name in VARIABLES}
    return [
        f"{name} {old.get(name, 'not set')}, now {new.get(name, 'not set')}"
        for name in sorted(compared)
        if old.get(name) != new.get(name)
    ]


def _gpu(device: torch.device) -> dict[str, Any]:
    return {
        "gpu": torch.cuda.get_device_name(device),
        "compute capability": ".".join(map(str, torch.cuda.get_device_capability(device))),
        "cudnn": _torch_value("backends.cudnn.version"),
        **{name: _torch_value(path) for name, path in CUDA_SWITCHES.items()},
    }


def _torch_value(path: str) -> Any:
    """Return the torch attribute at the dotted ``path``; if it is a function, call it and return the result.

    The result is None if the attribute does not exist or cannot be read. Reading fails if the precision was set both by
    the old and by the new interface of PyTorch.
    """
    value: Any = torch
    try:
        for name in path.split("."):
            value = getattr(value, name)
        return value() if callable(value) else value
    except (AttributeError, RuntimeError):
        return None


def _autocast(device: torch.device) -> str:
    if not torch.is_autocast_enabled(device.type):
        return "off"
    return str(torch.get_autocast_dtype(device.type)).removeprefix("torch.")


def installed() -> str | None:
    """Return the installed version of twofold; ``None`` if it is not installed as a package."""
    try:
        return version("twofold")
    except PackageNotFoundError:
        return None


def _source() -> str:
    """Return the first 12 hexadecimal digits of the SHA-256 of all source files.

    They identify the code even if it is not committed or not tracked by git.
    """
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _commit() -> str | None:
    """Return the git commit of this code, followed by + if the code has been modified since.

    The result is None if the code is not tracked by git, as in an installed package.
    """
    try:
        _git("ls-files", "--error-unmatch", "--", str(PACKAGE / "__init__.py"))
        commit = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", str(PACKAGE))
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed else "")


def _git(*words: str) -> str:
    """Run git in the folder of this package and return its output, ignoring git's environment variables.

    Args:
        words: arguments of git.

    Raises:
        OSError: git is not installed.
        SubprocessError: git fails, or takes longer than `GIT_TIMEOUT`.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    result = subprocess.run(
        ["git", "--no-optional-locks", "-C", str(PACKAGE), *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=GIT_TIMEOUT,
        check=True,
    )
    return result.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
