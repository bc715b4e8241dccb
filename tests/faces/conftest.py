"""What the tests of pictures share."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from twofold.plots import panels as plots


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures drawn in a test, in order."""
    drawn: list[Figure] = []
    write = plots.write
    monkeypatch.setattr(plots, "write", lambda figure, path: (drawn.append(figure), write(figure, path))[1])
    return drawn
