"""What the tests of pictures and of the command line share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from support.command_line import SMALL, answer
from twofold.data import fetch
from twofold.plots import panels as plots


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures drawn in a test, in order."""
    drawn: list[Figure] = []
    write = plots.write
    monkeypatch.setattr(plots, "write", lambda figure, path: (drawn.append(figure), write(figure, path))[1])
    return drawn


@pytest.fixture
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TWOFOLD_DATA", str(tmp_path / "no-data"))
    monkeypatch.setattr(fetch.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "no-cache"))
    monkeypatch.setattr(fetch, "_get", lambda url, limit: pytest.fail(f"a test asked for {url}"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """A run with its twin and pictures, its JSON, and all that was said on the way."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    code, out, err = answer(["train", "digits", *SMALL, "--run", str(folder), "--with-twin", "--json"])
    assert code == 0, err
    return folder, json.loads(out[-1]), "\n".join(out + err)


@pytest.fixture(scope="session")
def folder(trained: tuple[Path, dict[str, Any], str]) -> Path:
    """The folder of that run."""
    return trained[0]
