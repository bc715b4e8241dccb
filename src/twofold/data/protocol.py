"""The protocol of data sets for training: images, tables, tokens, streams of frames."""

from __future__ import annotations

from typing import Any, Protocol, Self, runtime_checkable

from torch import Tensor


@runtime_checkable
class Data(Protocol):
    """A training part and a test part, each a tuple of tensors whose first dimension runs over the cases.

    `Dataset` is the implementation for labeled images. Any other class with these members can also be used for
    training.
    """

    @property
    def name(self) -> str:
        """Name of the data set in results."""

    @property
    def official(self) -> bool:
        """True if digests show that the data are the published ones."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the content; identifies the data of a run."""

    @property
    def form(self) -> dict[str, Any]:
        """Properties of the data needed to build a net, as JSON-compatible values; passed to `Method.build`."""

    @property
    def train(self) -> tuple[Tensor, ...]:
        """Tensors of the training part, such as images and labels."""

    @property
    def test(self) -> tuple[Tensor, ...]:
        """Tensors of the test part."""

    def hold_out(self, count: int) -> Self:
        """Return data whose test part is the last ``count`` training cases; the original test part is dropped."""
