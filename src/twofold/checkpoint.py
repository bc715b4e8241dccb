"""Save tensors in safetensors files, never in a pickle; every file is written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from twofold.errors import RunError
from twofold.files import replacing


def write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write named tensors, and in the header facts that JSON can hold.

    Raises:
        RunError: the disk is full or the folder cannot be written. An older file at ``path`` is untouched.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        try:
            save_file(plain, temporary, {"twofold": json.dumps(facts)})
        except SafetensorError as error:  # the disk is full
            raise OSError(" ".join(str(error).split())) from error


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors, on the CPU, and the facts.

    Raises:
        RunError: there is no such file, or it is damaged.
    """
    if not path.exists():
        raise RunError(f"{path} does not exist: is {path.parent} a run folder made by `twofold train`?")
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("twofold", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{path} is damaged ({reason}): delete it and train again") from error


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
