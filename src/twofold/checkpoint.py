"""Save tensors in safetensors files, never in a pickle; every file is written whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from twofold.errors import RunError
from twofold.files import check_signature, replacing, sign

FORMAT = 2
"""Of the files that are written here. Those of the first format say no format, and have no digest."""


def write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write named tensors, and in the header facts that JSON can hold, and a digest of all of it.

    Raises:
        RunError: the disk is full or the folder cannot be written. An older file at ``path`` is untouched.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    said = sign({"format": FORMAT, **facts}, before=_digest(plain))
    with replacing(path) as temporary:
        try:
            save_file(plain, temporary, {"twofold": said})
        except SafetensorError as error:  # the disk is full
            raise OSError(" ".join(str(error).split())) from error


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors, on the CPU, and the facts.

    Raises:
        RunError: there is no such file, or it is damaged: one bit that is another is enough. Files of older versions,
            which have no digest, are damaged where they are no safetensors files.
    """
    if not path.exists():
        raise RunError(f"{path} does not exist: is {path.parent} a run folder made by `twofold train`?")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if header.keys() - {"twofold"}:
            raise ValueError(f"its header has {', '.join(sorted(header))}")
        facts, intact = check_signature(header.get("twofold", "{}"), path, before=_digest(tensors))
        if intact is False or (intact is None and "format" in facts):
            raise ValueError("its content does not have the digest that it was written with")
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{path} is damaged ({reason}): delete it and train again") from error
    if facts.pop("format", 1) not in range(1, FORMAT + 1):
        raise RunError(f"{path} was written by a newer version of twofold: update twofold")
    return tensors, facts


def digest_of(path: Path) -> str:
    """SHA-256 of the tensors in a file that `write` wrote, after checking it; see `read`."""
    return _digest(read(path)[0])


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 (hex) of the names, types, shapes and bytes of tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def fill(targets: Mapping[str, Tensor], tensors: Mapping[str, Tensor], source: Path) -> None:
    """Copy ``tensors`` into ``targets`` of the same names and shapes, either all or none.

    Raises:
        RunError: a name or a shape differs: the file belongs to another architecture.
    """
    for name in sorted(targets.keys() | tensors.keys()):
        found = tuple(tensors[name].shape) if name in tensors else "nothing"
        expected = tuple(targets[name].shape) if name in targets else "nothing"
        if found != expected:
            raise RunError(
                f"{source} belongs to another architecture: {name} has shape {found}, this net expects {expected}; "
                "use the settings that it was trained with, or another run folder"
            )
    with torch.no_grad():
        for name, target in targets.items():
            target.copy_(tensors[name])


def module_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return all parameters and buffers by name, including the buffers that only learning needs."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
