"""Samplers, which select the training cases of an epoch and the weights of these cases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from twofold.machine.reduce import reduce
from twofold.methods.cases import LoaderCases


class SampledBatch(NamedTuple):
    """The indices and weights of the cases of a batch.

    Attributes:
        done: fraction of the epoch that was completed before the batch, in [0, 1).
        cases: indices of the training cases, ``(batch,)``.
        case_weight: weight of each case in the loss, ``(batch,)``. The expected weight is 1 in a full batch. In a
            smaller last batch, weights are lower, so that a case has the same influence as in a full batch.
    """

    done: float
    cases: Tensor
    case_weight: Tensor


class Sampler:
    """Sampler for importance sampling, which uses easy cases less often.

    Each case is used at most once per epoch, in random order.
    A case is used in an epoch with the probability p = difficulty / tolerance, clamped to [revisit, 1]. Its weight is
    1 / p, so the expected gradient does not change.

    Args:
        cases: number of cases.
        generator: random generator, on the device of the net.
        tolerance: difficulty from which a case is used in every epoch; 0 uses all cases in every epoch.
        revisit: smallest probability that a case is used in an epoch.

    Attributes:
        difficulty: difficulty of each case, in [0, 1], when the case was last used, ``(cases,)``.
        visits: fraction of the cases that were used in the most recent epoch.
        by_importance: True if easy cases are used less often.
    """

    def __init__(self, cases: int, generator: Generator, tolerance: float = 0.0, revisit: float = 1.0) -> None:
        self.difficulty = torch.ones(cases, device=generator.device)
        self.visits = 0.0
        self.by_importance = bool(tolerance) and revisit < 1
        self._learned = torch.zeros(cases, device=generator.device)
        self._generator = generator
        self._tolerance = tolerance
        self._revisit = revisit

    def chances(self) -> Tensor:
        """Return the probability that each case is used in the next epoch, ``(cases,)``."""
        if not self._tolerance:
            return torch.ones_like(self.difficulty)
        return (self.difficulty / self._tolerance).clamp(self._revisit, 1.0)

    def epoch(self, batch: int) -> Iterator[SampledBatch]:
        """Yield the batches of an epoch. All batches except the last have ``batch`` cases."""
        chances = self.chances()
        order = torch.randperm(len(chances), generator=self._generator, device=chances.device)
        drawn = torch.rand(len(order), generator=self._generator, device=order.device)
        order = order[drawn < chances[order]]
        self.visits = len(order) / len(chances)
        if not len(order):
            return
        for number, cases in enumerate(torch.split(order, batch)):
            yield SampledBatch(number * batch / len(order), cases, len(cases) / batch / chances[cases])

    def learned(self, cases: Tensor, difficulty: Tensor) -> None:
        """Store the difficulty of the cases of a batch.

        Args:
            cases: indices of the cases, ``(batch,)``.
            difficulty: difficulty of each case, from 0 to 1, ``(batch,)``.
        """
        self.difficulty[cases] = difficulty.to(self.difficulty.dtype)
        self._learned[cases] = 1

    def share(self, *values: Tensor) -> None:
        """Exchange values of cases among the processes of a distributed training run, in place.

        Consider a case that at least one process used since the last call. All processes get the mean of the values
        in the processes that used this case. The values of all other cases do not change.

        Args:
            values: tensors with values of each case, ``(cases, ...)``.
        """
        learned = self._learned
        (counts,) = reduce(learned)
        for value in values:
            shape = (-1, *[1] * (value.dim() - 1))
            (total,) = reduce(value.to(learned.dtype).where(learned.view(shape) > 0, 0.0))
            mean = total / counts.view(shape).clamp(min=1)
            value.copy_(mean.to(value.dtype).where(counts.view(shape) > 0, value))
        self._learned.zero_()


class LoaderOrder(Sampler):
    """Sampler that uses the cases in the order of a `DataLoader`, with equal weights.

    Args:
        cases: cases of the loader.
        generator: random generator, on the device of the net.
    """

    def __init__(self, cases: LoaderCases, generator: Generator) -> None:
        super().__init__(len(cases), generator)
        self._cases = cases

    def epoch(self, batch: int) -> Iterator[SampledBatch]:
        """Yield the batches of the loader; ``batch`` is ignored."""
        self.visits, count = 1.0, self._cases.batches(batch)
        for number, cases in enumerate(self._cases.epoch()):
            share = len(cases) / (self._cases.batch or len(cases))
            yield SampledBatch(number / count, cases, torch.full_like(self.difficulty[cases], share))
