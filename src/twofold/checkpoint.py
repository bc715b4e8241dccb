"""Save tensors in safetensors files, never in a pickle. Every file is written completely or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from twofold.errors import RunError
from twofold.files import check_signature, replacing, sign

FORMAT = 2
"""Version of the file format. Files of the first version state no version and have no digest."""

TYPES = {
    **{torch.int64: "I64", torch.float64: "F64", torch.float32: "F32", torch.int32: "I32", torch.bfloat16: "BF16"},
    **{torch.float16: "F16", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"},
}
"""The safetensors names of tensor types, in the order in which a file stores them."""


def write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write named tensors, with ``facts`` and a digest of everything in the header.

    The facts must be representable as JSON.

    Raises:
        RunError: the disk is full or the folder cannot be written. An older file at ``path`` is kept.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = sign({"format": FORMAT, **facts}, before=_digest(plain))
    with replacing(path) as temporary:
        _save(plain, metadata, temporary)


def _save(tensors: Mapping[str, Tensor], metadata: str, path: Path) -> None:
    """Write a safetensors file, byte for byte as the library's own writer does.

    That writer may create files that only their owner can read, whatever the umask, and leaves a temporary file behind
    when it is killed.
    """
    order = list(TYPES.values())
    entries = sorted(tensors.items(), key=lambda item: (order.index(TYPES[item[1].dtype]), item[0]))
    header: dict[str, Any] = {"__metadata__": {"twofold": metadata}}
    end = 0
    for name, tensor in entries:
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, tensor in entries:
            file.write(_bytes(tensor))


def read(
    path: Path, signed: bool = False, remedy: str = "delete it and train again"
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors, on the CPU, and the facts.

    Args:
        path: the file.
        signed: require a digest; only files of older versions have none.
        remedy: what the error message suggests if the file is damaged.

    Raises:
        RunError: the file does not exist or is damaged. A single flipped bit is detected. In files of older versions,
            which have no digest, only violations of the format are detected.
    """
    if not path.exists():
        raise RunError(f"{path} does not exist: is {path.parent} a run folder made by `twofold train`?")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if header.keys() - {"twofold"}:
            raise ValueError(f"its header has {', '.join(sorted(header))}, expected twofold only")
        facts, intact = check_signature(header.get("twofold", "{}"), path, before=_digest(tensors))
        if intact is False or (intact is None and (signed or "format" in facts)):
            raise ValueError("its content does not match its digest")
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{path} is damaged ({reason}): {remedy}") from error
    if facts.pop("format", 1) not in range(1, FORMAT + 1):
        raise RunError(f"{path} was written by a newer version of twofold: update twofold")
    return tensors, facts


def digest_of(path: Path) -> str:
    """Return the SHA-256 of the tensors in a file that `write` wrote, after checking the file; see `read`."""
    return _digest(read(path)[0])


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 (hex) of the names, types, shapes and bytes of tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> memoryview[int]:
    """Return the bytes of a CPU tensor, without a copy if it is contiguous."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data


def fill(targets: Mapping[str, Tensor], tensors: Mapping[str, Tensor], source: Path) -> None:
    """Copy ``tensors`` into ``targets`` with the same names and shapes, either all or none.

    Raises:
        RunError: a name or a shape differs, so the file belongs to another architecture.
    """
    for name in sorted(targets.keys() | tensors.keys()):
        actual = tuple(tensors[name].shape) if name in tensors else "nothing"
        expected = tuple(targets[name].shape) if name in targets else "nothing"
        if actual != expected:
            raise RunError(
                f"{source} belongs to another architecture: {name} has shape {actual}, this net expects {expected}; "
                "use the settings of that training, or another run folder"
            )
    with torch.no_grad():
        for name, target in targets.items():
            target.copy_(tensors[name])


def module_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return all parameters and buffers by name, including the buffers that only learning needs."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
