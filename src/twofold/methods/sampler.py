"""Which cases a training sees in an epoch, and how much each counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from twofold.machine.reduce import reduce
from twofold.methods.cases import LoaderCases


class Drawn(NamedTuple):
    """A batch as numbers.

    Attributes:
        done: share of the epoch that was done before it, in [0, 1).
        cases: which of the training cases, ``(batch,)``.
        case_weight: how much each counts, ``(batch,)``; in a full batch 1 on average over the training cases. In a last
            batch that is smaller each counts so much less that its share of the mean is that in a full one.
    """

    done: float
    cases: Tensor
    case_weight: Tensor


class Sampler:
    """Each case once in an epoch, in a new order; those that had little to teach less often (importance sampling).

    A case is seen with a probability of its difficulty / tolerance, at least ``revisit`` and at most 1, and counts so
    many times more when it is, so that what is learned stays the same on average. No case counts more than 1 / revisit.

    Args:
        cases: how many there are.
        generator: draws the order, on the device of the cases.
        tolerance: 0 sees all cases in every epoch.
        revisit: the smallest probability.

    Attributes:
        difficulty: how much each case had to teach at its last visit, ``(cases,)``.
        visits: share of the cases that the newest epoch saw.
        by_importance: whether cases with little to teach are seen less often.
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
        """The probability of each case to be seen in the next epoch, ``(cases,)``."""
        if not self._tolerance:
            return torch.ones_like(self.difficulty)
        return (self.difficulty / self._tolerance).clamp(self._revisit, 1.0)

    def epoch(self, batch: int) -> Iterator[Drawn]:
        """The batches of an epoch, of ``batch`` cases each but for the last; none where chance leaves all cases out."""
        chances = self.chances()
        order = torch.randperm(len(chances), generator=self._generator, device=chances.device)
        drawn = torch.rand(len(order), generator=self._generator, device=order.device)
        order = order[drawn < chances[order]]
        self.visits = len(order) / len(chances)
        if not len(order):
            return
        for number, cases in enumerate(torch.split(order, batch)):
            yield Drawn(number * batch / len(order), cases, len(cases) / batch / chances[cases])

    def learned(self, cases: Tensor, difficulty: Tensor) -> None:
        """Note how much the cases ``(batch,)`` had to teach."""
        self.difficulty[cases] = difficulty.to(self.difficulty.dtype)
        self._learned[cases] = 1

    def share(self, *values: Tensor) -> None:
        """Bring to all processes what each of them noted since the last call, in place.

        Args:
            values: a number or more for each case, ``(cases, ...)``, noted for the cases that were learned from.
        """
        here = self._learned
        (everywhere,) = reduce(here)
        for value in values:
            shape = (-1, *[1] * (value.dim() - 1))
            (total,) = reduce(value.to(here.dtype).where(here.view(shape) > 0, 0.0))
            mean = total / everywhere.view(shape).clamp(min=1)
            value.copy_(mean.to(value.dtype).where(everywhere.view(shape) > 0, value))
        self._learned.zero_()


class LoaderOrder(Sampler):
    """Cases in the order of a `DataLoader`. Each counts the same.

    Args:
        cases: of the loader.
        generator: gives the device.
    """

    def __init__(self, cases: LoaderCases, generator: Generator) -> None:
        super().__init__(len(cases), generator)
        self._cases = cases

    def epoch(self, batch: int) -> Iterator[Drawn]:
        """The batches of the loader; ``batch`` is not used."""
        self.visits, count = 1.0, self._cases.batches(batch)
        for number, cases in enumerate(self._cases.epoch()):
            share = len(cases) / (self._cases.batch or len(cases))
            yield Drawn(number / count, cases, torch.full_like(self.difficulty[cases], share))
