"""Sums over cases pass through one place: two trainers that each see a half of every batch learn what one learns.

The two run in threads, and a barrier stands where an all-reduce over processes would. Oracle: one trainer that sees the
whole batch, in float64, where the order of summation hardly shows. If a statistic of the batch were missed, the halves
would part from each other or from the whole.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import twofold
from support.small_nets import NETS
from twofold.checkpoint import module_tensors
from twofold.data import Dataset
from twofold.machine.reduce import mean_over_cases, reduce, reduced_by
from twofold.methods.sampler import SampledBatch, Sampler
from twofold.training.trainer import Trainer

CASES, BATCH, EPOCHS = 120, 30, 2


class AllReduce:
    """Adds up what two threads bring."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2, timeout=60)
        self.brought: dict[int, tuple[Tensor, ...]] = {}
        self.calls = 0

    def of(self, rank: int) -> Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]:
        def summed(sums: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            self.brought[rank] = sums
            self.barrier.wait()
            one, other = self.brought[0], self.brought[1]
            assert [each.shape for each in one] == [each.shape for each in other]
            total = tuple(mine + theirs for mine, theirs in zip(one, other, strict=True))
            self.calls += 1
            self.barrier.wait()
            return total

        return summed


class InOrder(Sampler):
    """Batches of all cases in their order, or every second case of them from ``first``."""

    def __init__(self, cases: int, generator: torch.Generator, first: int, step: int) -> None:
        super().__init__(cases, generator)
        self._first, self._step = first, step

    def epoch(self, batch: int) -> Iterator[SampledBatch]:
        self.visits = 1.0
        for start in range(0, len(self.difficulty), batch):
            cases = torch.arange(start, start + batch)[self._first :: self._step]
            weight = torch.linspace(0.5, 1.5, batch)[self._first :: self._step]
            yield SampledBatch(start / len(self.difficulty), cases, weight.double())


def trained(name: str, data: tuple[Tensor, ...], first: int, step: int) -> Trainer:
    """A training on every ``step``-th case of each batch, with the same wrong labels whoever sees a case."""
    net = NETS[name]().double()
    family: Any = twofold.METHODS[net.method]
    settings = {"peer": 0.05, "decay": 0.01} if net.method != "backprop" else {"decay": 0.01}
    of_net = {key: value for key, value in settings.items() if key not in family.recipe_type.fields_with("of_net")}
    recipe = family.default_recipe(net, {"epochs": EPOCHS, "batch": BATCH, "rate": 0.05, **of_net})

    class Half(family):  # type: ignore[misc]
        """Sees every ``step``-th case."""

        def make_sampler(self, cases: int) -> Sampler:
            return InOrder(cases, self.generator, first, step)

        def _negatives(self, batch: Any) -> Tensor:
            wrong: Tensor = (batch.labels + 1 + batch.cases % 9) % 10
            return wrong

    trainer = Trainer(net, recipe, data, method=Half)
    trainer.run()
    return trainer


def in_two(name: str, data: tuple[Tensor, ...]) -> tuple[Trainer, Trainer, AllReduce]:
    together, found = AllReduce(), dict[int, Any]()

    def work(rank: int) -> None:
        try:
            with reduced_by(together.of(rank)):
                found[rank] = trained(name, data, rank, 2)
        except BaseException as error:
            found[rank] = error
            together.barrier.abort()

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in found.values():
        if isinstance(each, BaseException):
            raise each
    return found[0], found[1], together


LEARNERS = ["feedforward", "feedforward, any module", "recurrent", "backprop"]


@pytest.mark.parametrize("name", LEARNERS)
def test_two_that_see_half_of_each_batch_learn_what_one_learns_that_sees_all(digits: Dataset, name: str) -> None:
    data = digits.train_images[:CASES].double(), digits.train_labels[:CASES]
    alone = trained(name, data, 0, 1)
    one, other, together = in_two(name, data)
    assert together.calls > 0
    for half in (one, other):
        torch.testing.assert_close(module_tensors(half.net), module_tensors(alone.net), rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(half.method.per_case(), alone.method.per_case(), rtol=1e-5, atol=1e-6)
        for mine, whole in zip(half.history, alone.history, strict=True):
            assert mine["train_error"] == whole["train_error"]
            if "layers" in whole:
                for layer, wanted in zip(mine["layers"], whole["layers"], strict=True):
                    assert layer == pytest.approx(wanted)
            if "loss" in whole:
                assert mine["loss"] == pytest.approx(whole["loss"], rel=0.1)
    mine, theirs = one.net.state_dict(), other.net.state_dict()
    assert all(torch.equal(mine[key], theirs[key]) for key in mine), "both halves have bitwise the same weights"


def test_without_the_sums_the_halves_part(digits: Dataset) -> None:
    """The control: what the test above would see if a gradient were not reduced."""
    data = digits.train_images[:CASES].double(), digits.train_labels[:CASES]
    alone, half = trained("feedforward", data, 0, 1), trained("feedforward", data, 0, 2)
    apart = (half.net.stack[0].weight - alone.net.stack[0].weight).norm() / alone.net.stack[0].weight.norm()
    assert apart > 1e-3


def test_in_one_process_sums_stay_as_they_are() -> None:
    sums = torch.rand(3), torch.rand(())
    assert all(one is other for one, other in zip(reduce(*sums), sums, strict=True))
    assert torch.equal(mean_over_cases(sums[0]), sums[0].mean())


def test_a_reduction_ends_with_its_block() -> None:
    with reduced_by(lambda sums: tuple(2 * each for each in sums)):
        assert reduce(torch.ones(()))[0] == 2
        assert mean_over_cases(torch.tensor([1.0, 3.0])) == 2
    assert reduce(torch.ones(()))[0] == 1
