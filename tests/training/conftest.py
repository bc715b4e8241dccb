"""What the tests of trainings share."""

from __future__ import annotations

import sys

import pytest

from twofold.methods.method import Method


@pytest.fixture
def progress_at_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training tells its progress after each batch, so that it can be interrupted at any of them."""
    monkeypatch.setattr(sys.modules[Method.__module__], "CHECK_EVERY", 1)
