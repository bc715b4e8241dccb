"""Training cases: tensors in memory, a `torch.utils.data.Dataset`, or a `DataLoader`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, default_collate
from torch.utils.data import Dataset as TorchDataset

from twofold.checks import convert
from twofold.data.protocol import Data
from twofold.errors import DataError

Check = Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]
"""Checks and converts tensors of the user's own; see `Method.as_cases`."""

CaseSource = Data | TorchDataset[Any] | DataLoader[Any]
"""Where training cases come from, apart from tensors."""


class Cases(ABC):
    """The training cases of a method.

    Attributes:
        numbered: whether any case can be asked for by its number. Where it cannot, its order is not ours, and cases are
            not sampled by their importance.
    """

    numbered: ClassVar[bool] = True

    @abstractmethod
    def __len__(self) -> int:
        """The number of cases in an epoch."""

    @abstractmethod
    def take(self, cases: Tensor) -> tuple[Tensor, ...]:
        """The tensors of the cases with these numbers, ``(batch,)``, on the device of the net."""

    @property
    @abstractmethod
    def example(self) -> tuple[Tensor, ...]:
        """The tensors of one case, ``(1, ...)``."""

    def batches(self, batch: int) -> int:
        """The number of batches in an epoch."""
        return math.ceil(len(self) / batch)


class TensorCases(Cases):
    """Tensors whose first dimension runs over the cases.

    Args:
        tensors: such as images and labels; of the same length.
    """

    def __init__(self, tensors: tuple[Tensor, ...]) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def take(self, cases: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor[cases] for tensor in self.tensors)

    @property
    def example(self) -> tuple[Tensor, ...]:
        return tuple(tensor[:1] for tensor in self.tensors)


class DatasetCases(Cases):
    """A map-style dataset, whose samples are read, and transformed as it does, at each visit.

    Args:
        dataset: gives tuples such as an image and its label.
        device: of the net.
        check: checks and converts each batch.

    Raises:
        DataError: the dataset has no length, or is empty.
    """

    def __init__(self, dataset: TorchDataset[Any], device: torch.device, check: Check) -> None:
        try:
            self._count = len(dataset)  # type: ignore[arg-type]
        except TypeError as error:
            raise DataError(
                f"data: {type(dataset).__name__} has no length ({error}): give a dataset with __len__ and __getitem__, "
                "or a DataLoader"
            ) from error
        if not self._count:
            raise DataError(f"data: {type(dataset).__name__} is empty, expected at least one case")
        self._dataset = dataset
        self._device = device
        self._check = check

    def __len__(self) -> int:
        return self._count

    def take(self, cases: Tensor) -> tuple[Tensor, ...]:
        samples = [self._dataset[case] for case in cases.tolist()]
        return received(collated(default_collate, samples), self._device, self._check)

    @cached_property
    def example(self) -> tuple[Tensor, ...]:
        return self.take(torch.zeros(1, dtype=torch.int64))


class LoaderCases(Cases):
    """The batches of a `DataLoader`, in its own order. Only the newest batch can be taken.

    Args:
        loader: gives tuples such as images and their labels.
        device: of the net.
        check: checks and converts each batch.

    Raises:
        DataError: the loader has no length, or gives no batch.
    """

    numbered = False

    def __init__(self, loader: DataLoader[Any], device: torch.device, check: Check) -> None:
        try:
            self._batches = len(loader)
        except TypeError as error:
            raise DataError(
                "data: the DataLoader has no length, which the schedule of the rate needs: give its dataset a __len__"
            ) from error
        if not self._batches:
            raise DataError("data: the DataLoader gives no batch, expected at least one: see drop_last and batch_size")
        self._loader = loader
        self._device = device
        self._check = check
        self._newest: tuple[Tensor, ...] = ()

    @property
    def batch(self) -> int | None:
        """Cases of a full batch; ``None`` where the loader does not say."""
        return self._loader.batch_size

    def __len__(self) -> int:
        """The number of cases in an epoch; of a loader that does not say how large its batches are, in its dataset."""
        cases = len(self._loader.dataset)  # type: ignore[arg-type]
        if self.batch is None:
            return cases
        if not isinstance(self._loader.dataset, IterableDataset):
            cases = len(self._loader.sampler)  # type: ignore[arg-type]
        return min(cases, self._batches * self.batch)

    def batches(self, batch: int) -> int:
        return self._batches

    def epoch(self) -> Iterator[Tensor]:
        """The numbers of the cases of each batch, in the order in which they come; `take` then gives their tensors."""
        first, count = 0, len(self)
        for batch in self._loader:
            self._newest = received(batch, self._device, self._check)
            after = first + len(self._newest[0])
            yield torch.arange(first, after, device=self._device) % count
            first = after

    def take(self, cases: Tensor) -> tuple[Tensor, ...]:
        if len(cases) != len(self._newest[0]):
            raise DataError(
                f"the newest batch has {len(self._newest[0])} cases, asked for are {len(cases)}: a DataLoader decides "
                "which cases come together; set its drop_last, or give tensors"
            )
        return self._newest

    @cached_property
    def example(self) -> tuple[Tensor, ...]:
        loader = self._loader
        if isinstance(loader.dataset, IterableDataset) or loader.batch_size is None:
            batch = next(iter(loader))
        else:
            batch = collated(loader.collate_fn, [loader.dataset[0]])
        return tuple(tensor[:1] for tensor in received(batch, self._device, self._check))


def cases_of(data: tuple[Tensor | CaseSource, ...], device: torch.device, batch: int, check: Check) -> Cases:
    """Make training cases of what a user gives.

    Args:
        data: tensors, or one `twofold.Dataset`, `torch.utils.data.Dataset` or `DataLoader`.
        device: of the net.
        batch: cases in a batch, for a dataset that can only be gone through.
        check: checks and converts batches of a dataset or loader. Tensors are taken as they are.

    Raises:
        DataError: it is something else, or there is nothing in it.
    """
    first, *others = data
    if others or isinstance(first, Tensor):
        return TensorCases(tuple(convert("data", tensor, Tensor).to(device) for tensor in data))
    if isinstance(first, DataLoader):
        return LoaderCases(first, device, check)
    if isinstance(first, IterableDataset):
        return LoaderCases(DataLoader(first, batch), device, check)
    if isinstance(first, TensorDataset):
        return TensorCases(tuple(tensor.to(device) for tensor in check(first.tensors)))
    if isinstance(first, TorchDataset):
        return DatasetCases(first, device, check)
    return TensorCases(tuple(tensor.to(device) for tensor in check(first.train)))


def collated(collate: Callable[[list[Any]], Any], samples: list[Any]) -> Any:
    """Put samples together to a batch.

    Raises:
        DataError: they cannot become tensors.
    """
    try:
        return collate(samples)
    except (TypeError, RuntimeError) as error:
        raise DataError(
            f"data: samples of the dataset cannot be put together ({' '.join(str(error).split())}): give tensors of "
            "one shape, for instance with a transform"
        ) from error


def received(batch: Any, device: torch.device, check: Check) -> tuple[Tensor, ...]:
    """The tensors of a batch from a dataset or loader, checked, on the device of the net.

    Raises:
        DataError: it is no tuple of tensors, or the net cannot learn from them.
    """
    if not isinstance(batch, tuple | list) or not all(isinstance(part, Tensor) for part in batch):
        raise DataError(
            f"data: a batch is of the type {type(batch).__name__}, expected a tuple of tensors, as images and labels: "
            "change what the dataset returns"
        )
    return tuple(part.to(device) for part in check(tuple(batch)))
