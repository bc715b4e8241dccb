"""Modules without parameters between layers, such as pooling, batch normalization or reshaping."""

from __future__ import annotations

from torch import nn

from twofold.checks import check_arguments
from twofold.errors import SettingError
from twofold.layers.layer import FeedForwardLayer


class Fixed(nn.Module):
    """A module without parameters that transforms the activity of the layer before it in a list of layers.

    The module has no goodness and does not learn. The layer before it learns from its own activity, before the
    transformation. The next layer and the softmax classifier receive the transformed activity, normalized. In a
    learning step, modules with batch statistics compute the statistics over positive and negative data together.
    Otherwise, such modules use running statistics.

    Args:
        module: a module such as ``nn.MaxPool2d(2)``, ``nn.AvgPool2d(2)`` or ``nn.BatchNorm2d(32, affine=False)``.

    Raises:
        SettingError: the module has parameters.
    """

    @check_arguments
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        if names := [name for name, _ in module.named_parameters()]:
            raise SettingError(
                f"module: {type(module).__name__} has parameters ({', '.join(names)}), which Fixed cannot train: use "
                "CustomLayer, or a module without parameters, for example with affine=False"
            )
        self.module = module

    def _join(self, stack: list[FeedForwardLayer]) -> None:
        """Add the module after the last layer of ``stack``, while a net is built.

        Raises:
            SettingError: the stack is empty.
        """
        if not stack:
            raise SettingError(
                "layers: the first is Fixed, expected a layer that learns: apply the module to the images instead"
            )
        stack[-1].fixed.append(self.module)
