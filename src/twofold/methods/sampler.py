"""Samplers of the cases of an epoch and their weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from twofold.machine.reduce import reduce
from twofold.methods.cases import LoaderCases


class SampledBatch(NamedTuple):
    """The case numbers and weights of a batch.

    Attributes:
        done: share of the epoch before the batch, in [0, 1).
        cases: numbers of the training cases, ``(batch,)``.
        case_weight: weight of each case, ``(batch,)``. In a full batch, its expected value is 1. In a smaller last
            batch it is lower, so that each case has the same influence as in a full batch.
    """

    done: float
    cases: Tensor
    case_weight: Tensor


class Sampler:
    """Sampler that visits each case at most once per epoch in random order, and easy cases less often.

    This is importance sampling: a case is visited with the probability difficulty / tolerance, clamped to [revisit, 1],
    and is weighted by the inverse of that probability, at most 1 / revisit. The expected gradient stays the same.

    Args:
        cases: number of cases.
        generator: generator of the order, on the device of the cases.
        tolerance: difficulty from which a case is always visited; 0 visits all cases in every epoch.
        revisit: smallest probability of a visit.

    Attributes:
        difficulty: difficulty of each case at its last visit, ``(cases,)``.
        visits: share of the cases that were visited in the most recent epoch.
        by_importance: True if easy cases are visited less often.
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
        """Return the probability that each case is visited in the next epoch, ``(cases,)``."""
        if not self._tolerance:
            return torch.ones_like(self.difficulty)
        return (self.difficulty / self._tolerance).clamp(self._revisit, 1.0)

    def epoch(self, batch: int) -> Iterator[SampledBatch]:
        """Yield the batches of an epoch, of ``batch`` cases except for the last; none if no case is sampled."""
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
        """Store the difficulty of the cases, both ``(batch,)``."""
        self.difficulty[cases] = difficulty.to(self.difficulty.dtype)
        self._learned[cases] = 1

    def share(self, *values: Tensor) -> None:
        """Share the values that each process stored since the last call among all processes, in place.

        Args:
            values: values of each case, ``(cases, ...)``, of which those of visited cases are shared.
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
    """Sampler that visits the cases in the order of a `DataLoader`, with equal weights.

    Args:
        cases: cases of the loader.
        generator: generator on the device of the cases.
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
