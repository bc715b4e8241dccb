"""Modules without parameters between layers: pooling, batch statistics, reshaping."""

from __future__ import annotations

from torch import nn

from twofold.checks import check_arguments
from twofold.errors import SettingError
from twofold.layers.layer import FeedForwardLayer


class Fixed(nn.Module):
    """A module without parameters, placed in a list of layers after the layer whose activity it transforms.

    It has no goodness and does not learn. The layer before it learns from its own activity and passes on the module's
    output, normalized; the next layer and the softmax see that output. In a layer's learning step, batch
    statistics are those of positive and negative data together; everywhere else, running statistics are used.

    Args:
        module: such as ``nn.MaxPool2d(2)``, ``nn.AvgPool2d(2)``, ``nn.BatchNorm2d(32, affine=False)``.

    Raises:
        SettingError: the module has parameters.
    """

    @check_arguments
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        if names := [name for name, _ in module.named_parameters()]:
            raise SettingError(
                f"module: {type(module).__name__} has parameters ({', '.join(names)}), but Fixed does not train them: "
                "use CustomLayer, or remove them, for example with affine=False"
            )
        self.module = module

    def _join(self, stack: list[FeedForwardLayer]) -> None:
        """Place the module after the topmost layer of a stack.

        Raises:
            SettingError: the stack is empty.
        """
        if not stack:
            raise SettingError(
                "layers: the first is Fixed, expected a layer that learns: apply the module to the images instead"
            )
        stack[-1].fixed.append(self.module)
