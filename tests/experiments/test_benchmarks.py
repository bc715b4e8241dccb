"""Benchmarks: the arithmetic on made-up timings, and operations and bytes counted by hand.

Oracles: hand counts, the twin in plain autograd. No test depends on how fast the machine is.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from twofold.cli import text
from twofold.data import Dataset
from twofold.methods import BackpropRecipe, FeedForwardRecipe
from twofold_lab.benchmarks import Workbench, epoch, memory, one_step, timing
from twofold_lab.benchmarks import time_to_error as tte
from twofold_lab.benchmarks.one_step import Case
from twofold_lab.benchmarks.operations import operations, shares
from twofold_lab.benchmarks.peak_memory import peak, running_peak
from twofold_lab.benchmarks.trainer import burst, every_case, layers_of, pair, trainer

CPU = torch.device("cpu")
BENCH = Workbench(CPU, "fp32")


# Taking turns, and figures ---------------------------------------------------------------------------------------


def test_contenders_take_turns_in_reversed_order_every_other_round() -> None:
    """Else the one that always comes second would carry what the first one left in the caches, or a slowing clock."""
    calls: list[str] = []

    def contender(name: str) -> Callable[[int], float]:
        return lambda number: (calls.append(f"{name}{number}"), float(number))[1]

    found = timing.interleave({name: contender(name) for name in "abc"}, 3)
    assert calls == ["a0", "b0", "c0", "c1", "b1", "a1", "a2", "b2", "c2"]
    assert found == {name: [0.0, 1.0, 2.0] for name in "abc"}


def test_a_spread_is_the_median_between_the_quartiles() -> None:
    """Else one disturbed round would stand in a table as the machine's speed."""
    assert timing.spread([1, 2, 3, 4, 100]) == {"median": 3, "low": 2, "high": 4}
    assert timing.spread([7]) == {"median": 7, "low": 7, "high": 7}


@pytest.mark.parametrize(
    ("value", "expected"), [(0.012345, "0.0123"), (4.5, "4.50"), (99.96, "100"), (1234.5, "1,234")]
)
def test_a_figure_has_three_digits_or_all_before_the_point(value: float, expected: str) -> None:
    assert text.format_3(value) == expected


def test_a_spread_is_told_with_its_quartiles() -> None:
    figure = {"median": 2.0, "low": 1.5, "high": 1234.0}
    assert text.format_spread(figure) == "2.00 (1.50 to 1,234)"
    assert text.format_spread(figure, text.format_percent) == "200.00 % (150.00 % to 123400.00 %)"


def test_columns_are_as_wide_as_their_widest_cell_and_the_first_is_set_left() -> None:
    rows = [["name", "s"], ["a", "10.5"], ["longer", "2"]]
    assert text.format_table(rows).splitlines() == ["name       s", "------  ----", "a       10.5", "longer     2"]


@pytest.mark.slow
@pytest.mark.parametrize("package", ["twofold_lab.benchmarks", "twofold_lab.claims", "twofold.plots"])
def test_a_package_can_be_imported_first(package: str) -> None:
    """Imports in a circle would fail, or not, by what was imported before."""
    done = subprocess.run([sys.executable, "-c", f"import {package}"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


class MadeUp:
    """A trainer whose epochs take what was made up."""

    def __init__(self, place: Workbench, recipe: Any, data: Dataset) -> None:
        self.method = SimpleNamespace(metrics=lambda: {"visits": 0.5})
        self.seconds = {"forward-forward": [4.0, 2.0, 9.0], "backprop": [1.0, 2.0, 3.0]}[recipe.method]

    def epoch(self, number: int) -> float:
        return self.seconds[number]


def test_the_ratio_of_epochs_is_the_median_of_ratios_of_the_same_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ratio of the medians would compare an epoch of the one with another epoch of the other."""
    whole = {"ratio": {"median": 5.0, "low": 4.0, "high": 6.0}}
    monkeypatch.setattr(epoch, "trainer", MadeUp)
    monkeypatch.setattr(epoch, "compare", lambda *_, **__: whole)
    monkeypatch.setattr(epoch, "warm_up", lambda *_: None)
    found = epoch.Epoch("digits", epochs=3, sweep=False).measure(BENCH)
    assert found["ratios"] == [4.0, 1.0, 3.0]
    assert found["ff_over_bp"] == 3.0
    assert found["ff_over_bp_first"] == 4.0
    assert found["ff_over_bp_every_case"] == 5.0
    assert found["seconds"]["ff"]["median"] == 4.0
    assert found["images_seen"]["ff"] == [0.5, 0.5, 0.5]


def test_nothing_left_out_changes_only_what_leaves_out() -> None:
    """Else the contender that counts every case would be another net."""
    recipe, _ = pair("mnist")
    changed = every_case(recipe)
    assert (changed.tolerance, changed.revisit) == (0, 1)
    assert replace(changed, tolerance=recipe.tolerance, revisit=recipe.revisit) == recipe


@pytest.mark.parametrize("name", ["mnist", "mnist-wide", "mnist-jitter", "digits"])
def test_the_twin_has_the_same_net_data_batch_and_jitter(name: str) -> None:
    """Else the times of two different jobs would be compared."""
    recipe, twin = pair(name)
    for field in ("data", "widths", "batch", "jitter", "seed"):
        assert getattr(twin, field) == getattr(recipe, field)
    assert isinstance(twin, BackpropRecipe)


def test_bursts_are_scaled_to_the_images_of_an_epoch(
    tiny: Dataset, recipe: FeedForwardRecipe, twin_recipe: BackpropRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the table would compare bursts of different length."""
    from twofold_lab.benchmarks import trainer as module

    monkeypatch.setattr(module, "burst", lambda training: lambda turn: (training.epoch(0), 2.0)[1])
    found = module.compare(BENCH, recipe, twin_recipe, tiny, images=20, rounds=3)
    assert found["images"] == 16  # whole batches of 8
    assert found["ff"]["median"] == found["twin"]["median"] == 2.0 * 60_000 / 16
    assert found["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}


def test_nets_are_named_by_depth_and_width() -> None:
    assert layers_of([1000, 1000, 1000]) == "3 x 1000"
    assert layers_of([500, 100]) == "500 x 100"


# Operations --------------------------------------------------------------------------------------------------------


def test_a_product_has_two_operations_for_each_multiply_and_add() -> None:
    assert operations(lambda: torch.ones(3, 4) @ torch.ones(4, 5)) == 2 * 3 * 4 * 5
    left, right, into = torch.ones(3, 4), torch.ones(4, 5), torch.ones(3, 5)
    assert operations(lambda: torch.addmm(into, left, right, out=into)) == 2 * 3 * 4 * 5


def test_the_twin_executes_the_products_that_are_counted_by_hand(tiny: Dataset, twin_recipe: BackpropRecipe) -> None:
    """Else the fraction of the machine's best rate would be one of something else."""
    learn = burst(trainer(BENCH, twin_recipe, tiny))
    products = [a * b for a, b in itertools.pairwise((25, 14, 12, 10, 4))]
    forward, to_weights, to_inputs = sum(products), sum(products), sum(products[1:])
    assert operations(lambda: learn(0)) == 2 * 40 * (forward + to_weights + to_inputs)


def test_forward_forward_executes_no_more_than_five_products_a_layer(tiny: Dataset, recipe: FeedForwardRecipe) -> None:
    """Counted too high, its share of the machine's best rate would be flattering; too low, a product went uncounted.

    Three forward passes and two weight gradients, and one row for peer normalization, whatever is shared between them;
    positive and negative data make at least two passes and two gradients in the layers above the first.
    """
    learn = burst(trainer(BENCH, every_case(recipe), tiny))
    products, softmax = [29 * 14, 14 * 12, 12 * 10], (12 + 10) * 4
    most = sum(2 * (5 * 40 + 5) * product for product in products) + 2 * 2 * 40 * softmax
    least = sum(2 * 4 * 40 * product for product in products[1:])
    assert least <= operations(lambda: learn(0)) <= most


def test_shares_of_time_are_those_of_a_whole(tiny: Dataset, twin_recipe: BackpropRecipe) -> None:
    learn = burst(trainer(BENCH, twin_recipe, tiny))
    found = shares(lambda: learn(0), CPU)
    assert sum(found.values()) == pytest.approx(1)
    assert next(iter(found)) == "matrix products"
    assert list(found)[-1] == "the rest"
    assert all(share > 0 for share in found.values())


# Memory ------------------------------------------------------------------------------------------------------------


def test_the_most_that_is_held_counts_only_what_was_taken_since_the_beginning() -> None:
    """Else what a step gives back of an earlier one would make it look smaller than it is."""
    assert running_peak(iter([(1, 10), (2, 20), (1, -10), (3, 5), (2, -20)])) == 30
    assert running_peak(iter([(9, -100), (1, 10), (1, -10), (1, 4)])) == 10
    assert running_peak(iter([])) == 0


def test_the_allocator_is_read_to_the_byte() -> None:
    """Two blocks at a time, then one of them with a third: what is never held together must not be added."""

    def work() -> None:
        first, second = torch.ones(1000), torch.ones(500)
        del first
        third = torch.ones(2000)
        del second, third

    assert peak(work, [], CPU) == 4 * (500 + 2000)


def test_narrow_copies_of_weights_do_not_count_and_other_copies_do() -> None:
    """Both ways of learning need them; one keeps them between steps, and the other may make them anew."""
    weight, other = torch.ones(1000), torch.ones(300)
    assert peak(lambda: (weight.bfloat16(), other.bfloat16()), [weight], CPU) == 600
    assert peak(lambda: (weight.bfloat16(), other.bfloat16()), [], CPU) == 2600


def test_the_memory_of_forward_forward_hardly_grows_with_depth_and_the_twins_does() -> None:
    """The claim itself: activities of a layer are forgotten when the next one has its output."""
    held = {
        (name, depth): one_step.measure(Case(name, depth, 128, 500, "cpu", "fp32"))["peak"]
        for name in ("ff", "twin")
        for depth in (2, 8)
    }
    assert held["ff", 8] / held["ff", 2] < 1.2
    assert held["twin", 8] / held["twin", 2] > 1.2
    activity = 4 * 500 * 128
    assert held["ff", 8] - held["ff", 2] < 6 * activity / 2
    assert held["twin", 8] - held["twin", 2] > 6 * activity / 2


@pytest.mark.parametrize("name", ["twin-checkpoints", "twin-parts"])
def test_a_twin_that_saves_memory_learns_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the frugal twin would be another training, and the comparison with it unfair to one side."""
    recipe, twin = pair("mnist")
    monkeypatch.setattr(one_step, "pair", lambda _: (recipe, replace(twin, decay=0.0)))
    images, labels = torch.rand(16, *one_step.SHAPE, generator=torch.Generator().manual_seed(1)), torch.arange(16) % 10
    after = []
    for contender in ("twin", name):
        weights, step = one_step.build(Case(contender, 3, 12, 16, "cpu", "fp32"), images, labels)
        before = [weight.clone() for weight in weights]
        for _ in range(5):
            step()
        after.append([weight.detach() - start for weight, start in zip(weights, before, strict=True)])
    assert all(change.abs().max() > 1e-4 for change in after[0])
    for own, other in zip(*after, strict=True):
        torch.testing.assert_close(other, own, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_a_fresh_process_finds_the_same_as_this_one() -> None:
    """Else the figure would depend on what ran before."""
    case = Case("twin", 2, 16, 64, "cpu", "fp32")
    found = memory.Memory(width=16, depths=(2, 3), batch=64).in_a_process(BENCH, "twin", 2)
    assert found["peak"] == one_step.measure(case)["peak"] > 0
    assert found["process"] >= 0


# Time to an error --------------------------------------------------------------------------------------------------


def some_runs(seconds: list[float], errors: list[float], test: str) -> list[dict[str, Any]]:
    return [{"seconds": one, "error": {test: error, "slow": 9.0}} for one, error in zip(seconds, errors, strict=True)]


def test_the_time_to_an_error_is_that_of_whole_trainings_whose_mean_error_is_small_enough() -> None:
    """Else one lucky seed, or a look at the test set after every epoch, would make a method look fast."""
    ff, twin = some_runs([9.0, 30.0, 15.0], [2.2, 1.8, 1.9], "both"), some_runs([10.0, 11.0, 10.0], [2.0] * 3, "fast")
    assert tte.mean_error(ff, "both") == pytest.approx(5.9 / 3)
    assert tte.ratio({"ff": ff, "twin": twin}, 2.0, "both") == 1.5
    assert tte.ratio({"ff": ff, "twin": twin}, 1.96, "both") is None
    assert tte.ratio({"ff": ff, "twin": some_runs([1.0], [2.1], "fast")}, 2.0, "both") is None
    assert tte.ratio({"ff": ff, "twin": twin}, 2.0, "slow") is None
