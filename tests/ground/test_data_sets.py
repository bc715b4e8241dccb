"""Data sets: what is loaded is what was published, what is wrong is refused in one line, and jitter only shifts.

Were one of these to fail, a paper would report figures on other images, other labels or another split than it says.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support.data_files import FAKE, digest, idx_bytes, random_idx, refusal, write
from twofold.data import Dataset, jitter, load
from twofold.data.origins import IDX_FILES, ORIGINS
from twofold.errors import DataError, SettingError

pytestmark = [pytest.mark.usefixtures("cache"), FAKE]


# Oracle: what was published ------------------------------------------------------------------------------------------

MNIST_ROOT = os.environ.get("TWOFOLD_DATA", "")


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    try:
        return load("mnist", MNIST_ROOT or None, download=False)
    except DataError as error:
        pytest.skip(f"needs MNIST: {error}")


def test_mnist_is_the_published_one(mnist: Dataset) -> None:
    assert mnist.official
    assert mnist.shape == (1, 28, 28)
    assert mnist.pixels == 784
    assert mnist.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.test_labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert mnist.train_labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert mnist.train_images.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert mnist.train_images.std().item() == pytest.approx(0.3081, abs=5e-5)


def test_one_changed_pixel_makes_mnist_unofficial_but_it_is_loaded(mnist: Dataset, tmp_path: Path) -> None:
    pixels = (mnist.test_images * 255).round().to(torch.uint8)[:, 0].numpy()
    contents = random_idx()
    names = IDX_FILES
    published = idx_bytes(pixels)
    assert ORIGINS["mnist"].digests[names[2]] == digest("sha256", published)
    pixels[77, 14, 14] ^= 1
    contents[names[2]] = idx_bytes(pixels)
    contents[names[3]] = idx_bytes(mnist.test_labels.to(torch.uint8).numpy())
    changed = load("mnist", write(tmp_path / "data", contents), download=False)
    assert not changed.official
    assert (changed.test_images != mnist.test_images).sum() == 1


def test_digits_are_all_of_scikit_learns_each_once() -> None:
    data = load("digits")
    raw = sklearn.datasets.load_digits()
    ours = torch.cat([data.train_images, data.test_images]).flatten(1).numpy() * 16
    labels = torch.cat([data.train_labels, data.test_labels]).numpy()
    assert sorted(map(tuple, np.c_[ours, labels])) == sorted(map(tuple, np.c_[raw.data, raw.target]))
    assert data.official


def test_digits_are_split_in_the_same_stratified_way_forever() -> None:
    data = load("digits")
    shares = data.test_labels.bincount() / torch.cat([data.train_labels, data.test_labels]).bincount()
    assert (len(data.train_labels), len(data.test_labels)) == (1438, 359)
    assert shares.sub(0.2).abs().max() < 0.005
    assert data.train_labels[-300:].bincount(minlength=10).min() >= 20  # shuffled: the end can be held out
    assert data.fingerprint == "801e5be85953e5a2fed91dada0b7cfc91894bffbe373d04a24acec7057264efb"


# Oracle: an independent, slow reference ------------------------------------------------------------------------------


def shifted(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """``image (channels, height, width)`` moved, zeros shifted in, pixel by pixel."""
    moved = np.zeros_like(image)
    _, height, width = image.shape
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                moved[:, y, x] = image[:, y - down, x - right]
    return moved


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    reach=st.integers(0, 7),
    seed=st.integers(0, 99),
)
def test_jitter_gives_every_image_one_of_the_allowed_shifts(
    shape: tuple[int, int, int, int], reach: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(shape, generator=generator) + 0.1
    before = images.clone()
    result = jitter(images, reach, generator)
    assert torch.equal(images, before)
    assert result.shape == images.shape
    reaches = range(-reach, reach + 1)
    for image, moved in zip(images.numpy(), result.numpy(), strict=True):
        assert any(np.array_equal(moved, shifted(image, down, right)) for down in reaches for right in reaches)


def test_jitter_takes_every_position_equally_often_and_each_image_its_own() -> None:
    images = torch.zeros(25_000, 1, 5, 5)
    images[:, 0, 2, 2] = 1
    landed = jitter(images, 2, torch.Generator().manual_seed(3)).sum(0).flatten()
    assert landed.sum() == 25_000
    chi_squared = ((landed - 1000) ** 2 / 1000).sum().item()
    assert chi_squared < 52  # 24 degrees of freedom: exceeded by chance once in a thousand


def test_jitter_repeats_with_the_seed_and_reach_zero_changes_and_draws_nothing() -> None:
    images = torch.rand(50, 1, 8, 8)
    once, again = (jitter(images, 2, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(once, again)
    generator = torch.Generator().manual_seed(7)
    assert jitter(images, 0, generator) is images
    assert torch.equal(jitter(images, 2, generator), once)


def test_an_unknown_name_suggests_the_nearest() -> None:
    assert "did you mean 'mnist'" in refusal(SettingError, lambda: load("mnits"))


def test_a_jitter_of_less_than_nothing_is_refused_in_one_line() -> None:
    assert "or more" in refusal(SettingError, lambda: jitter(torch.zeros(1, 1, 2, 2), -1, torch.Generator()))
