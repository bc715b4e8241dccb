"""Save and load tensors in safetensors files. Writing is atomic: a file is written completely or not at all."""

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
"""Version of the file format. Files of version 1 contain neither a version nor a digest."""

TYPES = {
    **{torch.int64: "I64", torch.float64: "F64", torch.float32: "F32", torch.int32: "I32", torch.bfloat16: "BF16"},
    **{torch.float16: "F16", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"},
}
"""Tensor dtype -> name of this dtype in safetensors. A file stores tensors in the order of this dictionary."""


def write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write named tensors to a safetensors file whose header contains ``facts`` and a digest.

    Args:
        path: the file.
        tensors: tensors by name.
        facts: JSON-compatible metadata.

    Raises:
        RunError: the disk is full or the folder cannot be written. An older file at ``path`` is kept.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = sign({"format": FORMAT, **facts}, before=_digest(plain))
    with replacing(path) as temporary:
        _save(plain, metadata, temporary)


def _save(tensors: Mapping[str, Tensor], metadata: str, path: Path) -> None:
    """Write a safetensors file with the same bytes as the writer of the safetensors library.

    The writer of the library is not used: it may ignore the umask, so that only the owner can read the file, and it
    leaves a temporary file behind when the process is killed.
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
    """Read a file that `write` wrote.

    Args:
        path: the file.
        signed: if True, raise an error if the file has no digest, as in older versions.
        remedy: end of the error message for a damaged file.

    Returns:
        The tensors by name, on the CPU, and the facts that were passed to `write`.

    Raises:
        RunError: the file does not exist or is damaged. The digest detects every changed bit. In files of older
            versions, which have no digest, only violations of the file format are detected.
    """
    if not path.exists():
        raise RunError(f"{path} does not exist: is {path.parent} a run folder made by `twofold train`?")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if header.keys() - {"twofold"}:
            raise ValueError(f"its header has the entries {', '.join(sorted(header))}, expected only the entry twofold")
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
    """Check a file that `write` wrote, and return the SHA-256 (hex) of the tensors in it; for errors see `read`."""
    return _digest(read(path)[0])


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 (hex) of the names, dtypes, shapes and bytes of tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> memoryview[int]:
    """Return the bytes of a CPU tensor, without a copy if the tensor is contiguous."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data


def fill(targets: Mapping[str, Tensor], tensors: Mapping[str, Tensor], source: Path) -> None:
    """Copy ``tensors`` in place into the ``targets`` with the same names, like ``load_state_dict``.

    Args:
        targets: parameters and buffers of a net, by name.
        tensors: tensors by name.
        source: file that contained the tensors, for error messages.

    Raises:
        RunError: a name or a shape differs, so that ``source`` belongs to a net of another architecture. No target is
            changed.
    """
    for name in sorted(targets.keys() | tensors.keys()):
        actual = tuple(tensors[name].shape) if name in tensors else "missing"
        expected = tuple(targets[name].shape) if name in targets else "missing"
        if actual != expected:
            raise RunError(
                f"{source} belongs to another architecture: the shape of {name} is {actual} in the file and {expected} "
                "in this net; use the settings with which the file was written, or another run folder"
            )
    with torch.no_grad():
        for name, target in targets.items():
            target.copy_(tensors[name])


def module_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return all parameters and buffers by name, including non-persistent buffers, which are not in ``state_dict``."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
