"""Parts of a net that learn nothing: pooling, batch statistics, other shapes."""

from __future__ import annotations

from torch import nn

from twofold.checks import typed
from twofold.errors import SettingError
from twofold.layers.layer import FeedForwardLayer


class Fixed(nn.Module):
    """A module without parameters, which stands in a list of layers behind the one whose activity it changes.

    It has no goodness and learns nothing. The layer before it learns from its own activity and passes on what the
    module makes of it, at fixed length; that is what the next layer and the softmax see. In a layer's step batch
    statistics are those of positive and negative data together; everything else uses running ones.

    Args:
        module: such as ``nn.MaxPool2d(2)``, ``nn.AvgPool2d(2)``, ``nn.BatchNorm2d(32, affine=False)``.

    Raises:
        SettingError: the module has parameters.
    """

    @typed
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        if names := [name for name, _ in module.named_parameters()]:
            raise SettingError(
                f"module: {type(module).__name__} has parameters ({', '.join(names)}), which nobody would teach: take "
                "LocalModule, or leave them out, as affine=False does"
            )
        self.module = module

    def _join(self, stack: list[FeedForwardLayer]) -> None:
        """Stand behind the topmost layer of a stack.

        Raises:
            SettingError: there is none.
        """
        if not stack:
            raise SettingError("layers: the first is Fixed, expected a layer that learns: prepare the images instead")
        stack[-1].fixed.append(self.module)
