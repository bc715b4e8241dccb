"""Digits side by side, with the last digit of their sum as label."""

from __future__ import annotations

import pytest
import torch

from twofold.data import Dataset
from twofold.data.digit_sums import sums_of


@pytest.mark.parametrize("count", [2, 3])
def test_a_label_is_the_last_digit_of_the_sum_and_held_out_cases_have_digits_of_their_own(
    count: int, digits: Dataset
) -> None:
    held = 300
    sums = sums_of(digits, count, held)
    assert sums.shape == (1, 8, 8 * count)
    assert [len(sums.train_labels), len(sums.test_labels)] == [len(digits.train_labels), len(digits.test_labels)]
    known = {image.numpy().tobytes(): int(label) for image, label in zip(*digits.train, strict=True)}
    places = sums.train_images.split(8, 3)
    seen, held_out = set[bytes](), set[bytes]()
    for case, label in enumerate(sums.train_labels.tolist()):
        parts = [place[case].contiguous().numpy().tobytes() for place in places]
        assert sum(known[part] for part in parts) % 10 == label
        (held_out if case >= len(sums.train_labels) - held else seen).update(parts)
    assert not seen & held_out
    assert torch.equal(sums.test_labels, sums_of(digits, count, held).test_labels)
