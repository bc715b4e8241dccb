"""What several tests measure with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from twofold.data import Dataset
from twofold.errors import RunError, TwofoldError
from twofold.methods.method import Batch

AUTHORS: dict[str, Any] = {
    **{"goodness": "sum_of_squares", "objective": "logistic", "temperature": 1.0, "normalize": "length"},
    **{"rate": 0.01, "smoothing": 0.9, "decay": 0.001, "peer": 0.03, "softmax_rate": 0.1, "softmax_decay": 0.003},
    **{"negatives": "hard", "label_strength": 1.0, "counted_from": 2, "layer_by_layer": False},
    **{"tolerance": 0.0, "revisit": 1.0, "jitter": 0, "mirror": False, "validation": 0, "seed": 0},
}
"""The author's settings, written out, so that recipes may be tuned without touching a test."""

SHORTCUTS: dict[str, Any] = {"tolerance": 0.3, "revisit": 0.2}
"""What twofold leaves out to be fast."""


def first(data: Dataset, count: int) -> Batch:
    """The first training images, undistorted, with weights of 1."""
    return Batch(data.train_images[:count], data.train_labels[:count], torch.arange(count), torch.ones(count))


def hashes(folder: Path) -> dict[str, str]:
    """Every file below ``folder`` with what is in it: equal before and after means that nothing was touched."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def refusal(action: Callable[[], object], kind: type[TwofoldError] = RunError) -> str:
    """The one line with which ``action`` is refused."""
    with pytest.raises(kind) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)
