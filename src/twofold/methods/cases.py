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
"""Function that checks and converts tensors given by the user; see `Method.as_cases`."""

CaseSource = Data | TorchDataset[Any] | DataLoader[Any]
"""Objects other than tensors from which training cases are read."""


class Cases(ABC):
    """Base class of training sets. A case is one sample, such as an image and its label.

    Attributes:
        numbered: True if cases can be accessed by index. Otherwise the data source determines the order of the cases,
            and importance sampling is not used.
    """

    numbered: ClassVar[bool] = True

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of cases in an epoch."""

    @abstractmethod
    def take(self, cases: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors of the cases with the indices ``cases``, ``(batch,)``, on the device of the net."""

    @property
    @abstractmethod
    def example(self) -> tuple[Tensor, ...]:
        """The tensors of one case, such as an image and its label, ``(1, ...)``."""

    def batches(self, batch: int) -> int:
        """Return the number of batches in an epoch, for a batch size of ``batch``."""
        return math.ceil(len(self) / batch)


class TensorCases(Cases):
    """Training cases in tensors.

    Args:
        tensors: tensors ``(cases, ...)``, such as images and labels.
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
    """Training cases of a map-style dataset. A sample is read each time it is used, so random transforms apply.

    Args:
        dataset: dataset of tuples such as an image and its label.
        device: device of the net.
        check: function that checks and converts each batch.

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
    """Training cases of a `DataLoader`, in the order of the loader. `take` only accepts the most recent batch.

    Args:
        loader: loader of tuples such as images and their labels.
        device: device of the net.
        check: function that checks and converts each batch.

    Raises:
        DataError: the loader has no length, or yields no batches.
    """

    numbered = False

    def __init__(self, loader: DataLoader[Any], device: torch.device, check: Check) -> None:
        try:
            self._batches = len(loader)
        except TypeError as error:
            raise DataError(
                "data: the DataLoader has no length, which the learning-rate schedule needs: add __len__ to its dataset"
            ) from error
        if not self._batches:
            raise DataError("data: the DataLoader has no batches, expected at least 1: check drop_last and batch_size")
        self._loader = loader
        self._device = device
        self._check = check
        self._newest: tuple[Tensor, ...] = ()

    @property
    def batch(self) -> int | None:
        """The number of cases in a full batch, or ``None`` if the loader has no batch size."""
        return self._loader.batch_size

    def __len__(self) -> int:
        """Return the number of cases in an epoch, or in the dataset of the loader if the loader has no batch size."""
        cases = len(self._loader.dataset)  # type: ignore[arg-type]
        if self.batch is None:
            return cases
        if not isinstance(self._loader.dataset, IterableDataset):
            cases = len(self._loader.sampler)  # type: ignore[arg-type]
        return min(cases, self._batches * self.batch)

    def batches(self, batch: int) -> int:
        return self._batches

    def epoch(self) -> Iterator[Tensor]:
        """Yield the indices of the cases of each batch, ``(batch,)``. `take` then returns the tensors of this batch."""
        first, count = 0, len(self)
        for batch in self._loader:
            self._newest = received(batch, self._device, self._check)
            after = first + len(self._newest[0])
            yield torch.arange(first, after, device=self._device) % count
            first = after

    def take(self, cases: Tensor) -> tuple[Tensor, ...]:
        if len(cases) != len(self._newest[0]):
            raise DataError(
                f"got {len(cases)} cases, but the current batch of the DataLoader has {len(self._newest[0])}: set "
                "drop_last, or give tensors"
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
    """Wrap the data of a user as training cases.

    Args:
        data: tensors, or one `twofold.Dataset`, `torch.utils.data.Dataset` or `DataLoader`.
        device: device of the net.
        batch: batch size for an `IterableDataset`; ignored for other data.
        check: function that checks and converts batches of a dataset or loader. Tensors are not checked.

    Raises:
        DataError: the data have another type, or are empty.
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
    """Collate samples into a batch with the function ``collate``.

    Raises:
        DataError: the samples cannot be collated into tensors.
    """
    try:
        return collate(samples)
    except (TypeError, RuntimeError) as error:
        raise DataError(
            f"data: samples of the dataset cannot be collated into a batch ({' '.join(str(error).split())}): return "
            "tensors of one shape, for instance with a transform"
        ) from error


def received(batch: Any, device: torch.device, check: Check) -> tuple[Tensor, ...]:
    """Check and convert a batch of a dataset or loader, and move its tensors to the device of the net.

    Raises:
        DataError: the batch is not a tuple of tensors, or the net cannot be trained on the tensors.
    """
    if not isinstance(batch, tuple | list) or not all(isinstance(tensor, Tensor) for tensor in batch):
        raise DataError(
            f"data: a batch has the type {type(batch).__name__}, expected a tuple of tensors such as images and "
            "labels: change the return value of the dataset"
        )
    return tuple(tensor.to(device) for tensor in check(tuple(batch)))
