"""The protocol that training expects of a data set of any kind: images, tables, tokens, streams of frames."""

from __future__ import annotations

from typing import Any, Protocol, Self, runtime_checkable

from torch import Tensor


@runtime_checkable
class Data(Protocol):
    """A training part and a test part, each a tuple of tensors whose first dimension runs over the cases.

    `Dataset` is the implementation for labeled images. Any class with these members can be used in its place.
    """

    @property
    def name(self) -> str:
        """The name of the data in results."""

    @property
    def official(self) -> bool:
        """Whether the bytes were verified to be the published ones."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the content, by which a run recognizes its data."""

    @property
    def form(self) -> dict[str, Any]:
        """All that is needed of the data to build a net, as values that JSON can hold; passed to `Method.build`."""

    @property
    def train(self) -> tuple[Tensor, ...]:
        """The tensors of the training part, such as images and labels."""

    @property
    def test(self) -> tuple[Tensor, ...]:
        """The tensors of the test part."""

    def hold_out(self, count: int) -> Self:
        """Return data whose test part is the last ``count`` training cases; the real test part is left out."""
