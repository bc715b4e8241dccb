"""Units and their slopes.

Oracles: PyTorch's own activation functions, and autograd in float64 through them.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from twofold.activations import ACTIVATIONS

WRITTEN: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "leaky_relu": functional.leaky_relu,
    "gelu": functional.gelu,
    "tanh": lambda total: 1.7159 * torch.tanh(2 / 3 * total),
}


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_the_slope_of_a_unit_is_the_derivative_of_its_activity(name: str, kind: torch.dtype) -> None:
    unit = ACTIVATIONS[name]
    total = 3 * torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(kind)
    activity = unit.value(total.clone())
    slope = unit.slope(activity if unit.of_activity else total)
    assert activity.dtype == slope.dtype == kind
    wide = total.double().requires_grad_()
    expected = WRITTEN[name](wide)
    (derivative,) = torch.autograd.grad(expected.sum(), wide)
    rtol, atol = (1e-7, 1e-9) if kind == torch.float64 else (0.05, 0.05)
    torch.testing.assert_close(activity.double(), expected.detach(), rtol=rtol, atol=atol)
    torch.testing.assert_close(slope.double(), derivative, rtol=rtol, atol=atol)


def test_a_threshold_unit_rises_in_one_step_and_learns_by_a_triangle() -> None:
    total = torch.tensor([-2.0, -0.5, 0.0, 0.25, 3.0])
    assert ACTIVATIONS["threshold"].value(total).tolist() == [0, 0, 0, 2, 2]
    assert ACTIVATIONS["threshold"].slope(total).tolist() == [0, 1, 2, 1.5, 0]


def test_every_unit_is_tested_here() -> None:
    assert ACTIVATIONS.keys() == WRITTEN.keys() | {"threshold"}
