"""Devices without double precision, as Apple's GPUs are, which are not here.

Oracle: torch itself, asked at every operation for the type of what it makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import twofold
from support.small_nets import NETS
from twofold import defaults, machine
from twofold.data import Dataset
from twofold.learning import sample
from twofold.negatives import hybrids


class NoDoubles(TorchDispatchMode):
    """Refuses all tensors in double precision but single numbers, which may have come from the processor."""

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = function(*args, **(kwargs or {}))
        for each in tree_leaves(found):
            if isinstance(each, Tensor) and each.dtype == torch.float64 and each.dim():
                raise TypeError(f"{function} makes a float64 tensor of the shape {tuple(each.shape)}")
        return found


@pytest.mark.parametrize("family", [name for name in NETS if "any" not in name])
def test_no_family_of_nets_needs_double_precision(
    family: str, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "has_doubles", lambda device: False)
    net, images, labels = NETS[family](), digits.train_images[:24], digits.train_labels[:24]
    hybrids(images, defaults.BLURS, torch.Generator())  # its masks are made once, on the processor
    with NoDoubles():
        list(twofold.fit(net, images, labels, epochs=1, batch=8, tolerance=0.3, revisit=0.5))
        twofold.evaluate(net, images, labels)


def test_weak_signals_are_sampled_the_same_without_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    signals, batches = torch.linspace(-0.3, 0.3, 200).view(2, 100), torch.tensor(12_345_678)
    expected = sample(signals, 0.2, batches)
    monkeypatch.setattr(machine, "has_doubles", lambda device: False)
    assert sample(signals, 0.2, batches).equal(expected)
