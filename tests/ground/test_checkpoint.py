"""Tensors in files.

Oracle: the bytes that safetensors itself makes of the same tensors.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from twofold import checkpoint


def test_a_file_is_byte_by_byte_what_safetensors_makes(tmp_path: Path) -> None:
    """Any program that reads the format reads it, and older files are as newer ones."""
    generator = torch.Generator().manual_seed(0)
    tensors = {
        f"{name} of {dtype}": (10 * torch.rand(shape, generator=generator)).to(dtype)
        for dtype in checkpoint.TYPES
        for name, shape in (("schräg", (3, 5)), ("one", ()), ("none", (0, 4)), ("odd", (7,)))
    }
    tensors["strided"] = torch.arange(12).reshape(3, 4).T
    checkpoint.write(tmp_path / "file", tensors, {"epoch": 3, "name": 'ü "quoted"\n'})
    with safe_open(tmp_path / "file", framework="pt") as file:
        facts = file.metadata()
    plain = {name: tensor.contiguous() for name, tensor in tensors.items()}
    assert (tmp_path / "file").read_bytes() == save(plain, facts)
    read, _ = checkpoint.read(tmp_path / "file")
    assert all(torch.equal(read[name], tensor) and read[name].dtype == tensor.dtype for name, tensor in tensors.items())
