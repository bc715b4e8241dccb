"""What is said while a training goes on where there is no terminal: a line now and then, and what its numbers mean.

Oracle: a clock that is set by hand.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from twofold.cli import progress
from twofold.cli.progress import EVERY, Bar

LAYERS = [{"positive": 1.5, "negative": 0.25}, None]


def metrics(number: int, **others: Any) -> dict[str, Any]:
    """Of an epoch, as a method gives them."""
    return {
        "epoch": number,
        "seconds": 2.0,
        "rate": 0.1,
        "visits": 1.0,
        "train_error": 0.125,
        "layers": LAYERS,
    } | others


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The seconds that the bar sees, and bars that have explained nothing yet."""
    hands = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: hands.now))
    monkeypatch.setattr(Bar, "explained", set())
    return hands


def train(clock: SimpleNamespace, epochs: int, seconds: float, after: int = 0, **others: Any) -> None:
    """Tell a bar of epochs that take so many seconds each, after some that were done before."""
    with Bar("digits", epochs) as bar:
        for number in range(after + 1, epochs + 1):
            clock.now += seconds
            bar.batch(number)
            bar.epoch(metrics(number, **others))


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    said = capsys.readouterr()
    assert not said.out
    return said.err.splitlines()


def test_the_first_line_says_in_words_what_the_numbers_mean_and_comes_once(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    train(clock, 3, EVERY)
    train(clock, 3, EVERY)
    first, *rest = lines(capsys)
    assert "train error: share of the training cases that the fast test misclassified" in first
    assert "goodness +/-: mean goodness of positive and negative data in each layer, relative to the threshold" in first
    assert "held out" not in first
    assert "cross-entropy" not in first
    assert [line.split()[:2] for line in rest] == 2 * [["digits", f"{number}/3"] for number in (1, 2, 3)]


def test_what_another_training_measures_besides_is_explained_before_its_own_first_line(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    train(clock, 1, EVERY)
    train(clock, 1, EVERY, loss=0.5, validation_error={"slow": 0.02, "fast": 0.03})
    _, _, explained, line = lines(capsys)
    assert explained == "slow, fast, ...: error of each test on the held-out images; loss: mean cross-entropy"
    assert "slow 2.00 %, fast 3.00 %" in line


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.125, [1, 41, 81, 100]), (2.0, [1, 4, 7, 10, 12]), (7.0, [1, 2, 3, 4])]
)
def test_there_is_a_line_at_most_every_few_seconds_and_always_one_of_the_last_epoch(
    seconds: float, told: list[int], clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    train(clock, told[-1], seconds)
    assert [int(line.split()[1].split("/")[0]) for line in lines(capsys)[1:]] == told


def test_a_line_has_the_figures_of_its_epoch_and_the_time_that_is_left(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    train(clock, 12, 4.0, after=2)  # a resumed training: what was done before took no time now
    _, first, second, *_, last = lines(capsys)
    assert first == "digits 3/12 2.0 s, 36 s of training left: train error 12.50 %, goodness +/- 1.50/0.25"
    assert second.startswith("digits 5/12 2.0 s, 28 s of training left: ")
    assert last.startswith("digits 12/12 2.0 s, testing next: ")
