"""What the tests of data sets share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from twofold.data import fetch
from twofold.data.origins import ORIGINS


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, no data folder in the environment, and no way to a real mirror."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(fetch.platformdirs, "user_cache_dir", lambda _: str(folder))
    monkeypatch.delenv("TWOFOLD_DATA", raising=False)
    for name, origin in ORIGINS.items():
        monkeypatch.setitem(ORIGINS, name, replace(origin, mirrors=("http://127.0.0.1:9/",)))
    return folder
