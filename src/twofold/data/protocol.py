"""What a training asks of a data set, whatever is in it: images, tables, tokens, streams of frames."""

from __future__ import annotations

from typing import Any, Protocol, Self

from torch import Tensor


class Data(Protocol):
    """A training part and a test part, each some tensors whose first dimension are the cases.

    `Dataset` is one of labeled images. A class of your own with these members can be trained on, tested and resumed
    like it.
    """

    @property
    def name(self) -> str:
        """What results call these data."""

    @property
    def official(self) -> bool:
        """Whether the bytes were verified to be the published ones."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the content, by which a run recognizes its data."""

    @property
    def form(self) -> dict[str, Any]:
        """What a net has to know of the data to be built, as JSON can hold it; `Method.build` gets it."""

    @property
    def train(self) -> tuple[Tensor, ...]:
        """What is learned from, such as images and labels."""

    @property
    def test(self) -> tuple[Tensor, ...]:
        """What is tested on, likewise."""

    def hold_out(self, count: int) -> Self:
        """The last ``count`` training cases become the test part; the real one is left out, untouched."""
