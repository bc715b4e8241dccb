"""What the tests share: tiny data, tiny recipes, and a machine that computes the same every time."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import platformdirs
import pytest
import torch
from hypothesis import settings

from support.helpers import AUTHORS
from support.write_guard import WriteGuard
from twofold.data import Dataset, as_dataset
from twofold.data import load as load_data
from twofold.methods import BackpropRecipe, FeedForwardRecipe
from twofold.recipes import RECIPES
from twofold.training import train

os.environ["OMP_NUM_THREADS"] = "1"  # for what the tests start as processes of their own
torch.set_num_threads(1)  # sums in one order, and the other cores left to others
settings.register_profile("twofold", deadline=None, derandomize=True, max_examples=50, database=None)
settings.load_profile("twofold")
if given := os.environ.get("TWOFOLD_DATA"):
    os.environ["TWOFOLD_DATA"] = str(Path(given).absolute())  # tests run in other directories


LONGEST = ("test_ledger", "test_tuning_killed", "test_benchmark_records", "test_docs", "test_accidents", "test_fuzz")
"""Files that take longest. Workers begin with them, so that none is left alone with one at the end."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Imports the tests without searching for garbage, and keeps what they import out of later searches."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


def pytest_configure(config: pytest.Config) -> None:
    """Watches where tests write, and gives libraries a temporary directory for their caches.

    The processes that pytest-xdist and the tests start inherit it.
    """
    config.option.loadscopereorder = False  # else pytest-xdist would begin with the files that have most tests
    config.pluginmanager.register(WriteGuard(config, Path(__file__).resolve().parents[1]))
    if not hasattr(config, "workerinput"):
        caches = tempfile.mkdtemp(prefix="tests-caches-")
        config.add_cleanup(lambda: shutil.rmtree(caches, ignore_errors=True))
        os.environ["MPLCONFIGDIR"] = caches
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = caches


@pytest.fixture(autouse=True)
def _double_precision_stays_where_it_was_asked_for() -> Iterator[None]:
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def progress_at_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training tells its progress after each batch, so that it can be interrupted at any of them."""
    monkeypatch.setattr(train, "CHECK_EVERY", 1)


@pytest.fixture(scope="session")
def tiny() -> Dataset:
    """40 + 20 images of 5 x 5 pixels in 4 classes: a bright row or column in noise. Learned in a few epochs."""
    generator = torch.Generator().manual_seed(0)
    images = 0.3 * torch.rand(60, 5, 5, generator=generator)
    labels = torch.arange(60) % 4
    for image, label in zip(images, labels.tolist(), strict=True):
        (image if label < 2 else image.T)[1 + 2 * (label % 2)] += 0.7
    return as_dataset("tiny", images[:40], labels[:40], images[40:], labels[40:], classes=4)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_data("digits")


@pytest.fixture(scope="session")
def recipe() -> FeedForwardRecipe:
    """The author's settings for three small layers on the tiny data."""
    found = RECIPES["digits"]
    assert isinstance(found, FeedForwardRecipe)
    return replace(found, **AUTHORS, data="tiny", widths=(14, 12, 10), epochs=4, batch=8, label_in="prepend")


@pytest.fixture(scope="session")
def twin_recipe(recipe: FeedForwardRecipe) -> BackpropRecipe:
    found = RECIPES["digits-twin"]
    assert isinstance(found, BackpropRecipe)
    plain: dict[str, Any] = {"rate": 0.02, "smoothing": 0.9, "decay": 0.0, "tolerance": 0.0, "revisit": 1.0}
    return replace(found, **plain, data="tiny", widths=recipe.widths, epochs=4, batch=8, jitter=0, validation=0, seed=0)


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """Where MNIST lies on this machine. Nothing is downloaded for a test."""
    for place in (os.environ.get("TWOFOLD_DATA"), platformdirs.user_cache_dir("twofold")):
        if place and (folder := Path(place) / "mnist").is_dir():
            return folder.parent
    pytest.skip("MNIST is not on this machine: run `twofold data get mnist`, or name its folder in TWOFOLD_DATA")
